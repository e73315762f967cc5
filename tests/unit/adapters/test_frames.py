"""ARP and neighbor discovery: what scapy builds we read, what we write scapy reads."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    in6_chksum,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from exabgp_metallb.adapters.layer2.frames import (
    FRAME_LENGTH,
    ICMPV6_START,
    Forms,
    decode,
)
from exabgp_metallb.values.l2 import (
    ALL_NODES,
    ANY_IPV4,
    ANY_IPV6,
    BROADCAST,
    ArpReply,
    ArpRequest,
    Claim,
    Drop,
    DropReason,
    NeighborAdvertisement,
    NeighborSolicitation,
    Tag,
    TagState,
    group_mac,
    mac_text,
    node_hash,
    solicited_node_group,
)

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
TAG = Tag(TagState.STANDBY, node_hash("node-a"))
FORMS = Forms(OURS, TAG)

V4, ASKER4 = IPv4Address("10.0.0.9").packed, IPv4Address("10.0.0.2").packed
V6, ASKER6 = IPv6Address("fd00::9").packed, IPv6Address("fe80::2").packed
GROUP = solicited_node_group(V6)
IN_GROUP = str(IPv6Address(GROUP))
FROM_THEM_TO_ALL = Ether(dst="ff:ff:ff:ff:ff:ff", src=mac_text(THEIRS), type=0x0806)

macs = st.binary(min_size=6, max_size=6).filter(lambda mac: not mac[0] & 1 and any(mac))
ipv4 = st.binary(min_size=4, max_size=4).filter(
    lambda packed: packed[0] not in {0, 127} | {*range(224, 256)}
)
ipv6 = st.binary(min_size=16, max_size=16).filter(lambda packed: packed[0] != 0xFF and any(packed))
tags = st.builds(Tag, st.sampled_from(TagState), st.binary(min_size=8, max_size=8))


def arp(*, ether: Packet | None = None, **fields: Any) -> Packet:  # noqa: ANN401 -- as scapy's
    """Return a host's request for our IPv4 address, with some fields otherwise."""
    said: dict[str, Any] = {
        "op": 1,
        "hwsrc": mac_text(THEIRS),
        "psrc": "10.0.0.2",
        "pdst": "10.0.0.9",
    }
    return (ether or FROM_THEM_TO_ALL.copy()) / ARP(**said | fields)


def solicitation(
    *options: Packet,
    ip: Packet | None = None,
    **fields: Any,  # noqa: ANN401 -- as scapy's
) -> Packet:
    """Return a host's solicitation for our IPv6 address, with some fields otherwise."""
    ether = Ether(dst=mac_text(group_mac(GROUP)), src=mac_text(THEIRS))
    ip = ip or IPv6(src="fe80::2", dst=IN_GROUP, hlim=255)
    packet = ether / ip / ICMPv6ND_NS(**{"tgt": "fd00::9"} | fields)
    for option in options:
        packet /= option
    return packet


def advertisement(
    *options: Packet,
    ip: Packet | None = None,
    **fields: Any,  # noqa: ANN401 -- as scapy's
) -> Packet:
    """Return another's unsolicited advertisement of our IPv6 address."""
    ip = ip or IPv6(src="fd00::9", dst="ff02::1", hlim=255)
    ether = Ether(dst=mac_text(group_mac(ALL_NODES)), src=mac_text(THEIRS))
    said: dict[str, Any] = {"tgt": "fd00::9", "R": 0, "S": 0, "O": 1}
    packet = ether / ip / ICMPv6ND_NA(**said | fields)
    for option in options:
        packet /= option
    return packet


SOURCE = ICMPv6NDOptSrcLLAddr(lladdr=mac_text(THEIRS))
TARGET = ICMPv6NDOptDstLLAddr(lladdr=mac_text(THEIRS))
NONCE = ICMPv6NDOptUnknown(type=14, len=1, data=b"\1\2\3\4\5\6")  # RFC 7527


