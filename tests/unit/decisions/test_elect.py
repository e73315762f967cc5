"""Who answers for an address on layer 2: MetalLB's rules one by one, its order, and what moves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.candidates import candidates
from exabgp_metallb.decisions.elect import ElectionTable, election_table
from exabgp_metallb.decisions.electorate import ClusterView
from exabgp_metallb.decisions.preconditions import EXCLUDE_LABEL
from exabgp_metallb.values.intent import Intent, L2Advertisement, NodePreference, Pool
from exabgp_metallb.values.objects import (
    AddressRequest,
    Endpoint,
    Node,
    NodeName,
    ObjectName,
    Service,
    TrafficPolicy,
)
from exabgp_metallb.values.orders import AddressOrder, Slate
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.snapshot import Snapshot
from tests import strategies
from tests.effort import lines_run
from tests.unit.decisions.builders import addresses, labels, pool, selector

WEB, DB = ObjectName("default", "web"), ObjectName("default", "db")
IP = ip_address("10.20.30.1")
PUBLIC = pool("public", "10.0.0.0-10.255.255.255 1000::-2001:db8::ffff")
SHARES = AddressRequest(shares=True)


def ready(node: str | None = "iris1", **fields: Any) -> Endpoint:  # noqa: ANN401 -- fields of Endpoint
    """Return an endpoint on a node, ready unless told otherwise."""
    return Endpoint(**{"addresses": 1, "node": node, "ready": True} | fields)


def ad(name: str = "all", **fields: Any) -> L2Advertisement:  # noqa: ANN401 -- as above
    """Return an advertisement of the pool `public`."""
    return L2Advertisement(**{"name": name, "pools": frozenset({"public"})} | fields)


def nodes(*names: str, **texts: str) -> dict[NodeName, Node]:
    """Return nodes by name, each with the labels of its text."""
    bare = {name: Node(name=name) for name in names}
    return bare | {name: Node(name=name, labels=labels(text)) for name, text in texts.items()}


def prefer(**weights: int) -> tuple[NodePreference, ...]:
    """Return preferences for nodes by their label `rack`."""
    return tuple(NodePreference(w, selector(f"rack={rack}")) for rack, w in weights.items())


ANNOUNCED = Service(name=WEB, ingress=(IP,))
TWO = nodes("iris1", "iris2")


@dataclass(frozen=True)
class Scene:
    """One Service on a cluster where nothing is in its way; iris2 is first for its address."""

    service: Service = ANNOUNCED
    endpoints: tuple[Endpoint, ...] = (ready(), ready("iris2"))
    pools: tuple[Pool, ...] = (PUBLIC,)
    ads: tuple[L2Advertisement, ...] = (ad(),)
    nodes: Mapping[NodeName, Node] = field(default_factory=lambda: TWO)
    others: tuple[Service, ...] = ()
    ignore_exclude_label: bool = False

    def table(self) -> ElectionTable:
        """Return what is decided."""
        services = {service.name: service for service in (self.service, *self.others)}
        intent = Intent(pools=self.pools, l2_advertisements=self.ads)
        view = ClusterView(intent, self.nodes, ignore_exclude_label=self.ignore_exclude_label)
        endpoints = dict.fromkeys(services, self.endpoints)
        return election_table(Snapshot(services=services, endpoints=endpoints), view)

    def candidates(self, address: str = str(IP)) -> str:
        """Return the nodes that may answer for an address, best first."""
        return " ".join(self.table().candidates(ip_address(address)))

    def refused(self, node: NodeName = "iris2") -> Refused | None:
        """Return why a node does not answer."""
        return self.table().refused(self.service, self.endpoints, node)


def test_with_nothing_in_the_way_the_first_answers() -> None:
    """And the other one knows who does."""
    assert Scene().candidates() == "iris2 iris1"
    assert Scene().refused("iris2") is None
    assert Scene().refused("iris1") == Refused(
        Reason.NOT_OWNER, "node iris2 answers; node iris1 is number 2 of 2 candidates"
    )


# The rules, in their order (reference 5.1 and 5.2).

Change = Callable[[Scene], Scene]


def of_service(**fields: Any) -> Change:  # noqa: ANN401 -- fields of Service
    """Return what changes the Service of a scene."""
    return lambda scene: replace(scene, service=replace(scene.service, **fields))


def of_ads(**fields: Any) -> Change:  # noqa: ANN401 -- fields of L2Advertisement
    """Return what changes every advertisement of a scene."""
    return lambda scene: replace(scene, ads=tuple(replace(ad, **fields) for ad in scene.ads))


def of_node(**fields: Any) -> Change:  # noqa: ANN401 -- fields of Node
    """Return what changes iris2."""
    return lambda scene: replace(
        scene, nodes={**scene.nodes, "iris2": replace(scene.nodes["iris2"], **fields)}
    )


def without_endpoints(scene: Scene) -> Scene:
    """Let no endpoint serve."""
    return replace(scene, endpoints=(ready(ready=False), ready("iris2", ready=False)))


def shared_and_picked(scene: Scene) -> Scene:
    """Let the Service be one that shares, and have it picked by its labels."""
    service = replace(scene.service, request=SHARES, labels=labels("app=web"))
    picky = replace(scene.ads[0], name="picky", service_selectors=(selector("app=web"),))
    return replace(scene, service=service, ads=(*scene.ads, picky))


def local_elsewhere(scene: Scene) -> Scene:
    """Let iris1 alone have endpoints of a Service with policy Local."""
    service = replace(scene.service, traffic_policy=TrafficPolicy.LOCAL)
    return replace(scene, service=service, endpoints=tuple(scene.endpoints[:1]))


SHARED_AND_PICKED = (
    "the Service may share its addresses (annotation allow-shared-ip), and picky picks Services by "
    "serviceSelectors: do without one of the two"
)

RULES: list[tuple[Reason, Change, str]] = [
    (
        Reason.INVALID_IP,
        of_service(foreign_ingress=("lb.example.com",)),
        "status.loadBalancer.ingress holds lb.example.com, which is no IP address",
    ),
    (Reason.NO_IP_ALLOCATED, of_service(ingress=()), "the Service has no address yet"),
    (
        Reason.IP_NOT_ALLOWED,
        of_service(ingress=addresses("203.0.113.1")),
        "203.0.113.1 is in no IPAddressPool: the addresses of a Service must be in one pool",
    ),
    (Reason.NO_ENDPOINTS, without_endpoints, "no endpoint of the Service is ready or serving"),
    (
        Reason.SHARED_IP_WITH_SERVICE_SELECTOR,
        shared_and_picked,
        SHARED_AND_PICKED,
    ),
    (
        Reason.NO_MATCHING_ADVERTISEMENT,
        of_ads(node_selectors=(selector("rack=a"),)),
        "the nodeSelectors of all do not select node iris2",
    ),
    (
        Reason.NODE_NETWORK_UNAVAILABLE,
        of_node(network_available=False),
        "node iris2 has the condition NetworkUnavailable=True",
    ),
    (
        Reason.NODE_LABELED_EXCLUDE_BALANCERS,
        of_node(labels=labels(EXCLUDE_LABEL)),
        f"node iris2 has the label {EXCLUDE_LABEL}; remove it to announce from there",
    ),
    (
        Reason.NODE_DRAINED,
        of_node(draining=True),
        "node iris2 is being drained and answers for no address",
    ),
    (
        Reason.NO_LOCAL_ENDPOINTS,
        local_elsewhere,
        "externalTrafficPolicy is Local and no serving endpoint is on iris2; they are on iris1",
    ),
    (
        Reason.NODE_DOWN,
        of_node(ready=False),
        "node iris2 is NotReady, and others are ready",
    ),
]


@pytest.mark.parametrize(("reason", "change", "message"), RULES, ids=[str(r[0]) for r in RULES])
def test_each_rule_stops_a_node(reason: Reason, change: Change, message: str) -> None:
    """Alone, with a message that helps; the node is no candidate."""
    broken = change(Scene())
    assert broken.refused() == Refused(reason, message)
    assert "iris2" not in broken.candidates()


@pytest.mark.parametrize("first", range(len(RULES)), ids=[str(r[0]) for r in RULES])
def test_the_first_rule_that_fails_is_the_reason(first: int) -> None:
    """Whatever else is wrong further down."""
    broken = Scene()
    for reason, change, _ in reversed(RULES[first:]):
        if reason is Reason.NO_IP_ALLOCATED and first == 0:
            continue  # an invalid address beside a valid one
        broken = change(broken)
    refused = broken.refused()
    assert refused is not None
    assert refused.reason is RULES[first][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda scene: replace(scene, ads=()), "no L2Advertisement is for pool public", id="none"
        ),
        pytest.param(
            of_ads(pools=frozenset({"private"})),
            "no L2Advertisement is for pool public",
            id="one of another pool",
        ),
        pytest.param(
            of_ads(service_selectors=(selector("app=web"),)),
            "the serviceSelectors of all do not match the Service's labels",
            id="other Services",
        ),
    ],
)
def test_why_no_advertisement_matches(change: Change, message: str) -> None:
    """The three ways to have none."""
    assert change(Scene()).refused() == Refused(Reason.NO_MATCHING_ADVERTISEMENT, message)
    assert change(Scene()).candidates() == ""


@pytest.mark.parametrize(
    ("change", "candidates"),
    [
        pytest.param(of_node(ready=False), "iris1", id="NotReady"),
        pytest.param(
            lambda scene: replace(
                scene, nodes={n: replace(node, ready=False) for n, node in scene.nodes.items()}
            ),
            "iris2 iris1",
            id="all are NotReady",
        ),
        pytest.param(
            lambda scene: replace(
                scene,
                nodes=nodes("iris1")
                | {"iris2": Node(name="iris2", labels=labels("rack=b"), ready=False)},
                ads=(ad(preferences=prefer(b=100)),),
            ),
            "iris1",
            id="NotReady, whatever its score",
        ),
        pytest.param(
            lambda scene: replace(
                local_elsewhere(of_node(ready=False)(scene)), endpoints=(ready("iris2"),)
            ),
            "iris2",
            id="NotReady, and nobody else can",
        ),
        pytest.param(of_node(draining=True), "iris1", id="draining"),
        pytest.param(of_node(network_available=False), "iris1", id="NetworkUnavailable"),
        pytest.param(of_node(labels=labels(f"{EXCLUDE_LABEL}=false")), "iris1", id="excluded"),
        pytest.param(
            lambda scene: replace(
                of_node(labels=labels(EXCLUDE_LABEL))(scene), ignore_exclude_label=True
            ),
            "iris2 iris1",
            id="label ignored",
        ),
        pytest.param(lambda scene: replace(scene, nodes=nodes("iris1")), "iris1", id="gone"),
        pytest.param(
            lambda scene: replace(scene, endpoints=(ready("iris1"),)),
            "iris2 iris1",
            id="Cluster, endpoints elsewhere",
        ),
        pytest.param(
            lambda scene: replace(scene, endpoints=(ready(None),)),
            "iris2 iris1",
            id="Cluster, nodeName missing",
        ),
        pytest.param(local_elsewhere, "iris1", id="Local, endpoints elsewhere"),
        pytest.param(
            lambda scene: replace(
                local_elsewhere(scene),
                endpoints=(ready("iris1", ready=False, serving=True), ready("iris2", ready=False)),
            ),
            "iris1",
            id="Local, serving counts",
        ),
        pytest.param(
            lambda scene: replace(local_elsewhere(scene), endpoints=(ready("ghost"),)),
            "",
            id="Local, endpoints on a node that is not there",
        ),
        pytest.param(
            of_service(request=SHARES), "iris2 iris1", id="sharing, picked without selectors"
        ),
        pytest.param(
            lambda scene: replace(
                of_service(request=SHARES)(scene),
                ads=(*scene.ads, ad("other", service_selectors=(selector("app=x"),))),
            ),
            "iris2 iris1",
            id="sharing, selectors that do not match",
        ),
    ],
)
def test_who_is_a_candidate(change: Change, candidates: str) -> None:
    """Reference 5.2."""
    assert change(Scene()).candidates() == candidates


RACKS = nodes(edge_a="rack=a", edge_b="rack=b", worker_a="rack=a", worker_b="rack=b")


@pytest.mark.parametrize(
    ("ads", "candidates"),
    [
        pytest.param([ad(node_selectors=(selector("rack=a"),))], {"edge_a", "worker_a"}, id="one"),
        pytest.param(
            [ad(node_selectors=(selector("rack=a"), selector("rack=b")))], set(RACKS), id="OR"
        ),
        pytest.param(
            [ad(node_selectors=(selector("rack=a"),)), ad("b", node_selectors=(selector("x=b"),))],
            {"edge_a", "worker_a"},
            id="two advertisements, one of nobody",
        ),
        pytest.param(
            [ad(node_selectors=(selector("rack=a"),)), ad("rest")], set(RACKS), id="one for all"
        ),
        pytest.param(
            [
                ad(node_selectors=(selector("rack=a"),)),
                ad("rest", service_selectors=(selector("app=x"),)),
            ],
            {"edge_a", "worker_a"},
            id="one for all, of other Services",
        ),
    ],
)
def test_which_nodes_advertisements_select(
    ads: list[L2Advertisement], candidates: set[str]
) -> None:
    """Selectors are OR-ed, advertisements too."""
    assert set(Scene(ads=tuple(ads), nodes=RACKS).candidates().split()) == candidates


# The order (reference 5.3 and 12).

VECTORS = [
    ("10.20.30.1", "iris1 iris2", "iris2 iris1"),
    ("10.20.30.1", "edge-a edge-b worker-a worker-b", "edge-b worker-a edge-a worker-b"),
    ("10.20.30.2", "iris1 iris2", "iris1 iris2"),
    ("10.20.30.2", "edge-a edge-b worker-a worker-b", "worker-b edge-b worker-a edge-a"),
    ("1000::1", "iris1 iris2", "iris1 iris2"),
    ("1000::1", "edge-a edge-b worker-a worker-b", "worker-a edge-a edge-b worker-b"),
    ("2001:db8::1", "iris1 iris2", "iris2 iris1"),
    ("2001:db8::1", "edge-a edge-b worker-a worker-b", "worker-b worker-a edge-b edge-a"),
    ("10.0.0.1", "node-a node-b node-c", "node-b node-a node-c"),
    ("10.0.0.2", "node-a node-b node-c", "node-b node-c node-a"),
]


@pytest.mark.parametrize(("address", "names", "order"), VECTORS)
def test_metallb_s_vectors(address: str, names: str, order: str) -> None:
    """Without preferences: ascending SHA-256 of `node#address`."""
    service = Service(name=WEB, ingress=addresses(address))
    assert Scene(service=service, nodes=nodes(*names.split())).candidates(address) == order


@pytest.mark.parametrize(
    ("ingress", "key"),
    [("10.20.30.1 2001:db8::9", "10.20.30.1"), ("2001:db8::9 10.20.30.1", "2001:db8::9")],
)
def test_the_first_address_decides_for_all(ingress: str, key: str) -> None:
    """Both families of a Service are at one node."""
    scene = Scene(service=Service(name=WEB, ingress=addresses(ingress)), nodes=RACKS)
    expected = sorted(RACKS, key=lambda name: sha256(f"{name}#{key}".encode()).digest())
    for address in ingress.split():
        assert scene.candidates(address).split() == expected


BY_HASH = "edge_b worker_a edge_a worker_b"  # for 10.20.30.1


@pytest.mark.parametrize(
    ("ads", "order"),
    [
        pytest.param([ad()], BY_HASH, id="nobody is preferred"),
        pytest.param(
            [ad(preferences=prefer(a=1))], "worker_a edge_a edge_b worker_b", id="one rack"
        ),
        pytest.param([ad(preferences=prefer(a=7, b=7))], BY_HASH, id="a tie"),
        pytest.param(
            [ad(preferences=prefer(a=1, b=2))], "edge_b worker_b worker_a edge_a", id="the heavier"
        ),
        pytest.param(
            [ad(preferences=(NodePreference(3, selector("")), *prefer(a=1)))],
            "worker_a edge_a edge_b worker_b",
            id="one that matches every node",
        ),
        pytest.param(
            [ad(preferences=prefer(b=5)), ad("more", preferences=prefer(a=3)), ad("same")],
            "edge_b worker_b worker_a edge_a",
            id="several advertisements",
        ),
        pytest.param(
            [ad(preferences=prefer(b=5)), *(ad(n, preferences=prefer(a=3)) for n in "xy")],
            "worker_a edge_a edge_b worker_b",
            id="scores add up",
        ),
        pytest.param(
            [
                ad(),
                ad("x", preferences=prefer(b=100), service_selectors=(selector("app=x"),)),
            ],
            BY_HASH,
            id="of other Services",
        ),
        pytest.param(
            [
                ad(),
                ad("x", preferences=prefer(b=9, a=100), node_selectors=(selector("rack=b"),)),
            ],
            "edge_b worker_b worker_a edge_a",
            id="only nodes that the advertisement selects",
        ),
    ],
)
def test_preferred_nodes_come_first(ads: list[L2Advertisement], order: str) -> None:
    """Higher score first, then by hash."""
    assert Scene(ads=tuple(ads), nodes=RACKS).candidates() == order


def test_a_preferred_node_without_endpoints_is_none() -> None:
    """Preferences are soft, policy Local is not."""
    scene = Scene(ads=(ad(preferences=prefer(a=1)),), nodes=nodes(iris1="rack=a", iris2="rack=b"))
    local = replace(scene.service, traffic_policy=TrafficPolicy.LOCAL)
    assert scene.candidates() == "iris1 iris2"
    assert replace(scene, service=local, endpoints=(ready("iris2"),)).candidates() == "iris2"


# Interfaces.


@pytest.mark.parametrize(
    ("ads", "interfaces"),
    [
        pytest.param([ad()], {"iris1": None, "iris2": None}, id="every one"),
        pytest.param(
            [ad(interfaces=frozenset({"eth0"}))], {"iris1": "eth0", "iris2": "eth0"}, id="one"
        ),
        pytest.param(
            [ad(interfaces=frozenset({"eth0"})), ad("b", interfaces=frozenset({"eth1"}))],
            {"iris1": "eth0 eth1", "iris2": "eth0 eth1"},
            id="the union",
        ),
        pytest.param(
            [ad(interfaces=frozenset({"eth0"})), ad("b")],
            {"iris1": None, "iris2": None},
            id="the union with every one",
        ),
        pytest.param(
            [
                ad(interfaces=frozenset({"eth0"})),
                ad("b", node_selectors=(selector("rack=b"),)),
                ad("c", interfaces=frozenset({"br0"}), service_selectors=(selector("app=x"),)),
            ],
            {"iris1": "eth0", "iris2": None},
            id="of each node",
        ),
    ],
)
def test_interfaces(ads: list[L2Advertisement], interfaces: dict[str, str | None]) -> None:
    """The union over the advertisements that match Service and node."""
    table = Scene(ads=tuple(ads), nodes=nodes(iris1="rack=a", iris2="rack=b")).table()
    for node, names in interfaces.items():
        expected = None if names is None else frozenset(names.split())
        assert table.interfaces(IP, node) == expected
        assert table.order_for(IP, node) == AddressOrder(
            address=IP, slate=Slate((("iris1", "iris2"),)), interfaces=expected
        )


# Several Services at one address.


def test_services_that_share_an_address_have_one_owner() -> None:
    """Also where MetalLB's nodes would look at different first addresses, and in any order."""
    dual = Service(name=WEB, ingress=addresses("10.20.30.2 2001:db8::1"), request=SHARES)
    single = Service(name=DB, ingress=addresses("2001:db8::1"), request=SHARES)
    both = Scene(service=dual, others=(single,))
    assert both.candidates("10.20.30.2") == both.candidates("2001:db8::1") == "iris1 iris2"
    assert both.table().services_of(ip_address("2001:db8::1"), "iris1") == (DB, WEB)
    assert Scene(service=single).candidates("2001:db8::1") == "iris2 iris1"


