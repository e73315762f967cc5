"""Which pools each advertisement is for, and the rules between the two (reference 6, 20 and 21).

A scope is one set of pools; all advertisements that choose exactly these share it. A kind of pool
is what is in the same scopes and has addresses of the same families: its pools are alike to the
rule of preferences (`conflicts`). So ten thousand advertisements of ten thousand pools are, as a
rule, a few scopes and kinds and not 10**8 pairs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exabgp_metallb.parsing.intent.conflicts import (
    Nodes,
    Placed,
    Preferences,
    difference,
    preference,
)
from exabgp_metallb.parsing.intent.overlaps import shortest_prefix
from exabgp_metallb.parsing.intent.resources import Problem
from exabgp_metallb.parsing.intent.selection import LabelIndex
from exabgp_metallb.values.addresses import AddressRange, Family
from exabgp_metallb.values.intent import BgpAdvertisement, Pool
from exabgp_metallb.values.specs import PoolChoice

_AGGREGATION = {
    Family.IPV4: "spec.aggregationLength",
    Family.IPV6: "spec.aggregationLengthV6",
}


@dataclass(frozen=True, slots=True)
class Need:
    """The shortest prefix that the narrowest range of a family has room for.

    Attributes:
        index: of the range in the pool's spec.addresses.
    """

    length: int
    pool: str
    index: int
    range: AddressRange


@dataclass(slots=True, eq=False)
class PoolKind:
    """The preferences of pools that are alike.

    Attributes:
        pool: the oldest of them.
        problem: set when advertisements that stand are at odds over such pools; none of them
            stands then.
    """

    pool: str
    preferences: Preferences
    problem: Problem | None = None


@dataclass(slots=True, eq=False)
class Scope:
    """A set of pools that advertisements choose.

    Attributes:
        pools: that exist, standing or not.
        tightest: of all standing pools, by family.
        shortest: the standing advertisement that announces the shortest prefixes, by family.
        placed: the standing advertisements without serviceSelectors, the oldest of those that are
            alike to the rule of preferences.
        audiences: the standing advertisements, the oldest of those with the same nodes and peers.
        kinds: of the standing pools.
    """

    number: int
    pools: frozenset[str]
    tightest: dict[Family, Need] = field(default_factory=dict)
    shortest: dict[Family, BgpAdvertisement] = field(default_factory=dict)
    placed: dict[object, Placed] = field(default_factory=dict)
    audiences: dict[tuple[Nodes, frozenset[str]], Placed] = field(default_factory=dict)
    kinds: dict[PoolKind, None] = field(default_factory=dict)

    def advertisement_problem(self, new: Placed) -> Problem | None:
        """Tell why an advertisement of these pools cannot stand."""
        ad = new.advertisement
        for family, need in self.tightest.items():
            if ad.aggregation(family) < need.length:
                return Problem(_AGGREGATION[family], _too_short(ad.aggregation(family), need))
        if ad.service_selectors or _likeness(new) in self.placed:
            return None
        for kind in self.kinds:
            other = kind.preferences.clash(new)
            if other is not None:
                return _at_odds(ad, other, kind.pool)
        return None

    def take_advertisement(self, new: Placed) -> None:
        """Note an advertisement that stands; the older come first."""
        ad = new.advertisement
        for family in Family:
            if ad.aggregation(family) < self.shortest.setdefault(family, ad).aggregation(family):
                self.shortest[family] = ad
        self.audiences.setdefault((new.nodes, ad.peers), new)
        if ad.service_selectors or self.placed.setdefault(_likeness(new), new) is not new:
            return
        for kind in self.kinds:
            kind.preferences.add(new)


class Scopes:
    """The scopes of all choices, and the kinds of pools."""

    def __init__(self, pools: Mapping[str, Pool], choices: Iterable[PoolChoice]) -> None:
        self._index = LabelIndex({name: pool.labels for name, pool in pools.items()})
        self._by_pools: dict[frozenset[str], Scope] = {}
        self._by_choice: dict[PoolChoice, Scope] = {}
        self._covering: dict[str, list[Scope]] = {}
        self._kinds: dict[object, PoolKind] = {}
        for choice in choices:
            if choice not in self._by_choice:
                self._by_choice[choice] = self._scope(self.pools_of(choice))

    def pools_of(self, choice: PoolChoice) -> frozenset[str]:
        """Return the existing pools that a choice is for, whether they stand or not."""
        everything = self._index.everything
        if not choice.names and not choice.selectors:
            return everything
        picked = self._index.pick(choice.selectors)
        return picked.union(everything.intersection(choice.names)) if choice.names else picked

    def of(self, choice: PoolChoice) -> Scope:
        """Return the scope of a choice."""
        return self._by_choice[choice]

    def covering(self, pool: str) -> list[Scope]:
        """Return the scopes that hold a pool, in order of number."""
        return self._covering.get(pool, [])

    def pool_problem(self, new: Pool) -> Problem | None:
        """Tell why a pool cannot stand beside the advertisements that choose it.

        Ask this last: the kind of a pool without a problem is one that stands.
        """
        scopes = self.covering(new.name)
        for family, need in _needs(new).items():
            for scope in scopes:
                ad = scope.shortest.get(family)
                if ad and ad.aggregation(family) < need.length:
                    message = _no_room(ad, ad.aggregation(family), need)
                    return Problem(f"spec.addresses[{need.index}]", message)
        return self._kind(new).problem

    def take_pool(self, pool: Pool) -> None:
        """Note a pool that stands."""
        kind = self._kind(pool)
        needs = _needs(pool)
        for scope in self.covering(pool.name):
            scope.kinds[kind] = None
            for family, need in needs.items():
                if family not in scope.tightest or need.length > scope.tightest[family].length:
                    scope.tightest[family] = need

    def _scope(self, pools: frozenset[str]) -> Scope:
        if pools not in self._by_pools:
            scope = self._by_pools[pools] = Scope(len(self._by_pools), pools)
            for name in pools:
                self._covering.setdefault(name, []).append(scope)
        return self._by_pools[pools]

    def _kind(self, pool: Pool) -> PoolKind:
        scopes = self.covering(pool.name)
        families = frozenset(r.family for r in pool.ranges)
        key = (families, tuple(scope.number for scope in scopes))
        if key not in self._kinds:
            self._kinds[key] = _new_kind(pool.name, families, scopes)
        return self._kinds[key]


def _new_kind(pool: str, families: Iterable[Family], scopes: Iterable[Scope]) -> PoolKind:
    """Return a kind of pool with the advertisements that stand already."""
    kind = PoolKind(pool, Preferences(families))
    placed = {p.rank: p for scope in scopes for p in scope.placed.values()}
    for rank in sorted(placed):
        ad = placed[rank].advertisement
        other = kind.preferences.clash(placed[rank])
        if other is not None:
            message = _at_odds(ad, other, pool).message
            kind.problem = Problem("", f"BGPAdvertisement {ad.name} {message}")
            break
        kind.preferences.add(placed[rank])
    return kind


def _likeness(placed: Placed) -> object:
    """Return all that the rule of preferences reads."""
    ad = placed.advertisement
    return (preference(ad), ad.aggregation_v4, ad.aggregation_v6, placed.nodes, ad.peers)


def _needs(pool: Pool) -> dict[Family, Need]:
    """Return the tightest need of a pool's ranges, by family."""
    needs: dict[Family, Need] = {}
    for index, r in enumerate(pool.ranges):
        length = shortest_prefix(r)
        if r.family not in needs or length > needs[r.family].length:
            needs[r.family] = Need(length, pool.name, index, r)
    return needs


def _too_short(length: int, need: Need) -> str:
    return (
        f"{length} is shorter than spec.addresses[{need.index}] of IPAddressPool {need.pool} "
        f"({need.range}) has room for: write {need.length} or more, or choose other pools"
    )


def _no_room(ad: BgpAdvertisement, length: int, need: Need) -> str:
    return (
        f"{need.range} has no room for a prefix of length {length}, which BGPAdvertisement "
        f"{ad.name} announces for this pool: widen the range, or have it choose other pools"
    )


def _at_odds(ad: BgpAdvertisement, other: BgpAdvertisement, pool: str) -> Problem:
    """Return the problem of an advertisement that clashes with an older one."""
    found = difference(ad, other)
    assert found is not None  # noqa: S101 -- else they would not clash
    return Problem(
        f"spec.{found.field}",
        f"gives prefixes of IPAddressPool {pool} {found.field} {found.one}, while "
        f"BGPAdvertisement {other.name} gives them {found.other} on the same nodes and "
        "to the same peers: make them equal, or give the two different nodeSelectors, peers, "
        "pools or aggregation lengths",
    )
