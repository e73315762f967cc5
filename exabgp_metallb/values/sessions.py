"""The BGP sessions that a node holds."""

from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.intent import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One peer as one node speaks to it.

    Attributes:
        local_address: None lets the kernel choose by its routing table.
        router_id: a dotted quad as an IPv4 address (RFC 6286); always known to a node with a name.
    """

    peer: Peer
    local_address: Address | None
    router_id: Address | None
    hold_seconds: int
    keepalive_seconds: int
