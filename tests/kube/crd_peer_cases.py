"""What our definition of BGPPeer refuses; see `crd_cases`."""

from dataclasses import dataclass

from tests.kube.crd_cases import (
    ADVERTISEMENTS,
    MACHINE,
    PEER,
    POOLS,
    REMOVE,
    SELECTORS,
    UNNUMBERED,
    Case,
    Spec,
    case,
    peer,
)

HOLD = "write 0s, or a duration from 3s to 65535s such as 90s or 1m30s"
CONNECT = "write whole seconds from 1s to 65535s"
ADDRESS = "write an IPv4 or IPv6 address, without prefix length and zone"
ROUTER_ID = "write an IPv4 address, and not 0.0.0.0"
PASSWORD = "write a password of ASCII letters, or put it into a Secret"
DEVICE = "write the name of a network device, as `ip link` shows it"


def _in(*values: str) -> Spec:
    return {"key": "app", "operator": "In", "values": [*values]}


def without(key: str, **more: object) -> Spec:
    """Return the spec of a peer that lacks a field."""
    return {k: v for k, v in PEER.items() if k != key} | more


def bare(name: str, bad: Spec, good: Spec, *words: str) -> Case:
    """Return a case for a whole spec of a BGPPeer."""
    return case(name, "BGPPeer", bad, good, *words)


