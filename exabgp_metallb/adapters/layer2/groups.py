"""The IPv6 multicast groups that interfaces are in, so that frames for them arrive.

Joined by the kernel's IPv6 and not on a packet socket (PACKET_ADD_MEMBERSHIP): only that tells
switches, which otherwise may keep the group's frames back (MLD, RFC 4861 section 7.2.1).
"""

import errno
import socket
import struct
from collections import Counter

from exabgp_metallb.adapters.layer2.socket import error_word
from exabgp_metallb.values.l2 import Packed

_FULL = (errno.ENOMEM, errno.ENOBUFS)


class Groups:
    """All memberships; what fails is counted, not raised, and tried again when asked again.

    Args:
        errors: how often the kernel refused something, by name such as "ENODEV"; added to.
    """

    def __init__(self, errors: Counter[str]) -> None:
        self._errors = errors
        self._joined: dict[int, dict[Packed, socket.socket]] = {}  # by interface and group
        self._held: Counter[socket.socket] = Counter()  # memberships by socket
        self._socket: socket.socket | None = None  # the one that may have room left

    def join(self, index: int, group: Packed) -> None:
        """Have an interface in a group."""
        joined = self._joined.setdefault(index, {})
        if group not in joined:
            sock = self._join(index, group)
            if sock is not None:
                joined[group] = sock

    def leave(self, index: int, group: Packed) -> None:
        """Have an interface in a group no longer."""
        joined = self._joined.get(index, {})
        if group in joined:
            self._leave(index, group, joined.pop(group))
        if not joined:
            self._joined.pop(index, None)

    def close(self) -> None:
        """Leave all groups."""
        for sock in {*self._held, *filter(None, [self._socket])}:
            sock.close()
        self._joined.clear()
        self._held.clear()
        self._socket = None

    def _join(self, index: int, group: Packed) -> socket.socket | None:
        """Return the socket by which the interface is in the group now.

        A socket holds some hundred to thousand memberships (net.core.optmem_max); then comes
        another one.
        """
        try:
            if self._socket is not None:
                try:
                    return self._join_by(self._socket, index, group)
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            return self._join_by(self._socket, index, group)
        except OSError as error:  # no such interface any more, or IPv6 is off
            self._errors[error_word(error)] += 1
            return None

    def _join_by(self, sock: socket.socket, index: int, group: Packed) -> socket.socket:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _membership(index, group))
        self._held[sock] += 1
        return sock

    def _leave(self, index: int, group: Packed, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, _membership(index, group))
        except OSError as error:
            if error.errno != errno.ENODEV:  # it left with its interface
                self._errors[error_word(error)] += 1
        self._held[sock] -= 1
        if not self._held[sock]:
            del self._held[sock]
            if sock is not self._socket:
                sock.close()


def _membership(index: int, group: Packed) -> bytes:
    """Return an ipv6_mreq (RFC 3493 section 5.2)."""
    return group + struct.pack("@I", index)
