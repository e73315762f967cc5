"""Kubernetes' own objects: Service, EndpointSlice, Node, Namespace and Secret.

A cluster has checked these, so only what we read is looked at, and unknown fields are nobody's
slip. There may be ten thousand of each on every node: this is the hot path of parsing.
"""

import base64
from collections.abc import Mapping
from functools import lru_cache
from sys import intern

from exabgp_metallb.parsing.fields import Fields, escaped, shared, shown
from exabgp_metallb.parsing.metadata import created, labels
from exabgp_metallb.parsing.scalars import address
from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.conditions import Condition
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

PREFIX = "metallb.io/"
OLD_PREFIX = "metallb.universe.tf/"
ADDRESS_POOL = "address-pool"
LOAD_BALANCER_IPS = "loadBalancerIPs"
ALLOW_SHARED_IP = "allow-shared-ip"
ALLOCATED_FROM_POOL = "ip-allocated-from-pool"
ADDRESS_ALLOCATED = PREFIX + "AddressAllocated"
"""The condition on a Service that says whether it has its addresses, and why not."""
DRAIN = "exabgp-metallb.io/drain"
"""The annotation on a Node that drains it, unless its value is `false`."""
SERVICE_NAME = "kubernetes.io/service-name"
"""The label by which an EndpointSlice belongs to a Service."""

_PREFIXES = (PREFIX, OLD_PREFIX)
_OUTPUT = PREFIX + ALLOCATED_FROM_POOL
_REQUESTS = (ADDRESS_POOL, ALLOW_SHARED_IP, LOAD_BALANCER_IPS)
_NO_REQUEST = AddressRequest()
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_TRAFFIC_POLICIES = {policy.value: policy for policy in TrafficPolicy}
_FAMILY_POLICIES = {policy.value: policy for policy in FamilyPolicy}
_FAMILIES = {str(family): family for family in Family}


def service(root: Fields) -> Service:
    """Read a Service of any type; one that changed its type may still hold an address."""
    metadata, spec = root.child("metadata"), root.child("spec")
    annotations = metadata.words("annotations")
    ingress, foreign = _ingress(root)
    cluster_ips = _cluster_ips(spec)
    return Service(
        name=_name(root),
        created=created(metadata),
        labels=labels(metadata),
        is_load_balancer=spec.text("type") == "LoadBalancer",
        load_balancer_class=spec.text("loadBalancerClass"),
        cluster_ips=cluster_ips,
        headless="None" in (spec.get("clusterIP"), *spec.sequence("clusterIPs")),
        ip_families=shared(tuple(spec.all_parsed("ipFamilies", _family))),
        family_policy=spec.parsed("ipFamilyPolicy", _family_policy) or FamilyPolicy.SINGLE_STACK,
        traffic_policy=spec.parsed("externalTrafficPolicy", _traffic_policy)
        or TrafficPolicy.CLUSTER,
        ports=_ports(spec),
        selector=spec.labels("selector"),
        request=_request(metadata, annotations, spec.text("loadBalancerIP")),
        ingress=ingress,
        foreign_ingress=foreign,
        allocated_pool=annotations.get(_OUTPUT) or None,
        allocated=_condition(root, ADDRESS_ALLOCATED),
    )


def _condition(root: Fields, condition_type: str) -> Condition | None:
    """Return one of an object's conditions; None when it has none of this type."""
    if not root.has("status"):
        return None
    for fields in root.child("status").children("conditions"):
        if fields.text("type") == condition_type:
            reason, message = fields.text("reason") or "", fields.text("message") or ""
            return Condition(fields.text("status") == "True", reason, message)
    return None


def _name(root: Fields) -> ObjectName:
    ref = root.report.ref
    return ObjectName(intern(ref.namespace), intern(ref.name))


def _traffic_policy(text: str) -> TrafficPolicy:
    if text not in _TRAFFIC_POLICIES:
        raise ValueError("write Cluster or Local")
    return _TRAFFIC_POLICIES[text]


def _family_policy(text: str) -> FamilyPolicy:
    if text not in _FAMILY_POLICIES:
        raise ValueError("write SingleStack, PreferDualStack or RequireDualStack")
    return _FAMILY_POLICIES[text]


def _family(text: str) -> Family:
    if text not in _FAMILIES:
        raise ValueError("write IPv4 or IPv6")
    return _FAMILIES[text]


def _cluster_ips(spec: Fields) -> tuple[Address, ...]:
    """Return clusterIPs, or the clusterIP of an object older than dual stack; never "None"."""
    found = spec.all_parsed("clusterIPs", _cluster_ip)
    if not found:
        found = [spec.parsed("clusterIP", _cluster_ip)]
    return tuple(ip for ip in found if ip)


def _cluster_ip(text: str) -> Address | None:
    return None if text in ("None", "") else address(text)


def _ports(spec: Fields) -> tuple[ServicePort, ...]:
    found = set()
    for fields in spec.children("ports"):
        protocol = fields.text("protocol") or "TCP"
        if protocol not in _PROTOCOLS:
            fields.refuse("protocol", "write TCP, UDP or SCTP")
        fields.require("port")
        port = fields.integer("port", 1, 65535)
        if port:
            found.add(_port(protocol, port))
    return shared(tuple(sorted(found)))


@lru_cache(maxsize=1024)
def _port(protocol: str, port: int) -> ServicePort:
    """Ten thousand Services have few ports between them: equal ones share their memory."""
    return ServicePort(protocol, port)