PEERS = (
    bare("no ASN of ours", without("myASN"), PEER, "spec.myASN: Required value"),
    peer("an ASN of 0", {"myASN": 0}, {"myASN": 1}, "spec.myASN", "equal to 1"),
    peer("33 bits", {"myASN": 2**32}, {"myASN": 2**32 - 1}, "spec.myASN", "4294967295"),
    peer("an ASN in quotes", {"peerASN": "64513"}, {}, "spec.peerASN in body must be of type int"),
    peer("a local ASN of 0", {"localASN": 0}, {"localASN": 1}, "spec.localASN", "equal to 1"),
    bare(
        "no ASN of the peer",
        without("peerASN"),
        without("peerASN", dynamicASN="external"),
        "spec.peerASN",
        "write peerASN, a number from 1 to 4294967295, or dynamicASN",
    ),
    bare("0", without("peerASN", peerASN=0), PEER, "spec.peerASN", "or dynamicASN"),
    peer("two ASNs", {"dynamicASN": "internal"}, {}, "spec.dynamicASN", REMOVE),
    bare(
        "an unknown dynamic ASN",
        without("peerASN", dynamicASN="any"),
        without("peerASN", dynamicASN="internal", peerASN=0),
        'supported values: "internal", "external"',
    ),
    bare(
        "no address",
        without("peerAddress"),
        UNNUMBERED,
        "spec.peerAddress",
        "write peerAddress, or interface for an unnumbered peer",
    ),
    bare("an empty address", without("peerAddress", peerAddress=""), PEER, "or interface for an"),
    peer("an address and an interface", {"interface": "eth1"}, {"interface": ""}, REMOVE),
    peer(
        "an interface and an address that needs none",
        {"interface": "eth1", "peerAddress": "fd00::1"},
        {"interface": "eth1", "peerAddress": "fe80::1"},
        "spec.interface",
        REMOVE,
    ),
    peer("a name", {"peerAddress": "router"}, {"peerAddress": "fd00::1"}, ADDRESS),
    peer("a prefix", {"peerAddress": "10.0.0.1/24"}, {"peerAddress": "10.0.0.1"}, ADDRESS),
    peer("a zone", {"peerAddress": "fe80::1%eth0"}, {"peerAddress": "fe80::1"}, ADDRESS),
    peer("multicast", {"peerAddress": "224.0.0.5"}, {"peerAddress": "127.0.0.1"}, MACHINE),
    peer("IPv6 multicast", {"peerAddress": "ff02::1"}, {"peerAddress": "::1"}, MACHINE),
    peer("unspecified", {"sourceAddress": "0.0.0.0"}, {"sourceAddress": "0.0.0.1"}, MACHINE),
    peer("broadcast", {"peerAddress": "255.255.255.255"}, {"peerAddress": "255.0.0.1"}, MACHINE),
    peer(
        "a source of the other family",
        {"sourceAddress": "fd00::2"},
        {"sourceAddress": "192.0.2.2"},
        "spec.sourceAddress",
        "write an address of the family of peerAddress, both IPv4 or both IPv6",
    ),
    peer("an IPv6 router ID", {"routerID": "fd00::1"}, {"routerID": "10.0.0.1"}, ROUTER_ID),
    peer("router ID 0", {"routerID": "0.0.0.0"}, {"routerID": "0.0.0.1"}, ROUTER_ID),
    peer("router ID as a name", {"routerID": "node-1"}, {"routerID": ""}, ROUTER_ID),
    peer("a port below 0", {"peerPort": -1}, {"peerPort": 0}, "spec.peerPort", "equal to 0"),
    peer("a port of 17 bits", {"peerPort": 65536}, {"peerPort": 65535}, "equal to 65535"),
    peer("a hold time without a unit", {"holdTime": "90"}, {"holdTime": "90s"}, HOLD),
    peer("a hold time of two words", {"holdTime": "1m 30s"}, {"holdTime": "1m30s"}, HOLD),
    peer("a hold time of 1 s", {"holdTime": "1s"}, {"holdTime": "900ms"}, HOLD),
    peer("a hold time of 2.9 s", {"holdTime": "2.9s"}, {"holdTime": "3s"}, HOLD),
    peer("a hold time of a day", {"holdTime": "24h"}, {"holdTime": "65535s"}, HOLD),
    peer("a hold time below 0", {"holdTime": "-90s"}, {"holdTime": "+90s"}, HOLD),
    peer(
        "a keepalive time without a unit",
        {"keepaliveTime": "30"},
        {"keepaliveTime": "0"},
        "write a duration such as 30s or 1m30s",
    ),
    peer(
        "keepalives seldomer than the hold time",
        {"keepaliveTime": "91s", "holdTime": "1m30s"},
        {"keepaliveTime": "90.5s", "holdTime": "1.5m"},
        "spec.keepaliveTime",
        "longer than holdTime: write a third of that",
    ),
    peer(
        "keepalives without a hold time",
        {"keepaliveTime": "21846s"},
        {"keepaliveTime": "21845s"},
        "spec.keepaliveTime",
        "write at most 21845s",
    ),
    peer("no time to connect", {"connectTime": "0s"}, {"connectTime": "1s"}, CONNECT),
    peer("a part of a second", {"connectTime": "1500ms"}, {"connectTime": "2000ms"}, CONNECT),
    peer("too long to connect", {"connectTime": "65536s"}, {"connectTime": "65535s"}, CONNECT),
    peer("a line break", {"password": "a\n"}, {"password": "it's"}, "spec.password", PASSWORD),
    peer("a tab", {"password": "a\t"}, {"password": '"a\\b"'}, "spec.password", PASSWORD),
    peer("no ASCII", {"password": "é"}, {"password": "~ !"}, "spec.password", PASSWORD),
    peer("81 letters", {"password": "a" * 81}, {"password": "a" * 80}, "more than 80"),
    peer(
        "a password and a Secret",
        {"password": "a", "passwordSecret": {"name": "bgp"}},
        {"passwordSecret": {"name": "bgp"}, "password": ""},
        "spec.passwordSecret",
        "password is set too: remove one of them",
    ),
    peer(
        "the name of no Secret",
        {"passwordSecret": {"name": "My Secret"}},
        {"passwordSecret": {"name": "my-secret.1"}},
        "write the name of a Secret, of a-z, 0-9, '-' and '.'",
    ),
    peer(
        "several hops to our own AS",
        {"ebgpMultiHop": True, "peerASN": 64512},
        {"ebgpMultiHop": False, "peerASN": 64512},
        "spec.ebgpMultiHop",
        "peerASN equals myASN (iBGP): remove it, or mend the ASNs",
    ),
    peer("a VRF that is none", {"vrf": "a/b"}, {"vrf": "red"}, "spec.vrf", DEVICE),
    bare(
        "an interface that is none",
        UNNUMBERED | {"interface": ".."},
        UNNUMBERED,
        "write the name of a network interface",
    ),
)

REFUSED: tuple[Case, ...] = (*POOLS, *SELECTORS, *ADVERTISEMENTS, *PEERS)
"""What the schema refuses, and so does the parser."""


