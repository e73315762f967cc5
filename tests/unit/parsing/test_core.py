"""Kubernetes' own objects: what is read of each, and what is refused."""

import base64
import json
from ipaddress import ip_address

import pytest

from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.values.addresses import Family
from exabgp_metallb.values.objects import (
    AddressRequest,
    Endpoint,
    EndpointSlice,
    FamilyPolicy,
    Namespace,
    Node,
    ObjectName,
    Secret,
    Service,
    ServicePort,
    TrafficPolicy,
)
from tests.unit.parsing.manifests import VALID, Raw, by_field, core, parsed, value

WEB = ObjectName("default", "web")
IT = ObjectName("default", "it")
OWNED = {"labels": {"kubernetes.io/service-name": "web"}}

VALUES = {
    "Service": Service(
        name=IT,
        labels=frozenset({("app", "web")}),
        cluster_ips=(ip_address("10.0.0.1"), ip_address("fd00::1")),
        ip_families=(Family.IPV4, Family.IPV6),
        family_policy=FamilyPolicy.PREFER_DUAL_STACK,
        traffic_policy=TrafficPolicy.LOCAL,
        ports=(ServicePort("TCP", 80), ServicePort("UDP", 53)),
        selector=frozenset({("app", "web")}),
        request=AddressRequest(
            pool="public",
            addresses=(ip_address("192.0.2.1"), ip_address("2001:db8::1")),
            sharing_key="key",
            shares=True,
            deprecated=("metallb.universe.tf/allow-shared-ip",),
        ),
        ingress=(ip_address("192.0.2.1"),),
        foreign_ingress=("a.example",),
    ),
    "EndpointSlice": EndpointSlice(
        IT,
        WEB,
        (Endpoint(1, "node-1", ready=True, serving=True, terminating=False),),
    ),
    "Node": Node(
        name="it",
        labels=frozenset({("rack", "1")}),
        internal_ips=(ip_address("192.0.2.10"),),
    ),
    "Namespace": Namespace("it", frozenset({("team", "a")})),
    "Secret": Secret(IT, "kubernetes.io/basic-auth", "s3cret"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_an_object_with_everything(kind: str) -> None:
    """Every field that we read arrives in the value."""
    (raw,) = [raw for raw in VALID if raw["kind"] == kind]
    assert value(raw) == VALUES[kind]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(core("Service"), Service(name=IT, is_load_balancer=False), id="service"),
        pytest.param(core("EndpointSlice", metadata=OWNED), EndpointSlice(IT, WEB, ()), id="slice"),
        pytest.param(core("Node"), Node(name="it"), id="node"),
        pytest.param(core("Namespace"), Namespace("it"), id="namespace"),
        pytest.param(core("Secret"), Secret(IT, "Opaque", None), id="secret"),
    ],
)
def test_an_object_with_nothing(raw: Raw, expected: object) -> None:
    """What is absent has the default of Kubernetes."""
    assert value(raw) == expected


def service(**spec: object) -> Service:
    """Return a Service of type LoadBalancer."""
    found = value(core("Service", spec={"type": "LoadBalancer", **spec}))
    assert isinstance(found, Service)
    return found


@pytest.mark.parametrize(
    ("spec", "ips", "headless"),
    [
        pytest.param({"clusterIPs": ["10.0.0.1", "fd00::1"]}, "10.0.0.1 fd00::1", False, id="both"),
        pytest.param({"clusterIP": "10.0.0.1"}, "10.0.0.1", False, id="before-dual-stack"),
        pytest.param({"clusterIP": "None", "clusterIPs": ["None"]}, "", True, id="headless"),
        pytest.param({"clusterIP": "None"}, "", True, id="headless-before-dual-stack"),
        pytest.param({"clusterIP": ""}, "", False, id="ExternalName"),
        pytest.param({"clusterIPs": []}, "", False, id="none-yet"),
    ],
)
def test_cluster_ips(spec: Raw, ips: str, headless: bool) -> None:  # noqa: FBT001 -- a column
    """Without "None", which is told apart from none as yet."""
    found = service(**spec)
    assert [str(ip) for ip in found.cluster_ips] == ips.split()
    assert found.headless == headless


