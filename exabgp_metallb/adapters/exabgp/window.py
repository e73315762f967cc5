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
- Withdrawals and changes of small batches go before bulk.

The life of a change. `touch` marks a prefix; nothing is decided yet. When there is room, `lines`
compares what is held with what is wanted now, so a prefix that changed ten times while it waited is
told once, and one that changed back not at all. The line is acknowledged (`acknowledged`), later it
is on the wire (`flushed`), and if the prefix was touched in between it is looked at again.

ExaBGP tells nothing when it found a change to be none: an announcement that it already held, a
withdrawal just after a session came up. So a change counts as flushed after FLUSH_SECONDS too.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile

from exabgp_metallb.adapters.exabgp import text
from exabgp_metallb.decisions.changes import changes
from exabgp_metallb.values.addresses import Address, Family, Prefix, family_of
from exabgp_metallb.values.rib import AdjRibOut, Announce, Attributes

PREFIXES_PER_LINE = 50  # ExaBGP handles 50 steps of a command before it polls its peers again
LINES_IN_FLIGHT = 2  # one under way, one waiting: 11,000 routes a second, 8 ms for an urgent one
FLUSH_SECONDS = 1.0  # many times what ExaBGP takes from answer to wire

UNKNOWN = Attributes(local_pref=-1)
"""Held by ExaBGP with attributes that we do not know; equal to nothing that is ever wanted."""

Key = tuple[Attributes | None, Family]
"""What prefixes of one line share; None for attributes means that they are withdrawn."""

Queue = dict[Key, dict[Prefix, None]]


