"""Every kind of session with every make of router, all of them at once.

A node holds eight sessions with one router: over IPv4 and IPv6, within an AS and between two, on
one segment and across a router that only forwards. Each carries both families, with attributes of
its own, so what the router holds shows each session apart.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import product

import pytest

from tests.integration.lab.history import Address
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import NeighborConfig, Path, RouterConfig, RouterFactory, Routes
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import Node

pytestmark = pytest.mark.netns

ROUTER_ASN = 64512
NODE_ASN = 4200000001  # of 32 bits

V4, V6 = "192.0.2.1/32", "fd99::1/128"
NODE4, NODE6 = "10.0.0.11", "fd00::11"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the eight kinds of session.

    Attributes:
        number: of the kind, from 1; the last part of its addresses and of its communities.
    """

    number: int
    version: int
    internal: bool
    hops: int

    @property
    def name(self) -> str:
        """What its BGPPeer is called."""
        inner = "ibgp" if self.internal else "ebgp"
        return f"{inner}-v{self.version}-{self.hops}-hops"

    @property
    def router(self) -> Address:
        """The router's address of this session."""
        return self._address("10.{}.0.{}", "fd0{}::{}", 0 if self.hops == 1 else 2, 100)

    @property
    def node(self) -> Address:
        """The node's address of this session."""
        return self._address("10.{}.0.{}", "fd0{}::{}", 0 if self.hops == 1 else 1, 200)

    def _address(self, v4: str, v6: str, network: int, offset: int) -> Address:
        return ip_address((v4 if self.version == 4 else v6).format(network, self.number + offset))

    def neighbor(self) -> NeighborConfig:
        """Return what the router is told."""
        return NeighborConfig(
            address=self.node,
            asn=ROUTER_ASN if self.internal else NODE_ASN,
            ebgp_multihop=None if self.hops == 1 else self.hops,
            local_address=self.router,
        )

    def manifests(self) -> list[Object]:
        """Return the peer, and an advertisement to it alone."""
        more = {"ebgpMultiHop": True} if self.hops > 1 and not self.internal else {}
        return [
            peer(
                self.name,
                self.router,
                asn=ROUTER_ASN if self.internal else NODE_ASN,
                peer_asn=ROUTER_ASN,
                sourceAddress=str(self.node),
                dualStackAddressFamily=True,
                **more,
            ),
            advertisement(
                self.name,
                peers=[self.name],
                localPref=200 + self.number,
                communities=[f"65001:{self.number}", f"large:65001:2:{self.number}"],
            ),
        ]

    def path(self, hop: str) -> Path:
        """Return what the router should hold; the next hop of its own family is the session's."""
        own = ip_address(hop).version == self.version
        return Path(
            next_hop=self.node if own else ip_address(hop),
            as_path=() if self.internal else (NODE_ASN,),
            local_pref=200 + self.number if self.internal else None,
            communities=(f"65001:{self.number}",),
            large_communities=(f"65001:2:{self.number}",),
        )


KINDS = tuple(
    Kind(number, *kind)
    for number, kind in enumerate(product((4, 6), (True, False), (1, 2)), start=1)
)


def held() -> Routes:
    """Return the routes of all sessions."""
    return {
        ip_network(prefix): frozenset(kind.path(hop) for kind in KINDS)
        for prefix, hop in ((V4, NODE4), (V6, NODE6))
    }


def lay(tor: Host, worker: Host, lab: Lab) -> None:
    """Give both the addresses of their sessions, and a way across the router between them."""
    between = lab.host("between", "10.1.0.1/24", "fd01::1/64", segment="near")
    between.attach("10.2.0.1/24", "fd02::1/64", segment="far")
    between.forward()
    worker.attach(segment="near")
    tor.attach(segment="far")
    for kind in KINDS:
        length = 24 if kind.version == 4 else 64
        device = "eth0" if kind.hops == 1 else "eth1"
        worker.add_address(f"{kind.node}/{length}", device)
        tor.add_address(f"{kind.router}/{length}", device)
    worker.ip("route", "add", "10.2.0.0/24", "via", "10.1.0.1")
    worker.ip("-6", "route", "add", "fd02::/64", "via", "fd01::1")
    tor.ip("route", "add", "10.1.0.0/24", "via", "10.2.0.1")
    tor.ip("-6", "route", "add", "fd01::/64", "via", "fd02::1")


def test_every_kind_of_session(lab: Lab, any_router: RouterFactory) -> None:
    """All are up, and each has both prefixes with its own attributes and the right next hop."""
    tor = lab.host("tor", "10.0.0.1/24", "fd00::1/64")
    worker = lab.host("node1", f"{NODE4}/24", f"{NODE6}/64")
    lay(tor, worker, lab)
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", NODE4, NODE6),
        pool("public", "192.0.2.0/24", "fd99::/64"),
        service("web", "192.0.2.1", "fd99::1", families=["IPv4", "IPv6"]),
        slice_of("web", "node1"),
        *(each for kind in KINDS for each in kind.manifests()),
    )
    router = any_router(
        tor,
        RouterConfig(
            asn=ROUTER_ASN,
            router_id=IPv4Address("10.0.0.1"),
            neighbors=tuple(kind.neighbor() for kind in KINDS),
        ),
    )
    Node(worker, manifests.path).start()
    router.wait_established()
    router.wait_routes(held())
    assert [router.establishments(kind.node) for kind in KINDS] == [1] * len(KINDS)
    manifests.put(slice_of("web"))
    router.wait_routes({})
