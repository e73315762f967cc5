"""One Service converges as under MetalLB (its order of decisions), and keeps what it may keep."""

from dataclasses import replace

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator, allocate, placed
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import AddressRequest, Service
from exabgp_metallb.values.outcome import EventReason, LeaseChange
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions.builders import (
    addresses,
    by_name,
    decide,
    held,
    labels,
    name_of,
    namespaces,
    only,
    pool,
    refusal,
    selector,
    service,
    serving,
)

PUBLIC = pool("public", "192.0.2.1-192.0.2.4 2001:db8::1-2001:db8::4")
RESERVE = pool("reserve", "198.51.100.1-198.51.100.4")


def faulty(each: Service, fault: str) -> Service:
    """Return the Service with a request that cannot be read."""
    return replace(each, request=AddressRequest(fault=fault))


@pytest.mark.parametrize(
    ("one", "pools", "reason"),
    [
        pytest.param(service(has="192.0.2.3"), [], Reason.NO_POOLS, id="no pools at all"),
        pytest.param(service(ip=""), [PUBLIC], Reason.NO_CLUSTER_IP, id="no clusterIP"),
        pytest.param(
            service(ip="", has="192.0.2.3"), [PUBLIC], Reason.NO_CLUSTER_IP, id="clusterIP lost"
        ),
        pytest.param(
            service(dual="require"),
            [PUBLIC],
            Reason.FAMILY_MISMATCH,
            id="RequireDualStack with one",
        ),
        pytest.param(
            service(dual="require", has="192.0.2.3 2001:db8::3"),
            [PUBLIC],
            Reason.FAMILY_MISMATCH,
            id="RequireDualStack with one left",
        ),
        pytest.param(
            service(asks="@nowhere"), [PUBLIC], Reason.UNKNOWN_POOL, id="a pool that is not there"
        ),
        pytest.param(
            service(asks="203.0.113.1"), [PUBLIC], Reason.ADDRESS_NOT_IN_POOL, id="of no pool"
        ),
        pytest.param(
            service(asks="2001:db8::1"), [PUBLIC], Reason.FAMILY_MISMATCH, id="the other family"
        ),
        pytest.param(
            service(asks="192.0.2.1 192.0.2.2"), [PUBLIC], Reason.FAMILY_MISMATCH, id="two of one"
        ),
        pytest.param(
            service(ip="6"), [RESERVE], Reason.FAMILY_MISMATCH, id="no pool has the family"
        ),
        pytest.param(
            faulty(service(), "loadBalancerIPs: 'x' is no address"),
            [PUBLIC],
            Reason.BAD_REQUEST,
            id="a request that cannot be read",
        ),
        pytest.param(
            service(asks="192.0.2.1 @reserve"),
            [PUBLIC, RESERVE],
            Reason.ADDRESS_NOT_IN_POOL,
            id="an address and another pool",
        ),
    ],
)
def test_why_a_service_has_no_address(one: Service, pools: list[Pool], reason: Reason) -> None:
    """Each rule has its word, a line that says what to do, and an Event."""
    outcome = only(one, pools)
    assert refusal(outcome).reason is reason
    assert refusal(outcome).message
    assert outcome.events[-1].message == refusal(outcome).message
    assert outcome.events[-1].is_warning
    assert outcome.change is (LeaseChange.CLEARED if one.ingress else LeaseChange.KEPT)


def test_dual_stack_required_of_a_single_stack_service_has_metallbs_reason() -> None:
    """The Event has the word that MetalLB's users look for."""
    assert only(service(dual="require"), [PUBLIC]).events[-1].reason == "not enough clusterips"