def test_a_request_as_hosts_send_it() -> None:
    """Broadcast, and padded to the least length of Ethernet or not."""
    request = ArpRequest(BROADCAST, THEIRS, THEIRS, ASKER4, V4)
    frame = bytes(arp())
    assert decode(frame) == request
    assert decode(frame.ljust(FRAME_LENGTH, b"\0")) == request


def test_a_solicitation_as_hosts_send_it() -> None:
    """With the asker's MAC, without it, with options that we do not know, and padded."""
    with_mac = NeighborSolicitation(group_mac(GROUP), THEIRS, ASKER6, GROUP, V6, THEIRS)
    assert decode(bytes(solicitation(SOURCE))) == with_mac
    assert decode(bytes(solicitation(NONCE, SOURCE, NONCE)) + bytes(7)) == with_mac
    assert decode(bytes(solicitation())) == with_mac._replace(sender_mac=None)


def test_probes() -> None:
    """A host that is about to take the address asks from nowhere; it claims nothing yet."""
    probe = decode(bytes(arp(psrc="0.0.0.0")))
    assert probe == ArpRequest(BROADCAST, THEIRS, THEIRS, ANY_IPV4, V4)
    assert isinstance(probe, ArpRequest)
    assert probe.claim is None
    nd = decode(bytes(solicitation(ip=IPv6(src="::", dst=IN_GROUP, hlim=255))))
    assert nd == NeighborSolicitation(group_mac(GROUP), THEIRS, ANY_IPV6, GROUP, V6)
    assert isinstance(nd, NeighborSolicitation)
    assert nd.claim is None


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        pytest.param(
            arp(op=2, psrc="10.0.0.9", ether=Ether(dst=mac_text(OURS), src=mac_text(THEIRS))),
            True,
            id="reply",
        ),
        pytest.param(arp(op=2, psrc="10.0.0.9"), False, id="gratuitous reply"),
        pytest.param(arp(op=1, psrc="10.0.0.9"), False, id="gratuitous request"),
        pytest.param(advertisement(TARGET), False, id="unsolicited advertisement"),
        pytest.param(advertisement(), False, id="advertisement without a MAC"),
        pytest.param(
            advertisement(TARGET, S=1, ip=IPv6(src="fd00::9", dst="fe80::1", hlim=255)),
            True,
            id="solicited advertisement",
        ),
    ],
)
def test_claims(frame: Packet, *, answer: bool) -> None:
    """All by which somebody says that it holds an address."""
    claim = decode(bytes(frame))
    assert isinstance(claim, Claim)
    assert str(claim.address) in {"10.0.0.9", "fd00::9"}
    assert (claim.mac, claim.source, claim.answer, claim.tag) == (THEIRS, THEIRS, answer, None)


def test_who_asks_claims_its_own_address() -> None:
    """So a host that uses an address of ours is found, even if it never announced that."""
    request = decode(bytes(arp(psrc="10.0.0.7")))
    assert isinstance(request, ArpRequest)
    assert request.claim is not None
    assert (str(request.claim.address), request.claim.mac) == ("10.0.0.7", THEIRS)
    asked = decode(bytes(solicitation(SOURCE)))
    assert isinstance(asked, NeighborSolicitation)
    assert asked.claim is not None
    assert (str(asked.claim.address), asked.claim.mac) == ("fe80::2", THEIRS)
    without = decode(bytes(solicitation()))
    assert isinstance(without, NeighborSolicitation)
    assert without.claim is None


def hop_limit(packet: Packet) -> Packet:
    """Return a packet that came through a router."""
    packet[IPv6].hlim = 254
    return packet


def flipped(frame: bytes, at: int) -> bytes:
    """Return a frame with one bit another."""
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


