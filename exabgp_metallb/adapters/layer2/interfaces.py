"""The interfaces of this node, told by the kernel as they change; that needs no capability.

A socket of rtnetlink(7) subscribes to links and addresses first and then asks for all of both, so
nothing falls in between: answers and events come in one order. When the kernel had to drop events
(ENOBUFS), or a list changed while it was told, everything is asked for again; until a list is
whole the one before stands.
"""

import errno
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import Any

from pyroute2.netlink import (
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTMGRP_IPV4_IFADDR,
    RTMGRP_IPV6_IFADDR,
    RTMGRP_LINK,
)
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from exabgp_metallb.values.interfaces import Interface, Subnet
from exabgp_metallb.values.l2 import NO_MAC, Mac

DATAGRAM_BYTES = 1 << 18  # the kernel fills 32 KiB, unless a single link needs more

# linux/if.h and linux/if_arp.h
UP, BROADCAST, LOOPBACK, NOARP, LOWER_UP = 0x1, 0x2, 0x8, 0x80, 0x10000
ETHERNET = 1
# linux/if_addr.h: what duplicate address detection holds back is no address yet
OPTIMISTIC, DADFAILED, TENTATIVE = 0x04, 0x08, 0x40

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_ALL_LINKS = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)  # ifinfomsg
_ALL_ADDRESSES = struct.pack("=BBBBi", socket.AF_UNSPEC, 0, 0, 0, 0)  # ifaddrmsg

Message = Any  # pyroute2 has no types: fixed fields by name, attributes by get_attr()


class Interfaces:
    """All interfaces; for one thread.

    Attributes:
        by_index: as they were when `read` was called last.
        resyncs: how often everything had to be asked for again.
    """

    def __init__(self) -> None:
        self.by_index: Mapping[int, Interface] = {}
        self.resyncs = 0
        self._marshal = MarshalRtnl()
        self._sequence = 0
        self._table = _Table()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        self._coming: _Coming | None = self._ask_all()
        while self._coming:
            self._receive()
        self._socket.settimeout(0)
        self.by_index = self._table.interfaces()

    def fileno(self) -> int:
        """Return the descriptor, to be waited on."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Take in all that the kernel has told, and return whether any interface differs."""
        while self._receive():
            pass
        now = self._table.interfaces()
        differs = now != self.by_index
        self.by_index = now
        return differs

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _receive(self) -> bool:
        """Take in one datagram, and return whether there was one."""
        try:
            data = self._socket.recv(DATAGRAM_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._again()
            return True
        for message in self._marshal.parse(data):
            self._take(message)
        return True

    def _take(self, message: Message) -> None:
        coming = self._coming
        if coming is None:
            self._table.take(message)
            return
        header = message["header"]
        if header["sequence_number"] != coming.sequence:
            if coming.begun:  # an event of before is in the list already, or undone since
                coming.table.take(message)
            return
        coming.begun = True
        coming.whole &= not header["flags"] & NLM_F_DUMP_INTR
        if header["type"] not in (NLMSG_DONE, NLMSG_ERROR):
            coming.table.take(message)
            return
        coming.whole &= header["type"] == NLMSG_DONE
        self._listed(coming)

    def _listed(self, coming: "_Coming") -> None:
        """Go on after the end of a list: with the addresses after the links, or all anew."""
        if not coming.whole:
            self.resyncs += 1
            self._coming = self._ask_all()
        elif coming.addresses:
            self._table, self._coming = coming.table, None
        else:
            coming.addresses = True
            coming.sequence = self._ask(RTM_GETADDR, _ALL_ADDRESSES)

    def _again(self) -> None:
        """Ask for everything: at once, or after the list that is coming, as the kernel wants it."""
        if self._coming:
            self._coming.whole = False
            return
        self.resyncs += 1
        self._coming = self._ask_all()

    def _ask_all(self) -> "_Coming":
        return _Coming(sequence=self._ask(RTM_GETLINK, _ALL_LINKS))

    def _ask(self, kind: int, body: bytes) -> int:
        """Ask for a whole list and return the number that its messages carry."""
        self._sequence += 1
        length = _HEADER.size + len(body)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        self._socket.send(_HEADER.pack(length, kind, flags, self._sequence, 0) + body)
        return self._sequence


@dataclass(slots=True)
class _Table:
    """All links and addresses; each message patches it."""

    links: dict[int, Interface] = field(default_factory=dict)
    addresses: dict[int, dict[Subnet, None]] = field(default_factory=dict)  # a set, in order

    def take(self, message: Message) -> None:
        """Apply a message; one of another kind changes nothing."""
        kind = message["header"]["type"]
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            self._take_link(message, gone=kind == RTM_DELLINK)
        elif kind in (RTM_NEWADDR, RTM_DELADDR):
            self._take_address(message, gone=kind == RTM_DELADDR)

    def interfaces(self) -> dict[int, Interface]:
        """Return the links with their addresses."""
        return {
            index: replace(link, addresses=tuple(self.addresses.get(index, ())))
            for index, link in self.links.items()
        }

    def _take_link(self, message: Message, *, gone: bool) -> None:
        # A bridge tells about its members in its own family (a member that leaves it is "gone"),
        # and a radio about its state without a name.
        name = message.get_attr("IFLA_IFNAME")
        if message["family"] != socket.AF_UNSPEC or not name:
            return
        index = message["index"]
        if gone:
            self.links.pop(index, None)
            self.addresses.pop(index, None)
        else:
            self.links[index] = _link(message, name)

    def _take_address(self, message: Message, *, gone: bool) -> None:
        # IFA_ADDRESS is the other end's where a link has two, and IFA_LOCAL the own one.
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        own = ip_interface(f"{address}/{message['prefixlen']}")
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        of_link = self.addresses.setdefault(message["index"], {})
        if gone or flags & DADFAILED or flags & (TENTATIVE | OPTIMISTIC) == TENTATIVE:
            of_link.pop(own, None)
        else:
            of_link[own] = None


@dataclass(slots=True)
class _Coming:
    """A list that the kernel is telling.

    Attributes:
        sequence: what its messages carry.
        begun: its first message has come.
        addresses: the links are all there.
        whole: nothing was lost, and nothing changed in the midst.
    """

    sequence: int
    table: _Table = field(default_factory=_Table)
    begun: bool = False
    addresses: bool = False
    whole: bool = True


def _link(message: Message, name: str) -> Interface:
    flags = message["flags"]
    return Interface(
        name=name,
        index=message["index"],
        mac=_mac(message),
        up=bool(flags & UP),
        carrier=bool(flags & LOWER_UP),
        loopback=bool(flags & LOOPBACK),
        broadcast=bool(flags & BROADCAST),
        noarp=bool(flags & NOARP),
        master=_master(message),
    )


def _mac(message: Message) -> Mac:
    text = message.get_attr("IFLA_ADDRESS") if message["ifi_type"] == ETHERNET else None
    mac = bytes.fromhex(text.replace(":", "")) if text else NO_MAC
    return b"" if mac == NO_MAC else mac


def _master(message: Message) -> str:
    """Return the kind of the interface that this one is a member of."""
    if not message.get_attr("IFLA_MASTER"):
        return ""
    info = message.get_attr("IFLA_LINKINFO")
    kind = info.get_attr("IFLA_INFO_SLAVE_KIND") if info else None
    return str(kind or "other")  # a kind with nothing to tell about its members, such as a VRF
