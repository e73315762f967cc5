"""The objects that a program knows of now, and what changed since it last asked.

The data. Every object is held as it was told, by reference. From it follows its value in force: its
own, or the last good one while it is at fault. The values in force are what a snapshot shows: the
Services that are ours, the endpoints of each Service (`parsing.slices`), Nodes, Namespaces, and
the Intent that all resources come to (`parsing.configuration`). Nothing else is kept: a Service
that is not ours is as good as absent.

The life of an event. Equal to what is there: nothing happened. Else the value in force is replaced
where it differs, and what depends on it is noted as changed, so an event costs what it changes and
not what there is. The Intent alone is made anew as a whole, and only when somebody asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from exabgp_metallb.parsing.configuration import Configuration
from exabgp_metallb.parsing.intent.resources import Resolved, in_order
from exabgp_metallb.parsing.slices import Slices
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import (
    EndpointSlice,
    Namespace,
    Node,
    NodeName,
    ObjectName,
    Service,
)
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.specs import Parsed, Value

K = TypeVar("K")
V = TypeVar("V")

_Messages = tuple[tuple[Fault, ...], tuple[Fault, ...]]
"""Faults and warnings."""

OURS = frozenset(
    (
        "IPAddressPool",
        "BGPPeer",
        "BGPAdvertisement",
        "L2Advertisement",
        "Community",
        "BFDProfile",
    )
)
"""The kinds of metallb.io. In other namespaces they are a mistake."""

HOUSED = OURS | {"ConfigMap", "Secret"}
"""What counts in the install namespace only. The last two are somebody else's anywhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs from the last time that somebody asked; false when nothing does.

    Attributes:
        intent: the resolved Intent differs. Labels of Nodes are no part of it: see `nodes`.
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
        return self != Changes()


