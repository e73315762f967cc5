"""Which routes a node announces to which peer, rule by rule, and what stops the others."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from random import Random
from struct import pack, unpack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.advertise import (
    NodeView,
    RibTable,
    adj_ribs_out,
    merged,
    rib_table,
)
from exabgp_metallb.decisions.bandwidth import BYTES_PER_ENDPOINT, link_bandwidth
from exabgp_metallb.decisions.preconditions import EXCLUDE_LABEL, endpoints_refused
from exabgp_metallb.values.addresses import Prefix
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BgpAdvertisement,
    Community,
    DynamicAsn,
    Intent,
    LargeCommunity,
    Peer,
    Pool,
)
from exabgp_metallb.values.objects import Endpoint, Node, ObjectName, Service, TrafficPolicy
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.rib import AdjRibOut, Attributes, LinkBandwidth
from exabgp_metallb.values.snapshot import Snapshot
from tests import strategies
from tests.effort import lines_run
from tests.unit.decisions.builders import addresses, labels, pool, selector

WEB = ObjectName("default", "web")
HERE, ELSEWHERE = "node1", "node2"


def ready(node: str | None = HERE, **fields: Any) -> Endpoint:  # noqa: ANN401 -- fields of Endpoint
    """Return an endpoint on a node, ready unless told otherwise."""
    return Endpoint(**{"addresses": ("10.244.0.1",), "node": node, "ready": True} | fields)


def ad(name: str = "all", **fields: Any) -> BgpAdvertisement:  # noqa: ANN401 -- as above
    """Return an advertisement of the pool `public`."""
    return BgpAdvertisement(**{"name": name, "pools": frozenset({"public"})} | fields)


def peer(name: str = "tor", address: str = "192.0.2.101", **fields: Any) -> Peer:  # noqa: ANN401
    """Return a peer of AS 64513 to our 64512."""
    fixed = {"name": name, "address": ip_address(address), "my_asn": 64512, "peer_asn": 64513}
    return Peer(**fixed | fields)


PUBLIC = pool("public", "198.51.100.0-198.51.100.255 2001:db8::-2001:db8::ffff")
PRIVATE = pool("private", "10.0.0.0-10.0.0.255")


ANNOUNCED = Service(name=WEB, ingress=addresses("198.51.100.10"))
BARE_NODE = Node(name=HERE)


@dataclass(frozen=True)
class Scene:
    """One Service on a cluster where nothing is in its way."""

    service: Service = ANNOUNCED
    endpoints: tuple[Endpoint, ...] = (ready(),)
    pools: tuple[Pool, ...] = (PUBLIC, PRIVATE)
    ads: tuple[BgpAdvertisement, ...] = (ad(),)
    peers: tuple[Peer, ...] = (peer(),)
    node: Node = BARE_NODE
    ignore_exclude_label: bool = False

    @property
    def intent(self) -> Intent:
        """What the operator asked for."""
        return Intent(pools=self.pools, peers=self.peers, bgp_advertisements=self.ads)

    def table(self) -> RibTable:
        """Return what is decided."""
        view = NodeView(self.intent, self.node, ignore_exclude_label=self.ignore_exclude_label)
        table = RibTable(view)
        table.update(WEB, self.service, self.endpoints)
        return table

    def routes(self, to: str = "tor") -> dict[str, Attributes]:
        """Return what a peer should hold, by the text of the prefix."""
        return {str(prefix): a for prefix, a in self.table().adj_rib_out(to).items()}

    def refused(self) -> Reason | None:
        """Return the rule that stopped the Service."""
        refused = self.table().refused.get(WEB)
        return None if refused is None else refused.reason


def scene(*, ingress: str = "198.51.100.10", **fields: Any) -> Scene:  # noqa: ANN401 -- of Scene
    """Return a scene with other addresses or other fields."""
    return Scene(service=Service(name=WEB, ingress=addresses(ingress)), **fields)


ONE = {"198.51.100.10/32": Attributes()}


def test_a_service_with_nothing_in_its_way_is_announced() -> None:
    """Its address as a host route, with next-hop self."""
    assert Scene().routes() == ONE
    assert Scene().refused() is None


# The rules, in their order (reference 4.1 and 4.2).


def of_service(**fields: Any) -> Callable[[Scene], Scene]:  # noqa: ANN401 -- fields of Service
    """Return what changes the Service of a scene."""
    return lambda scene: replace(scene, service=replace(scene.service, **fields))


def of_ads(**fields: Any) -> Callable[[Scene], Scene]:  # noqa: ANN401 -- of BgpAdvertisement
    """Return what changes every advertisement of a scene."""
    return lambda scene: replace(scene, ads=tuple(replace(ad, **fields) for ad in scene.ads))


def of_node(**fields: Any) -> Callable[[Scene], Scene]:  # noqa: ANN401 -- fields of Node
    """Return what changes the node of a scene."""
    return lambda scene: replace(scene, node=replace(scene.node, **fields))


def second_local_pref(scene: Scene) -> Scene:
    """Add an advertisement that gives the same prefix another local preference."""
    return replace(scene, ads=(*scene.ads, ad("other", local_pref=200)))


def without_endpoints(scene: Scene) -> Scene:
    """Take the endpoints away."""
    return replace(scene, endpoints=())


def without_peers(scene: Scene) -> Scene:
    """Take the peers away."""
    return replace(scene, peers=())


LOCAL = of_service(traffic_policy=TrafficPolicy.LOCAL)

RULES: list[tuple[Reason, Callable[[Scene], Scene]]] = [
    (Reason.INVALID_IP, of_service(foreign_ingress=("lb.example.com",))),
    (Reason.NO_IP_ALLOCATED, of_service(ingress=())),
    (Reason.IP_NOT_ALLOWED, of_service(ingress=addresses("203.0.113.1"))),
    (Reason.NOT_OWNER, of_ads(node_selectors=(selector("rack=a"),))),
    (Reason.NO_MATCHING_ADVERTISEMENT, of_ads(service_selectors=(selector("app=web"),))),
    (Reason.CONFLICTING_ADVERTISEMENTS, second_local_pref),
    (Reason.NODE_NETWORK_UNAVAILABLE, of_node(network_available=False)),
    (Reason.NODE_LABELED_EXCLUDE_BALANCERS, of_node(labels=labels(EXCLUDE_LABEL))),
    (Reason.NO_ENDPOINTS, without_endpoints),
    (Reason.NO_SESSION, without_peers),
]


@pytest.mark.parametrize(("reason", "break_it"), RULES, ids=[str(reason) for reason, _ in RULES])
def test_each_rule_stops_a_service(reason: Reason, break_it: Callable[[Scene], Scene]) -> None:
    """Alone, with a message, and without a route."""
    broken = break_it(Scene())
    assert broken.refused() is reason
    assert broken.table().refused[WEB].message
    assert not any(broken.routes(s.peer.name) for s in broken.table().view.sessions)


@pytest.mark.parametrize("policy", TrafficPolicy)
@pytest.mark.parametrize("first", range(len(RULES)), ids=[str(reason) for reason, _ in RULES])
def test_the_first_rule_that_fails_is_the_reason(first: int, policy: TrafficPolicy) -> None:
    """Whatever else is wrong further down."""
    broken = replace(Scene(), service=replace(Scene().service, traffic_policy=policy))
    for reason, break_it in reversed(RULES[first:]):
        if reason is Reason.NO_IP_ALLOCATED and first < RULES.index((reason, break_it)):
            continue  # an invalid address beside a valid one
        broken = break_it(broken)
    expected = RULES[first][0]
    if expected is Reason.NO_ENDPOINTS and policy is TrafficPolicy.LOCAL:
        expected = Reason.NO_LOCAL_ENDPOINTS
    assert broken.refused() is expected


@pytest.mark.parametrize(
    ("ingress", "foreign", "message"),
    [
        pytest.param(
            "",
            ("a.example", "b"),
            "status.loadBalancer.ingress holds a.example, b, which is no IP address",
            id="hostnames only",
        ),
        pytest.param(
            "203.0.113.1",
            (),
            "203.0.113.1 is in no IPAddressPool: the addresses of a Service must be in one pool",
            id="outside every pool",
        ),
        pytest.param(
            "2001:db8::1 10.0.0.1",
            (),
            "10.0.0.1 is in IPAddressPool private, 2001:db8::1 is in IPAddressPool public: "
            "the addresses of a Service must be in one pool",
            id="in two pools",
        ),
        pytest.param(
            "203.0.113.1 2001:db8::1",
            (),
            "203.0.113.1 is in no IPAddressPool, 2001:db8::1 is in IPAddressPool public: "
            "the addresses of a Service must be in one pool",
            id="only the second in a pool",
        ),
    ],
)
def test_addresses_that_are_not_announced(
    ingress: str, foreign: tuple[str, ...], message: str
) -> None:
    """The message tells which address lies where."""
    service = Service(name=WEB, ingress=addresses(ingress), foreign_ingress=foreign)
    assert Scene(service=service).table().refused[WEB].message == message


@pytest.mark.parametrize(
    ("node", "ignore", "announced"),
    [
        pytest.param(Node(name=HERE, labels=labels(EXCLUDE_LABEL)), True, True, id="label ignored"),
        pytest.param(
            Node(name=HERE, labels=labels(f"{EXCLUDE_LABEL}=false")), False, False, id="any value"
        ),
        pytest.param(Node(name=HERE, ready=False), False, True, id="NotReady is not looked at"),
        pytest.param(
            Node(name=HERE, network_available=False), True, False, id="NetworkUnavailable counts"
        ),
    ],
)
def test_what_a_node_must_be(
    node: Node,
    ignore: bool,  # noqa: FBT001 -- a column of the table
    announced: bool,  # noqa: FBT001 -- as above
) -> None:
    """Reference 2.4."""
    assert bool(Scene(node=node, ignore_exclude_label=ignore).routes()) is announced


# Endpoints (reference 2.3, rules 6 and 7).

SERVING = [
    pytest.param(ready(), True, id="ready"),
    pytest.param(ready(ready=None), True, id="ready unset"),
    pytest.param(ready(ready=False), False, id="not ready"),
    pytest.param(ready(ready=False, serving=True), True, id="not ready but serving"),
    pytest.param(ready(ready=False, serving=False), False, id="neither"),
    pytest.param(ready(ready=True, serving=False), True, id="ready but not serving"),
    pytest.param(ready(ready=None, serving=False), True, id="unset and not serving"),
    pytest.param(
        ready(ready=False, serving=True, terminating=True), True, id="terminating, still serving"
    ),
    pytest.param(ready(ready=False, terminating=True), False, id="terminating"),
    pytest.param(ready(addresses=()), False, id="without an address"),
]


@pytest.mark.parametrize("policy", TrafficPolicy)
@pytest.mark.parametrize(("endpoint", "serves"), SERVING)
def test_which_endpoints_serve(
    endpoint: Endpoint,
    serves: bool,  # noqa: FBT001 -- a column of the table
    policy: TrafficPolicy,
) -> None:
    """The rule is the same for both policies."""
    service = Service(name=WEB, traffic_policy=policy)
    refused = endpoints_refused(service, [endpoint], Node(name=HERE))
    assert (refused is None) is serves


@pytest.mark.parametrize(
    ("policy", "endpoints", "reason"),
    [
        pytest.param("Cluster", [ready(ELSEWHERE)], None, id="Cluster, elsewhere"),
        pytest.param("Cluster", [ready(None)], None, id="Cluster, nodeName missing"),
        pytest.param("Local", [ready(ELSEWHERE)], "noLocalEndpoints", id="Local, elsewhere"),
        pytest.param("Local", [ready(None)], "noLocalEndpoints", id="Local, nodeName missing"),
        pytest.param("Local", [ready(ELSEWHERE), ready()], None, id="Local, here and elsewhere"),
        pytest.param(
            "Local",
            [ready(ready=False), ready(ELSEWHERE)],
            "noLocalEndpoints",
            id="Local, here but not ready",
        ),
        pytest.param("Local", [], "noLocalEndpoints", id="Local, none"),
        pytest.param("Cluster", [], "noEndpoints", id="Cluster, none"),
        pytest.param("Cluster", [ready(ready=False)], "noEndpoints", id="Cluster, none ready"),
        pytest.param(
            "Cluster", [ready(ready=False), ready(ELSEWHERE)], None, id="Cluster, one of two ready"
        ),
    ],
)
def test_where_endpoints_must_be(
    policy: str, endpoints: list[Endpoint], reason: str | None
) -> None:
    """Local needs one here; any policy needs one somewhere."""
    service = Service(name=WEB, traffic_policy=TrafficPolicy(policy))
    refused = endpoints_refused(service, endpoints, Node(name=HERE))
    assert (None if refused is None else str(refused.reason)) == reason


def test_the_message_tells_where_the_endpoints_are() -> None:
    """Sorted, each node once."""
    service = Service(name=WEB, traffic_policy=TrafficPolicy.LOCAL)
    endpoints = [ready("node3"), ready("node2"), ready("node3"), ready(None)]
    refused = endpoints_refused(service, endpoints, Node(name=HERE))
    assert refused == Refused(
        Reason.NO_LOCAL_ENDPOINTS,
        "externalTrafficPolicy is Local and no serving endpoint is on node1; "
        "they are on node2, node3",
    )


# Advertisements.

RACK = Node(name=HERE, labels=labels("rack=a"))
FRONT = Service(name=WEB, labels=labels("app=web tier=front"), ingress=addresses("198.51.100.10"))


@pytest.mark.parametrize(
    ("where", "announced"),
    [
        pytest.param(Scene(ads=()), False, id="no advertisement"),
        pytest.param(
            Scene(ads=(ad(pools=frozenset({"private"})),)), False, id="one of another pool"
        ),
        pytest.param(
            Scene(ads=(ad(pools=frozenset({"private", "public"})),)), True, id="one of two pools"
        ),
        pytest.param(
            Scene(ads=(ad(node_selectors=(selector("rack=a"),)),), node=RACK), True, id="node"
        ),
        pytest.param(
            Scene(ads=(ad(node_selectors=(selector("rack=b"), selector("rack=a"))),), node=RACK),
            True,
            id="node, one of two selectors",
        ),
        pytest.param(
            Scene(ads=(ad(node_selectors=(selector("rack=b"),)),), node=RACK),
            False,
            id="another node",
        ),
        pytest.param(
            Scene(ads=(ad(service_selectors=(selector("app=web"),)),), service=FRONT),
            True,
            id="service",
        ),
        pytest.param(
            Scene(
                ads=(ad(service_selectors=(selector("app=db"), selector("tier=front"))),),
                service=FRONT,
            ),
            True,
            id="service, one of two selectors",
        ),
        pytest.param(
            Scene(ads=(ad(service_selectors=(selector("app=db"),)),), service=FRONT),
            False,
            id="another service",
        ),
        pytest.param(
            Scene(ads=(ad(service_selectors=(selector("app=db"),)), ad("rest")), service=FRONT),
            True,
            id="another service, and one for all",
        ),
    ],
)
def test_which_advertisements_count(where: Scene, announced: bool) -> None:  # noqa: FBT001
    """By pool, node and Service."""
    assert bool(where.routes()) is announced


@pytest.mark.parametrize(
    ("ingress", "fields", "prefixes"),
    [
        pytest.param("198.51.100.10", {}, ["198.51.100.10/32"], id="IPv4"),
        pytest.param("2001:db8::10", {}, ["2001:db8::10/128"], id="IPv6"),
        pytest.param(
            "198.51.100.10", {"aggregation_v4": 24}, ["198.51.100.0/24"], id="IPv4 aggregated"
        ),
        pytest.param(
            "198.51.100.10", {"aggregation_v6": 64}, ["198.51.100.10/32"], id="of IPv6 only"
        ),
        pytest.param("2001:db8::10", {"aggregation_v6": 64}, ["2001:db8::/64"], id="IPv6"),
        pytest.param("198.51.100.10", {"aggregation_v4": 1}, ["128.0.0.0/1"], id="as short as can"),
        pytest.param(
            "2001:db8::10 198.51.100.10",
            {"aggregation_v4": 26, "aggregation_v6": 120},
            ["198.51.100.0/26", "2001:db8::/120"],
            id="both families",
        ),
    ],
)
def test_aggregation(ingress: str, fields: dict[str, Any], prefixes: list[str]) -> None:
    """The address masked to the length of its family (reference 4.3)."""
    where = scene(ingress=ingress, ads=(ad(**fields),), peers=(DUAL,), node=DUAL_NODE)
    assert sorted(where.routes()) == prefixes


def test_advertisements_of_several_lengths_are_all_announced() -> None:
    """Each with its own attributes."""
    wide = ad("wide", aggregation_v4=24, communities=(Community(1, 1),))
    assert Scene(ads=(wide, ad())).routes() == {
        "198.51.100.10/32": Attributes(),
        "198.51.100.0/24": Attributes(communities=(Community(1, 1),)),
    }


def test_advertisements_of_one_prefix_unite_their_communities() -> None:
    """Sorted, each once."""
    one = ad("one", communities=(Community(2, 2), Community(3, 3)))
    two = ad(
        "two",
        communities=(Community(1, 1), Community(2, 2)),
        large_communities=(LargeCommunity(1, 1, 1),),
    )
    assert Scene(ads=(one, two)).routes() == {
        "198.51.100.10/32": Attributes(
            communities=(Community(1, 1), Community(2, 2), Community(3, 3)),
            large_communities=(LargeCommunity(1, 1, 1),),
        )
    }


# Local preferences and their conflicts (reference 4.4).


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        pytest.param({}, {}, False, id="none has any"),
        pytest.param({"local_pref": 100}, {"local_pref": 100}, False, id="the same"),
        pytest.param({"local_pref": 100}, {"local_pref": 200}, True, id="two"),
        pytest.param({}, {"local_pref": 200}, True, id="one and none"),
        pytest.param(
            {"local_pref": 100, "aggregation_v4": 24},
            {"local_pref": 200},
            True,
            id="other lengths of IPv4, the same of IPv6",
        ),
        pytest.param(
            {"local_pref": 100, "aggregation_v4": 24, "aggregation_v6": 64},
            {"local_pref": 200},
            False,
            id="other lengths of both",
        ),
        pytest.param(
            {"local_pref": 100, "peers": frozenset({"tor"})},
            {"local_pref": 200, "peers": frozenset({"tor2"})},
            False,
            id="other peers",
        ),
        pytest.param(
            {"local_pref": 100, "peers": frozenset({"tor", "tor2"})},
            {"local_pref": 200, "peers": frozenset({"tor2"})},
            True,
            id="a peer in common",
        ),
        pytest.param(
            {"local_pref": 100, "peers": frozenset({"tor"})},
            {"local_pref": 200},
            True,
            id="some peers and all peers",
        ),
        pytest.param(
            {"local_pref": 100},
            {"local_pref": 200, "node_selectors": (selector("rack=b"),)},
            False,
            id="another node's",
        ),
        pytest.param(
            {"local_pref": 100},
            {"local_pref": 200, "service_selectors": (selector("app=db"),)},
            False,
            id="another Service's",
        ),
        pytest.param(
            {"local_pref": 100},
            {"local_pref": 200, "pools": frozenset({"private"})},
            False,
            id="another pool's",
        ),
    ],
)
def test_when_local_preferences_are_in_conflict(
    one: dict[str, Any],
    other: dict[str, Any],
    conflict: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Then the Service is announced to nobody; else it is."""
    ibgp = (peer(peer_asn=64512), peer("tor2", "192.0.2.102", peer_asn=64512))
    where = Scene(ads=(ad("one", **one), ad("two", **other)), peers=ibgp)
    assert (where.refused() is Reason.CONFLICTING_ADVERTISEMENTS) is conflict
    assert bool(where.routes()) is not conflict