def test_who_can_serve_more_of_the_services_comes_first() -> None:
    """Policy Local for one of two: the nodes with its endpoints serve both."""
    local = Service(name=WEB, ingress=(IP,), request=SHARES, traffic_policy=TrafficPolicy.LOCAL)
    cluster = Service(name=DB, ingress=(IP,), request=SHARES)
    both = Scene(service=local, others=(cluster,), endpoints=(ready("iris1"),))
    assert both.candidates() == "iris1 iris2"
    assert both.table().services_of(IP, "iris2") == (DB,)


# Draining.


def test_a_draining_node_is_the_last_of_its_own_candidates_only() -> None:
    """It answers until another one does; nobody else counts on it."""
    table = of_node(draining=True)(Scene()).table()
    own, other = table.order_for(IP, "iris2"), table.order_for(IP, "iris1")
    assert own is not None
    assert other is not None
    assert (candidates(own), candidates(other)) == (("iris1", "iris2"), ("iris1",))


# Properties.

NODE_NAMES = ("n1", "n2", "n3", "n4")
some_nodes = st.fixed_dictionaries(
    {},
    optional={
        name: st.builds(
            Node,
            name=st.just(name),
            labels=strategies.label_sets,
            ready=st.sampled_from([True, True, True, False]),
            network_available=st.sampled_from([True, True, True, False]),
            draining=st.sampled_from([False, False, False, True]),
        )
        for name in NODE_NAMES
    },
)
endpoint_tuples = st.lists(
    st.builds(
        Endpoint,
        addresses=st.just(1),
        node=st.sampled_from([*NODE_NAMES, None]),
        ready=st.booleans(),
    ),
    max_size=4,
).map(tuple)