@dataclass(slots=True)
class _Neighbor:
    """What is known of one neighbor of ExaBGP."""

    up: bool = False
    held: dict[Prefix, Attributes] = field(default_factory=dict)
    unflushed: dict[Prefix, float] = field(default_factory=dict)  # until when, monotonic seconds
    waiting: set[Prefix] = field(default_factory=set)  # touched while unflushed
    urgent: Queue = field(default_factory=dict)
    bulk: Queue = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One command and the changes that it makes."""

    text: str
    neighbors: tuple[Address, ...]
    attributes: Attributes | None  # None: a withdrawal
    prefixes: tuple[Prefix, ...]


class Window:
    """Keeps what ExaBGP holds for its neighbors equal to what is wanted.

    Args:
        wanted: returns what a neighbor should hold now; empty for one that should hold nothing.
    """

    def __init__(self, wanted: Callable[[Address], AdjRibOut]) -> None:
        self._wanted = wanted
        self._neighbors: dict[Address, _Neighbor] = {}
        self._in_flight: deque[Line] = deque()
        self._singles: deque[tuple[Address, Prefix]] = deque()
        self._refused: set[tuple[Address, Prefix]] = set()

    # What the owner tells.

    def up(self, neighbor: Address) -> None:
        """Note that a session is established, and look at all its routes."""
        state = self._neighbors.setdefault(neighbor, _Neighbor())
        state.up = True
        self._refused = {entry for entry in self._refused if entry[0] != neighbor}
        self.touch_all(neighbor)

    def down(self, neighbor: Address) -> None:
        """Note that a session ended: nothing is on its way any more; ExaBGP keeps its routes."""
        state = self._neighbors.setdefault(neighbor, _Neighbor())
        state.up = False
        state.unflushed.clear()
        state.waiting.clear()
        state.urgent.clear()
        state.bulk.clear()

    def forget(self, neighbor: Address) -> None:
        """Note that ExaBGP has this neighbor no more, nor any route for it."""
        self._neighbors.pop(neighbor, None)

    def forget_others(self, neighbors: Collection[Address]) -> None:
        """Forget every neighbor but these."""
        for neighbor in [n for n in self._neighbors if n not in neighbors]:
            self.forget(neighbor)

    def holds(self, neighbor: Address, prefix: Prefix) -> None:
        """Note a route found in ExaBGP's Adj-RIB-Out; its attributes are not known."""
        self._neighbors.setdefault(neighbor, _Neighbor()).held.setdefault(prefix, UNKNOWN)

    def touch_all(self, neighbor: Address) -> None:
        """Look at every route that a neighbor holds or should hold."""
        state = self._neighbors.get(neighbor)
        if state is None or not state.up:
            return
        for change in changes(state.held, self._wanted(neighbor)):
            prefix = change.route.prefix if isinstance(change, Announce) else change.prefix
            self._enqueue(neighbor, prefix, state.bulk)

    def touch_everything(self) -> None:
        """Look at every route of every neighbor."""
        for neighbor in list(self._neighbors):
            self.touch_all(neighbor)

    def touch(self, neighbor: Address, prefix: Prefix, *, urgent: bool) -> None:
        """Look at one route again: what is wanted of it may have changed."""
        state = self._neighbors.get(neighbor)
        if state is not None and state.up:
            self._refused.discard((neighbor, prefix))
            self._enqueue(neighbor, prefix, state.urgent if urgent else state.bulk)

    # What ExaBGP tells.

    def acknowledged(self) -> Line | None:
        """Note that the oldest line was taken; None when there was none."""
        return self._in_flight.popleft() if self._in_flight else None

    def refused(self) -> Line | None:
        """Note that the oldest line was refused as a whole.

        Its prefixes are tried again one by one, so that one bad route refuses itself only; one that
        is refused alone is left until it is touched or its session comes up again. Returns the line
        when it was such a one, for the owner to tell of.
        """
        if not self._in_flight:
            return None
        line = self._in_flight.popleft()
        changed = [(n, p) for n in line.neighbors if n in self._neighbors for p in line.prefixes]
        for neighbor, prefix in changed:
            state = self._neighbors[neighbor]
            state.unflushed.pop(prefix, None)
            state.held[prefix] = UNKNOWN  # whatever was there before still is
        if len(line.prefixes) == len(line.neighbors) == 1:
            self._refused.update(changed)
            return line
        self._singles.extend(changed)
        return None

    def flushed(self, neighbor: Address, prefixes: Iterable[Prefix]) -> None:
        """Note that changes went to the wire."""
        state = self._neighbors.get(neighbor)
        if state is None:
            return
        for prefix in prefixes:
            state.unflushed.pop(prefix, None)
            if prefix in state.waiting:
                state.waiting.discard(prefix)
                self._enqueue(neighbor, prefix, state.urgent)

    # What to do next.

    def lines(self, now: float) -> Iterator[Line]:
        """Yield the lines to write now; each counts as written."""
        self._expire(now)
        while len(self._in_flight) < LINES_IN_FLIGHT:
            line = self._next_line(now)
            if line is None:
                return
            self._in_flight.append(line)
            yield line

    def next_deadline(self) -> float | None:
        """Return when `lines` must be asked again even if nothing happens, in monotonic seconds."""
        oldest = (
            next(iter(state.unflushed.values()))
            for state in self._neighbors.values()
            if state.waiting and state.unflushed
        )
        return min(oldest, default=None)

    def settled(self, now: float) -> bool:
        """Tell whether nothing that was written is still on its way through ExaBGP's RIB."""
        self._expire(now)
        return not self._in_flight and not any(s.unflushed for s in self._neighbors.values())

    def idle(self, now: float) -> bool:
        """Tell whether all that is wanted of neighbors that are up is on the wire."""
        queued = any(s.urgent or s.bulk or s.waiting for s in self._neighbors.values())
        return self.settled(now) and not queued and not self._singles

    def is_up(self, neighbor: Address) -> bool:
        """Tell whether the neighbor's session is established."""
        state = self._neighbors.get(neighbor)
        return state is not None and state.up

    def held(self, neighbor: Address) -> AdjRibOut:
        """Return what ExaBGP holds for a neighbor, as far as we know."""
        state = self._neighbors.get(neighbor)
        return {} if state is None else state.held

    # Inside.

    def _enqueue(self, neighbor: Address, prefix: Prefix, queue: Queue) -> None:
        state = self._neighbors[neighbor]
        if prefix in state.unflushed:
            state.waiting.add(prefix)
            return
        wanted = self._wanted(neighbor).get(prefix)
        if wanted == state.held.get(prefix) or (neighbor, prefix) in self._refused:
            return
        if wanted is None:
            queue = state.urgent
        queue.setdefault((wanted, family_of(prefix)), {})[prefix] = None

    def _expire(self, now: float) -> None:
        for neighbor, state in self._neighbors.items():
            overdue = takewhile(lambda entry: entry[1] <= now, state.unflushed.items())
            self.flushed(neighbor, [prefix for prefix, _ in overdue])

    def _next_line(self, now: float) -> Line | None:
        while self._singles:
            neighbor, prefix = self._singles.popleft()
            line = self._single(neighbor, prefix, now)
            if line is not None:
                return line
        for name in ("urgent", "bulk"):
            for neighbor in list(self._neighbors):
                queue: Queue = getattr(self._neighbors[neighbor], name)
                while queue:
                    line = self._take(neighbor, queue, now)
                    if line is not None:
                        # Round robin: who was served goes to the end of the row.
                        self._neighbors[neighbor] = self._neighbors.pop(neighbor)
                        return line
        return None

    def _single(self, neighbor: Address, prefix: Prefix, now: float) -> Line | None:
        state = self._neighbors.get(neighbor)
        if state is None or not state.up or prefix in state.unflushed:
            return None
        wanted = self._wanted(neighbor).get(prefix)
        if wanted == state.held.get(prefix):
            return None
        return self._line([neighbor], (wanted, family_of(prefix)), [prefix], now)

    def _take(self, neighbor: Address, queue: Queue, now: float) -> Line | None:
        key = next(iter(queue))
        bucket = queue[key]
        prefixes = list(islice(bucket, PREFIXES_PER_LINE))
        for prefix in prefixes:
            del bucket[prefix]
        if not bucket:
            del queue[key]
        fit = [p for p in prefixes if self._still(neighbor, p, key)]
        for prefix in set(prefixes).difference(fit):
            self._enqueue(neighbor, prefix, queue)
        if not fit:
            return None
        return self._line([neighbor, *self._also(neighbor, key, fit)], key, fit, now)

    def _still(self, neighbor: Address, prefix: Prefix, key: Key) -> bool:
        """Tell whether a change that was queued is still the one to make."""
        state = self._neighbors[neighbor]
        wanted = self._wanted(neighbor).get(prefix)
        due = prefix not in state.unflushed and wanted != state.held.get(prefix)
        return due and wanted == key[0]

    def _line(self, neighbors: list[Address], key: Key, prefixes: list[Prefix], now: float) -> Line:
        attributes = key[0]
        for neighbor in neighbors:
            self._written(self._neighbors[neighbor], attributes, prefixes, now)
        if attributes is None:
            command = text.withdraw(neighbors, prefixes)
        else:
            command = text.announce(neighbors, attributes, prefixes)
        return Line(command, tuple(neighbors), attributes, tuple(prefixes))

    def _also(self, neighbor: Address, key: Key, prefixes: list[Prefix]) -> Iterator[Address]:
        """Yield the other neighbors that wait for the very same line."""
        for other, state in self._neighbors.items():
            if other == neighbor:
                continue
            for queue in (state.urgent, state.bulk):
                bucket = queue.get(key, {})
                if all(p in bucket and self._still(other, p, key) for p in prefixes):
                    for prefix in prefixes:
                        del bucket[prefix]
                    if not bucket:
                        del queue[key]
                    yield other
                    break

    @staticmethod
    def _written(
        state: _Neighbor, attributes: Attributes | None, prefixes: list[Prefix], now: float
    ) -> None:
        for prefix in prefixes:
            state.unflushed.pop(prefix, None)  # so that the mapping stays in order of time
            state.unflushed[prefix] = now + FLUSH_SECONDS
            if attributes is None:
                state.held.pop(prefix, None)
            else:
                state.held[prefix] = attributes