def test_the_families_of_the_pool_decide_what_may_conflict() -> None:
    """Equal lengths in a family that the pool does not have do no harm."""
    ads = (ad("one", aggregation_v4=24, local_pref=100), ad("two", local_pref=200))
    assert Scene(ads=ads).refused() is Reason.CONFLICTING_ADVERTISEMENTS
    narrow = replace(PUBLIC, ranges=PUBLIC.ranges[:1])
    assert Scene(ads=ads, pools=(narrow,)).refused() is None


def test_the_message_of_a_conflict_names_both() -> None:
    """And what they say; 0 stands for none, as in the resource."""
    assert second_local_pref(Scene()).table().refused[WEB].message == (
        "BGPAdvertisements all and other give one prefix localPref 0 and 200: make them equal"
    )


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        pytest.param({}, {"med": 0}, "med none and 0", id="a MED of 0 is one"),
        pytest.param({"med": 5}, {"med": 6}, "med 5 and 6", id="MED"),
        pytest.param({}, {"as_path_prepend": 2}, "asPathPrepend 0 and 2", id="prepended"),
        pytest.param(
            {"local_pref": 7, "med": 1}, {"med": 2}, "localPref 7 and 0", id="the first is told"
        ),
    ],
)
def test_a_route_has_one_med_and_one_path(
    one: dict[str, Any], other: dict[str, Any], said: str
) -> None:
    """They are in conflict as local preferences are."""
    table = Scene(ads=(ad("a", **one), ad("b", **other))).table()
    assert table.refused[WEB] == Refused(
        Reason.CONFLICTING_ADVERTISEMENTS,
        f"BGPAdvertisements a and b give one prefix {said}: make them equal",
    )


