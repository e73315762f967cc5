"""The ConfigMap of MetalLB before 0.13."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.errors import ParseError
from exabgp_metallb.parsing.legacy import resources
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Community, LargeCommunity, Password, Peer, Pool
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    LegacyConfig,
    Parsed,
    PeerSpec,
)
from tests.unit.parsing.manifests import Raw, by_field, core, parsed

FULL = """
peers:
- my-asn: 64512
  peer-asn: 64513
  peer-address: 192.0.2.1
  source-address: 192.0.2.2
  peer-port: 1179
  router-id: 10.0.0.1
  password: s3cret
  bfd-profile: Fast_One
  ebgp-multihop: true
  hold-time: 30s
  keepalive-time: 10s
  node-selectors:
  - match-labels: {rack: "1"}
    match-expressions:
    - {key: zone, operator: In, values: [b, a]}
- {my-asn: 64512, peer-asn: 64512, peer-address: 192.0.2.9}
address-pools:
- name: 1_Public_Pool
  protocol: bgp
  addresses: [192.0.2.0/25, 192.0.2.128-192.0.2.255]
  auto-assign: false
  avoid-buggy-ips: true
  bgp-advertisements:
  - aggregation-length: 32
    aggregation-length-v6: 64
    localpref: 100
    communities: [no-export, 64512:10]
  - communities: ["large:1:2:3"]
- {name: plain, protocol: bgp, addresses: [198.51.100.0/24]}
- {name: flat, protocol: layer2, addresses: [203.0.113.0/24]}
- {name: quiet, protocol: l2, addresses: [10.0.0.0/24]}
- name: odd
  protocol: layer2
  addresses: [10.1.0.0/24]
  bgp-advertisements: [{}]
bgp-communities:
  no-export: 65535:65281
  also: large:64512:1:2
bfd-profiles:
- name: Fast_One
  receive-interval: 50
  transmit-interval: 60
  detect-multiplier: 3
  echo-interval: 100
  echo-mode: true
  passive-mode: true
  minimum-ttl: 254
"""


def config_map(text: object, **metadata: object) -> Raw:
    """Return the ConfigMap with a text as its `config`."""
    named = {"name": "config", "namespace": "metallb-system", **metadata}
    return core("ConfigMap", metadata=named, data={"config": text})


def inside(text: object, **metadata: object) -> dict[str, Parsed]:
    """Return the objects in a ConfigMap that has no fault itself, by kind and name."""
    found = parsed(config_map(text, **metadata))
    assert found.faults == ()
    assert isinstance(found.value, LegacyConfig)
    return {f"{one.ref.kind}/{one.ref.name}": one for one in found.value.objects}


def test_every_key_arrives_in_the_resources_of_today() -> None:
    """In the order that MetalLB's converter writes them."""
    found = {name: one.value for name, one in inside(FULL).items()}
    assert list(found) == [
        "BGPPeer/peer1",
        "BGPPeer/peer2",
        "IPAddressPool/public-pool",
        "IPAddressPool/plain",
        "IPAddressPool/flat",
        "IPAddressPool/quiet",
        "IPAddressPool/odd",
        "BGPAdvertisement/bgpadvertisement1",
        "BGPAdvertisement/bgpadvertisement2",
        "BGPAdvertisement/bgpadvertisement3",
        "BGPAdvertisement/bgpadvertisement4",
        "L2Advertisement/l2advertisement1",
        "L2Advertisement/l2advertisement2",
        "BFDProfile/fast-one",
        "Community/communities",
    ]
    zone = Requirement("zone", Operator.IN, ("a", "b"))
    assert found["BGPPeer/peer1"] == PeerSpec(
        Peer(
            name="peer1",
            my_asn=64512,
            peer_asn=64513,
            address=ip_address("192.0.2.1"),
            source_address=ip_address("192.0.2.2"),
            port=1179,
            router_id=ip_address("10.0.0.1"),
            password=Password("s3cret"),
            bfd_profile="fast-one",
            ebgp_multihop=True,
            hold_seconds=30,
            keepalive_seconds=10,
            node_selectors=(LabelSelector(frozenset({("rack", "1")}), (zone,)),),
        )
    )
    public = found["IPAddressPool/public-pool"]
    assert isinstance(public, Pool)
    assert [str(r) for r in public.ranges] == ["192.0.2.0-192.0.2.127", "192.0.2.128-192.0.2.255"]
    assert (public.auto_assign, public.avoid_buggy_ips) == (False, True)
    assert found["BFDProfile/fast-one"] == BfdProfile(
        name="fast-one",
        receive_ms=50,
        transmit_ms=60,
        detect_multiplier=3,
        echo_ms=100,
        echo_mode=True,
        passive_mode=True,
        minimum_ttl=254,
    )
    assert found["Community/communities"] == CommunitySpec(
        "communities",
        "",
        (("also", LargeCommunity(64512, 1, 2)), ("no-export", Community(65535, 65281))),
    )


