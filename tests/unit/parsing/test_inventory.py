"""What an inventory shows after any events, and what it says has changed."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import BfdProfile, Community, Intent
from exabgp_metallb.values.objects import Endpoint, Namespace, ObjectName, Secret
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    LegacyConfig,
    Parsed,
    PeerSpec,
    Value,
)
from tests.effort import lines_run
from tests.unit.parsing import arbitrary
from tests.unit.parsing.build import (
    NAMESPACE,
    bgp,
    community,
    endpoint,
    node,
    parsed,
    peer,
    places,
    pool,
    ref_of,
    secret,
    service,
    slice_of,
    spoiled,
)

POOL = pool("public", "192.0.2.0/24")
WEB = service("web", ["192.0.2.1"])
WEB_NAME = WEB.name
NODE = node("n1", rack="1")
CONFIG = ObjectRef("ConfigMap", NAMESPACE, "config")


def holding(*values: Value | Parsed, **settings: str) -> Inventory:
    """Return an inventory of these objects whose changes are taken already."""
    inventory = Inventory(**settings)
    for value in values:
        inventory.put(value if isinstance(value, Parsed) else parsed(value))
    inventory.take_changes()
    return inventory


def legacy(*objects: Value | Parsed) -> Parsed:
    """Return the legacy ConfigMap that stands for these objects."""
    each = tuple(o if isinstance(o, Parsed) else parsed(o) for o in objects)
    return Parsed(CONFIG, LegacyConfig(each))


def changes(*, of: Iterable[str] = (), **others: object) -> Changes:
    """Return changes; `of` are Services of namespace default."""
    names = frozenset(ObjectName("default", name) for name in of)
    return replace(Changes(services=names), **others)  # type: ignore[arg-type]  # its fields


N1, N2 = endpoint("n1"), endpoint("n2")
ENDING = Endpoint(1, node="n1", ready=False, serving=True, terminating=True)
SLICE = slice_of("web-1", "web", N1)
MOVED = frozenset({WEB_NAME})


@pytest.mark.parametrize(
    ("before", "event", "told"),
    [
        pytest.param([], WEB, changes(of=["web"]), id="a new Service"),
        pytest.param([WEB], WEB, changes(), id="the same Service again"),
        pytest.param([WEB], replace(WEB, ingress=()), changes(of=["web"]), id="another Service"),
        pytest.param([WEB], ref_of(WEB), changes(of=["web"]), id="a Service deleted"),
        pytest.param([], ref_of(WEB), changes(), id="a Service deleted that nobody knew"),
        pytest.param(
            [], service(is_load_balancer=False), changes(), id="a Service of another type"
        ),
        pytest.param([], service(load_balancer_class="x"), changes(), id="of another class"),
        pytest.param(
            [WEB],
            service(is_load_balancer=False),
            changes(of=["web"]),
            id="a type that changes away",
        ),
        pytest.param(
            [WEB], service(load_balancer_class="x"), changes(of=["web"]), id="a class that does"
        ),
        pytest.param([WEB], SLICE, changes(endpoints=MOVED), id="a first endpoint"),
        pytest.param([], SLICE, changes(), id="an endpoint of a Service that is not ours"),
        pytest.param([WEB, SLICE], SLICE, changes(), id="the same slice again"),
        pytest.param([WEB, SLICE], ref_of(SLICE), changes(endpoints=MOVED), id="a slice deleted"),
        pytest.param(
            [WEB, SLICE], slice_of("web-1", "web", N2), changes(endpoints=MOVED), id="it moves"
        ),
        pytest.param(
            [WEB, SLICE],
            slice_of("web-1", "web", N1, N1),
            changes(endpoints=MOVED),
            id="one more of it",
        ),
        pytest.param(
            [WEB, SLICE],
            slice_of("web-1", "web", endpoint("n1", ready=False)),
            changes(endpoints=MOVED),
            id="it stops serving",
        ),
        pytest.param(
            [WEB, SLICE],
            slice_of("web-1", "web", ENDING),
            changes(),
            id="it terminates and still serves, with another address",
        ),
        pytest.param(
            [WEB, SLICE],
            slice_of("web-1", "web", N1, endpoint("n2", ready=False)),
            changes(),
            id="one that does not serve",
        ),
        pytest.param([], NODE, changes(nodes=frozenset({"n1"})), id="a new Node"),
        pytest.param([NODE], replace(NODE), changes(), id="a heartbeat"),
        pytest.param(
            [NODE],
            replace(NODE, ready=False),
            changes(nodes=frozenset({"n1"})),
            id="a Node not ready",
        ),
        pytest.param([NODE], ref_of(NODE), changes(nodes=frozenset({"n1"})), id="a Node deleted"),
        pytest.param(
            [], Namespace("default"), changes(namespaces=frozenset({"default"})), id="a Namespace"
        ),
        pytest.param([], POOL, changes(intent=True), id="a pool"),
        pytest.param([POOL], replace(POOL), changes(), id="the same pool again"),
        pytest.param([POOL], ref_of(POOL), changes(intent=True), id="a pool deleted"),
        pytest.param([POOL], spoiled(POOL), changes(faults=True), id="a pool edited into nonsense"),
        pytest.param([], secret("other"), changes(), id="a Secret that nobody names"),
        pytest.param(
            [peer("r1", secret="pw")],
            secret("pw"),
            changes(intent=True, faults=True),
            id="a Secret that a peer waits for",
        ),
        pytest.param(
            [peer("r1", secret="pw"), secret("pw")],
            secret("pw", "another"),
            changes(intent=True),
            id="another password",
        ),
        pytest.param([], legacy(POOL), changes(intent=True), id="the ConfigMap"),
        pytest.param([legacy(POOL)], CONFIG, changes(intent=True), id="the ConfigMap deleted"),
    ],
)
def test_what_changes(before: list[Value | Parsed], event: object, told: Changes) -> None:
    """Each event changes exactly what depends on it, and is told once."""
    inventory = holding(*before)
    if isinstance(event, ObjectRef):
        inventory.gone(event)
    elif isinstance(event, Parsed):
        inventory.put(event)
    else:
        inventory.put(parsed(event))  # type: ignore[arg-type]  # a value
    assert inventory.take_changes() == told
    assert not inventory.take_changes()


def test_services_are_ours_by_class() -> None:
    """With a class only those of that class are ours."""
    mine = service("mine", load_balancer_class="x")
    inventory = holding(WEB, mine, lb_class="x")
    assert dict(inventory.snapshot().services) == {mine.name: mine}


def test_a_service_that_is_ours_no_more_is_gone() -> None:
    """It shows nowhere, and its endpoints are there when it comes back."""
    inventory = holding(WEB, SLICE)
    inventory.put(parsed(service("web", is_load_balancer=False)))
    assert not inventory.snapshot().services
    assert not inventory.services
    inventory.put(parsed(WEB))
    assert inventory.snapshot().endpoints[WEB_NAME] == (N1,)


def test_slices_are_united_in_order_of_name() -> None:
    """The order in which they come does not show."""
    inventory = holding(WEB, slice_of("web-b", "web", N2), slice_of("web-a", "web", N1, N1))
    assert inventory.snapshot().endpoints == {WEB_NAME: (N1, N1, N2)}


def test_a_slice_can_move_to_another_service() -> None:
    """Its old Service loses what the new one gains."""
    other = service("other")
    inventory = holding(WEB, other, SLICE)
    inventory.put(parsed(slice_of("web-1", "other", N1)))
    assert inventory.snapshot().endpoints == {other.name: (N1,)}
    assert inventory.take_changes().endpoints == {WEB_NAME, other.name}


def test_a_list_takes_away_what_is_not_in_it() -> None:
    """Of its own kinds alone; objects of other kinds among them are left aside."""
    inventory = holding(WEB, service("db"), NODE, POOL)
    inventory.listed(
        frozenset({"Service", "Node"}), [parsed(WEB), parsed(pool("x", "10.0.0.0/24"))]
    )
    snapshot = inventory.snapshot()
    assert list(snapshot.services) == [WEB_NAME]
    assert not snapshot.nodes
    assert snapshot.intent.pools == (POOL,)
    assert inventory.take_changes() == changes(of=["db"], nodes=frozenset({"n1"}))


def test_an_empty_list_of_a_kind() -> None:
    """Nothing is left of the kind, the legacy ConfigMap's resources aside."""
    inventory = holding(POOL, legacy(pool("old", "10.0.0.0/24")))
    inventory.listed(frozenset({"IPAddressPool"}), [])
    assert [p.name for p in inventory.snapshot().intent.pools] == ["old"]


