"""What a node announces, followed from change to change, is what all objects together say."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.decisions.drain import Goal, Phase
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.node_routes import SMALL_BATCH, NodeRoutes, Rewritten, Touched
from exabgp_metallb.values.addresses import Address, Prefix
from exabgp_metallb.values.intent import GRACEFUL_SHUTDOWN
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.rib import Attributes
from tests.integration.manifests import (
    Object,
    advertisement,
    endpoint,
    node,
    on,
    peer,
    pool,
    service,
    slice_of,
)

TOR, TOR2 = ip_address("10.0.0.1"), ip_address("10.0.0.2")
WEB = ip_network("192.0.2.1/32")
NAMES = ("a", "b", "c")

BASIC = [
    node("node1", "10.0.0.11"),
    pool("p", "192.0.2.0/24"),
    advertisement(),
    peer("tor", TOR, asn=64512, peer_asn=64512),
]


def put(inventory: Inventory, *objects: Object) -> None:
    """Let an inventory hear of objects."""
    for each in objects:
        parsed = parse(each)
        assert parsed is not None
        inventory.put(parsed)


def routes_of(*objects: Object, name: str = "node1") -> NodeRoutes:
    """Return the routes of a node, decided from objects."""
    inventory = Inventory()
    put(inventory, *objects)
    routes = NodeRoutes(inventory, name)
    routes.refresh()
    return routes


def tables(routes: NodeRoutes) -> dict[Address, dict[Prefix, Attributes]]:
    """Return what each peer should hold."""
    return {address: dict(routes.wanted(address)) for address in routes.peers}


endpoints = st.lists(
    st.builds(
        endpoint,
        st.sampled_from(["node1", "node2", None]),
        ready=st.booleans(),
        serving=st.booleans(),
    ),
    max_size=2,
)
objects: st.SearchStrategy[Object] = st.one_of(
    st.builds(
        service,
        st.sampled_from(NAMES),
        st.sampled_from([f"192.0.2.{n}" for n in range(3)]),
        policy=st.sampled_from(["Cluster", "Local"]),
        labels=st.sampled_from([None, {"app": "x"}]),
    ),
    st.builds(lambda name, found: slice_of(name, *found), st.sampled_from(NAMES), endpoints),
    st.builds(lambda label: node("node1", "10.0.0.11", rack=label), st.sampled_from(["a", "b"])),
    st.builds(
        lambda name, chosen: peer(
            name,
            {"tor": TOR, "tor2": TOR2}[name],
            asn=64512,
            peer_asn=64512,
            nodeSelectors=chosen,
        ),
        st.sampled_from(["tor", "tor2"]),
        st.sampled_from([on("node1"), on("node2")]),
    ),
    st.builds(
        advertisement,
        st.sampled_from(["one", "two"]),
        aggregationLength=st.sampled_from([24, 32]),
        peers=st.sampled_from([[], ["tor"]]),
        communities=st.sampled_from([[], ["65001:1"]]),
        nodeSelectors=st.sampled_from([[], [{"matchLabels": {"rack": "a"}}]]),
    ),
)
changes = st.lists(st.lists(st.tuples(st.booleans(), objects), max_size=3), max_size=6)


@settings(max_examples=60, deadline=None)
@given(changes)
def test_following_changes_is_deciding_anew(batches: list[list[tuple[bool, Object]]]) -> None:
    """Whatever changed, in whatever order; and every route that differs was touched."""
    inventory = Inventory()
    put(inventory, *BASIC)
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    for batch in batches:
        before = tables(routes)
        for stays, each in batch:
            put(inventory, each)
            parsed = parse(each)
            assert parsed is not None
            if not stays and each["kind"] != "Node":
                inventory.gone(parsed.ref)
        touched = routes.refresh()
        anew = NodeRoutes(inventory, "node1")
        anew.refresh()
        now = tables(routes)
        assert now == tables(anew)
        assert routes.table.refused == anew.table.refused
        if not touched.everything:
            named = {
                (routes.addresses[p], prefix) for p, prefix in (*touched.urgent, *touched.bulk)
            }
            assert differences(before, now) <= named


def differences(
    before: dict[Address, dict[Prefix, Attributes]], now: dict[Address, dict[Prefix, Attributes]]
) -> set[tuple[Address, Prefix]]:
    """Return the routes that are not as they were."""
    return {
        (address, prefix)
        for address in before.keys() | now.keys()
        for prefix in before.get(address, {}).keys() | now.get(address, {}).keys()
        if before.get(address, {}).get(prefix) != now.get(address, {}).get(prefix)
    }


@pytest.mark.parametrize(
    ("changed", "everything", "urgent"),
    [
        pytest.param([], False, 0, id="nothing"),
        pytest.param([slice_of("web")], False, 1, id="the last endpoint"),
        pytest.param([slice_of("web", "node2")], False, 0, id="an endpoint of a Cluster Service"),
        pytest.param([service("web", "192.0.2.2")], False, 2, id="another address"),
        pytest.param([node("node1", "10.0.0.11", rack="a")], True, 0, id="a label of the node"),
        pytest.param([node("node2", "10.0.0.12")], False, 0, id="another node"),
        pytest.param([advertisement(localPref=7)], True, 0, id="an advertisement"),
        pytest.param([slice_of("stranger", "node1")], False, 0, id="a slice of nobody"),
    ],
)
def test_what_a_change_touches(changed: list[Object], everything: bool, urgent: int) -> None:  # noqa: FBT001 -- a table
    """Small changes go before bulk; the intent and our own node touch everything."""
    inventory = Inventory()
    put(inventory, *BASIC, service("web", "192.0.2.1"), slice_of("web", "node1"))
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    put(inventory, *changed)
    touched = routes.refresh()
    assert (touched.everything, len(touched.urgent), touched.bulk) == (everything, urgent, ())


def test_many_new_services_are_bulk_and_endpoints_are_not() -> None:
    """A burst of new routes must not hold back the withdrawal of one."""
    inventory = Inventory()
    put(inventory, *BASIC, service("web", "192.0.2.1"), slice_of("web", "node1"))
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    for number in range(SMALL_BATCH + 1):
        put(inventory, service(f"s{number}", f"192.0.2.{number + 100}"))
        put(inventory, slice_of(f"s{number}", "node1"))
    put(inventory, slice_of("web"))
    touched = routes.refresh()
    assert touched.urgent == (("tor", WEB),)
    assert len(touched.bulk) == SMALL_BATCH + 1


def test_verdicts_name_the_rule() -> None:
    """Of each Service that was decided again; None where it is announced."""
    inventory = Inventory()
    put(inventory, *BASIC, service("web", "192.0.2.1"), service("two", "192.0.2.2"))
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    put(inventory, slice_of("web", "node1"), slice_of("two", endpoint("node1", ready=False)))
    verdicts = routes.refresh().verdicts
    assert verdicts[ObjectName("default", "web")] is None
    assert ObjectName("default", "two") not in verdicts  # nothing serves, as before
    assert str(routes.table.refused[ObjectName("default", "two")].reason) == "noEndpoints"


def test_a_node_that_is_not_there_keeps_what_it_had() -> None:
    """Its Node was deleted, or never was: the program runs, so the machine is there."""
    inventory = Inventory()
    put(inventory, *BASIC, service("web", "192.0.2.1"), slice_of("web", "node1"))
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    known = routes.node_known
    there = parse(BASIC[0])
    assert there is not None
    inventory.gone(there.ref)
    assert routes.refresh() == Touched(nodes=frozenset({"node1"}))
    assert (known, routes.node_known) == (True, False)
    assert dict(routes.wanted(TOR)) == {WEB: Attributes()}
    stranger = routes_of(*BASIC, service("web", "192.0.2.1"), slice_of("web", "x"), name="y")
    assert dict(stranger.wanted(TOR)) == {WEB: Attributes()}


def test_an_unknown_neighbor_gets_nothing() -> None:
    """Such as one whose session goes in a moment."""
    assert dict(routes_of(*BASIC).wanted(TOR2)) == {}


@pytest.mark.parametrize(
    ("prefix", "inside"),
    [("192.0.2.7/32", True), ("192.0.0.0/16", True), ("198.51.100.1/32", False), ("::/0", False)],
)
def test_routes_in_pools_are_told_from_others(prefix: str, inside: bool) -> None:  # noqa: FBT001 -- a table
    """An aggregate shares addresses with the pool that it is larger than."""
    assert routes_of(*BASIC).in_a_pool(ip_network(prefix)) is inside


def test_what_allocates_is_asked_only_when_it_may_matter() -> None:
    """Endpoints move often, and give nobody another address."""
    asked: list[Any] = []
    inventory = Inventory()
    routes = NodeRoutes(inventory, "node1", allocate=lambda _, changes: asked.append(changes))
    put(inventory, *BASIC, service("web", "192.0.2.1"))
    routes.refresh()
    put(inventory, slice_of("web", "node1"))
    routes.refresh()
    assert len(asked) == 1
    put(inventory, service("web", "192.0.2.2"))
    routes.refresh()
    assert [bool(changes.services) for changes in asked] == [True, True]


def test_peers_that_exabgp_cannot_hold_have_no_routes() -> None:
    """One without an address, and the younger of two that have one in two VRFs."""
    unnumbered = peer("a", "", asn=64512, peer_asn=64513, interface="eth0")
    younger = peer("z", TOR, asn=64512, peer_asn=64513, vrf="red")
    inventory = Inventory()
    put(inventory, *BASIC, unnumbered, younger, service("web", "192.0.2.1"))
    routes = NodeRoutes(inventory, "node1")
    routes.refresh()
    put(inventory, slice_of("web", "node1"))
    assert routes.refresh().urgent == (("tor", WEB),)
    assert routes.peers == {TOR: "tor"}
    assert tables(routes) == {TOR: {WEB: Attributes()}}


def test_the_next_hop_is_written_out() -> None:
    """By the configuration, else as the kernel says; it follows, and so does the table."""
    addresses: dict[Address, Address | None] = {TOR: None, TOR2: ip_address("10.0.0.99")}
    inventory = Inventory()
    sourced = peer("tor2", TOR2, asn=64512, peer_asn=64512, sourceAddress="10.0.0.12")
    put(inventory, *BASIC, sourced, service("web", "192.0.2.1"), slice_of("web", "node1"))
    routes = NodeRoutes(inventory, "node1", local_address=addresses.__getitem__)
    routes.refresh()

    def next_hop(neighbor: Address) -> Address | None:
        return routes.wanted(neighbor)[WEB].next_hop

    assert (next_hop(TOR), next_hop(TOR2)) == (None, ip_address("10.0.0.12"))
    addresses[TOR] = ip_address("10.0.0.11")
    assert next_hop(TOR) == ip_address("10.0.0.11")
    assert routes.wanted(TOR)[WEB] is routes.wanted(TOR)[WEB]
    addresses[TOR] = ip_address("10.0.0.13")
    assert next_hop(TOR) == ip_address("10.0.0.13")
    put(inventory, slice_of("web"))
    routes.refresh()
    assert dict(routes.wanted(TOR)) == {}


def test_a_table_with_other_attributes() -> None:
    """It is live, and each of its attributes is made once."""
    rib = {WEB: Attributes(local_pref=7)}
    seen = Rewritten(
        rib, lambda attributes: Attributes(local_pref=(attributes.local_pref or 0) + 1)
    )
    assert seen[WEB] == Attributes(local_pref=8)
    assert seen[WEB] is seen[WEB]
    assert (len(seen), list(seen), WEB in seen) == (1, [WEB], True)
    del rib[WEB]
    assert seen.get(WEB) is None


def test_a_next_hop_that_is_named_stays() -> None:
    """That of the family that the session is not of."""
    six = peer("six", "fd00::1", asn=64512, peer_asn=64512, dualStackAddressFamily=True)
    served = [service("web", "192.0.2.1"), slice_of("web", "node1")]
    inventory = Inventory()
    put(inventory, *BASIC[:3], six, *served)
    routes = NodeRoutes(inventory, "node1", local_address=lambda _: ip_address("fd00::11"))
    routes.refresh()
    wanted = routes.wanted(ip_address("fd00::1"))
    assert wanted[WEB].next_hop == ip_address("10.0.0.11")


SERVED = [*BASIC, service("web", "192.0.2.1"), slice_of("web", "node1")]


@pytest.mark.parametrize(
    ("phase", "wanted"),
    [
        (Phase.SERVING, {WEB: Attributes()}),
        (Phase.WORSE, {WEB: Attributes(local_pref=0, communities=(GRACEFUL_SHUTDOWN,))}),
        (Phase.WITHDRAWING, {}),
        (Phase.DRAINED, {}),
        (Phase.CLOSING, {}),
        (Phase.CLOSED, {}),
    ],
)
def test_the_phases_of_a_drain(phase: Phase, wanted: dict[Prefix, Attributes]) -> None:
    """Every route is looked at again, once; the other way as well."""
    routes = routes_of(*SERVED)
    routes.drain(phase)
    assert routes.refresh().everything
    assert routes.draining == (phase is not Phase.SERVING)
    assert routes.wanted(TOR) == wanted
    assert not routes.refresh().everything
    routes.drain(Phase.SERVING)
    assert routes.refresh().everything
    assert routes.wanted(TOR) == {WEB: Attributes()}


def test_others_take_over_from_a_node_that_drains_and_not_from_one_that_stops() -> None:
    """A stop alone moves nothing that outlives this program; a drain that ends in one does."""
    routes = routes_of(*SERVED)
    leaving = []
    for phase, goal in (
        (Phase.WORSE, Goal.STOP),
        (Phase.WORSE, Goal.DRAIN),
        (Phase.CLOSED, Goal.STOP),
        (Phase.SERVING, Goal.SERVE),
    ):
        routes.drain(phase, goal)
        leaving.append(routes.leaving)
    assert leaving == [False, True, True, False]


def test_a_service_that_moves_while_the_node_drains() -> None:
    """What comes is worse as well, and what goes is gone."""
    routes = routes_of(*SERVED)
    routes.drain(Phase.WORSE)
    routes.refresh()
    put(routes.inventory, service("more", "192.0.2.2"), slice_of("more", "node1"), slice_of("web"))
    touched = routes.refresh()
    more = ip_network("192.0.2.2/32")
    assert {prefix for _, prefix in touched.urgent} == {WEB, more}
    assert dict(routes.wanted(TOR)) == {
        more: Attributes(local_pref=0, communities=(GRACEFUL_SHUTDOWN,))
    }
