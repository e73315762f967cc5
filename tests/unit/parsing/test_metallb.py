"""The resources of group metallb.io: each field, and each rule that one object alone can show.

A number in the name of a case is that of the rule in our list of MetalLB's.
"""

from ipaddress import ip_address

import pytest

from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BfdProfile,
    BgpAdvertisement,
    Community,
    DynamicAsn,
    L2Advertisement,
    LargeCommunity,
    NodePreference,
    Password,
    Peer,
    Pool,
    ServiceAllocation,
)
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    PeerSpec,
    PoolChoice,
)
from tests.unit.parsing.manifests import VALID, Raw, by_field, parsed, resource, value

NEEDED: dict[str, Raw] = {
    "IPAddressPool": {"addresses": ["192.0.2.0/24"]},
    "BGPPeer": {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"},
}
"""The least that a resource of a kind must say."""


def labelled(**labels: str) -> LabelSelector:
    """Return a selector with matchLabels alone."""
    return LabelSelector(frozenset(labels.items()))


def addresses(first: str, last: str) -> AddressRange:
    """Return a range."""
    return AddressRange(ip_address(first), ip_address(last))


VALUES = {
    "IPAddressPool": Pool(
        name="it",
        created="2026-01-31T12:00:00Z",
        labels=frozenset({("zone", "east")}),
        ranges=(
            addresses("192.0.2.0", "192.0.2.255"),
            addresses("198.51.100.1", "198.51.100.9"),
            addresses("2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
        ),
        auto_assign=False,
        avoid_buggy_ips=True,
        allocation=ServiceAllocation(
            priority=50,
            namespaces=frozenset({"a", "b"}),
            namespace_selectors=(labelled(team="a"),),
            service_selectors=(
                LabelSelector(requirements=(Requirement("app", Operator.IN, ("x", "y")),)),
            ),
            max_per_namespace=3,
        ),
    ),
    "BGPPeer": PeerSpec(
        Peer(
            name="it",
            my_asn=64512,
            peer_asn=64513,
            local_asn=64514,
            address=ip_address("192.0.2.1"),
            source_address=ip_address("192.0.2.2"),
            port=1179,
            hold_seconds=90,
            keepalive_seconds=30,
            connect_seconds=10,
            router_id=ip_address("10.0.0.1"),
            node_selectors=(labelled(rack="1"), labelled(rack="2")),
            password=Password("s3cret word"),
            bfd_profile="fast",
            graceful_restart=True,
            ebgp_multihop=True,
            vrf="red",
            dual_stack=True,
        )
    ),
    "BGPPeer, unnumbered": PeerSpec(
        Peer(name="it", my_asn=64512, peer_asn=DynamicAsn.EXTERNAL, interface="eth0.100"),
        ObjectName("metallb-system", "bgp"),
    ),
    "BGPPeer, v1beta1": PeerSpec(
        Peer(name="it", my_asn=64512, peer_asn=64512, address=ip_address("2001:db8::1"))
    ),
    "BGPAdvertisement": BgpAdvertisementSpec(
        BgpAdvertisement(
            name="it",
            pools=frozenset(),
            aggregation_v4=24,
            aggregation_v6=64,
            local_pref=100,
            med=50,
            as_path_prepend=3,
            link_bandwidth=BandwidthSource.ENDPOINTS,
            communities=(Community(65535, 65281),),
            large_communities=(LargeCommunity(64512, 1, 2),),
            node_selectors=(labelled(rack="1"),),
            peers=frozenset({"router-1"}),
        ),
        PoolChoice(("public",), (labelled(zone="east"),)),
        ("no-export",),
    ),
    "L2Advertisement": L2AdvertisementSpec(
        L2Advertisement(
            name="it",
            pools=frozenset(),
            node_selectors=(LabelSelector(),),
            interfaces=frozenset({"eth0", "eth1"}),
            service_selectors=(labelled(app="web"),),
            preferences=(
                NodePreference(100, labelled(rack="1")),
                NodePreference(1, LabelSelector()),
            ),
        ),
        PoolChoice(("public",)),
    ),
    "Community": CommunitySpec("it", "", (("no-export", Community(65535, 65281)),)),
    "BFDProfile": BfdProfile(
        name="it",
        receive_ms=50,
        transmit_ms=60,
        detect_multiplier=3,
        echo_ms=100,
        echo_mode=True,
        passive_mode=True,
        minimum_ttl=254,
    ),
}


@pytest.mark.parametrize(
    ("raw", "name"), list(zip(VALID[: len(VALUES)], VALUES, strict=True)), ids=list(VALUES)
)
def test_a_resource_with_every_field(raw: Raw, name: str) -> None:
    """Every field arrives in the value, and none is unknown."""
    assert value(raw) == VALUES[name]
    assert [w for w in parsed(raw).warnings if "unknown" in w.message] == []


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        pytest.param(
            "IPAddressPool",
            {"addresses": ["192.0.2.0/24"]},
            Pool(name="it", ranges=(addresses("192.0.2.0", "192.0.2.255"),)),
            id="pool",
        ),
        pytest.param(
            "BGPPeer",
            {"myASN": 64512, "peerASN": 64512, "peerAddress": "192.0.2.1"},
            PeerSpec(
                Peer(name="it", my_asn=64512, peer_asn=64512, address=ip_address("192.0.2.1"))
            ),
            id="peer",
        ),
        pytest.param(
            "BGPAdvertisement",
            None,
            BgpAdvertisementSpec(BgpAdvertisement(name="it", pools=frozenset())),
            id="bgp-advertisement",
        ),
        pytest.param(
            "L2Advertisement",
            None,
            L2AdvertisementSpec(L2Advertisement(name="it", pools=frozenset())),
            id="l2-advertisement",
        ),
        pytest.param("Community", None, CommunitySpec("it", "", ()), id="community"),
        pytest.param("BFDProfile", None, BfdProfile(name="it"), id="bfd-profile"),
    ],
)
def test_defaults(kind: str, spec: Raw | None, expected: object) -> None:
    """What need not be said has MetalLB's default."""
    assert value(resource(kind, spec)) == expected


