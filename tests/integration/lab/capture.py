"""BGP as it is on the wire: tcpdump on an interface, and every message with the time of its packet.

tcpdump writes packets to a file as they come; here the TCP streams are put together again (RFC 9293
section 3.4) and cut into messages (RFC 4271 section 4), whose time is that of the packet which
completed them. Times are the kernel's, of the same clock as time.time(). A stream that began
before the capture is joined at the first marker.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.history import Address, Prefix
from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for

START_SECONDS = 60.0
UPDATE_SECONDS = 60.0

PCAP_HEADER = struct.Struct("<IHHiIII")  # pcap-savefile(5), written by this machine: little-endian
PCAP_RECORD = struct.Struct("<IIII")
PCAP_MAGIC = 0xA1B2C3D4  # microseconds
ETHERNET_LENGTH = 14
IPV4, IPV6 = 0x0800, 0x86DD
SYN = 0x02

MARKER = b"\xff" * 16
HEADER_LENGTH = 19
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4  # RFC 4271 section 4.1
EXTENDED_LENGTH = 0x10
MP_REACH, MP_UNREACH = 14, 15  # RFC 4760


@dataclass(frozen=True, slots=True)
class Message:
    """One BGP message of one direction."""

    at_seconds: float  # since the epoch, as time.time()
    source: Address
    destination: Address
    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE; without any prefix it is an End-of-RIB (RFC 4724 section 2)."""

    at_seconds: float
    source: Address
    destination: Address
    announced: tuple[Prefix, ...]
    withdrawn: tuple[Prefix, ...]


class Capture:
    """A tcpdump on one interface of a host, as a context.

    Attributes:
        path: of the file with the packets.
    """

    def __init__(self, host: Host, interface: str = "eth0", port: int = 179) -> None:
        name = f"capture-{host.name}-{interface}"
        self.path = host.lab.folder / f"{name}.pcap"
        self.path.unlink(missing_ok=True)
        self._tcpdump = Daemon(
            host,
            [
                # The kernel keeps 64 KiB for each frame that waits: room for a thousand.
                *("tcpdump", "-i", interface, "-n", "-s", "0", "-B", "65536", "-Z", "root"),
                # Without these two a packet waits for others before it is handed on.
                *("-U", "--immediate-mode", "-w", str(self.path), f"tcp port {port}"),
            ],
            output=host.lab.folder / f"{name}.log",
        )
        self._tcpdump.output.unlink(missing_ok=True)  # an earlier one's says that it listens
        self._offset = PCAP_HEADER.size
        self._streams: dict[tuple[bytes, bytes], _Stream] = {}
        self._messages: list[Message] = []
        self._updates: list[Update] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start tcpdump and return once it hears."""
        self._tcpdump.start()
        wait_for(self._listens, START_SECONDS, "tcpdump listens")

    def stop(self) -> None:
        """End tcpdump; what it heard can still be read."""
        self._tcpdump.stop()

    def messages(self) -> list[Message]:
        """Return all messages so far, in the order in which they were complete."""
        new = list(self._read())
        self._messages += new
        self._updates += [_update(message) for message in new if message.type == UPDATE]
        return self._messages

    def updates(self) -> list[Update]:
        """Return all UPDATEs so far."""
        self.messages()
        return self._updates

    def wait_update(
        self,
        *,
        announced: Prefix | None = None,
        withdrawn: Prefix | None = None,
        after_seconds: float = 0.0,
        timeout: float = UPDATE_SECONDS,
    ) -> Update:
        """Wait for the first UPDATE that announces or withdraws a prefix.

        Args:
            announced: the prefix that it announces; None: any.
            withdrawn: the prefix that it withdraws; None: any.
            after_seconds: only UPDATEs later than this, on the clock of time.time().
            timeout: seconds.
        """

        def found() -> list[Update]:
            return [
                update
                for update in self.updates()
                if update.at_seconds > after_seconds
                and (announced is None or announced in update.announced)
                and (withdrawn is None or withdrawn in update.withdrawn)
            ]

        return wait_for(found, timeout, f"UPDATE: +{announced} -{withdrawn}")[0]

    def _listens(self) -> bool:
        self._tcpdump.check()
        return b"listening on" in self._tcpdump.output.read_bytes()

    def _read(self) -> Iterator[Message]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            head = file.read(PCAP_HEADER.size)
            if len(head) < PCAP_HEADER.size:
                return
            assert PCAP_HEADER.unpack(head)[0] == PCAP_MAGIC
            file.seek(self._offset)
            data = file.read()
        at = 0
        while at + PCAP_RECORD.size <= len(data):
            seconds, microseconds, length, _ = PCAP_RECORD.unpack_from(data, at)
            end = at + PCAP_RECORD.size + length
            if end > len(data):
                break
            if segment := _segment(data[at + PCAP_RECORD.size : end]):
                yield from self._receive(segment, seconds + microseconds / 1e6)
            at = end
        self._offset += at

    def _receive(self, segment: "_Segment", at_seconds: float) -> Iterator[Message]:
        key = (segment.source, segment.destination)
        if segment.is_first or key not in self._streams:
            self._streams[key] = _Stream(next_number=segment.number)
        source, destination = ip_address(segment.source[2:]), ip_address(segment.destination[2:])
        for kind, body in self._streams[key].receive(segment):
            yield Message(at_seconds, source, destination, kind, body)


@dataclass(frozen=True, slots=True)
class _Segment:
    """What one TCP segment says, without its acknowledgements."""

    source: bytes  # port and address
    destination: bytes
    number: int  # of the first byte of data
    is_first: bool  # a SYN
    data: bytes


@dataclass(slots=True)
class _Stream:
    """One direction of a connection."""

    next_number: int
    early: dict[int, bytes] = field(default_factory=dict)  # by number, waiting for a lost one
    pending: bytearray = field(default_factory=bytearray)  # not yet a whole message

    def receive(self, segment: _Segment) -> Iterator[tuple[int, bytes]]:
        """Take a segment and yield type and body of every message that it completes."""
        if segment.data:
            self.early[segment.number] = segment.data
        while (usable := self._usable()) is not None:
            data = self.early.pop(usable)
            known = _distance(usable, self.next_number)
            if known < len(data):
                self.pending += data[known:]
                self.next_number = (usable + len(data)) % 2**32
        yield from self._cut()

    def _usable(self) -> int | None:
        return next((n for n in self.early if _distance(n, self.next_number) >= 0), None)

    def _cut(self) -> Iterator[tuple[int, bytes]]:
        start = self.pending.find(MARKER)
        if start < 0:
            return
        del self.pending[:start]
        while len(self.pending) >= HEADER_LENGTH:
            length, kind = struct.unpack_from("!HB", self.pending, len(MARKER))
            if len(self.pending) < length:
                return
            yield kind, bytes(self.pending[HEADER_LENGTH:length])
            del self.pending[:length]


def _distance(earlier: int, later: int) -> int:
    """Return how far a sequence number is behind another one; negative: it is ahead of it."""
    return (later - earlier + 2**31) % 2**32 - 2**31


def _segment(frame: bytes) -> _Segment | None:
    """Read an Ethernet frame with TCP in IPv4, or in IPv6 without extension headers."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    packet = frame[ETHERNET_LENGTH:]
    if kind == IPV4:
        header = (packet[0] & 0x0F) * 4
        total = struct.unpack_from("!H", packet, 2)[0] or len(packet)  # 0: segmentation offload
        source, destination = packet[12:16], packet[16:20]
    elif kind == IPV6:
        header = 40
        total = header + struct.unpack_from("!H", packet, 4)[0]
        source, destination = packet[8:24], packet[24:40]
    else:
        return None
    tcp = packet[header:total]
    number = struct.unpack_from("!I", tcp, 4)[0]
    is_first = bool(tcp[13] & SYN)
    return _Segment(
        source=tcp[0:2] + source,
        destination=tcp[2:4] + destination,
        number=(number + is_first) % 2**32,  # SYN counts as one byte
        is_first=is_first,
        data=tcp[(tcp[12] >> 4) * 4 :],
    )


