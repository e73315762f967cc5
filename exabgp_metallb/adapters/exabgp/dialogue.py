"""Our side of the conversation with ExaBGP, without the pipe.

The life of a conversation. A speaker that ExaBGP has just started, for the first or the tenth time,
knows nothing. What ExaBGP answers at first may still be for its forerunner, whose last commands are
carried out after its death; so it drops those, and listens from when ExaBGP tells its version. Then
it asks how the neighbors are configured, which are up and what ExaBGP holds for them. Nothing else
is said until the owner has decided its whole table and calls `release`; only then can "ExaBGP holds
it and we do not want it" mean a withdrawal. From there the window talks. Questions are asked
between lines, never among them, so that each answer belongs to the oldest command.

The end of a session waits for no more than the lines to that neighbor that are under way: ExaBGP
carries out `teardown` as it reads it, before older commands, and always answers `done`. So the
first `done` after one is taken for its answer; which of several that is makes no difference.

While there is nothing to say, ExaBGP is asked now and then what it holds for one neighbor, and what
differs from what it was told is mended (`repair` says when). Such an answer is long, and broken off
when there is something to say: by the greeting, which drops whatever ExaBGP is at.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from exabgp_metallb.adapters.exabgp import text
from exabgp_metallb.adapters.exabgp.adjacency import Line
from exabgp_metallb.adapters.exabgp.neighbors import ConfiguredNeighbor, parse_neighbors
from exabgp_metallb.adapters.exabgp.repair import Repair
from exabgp_metallb.adapters.exabgp.window import Drift, Window
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.rib import AdjRibOut

GREETING = ("reset", "silence-ack", "version", text.ENABLE_ACK)
"""`reset` drops what a forerunner left. Then only the last one is answered by `done`, and `version`
by a line, and at once, so that no forerunner's question can have waited for it."""

VERSION = "exabgp "  # how the answer to `version` begins
RESEND = "flush adj-rib out"
WORDS = "neighbor "  # how an event begins that is not in JSON


@dataclass(frozen=True, slots=True)
class Greeted:
    """ExaBGP has told its version, and what it says from now on is for us."""

    version: str


@dataclass(frozen=True, slots=True)
class SessionUp:
    """A session was established, or found established at the start."""

    neighbor: Address
    found: bool = field(default=False, compare=False)  # it stood before this speaker began


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session ended."""

    neighbor: Address
    reason: str


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """An attempt at a session failed; ExaBGP goes on trying."""

    neighbor: Address
    reason: str


@dataclass(frozen=True, slots=True)
class RouteRefused:
    """ExaBGP took none of a line with one route for one neighbor."""

    line: Line


@dataclass(frozen=True, slots=True)
class Repaired:
    """ExaBGP did not hold what it was told; it is being told again."""

    drift: Drift


@dataclass(frozen=True, slots=True)
class ConfigurationFound:
    """ExaBGP has told how its neighbors are configured."""

    neighbors: tuple[ConfiguredNeighbor, ...]


@dataclass(frozen=True, slots=True)
class QuestionFailed:
    """ExaBGP refused a question; what it would have told is not known."""

    command: str


@dataclass(frozen=True, slots=True)
class NotJson:
    """ExaBGP tells of neighbors in words: the process section has another encoder."""

    line: str


@dataclass(frozen=True, slots=True)
class Ending:
    """ExaBGP shuts down."""


Notice = (
    Greeted
    | SessionUp
    | SessionDown
    | SessionFailed
    | RouteRefused
    | Repaired
    | ConfigurationFound
    | QuestionFailed
    | NotJson
    | Ending
)

_ANSWERS = (text.Done, text.Failed, text.Held, text.NeighborState, text.Text)

REMOVED = "removed"
"""ExaBGP's word in the reason of a session that a reload took out of the configuration."""


Rows = list[text.Message]


@dataclass(slots=True)
class _Question:
    command: str
    answered: Callable[[Rows], list[Notice]]
    refused: list[Notice]
    rows: Rows = field(default_factory=list)
    patient: bool = False  # may be broken off