# Each case: kind, what the spec says beyond what it must, the field at fault, words of the message.
REFUSED = [
    # Pools
    ("7-no-addresses", "IPAddressPool", {"addresses": None}, "addresses", "missing"),
    ("7-empty-addresses", "IPAddressPool", {"addresses": []}, "addresses", "missing"),
    (
        "8-cidr",
        "IPAddressPool",
        {"addresses": ["192.0.2.0/24", "10.0.0.300/32"]},
        "addresses[1]",
        "'10.0.0.300/32': write a CIDR or first-last range",
    ),
    (
        "9-start",
        "IPAddressPool",
        {"addresses": ["x-192.0.2.1"]},
        "addresses[0]",
        "'x-192.0.2.1': write a CIDR or first-last range",
    ),
    (
        "9-end",
        "IPAddressPool",
        {"addresses": ["192.0.2.1-9"]},
        "addresses[0]",
        "both ends as whole addresses",
    ),
    (
        "9-backwards",
        "IPAddressPool",
        {"addresses": ["192.0.2.9-192.0.2.1"]},
        "addresses[0]",
        "192.0.2.9 comes after 192.0.2.1",
    ),
    (
        "9-two-families",
        "IPAddressPool",
        {"addresses": ["192.0.2.9-2001:db8::"]},
        "addresses[0]",
        "of different families",
    ),
    (
        "10-overlap",
        "IPAddressPool",
        {"addresses": ["192.0.2.0/24", "192.0.3.0/24", "192.0.2.9-192.0.2.10"]},
        "addresses[2]",
        "'192.0.2.9-192.0.2.10': overlaps '192.0.2.0/24' in [0]: remove one",
    ),
    (
        "10-overlap-by-one",
        "IPAddressPool",
        {"addresses": ["192.0.2.9-192.0.2.20", "192.0.2.1-192.0.2.9"]},
        "addresses[1]",
        "overlaps '192.0.2.9-192.0.2.20' in [0]",
    ),
    (
        "12-namespaces",
        "IPAddressPool",
        {"serviceAllocation": {"namespaces": ["a", "b", "a"]}},
        "serviceAllocation.namespaces[2]",
        "'a': stands in [0] too",
    ),
    (
        "1-selectors-of-a-pool",
        "IPAddressPool",
        {"serviceAllocation": {"namespaceSelectors": [{}, {}]}},
        "serviceAllocation.namespaceSelectors[1]",
        "the same selector",
    ),
    (
        "priority",
        "IPAddressPool",
        {"serviceAllocation": {"priority": -1}},
        "serviceAllocation.priority",
        "-1: write a whole number from 0",
    ),
    (
        "quota",
        "IPAddressPool",
        {"serviceAllocation": {"maxPerNamespace": 0}},
        "serviceAllocation.maxPerNamespace",
        "0: write a whole number from 1",
    ),
    (
        "allocation-as-text",
        "IPAddressPool",
        {"serviceAllocation": "all"},
        "serviceAllocation",
        "'all': write a mapping",
    ),
    ("auto-assign", "IPAddressPool", {"autoAssign": "no"}, "autoAssign", "write true or false"),
    ("buggy", "IPAddressPool", {"avoidBuggyIPs": 1}, "avoidBuggyIPs", "write true or false"),
    # Communities
    *(
        (f"13-{name}", "Community", {"communities": [{"name": "a", "value": text}]}, *told)
        for name, text, told in [
            ("word", "no-export", ("communities[0].value", "write 65000:100")),
            ("number", "65536:1", ("communities[0].value", "at most 65535")),
            ("marker", "extended:1:2", ("communities[0].value", "extended and other")),
            ("target", "rt:64512:1", ("communities[0].value", "extended and other")),
            ("count", "1:2:3", ("communities[0].value", "'1:2:3': write 65000:100")),
            ("large-number", "large:1:2:4294967296", ("communities[0].value", "at most 4294")),
            ("large-count", "large:1:2", ("communities[0].value", "write 65000:100")),
            ("sign", "-1:1", ("communities[0].value", "write 65000:100")),
            ("hex", "0x1:1", ("communities[0].value", "write 65000:100")),
            ("yaml-number", 5, ("communities[0].value", "5: write a text")),
        ]
    ),
    (
        "14-alias-twice",
        "Community",
        {"communities": [{"name": "a", "value": "1:1"}, {"name": "a", "value": "1:2"}]},
        "communities[1].name",
        "'a': another alias has that name",
    ),
    (
        "alias-with-a-colon",
        "Community",
        {"communities": [{"name": "a:b", "value": "1:1"}]},
        "communities[0].name",
        "without ':'",
    ),
    (
        "alias-without-name",
        "Community",
        {"communities": [{"value": "1:1"}]},
        "communities[0].name",
        "missing",
    ),
    # Advertisements
    *(
        (f"16-length-{n}", "BGPAdvertisement", {"aggregationLength": n}, "aggregationLength", "32")
        for n in (0, 33, "24", 24.5)
    ),
    *(
        (f"17-v6-{n}", "BGPAdvertisement", {"aggregationLengthV6": n}, "aggregationLengthV6", "128")
        for n in (0, 129, "64")
    ),
    (
        "18-selectors-and-aggregate",
        "BGPAdvertisement",
        {"aggregationLength": 24, "serviceSelectors": [{}]},
        "serviceSelectors",
        "an aggregate would hold other Services too",
    ),
    (
        "18-selectors-and-v6-aggregate",
        "BGPAdvertisement",
        {"aggregationLengthV6": 64, "serviceSelectors": [{}]},
        "serviceSelectors",
        "remove the selectors",
    ),
    *(
        (f"5-{key}", "BGPAdvertisement", {key: ["a", "a"]}, f"{key}[1]", "'a': stands in [0] too")
        for key in ("ipAddressPools", "communities", "peers")
    ),
    (
        "5-pools-on-layer-2",
        "L2Advertisement",
        {"ipAddressPools": ["a", "a"]},
        "ipAddressPools[1]",
        "stands in [0] too",
    ),
    *(
        (f"1-{kind}-{key}", kind, {key: [{}, {}]}, f"{key}[1]", "the same selector as [0]")
        for kind in ("BGPAdvertisement", "L2Advertisement")
        for key in ("ipAddressPoolSelectors", "nodeSelectors", "serviceSelectors")
    ),
    (
        "13-community-of-an-advertisement",
        "BGPAdvertisement",
        {"communities": ["ok", "65535:70000"]},
        "communities[1]",
        "'65535:70000': each number is at most 65535",
    ),
    (
        "too-many-communities",
        "BGPAdvertisement",
        {"communities": [f"1:{n}" for n in range(64)]},
        "communities",
        "64 communities: write at most 63",
    ),
    (
        "local-pref-negative",
        "BGPAdvertisement",
        {"localPref": -1},
        "localPref",
        "-1: write a whole number from 0 to 4294967295",
    ),
    ("local-pref-large", "BGPAdvertisement", {"localPref": 2**32}, "localPref", "4294967295"),
    ("med-negative", "BGPAdvertisement", {"med": -1}, "med", "from 0 to 4294967295"),
    ("med-large", "BGPAdvertisement", {"med": 2**32}, "med", "from 0 to 4294967295"),
    ("prepend-0", "BGPAdvertisement", {"asPathPrepend": 0}, "asPathPrepend", "from 1 to 10"),
    ("prepend-11", "BGPAdvertisement", {"asPathPrepend": 11}, "asPathPrepend", "from 1 to 10"),
    (
        "bandwidth",
        "BGPAdvertisement",
        {"linkBandwidth": "interface"},
        "linkBandwidth",
        "'interface': write endpoints, or leave the field out",
    ),
    (
        "23-weight-0",
        "L2Advertisement",
        {"preferredNodeSelectors": [{"weight": 0, "preference": {}}]},
        "preferredNodeSelectors[0].weight",
        "0: write a whole number from 1 to 100",
    ),
    (
        "23-weight-101",
        "L2Advertisement",
        {"preferredNodeSelectors": [{"weight": 101, "preference": {}}]},
        "preferredNodeSelectors[0].weight",
        "from 1 to 100",
    ),
    (
        "23-no-weight",
        "L2Advertisement",
        {"preferredNodeSelectors": [{"preference": {}}]},
        "preferredNodeSelectors[0].weight",
        "missing",
    ),
    (
        "23-no-preference",
        "L2Advertisement",
        {"preferredNodeSelectors": [{"weight": 1}]},
        "preferredNodeSelectors[0].preference",
        "missing",
    ),
    (
        "23-bad-preference",
        "L2Advertisement",
        {
            "preferredNodeSelectors": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "x"}]}}
            ]
        },
        "preferredNodeSelectors[0].preference.matchExpressions[0].operator",
        "write In, NotIn",
    ),
    (
        "interface-of-layer-2",
        "L2Advertisement",
        {"interfaces": ["eth0", "eth0/1"]},
        "interfaces[1]",
        "'eth0/1': write the name of a network interface",
    ),
    # Peers
    ("24-my-asn-0", "BGPPeer", {"myASN": 0}, "myASN", "0: write a whole number from 1"),
    ("24-no-my-asn", "BGPPeer", {"myASN": None}, "myASN", "missing"),
    ("my-asn-as-text", "BGPPeer", {"myASN": "64512"}, "myASN", "'64512': write a whole number"),
    ("my-asn-large", "BGPPeer", {"myASN": 2**32}, "myASN", "from 1 to 4294967295"),
    ("my-asn-true", "BGPPeer", {"myASN": True}, "myASN", "true: write a whole number"),
    ("25-no-asn", "BGPPeer", {"peerASN": None}, "peerASN", "missing: write peerASN, or dynamicASN"),
    ("25-asn-0", "BGPPeer", {"peerASN": 0}, "peerASN", "0: write a whole number from 1"),
    (
        "25-both",
        "BGPPeer",
        {"dynamicASN": "external"},
        "dynamicASN",
        "'external': peerASN is set too: remove one of them",
    ),
    (
        "25-mode",
        "BGPPeer",
        {"peerASN": None, "dynamicASN": "auto"},
        "dynamicASN",
        "'auto': write internal or external",
    ),
    ("local-asn", "BGPPeer", {"localASN": 0}, "localASN", "0: write a whole number from 1"),
    (
        "26-multihop-of-ibgp",
        "BGPPeer",
        {"peerASN": 64512, "ebgpMultiHop": True},
        "ebgpMultiHop",
        "peerASN equals myASN (iBGP)",
    ),
    ("27-neither", "BGPPeer", {"peerAddress": None}, "peerAddress", "missing: write it, or inter"),
    ("27-both", "BGPPeer", {"interface": "eth0"}, "interface", "peerAddress is set too"),
    ("28-address", "BGPPeer", {"peerAddress": "router"}, "peerAddress", "write an IPv4 or IPv6"),
    ("28-multicast", "BGPPeer", {"peerAddress": "224.0.0.5"}, "peerAddress", "multicast"),
    ("28-unspecified", "BGPPeer", {"peerAddress": "0.0.0.0"}, "peerAddress", "one machine"),
    ("28-prefix", "BGPPeer", {"peerAddress": "192.0.2.1/24"}, "peerAddress", "prefix length"),
    ("28-router-id", "BGPPeer", {"routerID": "one"}, "routerID", "write an IPv4 or IPv6"),
    ("28-router-id-v6", "BGPPeer", {"routerID": "2001:db8::1"}, "routerID", "32 bits"),
    ("28-router-id-as-number", "BGPPeer", {"routerID": 1}, "routerID", "1: write a text"),
    ("28-source", "BGPPeer", {"sourceAddress": "here"}, "sourceAddress", "write an IPv4 or IPv6"),
    (
        "28-source-of-the-other-family",
        "BGPPeer",
        {"sourceAddress": "2001:db8::1"},
        "sourceAddress",
        "'2001:db8::1': write an IPv4 address, as peerAddress is",
    ),
    ("29-hold-1", "BGPPeer", {"holdTime": "1s"}, "holdTime", "'1s': write 0s, or 3s to 65535s"),
    ("29-hold-2.9", "BGPPeer", {"holdTime": "2900ms"}, "holdTime", "write 0s, or 3s"),
    ("hold-beyond-16-bits", "BGPPeer", {"holdTime": "19h"}, "holdTime", "3s to 65535s"),
    ("hold-as-number", "BGPPeer", {"holdTime": 90}, "holdTime", "90: write a text"),
    ("hold-without-unit", "BGPPeer", {"holdTime": "90"}, "holdTime", "write a duration such as"),
    ("hold-negative", "BGPPeer", {"holdTime": "-90s"}, "holdTime", "negative"),
    (
        "30-keepalive-beyond-hold",
        "BGPPeer",
        {"holdTime": "9s", "keepaliveTime": "10s"},
        "keepaliveTime",
        "'10s': longer than holdTime, 9 s",
    ),
    (
        "30-keepalive-and-no-hold",
        "BGPPeer",
        {"holdTime": "0s", "keepaliveTime": "10s"},
        "keepaliveTime",
        "longer than holdTime, 0 s",
    ),
    ("keepalive-alone", "BGPPeer", {"keepaliveTime": "7h"}, "keepaliveTime", "at most 21845s"),
    *(
        (f"connect-{t}", "BGPPeer", {"connectTime": t}, "connectTime", "1s to 65535s")
        for t in ("0s", "1500ms", "65536s")
    ),
    *(
        (f"port-{n}", "BGPPeer", {"peerPort": n}, "peerPort", "from 0 to 65535")
        for n in (-1, 65536, "179")
    ),
    (
        "31-password-and-secret",
        "BGPPeer",
        {"password": "x", "passwordSecret": {"name": "s"}},
        "passwordSecret",
        "password is set too",
    ),
    ("secret-name", "BGPPeer", {"passwordSecret": {"name": "A B"}}, "passwordSecret.name", "a-z"),
    ("password-tab", "BGPPeer", {"password": "hush\thush"}, "password", "ASCII letters"),
    ("password-long", "BGPPeer", {"password": "hush" * 21}, "password", "at most 80"),
    ("password-number", "BGPPeer", {"password": 555123}, "password", "a number (not shown)"),
    ("vrf", "BGPPeer", {"vrf": "red;blue"}, "vrf", "'red;blue': write the name of a network"),
    (
        "interface",
        "BGPPeer",
        {"peerAddress": None, "interface": "eth0 {"},
        "interface",
        "write the name of a network interface",
    ),
    *(
        (f"flag-{key}", "BGPPeer", {key: "true"}, key, "'true': write true or false without")
        for key in ("enableGracefulRestart", "ebgpMultiHop", "disableMP", "dualStackAddressFamily")
    ),
    ("1-nodes-of-a-peer", "BGPPeer", {"nodeSelectors": [{}, {}]}, "nodeSelectors[1]", "the same"),
    # BFD
    *(
        (f"35-{key}-{n}", "BFDProfile", {key: n}, key, f"from {low} to {high}")
        for key, low, high in [
            ("receiveInterval", 10, 60_000),
            ("transmitInterval", 10, 60_000),
            ("echoInterval", 10, 60_000),
            ("detectMultiplier", 2, 255),
            ("minimumTtl", 1, 254),
        ]
        for n in (low - 1, high + 1, str(low))
    ),
    ("35-echo-mode", "BFDProfile", {"echoMode": "on"}, "echoMode", "write true or false"),
]


