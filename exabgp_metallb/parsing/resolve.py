"""All resources together: references looked up, objects at odds refused, an Intent made."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Intent, Pool
from exabgp_metallb.values.objects import Node, Secret
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    PeerSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """The resources of the install namespace that stand by themselves, each by its name.

    Attributes:
        nodes: of which only the labels are read; without any, all are taken to share a node.
        broken: objects that exist and cannot be read; messages tell them from those that do not.
    """

    namespace: str = "metallb-system"
    pools: Mapping[str, Pool] = field(default_factory=dict)
    peers: Mapping[str, PeerSpec] = field(default_factory=dict)
    bgp_advertisements: Mapping[str, BgpAdvertisementSpec] = field(default_factory=dict)
    l2_advertisements: Mapping[str, L2AdvertisementSpec] = field(default_factory=dict)
    communities: Mapping[str, CommunitySpec] = field(default_factory=dict)
    bfd_profiles: Mapping[str, BfdProfile] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    broken: frozenset[ObjectRef] = frozenset()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the operator asked for, and what of it is left out. Faults and warnings are sorted."""

    intent: Intent = field(default_factory=Intent)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


def resolve(specs: Specs) -> Resolved:
    """Return the Intent of all resources together, without those that are at fault."""
    raise NotImplementedError
