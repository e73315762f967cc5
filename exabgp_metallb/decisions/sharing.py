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
    backend: Labels = service.selector if local else frozenset()
    return Terms(service.ports, service.request.sharing_key, backend)


def terms_of_lease(lease: Lease) -> Terms:
    """Return the terms that a lease was given on."""
    return Terms(lease.ports, lease.sharing_key, lease.backend)


class Holding:
    """One address in use: its holders and what they have agreed on."""

    __slots__ = ("holders", "ports", "share_key")

    def __init__(self, share_key: ShareKey) -> None:
        self.share_key = share_key
        self.holders: set[ObjectName] = set()
        self.ports: dict[ServicePort, ObjectName] = {}

    def add(self, name: ObjectName, ports: Iterable[ServicePort]) -> None:
        """Let one more Service in; `admits` was asked before."""
        self.holders.add(name)
        self.ports.update((port, name) for port in ports)

    def remove(self, name: ObjectName, ports: Iterable[ServicePort]) -> None:
        """Let a holder go."""
        self.holders.remove(name)
        for port in set(ports):
            del self.ports[port]

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


class Group:
    """The addresses of one shelf that are held under one sharing key and backend, by place.

    `lowest` finds the first that still has all of some ports free. For each port asked for it keeps
    a floor, a place below which every address of the group has that port in use, so that many
    Services with one key and one port cost one step each and not a walk over all before them.
    """

    __slots__ = ("_floors", "_holdings", "_joined", "_places")

    def __init__(self) -> None:
        self._places: list[int] = []  # sorted
        self._holdings: dict[int, Holding] = {}
        self._floors: dict[ServicePort, tuple[int, int]] = {}  # floor, how much of _joined it knows
        self._joined: list[int] = []

    def __len__(self) -> int:
        return len(self._places)

    def join(self, place: int, holding: Holding) -> None:
        """Add an address: its first holder has the group's key."""
        insort(self._places, place)
        self._holdings[place] = holding
        self._joined.append(place)
        if len(self._joined) > 64 + 2 * len(self._places):
            self._joined.clear()
            self._floors.clear()

    def leave(self, place: int) -> None:
        """Take an address out: its last holder is gone."""
        del self._places[bisect_left(self._places, place)]
        del self._holdings[place]

    def loosen(self, place: int, ports: Iterable[ServicePort]) -> None:
        """Note that ports of an address came free."""
        for port in ports:
            floor, seen = self._floors.get(port, (0, 0))
            if floor > place:
                self._floors[port] = (place, seen)

    def lowest(self, ports: tuple[ServicePort, ...]) -> int | None:
        """Return the lowest place whose holders use none of the ports."""
        start = max((self._raise_floor(port) for port in ports), default=0)
        for index in range(bisect_left(self._places, start), len(self._places)):
            place = self._places[index]
            if self._holdings[place].ports.keys().isdisjoint(ports):
                return place
        return None

    def _raise_floor(self, port: ServicePort) -> int:
        floor, seen = self._floors.get(port, (0, 0))
        floor = min([floor, *self._joined[seen:]])
        index = bisect_left(self._places, floor)
        while index < len(self._places) and port in self._holdings[self._places[index]].ports:
            floor = self._places[index] + 1
            index += 1
        self._floors[port] = (floor, len(self._joined))
        return floor