@pytest.mark.parametrize(
    ("kind", "spec", "field", "words"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_is_refused(kind: str, spec: Raw, field: str, words: str) -> None:
    """One fault, of the right field, that says what is wrong and what would be right."""
    told = by_field(parsed(resource(kind, {**NEEDED.get(kind, {}), **spec})).faults)
    assert list(told) == [f"spec.{field}"]
    assert words in told[f"spec.{field}"]
    assert "hush" not in told[f"spec.{field}"]
    assert "555123" not in told[f"spec.{field}"]


@pytest.mark.parametrize(
    ("spec", "hold"),
    [
        pytest.param({"holdTime": "0s"}, 0, id="no-keepalives"),
        pytest.param({"holdTime": "3.9s"}, 3, id="cut-to-whole-seconds"),
        pytest.param({"holdTime": "500ms"}, 0, id="less-than-a-second-is-none"),
        pytest.param({"holdTime": "1m30s"}, 90, id="minutes"),
        pytest.param({"holdTime": "1h"}, 3600, id="hours"),
        pytest.param({"keepaliveTime": "20s"}, None, id="keepalive-alone"),
        pytest.param({}, None, id="neither"),
    ],
)
def test_hold_times(spec: Raw, hold: int | None) -> None:
    """Durations as Go reads them, cut to whole seconds."""
    found = value(resource("BGPPeer", {**NEEDED["BGPPeer"], **spec}))
    assert isinstance(found, PeerSpec)
    assert found.peer.hold_seconds == hold
    assert found.peer.keepalive_seconds == (20 if "keepaliveTime" in spec else None)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"peerASN": 0, "dynamicASN": "internal"}, DynamicAsn.INTERNAL, id="zero"),
        pytest.param({"peerASN": None, "dynamicASN": "external"}, DynamicAsn.EXTERNAL, id="none"),
        pytest.param({"dynamicASN": ""}, 64513, id="empty-mode"),
    ],
)
def test_a_dynamic_asn(spec: Raw, expected: object) -> None:
    """Zero and empty are Go's way to write "unset"."""
    found = value(resource("BGPPeer", {**NEEDED["BGPPeer"], **spec}))
    assert isinstance(found, PeerSpec)
    assert found.peer.peer_asn == expected