def l2_advertisements(name: str) -> st.SearchStrategy[L2Advertisement]:
    """An L2Advertisement of a name."""
    return st.builds(
        L2Advertisement,
        name=st.just(name),
        pools=st.sampled_from([frozenset({"dual"}), frozenset({"dual", "wide"})]),
        node_selectors=strategies.few_selectors,
        service_selectors=st.sampled_from([(), (), (strategies.WEB,)]),
        interfaces=st.sampled_from([frozenset(), frozenset({"eth0"}), frozenset({"eth1"})]),
        preferences=st.sampled_from(
            [(), (), (NodePreference(1, strategies.WEB), NodePreference(2, strategies.DB))]
        ),
    )


intents = st.lists(st.sampled_from("uvw"), unique=True).flatmap(
    lambda names: st.builds(
        Intent,
        pools=st.just(strategies.POOLS),
        l2_advertisements=st.tuples(*map(l2_advertisements, sorted(names))),
    )
)
services = strategies.service_maps
endpoint_maps = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(strategies.SERVICE_NAMES, endpoint_tuples)
)
snapshots = st.builds(
    Snapshot, intent=intents, nodes=some_nodes, services=services, endpoints=endpoint_maps
)


def decided(table: ElectionTable, snapshot: Snapshot) -> object:
    """Return all that a table says."""
    orders = {
        (address, node): (table.order_for(address, node), table.services_of(address, node))
        for address in table
        for node in NODE_NAMES
    }
    refused = {
        (name, node): table.refused(service, snapshot.endpoints.get(name, ()), node)
        for name, service in snapshot.services.items()
        for node in NODE_NAMES
    }
    return {a: table.candidates(a) for a in table}, orders, refused


