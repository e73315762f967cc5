"""What is known of one neighbor of ExaBGP, and what it is still to be told.

The data. `held` is what ExaBGP holds for the neighbor once it has handled every line that was
written. A change is *unflushed* from the writing of its line until an event tells that an UPDATE
with its prefix and its attributes has left for the wire; events of other content (an older change,
a table sent again) do not count. Queues hold what is to be written.

What is presumed. ExaBGP tells nothing when it found a change to be none: an announcement that it
already held, a family that the session does not carry. So a change is taken for flushed as well
when a later one of the neighbor was seen, since ExaBGP flushes in order, or when FLUSH_SECONDS have
passed since ExaBGP took the line and last told of a route of ours to that neighbor. Where that is
wrong (a router that does not read for seconds) a second change of the prefix may overtake the first
inside ExaBGP. It shows: the last event of the prefix is not what was meant. Such a prefix has gone
*astray*, and is withdrawn and announced anew.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from exabgp_metallb.adapters.exabgp.text import UNKNOWN, same_on_the_wire
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.rib import Attributes

FLUSH_SECONDS = 1.0  # many times what ExaBGP takes from answer to wire
REMEMBERED_KINDS = 4096  # more than one node has advertisements and peers

_FAMILIES = {family.value: family for family in Family}


@dataclass(frozen=True, slots=True)
class Line:
    """One command and the changes that it makes."""

    text: str
    neighbors: tuple[Address, ...]
    attributes: Attributes | None  # None: a withdrawal, or End-of-RIB
    prefixes: tuple[Prefix, ...]  # empty for End-of-RIB


@dataclass(slots=True, eq=False)
class Flight:
    """A line on its way through ExaBGP."""

    line: Line
    taken_at: float = math.inf  # monotonic seconds of ExaBGP's answer; infinite before that


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What the prefixes of one line share. Equal kinds are one object: see `Kinds`."""

    attributes: Attributes | None  # None: withdrawn
    family: Family


class Kinds:
    """Finds the kind of a route without hashing its attributes each time."""

    def __init__(self) -> None:
        # The attributes stand beside their kind so that no other object can get their id.
        self._by_identity: dict[tuple[int, int], tuple[Attributes | None, Kind]] = {}
        self._by_value: dict[tuple[Attributes | None, int], Kind] = {}

    def of(self, attributes: Attributes | None, prefix: Prefix) -> Kind:
        """Return the kind of a prefix that is to have these attributes."""
        version = prefix.version
        known = self._by_identity.get((id(attributes), version))
        return self._learn(attributes, version) if known is None else known[1]

    def _learn(self, attributes: Attributes | None, version: int) -> Kind:
        for known in (self._by_identity, self._by_value):
            if len(known) >= REMEMBERED_KINDS:
                known.clear()
        kind = self._by_value.setdefault(
            (attributes, version), Kind(attributes, _FAMILIES[version])
        )
        self._by_identity[id(attributes), version] = (attributes, kind)
        return kind


Queue = dict[Kind, dict[Prefix, None]]


