"""Ethernet frames of ARP (RFC 826) and neighbor discovery (RFC 4861), read and written.

Reading is by offset, since every host of a segment may ask at any time; scapy takes thirty times
as long. Whatever is not whole and valid by the standards is a `Drop` with its reason; a frame is
judged by itself here, and whether it concerns this node is for `decisions.answer`.

scapy builds and sums each kind of frame once for an interface and a tag state (`Forms`); what is
sent is one of those with the addresses of the moment in place. The checksum of ICMPv6 is the
number that the packet is, modulo 65535 (RFC 1071), so a patched one follows from the first.

A tag (`values.l2.Tag`) is where receivers must not look: in ARP after the packet, in the bytes
that fill an Ethernet frame to its least length; in neighbor discovery an option of an
experimental type (RFC 4727 section 5.1), which they skip (RFC 4861 section 4.6).
"""

import struct

from scapy.config import conf

# Importing the layers reads the routes of the machine, of which a router may hold a million.
conf.route_autoload = conf.route6_autoload = False

from scapy.layers.inet6 import (  # noqa: E402 -- after the setting above
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether  # noqa: E402 -- as above
from scapy.packet import Packet, Padding  # noqa: E402 -- as above

from exabgp_metallb.values.l2 import (  # noqa: E402 -- as above
    ANY_IPV4,
    ANY_IPV6,
    NO_MAC,
    ArpReply,
    ArpRequest,
    Claim,
    Drop,
    DropReason,
    Heard,
    Mac,
    NeighborAdvertisement,
    NeighborSolicitation,
    Packed,
    Reply,
    Request,
    Tag,
    TagState,
    mac_text,
)

FRAME_LENGTH = 60  # the least of Ethernet, without the check sequence that the hardware adds

ARP_TYPE = b"\x08\x06"
IPV6_TYPE = b"\x86\xdd"
VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")  # IEEE 802.1Q, 802.1ad
IPV4_ON_ETHERNET = b"\x00\x01\x08\x00\x06\x04"  # hardware, protocol, and their address lengths
ARP_REQUEST, ARP_REPLY = b"\x00\x01", b"\x00\x02"
# Frame's destination and source, lengths, operation, sender's MAC and address, target's address.
_ARP = struct.Struct("6s6s2x6s2s6s4s6x4s")
ARP_END = _ARP.size
LOOPBACK_NET, MULTICAST_NET = 127, 224  # first byte; from the latter on nobody has the address

ICMPV6 = 58
HOP_LIMIT = 255  # what no router has touched
ICMPV6_START = 54
OPTIONS_START = 78
SOLICITATION, ADVERTISEMENT = 135, 136
SOLICITED_FLAG = 0x40
MULTICAST = 0xFF  # first byte of an IPv6 address
SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")
SOURCE_MAC, TARGET_MAC = 1, 2  # option types
EXPERIMENT = 253
OPTION_UNIT = 8  # options count their length in it
MAC_OPTION_LENGTH = 8
TAG_OPTION_LENGTH = 16  # type, length, the tag, and two bytes to a multiple of the unit

TAG_MAGIC = b"\xeb\x4d"
TAG_VERSION = 1  # a later one keeps state and node where they are
TAG_LENGTH = 12

_DROPS = {reason: Drop(reason) for reason in DropReason}  # half the frames heard end in one
_STATES = {state.value: state for state in TagState}


def decode(frame: bytes) -> Heard | Drop:
    """Return what an Ethernet frame says, or why nothing follows from it."""
    kind = frame[12:14]
    if kind == ARP_TYPE:
        return _decode_arp(frame)
    if kind == IPV6_TYPE:
        return _decode_icmpv6(frame)
    if kind in VLAN_TYPES:
        return _DROPS[DropReason.VLAN]
    return _DROPS[DropReason.PROTOCOL if len(kind) == 2 else DropReason.SHORT]


class Forms:
    """The frames that an interface sends with one tag, ready but for the addresses.

    Args:
        mac: the interface's.
        tag: what they carry.
    """

    def __init__(self, mac: Mac, tag: Tag) -> None:
        self._mac = mac
        self._request = _arp_form(mac, tag, ARP_REQUEST)
        self._reply = _arp_form(mac, tag, ARP_REPLY)
        solicitation = ICMPv6ND_NS(type=SOLICITATION, code=0, res=0, tgt="::")
        source = ICMPv6NDOptSrcLLAddr(type=SOURCE_MAC, len=1, lladdr=mac_text(mac))
        self._solicitation = _Icmpv6Form(mac, tag, solicitation / source)
        target = ICMPv6NDOptDstLLAddr(type=TARGET_MAC, len=1, lladdr=mac_text(mac))
        self._solicited = _Icmpv6Form(mac, tag, _advertisement(solicited=True) / target)
        self._unsolicited = _Icmpv6Form(mac, tag, _advertisement(solicited=False) / target)

    def encode(self, message: Request | Reply) -> bytes:
        """Return the frame that says this, from the interface's MAC."""
        if isinstance(message, ArpReply):
            head, tail = self._reply
            destination, holder, receiver_mac, receiver = message
            return destination + head + holder + receiver_mac + receiver + tail
        if isinstance(message, NeighborAdvertisement):
            destination, holder, receiver, solicited = message
            form = self._solicited if solicited else self._unsolicited
            return form.filled(destination, holder, receiver, holder)
        if isinstance(message, ArpRequest):
            head, tail = self._request
            return message.destination + head + message.sender + NO_MAC + message.target + tail
        return self._solicitation.filled(
            message.destination, message.sender, message.receiver, message.target
        )


class _Icmpv6Form:
    """One frame of neighbor discovery with a MAC and a tag, ready but for its four addresses."""

    def __init__(self, mac: Mac, tag: Tag, icmpv6: Packet) -> None:
        option = ICMPv6NDOptUnknown(
            type=EXPERIMENT, len=TAG_OPTION_LENGTH // OPTION_UNIT, data=_tag_bytes(tag) + bytes(2)
        )
        length = OPTIONS_START - ICMPV6_START + MAC_OPTION_LENGTH + TAG_OPTION_LENGTH
        frame = bytes(
            Ether(dst=mac_text(NO_MAC), src=mac_text(mac), type=0x86DD)
            / IPv6(
                version=6, tc=0, fl=0, plen=length, nh=ICMPV6, hlim=HOP_LIMIT, src="::", dst="::"
            )
            / icmpv6
            / option
        )
        self._head = frame[6:22]
        self._kind = frame[54:56]
        self._sum = -int.from_bytes(frame[56:58], "big")  # of all but the addresses
        self._flags = frame[58:62]
        self._options = frame[OPTIONS_START:]

    def filled(self, destination: Mac, sender: Packed, receiver: Packed, target: Packed) -> bytes:
        """Return the frame with these addresses."""
        addresses = int.from_bytes(sender + receiver + target, "big")
        checksum = (-(self._sum + addresses) % 0xFFFF).to_bytes(2, "big")
        return b"".join(
            (
                *(destination, self._head, sender, receiver),
                *(self._kind, checksum, self._flags, target, self._options),
            )
        )


def _arp_form(mac: Mac, tag: Tag, operation: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the sender's address, without the destination, and after all."""
    padding = _tag_bytes(tag).ljust(FRAME_LENGTH - ARP_END, b"\0")
    packet = ARP(
        hwtype=1,
        ptype=0x0800,
        hwlen=6,
        plen=4,
        op=int.from_bytes(operation, "big"),
        hwsrc=mac_text(mac),
        psrc="0.0.0.0",  # noqa: S104 -- a place to be filled, not an address to listen on
        hwdst=mac_text(NO_MAC),
        pdst="0.0.0.0",  # noqa: S104 -- as above
    )
    ether = Ether(dst=mac_text(NO_MAC), src=mac_text(mac), type=0x0806)
    frame = bytes(ether / packet / Padding(load=padding))
    return frame[6:28], frame[ARP_END:]


def _advertisement(*, solicited: bool) -> Packet:
    """Return an NA of a host that is no router, and whose word replaces what was known."""
    return ICMPv6ND_NA(type=ADVERTISEMENT, code=0, R=0, S=int(solicited), O=1, res=0, tgt="::")


def _tag_bytes(tag: Tag) -> bytes:
    return TAG_MAGIC + bytes((TAG_VERSION, tag.state)) + tag.node


def _tag(frame: bytes, at: int) -> Tag | None:
    """Return the tag that begins there; a state of a later version claims the address as well."""
    if frame[at : at + 2] != TAG_MAGIC or len(frame) < at + TAG_LENGTH or not frame[at + 2]:
        return None
    state = _STATES.get(frame[at + 3], TagState.OWNER)
    return Tag(state, frame[at + 4 : at + TAG_LENGTH])


def _decode_arp(frame: bytes) -> Heard | Drop:
    if len(frame) < ARP_END:
        return _DROPS[DropReason.SHORT]
    destination, source, lengths, operation, mac, sender, target = _ARP.unpack_from(frame)
    if lengths != IPV4_ON_ETHERNET:
        return _DROPS[DropReason.HARDWARE]
    if operation not in (ARP_REQUEST, ARP_REPLY):
        return _DROPS[DropReason.OPERATION]
    if _is_nobody(mac) or source[0] & 1 or sender[0] == LOOPBACK_NET or sender[0] >= MULTICAST_NET:
        return _DROPS[DropReason.SENDER]
    tag = _tag(frame, ARP_END)
    if operation == ARP_REQUEST and sender != target:
        return ArpRequest(destination, source, mac, sender, target, tag)
    if sender == ANY_IPV4:
        return _DROPS[DropReason.SENDER]
    answer = operation == ARP_REPLY and not destination[0] & 1
    return Claim(destination, source, mac, sender, answer, tag)


def _is_nobody(mac: Mac) -> bool:
    """Tell whether no single interface can have this MAC."""
    return bool(mac[0] & 1) or mac == NO_MAC


def _decode_icmpv6(frame: bytes) -> Heard | Drop:
    if len(frame) < ICMPV6_START:
        return _DROPS[DropReason.SHORT]
    end = ICMPV6_START + (frame[18] << 8 | frame[19])  # the frame may go on to its least length
    fault = _packet_fault(frame, end) or _message_fault(frame, end)
    if fault:
        return _DROPS[fault]
    options = _options(frame, end)
    if isinstance(options, Drop):
        return options
    decode_kind = _solicitation if frame[54] == SOLICITATION else _advertised
    return decode_kind(frame, *options)


def _packet_fault(frame: bytes, end: int) -> DropReason | None:
    """Return why a frame holds no whole message of neighbor discovery."""
    if frame[14] >> 4 != 6:
        return DropReason.VERSION
    if frame[20] != ICMPV6:
        return DropReason.PROTOCOL
    if not ICMPV6_START < end <= len(frame):
        return DropReason.SHORT
    if frame[54] not in (SOLICITATION, ADVERTISEMENT):
        return DropReason.TYPE
    return None if end >= OPTIONS_START else DropReason.SHORT


def _message_fault(frame: bytes, end: int) -> DropReason | None:
    """Return why a message is not valid by RFC 4861 (7.1.1, 7.1.2), options left aside."""
    if frame[21] != HOP_LIMIT:
        return DropReason.HOP_LIMIT
    if frame[55]:
        return DropReason.CODE
    if not _sums_up(frame[22:end]):
        return DropReason.CHECKSUM
    if frame[6] & 1 or frame[22] == MULTICAST:
        return DropReason.SENDER
    return DropReason.TARGET if frame[62] == MULTICAST else None


def _sums_up(addresses_and_packet: bytes) -> bool:
    """Tell whether the checksum is right, over the pseudo-header too (RFC 8200 section 8.1)."""
    length = len(addresses_and_packet) - 32
    if length % 2:
        addresses_and_packet += b"\0"
    return (int.from_bytes(addresses_and_packet, "big") + length + ICMPV6) % 0xFFFF == 0


def _options(frame: bytes, end: int) -> tuple[Mac | None, Mac | None, Tag | None] | Drop:
    """Return the source's and the target's MAC and the tag; of several options the first counts."""
    source = target = tag = None
    at = OPTIONS_START
    while at < end:
        length = frame[at + 1] * OPTION_UNIT if at + 1 < end else 0
        if not length or at + length > end:
            return _DROPS[DropReason.OPTION]
        kind = frame[at]
        if kind in (SOURCE_MAC, TARGET_MAC):
            if length != MAC_OPTION_LENGTH:
                return _DROPS[DropReason.OPTION]
            mac = frame[at + 2 : at + MAC_OPTION_LENGTH]
            if _is_nobody(mac):
                return _DROPS[DropReason.SENDER]
            if kind == SOURCE_MAC:
                source = source or mac
            else:
                target = target or mac
        elif kind == EXPERIMENT and length >= TAG_OPTION_LENGTH:
            tag = tag or _tag(frame, at + 2)
        at += length
    return source, target, tag


def _solicitation(
    frame: bytes, source: Mac | None, _target: Mac | None, tag: Tag | None
) -> NeighborSolicitation | Drop:
    sender, receiver = frame[22:38], frame[38:54]
    if sender == ANY_IPV6 and (source is not None or receiver[:13] != SOLICITED_NODE):
        return _DROPS[DropReason.PROBE]
    return NeighborSolicitation(frame[:6], frame[6:12], sender, receiver, frame[62:78], source, tag)


def _advertised(
    frame: bytes, _source: Mac | None, target: Mac | None, tag: Tag | None
) -> Claim | Drop:
    """Return the claim; an answer to one host may leave out the MAC that the host asked at."""
    if frame[22:38] == ANY_IPV6:
        return _DROPS[DropReason.SENDER]
    solicited = bool(frame[58] & SOLICITED_FLAG)
    if solicited and frame[38] == MULTICAST:
        return _DROPS[DropReason.SOLICITED]
    return Claim(frame[:6], frame[6:12], target or frame[6:12], frame[62:78], solicited, tag)
