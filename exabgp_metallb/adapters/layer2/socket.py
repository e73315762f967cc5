"""Raw packet sockets: one protocol on one interface, read and written without ever waiting.

A socket of our own and not scapy's: scapy's hears every interface from its making until it is
bound, every protocol always (so all traffic of the node passes its filter), and stamps each frame
with the time. Bound to ARP or IPv6 alone, packet(7) costs IPv4 traffic nothing and does not hand
back what this node sends. Frames then come after the kernel has looked at their VLAN tag: one for
a VLAN of the node comes to the interface of that VLAN, any other as "to somebody else", which the
filter drops, and one with priority alone (VLAN 0) as if it had no tag.
"""

import ctypes
import errno
import os
import socket
import struct
from collections import Counter

from exabgp_metallb.values.addresses import Family

ETHERNET_TYPES = {Family.IPV4: 0x0806, Family.IPV6: 0x86DD}  # ARP; IPv6
FRAME_BYTES = 2048  # no request is longer than a frame without jumbo; what is longer ends in SHORT

# linux/filter.h: load a byte, jump by it (how far if it is equal, if not), return how much to hear
LOAD_BYTE, JUMP_EQUAL, RETURN = 0x30, 0x15, 0x06
PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
OTHER_HOST = 3
NEXT_HEADER_AT, ICMPV6 = 20, 58
ICMPV6_TYPE_AT, SOLICITATION, ADVERTISEMENT = 54, 135, 136

Instruction = tuple[int, int, int, int]

FILTERS: dict[Family, tuple[Instruction, ...]] = {
    Family.IPV4: (
        (LOAD_BYTE, 0, 0, PACKET_TYPE),
        (JUMP_EQUAL, 1, 0, OTHER_HOST),
        (RETURN, 0, 0, FRAME_BYTES),
        (RETURN, 0, 0, 0),
    ),
    Family.IPV6: (
        (LOAD_BYTE, 0, 0, PACKET_TYPE),
        (JUMP_EQUAL, 6, 0, OTHER_HOST),
        (LOAD_BYTE, 0, 0, NEXT_HEADER_AT),
        (JUMP_EQUAL, 0, 4, ICMPV6),
        (LOAD_BYTE, 0, 0, ICMPV6_TYPE_AT),
        (JUMP_EQUAL, 1, 0, SOLICITATION),
        (JUMP_EQUAL, 0, 1, ADVERTISEMENT),
        (RETURN, 0, 0, FRAME_BYTES),
        (RETURN, 0, 0, 0),
    ),
}

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python does not name it
SOL_PACKET, PACKET_STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
RECEIVE_BYTES = 1 << 20  # a burst of all neighbors at once; cut to net.core.rmem_max
_STATISTICS = struct.Struct("=II")  # heard, lost
_LINK_ADDRESS = struct.Struct("=HHi12x")  # sockaddr_ll: family, protocol, index
_LIBC = ctypes.CDLL(None, use_errno=True)


class PacketSocket:
    """The frames of one family's protocol on one interface; what fails is counted, not raised.

    Args:
        index: the interface's.
        family: ARP for IPv4, neighbor discovery for IPv6.
        errors: how often the kernel refused something, by name such as "ENETDOWN"; added to.

    Raises:
        OSError: at construction: no CAP_NET_RAW, or the interface is gone.
    """

    def __init__(self, index: int, family: Family, errors: Counter[str]) -> None:
        self._errors = errors
        # Protocol 0 hears nothing: the filter is there before the first frame.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            self._attach(FILTERS[family])
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            self._bind(index, ETHERNET_TYPES[family])
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, to be waited on."""
        return self._socket.fileno()

    def read(self) -> bytes | None:
        """Return the next frame, None when none is waiting."""
        try:
            return self._socket.recv(FRAME_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:  # ENETDOWN, once, when the interface goes down or away
            self._errors[error_word(error)] += 1
            return None

    def send(self, frame: bytes) -> bool:
        """Send a frame and tell whether the kernel took it.

        It does not while the interface is down (ENETDOWN) or gone (ENXIO), nor when a queue is
        full (ENOBUFS, EAGAIN): then the frame is lost as one on the wire may be.
        """
        try:
            self._socket.send(frame)
        except OSError as error:
            self._errors[error_word(error)] += 1
            return False
        return True

    def lost(self) -> int:
        """Return how many frames were lost since the last call because nobody read them in time."""
        data = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(data)[1])

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _attach(self, program: tuple[Instruction, ...]) -> None:
        code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
        buffer = ctypes.create_string_buffer(code)
        pointer = struct.pack("@HP", len(program), ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)

    def _bind(self, index: int, ethernet_type: int) -> None:
        """Bind by index: Python binds by name, which may be another interface's by now."""
        here = _LINK_ADDRESS.pack(socket.AF_PACKET, socket.htons(ethernet_type), index)
        if _LIBC.bind(self.fileno(), here, len(here)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def error_word(error: OSError) -> str:
    """Return an error's name, such as "ENETDOWN"."""
    return errno.errorcode.get(error.errno or 0, "other")
