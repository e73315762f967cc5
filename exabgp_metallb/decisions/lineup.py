"""The candidates for each address in their order, as a responder needs them.

Responders know each other by the hashes in their tags, so a `Line` has hashes of nodes. Lines are
kept: to make one is a digest for each candidate (`candidates`), seconds for thousands of addresses
with a thousand candidates each. Where nodes come or go, which happens to thousands of addresses at
once, the new line is made of the one before, with a few digests.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from typing import NamedTuple

from exabgp_metallb.decisions.candidates import candidates, digest, ranked_by
from exabgp_metallb.decisions.watching import NodeHash
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import node_hash
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import AddressOrder, Slate

FEW = 16
"""Nodes that stay for each that comes, at least; to put one among a thousand takes ten digests."""


@dataclass(frozen=True, slots=True)
class Line:
    """The candidates for an address, best first."""

    nodes: tuple[NodeHash, ...]

    def rank_of(self, node: NodeHash) -> int:
        """Return the place of a node; a stranger's is behind all."""
        try:
            return self.nodes.index(node)
        except ValueError:
            return len(self.nodes)


class Lineup:
    """The line of each address that there are orders for."""

    def __init__(self) -> None:
        self._lines: dict[Address, tuple[AddressOrder, Line]] = {}
        self._slates: Counter[Slate] = Counter()  # the lines of each
        self._places: Counter[NodeHash] = Counter()  # of each node in slates
        self._names: dict[NodeHash, NodeName] = {}
        self._hashes: dict[NodeName, NodeHash] = {}

    def __iter__(self) -> Iterator[Address]:
        return iter(self._lines)

    def __getitem__(self, address: Address) -> Line:
        return self._lines[address][1]

    def knows(self, node: NodeHash) -> bool:
        """Tell whether a node is a candidate for any address."""
        return node in self._names

    def follow(self, orders: Mapping[Address, AddressOrder | None]) -> None:
        """Take the orders for some addresses as they are now; None: there is none any more."""
        for address, order in orders.items():
            last = self._lines.pop(address, None)
            if order is not None:
                self._enter(order.slate)
                self._lines[address] = (order, self._line(order, last))
            if last is not None:
                self._drop(last[0].slate)

    def _enter(self, slate: Slate) -> None:
        self._slates[slate] += 1
        if self._slates[slate] > 1:
            return
        for name in chain.from_iterable(slate.tiers):
            node = self._hashes.get(name) or node_hash(name)
            self._hashes[name], self._names[node] = node, name
            self._places[node] += 1

    def _drop(self, slate: Slate) -> None:
        self._slates[slate] -= 1
        if self._slates[slate]:
            return
        del self._slates[slate]
        for name in chain.from_iterable(slate.tiers):
            node = self._hashes[name]
            self._places[node] -= 1
            if not self._places[node]:
                del self._places[node], self._names[node], self._hashes[name]

    def _line(self, order: AddressOrder, last: tuple[AddressOrder, Line] | None) -> Line:
        """Return the line for an order, given the last one for the same address."""
        if last is None or ranked_by(order) != ranked_by(last[0]):
            return Line(tuple(map(self._hashes.__getitem__, candidates(order))))
        was, line = last
        if was.slate == order.slate:
            return line
        address = ranked_by(order)

        def place(node: NodeHash) -> bytes:
            return digest(self._names[node], address)

        nodes: list[NodeHash] = []
        for step in _steps(was.slate, order.slate):
            if len(step.new) * FEW > len(step.kept):
                nodes += sorted((*step.kept, *step.new), key=place)
                continue
            tier = [node for node in line.nodes[step.begin : step.end] if node in step.kept]
            for node in step.new:
                insort(tier, node, key=place)
            nodes += tier
        return Line(tuple(nodes))


class _Step(NamedTuple):
    """How a tier of a slate comes of one of the slate before.

    Attributes:
        kept: the nodes that are in both.
        begin: where that one began, among all nodes of its slate.
        end: where the next one began.
        new: the other nodes of the tier.
    """

    kept: frozenset[NodeHash]
    begin: int
    end: int
    new: tuple[NodeHash, ...]


@lru_cache(maxsize=32)  # thousands of addresses change from the same slate to the same slate
def _steps(was: Slate, now: Slate) -> tuple[_Step, ...]:
    """Return how each tier of a slate comes of the one before that most of its nodes were in."""
    ends = list(accumulate(map(len, was.tiers)))
    origin = {name: place for place, tier in enumerate(was.tiers) for name in tier}
    steps = []
    for tier in now.tiers:
        ((place, _),) = Counter(origin.get(name, 0) for name in tier).most_common(1)
        kept = [name for name in tier if origin.get(name) == place]
        new = tuple(node_hash(name) for name in tier if origin.get(name) != place)
        begin = ends[place] - len(was.tiers[place])
        steps.append(_Step(frozenset(map(node_hash, kept)), begin, ends[place], new))
    return tuple(steps)