def _ingress(root: Fields) -> tuple[tuple[Address, ...], tuple[str, ...]]:
    """Return the addresses in status, and what else stands there."""
    if not root.has("status"):
        return (), ()
    addresses, foreign = [], []
    for fields in root.child("status").child("loadBalancer").children("ingress"):
        ip = fields.text("ip")
        try:
            addresses.append(address(ip or ""))
        except ValueError:
            foreign.append(escaped(ip or fields.text("hostname") or ""))
    return tuple(addresses), tuple(foreign)


def _request(
    metadata: Fields, annotations: Mapping[str, str], load_balancer_ip: str | None
) -> AddressRequest:
    """Return what annotations and spec.loadBalancerIP ask for.

    An annotation with the new prefix hides its old twin by its presence, even when it is empty.
    """
    ours = {
        key: value
        for key, value in annotations.items()
        if key.startswith(_PREFIXES) and key != _OUTPUT
    }
    if not ours and load_balancer_ip is None:
        return _NO_REQUEST
    _warn_of_unknown(metadata, ours)
    sharing_key = _annotation(ours, ALLOW_SHARED_IP)
    addresses, fault = _requested(_annotation(ours, LOAD_BALANCER_IPS), load_balancer_ip)
    return AddressRequest(
        pool=_annotation(ours, ADDRESS_POOL) or None,
        addresses=addresses,
        sharing_key=sharing_key or "",
        shares=sharing_key is not None,
        fault=fault,
        deprecated=tuple(sorted(key for key in ours if key.startswith(OLD_PREFIX))),
    )


def _annotation(annotations: Mapping[str, str], name: str) -> str | None:
    """Return an annotation's value under either prefix; None where it is absent."""
    value = annotations.get(PREFIX + name)
    return annotations.get(OLD_PREFIX + name) if value is None else value


def _warn_of_unknown(metadata: Fields, annotations: Mapping[str, str]) -> None:
    for key in sorted(annotations):
        if key.partition("/")[2] not in (*_REQUESTS, ALLOCATED_FROM_POOL):
            told = f"unknown annotation, ignored: a Service may have {', '.join(_REQUESTS)}"
            metadata.child("annotations").warn(key, told)


def _requested(
    annotation: str | None, load_balancer_ip: str | None
) -> tuple[tuple[Address, ...], str | None]:
    """Return the addresses that are asked for, and why the wish cannot be read if it cannot."""
    if annotation and load_balancer_ip:
        return (), (
            f"annotation {PREFIX}{LOAD_BALANCER_IPS} and spec.loadBalancerIP are both set: "
            "remove spec.loadBalancerIP"
        )
    wish = annotation or load_balancer_ip
    if not wish:
        return (), None
    where = f"annotation {PREFIX}{LOAD_BALANCER_IPS}" if annotation else "spec.loadBalancerIP"
    try:
        return _wished(wish.split(",") if annotation else [wish]), None
    except ValueError as error:
        return (), f"{where}: {shown(wish)}: {error}"


def _wished(words: list[str]) -> tuple[Address, ...]:
    try:
        found = tuple(address(word.strip()) for word in words)
    except ValueError:
        raise ValueError("write an address, or one IPv4 and one IPv6 with a comma") from None
    if len(found) != len({family_of(ip) for ip in found}):
        raise ValueError("write at most one IPv4 and one IPv6 address")
    return found


def endpoint_slice(root: Fields) -> EndpointSlice | None:
    """Read an EndpointSlice; None for one that belongs to no Service."""
    labels_ = root.child("metadata").words("labels")
    owner = labels_.get(SERVICE_NAME)
    if not owner:
        return None
    name = _name(root)
    endpoints = tuple([_endpoint(fields) for fields in root.children("endpoints")])
    return EndpointSlice(name, ObjectName(name.namespace, intern(owner)), endpoints)


def _endpoint(fields: Fields) -> Endpoint:
    conditions = fields.child("conditions")
    return _shared_endpoint(
        len(fields.texts("addresses")),
        fields.text("nodeName"),
        conditions.boolean("ready"),
        conditions.boolean("serving"),
        conditions.boolean("terminating"),
    )


_shared_endpoint = lru_cache(maxsize=4096)(Endpoint)


def node(root: Fields) -> Node:
    """Read a Node."""
    status = root.child("status")
    conditions = {
        fields.text("type"): fields.text("status") for fields in status.children("conditions")
    }
    metadata = root.child("metadata")
    return Node(
        name=intern(root.report.ref.name),
        labels=labels(metadata),
        ready=conditions.get("Ready", "True") == "True",
        network_available=conditions.get("NetworkUnavailable") != "True",
        draining=metadata.words("annotations").get(DRAIN, "false") != "false",
        internal_ips=_internal_ips(status),
    )


def _internal_ips(status: Fields) -> tuple[Address, ...]:
    of_node = [f for f in status.children("addresses") if f.text("type") == "InternalIP"]
    found = [fields.parsed("address", address) for fields in of_node]
    return tuple(ip for ip in found if ip)


def namespace(root: Fields) -> Namespace:
    """Read a Namespace."""
    return Namespace(intern(root.report.ref.name), labels(root.child("metadata")))


def secret(root: Fields) -> Secret:
    """Read the key `password` of a Secret; what is in it never gets into a message."""
    data, string_data = root.child("data"), root.child("stringData")
    encoded = data.secret("password", _decoded)
    clear = string_data.secret("password", str)  # wins over data, as in the API
    return Secret(name=_name(root), type=root.text("type") or "Opaque", password=clear or encoded)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        raise ValueError("write the password's text in base64") from None
