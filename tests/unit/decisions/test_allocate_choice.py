"""Which address a Service without one gets: by address, by pool, or unasked."""

from dataclasses import replace

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.labels import LabelSelector, Operator, Requirement
from exabgp_metallb.values.objects import Service
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions.builders import (
    by_name,
    decide,
    held,
    labels,
    name_of,
    only,
    pool,
    refusal,
    selector,
    service,
    serving,
)

A = pool("a", "192.0.2.1-192.0.2.2")
B = pool("b", "198.51.100.1-198.51.100.2")
MANUAL = pool("manual", "203.0.113.1-203.0.113.2", auto_assign=False)
FOR_SHOP = pool("shop", "10.0.0.1-10.0.0.2", allocation=serving(namespaces=frozenset({"shop"})))
FOR_WEB = replace(
    FOR_SHOP, name="webs", allocation=serving(service_selectors=(selector("app=web"),))
)
TEAM_A = replace(
    FOR_SHOP, name="team", allocation=serving(namespace_selectors=(selector("team=a"),))
)


@pytest.mark.parametrize(
    ("one", "pools", "holds"),
    [
        pytest.param(service(), [B, A], "192.0.2.1", id="first pool by name"),
        pytest.param(service(asks="192.0.2.2"), [A, B], "192.0.2.2", id="an address"),
        pytest.param(service(asks="203.0.113.2"), [A, MANUAL], "203.0.113.2", id="not autoAssign"),
        pytest.param(service(asks="192.0.2.2 @a"), [A, B], "192.0.2.2", id="address and its pool"),
        pytest.param(service(asks="@b"), [A, B], "198.51.100.1", id="a pool"),
        pytest.param(service(asks="@manual"), [A, MANUAL], "203.0.113.1", id="a manual pool"),
        pytest.param(service("shop/x"), [A, FOR_SHOP], "10.0.0.1", id="pinned by namespace first"),
        pytest.param(service("shop/x", asks="@a"), [A, FOR_SHOP], "192.0.2.1", id="pinned, asks"),
        pytest.param(service(), [A, FOR_SHOP], "192.0.2.1", id="pinned for others"),
        pytest.param(service(labels=labels("app=web")), [A, FOR_WEB], "10.0.0.1", id="by label"),
        pytest.param(service("dev/x"), [A, TEAM_A], "10.0.0.1", id="by namespace label"),
        pytest.param(service("new/x"), [A, TEAM_A], "192.0.2.1", id="namespace unknown"),
        pytest.param(
            service(),
            [A, replace(FOR_SHOP, allocation=serving(priority=3))],
            "10.0.0.1",
            id="priority alone is for everybody",
        ),
        pytest.param(
            service("shop/x"),
            [A, replace(FOR_SHOP, auto_assign=False)],
            "192.0.2.1",
            id="pinned, but not autoAssign",
        ),
        pytest.param(
            service(), [pool("a", "192.0.2.9 192.0.2.5-192.0.2.6")], "192.0.2.9", id="as declared"
        ),
        pytest.param(
            service(),
            [pool("a", "192.0.2.255-192.0.3.9", avoid_buggy_ips=True)],
            "192.0.3.1",
            id="past .255 and .0",
        ),
    ],
)
def test_what_a_service_gets(one: Service, pools: list[Pool], holds: str) -> None:
    """The first address that the rules give."""
    assert held(only(one, pools, dev="team=a", prod="team=b")) == holds


@pytest.mark.parametrize(
    ("one", "pools", "reason", "words"),
    [
        pytest.param(
            service(asks="@shop"),
            [FOR_SHOP],
            Reason.POOL_NOT_ALLOWED,
            "namespaces are shop",
            id="ns",
        ),
        pytest.param(
            service(asks="10.0.0.1"), [FOR_SHOP], Reason.POOL_NOT_ALLOWED, "10.0.0.1", id="address"
        ),
        pytest.param(
            service("prod/x", asks="@team"),
            [TEAM_A],
            Reason.POOL_NOT_ALLOWED,
            "do not match namespace prod;",
            id="namespace labels",
        ),
        pytest.param(
            service("new/x", asks="@team"),
            [TEAM_A],
            Reason.POOL_NOT_ALLOWED,
            "no such Namespace is known",
            id="namespace unknown",
        ),
        pytest.param(
            service(asks="@webs"),
            [FOR_WEB],
            Reason.POOL_NOT_ALLOWED,
            "serviceSelectors",
            id="labels",
        ),
        pytest.param(service(), [MANUAL], Reason.POOL_NOT_ALLOWED, "autoAssign", id="all manual"),
        pytest.param(service(asks="@x"), [A, B], Reason.UNKNOWN_POOL, "one of a, b", id="unknown"),
        pytest.param(
            service(asks="192.0.2.0"),
            [pool("a", "192.0.2.0-192.0.2.9", avoid_buggy_ips=True)],
            Reason.ADDRESS_NOT_IN_POOL,
            "avoidBuggyIPs",
            id="a buggy address",
        ),
        pytest.param(service(asks="@x"), [], Reason.NO_POOLS, "IPAddressPool", id="no pools"),
    ],
)
def test_why_a_service_gets_none(
    one: Service, pools: list[Pool], reason: Reason, words: str
) -> None:
    """The message names what is in the way."""
    refused = refusal(only(one, pools, dev="team=a", prod="team=b"))
    assert refused.reason is reason
    assert words in refused.message


