"""Plans of real YAML text: the examples against golden files, and each rule of the contract."""

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from exabgp_metallb.adapters.files.manifests import read
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs.decided import Question
from exabgp_metallb.programs.plan import plan_document
from exabgp_metallb.programs.plan_format import PlanDocument
from exabgp_metallb.programs.plan_tables import plan_text
from exabgp_metallb.programs.terminal import json_text

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "etc" / "examples"
GOLDEN = ROOT / "tests" / "golden" / "plan"
SCHEMA = json.loads((Path(__file__).parent / "plan.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)

NODES = """
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {rack: a}}
status: {addresses: [{type: InternalIP, address: 198.51.100.11}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2, labels: {rack: b}}
status: {addresses: [{type: InternalIP, address: 198.51.100.12}]}
"""

PEER = """
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: router-1, namespace: metallb-system}
spec: {myASN: 64512, peerASN: 64512, peerAddress: 198.51.100.1}
"""

POOL = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: public, namespace: metallb-system}
spec: {addresses: [192.0.2.10-192.0.2.11]}
"""

ADVERTISEMENT = """
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: everything, namespace: metallb-system}
spec: {localPref: 150, communities: ["65535:65281"]}
"""

L2_ADVERTISEMENT = """
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: everything, namespace: metallb-system}
"""

CLUSTER = (NODES, PEER, POOL, ADVERTISEMENT)


def service(name: str, spec: str = "", *, nodes: tuple[str, ...] = ("node-1", "node-2")) -> str:
    """Return a Service and its endpoints, one on each of the nodes."""
    endpoints = ", ".join(f"{{addresses: [10.0.0.1], nodeName: {node}}}" for node in nodes)
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec: {{type: LoadBalancer, clusterIP: 10.96.0.1, ports: [{{port: 80}}]{spec}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: [{endpoints}]
"""


LOCAL = ", externalTrafficPolicy: Local"


def plan(*documents: str, **question: Any) -> PlanDocument:  # noqa: ANN401 -- fields of Question
    """Return the plan of YAML documents; it keeps to the contract."""
    stdin = io.BytesIO("\n---\n".join(documents).encode())
    asked = Question(**question)
    objects, warnings = read(["-"], stdin, namespace=asked.namespace)
    document = plan_document(objects, asked, warnings)
    VALIDATOR.validate(json.loads(json_text(document)))
    return document


def refusals(document: PlanDocument, node: str) -> list[tuple[str, str, str]]:
    """Return what a node does not announce: Service, protocol and reason."""
    rows = document["nodes"][node]["refused"]
    return [(row["service"], row["protocol"], row["reason"]) for row in rows]


def plan_folder(folder: Path) -> PlanDocument:
    """Return the plan of a folder; it keeps to the contract."""
    objects, warnings = read([str(folder)], io.BytesIO())
    document = plan_document(objects, Question(), warnings)
    VALIDATOR.validate(json.loads(json_text(document)))
    return document


@pytest.mark.parametrize("example", ["edgerouter", "pfsense", "metallb-guide"])
def test_examples(example: str) -> None:
    """The walk-throughs are valid, and their plans are the ones on file."""
    document = plan_folder(EXAMPLES / example)
    assert document["errors"] == []
    assert json_text(document) == (GOLDEN / f"{example}.json").read_text()


def test_the_edgerouter_article() -> None:
    """Each route has the next hops of the article's table."""
    document = plan_folder(EXAMPLES / "edgerouter")
    hops: dict[str, set[str]] = {}
    for node, planned in document["nodes"].items():
        for route in planned["bgp"]:
            hops.setdefault(route["prefix"], set()).add(node.removeprefix("pico-"))
    assert hops == {
        "192.168.1.224/32": {"205"},
        "192.168.1.225/32": {"203", "201"},
        "192.168.1.226/32": {"205", "202", "201"},
        "192.168.1.227/32": {"205"},
    }


@pytest.mark.parametrize(
    ("was", "found", "said"),
    [
        (
            "198.51.100.200-198.51.100.239",
            "198.51.100.200-198.51.100.250",
            {"IPAddressPool/metallb-system/internal-pool"},
        ),
        (
            "  passwordSecret:",
            "  password: also-one\n  passwordSecret:",
            {"BGPPeer/metallb-system/core"},
        ),
    ],
    ids=["overlapping pools", "password twice"],
)
def test_what_the_guide_has_wrong(tmp_path: Path, was: str, found: str, said: set[str]) -> None:
    """As the guide prints them two things are at fault; each is named, the rest is planned."""
    for file in (EXAMPLES / "metallb-guide").glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace(was, found))
    document = plan_folder(tmp_path)
    assert not document["valid"]
    assert {error["object"] for error in document["errors"]} == said
    assert document["nodes"]["node-1"]["bgp"]


