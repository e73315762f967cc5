"""Which nodes L2Advertisements select for a Service, and how each of them stands.

The data. A Service is matched by some of its pool's advertisements. These together select an
*electorate*: nodes with a score each and the interfaces to answer on. There are few different ones,
however many Services there are, so each is made once and kept in step with the nodes.

Every node of a cluster finds the same by itself: nothing here depends on which node asks.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.decisions.preconditions import node_refused
from exabgp_metallb.values.intent import Intent, L2Advertisement, Pool
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.objects import Node, NodeName
from exabgp_metallb.values.reasons import Refused

Interfaces = frozenset[str] | None
"""The names of those to answer on; None: every usable one."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the advertisements say of a node that they select.

    Attributes:
        score: the weights of all preferences that it meets.
    """

    score: int
    interfaces: Interfaces


class Electorate:
    """The nodes that a set of advertisements selects.

    Attributes:
        advertisements: in order of name.
        standing: of every node selected.
        able: those of them that may attract traffic; who is NotReady or draining is among them.
    """

    __slots__ = ("able", "advertisements", "standing")

    def __init__(self, advertisements: tuple[L2Advertisement, ...]) -> None:
        self.advertisements = advertisements
        self.standing: dict[NodeName, Standing] = {}
        self.able: frozenset[NodeName] = frozenset()

    def find(self, node: Node) -> Standing | None:
        """Return how a node stands by its labels; None when no advertisement selects it."""
        selecting = [
            ad
            for ad in self.advertisements
            if not ad.node_selectors or any_matches(ad.node_selectors, node.labels)
        ]
        if not selecting:
            return None
        preferences = [wish for ad in selecting for wish in ad.preferences]
        return Standing(
            score=sum(p.weight for p in preferences if p.preference.matches(node.labels)),
            interfaces=united(ad.interfaces or None for ad in selecting),
        )


def united(several: Iterable[Interfaces]) -> Interfaces:
    """Return the interfaces that one of several allows."""
    found: set[str] = set()
    for interfaces in several:
        if interfaces is None:
            return None
        found |= interfaces
    return frozenset(found)


class Rank(enum.IntEnum):
    """How far a node can be counted on; the less the better."""

    READY = 0
    NOT_READY = 1  # a candidate where nobody is ready: all lose that condition with the API server
    DRAINING = 2  # no candidate: it answers until another node does


class ClusterView:
    """What elections need beyond a single Service: the advertisements, and all nodes.

    Attributes:
        pools: to find a Service's pool by its addresses.
        barred: the nodes that may not answer for anything, and why.
        late: the nodes that come after the ready ones.
    """

    def __init__(
        self, intent: Intent, nodes: Mapping[NodeName, Node], *, ignore_exclude_label: bool = False
    ) -> None:
        self.pools = PoolIndex(intent.pools)
        self.barred: dict[NodeName, Refused] = {}
        self.late: dict[NodeName, Rank] = {}
        self._ignore_exclude_label = ignore_exclude_label
        self._nodes: dict[NodeName, Node] = {}
        self._advertisements: dict[str, list[L2Advertisement]] = {}
        self._electorates: dict[tuple[str, ...], Electorate] = {}
        for advertisement in sorted(intent.l2_advertisements, key=lambda ad: ad.name):
            for pool in advertisement.pools:
                self._advertisements.setdefault(pool, []).append(advertisement)
        for name, node in nodes.items():
            self.put(name, node)

    @property
    def nodes(self) -> Mapping[NodeName, Node]:
        """Every node there is."""
        return self._nodes

    @property
    def asks(self) -> bool:
        """Whether any pool has an advertisement."""
        return bool(self._advertisements)

    def advertisements_of(self, pool: Pool) -> list[L2Advertisement]:
        """Return the advertisements for a pool, in order of name."""
        return self._advertisements.get(pool.name, [])

    def electorate(self, advertisements: Iterable[L2Advertisement]) -> Electorate:
        """Return the nodes that advertisements select together; one object for the same ones."""
        wanted = tuple(advertisements)
        key = tuple(ad.name for ad in wanted)
        if key not in self._electorates:
            made = self._electorates[key] = Electorate(wanted)
            for name in self._nodes:
                self._place(made, name)
            made.able = frozenset(made.standing.keys() - self.barred.keys())
        return self._electorates[key]

    def electing(self, name: NodeName) -> list[Electorate]:
        """Return the electorates in which a node may attract traffic."""
        return [e for e in self._electorates.values() if name in e.able]

    def put(self, name: NodeName, node: Node | None) -> list[Electorate]:
        """Take a node as it is now (None: it is gone); return where that makes a difference."""
        if self._nodes.get(name) == node:
            return []
        before = self.late.get(name)
        _set(self._nodes, name, node)
        _set(self.barred, name, None if node is None else self._refused(node))
        _set(self.late, name, None if node is None else _late(node))
        elsewhere = before is not self.late.get(name)
        return [e for e in self._electorates.values() if self._moved(e, name) or elsewhere]

    def _refused(self, node: Node) -> Refused | None:
        return node_refused(node, ignore_exclude_label=self._ignore_exclude_label)

    def _place(self, electorate: Electorate, name: NodeName) -> None:
        node = self._nodes.get(name)
        _set(electorate.standing, name, None if node is None else electorate.find(node))

    def _moved(self, electorate: Electorate, name: NodeName) -> bool:
        before = electorate.standing.get(name), name in electorate.able
        self._place(electorate, name)
        able = name in electorate.standing and name not in self.barred
        if able != before[1]:
            electorate.able ^= {name}
        return before != (electorate.standing.get(name), able)


def _late(node: Node) -> Rank | None:
    if node.draining:
        return Rank.DRAINING
    return None if node.ready else Rank.NOT_READY


def _set(mapping: dict[NodeName, _Value], name: NodeName, value: _Value | None) -> None:
    """Set what there is about a node, or take it away."""
    if value is None:
        mapping.pop(name, None)
    else:
        mapping[name] = value
