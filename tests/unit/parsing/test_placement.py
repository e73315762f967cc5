"""Where it does not matter which Nodes there are, it does not matter which Nodes are known."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.parsing.intent.placement import depends_on_nodes
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import KINDS, parse
from exabgp_metallb.values.specs import BgpAdvertisementSpec, Parsed, PeerSpec
from tests.integration.manifests import Object, advertisement, bfd_profile, node, peer, pool

NODES = [node("node1", rack="a"), node("node2", rack="b"), node("node3", rack="b")]
POOLS = [pool("v4", "192.0.2.0/24"), pool("v6", "2001:db8::/120")]
PROFILES = [bfd_profile("echo", echoMode=True), bfd_profile("plain")]
ALL_KINDS = frozenset(kind for _, kind in KINDS)

names = st.sampled_from("abc")
selectors = st.sampled_from(
    [{}, *({"nodeSelectors": [{"matchLabels": {"rack": rack}}]} for rack in ("a", "b", "none"))]
)


@st.composite
def peers(draw: st.DrawFn) -> Object:
    """Draw a BGPPeer of few addresses and VRFs."""
    spec = draw(selectors) | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "vrf": st.just("red"),
                "bfdProfile": st.sampled_from(["echo", "plain"]),
                "holdTime": st.sampled_from(["90s", "30s"]),
            },
        )
    )
    address = draw(st.sampled_from(["10.0.0.1", "10.0.0.2"]))
    return peer(draw(names), address, asn=64512, peer_asn=64513, **spec)


@st.composite
def advertisements(draw: st.DrawFn) -> Object:
    """Draw a BGPAdvertisement of few preferences, pools and peers."""
    spec = draw(selectors) | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "localPref": st.sampled_from([0, 100]),
                "med": st.sampled_from([0, 5]),
                "asPathPrepend": st.just(1),
                "aggregationLength": st.sampled_from([32, 24]),
                "ipAddressPools": st.just(["v4"]),
                "peers": st.lists(names, min_size=1, max_size=2, unique=True),
            },
        )
    )
    return advertisement(draw(names), **spec)


resources = st.tuples(
    st.lists(peers(), max_size=3, unique_by=lambda o: o["metadata"]["name"]),
    st.lists(advertisements(), max_size=3, unique_by=lambda o: o["metadata"]["name"]),
).map(lambda both: [*both[0], *both[1]])


def parsed(objects: Iterable[Object]) -> tuple[Parsed, ...]:
    """Return objects as a source tells them."""
    return tuple(found for each in objects if (found := parse(each)) is not None)


def known(objects: Iterable[Object]) -> Inventory:
    """Return the inventory of one who knows these objects."""
    inventory = Inventory()
    inventory.listed(ALL_KINDS, parsed([*objects, *POOLS, *PROFILES]))
    return inventory


def depends(objects: Iterable[Object]) -> bool:
    """Ask of resources whether they depend on Nodes."""
    values = [each.value for each in parsed(objects)]
    return depends_on_nodes(
        [v.peer for v in values if isinstance(v, PeerSpec)],
        [v.advertisement for v in values if isinstance(v, BgpAdvertisementSpec)],
    )


@given(resources)
def test_what_stands_is_the_same_whatever_nodes_are_known(objects: list[Object]) -> None:
    """Intent and faults; each node by itself, all of them, and none."""
    if depends(objects):
        return
    everything = known([*objects, *NODES])
    for some in ([each] for each in NODES):
        alone = known([*objects, *some])
        assert alone.snapshot().intent == everything.snapshot().intent
        assert alone.faults == everything.faults
    nobody = known(objects)
    assert nobody.snapshot().intent == everything.snapshot().intent


RACK_A, RACK_B = ({"nodeSelectors": [{"matchLabels": {"rack": rack}}]} for rack in ("a", "b"))


def tor(name: str, address: str, **spec: object) -> Object:
    """Return a BGPPeer."""
    return peer(name, address, asn=64512, peer_asn=64513, **spec)


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([tor("a", "10.0.0.1"), tor("b", "10.0.0.1", vrf="red")], False, id="vrfs"),
        pytest.param(
            [tor("a", "10.0.0.1", **RACK_A), tor("b", "10.0.0.2", **RACK_B)],
            False,
            id="a router for each rack",
        ),
        pytest.param(
            [tor("a", "10.0.0.1", **RACK_A), tor("b", "10.0.0.1", **RACK_B)],
            True,
            id="one address in each rack",
        ),
        pytest.param(
            [advertisement("a", **RACK_A), advertisement("b", communities=["64512:1"])],
            False,
            id="communities",
        ),
        pytest.param(
            [advertisement("a", **RACK_A), advertisement("b", localPref=200)],
            True,
            id="preferences",
        ),
        pytest.param(
            [advertisement("a", **RACK_A), tor("a", "10.0.0.1", bfdProfile="echo")],
            True,
            id="echo",
        ),
    ],
)
def test_when_it_depends(objects: list[Object], told: bool) -> None:  # noqa: FBT001 -- a table
    """One case for each rule that asks which Nodes two share."""
    assert depends(objects) is told