def test_nothing_at_all() -> None:
    """No objects are a valid configuration of nothing."""
    assert plan("") == {"valid": True, "errors": [], "warnings": [], "services": [], "nodes": {}}


def test_a_service_is_announced_from_every_node() -> None:
    """The plain case, key for key."""
    document = plan(*CLUSTER, service("web"))
    assert document["services"] == [
        {"service": "default/web", "addresses": ["192.0.2.10"], "pool": "public", "message": None}
    ]
    assert list(document["nodes"]) == ["node-1", "node-2"]
    assert document["nodes"]["node-1"] == document["nodes"]["node-2"]
    assert document["nodes"]["node-1"] == {
        "sessions": [
            {
                "peer": "router-1",
                "address": "198.51.100.1",
                "port": 179,
                "localASN": 64512,
                "peerASN": 64512,
                "localAddress": None,
                "routerID": None,
                "holdTime": 90,
                "keepaliveTime": 30,
                "ebgpMultiHop": False,
                "password": False,
                "bfdProfile": None,
                "gracefulRestart": False,
                "vrf": None,
                "interface": None,
            }
        ],
        "bgp": [
            {
                "peer": "router-1",
                "prefix": "192.0.2.10/32",
                "nextHop": "self",
                "localPref": 150,
                "communities": ["65535:65281"],
                "largeCommunities": [],
                "services": ["default/web"],
            }
        ],
        "l2": [],
        "refused": [
            {
                "service": "default/web",
                "protocol": "l2",
                "reason": "noMatchingAdvertisement",
                "message": "no L2Advertisement is for pool public",
            }
        ],
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("peerASN: 64513", {"peerASN": 64513}, id="eBGP"),
        pytest.param("dynamicASN: external", {"peerASN": "external"}, id="external"),
        pytest.param("dynamicASN: internal", {"peerASN": "internal"}, id="internal"),
        pytest.param("peerASN: 1, localASN: 7", {"localASN": 7, "peerASN": 1}, id="local AS"),
        pytest.param("peerASN: 1, peerPort: 1790", {"port": 1790}, id="port"),
        pytest.param("peerASN: 1, holdTime: 9s", {"holdTime": 9, "keepaliveTime": 3}, id="hold"),
        pytest.param(
            "peerASN: 1, keepaliveTime: 5s", {"holdTime": 15, "keepaliveTime": 5}, id="keepalive"
        ),
        pytest.param("peerASN: 1, holdTime: 0s", {"holdTime": 0, "keepaliveTime": 0}, id="no hold"),
        pytest.param(
            "peerASN: 1, sourceAddress: 10.0.0.9", {"localAddress": "10.0.0.9"}, id="from"
        ),
        pytest.param("peerASN: 1, routerID: 10.0.0.9", {"routerID": "10.0.0.9"}, id="router id"),
        pytest.param("peerASN: 1, ebgpMultiHop: true", {"ebgpMultiHop": True}, id="multihop"),
        pytest.param("peerASN: 1, password: tell-nobody", {"password": True}, id="password"),
        pytest.param("peerASN: 1, enableGracefulRestart: true", {"gracefulRestart": True}, id="GR"),
        pytest.param("peerASN: 1, vrf: red", {"vrf": "red"}, id="VRF"),
    ],
)
def test_sessions_say_what_the_peer_says(spec: str, expected: dict[str, object]) -> None:
    """Each field of a BGPPeer that a session prints."""
    peer = PEER.replace("peerASN: 64512", spec)
    document = plan(NODES, peer)
    assert document["errors"] == []
    session = document["nodes"]["node-1"]["sessions"][0]
    assert expected.items() <= session.items()
    assert "tell-nobody" not in json_text(document)


def test_an_unnumbered_session_is_planned_with_a_warning() -> None:
    """MetalLB has it, ExaBGP does not: the plan says so."""
    peer = PEER.replace("peerAddress: 198.51.100.1", "interface: eth0")
    document = plan(NODES, peer)
    session = document["nodes"]["node-1"]["sessions"][0]
    assert (session["address"], session["interface"]) == (None, "eth0")
    (warning,) = document["warnings"]
    assert (warning["object"], warning["field"]) == (
        "BGPPeer/metallb-system/router-1",
        "spec.interface",
    )


