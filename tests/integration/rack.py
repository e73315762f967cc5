"""The rack that most tests stand in: routers `tor` and `tor2` and two nodes, on one segment.

Hosts, manifests and what starts a node are fixtures, in `conftest`; here is what they are called
and how the two sides of a session are told of each other. A test that has no use for a host does
not ask for it, and it is not there.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from tests.integration.lab.network import Host
from tests.integration.lab.router import NeighborConfig, Router, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import Object, node, peer
from tests.integration.nodes import Node

ROUTER_ASN, NODE_ASN = 64512, 64513
NODE1, NODE2 = "10.0.0.11", "10.0.0.12"
WEB, NEAR = "192.0.2.1/32", "192.0.2.2/32"

Start = Callable[..., Node]
"""Starts a node on a host, with the name and the options of `Node`."""


def config(*hosts: Host, asn: int = NODE_ASN, **how: Any) -> RouterConfig:  # noqa: ANN401 -- fields of several types
    """Return a router that waits for nodes of one AS.

    Args:
        hosts: of the nodes.
        asn: theirs.
        how: more fields of each `NeighborConfig`.
    """
    return before(*(NeighborConfig(address=host.ipv4, asn=asn, **how) for host in hosts))


def before(*neighbors: NeighborConfig) -> RouterConfig:
    """Return a router with these neighbors, that uses all their paths."""
    return RouterConfig(
        asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors, maximum_paths=8
    )


def ebgp(name: str, host: Host, **spec: object) -> Object:
    """Return the BGPPeer of a router, for nodes in an AS of their own."""
    return peer(name, host.ipv4, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec)


def nodes(*hosts: Host) -> list[Object]:
    """Return the Nodes of hosts."""
    return [node(host.name, host.ipv4, host.ipv6) for host in hosts]


def wait_losses(router: Router, since: int, *prefixes: str) -> None:
    """Wait until a router has noted that it lost these since a mark, in this order, and no others.

    It may show its table before it has written down how that came to be.
    """
    wait_for(lambda: len(losses(router, since)) >= len(prefixes), 60, f"the loss of {prefixes}")
    assert losses(router, since) == list(prefixes)


def losses(router: Router, since: int) -> list[str]:
    """Return the prefixes that a router lost since a mark."""
    return [str(event.prefix) for event in router.withdrawals_seen(since)]
