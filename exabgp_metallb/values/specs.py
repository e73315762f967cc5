"""Resources as their authors wrote them: each checked by itself, its references still names.

`parsing.intent.resolve` turns all of them together into an `Intent`.
"""

from dataclasses import dataclass, field

from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import (
    BfdProfile,
    BgpAdvertisement,
    Community,
    L2Advertisement,
    LargeCommunity,
    Peer,
    Pool,
)
from exabgp_metallb.values.labels import LabelSelector
from exabgp_metallb.values.objects import (
    EndpointSlice,
    Namespace,
    Node,
    ObjectName,
    Secret,
    Service,
)


@dataclass(frozen=True, slots=True)
class PoolChoice:
    """Which pools an advertisement is for: the union; both parts empty means every pool."""

    names: tuple[str, ...] = ()
    selectors: tuple[LabelSelector, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """A BGPPeer whose password may still lie in a Secret."""

    peer: Peer
    password_secret: ObjectName | None = None


@dataclass(frozen=True, slots=True)
class BgpAdvertisementSpec:
    """A BGPAdvertisement before pools and aliases are looked up.

    Attributes:
        advertisement: complete but for `pools` (empty here) and what `aliases` will add.
        aliases: the entries of spec.communities that are no number, in order: names of aliases.
    """

    advertisement: BgpAdvertisement
    choice: PoolChoice = PoolChoice()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class L2AdvertisementSpec:
    """An L2Advertisement before its pools are looked up."""

    advertisement: L2Advertisement
    choice: PoolChoice = PoolChoice()


@dataclass(frozen=True, slots=True)
class CommunitySpec:
    """A Community resource: aliases and what they stand for, in order."""

    name: str
    created: str
    aliases: tuple[tuple[str, Community | LargeCommunity], ...]


@dataclass(frozen=True, slots=True)
class LegacyConfig:
    """The ConfigMap of MetalLB before 0.13, as the resources it stands for.

    The refs of `objects` have the kinds of today; their faults and warnings name the ConfigMap and
    the key in it (`config.peers[0].peer-asn`), which is where the user can mend them.
    """

    objects: tuple["Parsed", ...]


Value = (
    Service
    | EndpointSlice
    | Node
    | Namespace
    | Secret
    | Pool
    | PeerSpec
    | BgpAdvertisementSpec
    | L2AdvertisementSpec
    | CommunitySpec
    | BfdProfile
    | LegacyConfig
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One object after parsing: a value, or what is wrong with it.

    Attributes:
        value: None exactly when there are faults.
        warnings: such as a field that nobody knows; the object stands.
        version: resourceVersion of a Service, which a write can be bound to; "" in files. It and
            `uid` are no part of what the object says, so two that differ in nothing else are equal.
        uid: metadata.uid of a Service, Node or BGPPeer, by which Events and owners find it.
    """

    ref: ObjectRef
    value: Value | None
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    version: str = field(default="", compare=False)
    uid: str = field(default="", compare=False)
