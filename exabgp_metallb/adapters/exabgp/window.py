"""What to tell ExaBGP next: a state machine without a pipe, a clock or a thread.

ExaBGP 5 takes commands faster than it handles them and then answers nobody for seconds, forgets
changes that meet in its RIB before they are flushed, and loses a reload while anything waits for a
peer that is down. So all that is sent goes through this window:

- A line holds at most 50 prefixes of one family with equal attributes, and at most two lines are
  without an answer. More gains nothing and makes an urgent change wait.
- For each neighbor and prefix one change at a time: the next one waits until ExaBGP has told that
  the last one went to the wire. Only then does the last writer win.
- A neighbor that is not up is sent nothing. When it comes up, what ExaBGP holds for it (it sends
  that again by itself) is compared with what is wanted.
- Withdrawals and changes of small batches go before bulk; only when a whole table is looked at
  again while its session stands do its new routes go before its withdrawals, so that an aggregate
  does not leave before what replaces it.
- End-of-RIB goes out once, when all that a session was to be sent as it came up is flushed.

The life of a change. `touch` marks a prefix; nothing is decided yet. When there is room, `lines`
compares what is held with what is wanted now, so a prefix that changed ten times while it waited is
told once, and one that changed back not at all. The line is acknowledged (`acknowledged`), later it
is on the wire (`flushed`), and if the prefix was touched in between it is looked at again. What is
known of each neighbor meanwhile, and what is only presumed, is `adjacency`'s to keep.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from exabgp_metallb.adapters.exabgp import text
from exabgp_metallb.adapters.exabgp.adjacency import Adjacency, Flight, Kind, Kinds, Line, Queue
from exabgp_metallb.adapters.exabgp.text import same_on_the_wire
from exabgp_metallb.decisions.changes import changes
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.rib import AdjRibOut, Announce, Attributes

__all__ = [
    "LINES_IN_FLIGHT",
    "NEIGHBORS_PER_LINE",
    "PREFIXES_PER_LINE",
    "Drift",
    "Line",
    "Window",
]

PREFIXES_PER_LINE = 50  # ExaBGP handles 50 steps of a command before it polls its peers again
NEIGHBORS_PER_LINE = 16  # keeps any line below 8 KiB
LINES_IN_FLIGHT = 2  # one under way, one waiting: 11,000 routes a second, 8 ms for an urgent one


@dataclass(frozen=True, slots=True)
class Drift:
    """How the Adj-RIB-Out of a neighbor differed from what ExaBGP was told; mended by now.

    Attributes:
        missing: routes that were not there.
        different: routes with other attributes.
        extra: routes that are ours and were not wanted.
    """

    neighbor: Address
    missing: tuple[Prefix, ...] = ()
    different: tuple[Prefix, ...] = ()
    extra: tuple[Prefix, ...] = ()

    def __len__(self) -> int:
        return len(self.missing) + len(self.different) + len(self.extra)


class Window:
    """Keeps what ExaBGP holds for its neighbors equal to what is wanted.

    Args:
        wanted: returns what a neighbor should hold now; empty for one that should hold nothing.
    """

    def __init__(self, wanted: Callable[[Address], AdjRibOut]) -> None:
        self._wanted = wanted
        self._neighbors: dict[Address, Adjacency] = {}  # who was served last comes last
        self._kinds = Kinds()
        self._in_flight: deque[Flight] = deque()
        self._taken: list[Flight] = []  # since the clock was last looked at
        self._singles: deque[tuple[Address, Prefix]] = deque()
        self._refused: dict[tuple[Address, Prefix], Attributes | None] = {}

    # What the owner tells.

    def up(self, neighbor: Address, end_of_rib: tuple[Family, ...] = ()) -> None:
        """Note that a session is established, and look at all its routes.

        Args:
            neighbor: whose session.
            end_of_rib: the families to send End-of-RIB for (RFC 4724 section 2), after that table.
        """
        self.down(neighbor)
        state = self._neighbors[neighbor]
        state.up = True
        self._refused = {k: a for k, a in self._refused.items() if k[0] != neighbor}
        self._look_at_all(state, withdrawals=state.urgent)
        if end_of_rib:
            state.close_with(end_of_rib)

    def down(self, neighbor: Address) -> None:
        """Note that a session ended: nothing more is sent; ExaBGP keeps its routes."""
        state = self._neighbors.get(neighbor) or Adjacency(neighbor)
        self._neighbors[neighbor] = state.ended(self._in_flight)

    def forget(self, neighbor: Address) -> None:
        """Note that ExaBGP has this neighbor no more, nor any route for it."""
        state = self._neighbors.get(neighbor)
        if state is None:
            return
        left = state.forgotten(self._in_flight)
        if left.unflushed:
            self._neighbors[neighbor] = left
        else:
            del self._neighbors[neighbor]

    def forget_others(self, neighbors: Collection[Address]) -> None:
        """Forget every neighbor but these."""
        for neighbor in [n for n in self._neighbors if n not in neighbors]:
            self.forget(neighbor)

    def holds(
        self, neighbor: Address, prefix: Prefix, attributes: Attributes = text.UNKNOWN
    ) -> None:
        """Note a route found in ExaBGP's Adj-RIB-Out, with the attributes shown there."""
        state = self._neighbors.setdefault(neighbor, Adjacency(neighbor))
        state.held.setdefault(prefix, self._as_wanted(neighbor, prefix, attributes))

    def compare(self, neighbor: Address, there: AdjRibOut, ours: Callable[[Prefix], bool]) -> Drift:
        """Compare what ExaBGP holds with what it should hold by all that it was told, and mend it.

        Args:
            neighbor: whose Adj-RIB-Out was read, while nothing was on its way.
            there: what was found in it.
            ours: tells whether a route that we know nothing of is ours to withdraw.
        """
        state = self._neighbors.get(neighbor)
        if state is None or not state.up:
            return Drift(neighbor)
        meant = {p: a for p, a in state.held.items() if p not in state.unflushed}
        missing = [p for p in meant if p not in there]
        different = [
            p for p, a in meant.items() if p in there and not same_on_the_wire(a, there[p])
        ]
        extra = [p for p in there if p not in state.held and p not in state.unflushed and ours(p)]
        for prefix in missing:
            del state.held[prefix]
        for prefix in (*different, *extra):
            state.held[prefix] = there[prefix]
        for prefix in (*missing, *different, *extra):
            self._look(state, prefix, state.bulk, withdrawals=state.bulk)
        return Drift(neighbor, tuple(missing), tuple(different), tuple(extra))

    def touch_all(self, neighbor: Address) -> None:
        """Look at every route that a neighbor holds or should hold."""
        state = self._neighbors.get(neighbor)
        if state is not None and state.up:
            self._look_at_all(state, withdrawals=state.bulk)

    def touch_everything(self) -> None:
        """Look at every route of every neighbor."""
        for neighbor in list(self._neighbors):
            self.touch_all(neighbor)

    def touch(self, neighbor: Address, prefix: Prefix, *, urgent: bool) -> None:
        """Look at one route again: what is wanted of it may have changed."""
        state = self._neighbors.get(neighbor)
        if state is None or not state.up:
            return
        if self._refused:
            self._refused.pop((neighbor, prefix), None)
        queue = state.urgent if urgent else state.bulk
        self._look(state, prefix, queue, withdrawals=state.urgent)

    # What ExaBGP tells.

    def acknowledged(self) -> Line | None:
        """Note that the oldest line was taken; None when there was none."""
        if not self._in_flight:
            return None
        flight = self._in_flight.popleft()
        self._taken.append(flight)
        return flight.line

    def refused(self) -> Line | None:
        """Note that the oldest line was refused as a whole.

        Its prefixes are tried again one by one, so that one bad route refuses itself only; one that
        is refused alone is left until it becomes another, is touched, or its session comes up
        again. Returns the line when it was such a one, for the owner to tell of.
        """
        if not self._in_flight:
            return None
        flight = self._in_flight.popleft()
        line = flight.line
        states = [self._neighbors[n] for n in line.neighbors if n in self._neighbors]
        again = [(state, prefix) for state in states for prefix in state.refused(flight)]
        alone = len(line.prefixes) == len(line.neighbors) == 1
        if alone and again and self._wish(*again[0]) == line.attributes:
            state, prefix = again[0]
            self._refused[state.address, prefix] = line.attributes
            state.initial.pop(prefix, None)
            return line
        self._singles.extend((state.address, prefix) for state, prefix in again)
        return None

    def flushed(
        self,
        neighbor: Address,
        prefixes: Iterable[Prefix],
        told: Attributes | None = text.UNKNOWN,
    ) -> None:
        """Note that an UPDATE went to the wire.

        Args:
            neighbor: to whom.
            prefixes: announced or withdrawn by it.
            told: what it carried; None for a withdrawal. Without it, what was meant is believed.
        """
        state = self._neighbors.get(neighbor)
        if state is not None:
            self._look_again(state, state.seen(prefixes, told))

    # What to do next.

    def lines(self, now: float) -> Iterator[Line]:
        """Yield the lines to write now; each counts as written."""
        self._expire(now)
        while len(self._in_flight) < LINES_IN_FLIGHT:
            line = self._next_line()
            if line is None:
                return
            yield line

    def next_deadline(self) -> float | None:
        """Return when `lines` must be asked again even if nothing happens, in monotonic seconds."""
        deadlines = (state.deadline() for state in self._neighbors.values())
        return min((d for d in deadlines if d is not None), default=None)

    @property
    def awaits(self) -> bool:
        """Tell whether a line that was written has no answer yet."""
        return bool(self._in_flight)

    def awaits_for(self, neighbor: Address) -> bool:
        """Tell whether a line to a neighbor has no answer yet."""
        return any(neighbor in flight.line.neighbors for flight in self._in_flight)

    def settled(self, now: float) -> bool:
        """Tell whether nothing that was written is still on its way through ExaBGP's RIB."""
        self._expire(now)
        return not self._in_flight and not any(s.unflushed for s in self._neighbors.values())

    def idle(self, now: float) -> bool:
        """Tell whether all that is wanted of neighbors that are up is on the wire."""
        busy = self._singles or any(map(_busy, self._neighbors.values()))
        return self.settled(now) and not busy

    def is_up(self, neighbor: Address) -> bool:
        """Tell whether the neighbor's session is established."""
        state = self._neighbors.get(neighbor)
        return state is not None and state.up

    def held(self, neighbor: Address) -> AdjRibOut:
        """Return what ExaBGP holds for a neighbor, as far as we know."""
        state = self._neighbors.get(neighbor)
        return {} if state is None else state.held

    def _as_wanted(self, neighbor: Address, prefix: Prefix, shown: Attributes) -> Attributes:
        """Return the attributes that are wanted, if those shown are the same in other words."""
        wanted = self._wanted(neighbor).get(prefix)
        if wanted is None or shown is text.UNKNOWN or not same_on_the_wire(wanted, shown):
            return shown
        return wanted

    # What is to be looked at.

    def _look_at_all(self, state: Adjacency, withdrawals: Queue) -> None:
        for change in changes(state.held, self._wanted(state.address)):
            prefix = change.route.prefix if isinstance(change, Announce) else change.prefix
            self._look(state, prefix, state.bulk, withdrawals)

    def _look_again(self, state: Adjacency, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            self._look(state, prefix, state.urgent, state.urgent)

    def _look(self, state: Adjacency, prefix: Prefix, queue: Queue, withdrawals: Queue) -> None:
        """Queue the change that a prefix needs now, if it needs one."""
        if prefix in state.unflushed:
            state.waiting.add(prefix)
            return
        wanted = self._wish(state, prefix)
        if not self._due(state, prefix, wanted):
            state.initial.pop(prefix, None)
            return
        into = withdrawals if wanted is None else queue
        into.setdefault(self._kinds.of(wanted, prefix), {})[prefix] = None

    def _wish(self, state: Adjacency, prefix: Prefix) -> Attributes | None:
        """Return what a prefix should become; None to have it withdrawn."""
        if state.is_astray(prefix):
            return None  # first; then it is looked at again
        return self._wanted(state.address).get(prefix)

    def _due(self, state: Adjacency, prefix: Prefix, wanted: Attributes | None) -> bool:
        """Tell whether ExaBGP must be told so."""
        if state.is_astray(prefix):
            return True
        if wanted == state.held.get(prefix):
            return False
        key = (state.address, prefix)
        return not self._refused or key not in self._refused or self._refused[key] != wanted

    def _expire(self, now: float) -> None:
        for flight in self._taken:
            flight.taken_at = now
        self._taken.clear()
        for state in self._neighbors.values():
            self._look_again(state, state.expire(now))

    # What is written.

    def _next_line(self) -> Line | None:
        while self._singles:
            line = self._single(*self._singles.popleft())
            if line is not None:
                return line
        for state in self._neighbors.values():
            if state.end_of_rib and not state.initial:
                return self._end_of_rib(state)
        return self._from_queues(0) or self._from_queues(1)

    def _single(self, neighbor: Address, prefix: Prefix) -> Line | None:
        state = self._neighbors.get(neighbor)
        if state is None or not state.up:
            return None
        if prefix in state.unflushed:
            state.waiting.add(prefix)
            return None
        wanted = self._wish(state, prefix)
        if not self._due(state, prefix, wanted):
            state.initial.pop(prefix, None)
            return None
        return self._line([state], self._kinds.of(wanted, prefix), [prefix])

    def _end_of_rib(self, state: Adjacency) -> Line:
        family, *later = state.end_of_rib
        state.end_of_rib = tuple(later)
        command = text.end_of_rib(state.address, family)
        return self._write(Line(command, (state.address,), None, ()), [state])

    def _from_queues(self, rank: int) -> Line | None:
        for state in list(self._neighbors.values()):
            queue = state.queues[rank]
            while queue:
                line = self._take(state, queue)
                if line is not None:
                    return line
        return None

    def _take(self, state: Adjacency, queue: Queue) -> Line | None:
        kind, bucket = next(iter(queue.items()))
        prefixes = list(islice(bucket, PREFIXES_PER_LINE))
        _remove(queue, kind, prefixes)
        fit = []
        for prefix in prefixes:
            if self._fits(state, prefix, kind):
                fit.append(prefix)
            else:
                self._look(state, prefix, queue, state.urgent)
        if not fit:
            return None
        # Round robin: who was served goes to the end of the row.
        self._neighbors[state.address] = self._neighbors.pop(state.address)
        return self._line([state, *self._others(state, kind, fit)], kind, fit)

    def _fits(self, state: Adjacency, prefix: Prefix, kind: Kind) -> bool:
        """Tell whether a change that was queued is still the one to make."""
        if prefix in state.unflushed:
            return False
        wanted = self._wish(state, prefix)
        return wanted == kind.attributes and self._due(state, prefix, wanted)

    def _others(self, state: Adjacency, kind: Kind, prefixes: list[Prefix]) -> list[Adjacency]:
        """Take the other neighbors that wait for the very same line."""
        found: list[Adjacency] = []
        for other in self._neighbors.values():
            if other is state:
                continue
            if len(found) == NEIGHBORS_PER_LINE - 1:
                break
            for queue in other.queues:
                bucket = queue.get(kind, {})
                if all(p in bucket and self._fits(other, p, kind) for p in prefixes):
                    _remove(queue, kind, prefixes)
                    found.append(other)
                    break
        return found

    def _line(self, states: list[Adjacency], kind: Kind, prefixes: list[Prefix]) -> Line:
        neighbors = tuple(state.address for state in states)
        if kind.attributes is None:
            command = text.withdraw(neighbors, prefixes)
        else:
            command = text.announce(neighbors, kind.attributes, prefixes)
        return self._write(Line(command, neighbors, kind.attributes, tuple(prefixes)), states)

    def _write(self, line: Line, states: Iterable[Adjacency]) -> Line:
        flight = Flight(line)
        self._in_flight.append(flight)
        for state in states:
            state.wrote(flight)
        return line


def _busy(state: Adjacency) -> bool:
    return bool(state.urgent or state.bulk or state.waiting or state.end_of_rib)


def _remove(queue: Queue, kind: Kind, prefixes: Iterable[Prefix]) -> None:
    bucket = queue[kind]
    for prefix in prefixes:
        del bucket[prefix]
    if not bucket:
        del queue[kind]
