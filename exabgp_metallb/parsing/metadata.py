"""What every object has: kind, namespace, name, labels and creationTimestamp."""

import re
from datetime import UTC, datetime
from sys import intern

from exabgp_metallb.parsing.fields import Fields, escaped
from exabgp_metallb.parsing.scalars import namespace_name, object_name
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.labels import Labels

HOME = "metallb-system"
"""MetalLB's install namespace: where an object of ours lies when its manifest does not say."""

_CLUSTER_KINDS = frozenset({"Node", "Namespace"})
_KINDS_OF_USERS = frozenset({"Service", "EndpointSlice"})
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def ref_of(raw: object, *, home: str = HOME) -> ObjectRef:
    """Return how messages name an object, whatever it looks like.

    Args:
        raw: anything; what it lacks is "".
        home: the namespace of an object of the operator that does not name its own. Services and
            EndpointSlices are then in `default`, as with kubectl; Nodes and Namespaces in none.
    """
    fields = raw if isinstance(raw, dict) else {}
    metadata = fields.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    kind = _word(fields.get("kind"))
    namespace = ""
    if kind and kind not in _CLUSTER_KINDS:
        fallback = "default" if kind in _KINDS_OF_USERS else home
        namespace = _word(metadata.get("namespace")) or fallback
    return ObjectRef(intern(kind), intern(namespace), _word(metadata.get("name")))


def _word(value: object) -> str:
    return escaped(value, 253) if isinstance(value, str) else ""


def check(root: Fields) -> None:
    """Refuse an object without the name, or with a namespace, that Kubernetes would not take."""
    metadata = root.child("metadata")
    metadata.require("name")
    metadata.parsed("name", object_name)
    metadata.parsed("namespace", namespace_name)


def created(metadata: Fields) -> str:
    """Return creationTimestamp in UTC, so that it sorts as text; "" where there is none."""
    return intern(metadata.parsed("creationTimestamp", _utc) or "")


def _utc(text: str) -> str:
    if _TIMESTAMP.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("write a time such as 2026-01-31T12:00:00Z") from None
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def labels(metadata: Fields) -> Labels:
    """Return metadata.labels."""
    return metadata.labels("labels")


def identity(raw: object) -> tuple[str, str]:
    """Return resourceVersion and uid of an object; "" where it has none, as in a file."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    if not isinstance(metadata, dict):
        return "", ""
    version, uid = metadata.get("resourceVersion"), metadata.get("uid")
    return version if isinstance(version, str) else "", uid if isinstance(uid, str) else ""
