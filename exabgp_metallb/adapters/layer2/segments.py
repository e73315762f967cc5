"""The wire as the kernel gives it: packet sockets, multicast groups, and interfaces by netlink.

One request lives as long as this: the selector finds a socket readable, its frame is decoded, the
decision makes a reply of it, the reply goes out from a prepared frame. Claims, and requests of
other candidates, go on to the listener. No other work happens in between, and no frame waits for
another thread.
"""

import selectors
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from exabgp_metallb.adapters.layer2.frames import Forms, decode
from exabgp_metallb.adapters.layer2.groups import Groups
from exabgp_metallb.adapters.layer2.interfaces import Interfaces
from exabgp_metallb.adapters.layer2.socket import PacketSocket, error_word
from exabgp_metallb.adapters.layer2.wire import Count, Listener
from exabgp_metallb.decisions.answer import announcements, answer, asked
from exabgp_metallb.errors import WireError
from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.interfaces import Interface
from exabgp_metallb.values.l2 import (
    Claim,
    Drop,
    DropReason,
    Mac,
    Packed,
    Reply,
    Request,
    Tag,
    TagState,
    node_hash,
    solicited_node_group,
    unpacked,
)
from exabgp_metallb.values.objects import NodeName

FRAMES_A_TURN = 64  # under a millisecond; then other sockets and deadlines have their turn


class Segments:
    """All segments of this node: the `Wire` that ships.

    Args:
        selector: whose readable descriptors the caller serves: each key's data is to be called.
        node: for the tag.
        listener: who is told.

    Raises:
        WireError: at construction: the process may not open packet sockets.
    """

    def __init__(
        self, selector: selectors.BaseSelector, node: NodeName, listener: Listener
    ) -> None:
        _require_packet_sockets()
        self._selector = selector
        self._node = node_hash(node)
        self._listener = listener
        self._errors: Counter[str] = Counter()
        self._drops: Counter[DropReason] = Counter()
        self._lost: Counter[str] = Counter()  # by interface
        self._requests: Counter[Packed] = Counter()
        self._replies: Counter[Packed] = Counter()
        self._gratuitous: Counter[Packed] = Counter()
        self._groups = Groups(self._errors)
        self._segments: dict[int, _Segment] = {}
        self._interfaces = Interfaces()
        self._macs = self._own_macs()
        selector.register(self._interfaces, selectors.EVENT_READ, self._read_interfaces)

    @property
    def interfaces(self) -> Mapping[int, Interface]:
        """All interfaces of the node, by index."""
        return self._interfaces.by_index

    def watch(self, index: int, address: Address) -> None:
        """Listen on an interface for an address from now on."""
        segment = self._segments.get(index) or self._open(index)
        if segment is None or address.packed in segment.watched:
            return
        family = family_of(address)
        segment.watched.add(address.packed)
        segment.families[family] += 1
        self._hear(segment, family)
        if family is Family.IPV6:
            group = solicited_node_group(address.packed)
            segment.groups[group] += 1
            self._groups.join(index, group)

    def ignore(self, index: int, address: Address) -> None:
        """Listen for an address on an interface no longer, and answer for it no more either."""
        segment = self._segments.get(index)
        if segment is None or address.packed not in segment.watched:
            return
        family = family_of(address)
        segment.watched.remove(address.packed)
        segment.answers.pop(address.packed, None)
        segment.families[family] -= 1
        if not segment.families[family]:
            self._deafen(segment, family)
        if family is Family.IPV6:
            group = solicited_node_group(address.packed)
            segment.groups[group] -= 1
            if not segment.groups[group]:
                del segment.groups[group]
                self._groups.leave(index, group)
        if not segment.watched:
            self._close(index)

    def answer(self, index: int, address: Address, state: TagState) -> None:
        """Answer for an address that is watched on an interface, saying so in the tag."""
        segment = self._segments.get(index)
        if segment is not None and address.packed in segment.watched:
            segment.answers[address.packed] = state

    def silence(self, index: int, address: Address) -> None:
        """Answer no longer for an address on an interface."""
        segment = self._segments.get(index)
        if segment is not None:
            segment.answers.pop(address.packed, None)

    def announce(self, index: int, address: Address, state: TagState) -> bool:
        """Tell all hosts of the segment that this node holds an address."""
        segment = self._segments.get(index)
        if segment is None:
            return False
        messages = announcements(address.packed, segment.mac, state)
        sent = [segment.send(message, address.packed, state) for message in messages]
        self._gratuitous[address.packed] += sum(sent)
        return all(sent)

    def probe(
        self, index: int, address: Address, *, state: TagState, mac: Mac | None = None
    ) -> bool:
        """Ask who holds an address: all, or only the one at `mac`."""
        segment = self._segments.get(index)
        if segment is None:
            return False
        target = address.packed
        request = asked(target, segment.interface.asker(target), segment.mac, mac)
        return request is not None and segment.send(request, target, state)

    def counters(self) -> list[Count]:
        """Return all that was counted since the start."""
        for segment in self._segments.values():
            self._count_lost(segment)
        by_address = (
            ("layer2_requests_received", self._requests),
            ("layer2_responses_sent", self._replies),
            ("layer2_gratuitous_sent", self._gratuitous),
        )
        return [
            *(("layer2_dropped_frames", reason, n) for reason, n in sorted(self._drops.items())),
            *(("layer2_lost_frames", name, n) for name, n in sorted(self._lost.items())),
            *(("layer2_socket_errors", name, n) for name, n in sorted(self._errors.items())),
            ("layer2_interface_resyncs", "", self._interfaces.resyncs),
            *(
                (name, str(unpacked(packed)), n)
                for name, counts in by_address
                for packed, n in sorted(counts.items())
            ),
        ]

    def close(self) -> None:
        """Close every socket."""
        for index in list(self._segments):
            self._close(index)
        self._groups.close()
        self._selector.unregister(self._interfaces)
        self._interfaces.close()

    def _open(self, index: int) -> "_Segment | None":
        interface = self.interfaces.get(index)
        if interface is None or not interface.mac:
            return None
        segment = self._segments[index] = _Segment(interface, self._node)
        return segment

    def _hear(self, segment: "_Segment", family: Family) -> None:
        if family in segment.sockets:
            return
        try:
            sock = PacketSocket(segment.interface.index, family, self._errors)
        except OSError as error:  # it went in this moment; netlink says so next
            self._errors[error_word(error)] += 1
            return
        segment.sockets[family] = sock
        read = partial(self._read, segment, sock)
        self._selector.register(sock, selectors.EVENT_READ, read)

    def _deafen(self, segment: "_Segment", family: Family) -> None:
        sock = segment.sockets.get(family)
        if sock is not None:
            self._count_lost(segment)
            del segment.sockets[family]
            self._selector.unregister(sock)
            sock.close()

    def _close(self, index: int) -> None:
        segment = self._segments.pop(index)
        for family in list(segment.sockets):
            self._deafen(segment, family)
        for group in segment.groups:
            self._groups.leave(index, group)

    def _count_lost(self, segment: "_Segment") -> None:
        lost = sum(sock.lost() for sock in segment.sockets.values())
        if lost:
            self._lost[segment.interface.name] += lost

    def _read_interfaces(self) -> None:
        if not self._interfaces.read():
            return
        self._macs = self._own_macs()
        for index, segment in list(self._segments.items()):
            interface = self.interfaces.get(index)
            if interface is None or not interface.mac:
                self._close(index)
            else:
                segment.renew(interface)
        self._listener.changed()

    def _own_macs(self) -> frozenset[Mac]:
        return frozenset(interface.mac for interface in self.interfaces.values())

    def _read(self, segment: "_Segment", sock: PacketSocket) -> None:
        for _ in range(FRAMES_A_TURN):
            frame = sock.read()
            if frame is None:
                return
            message = decode(frame)
            if isinstance(message, Drop):
                self._drops[message.reason] += 1
            elif message.tag is not None and message.tag.node == self._node:
                self._drops[DropReason.OWN] += 1
            elif isinstance(message, Claim):
                self._claimed(segment, message)
            else:
                self._asked(segment, message)

    def _claimed(self, segment: "_Segment", claim: Claim) -> None:
        if claim.holder not in segment.watched:
            self._drops[DropReason.NOT_WATCHED] += 1
        elif claim.mac in self._macs:  # this node's kernel, by another interface on the segment
            self._drops[DropReason.OWN] += 1
        else:
            self._listener.heard(segment.interface.index, claim)

    def _asked(self, segment: "_Segment", request: Request) -> None:
        reply = answer(request, segment.answers, segment.mac)
        if isinstance(reply, Drop):
            self._drops[reply.reason] += 1
        else:
            self._requests[request.target] += 1
            if segment.send(reply, request.target, segment.answers[request.target]):
                self._replies[request.target] += 1
        if request.tag is not None and request.target in segment.watched:
            self._listener.heard(segment.interface.index, request)
        if request.sender in segment.watched and request.claim is not None:
            self._claimed(segment, request.claim)