R = DropReason
NS = bytes(solicitation(SOURCE))
DROPS: list[tuple[str, bytes, DropReason]] = [
    ("nothing", b"", R.SHORT),
    ("half an Ethernet header", bytes(arp())[:13], R.SHORT),
    ("ARP that ends early", bytes(arp())[:41], R.SHORT),
    ("IPv6 header that ends early", NS[:53], R.SHORT),
    ("solicitation that ends early", NS[:77], R.SHORT),
    ("packet shorter than a solicitation", NS[:18] + b"\0\x17" + NS[20:], R.SHORT),
    ("packet of no length", NS[:18] + b"\0\0" + NS[20:], R.SHORT),
    ("packet longer than the frame", NS[:18] + b"\0\xff" + NS[20:], R.SHORT),
    ("802.1Q", bytes(Ether() / Dot1Q(vlan=7) / ARP(pdst="10.0.0.9")), R.VLAN),
    ("802.1ad", bytes(arp()).replace(b"\x08\x06", b"\x88\xa8", 1), R.VLAN),
    ("IPv4", bytes(arp()).replace(b"\x08\x06", b"\x08\x00", 1), R.PROTOCOL),
    ("UDP", NS[:20] + b"\x11" + NS[21:], R.PROTOCOL),
    ("ARP of another link", bytes(arp(hwtype=6)), R.HARDWARE),
    ("ARP of another protocol", bytes(arp(ptype=0x809B)), R.HARDWARE),
    ("ARP with long MACs", bytes(arp())[:18] + b"\x08" + bytes(arp())[19:], R.HARDWARE),
    ("ARP with long addresses", bytes(arp())[:19] + b"\x10" + bytes(arp())[20:], R.HARDWARE),
    ("reverse ARP", bytes(arp(op=3)), R.OPERATION),
    ("ARP of operation 0", bytes(arp(op=0)), R.OPERATION),
    ("asker's MAC is a group", bytes(arp(hwsrc="01:00:5e:00:00:01")), R.SENDER),
    ("asker's MAC is zero", bytes(arp(hwsrc="00:00:00:00:00:00")), R.SENDER),
    (
        "frame from a group",
        bytes(arp(ether=Ether(src="ff:ff:ff:ff:ff:ff", dst=mac_text(OURS)))),
        R.SENDER,
    ),
    ("asker is a group", bytes(arp(psrc="224.0.0.1")), R.SENDER),
    ("asker is broadcast", bytes(arp(psrc="255.255.255.255")), R.SENDER),
    ("asker is loopback", bytes(arp(psrc="127.0.0.1")), R.SENDER),
    ("reply from nowhere", bytes(arp(op=2, psrc="0.0.0.0")), R.SENDER),
    ("nowhere asks for nowhere", bytes(arp(psrc="0.0.0.0", pdst="0.0.0.0")), R.SENDER),
    ("IPv4 in IPv6's type", NS[:14] + b"\x45" + NS[15:], R.VERSION),
    ("through a router", bytes(hop_limit(solicitation(SOURCE))), R.HOP_LIMIT),
    ("advertisement through a router", bytes(hop_limit(advertisement(TARGET))), R.HOP_LIMIT),
    ("wrong sum", flipped(NS, 60), R.CHECKSUM),
    ("wrong address in the sum", flipped(NS, 37), R.CHECKSUM),
    ("router solicitation", bytes(Ether() / IPv6(hlim=255) / ICMPv6ND_RS() / bytes(16)), R.TYPE),
    ("code", bytes(solicitation(SOURCE, code=1)), R.CODE),
    ("target is a group", bytes(solicitation(SOURCE, tgt="ff02::1")), R.TARGET),
    ("asker is a group", bytes(solicitation(ip=IPv6(src="ff02::1", hlim=255))), R.SENDER),
    ("advertised from nowhere", bytes(advertisement(ip=IPv6(src="::", hlim=255))), R.SENDER),
    (
        "option's MAC is a group",
        bytes(solicitation(ICMPv6NDOptSrcLLAddr(lladdr="ff:ff:ff:ff:ff:ff"))),
        R.SENDER,
    ),
    ("option of length 0", bytes(solicitation(Raw(b"\1\0" + bytes(6)))), R.OPTION),
    ("option that goes on", bytes(solicitation(Raw(b"\1\2" + bytes(6)))), R.OPTION),
    ("option of one byte", bytes(solicitation(SOURCE / Raw(b"\1"))), R.OPTION),
    ("MAC of another link", bytes(solicitation(Raw(b"\1\2" + bytes(14)))), R.OPTION),
    (
        "probe with a MAC",
        bytes(solicitation(SOURCE, ip=IPv6(src="::", dst=IN_GROUP, hlim=255))),
        R.PROBE,
    ),
    ("probe to one", bytes(solicitation(ip=IPv6(src="::", dst="fd00::9", hlim=255))), R.PROBE),
    ("answer to a group", bytes(advertisement(TARGET, S=1)), R.SOLICITED),
]