def test_advertisements_belong_to_their_pool() -> None:
    """Those that are listed, whatever the protocol; one for a pool with bgp that lists none."""
    found = {name: one.value for name, one in inside(FULL).items()}
    first = found["BGPAdvertisement/bgpadvertisement1"]
    assert isinstance(first, BgpAdvertisementSpec)
    assert first.aliases == ("no-export",)
    assert first.advertisement.aggregation_v6 == 64
    assert first.advertisement.local_pref == 100
    assert first.advertisement.communities == (Community(64512, 10),)
    choices = {
        name: value.choice.names
        for name, value in found.items()
        if isinstance(value, BgpAdvertisementSpec | L2AdvertisementSpec)
    }
    assert choices == {
        "BGPAdvertisement/bgpadvertisement1": ("public-pool",),
        "BGPAdvertisement/bgpadvertisement2": ("public-pool",),
        "BGPAdvertisement/bgpadvertisement3": ("plain",),
        "BGPAdvertisement/bgpadvertisement4": ("odd",),
        "L2Advertisement/l2advertisement1": ("flat",),
        "L2Advertisement/l2advertisement2": ("odd",),
    }


def test_a_peer_without_timers_has_a_hold_time_of_90_seconds() -> None:
    """As the converter writes it; the keepalive time follows from it."""
    peer = inside(FULL)["BGPPeer/peer2"].value
    assert isinstance(peer, PeerSpec)
    assert (peer.peer.hold_seconds, peer.peer.keepalive_seconds) == (90, None)


def test_the_objects_are_as_old_as_the_config_map() -> None:
    """The older of two in conflict stands; namespace and date are the ConfigMap's."""
    found = inside(FULL, namespace="lb", creationTimestamp="2018-08-23T00:00:00Z")
    assert found["BGPPeer/peer1"].ref == ObjectRef("BGPPeer", "lb", "peer1")
    peer = found["BGPPeer/peer1"].value
    assert isinstance(peer, PeerSpec)
    assert peer.peer.created == "2018-08-23T00:00:00Z"


def test_the_config_map_of_the_edgerouter_article() -> None:
    """As it was printed in 2018."""
    found = inside(
        "peers:\n- peer-address: 192.168.1.1\n  peer-asn: 64512\n  my-asn: 64512\n"
        "address-pools:\n- name: default\n  protocol: bgp\n  addresses:\n  - 192.168.1.224/27\n"
    )
    assert list(found) == [
        "BGPPeer/peer1",
        "IPAddressPool/default",
        "BGPAdvertisement/bgpadvertisement1",
    ]
    assert all(one.faults == one.warnings == () for one in found.values())


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "peers: []\naddress-pools: null\n"])
def test_an_empty_configuration_is_one(text: str) -> None:
    """MetalLB started with it, and so do we."""
    assert inside(text) == {}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("default", "default"),
        ("My_Pool", "my-pool"),
        ("12-rack_1", "rack-1"),
        ("_x", "x"),
        ("a" * 70, "a" * 63),
    ],
)
def test_names(written: str, name: str) -> None:
    """Cut to 63 letters, in lower case, with dashes, from the first letter on."""
    text = f"address-pools:\n- {{name: {written}, protocol: layer2, addresses: [10.0.0.0/24]}}\n"
    assert list(inside(text)) == [f"IPAddressPool/{name}", "L2Advertisement/l2advertisement1"]


POOL = "address-pools:\n- {{name: a, protocol: bgp, addresses: [10.0.0.0/24]{}}}\n"
PEER = "peers:\n- {{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1{}}}\n"


