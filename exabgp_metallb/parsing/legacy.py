"""The ConfigMap `config`, by which MetalLB was configured before version 0.13.

It is made into the resources of today, as MetalLB's converter does (configmaptocrs), and they are
read like any others; what is wrong with one is told with the key that the user wrote:
`ConfigMap/metallb-system/config: config.peers[0].peer-asn: ...`. Converted objects have names of
their own: peer1, bgpadvertisement1, l2advertisement1, communities; pools and BFD profiles keep
theirs, as far as Kubernetes can take them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exabgp_metallb.errors import ParseError
from exabgp_metallb.parsing.fields import Fields, Report, StrictFields, shown
from exabgp_metallb.parsing.metadata import created, ref_of
from exabgp_metallb.parsing.metallb import READERS, V1BETA1, V1BETA2, resource
from exabgp_metallb.parsing.text import TextError, documents
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.specs import LegacyConfig, Parsed

NAME = "config"
"""The one ConfigMap that MetalLB read."""

DEFAULT_HOLD_TIME = "90s"

_PEER = {
    "my-asn": "myASN",
    "peer-asn": "peerASN",
    "peer-address": "peerAddress",
    "source-address": "sourceAddress",
    "peer-port": "peerPort",
    "hold-time": "holdTime",
    "keepalive-time": "keepaliveTime",
    "router-id": "routerID",
    "password": "password",
    "ebgp-multihop": "ebgpMultiHop",
}
_POOL = {
    "addresses": "addresses",
    "auto-assign": "autoAssign",
    "avoid-buggy-ips": "avoidBuggyIPs",
}
_BGP_ADVERTISEMENT = {
    "aggregation-length": "aggregationLength",
    "aggregation-length-v6": "aggregationLengthV6",
    "localpref": "localPref",
    "communities": "communities",
}
_BFD_PROFILE = {
    "receive-interval": "receiveInterval",
    "transmit-interval": "transmitInterval",
    "detect-multiplier": "detectMultiplier",
    "echo-interval": "echoInterval",
    "echo-mode": "echoMode",
    "passive-mode": "passiveMode",
    "minimum-ttl": "minimumTtl",
}
_SELECTOR = {"match-labels": "matchLabels", "match-expressions": "matchExpressions"}
_REFERENCES = {"bfd-profile": "bfdProfile", "node-selectors": "nodeSelectors"}
_LEGACY_KEYS = {
    today: legacy
    for table in (_PEER, _POOL, _BGP_ADVERTISEMENT, _BFD_PROFILE, _SELECTOR, _REFERENCES)
    for legacy, today in table.items()
}
_KEY_OF_TODAY = re.compile(rf"\b({'|'.join(_LEGACY_KEYS)})\b")

_MAX_NAME = 63
_BEFORE_FIRST_LETTER = re.compile(r"^[^a-z]*")

Raw = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Converted:
    """A resource of today.

    Attributes:
        raw: as `kubectl apply` takes it; values as they were written, right or wrong.
        origin: the mapping that it comes from, with a report of its own.
        places: fields of `raw` that do not lie below the origin, and where they lie instead.
    """

    raw: Raw
    origin: Fields
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Pool:
    """An entry of address-pools, and the name that its pool has today; "" when it has none."""

    origin: Fields
    name: str


def legacy_config(root: Fields) -> LegacyConfig | None:
    """Read the ConfigMap; None for one of another name. Each object in it is judged by itself."""
    ref = root.report.ref
    if ref.name != NAME:
        return None
    date = created(root.child("metadata"))
    return LegacyConfig(tuple(_parsed(c, ref, date) for c in _converted(root, ref.namespace)))


def resources(config_map: Mapping[str, object]) -> list[Raw]:
    """Return the ConfigMap's resources as `kubectl apply` takes them, in MetalLB's order.

    Values are passed on as they were written, right or wrong.

    Raises:
        ParseError: the ConfigMap, or the YAML text in it, has not the shape of one.
    """
    root = Fields(config_map, Report(ref_of(config_map)))
    found = _converted(root, root.report.ref.namespace)
    faults = [*root.report.faults, *(f for c in found for f in c.origin.report.faults)]
    if faults:
        raise ParseError(faults[0])
    return [c.raw for c in found]


def _parsed(converted: _Converted, config_map: ObjectRef, date: str) -> Parsed:
    """Read a converted resource; its faults name the ConfigMap and the key there."""
    ref = ref_of(converted.raw)
    reader = READERS[str(converted.raw["apiVersion"]), ref.kind]
    parsed = resource(_dated(converted.raw, date), ref, reader)
    own = converted.origin.report
    own.warn_of_unknown()
    told = {fault.field for fault in own.faults}
    inside = [_in_config_map(fault, converted, config_map) for fault in parsed.faults]
    faults = (*own.faults, *(fault for fault in inside if fault.field not in told))
    return Parsed(ref, None if faults else parsed.value, faults, tuple(own.warnings))


def _dated(raw: Raw, date: str) -> Raw:
    """Return a resource as old as its ConfigMap: the older of two in conflict stands."""
    metadata = raw["metadata"]
    assert isinstance(metadata, dict)  # noqa: S101 -- made by _resource
    return {**raw, "metadata": {**metadata, "creationTimestamp": date}}


def _in_config_map(fault: Fault, converted: _Converted, config_map: ObjectRef) -> Fault:
    """Return a fault of a converted resource in the words of the ConfigMap."""
    place = converted.places.get(fault.field)
    if place is None:
        inside = re.sub(r"^(spec|metadata)\b\.?", "", fault.field)
        parts = (converted.origin.path, _in_legacy_words(inside))
        place = ".".join(part for part in parts if part)
    return Fault(config_map, place, _in_legacy_words(fault.message))


def _in_legacy_words(text: str) -> str:
    return _KEY_OF_TODAY.sub(lambda match: _LEGACY_KEYS[match[0]], text)


def _converted(root: Fields, namespace: str) -> list[_Converted]:
    config = _config(root)
    pools = _pools(config)
    found = [
        *_peers(config),
        *(_ip_address_pool(pool) for pool in pools),
        *_bgp_advertisements(pools),
        *_l2_advertisements(pools),
        *_bfd_profiles(config),
        *_communities(config),
    ]
    config.warn_of_unknown()
    for converted in found:
        metadata = converted.raw["metadata"]
        assert isinstance(metadata, dict)  # noqa: S101 -- made by _resource
        metadata["namespace"] = namespace
    return found


def _config(root: Fields) -> StrictFields:
    """Open the YAML text in data.config."""
    data = root.child("data")
    if not data.has("config"):
        data.require("config", advice="write the text with peers and address-pools")
    found: list[object] = []
    try:
        found = documents(data.text("config") or "")
    except TextError as error:
        data.fault("config", str(error))
    if len(found) > 1 or not all(isinstance(document, dict) for document in found):
        data.fault("config", "not one YAML mapping: write one with peers and address-pools")
        found = []
    return StrictFields(found[0] if found else {}, root.report, key="config")


def _resource(api_version: str, kind: str, name: str, spec: Raw) -> Raw:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _taken(origin: Fields, keys: Mapping[str, str]) -> Raw:
    """Return what a mapping has of `keys`, under the names of today."""
    values = {today: origin.get(legacy) for legacy, today in keys.items()}
    return {today: value for today, value in values.items() if value is not None}


def _name_of_today(text: str) -> str:
    """Return a name as Kubernetes can take it (MetalLB's converter); "" without any letter."""
    return _BEFORE_FIRST_LETTER.sub("", text[:_MAX_NAME].lower().replace("_", "-"))


def _new_name(origin: Fields, taken: set[str]) -> str:
    """Return the name of a pool or BFD profile, refused where another one has it; "" is none."""
    origin.require("name")
    written = origin.text("name")
    name = _name_of_today(written or "")
    if written and not name:
        origin.refuse("name", "write a name with a letter in it")
    if name in taken:
        origin.refuse("name", f"another one is named '{name}' in Kubernetes: choose another name")
    if name:
        taken.add(name)
    return name


def _entries(config: Fields, key: str) -> list[Fields]:
    """Open the objects in a list, each with a report of its own."""
    entries = config.children(key)
    for entry in entries:
        entry.names()  # its copy tells what is unknown
    return [entry.apart() for entry in entries]


def _peers(config: Fields) -> Iterator[_Converted]:
    for number, origin in enumerate(_entries(config, "peers"), 1):
        spec = {"holdTime": DEFAULT_HOLD_TIME, **_taken(origin, _PEER)}
        profile = origin.get("bfd-profile")
        if profile is not None:
            spec["bfdProfile"] = _name_of_today(profile) if isinstance(profile, str) else profile
        if origin.has("node-selectors"):
            chosen = origin.children("node-selectors")
            spec["nodeSelectors"] = [_taken(selector, _SELECTOR) for selector in chosen]
        yield _Converted(_resource(V1BETA2, "BGPPeer", f"peer{number}", spec), origin)


def _pools(config: Fields) -> list[_Pool]:
    taken: set[str] = set()
    origins = _entries(config, "address-pools")
    return [_Pool(origin, _new_name(origin, taken)) for origin in origins]


def _ip_address_pool(pool: _Pool) -> _Converted:
    if pool.origin.text("protocol") not in ("bgp", "layer2"):
        found = shown(pool.origin.get("protocol"))
        pool.origin.warn("protocol", f"{found}: nobody announces this pool: write bgp or layer2")
    spec = _taken(pool.origin, _POOL)
    return _Converted(_resource(V1BETA1, "IPAddressPool", pool.name, spec), pool.origin)


def _bgp_advertisements(pools: list[_Pool]) -> Iterator[_Converted]:
    """Yield what each pool lists, or one that says nothing for a pool with protocol bgp."""
    number = 0
    for pool in pools:
        origins = _entries(pool.origin, "bgp-advertisements")
        if not origins and pool.origin.get("protocol") == "bgp":
            origins = [_implied(pool)]
        for origin in origins if pool.name else ():
            number += 1
            spec = {**_taken(origin, _BGP_ADVERTISEMENT), "ipAddressPools": [pool.name]}
            name = f"bgpadvertisement{number}"
            yield _Converted(_resource(V1BETA1, "BGPAdvertisement", name, spec), origin)


def _l2_advertisements(pools: list[_Pool]) -> Iterator[_Converted]:
    layer2 = [pool for pool in pools if pool.name and pool.origin.get("protocol") == "layer2"]
    for number, pool in enumerate(layer2, 1):
        name = f"l2advertisement{number}"
        spec: Raw = {"ipAddressPools": [pool.name]}
        yield _Converted(_resource(V1BETA1, "L2Advertisement", name, spec), _implied(pool))


def _implied(pool: _Pool) -> Fields:
    """Return the origin of an advertisement that follows from a pool's protocol alone."""
    origin = pool.origin.apart()
    origin.names()
    return origin


def _bfd_profiles(config: Fields) -> Iterator[_Converted]:
    taken: set[str] = set()
    for origin in _entries(config, "bfd-profiles"):
        name, spec = _new_name(origin, taken), _taken(origin, _BFD_PROFILE)
        yield _Converted(_resource(V1BETA1, "BFDProfile", name, spec), origin)


def _communities(config: Fields) -> Iterator[_Converted]:
    """Yield one Community with all aliases in order of name."""
    if not config.has("bgp-communities"):
        return
    names = config.child("bgp-communities").names()
    origin = config.child("bgp-communities").apart()
    if not names:
        return
    aliases = [{"name": name, "value": origin.get(name)} for name in names]
    places = {
        f"spec.communities[{index}].{part}": origin.path_of(name)
        for index, name in enumerate(names)
        for part in ("name", "value")
    }
    raw = _resource(V1BETA1, "Community", "communities", {"communities": aliases})
    yield _Converted(raw, origin, places)
