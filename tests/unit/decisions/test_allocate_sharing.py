"""Who may hold an address together, and who has to go when that ends."""

from dataclasses import replace

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.values.objects import Service, ServicePort
from exabgp_metallb.values.outcome import LeaseChange
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions.builders import (
    TCP_80,
    TCP_443,
    UDP_80,
    by_name,
    decide,
    held,
    labels,
    name_of,
    only,
    pool,
    refusal,
    service,
)

ONE = pool("one", "192.0.2.1")
TWO = pool("two", "192.0.2.1-192.0.2.2")
FIRST = (TWO.ranges[0].at(0),)
WEB, DB = labels("app=web"), labels("app=db")


def sharer(name: str, port: ServicePort = TCP_80, *, key: str = "k", **fields: object) -> Service:
    """Return a Service with a sharing key and one port."""
    return service(name, key=key, ports=(port,), **fields)  # type: ignore[arg-type] # as they are


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        pytest.param(sharer("a"), sharer("b", UDP_80), "", id="another protocol"),
        pytest.param(sharer("a"), sharer("b", TCP_443), "", id="another port"),
        pytest.param(sharer("a"), sharer("other/b", TCP_443), "", id="another namespace"),
        pytest.param(
            sharer("a"), sharer("b"), "ports are in use already: TCP 80 by default/a", id="one port"
        ),
        pytest.param(
            sharer("a"), sharer("b", TCP_443, key="j"), 'the key "k", not "j"', id="another key"
        ),
        pytest.param(sharer("a"), service("b"), "this Service has no sharing key", id="no key"),
        pytest.param(
            service("a"), sharer("b", TCP_443), "shares it with nobody", id="holder has no key"
        ),
        pytest.param(
            sharer("a", selector=WEB), sharer("b", TCP_443, selector=DB), "", id="Cluster, Cluster"
        ),
        pytest.param(
            sharer("a", local=True, selector=WEB),
            sharer("b", TCP_443, local=True, selector=WEB),
            "",
            id="Local, Local, one selector",
        ),
        pytest.param(
            sharer("a", local=True, selector=WEB),
            sharer("b", TCP_443, local=True, selector=DB),
            "another externalTrafficPolicy, or under Local another selector",
            id="Local, Local, two selectors",
        ),
        pytest.param(
            sharer("a", local=True, selector=WEB),
            sharer("b", TCP_443, selector=WEB),
            "another externalTrafficPolicy",
            id="Local, Cluster",
        ),
        pytest.param(
            sharer("a", local=True), sharer("b", TCP_443), "", id="Local without selector, Cluster"
        ),
    ],
)
def test_whether_two_may_share(first: Service, second: Service, words: str) -> None:
    """The second asks for the address of the first, and is told who is in the way and why."""
    asking = replace(second, request=replace(second.request, addresses=FIRST), created="2")
    outcome = only(asking, [TWO], [replace(first, created="1")])
    if not words:
        assert held(outcome) == "192.0.2.1"
        return
    assert refusal(outcome).reason is Reason.ADDRESS_IN_USE
    assert f"192.0.2.1 is held by {first.name}" in refusal(outcome).message
    assert words in refusal(outcome).message


def test_unasked_the_lowest_free_or_shareable_address_is_taken() -> None:
    """One key does not mean one address: who fits nowhere gets the next free one."""
    services = [
        sharer("a", created="1"),
        sharer("b", created="2"),
        sharer("c", UDP_80, created="3"),
        service("d", created="4"),
    ]
    outcomes = decide(services, [pool("p", "192.0.2.1-192.0.2.9")])
    assert [held(o)[-1] for o in outcomes.values()] == ["1", "2", "1", "3"]


def test_a_free_address_below_a_shared_one_is_taken_first() -> None:
    """Lowest first, free or shareable."""
    allocator = Allocator([pool("p", "192.0.2.1-192.0.2.9")], {})
    allocator.edit(by_name([service("low", created="1"), sharer("a", created="2")]))
    allocator.converge(name_of("low"), None)
    assert held(allocator.converge(name_of("b"), sharer("b", UDP_80))[0]) == "192.0.2.1"


def test_a_service_with_two_protocols_on_a_port_stands_for_itself() -> None:
    """Mixed protocols of one Service are no conflict."""
    assert held(only(service(ports=(TCP_80, UDP_80)), [ONE])) == "192.0.2.1"


def pair() -> Allocator:
    """Return an allocator with `a` and `b` sharing 192.0.2.1 of two addresses."""
    allocator = Allocator([TWO], {})
    allocator.edit(by_name([sharer("a"), sharer("b", TCP_443)]))
    assert allocator.leases[name_of("b")].addresses == allocator.leases[name_of("a")].addresses
    return allocator


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param(sharer("b", TCP_443, key="j"), id="key"),
        pytest.param(service("b", ports=(TCP_443,)), id="no key"),
        pytest.param(sharer("b", TCP_80), id="port"),
        pytest.param(sharer("b", TCP_443, local=True, selector=WEB), id="traffic policy"),
    ],
)
def test_who_breaks_the_agreement_moves(edited: Service) -> None:
    """The Service that was edited goes; its fellow stays."""
    allocator = pair()
    (outcome,) = allocator.converge(edited.name, edited)
    assert (held(outcome), outcome.change) == ("192.0.2.2", LeaseChange.MOVED)
    assert allocator.leases[name_of("a")].addresses == FIRST


def test_a_sole_holder_changes_its_terms_in_place() -> None:
    """Nobody else is concerned."""
    allocator = Allocator([TWO], {})
    allocator.converge(name_of("a"), sharer("a"))
    (outcome,) = allocator.converge(name_of("a"), sharer("a", TCP_443, key="j"))
    assert (held(outcome), outcome.change) == ("192.0.2.1", LeaseChange.KEPT)
    assert allocator.leases[name_of("a")].sharing_key == "j"


def test_fellows_that_change_their_key_together_stay_together() -> None:
    """A burst of events is one decision."""
    allocator = pair()
    allocator.edit(by_name([sharer("a", key="j"), sharer("b", TCP_443, key="j")]))
    assert {lease.addresses for lease in allocator.leases.values()} == {FIRST}


def test_of_several_edited_at_once_who_keeps_the_agreement_stays() -> None:
    """Age does not count here: `a` is older and leaves, since only its terms are new."""
    allocator = pair()
    allocator.edit(by_name([sharer("a", key="j"), sharer("b", TCP_443, labels=WEB)]))
    assert allocator.leases[name_of("b")].addresses == FIRST
    assert allocator.leases[name_of("a")].addresses != FIRST


def test_a_changed_key_lets_a_pending_sharer_in() -> None:
    """What stood in the way was the key, and now it does not."""
    allocator = Allocator([ONE], {})
    allocator.edit(by_name([service("a"), sharer("b", TCP_443)]))
    assert name_of("b") not in allocator.leases
    outcomes = allocator.converge(name_of("a"), sharer("a"))
    assert {str(each.service): held(each) for each in outcomes} == {
        "default/a": "192.0.2.1",
        "default/b": "192.0.2.1",
    }


def test_a_shared_address_is_free_when_the_last_holder_goes() -> None:
    """Not before."""
    allocator = pair()
    allocator.edit(pools=[ONE])
    allocator.converge(name_of("c"), service("c"))
    for name, gets in (("a", False), ("b", True)):
        allocator.converge(name_of(name), None)
        assert (name_of("c") in allocator.leases) is gets


def test_a_shared_address_counts_once() -> None:
    """In the counters of the pool."""
    usage = pair().usage()["two"]
    assert (usage.assigned_ipv4, usage.available_ipv4) == (1, 1)
