"""Who waits is served when what it waits for comes, and nobody else is looked at."""

from dataclasses import replace

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.decisions.allocation.course import Course
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import ObjectName, Service
from exabgp_metallb.values.outcome import LeaseChange, Outcome
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions.builders import (
    TCP_80,
    TCP_443,
    UDP_80,
    addresses,
    by_name,
    held,
    labels,
    name_of,
    namespaces,
    pool,
    selector,
    service,
    serving,
)

ONE = pool("one", "192.0.2.1")
FEW = pool("few", "10.0.0.1-10.0.0.9", allocation=serving(max_per_namespace=1))


def filled(services: list[Service], pools: list[Pool]) -> Allocator:
    """Return an allocator with Services in the order of their age."""
    allocator = Allocator(pools, namespaces(default="team=a"))
    aged = [replace(each, created=str(n)) for n, each in enumerate(services)]
    allocator.edit(by_name(aged))
    return allocator


def gained(outcomes: tuple[Outcome, ...]) -> dict[str, str]:
    """Return what whom an edit gave anything has now."""
    lost = (LeaseChange.KEPT, LeaseChange.CLEARED)
    return {each.service.name: held(each) for each in outcomes if each.change not in lost}


@pytest.mark.parametrize(
    ("services", "pools", "edit", "gets"),
    [
        pytest.param(
            [service("a"), service("b")], [ONE], None, {"b": "192.0.2.1"}, id="holder deleted"
        ),
        pytest.param(
            [service("a"), service("b")],
            [ONE],
            service("a", is_load_balancer=False),
            {"b": "192.0.2.1"},
            id="holder of another type",
        ),
        pytest.param(
            [service("a"), service("b"), service("c")],
            [ONE],
            None,
            {"b": "192.0.2.1"},
            id="the oldest of those that wait",
        ),
        pytest.param(
            [service("a"), service("b", key="k"), service("c"), service("d", key="k", ports=())],
            [ONE],
            None,
            {"b": "192.0.2.1", "d": "192.0.2.1"},
            id="the oldest, and who may share with it",
        ),
        pytest.param(
            [service("a", key="k"), service("b", key="k"), service("c", key="k", ports=(UDP_80,))],
            [ONE],
            service("a", key="k", ports=(UDP_80,)),
            {"b": "192.0.2.1"},
            id="a port comes free",
        ),
        pytest.param(
            [service("a"), service("b", asks="192.0.2.1")],
            [ONE],
            None,
            {"b": "192.0.2.1"},
            id="asks",
        ),
        pytest.param(
            [service("a"), service("b", asks="@one")], [ONE], None, {"b": "192.0.2.1"}, id="@pool"
        ),
        pytest.param(
            [service("a", asks="@few"), service("b", asks="@few")],
            [ONE, FEW],
            service("a", asks="@one"),
            {"a": "192.0.2.1", "b": "10.0.0.1"},
            id="a quota, when a Service moves to another pool",
        ),
        pytest.param(
            [service("a", asks="@few"), service("b", asks="10.0.0.5")],
            [ONE, FEW],
            service("a", asks="@one"),
            {"a": "192.0.2.1", "b": "10.0.0.5"},
            id="a quota, for who asks for an address",
        ),
        pytest.param(
            [
                service("a", key="k", ports=(TCP_443, TCP_80)),
                service("b", key="k"),
                service("c", key="k", ports=(TCP_443,)),
            ],
            [ONE],
            service("a", key="k"),
            {"c": "192.0.2.1"},
            id="a port comes free that the oldest does not want",
        ),
        pytest.param(
            [service("a"), service("b"), service("c")],
            [ONE],
            service("a", asks="192.0.2.9"),
            {"b": "192.0.2.1"},
            id="holder asks for another address",
        ),
        pytest.param(
            [service("a"), service("b", ip="46", dual="require")],
            [pool("p", "192.0.2.1 2001:db8::1")],
            None,
            {"b": "192.0.2.1 2001:db8::1"},
            id="a pair",
        ),
    ],
)
def test_a_change_of_the_first_service(
    services: list[Service], pools: list[Pool], edit: Service | None, gets: dict[str, str]
) -> None:
    """What it gives up is given out within the same edit."""
    allocator = filled(services, pools)
    edit = replace(edit, created="0") if edit else None
    assert gained(allocator.converge(name_of("a"), edit)) == gets


def test_an_edit_of_the_pools_serves_those_that_wait() -> None:
    """In turn: a new pool, a pool asked for by name, a wider one."""
    waiting = [service("a"), service("b"), service("c", asks="@new")]
    allocator = filled(waiting, [ONE])
    new = pool("new", "198.51.100.1-198.51.100.2")
    assert gained(allocator.edit(pools=[ONE, new])) == {
        "b": "198.51.100.1",
        "c": "198.51.100.2",
    }


def test_an_edit_of_a_namespace_serves_those_that_wait() -> None:
    """Labels that match now."""
    team_b = replace(ONE, allocation=serving(namespace_selectors=(selector("team=b"),)))
    allocator = filled([service("a")], [team_b])
    assert gained(allocator.edit(namespaces=namespaces(default="team=b"))) == {"a": "192.0.2.1"}


