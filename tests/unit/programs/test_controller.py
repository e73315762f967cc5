"""The controller before a cluster in memory, whose every answer the test chooses."""

import copy

import pytest

from exabgp_metallb.adapters.source import Away, Back
from exabgp_metallb.parsing.core import ALLOCATED_FROM_POOL, PREFIX
from exabgp_metallb.programs.controller import Stop, Told
from exabgp_metallb.programs.summaries import LOOK_SECONDS
from exabgp_metallb.values.objects import ObjectName
from tests.unit.programs.cluster import MemoryCluster, Raw, pool, service
from tests.unit.programs.told import Told as Log

A, B, WEB = (ObjectName("default", name) for name in ("a", "b", "web"))
POOL = pool("public", "192.0.2.0/30")
TAKEN = {PREFIX + ALLOCATED_FROM_POOL: "public"}


def ip(address: str) -> Raw:
    """Return an entry of ingress."""
    return {"ip": address, "ipMode": "VIP"}


def test_a_service_gets_an_address_a_condition_and_an_event() -> None:
    """And the Event comes when the address is there."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    assert cluster.subjects()[0] == WEB
    assert cluster.told_owners == []
    cluster.settle()
    assert cluster.addresses("web") == ["192.0.2.0"]
    assert cluster.raw("web")["metadata"]["annotations"] == TAKEN
    condition = cluster.condition("web")
    assert condition["status"] == "True"
    assert condition["message"] == "192.0.2.0 from IPAddressPool public"
    assert cluster.events("web") == [("IPAllocated", 'assigned 192.0.2.0 from pool "public"')]
    assert cluster.statuses == 1


@pytest.mark.parametrize("count", [2, 6], ids=["all have addresses", "two are pending"])
def test_a_restart_writes_nothing_and_tells_nothing(count: int) -> None:
    """What is shown is what is decided again, also of those that wait."""
    cluster = MemoryCluster(POOL, *(service(f"web-{n}", created=n) for n in range(count)))
    cluster.lead()
    before = (cluster.statuses, list(cluster.told_owners), copy.deepcopy(cluster.objects))
    states = len(cluster.states)
    for _ in range(3):
        cluster.restart()
        cluster.lead()
    assert (cluster.statuses, cluster.told_owners, cluster.objects) == before
    assert len(cluster.states) == states


def test_a_conflict_is_decided_again_from_the_newer_object() -> None:
    """The owner asked for another address while ours was on its way."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.edit("web", loadBalancerIP="192.0.2.3")
    cluster.answer(key=WEB)
    cluster.settle()
    assert cluster.addresses("web") == ["192.0.2.3"]
    assert cluster.statuses == 1
    assert [reason for reason, _ in cluster.events("web")][-1] == "IPAllocated"


def test_a_conflict_that_changes_nothing_for_us_is_written_at_once() -> None:
    """Somebody else's field: no time has to pass."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.edit("web", sessionAffinity="ClientIP")
    cluster.answer(key=WEB)
    cluster.turn()
    assert cluster.subjects().count(WEB) == 1
    cluster.answer(key=WEB)
    cluster.turn()
    assert cluster.addresses("web") == ["192.0.2.0"]


def test_a_write_whose_answer_is_lost_is_settled_by_the_watch() -> None:
    """It was done: nothing more is written, and the owner is told."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.answer(key=WEB, how="done, answer lost")
    cluster.settle()
    assert cluster.statuses == 1
    assert [reason for reason, _ in cluster.events("web")] == ["IPAllocated"]


def test_a_write_that_was_never_done_is_made_again_later() -> None:
    """Nothing newer is seen, so it is repeated, bound to the same version."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.answer(key=WEB, how="lost")
    cluster.turn(0.5)
    assert WEB not in cluster.subjects()
    cluster.settle()
    assert cluster.addresses("web") == ["192.0.2.0"]
    assert cluster.statuses == 1


def test_an_address_that_may_be_shown_is_given_to_nobody_else() -> None:
    """A write of it was lost; its Service is to have another one now, and it goes to the next."""
    cluster = MemoryCluster(pool("public", "192.0.2.0/31"), service("a"))
    cluster.elect()
    cluster.deaf = True
    cluster.answer(key=A, how="done, answer lost")
    cluster.turn()
    cluster.deaf = False
    cluster.put(service("b", created=1))
    cluster.turn()
    assert B in cluster.subjects()  # the other address
    cluster.edit("b", loadBalancerIP="192.0.2.0")
    cluster.settle()
    assert cluster.addresses("a") == ["192.0.2.0"]
    assert cluster.addresses("b") == []
    assert "default/a" in cluster.condition("b")["message"]


def test_what_the_watch_tells_from_before_a_write_is_dropped() -> None:
    """Else the Service would seem to have lost its address, and be written once more."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.deaf = True
    cluster.edit("web", sessionAffinity="ClientIP")
    cluster.answer(key=WEB)  # a conflict, whose newer object is not heard yet
    cluster.turn()
    old = copy.deepcopy(cluster.objects)
    cluster.deaf = False
    cluster.put(cluster.raw("web"))
    cluster.turn()
    cluster.answer(key=WEB)
    cluster.turn()
    cluster.tell_lists(old)
    cluster.settle()
    assert cluster.statuses == 1
    assert cluster.addresses("web") == ["192.0.2.0"]


