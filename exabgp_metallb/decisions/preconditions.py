"""What a Service and a node must have before an address is announced, by whatever protocol.

Each rule is MetalLB's and answers with its reason; in which order they are asked is the protocol's
own affair (`decisions.advertise`, `decisions.elect`).
"""

from collections.abc import Iterable

from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.addresses import address_order
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import Endpoint, Node, NodeName, Service, TrafficPolicy
from exabgp_metallb.values.reasons import Reason, Refused

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""KEP-1143; its value does not matter."""

NO_ENDPOINTS = Refused(Reason.NO_ENDPOINTS, "no endpoint of the Service is ready or serving")


def announced_pool(service: Service, pools: PoolIndex) -> Pool | Refused:
    """Return the one pool that all addresses of a Service are in.

    Who gave the addresses is not asked, as in MetalLB: what lies in a pool is announced.
    """
    if service.foreign_ingress:
        found = ", ".join(service.foreign_ingress)
        message = f"status.loadBalancer.ingress holds {found}, which is no IP address"
        return Refused(Reason.INVALID_IP, message)
    if not service.ingress:
        return Refused(Reason.NO_IP_ALLOCATED, "the Service has no address yet")
    found_in = [pools.pool_of(address) for address in service.ingress]
    pool = found_in[0]
    if pool is not None and all(other is pool for other in found_in):
        return pool
    held = dict(zip(service.ingress, found_in, strict=True))
    where = ", ".join(
        f"{address} is in {'no IPAddressPool' if p is None else f'IPAddressPool {p.name}'}"
        for address, p in sorted(held.items(), key=lambda item: address_order(item[0]))
    )
    message = f"{where}: the addresses of a Service must be in one pool"
    return Refused(Reason.IP_NOT_ALLOWED, message)


def node_refused(node: Node, *, ignore_exclude_label: bool = False) -> Refused | None:
    """Tell whether a node as a whole must not attract traffic."""
    name = node.name
    if not node.network_available:
        message = f"node {name} has the condition NetworkUnavailable=True"
        return Refused(Reason.NODE_NETWORK_UNAVAILABLE, message)
    if not ignore_exclude_label and any(key == EXCLUDE_LABEL for key, _ in node.labels):
        message = f"node {name} has the label {EXCLUDE_LABEL}; remove it to announce from there"
        return Refused(Reason.NODE_LABELED_EXCLUDE_BALANCERS, message)
    return None


def endpoints_refused(
    service: Service, endpoints: Iterable[Endpoint], node: Node
) -> Refused | None:
    """Apply the endpoint rules: Local needs one on this node, any policy one anywhere.

    Without endpoints anywhere the address is withdrawn everywhere, so that another cluster which
    announces it as well takes the traffic.
    """
    found = serving(endpoints)
    if service.traffic_policy is TrafficPolicy.LOCAL:
        here = any(e.node == node.name for e in found)
        return None if here else no_local_endpoints(node.name, found)
    return None if found else NO_ENDPOINTS


def serving(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Return the endpoints that traffic can go to."""
    return [e for e in endpoints if e.can_serve and e.addresses]


def no_local_endpoints(node: NodeName, found: Iterable[Endpoint]) -> Refused:
    """Return the refusal of a node that has none of the serving endpoints of a Local Service."""
    elsewhere = sorted({e.node for e in found if e.node})
    where = f"; they are on {', '.join(elsewhere)}" if elsewhere else ""
    message = f"externalTrafficPolicy is Local and no serving endpoint is on {node}{where}"
    return Refused(Reason.NO_LOCAL_ENDPOINTS, message)