def test_every_peer_is_told_a_med() -> None:
    """It is for neighboring ASes, and iBGP peers may have it as well."""
    for to in (peer(), peer(peer_asn=64512)):
        where = Scene(ads=(ad(med=0),), peers=(to,))
        assert where.routes() == {"198.51.100.10/32": Attributes(med=0)}


@pytest.mark.parametrize(
    ("to", "path"),
    [
        pytest.param(peer(), (64512, 64512, 64512), id="eBGP"),
        pytest.param(peer(peer_asn=DynamicAsn.EXTERNAL), (64512, 64512, 64512), id="external"),
        pytest.param(peer(peer_asn=64512), (), id="iBGP"),
        pytest.param(peer(peer_asn=DynamicAsn.INTERNAL), (), id="internal"),
        pytest.param(peer(local_asn=65000), (65000, 65000, 65000), id="by localASN"),
        pytest.param(peer(my_asn=0), (), id="our AS is not known yet"),
    ],
)
def test_the_path_has_our_as_so_many_times_more(to: Peer, path: tuple[int, ...]) -> None:
    """All of it is told, since ExaBGP adds nothing; an iBGP peer would drop a path with its AS."""
    where = Scene(ads=(ad(as_path_prepend=2),), peers=(to,))
    assert where.routes() == {"198.51.100.10/32": Attributes(as_path=path)}