@pytest.mark.parametrize(
    ("one", "others", "holds"),
    [
        pytest.param(service(has="192.0.2.3"), [], "192.0.2.3", id="what it has"),
        pytest.param(
            service(has="192.0.2.3", allocated_pool="renamed"), [], "192.0.2.3", id="pool renamed"
        ),
        pytest.param(service(has="203.0.113.9"), [], "192.0.2.1", id="address of no pool"),
        pytest.param(
            service(foreign_ingress=("lb.example.net",)), [], "192.0.2.1", id="a hostname only"
        ),
        pytest.param(service(ip="6", has="192.0.2.3"), [], "2001:db8::1", id="wrong family"),
        pytest.param(
            service(has="192.0.2.3", asks="192.0.2.2"), [], "192.0.2.2", id="asks for another"
        ),
        pytest.param(
            service(has="192.0.2.3", asks="@reserve"), [], "198.51.100.1", id="asks for a pool"
        ),
        pytest.param(
            service(has="192.0.2.3", asks="@public"), [], "192.0.2.3", id="asks for its own pool"
        ),
        pytest.param(
            service(has="192.0.2.2"),
            [service("older", has="192.0.2.2", created="1"), service("any", created="0")],
            "192.0.2.1",
            id="an address that an older Service shows too",
        ),
        pytest.param(
            service(has="192.0.2.3 192.0.2.4"), [], "192.0.2.3", id="two of one family: the first"
        ),
        pytest.param(
            service(has="192.0.2.3 2001:db8::3"), [], "192.0.2.3", id="two, and needs one"
        ),
        pytest.param(
            faulty(service(has="192.0.2.3"), "loadBalancerIPs: no"),
            [],
            "192.0.2.3",
            id="bad request",
        ),
    ],
)
def test_what_a_service_with_a_status_has_afterwards(
    one: Service, others: list[Service], holds: str
) -> None:
    """An address in the status is kept if the rules allow it, else replaced."""
    others = [replace(each, created=each.created or "5") for each in others]
    outcome = only(replace(one, created="9"), [PUBLIC, RESERVE], others)
    assert held(outcome) == holds


def test_a_bad_request_keeps_the_address_and_complains() -> None:
    """MetalLB's LoadBalancerFailed: the Service keeps what it has."""
    outcome = only(faulty(service(has="192.0.2.3"), "loadBalancerIPs: no"), [PUBLIC])
    assert outcome.change is LeaseChange.KEPT
    assert outcome.complaint is not None
    assert outcome.complaint.reason is Reason.BAD_REQUEST
    assert [event.reason for event in outcome.events] == [EventReason.LOAD_BALANCER_FAILED]


def test_a_bad_request_does_not_keep_what_the_pools_lost() -> None:
    """The address goes first, and then nothing is given until the request can be read."""
    outcome = only(faulty(service(has="203.0.113.9"), "loadBalancerIPs: no"), [PUBLIC])
    assert refusal(outcome).reason is Reason.BAD_REQUEST
    assert outcome.change is LeaseChange.CLEARED


def test_no_load_balancer_wants_nothing_and_loses_what_it_had() -> None:
    """Whoever changes the type gives the address back, with a class set too."""
    allocator = Allocator([PUBLIC], {})
    allocator.converge(name_of("web"), service(load_balancer_class="ours"))
    (outcome,) = allocator.converge(name_of("web"), service(is_load_balancer=False))
    assert (outcome.lease, outcome.refused, outcome.change) == (None, None, LeaseChange.CLEARED)
    assert held(allocator.converge(name_of("b"), service("b"))[0]) == "192.0.2.1"


def test_what_we_left_on_a_service_of_another_type_is_cleared_after_a_restart() -> None:
    """The pool annotation shows that the address was ours; another's is none of our business."""
    ours = service(is_load_balancer=False, has="192.0.2.1", allocated_pool="public")
    other = service(is_load_balancer=False, has="192.0.2.1")
    assert only(ours, [PUBLIC]).change is LeaseChange.CLEARED
    assert only(other, [PUBLIC]).change is LeaseChange.KEPT


def test_a_lease_carries_what_decides_about_sharing() -> None:
    """Pool, ports, key and backend stand in the lease."""
    one = service(local=True, key="k", selector=labels("app=web"))
    assert only(one, [PUBLIC]).lease == Lease(
        addresses=addresses("192.0.2.1"),
        pool="public",
        ports=one.ports,
        sharing_key="k",
        backend=labels("app=web"),
    )


def test_those_with_addresses_come_first_then_age_then_name() -> None:
    """The lowest addresses go out in this order, whatever the order of the input."""
    services = [
        service("a", created="3"),
        service("c", created="1"),
        service("b", created="1"),
        service("z/a", created="1"),
        service("y", created="9", has="192.0.2.1"),
    ]
    wide = pool("public", "192.0.2.1-192.0.2.9")
    expected = {"y": "1", "b": "2", "c": "3", "z/a": "4", "a": "5"}
    for order in (services, services[::-1]):
        outcomes = decide(order, [wide])
        assert {n: held(outcomes[name_of(n)])[-1] for n in expected} == expected


def test_an_invalid_status_never_takes_the_address_of_a_later_service() -> None:
    """All claims are heard before anything new is given out."""
    services = [
        service("old", created="1", has="203.0.113.9"),
        service("new", created="2", has="192.0.2.1"),
    ]
    outcomes = decide(services, [PUBLIC])
    assert held(outcomes[name_of("new")]) == "192.0.2.1"
    assert held(outcomes[name_of("old")]) == "192.0.2.2"