# Addresses that are decided and not in any status.


def test_addresses_are_shown_in_place_of_the_status() -> None:
    """The Service that allocation reads goes on without them."""
    inventory = holding(replace(WEB, foreign_ingress=("host.example",)))
    decided = (ip_address("192.0.2.7"),)
    inventory.set_addresses(WEB_NAME, decided)
    assert inventory.take_changes() == changes(of=["web"])
    assert inventory.snapshot().services[WEB_NAME].ingress == decided
    assert inventory.snapshot().services[WEB_NAME].foreign_ingress == ()
    assert inventory.services[WEB_NAME].ingress == WEB.ingress
    inventory.set_addresses(WEB_NAME, decided)
    assert not inventory.take_changes()
    inventory.put(parsed(replace(WEB, labels=frozenset({("a", "b")}))))
    assert inventory.snapshot().services[WEB_NAME].ingress == decided
    inventory.set_addresses(WEB_NAME, None)
    assert inventory.snapshot().services[WEB_NAME].ingress == WEB.ingress


def test_no_addresses_are_not_the_status() -> None:
    """A Service can lose what its status says."""
    inventory = holding(WEB)
    inventory.set_addresses(WEB_NAME, ())
    assert inventory.snapshot().services[WEB_NAME].ingress == ()


def test_addresses_go_with_their_service() -> None:
    """A Service of the same name that comes later has its own."""
    inventory = holding(WEB)
    inventory.set_addresses(WEB_NAME, ())
    inventory.gone(ref_of(WEB))
    inventory.set_addresses(WEB_NAME, ())
    inventory.put(parsed(WEB))
    assert inventory.snapshot().services[WEB_NAME] == WEB