class Dialogue:
    """Turns ExaBGP's lines into notices, and wishes into lines.

    Args:
        wanted: returns what a neighbor should hold now.
        ours: tells whether a route that ExaBGP holds, and that we do not want, is ours to withdraw.

    Attributes:
        window: all routes pass through it.
        end_of_rib: neighbors that wait for an End-of-RIB after their table, and its families.
        paused: while true nothing but questions is sent.
        drifted: how many routes of a neighbor ExaBGP was found to hold otherwise than it was told.
    """

    def __init__(
        self, wanted: Callable[[Address], AdjRibOut], ours: Callable[[Prefix], bool]
    ) -> None:
        self.window = Window(wanted)
        self.end_of_rib: dict[Address, tuple[Family, ...]] = {}
        self.paused = False
        self.drifted: Counter[Address] = Counter()
        self._wanted = wanted
        self._ours = ours
        self._released = False
        self._up: set[Address] = set()
        self._configuration: dict[Address, ConfiguredNeighbor] | None = None
        self._found: list[text.Held] = []
        self._questions: deque[_Question] = deque()
        self._asked: _Question | None = None
        self._repair = Repair()
        self._compared = False  # a neighbor, since the clock was last looked at
        self._orders: list[tuple[Address | None, str]] = []  # what goes before all else, about whom
        self._obeyed = 0  # how many orders are still to be answered
        self._greeted = False  # we have
        self._heard = False  # ExaBGP has answered the last greeting
        self._met = False  # and the first one
        self._spoke = False  # ExaBGP has said something since the clock was last looked at
        self._silent_since = 0.0  # when it last said something, or began to owe an answer

    # What the owner does.

    def begin(self) -> None:
        """Ask what a speaker must know before its first route."""
        self.ask_configuration()

    def ask_configuration(self) -> None:
        """Ask how the neighbors are configured; answered by `ConfigurationFound`."""
        self._ask(text.SHOW_NEIGHBOR_CONFIGURATION, self._configured)

    def reload(self) -> None:
        """Have ExaBGP read its configuration again, and ask what came of it."""
        self._ask(text.RELOAD, self._reloaded)
        self.ask_configuration()

    def tear_down(self, neighbor: Address, subcode: int) -> None:
        """Have a session closed now, before all that waits; ExaBGP will try for a new one.

        Args:
            neighbor: whose session.
            subcode: of the Cease NOTIFICATION (RFC 4486); none is sent where the session is to
                restart gracefully.
        """
        self.window.down(neighbor)  # a route for a neighbor without a session blocks every reload
        command = f"{text.selector([neighbor])} {text.TEARDOWN} {subcode}"
        self._orders.append((neighbor, command))

    def shut_down(self) -> None:
        """Have ExaBGP end now; its sessions end without a NOTIFICATION."""
        self._orders.append((None, text.SHUTDOWN))

    def release(self) -> None:
        """Let routes flow: from now on `wanted` tells the whole table."""
        self._released = True
        for row in self._found:
            self._take_over(row)
        self._found.clear()
        for neighbor in sorted(self._up, key=str):
            self._window_up(neighbor)

    @property
    def released(self) -> bool:
        """Tell whether routes flow."""
        return self._released

    @property
    def curious(self) -> bool:
        """Tell whether a question waits for its answer, other than one that may be broken off."""
        return bool(self._questions) or not (self._asked is None or self._asked.patient)

    def is_up(self, neighbor: Address) -> bool:
        """Tell whether a session is established."""
        return neighbor in self._up

    def silence(self, now: float) -> float:
        """Return for how many seconds ExaBGP has owed an answer and said nothing at all."""
        return now - self._silent_since if self._owed() and not self._spoke else 0.0

    def lines(self, now: float) -> list[str]:
        """Return what to write to ExaBGP now; each line counts as written."""
        if self._spoke or not self._owed():
            self._spoke, self._silent_since = False, now
        if not self._greeted:
            return self._greet()
        if self._compared:
            self._repair.answered(now)
            self._compared = False
        return [*self._take_orders(), *self._other_lines(now)]

    def _owed(self) -> bool:
        return self._asked is not None or self._obeyed > 0 or self.window.awaits

    def _greet(self) -> list[str]:
        self._greeted, self._heard, self._obeyed = True, False, 0
        self._asked = _Question(text.ENABLE_ACK, lambda _: [], [])
        return list(GREETING)

    def _take_orders(self) -> list[str]:
        if not self._heard:
            return []  # no answer is for us yet
        orders, self._orders = self._orders, []
        self._orders = [order for order in orders if self._is_sent_to(order[0])]
        ready = [command for about, command in orders if not self._is_sent_to(about)]
        self._obeyed += len(ready)
        return ready

    def _is_sent_to(self, neighbor: Address | None) -> bool:
        """Tell whether a route for a neighbor may enter ExaBGP's RIB after its session ends."""
        return neighbor is not None and self.window.awaits_for(neighbor)

    def _other_lines(self, now: float) -> list[str]:
        if self._asked is not None:
            if self._asked.patient and self._pressed(now):
                self._repair.broken_off(now)
                return self._greet()
            return []
        if self._questions:
            if not self.window.settled(now):
                return []
            self._asked = self._questions.popleft()
            return [self._asked.command]
        if self.paused or not self._released:
            return []
        neighbor = self._repair.overdue(self._up, now)
        if neighbor is not None:
            self._questions.append(self._comparison(neighbor, now))
            return self._other_lines(now)
        return [line.text for line in self.window.lines(now)] or self._look(now)

    def _look(self, now: float) -> list[str]:
        """Use the silence to see what ExaBGP holds for some neighbor."""
        neighbor = self._repair.due(self._up, now) if self.window.idle(now) else None
        if neighbor is None:
            return []
        self._asked = replace(self._comparison(neighbor, now), patient=True)
        return [self._asked.command]

    def _comparison(self, neighbor: Address, now: float) -> _Question:
        self._repair.asked(neighbor, now)
        answered = partial(self._compare, neighbor)
        return _Question(text.show_adj_rib_out(neighbor), answered, [])

    def _pressed(self, now: float) -> bool:
        """Tell whether there is something to say."""
        return bool(self._questions) or not (self.paused or self.window.idle(now))

    def _ask(self, command: str, answered: Callable[[Rows], list[Notice]]) -> None:
        self._questions.append(_Question(command, answered, [QuestionFailed(command)]))

    def _ask_sessions(self) -> None:
        """Ask which sessions are established.

        ExaBGP cannot tell of a neighbor whose AS is `auto`, nor of all together if there is one.
        But it sends the table of such a neighbor again if it is established, and refuses to if not;
        the router sees only what it has.
        """
        neighbors = (self._configuration or {}).values()
        if all(n.peer_as is not None for n in neighbors):
            self._ask(text.SHOW_NEIGHBORS, self._sessions)
            return
        for n in neighbors:
            if n.peer_as is not None:
                self._ask(f"{text.SHOW_NEIGHBORS} {n.address}", self._sessions)
            else:
                command = f"{text.selector([n.address])} {RESEND}"
                self._questions.append(_Question(command, partial(self._resent, n.address), []))

    # What ExaBGP says.

    def hear(self, line: str) -> list[Notice]:
        """Take one line of ExaBGP and return what it means for the owner."""
        self._spoke = True
        message = text.parse(line)
        if not self._heard and isinstance(message, _ANSWERS):
            return self._hear_version(message)
        if isinstance(message, text.Done | text.Failed):
            return self._answer(message)
        if isinstance(message, text.Held | text.NeighborState | text.Text):
            if self._asked is not None:
                self._asked.rows.append(message)
            elif isinstance(message, text.Text) and message.line.startswith(WORDS):
                return [NotJson(message.line)]
            return []
        return self._event(message)

    def _hear_version(self, message: text.Message) -> list[Notice]:
        """Pass over what is for a forerunner."""
        if not isinstance(message, text.Text) or not message.line.startswith(VERSION):
            return []
        self._heard = True
        if self._met:
            return []
        self._met = True
        return [Greeted(message.line.removeprefix(VERSION).strip())]

    def _answer(self, message: text.Done | text.Failed) -> list[Notice]:
        if self._obeyed and isinstance(message, text.Done):
            self._obeyed -= 1
            return []
        if self._asked is not None:
            question, self._asked = self._asked, None
            if isinstance(message, text.Failed):
                return question.refused
            return question.answered(question.rows)
        if isinstance(message, text.Done):
            self.window.acknowledged()
            return []
        line = self.window.refused()
        return [] if line is None else [RouteRefused(line)]

    def _event(self, message: text.Message | None) -> list[Notice]:
        if isinstance(message, text.Sent):
            self.window.flushed(message.neighbor, message.prefixes, message.attributes)
        elif isinstance(message, text.Up):
            return self._came_up(message.neighbor)
        elif isinstance(message, text.Down):
            return self._went_down(message)
        elif isinstance(message, text.Shutdown):
            return [Ending()]
        return []

    def _came_up(self, neighbor: Address, *, found: bool = False) -> list[Notice]:
        if neighbor in self._up:
            return []
        self._up.add(neighbor)
        if self._released:
            self._window_up(neighbor)
        return [SessionUp(neighbor, found)]

    def _went_down(self, message: text.Down) -> list[Notice]:
        neighbor = message.neighbor
        known = neighbor in self._up
        self._up.discard(neighbor)
        self.window.down(neighbor)
        if REMOVED in message.reason:
            self.window.forget(neighbor)
            self._found = [row for row in self._found if row.neighbor != neighbor]
        notice = SessionDown if known else SessionFailed
        return [notice(neighbor, message.reason)]

    def _window_up(self, neighbor: Address) -> None:
        self.window.up(neighbor, self.end_of_rib.get(neighbor, ()))

    # Answers.

    def _reloaded(self, _rows: Rows) -> list[Notice]:
        self._repair.hurry()
        return []

    def _configured(self, rows: Rows) -> list[Notice]:
        neighbors = parse_neighbors(row.line for row in rows if isinstance(row, text.Text))
        known, self._configuration = self._configuration, {n.address: n for n in neighbors}
        if known is None:
            self._ask_sessions()
            self._ask(text.show_adj_rib_out(), self._held)
        else:
            if known != self._configuration:
                self._repair.hurry()
            self.window.forget_others(self._configuration)  # they may have gone without a word
            for neighbor in neighbors:
                if known.get(neighbor.address, neighbor) != neighbor:
                    self._relearn(neighbor.address)
        return [ConfigurationFound(neighbors)]

    def _relearn(self, neighbor: Address) -> None:
        """Ask again what ExaBGP holds for a neighbor, and send it all that it lacks.

        A neighbor whose AS, router id, address or families changed is another one to ExaBGP: it
        begins without the routes of the old one.
        """
        self.window.forget(neighbor)
        if self._released and neighbor in self._up:
            self._window_up(neighbor)
        self._ask(text.show_adj_rib_out(neighbor), partial(self._held_again, neighbor))

    def _sessions(self, rows: Rows) -> list[Notice]:
        up = [r.neighbor for r in rows if isinstance(r, text.NeighborState) and r.established]
        return [notice for neighbor in up for notice in self._came_up(neighbor, found=True)]

    def _resent(self, neighbor: Address, _rows: Rows) -> list[Notice]:
        return self._came_up(neighbor, found=True)

    def _held(self, rows: Rows) -> list[Notice]:
        self._found = [row for row in rows if isinstance(row, text.Held)]
        return []

    def _held_again(self, neighbor: Address, rows: Rows) -> list[Notice]:
        for row in rows:
            if isinstance(row, text.Held) and row.neighbor == neighbor:
                self._take_over(row)
        self.window.touch_all(neighbor)
        return []

    def _take_over(self, row: text.Held) -> None:
        if row.prefix in self._wanted(row.neighbor) or self._ours(row.prefix):
            self.window.holds(row.neighbor, row.prefix, row.attributes)

    def _compare(self, neighbor: Address, rows: Rows) -> list[Notice]:
        self._compared = True
        there = {
            r.prefix: r.attributes
            for r in rows
            if isinstance(r, text.Held) and r.neighbor == neighbor
        }
        wanted = self._wanted(neighbor)
        drift = self.window.compare(neighbor, there, lambda p: p in wanted or self._ours(p))
        if not drift:
            return []
        self.drifted[neighbor] += len(drift)
        return [Repaired(drift)]
