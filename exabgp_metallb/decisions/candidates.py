"""In which order the nodes of a slate may answer for an address; the same on every node.

Better tiers come first. Within a tier the order is MetalLB's (layer2_controller.go): ascending
SHA-256 of `node#address`, so each address has another first node. That is a microsecond or two for
each node, and there may be thousands of addresses with a thousand candidates each, so an order is
worked out by whoever needs it, when it does.
"""

from functools import lru_cache, partial
from hashlib import sha256

from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import AddressOrder, Slate

Order = tuple[NodeName, ...]
"""Nodes that may answer for an address, best first."""


def digest(node: NodeName, address: str) -> bytes:
    """Return what a node has its place among those of its tier by.

    Args:
        node: its name.
        address: see `ranked_by`.
    """
    return sha256(f"{node}#{address}".encode()).digest()


def ranked_by(order: AddressOrder) -> str:
    """Return the text of the address that digests are taken with."""
    return str(order.address if order.by is None else order.by)


def candidates(order: AddressOrder) -> Order:
    """Return the nodes that may answer for an address, best first."""
    place = partial(digest, address=ranked_by(order))
    return tuple(node for tier in order.slate.tiers for node in sorted(tier, key=place))


@lru_cache(maxsize=32)  # all addresses of a node that leaves, and few slates among them
def behind(slate: Slate, node: NodeName) -> Slate:
    """Return a slate in which a node comes after all others."""
    others = (tuple(name for name in tier if name != node) for tier in slate.tiers)
    return Slate((*filter(None, others), (node,)))