# Link bandwidth.


def bandwidth(table: RibTable, prefix: str = "198.51.100.10/32", to: str = "tor") -> int | None:
    """Return the endpoints that a route tells of; 0 where it tells that there is none."""
    told = table.adj_rib_out(to)[ip_network(prefix)].link_bandwidth
    if told is None:
        return None
    return told.bytes_per_second // BYTES_PER_ENDPOINT


BY_ENDPOINT = ad(link_bandwidth=BandwidthSource.ENDPOINTS)
SOME = ad("some", communities=(Community(1, 1),))


@pytest.mark.parametrize(
    ("endpoints", "told"),
    [
        pytest.param([ready()], 1, id="one"),
        pytest.param([ready(), ready(), ready(ELSEWHERE)], 2, id="two here, one elsewhere"),
        pytest.param([ready(), ready(ready=False)], 1, id="one that does not serve"),
        pytest.param([ready(), ready(ready=False, serving=True)], 2, id="one that goes, serving"),
        pytest.param([ready(), ready(addresses=())], 1, id="one without an address"),
        pytest.param([ready(), ready(None)], 1, id="one without a node"),
        pytest.param([ready(ELSEWHERE)], 0, id="all elsewhere"),
        pytest.param([ready(None)], 0, id="all without a node"),
    ],
)
def test_a_route_tells_of_the_endpoints_here(endpoints: list[Endpoint], told: int) -> None:
    """Those that serve and are known to be on this node."""
    where = Scene(ads=(BY_ENDPOINT,), endpoints=tuple(endpoints))
    assert bandwidth(where.table()) == told
    assert bandwidth(replace(where, ads=(ad(),)).table()) is None