@pytest.mark.parametrize(("frame", "reason"), [pytest.param(f, r, id=n) for n, f, r in DROPS])
def test_drops(frame: bytes, reason: DropReason) -> None:
    """Each fault has its reason; but for it the frame would be heard."""
    assert decode(frame) == Drop(reason)


def test_every_reason_of_a_frame_is_in_the_table() -> None:
    """The others are for who knows its own addresses."""
    elsewhere = {R.DESTINATION, R.OWN, R.NOT_OURS, R.NOT_WATCHED}
    assert {reason for _, _, reason in DROPS} == set(DropReason) - elsewhere


def test_a_longer_frame_than_its_packet_is_read_to_the_end_of_the_packet() -> None:
    """What follows is padding, whatever it holds."""
    assert decode(NS + b"\1\0garbage") == decode(NS)


def test_an_odd_packet_is_summed_as_if_a_zero_followed() -> None:
    """RFC 1071; the frame's own next byte does not count, and the option is no option then."""
    assert decode(bytes(solicitation(Raw(b"\1"))) + b"\7") == Drop(R.OPTION)


@pytest.mark.parametrize("state", TagState)
@pytest.mark.parametrize("frame", [arp() / Raw(bytes(18)), solicitation(SOURCE)])
def test_padding_of_zeros_and_other_options_are_no_tag(frame: Packet, state: TagState) -> None:
    """And what our own forms carry is one, in every state."""
    heard = decode(bytes(frame))
    assert not isinstance(heard, Drop)
    assert heard.tag is None
    tagged = decode(Forms(OURS, Tag(state, TAG.node)).encode(reply_to(V6)))
    assert isinstance(tagged, Claim)
    assert tagged.tag == Tag(state, TAG.node)


def reply_to(held: bytes) -> ArpReply | NeighborAdvertisement:
    """Return a reply about an address."""
    if len(held) == 4:
        return ArpReply(THEIRS, held, THEIRS, ASKER4)
    return NeighborAdvertisement(THEIRS, held, ASKER6, solicited=True)


@pytest.mark.parametrize("held", [V4, V6])
def test_a_tag_of_a_later_version_is_read(held: bytes) -> None:
    """Its state and node are where they were; a state that we do not know claims as an owner."""
    frame = FORMS.encode(reply_to(held))
    at = frame.index(b"\xeb\x4d")
    later = frame[: at + 2] + b"\x02\x63" + frame[at + 4 :]
    heard = decode(later if len(held) == 4 else resummed(later))
    assert isinstance(heard, Claim)
    assert heard.tag == Tag(TagState.OWNER, TAG.node)


def resummed(frame: bytes) -> bytes:
    """Return a frame of neighbor discovery with the checksum that its bytes ask for."""
    packet = Ether(frame)
    body = bytearray(frame[ICMPV6_START:])
    body[2:4] = bytes(2)
    checksum = int(in6_chksum(58, packet[IPv6], bytes(body)))  # type: ignore[no-untyped-call]  # scapy's
    return frame[:56] + checksum.to_bytes(2, "big") + frame[58:]


def test_receivers_do_not_see_the_tag() -> None:
    """In ARP it is padding, in neighbor discovery an option of an experimental type."""
    arp_frame = Ether(FORMS.encode(reply_to(V4)))
    assert len(arp_frame[ARP].payload) == FRAME_LENGTH - 42
    assert type(arp_frame[ARP].payload).__name__ == "Padding"
    options = Ether(FORMS.encode(reply_to(V6)))[ICMPv6ND_NA].payload
    assert [options.type, options.payload.type, options.payload.len] == [2, 253, 2]


