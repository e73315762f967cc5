"""The shape of a plan: a public contract that programs parse.

JSON and YAML have these keys and no others. Keys may be added, never renamed or removed. Every list
is sorted, so that equal decisions are equal text.
"""

from typing import TypedDict


class FaultRow(TypedDict):
    """A mistake in an object of the user.

    Attributes:
        object: as in `BGPPeer/metallb-system/router-1`.
        field: `spec.addresses[1]`; empty for the object as a whole.
        message: what was found, and what would be right.
    """

    object: str
    field: str
    message: str


class ServiceRow(TypedDict):
    """A Service of type LoadBalancer that is ours.

    Attributes:
        message: why it has no address, or why it is not announced anywhere; null when all is well.
    """

    service: str
    addresses: list[str]
    pool: str | None
    message: str | None


class SessionRow(TypedDict):
    """A BGP session that a node holds.

    Attributes:
        address: null for an unnumbered session, over `interface`.
        localASN: the AS that our OPEN names.
        peerASN: a number, or `external` or `internal`.
        localAddress: what the BGPPeer says; null leaves the choice to the node.
        routerID: what the BGPPeer says; null leaves the choice to the node.
        password: whether there is one.
    """

    peer: str
    address: str | None
    port: int
    localASN: int
    peerASN: int | str
    localAddress: str | None
    routerID: str | None
    holdTime: int
    keepaliveTime: int
    ebgpMultiHop: bool
    password: bool
    bfdProfile: str | None
    gracefulRestart: bool
    vrf: str | None
    interface: str | None


class BeyondMetallb(TypedDict, total=False):
    """Attributes of a route that MetalLB has not; each is there only where it is sent.

    So rows that are compared whole are what they were before these came.

    Attributes:
        asPathPrepend: how often our AS stands before itself.
        linkBandwidth: in bytes a second.
    """

    med: int
    asPathPrepend: int
    linkBandwidth: int


class RouteRow(BeyondMetallb):
    """A route that a node announces to a peer.

    Attributes:
        nextHop: an address, or `self`: the one that the session is spoken from.
        localPref: null where none is sent.
        services: those that the route is there for.
    """

    peer: str
    prefix: str
    nextHop: str
    localPref: int | None
    communities: list[str]
    largeCommunities: list[str]
    services: list[str]


class L2Row(TypedDict):
    """An address that a node answers ARP or NDP for; null for interfaces: every usable one."""

    address: str
    interfaces: list[str] | None
    services: list[str]


class RefusedRow(TypedDict):
    """Why a node does not announce a Service that has an address, by one protocol.

    Attributes:
        protocol: `bgp` or `l2`.
        reason: a word of `values.reasons.Reason`.
    """

    service: str
    protocol: str
    reason: str
    message: str


class NodePlan(TypedDict):
    """What one node would do."""

    sessions: list[SessionRow]
    bgp: list[RouteRow]
    l2: list[L2Row]
    refused: list[RefusedRow]


class CheckDocument(TypedDict):
    """What is wrong with the objects."""

    valid: bool
    errors: list[FaultRow]
    warnings: list[FaultRow]


class PlanDocument(CheckDocument):
    """What a cluster would do; nodes in order of name."""

    services: list[ServiceRow]
    nodes: dict[str, NodePlan]
