"""MetalLB's ConfigMap of before version 0.13, made into the resources of today.

The same conversion that daemons make when they read the ConfigMap themselves; here it is printed,
so that it can be kept, looked at and applied, and the ConfigMap be deleted.
"""

import json
from collections.abc import Iterable

from exabgp_metallb.errors import UsageError
from exabgp_metallb.parsing.legacy import NAME, resources
from exabgp_metallb.parsing.objects import items

Raw = dict[str, object]

BARE_KEYS = frozenset({"peers", "address-pools", "bgp-communities", "bfd-profiles"})
"""What the text of data.config has at its top."""


def converted(documents: Iterable[object], *, namespace: str) -> list[Raw]:
    """Return the resources of every ConfigMap among the documents, in order.

    Args:
        documents: objects, Lists of them, or the bare text of `data.config` as a mapping.
        namespace: of the resources where the ConfigMap names none.

    Raises:
        ParseError: a ConfigMap has not the shape of one.
        UsageError: there is none among the documents.
    """
    found: list[Raw] = []
    for document in documents:
        for raw in items(document):
            config_map = _config_map(raw, namespace)
            if config_map is not None:
                found += resources(config_map)
    if not found:
        raise UsageError(
            "nothing to convert: give MetalLB's ConfigMap, or the text of its data.config with "
            "peers and address-pools"
        )
    return found


def _config_map(raw: object, namespace: str) -> Raw | None:
    """Return a ConfigMap as it is, bare text of one as a ConfigMap, and None for all else."""
    if not isinstance(raw, dict):
        return None
    if raw.get("kind") == "ConfigMap":
        data, metadata = raw.get("data"), raw.get("metadata")
        if not isinstance(data, dict) or "config" not in data or not isinstance(metadata, dict):
            return None
        return raw | {"metadata": {"namespace": namespace} | metadata}
    if "kind" in raw or not BARE_KEYS & raw.keys():
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace},
        "data": {"config": json.dumps(raw)},  # JSON is YAML
    }