def test_the_younger_of_two_that_show_one_address_is_told_by_whom() -> None:
    """The Event names the holder; so does the refusal of one that asks for the address."""
    older = service("older", created="1", has="192.0.2.2")
    younger = service("younger", created="2", has="192.0.2.2")
    outcomes = decide([younger, older], [PUBLIC])
    assert outcomes[older.name].change is LeaseChange.KEPT
    assert outcomes[younger.name].change is LeaseChange.MOVED
    cleared, allocated = outcomes[younger.name].events
    assert cleared.reason is EventReason.CLEAR_ASSIGNMENT
    assert "192.0.2.2 is held by default/older" in cleared.message
    assert allocated.reason is EventReason.IP_ALLOCATED

    asking = replace(younger, request=replace(younger.request, addresses=addresses("192.0.2.2")))
    refused = refusal(only(asking, [PUBLIC], [older]))
    assert refused.reason is Reason.ADDRESS_IN_USE
    assert "default/older" in refused.message


def test_leases_from_elsewhere_stand_in_for_the_status() -> None:
    """Without a cluster the leases lie in a file, and the manifests show no status."""
    before = allocate(by_name([service()]), [PUBLIC], {}).outcomes[name_of("web")].lease
    assert before is not None
    lease = replace(before, addresses=addresses("192.0.2.4"))
    after = allocate(by_name([service()]), [PUBLIC], {}, {name_of("web"): lease})
    assert held(after.outcomes[name_of("web")]) == "192.0.2.4"


# When an address is kept, changed, cleared: a Service holds 192.0.2.2, then the pools are edited.

HELD = "192.0.2.2"


@pytest.mark.parametrize(
    ("pools", "holds", "of"),
    [
        pytest.param([replace(PUBLIC, name="other")], HELD, "other", id="pool renamed"),
        pytest.param(
            [RESERVE, pool("new", "192.0.2.2-192.0.2.9")], HELD, "new", id="range moved to another"
        ),
        pytest.param(
            [pool("public", "192.0.2.1"), RESERVE], "192.0.2.1", "public", id="shrunk: another one"
        ),
        pytest.param([RESERVE], "198.51.100.1", "reserve", id="deleted: another pool"),
        pytest.param([replace(RESERVE, auto_assign=False)], "", "", id="deleted: none left"),
        pytest.param([], "", "", id="the last pool removed"),
        pytest.param(
            [replace(PUBLIC, auto_assign=False)], HELD, "public", id="autoAssign turned off"
        ),
        pytest.param(
            [replace(PUBLIC, allocation=serving(namespaces=frozenset({"shop"}))), RESERVE],
            "198.51.100.1",
            "reserve",
            id="serviceAllocation for other namespaces",
        ),
        pytest.param(
            [replace(PUBLIC, allocation=serving(service_selectors=(selector("app=db"),)))],
            "",
            "",
            id="serviceAllocation for other Services",
        ),
        pytest.param(
            [replace(PUBLIC, allocation=serving(max_per_namespace=0))],
            HELD,
            "public",
            id="a quota that comes later evicts nobody",
        ),
        pytest.param(
            [PUBLIC, pool("a", "203.0.113.1", allocation=serving(priority=1))],
            HELD,
            "public",
            id="a better pool appears",
        ),
    ],
)
def test_an_edit_of_the_pools(pools: list[Pool], holds: str, of: str) -> None:
    """What still may stay stays; the same comes of an edit as of a restart after it."""
    one = service(has=HELD)
    restarted = only(one, pools)
    assert (held(restarted), restarted.lease.pool if restarted.lease else "") == (holds, of)

    allocator = Allocator([PUBLIC], {})
    allocator.converge(one.name, one)
    allocator.edit(pools=pools)
    assert allocator.leases.get(one.name) == restarted.lease