class Inventory:
    """All objects, fed event by event, seen as one Snapshot. For one thread only.

    Args:
        namespace: where our own resources, their Secrets and the legacy ConfigMap live.
        lb_class: the spec.loadBalancerClass of the Services that are ours; None: those without.
    """

    def __init__(self, namespace: str = "metallb-system", lb_class: str | None = None) -> None:
        self.namespace = namespace
        self.lb_class = lb_class
        self._held: dict[str, dict[ObjectRef, Parsed]] = {}  # by kind, as told
        self._last_good: dict[ObjectRef, Value] = {}  # of those at fault
        self._remarked: dict[ObjectRef, Parsed] = {}  # those with faults or warnings
        self._services: dict[ObjectName, Service] = {}  # that are ours
        self._addresses: dict[ObjectName, tuple[Address, ...]] = {}
        self._shown: dict[ObjectName, Service] = {}  # the same, with these addresses
        self._slices = Slices()
        self._nodes: dict[NodeName, Node] = {}
        self._namespaces: dict[str, Namespace] = {}
        self._configuration = Configuration(namespace, self._nodes)
        self._messages: _Messages = ((), ())
        self._gathered_from: Resolved | None = None  # None: they have to be gathered again
        self._taken_messages: _Messages = ((), ())
        self._taken_intent = self._configuration.resolved.intent
        self._changed = _Changed()

    def listed(self, kinds: frozenset[str], objects: Iterable[Parsed]) -> None:
        """Take all objects of some kinds at once: what is not among them is gone.

        Objects of other kinds are left aside.
        """
        listed = {parsed.ref: parsed for parsed in objects if parsed.ref.kind in kinds}
        for parsed in listed.values():
            self.put(parsed)
        for kind in kinds:
            for ref in [ref for ref in self._held.get(kind, ()) if ref not in listed]:
                self.gone(ref)

    def put(self, parsed: Parsed) -> None:
        """Take an object that is new or has changed."""
        ref = parsed.ref
        if ref.kind in HOUSED and ref.namespace != self.namespace:
            if ref.kind not in OURS:
                return
            parsed = Parsed(ref, None, warnings=(self._elsewhere(ref),))
        if isinstance(parsed.value, Service) and not self._is_ours(parsed.value):
            self.gone(ref)
            return
        held = self._held.setdefault(ref.kind, {})
        if held.get(ref) == parsed:
            held[ref] = parsed  # it may have been made anew, and have another uid
            return
        before = self._in_force(ref)
        held[ref] = parsed
        self._last_good.pop(ref, None)
        if parsed.faults and before is not None:
            self._last_good[ref] = before
        self._remark(ref, parsed)
        now = self._in_force(ref)
        if ref.kind in HOUSED and ref.namespace == self.namespace:
            self._configuration.put(ref, now)
        elif now != before:
            self._replace(ref, now)

    def gone(self, ref: ObjectRef) -> None:
        """Forget an object."""
        before = self._in_force(ref)
        if self._held.get(ref.kind, {}).pop(ref, None) is None:
            return
        self._last_good.pop(ref, None)
        self._remark(ref, None)
        if ref.kind in HOUSED:
            self._configuration.drop(ref)
        elif before is not None:
            self._replace(ref, None)

    def set_addresses(self, name: ObjectName, addresses: tuple[Address, ...] | None) -> None:
        """Let a Service of ours show these addresses in place of its status; None: its status.

        They last as long as the Service is ours. `services` goes on without them.
        """
        _put(self._addresses, name, addresses if name in self._services else None)
        self._show(name)

    def take_changes(self) -> Changes:
        """Return what changed since the last call, and start anew."""
        intent = self._configuration.resolved.intent
        messages = self._gathered()
        changed, self._changed = self._changed, _Changed()
        taken, self._taken_intent = self._taken_intent, intent
        told, self._taken_messages = self._taken_messages, messages
        return Changes(
            intent=intent is not taken and intent != taken,
            nodes=frozenset(changed.nodes),
            namespaces=frozenset(changed.namespaces),
            services=frozenset(changed.services),
            endpoints=frozenset(changed.endpoints),
            faults=messages is not told and messages != told,
        )

    def snapshot(self) -> Snapshot:
        """Return everything as it is now. Its mappings are live: they follow later changes.

        The Intent is the same object for as long as it has the same value.
        """
        return Snapshot(
            intent=self._configuration.resolved.intent,
            nodes=MappingProxyType(self._nodes),
            namespaces=MappingProxyType(self._namespaces),
            services=MappingProxyType(self._shown),
            endpoints=self._slices.endpoints,
        )

    @property
    def services(self) -> Mapping[ObjectName, Service]:
        """The Services that are ours as the source has them: what allocation is decided from."""
        return MappingProxyType(self._services)

    def uid(self, ref: ObjectRef) -> str:
        """Return the uid of an object; "" where there is none, or it was not kept."""
        held = self._held.get(ref.kind, {}).get(ref)
        return "" if held is None else held.uid

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that is refused and why, of single objects and across them; sorted."""
        return self._gathered()[0]

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What stands and still is worth a word; sorted."""
        return self._gathered()[1]

    @property
    def names_secrets(self) -> bool:
        """Tell whether a BGPPeer has its password in a Secret."""
        return self._configuration.names_secrets

    def objects(self) -> Iterator[Parsed]:
        """Return every object that has a value in force, with that value.

        As it is now, whatever happens before the last one is asked for, and in whatever thread.
        """
        held = [*map(dict.copy, self._held.values())]
        return _with_values(held, self._last_good.copy())

    def _is_ours(self, service: Service) -> bool:
        return service.is_load_balancer and service.load_balancer_class == self.lb_class

    def _elsewhere(self, ref: ObjectRef) -> Fault:
        message = (
            f"it is passed over: a {ref.kind} counts in namespace {self.namespace} only; create it "
            "there, or choose the namespace with --namespace"
        )
        return Fault(ref, "metadata.namespace", message)

    def _in_force(self, ref: ObjectRef) -> Value | None:
        held = self._held.get(ref.kind, {}).get(ref)
        return None if held is None else self._last_good.get(ref, held.value)

    def _replace(self, ref: ObjectRef, now: Value | None) -> None:
        """Put another value in force, which differs; None: there is none any more."""
        name = ObjectName(ref.namespace, ref.name)
        if ref.kind == "Service":
            self._replace_service(name, _as(Service, now))
        elif ref.kind == "EndpointSlice":
            touched = self._slices.replace(name, _as(EndpointSlice, now))
            self._changed.endpoints |= touched & self._services.keys()
        elif ref.kind == "Node":
            self._replace_node(ref.name, _as(Node, now))
        elif ref.kind == "Namespace":
            _put(self._namespaces, ref.name, _as(Namespace, now))
            self._changed.namespaces.add(ref.name)

    def _replace_service(self, name: ObjectName, now: Service | None) -> None:
        _put(self._services, name, now)
        if now is None:
            self._addresses.pop(name, None)
        self._changed.services.add(name)
        self._show(name)

    def _show(self, name: ObjectName) -> None:
        service, addresses = self._services.get(name), self._addresses.get(name)
        if service is not None and addresses is not None and _shows_other(service, addresses):
            service = replace(service, ingress=addresses, foreign_ingress=())
        if service != self._shown.get(name):
            _put(self._shown, name, service)
            self._changed.services.add(name)

    def _replace_node(self, name: NodeName, now: Node | None) -> None:
        before = self._nodes.get(name)
        _put(self._nodes, name, now)
        self._changed.nodes.add(name)
        if before is None or now is None or before.labels != now.labels:
            self._configuration.nodes_changed()

    def _remark(self, ref: ObjectRef, parsed: Parsed | None) -> None:
        """Note what there is to say about an object."""
        remarked = parsed is not None and (parsed.faults or parsed.warnings)
        if remarked or ref in self._remarked:
            _put(self._remarked, ref, parsed if remarked else None)
            self._gathered_from = None

    def _gathered(self) -> _Messages:
        """Return all faults and all warnings; the same objects until there is a reason to ask."""
        resolved = self._configuration.resolved
        if self._gathered_from is not resolved:
            self._gathered_from = resolved
            legacy = self._configuration
            faults = {f for parsed in self._remarked.values() for f in parsed.faults}
            warnings = {w for parsed in self._remarked.values() for w in parsed.warnings}
            self._messages = (
                in_order(faults.union(resolved.faults, legacy.legacy_faults)),
                in_order(warnings.union(resolved.warnings, legacy.legacy_warnings)),
            )
        return self._messages


@dataclass(slots=True)
class _Changed:
    """What is different since the last `take_changes`."""

    nodes: set[NodeName] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    services: set[ObjectName] = field(default_factory=set)
    endpoints: set[ObjectName] = field(default_factory=set)


def _with_values(
    held: Iterable[dict[ObjectRef, Parsed]], last_good: Mapping[ObjectRef, Value]
) -> Iterator[Parsed]:
    for each in held:
        for ref, parsed in each.items():
            value = last_good.get(ref, parsed.value)
            if value is parsed.value is not None:
                yield parsed
            elif value is not None:
                yield Parsed(ref, value)


def _shows_other(service: Service, addresses: tuple[Address, ...]) -> bool:
    return service.ingress != addresses or bool(service.foreign_ingress)


def _as(wanted: type[V], value: object) -> V | None:
    return value if isinstance(value, wanted) else None


def _put(mapping: dict[K, V], key: K, value: V | None) -> None:
    """Set a key, or take it away."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
