"""What a node answers to who asks for an address, and how it asks and announces by itself.

ARP by RFC 826 and RFC 5227, neighbor discovery by RFC 4861 section 7.2 and RFC 4862 section 5.4.
An address is held by whoever answers for it: a host that probes before it takes an address for
itself (sender 0.0.0.0 or ::) is told that it is taken.
"""

from collections.abc import Container

from exabgp_metallb.values.l2 import (
    ALL_NODES,
    ANY_IPV4,
    ANY_IPV6,
    BROADCAST,
    ArpReply,
    ArpRequest,
    Drop,
    DropReason,
    Mac,
    NeighborAdvertisement,
    NeighborSolicitation,
    Packed,
    Reply,
    Request,
    TagState,
    group_mac,
    solicited_node_group,
)

_NOT_OURS = Drop(DropReason.NOT_OURS)
_DESTINATION = Drop(DropReason.DESTINATION)
_OWN = Drop(DropReason.OWN)
_ALL_NODES_MAC = group_mac(ALL_NODES)


def answer(request: Request, owned: Container[Packed], mac: Mac) -> Reply | Drop:
    """Return the reply to a request that an interface heard, or why there is none.

    Args:
        request: what was heard.
        owned: the addresses that this node answers for on the interface.
        mac: the interface's.
    """
    if request.target not in owned:
        return _NOT_OURS
    if mac in (request.source, request.sender_mac):
        return _OWN
    if isinstance(request, ArpRequest):
        return _arp_reply(request, mac)
    return _advertisement(request, mac)


def asked(target: Packed, sender: Packed | None, source: Mac, at: Mac | None) -> Request | None:
    """Return the question who holds an address, None where it cannot be asked.

    Args:
        target: the address.
        sender: an address of the interface; None: it has none, so IPv4 asks as a probe does.
        source: the interface's MAC.
        at: the only one to ask; None: all.
    """
    if len(target) == 4:
        return ArpRequest(at or BROADCAST, source, source, sender or ANY_IPV4, target)
    if sender is None:  # the answer would go to all nodes, as one that a probe gets
        return None
    group = solicited_node_group(target)
    receiver = target if at else group
    return NeighborSolicitation(at or group_mac(group), source, sender, receiver, target, source)


def announcements(held: Packed, mac: Mac, state: TagState) -> tuple[Request | Reply, ...]:
    """Return what tells all hosts of a segment that an interface holds an address.

    Some hosts heed gratuitous ARP as a request alone, others as a reply alone. Who leaves tells
    the other candidates, in one frame: a second one could come after the announcement of the next
    owner, which is as fast as that, and turn the hosts back.
    """
    if len(held) == 4:
        request = ArpRequest(BROADCAST, mac, mac, held, held)  # RFC 5227 section 2.3
        reply = ArpReply(BROADCAST, held, mac, held)  # RFC 5944 section 4.6
        return (request,) if state is TagState.LEAVING else (request, reply)
    return (NeighborAdvertisement(_ALL_NODES_MAC, held, ALL_NODES, solicited=False),)


def _arp_reply(request: ArpRequest, mac: Mac) -> ArpReply | Drop:
    if request.destination not in (BROADCAST, mac):
        return _DESTINATION
    return ArpReply(request.sender_mac, request.target, request.sender_mac, request.sender)


def _advertisement(request: NeighborSolicitation, mac: Mac) -> NeighborAdvertisement | Drop:
    group = solicited_node_group(request.target)
    if request.receiver not in (group, request.target):
        return _DESTINATION
    if request.destination not in (mac, group_mac(group)):
        return _DESTINATION
    if request.sender == ANY_IPV6:
        return NeighborAdvertisement(_ALL_NODES_MAC, request.target, ALL_NODES, solicited=False)
    destination = request.sender_mac or request.source
    return NeighborAdvertisement(destination, request.target, request.sender, solicited=True)