@pytest.mark.parametrize(
    ("addresses_", "ranges"),
    [
        pytest.param(["192.0.2.77/24"], ["192.0.2.0-192.0.2.255"], id="host-bits"),
        pytest.param(["192.0.2.1 - 192.0.2.9"], ["192.0.2.1-192.0.2.9"], id="spaces"),
        pytest.param(
            ["10.0.0.128/25", "10.0.0.0/25"],
            ["10.0.0.128-10.0.0.255", "10.0.0.0-10.0.0.127"],
            id="neighbours-in-their-order",
        ),
        pytest.param(["0.0.0.0/32", "::/128"], ["0.0.0.0-0.0.0.0", "::-::"], id="two-families"),
    ],
)
def test_ranges_of_a_pool(addresses_: list[str], ranges: list[str]) -> None:
    """One range for each entry, in their order."""
    found = value(resource("IPAddressPool", {"addresses": addresses_}))
    assert isinstance(found, Pool)
    assert [str(r) for r in found.ranges] == ranges


def test_an_empty_allocation_is_one() -> None:
    """It takes the pool out of the general set, as in MetalLB; null does not."""
    for raw, allocation in (({}, ServiceAllocation()), (None, None)):
        spec = {**NEEDED["IPAddressPool"], "serviceAllocation": raw}
        found = value(resource("IPAddressPool", spec))
        assert isinstance(found, Pool)
        assert found.allocation == allocation