@pytest.mark.parametrize(
    ("asn", "endpoints", "told"),
    [
        pytest.param(64512, 1, LinkBandwidth(64512, 125_000), id="one"),
        pytest.param(64512, 0, LinkBandwidth(64512, 1_250), id="none: little, not nothing"),
        pytest.param(65535, 3, LinkBandwidth(65535, 375_000), id="the last ASN of 16 bits"),
        pytest.param(65536, 3, LinkBandwidth(23456, 375_000), id="an ASN of 32 bits"),
        pytest.param(0, 3, LinkBandwidth(23456, 375_000), id="an ASN that is not known yet"),
        pytest.param(1, 1073, LinkBandwidth(1, 134_125_000), id="a float of 32 bits is exact"),
        pytest.param(1, 1075, LinkBandwidth(1, 134_375_008), id="or nearly"),
        pytest.param(1, 10**6, LinkBandwidth(1, 2**32 - 256), id="no more than 32 bits"),
    ],
)
def test_what_is_told_of_endpoints(asn: int, endpoints: int, told: LinkBandwidth) -> None:
    """1 Mbit/s for each, of a sender of 16 bits."""
    assert link_bandwidth(asn, endpoints) == told


@given(st.integers(0, 30_000), st.integers(1, 30_000))
def test_more_endpoints_are_told_as_more(some: int, more: int) -> None:
    """Also where the float rounds; and what it holds comes back from the wire as it was."""
    few, many = (link_bandwidth(1, n).bytes_per_second for n in (some, some + more))
    assert few < many
    assert unpack("!f", pack("!f", many)) == (many,)


def test_the_endpoints_of_a_shared_address_are_added_up() -> None:
    """Each Service once, however many advertisements ask; those of a Service that goes, go."""
    both = (BY_ENDPOINT, replace(BY_ENDPOINT, name="too", communities=(Community(1, 1),)), SOME)
    table = Scene(ads=both, endpoints=(ready(), ready())).table()
    assert bandwidth(table) == 2
    other = Service(name=OTHER, ingress=addresses("198.51.100.10"))
    table.update(OTHER, other, [ready()] * 3)
    assert bandwidth(table) == 5
    assert table.update(OTHER, other, [ready()] * 4) == TOUCHED
    assert bandwidth(table) == 6
    table.update(WEB, None, ())
    assert bandwidth(table) == 4
    assert table.adj_rib_out("tor")[TOUCHED[0][1]].communities == (Community(1, 1),)
    table.update(OTHER, None, ())
    assert table.adj_rib_out("tor") == {}