def test_a_list_from_before_a_write_takes_no_address_back() -> None:
    """It was read before, and heard after the answer; the address stays with its Service."""
    cluster = MemoryCluster(pool("public", "192.0.2.0/32"), service("a"))
    cluster.elect()
    before = copy.deepcopy(cluster.objects)
    cluster.deaf = True
    cluster.answer(key=A)
    cluster.turn()
    cluster.deaf = False
    cluster.tell_lists(before)
    cluster.put(service("b", created=1))
    cluster.settle()
    assert cluster.addresses("a") == ["192.0.2.0"]
    assert cluster.addresses("b") == []
    assert cluster.statuses == 2  # one of each


def test_a_leader_that_is_deposed_in_mid_write_waits_for_it() -> None:
    """Its next term reads the cluster when nothing of the last one is on its way any more."""
    cluster = MemoryCluster(POOL, service("a"), service("b", created=1))
    cluster.elect()
    cluster.answer(key=A)
    cluster.elect(leads=False)
    assert B in cluster.subjects()
    cluster.elect()
    assert not cluster.leads()
    while cluster.flying:
        cluster.answer()
    cluster.settle()
    assert cluster.leads()
    assert cluster.addresses("a") == ["192.0.2.0"]
    assert cluster.addresses("b") == ["192.0.2.1"]
    assert cluster.statuses == 2


def test_a_replica_that_does_not_lead_writes_nothing() -> None:
    """And reads nothing; it is ready to."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.turn()
    assert cluster.flying == []
    cluster.lead()
    cluster.elect(leads=False)
    cluster.put(service("late"))
    cluster.turn(60.0)
    assert cluster.flying == []
    assert cluster.vitals.waiting_for == ()


def test_what_an_old_source_still_tells_is_dropped() -> None:
    """Only the source of this term counts."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.lead()
    cluster.inbox.put(Told(0, Away("Service", "long ago")))
    cluster.turn()
    assert not cluster.vitals.stale


def test_what_a_forerunner_wrote_is_kept() -> None:
    """This replica has led before, and knew less then."""
    cluster = MemoryCluster(pool("public", "192.0.2.0/32"), service("a"))
    cluster.elect()
    cluster.elect(leads=False)
    while cluster.flying:
        cluster.answer(how="refused")
    cluster.put(service("b", ip("192.0.2.0"), created=1, annotations=TAKEN))
    cluster.lead()
    assert cluster.addresses("b") == ["192.0.2.0"]
    assert cluster.addresses("a") == []


FOREIGN: dict[str, tuple[Raw, str]] = {
    "a host name": ({"hostname": "lb.example.com"}, "lb.example.com"),
    "an address of no pool": (ip("203.0.113.9"), "203.0.113.9"),
    "an address of another's Service": (ip("192.0.2.0"), "192.0.2.0"),
}


@pytest.mark.parametrize(("ingress", "shown"), FOREIGN.values(), ids=FOREIGN)
def test_what_somebody_else_wrote_before_we_came_is_replaced(ingress: Raw, shown: str) -> None:
    """Its owner is told what was there."""
    first = service("first", ip("192.0.2.0"), annotations=TAKEN)
    cluster = MemoryCluster(POOL, first, service("web", ingress, created=9))
    cluster.lead()
    assert cluster.addresses("first") == ["192.0.2.0"]
    assert cluster.addresses("web") == ["192.0.2.1"]
    assert any(shown in message for _, message in cluster.events("web"))
    assert cluster.condition("web")["status"] == "True"


