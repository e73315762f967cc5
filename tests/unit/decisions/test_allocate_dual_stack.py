"""One address or two: every ipFamilyPolicy, every kind of pool, and one family lost."""

from dataclasses import replace

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import Service
from exabgp_metallb.values.outcome import EventReason, LeaseChange
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions.builders import (
    addresses,
    by_name,
    held,
    name_of,
    only,
    pool,
    refusal,
    service,
)

DUAL = pool("dual", "192.0.2.1-192.0.2.4 2001:db8::1-2001:db8::4")
V4 = pool("v4", "198.51.100.1-198.51.100.4")
V6 = pool("v6", "fd00::1-fd00::4")
A_V4, A_V6 = replace(V4, name="a-v4"), replace(V6, name="a-v6")
BOTH = "192.0.2.1 2001:db8::1"


@pytest.mark.parametrize(
    ("one", "pools", "holds"),
    [
        pytest.param(service(), [DUAL], "192.0.2.1", id="IPv4"),
        pytest.param(service(ip="6"), [DUAL], "2001:db8::1", id="IPv6"),
        pytest.param(service(dual="prefer"), [DUAL], "192.0.2.1", id="Prefer with one clusterIP"),
        pytest.param(service(dual="require"), [DUAL], "", id="Require with one clusterIP"),
        pytest.param(service(ip="46", dual="require"), [DUAL], BOTH, id="Require"),
        pytest.param(service(ip="64", dual="require"), [DUAL], BOTH, id="Require, IPv6 first"),
        pytest.param(service(ip="46", dual="require"), [V4, V6], "", id="Require, in two pools"),
        pytest.param(
            service(ip="46", dual="require"), [A_V4, DUAL], BOTH, id="Require, second pool has both"
        ),
        pytest.param(
            service(ip="46", dual="require", asks="@v4"), [DUAL, V4], "", id="Require @v4"
        ),
        pytest.param(service(ip="46", dual="prefer"), [DUAL], BOTH, id="Prefer"),
        pytest.param(service(ip="64", dual="prefer"), [DUAL], BOTH, id="Prefer, IPv6 first"),
        pytest.param(service(ip="46", dual="prefer"), [A_V4, DUAL], BOTH, id="Prefer, second pool"),
        pytest.param(service(ip="46", dual="prefer"), [V4], "198.51.100.1", id="Prefer, IPv4 pool"),
        pytest.param(service(ip="46", dual="prefer"), [V6], "fd00::1", id="Prefer, IPv6 pool"),
        pytest.param(
            service(ip="46", dual="prefer"), [A_V6, V4], "198.51.100.1", id="Prefer, primary IPv4"
        ),
        pytest.param(
            service(ip="64", dual="prefer"), [A_V4, V6], "fd00::1", id="Prefer, primary IPv6"
        ),
        pytest.param(
            service(ip="46", dual="prefer", asks="@v6"), [DUAL, V6], "fd00::1", id="Prefer @v6"
        ),
        pytest.param(service(ip="46"), [DUAL], BOTH, id="SingleStack cannot be dual, but is both"),
        pytest.param(
            service(ip="46", dual="require", asks="2001:db8::2 192.0.2.4"),
            [DUAL],
            "2001:db8::2 192.0.2.4",
            id="a pair as asked for, in that order",
        ),
        pytest.param(
            service(ip="46", dual="require", asks="192.0.2.4 fd00::1"),
            [DUAL, V6],
            "",
            id="two pools",
        ),
        pytest.param(service(ip="46", dual="require", asks="192.0.2.4"), [DUAL], "", id="half"),
        pytest.param(
            service(ip="46", dual="prefer", asks="192.0.2.4"), [DUAL], "", id="half, Prefer"
        ),
        pytest.param(service(asks="192.0.2.4 2001:db8::1"), [DUAL], "", id="a pair for one"),
    ],
)
def test_what_a_service_gets(one: Service, pools: list[Pool], holds: str) -> None:
    """Both from one pool, IPv4 first, but for what is asked for."""
    assert held(only(one, pools)) == holds


def test_the_order_asked_for_is_kept_for_good() -> None:
    """MetalLB sorts the pair at the second look, which also moves it on layer 2."""
    asks = "2001:db8::2 192.0.2.4"
    again = service(ip="46", dual="require", asks=asks, has="192.0.2.4 2001:db8::2")
    outcome = only(again, [DUAL])
    assert (held(outcome), outcome.change) == (asks, LeaseChange.KEPT)


def test_a_prefer_service_with_one_cluster_ip_keeps_its_one_address() -> None:
    """MetalLB adds the second at one look and clears both at the next."""
    allocator = Allocator([DUAL], {})
    one = service(dual="prefer")
    for _ in range(3):
        (outcome,) = allocator.converge(one.name, one)
        assert held(outcome) == "192.0.2.1"


def test_a_prefer_service_is_told_what_it_lacks_and_gets_it_when_the_pool_turns_dual() -> None:
    """The second family comes from the same pool, the first stays, and no other pool serves."""
    single = pool("dual", "192.0.2.1-192.0.2.4")
    one = service(ip="46", dual="prefer")
    allocator = Allocator([single, V6], {})
    (outcome,) = allocator.converge(one.name, one)
    assert held(outcome) == "192.0.2.1"
    assert outcome.complaint is not None
    assert "no IPv6 addresses" in outcome.complaint.message
    assert outcome.events[-1].reason is EventReason.ADDITIONAL_ASSIGN_FAILED
    (outcome,) = allocator.edit(pools=[DUAL, V6])
    assert (held(outcome), outcome.change) == (BOTH, LeaseChange.EXTENDED)
    assert outcome.complaint is None