@pytest.mark.parametrize(
    ("text", "name", "field", "words"),
    [
        pytest.param(
            "peers:\n- {my-asn: 1, peer-asn: '2', peer-address: 10.0.0.1}",
            "BGPPeer/peer1",
            "config.peers[0].peer-asn",
            "'2': write a whole number",
            id="asn-as-text",
        ),
        pytest.param(
            PEER.format("") + "- {my-asn: 1, peer-asn: 2}",
            "BGPPeer/peer2",
            "config.peers[1].peer-address",
            "missing",
            id="no-address",
        ),
        pytest.param(
            PEER.format(", hold-time: 10s, keepalive-time: 20s"),
            "BGPPeer/peer1",
            "config.peers[0].keepalive-time",
            "'20s': longer than hold-time, 10 s",
            id="timers",
        ),
        pytest.param(
            PEER.format(", keepalive-time: 100s"),
            "BGPPeer/peer1",
            "config.peers[0].keepalive-time",
            "longer than hold-time, 90 s",
            id="keepalive-beyond-the-default",
        ),
        pytest.param(
            PEER.format(', password: "hush\\t"'),
            "BGPPeer/peer1",
            "config.peers[0].password",
            "(not shown)",
            id="password",
        ),
        pytest.param(
            PEER.format(", node-selectors: [{match-labels: {rack: 1}}]"),
            "BGPPeer/peer1",
            "config.peers[0].node-selectors[0].match-labels.rack",
            "1: write a text",
            id="label",
        ),
        pytest.param(
            PEER.format(", node-selectors: [{match-expressions: [{key: a, operator: x}]}]"),
            "BGPPeer/peer1",
            "config.peers[0].node-selectors[0].match-expressions[0].operator",
            "'x': write In",
            id="operator",
        ),
        pytest.param(
            PEER.format(", node-selectors: all"),
            "BGPPeer/peer1",
            "config.peers[0].node-selectors",
            "'all': write a list",
            id="selectors",
        ),
        pytest.param(
            PEER.format(", bfd-profile: 5"),
            "BGPPeer/peer1",
            "config.peers[0].bfd-profile",
            "5: write a text",
            id="bfd-profile",
        ),
        pytest.param(
            "address-pools: [{name: a, protocol: bgp, addresses: [x]}]",
            "IPAddressPool/a",
            "config.address-pools[0].addresses[0]",
            "'x': write a CIDR",
            id="addresses",
        ),
        pytest.param(
            "address-pools: [{protocol: bgp, addresses: [10.0.0.0/8]}]",
            "IPAddressPool/",
            "config.address-pools[0].name",
            "missing",
            id="pool-without-name",
        ),
        pytest.param(
            "address-pools: [{name: '12_3', protocol: bgp, addresses: [10.0.0.0/8]}]",
            "IPAddressPool/",
            "config.address-pools[0].name",
            "'12_3': write a name with a letter in it",
            id="name-without-letter",
        ),
        pytest.param(
            "address-pools: [{name: 'a b', protocol: bgp, addresses: [10.0.0.0/8]}]",
            "IPAddressPool/a b",
            "config.address-pools[0].name",
            "'a b': write a name of a-z",
            id="name-with-a-space",
        ),
        pytest.param(
            POOL.format("") + "- {name: A, protocol: x, addresses: [10.1.0.0/24]}",
            "IPAddressPool/a",
            "config.address-pools[1].name",
            "'A': another one is named 'a' in Kubernetes",
            id="11-pool-twice",
        ),
        pytest.param(
            POOL.format(", bgp-advertisements: [{}, {aggregation-length: 33}]"),
            "BGPAdvertisement/bgpadvertisement2",
            "config.address-pools[0].bgp-advertisements[1].aggregation-length",
            "33: write a whole number from 1 to 32",
            id="aggregation",
        ),
        pytest.param(
            POOL.format(", bgp-advertisements: {localpref: 1}"),
            "IPAddressPool/a",
            "config.address-pools[0].bgp-advertisements",
            "a mapping: write a list",
            id="advertisements",
        ),
        pytest.param(
            "bgp-communities: {a: 1:1, b: no-export}",
            "Community/communities",
            "config.bgp-communities.b",
            "'no-export': write 65000:100",
            id="community",
        ),
        pytest.param(
            "bgp-communities: {a b: 5}",
            "Community/communities",
            "config.bgp-communities[a b]",
            "5: write a text",
            id="community-as-number",
        ),
        pytest.param(
            "bfd-profiles: [{name: a, receive-interval: 5}]",
            "BFDProfile/a",
            "config.bfd-profiles[0].receive-interval",
            "5: write a whole number from 10",
            id="35-interval",
        ),
        pytest.param(
            "bfd-profiles: [{receive-interval: 50}]",
            "BFDProfile/",
            "config.bfd-profiles[0].name",
            "missing",
            id="35-no-name",
        ),
        pytest.param(
            "bfd-profiles: [{name: a}, {name: a}]",
            "BFDProfile/a",
            "config.bfd-profiles[1].name",
            "another one is named 'a'",
            id="35-name-twice",
        ),
    ],
)
def test_a_fault_names_the_key_that_the_user_wrote(
    text: str, name: str, field: str, words: str
) -> None:
    """One object is refused, with the ConfigMap and its own words, and the others stand."""
    found = parsed(config_map(text))
    assert isinstance(found.value, LegacyConfig)
    (refused,) = [one for one in found.value.objects if one.faults]
    assert f"{refused.ref.kind}/{refused.ref.name}" == name
    (fault,) = refused.faults
    assert fault.object == ObjectRef("ConfigMap", "metallb-system", "config")
    assert fault.field == field
    assert words in fault.message
    assert "hush" not in fault.message
    assert refused.value is None