# What is at fault.


def test_the_last_good_version_stands() -> None:
    """Its fault is told; a good version ends it, and so does deletion."""
    inventory = holding(POOL, WEB, SLICE, NODE)
    for value in (POOL, WEB, SLICE, NODE):
        inventory.put(spoiled(value))
    assert inventory.take_changes() == changes(faults=True)
    assert inventory.snapshot().intent.pools == (POOL,)
    assert inventory.snapshot().services == {WEB_NAME: WEB}
    assert len(inventory.faults) == 4
    inventory.put(spoiled(POOL, "worse"))
    assert inventory.snapshot().intent.pools == (POOL,)
    inventory.put(parsed(replace(POOL, auto_assign=False)))
    assert inventory.snapshot().intent.pools == (replace(POOL, auto_assign=False),)
    inventory.gone(ref_of(WEB))
    assert not inventory.snapshot().services
    assert places(inventory.faults) == [("EndpointSlice/web-1", "spec"), ("Node/n1", "spec")]


def test_nonsense_from_the_start_is_left_out() -> None:
    """There is no good version to fall back on."""
    inventory = holding(spoiled(POOL), spoiled(WEB))
    assert not inventory.snapshot().intent.pools
    assert not inventory.snapshot().services
    assert len(inventory.faults) == 2


def test_a_deleted_object_has_no_last_good_version() -> None:
    """What comes after deletion starts anew."""
    inventory = holding(POOL)
    inventory.gone(ref_of(POOL))
    inventory.put(spoiled(POOL))
    assert not inventory.snapshot().intent.pools


def test_all_faults_and_warnings_are_told_sorted_and_once() -> None:
    """Those of single objects and those across them."""
    warned = Parsed(ref_of(WEB), WEB, (), (Fault(ref_of(WEB), "spec.x", "nobody knows it"),))
    inventory = holding(warned, POOL, pool("z", "192.0.2.0/32"), spoiled(NODE), bgp("ad", "nope"))
    assert places(inventory.faults) == [
        ("IPAddressPool/z", "spec.addresses[0]"),
        ("Node/n1", "spec"),
    ]
    assert places(inventory.warnings) == [
        ("BGPAdvertisement/ad", "spec.ipAddressPools[0]"),
        ("Service/web", "spec.x"),
    ]
    assert inventory.faults is inventory.faults