def test_two_addresses_below_one_aggregate_count_once() -> None:
    """The pods behind them are the same."""
    wide = replace(BY_ENDPOINT, aggregation_v4=24)
    where = scene(ingress="198.51.100.10 198.51.100.11", ads=(wide,), endpoints=(ready(),) * 3)
    assert bandwidth(where.table(), "198.51.100.0/24") == 3


def test_one_advertisement_that_asks_is_enough() -> None:
    """The link bandwidth is a community, and the communities of several are united."""
    assert bandwidth(Scene(ads=(BY_ENDPOINT, SOME)).table()) == 1


def test_each_peer_is_told_by_the_as_that_it_knows() -> None:
    """The same endpoints, of another sender."""
    peers = (peer(), peer("tor2", "192.0.2.102", local_asn=65000))
    table = Scene(ads=(BY_ENDPOINT,), peers=peers).table()
    told = [table.adj_rib_out(s.peer.name)[TOUCHED[0][1]] for s in table.view.sessions]
    assert [a.link_bandwidth and a.link_bandwidth.asn for a in told] == [64512, 65000]


def test_routes_of_as_many_endpoints_share_their_attributes() -> None:
    """Also those that several Services ask for."""
    table = Scene(ads=(BY_ENDPOINT,), endpoints=(ready(),) * 2).table()
    for name, address in (("x", "198.51.100.11"), ("y", "198.51.100.11")):
        service = Service(name=ObjectName("default", name), ingress=addresses(address))
        table.update(service.name, service, [ready()])
    one, two = table.adj_rib_out("tor").values()
    assert one is two


def test_a_change_of_endpoints_asks_nobody_else() -> None:
    """Below an aggregate of a thousand Services it costs what it costs below one of two."""

    def cost(services: int) -> int:
        table = Scene(ads=(replace(BY_ENDPOINT, aggregation_v4=24),)).table()
        for n in range(services):
            name = ObjectName("default", f"s{n}")
            table.update(name, Service(name=name, ingress=addresses("198.51.100.9")), [ready()])
        return lines_run(lambda: table.update(WEB, ANNOUNCED, [ready()] * 2))

    assert cost(1000) <= cost(2) * 2


@pytest.mark.parametrize(
    ("to", "sent"),
    [
        pytest.param(peer(), None, id="eBGP"),
        pytest.param(peer(peer_asn=64512), 200, id="iBGP"),
        pytest.param(peer(local_asn=64513), 200, id="iBGP by localASN"),
        pytest.param(peer(peer_asn=64512, local_asn=64513), None, id="eBGP by localASN"),
    ],
)
def test_only_internal_peers_are_told_a_local_preference(to: Peer, sent: int | None) -> None:
    """RFC 4271 section 5.1.5."""
    where = Scene(ads=(ad(local_pref=200),), peers=(to,))
    assert where.routes() == {"198.51.100.10/32": Attributes(local_pref=sent)}


# Peers.


@pytest.mark.parametrize(
    ("ads", "told"),
    [
        pytest.param((ad(),), {"tor", "tor2"}, id="all"),
        pytest.param((ad(peers=frozenset({"tor"})),), {"tor"}, id="one"),
        pytest.param((ad(peers=frozenset({"tor2", "gone"})),), {"tor2"}, id="one, and a stranger"),
        pytest.param((ad(peers=frozenset({"gone"})),), set(), id="only a stranger"),
        pytest.param(
            (ad(peers=frozenset({"tor"})), ad("two", peers=frozenset({"tor2"}))),
            {"tor", "tor2"},
            id="one each",
        ),
    ],
)
def test_which_peers_are_told(ads: tuple[BgpAdvertisement, ...], told: set[str]) -> None:
    """Those that an advertisement names; all where it names none."""
    where = Scene(ads=ads, peers=(peer(), peer("tor2", "192.0.2.102")))
    assert {name for name in ("tor", "tor2") if where.routes(name)} == told
    assert (where.refused() is Reason.NO_SESSION) is (not told)


def test_each_peer_is_told_its_own_attributes() -> None:
    """Communities go where their advertisement goes."""
    ads = (ad(), ad("marked", communities=(Community(1, 1),), peers=frozenset({"tor2"})))
    where = Scene(ads=ads, peers=(peer(), peer("tor2", "192.0.2.102")))
    assert where.routes("tor") == ONE
    assert where.routes("tor2") == {"198.51.100.10/32": Attributes(communities=(Community(1, 1),))}


def test_a_peer_that_does_not_select_the_node_has_no_table() -> None:
    """It is not one of the node's sessions."""
    where = Scene(peers=(peer(), peer("far", node_selectors=(selector("rack=z"),))))
    assert [s.peer.name for s in where.table().view.sessions] == ["tor"]
    with pytest.raises(KeyError):
        where.table().adj_rib_out("far")


# Families and next hops (reference 4.3; the next hop of the other family is ours).

DUAL = peer(dual_stack=True)
DUAL_NODE = Node(name=HERE, internal_ips=addresses("192.0.2.1 2001:db8:f::1 2001:db8:f::2"))
V4_NODE = Node(name=HERE, internal_ips=addresses("192.0.2.1"))
OVER_V6 = "2001:db8:f::101"
V4, V6 = "198.51.100.10", "2001:db8::10"
SELF = Attributes()