def test_local_pref_0_is_none() -> None:
    """MetalLB's zero is "unset"; a real LOCAL_PREF of 0 is for a drain alone."""
    found = value(resource("BGPAdvertisement", {"localPref": 0}))
    assert isinstance(found, BgpAdvertisementSpec)
    assert found.advertisement.local_pref is None


def test_a_med_of_0_is_sent() -> None:
    """Unlike a local preference: routers may be told to take no MED for the worst one."""
    found = value(resource("BGPAdvertisement", {"med": 0}))
    assert isinstance(found, BgpAdvertisementSpec)
    assert found.advertisement.med == 0


def test_selectors_with_whole_addresses_named() -> None:
    """Selectors of Services go with aggregation lengths that are those of one address."""
    spec = {"aggregationLength": 32, "aggregationLengthV6": 128, "serviceSelectors": [{}]}
    assert value(resource("BGPAdvertisement", spec))


def test_communities_are_sorted_and_single() -> None:
    """Two spellings of one community are one; aliases keep their order."""
    found = value(
        resource(
            "BGPAdvertisement", {"communities": ["2:1", "b", "1:2", "01:2", "large:1:1:1", "a"]}
        )
    )
    assert isinstance(found, BgpAdvertisementSpec)
    assert found.advertisement.communities == (Community(1, 2), Community(2, 1))
    assert found.advertisement.large_communities == (LargeCommunity(1, 1, 1),)
    assert found.aliases == ("b", "a")


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
def test_port_0_is_bgps_own(version: str) -> None:
    """v1beta1 has no default for it, and both versions share one schema."""
    raw = resource("BGPPeer", {**NEEDED["BGPPeer"], "peerPort": 0})
    found = value({**raw, "apiVersion": f"metallb.io/{version}"})
    assert isinstance(found, PeerSpec)
    assert found.peer.port == 179


