"""Hypothesis strategies for resources: few names, ages and addresses, so that many are at odds."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from exabgp_metallb.parsing.intent.resolve import Specs
from exabgp_metallb.values.addresses import AddressRange, Family
from exabgp_metallb.values.intent import BandwidthSource, BfdProfile, Community, Pool
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from tests.unit.parsing.build import (
    bgp,
    by_name,
    community,
    l2,
    labels,
    node,
    peer,
    secret,
    select,
    span,
)

T = TypeVar("T")

PASSWORD = "hunter2-never-told"

ages = st.sampled_from(["", "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"])
words = st.sampled_from(["a", "b", "c"])
names = st.sampled_from(["n1", "n2", "n3", "n4"])
label_sets = st.dictionaries(words, words, max_size=2).map(lambda pairs: labels(**pairs))


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    """A requirement with values where its operator takes some."""
    operator = draw(st.sampled_from(Operator))
    takes_values = operator in (Operator.IN, Operator.NOT_IN)
    values = draw(st.sets(words, min_size=1, max_size=2)) if takes_values else ()
    return Requirement(draw(words), operator, tuple(sorted(values)))


selectors = st.builds(
    LabelSelector,
    match_labels=label_sets,
    requirements=st.lists(requirements(), max_size=2).map(tuple),
)
selector_lists = st.just(()) | st.lists(selectors, min_size=1, max_size=2).map(tuple)


def within(base: str, count: int) -> st.SearchStrategy[AddressRange]:
    """Ranges inside the first `count` addresses from `base`."""
    first = span(f"{base}-{base}").first
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).map(sorted)
    return ends.map(lambda pair: AddressRange(first + pair[0], first + pair[1]))


ranges = within("10.0.0.0", 64) | within("::", 64)
"""Of both families with the same numbers, which must not be taken for each other."""


def disjoint(found: list[AddressRange]) -> tuple[AddressRange, ...]:
    """Return the ranges that overlap none before them."""
    kept: list[AddressRange] = []
    for r in found:
        if not any(overlap(r, other) for other in kept):
            kept.append(r)
    return tuple(kept)


def overlap(one: AddressRange, other: AddressRange) -> bool:
    """Tell whether two ranges share an address."""
    return one.family is other.family and not (
        int(one.last) < int(other.first) or int(other.last) < int(one.first)
    )


families = st.sets(st.sampled_from(Family), min_size=1)
pools = st.builds(
    Pool,
    name=names,
    created=ages,
    labels=label_sets,
    ranges=st.lists(ranges, min_size=1, max_size=3).map(disjoint),
)
peers = st.builds(
    peer,
    names,
    st.sampled_from(["198.51.100.1", "198.51.100.2"]),
    secret=st.sampled_from([None, None, None, "n1"]),
    created=ages,
    on=selector_lists,
    bfd=st.sampled_from([None, "n1", "n1", "n2"]),
    vrf=st.sampled_from([None, None, "a"]),
    interface=st.sampled_from([None, None, "a"]),
)
numbers = st.sampled_from([Community(1, 1), Community(2, 2)])
advertisements = st.builds(
    lambda name, pools, **more: bgp(name, *pools, **more),
    names,
    st.lists(names, max_size=2, unique=True),
    selectors=selector_lists,
    aliases=st.sampled_from([(), (), ("a",)]),
    created=ages,
    on=selector_lists,
    to=st.just(()) | st.lists(names, max_size=2),
    pref=st.sampled_from([None, 1, 2]),
    med=st.sampled_from([None, None, None, 0, 1]),
    prepend=st.sampled_from([0, 0, 0, 1]),
    bandwidth=st.sampled_from([None, None, BandwidthSource.ENDPOINTS]),
    length=st.sampled_from([32, 32, 31]),
    length6=st.sampled_from([128, 128, 127]),
    services=st.sampled_from([(), (), (select(a="a"),)]),
)
l2_advertisements = st.builds(
    lambda name, pools, **more: l2(name, *pools, **more),
    names,
    st.lists(names, max_size=2, unique=True),
    selectors=selector_lists,
)
communities = st.builds(
    lambda name, created, aliases: community(name, created, **aliases),
    names,
    ages,
    st.dictionaries(words, numbers, max_size=2),
)
profiles = st.builds(BfdProfile, name=st.sampled_from(["n1", "n2"]), echo_mode=st.booleans())
secrets = st.builds(
    secret,
    names,
    st.none() | st.just(PASSWORD),
    st.sampled_from(["kubernetes.io/basic-auth", "Opaque"]),
)
nodes = st.builds(
    lambda name, pairs: node(name, **pairs), names, st.dictionaries(words, words, max_size=2)
)


def few(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[list[T]]:
    """Lists of at most five."""
    return st.lists(strategy, max_size=5)


specs = st.builds(
    Specs,
    pools=few(pools).map(by_name),
    peers=few(peers).map(lambda found: {s.peer.name: s for s in found}),
    bgp_advertisements=few(advertisements).map(lambda f: {s.advertisement.name: s for s in f}),
    l2_advertisements=few(l2_advertisements).map(lambda f: {s.advertisement.name: s for s in f}),
    communities=few(communities).map(by_name),
    bfd_profiles=few(profiles).map(by_name),
    secrets=few(secrets).map(lambda found: {s.name.name: s for s in found}),
    nodes=few(nodes).map(by_name),
)


def shuffled(given: Specs, random: Random) -> Specs:
    """Return the same resources in another order."""

    def mixed(objects: Mapping[str, T]) -> dict[str, T]:
        items = list(objects.items())
        random.shuffle(items)
        return dict(items)

    return replace(
        given,
        pools=mixed(given.pools),
        peers=mixed(given.peers),
        bgp_advertisements=mixed(given.bgp_advertisements),
        l2_advertisements=mixed(given.l2_advertisements),
        communities=mixed(given.communities),
        bfd_profiles=mixed(given.bfd_profiles),
        secrets=mixed(given.secrets),
        nodes=mixed(given.nodes),
    )


def numbered(number: int) -> Community:
    """Return one of many communities."""
    return Community(number >> 16, number & 0xFFFF)
