"""What `resolve` takes and gives."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Intent, Peer, Pool
from exabgp_metallb.values.objects import Node, Secret
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    PeerSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """Objects with all that they name, by name: what stands while one of them waits for another.

    Attributes:
        advertisements: without aliases; their `pools` are not filled in.
        bfd_profiles: that the peers name.
    """

    peers: Mapping[str, Peer] = field(default_factory=dict)
    advertisements: Mapping[str, BgpAdvertisementSpec] = field(default_factory=dict)
    bfd_profiles: Mapping[str, BfdProfile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """The resources of the install namespace, each right by itself, by name.

    Attributes:
        nodes: of which only the labels are read; without any, all are taken to share a node.
        broken: objects that exist and cannot be read; messages tell them from those that do not.
        last_good: what was complete when it was resolved the last time.
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
    last_good: Complete = field(default_factory=Complete)

    def ref(self, kind: str, name: str) -> ObjectRef:
        """Return an object of the install namespace as messages name it."""
        return ObjectRef(kind, self.namespace, name)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an object cannot stand: a Fault whose object is known to the reader."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What the operator asked for, and what of it is left out. Faults and warnings are sorted.

    Attributes:
        complete: the `last_good` of the next time.
    """

    intent: Intent = field(default_factory=Intent)
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    complete: Complete = field(default_factory=Complete)


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults or warnings sorted, each once."""
    return tuple(sorted(frozenset(faults), key=_order))  # the key is half the cost of `<`


def _order(fault: Fault) -> tuple[str, str, str, str, str]:
    ref = fault.object
    return ref.kind, ref.namespace, ref.name, fault.field, fault.message