@pytest.mark.parametrize("value", [POOL, peer("r1"), bgp("ad")], ids=lambda v: type(v).__name__)
def test_resources_elsewhere_are_passed_over(value: Value) -> None:
    """With a warning, whatever is wrong with them."""
    inventory = holding(parsed(value, "default"))
    assert inventory.snapshot().intent == Inventory().snapshot().intent
    (warning,) = inventory.warnings
    assert warning.field == "metadata.namespace"
    assert "metallb-system" in warning.message
    inventory.listed(frozenset({ref_of(value).kind}), [])
    assert not inventory.warnings


def test_another_namespace_can_be_home() -> None:
    """The same resource counts where the namespace is said to be."""
    inventory = holding(parsed(POOL, "lb"), namespace="lb")
    assert inventory.snapshot().intent.pools == (POOL,)


def test_secrets_and_config_maps_elsewhere_are_not_ours() -> None:
    """Nothing is said of them, not even what is wrong with them."""
    stranger = Secret(ObjectName("default", "pw"), "kubernetes.io/basic-auth", "x")
    config = ObjectRef("ConfigMap", "default", "config")
    inventory = holding(
        peer("r1", secret="pw"), stranger, Parsed(config, None, (Fault(config, "", "nonsense"),))
    )
    assert places(inventory.faults) == [("BGPPeer/r1", "spec.passwordSecret")]
    assert not inventory.warnings
    assert inventory.names_secrets


# The legacy ConfigMap.


def test_a_resource_hides_the_legacy_one() -> None:
    """With a warning, for as long as it is there."""
    old = pool("public", "10.0.0.0/24")
    inventory = holding(legacy(old, pool("more", "10.1.0.0/24")), POOL)
    assert [p.name for p in inventory.snapshot().intent.pools] == ["more", "public"]
    assert POOL in inventory.snapshot().intent.pools
    assert places(inventory.warnings) == [("IPAddressPool/public", "")]
    inventory.gone(ref_of(POOL))
    assert old in inventory.snapshot().intent.pools
    assert not inventory.warnings


def test_a_resource_that_is_nonsense_hides_nothing() -> None:
    """The legacy one stands as long as there is no good version."""
    old = pool("public", "10.0.0.0/24")
    assert holding(legacy(old), spoiled(POOL)).snapshot().intent.pools == (old,)


def test_faults_across_legacy_objects_name_the_config_map() -> None:
    """There the user can mend them."""
    inventory = holding(legacy(pool("a", "10.0.0.0/24"), pool("b", "10.0.0.0/28")))
    (fault,) = inventory.faults
    assert (fault.object, fault.field) == (CONFIG, "config")
    assert fault.message.startswith(
        "IPAddressPool b: spec.addresses[0]: 10.0.0.0-10.0.0.15 overlaps"
    )


def test_an_entry_of_the_config_map_keeps_its_last_good_version() -> None:
    """Entries stand or fall by themselves, and so does the ConfigMap as a whole."""
    more = pool("more", "10.1.0.0/24")
    inventory = holding(legacy(POOL, more))
    inventory.put(legacy(replace(spoiled(POOL), faults=(Fault(CONFIG, "config.x", "nonsense"),))))
    assert inventory.snapshot().intent.pools == (POOL,)
    assert places(inventory.faults) == [("ConfigMap/config", "config.x")]
    inventory.put(Parsed(CONFIG, None, (Fault(CONFIG, "config", "no YAML"),)))
    assert inventory.snapshot().intent.pools == (POOL,)
    inventory.gone(CONFIG)
    assert not inventory.snapshot().intent.pools
    assert not inventory.faults


def test_two_legacy_objects_of_one_name() -> None:
    """11: the first stands, since names may become equal when Kubernetes' rules are applied."""
    inventory = holding(legacy(POOL, pool("public", "10.0.0.0/24")))
    assert inventory.snapshot().intent.pools == (POOL,)
    assert places(inventory.faults) == [("ConfigMap/config", "config")]


# What follows from any sequence of events.