def test_the_class_of_a_load_balancer() -> None:
    """An empty one is none."""
    assert service(loadBalancerClass="ours").load_balancer_class == "ours"
    assert service(loadBalancerClass="").load_balancer_class is None


def test_ports_without_protocol_are_tcp() -> None:
    """Each pair once, sorted."""
    ports = [{"port": 443}, {"port": 80, "protocol": "TCP"}, {"port": 443, "name": "again"}]
    assert service(ports=ports).ports == (ServicePort("TCP", 80), ServicePort("TCP", 443))


def test_what_stands_in_status() -> None:
    """Addresses in order; what is none is kept apart, and shown without control characters."""
    ingress = [{"ip": "2001:db8::1"}, {"ip": "?\n"}, {"ip": "192.0.2.1", "hostname": "a"}, {}]
    found = value(core("Service", status={"loadBalancer": {"ingress": ingress}}))
    assert isinstance(found, Service)
    assert found.ingress == (ip_address("2001:db8::1"), ip_address("192.0.2.1"))
    assert found.foreign_ingress == ("?\\n", "")


def annotated(load_balancer_ip: str | None = None, **annotations: str) -> Service:
    """Return a Service with annotations: `new_` and `old_` stand for the two prefixes."""
    prefixes = {"new": "metallb.io/", "old": "metallb.universe.tf/"}
    found = value(
        core(
            "Service",
            metadata={
                "annotations": {
                    prefixes[key[:3]] + key[4:].replace("_", "-"): text
                    for key, text in annotations.items()
                }
            },
            spec={"type": "LoadBalancer", "loadBalancerIP": load_balancer_ip},
        )
    )
    assert isinstance(found, Service)
    return found


ONE, TWO = ip_address("192.0.2.1"), ip_address("2001:db8::1")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(annotated(), AddressRequest(), id="nothing"),
        pytest.param(annotated(new_address_pool="a"), AddressRequest(pool="a"), id="pool"),
        pytest.param(
            annotated(old_address_pool="a"),
            AddressRequest(pool="a", deprecated=("metallb.universe.tf/address-pool",)),
            id="old-prefix",
        ),
        pytest.param(
            annotated(new_address_pool="a", old_address_pool="b"),
            AddressRequest(pool="a", deprecated=("metallb.universe.tf/address-pool",)),
            id="new-prefix-wins",
        ),
        pytest.param(
            annotated(new_address_pool="", old_address_pool="b"),
            AddressRequest(deprecated=("metallb.universe.tf/address-pool",)),
            id="new-prefix-wins-though-empty",
        ),
        pytest.param(
            annotated(new_loadBalancerIPs="192.0.2.1"), AddressRequest(addresses=(ONE,)), id="ip"
        ),
        pytest.param(
            annotated(new_loadBalancerIPs=" 2001:db8::1 ,192.0.2.1"),
            AddressRequest(addresses=(TWO, ONE)),
            id="two-ips-in-their-order",
        ),
        pytest.param(annotated("192.0.2.1"), AddressRequest(addresses=(ONE,)), id="field"),
        pytest.param(
            annotated("192.0.2.1", new_loadBalancerIPs=""),
            AddressRequest(addresses=(ONE,)),
            id="field-and-empty-annotation",
        ),
        pytest.param(
            annotated(new_allow_shared_ip="k"),
            AddressRequest(sharing_key="k", shares=True),
            id="sharing",
        ),
        pytest.param(
            annotated(new_allow_shared_ip=""), AddressRequest(shares=True), id="empty-sharing-key"
        ),
        pytest.param(
            annotated(new_ip_allocated_from_pool="a"), AddressRequest(), id="our-own-output"
        ),
    ],
)
def test_requests(found: Service, expected: AddressRequest) -> None:
    """What annotations and the field ask for."""
    assert found.request == expected


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        pytest.param(
            annotated("192.0.2.1", new_loadBalancerIPs="192.0.2.1"),
            "annotation metallb.io/loadBalancerIPs and spec.loadBalancerIP are both set: "
            "remove spec.loadBalancerIP",
            id="both",
        ),
        pytest.param(
            annotated(new_loadBalancerIPs="web.example"),
            "annotation metallb.io/loadBalancerIPs: 'web.example': write an address, or one IPv4 "
            "and one IPv6 with a comma",
            id="garbage",
        ),
        pytest.param(
            annotated("web.example"),
            "spec.loadBalancerIP: 'web.example': write an address, or one IPv4 and one IPv6 "
            "with a comma",
            id="garbage-in-the-field",
        ),
        pytest.param(
            annotated("192.0.2.1,2001:db8::1"),
            "spec.loadBalancerIP: '192.0.2.1,2001:db8::1': write an address, or one IPv4 and one "
            "IPv6 with a comma",
            id="two-in-the-field",
        ),
        pytest.param(
            annotated(new_loadBalancerIPs="192.0.2.1,192.0.2.2"),
            "annotation metallb.io/loadBalancerIPs: '192.0.2.1,192.0.2.2': write at most one IPv4 "
            "and one IPv6 address",
            id="two-of-one-family",
        ),
        pytest.param(
            annotated(new_loadBalancerIPs="192.0.2.1,"),
            "annotation metallb.io/loadBalancerIPs: '192.0.2.1,': write an address, or one IPv4 "
            "and one IPv6 with a comma",
            id="comma-at-the-end",
        ),
    ],
)
def test_requests_that_cannot_be_read(found: Service, fault: str) -> None:
    """The Service stands: it keeps what it has, and the fault says why it gets no more."""
    assert found.request == AddressRequest(fault=fault)


