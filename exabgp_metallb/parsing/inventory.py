"""The objects that a program knows of now, and what changed since it last asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import NodeName, ObjectName, Service
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.specs import Parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs from the last time that somebody asked; false when nothing does.

    Attributes:
        intent: the resolved Intent differs.
        nodes: Nodes that are new, gone or different in any field that we read.
        namespaces: the same of Namespaces.
        services: the same of Services that are or were ours, `set_addresses` among the reasons.
        endpoints: Services of ours whose serving endpoints are on other nodes or of another number.
        faults: `faults` or `warnings` differ.
    """

    intent: bool = False
    nodes: frozenset[NodeName] = frozenset()
    namespaces: frozenset[str] = frozenset()
    services: frozenset[ObjectName] = frozenset()
    endpoints: frozenset[ObjectName] = frozenset()
    faults: bool = False

    def __bool__(self) -> bool:
        return any((self.intent, self.nodes, self.namespaces, self.services, self.endpoints))


class Inventory:
    """All objects, fed event by event, seen as one Snapshot. For one thread only.

    Args:
        namespace: where our own resources, their Secrets and the legacy ConfigMap live.
        lb_class: the spec.loadBalancerClass of the Services that are ours; None: those without.
    """

    def __init__(self, namespace: str = "metallb-system", lb_class: str | None = None) -> None:
        self.namespace = namespace
        self.lb_class = lb_class

    def listed(self, kinds: frozenset[str], objects: Iterable[Parsed]) -> None:
        """Take all objects of some kinds at once: what is not among them is gone."""
        raise NotImplementedError

    def put(self, parsed: Parsed) -> None:
        """Take an object that is new or has changed."""
        raise NotImplementedError

    def gone(self, ref: ObjectRef) -> None:
        """Forget an object."""
        raise NotImplementedError

    def set_addresses(self, name: ObjectName, addresses: tuple[Address, ...] | None) -> None:
        """Let a Service of ours show these addresses in place of its status; None: its status."""
        raise NotImplementedError

    def take_changes(self) -> Changes:
        """Return what changed since the last call, and start anew."""
        raise NotImplementedError

    def snapshot(self) -> Snapshot:
        """Return everything as it is now. Its mappings are live: they follow later changes."""
        raise NotImplementedError

    @property
    def services(self) -> Mapping[ObjectName, Service]:
        """The Services that are ours as the source has them: what allocation is decided from."""
        raise NotImplementedError

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that is refused and why, of single objects and across them; sorted."""
        raise NotImplementedError

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What stands and still is worth a word; sorted."""
        raise NotImplementedError