@pytest.mark.parametrize(
    ("to", "node", "routes"),
    [
        pytest.param(peer(), DUAL_NODE, {V4: SELF}, id="IPv4 session"),
        pytest.param(peer(address=OVER_V6), DUAL_NODE, {V6: SELF}, id="IPv6 session"),
        pytest.param(
            DUAL,
            DUAL_NODE,
            {V4: SELF, V6: Attributes(next_hop=ip_address("2001:db8:f::1"))},
            id="both over IPv4",
        ),
        pytest.param(
            peer(address=OVER_V6, dual_stack=True),
            DUAL_NODE,
            {V4: Attributes(next_hop=ip_address("192.0.2.1")), V6: SELF},
            id="both over IPv6",
        ),
        pytest.param(DUAL, V4_NODE, {V4: SELF}, id="no address of the other family"),
        pytest.param(
            peer(address=OVER_V6, dual_stack=True),
            Node(name=HERE),
            {V6: SELF},
            id="no address at all",
        ),
        pytest.param(
            replace(peer(), address=None, interface="eth0"),
            DUAL_NODE,
            {
                V4: Attributes(next_hop=ip_address("192.0.2.1")),
                V6: Attributes(next_hop=ip_address("2001:db8:f::1")),
            },
            id="unnumbered",
        ),
    ],
)
def test_families_and_next_hops(to: Peer, node: Node, routes: Mapping[str, Attributes]) -> None:
    """A session carries its family; both if asked to, the other one with the node's address."""
    where = scene(ingress=f"{V4} {V6}", peers=(to,), node=node)
    found = {prefix.partition("/")[0]: a for prefix, a in where.routes().items()}
    assert found == routes


def test_a_family_that_no_session_carries_is_told_of() -> None:
    """With what would help."""
    refused = scene(ingress=V6).table().refused[WEB]
    assert refused.reason is Reason.NO_SESSION
    assert "IPv6" in refused.message
    assert "dualStackAddressFamily" in refused.message


# Several Services and one route.

OTHER = ObjectName("default", "other")


def shared(**fields: Any) -> tuple[RibTable, Service]:  # noqa: ANN401 -- fields of BgpAdvertisement
    """Return a table with two Services on one address, and the second of them."""
    table = Scene(ads=(ad(**fields),)).table()
    other = Service(name=OTHER, ingress=addresses("198.51.100.10"))
    table.update(OTHER, other, [ready()])
    return table, other


TOUCHED = (("tor", ip_network("198.51.100.10/32")),)


def test_a_route_stays_while_one_of_its_services_does() -> None:
    """Shared addresses are announced until the last holder goes."""
    table, other = shared()
    prefix = TOUCHED[0][1]
    assert table.services_of("tor", prefix) == (OTHER, WEB)
    table.update(WEB, None, ())
    assert table.services_of("tor", prefix) == (OTHER,)
    assert prefix in table.adj_rib_out("tor")
    assert table.update(OTHER, other, ()) == TOUCHED
    assert table.services_of("tor", prefix) == ()
    assert table.adj_rib_out("tor") == {}
    assert table.refused[OTHER].reason is Reason.NO_ENDPOINTS
    assert table.update(OTHER, None, ()) == ()
    assert table.refused == {}


def test_services_below_one_aggregate_share_a_route() -> None:
    """One that is not announced does not keep it."""
    table = Scene(ads=(ad(aggregation_v4=24),)).table()
    neighbour = Service(name=OTHER, ingress=addresses("198.51.100.77"))
    assert table.update(OTHER, neighbour, [ready()])
    assert list(map(str, table.adj_rib_out("tor"))) == ["198.51.100.0/24"]
    table.update(WEB, Scene().service, ())
    assert table.services_of("tor", ip_network("198.51.100.0/24")) == (OTHER,)


def test_services_of_two_pools_below_one_aggregate_get_the_better_local_preference() -> None:
    """Parsing cannot see that conflict; the order of the resources must not decide it."""
    ads = (
        ad("one", aggregation_v4=1, local_pref=100),
        ad("two", aggregation_v4=1, local_pref=300, pools=frozenset({"far"})),
    )
    where = Scene(ads=ads, pools=(PUBLIC, pool("far", "203.0.113.0-203.0.113.255")))
    where = replace(where, peers=(peer(peer_asn=64512),))
    table = where.table()
    table.update(OTHER, Service(name=OTHER, ingress=addresses("203.0.113.1")), [ready()])
    assert table.adj_rib_out("tor") == {ip_network("128.0.0.0/1"): Attributes(local_pref=300)}
    table.update(OTHER, None, ())
    assert table.adj_rib_out("tor") == {ip_network("128.0.0.0/1"): Attributes(local_pref=100)}


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        pytest.param(Attributes(med=5), Attributes(med=3), Attributes(med=3), id="lower MED"),
        pytest.param(Attributes(med=0), Attributes(), Attributes(), id="no MED is the lowest"),
        pytest.param(
            Attributes(as_path=(1, 1, 1)),
            Attributes(as_path=(1, 1)),
            Attributes(as_path=(1, 1)),
            id="shorter path",
        ),
        pytest.param(Attributes(as_path=(1, 1)), Attributes(), Attributes(), id="the usual path"),
    ],
)
def test_the_better_of_two_preferences(
    one: Attributes, other: Attributes, better: Attributes
) -> None:
    """As with local preferences, in whatever order they come."""
    assert merged([one, other]) == merged([other, one]) == better


