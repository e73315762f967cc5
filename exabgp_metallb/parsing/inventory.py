"""The objects that a program knows of now, and what changed since it last asked.

The data. One layer holds what the source told, by reference; the legacy ConfigMap adds a second
one beneath it, of the resources that it stands for. From the two follow the values in force, kept
by kind: Services of ours, the endpoints of all slices of a Service, Nodes, and the resources from
which the Intent is resolved when somebody asks and something it reads has changed.

The life of an event. Equal to what is there: nothing happened. At fault, with a good version known:
the good one stays in force and the faults are told. Else the value in force is replaced, and what
depends on it is marked, so that `take_changes` costs what changed and not what there is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from exabgp_metallb.parsing.resolve import Resolved, Specs, resolve
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Pool
from exabgp_metallb.values.objects import (
    Endpoint,
    EndpointSlice,
    Namespace,
    Node,
    NodeName,
    ObjectName,
    Secret,
    Service,
)
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    LegacyConfig,
    Parsed,
    PeerSpec,
    Value,
)

K = TypeVar("K")
V = TypeVar("V")

Resource = (
    Pool
    | PeerSpec
    | BgpAdvertisementSpec
    | L2AdvertisementSpec
    | CommunitySpec
    | BfdProfile
    | Secret
)
"""What the Intent is resolved from, Nodes aside."""

R = TypeVar("R", bound=Resource)

HOUSED = frozenset(
    {
        "BFDProfile",
        "BGPAdvertisement",
        "BGPPeer",
        "Community",
        "ConfigMap",
        "IPAddressPool",
        "L2Advertisement",
        "Secret",
    }
)
"""Kinds that count in the install namespace only."""

SILENT = frozenset({"ConfigMap", "Secret"})
"""Those of them that are somebody else's in other namespaces, and no mistake."""


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
        self._told: dict[str, dict[ObjectRef, Parsed]] = {}  # by kind, the good version filled in
        self._legacy: dict[ObjectRef, Parsed] = {}
        self._services: dict[ObjectName, Service] = {}
        self._addresses: dict[ObjectName, tuple[Address, ...]] = {}
        self._shown: dict[ObjectName, Service] = {}
        self._slices: dict[ObjectName, dict[ObjectName, EndpointSlice]] = {}  # by Service
        self._owners: dict[ObjectName, ObjectName] = {}  # by slice: its Service
        self._endpoints: dict[ObjectName, tuple[Endpoint, ...]] = {}
        self._nodes: dict[NodeName, Node] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._resources: dict[ObjectRef, Resource] = {}
        self._remarks: dict[ObjectRef, Parsed] = {}  # objects with faults or warnings of their own
        self._resolved = Resolved()
        self._unresolved = False
        self._changed_intent = False
        self._changed_faults = False
        self._changed_nodes: set[NodeName] = set()
        self._changed_namespaces: set[str] = set()
        self._changed_services: set[ObjectName] = set()
        self._changed_endpoints: set[ObjectName] = set()

    # Events.

    def listed(self, kinds: frozenset[str], objects: Iterable[Parsed]) -> None:
        """Take all objects of some kinds at once: what is not among them is gone."""
        seen: set[ObjectRef] = set()
        for parsed in objects:
            if parsed.ref.kind in kinds:
                seen.add(parsed.ref)
                self.put(parsed)
        for kind in kinds:
            for ref in [ref for ref in self._told.get(kind, ()) if ref not in seen]:
                self.gone(ref)

    def put(self, parsed: Parsed) -> None:
        """Take an object that is new or has changed."""
        ref = parsed.ref
        if ref.kind in HOUSED and ref.namespace != self.namespace:
            if ref.kind in SILENT:
                return
            parsed = Parsed(ref, None, (), (self._elsewhere(ref),))
        known = self._told.setdefault(ref.kind, {})
        before = known.get(ref)
        if parsed.faults and before is not None and before.value is not None:
            parsed = replace(parsed, value=before.value)  # the last good version stands
        if parsed == before:
            return
        known[ref] = parsed
        self._remark(ref)
        self._apply(ref, before, parsed)

    def gone(self, ref: ObjectRef) -> None:
        """Forget an object."""
        before = self._told.get(ref.kind, {}).pop(ref, None)
        if before is not None:
            self._remark(ref)
            self._apply(ref, before, None)

    def set_addresses(self, name: ObjectName, addresses: tuple[Address, ...] | None) -> None:
        """Let a Service of ours show these addresses in place of its status; None: its status."""
        if addresses is None or name not in self._services:
            self._addresses.pop(name, None)
        else:
            self._addresses[name] = addresses
        self._show(name)

    def _elsewhere(self, ref: ObjectRef) -> Fault:
        message = f"it is passed over: {ref.kind}s count in namespace {self.namespace} only"
        return Fault(ref, "metadata.namespace", message)

    def _apply(self, ref: ObjectRef, before: Parsed | None, now: Parsed | None) -> None:
        old = None if before is None else before.value
        new = None if now is None else now.value
        if isinstance(old, LegacyConfig) or isinstance(new, LegacyConfig):
            self._apply_legacy(new if isinstance(new, LegacyConfig) else None)
        elif ref in self._legacy:
            self._hold(ref, new if now is not None else self._legacy[ref].value)
            self._remark(ref)
        elif old != new:
            self._hold(ref, new)

    def _apply_legacy(self, config: LegacyConfig | None) -> None:
        before = self._legacy
        self._legacy = {} if config is None else {p.ref: p for p in config.objects}
        for ref in before.keys() | self._legacy.keys():
            if ref not in self._told.get(ref.kind, {}):
                parsed = self._legacy.get(ref)
                self._hold(ref, None if parsed is None else parsed.value)
            self._remark(ref)

    # Values in force.

    def _hold(self, ref: ObjectRef, value: Value | None) -> None:
        name = ObjectName(ref.namespace, ref.name)
        if ref.kind == "Service":
            self._hold_service(name, value if isinstance(value, Service) else None)
        elif ref.kind == "EndpointSlice":
            self._hold_slice(name, value if isinstance(value, EndpointSlice) else None)
        elif ref.kind == "Node":
            self._hold_node(ref.name, value if isinstance(value, Node) else None)
        elif ref.kind == "Namespace":
            _set(self._namespaces, ref.name, value if isinstance(value, Namespace) else None)
            self._changed_namespaces.add(ref.name)
        elif value is None:
            self._resources.pop(ref, None)
            self._unresolved = True
        elif isinstance(value, Resource):
            self._resources[ref] = value
            self._unresolved = True

    def _hold_service(self, name: ObjectName, service: Service | None) -> None:
        ours = (
            service is not None
            and service.is_load_balancer
            and service.load_balancer_class == self.lb_class
        )
        _set(self._services, name, service if ours else None)
        if not ours:
            self._addresses.pop(name, None)
        self._show(name)

    def _show(self, name: ObjectName) -> None:
        service = self._services.get(name)
        if service is not None and name in self._addresses:
            service = replace(service, ingress=self._addresses[name], foreign_ingress=())
        if service != self._shown.get(name):
            _set(self._shown, name, service)
            self._changed_services.add(name)

    def _hold_slice(self, name: ObjectName, now: EndpointSlice | None) -> None:
        before = self._owners.pop(name, None)
        if before is not None and (now is None or now.service != before):
            del self._slices[before][name]
            self._gather(before)
        if now is not None:
            self._owners[name] = now.service
            self._slices.setdefault(now.service, {})[name] = now
            self._gather(now.service)

    def _gather(self, service: ObjectName) -> None:
        """Unite the slices of a Service, in order of their names."""
        slices = self._slices.get(service, {})
        if not slices:
            self._slices.pop(service, None)
        endpoints = tuple(e for name in sorted(slices) for e in slices[name].endpoints)
        before = self._endpoints.get(service, ())
        _set(self._endpoints, service, endpoints or None)
        if service in self._services and _serving(before) != _serving(endpoints):
            self._changed_endpoints.add(service)

    def _hold_node(self, name: NodeName, node: Node | None) -> None:
        before = self._nodes.get(name)
        _set(self._nodes, name, node)
        self._changed_nodes.add(name)
        if before is None or node is None or before.labels != node.labels:
            self._unresolved = True

    # What is at fault.

    def _remark(self, ref: ObjectRef) -> None:
        self._changed_faults = True
        told = self._told.get(ref.kind, {}).get(ref)
        if told is not None and (told.faults or told.warnings):
            self._remarks[ref] = told
        else:
            self._remarks.pop(ref, None)

    def _legacy_remarks(self) -> Iterator[Parsed]:
        for ref, parsed in self._legacy.items():
            if ref in self._told.get(ref.kind, {}):
                message = (
                    f"the ConfigMap {self.namespace}/config has one of this name too; this counts"
                )
                yield Parsed(ref, None, (), (Fault(ref, "", message),))
            else:
                yield parsed

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that is refused and why, of single objects and across them; sorted."""
        single = {f for p in (*self._remarks.values(), *self._legacy_remarks()) for f in p.faults}
        return tuple(sorted(single.union(self._resolve().faults)))

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What stands and still is worth a word; sorted."""
        single = {f for p in (*self._remarks.values(), *self._legacy_remarks()) for f in p.warnings}
        return tuple(sorted(single.union(self._resolve().warnings)))

    # Questions.

    def take_changes(self) -> Changes:
        """Return what changed since the last call, and start anew."""
        self._resolve()
        changes = Changes(
            intent=self._changed_intent,
            nodes=frozenset(self._changed_nodes),
            namespaces=frozenset(self._changed_namespaces),
            services=frozenset(self._changed_services),
            endpoints=frozenset(self._changed_endpoints),
            faults=self._changed_faults,
        )
        self._changed_intent = self._changed_faults = False
        for changed in (self._changed_nodes, self._changed_namespaces):
            changed.clear()
        self._changed_services.clear()
        self._changed_endpoints.clear()
        return changes

    def snapshot(self) -> Snapshot:
        """Return everything as it is now. Its mappings are live: they follow later changes."""
        return Snapshot(
            intent=self._resolve().intent,
            nodes=MappingProxyType(self._nodes),
            namespaces=MappingProxyType(self._namespaces),
            services=MappingProxyType(self._shown),
            endpoints=MappingProxyType(self._endpoints),
        )

    @property
    def services(self) -> Mapping[ObjectName, Service]:
        """The Services that are ours as the source has them: what allocation is decided from."""
        return MappingProxyType(self._services)

    @property
    def names_secrets(self) -> bool:
        """Tell whether a BGPPeer has its password in a Secret."""
        peers = (v for v in self._resources.values() if isinstance(v, PeerSpec))
        return any(peer.password_secret is not None for peer in peers)

    def objects(self) -> Iterator[Parsed]:
        """Yield every object as it was told, the last good version of those at fault."""
        for of_kind in self._told.values():
            yield from of_kind.values()

    def _resolve(self) -> Resolved:
        if not self._unresolved:
            return self._resolved
        self._unresolved = False
        before, self._resolved = self._resolved, resolve(self._specs())
        if before.intent == self._resolved.intent:
            self._resolved = replace(self._resolved, intent=before.intent)
        else:
            self._changed_intent = True
        if (before.faults, before.warnings) != (self._resolved.faults, self._resolved.warnings):
            self._changed_faults = True
        return self._resolved

    def _specs(self) -> Specs:
        told = (p for kind in HOUSED for p in self._told.get(kind, {}).values())
        return Specs(
            namespace=self.namespace,
            pools=self._of_type(Pool),
            peers=self._of_type(PeerSpec),
            bgp_advertisements=self._of_type(BgpAdvertisementSpec),
            l2_advertisements=self._of_type(L2AdvertisementSpec),
            communities=self._of_type(CommunitySpec),
            bfd_profiles=self._of_type(BfdProfile),
            secrets=self._of_type(Secret),
            nodes=self._nodes,
            broken=frozenset(p.ref for p in told if p.faults and p.value is None),
        )

    def _of_type(self, wanted: type[R]) -> dict[str, R]:
        return {ref.name: v for ref, v in self._resources.items() if isinstance(v, wanted)}


def _set(mapping: dict[K, V], key: K, value: V | None) -> None:
    """Set a key, or take it away."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value


def _serving(endpoints: Iterable[Endpoint]) -> list[str]:
    return sorted(e.node or "" for e in endpoints if e.can_serve and e.addresses)