@pytest.mark.parametrize("ingress", [ingress for ingress, _ in FOREIGN.values()], ids=FOREIGN)
def test_what_somebody_else_writes_over_a_decision_is_undone(ingress: Raw) -> None:
    """Each time; nobody else's address changes."""
    first = service("first", ip("192.0.2.0"), annotations=TAKEN)
    cluster = MemoryCluster(POOL, first, service("web", created=9))
    cluster.lead()
    for _ in range(3):
        raw = copy.deepcopy(cluster.raw("web"))
        raw["status"]["loadBalancer"]["ingress"] = [ingress]
        cluster.put(raw)
        cluster.settle()
        assert cluster.addresses("web") == ["192.0.2.1"]
        assert cluster.addresses("first") == ["192.0.2.0"]
    assert len(cluster.events("web")) <= 4


def test_a_fight_over_a_status_is_not_fought_at_full_speed() -> None:
    """Another controller thinks that the Service is its own."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.lead()
    for _ in range(1000):
        raw = copy.deepcopy(cluster.raw("web"))
        raw["status"]["loadBalancer"]["ingress"] = [ip("203.0.113.9")]
        cluster.put(raw)
        cluster.turn(0.01)
        while cluster.flying:
            cluster.answer()
        cluster.turn()
    assert cluster.statuses <= 62
    for _ in range(3):
        cluster.settle(2.0)
    assert cluster.addresses("web") == ["192.0.2.0"]


@pytest.mark.parametrize("left", ["192.0.2.1", None], ids=["another is free", "none is free"])
def test_of_two_that_claim_one_address_the_older_keeps_it(left: str | None) -> None:
    """The other is told by whom it is held, gives it up, and gets what there is."""
    only = pool("public", "192.0.2.0/31" if left else "192.0.2.0/32")
    older = service("zz", ip("192.0.2.0"), created=1, annotations=TAKEN)
    younger = service("aa", ip("192.0.2.0"), created=2, annotations=TAKEN)
    cluster = MemoryCluster(only, younger, older)
    cluster.lead()
    assert cluster.addresses("zz") == ["192.0.2.0"]
    assert cluster.addresses("aa") == ([left] if left else [])
    reasons = [reason for reason, _ in cluster.events("aa")]
    assert reasons == ["ClearAssignment", "IPAllocated" if left else "AllocationFailed"]
    assert "default/zz" in cluster.events("aa")[0][1]
    assert cluster.condition("aa")["status"] == ("True" if left else "False")
    assert cluster.events("zz") == []


@pytest.mark.parametrize("lb_class", [None, "example.com/metallb"])
def test_a_service_that_changes_its_type_leaves_nothing_behind(lb_class: str | None) -> None:
    """MetalLB leaks the address where Services have a class, which goes with the type."""
    only = pool("public", "192.0.2.0/32")
    web = service("web")
    waiting = service("waiting", created=1)
    for raw in (web, waiting):
        raw["spec"]["loadBalancerClass"] = lb_class
    cluster = MemoryCluster(only, web, waiting, lb_class=lb_class)
    cluster.lead()
    assert cluster.addresses("web") == ["192.0.2.0"]
    cluster.edit("web", type="ClusterIP", loadBalancerClass=None)
    cluster.settle()
    assert cluster.addresses("web") == []
    assert cluster.condition("web") == {}
    assert PREFIX + ALLOCATED_FROM_POOL not in cluster.raw("web")["metadata"]["annotations"]
    assert cluster.addresses("waiting") == ["192.0.2.0"]
    assert [reason for reason, _ in cluster.events("web")] == ["IPAllocated", "ClearAssignment"]


def test_a_service_that_changed_its_type_while_nobody_led_is_cleaned_up() -> None:
    """Its annotation tells that it was ours."""
    web = service("web", ip("192.0.2.0"), annotations=TAKEN)
    web["spec"]["type"] = "ClusterIP"
    cluster = MemoryCluster(POOL, web)
    cluster.lead()
    assert cluster.addresses("web") == []
    assert cluster.raw("web")["metadata"]["annotations"] == {}


def test_a_service_of_another_class_is_left_alone() -> None:
    """Whatever it shows."""
    web = service("web", ip("203.0.113.9"))
    web["spec"]["loadBalancerClass"] = "example.com/other"
    cluster = MemoryCluster(POOL, web)
    cluster.lead()
    assert cluster.statuses == 0
    assert cluster.addresses("web") == ["203.0.113.9"]


def test_services_that_ask_for_each_others_address_get_it() -> None:
    """At no moment do both show one; each is written twice."""
    cluster = MemoryCluster(POOL, service("a"), service("b", created=1))
    cluster.lead()
    cluster.edit("a", loadBalancerIP="192.0.2.1")
    cluster.edit("b", loadBalancerIP="192.0.2.0")
    cluster.turn()
    while cluster.flying:
        cluster.answer()
        cluster.turn()
        assert cluster.addresses("a") != cluster.addresses("b") or not cluster.addresses("a")
    assert cluster.addresses("a") == ["192.0.2.1"]
    assert cluster.addresses("b") == ["192.0.2.0"]


def test_a_freed_address_is_given_when_it_is_seen_to_be_free() -> None:
    """The Service that is deleted shows it to the last."""
    cluster = MemoryCluster(pool("public", "192.0.2.0/32"), service("a"), service("b", created=1))
    cluster.lead()
    assert cluster.addresses("b") == []
    cluster.delete("a")
    cluster.settle()
    assert cluster.addresses("b") == ["192.0.2.0"]
    assert [r for r, _ in cluster.events("b")] == ["AllocationFailed", "IPAllocated"]


def test_a_service_deleted_while_a_write_is_on_its_way_is_no_trouble() -> None:
    """One of the same name may come at once; it gets its own answer."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.delete("web")
    cluster.put(service("web"))
    cluster.turn()
    cluster.settle()
    assert cluster.addresses("web") == ["192.0.2.0"]