def from_scratch(snapshot: Snapshot) -> ElectionTable:
    """Return the table of a snapshot, decided from nothing."""
    return election_table(snapshot, ClusterView(snapshot.intent, snapshot.nodes))


def shuffled(snapshot: Snapshot, random: Random) -> Snapshot:
    """Return the same snapshot with everything in another order."""

    def mixed(items: Iterable[Any]) -> list[Any]:
        listed = list(items)
        random.shuffle(listed)
        return listed

    return Snapshot(
        intent=Intent(
            pools=tuple(mixed(snapshot.intent.pools)),
            l2_advertisements=tuple(mixed(snapshot.intent.l2_advertisements)),
        ),
        nodes=dict(mixed(snapshot.nodes.items())),
        services=dict(mixed(snapshot.services.items())),
        endpoints={k: tuple(mixed(v)) for k, v in mixed(snapshot.endpoints.items())},
    )


@given(snapshots, st.randoms(use_true_random=False))
def test_the_order_in_which_objects_come_shows_nowhere(snapshot: Snapshot, random: Random) -> None:
    """Equal objects give equal orders and equal refusals, to the word."""
    other = shuffled(snapshot, random)
    assert decided(from_scratch(snapshot), snapshot) == decided(from_scratch(other), other)


@given(snapshots)
def test_each_address_has_one_owner(snapshot: Snapshot) -> None:
    """A Service is refused by every node but those that are first for one of its addresses."""
    table = from_scratch(snapshot)
    owned: dict[tuple[ObjectName, NodeName], bool] = {}
    for address in table:
        for owner in table.candidates(address)[:1]:
            for name in table.services_of(address, owner):
                owned[name, owner] = True
    for name, service in snapshot.services.items():
        for node in NODE_NAMES:
            refused = table.refused(service, snapshot.endpoints.get(name, ()), node)
            assert (refused is None) is ((name, node) in owned)