def test_sessions_and_routes_are_sorted() -> None:
    """By peer, then by prefix as a number; not as the objects come."""
    second = PEER.replace("router-1", "edge").replace("100.1}", "100.2}")
    pool = POOL.replace("192.0.2.10-192.0.2.11", "192.0.2.9-192.0.2.10")
    document = plan(service("b"), service("a"), ADVERTISEMENT, pool, PEER, second, NODES)
    node = document["nodes"]["node-1"]
    assert [session["peer"] for session in node["sessions"]] == ["edge", "router-1"]
    assert [(route["peer"], route["prefix"]) for route in node["bgp"]] == [
        ("edge", "192.0.2.9/32"),
        ("edge", "192.0.2.10/32"),
        ("router-1", "192.0.2.9/32"),
        ("router-1", "192.0.2.10/32"),
    ]
    assert [row["service"] for row in document["services"]] == ["default/a", "default/b"]


def test_local_pref_is_for_internal_peers() -> None:
    """An eBGP peer is sent none (RFC 4271 section 5.1.5)."""
    peer = PEER.replace("peerASN: 64512", "peerASN: 64513")
    document = plan(NODES, peer, POOL, ADVERTISEMENT, service("web"))
    assert document["nodes"]["node-1"]["bgp"][0]["localPref"] is None


