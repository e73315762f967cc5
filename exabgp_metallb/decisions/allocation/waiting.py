"""The Services that wait for an address, found by what could give them one.

A change of one address asks this index whom it may help, and only those are tried again. Services
that wait for any address of a pool stand in queues by turn. A free address helps the first of a
queue; a shared one helps only those with its key and backend, and of those with equal ports only
the first, since it uses them up. So the cost of a change does not grow with the number that wait.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from exabgp_metallb.decisions.allocation.settle import Need, Wait
from exabgp_metallb.decisions.allocation.sharing import ShareKey, Terms
from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.objects import ObjectName, ServicePort

Turn = tuple[bool, str, ObjectName]
"""Holds nothing yet, creationTimestamp, name: Services are served in this order."""

Place = tuple[str | None, Need]
"""A pool by name (None: any pool open to all), and what must be free there at once."""

Crowd = tuple[ShareKey, tuple[ServicePort, ...]]
"""Waiters of whom an address helps one at most. All that share with nobody are one crowd."""

_BOTH: Need = frozenset(Family)
_NO_KEY: ShareKey = ("", frozenset())
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class _Waiter:
    turn: Turn
    crowd: Crowd
    wait: Wait

    def places(self) -> Iterator[Place]:
        for need in self.wait.needs:
            yield from ((pool, need) for pool in self.wait.pools)
            if self.wait.general:
                yield None, need


class _Queue:
    """Those who wait for one thing, in turn, and the same by crowd."""

    __slots__ = ("_all", "_crowds")

    def __init__(self) -> None:
        self._all: list[Turn] = []
        self._crowds: dict[ShareKey, dict[tuple[ServicePort, ...], list[Turn]]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, waiter: _Waiter) -> None:
        key, ports = waiter.crowd
        insort(self._all, waiter.turn)
        insort(self._crowds.setdefault(key, {}).setdefault(ports, []), waiter.turn)

    def remove(self, waiter: _Waiter) -> None:
        key, ports = waiter.crowd
        crowds = self._crowds[key]
        for turns in (self._all, crowds[ports]):
            del turns[bisect_left(turns, waiter.turn)]
        if not crowds[ports]:
            del crowds[ports]
        if not crowds:
            del self._crowds[key]

    def first(self) -> Turn:
        return self._all[0]

    def first_of_each_crowd(self, key: ShareKey | None) -> Iterator[Turn]:
        keys = self._crowds if key is None else (key,)
        for each in keys:
            yield from (turns[0] for turns in self._crowds.get(each, {}).values())


class Waiting:
    """Who waits for what."""

    __slots__ = ("_at_address", "_queues", "_short", "_waiters")

    def __init__(self) -> None:
        self._waiters: dict[ObjectName, _Waiter] = {}
        self._queues: dict[Place, _Queue] = {}
        self._at_address: dict[Address, set[Turn]] = {}
        self._short: dict[tuple[str, str], set[Turn]] = {}  # by pool and namespace

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[ObjectName]:
        return iter(self._waiters)

    def enrol(self, turn: Turn, terms: Terms, wait: Wait) -> None:
        """Note what a Service waits for, in place of what it waited for before."""
        name = turn[2]
        self.leave(name)
        if wait == Wait():
            return
        crowd: Crowd = (terms.share_key, terms.ports) if terms.key else (_NO_KEY, ())
        waiter = self._waiters[name] = _Waiter(turn, crowd, wait)
        for place in waiter.places():
            self._queues.setdefault(place, _Queue()).add(waiter)
        for address in wait.addresses:
            self._at_address.setdefault(address, set()).add(turn)
        for pool in wait.quotas:
            self._short.setdefault((pool, name.namespace), set()).add(turn)

    def leave(self, name: ObjectName) -> None:
        """Forget a Service that waits for nothing any more."""
        waiter = self._waiters.pop(name, None)
        if waiter is None:
            return
        for place in waiter.places():
            self._queues[place].remove(waiter)
            if not self._queues[place]:
                del self._queues[place]
        for address in waiter.wait.addresses:
            _discard(self._at_address, address, waiter.turn)
        for pool in waiter.wait.quotas:
            _discard(self._short, (pool, name.namespace), waiter.turn)

    def at(self, address: Address) -> list[ObjectName]:
        """Return in turn who waits for this very address."""
        return [turn[2] for turn in sorted(self._at_address.get(address, ()))]

    def short_of(self, pool: str, namespace: str) -> list[ObjectName]:
        """Return in turn the Services of a namespace that has its fill of a pool."""
        return [turn[2] for turn in sorted(self._short.get((pool, namespace), ()))]

    def hopeful(
        self, pools: tuple[str | None, ...], family: Family, key: ShareKey | None
    ) -> list[tuple[ObjectName, Need]]:
        """Return in turn whom an address may help first, and what each of them needs with it.

        Args:
            pools: the places where the address can be had from.
            family: that of the address.
            key: what its holders have in common; None when it is free.
        """
        found: set[tuple[Turn, Need]] = set()
        single: Need = frozenset({family})
        for pool in pools:
            queue = self._queues.get((pool, single))
            if queue and key is None:
                found.add((queue.first(), single))
            elif queue:
                found.update((turn, single) for turn in queue.first_of_each_crowd(key))
            queue = self._queues.get((pool, _BOTH))
            if queue:
                found.update((turn, _BOTH) for turn in queue.first_of_each_crowd(key))
        return [(turn[2], need) for turn, need in sorted(found, key=lambda f: (f[0], len(f[1])))]


def _discard(index: dict[_K, set[Turn]], key: _K, turn: Turn) -> None:
    index[key].discard(turn)
    if not index[key]:
        del index[key]
