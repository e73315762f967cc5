"""The indexes of admission give what asking every pair gives, and cost far less."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.parsing.intent.conflicts import Nodes, Placed, Preferences, conflict, share
from exabgp_metallb.parsing.intent.nearest import Nearest
from exabgp_metallb.parsing.intent.overlaps import TakenRanges, shortest_prefix
from exabgp_metallb.parsing.intent.references import Aliases, completed
from exabgp_metallb.parsing.intent.resolve import Specs, resolve
from exabgp_metallb.parsing.intent.selection import LabelIndex
from exabgp_metallb.values.addresses import AddressRange, Family
from exabgp_metallb.values.intent import BfdProfile, BgpAdvertisement, Peer, Pool
from exabgp_metallb.values.labels import Labels, LabelSelector, any_matches
from exabgp_metallb.values.specs import BgpAdvertisementSpec, PoolChoice
from tests.effort import lines_run
from tests.unit.parsing import arbitrary
from tests.unit.parsing.build import bgp, community, node, peer, pool, select, specs

# The oracle: every rule as reference 6 says it, asked of every pair and triple.


def chosen(given: Specs, ad: BgpAdvertisement, pools: Iterable[Pool]) -> list[Pool]:
    """Return those of the pools that an advertisement is for."""
    choice = given.bgp_advertisements[ad.name].choice
    if choice == PoolChoice():
        return list(pools)
    return [p for p in pools if p.name in choice.names or any_matches(choice.selectors, p.labels)]


def nodes_of(given: Specs, selectors: tuple[LabelSelector, ...]) -> set[str]:
    """Return the nodes that selectors pick; one and the same where no node is known."""
    if not given.nodes:
        return {"unknown"}
    every = given.nodes.values()
    return {n.name for n in every if not selectors or any_matches(selectors, n.labels)}


def valid(given: Specs, pools: list[Pool], peers: list[Peer], ads: list[BgpAdvertisement]) -> bool:
    """Tell whether objects that stand together break no rule."""
    return (
        not any(
            arbitrary.overlap(r, s)
            for one, other in combinations(pools, 2)
            for r in one.ranges
            for s in other.ranges
        )
        and all(peers_agree(given, *pair) for pair in combinations(peers, 2))
        and all(has_room(given, ad, pools) for ad in ads)
        and all(ads_agree(given, pools, *pair) for pair in combinations(ads, 2))
        and not any(echoes(given, ad, peer, pools) for ad in ads for peer in peers)
    )


def peers_agree(given: Specs, one: Peer, other: Peer) -> bool:
    """Apply 34 and 42."""
    if replace(one, name="", created="") == replace(other, name="", created=""):
        return False
    if (one.address, one.interface, one.vrf) != (other.address, other.interface, other.vrf):
        return True
    return not nodes_of(given, one.node_selectors) & nodes_of(given, other.node_selectors)


def has_room(given: Specs, ad: BgpAdvertisement, pools: list[Pool]) -> bool:
    """Apply 20 with the prefixes of each range."""
    return all(
        ad.aggregation(r.family) >= min(p.prefixlen for p in r.prefixes())
        for pool in chosen(given, ad, pools)
        for r in pool.ranges
    )


def ads_agree(
    given: Specs, pools: list[Pool], one: BgpAdvertisement, other: BgpAdvertisement
) -> bool:
    """Apply 19 and 21."""

    def said(ad: BgpAdvertisement) -> object:
        choice = given.bgp_advertisements[ad.name].choice
        words = (frozenset(choice.names), frozenset(choice.selectors))
        return replace(ad, name="", created=""), words

    if said(one) == said(other):
        return False
    if one.service_selectors or other.service_selectors:
        return True
    if not nodes_of(given, one.node_selectors) & nodes_of(given, other.node_selectors):
        return True
    shared = chosen(given, other, chosen(given, one, pools))
    return not any(conflict(one, other, {r.family for r in p.ranges}) for p in shared)


def echoes(given: Specs, ad: BgpAdvertisement, peer: Peer, pools: list[Pool]) -> bool:
    """Apply 22."""
    profile = given.bfd_profiles.get(peer.bfd_profile or "")
    return (
        profile is not None
        and profile.echo_mode
        and (not ad.peers or peer.name in ad.peers)
        and bool(nodes_of(given, ad.node_selectors) & nodes_of(given, peer.node_selectors))
        and any(r.family is Family.IPV6 for p in chosen(given, ad, pools) for r in p.ranges)
    )


def one_by_one(given: Specs) -> tuple[set[str], set[str], set[str]]:
    """Return the names of what stands when objects come by age and a bad one is turned away."""
    whole, _ = completed(given, Aliases(given))
    ads = [spec.advertisement for spec in whole.advertisements.values()]
    newcomers: list[Pool | Peer | BgpAdvertisement] = [
        *given.pools.values(),
        *whole.peers.values(),
        *ads,
    ]
    turns = {Pool: 0, Peer: 1, BgpAdvertisement: 2}
    held: tuple[list[Pool], list[Peer], list[BgpAdvertisement]] = ([], [], [])
    for new in sorted(newcomers, key=lambda o: (o.created, turns[type(o)], o.name)):
        mine: list[object] = held[turns[type(new)]]  # type: ignore[assignment]  # one of three
        mine.append(new)
        if not valid(given, *held):
            mine.pop()
    pools, stand, said = held
    return {p.name for p in pools}, {p.name for p in stand}, {a.name for a in said}


@settings(max_examples=300, deadline=None)
@given(arbitrary.specs)
def test_the_outcome_is_that_of_creating_objects_one_by_one(given: Specs) -> None:
    """What stands is what MetalLB would hold had the objects come by age."""
    intent = resolve(given).intent
    found = (intent.pools, intent.peers, intent.bgp_advertisements)
    assert tuple({o.name for o in kind} for kind in found) == one_by_one(given)


@given(st.lists(arbitrary.pools, max_size=8))
def test_overlaps_are_those_of_all_pairs(pools: list[Pool]) -> None:
    """Pools taken one after another meet exactly those that stand and share an address."""
    taken, standing = TakenRanges(), list[Pool]()
    for new in pools:
        clash = any(
            arbitrary.overlap(r, s) for old in standing for r in old.ranges for s in new.ranges
        )
        assert (taken.problem(new) is not None) == clash
        if not clash:
            taken.take(new)
            standing.append(new)


node_sets = st.none() | st.frozensets(arbitrary.names, max_size=2)


@given(st.lists(st.tuples(arbitrary.advertisements, node_sets), max_size=6), arbitrary.families)
def test_preferences_clash_as_in_all_pairs(
    arriving: list[tuple[BgpAdvertisementSpec, Nodes]], families: set[Family]
) -> None:
    """The oldest of those that share a node and are in conflict by themselves is found."""
    taken, standing = Preferences(families), list[Placed]()
    for rank, (spec, nodes) in enumerate(arriving):
        new = Placed(rank, spec.advertisement, nodes)
        clashing = [
            old.advertisement
            for old in standing
            if share(old.nodes, nodes) and conflict(old.advertisement, new.advertisement, families)
        ]
        assert taken.clash(new) is (clashing[0] if clashing else None)
        if not clashing:
            taken.add(new)
            standing.append(new)


@given(arbitrary.within("10.0.0.0", 300) | arbitrary.within("::", 300))
def test_the_shortest_prefix_is_that_of_the_summary(r: AddressRange) -> None:
    """It needs no list of prefixes."""
    assert shortest_prefix(r) == min(p.prefixlen for p in r.prefixes())


@given(
    st.dictionaries(arbitrary.names, arbitrary.label_sets),
    st.lists(arbitrary.selectors, max_size=3),
)
def test_picks_are_those_of_asking_each(
    labelled: dict[str, Labels], selectors: list[LabelSelector]
) -> None:
    """All four operators, and selectors without parts, give what `matches` gives."""
    picked = LabelIndex(labelled).pick(selectors)
    assert picked == {name for name, pairs in labelled.items() if any_matches(selectors, pairs)}


@pytest.mark.parametrize(
    ("meant", "known", "hint"),
    [
        pytest.param("pubic", ["public", "private"], ", did you mean 'public'?", id="left out"),
        pytest.param("publicc", ["public"], ", did you mean 'public'?", id="one too many"),
        pytest.param("pablic", ["public"], ", did you mean 'public'?", id="another letter"),
        pytest.param("pulbic", ["public"], ", did you mean 'public'?", id="swapped"),
        pytest.param("Public", ["public"], ", did you mean 'public'?", id="upper case"),
        pytest.param("public", ["private"], "", id="nothing near"),
        pytest.param("x" * 100, ["x" * 99], "", id="no name of Kubernetes"),
        pytest.param("n1", [f"n{i}" for i in range(2000)], "", id="too many to guess"),
    ],
)
def test_guesses(meant: str, known: list[str], hint: str) -> None:
    """A slip of one letter is recognised."""
    assert Nearest(known).hint(meant) == hint


# What must not take the square of its size. Ratios, since machines differ.

SMALL, LARGE = 200, 1_600
GROWTH = 8 * 3  # a square grows by 64


def many(n: int) -> list[Pool]:
    """Return pools of one /30 each, all apart."""
    return [pool(f"p{i}", f"10.{i >> 8}.{i & 255}.0/30", rack=str(i)) for i in range(n)]


def wide(n: int) -> Pool:
    """Return a pool of many ranges."""
    base = [r for p in many(n) for r in p.ranges]
    return Pool(name="wide", ranges=tuple(base))


A = pool("a", "192.0.2.0/24")
ON_ALL = select()


def on(i: int) -> list[LabelSelector]:
    """Return the selectors of one node."""
    return [select(host=str(i))]


HARD: dict[str, Callable[[int], Specs]] = {
    "pools apart": lambda n: specs(pools=many(n), bgp=[bgp("ad", length=31)]),
    "pools on one address": lambda n: specs(pools=[pool(f"p{i}", "10.0.0.0/24") for i in range(n)]),
    "pools in a chain": lambda n: specs(
        pools=[
            pool(f"p{i}", f"10.{i >> 8}.{i & 255}.0-10.{i + 1 >> 8}.{i + 1 & 255}.0")
            for i in range(n)
        ]
    ),
    "ranges of one pool": lambda n: specs(pools=[wide(n * 4), A], bgp=[bgp("ad")]),
    "pools and an advertisement of each": lambda n: specs(
        pools=many(n), bgp=[bgp(f"ad{i}", f"p{i}", pref=i) for i in range(n)]
    ),
    "selectors that pick a pool each": lambda n: specs(
        pools=many(n), bgp=[bgp(f"ad{i}", selectors=[select(rack=str(i))]) for i in range(n)]
    ),
    "advertisements of all pools": lambda n: specs(
        pools=many(n), bgp=[bgp(f"ad{i}", communities=[arbitrary.numbered(i)]) for i in range(n)]
    ),
    "advertisements at odds": lambda n: specs(
        pools=[A], bgp=[bgp(f"ad{i}", pref=i) for i in range(n)]
    ),
    "advertisements to a peer each": lambda n: specs(
        pools=[A], bgp=[bgp(f"ad{i}", pref=i, to=[f"r{i}"]) for i in range(n)]
    ),
    "advertisements from a node each": lambda n: specs(
        pools=[A],
        nodes=[node(f"n{i}", host=str(i)) for i in range(n)],
        bgp=[bgp(f"ad{i}", pref=i, on=on(i)) for i in range(n)],
    ),
    "peers of one address on a node each": lambda n: specs(
        nodes=[node(f"n{i}", host=str(i)) for i in range(n)],
        peers=[peer(f"r{i}", on=on(i)) for i in range(n)],
    ),
    "peers of one address": lambda n: specs(peers=[peer(f"r{i}") for i in range(n)]),
    "peers with echo mode": lambda n: specs(
        profiles=[BfdProfile(name="fast", echo_mode=True)],
        pools=[pool("six", "2001:db8::/64")],
        peers=[peer(f"r{i}", f"10.0.{i >> 8}.{i & 255}", bfd="fast") for i in range(n)],
        bgp=[bgp(f"ad{i}", to=[f"x{i}"]) for i in range(n)],
    ),
    "aliases defined twice": lambda n: specs(
        communities=[community(f"c{i}", ne=arbitrary.numbered(i)) for i in range(n)]
    ),
    "names of nothing": lambda n: specs(
        pools=[A],
        peers=[peer(f"r{i}", secret=f"s{i}", bfd=f"b{i}") for i in range(n)],
        bgp=[bgp(f"ad{i}", f"x{i}", "a", to=[f"x{i}"], pref=1) for i in range(n)],
    ),
}


@pytest.mark.parametrize("case", HARD)
def test_the_cost_is_not_a_square(case: str) -> None:
    """Eight times as many objects take nothing like 64 times the work."""
    small, large = HARD[case](SMALL), HARD[case](LARGE)
    assert lines_run(lambda: resolve(large)) < GROWTH * lines_run(lambda: resolve(small))
