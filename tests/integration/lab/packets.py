"""What a capture shows beneath BGP: time to live and the MD5 option; and OPENs taken apart.

scapy reads the packets and dissects the OPENs, so neither ExaBGP nor our own code judges itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from scapy.contrib.bgp import BGPOpen
from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.utils import PcapReader

from tests.integration.lab.capture import OPEN, Capture, Message
from tests.integration.lab.history import Address

MD5 = "MD5"  # scapy's name for the TCP option of kind 19: RFC 2385 section 3
MULTIPROTOCOL, GRACEFUL_RESTART, ASN_OF_32_BITS, HOST_NAME = 1, 64, 65, 73
"""IANA, Capability Codes; the last one is of draft-walton-bgp-hostname-capability."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP packet."""

    source: Address
    destination: Address
    port: int  # of the destination
    hops: int  # TTL, or hop limit
    signed: bool  # has an MD5 digest


def packets(capture: Capture) -> Iterator[Packet]:
    """Yield all TCP packets so far; the last one may be in the middle of being written."""
    with PcapReader(str(capture.path)) as reader:
        while True:
            try:
                frame = reader.read_packet()
            except (EOFError, Scapy_Exception):
                return
            if len(frame.original) < (frame.wirelen or 0):  # the rest is not written yet
                return
            network = frame[IP] if IP in frame else frame[IPv6]
            yield Packet(
                source=ip_address(network.src),
                destination=ip_address(network.dst),
                port=frame[TCP].dport,
                hops=network.ttl if IP in frame else network.hlim,
                signed=any(kind == MD5 for kind, _ in frame[TCP].options),
            )


@dataclass(frozen=True, slots=True)
class Open:
    """An OPEN (RFC 4271 section 4.2).

    Attributes:
        capabilities: their values by code; of several with one code the values in order.
    """

    asn: int
    hold_seconds: int
    router_id: IPv4Address
    capabilities: dict[int, list[bytes]]


def opens(capture: Capture, source: Address) -> list[Open]:
    """Return the OPENs that an address has sent."""
    heard = [m for m in capture.messages() if m.type == OPEN and m.source == source]
    return [_open(message) for message in heard]


def _open(message: Message) -> Open:
    dissected = BGPOpen(message.body)
    capabilities: dict[int, list[bytes]] = {}
    for parameter in dissected.opt_params:
        raw = bytes(parameter.param_value)
        while raw:
            code, length = raw[0], raw[1]
            capabilities.setdefault(code, []).append(raw[2 : 2 + length])
            raw = raw[2 + length :]
    return Open(
        asn=dissected.my_as,
        hold_seconds=dissected.hold_time,
        router_id=IPv4Address(dissected.bgp_id),
        capabilities=capabilities,
    )