@dataclass(frozen=True, slots=True)
class Later:
    """What the schema takes and the parser refuses.

    Attributes:
        told: a regular expression for the parser's message.
    """

    name: str
    kind: str
    spec: Spec
    told: str


LATER = (
    Later(
        "an IPv6 range backwards (CEL has no order of addresses)",
        "IPAddressPool",
        {"addresses": ["fd00::2-fd00::1"]},
        "^'.*:.*-.*' *: .*:.* comes after ",
    ),
    Later(
        "entries that overlap (each against each costs more than a rule may)",
        "IPAddressPool",
        {"addresses": ["10.0.0.0/8", "10.1.0.0/16"]},
        ": overlaps .* in ",
    ),
    Later(
        "ends of two families, one written as IPv6 (isIP does not take it)",
        "IPAddressPool",
        {"addresses": ["::ffff:1.2.3.4-fd00::1"]},
        "are of different families",
    ),
    Later(
        "multicast written as IPv6 (isIP does not take it)",
        "BGPPeer",
        PEER | {"peerAddress": "::ffff:224.0.0.5"},
        "multicast",
    ),
    Later(
        "a selector twice (server-side apply knows no sets of mappings)",
        "BGPPeer",
        PEER | {"nodeSelectors": [{}, {"matchLabels": {}}]},
        "the same selector as",
    ),
    Later(
        "a requirement twice (server-side apply knows no sets of mappings)",
        "BGPPeer",
        PEER | {"nodeSelectors": [{"matchExpressions": [_in("a", "b"), _in("b", "a")]}]},
        "the same expression stands before",
    ),
    Later(
        "a key that is none, of a label to match (so many keys cost more than rules may)",
        "BGPPeer",
        PEER | {"nodeSelectors": [{"matchLabels": {"a b": "c"}}]},
        "write a label key",
    ),
    Later(
        "a label without a value (the API leaves it out of the object)",
        "BGPPeer",
        PEER | {"nodeSelectors": [{"matchLabels": {"app": None}}]},
        "null: write a text in quotes",
    ),
    Later(
        "a Secret whose name has a part of 64 letters (the pattern would be unreadable)",
        "BGPPeer",
        PEER | {"passwordSecret": {"name": "a" * 64}},
        "'a{57}...': write a name",
    ),
    Later(
        "less than a millisecond over a whole second (CEL counts durations in them)",
        "BGPPeer",
        PEER | {"connectTime": "1s1us"},
        "write whole seconds",
    ),
    Later(
        "a duration of minus nothing (CEL sees no sign on it)",
        "BGPPeer",
        PEER | {"holdTime": "-0s"},
        "negative",
    ),
)
"""What the schema has no words for, and why."""

ALONE: tuple[tuple[str, str, Spec, str], ...] = (
    (
        "an empty word where one of two is meant (the parser takes it for none)",
        "BGPPeer",
        PEER | {"dynamicASN": ""},
        'supported values: "internal", "external"',
    ),
    (
        "more entries than the rules may cost (a file may hold them)",
        "IPAddressPool",
        {"addresses": [f"10.{n >> 8}.{n & 255}.0/32" for n in range(10_001)]},
        "must have at most 10000 items",
    ),
    (
        "more spaces than the rules may cost",
        "IPAddressPool",
        {"addresses": [f"10.0.0.1{' ' * 80}-10.0.0.2"]},
        "may not be more than 80",
    ),
    (
        "more selectors than a cluster has nodes",
        "BGPPeer",
        PEER | {"nodeSelectors": [{"matchLabels": {"n": str(n)}} for n in range(5001)]},
        "must have at most 5000 items",
    ),
    (
        "more requirements than the rules may cost",
        "BGPPeer",
        PEER | {"nodeSelectors": [{"matchExpressions": [_in(str(n)) for n in range(101)]}]},
        "must have at most 100 items",
    ),
    (
        "more aliases than the rules may cost",
        "Community",
        {"communities": [{"name": str(n), "value": "1:1"} for n in range(4001)]},
        "must have at most 4000 items",
    ),
)
"""What the schema refuses and the parser takes: limits that the API server needs, and why."""
