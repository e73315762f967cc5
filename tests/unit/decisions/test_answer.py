"""What is answered to whom: ARP and neighbor discovery."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.answer import announcements, answer, asked
from exabgp_metallb.values.l2 import (
    ALL_NODES,
    ANY_IPV4,
    ANY_IPV6,
    BROADCAST,
    ArpReply,
    ArpRequest,
    Drop,
    DropReason,
    NeighborAdvertisement,
    NeighborSolicitation,
    Reply,
    Request,
    TagState,
    group_mac,
    solicited_node_group,
)

OURS, THEIRS, OTHER = (bytes.fromhex(f"02000000000{number}") for number in (1, 2, 3))
V4, FREE4, ASKER4 = (IPv4Address(f"10.0.0.{number}").packed for number in (9, 8, 2))
V6, FREE6 = (IPv6Address(f"fd00::{number}").packed for number in (9, 8))
ASKER6 = IPv6Address("fe80::2").packed
OWNED = frozenset({V4, V6})
GROUP = solicited_node_group(V6)
GROUP_MAC = group_mac(GROUP)
ALL_MAC = bytes.fromhex("333300000001")

ARP = ArpRequest(BROADCAST, THEIRS, THEIRS, ASKER4, V4)
ARP_ANSWER = ArpReply(THEIRS, V4, THEIRS, ASKER4)
NS = NeighborSolicitation(GROUP_MAC, THEIRS, ASKER6, GROUP, V6, THEIRS)
NS_ANSWER = NeighborAdvertisement(THEIRS, V6, ASKER6, solicited=True)
TO_ALL = NeighborAdvertisement(ALL_MAC, V6, ALL_NODES, solicited=False)
FREE_GROUP = solicited_node_group(FREE6)

R = DropReason
CASES: list[tuple[str, Request, Reply | DropReason]] = [
    ("broadcast", ARP, ARP_ANSWER),
    ("to our MAC", ARP._replace(destination=OURS), ARP_ANSWER),
    ("to another's MAC", ARP._replace(destination=OTHER), R.DESTINATION),
    ("to an IPv4 group", ARP._replace(destination=b"\1\0\x5e\0\0\1"), R.DESTINATION),
    ("for another's address", ARP._replace(target=FREE4), R.NOT_OURS),
    ("for nowhere", ARP._replace(target=ANY_IPV4), R.NOT_OURS),
    # RFC 826 answers to the MAC in the packet; a bridge may have put its own on the frame.
    ("asked by way of another", ARP._replace(source=OTHER), ARP_ANSWER),
    ("our own frame", ARP._replace(source=OURS), R.OWN),
    ("our own question", ARP._replace(sender_mac=OURS), R.OWN),
    (
        "ARP probe",  # RFC 5227 section 2.1.1: whoever holds the address answers
        ARP._replace(sender=ANY_IPV4),
        ArpReply(THEIRS, V4, THEIRS, ANY_IPV4),
    ),
    ("to the group", NS, NS_ANSWER),
    ("to the group without a MAC", NS._replace(sender_mac=None), NS_ANSWER),
    ("to the group by our MAC", NS._replace(destination=OURS), NS_ANSWER),  # RFC 6085
    ("to us", NS._replace(destination=OURS, receiver=V6), NS_ANSWER),
    ("to us without a MAC", NS._replace(destination=OURS, receiver=V6, sender_mac=None), NS_ANSWER),
    ("asked at another MAC", NS._replace(sender_mac=OTHER), NS_ANSWER._replace(destination=OTHER)),
    ("to another's MAC (ND)", NS._replace(destination=OTHER, receiver=V6), R.DESTINATION),
    ("to another group's MAC", NS._replace(destination=group_mac(FREE_GROUP)), R.DESTINATION),
    ("to all nodes", NS._replace(destination=ALL_MAC, receiver=ALL_NODES), R.DESTINATION),
    ("to another's address", NS._replace(destination=OURS, receiver=FREE6), R.DESTINATION),
    ("to another's group", NS._replace(receiver=FREE_GROUP), R.DESTINATION),
    ("for another's address (ND)", NS._replace(target=FREE6, receiver=FREE_GROUP), R.NOT_OURS),
    ("our own frame (ND)", NS._replace(source=OURS), R.OWN),
    ("our own question (ND)", NS._replace(sender_mac=OURS), R.OWN),
    ("DAD probe", NS._replace(sender=ANY_IPV6, sender_mac=None), TO_ALL),  # RFC 4862 5.4.3
]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [pytest.param(request, said, id=name) for name, request, said in CASES],
)
def test_answers(request_: Request, expected: Reply | DropReason) -> None:
    """Each kind of question."""
    assert answer(request_, OWNED, OURS) == (
        Drop(expected) if isinstance(expected, DropReason) else expected
    )


ipv4 = st.binary(min_size=4, max_size=4)
ipv6 = st.binary(min_size=16, max_size=16)
macs = st.binary(min_size=6, max_size=6)
requests = st.builds(ArpRequest, macs, macs, macs, ipv4, ipv4) | st.builds(
    NeighborSolicitation, macs, macs, ipv6, ipv6, ipv6, st.none() | macs
)


@given(request=requests, owned=st.frozensets(ipv4 | ipv6, max_size=4))
def test_nothing_is_answered_that_is_not_ours(request: Request, owned: frozenset[bytes]) -> None:
    """Whatever is asked; and a reply is about what was asked."""
    for held in (owned, owned | {request.target}):
        reply = answer(request, held, OURS)
        if request.target not in held:
            assert reply == Drop(R.NOT_OURS)
        elif not isinstance(reply, Drop):
            assert reply.holder == request.target


@pytest.mark.parametrize(
    ("target", "sender", "at"),
    [
        (V4, ASKER4, None),
        (V4, ASKER4, OURS),
        (V4, None, None),
        (V6, ASKER6, None),
        (V6, ASKER6, OURS),
    ],
)
def test_what_we_ask_is_answered(target: bytes, sender: bytes | None, at: bytes | None) -> None:
    """A question of ours meets the rules for questions, to all and to one."""
    request = asked(target, sender, THEIRS, at)
    assert request is not None
    reply = answer(request, OWNED, OURS)
    assert not isinstance(reply, Drop)
    assert reply.destination == THEIRS
    assert answer(request, OWNED, OTHER) == (Drop(R.DESTINATION) if at else reply)


def test_no_ipv6_address_no_question() -> None:
    """Asked from nowhere it would be a probe, which all nodes get the answer to."""
    assert asked(V6, None, OURS, None) is None


def test_announcements() -> None:
    """By ARP twice, since some hosts heed only one of the two; to all nodes by an advertisement."""
    assert announcements(V4, OURS, TagState.OWNER) == (
        ArpRequest(BROADCAST, OURS, OURS, V4, V4),
        ArpReply(BROADCAST, V4, OURS, V4),
    )
    assert announcements(V6, OURS, TagState.OWNER) == (TO_ALL,)


@pytest.mark.parametrize("address", [V4, V6])
def test_who_leaves_says_it_in_one_frame(address: bytes) -> None:
    """A second one would come after the announcement of who takes over at the first."""
    assert len(announcements(address, OURS, TagState.LEAVING)) == 1
