"""The exabgp.conf that the speaker renders, and the reload that brings it into force.

ExaBGP 5 reads its neighbors from a file only, and its reload has traps: it is lost while any route
waits to be sent, and after one bad file it refuses every later one. So: render aside, have ExaBGP's
own parser check it, stop sending until all is on the wire, rename, reload, and believe it only when
ExaBGP shows the neighbors of the new file. A burst of edits is one reload, and whatever fails
leaves the old file and the old sessions as they are.

The life of a change. `want` renders. If ExaBGP holds something else, the text is CHECKED in a
thread; then the dialogue is paused, QUIESCING, until nothing is on its way; then the file is
written and RELOADING waits for what ExaBGP shows. If that is not the file, the reload is LOST:
routes flow again, the old file comes back, so that ExaBGP would start on what it holds, and after a
while the new one is tried anew. What ExaBGP held when this speaker began is asked too, so a
forerunner that died between rename and reload is made up for; and once a minute, so that somebody
else's edit and reload is.

An ExaBGP that has read one bad file takes no other, and does not say so. After several lost reloads
it is told to end; `exabgp-metallb run` starts it anew, which costs nothing where peers restart
gracefully. The file that was not taken is kept beside ours: if ExaBGP takes it no better when it
was started anew, the fault is the file's, and restarting helps nobody.
"""

import enum
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from loguru import logger

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.exabgp.dialogue import Dialogue
from exabgp_metallb.adapters.exabgp.local_address import lacking
from exabgp_metallb.adapters.exabgp.neighbors import ConfiguredNeighbor, parse_neighbors
from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.errors import ExabgpError
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.sessions import Session

RETRY_SECONDS = 2.0  # ExaBGP's loop turns each second at most; twice that is no hurry
LONGEST_RETRY_SECONDS = 60.0
RELOADS = 4  # lost ones are made up for by the second; a poisoned ExaBGP never takes any
PATIENT_RELOADS = 8
"""Where a neighbor is down, and others are up that do not restart gracefully. A route that was on
its way when a session ended is in the way of every reload until that router is back: ExaBGP has no
command that would take it away. So it is given three minutes."""
LOOK_SECONDS = 60.0  # between two looks at what ExaBGP holds
REFUSED_SECONDS = 60.0  # what ExaBGP's parser refused, or a full disk, is tried again
QUIET_SECONDS = 0.02  # between two looks at whether all that was sent is on the wire

Neighbors = frozenset[ConfiguredNeighbor]


@dataclass(frozen=True, slots=True)
class Validated:
    """ExaBGP's parser has read a rendered configuration; None for error means that it is good."""

    text: str
    error: str | None


class _Step(enum.Enum):
    IDLE = enum.auto()
    CHECKING = enum.auto()
    QUIESCING = enum.auto()
    RELOADING = enum.auto()
    LOST = enum.auto()