@dataclass(slots=True)
class _Segment:
    """One interface: what is heard, answered and sent there."""

    interface: Interface
    node: bytes
    watched: set[Packed] = field(default_factory=set)
    families: Counter[Family] = field(default_factory=Counter)  # of what is watched
    groups: Counter[Packed] = field(default_factory=Counter)  # the same, of IPv6
    answers: dict[Packed, TagState] = field(default_factory=dict)
    sockets: dict[Family, PacketSocket] = field(default_factory=dict)
    forms: dict[TagState, Forms] = field(init=False)

    def __post_init__(self) -> None:
        self.forms = self._forms()

    @property
    def mac(self) -> Mac:
        """The MAC that is answered with."""
        return self.interface.mac

    def renew(self, interface: Interface) -> None:
        """Be what the interface is by now."""
        same_mac = interface.mac == self.mac
        self.interface = interface
        if not same_mac:
            self.forms = self._forms()

    def send(self, message: Request | Reply, about: Packed, state: TagState) -> bool:
        """Send what is said about an address, and return whether the kernel took it."""
        sock = self.sockets.get(Family.IPV4 if len(about) == 4 else Family.IPV6)
        if sock is None:
            return False
        return sock.send(self.forms[state].encode(message))

    def _forms(self) -> dict[TagState, Forms]:
        """Build all frames now: the first answer of a new owner is not to wait for scapy."""
        return {state: Forms(self.mac, Tag(state, self.node)) for state in TagState}


def _require_packet_sockets() -> None:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError as error:
        raise WireError(
            "ARP and neighbor discovery need a packet socket: give this process CAP_NET_RAW"
        ) from error
