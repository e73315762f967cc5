"""Any Kubernetes object, as a mapping -> a value, or what is wrong with it.

`parse` never raises, whatever it is given. It answers None for what the program does not use: other
kinds, ConfigMaps of another name, EndpointSlices that belong to no Service. Such an object is as
good as absent, also where an earlier version of it was not.
"""

import difflib
from collections.abc import Callable, Mapping

from exabgp_metallb.parsing import core, metallb
from exabgp_metallb.parsing.fields import Fields, Report, shown
from exabgp_metallb.parsing.legacy import legacy_config
from exabgp_metallb.parsing.metadata import HOME, check, identity, ref_of
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.specs import Parsed, Value

__all__ = ["HOME", "KINDS", "is_list", "items", "parse", "ref_of"]

_CORE: Mapping[tuple[str, str], Callable[[Fields], Value | None]] = {
    ("v1", "Service"): core.service,
    ("v1", "Node"): core.node,
    ("v1", "Namespace"): core.namespace,
    ("v1", "Secret"): core.secret,
    ("v1", "ConfigMap"): legacy_config,
    ("discovery.k8s.io/v1", "EndpointSlice"): core.endpoint_slice,
}

KINDS: tuple[tuple[str, str], ...] = (*_CORE, *metallb.READERS)
"""apiVersion and kind of every object that is read."""

_IGNORED_OF_OURS = frozenset(
    {"BGPSessionState", "ConfigurationState", "ServiceBGPStatus", "ServiceL2Status"}
)
"""Kinds of metallb.io that are written by a load balancer, not by an operator."""

_REFERRED = frozenset({"Service", "Node"})
"""Kinds that what we write refers to by their uid; and BGPPeers, see `parsing.metallb`."""


def parse(raw: object, *, home: str = HOME) -> Parsed | None:
    """Return one object as a value with warnings, or its faults; None when it is not used.

    Args:
        raw: one document, as JSON or YAML gives it.
        home: the namespace of an object of the operator whose manifest names none.
    """
    ref = ref_of(raw, home=home)
    if not isinstance(raw, dict):
        return _refused(ref, "", f"{shown(raw)}: write a mapping with apiVersion, kind, metadata")
    api_version, kind = raw.get("apiVersion"), raw.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return _refused(ref, "", "no apiVersion and kind: write an object of Kubernetes")
    key = (api_version, kind)
    if key in metallb.READERS:
        return metallb.resource(raw, ref, metallb.READERS[key])
    if key in _CORE:
        return _core_object(raw, ref, _CORE[key])
    return _stranger(ref, api_version, kind)


def _core_object(
    raw: object, ref: ObjectRef, reader: Callable[[Fields], Value | None]
) -> Parsed | None:
    report = Report(ref)
    root = Fields(raw, report)
    check(root)
    value = reader(root)
    if value is None and not report.faults:
        return None
    faults = tuple(report.faults)
    version, uid = identity(raw) if ref.kind in _REFERRED else ("", "")
    return Parsed(
        ref,
        None if faults else value,
        faults,
        tuple(report.warnings),
        version=version,
        uid=uid,
    )


def _refused(ref: ObjectRef, field: str, message: str) -> Parsed:
    return Parsed(ref, None, (Fault(ref, field, message),))


def _stranger(ref: ObjectRef, api_version: str, kind: str) -> Parsed | None:
    """Refuse an object that is meant to be one of ours and is not; None for everybody else's."""
    group = api_version.rpartition("/")[0]
    versions = [v for v, k in KINDS if k == kind and v.rpartition("/")[0] == group]
    if versions:
        right = " or ".join(versions)
        return _refused(ref, "apiVersion", f"{shown(api_version)}: write {right}")
    if group != metallb.GROUP or kind.endswith("List") or kind in _IGNORED_OF_OURS:
        return None
    kinds = sorted({k for _, k in metallb.READERS})
    close = difflib.get_close_matches(kind[:63], kinds, n=1) or kinds
    return _refused(ref, "kind", f"{shown(kind)}: write {', '.join(close)}")


def items(raw: object) -> list[object]:
    """Return the objects of a list, lists inside it opened too; anything else is the only one.

    Items of a list from the API have no kind of their own; they get the one the list is of.
    """
    found: list[object] = []
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        listed = _listed(value)
        if listed is None:
            found.append(value)
        else:
            waiting.extend(reversed(listed))
    return found


def is_list(raw: object) -> bool:
    """Tell whether this is a list, whose items `items` returns."""
    return _listed(raw) is not None


def _listed(raw: object) -> list[object] | None:
    """Return the items of a list; None when it is none."""
    if not isinstance(raw, dict):
        return None
    kind, listed = raw.get("kind"), raw.get("items")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(listed, list):
        return None
    if kind == "List":
        return listed
    own = {"apiVersion": raw.get("apiVersion"), "kind": kind.removesuffix("List")}
    return [{**own, **item} if isinstance(item, dict) else item for item in listed]