some_nodes = arbitrary.nodes
some_services = st.builds(
    service,
    arbitrary.names,
    st.sampled_from([(), ("192.0.2.1",)]),
    is_load_balancer=st.sampled_from([True, True, False]),
)
some_slices = st.builds(
    lambda name, of, ends: slice_of(name, of, *ends),
    arbitrary.words,
    arbitrary.names,
    st.lists(st.builds(endpoint, arbitrary.names, ready=st.booleans()), max_size=2),
)
resources = (
    arbitrary.pools
    | arbitrary.peers
    | arbitrary.advertisements
    | arbitrary.l2_advertisements
    | arbitrary.communities
    | arbitrary.profiles
    | arbitrary.secrets
)
told = (
    (resources | some_nodes | some_services | some_slices).map(parsed)
    | arbitrary.pools.map(lambda value: parsed(value, "default"))
    | st.lists(resources, max_size=3).map(lambda values: legacy(*values))
)
events = st.lists(st.tuples(st.sampled_from(["put", "put", "gone", "list"]), told), max_size=25)


def shown(inventory: Inventory) -> object:
    """Return all that an inventory shows, as it is now."""
    snapshot = inventory.snapshot()
    mappings = (snapshot.nodes, snapshot.namespaces, snapshot.services, snapshot.endpoints)
    kept = {parsed.ref: parsed for parsed in inventory.objects()}
    copies = tuple(dict(mapping) for mapping in mappings)
    return (snapshot.intent, *copies, inventory.faults, inventory.warnings, kept)


def whole(told: Parsed) -> bool:
    """Tell whether an object names no other that it would wait for."""
    match told.value:
        case PeerSpec(peer, secret):
            return secret is None and peer.bfd_profile is None
        case BgpAdvertisementSpec(aliases=aliases):
            return not aliases
        case LegacyConfig(objects):
            return all(map(whole, objects))
    return True


whole_events = st.lists(
    st.tuples(st.sampled_from(["put", "put", "gone", "list"]), told.filter(whole)), max_size=25
)


@settings(deadline=None)
@given(
    st.tuples(events, st.just(frozenset[int]()))
    | st.tuples(whole_events, st.frozensets(st.integers(0, 25)))
)
def test_any_way_to_the_same_objects_shows_the_same(
    happening: tuple[list[tuple[str, Parsed]], frozenset[int]],
) -> None:
    """Only the objects that are left count, not how and when they came.

    Nor who asked meanwhile, but for what waits for another: it goes on as whoever asked last saw
    it.
    """
    steps, asked = happening
    inventory, left = Inventory(), dict[ObjectRef, Parsed]()
    for step, (event, parsed_object) in enumerate(steps):
        ref = parsed_object.ref
        if event == "put":
            inventory.put(parsed_object)
            left[ref] = parsed_object
        elif event == "gone":
            inventory.gone(ref)
            left.pop(ref, None)
        else:
            inventory.listed(frozenset({ref.kind}), [parsed_object])
            left = {r: p for r, p in left.items() if r.kind != ref.kind} | {ref: parsed_object}
        if step in asked:
            inventory.take_changes()
    anew = Inventory()
    for parsed_object in reversed(left.values()):
        anew.put(parsed_object)
    assert shown(inventory) == shown(anew)


WAITING = [
    pytest.param(
        [peer("r1", secret="pw"), secret("pw")],
        peer("r1", "198.51.100.9", secret="gone"),
        ("BGPPeer/r1", "spec.passwordSecret"),
        id="a peer that names another Secret",
    ),
    pytest.param(
        [peer("r1", secret="pw"), secret("pw")],
        ref_of(secret("pw")),
        ("BGPPeer/r1", "spec.passwordSecret"),
        id="the Secret deleted",
    ),
    pytest.param(
        [peer("r1", secret="pw"), secret("pw")],
        secret("pw", kind="Opaque"),
        ("BGPPeer/r1", "spec.passwordSecret"),
        id="the Secret of another type",
    ),
    pytest.param(
        [peer("r1", secret="pw"), secret("pw")],
        secret("pw", "é" * 41),
        ("BGPPeer/r1", "spec.passwordSecret"),
        id="a password of 82 bytes",
    ),
    pytest.param(
        [peer("r1", bfd="fast"), BfdProfile(name="fast", detect_multiplier=7)],
        ref_of(BfdProfile(name="fast")),
        ("BGPPeer/r1", "spec.bfdProfile"),
        id="the BFDProfile deleted",
    ),
    pytest.param(
        [POOL, bgp("ad", aliases=["ne"]), community("c", ne=Community(65535, 65281))],
        ref_of(community("c")),
        ("BGPAdvertisement/ad", "spec.communities"),
        id="the alias deleted",
    ),
    pytest.param(
        [POOL, bgp("ad", POOL.name)],
        bgp("ad", aliases=["ne"]),
        ("BGPAdvertisement/ad", "spec.communities"),
        id="an advertisement that names an alias",
    ),
]