@dataclass(slots=True, eq=False)
class Adjacency:
    """One neighbor of ExaBGP.

    Attributes:
        held: what ExaBGP holds, or will once it has handled the lines in flight.
        unflushed: the changes that may not be on the wire yet, and the lines they are in.
        waiting: prefixes that were touched while unflushed, to be looked at afterwards.
        urgent: what to write before all bulk.
        bulk: what else to write.
        end_of_rib: the families whose End-of-RIB is still to be sent, after `initial`.
        initial: what the session was to be sent as it came up: the prefixes, and how many of their
            changes are not flushed yet (two where one was on its way already).
    """

    address: Address
    up: bool = False
    held: dict[Prefix, Attributes] = field(default_factory=dict)
    unflushed: dict[Prefix, Flight] = field(default_factory=dict)
    waiting: set[Prefix] = field(default_factory=set)
    urgent: Queue = field(default_factory=dict)
    bulk: Queue = field(default_factory=dict)
    end_of_rib: tuple[Family, ...] = ()
    initial: dict[Prefix, int] = field(default_factory=dict)
    _flights: deque[Flight] = field(default_factory=deque)  # the oldest first
    _heard_at: float = -math.inf
    _stirred: bool = False  # a route of ours was seen since the clock was last looked at
    _withdrawn: set[Prefix] = field(default_factory=set)  # by us, in this session
    _astray: set[Prefix] = field(default_factory=set)
    _readable: set[Attributes] = field(default_factory=set)  # events told them as we write them

    @property
    def queues(self) -> tuple[Queue, Queue]:
        """What is to be written, the urgent first."""
        return self.urgent, self.bulk

    # What happens to the session.

    def close_with(self, end_of_rib: tuple[Family, ...]) -> None:
        """Have End-of-RIB sent once all that is queued now is flushed."""
        queued = (prefix for queue in self.queues for bucket in queue.values() for prefix in bucket)
        self.initial = dict.fromkeys(queued, 1)
        self.initial.update((p, 2 if p in self.waiting else 1) for p in self.unflushed)
        self.end_of_rib = end_of_rib

    def ended(self, in_flight: Iterable[Flight]) -> "Adjacency":
        """Return the neighbor without its session: what ExaBGP has taken it will send again.

        What it has not taken yet is still on its way, whatever becomes of the session.
        """
        flights = deque(f for f in in_flight if self.address in f.line.neighbors)
        unflushed = {p: f for f in flights for p in f.line.prefixes if self.unflushed.get(p) is f}
        withdrawn = {p for p, flight in unflushed.items() if flight.line.attributes is None}
        return Adjacency(
            self.address,
            held=self.held,
            unflushed=unflushed,
            _flights=flights,
            _withdrawn=withdrawn,
        )

    def forgotten(self, in_flight: Iterable[Flight]) -> "Adjacency":
        """Return the neighbor after ExaBGP dropped it and all that it held for it.

        A line in flight may still find the next neighbor of that address.
        """
        left = self.ended(in_flight)
        left.held = dict.fromkeys(left.unflushed, UNKNOWN)
        return left

    # What becomes of changes.

    def is_astray(self, prefix: Prefix) -> bool:
        """Tell whether the router has something else than ExaBGP believes."""
        return prefix in self._astray

    def wrote(self, flight: Flight) -> None:
        """Note that a line was written."""
        self._flights.append(flight)
        attributes = flight.line.attributes
        for prefix in flight.line.prefixes:
            self.unflushed[prefix] = flight
            if attributes is not None:
                self.held[prefix] = attributes
                self._withdrawn.discard(prefix)
                continue
            self.held.pop(prefix, None)
            self._withdrawn.add(prefix)
            if prefix in self._astray:
                self._astray.discard(prefix)
                self.waiting.add(prefix)

    def refused(self, flight: Flight) -> list[Prefix]:
        """Note that ExaBGP refused a line; return the prefixes of which nothing is known now."""
        flight.taken_at = -math.inf
        changed = [p for p in flight.line.prefixes if self.unflushed.get(p) is flight]
        for prefix in changed:
            del self.unflushed[prefix]
            self.waiting.discard(prefix)
            self.held[prefix] = UNKNOWN
            if prefix in self.initial:
                self.initial[prefix] = 1  # what the session needs is still to be written
        return changed

    def seen(self, prefixes: Iterable[Prefix], told: Attributes | None) -> list[Prefix]:
        """Note an UPDATE on the wire; return the prefixes to look at again.

        Args:
            prefixes: of the UPDATE.
            told: what it carried, None for a withdrawal.
        """
        again: list[Prefix] = []
        fitting: dict[int, bool] = {}  # by identity of the attributes
        for prefix in prefixes:
            meant = self.held.get(prefix)
            if meant is None and prefix not in self._withdrawn:
                continue  # a route of somebody else's
            self._stirred = True
            fits = fitting.get(id(meant))
            if fits is None:
                fits = fitting[id(meant)] = self._compare(meant, told)
            if fits:
                self._confirm(prefix, again)
            else:
                self._suspect(prefix, meant, told, again)
        if not self.unflushed:
            self._flights.clear()
        return again

    def _compare(self, meant: Attributes | None, told: Attributes | None) -> bool:
        fits = same_on_the_wire(meant, told)
        if fits and meant is not None:
            self._readable.add(meant)
        return fits

    def _confirm(self, prefix: Prefix, again: list[Prefix]) -> None:
        self._astray.discard(prefix)
        flight = self.unflushed.pop(prefix, None)
        if flight is not None:
            while self._flights[0] is not flight:
                self._presume(self._flights.popleft(), again)
            self._release(prefix, again)

    def _suspect(
        self, prefix: Prefix, meant: Attributes | None, told: Attributes | None, again: list[Prefix]
    ) -> None:
        if meant is not None and told is not None and meant not in self._readable:
            return  # ExaBGP may tell these attributes in other words than ours
        self._astray.add(prefix)
        if prefix in self.unflushed:
            self.waiting.add(prefix)
        else:
            again.append(prefix)

    def expire(self, now: float) -> list[Prefix]:
        """Presume flushed what ExaBGP is silent about; return the prefixes to look at again."""
        if self._stirred:
            self._stirred, self._heard_at = False, now
        again: list[Prefix] = []
        while self._flights and self._due_at() <= now:
            self._presume(self._flights.popleft(), again)
        return again

    def deadline(self) -> float | None:
        """Return when `expire` may have something to do, in monotonic seconds."""
        due_at = self._due_at() if self.unflushed else math.inf
        return None if due_at == math.inf else due_at

    def _due_at(self) -> float:
        return max(self._flights[0].taken_at, self._heard_at) + FLUSH_SECONDS

    def _presume(self, flight: Flight, again: list[Prefix]) -> None:
        for prefix in flight.line.prefixes:
            if self.unflushed.get(prefix) is flight:
                del self.unflushed[prefix]
                self._release(prefix, again)

    def _release(self, prefix: Prefix, again: list[Prefix]) -> None:
        if prefix in self.initial:
            self.initial[prefix] -= 1
            if not self.initial[prefix]:
                del self.initial[prefix]
        if prefix in self.waiting:
            self.waiting.discard(prefix)
            again.append(prefix)