def test_the_pool_that_an_address_is_from() -> None:
    """Only the new prefix counts: nobody takes an old one away."""
    assert annotated(new_ip_allocated_from_pool="a").allocated_pool == "a"
    assert annotated(old_ip_allocated_from_pool="a").allocated_pool is None
    assert annotated(new_ip_allocated_from_pool="").allocated_pool is None


def test_an_annotation_that_nobody_knows() -> None:
    """A slip in one of ours is told; everybody else's are none of our business."""
    annotations = {"metallb.io/address-pools": "a", "example.org/x": "y"}
    found = parsed(core("Service", metadata={"annotations": annotations}))
    assert by_field(found.warnings) == {
        "metadata.annotations[metallb.io/address-pools]": (
            "unknown annotation, ignored: a Service may have address-pool, allow-shared-ip, "
            "loadBalancerIPs"
        )
    }


@pytest.mark.parametrize("labels", [None, {}, {"kubernetes.io/service-name": ""}, {"app": "web"}])
def test_a_slice_of_no_service_is_passed_over(labels: Raw | None) -> None:
    """It says nothing about any Service."""
    assert parse(core("EndpointSlice", metadata={"labels": labels})) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param({}, Endpoint(0), id="empty"),
        pytest.param({"addresses": ["a", "b"]}, Endpoint(2), id="addresses"),
        pytest.param({"conditions": {}}, Endpoint(0), id="no-conditions"),
        pytest.param(
            {"conditions": {"ready": False, "serving": None}}, Endpoint(0, ready=False), id="null"
        ),
        pytest.param({"nodeName": ""}, Endpoint(0), id="no-node"),
    ],
)
def test_endpoints(raw: Raw, expected: Endpoint) -> None:
    """What a slice does not say is None."""
    found = value(core("EndpointSlice", metadata=OWNED, endpoints=[raw]))
    assert isinstance(found, EndpointSlice)
    assert found.endpoints == (expected,)


def test_a_slice_without_endpoints() -> None:
    """Kubernetes writes null there when the last one is gone."""
    assert value(core("EndpointSlice", metadata=OWNED, endpoints=None))