@given(snapshots, st.sampled_from(NODE_NAMES))
def test_a_node_that_goes_moves_only_what_it_had(snapshot: Snapshot, gone: NodeName) -> None:
    """The second takes its place; the order of the others stays."""
    table = from_scratch(snapshot)
    before = {address: table.candidates(address) for address in table}
    bids = {a: {n: table.services_of(a, n) for n in NODE_NAMES} for a in before}
    touched = table.update_node(gone, None)
    for address, order in before.items():
        others = tuple(n for n in order if n != gone)
        if others:  # else nodes that are NotReady take over, if there are any
            assert table.candidates(address) == others
        assert (address in touched) is bool(bids[address][gone])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("node"), st.sampled_from(NODE_NAMES)),
        st.tuples(st.just("service"), st.sampled_from(strategies.SERVICE_NAMES)),
    ),
    max_size=8,
)


@given(snapshots, snapshots, steps)
def test_following_changes_is_deciding_anew(
    before: Snapshot, after: Snapshot, steps: list[tuple[str, Any]]
) -> None:
    """Any Nodes and Services replaced, one by one; what is not touched has not changed."""
    intent = before.intent
    nodes_now, services_now = dict(before.nodes), dict(before.services)
    endpoints_now = dict(before.endpoints)
    table = from_scratch(before)
    for kind, name in steps:
        orders = {(a, n): table.order_for(a, n) for a in table for n in NODE_NAMES}
        if kind == "node":
            put(nodes_now, name, after.nodes.get(name))
            touched = table.update_node(name, after.nodes.get(name))
        else:
            put(services_now, name, after.services.get(name))
            put(endpoints_now, name, after.endpoints.get(name))
            touched = table.update(name, services_now.get(name), endpoints_now.get(name, ()))
        now = Snapshot(
            intent=intent, nodes=nodes_now, services=services_now, endpoints=endpoints_now
        )
        assert decided(table, now) == decided(from_scratch(now), now)
        later = {(a, n): table.order_for(a, n) for a in table for n in NODE_NAMES}
        changed = {k[0] for k in orders.keys() | later.keys() if orders.get(k) != later.get(k)}
        assert changed <= set(touched)