@pytest.mark.parametrize(("before", "event", "fault"), WAITING)
def test_what_waits_stands_as_it_was(
    before: list[Value], event: Value | ObjectRef, fault: tuple[str, str]
) -> None:
    """What it named goes on with it, over other changes; deleted it is gone."""
    inventory = holding(*before)
    intent = inventory.snapshot().intent
    if isinstance(event, ObjectRef):
        inventory.gone(event)
    else:
        inventory.put(parsed(event))
    assert not inventory.take_changes().intent
    inventory.put(parsed(NODE))
    inventory.put(parsed(secret("unrelated")))
    assert inventory.snapshot().intent == intent
    assert places(inventory.faults) == [fault]
    assert "until then its last good version stands" in inventory.faults[0].message
    for value in before:
        inventory.gone(ref_of(value))
    if not isinstance(event, ObjectRef):
        inventory.gone(ref_of(event))
    assert inventory.snapshot().intent == Intent()
    assert inventory.faults == ()


@settings(deadline=None)
@given(events, events)
def test_what_is_told_is_what_differs(
    first: list[tuple[str, Parsed]], second: list[tuple[str, Parsed]]
) -> None:
    """Nothing differs between two calls that is not told; the Intent is told exactly."""
    inventory = Inventory()
    follow(inventory, first)
    inventory.take_changes()
    before = inventory.snapshot()
    services, nodes = dict(before.services), dict(before.nodes)
    serving = {name: places_of(before.endpoints.get(name, ())) for name in services}
    messages = (inventory.faults, inventory.warnings)
    follow(inventory, second)
    told = inventory.take_changes()
    after = inventory.snapshot()
    assert told.intent == (before.intent != after.intent)
    assert (before.intent is after.intent) == (before.intent == after.intent)
    assert told.faults == (messages != (inventory.faults, inventory.warnings))
    assert differing(services, after.services) <= told.services
    assert differing(nodes, after.nodes) <= told.nodes
    still = services.keys() & after.services.keys()
    now = {name: places_of(after.endpoints.get(name, ())) for name in still}
    assert {name for name in still if serving[name] != now[name]} <= told.endpoints | told.services


def follow(inventory: Inventory, happening: list[tuple[str, Parsed]]) -> None:
    """Let things happen."""
    for event, parsed_object in happening:
        if event == "put":
            inventory.put(parsed_object)
        elif event == "gone":
            inventory.gone(parsed_object.ref)
        else:
            inventory.listed(frozenset({parsed_object.ref.kind}), [parsed_object])


def differing(before: object, after: object) -> set[object]:
    """Return the keys of two mappings whose values differ."""
    one, other = dict(before), dict(after)  # type: ignore[call-overload]  # two mappings
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


def places_of(endpoints: tuple[Endpoint, ...]) -> list[str]:
    """Return the nodes of the endpoints that serve."""
    return sorted(e.node or "" for e in endpoints if e.can_serve)


def test_the_cost_of_an_event_is_not_that_of_all_objects() -> None:
    """One endpoint more among ten times as many Services takes no more work."""

    def work(n: int) -> int:
        inventory = holding(
            POOL,
            *(service(f"s{i}") for i in range(n)),
            *(slice_of(f"s{i}-x", f"s{i}", N1) for i in range(n)),
        )
        changed = [parsed(slice_of(f"s{i}-x", f"s{i}", N2)) for i in range(50)]

        def follow() -> None:
            for i, slice_ in enumerate(changed):
                inventory.put(slice_)
                assert inventory.take_changes().endpoints == {ObjectName("default", f"s{i}")}
                inventory.snapshot()

        return lines_run(follow)

    assert work(2_000) <= work(200)
