"""What the operator asked for: metallb.io resources, checked and in native types.

Peers are known by the name of their BGPPeer everywhere. Lists of selectors are OR-ed and an empty
list means all, as in MetalLB.
"""

import enum
from dataclasses import dataclass, field

from exabgp_metallb.values.addresses import Address, AddressRange, Family
from exabgp_metallb.values.labels import Labels, LabelSelector


@dataclass(frozen=True, slots=True, order=True)
class Community:
    """A standard community (RFC 1997): two numbers of 16 bits."""

    global_part: int
    local_part: int

    def __str__(self) -> str:
        return f"{self.global_part}:{self.local_part}"


GRACEFUL_SHUTDOWN = Community(65535, 0)
"""RFC 8326: the sender is about to go; prefer any other path."""


@dataclass(frozen=True, slots=True, order=True)
class LargeCommunity:
    """A large community (RFC 8092): three numbers of 32 bits."""

    global_part: int
    local_part_1: int
    local_part_2: int

    def __str__(self) -> str:
        return f"{self.global_part}:{self.local_part_1}:{self.local_part_2}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAllocation:
    """IPAddressPool spec.serviceAllocation: which Services a pool is for."""

    priority: int = 0  # lower is tried first; 0 is unset and comes last
    namespaces: frozenset[str] = frozenset()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    max_per_namespace: int | None = None  # ours: Services of one namespace that the pool may hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """IPAddressPool (metallb.io/v1beta1)."""

    name: str
    created: str = ""
    labels: Labels = frozenset()
    ranges: tuple[AddressRange, ...]  # one for each of spec.addresses, in that order; disjoint
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    allocation: ServiceAllocation | None = None  # None: open to every Service

    def __contains__(self, address: Address) -> bool:
        return any(address in r for r in self.ranges)


class DynamicAsn(enum.StrEnum):
    """BGPPeer spec.dynamicASN: take the peer's ASN from its OPEN."""

    INTERNAL = "internal"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Password:
    """A TCP MD5 password (RFC 2385). It never shows itself in text."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "********"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """BGPPeer (metallb.io/v1beta2). Times are whole seconds."""

    name: str
    created: str = ""
    my_asn: int
    peer_asn: int | DynamicAsn
    local_asn: int | None = None  # spec.localASN: speak as this AS to this peer instead of my_asn
    address: Address | None = None  # None: unnumbered, over `interface`
    interface: str | None = None
    source_address: Address | None = None
    port: int = 179
    hold_seconds: int | None = None  # None: the default of 90
    keepalive_seconds: int | None = None  # None: a third of the hold time
    connect_seconds: int | None = None
    router_id: Address | None = None
    node_selectors: tuple[LabelSelector, ...] = ()
    password: Password | None = None
    bfd_profile: str | None = None
    graceful_restart: bool = False
    ebgp_multihop: bool = False
    vrf: str | None = None
    disable_mp: bool = False
    dual_stack: bool = False  # dualStackAddressFamily

    @property
    def speaking_asn(self) -> int:
        """The AS that the session's OPEN names as ours."""
        return self.my_asn if self.local_asn is None else self.local_asn

    @property
    def is_internal(self) -> bool:
        """Tell whether this is an iBGP session (RFC 4271 section 1.1)."""
        return self.peer_asn in (DynamicAsn.INTERNAL, self.speaking_asn)

    @property
    def families(self) -> frozenset[Family]:
        """The families whose routes this session carries."""
        if self.dual_stack or self.address is None:
            return frozenset(Family)
        return frozenset({Family(self.address.version)})


class BandwidthSource(enum.StrEnum):
    """BGPAdvertisement spec.linkBandwidth: what the bandwidth of a route is in proportion to."""

    ENDPOINTS = "endpoints"  # those that serve on the node


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpAdvertisement:
    """BGPAdvertisement (metallb.io/v1beta1), its references resolved."""

    name: str
    created: str = ""
    pools: frozenset[str]  # names of existing pools; never "all": selectors are resolved
    aggregation_v4: int = 32
    aggregation_v6: int = 128
    local_pref: int | None = None  # None where the resource says 0 or nothing
    med: int | None = None
    as_path_prepend: int = 0  # how often our AS stands before itself; eBGP peers only
    link_bandwidth: BandwidthSource | None = None
    communities: tuple[Community, ...] = ()  # sorted
    large_communities: tuple[LargeCommunity, ...] = ()  # sorted
    node_selectors: tuple[LabelSelector, ...] = ()
    peers: frozenset[str] = frozenset()  # names of BGPPeers; empty means all
    service_selectors: tuple[LabelSelector, ...] = ()

    def aggregation(self, family: Family) -> int:
        """Return the prefix length that this advertisement announces in a family."""
        return self.aggregation_v4 if family is Family.IPV4 else self.aggregation_v6


@dataclass(frozen=True, slots=True)
class NodePreference:
    """One of an L2Advertisement's preferredNodeSelectors."""

    weight: int  # 1 to 100
    preference: LabelSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class L2Advertisement:
    """L2Advertisement (metallb.io/v1beta1), its references resolved."""

    name: str
    created: str = ""
    pools: frozenset[str]
    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: frozenset[str] = frozenset()  # empty means every usable one
    service_selectors: tuple[LabelSelector, ...] = ()
    preferences: tuple[NodePreference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdProfile:
    """BFDProfile (metallb.io/v1beta1). None means FRR's default."""

    name: str
    created: str = ""
    receive_ms: int | None = None  # 10 to 60000
    transmit_ms: int | None = None
    detect_multiplier: int | None = None  # 2 to 255
    echo_ms: int | None = None
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None  # 1 to 254, multihop only


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """All resources together: references resolved, those at fault left out. Sorted by name."""

    pools: tuple[Pool, ...] = ()
    peers: tuple[Peer, ...] = ()
    bgp_advertisements: tuple[BgpAdvertisement, ...] = ()
    l2_advertisements: tuple[L2Advertisement, ...] = ()
    bfd_profiles: tuple[BfdProfile, ...] = ()
