"""Hypothesis strategies that several tests share."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import strategies as st

from exabgp_metallb.decisions.bandwidth import link_bandwidth
from exabgp_metallb.values.addresses import (
    Address,
    AddressRange,
    Family,
    Prefix,
    covering_prefix,
)
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BgpAdvertisement,
    Community,
    Intent,
    LargeCommunity,
    Peer,
    Pool,
)
from exabgp_metallb.values.labels import LabelSelector
from exabgp_metallb.values.objects import Endpoint, Node, ObjectName, Service, TrafficPolicy
from exabgp_metallb.values.rib import Attributes
from exabgp_metallb.values.snapshot import Snapshot

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
    asns = st.integers(1, 2**32 - 1)
    return st.builds(
        Attributes,
        next_hop=st.none() | (addresses_v4 if family is Family.IPV4 else addresses_v6),
        local_pref=st.none() | u32,
        med=st.none() | u32,
        as_path=st.just(()) | st.builds(lambda asn, n: (asn,) * n, asns, st.integers(2, 11)),
        link_bandwidth=st.none() | st.builds(link_bandwidth, asns, st.integers(0, 2**16)),
        communities=st.lists(communities, max_size=63, unique=True).map(sorted).map(tuple),
        large_communities=st.lists(large_communities, max_size=63, unique=True)
        .map(sorted)
        .map(tuple),
    )


few_prefixes = st.sampled_from([ip_network(f"10.0.{n}.0/24") for n in range(4)]) | st.sampled_from(
    [ip_network(f"2001:db8:{n}::/48") for n in range(2)]
)
few_attributes = st.builds(
    Attributes, local_pref=st.none() | st.integers(0, 2), med=st.none() | st.integers(0, 1)
)
adj_ribs_out: st.SearchStrategy[dict[Prefix, Attributes]] = st.dictionaries(
    few_prefixes, few_attributes
)
"""Adj-RIBs-Out over few prefixes and attributes, so that two of them have much in common."""

# A small cluster whose Services, advertisements and peers have much to do with each other.

WEB, DB = (LabelSelector(match_labels=frozenset({("app", app)})) for app in ("web", "db"))
SERVICE_NAMES = tuple(ObjectName("default", name) for name in "abcd")
POOLS = (
    Pool(
        name="dual",
        ranges=(
            AddressRange(ip_address("10.0.0.0"), ip_address("10.0.0.7")),
            AddressRange(ip_address("2001:db8::"), ip_address("2001:db8::7")),
        ),
    ),
    Pool(name="wide", ranges=(AddressRange(ip_address("10.0.0.8"), ip_address("10.0.0.15")),)),
)
POOL_NAMES = ("dual", "wide")
NODE = Node(
    name="node1",
    labels=frozenset({("app", "web")}),
    internal_ips=(ip_address("192.0.2.1"), ip_address("2001:db8:f::1")),
)

label_sets = st.sampled_from([frozenset[tuple[str, str]](), WEB.match_labels, DB.match_labels])
few_selectors = st.sampled_from([(), (WEB,), (DB,), (DB, WEB)])
few_communities = st.sampled_from([(), (Community(1, 1),), (Community(1, 1), Community(2, 2))])

endpoint_tuples = st.lists(
    st.builds(
        Endpoint,
        addresses=st.sampled_from([("10.1.0.1",), ()]),
        node=st.sampled_from(["node1", "node2", None]),
        ready=st.none() | st.booleans(),
        serving=st.none() | st.booleans(),
        terminating=st.none() | st.booleans(),
    ),
    max_size=3,
).map(tuple)

ingresses = st.sampled_from(
    [
        (),
        ("10.0.0.1",),
        ("10.0.0.2",),
        ("10.0.0.9",),
        ("10.0.0.1", "10.0.0.9"),
        ("10.0.0.1", "2001:db8::1"),
        ("2001:db8::2",),
        ("203.0.113.1",),
    ]
).map(lambda words: tuple(map(ip_address, words)))


def services(name: ObjectName) -> st.SearchStrategy[Service]:
    """A Service of a name, with addresses that others may have too."""
    return st.builds(
        Service,
        name=st.just(name),
        labels=label_sets,
        traffic_policy=st.sampled_from(TrafficPolicy),
        ingress=ingresses,
        foreign_ingress=st.sampled_from([(), (), (), ("a.example",)]),
    )


service_maps = st.fixed_dictionaries({}, optional={name: services(name) for name in SERVICE_NAMES})
endpoint_maps = st.fixed_dictionaries({}, optional=dict.fromkeys(SERVICE_NAMES, endpoint_tuples))


def advertisements(name: str) -> st.SearchStrategy[BgpAdvertisement]:
    """A BGPAdvertisement of a name; its rules about aggregation and selectors are parsing's."""
    return st.builds(
        BgpAdvertisement,
        name=st.just(name),
        pools=st.sampled_from(
            [frozenset({"dual"}), frozenset({"wide"}), frozenset({"dual", "wide"})]
        ),
        aggregation_v4=st.sampled_from([32, 28]),
        aggregation_v6=st.sampled_from([128, 64]),
        local_pref=st.sampled_from([None, None, 200]),
        med=st.sampled_from([None, None, None, 5]),
        as_path_prepend=st.sampled_from([0, 0, 0, 2]),
        link_bandwidth=st.sampled_from([None, BandwidthSource.ENDPOINTS]),
        communities=few_communities,
        node_selectors=few_selectors,
        peers=st.sampled_from([frozenset(), frozenset({"r1"}), frozenset({"r2", "r3"})]),
        service_selectors=few_selectors,
    )


def _peers(name: str, address: str) -> st.SearchStrategy[Peer]:
    return st.builds(
        Peer,
        name=st.just(name),
        my_asn=st.just(64512),
        peer_asn=st.sampled_from([64512, 64513]),
        address=st.just(ip_address(address)),
        node_selectors=few_selectors,
        dual_stack=st.booleans(),
    )


intents = st.builds(
    Intent,
    pools=st.just(POOLS),
    peers=st.tuples(
        _peers("r1", "192.0.2.101"), _peers("r2", "2001:db8:f::101"), _peers("r3", "192.0.2.103")
    ),
    bgp_advertisements=st.lists(st.sampled_from("uvwx"), unique=True).flatmap(
        lambda names: st.tuples(*map(advertisements, sorted(names)))
    ),
)
snapshots = st.builds(
    Snapshot,
    intent=intents,
    nodes=st.just({NODE.name: NODE}),
    services=service_maps,
    endpoints=endpoint_maps,
)
"""What `NODE` may have to announce."""
