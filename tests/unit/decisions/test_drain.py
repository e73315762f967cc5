"""A draining node's routes lose to every other path and go on carrying what is under way."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given

from exabgp_metallb.decisions.drain import drained
from exabgp_metallb.values.intent import (
    GRACEFUL_SHUTDOWN,
    Community,
    DynamicAsn,
    LargeCommunity,
    Peer,
)
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from tests.strategies import adj_ribs_out

PREFIX = ip_network("10.0.0.1/32")


def peer(peer_asn: int | DynamicAsn, local_asn: int | None = None) -> Peer:
    """Return a peer of AS 64512."""
    return Peer(name="tor", my_asn=64512, peer_asn=peer_asn, local_asn=local_asn)


IBGP, EBGP = peer(64512), peer(64513)
LOW, HIGH = Community(1, 1), Community(65535, 65281)


@pytest.mark.parametrize(
    ("to", "before", "after"),
    [
        pytest.param(
            EBGP,
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="eBGP: the community, no local-pref",
        ),
        pytest.param(
            IBGP,
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP: the lowest local-pref as well",
        ),
        pytest.param(
            IBGP,
            Attributes(local_pref=200),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP: instead of its own",
        ),
        pytest.param(
            peer(DynamicAsn.INTERNAL),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="dynamicASN internal",
        ),
        pytest.param(
            peer(DynamicAsn.EXTERNAL),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="dynamicASN external",
        ),
        pytest.param(
            peer(64513, local_asn=64513),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP by localASN",
        ),
        pytest.param(
            EBGP,
            Attributes(communities=(LOW, HIGH)),
            Attributes(communities=(LOW, GRACEFUL_SHUTDOWN, HIGH)),
            id="communities stay, and in order",
        ),
        pytest.param(
            EBGP,
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="the community only once",
        ),
        pytest.param(
            EBGP,
            Attributes(
                next_hop=ip_address("192.0.2.1"), large_communities=(LargeCommunity(1, 2, 3),)
            ),
            Attributes(
                next_hop=ip_address("192.0.2.1"),
                large_communities=(LargeCommunity(1, 2, 3),),
                communities=(GRACEFUL_SHUTDOWN,),
            ),
            id="all else stays",
        ),
    ],
)
def test_the_first_phase_of_a_drain(to: Peer, before: Attributes, after: Attributes) -> None:
    """RFC 8326 section 4, by kind of peer."""
    assert drained({PREFIX: before}, to) == {PREFIX: after}


@given(adj_ribs_out)
def test_no_prefix_comes_or_goes(rib: AdjRibOut) -> None:
    """A drain changes attributes only, and draining again changes nothing."""
    once = drained(rib, IBGP)
    assert list(once) == list(rib)
    assert drained(once, IBGP) == once
