"""What our CustomResourceDefinitions refuse: for each rule a bad spec and its good neighbour.

`REFUSED` are the rules that schema and parser share, by both of which every case is run. `LATER` is
what the schema has no words for, and the parser refuses by itself.
"""

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

POOL: Spec = {"addresses": ["192.0.2.0/24"]}
PEER: Spec = {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"}
UNNUMBERED: Spec = {"myASN": 64512, "peerASN": 64513, "interface": "eth1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rule.

    Attributes:
        words: what the API's answer has among its words, for the person who wrote `bad`.
    """

    name: str
    kind: str
    bad: Spec
    good: Spec
    words: tuple[str, ...]


def case(name: str, kind: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case."""
    return Case(name=name, kind=kind, bad=bad, good=good, words=words)


def pool(name: str, bad: str, good: str, *words: str) -> Case:
    """Return a case for an entry of a pool's addresses."""
    return case(
        name,
        "IPAddressPool",
        {"addresses": ["2001:db8::/64", bad]},
        {"addresses": ["2001:db8::/64", good]},
        "spec.addresses[1]",
        *words,
    )


def allocation(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for a pool's serviceAllocation."""
    bad, good = POOL | {"serviceAllocation": bad}, POOL | {"serviceAllocation": good}
    return case(name, "IPAddressPool", bad, good, *words)


def peer(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for a peer with an address."""
    return case(name, "BGPPeer", PEER | bad, PEER | good, *words)


def selector(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for a selector; all selectors have one schema."""
    return peer(name, {"nodeSelectors": [bad]}, {"nodeSelectors": [good]}, *words)


def wants(key: str, operator: str, *values: str) -> Spec:
    """Return a selector of one requirement."""
    requirement: Spec = {"key": key, "operator": operator}
    return {"matchExpressions": [requirement | ({"values": [*values]} if values else {})]}


def advertisement(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for a BGPAdvertisement."""
    return case(name, "BGPAdvertisement", bad, good, *words)


def l2(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for an L2Advertisement."""
    return case(name, "L2Advertisement", bad, good, *words)


def alias(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for an alias beside another one."""
    other = {"name": "other", "value": "1:1"}
    return case(
        name, "Community", {"communities": [other, bad]}, {"communities": [other, good]}, *words
    )


def bfd(name: str, key: str, bad: object, good: object, *words: str) -> Case:
    """Return a case for one field of a BFDProfile."""
    return case(name, "BFDProfile", {key: bad}, {key: good}, f"spec.{key}", *words)


RANGE = "write a CIDR such as 192.0.2.0/24, or a range such as 192.0.2.10-192.0.2.20"
MACHINE = "write the address of one machine: not multicast, broadcast or unspecified"
NUMBERS = "write 65000:100 (each number at most 65535)"
REMOVE = "remove one of them"
ANYTHING = {"matchLabels": {"app": "web"}}
TWICE = "Duplicate value"

POOLS = (
    case("a pool without addresses", "IPAddressPool", {}, POOL, "spec.addresses: Required value"),
    case(
        "a pool of no addresses",
        "IPAddressPool",
        {"addresses": []},
        POOL,
        "spec.addresses in body should have at least 1 items",
    ),
    pool("an address that is none", "10.0.0.300/32", "10.0.0.30/32", RANGE),
    pool("a single address", "10.0.0.1", "10.0.0.1/32", RANGE),
    pool("a name", "the office", "10.0.0.0/8", RANGE),
    pool("a length beyond IPv4", "10.0.0.0/33", "10.0.0.9/31", RANGE),
    pool("a length beyond IPv6", "fd00::/129", "fd00::/128", RANGE),
    pool("a netmask", "10.0.0.0/255.0.0.0", "10.0.0.0 / 8", RANGE),
    pool("half a range", "10.0.0.1-", "10.0.0.1-10.0.0.1", RANGE),
    pool("a short range", "10.0.0.1-9", "10.0.0.1 - 10.0.0.9", RANGE),
    pool("a zone", "fe80::1%eth0/128", "fe80::1/128", RANGE),
    pool("zeros in front", "010.0.0.0/8", "10.0.0.0/08", RANGE),
    pool(
        "ends of two families",
        "10.0.0.1-fd00::1",
        "fd00::1-fd00::2",
        "write both ends of a range as IPv4, or both as IPv6",
    ),
    pool(
        "a range backwards",
        "10.0.1.1-10.0.0.255",
        "10.0.0.255-10.0.1.1",
        "the range ends before it begins: write the lower address first",
    ),
    allocation("a priority below zero", {"priority": -1}, {"priority": 0}, "priority", "to 0"),
    allocation("a priority beyond 31 bits", {"priority": 2**31}, {"priority": 9}, "2147483647"),
    allocation("a quota of nothing", {"maxPerNamespace": 0}, {"maxPerNamespace": 1}, "to 1"),
    allocation("a namespace twice", {"namespaces": ["a", "a"]}, {"namespaces": ["a"]}, TWICE),
    case(
        "a word for a truth",
        "IPAddressPool",
        POOL | {"autoAssign": "no"},
        POOL | {"autoAssign": False},
        "spec.autoAssign in body must be of type boolean",
    ),
)

SELECTORS = (
    selector(
        "an unknown operator",
        wants("app", "Is", "a"),
        wants("app", "In", "a"),
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ),
    selector("In of nothing", wants("app", "In"), wants("app", "Exists"), "In and NotIn need"),
    selector(
        "Exists of something",
        wants("app", "Exists", "a"),
        wants("app", "NotIn", "a"),
        "Exists and DoesNotExist take no values: remove them, or write In or NotIn",
    ),
    selector("a value twice", wants("app", "In", "a", "a"), wants("app", "In", "a", "b"), TWICE),
    selector(
        "a requirement without a key",
        {"matchExpressions": [{"operator": "Exists"}]},
        wants("app", "Exists"),
        "spec.nodeSelectors[0].matchExpressions[0].key: Required value",
    ),
    selector("a key with a space", wants("a b", "Exists"), wants("a.b", "Exists"), "a b", "match"),
    selector(
        "a value with a space",
        {"matchLabels": {"app": "a b"}},
        {"matchLabels": {"app": ""}},
        "spec.nodeSelectors[0].matchLabels.app",
        "a b",
        "should match",
    ),
)

ADVERTISEMENTS = (
    advertisement(
        "selectors and an aggregate",
        {"serviceSelectors": [ANYTHING], "aggregationLength": 24},
        {"serviceSelectors": [ANYTHING], "aggregationLength": 32},
        "spec.serviceSelectors",
        "an aggregate would hold other Services too: remove the selectors, or aggregationLength",
    ),
    advertisement(
        "selectors and an IPv6 aggregate",
        {"serviceSelectors": [ANYTHING], "aggregationLengthV6": 64},
        {"serviceSelectors": [], "aggregationLengthV6": 64},
        "an aggregate would hold other Services too",
    ),
    advertisement("length 0", {"aggregationLength": 0}, {"aggregationLength": 1}, "equal to 1"),
    advertisement("length 33", {"aggregationLength": 33}, {"aggregationLength": 32}, "equal to 32"),
    advertisement("129", {"aggregationLengthV6": 129}, {"aggregationLengthV6": 128}, "to 128"),
    advertisement("below 0", {"localPref": -1}, {"localPref": 0}, "spec.localPref", "equal to 0"),
    advertisement("33 bits", {"localPref": 2**32}, {"localPref": 2**32 - 1}, "4294967295"),
    advertisement("MED below 0", {"med": -1}, {"med": 0}, "spec.med", "equal to 0"),
    advertisement("MED of 33 bits", {"med": 2**32}, {"med": 2**32 - 1}, "4294967295"),
    advertisement("prepend 0", {"asPathPrepend": 0}, {"asPathPrepend": 1}, "equal to 1"),
    advertisement("prepend 11", {"asPathPrepend": 11}, {"asPathPrepend": 10}, "equal to 10"),
    advertisement(
        "bandwidth of what",
        {"linkBandwidth": "interface"},
        {"linkBandwidth": "endpoints"},
        "spec.linkBandwidth",
        "endpoints",
    ),
    advertisement(
        "64 communities",
        {"communities": [f"1:{n}" for n in range(64)]},
        {"communities": [f"1:{n}" for n in range(63)]},
        "Too many: 64: must have at most 63 items",
    ),
    advertisement("17 bits", {"communities": ["1:65536"]}, {"communities": ["1:65535"]}, NUMBERS),
    advertisement(
        "a large community short of a part",
        {"communities": ["large:1:2"]},
        {"communities": ["large:1:2:4294967295"]},
        "large:65000:1:2 (each at most 4294967295) or the name of an alias",
    ),
    advertisement(
        "a large community of 33 bits",
        {"communities": ["large:1:2:4294967296"]},
        {"communities": ["an-alias"]},
        "large:65000:1:2 (each at most 4294967295)",
    ),
    advertisement("extended", {"communities": ["rt:1:2"]}, {"communities": ["1:2"]}, NUMBERS),
    advertisement("communities twice", {"communities": ["a", "a"]}, {"communities": ["a"]}, TWICE),
    advertisement("a peer twice", {"peers": ["a", "a"]}, {"peers": ["a", "b"]}, TWICE),
    advertisement("pool twice", {"ipAddressPools": ["a", "a"]}, {"ipAddressPools": ["a"]}, TWICE),
    l2("a pool twice", {"ipAddressPools": ["a", "a"]}, {"ipAddressPools": ["a", "b"]}, TWICE),
    l2(
        "an interface that is none",
        {"interfaces": ["eth0", "et h1"]},
        {"interfaces": ["eth0", "bond0.100"]},
        "spec.interfaces[1]",
        "write the name of a network interface, as `ip link` shows it",
    ),
    l2("a long name", {"interfaces": ["e" * 16]}, {"interfaces": ["e" * 15]}, "more than 15"),
    l2(
        "a weight of 0",
        {"preferredNodeSelectors": [{"weight": 0, "preference": {}}]},
        {"preferredNodeSelectors": [{"weight": 1, "preference": {}}]},
        "spec.preferredNodeSelectors[0].weight",
        "equal to 1",
    ),
    l2(
        "a preference without a weight",
        {"preferredNodeSelectors": [{"preference": {}}]},
        {"preferredNodeSelectors": [{"weight": 100, "preference": {}}]},
        "spec.preferredNodeSelectors[0].weight: Required value",
    ),
    alias(
        "an alias with a colon",
        {"name": "a:b", "value": "1:2"},
        {"name": "a", "value": "1:2"},
        "spec.communities[1].name",
        "write an alias without ':', which marks a number",
    ),
    alias(
        "an alias twice", {"name": "other", "value": "1:2"}, {"name": "a", "value": "1:1"}, TWICE
    ),
    alias(
        "an alias of 17 bits",
        {"name": "a", "value": "65536:1"},
        {"name": "a", "value": "0:0"},
        "spec.communities[1].value",
        NUMBERS,
    ),
    alias(
        "an alias for an alias",
        {"name": "a", "value": "other"},
        {"name": "a", "value": "9:9"},
        NUMBERS,
    ),
    alias(
        "an alias for nothing",
        {"name": "a"},
        {"name": "a", "value": "large:1:2:3"},
        "spec.communities[1].value: Required value",
    ),
    bfd("too often", "receiveInterval", 9, 10, "equal to 10"),
    bfd("too seldom", "transmitInterval", 60001, 60000, "equal to 60000"),
    bfd("an echo too often", "echoInterval", 9, 10, "equal to 10"),
    bfd("no packet missed", "detectMultiplier", 1, 2, "equal to 2"),
    bfd("too many missed", "detectMultiplier", 256, 255, "equal to 255"),
    bfd("no hop", "minimumTtl", 0, 1, "equal to 1"),
    bfd("no hop at all", "minimumTtl", 255, 254, "equal to 254"),
)