def test_a_link_local_peer_has_an_interface() -> None:
    """Its address says nothing without one."""
    spec = {**NEEDED["BGPPeer"], "peerAddress": "fe80::1", "interface": "eth0"}
    found = value(resource("BGPPeer", spec))
    assert isinstance(found, PeerSpec)
    assert (str(found.peer.address), found.peer.interface) == ("fe80::1", "eth0")


@pytest.mark.parametrize(
    "timers",
    [
        pytest.param({"holdTime": "10s", "keepaliveTime": "3s"}, id="a-third"),
        pytest.param({"holdTime": "0s", "keepaliveTime": "0s"}, id="none"),
        pytest.param({"keepaliveTime": "20s"}, id="alone"),
    ],
)
def test_a_keepalive_time_that_is_kept_is_no_reason_for_a_word(timers: Raw) -> None:
    """ExaBGP sends as many as are asked for."""
    assert parsed(resource("BGPPeer", {**NEEDED["BGPPeer"], **timers})).warnings == ()


@pytest.mark.parametrize(
    ("kind", "spec", "field", "words"),
    [
        pytest.param(
            "IPAddressPool",
            {"adresses": []},
            "spec.adresses",
            "did you mean 'addresses'",
            id="typo",
        ),
        pytest.param(
            "IPAddressPool",
            {"serviceAllocation": {"maxPerNamespaces": 1}},
            "spec.serviceAllocation.maxPerNamespaces",
            "did you mean 'maxPerNamespace'",
            id="nested-typo",
        ),
        pytest.param(
            "BGPPeer",
            {"nodeSelectors": [{"matchLabel": {}}]},
            "spec.nodeSelectors[0].matchLabel",
            "did you mean 'matchLabels'",
            id="typo-in-a-selector",
        ),
        pytest.param(
            "BGPPeer", {"frobnicate": 1}, "spec.frobnicate", "unknown field", id="unknown"
        ),
        pytest.param(
            "BGPPeer", {"disableMP": True}, "spec.disableMP", "deprecated", id="disableMP"
        ),
        pytest.param(
            "BGPPeer",
            {"keepaliveTime": "1s", "holdTime": "9s"},
            "spec.keepaliveTime",
            "each third of holdTime, here 3 s",
            id="keepaliveTime",
        ),
        pytest.param(
            "BGPPeer", {"connectTime": "10s"}, "spec.connectTime", "no effect", id="connectTime"
        ),
        pytest.param(
            "BGPPeer",
            {"passwordSecret": {"name": "s", "namespace": "elsewhere"}},
            "spec.passwordSecret.namespace",
            "the Secret is read in metallb-system",
            id="secret-elsewhere",
        ),
    ],
)
def test_warnings(kind: str, spec: Raw, field: str, words: str) -> None:
    """The object stands, and the user is told."""
    raw = resource(kind, {**NEEDED[kind], **spec})
    assert value(raw)
    told = by_field(parsed(raw).warnings)
    assert list(told) == [field]
    assert words in told[field]