class ManagedConfiguration:
    """Keeps a node's exabgp.conf equal to its sessions.

    Args:
        path: of exabgp.conf; ExaBGP was started on it.
        run: the command of the process section.
        dialogue: is paused around a reload.
        listener: takes `Validated` from the thread that checks.
    """

    def __init__(
        self,
        path: Path,
        run: Sequence[str],
        dialogue: Dialogue,
        listener: Callable[[Validated], None],
    ) -> None:
        self._path = path
        self._refused = path.with_name(f"{path.name}.refused")
        self._run = run
        self._dialogue = dialogue
        self._listener = listener
        self._step = _Step.IDLE
        self._in_force: str | None = None  # what ExaBGP was seen to hold
        self._look_at = math.inf
        self._sessions: tuple[Session, ...] | None = None  # as they were wanted last
        self._left_out: frozenset[Address] = frozenset()
        self._wanted: str | None = None
        self._checked = ""  # what goes into the file next
        self._held: Neighbors | None = None  # as ExaBGP showed them
        self._retry_at: float | None = None
        self._reloads = 0
        self._given_up: str | None = None  # the text that was not taken
        self._told: dict[str, str] = {}
        self._trouble: str | None = None  # whose error was told last: a text, or the path

    @property
    def behind(self) -> str | None:
        """Why ExaBGP does not hold what is wanted, where trying again is all that is left."""
        if self._step is _Step.LOST:
            return f"ExaBGP has not taken its new configuration at {self._reloads} reloads"
        if self._trouble is not None:
            return "the new configuration is not in force: see the log"
        return None

    @property
    def changing(self) -> bool:
        """Tell whether a new configuration is on its way into force."""
        return self._step in {_Step.CHECKING, _Step.QUIESCING, _Step.RELOADING}

    def want(self, sessions: Sequence[Session]) -> None:
        """Have ExaBGP hold these sessions."""
        troubles = {**lacking(sessions), **conf.refusals(sessions)}
        for name, why in troubles.items():
            if self._told.get(name) != why:
                logger.error("BGPPeer {}: {}", name, why)
        self._told = troubles
        self._sessions = tuple(sessions)
        self._render()

    def leave_out(self, neighbors: Collection[Address]) -> None:
        """Have ExaBGP hold no session with these, wanted or not."""
        self._left_out = frozenset(neighbors)
        if self._sessions is not None:
            self._render()

    def _render(self) -> None:
        held = (s for s in self._sessions or () if s.peer.address not in self._left_out)
        self._wanted = conf.render(held, run=self._run)
        if self._step is _Step.LOST and self._wanted != self._checked:
            self._step = _Step.IDLE
        self._consider()

    def found(self, neighbors: Sequence[ConfiguredNeighbor], now: float) -> None:
        """Take what ExaBGP shows: at the start, after each reload, and once a minute."""
        self._held = frozenset(neighbors)
        self._look_at = now + LOOK_SECONDS
        written = _read(self._path)
        if written is not None and self._held == _neighbors(written):
            self._in_force = written
        if self._step is not _Step.RELOADING:
            self._consider()
        elif self._held == _neighbors(self._checked):
            logger.info("ExaBGP holds {} neighbors by {}", len(neighbors), self._path)
            self._reloads = 0
            self._refused.unlink(missing_ok=True)
            self._rest()
        else:
            self._lose(now)

    def validated(self, result: Validated, now: float) -> None:
        """Go on with a configuration that ExaBGP's parser has read."""
        self._step = _Step.IDLE
        if result.text != self._wanted:
            self._consider()
        elif result.error is not None:
            self._put_off(f"ExaBGP refuses the new configuration: {result.error}", result.text, now)
        else:
            self._checked = result.text
            self._quiesce()

    def act(self, now: float) -> None:
        """Do what is due: try again, or bring a checked file into force."""
        if self._retry_at is not None and self._retry_at <= now:
            self._retry()
        if self._dialogue.curious:
            return  # the next answer must be that of a reload
        if self._look_at <= now:
            self._look_at = now + LOOK_SECONDS
            self._dialogue.ask_configuration()
        elif self._step is _Step.QUIESCING and self._dialogue.window.settled(now):
            self._bring_into_force(now)

    def deadline(self, now: float) -> float | None:
        """Return when `act` must be asked again, in monotonic seconds."""
        return now + QUIET_SECONDS if self._step is _Step.QUIESCING else self._retry_at

    def _retry(self) -> None:
        self._retry_at = None
        if self._step is _Step.LOST:
            self._quiesce()
        else:
            self._consider()

    def _consider(self) -> None:
        """Begin, unless something is under way or all is as wanted."""
        text = self._wanted
        if self._step is not _Step.IDLE or text is None or self._held is None:
            return
        if text == _read(self._path) and self._held == _neighbors(text):
            return
        self._step = _Step.CHECKING
        Thread(target=self._check, args=(text,), name="exabgp-validate", daemon=True).start()

    def _check(self, text: str) -> None:
        try:
            conf.validate(text)
        except (ExabgpError, OSError) as error:
            self._listener(Validated(text, str(error)))
        else:
            self._listener(Validated(text, None))

    def _quiesce(self) -> None:
        self._step = _Step.QUIESCING
        self._dialogue.paused = True

    def _bring_into_force(self, now: float) -> None:
        if self._checked != self._wanted:
            self._rest()
            return
        if self._checked != _read(self._path):
            try:
                write_aside(self._path, self._checked.encode("ascii"), mode=0o600)
            except OSError as error:
                self._put_off(f"{self._path}: cannot be written: {error}", str(self._path), now)
                return
        self._step = _Step.RELOADING
        self._reloads += 1
        self._dialogue.reload()

    def _rest(self) -> None:
        self._dialogue.paused = False
        self._step = _Step.IDLE
        self._retry_at = None
        self._trouble = None
        self._consider()

    def _lose(self, now: float) -> None:
        """Let routes flow, and reload again later: one of them was in its way, or a bad file."""
        self._dialogue.paused = False
        self._step = _Step.LOST
        self._retry_at = now + min(RETRY_SECONDS * 2 ** (self._reloads - 1), LONGEST_RETRY_SECONDS)
        self._undo()
        up = {n for n in self._held or () if self._dialogue.is_up(n.address)}
        costly = not all(n.manual_eor for n in up)  # then sessions end by a restart
        someone_down = len(up) < len(self._held or ())
        enough = PATIENT_RELOADS if costly and someone_down else RELOADS
        if self._reloads >= enough and self._given_up != self._checked:
            self._given_up = self._checked
            self._give_up()

    def _undo(self) -> None:
        if self._in_force is None:
            return
        try:
            write_aside(self._path, self._in_force.encode("ascii"), mode=0o600)
        except OSError as error:
            logger.error("{}: the file of before cannot be written: {}", self._path, error)

    def _give_up(self) -> None:
        """Have ExaBGP started anew, unless that was tried for this very file."""
        if _read(self._refused) == self._checked:
            logger.error(
                "ExaBGP, started anew, still does not take {}; the old sessions stay",
                self._refused,
            )
            return
        logger.error(
            "ExaBGP has not taken a new configuration at {} reloads: it is restarted; "
            "what it did not take is {}",
            self._reloads,
            self._refused,
        )
        try:
            write_aside(self._refused, self._checked.encode("ascii"), mode=0o600)
        except OSError as error:
            logger.error("{}: cannot be written, so ExaBGP goes on: {}", self._refused, error)
        else:
            self._dialogue.shut_down()

    def _put_off(self, message: str, trouble: str, now: float) -> None:
        self._dialogue.paused = False
        self._step = _Step.IDLE
        self._retry_at = now + REFUSED_SECONDS
        if trouble != self._trouble:
            logger.error("{}; the old sessions stay", message)
        self._trouble = trouble


def _neighbors(text: str) -> Neighbors:
    return frozenset(parse_neighbors(text.splitlines()))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeError):
        return None