@pytest.mark.parametrize(
    ("data", "field", "words"),
    [
        pytest.param({}, "data.config", "missing: write the text", id="no-config"),
        pytest.param(None, "data.config", "missing", id="no-data"),
        pytest.param({"config": {}}, "data.config", "a mapping: write a text", id="no-text"),
        pytest.param(
            {"config": "peers:\n\t- x"}, "data.config", "line 2, column 1: a tab", id="no-yaml"
        ),
        pytest.param({"config": "- a"}, "data.config", "not one YAML mapping", id="a-list"),
        pytest.param(
            {"config": "a: 1\n---\nb: 1"}, "data.config", "not one YAML mapping", id="two-documents"
        ),
        pytest.param(
            {"config": "peers: []\npeers: []"},
            "data.config",
            "line 2, column 1: the key 'peers' stands twice",
            id="key-twice",
        ),
        pytest.param({"config": "peers: x"}, "config.peers", "'x': write a list", id="peers"),
        pytest.param(
            {"config": "address-pools: [x]"},
            "config.address-pools[0]",
            "'x': write a mapping",
            id="pool",
        ),
        pytest.param(
            {"config": "bgp-communities: [x]"},
            "config.bgp-communities",
            "a list: write a mapping",
            id="communities",
        ),
    ],
)
def test_a_config_map_that_cannot_be_read(data: object, field: str, words: str) -> None:
    """Then all of it is refused, and converting it says the same."""
    raw = {**config_map(""), "data": data}
    (fault,) = parsed(raw).faults
    assert fault.field == field
    assert words in fault.message
    with pytest.raises(ParseError) as caught:
        resources(raw)
    assert caught.value.fault == fault


def test_unknown_keys_are_warned_of() -> None:
    """Each where it stands, once; those of today are unknown in the ConfigMap."""
    text = (
        PEER.format(", peerASN: 5, node-selectors: [{matchLabels: {}}]")
        + POOL.format(", autoassign: true, bgp-advertisements: [{local-pref: 1}]")
        + "bfd-profiles: [{name: a, echo: true}]\nadress-pools: []\n"
    )
    found = parsed(config_map(text))
    assert isinstance(found.value, LegacyConfig)
    warnings = (*found.warnings, *(w for one in found.value.objects for w in one.warnings))
    assert by_field(warnings) == {
        "config.adress-pools": "unknown field, ignored: did you mean 'address-pools'?",
        "config.peers[0].peerASN": "unknown field, ignored: did you mean 'peer-asn'?",
        "config.peers[0].node-selectors[0].matchLabels": (
            "unknown field, ignored: did you mean 'match-labels'?"
        ),
        "config.address-pools[0].autoassign": (
            "unknown field, ignored: did you mean 'auto-assign'?"
        ),
        "config.address-pools[0].bgp-advertisements[0].local-pref": (
            "unknown field, ignored: did you mean 'localpref'?"
        ),
        "config.bfd-profiles[0].echo": "unknown field, ignored: did you mean 'echo-mode'?",
    }
    assert len(warnings) == 6


@pytest.mark.parametrize(("protocol", "shown"), [("l2", "'l2'"), ("null", "null")])
def test_a_protocol_that_nobody_speaks(protocol: str, shown: str) -> None:
    """The pool stands, as with MetalLB's converter, but nobody announces it."""
    pool = f"address-pools: [{{name: a, protocol: {protocol}, addresses: [10.0.0.0/24]}}]"
    found = inside(pool)
    assert list(found) == ["IPAddressPool/a"]
    assert by_field(found["IPAddressPool/a"].warnings) == {
        "config.address-pools[0].protocol": (
            f"{shown}: nobody announces this pool: write bgp or layer2"
        )
    }


def test_converted_resources_say_the_same() -> None:
    """What `kubectl apply` would take reads as the ConfigMap does."""
    raw = config_map(FULL)
    found = inside(FULL)
    for one, resource in zip(found.values(), resources(raw), strict=True):
        converted = parse(resource)
        assert converted is not None
        assert converted == replace(one, warnings=())


def test_a_config_map_of_another_name_is_passed_over() -> None:
    """Every namespace has some."""
    assert parse(config_map(FULL, name="kube-root-ca.crt")) is None


@given(st.text(alphabet="abcdeghiklmnoprst-:[]{}, \n0123456789./", max_size=80))
def test_no_text_raises(text: str) -> None:
    """Whatever stands in data.config."""
    parse(config_map(text))
    parse(config_map(FULL.replace("bgp\n", f"{text}\n")))
