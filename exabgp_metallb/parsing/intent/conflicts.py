"""When two BGPAdvertisements give one prefix two values of an attribute that a route has once.

MetalLB's rule for localPref (reference 4.4), and ours for med and asPathPrepend. Communities are no
matter of it, since those of several advertisements are united; nor is linkBandwidth, which is one.

`conflict` is the rule for two of them. `Preferences` is the same rule for a new one against all
that stand, without asking each: those that share a node and a peer with it are found by looking up
its own nodes and peers. Who names no nodes or no peers has all, and is filed under `_EVERY`;
everybody is filed under `_ANY` too, where those look who have all themselves.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from exabgp_metallb.values.addresses import Family
from exabgp_metallb.values.intent import BgpAdvertisement
from exabgp_metallb.values.objects import NodeName

Nodes = frozenset[NodeName] | None
"""The nodes that selectors pick; None for all of them."""

_EVERY = ""  # no node and no peer is named so
_ANY = "*"


class Preference(NamedTuple):
    """What a route has one value of, however many advertisements ask for it."""

    local_pref: int | None
    med: int | None
    as_path_prepend: int


def preference(ad: BgpAdvertisement) -> Preference:
    """Return what the advertisements of one prefix must agree on."""
    return Preference(ad.local_pref, ad.med, ad.as_path_prepend)


class Difference(NamedTuple):
    """The first field that two advertisements differ in, and what each says, as a user writes it.

    Attributes:
        field: its name in the spec.
    """

    field: str
    one: str
    other: str


def difference(one: BgpAdvertisement, other: BgpAdvertisement) -> Difference | None:
    """Return in what two advertisements of one prefix disagree."""
    for field, mine, theirs in zip(_FIELDS, preference(one), preference(other), strict=True):
        if mine != theirs:
            return Difference(field, _written(field, mine), _written(field, theirs))
    return None


def _written(field: str, value: int | None) -> str:
    return "none" if field == "med" and value is None else str(value or 0)


_FIELDS = ("localPref", "med", "asPathPrepend")  # of Preference


def conflict(
    one: BgpAdvertisement, other: BgpAdvertisement, families: Iterable[Family]
) -> Difference | None:
    """Return in what two advertisements of one pool and node disagree over one prefix.

    They do when a preference differs, they announce one length in a family of the pool, and some
    peer hears both.
    """
    found = difference(one, other)
    if found is None or (one.peers and other.peers and not one.peers & other.peers):
        return None
    meet = any(one.aggregation(family) == other.aggregation(family) for family in families)
    return found if meet else None


def share(one: Nodes, other: Nodes) -> bool:
    """Tell whether two sets of nodes have one in common."""
    if one is None or other is None:
        return one != frozenset() and other != frozenset()
    return not one.isdisjoint(other)


@dataclass(frozen=True, slots=True)
class Placed:
    """An advertisement and the nodes that it announces from.

    Attributes:
        rank: its place in the order of age.
    """

    rank: int
    advertisement: BgpAdvertisement
    nodes: Nodes


_Key = tuple[Family, int, str, str]  # family, aggregation length, node, peer


class Preferences:
    """The advertisements that stand for pools which all of them share, by whom they reach."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = sorted(families)
        self._filed: dict[_Key, dict[Preference, Placed]] = {}  # the oldest of each

    def clash(self, new: Placed) -> BgpAdvertisement | None:
        """Return the oldest advertisement that stands and is in conflict with a new one."""
        mine = preference(new.advertisement)
        oldest = [
            next((placed for other, placed in filed.items() if other != mine), None)
            for key in self._keys(new, _ANY, _EVERY)
            if (filed := self._filed.get(key))
        ]
        clashing = [placed for placed in oldest if placed is not None]
        return min(clashing, key=lambda placed: placed.rank).advertisement if clashing else None

    def add(self, new: Placed) -> None:
        """File an advertisement that clashes with none; the older come first."""
        for key in self._keys(new, _EVERY, _ANY):
            self._filed.setdefault(key, {}).setdefault(preference(new.advertisement), new)

    def _keys(self, placed: Placed, for_all: str, besides: str) -> Iterator[_Key]:
        """Yield where an advertisement is filed, or looked for; nowhere if it has no node."""
        if placed.nodes == frozenset():
            return
        ad = placed.advertisement
        nodes = {besides, *((for_all,) if placed.nodes is None else placed.nodes)}
        peers = {besides, *(ad.peers or (for_all,))}
        for family in self._families:
            for node, peer in product(nodes, peers):
                yield family, ad.aggregation(family), node, peer