def test_a_namespace_selector_that_matches_nothing_gives_the_pool_to_nobody() -> None:
    """MetalLB gives it to whoever names it; we do not, and take it from who has it."""
    nobody = replace(TEAM_A, allocation=serving(namespace_selectors=(selector("team=none"),)))
    assert refusal(only(service(asks="@team"), [nobody], default="")).reason is (
        Reason.POOL_NOT_ALLOWED
    )
    assert held(only(service(has="10.0.0.2"), [nobody, A], default="")) == "192.0.2.1"


def test_selectors_with_expressions_are_understood() -> None:
    """Lists of selectors are OR-ed; the parts of one must all hold."""
    is_old = LabelSelector(requirements=(Requirement("tier", Operator.EXISTS),))
    allocation = serving(service_selectors=(is_old, selector("app=web")))
    pools = [replace(FOR_WEB, allocation=allocation)]
    assert held(only(service(labels=labels("tier=x")), pools)) == "10.0.0.1"
    assert held(only(service(labels=labels("app=web")), pools)) == "10.0.0.1"
    assert only(service(labels=labels("app=db")), pools).lease is None


def test_namespaces_and_selectors_are_both_ways_in_and_labels_must_match_too() -> None:
    """Namespace by name or by label, and then the labels of the Service."""
    allocation = serving(
        namespaces=frozenset({"shop"}),
        namespace_selectors=(selector("team=a"),),
        service_selectors=(selector("app=web"),),
    )
    pools = [replace(FOR_SHOP, allocation=allocation)]
    for name, its, gets in (
        ("shop/x", "app=web", "10.0.0.1"),
        ("dev/x", "app=web", "10.0.0.1"),
        ("prod/x", "app=web", ""),
        ("shop/x", "app=db", ""),
    ):
        one = service(name, labels=labels(its))
        assert held(only(one, pools, dev="team=a", prod="team=b")) == gets


def test_pinned_pools_are_tried_by_priority_then_name_then_the_open_ones() -> None:
    """Lower first, unset last, equals by name; MetalLB leaves equals to chance."""
    ranked = {"p-unset": 0, "q-unset": 0, "d-ten": 10, "e-ten": 10, "z-one": 1}
    pools = [A] + [
        pool(name, f"10.0.{n}.1", allocation=serving(priority=priority))
        for n, (name, priority) in enumerate(ranked.items())
    ]
    services = [service(f"s{n}") for n in range(8)]
    outcomes = decide(services, pools)
    given = [o.lease.pool if o.lease else None for o in outcomes.values()]
    assert given == ["z-one", "d-ten", "e-ten", "p-unset", "q-unset", "a", "a", None]


def test_an_exhausted_pool_asked_for_is_not_replaced_by_another() -> None:
    """No fallback for who names a pool; without a name the next pool is taken."""
    full = [service(f"s{n}", asks="@a", created="1") for n in range(2)]
    refused = refusal(only(service(asks="@a", created="2"), [A, B], full))
    assert refused.reason is Reason.POOL_EXHAUSTED
    assert refused.message.startswith('pool "a" is exhausted: all 2 IPv4 addresses are in use')
    assert held(only(service(created="2"), [A, B], full)) == "198.51.100.1"


def test_a_freed_address_is_the_next_one_given() -> None:
    """Lowest first, as MetalLB does: no cursor, no rest for an address."""
    allocator = Allocator([pool("a", "192.0.2.1-192.0.2.9")], {})
    allocator.edit(by_name(service(f"s{n}") for n in range(5)))
    for gone in ("s3", "s1"):
        allocator.converge(name_of(gone), None)
    given = [held(allocator.converge(name_of(f"t{n}"), service(f"t{n}"))[0]) for n in range(3)]
    assert given == ["192.0.2.2", "192.0.2.4", "192.0.2.6"]


QUOTA = pool("few", "10.0.0.1-10.0.0.9", allocation=serving(max_per_namespace=2))


def test_a_namespace_gets_no_more_services_of_a_pool_than_its_quota() -> None:
    """The third of a namespace is refused and told so; another namespace is served."""
    services = [service(f"{space}/s{n}") for space in ("one", "two") for n in range(3)]
    outcomes = decide(services, [QUOTA])
    assert [bool(outcome.lease) for outcome in outcomes.values()] == [True, True, False] * 2
    refused = refusal(outcomes[name_of("one/s2")])
    assert refused.reason is Reason.QUOTA_EXCEEDED
    assert 'pool "few" serves at most 2 Services of one namespace' in refused.message


@pytest.mark.parametrize(
    ("asks", "gets"),
    [
        pytest.param("", "192.0.2.1", id="unasked: the next pool"),
        pytest.param("@few", "", id="by pool"),
        pytest.param("10.0.0.9", "", id="by address"),
    ],
)
def test_a_quota_holds_however_the_pool_is_reached(asks: str, gets: str) -> None:
    """A quota closes the pool, and only that pool."""
    first = [service(f"s{n}", created="1") for n in range(2)]
    assert held(only(service(asks=asks, created="2"), [A, QUOTA], first)) == gets


def test_a_quota_is_counted_in_services_and_not_in_addresses() -> None:
    """Sharers of one address count each."""
    sharers = [service(f"s{n}", key="k", ports=(), created="1") for n in range(3)]
    outcomes = decide(sharers, [QUOTA])
    assert sum(outcome.lease is not None for outcome in outcomes.values()) == 2