def test_only_what_changed_is_touched() -> None:
    """The same decision again touches nothing."""
    table = Scene().table()
    assert table.update(WEB, Scene().service, [ready(), ready(ELSEWHERE)]) == ()
    moved = Service(name=WEB, ingress=addresses("198.51.100.11"))
    old, new = ip_network("198.51.100.10/32"), ip_network("198.51.100.11/32")
    assert table.update(WEB, moved, [ready()]) == (("tor", old), ("tor", new))
    assert table.update(WEB, None, ()) == (("tor", new),)
    assert table.update(ObjectName("default", "stranger"), None, ()) == ()


def test_equal_unions_are_one_object() -> None:
    """Ten thousand routes of two advertisements hold their attributes once."""
    ads = (ad("one", communities=(Community(1, 1),)), ad("two", communities=(Community(2, 2),)))
    table = scene(ingress="198.51.100.10", ads=ads).table()
    table.update(OTHER, Service(name=OTHER, ingress=addresses("198.51.100.11")), [ready()])
    one, two = table.adj_rib_out("tor").values()
    assert one is two


# Whatever happened before.

Decided = tuple[dict[str, AdjRibOut], dict[ObjectName, Refused], dict[Any, tuple[ObjectName, ...]]]


def decided(table: RibTable) -> Decided:
    """Return all that a table tells."""
    names = [s.peer.name for s in table.view.sessions]
    ribs: dict[str, AdjRibOut] = {name: dict(table.adj_rib_out(name)) for name in names}
    services = {(n, p): table.services_of(n, p) for n, rib in ribs.items() for p in rib}
    return ribs, dict(table.refused), services


updates = st.lists(
    st.sampled_from(strategies.SERVICE_NAMES).flatmap(
        lambda name: st.tuples(
            st.just(name), st.none() | strategies.services(name), strategies.endpoint_tuples
        )
    ),
    max_size=12,
)


@given(strategies.snapshots, updates, st.randoms(use_true_random=False))
def test_a_table_holds_what_one_made_from_scratch_holds(
    snapshot: Snapshot,
    before: Iterable[tuple[ObjectName, Service | None, tuple[Endpoint, ...]]],
    random: Random,
) -> None:
    """In whatever order, and after whatever states in between, it learned of the Services."""
    view = NodeView(snapshot.intent, strategies.NODE)
    table = RibTable(view)
    for update in before:
        table.update(*update)
    names = list(strategies.SERVICE_NAMES)
    random.shuffle(names)
    for name in names:
        table.update(name, snapshot.services.get(name), snapshot.endpoints.get(name, ()))
    assert decided(table) == decided(rib_table(snapshot, view))


@given(strategies.snapshots, updates)
def test_what_an_update_returns_is_all_that_changed(
    snapshot: Snapshot, after: Iterable[tuple[ObjectName, Service | None, tuple[Endpoint, ...]]]
) -> None:
    """Routes that were not touched are as they were."""
    table = rib_table(snapshot, NodeView(snapshot.intent, strategies.NODE))
    for update in after:
        old, _, _ = decided(table)
        touched = set(table.update(*update))
        new, _, _ = decided(table)
        assert touched >= {
            (peer, prefix)
            for peer in new
            for prefix in {**old[peer], **new[peer]}
            if old[peer].get(prefix) != new[peer].get(prefix)
        }


def shuffled(snapshot: Snapshot, random: Random) -> Snapshot:
    """Return the same snapshot with everything in another order."""

    def mixed(items: Iterable[Any]) -> list[Any]:
        several = list(items)
        random.shuffle(several)
        return several

    intent = snapshot.intent
    return replace(
        snapshot,
        intent=replace(
            intent,
            pools=tuple(mixed(intent.pools)),
            peers=tuple(mixed(intent.peers)),
            bgp_advertisements=tuple(mixed(intent.bgp_advertisements)),
        ),
        services=dict(mixed(snapshot.services.items())),
        endpoints={k: tuple(mixed(v)) for k, v in mixed(snapshot.endpoints.items())},
    )


@given(strategies.snapshots, st.randoms(use_true_random=False))
def test_the_order_in_which_objects_come_shows_nowhere(snapshot: Snapshot, random: Random) -> None:
    """Equal objects give equal routes and equal refusals, to the word."""
    tables = [
        rib_table(s, NodeView(s.intent, strategies.NODE))
        for s in (snapshot, shuffled(snapshot, random))
    ]
    assert decided(tables[0]) == decided(tables[1])


@given(strategies.snapshots)
def test_every_service_is_announced_or_refused(snapshot: Snapshot) -> None:
    """One of the two, and each route covers an address of each of its Services."""
    table = rib_table(snapshot, NodeView(snapshot.intent, strategies.NODE))
    _, refused, services = decided(table)
    announced = {name for names in services.values() for name in names}
    assert announced | refused.keys() == snapshot.services.keys()
    assert not announced & refused.keys()
    for (_, prefix), names in services.items():
        for name in names:
            assert any(covers(prefix, address) for address in snapshot.services[name].ingress)


def covers(prefix: Prefix, address: object) -> bool:
    """Tell whether an address lies in a prefix."""
    return address in prefix


@given(strategies.snapshots)
def test_all_ribs_together(snapshot: Snapshot) -> None:
    """`adj_ribs_out` tells of every peer of the node, also of those without routes."""
    table = rib_table(snapshot, NodeView(snapshot.intent, strategies.NODE))
    assert adj_ribs_out(snapshot, strategies.NODE) == decided(table)[0]