def _update(message: Message) -> Update:
    body = message.body
    withdrawn_length = struct.unpack_from("!H", body)[0]
    attributes_at = 4 + withdrawn_length
    attributes_length = struct.unpack_from("!H", body, attributes_at - 2)[0]
    withdrawn = list(_prefixes(body[2 : 2 + withdrawn_length], 4))
    announced = list(_prefixes(body[attributes_at + attributes_length :], 4))
    for kind, value in _attributes(body[attributes_at : attributes_at + attributes_length]):
        if kind == MP_REACH:
            nlri_at = 5 + value[3]  # family, subfamily, length of the next hop, one reserved byte
            announced += _prefixes(value[nlri_at:], {1: 4, 2: 6}[value[1]])
        elif kind == MP_UNREACH:
            withdrawn += _prefixes(value[3:], {1: 4, 2: 6}[value[1]])
    return Update(
        message.at_seconds, message.source, message.destination, tuple(announced), tuple(withdrawn)
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        flags, kind = data[at], data[at + 1]
        size = 2 if flags & EXTENDED_LENGTH else 1
        start = at + 2 + size
        length = int.from_bytes(data[at + 2 : start], "big")
        yield kind, data[start : start + length]
        at = start + length


def _prefixes(data: bytes, version: int) -> Iterator[Prefix]:
    """Read NLRI: a length in bits, then as many bytes as those need (RFC 4271 section 4.3)."""
    at = 0
    while at < len(data):
        bits = data[at]
        end = at + 1 + (bits + 7) // 8
        octets = data[at + 1 : end]
        if version == 4:
            yield IPv4Network((IPv4Address(octets.ljust(4, b"\0")), bits))
        else:
            yield IPv6Network((IPv6Address(octets.ljust(16, b"\0")), bits))
        at = end