def test_attributes_beyond_metallb_are_told_where_they_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path is prepended towards eBGP peers alone; without them the keys are not there."""
    more = ADVERTISEMENT.replace(
        "localPref: 150", "med: 0, asPathPrepend: 3, linkBandwidth: endpoints"
    )
    external = PEER.replace("router-1", "edge").replace("peerASN: 64512", "peerASN: 64513")
    external = external.replace("198.51.100.1", "198.51.100.2")
    document = plan(NODES, external, PEER, POOL, more, service("web", nodes=("node-1",)))
    keys = ("med", "asPathPrepend", "linkBandwidth")
    edge, router, edge_2, _ = (
        {key: value for key, value in row.items() if key in keys}
        for name in ("node-1", "node-2")
        for row in document["nodes"][name]["bgp"]
    )
    assert edge == {"med": 0, "asPathPrepend": 3, "linkBandwidth": 125_000}
    assert router == {"med": 0, "linkBandwidth": 125_000}
    assert edge_2 == edge | {"linkBandwidth": 1_250}
    monkeypatch.setenv("COLUMNS", "200")
    text = plan_text(document, io.StringIO())
    assert "WITH" in text
    assert "MED 0, AS path +3" in text


def test_attributes_beyond_metallb_take_no_room_where_none_is_sent() -> None:
    """Rows and tables are then as if there were none."""
    document = plan(*CLUSTER, service("web"))
    assert {"med", "asPathPrepend", "linkBandwidth"}.isdisjoint(
        document["nodes"]["node-1"]["bgp"][0]
    )
    assert "MED" not in plan_text(document, io.StringIO())


def test_advertisements_of_one_prefix_are_united() -> None:
    """One row, the communities of both, sorted as numbers."""
    other = ADVERTISEMENT.replace("name: everything", "name: also").replace(
        '"65535:65281"', '"9:1", "64512:10", "large:1:2:3"'
    )
    document = plan(*CLUSTER, other, service("web"))
    (route,) = document["nodes"]["node-1"]["bgp"]
    assert route["communities"] == ["9:1", "64512:10", "65535:65281"]
    assert route["largeCommunities"] == ["1:2:3"]


def test_aggregates_name_all_their_services() -> None:
    """Two Services below one prefix make one row."""
    aggregate = ADVERTISEMENT.replace("localPref: 150", "aggregationLength: 24")
    pool = POOL.replace("192.0.2.10-192.0.2.11", "192.0.2.0/24")
    document = plan(NODES, PEER, pool, aggregate, service("web"), service("db"))
    (route,) = document["nodes"]["node-1"]["bgp"]
    assert (route["prefix"], route["services"]) == ("192.0.2.0/24", ["default/db", "default/web"])


def test_a_refusal_is_told_for_each_node() -> None:
    """A Local Service is announced where its pod is and refused elsewhere; it has no message."""
    document = plan(*CLUSTER, service("web", LOCAL, nodes=("node-2",)))
    assert document["nodes"]["node-2"]["bgp"]
    assert document["nodes"]["node-1"]["bgp"] == []
    assert refusals(document, "node-1") == [
        ("default/web", "bgp", "noLocalEndpoints"),
        ("default/web", "l2", "noMatchingAdvertisement"),
    ]
    assert document["services"][0]["message"] is None


def test_a_service_without_an_address_is_refused_nowhere() -> None:
    """Its message says why; the configuration is valid all the same."""
    document = plan(*CLUSTER, service("a"), service("b"), service("c"))
    assert document["valid"]
    row = document["services"][2]
    assert (row["addresses"], row["pool"]) == ([], None)
    assert row["message"] is not None
    assert "public" in row["message"]
    assert {name for name, _, _ in refusals(document, "node-1")} == {"default/a", "default/b"}


def test_status_is_kept() -> None:
    """A Service keeps the address in its status; a new one gets what is left."""
    kept = service("web").replace(
        "\n---", "\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.10}]}}\n---", 1
    )
    document = plan(*CLUSTER, kept, service("a"))
    assert {row["service"]: row["addresses"] for row in document["services"]} == {
        "default/a": ["192.0.2.11"],
        "default/web": ["192.0.2.10"],
    }


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        pytest.param([NODES, PEER, POOL, service("web")], ["pool public", "add one"], id="no ad"),
        pytest.param([PEER, POOL, ADVERTISEMENT, service("web")], ["no Node"], id="no node"),
        pytest.param([NODES, POOL, ADVERTISEMENT, service("web")], ["no BGPPeer"], id="no peer"),
        pytest.param([*CLUSTER, service("web", nodes=())], ["no endpoint"], id="no endpoint"),
        pytest.param(
            [*CLUSTER, service("web", LOCAL, nodes=())], ["Local", "1 more node"], id="no local one"
        ),
        pytest.param(
            [
                NODES.replace(
                    "status: {addresses: [{type: InternalIP, address: 198.51.100.12}]}",
                    "status: {conditions: [{type: NetworkUnavailable, status: 'True'}]}",
                ),
                PEER,
                POOL,
                ADVERTISEMENT,
                service("web", LOCAL, nodes=("node-2",)),
            ],
            ["no serving endpoint is on node-1", "node-2 has the condition NetworkUnavailable"],
            id="another reason on each node",
        ),
    ],
)
def test_a_service_that_nobody_announces_says_why(documents: list[str], words: list[str]) -> None:
    """In one line, with the reason of every kind of node."""
    (row,) = plan(*documents)["services"]
    assert row["addresses"] == ["192.0.2.10"]
    assert row["message"] is not None
    assert all(word in row["message"] for word in words), row["message"]


# Layer 2. What `decisions.elect` says of single rules is tested there.

LAYER_2 = (NODES, POOL, L2_ADVERTISEMENT)


def answers(document: PlanDocument) -> dict[str, list[str]]:
    """Return the addresses that each node answers for."""
    return {
        node: [row["address"] for row in planned["l2"]]
        for node, planned in document["nodes"].items()
    }


def test_a_pool_for_layer_2_needs_no_bgp() -> None:
    """One node answers, the other says which one; the Service is announced."""
    document = plan(*LAYER_2, service("web"))
    assert document["nodes"]["node-1"] == {
        "sessions": [],
        "bgp": [],
        "l2": [{"address": "192.0.2.10", "interfaces": None, "services": ["default/web"]}],
        "refused": [
            {
                "service": "default/web",
                "protocol": "bgp",
                "reason": "notOwner",
                "message": "no BGPAdvertisement announces pool public from node node-1",
            }
        ],
    }
    assert document["nodes"]["node-2"]["l2"] == []
    assert document["nodes"]["node-2"]["refused"][1] == {
        "service": "default/web",
        "protocol": "l2",
        "reason": "notOwner",
        "message": "node node-1 answers; node node-2 is number 2 of 2 candidates",
    }
    assert document["services"][0]["message"] is None


def test_interfaces_are_those_of_all_advertisements() -> None:
    """Sorted; one advertisement without a list means every usable one."""
    first = L2_ADVERTISEMENT + "spec: {interfaces: [eth1, eth0]}\n"
    second = L2_ADVERTISEMENT.replace("everything", "rack-b") + (
        "spec: {interfaces: [br0], nodeSelectors: [{matchLabels: {rack: b}}]}\n"
    )
    (row,) = plan(NODES, POOL, first, second, service("web"))["nodes"]["node-1"]["l2"]
    assert row["interfaces"] == ["eth0", "eth1"]
    down = {"down": frozenset({"node-1"})}
    (row,) = plan(NODES, POOL, first, second, service("web"), **down)["nodes"]["node-2"]["l2"]
    assert row["interfaces"] == ["br0", "eth0", "eth1"]
    (row,) = plan(*LAYER_2, second, service("web"))["nodes"]["node-1"]["l2"]
    assert row["interfaces"] is None


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        pytest.param({"down": frozenset({"node-2"})}, "nodeDown", id="--down"),
        pytest.param({"drained": frozenset({"node-2"})}, "nodeDrained", id="--drain"),
    ],
)
def test_the_next_node_takes_over(question: dict[str, frozenset[str]], reason: str) -> None:
    """No address changes, and nothing else moves."""
    both = (service("web"), service("db"))
    before = plan(*LAYER_2, *both)
    after = plan(*LAYER_2, *both, **question)
    assert answers(before) == {"node-1": ["192.0.2.10"], "node-2": ["192.0.2.11"]}
    assert answers(after) == {"node-1": ["192.0.2.10", "192.0.2.11"], "node-2": []}
    assert after["services"] == before["services"]
    assert ("default/web", "l2", reason) in refusals(after, "node-2")


def test_layer_2_and_bgp_for_one_service() -> None:
    """Every node announces to its router, one answers on the segment."""
    document = plan(*CLUSTER, L2_ADVERTISEMENT, service("web"))
    assert all(planned["bgp"] for planned in document["nodes"].values())
    assert answers(document) == {"node-1": ["192.0.2.10"], "node-2": []}
    assert refusals(document, "node-2") == [("default/web", "l2", "notOwner")]


def test_nobody_can_answer() -> None:
    """The message says why, of every kind of node."""
    picky = L2_ADVERTISEMENT + "spec: {nodeSelectors: [{matchLabels: {rack: b}}]}\n"
    question = {"drained": frozenset({"node-2"})}
    document = plan(NODES, POOL, picky, service("web"), **question)
    assert answers(document) == {"node-1": [], "node-2": []}
    assert document["services"][0]["message"] == (
        "not announced: the nodeSelectors of everything do not select node node-1; node node-2 is "
        "being drained and answers for no address"
    )


def test_the_pfsense_article_on_layer_2() -> None:
    """The one node answers for the Service of the second pool, and for no other."""
    document = plan_folder(EXAMPLES / "pfsense")
    assert answers(document) == {"microk8s": ["192.168.1.240"]}
    assert [route["prefix"] for route in document["nodes"]["microk8s"]["bgp"]] == [
        "192.168.10.1/32"
    ]


def test_the_guide_on_layer_2() -> None:
    """One leader for each address; another takes over; Local keeps to the pods; interfaces hold."""
    objects, warnings = read([str(EXAMPLES / "metallb-guide")], io.BytesIO())
    document = plan_document(objects, Question(), warnings)
    assert answers(document) == {"node-1": ["192.0.2.10"], "node-2": ["192.0.2.11"]}
    rows = [row for planned in document["nodes"].values() for row in planned["l2"]]
    assert [row["interfaces"] for row in rows] == [["eth0"], ["eth0"]]
    failed = plan_document(objects, Question(down=frozenset({"node-1"})), warnings)
    assert answers(failed) == {"node-1": [], "node-2": ["192.0.2.10", "192.0.2.11"]}
    failed = plan_document(objects, Question(down=frozenset({"node-2"})), warnings)
    assert answers(failed) == {"node-1": ["192.0.2.10"], "node-2": []}


def test_one_node_of_several() -> None:
    """--node leaves the other nodes out, and changes nothing about the Services."""
    here = service("web", LOCAL, nodes=("node-2",))
    document = plan(*CLUSTER, here, nodes=frozenset({"node-1"}))
    assert list(document["nodes"]) == ["node-1"]
    assert document["services"] == plan(*CLUSTER, here)["services"]


NOT_READY = NODES.replace(
    "status: {addresses: [{type: InternalIP, address: 198.51.100.11}]}",
    "status: {conditions: [{type: Ready, status: 'False'}]}",
)


@pytest.mark.parametrize(
    ("nodes", "question"),
    [
        pytest.param(NODES, {"down": frozenset({"node-1"})}, id="--down"),
        pytest.param(NOT_READY, {}, id="NotReady"),
        pytest.param(
            NODES,
            {"down": frozenset({"node-1"}), "drained": frozenset({"node-1"})},
            id="down and drained",
        ),
    ],
)
def test_a_node_that_is_down(nodes: str, question: dict[str, frozenset[str]]) -> None:
    """It holds nothing and announces nothing; the addresses and the other node stay."""
    document = plan(nodes, PEER, POOL, ADVERTISEMENT, service("web"), **question)
    node = document["nodes"]["node-1"]
    assert (node["sessions"], node["bgp"], node["l2"]) == ([], [], [])
    assert refusals(document, "node-1") == [
        ("default/web", "bgp", "nodeDown"),
        ("default/web", "l2", "nodeDown"),
    ]
    assert document["nodes"]["node-2"]["bgp"]
    assert document["services"][0]["message"] is None


def test_every_node_down() -> None:
    """Then a Service is announced nowhere and says so."""
    document = plan(*CLUSTER, service("web"), down=frozenset({"node-1", "node-2"}))
    (row,) = document["services"]
    assert row["addresses"] == ["192.0.2.10"]
    assert row["message"] is not None
    assert "node-1 is planned as failed" in row["message"]


@pytest.mark.parametrize(("asn", "preference"), [(64512, 0), (64513, None)], ids=["iBGP", "eBGP"])
def test_a_node_that_is_drained(asn: int, preference: int | None) -> None:
    """Its routes stay, as the last choice (RFC 8326)."""
    peer = PEER.replace("peerASN: 64512", f"peerASN: {asn}")
    question = {"drained": frozenset({"node-1"})}
    document = plan(NODES, peer, POOL, ADVERTISEMENT, service("web"), **question)
    (route,) = document["nodes"]["node-1"]["bgp"]
    assert (route["localPref"], route["communities"]) == (preference, ["65535:0", "65535:65281"])
    assert document["nodes"]["node-1"]["sessions"]
    (other,) = document["nodes"]["node-2"]["bgp"]
    assert other["communities"] == ["65535:65281"]
    assert document["services"][0]["message"] is None


@pytest.mark.parametrize("field", ["nodes", "down", "drained"])
def test_a_node_that_is_not_there(field: str) -> None:
    """Is a wrong call, which names the nodes there are."""
    with pytest.raises(UsageError, match=r"'node-9'.*node-1, node-2"):
        plan(NODES, **{field: frozenset({"node-1", "node-9"})})


def test_a_node_at_fault_is_no_wrong_call() -> None:
    """It is there, but cannot be planned: `errors` says why."""
    broken = NODES.replace("labels: {rack: a}", "labels: 7")
    document = plan(broken, nodes=frozenset({"node-1"}))
    assert document["nodes"] == {}
    assert not document["valid"]


@pytest.mark.parametrize(
    ("lb_class", "ours"), [(None, ["default/plain"]), ("example.com/x", ["default/special"])]
)
def test_load_balancer_class(lb_class: str | None, ours: list[str]) -> None:
    """Services of another class, and of another type, are not ours."""
    documents = [
        service("plain"),
        service("special", ", loadBalancerClass: example.com/x"),
        service("inside").replace("LoadBalancer", "ClusterIP"),
    ]
    document = plan(*CLUSTER, *documents, lb_class=lb_class)
    assert [row["service"] for row in document["services"]] == ours


def test_namespace() -> None:
    """Resources are read from one namespace; elsewhere they are passed over with a warning."""
    document = plan(NODES, PEER, namespace="elsewhere")
    assert document["valid"]
    assert document["nodes"]["node-1"]["sessions"] == []
    assert [w["object"] for w in document["warnings"]] == ["BGPPeer/metallb-system/router-1"]


def test_a_bad_object_refuses_itself_only() -> None:
    """The rest is planned without it."""
    bad = PEER.replace("router-1", "bad").replace("peerASN: 64512", "peerASN: 99999999999")
    document = plan(*CLUSTER, bad, service("web"))
    assert not document["valid"]
    (error,) = document["errors"]
    assert (error["object"], error["field"]) == ("BGPPeer/metallb-system/bad", "spec.peerASN")
    assert document["nodes"]["node-1"]["bgp"]


def test_the_same_object_twice() -> None:
    """The last one stands, with a warning."""
    document = plan(*CLUSTER, PEER.replace("100.1}", "100.9}"))
    assert document["valid"]
    assert [w["object"] for w in document["warnings"]] == ["BGPPeer/metallb-system/router-1"]
    assert document["nodes"]["node-1"]["sessions"][0]["address"] == "198.51.100.9"