def test_a_refused_write_is_told_once_and_tried_later_each_time(told: Log) -> None:
    """A missing right is no reason to flood the API or the log."""
    cluster = MemoryCluster(POOL, *(service(f"web-{n}") for n in range(3)))
    cluster.elect()
    attempts = 0
    for _ in range(300):
        while cluster.flying:
            attempts += isinstance(cluster.flying[0][1], ObjectName)
            refused = isinstance(cluster.flying[0][1], ObjectName)
            cluster.answer(how="refused" if refused else "done")
        cluster.turn(1.0)
    assert attempts <= 3 * 12  # at 0, 1, 3, 7, 15, 31, 63, and then each minute
    refusals = [line for line in told.lines if "cannot patch" in line]
    assert 1 <= len(refusals) <= 6
    assert "17 more like this" in refusals[1]
    assert cluster.told_owners == []
    cluster.settle(61.0)
    assert cluster.addresses("web-0") == ["192.0.2.0"]


def test_a_service_that_is_edited_in_a_loop_gets_few_events() -> None:
    """Its condition always has the last word."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.lead()
    for turn in range(100):
        cluster.edit("web", loadBalancerIP=f"192.0.2.{turn % 4}")
        cluster.settle(0.1)
    cluster.settle(10.0)
    cluster.turn(10.0)
    cluster.settle(10.0)
    assert cluster.addresses("web") == ["192.0.2.3"]
    assert len(cluster.events("web")) <= 26
    assert "192.0.2.3" in cluster.condition("web")["message"]


def test_an_event_without_an_answer_is_sent_again_and_told_once() -> None:
    """By its name the API knows it again."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.elect()
    cluster.answer(key=WEB)
    cluster.turn()
    for how in ("lost", "done, answer lost"):
        index = next(i for i, (*_, request) in enumerate(cluster.flying) if request.may_wait)
        cluster.answer(index, how)
        cluster.turn()
        cluster.turn(30.0)
    cluster.settle()
    assert [reason for reason, _ in cluster.events("web")] == ["IPAllocated"]


def test_those_that_wait_are_not_told_again_when_it_is_the_same_again() -> None:
    """Others come and go; there is still no room."""
    cluster = MemoryCluster(
        pool("public", "192.0.2.0/32"), service("a"), service("waiting", created=1)
    )
    cluster.lead()
    told = cluster.events("waiting")
    for number in range(10):
        cluster.put(service(f"late-{number}", created=2))
        cluster.settle(0.1)
    cluster.elect(leads=False)
    cluster.lead()
    assert cluster.events("waiting") == told
    assert [reason for reason, _ in told] == ["AllocationFailed"]


