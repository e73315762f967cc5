"""What is said on an Ethernet segment about who holds an address: ARP and neighbor discovery.

A frame that is read becomes a request (who holds this address?), a claim (I hold it), or a `Drop`
with its reason. A frame that is sent starts as a request, an `ArpReply` or a
`NeighborAdvertisement`. The standards are RFC 826 and RFC 5227 (ARP), RFC 4861 and RFC 4862 (ND).

Every frame that a responder sends carries a `Tag`, by which candidates know each other; a frame
without one comes from somebody else.

These are named tuples over bytes and not dataclasses over `ipaddress` objects: every request on
the segment becomes one, and a frozen dataclass takes three times as long to make, two addresses
longer than all the rest of its way. `address` makes an address where one is wanted.
"""

import enum
import hashlib
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from exabgp_metallb.values.addresses import Address

Mac = bytes
"""The six bytes of a link-layer address."""

Packed = bytes
"""An address as it is on the wire: 4 bytes or 16."""

BROADCAST: Mac = b"\xff" * 6
NO_MAC: Mac = bytes(6)
ANY_IPV4: Packed = bytes(4)  # the sender of an ARP probe (RFC 5227 section 2.1.1)
ANY_IPV6: Packed = bytes(16)  # the source of a DAD probe (RFC 4862 section 5.4.2)
ALL_NODES: Packed = IPv6Address("ff02::1").packed

NODE_HASH_LENGTH = 8


def mac_text(mac: Mac) -> str:
    """Return a MAC as people write it: aa:bb:cc:dd:ee:ff."""
    return mac.hex(":")


def unpacked(packed: Packed) -> Address:
    """Return the address that these bytes are."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def solicited_node_group(packed: Packed) -> Packed:
    """Return the group in which an IPv6 address is asked for (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + packed[-3:]


def group_mac(group: Packed) -> Mac:
    """Return the MAC to which frames for an IPv6 multicast group go (RFC 2464 section 7)."""
    return b"\x33\x33" + group[-4:]


def node_hash(node: str) -> bytes:
    """Return what stands for a node in a tag."""
    return hashlib.sha256(node.encode()).digest()[:NODE_HASH_LENGTH]


_SOLICITED_NODE = IPv6Address("ff02::1:ff00:0").packed[:13]


class TagState(enum.IntEnum):
    """What the sender of a frame is for the address that the frame is about."""

    OWNER = 1
    LEAVING = 2  # it answers still, and waits for another to take over
    STANDBY = 3
    WEAK = 4  # an owner that is in none of the address's subnets: any other candidate is better
    HELD = 5  # an owner that a better candidate is to leave alone for now (sticky, or damped)


class Tag(NamedTuple):
    """Who sent a frame: a candidate, and in which state."""

    state: TagState
    node: bytes  # node_hash() of its name


class Claim(NamedTuple):
    """Somebody says that it holds an address: by a reply, an announcement, or as who asks.

    Attributes:
        destination: of the frame.
        source: of the frame.
        mac: the link-layer address that it gives for the address.
        holder: the address that is claimed.
        answer: it answers a question (an ARP reply to one host, an NA with S=1).
    """

    destination: Mac
    source: Mac
    mac: Mac
    holder: Packed
    answer: bool
    tag: Tag | None = None

    @property
    def address(self) -> Address:
        """The address that is claimed."""
        return unpacked(self.holder)


class ArpRequest(NamedTuple):
    """Who holds `target`? Tell `sender`.

    Attributes:
        destination: of the frame: broadcast, or whom the asker believes to hold the address.
        source: of the frame.
        sender_mac: the asker's.
        sender: the asker's address; 0.0.0.0 in a probe before it takes the target for itself.
    """

    destination: Mac
    source: Mac
    sender_mac: Mac
    sender: Packed
    target: Packed
    tag: Tag | None = None

    @property
    def address(self) -> Address:
        """The address that is asked for."""
        return unpacked(self.target)

    @property
    def claim(self) -> Claim | None:
        """What the asker says of its own address; None in a probe."""
        if self.sender == ANY_IPV4:
            return None
        return Claim(
            self.destination, self.source, self.sender_mac, self.sender, answer=False, tag=self.tag
        )


class NeighborSolicitation(NamedTuple):
    """Who holds `target`? Tell `sender` (RFC 4861 section 4.3).

    Attributes:
        destination: of the frame: of a group, or of whom the asker believes to hold the address.
        source: of the frame.
        sender: the source of the packet; :: in a probe before it takes the target for itself.
        receiver: the destination of the packet: the solicited-node group, or a unicast address.
        sender_mac: the source link-layer address option; None without one.
    """

    destination: Mac
    source: Mac
    sender: Packed
    receiver: Packed
    target: Packed
    sender_mac: Mac | None = None
    tag: Tag | None = None

    @property
    def address(self) -> Address:
        """The address that is asked for."""
        return unpacked(self.target)

    @property
    def claim(self) -> Claim | None:
        """What the asker says of its own address; None where it names no MAC for it."""
        if self.sender_mac is None:
            return None
        return Claim(
            self.destination, self.source, self.sender_mac, self.sender, answer=False, tag=self.tag
        )


class ArpReply(NamedTuple):
    """We hold `holder`; sent to one asker, or to all."""

    destination: Mac
    holder: Packed
    receiver_mac: Mac
    receiver: Packed


class NeighborAdvertisement(NamedTuple):
    """We hold `holder`; sent to one asker, or to all (RFC 4861 section 4.4)."""

    destination: Mac
    holder: Packed
    receiver: Packed
    solicited: bool


Request = ArpRequest | NeighborSolicitation
Reply = ArpReply | NeighborAdvertisement
Heard = Claim | Request


class DropReason(enum.StrEnum):
    """Why a frame is not answered; one word for metric, log and test."""

    SHORT = "short"  # it ends before what it must hold
    VLAN = "vlan"  # it is tagged for a VLAN that this interface is not in
    PROTOCOL = "protocol"  # neither ARP nor ICMPv6
    HARDWARE = "hardware"  # ARP, but not of IPv4 on Ethernet
    OPERATION = "operation"  # ARP, neither request nor reply
    SENDER = "sender"  # nobody can have the sender's MAC or address
    TARGET = "target"  # nobody can hold the target
    VERSION = "version"  # it says IPv6 and is not
    HOP_LIMIT = "hop_limit"  # it may have come through a router (RFC 4861 sections 7.1.1, 7.1.2)
    CHECKSUM = "checksum"
    TYPE = "type"  # ICMPv6, neither neighbor solicitation nor advertisement
    CODE = "code"
    OPTION = "option"  # an option of length 0, longer than the packet, or not of Ethernet's length
    PROBE = "probe"  # a probe from :: with the asker's MAC, or not to the group (section 7.1.1)
    SOLICITED = "solicited"  # an advertisement to a group that says it answers (section 7.1.2)
    DESTINATION = "destination"  # it was sent to somebody else
    OWN = "own"  # this node sent it itself
    NOT_OURS = "not_ours"  # it asks for an address that is not answered here
    NOT_WATCHED = "not_watched"  # it claims an address that is none of ours


class Drop(NamedTuple):
    """A frame that nothing follows from."""

    reason: DropReason