@pytest.mark.parametrize(
    ("conditions", "ready", "available"),
    [
        pytest.param([], True, True, id="none"),
        pytest.param([("Ready", "True")], True, True, id="ready"),
        pytest.param([("Ready", "False")], False, True, id="not-ready"),
        pytest.param([("Ready", "Unknown")], False, True, id="lost"),
        pytest.param([("NetworkUnavailable", "True")], True, False, id="no-network"),
        pytest.param([("NetworkUnavailable", "Unknown")], True, True, id="perhaps-no-network"),
        pytest.param([("NetworkUnavailable", "False"), ("Ready", "True")], True, True, id="both"),
    ],
)
def test_conditions_of_a_node(
    conditions: list[tuple[str, str]],
    ready: bool,  # noqa: FBT001 -- a column
    available: bool,  # noqa: FBT001 -- a column
) -> None:
    """Unknown is not ready, and does not make the network unavailable."""
    status = {"conditions": [{"type": kind, "status": text} for kind, text in conditions]}
    found = value(core("Node", status=status))
    assert isinstance(found, Node)
    assert (found.ready, found.network_available) == (ready, available)


@pytest.mark.parametrize(
    ("annotations", "draining"),
    [
        ({}, False),
        ({"exabgp-metallb.io/drain": "true"}, True),
        ({"exabgp-metallb.io/drain": ""}, True),
        ({"exabgp-metallb.io/drain": "false"}, False),
        ({"exabgp-metallb.io/drained": "true"}, False),
    ],
)
def test_a_node_that_is_to_be_drained(
    annotations: dict[str, str],
    draining: bool,  # noqa: FBT001 -- a column
) -> None:
    """Who writes `false` means it."""
    found = value(core("Node", metadata={"name": "n", "annotations": annotations}))
    assert isinstance(found, Node)
    assert found.draining == draining


def test_addresses_of_a_node() -> None:
    """Only those of type InternalIP, in their order."""
    addresses = [
        {"type": "Hostname", "address": "node-1"},
        {"type": "InternalIP", "address": "192.0.2.2"},
        {"type": "ExternalIP", "address": "203.0.113.1"},
        {"type": "InternalIP", "address": "2001:db8::2"},
    ]
    found = value(core("Node", status={"addresses": addresses}))
    assert isinstance(found, Node)
    assert found.internal_ips == (ip_address("192.0.2.2"), ip_address("2001:db8::2"))


