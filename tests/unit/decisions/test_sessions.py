"""Which peers a node speaks to, with which timers and addresses."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.sessions import (
    default_router_id,
    node_address,
    session,
    sessions_of,
    timers,
)
from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.intent import DynamicAsn, Peer
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from exabgp_metallb.values.objects import Node
from tests.unit.decisions.builders import addresses, labels, selector

V4, V6 = ip_address("192.0.2.101"), ip_address("2001:db8::101")
BOTH = frozenset(Family)


def peer(name: str = "tor", **fields: Any) -> Peer:  # noqa: ANN401 -- fields of Peer
    """Return a peer of AS 64512 to 64512, at an IPv4 address."""
    asked: dict[str, Any] = {"my_asn": 64512, "peer_asn": 64512, "address": V4}
    return Peer(name=name, **asked | fields)


def node(name: str = "node1", ips: str = "", **fields: Any) -> Node:  # noqa: ANN401 -- as above
    """Return a node with InternalIPs."""
    return Node(name=name, internal_ips=addresses(ips), **fields)


RACKS = (selector("rack=a"), selector("rack=b disk=ssd"))


@pytest.mark.parametrize(
    ("selectors", "node_labels", "held"),
    [
        pytest.param((), "", True, id="no selector: every node"),
        pytest.param((LabelSelector(),), "", True, id="an empty selector matches every node"),
        pytest.param(RACKS, "rack=a", True, id="the first of two"),
        pytest.param(RACKS, "rack=b disk=ssd", True, id="the second of two"),
        pytest.param(RACKS, "rack=b", False, id="half of one"),
        pytest.param(RACKS, "", False, id="none"),
        pytest.param(
            (LabelSelector(requirements=(Requirement("rack", Operator.EXISTS),)),),
            "rack=c",
            True,
            id="an expression",
        ),
    ],
)
def test_a_node_holds_the_sessions_of_peers_that_select_it(
    selectors: tuple[LabelSelector, ...],
    node_labels: str,
    held: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """Selectors are OR-ed, and what they do not match has no session."""
    found = sessions_of([peer(node_selectors=selectors)], node(labels=labels(node_labels)))
    assert bool(found) is held


@given(st.permutations(["a", "b", "c", "d"]))
def test_sessions_are_in_order_of_the_peers_name(names: list[str]) -> None:
    """However the peers come."""
    found = sessions_of([peer(name) for name in names], node())
    assert [s.peer.name for s in found] == ["a", "b", "c", "d"]


def test_neither_cordon_nor_not_ready_ends_a_session() -> None:
    """MetalLB looks at labels only."""
    assert sessions_of([peer()], node(ready=False, network_available=False))


@pytest.mark.parametrize(
    ("hold", "keepalive", "expected"),
    [
        pytest.param(None, None, (90, 30), id="neither: MetalLB's default"),
        pytest.param(9, None, (9, 3), id="only hold: a third of it"),
        pytest.param(10, None, (10, 3), id="only hold: whole seconds"),
        pytest.param(None, 20, (60, 20), id="only keepalive: three times that"),
        pytest.param(30, 5, (30, 5), id="both"),
        pytest.param(0, None, (0, 0), id="hold of zero: no keepalives"),
        pytest.param(0, 0, (0, 0), id="both zero"),
        pytest.param(3, 0, (3, 0), id="a keepalive of zero is a value"),
    ],
)
def test_timers(hold: int | None, keepalive: int | None, expected: tuple[int, int]) -> None:
    """One that is not given follows from the other."""
    asked = peer(hold_seconds=hold, keepalive_seconds=keepalive)
    assert timers(asked) == expected
    held = session(asked, node())
    assert (held.hold_seconds, held.keepalive_seconds) == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        pytest.param(node("node1"), "64.37.239.133", id="MetalLB's hash of node1"),
        pytest.param(node("pandora"), "117.188.221.68", id="MetalLB's hash of pandora"),
        pytest.param(node(ips="2001:db8::1"), "64.37.239.133", id="no IPv4 address"),
        pytest.param(node(ips="2001:db8::1 192.0.2.1 192.0.2.2"), "192.0.2.1", id="the first IPv4"),
    ],
)
def test_the_router_id_of_a_node(of: Node, expected: str) -> None:
    """Its address, else what MetalLB would speak with."""
    assert default_router_id(of) == ip_address(expected)
    assert session(peer(), of).router_id == ip_address(expected)


def test_a_router_id_that_is_asked_for_is_used() -> None:
    """It comes before any other."""
    asked = peer(router_id=ip_address("10.9.9.9"))
    assert session(asked, node(ips="192.0.2.1")).router_id == ip_address("10.9.9.9")


@pytest.mark.parametrize("source", [None, ip_address("192.0.2.7")])
def test_the_local_address_is_the_source_that_is_asked_for(source: Address | None) -> None:
    """Without one the kernel chooses."""
    assert session(peer(source_address=source), node(ips="192.0.2.1")).local_address == source


@pytest.mark.parametrize(
    ("ips", "family", "expected"),
    [
        pytest.param("", Family.IPV4, None, id="no address"),
        pytest.param("2001:db8::1", Family.IPV4, None, id="none of the family"),
        pytest.param("2001:db8::1 192.0.2.1", Family.IPV4, "192.0.2.1", id="IPv4"),
        pytest.param("192.0.2.1 2001:db8::2 2001:db8::1", Family.IPV6, "2001:db8::2", id="IPv6"),
    ],
)
def test_the_address_of_a_node(ips: str, family: Family, expected: str | None) -> None:
    """The first of the family."""
    found = node_address(node(ips=ips), family)
    assert found == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(
    ("fields", "internal", "families"),
    [
        pytest.param({}, True, {Family.IPV4}, id="iBGP over IPv4"),
        pytest.param({"peer_asn": 64513}, False, {Family.IPV4}, id="eBGP"),
        pytest.param({"address": V6}, True, {Family.IPV6}, id="over IPv6"),
        pytest.param({"dual_stack": True}, True, BOTH, id="dual stack over IPv4"),
        pytest.param({"address": V6, "dual_stack": True}, True, BOTH, id="dual stack over IPv6"),
        pytest.param({"address": None, "interface": "eth0"}, True, BOTH, id="unnumbered"),
        pytest.param({"peer_asn": DynamicAsn.INTERNAL}, True, {Family.IPV4}, id="internal"),
        pytest.param({"peer_asn": DynamicAsn.EXTERNAL}, False, {Family.IPV4}, id="external"),
        pytest.param({"local_asn": 64600}, False, {Family.IPV4}, id="localASN makes it eBGP"),
        pytest.param({"peer_asn": 64600, "local_asn": 64600}, True, {Family.IPV4}, id="or iBGP"),
    ],
)
def test_what_kind_of_session_a_peer_asks_for(
    fields: dict[str, Any],
    internal: bool,  # noqa: FBT001 -- a column of the table
    families: set[Family],
) -> None:
    """By the AS that we speak as, and by the address."""
    asked = peer(**fields)
    assert asked.is_internal is internal
    assert asked.families == families
