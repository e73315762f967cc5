"""Who may hold one address together (MetalLB's annotation allow-shared-ip).

Two Services may when their sharing keys are equal and not empty, their backends are equal (the
selector under externalTrafficPolicy Local, nothing under Cluster), and no (protocol, port) is used
by both. All holders of an address therefore have one key and one backend, and each port one holder.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass

from exabgp_metallb.values.labels import Labels
from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import ObjectName, Service, ServicePort, TrafficPolicy

ShareKey = tuple[str, Labels]
"""Sharing key and backend: what all holders of an address have in common."""

_NO_BACKEND: Labels = frozenset()  # one for all: each frozenset takes 216 bytes, empty ones too


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a Service holds its addresses; the key is "" when it shares with nobody."""

    ports: tuple[ServicePort, ...]
    key: str
    backend: Labels

    @property
    def share_key(self) -> ShareKey:
        """What a fellow holder must have too."""
        return (self.key, self.backend)


def terms_of(service: Service) -> Terms:
    """Return the terms on which a Service asks for addresses."""
    local = service.traffic_policy is TrafficPolicy.LOCAL
    backend = service.selector if local else _NO_BACKEND
    return Terms(service.ports, service.request.sharing_key, backend)


def terms_of_lease(lease: Lease) -> Terms:
    """Return the terms that a lease was given on."""
    return Terms(lease.ports, lease.sharing_key, lease.backend)


class Holding:
    """One address in use: its holders and what they have agreed on.

    `ports` tells who uses which; it stays empty where nobody else may come, as most addresses are.
    """

    __slots__ = ("holders", "ports", "share_key")

    def __init__(self, share_key: ShareKey) -> None:
        self.share_key = share_key
        self.holders: set[ObjectName] = set()
        self.ports: dict[ServicePort, ObjectName] = {}

    def add(self, name: ObjectName, ports: Iterable[ServicePort]) -> None:
        """Let one more Service in; `admits` was asked before."""
        self.holders.add(name)
        if self.share_key[0]:
            self.ports.update((port, name) for port in ports)

    def remove(self, name: ObjectName, ports: Iterable[ServicePort]) -> None:
        """Let a holder go."""
        self.holders.remove(name)
        for port in ports:
            self.ports.pop(port, None)

    def is_alone(self, name: ObjectName) -> bool:
        """Tell whether nobody else holds the address."""
        return not self.holders or (len(self.holders) == 1 and name in self.holders)

    def admits(self, name: ObjectName, terms: Terms) -> bool:
        """Tell whether a Service may hold the address too, or go on doing so on these terms."""
        if self.is_alone(name):
            return True
        if not terms.key or self.share_key != terms.share_key:
            return False
        return all(self.ports.get(port, name) == name for port in terms.ports)

    def objection(self, name: ObjectName, terms: Terms) -> str:
        """Say why `admits` refuses, for a person."""
        key, backend = self.share_key
        if not key:
            return "which shares it with nobody"
        if not terms.key:
            return f'which shares it under the key "{key}", and this Service has no sharing key'
        if key != terms.key:
            return f'which shares it under the key "{key}", not "{terms.key}"'
        if backend != terms.backend:
            return (
                "which has another externalTrafficPolicy, or under Local another selector; both "
                "must be the same to share"
            )
        used = [port for port in terms.ports if self.ports.get(port, name) != name]
        by = ", ".join(f"{p.protocol} {p.port} by {self.ports[p]}" for p in used)
        return f"and ports are in use already: {by}"


class _Cursor:
    """What a group knows about one port.

    Every place below the floor has the port in use, but for those in `below`, which may have it
    free again. `seen` is how much of the group's log of joined places has been looked at.
    """

    __slots__ = ("below", "floor", "seen")

    def __init__(self) -> None:
        self.floor = 0
        self.below: list[int] = []  # sorted
        self.seen = 0

    def note(self, place: int) -> None:
        """Take note of a place that may have the port free."""
        index = bisect_left(self.below, place)
        if place < self.floor and self.below[index : index + 1] != [place]:
            self.below.insert(index, place)


class Group:
    """The addresses of one shelf that are held under one sharing key and backend, by place.

    `lowest` finds the first that has all of some ports free. For each port asked for it remembers
    where no search is needed, so that many Services with one key and one port cost one step each
    and not a walk over all before them.
    """

    __slots__ = ("_cursors", "_holdings", "_joined", "_places")

    def __init__(self) -> None:
        self._places: list[int] = []  # sorted
        self._holdings: dict[int, Holding] = {}
        self._cursors: dict[ServicePort, _Cursor] = {}
        self._joined: list[int] = []  # places in the order in which they came

    def __len__(self) -> int:
        return len(self._places)

    def join(self, place: int, holding: Holding) -> None:
        """Add an address: its first holder has the group's key."""
        insort(self._places, place)
        self._holdings[place] = holding
        self._joined.append(place)
        if len(self._joined) > 64 + 2 * len(self._places):
            self._joined.clear()
            self._cursors.clear()

    def leave(self, place: int) -> None:
        """Take an address out: its last holder is gone."""
        del self._places[bisect_left(self._places, place)]
        del self._holdings[place]

    def loosen(self, place: int, ports: Iterable[ServicePort]) -> None:
        """Note that ports of an address came free."""
        for port in ports:
            if port in self._cursors:
                self._cursors[port].note(place)

    def lowest(self, ports: tuple[ServicePort, ...]) -> int | None:
        """Return the lowest place whose holders use none of the ports."""
        if not ports:
            return self._places[0] if self._places else None
        port = max(ports, key=lambda each: self._cursor(each).floor)
        found = self._lowest_below(port, ports)
        return self._lowest_from(self._cursors[port].floor, ports) if found is None else found

    def _cursor(self, port: ServicePort) -> _Cursor:
        """Return what is known about a port, up to date."""
        cursor = self._cursors.setdefault(port, _Cursor())
        for place in self._joined[cursor.seen :]:
            cursor.note(place)
        cursor.seen = len(self._joined)
        index = bisect_left(self._places, cursor.floor)
        while index < len(self._places) and port in self._holdings[self._places[index]].ports:
            cursor.floor = self._places[index] + 1
            index += 1
        return cursor

    def _lowest_below(self, port: ServicePort, ports: tuple[ServicePort, ...]) -> int | None:
        """Search the places below the floor of one of the ports; forget those that use it."""
        cursor = self._cursors[port]
        kept: list[int] = []
        for index, place in enumerate(cursor.below):
            holding = self._holdings.get(place)
            if holding is None or port in holding.ports:
                continue
            if holding.ports.keys().isdisjoint(ports):
                cursor.below[:index] = kept
                return place
            kept.append(place)
        cursor.below = kept
        return None

    def _lowest_from(self, floor: int, ports: tuple[ServicePort, ...]) -> int | None:
        for index in range(bisect_left(self._places, floor), len(self._places)):
            place = self._places[index]
            if self._holdings[place].ports.keys().isdisjoint(ports):
                return place
        return None