def encoded(text: str) -> str:
    """Return base64, as a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("parts", "password"),
    [
        pytest.param({"data": {"password": encoded("pässword")}}, "pässword", id="data"),
        pytest.param({"data": {"password": encoded("x" * 99) + "\n"}}, "x" * 99, id="line-break"),
        pytest.param({"stringData": {"password": "clear"}}, "clear", id="stringData"),
        pytest.param(
            {"data": {"password": encoded("a")}, "stringData": {"password": "b"}}, "b", id="both"
        ),
        pytest.param({"data": {"other": "%%%"}}, None, id="other-keys-are-not-read"),
        pytest.param({"data": None}, None, id="null"),
    ],
)
def test_secrets(parts: Raw, password: str | None) -> None:
    """The decoded key `password`; stringData wins, as in the API."""
    found = value({**core("Secret"), **parts})
    assert isinstance(found, Secret)
    assert found.password == password


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        pytest.param(core("Service", spec=[]), "spec", "a list: write a mapping", id="spec"),
        pytest.param(
            core("Service", spec={"clusterIPs": ["10.0.0.300"]}),
            "spec.clusterIPs[0]",
            "'10.0.0.300': write an IPv4 or IPv6 address",
            id="cluster-ip",
        ),
        pytest.param(
            core("Service", spec={"externalTrafficPolicy": "local"}),
            "spec.externalTrafficPolicy",
            "'local': write Cluster or Local",
            id="traffic-policy",
        ),
        pytest.param(
            core("Service", spec={"ipFamilyPolicy": "DualStack"}),
            "spec.ipFamilyPolicy",
            "write SingleStack, PreferDualStack or RequireDualStack",
            id="family-policy",
        ),
        pytest.param(
            core("Service", spec={"ipFamilies": ["v4"]}),
            "spec.ipFamilies[0]",
            "'v4': write IPv4 or IPv6",
            id="family",
        ),
        pytest.param(
            core("Service", spec={"ports": [{"port": "http"}]}),
            "spec.ports[0].port",
            "'http': write a whole number from 1 to 65535",
            id="port",
        ),
        pytest.param(
            core("Service", spec={"ports": [{"name": "http"}]}),
            "spec.ports[0].port",
            "missing",
            id="no-port",
        ),
        pytest.param(
            core("Service", spec={"ports": [{"port": 80, "protocol": "tcp"}]}),
            "spec.ports[0].protocol",
            "'tcp': write TCP, UDP or SCTP",
            id="protocol",
        ),
        pytest.param(
            core("Service", spec={"selector": {"app": True}}),
            "spec.selector.app",
            "true: write a text",
            id="selector",
        ),
        pytest.param(
            core("Service", metadata={"annotations": {"metallb.io/address-pool": 5}}),
            "metadata.annotations[metallb.io/address-pool]",
            "5: write a text: put it in quotes",
            id="annotation",
        ),
        pytest.param(
            core("Service", status={"loadBalancer": {"ingress": ["192.0.2.1"]}}),
            "status.loadBalancer.ingress[0]",
            "'192.0.2.1': write a mapping",
            id="ingress",
        ),
        pytest.param(
            core("EndpointSlice", metadata=OWNED, endpoints=[{"addresses": [5]}]),
            "endpoints[0].addresses[0]",
            "5: write a text",
            id="endpoint-address",
        ),
        pytest.param(
            core("EndpointSlice", metadata=OWNED, endpoints=[{"conditions": {"ready": "yes"}}]),
            "endpoints[0].conditions.ready",
            "'yes': write true or false",
            id="endpoint-condition",
        ),
        pytest.param(
            core("Node", status={"addresses": [{"type": "InternalIP", "address": "here"}]}),
            "status.addresses[0].address",
            "'here': write an IPv4 or IPv6 address",
            id="node-address",
        ),
        pytest.param(
            core("Secret", data={"password": "hush!"}),
            "data.password",
            "(not shown): write the password's text in base64",
            id="no-base64",
        ),
        pytest.param(
            core("Secret", data={"password": base64.b64encode(b"\xff").decode()}),
            "data.password",
            "(not shown): write",
            id="no-text",
        ),
        pytest.param(
            core("Secret", stringData={"password": ["hush"]}),
            "stringData.password",
            "a list (not shown): write a text",
            id="secret-list",
        ),
        pytest.param(core("Node", metadata={"name": "a b"}), "metadata.name", "'a b'", id="name"),
    ],
)
def test_what_is_refused(raw: Raw, field: str, words: str) -> None:
    """A cluster would have refused it; a file may say anything."""
    told = by_field(parsed(raw).faults)
    assert list(told) == [field]
    assert words in told[field]
    assert "hush" not in told[field]


def test_unknown_fields_are_nobodys_slip() -> None:
    """Kubernetes has hundreds that we do not read."""
    raw = core("Service", spec={"type": "LoadBalancer", "sessionAffinity": "None"}, extra=1)
    assert parsed(raw).warnings == ()


def test_repeated_words_share_their_memory() -> None:
    """Ten thousand objects name few namespaces, nodes and labels."""
    raw = core("EndpointSlice", metadata=OWNED, endpoints=[{"nodeName": "node-1"}])
    first, second = (value(json.loads(json.dumps(raw))) for _ in range(2))
    assert isinstance(first, EndpointSlice)
    assert isinstance(second, EndpointSlice)
    assert first.name.namespace is second.name.namespace
    assert first.endpoints[0].node is second.endpoints[0].node