@given(destination=macs, held=ipv4, receiver_mac=macs, receiver=ipv4)
def test_scapy_reads_our_arp_replies(
    destination: bytes, held: bytes, receiver_mac: bytes, receiver: bytes
) -> None:
    """Every field as it was said, and the least length of a frame."""
    frame = FORMS.encode(ArpReply(destination, held, receiver_mac, receiver))
    packet = Ether(frame)
    assert len(frame) == FRAME_LENGTH
    assert (packet.dst, packet.src) == (mac_text(destination), mac_text(OURS))
    reply = packet[ARP]
    assert (reply.op, reply.hwsrc, reply.hwdst) == (2, mac_text(OURS), mac_text(receiver_mac))
    assert (reply.psrc, reply.pdst) == (str(IPv4Address(held)), str(IPv4Address(receiver)))


@given(destination=macs, held=ipv6, receiver=ipv6, solicited=st.booleans())
def test_scapy_reads_our_advertisements(
    destination: bytes, held: bytes, receiver: bytes, *, solicited: bool
) -> None:
    """No router, override, and a checksum that scapy finds as well."""
    frame = FORMS.encode(NeighborAdvertisement(destination, held, receiver, solicited))
    packet = Ether(frame)
    assert packet[IPv6].hlim == 255
    said = packet[ICMPv6ND_NA]
    assert (0, int(solicited), 1) == (said.R, said.S, said.O)
    assert (said.tgt, packet[IPv6].src) == (str(IPv6Address(held)),) * 2
    assert packet[IPv6].dst == str(IPv6Address(receiver))
    assert said.payload.lladdr == mac_text(OURS)
    assert resummed(frame) == frame


@given(destination=macs, sender=ipv6, target=ipv6, tag=tags)
def test_what_we_ask_we_hear(destination: bytes, sender: bytes, target: bytes, tag: Tag) -> None:
    """The other way round: our requests are what our decoder makes of them."""
    request = NeighborSolicitation(destination, OURS, sender, target, target, OURS, tag)
    assert decode(Forms(OURS, tag).encode(request)) == request


@given(destination=macs, sender=ipv4, target=ipv4, tag=tags)
def test_what_we_ask_by_arp_we_hear(
    destination: bytes, sender: bytes, target: bytes, tag: Tag
) -> None:
    """Unless it is no question but an announcement."""
    request = ArpRequest(destination, OURS, OURS, sender, target, tag)
    heard = decode(Forms(OURS, tag).encode(request))
    assert heard == (request.claim if sender == target else request)


def mutated(frame: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy of frames with some bytes another, or cut, or longer."""
    places = st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255))

    def change(changes: list[tuple[int, int]], length: int, tail: bytes) -> bytes:
        data = bytearray(frame)
        for at, value in changes:
            data[at] = value
        return bytes(data[:length]) + tail

    return st.builds(
        change, st.lists(places, max_size=4), st.integers(0, len(frame)), st.binary(max_size=24)
    )


@given(frame=st.binary(max_size=120) | mutated(NS) | mutated(bytes(arp())))
def test_any_frame_is_heard_or_dropped(frame: bytes) -> None:
    """No exception; what is heard stands in the frame as scapy reads it."""
    heard = decode(frame)
    if not isinstance(heard, Drop):
        assert as_scapy_reads(frame) == str(heard.address)


def as_scapy_reads(frame: bytes) -> str:
    """Return the address that a frame is about."""
    packet = Ether(frame)
    if ARP in packet:
        said = packet[ARP]
        return str(said.psrc if said.op == 2 or said.psrc == said.pdst else said.pdst)
    return str(packet[ICMPv6ND_NS if ICMPv6ND_NS in packet else ICMPv6ND_NA].tgt)
