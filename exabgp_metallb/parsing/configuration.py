"""The resources in force, and the Intent that they come to.

Two layers: what the source has, and beneath it what the legacy ConfigMap stands for. A resource
hides the legacy one of its kind and name. The Intent is resolved when somebody asks and something
that it depends on has changed; while its value stays the same it stays the same object. What names
something that is missing by then goes on as it was when somebody asked the last time.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from exabgp_metallb.parsing.intent.resolve import Resolved, Specs, resolve
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Pool
from exabgp_metallb.values.objects import Node, NodeName, Secret
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    LegacyConfig,
    Parsed,
    PeerSpec,
    Value,
)

T = TypeVar("T")

_ABSENT = object()


class Configuration:
    """What the operator has written.

    Args:
        namespace: where all of it lives.
        nodes: a live view; whoever changes a label in it calls `nodes_changed`.

    Attributes:
        legacy_faults: of the ConfigMap's own objects.
        legacy_warnings: the same.
    """

    def __init__(self, namespace: str, nodes: Mapping[NodeName, Node]) -> None:
        self._namespace = namespace
        self._nodes = nodes
        self._told: dict[ObjectRef, Value | None] = {}  # None: it is there and cannot be read
        self._legacy: dict[ObjectRef, Value] = {}
        self._resolved = Resolved()
        self._stale = False
        self._names_secrets = False
        self.legacy_faults: tuple[Fault, ...] = ()
        self.legacy_warnings: tuple[Fault, ...] = ()

    def put(self, ref: ObjectRef, value: Value | None) -> None:
        """Take a resource; None: it is there and cannot be read."""
        if self._told.get(ref, _ABSENT) == value:
            return
        self._told[ref] = value
        self._stale = True
        if ref.kind == "ConfigMap":
            self._take_legacy(ref, value)

    def drop(self, ref: ObjectRef) -> None:
        """Forget a resource."""
        if self._told.pop(ref, _ABSENT) is _ABSENT:
            return
        self._stale = True
        if ref.kind == "ConfigMap":
            self._take_legacy(ref, None)

    def nodes_changed(self) -> None:
        """Note that a Node is new, gone, or has other labels."""
        self._stale = True

    def _take_legacy(self, config_map: ObjectRef, config: Value | None) -> None:
        """Expand the ConfigMap; an entry that became nonsense keeps its last good version."""
        objects = config.objects if isinstance(config, LegacyConfig) else ()
        before, self._legacy = self._legacy, {}
        twice = []
        for parsed in objects:
            value = before.get(parsed.ref) if parsed.value is None else parsed.value
            if parsed.ref in self._legacy and parsed.value is not None:
                twice.append(Fault(config_map, "config", _twice(parsed)))
            elif value is not None:
                self._legacy.setdefault(parsed.ref, value)
        self.legacy_faults = (*(f for p in objects for f in p.faults), *twice)
        self.legacy_warnings = tuple(w for p in objects for w in p.warnings)

    @property
    def resolved(self) -> Resolved:
        """The Intent, and what of it is refused."""
        self._refresh()
        return self._resolved

    @property
    def names_secrets(self) -> bool:
        """Tell whether a BGPPeer has its password in a Secret."""
        self._refresh()
        return self._names_secrets

    def _refresh(self) -> None:
        if not self._stale:
            return
        self._stale = False
        specs, before = self._specs(), self._resolved
        now = resolve(specs)
        self._names_secrets = any(p.password_secret is not None for p in specs.peers.values())
        self._resolved = Resolved(
            before.intent if before.intent == now.intent else now.intent,
            tuple(self._as_written(fault) for fault in now.faults),
            (*(self._as_written(fault) for fault in now.warnings), *self._hidden()),
            now.complete,
        )

    def _specs(self) -> Specs:
        told = {ref: value for ref, value in self._told.items() if value is not None}
        in_force = {**self._legacy, **told}
        return Specs(
            namespace=self._namespace,
            pools=_of(Pool, in_force),
            peers=_of(PeerSpec, in_force),
            bgp_advertisements=_of(BgpAdvertisementSpec, in_force),
            l2_advertisements=_of(L2AdvertisementSpec, in_force),
            communities=_of(CommunitySpec, in_force),
            bfd_profiles=_of(BfdProfile, in_force),
            secrets=_of(Secret, in_force),
            nodes=self._nodes,
            broken=frozenset(self._told.keys() - in_force.keys()),
            last_good=self._resolved.complete,
        )

    def _as_written(self, fault: Fault) -> Fault:
        """Name the ConfigMap where the object is one of those that it stands for."""
        ref = fault.object
        if ref not in self._legacy or self._told.get(ref) is not None:
            return fault
        words = (f"{ref.kind} {ref.name}", fault.field, fault.message)
        return Fault(self._config_map(), "config", ": ".join(word for word in words if word))

    def _hidden(self) -> Iterator[Fault]:
        for ref in self._legacy:
            if self._told.get(ref) is not None:
                message = f"{self._config_map()} has one of this name as well, which does not count"
                yield Fault(ref, "", f"{message}: take it out of there")

    def _config_map(self) -> ObjectRef:
        return ObjectRef("ConfigMap", self._namespace, "config")


def _twice(parsed: Parsed) -> str:
    ref = parsed.ref
    return f"a second {ref.kind} comes to the name {ref.name} and is left out: rename one of them"


def _of(wanted: type[T], values: Mapping[ObjectRef, Value]) -> dict[str, T]:
    """Return the values of one type by name."""
    return {ref.name: value for ref, value in values.items() if isinstance(value, wanted)}