def test_a_second_family_comes_when_another_service_frees_it() -> None:
    """Who prefers two waits for the second."""
    allocator = Allocator([pool("p", "192.0.2.1-192.0.2.2 2001:db8::1")], {})
    allocator.edit(
        by_name([service("six", ip="6"), service("b", ip="64", dual="prefer", created="2")])
    )
    assert allocator.leases[name_of("b")].addresses == addresses("192.0.2.1")
    outcomes = allocator.converge(name_of("six"), None)
    assert held(outcomes[-1]) == "192.0.2.1 2001:db8::1"


@pytest.mark.parametrize(
    ("one", "pools", "holds"),
    [
        pytest.param(
            service(ip="46", dual="require", has="192.0.2.3 2001:db8::9"),
            [DUAL],
            "192.0.2.3 2001:db8::1",
            id="Require: the lost one is replaced",
        ),
        pytest.param(
            service(ip="46", dual="require", has="192.0.2.3 2001:db8::9"),
            [pool("dual", "192.0.2.1-192.0.2.4"), pool("other", "10.0.0.1 fd00::1")],
            "10.0.0.1 fd00::1",
            id="Require: the pool has only one family left, another has both",
        ),
        pytest.param(
            service(ip="46", dual="require", has="192.0.2.3 2001:db8::9"),
            [pool("dual", "192.0.2.1-192.0.2.4")],
            "",
            id="Require: no pool has both",
        ),
        pytest.param(
            service(ip="46", dual="prefer", has="192.0.2.3 2001:db8::9"),
            [pool("dual", "192.0.2.1-192.0.2.4"), pool("other", "10.0.0.1 fd00::1")],
            "192.0.2.3",
            id="Prefer: the one that may stay stays",
        ),
        pytest.param(
            service(ip="46", dual="require", has="192.0.2.3 fd00::3"),
            [DUAL, V6],
            "192.0.2.3 2001:db8::1",
            id="the second is of another pool now",
        ),
        pytest.param(
            service(has="192.0.2.3 2001:db8::3"), [DUAL], "192.0.2.3", id="dual turned single"
        ),
        pytest.param(
            service(ip="6", has="192.0.2.3 2001:db8::3"), [DUAL], "2001:db8::3", id="the other left"
        ),
        pytest.param(
            service(ip="46", dual="require", has="192.0.2.3"),
            [DUAL],
            "192.0.2.3 2001:db8::1",
            id="single turned dual",
        ),
        pytest.param(
            service(ip="46", dual="prefer", has="2001:db8::3"),
            [DUAL],
            "2001:db8::3 192.0.2.1",
            id="single turned dual, the first stays first",
        ),
        pytest.param(
            service(
                ip="46", dual="require", has="192.0.2.3 2001:db8::3", asks="192.0.2.3 2001:db8::4"
            ),
            [DUAL],
            "192.0.2.3 2001:db8::4",
            id="one of the pair asked for anew",
        ),
    ],
)
def test_one_family_lost_or_won(one: Service, pools: list[Pool], holds: str) -> None:
    """No address moves that may stay; a pair is of one pool or it is none."""
    assert held(only(one, pools)) == holds


def test_both_are_given_back_when_the_pool_loses_one_family_that_is_required() -> None:
    """The first is free for others at once."""
    allocator = Allocator([DUAL], {})
    allocator.converge(name_of("web"), service(ip="46", dual="require"))
    (outcome,) = allocator.edit(pools=[pool("dual", "192.0.2.1")])
    assert refusal(outcome).reason is Reason.FAMILY_MISMATCH
    assert outcome.change is LeaseChange.CLEARED
    assert held(allocator.converge(name_of("b"), service("b"))[0]) == "192.0.2.1"


def test_a_pair_that_cannot_be_had_holds_up_nobody() -> None:
    """A RequireDualStack Service that lacks IPv6 takes no IPv4 address meanwhile."""
    small = pool("p", "192.0.2.1 2001:db8::1")
    services = [
        service("six", ip="6", created="1"),
        service("pair", ip="46", dual="require", created="2"),
        service("four", created="3"),
    ]
    allocator = Allocator([small], {})
    allocator.edit(by_name(services))
    assert name_of("four") in allocator.leases
    refused = allocator.outcomes[name_of("pair")].refused
    assert refused is not None
    assert refused.reason is Reason.POOL_EXHAUSTED
    allocator.converge(name_of("six"), None)
    assert name_of("pair") not in allocator.leases
    allocator.converge(name_of("four"), None)
    assert allocator.leases[name_of("pair")].addresses == addresses(BOTH)


def test_a_pair_can_be_shared() -> None:
    """Both addresses admit the sharer, or it gets others."""
    first = service("a", ip="46", dual="require", key="k", created="1")
    second = service("b", ip="46", dual="require", key="k", ports=(), created="2")
    third = service("c", ip="46", dual="require", key="k", created="3")
    assert held(only(second, [DUAL], [first])) == BOTH
    assert held(only(third, [DUAL], [first, second])) == "192.0.2.2 2001:db8::2"