def test_buggy_addresses_are_taken_back_when_they_are_to_be_avoided() -> None:
    """A Service on .0 or .255 moves; one next to it stays."""
    wide = pool("public", "192.0.2.0-192.0.2.255")
    services = [service("zero", has="192.0.2.0"), service("one", has="192.0.2.1")]
    services.append(service("last", has="192.0.2.255"))
    outcomes = decide(services, [replace(wide, avoid_buggy_ips=True)])
    assert {name.name: held(each) for name, each in outcomes.items()} == {
        "one": "192.0.2.1",
        "last": "192.0.2.2",
        "zero": "192.0.2.3",
    }


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param(service(has=HELD, labels=labels("app=db")), id="labels of the Service"),
        pytest.param(service("gone/web", has=HELD, labels=labels("app=web")), id="its namespace"),
    ],
)
def test_a_service_that_stops_matching_loses_the_pool(edited: Service) -> None:
    """Label edits take effect on what is held."""
    allocation = serving(
        namespace_selectors=(selector("team=a"),), service_selectors=(selector("app=web"),)
    )
    pools = [replace(PUBLIC, allocation=allocation), RESERVE]
    fitting = service(has=HELD, labels=labels("app=web"))
    assert held(only(fitting, pools, default="team=a")) == HELD
    assert held(only(edited, pools, default="team=a", gone="team=b")) == "198.51.100.1"


def test_a_namespace_that_stops_matching_loses_the_pool() -> None:
    """The edit of a Namespace reaches its Services, holders and pending ones alike."""
    pools = [replace(PUBLIC, allocation=serving(namespace_selectors=(selector("team=a"),)))]
    allocator = Allocator(pools, namespaces(default="team=a"))
    allocator.converge(name_of("web"), service())
    assert name_of("web") in allocator.leases
    (outcome,) = allocator.edit(namespaces=namespaces(default="team=b"))
    assert refusal(outcome).reason is Reason.POOL_NOT_ALLOWED
    (outcome,) = allocator.edit(namespaces=namespaces(default="team=a"))
    assert held(outcome) == "192.0.2.1"


def test_a_request_that_cannot_be_met_costs_the_old_address() -> None:
    """As in MetalLB: whoever asks for another address gives up the one held."""
    other = service("other", has="192.0.2.1", created="1")
    outcome = only(service(has=HELD, asks="192.0.2.1"), [PUBLIC], [other])
    assert refusal(outcome).reason is Reason.ADDRESS_IN_USE
    assert outcome.change is LeaseChange.CLEARED
    reasons = [event.reason for event in outcome.events]
    assert reasons == [EventReason.CLEAR_ASSIGNMENT, EventReason.ALLOCATION_FAILED]


def test_the_same_decision_is_told_once() -> None:
    """A second look at the same Service writes no Event; a new reason does."""
    allocator = Allocator([PUBLIC], {})
    one = service(asks="203.0.113.1")
    assert allocator.converge(one.name, one)[0].events
    assert not allocator.converge(one.name, one)[0].events
    assert allocator.converge(one.name, service(asks="203.0.113.2"))[0].events
    assert not allocator.retry()[0].events


def test_a_status_that_comes_back_late_undoes_nothing() -> None:
    """The ledger knows what was decided since."""
    allocator = Allocator([PUBLIC], {})
    allocator.converge(name_of("web"), service(asks="192.0.2.3"))
    allocator.converge(name_of("web"), service(asks="192.0.2.2"))
    allocator.converge(name_of("web"), service(has="192.0.2.3"))
    assert allocator.leases[name_of("web")].addresses == addresses("192.0.2.2")


def test_old_annotations_are_told_of_when_something_changes() -> None:
    """MetalLB's deprecatedAnnotation, not on every look."""
    old = ("metallb.universe.tf/address-pool",)
    one = replace(service(), request=AddressRequest(pool="public", deprecated=old))
    assert only(one, [PUBLIC]).events[-1].reason is EventReason.DEPRECATED_ANNOTATION
    assert not only(replace(one, ingress=addresses("192.0.2.1")), [PUBLIC]).events


def test_a_status_that_nobody_can_have_written_is_told_of() -> None:
    """A hostname, or two addresses of a family."""
    for one in (service(foreign_ingress=("lb",)), service(has="192.0.2.1 192.0.2.2")):
        assert only(one, [PUBLIC]).events[0].reason is EventReason.UNKNOWN_STATUS_FAMILY


def test_a_written_decision_reads_back_as_kept() -> None:
    """What `placed` shows as status changes nothing at the next start."""
    first = decide([service("a"), service("b", ip="46", dual="prefer")], [PUBLIC])
    shown = [placed(service("a"), first[name_of("a")].lease)]
    shown.append(placed(service("b", ip="46", dual="prefer"), first[name_of("b")].lease))
    again = decide(shown, [PUBLIC])
    assert all(outcome.change is LeaseChange.KEPT for outcome in again.values())
    assert {n: o.lease for n, o in again.items()} == {n: o.lease for n, o in first.items()}
    assert placed(shown[0], None).ingress == ()