def test_unknown_keys_beside_the_spec() -> None:
    """The status and all of metadata are Kubernetes' own; the rest is not."""
    raw = {
        **resource("BFDProfile", None, uid="x", managedFields=[], finalizers=[]),
        "status": {"anything": 1},
        "specs": {},
    }
    assert by_field(parsed(raw).warnings) == {
        "specs": "unknown field, ignored: did you mean 'spec'?"
    }


def test_all_faults_of_an_object_are_told() -> None:
    """A user mends them in one go."""
    spec = {"myASN": 0, "peerAddress": "x", "holdTime": "1s", "passwordSecret": {"name": "A"}}
    assert list(by_field(parsed(resource("BGPPeer", spec)).faults)) == [
        "spec.myASN",
        "spec.peerASN",
        "spec.peerAddress",
        "spec.holdTime",
        "spec.passwordSecret.name",
    ]


def test_a_spec_of_the_wrong_type() -> None:
    """Is told once; nothing in it is missing."""
    assert by_field(parsed(resource("BGPPeer", [])).faults) == {"spec": "a list: write a mapping"}


@pytest.mark.parametrize(
    ("metadata", "field", "words"),
    [
        pytest.param({"name": None}, "metadata.name", "missing", id="6-no-name"),
        pytest.param({"name": ""}, "metadata.name", "missing", id="6-empty-name"),
        pytest.param({"name": "Edge_1"}, "metadata.name", "'Edge_1': write a name", id="name"),
        pytest.param({"name": 5}, "metadata.name", "5: write a text", id="number-as-name"),
        pytest.param({"namespace": "a b"}, "metadata.namespace", "'a b': write", id="namespace"),
        pytest.param({"labels": {"a": 1}}, "metadata.labels.a", "1: write a text", id="label"),
        pytest.param({"labels": ["a"]}, "metadata.labels", "write a mapping", id="labels"),
        pytest.param(
            {"creationTimestamp": "yesterday"},
            "metadata.creationTimestamp",
            "'yesterday': write a time",
            id="created",
        ),
    ],
)
def test_metadata(metadata: Raw, field: str, words: str) -> None:
    """Names are what Kubernetes takes as names: they stand in files, logs and metrics."""
    told = by_field(parsed(resource("IPAddressPool", NEEDED["IPAddressPool"], **metadata)).faults)
    assert list(told) == [field]
    assert words in told[field]


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00.123456Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        (None, ""),
    ],
)
def test_when_it_was_created(text: str | None, created: str) -> None:
    """Always in UTC, so that it sorts as text."""
    raw = resource("IPAddressPool", NEEDED["IPAddressPool"], creationTimestamp=text)
    found = value(raw)
    assert isinstance(found, Pool)
    assert found.created == created
