"""Routes, Adj-RIBs-Out and the changes between them (RFC 4271 sections 1.1 and 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address, Prefix
from exabgp_metallb.values.intent import Community, LargeCommunity


@dataclass(frozen=True, slots=True)
class LinkBandwidth:
    """The Link Bandwidth extended community (RFC 10005), as ExaBGP writes it: not transitive.

    Attributes:
        asn: of the sender, in 16 bits.
        bytes_per_second: a whole number that a float of 32 bits holds.
    """

    asn: int
    bytes_per_second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The path attributes that we set; routes with equal ones may share an UPDATE."""

    next_hop: Address | None = None  # None: "next-hop self", the address ExaBGP speaks from
    local_pref: int | None = None  # 0 to 2**32 - 1; iBGP peers only (RFC 4271 section 5.1.5)
    med: int | None = None  # 0 to 2**32 - 1 (RFC 4271 section 5.1.4)
    as_path: tuple[int, ...] = ()  # all of it; empty: our AS to eBGP peers, no AS to iBGP ones
    communities: tuple[Community, ...] = ()  # sorted; RFC 1997
    large_communities: tuple[LargeCommunity, ...] = ()  # sorted; RFC 8092
    link_bandwidth: LinkBandwidth | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One prefix and the path attributes it is announced with (RFC 4271 section 1.1)."""

    prefix: Prefix
    attributes: Attributes = Attributes()


AdjRibOut = Mapping[Prefix, Attributes]
"""What one peer should hold, or was sent, from us (RFC 4271 section 3.2)."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the peer a route; it replaces an older one of the same prefix."""

    route: Route


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take a prefix back from the peer."""

    prefix: Prefix


Change = Announce | Withdraw
