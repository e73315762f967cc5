"""How one node watches another that owns addresses on one interface.

All addresses that this node would take over from an owner are one watch. Each probe asks for
another of them in turn, so it costs the same for one address and for thousands, and yet finds out
in time that the owner gave up one of them alone.

Two nodes watch an owner closely, whatever the number of its addresses; the others probe it now and
then, the more rarely the more they are, and trust the two: who hears that one of them takes over an
address of that owner looks for itself at once (`Ownership`). So the frames on a segment at rest
follow the number of owners.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from exabgp_metallb.values.addresses import Address

NodeHash = bytes
"""A node, as it is in a tag; see `values.l2.node_hash`."""

CLOSE_WATCHERS = 2
"""One may fail together with the owner, or not be able to take over."""


class WatchKey(NamedTuple):
    """An owner on an interface."""

    interface: int
    node: NodeHash


class Heirs(NamedTuple):
    """The candidates that come first for an address when its owner is gone; None: there is none."""

    first: NodeHash | None
    second: NodeHash | None


def heirs(candidates: Iterable[NodeHash], owner: NodeHash) -> Heirs:
    """Return the first two of the candidates, best first, that are not the owner."""
    others = (node for node in candidates if node != owner)
    return Heirs(next(others, None), next(others, None))


@dataclass(slots=True)
class Watch:
    """One owner on one interface, and the addresses that this node stands by for.

    Attributes:
        mac: where it answers.
        misses: how many probes in a row it did not answer.
        asked: the address that the last probe asked for; None once that is answered.
        asked_at: when that probe was sent.
        dead: it has missed too many, and was not heard since.
        missed: the addresses of those probes.
    """

    key: WatchKey
    mac: bytes
    misses: int = 0
    asked: Address | None = None
    asked_at: float = 0.0
    dead: bool = False
    missed: list[Address] = field(default_factory=list)
    _heirs: OrderedDict[Address, Heirs] = field(default_factory=OrderedDict)
    _firsts: Counter[NodeHash] = field(default_factory=Counter)
    _seconds: Counter[NodeHash] = field(default_factory=Counter)
    _close: tuple[NodeHash, ...] | None = None  # None: to be worked out again

    def __bool__(self) -> bool:
        return bool(self._heirs)

    def __contains__(self, address: Address) -> bool:
        return address in self._heirs

    @property
    def addresses(self) -> Iterable[Address]:
        """The addresses that the owner is watched for."""
        return self._heirs.keys()

    def add(self, address: Address, of: Heirs) -> None:
        """Watch the owner for one more address."""
        self.discard(address)
        self._heirs[address] = of
        self._count(of, 1)

    def discard(self, address: Address) -> None:
        """Watch the owner for this address no longer."""
        if address in self._heirs:
            self._count(self._heirs.pop(address), -1)

    def turn(self) -> Address:
        """Return the address to ask for next; each comes as often as the others."""
        address = next(iter(self._heirs))
        self._heirs.move_to_end(address)
        return address

    def close_watchers(self) -> tuple[NodeHash, ...]:
        """Return who watches closely, as far as this node can know.

        Those that come first for some address, since they take it over at once and so wake the
        others; then those that come second. Of many the nearest to the owner by the bits of their
        hashes (the distance of Kademlia), so that each owner has other watchers.
        """
        if self._close is None:
            near = int.from_bytes(self.key.node, "big")
            ordered = sorted(
                self._firsts.keys() | self._seconds.keys(),
                key=lambda node: (node not in self._firsts, int.from_bytes(node, "big") ^ near),
            )
            self._close = tuple(ordered[:CLOSE_WATCHERS])
        return self._close

    def _count(self, of: Heirs, change: int) -> None:
        for counter, node in ((self._firsts, of.first), (self._seconds, of.second)):
            if node is None:
                continue
            before = counter[node]
            counter[node] += change
            if not before or not counter[node]:
                self._close = None
            if not counter[node]:
                del counter[node]
