"""Resources together: the younger of two at odds is refused, and nothing else with it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.parsing.intent.resolve import Resolved, Specs, resolve
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BfdProfile,
    Community,
    LargeCommunity,
    Password,
)
from tests.unit.parsing import arbitrary
from tests.unit.parsing.build import (
    bgp,
    community,
    l2,
    node,
    peer,
    places,
    pool,
    secret,
    select,
    specs,
)

NO_EXPORT = Community(65535, 65281)
ECHO = BfdProfile(name="fast", echo_mode=True)
PLAIN = BfdProfile(name="plain")

A = pool("a", "192.0.2.0/24")
B = pool("b", "203.0.113.0/28", tier="gold")
SIX = pool("six", "2001:db8::/64")
R1 = peer("r1", "198.51.100.1")
R2 = peer("r2", "198.51.100.2")
NODES = [node("n1", rack="1"), node("n2", rack="2")]


REFUSALS = [
    pytest.param(
        specs(pools=[A, pool("late", "192.0.2.9-192.0.2.9", created="2024-01-01T00:00:00Z")]),
        [("IPAddressPool/late", "spec.addresses[0]")],
        id="10: the younger of two overlapping pools",
    ),
    pytest.param(
        specs(pools=[pool("z", "10.0.0.0/24"), pool("y", "10.1.0.0/24", "10.0.0.255/32")]),
        [("IPAddressPool/z", "spec.addresses[0]")],
        id="10: of the same age, the second by name",
    ),
    pytest.param(
        specs(pools=[pool("x", "::/96"), pool("y", "2001:db8::/64", "::ffff/128", "::/128")]),
        [("IPAddressPool/y", "spec.addresses[1]")],
        id="10: the first entry at fault is named",
    ),
    pytest.param(
        specs(
            communities=[community("c1", ne=NO_EXPORT), community("c2", x=NO_EXPORT, ne=NO_EXPORT)]
        ),
        [("Community/c2", "spec.communities[1].name")],
        id="14: an alias defined twice",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad", aliases=["ne"])]),
        [("BGPAdvertisement/ad", "spec.communities")],
        id="15: an unknown alias",
    ),
    pytest.param(
        specs(
            communities=[community("c1", ne=NO_EXPORT), community("c2", ne=NO_EXPORT, x=NO_EXPORT)],
            bgp=[bgp("ad", aliases=["x"])],
        ),
        [("BGPAdvertisement/ad", "spec.communities"), ("Community/c2", "spec.communities[0].name")],
        id="15: an alias of a refused Community",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", "a"), bgp("ad2", "a")]),
        [("BGPAdvertisement/ad2", "")],
        id="19: two advertisements that say the same",
    ),
    pytest.param(
        specs(pools=[A, B], bgp=[bgp("ad", length=24)]),
        [("BGPAdvertisement/ad", "spec.aggregationLength")],
        id="20: shorter than a pool has room for",
    ),
    pytest.param(
        specs(pools=[SIX], bgp=[bgp("ad", length=24, length6=63)]),
        [("BGPAdvertisement/ad", "spec.aggregationLengthV6")],
        id="20: the same with IPv6; lengths of families that the pool lacks do not matter",
    ),
    pytest.param(
        specs(pools=[pool("p", "10.0.0.0/24", "10.1.0.0/25")], bgp=[bgp("ad", length=24)]),
        [("BGPAdvertisement/ad", "spec.aggregationLength")],
        id="20: every entry must have room",
    ),
    pytest.param(
        specs(pools=[pool("p", "10.0.0.1-10.0.0.129")], bgp=[bgp("ad", length=26)]),
        [],
        id="20: one prefix of a range that fits is enough",
    ),
    pytest.param(
        specs(
            pools=[A, replace(B, created="2024-01-02T00:00:00Z")],
            bgp=[bgp("ad", length=24, created="2024-01-01T00:00:00Z")],
        ),
        [("IPAddressPool/b", "spec.addresses[0]")],
        id="20: a pool that comes later leaves the older advertisement alone",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", pref=1), bgp("ad2", pref=2)]),
        [("BGPAdvertisement/ad2", "spec.localPref")],
        id="21: two local preferences",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", pref=100), bgp("ad2", "a")]),
        [("BGPAdvertisement/ad2", "spec.localPref")],
        id="21: one of them none",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", med=0), bgp("ad2", "a")]),
        [("BGPAdvertisement/ad2", "spec.med")],
        id="21: a MED of 0, and none",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", med=1, prepend=2), bgp("ad2", "a", med=1, prepend=3)]),
        [("BGPAdvertisement/ad2", "spec.asPathPrepend")],
        id="21: two paths",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", bandwidth=BandwidthSource.ENDPOINTS), bgp("ad2", "a")]),
        [],
        id="21: a link bandwidth is a community, and those are united",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("ad1", pref=1), bgp("ad2", pref=2, length=24)]),
        [],
        id="21: of different prefixes",
    ),
    pytest.param(
        specs(pools=[A, B], bgp=[bgp("ad1", "a", pref=1), bgp("ad2", "b", pref=2)]),
        [],
        id="21: of different pools",
    ),
    pytest.param(
        specs(
            peers=[R1, R2],
            pools=[A],
            bgp=[bgp("1", pref=1, to=["r1"]), bgp("2", pref=2, to=["r2"])],
        ),
        [],
        id="21: to different peers",
    ),
    pytest.param(
        specs(peers=[R1], pools=[A], bgp=[bgp("1", pref=1, to=["r1"]), bgp("2", pref=2)]),
        [("BGPAdvertisement/2", "spec.localPref")],
        id="21: one of them to all peers",
    ),
    pytest.param(
        specs(
            nodes=NODES,
            pools=[A],
            bgp=[bgp("1", pref=1, on=[select(rack="1")]), bgp("2", pref=2, on=[select(rack="2")])],
        ),
        [],
        id="21: from different nodes",
    ),
    pytest.param(
        specs(
            pools=[A],
            bgp=[bgp("1", pref=1, on=[select(rack="1")]), bgp("2", pref=2, on=[select(rack="2")])],
        ),
        [("BGPAdvertisement/2", "spec.localPref")],
        id="21: without Nodes all are taken to share one",
    ),
    pytest.param(
        specs(
            nodes=NODES, pools=[A], bgp=[bgp("1", pref=1, on=[select(rack="9")]), bgp("2", pref=2)]
        ),
        [],
        id="21: from no node at all",
    ),
    pytest.param(
        specs(pools=[A], bgp=[bgp("1", pref=1), bgp("2", pref=2, services=[select(app="x")])]),
        [],
        id="21: advertisements with serviceSelectors are judged with the Service",
    ),
    pytest.param(
        specs(
            pools=[pool("dual", "10.0.0.0/24", "2001:db8::/64")],
            bgp=[bgp("1", pref=1, length=24), bgp("2", pref=2, length=32)],
        ),
        [("BGPAdvertisement/2", "spec.localPref")],
        id="21: one family of two is enough",
    ),
    pytest.param(
        specs(
            pools=[A, replace(SIX, created="2024-01-01T00:00:00Z")],
            bgp=[bgp("1", pref=1, length=24), bgp("2", pref=2)],
        ),
        [("IPAddressPool/six", "")],
        id="21: a pool that comes later and sets two older ones at odds",
    ),
    pytest.param(
        specs(profiles=[ECHO], peers=[peer("r1", bfd="fast")], pools=[SIX], bgp=[bgp("ad")]),
        [("BGPAdvertisement/ad", "spec.peers")],
        id="22: IPv6 to a peer with echo mode",
    ),
    pytest.param(
        specs(
            profiles=[ECHO],
            peers=[peer("r1", bfd="fast"), R2],
            pools=[SIX],
            bgp=[bgp("ad", to=["r2"])],
        ),
        [],
        id="22: not to that peer",
    ),
    pytest.param(
        specs(
            profiles=[ECHO, PLAIN], peers=[peer("r1", bfd="plain")], pools=[SIX], bgp=[bgp("ad")]
        ),
        [],
        id="22: no echo mode",
    ),
    pytest.param(
        specs(
            profiles=[ECHO], peers=[peer("r1", bfd="fast")], pools=[SIX, A], bgp=[bgp("ad", "a")]
        ),
        [],
        id="22: not that pool",
    ),
    pytest.param(
        specs(
            nodes=NODES,
            profiles=[ECHO],
            peers=[peer("r1", bfd="fast", on=[select(rack="1")])],
            pools=[SIX],
            bgp=[bgp("ad", on=[select(rack="2")])],
        ),
        [],
        id="22: on other nodes",
    ),
    pytest.param(
        specs(
            profiles=[ECHO],
            peers=[peer("r1", bfd="fast", created="2024-01-01T00:00:00Z")],
            pools=[SIX],
            bgp=[bgp("ad")],
        ),
        [("BGPPeer/r1", "spec.bfdProfile")],
        id="22: the peer is the youngest",
    ),
    pytest.param(
        specs(
            profiles=[ECHO],
            peers=[peer("r1", bfd="fast")],
            pools=[A, replace(SIX, created="2024-01-01T00:00:00Z")],
            bgp=[bgp("ad")],
        ),
        [("IPAddressPool/six", "spec.addresses[0]")],
        id="22: the pool is the youngest",
    ),
    pytest.param(
        specs(peers=[peer("r1", secret="pw")]),
        [("BGPPeer/r1", "spec.passwordSecret")],
        id="32: no such Secret",
    ),
    pytest.param(
        specs(peers=[peer("r1", secret="pw")], secrets=[secret("pw", kind="Opaque")]),
        [("BGPPeer/r1", "spec.passwordSecret")],
        id="32: a Secret of another type",
    ),
    pytest.param(
        specs(peers=[peer("r1", secret="pw")], secrets=[secret("pw", None)]),
        [("BGPPeer/r1", "spec.passwordSecret")],
        id="32: a Secret without the key",
    ),
    pytest.param(
        specs(peers=[peer("r1", bfd="fats")], profiles=[ECHO]),
        [("BGPPeer/r1", "spec.bfdProfile")],
        id="33: no such BFDProfile",
    ),
    pytest.param(
        specs(peers=[peer("r1", secret="pw", bfd="fast")]),
        [("BGPPeer/r1", "spec.bfdProfile"), ("BGPPeer/r1", "spec.passwordSecret")],
        id="32 and 33: everything that is missing is told at once",
    ),
    pytest.param(
        specs(nodes=NODES, peers=[peer(n, on=[select(rack="9")]) for n in ("r1", "r2")]),
        [("BGPPeer/r2", "")],
        id="34: two peers that say the same",
    ),
    pytest.param(
        specs(peers=[peer("r1"), peer("r2", bfd="plain")], profiles=[PLAIN]),
        [("BGPPeer/r2", "spec.peerAddress")],
        id="42: one address",
    ),
    pytest.param(
        specs(
            peers=[peer("r1", interface="eth0"), peer("r2", interface="eth0", bfd="plain")],
            profiles=[PLAIN],
        ),
        [("BGPPeer/r2", "spec.interface")],
        id="42: one interface",
    ),
    pytest.param(
        specs(peers=[peer("r1"), peer("r2", vrf="red")]),
        [],
        id="42: another VRF",
    ),
    pytest.param(
        specs(
            nodes=NODES,
            peers=[peer("r1", on=[select(rack="1")]), peer("r2", on=[select(rack="2")])],
        ),
        [],
        id="42: other nodes",
    ),
    pytest.param(
        specs(nodes=NODES, peers=[peer("r1", on=[select(rack="1")]), peer("r2")]),
        [("BGPPeer/r2", "spec.peerAddress")],
        id="42: some of the nodes",
    ),
    pytest.param(
        specs(
            peers=[R1, replace(R2, peer=replace(R2.peer, router_id=A.ranges[0].first, my_asn=7))]
        ),
        [],
        id="41, 43: router id and ASN of each peer its own, as ExaBGP can and FRR cannot",
    ),
]


@pytest.mark.parametrize(("given", "refused"), REFUSALS)
def test_what_is_refused(given: Specs, refused: list[tuple[str, str]]) -> None:
    """Each rule names one object and field, and only objects that are named are left out."""
    result = resolve(given)
    assert places(result.faults) == refused
    left_out = {place for place, _ in refused}
    assert (
        set(standing(result))
        == {
            *(f"IPAddressPool/{n}" for n in given.pools),
            *(f"BGPPeer/{n}" for n in given.peers),
            *(f"BGPAdvertisement/{n}" for n in given.bgp_advertisements),
        }
        - left_out
    )


def standing(result: Resolved) -> list[str]:
    """Return kind and name of what the intent holds of the kinds that can be refused."""
    intent = result.intent
    return [
        *(f"IPAddressPool/{p.name}" for p in intent.pools),
        *(f"BGPPeer/{p.name}" for p in intent.peers),
        *(f"BGPAdvertisement/{a.name}" for a in intent.bgp_advertisements),
    ]


REFUSED_ALONE = [
    pytest.param(
        specs(
            pools=[
                pool("a", "10.0.0.0/24"),
                pool("b", "10.0.0.128-10.0.1.9"),
                pool("c", "10.0.1.0/28"),
            ]
        ),
        [("IPAddressPool/b", "spec.addresses[0]")],
        id="a pool that overlaps only a refused one",
    ),
    pytest.param(
        specs(pools=[A, pool("tiny", "192.0.2.1/32")], bgp=[bgp("ad", length=24)]),
        [("IPAddressPool/tiny", "spec.addresses[0]")],
        id="a refused pool is not what an advertisement must have room in",
    ),
    pytest.param(
        specs(pools=[A, B], bgp=[bgp("1", pref=1, length=24), bgp("2", "a", pref=2, length=24)]),
        [("BGPAdvertisement/1", "spec.aggregationLength")],
        id="a refused advertisement has no local preference",
    ),
    pytest.param(
        specs(peers=[peer("r1", secret="pw"), peer("r2")]),
        [("BGPPeer/r1", "spec.passwordSecret")],
        id="a peer that waits leaves its address to others",
    ),
    pytest.param(
        specs(profiles=[ECHO], peers=[R1, peer("r2", bfd="fast")], pools=[SIX], bgp=[bgp("ad")]),
        [("BGPPeer/r2", "spec.peerAddress")],
        id="a refused peer has no echo mode",
    ),
]


@pytest.mark.parametrize(("given", "refused"), REFUSED_ALONE)
def test_the_refused_drag_nobody_along(given: Specs, refused: list[tuple[str, str]]) -> None:
    """What is refused is as if it had never been."""
    assert places(resolve(given).faults) == refused


def test_the_older_is_named() -> None:
    """A message says who stands, and what would be right."""
    result = resolve(specs(pools=[A, pool("b", "192.0.2.200-192.0.3.1")]))
    (fault,) = result.faults
    assert str(fault) == (
        "IPAddressPool/metallb-system/b: spec.addresses[0]: 192.0.2.200-192.0.3.1 overlaps "
        "192.0.2.0-192.0.2.255 of IPAddressPool a: an address can be in one pool only, take it out "
        "of one of them"
    )


@pytest.mark.parametrize(
    "given",
    [
        specs(peers=[peer("r1", secret="pw")]),
        specs(peers=[peer("r1", bfd="fast")]),
        specs(bgp=[bgp("ad", aliases=["ne"])]),
    ],
    ids=["Secret", "BFDProfile", "alias"],
)
def test_what_is_missing_is_waited_for(given: Specs) -> None:
    """The words tell that it is enough to create what is missing."""
    (fault,) = resolve(given).faults
    assert "does not exist (yet)" in fault.message
    assert "waits for it" in fault.message


def test_a_broken_profile_is_not_a_missing_one() -> None:
    """What exists and cannot be read is not said to be missing."""
    given = specs(peers=[peer("r1", bfd="fast")])
    broken = replace(given, broken=frozenset({given.ref("BFDProfile", "fast")}))
    (fault,) = resolve(broken).faults
    assert fault.message == "BFDProfile 'fast' is left out for a fault of its own: mend that one"


def test_references_are_resolved() -> None:
    """Aliases become numbers, sorted and once each; Secrets passwords; choices names of pools."""
    large = LargeCommunity(1, 2, 3)
    result = resolve(
        specs(
            pools=[A, B, SIX],
            peers=[peer("r1", secret="pw")],
            secrets=[secret("pw")],
            communities=[community("c", ne=NO_EXPORT, big=large)],
            bgp=[
                bgp("some", "six", selectors=[select(tier="gold")]),
                bgp("all", aliases=["big", "ne"], communities=[NO_EXPORT, Community(65535, 9)]),
            ],
            l2=[l2("l", selectors=[select(tier="gold")])],
        )
    )
    assert (result.faults, result.warnings) == ((), ())
    every, some = result.intent.bgp_advertisements
    assert every.communities == (Community(65535, 9), NO_EXPORT)
    assert every.large_communities == (large,)
    assert every.pools == {"a", "b", "six"}
    assert some.pools == {"b", "six"}
    assert result.intent.l2_advertisements[0].pools == {"b"}
    assert result.intent.peers[0].password == Password("s3cr3t")


@pytest.mark.parametrize(
    ("given", "warned", "words"),
    [
        pytest.param(
            specs(pools=[A, pool("public", "10.0.0.0/24")], bgp=[bgp("ad", "a", "pubilc")]),
            [("BGPAdvertisement/ad", "spec.ipAddressPools[1]")],
            "there is no IPAddressPool 'pubilc' (yet), did you mean 'public'?",
            id="an unknown pool",
        ),
        pytest.param(
            specs(pools=[A, pool("b", "192.0.2.0/32")], l2=[l2("l", "b")]),
            [("L2Advertisement/l", "spec.ipAddressPools[0]")],
            "IPAddressPool 'b' is left out for a fault of its own",
            id="a refused pool",
        ),
        pytest.param(
            specs(pools=[A], l2=[l2("l", selectors=[select(tier="gold")])]),
            [("L2Advertisement/l", "spec.ipAddressPoolSelectors")],
            "the labels of no IPAddressPool match",
            id="selectors that match nothing",
        ),
        pytest.param(
            specs(bgp=[bgp("ad")]),
            [("BGPAdvertisement/ad", "")],
            "there is no IPAddressPool (yet)",
            id="no pool at all",
        ),
        pytest.param(
            specs(pools=[A], peers=[R1], bgp=[bgp("ad", to=["r1", "rr1", "x"])]),
            [("BGPAdvertisement/ad", "spec.peers"), ("BGPAdvertisement/ad", "spec.peers")],
            "there is no BGPPeer 'rr1' (yet), did you mean 'r1'?",
            id="unknown peers",
        ),
    ],
)
def test_what_is_named_in_vain(given: Specs, warned: list[tuple[str, str]], words: str) -> None:
    """As in MetalLB it is no fault; the advertisement stands, and a warning says so."""
    result = resolve(given)
    assert places(result.warnings) == warned
    assert words in result.warnings[0].message
    assert len(result.intent.bgp_advertisements) == len(given.bgp_advertisements)
    assert len(result.intent.l2_advertisements) == len(given.l2_advertisements)


@settings(deadline=None)
@given(arbitrary.specs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(given: Specs, random: Random) -> None:
    """Whatever is given, there is an outcome, and it is the same for every order."""
    assert resolve(arbitrary.shuffled(given, random)) == resolve(given)


@settings(deadline=None)
@given(arbitrary.specs)
def test_what_stands_stands_by_itself(given: Specs) -> None:
    """What is left after the refusals has no fault any more, and is the same intent."""
    result = resolve(given)
    kept = replace(
        given,
        pools={p.name: p for p in result.intent.pools},
        peers={p.name: given.peers[p.name] for p in result.intent.peers},
        bgp_advertisements={
            a.name: given.bgp_advertisements[a.name] for a in result.intent.bgp_advertisements
        },
        communities={
            n: c
            for n, c in given.communities.items()
            if given.ref("Community", n) not in {f.object for f in result.faults}
        },
    )
    again = resolve(kept)
    assert (again.faults, again.intent) == ((), result.intent)


@settings(deadline=None)
@given(arbitrary.specs)
def test_no_password_is_ever_told(given: Specs) -> None:
    """Neither messages nor the text of an intent hold one."""
    result = resolve(given)
    told = [*map(str, (*result.faults, *result.warnings)), repr(result.intent)]
    assert not [line for line in told if arbitrary.PASSWORD in line]
