"""Hypothesis strategies that several tests share."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import strategies as st

from exabgp_metallb.values.addresses import Address, Family, Prefix, covering_prefix
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.rib import Attributes

Json = object
Path = tuple[str | int, ...]

json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
json_values: st.SearchStrategy[Json] = st.recursive(
    json_scalars,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)
"""Any value that JSON can hold."""

label_words = st.sampled_from(["app", "tier", "rack", "web", "db", "a", "b"])
labels = st.dictionaries(label_words, label_words, max_size=3)


def places(value: Json, here: Path = ()) -> list[Path]:
    """Return the path of every value inside a JSON tree, the tree itself first."""
    found = [here]
    if isinstance(value, Mapping):
        for key, child in value.items():
            found += places(child, (*here, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            found += places(child, (*here, index))
    return found


def with_value(tree: Json, path: Path, value: Json) -> Json:
    """Return a copy of a JSON tree with another value at one path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(tree, dict):
        return {**tree, step: with_value(tree[step], rest, value)}
    assert isinstance(tree, list)
    assert isinstance(step, int)
    return [*tree[:step], with_value(tree[step], rest, value), *tree[step + 1 :]]


@st.composite
def mutated(draw: st.DrawFn, trees: Sequence[Json]) -> Json:
    """One of the trees with one place in it replaced by anything."""
    tree = draw(st.sampled_from(trees))
    path = draw(st.sampled_from(places(tree)))
    return with_value(tree, path, draw(json_values))


addresses_v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
addresses_v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
addresses: st.SearchStrategy[Address] = addresses_v4 | addresses_v6

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
communities = st.builds(Community, u16, u16)
large_communities = st.builds(LargeCommunity, u32, u32, u32)


def prefixes(family: Family) -> st.SearchStrategy[Prefix]:
    """Prefixes of one family, of any length."""
    of_family: st.SearchStrategy[Address] = addresses_v4 if family is Family.IPV4 else addresses_v6
    return st.builds(covering_prefix, of_family, st.integers(0, family.bits))


any_prefixes = st.sampled_from(Family).flatmap(prefixes)


def attributes(family: Family) -> st.SearchStrategy[Attributes]:
    """Path attributes for routes of one family, as many communities as MetalLB takes."""
    return st.builds(
        Attributes,
        next_hop=st.none() | (addresses_v4 if family is Family.IPV4 else addresses_v6),
        local_pref=st.none() | u32,
        communities=st.lists(communities, max_size=63, unique=True).map(sorted).map(tuple),
        large_communities=st.lists(large_communities, max_size=63, unique=True)
        .map(sorted)
        .map(tuple),
    )


few_prefixes = st.sampled_from([ip_network(f"10.0.{n}.0/24") for n in range(4)]) | st.sampled_from(
    [ip_network(f"2001:db8:{n}::/48") for n in range(2)]
)
few_attributes = st.builds(Attributes, local_pref=st.none() | st.integers(0, 2))
adj_ribs_out: st.SearchStrategy[dict[Prefix, Attributes]] = st.dictionaries(
    few_prefixes, few_attributes
)
"""Adj-RIBs-Out over few prefixes and attributes, so that two of them have much in common."""
