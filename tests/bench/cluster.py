"""A cluster of any size, made up for the benchmarks: the same one for the same numbers."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

RawObject = dict[str, Any]

NAMESPACE = "metallb-system"
POOL_FIRST = int(IPv4Address("10.200.0.0"))
ENDPOINTS = 3
FIRST_CLUSTER_IP = 300  # of 10.96.0.0; the first one is the API server's own


def cluster(
    *, services: int, nodes: int, peer: str, node_network: str = "10.0.0", asn: int = 64512
) -> Iterator[RawObject]:
    """Yield all objects: nodes, one pool, one advertisement, one peer, Services with endpoints.

    Args:
        services: of externalTrafficPolicy Cluster, each with its address in status.
        nodes: named node-1 and so on.
        peer: the router's address; every node has a session with it.
        node_network: first three octets of the InternalIPs.
        asn: of both sides.
    """
    yield from (
        node(number, f"{node_network}.{number % 250 + 1}") for number in range(1, nodes + 1)
    )
    yield _metallb("IPAddressPool", "all", {"addresses": ["10.200.0.0/13"]})
    yield advertisement("64512:1")
    spec = {"myASN": asn, "peerASN": asn, "peerAddress": peer}
    yield {**_metallb("BGPPeer", "router", spec), "apiVersion": "metallb.io/v1beta2"}
    for number in range(services):
        yield service(number)
        yield endpoint_slice(number, nodes)


def advertisement(community: str) -> RawObject:
    """Return the BGPAdvertisement, which gives all routes a community."""
    return _metallb("BGPAdvertisement", "all", {"communities": [community]})


def _metallb(kind: str, name: str, spec: RawObject) -> RawObject:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def node(number: int, address: str) -> RawObject:
    """Return a Node that is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"node-{number}",
            "labels": {"kubernetes.io/hostname": f"node-{number}", "rack": f"rack-{number % 8}"},
        },
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def address_of(number: int) -> str:
    """Return the address of a Service."""
    return str(IPv4Address(POOL_FIRST + number))


def prefix_of(number: int) -> IPv4Network:
    """Return the prefix that a Service's address is announced as."""
    return IPv4Network(POOL_FIRST + number)


def service(number: int, *, policy: str = "Cluster") -> RawObject:
    """Return a Service of type LoadBalancer that has its address."""
    cluster_ip = str(IPv4Address(int(IPv4Address("10.96.0.0")) + number + FIRST_CLUSTER_IP))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"service-{number}",
            "namespace": "default",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": f"app-{number}"},
        },
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "selector": {"app": f"app-{number}"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": address_of(number)}]}},
    }


def endpoint_slice(number: int, nodes: int, *, ready: bool = True) -> RawObject:
    """Return the slice of a Service: three endpoints on three nodes, all ready or none."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"service-{number}-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": f"service-{number}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [f"10.244.{(number + k) % 250}.{k + 1}"],
                "nodeName": f"node-{(number + k) % nodes + 1}",
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
            }
            for k in range(min(ENDPOINTS, nodes))
        ],
    }