def put(mapping: dict[Any, Any], key: object, value: object) -> None:
    """Set a key, or take it away."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value


# Cost.


def crowd(services: int, nodes_: int) -> tuple[ElectionTable, dict[ObjectName, Service]]:
    """Return a table of many Services and nodes."""
    made = {
        (name := ObjectName("default", f"s{n}")): Service(
            name=name, ingress=(ip_address("10.0.0.0") + n,)
        )
        for n in range(services)
    }
    snapshot = Snapshot(
        intent=Intent(pools=(PUBLIC,), l2_advertisements=(ad(),)),
        nodes=nodes(*(f"node{n}" for n in range(nodes_))),
        services=made,
        endpoints=dict.fromkeys(made, (ready("node0"),)),
    )
    return from_scratch(snapshot), made


def test_one_service_costs_the_same_among_many() -> None:
    """Its own decision, and not that of the others."""

    def cost(services: int) -> int:
        table, made = crowd(services, 10)
        name = ObjectName("default", "s3")
        return lines_run(lambda: table.update(name, made[name], ()))

    assert cost(1000) == cost(10)


def test_a_node_that_changes_nothing_costs_nothing() -> None:
    """Another address of it, say."""
    table, _ = crowd(1000, 3)
    other = Node(name="node1", internal_ips=addresses("192.0.2.1"))
    assert lines_run(lambda: table.update_node("node1", other)) < 100
    assert lines_run(lambda: table.update_node("node1", replace(other, labels=labels("a=b")))) < 100


def test_a_node_that_fails_is_taken_out_without_a_new_election() -> None:
    """The others keep their places: nothing is hashed for them."""
    table, _ = crowd(100, 50)
    failed = Node(name="node1", ready=False)
    anew = lines_run(lambda: crowd(100, 50))
    assert lines_run(lambda: table.update_node("node1", failed)) < anew / 3
    assert lines_run(lambda: table.update_node("node1", Node(name="node1"))) < anew / 2
