"""Our end of a session: what a host lacks for it is told with the field that asks for it."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from exabgp_metallb.adapters.exabgp.local_address import lacking, local_address
from exabgp_metallb.decisions.sessions import session
from exabgp_metallb.values.intent import Peer
from exabgp_metallb.values.objects import Node

LOOPBACK = ip_network("127.0.0.0/8")
LOOP = Peer(name="r1", my_asn=64512, peer_asn=64513, address=ip_address("127.0.0.2"))


def test_the_loopback_speaks_to_itself() -> None:
    """The kernel's routes know the source of every packet."""
    assert local_address(ip_address("127.0.0.2")) in LOOPBACK


@pytest.mark.parametrize("neighbor", ["fe80::1", "fe80::1%none0"])
def test_no_way_has_no_source(neighbor: str) -> None:
    """A link-local neighbor of no link, or of one that is not there."""
    assert local_address(ip_address(neighbor)) is None


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        pytest.param(replace(LOOP, vrf="red"), "spec.vrf: this node has no ", id="VRF"),
        pytest.param(
            replace(LOOP, address=ip_address("fe80::1"), interface="none0"),
            "spec.interface: this node has no network device 'none0'",
            id="interface",
        ),
        pytest.param(
            replace(LOOP, source_address=ip_address("192.0.2.9")),
            "spec.sourceAddress: this node has no address 192.0.2.9",
            id="source address",
        ),
        pytest.param(
            replace(LOOP, address=ip_address("::1"), source_address=ip_address("2001:db8::9")),
            "spec.sourceAddress: this node has no address 2001:db8::9",
            id="IPv6 source address",
        ),
    ],
)
def test_what_is_not_there_is_told(peer: Peer, reason: str) -> None:
    """Field first, then what is missing."""
    found = lacking([session(peer, Node(name="n"))])
    assert list(found) == ["r1"]
    assert found["r1"].startswith(reason)


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(LOOP, id="nothing asked for"),
        pytest.param(replace(LOOP, vrf="lo"), id="a device"),
        pytest.param(replace(LOOP, source_address=ip_address("127.0.0.3")), id="an address"),
    ],
)
def test_what_is_there_is_not(peer: Peer) -> None:
    """No word where all is well."""
    assert lacking([session(peer, Node(name="n"))]) == {}