def test_the_time_of_a_condition_is_when_it_began_to_hold() -> None:
    """Another address does not change it; meta/v1 Condition."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.lead()
    since = cluster.condition("web")["lastTransitionTime"]
    cluster.edit("web", loadBalancerIP="192.0.2.2")
    cluster.settle(10.0)
    assert cluster.condition("web")["message"].startswith("192.0.2.2")
    assert cluster.condition("web")["lastTransitionTime"] == since
    cluster.edit("web", loadBalancerIP="203.0.113.9")
    cluster.settle(10.0)
    assert cluster.condition("web")["status"] == "False"
    assert cluster.condition("web")["lastTransitionTime"] > since


def test_counters_are_written_where_they_changed() -> None:
    """And for a pool that was deleted and came back."""
    cluster = MemoryCluster(POOL, pool("other", "198.51.100.0/32", autoAssign=False))
    cluster.lead()
    assert sorted(name for name, _ in cluster.counters) == ["other", "public"]
    cluster.counters.clear()
    cluster.put(service("web"))
    cluster.settle()
    full = {"assignedIPv4": 1, "assignedIPv6": 0, "availableIPv4": 3, "availableIPv6": 0}
    assert cluster.counters == [("public", full)]
    cluster.delete("other", "IPAddressPool")
    cluster.put(pool("other", "198.51.100.0/32", autoAssign=False))
    cluster.settle()
    assert [name for name, _ in cluster.counters] == ["public", "other"]


def test_the_configuration_state_is_written_when_it_differs() -> None:
    """Its time is that of the change from valid to not, and back."""
    cluster = MemoryCluster(POOL)
    cluster.lead()
    assert cluster.state is not None
    assert cluster.state["status"]["result"] == "Valid"
    since = cluster.state["status"]["conditions"][0]["lastTransitionTime"]
    cluster.put(pool("wrong", "192.0.2.300/32"))
    cluster.settle()
    assert cluster.state["status"]["result"] == "Invalid"
    assert "192.0.2.300" in cluster.state["status"]["errorSummary"]
    assert cluster.state["status"]["conditions"][0]["lastTransitionTime"] > since
    assert cluster.vitals.stale
    writes = len(cluster.states)
    cluster.restart()
    cluster.lead()
    assert len(cluster.states) == writes
    cluster.delete("wrong", "IPAddressPool")
    cluster.settle()
    assert cluster.state["status"]["result"] == "Valid"


def results(cluster: MemoryCluster) -> list[str]:
    """Return what the ConfigurationState says, if it is there."""
    return [] if cluster.state is None else [cluster.state["status"]["result"]]


def test_a_configuration_state_that_somebody_deleted_is_written_anew() -> None:
    """MetalLB's object has the same name, and goes with the pod that owns it."""
    cluster = MemoryCluster(POOL)
    cluster.lead()
    cluster.state = None
    cluster.turn(LOOK_SECONDS)
    cluster.settle()
    assert results(cluster) == ["Valid"]
    writes = len(cluster.states)
    cluster.turn(LOOK_SECONDS)
    cluster.settle()
    assert len(cluster.states) == writes


def test_pools_of_a_legacy_configuration_have_no_status() -> None:
    """There is no object to write it to."""
    text = "address-pools:\n- name: old\n  protocol: layer2\n  addresses: [192.0.2.0/30]\n"
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "config", "namespace": "metallb-system"},
        "data": {"config": text},
    }
    cluster = MemoryCluster(config, service("web"))
    cluster.lead()
    assert cluster.addresses("web") == ["192.0.2.0"]
    assert cluster.counters == []


def test_vitals_tell_how_full_pools_are_and_what_is_away() -> None:
    """For metrics and probes."""
    cluster = MemoryCluster(POOL, service("web"))
    cluster.lead()
    vitals = cluster.vitals
    assert cluster.leads()
    assert vitals.loaded
    assert not vitals.stale
    assert vitals.waiting_for == ()
    assert vitals.usage["public"].assigned_ipv4 == 1
    assert vitals.updates == 1
    cluster.inbox.put(Told(1, Away("Service", "gone fishing")))
    cluster.turn()
    assert cluster.vitals.away == {"Service"}
    assert cluster.vitals.stale
    cluster.inbox.put(Told(1, Back("Service")))
    cluster.turn()
    assert not cluster.vitals.stale


def test_a_thread_that_dies_ends_the_program() -> None:
    """With its own error; the supervisor starts us again."""
    cluster = MemoryCluster(POOL)
    cluster.lead()
    cluster.inbox.put(ZeroDivisionError("at the edge"))
    with pytest.raises(ZeroDivisionError):
        cluster.controller.run()


def test_it_ends_when_told_to() -> None:
    """And its source ends with it."""
    cluster = MemoryCluster(POOL)
    cluster.lead()
    cluster.inbox.put(Stop())
    cluster.controller.run()
    cluster.put(service("late"))
    assert cluster.inbox.qsize() == 0
