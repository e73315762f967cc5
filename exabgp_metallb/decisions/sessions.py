"""Which BGP sessions a node holds, and with which timers and addresses."""

import zlib
from collections.abc import Iterable
from ipaddress import IPv4Address

from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.intent import Peer
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.objects import Node
from exabgp_metallb.values.sessions import Session

DEFAULT_HOLD_SECONDS = 90  # MetalLB's native default; RFC 4271 section 10 suggests the same
KEEPALIVES_PER_HOLD = 3  # RFC 4271 section 10


def sessions_of(peers: Iterable[Peer], node: Node) -> tuple[Session, ...]:
    """Return the sessions of the peers that select this node, in order of the peer's name."""
    chosen = [
        p for p in peers if not p.node_selectors or any_matches(p.node_selectors, node.labels)
    ]
    return tuple(session(peer, node) for peer in sorted(chosen, key=lambda peer: peer.name))


def session(peer: Peer, node: Node) -> Session:
    """Return one peer as this node speaks to it."""
    hold, keepalive = timers(peer)
    return Session(
        peer=peer,
        local_address=peer.source_address,
        router_id=peer.router_id or default_router_id(node),
        hold_seconds=hold,
        keepalive_seconds=keepalive,
    )


def timers(peer: Peer) -> tuple[int, int]:
    """Return hold and keepalive time in seconds; one that is not given follows from the other."""
    if peer.hold_seconds is not None:
        keepalive = peer.keepalive_seconds
        return peer.hold_seconds, (
            peer.hold_seconds // KEEPALIVES_PER_HOLD if keepalive is None else keepalive
        )
    if peer.keepalive_seconds is not None:
        return peer.keepalive_seconds * KEEPALIVES_PER_HOLD, peer.keepalive_seconds
    return DEFAULT_HOLD_SECONDS, DEFAULT_HOLD_SECONDS // KEEPALIVES_PER_HOLD


def default_router_id(node: Node) -> IPv4Address:
    """Return the node's first IPv4 InternalIP, else MetalLB's hash of its name.

    The hash is CRC-32 (IEEE) of the name, its bytes in little-endian order, so that a node keeps
    its router id when it moves over from MetalLB.
    """
    own = node_address(node, Family.IPV4)
    if isinstance(own, IPv4Address):
        return own
    return IPv4Address(zlib.crc32(node.name.encode()).to_bytes(4, "little"))


def node_address(node: Node, family: Family) -> Address | None:
    """Return the node's first InternalIP of a family."""
    return next((ip for ip in node.internal_ips if ip.version == family), None)