def test_an_edit_of_its_labels_serves_a_service() -> None:
    """It is looked at for its own sake."""
    webs = replace(ONE, allocation=serving(service_selectors=(selector("app=web"),)))
    allocator = filled([service("a")], [webs])
    assert gained(allocator.converge(name_of("a"), service("a", labels=labels("app=web")))) == {
        "a": "192.0.2.1"
    }


def test_who_asks_for_a_held_address_is_told_of_each_new_holder() -> None:
    """The reason stays true while others come and go."""
    allocator = filled(
        [
            service("a", key="k"),
            service("b", key="k", ports=(UDP_80,)),
            service("c", asks="192.0.2.1"),
        ],
        [ONE],
    )
    told = allocator.outcomes[name_of("c")].refused
    assert told is not None
    assert "default/a, default/b" in told.message
    outcomes = allocator.converge(name_of("a"), None)
    told = allocator.outcomes[name_of("c")].refused
    assert told is not None
    assert told.reason is Reason.ADDRESS_IN_USE
    assert "default/a" not in told.message
    assert [each.service.name for each in outcomes if each.events] == ["c"]


def test_who_met_its_quota_while_it_waited_stands_in_nobodys_way() -> None:
    """`y/b` is first in turn, but `y/c` asked for an address and got the only place of y."""
    pools = [pool("p", "10.0.0.1-10.0.0.2", allocation=serving(max_per_namespace=1))]
    services = [
        service("v/a"),
        service("x/a"),
        service("y/b"),
        service("y/c", asks="10.0.0.1"),
        service("z/d"),
    ]
    allocator = filled(services, pools)
    assert gained(allocator.converge(name_of("v/a"), None)) == {"c": "10.0.0.1"}
    assert gained(allocator.converge(name_of("x/a"), None)) == {"d": "10.0.0.2"}
    refused = allocator.outcomes[name_of("y/b")].refused
    assert refused is not None
    assert refused.reason is Reason.QUOTA_EXCEEDED


def test_a_claim_that_comes_to_nothing_stands_in_nobodys_way() -> None:
    """While `b` is not decided yet it fills the quota; then it turns out to get nothing."""
    few = pool("few", "192.0.2.3 2001:db8::1 2001:db8::3", allocation=serving(max_per_namespace=1))
    one = service("a", ip="46", dual="require", has="2001:db8::1", asks="192.0.2.3 2001:db8::1")
    services = [one, service("b", ip="46", dual="require", has="2001:db8::3", asks="2001:db8::3")]
    allocator = filled(services, [few])
    assert list(allocator.leases) == [name_of("a")]


def test_a_change_looks_at_few_of_many_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand wait, with and without keys; one address comes free: one or two are tried."""
    allocator = Allocator([pool("p", "192.0.2.1-192.0.2.4")], {})
    services = [
        service(f"s{n:04}", created="1", key="" if n % 2 else f"k{n % 7}") for n in range(1000)
    ]
    allocator.edit(by_name(services))
    tried: list[ObjectName] = []
    settle = Allocator._settle

    def counted(self: Allocator, name: ObjectName, course: Course) -> None:
        tried.append(name)
        settle(self, name, course)

    monkeypatch.setattr(Allocator, "_settle", counted)
    for _ in range(20):
        tried.clear()
        holder = min(allocator.leases)
        outcomes = allocator.converge(holder, None)
        assert len(gained(outcomes)) == 1
        assert len(tried) <= 4


def test_a_retry_of_all_that_wait_brings_nothing() -> None:
    """`retry` is a safety net, not the mechanism."""
    allocator = filled([service("a"), service("b"), service("c", asks="192.0.2.1")], [ONE])
    outcomes = allocator.retry()
    assert {each.service.name for each in outcomes} == {"b", "c"}
    assert not gained(outcomes)
    assert not any(each.events for each in outcomes)


def test_a_snapshot_is_followed_by_its_differences() -> None:
    """Services that are gone from it are gone; what is the same is not looked at."""
    allocator = filled([service("a"), service("b")], [ONE])
    services = by_name([replace(service("b"), created="1")])
    known = namespaces(default="team=a")
    outcomes = allocator.follow(services, [ONE], known)
    assert [(each.service.name, each.change) for each in outcomes] == [
        ("a", LeaseChange.CLEARED),
        ("b", LeaseChange.GIVEN),
    ]
    assert allocator.follow(services, [ONE], known) == ()
    assert allocator.leases[name_of("b")].addresses == addresses("192.0.2.1")


def test_an_edit_that_comes_twice_changes_nothing() -> None:
    """Also of a Service that nobody ever saw."""
    allocator = filled([service("a")], [ONE])
    for _ in range(2):
        assert not gained(allocator.converge(name_of("ghost"), None))
        assert not gained(allocator.edit(pools=[ONE]))
    assert list(allocator.leases) == [name_of("a")]
