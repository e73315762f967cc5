"""What is written to the API, word for word; what answers mean; and which rights all that takes."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import yaml

from exabgp_metallb.adapters.kubernetes import kinds, writes
from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection, Response
from exabgp_metallb.adapters.kubernetes.election import LEASE_NAME, Election
from exabgp_metallb.adapters.kubernetes.writes import CONTROLLER, Request, Sent, Writers
from exabgp_metallb.decisions.leadership import Leadership, Times
from exabgp_metallb.errors import SourceError
from exabgp_metallb.programs.tenure import KINDS
from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Event, EventReason, PoolUsage
from exabgp_metallb.values.publication import Showing, StatusWrite
from exabgp_metallb.values.reasons import Reason
from exabgp_metallb.values.statuses import ConfigurationVerdict

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
NAME = ObjectName("shop", "web")
RBAC = Path(__file__).parents[3] / "etc" / "kubernetes" / "rbac" / "controller.yaml"
HOLDS = Condition(holds=True, reason="Allocated", message="192.0.2.1 from IPAddressPool public")
FAILS = Condition(holds=False, reason="PoolExhausted", message="none is left")
BOTH = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
GIVEN = Showing(addresses=BOTH, pool="public", condition=HOLDS)
PATIENCE_SECONDS = 60.0

CONDITION = {
    "type": "metallb.io/AddressAllocated",
    "status": "True",
    "reason": "Allocated",
    "message": "192.0.2.1 from IPAddressPool public",
}
SINCE = {"lastTransitionTime": "2024-05-06T07:08:09Z"}
INGRESS = [{"ip": "192.0.2.1", "ipMode": "VIP"}, {"ip": "2001:db8::1", "ipMode": "VIP"}]
GONE = {"type": "metallb.io/AddressAllocated", "$patch": "delete"}
REFUSED = {"status": "False", "reason": "PoolExhausted", "message": "none is left"}

STATUSES: dict[str, tuple[Showing, Showing, Any, Any]] = {
    "given": (Showing(), GIVEN, INGRESS, [{**CONDITION, **SINCE}]),
    "given, and it was refused before": (
        Showing(condition=FAILS),
        GIVEN,
        INGRESS,
        [{**CONDITION, **SINCE}],
    ),
    "moved: the condition holds since then": (
        Showing(condition=replace(HOLDS, message="another")),
        GIVEN,
        INGRESS,
        [CONDITION],
    ),
    "taken back, with a reason": (
        GIVEN,
        Showing(condition=FAILS),
        None,
        [{**CONDITION, **REFUSED, **SINCE}],
    ),
    "no load balancer any more": (GIVEN, Showing(), None, [GONE]),
    "nothing was there but addresses": (Showing(addresses=BOTH), Showing(), None, None),
}


@pytest.mark.parametrize(
    ("before", "showing", "ingress", "conditions"), STATUSES.values(), ids=STATUSES
)
def test_the_status_of_a_service(
    before: Showing, showing: Showing, ingress: object, conditions: object
) -> None:
    """Bound to a version; annotation, addresses and condition in one request."""
    request = writes.service_status(StatusWrite(NAME, showing, before), "42", NOW)
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/shop/services/web/status"
    assert request.content_type == "application/strategic-merge-patch+json"
    status: dict[str, object] = {"loadBalancer": {"ingress": ingress}}
    if conditions is not None:
        status["conditions"] = conditions
    assert request.body == {
        "metadata": {
            "resourceVersion": "42",
            "annotations": {"metallb.io/ip-allocated-from-pool": showing.pool},
        },
        "status": status,
    }


@pytest.mark.parametrize("reason", [*Reason, "Allocated", "Moving"])
def test_the_api_takes_every_reason(reason: str) -> None:
    """The pattern of meta/v1 Condition; a Service with another one could not be written at all."""
    assert re.fullmatch("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", reason)


@pytest.mark.parametrize(
    ("reason", "sort"),
    [(EventReason.IP_ALLOCATED, "Normal"), (EventReason.ALLOCATION_FAILED, "Warning")],
)
def test_an_event(reason: EventReason, sort: str) -> None:
    """From MetalLB's controller, by whose name dashboards filter."""
    request = writes.service_event(NAME, "uid-1", Event(reason, "a reason"), NOW)
    assert request.may_wait
    assert (request.method, request.path) == ("POST", "/api/v1/namespaces/shop/events")
    body = dict(request.body or {})
    name = body.pop("metadata")["name"]
    assert re.fullmatch(r"web\.[0-9a-f]{16}", name)
    assert body == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": "shop",
            "name": "web",
            "uid": "uid-1",
        },
        "reason": str(reason),
        "message": "a reason",
        "type": sort,
        "source": {"component": "metallb-controller"},
        "firstTimestamp": "2024-05-06T07:08:09Z",
        "lastTimestamp": "2024-05-06T07:08:09Z",
        "count": 1,
    }


def test_events_have_names_of_their_own() -> None:
    """Two that say different things, or at different times, are two; one sent twice is one."""
    given, failed = EventReason.IP_ALLOCATED, EventReason.ALLOCATION_FAILED
    later = NOW.replace(microsecond=7)
    names = [
        (writes.service_event(NAME, "uid-1", Event(reason, text), when).body or {})["metadata"]
        for reason, text, when in (
            (given, "a", NOW),
            (given, "b", NOW),
            (failed, "a", NOW),
            (given, "a", later),
            (given, "a", NOW),
        )
    ]
    assert len({metadata["name"] for metadata in names}) == 4
    assert names[0] == names[-1]


def test_the_counters_of_a_pool() -> None:
    """IPAddressPoolStatus, as MetalLB has it."""
    usage = PoolUsage(assigned_ipv4=1, assigned_ipv6=2, available_ipv4=3, available_ipv6=2**63 - 1)
    assert writes.pool_status("metallb-system", "public", usage) == Request(
        method="PATCH",
        path="/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools/public/status",
        body={
            "status": {
                "assignedIPv4": 1,
                "assignedIPv6": 2,
                "availableIPv4": 3,
                "availableIPv6": 9223372036854775807,
            }
        },
        content_type="application/merge-patch+json",
    )


@pytest.mark.parametrize("faults", [(), ("IPAddressPool a: wrong", "BGPPeer b: wrong too")])
def test_the_configuration_state_is_read_as_it_was_written(faults: tuple[str, ...]) -> None:
    """So the next leader sees that nothing has changed."""
    state = ConfigurationVerdict(faults, "2024-05-06T07:08:09Z")
    there, status = writes.configuration_state("metallb-system", CONTROLLER, state)
    assert there.body is not None
    assert "status" not in there.body
    assert status.body is not None
    assert status.body["status"]["result"] == ("Invalid" if faults else "Valid")
    assert status.body["status"]["errorSummary"] == "\n".join(faults)
    assert writes.state_of(status.body, CONTROLLER) == state


def test_a_configuration_state_of_somebody_else_is_none() -> None:
    """It is written as if it were not there."""
    assert writes.state_of({}, CONTROLLER) is None
    assert writes.state_of({"status": {"conditions": [{"type": "other"}]}}, CONTROLLER) is None


# What comes back.


class _Answer(Response):
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    @property
    def retry_after_seconds(self) -> float:
        return 0.0

    def body(self) -> bytes:
        return self._body

    def close(self) -> None:
        pass


class _Wire(Connection):
    """A connection that keeps what is sent, and answers from a script."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.sent: list[tuple[str, str]] = []
        self._answers = iter(answers)

    def send(
        self, method: str, path: str, body: bytes, *, content_type: str, seconds: float
    ) -> Response:
        del content_type, seconds
        self.sent.append((method, path))
        answer = next(self._answers, (201, json.loads(body) if body else {}))
        if isinstance(answer, Exception):
            raise answer
        status, found = answer
        return _Answer(status, found if isinstance(found, bytes) else json.dumps(found).encode())


STATUS = writes.service_status(StatusWrite(NAME, GIVEN), "42", NOW)
NOT_ALLOWED = {
    "kind": "Status",
    "message": 'services "web" is forbidden: User "system:serviceaccount:m:controller" cannot '
    'patch resource "services/status" in API group "" in the namespace "shop"',
}


def attempt(*answers: tuple[int, object] | Exception) -> Sent:
    """Send a status by a writer, and return what became of it."""
    wire, heard = _Wire(*answers), SimpleQueue[Sent]()
    with running(one_writer(wire, heard)) as writers:
        writers.submit(1, NAME, STATUS)
        return heard.get(timeout=PATIENCE_SECONDS)


def one_writer(
    wire: Connection, heard: "SimpleQueue[Sent]", terms: frozenset[int] = frozenset({1})
) -> Writers:
    """Return a single writer, which may write for some terms."""
    return Writers(
        wire,
        sent=heard.put,
        may_write=lambda term: term in terms,
        on_death=lambda error: heard.put(Sent(0, "death", {}, SourceError(repr(error)))),
        threads=1,
        seconds=1.0,
    )


@contextmanager
def running(writers: Writers) -> Iterator[Writers]:
    """Run a writer for the time of a `with`."""
    writers.start()
    yield writers
    assert writers.stop(PATIENCE_SECONDS)


def test_a_write_that_was_done_has_its_version() -> None:
    """By which later news is told from earlier."""
    sent = attempt((200, {"metadata": {"resourceVersion": "43"}}))
    assert (sent.term, sent.key, sent.version, sent.error) == (1, NAME, "43", None)
    assert not any((sent.unknown, sent.conflict, sent.missing, sent.passing))


REFUSALS: dict[str, tuple[tuple[int, object] | Exception, set[str], str]] = {
    "conflict": ((409, {"message": "modified"}), {"conflict"}, "409: modified"),
    "gone": ((404, {"message": "not found"}), {"missing"}, "404: not found"),
    "invalid": ((422, {"message": "no"}), set(), "422: no"),
    "too many": ((429, b"slow down"), {"passing"}, "429: slow down"),
    "the server's fault": ((500, {"message": "etcd"}), {"unknown", "passing"}, "500: etcd"),
    "no answer": (ApiError("cut"), {"unknown", "passing"}, "cut"),
    "a proxy's page": ((200, b"<html>"), {"unknown", "passing"}, "is not Kubernetes' JSON"),
    "forbidden": (
        (403, NOT_ALLOWED),
        set(),
        "grant patch on services/status to system:serviceaccount:m:controller",
    ),
}


@pytest.mark.parametrize(("answer", "what", "words"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_refusal_means(
    answer: tuple[int, object] | Exception, what: set[str], words: str
) -> None:
    """Whether it may have been done, whether to try again, and what to tell."""
    sent = attempt(answer)
    assert {n for n in ("conflict", "missing", "unknown", "passing") if getattr(sent, n)} == what
    assert words in str(sent.error)


def test_a_write_of_another_term_is_not_sent() -> None:
    """However long it was in the queue."""
    wire, heard = _Wire(), SimpleQueue[Sent]()
    with running(one_writer(wire, heard, frozenset({2}))) as writers:
        writers.submit(1, NAME, STATUS)
        writers.submit(2, NAME, STATUS)
        old, new = (heard.get(timeout=PATIENCE_SECONDS) for _ in range(2))
    assert isinstance(old.error, writes.DeposedError)
    assert new.error is None
    assert len(wire.sent) == 1


def test_events_wait_for_addresses() -> None:
    """Whatever was first in the queue."""
    wire, heard = _Wire(), SimpleQueue[Sent]()
    event = writes.service_event(NAME, "uid", Event(EventReason.IP_ALLOCATED, "x"), NOW)
    writers = one_writer(wire, heard)
    for number in range(3):
        writers.submit(1, f"event-{number}", event)
    for number in range(3):
        writers.submit(1, number, STATUS)
    with running(writers):
        keys = [heard.get(timeout=PATIENCE_SECONDS).key for _ in range(6)]
    assert keys == [0, 1, 2, "event-0", "event-1", "event-2"]


# The election.


def election(wire: Connection, told: "SimpleQueue[int | None]", clock: list[float]) -> Election:
    """Return a part in an election whose clock stands still unless it is moved.

    The pause between two looks is real, and longer than any of these tests.
    """
    return Election(
        wire,
        namespace="metallb-system",
        leadership=Leadership("us", Times(3600)),
        now=lambda: clock[0],
        changed=told.put,
        on_death=told.put,  # type: ignore[arg-type] # the test would see it
    )


def lease(holder: str, version: str) -> dict[str, Any]:
    """Return a Lease as the API has it."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3}
    return {"metadata": {"name": LEASE_NAME, "resourceVersion": version}, "spec": spec}


def test_a_lease_is_made_held_and_given_up() -> None:
    """Writes of our term are allowed until it ends, by our own clock, and not after `stop`."""
    wire = _Wire((404, {}), (201, lease("us", "1")), (200, lease("", "2")))
    told, clock = SimpleQueue[int | None](), [100.0]
    us = election(wire, told, clock)
    us.start()
    term = told.get(timeout=PATIENCE_SECONDS)
    assert term is not None
    assert us.leads(term)
    assert not us.leads(term + 1)
    clock[0] = 100.0 + Times(3600).renew_seconds
    assert not us.leads(term)
    clock[0] = 101.0
    assert us.leads(term)
    us.stop()
    assert not us.leads(term)
    us.release(PATIENCE_SECONDS)
    assert [method for method, _ in wire.sent] == ["GET", "POST", "PUT"]


def test_a_lease_that_another_took_first_is_theirs() -> None:
    """Both saw that it was free; the API takes one."""
    wire = _Wire((404, {}), (409, {"message": "it exists"}))
    told, clock = SimpleQueue[int | None](), [100.0]
    us = election(wire, told, clock)
    us._take_part()
    us._note()
    assert told.empty()
    assert us._leadership.to_write(100.0) is None  # it is read first


def test_a_term_that_follows_another_is_another() -> None:
    """While we were stalled somebody else led and gave it up; what we know is out of date."""
    records = (("", "1"), ("us", "2"), ("", "9"), ("us", "10"))
    wire = _Wire(*((200, lease(holder, version)) for holder, version in records))
    told, clock = SimpleQueue[int | None](), [100.0]
    us = election(wire, told, clock)
    us._take_part()
    us._note()
    clock[0] = 100.0 + 4 * 3600
    us._take_part()
    us._note()
    terms = [told.get_nowait() for _ in range(3)]
    assert terms[0] is not None
    assert terms[1] is None
    assert terms[2] not in (None, terms[0])
    assert not us.leads(terms[0])


# Rights.


def used() -> Iterator[tuple[str, str, str]]:
    """Yield verb, API group and resource of everything that the controller asks of the API."""
    for name in KINDS:
        kind = kinds.KINDS[name]
        yield from ((verb, kind.group, kind.plural) for verb in ("list", "watch"))
    event = Event(EventReason.IP_ALLOCATED, "x")
    state = writes.configuration_state("metallb-system", CONTROLLER, ConfigurationVerdict((), ""))
    counters = PoolUsage(assigned_ipv4=0, assigned_ipv6=0, available_ipv4=0, available_ipv6=0)
    for request in (
        STATUS,
        writes.service_event(NAME, "uid", event, NOW),
        writes.pool_status("metallb-system", "public", counters),
        writes.read_state("metallb-system", CONTROLLER),
        *state,
    ):
        yield right(request.method, request.path)
    yield ("create", "metallb.io", "configurationstates")  # an apply that makes the object
    wire = _Wire((404, {}), (201, lease("us", "1")), (200, lease("us", "1")), (200, lease("", "2")))
    us = election(wire, SimpleQueue(), [100.0])
    for _ in range(2):
        us._take_part()
    for method, path in wire.sent:
        yield right(method, path)


VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}


def right(method: str, path: str) -> tuple[str, str, str]:
    """Return what RBAC calls a request."""
    words = path.partition("?")[0].strip("/").split("/")
    group = "" if words[0] == "api" else words[1]
    rest = words[words.index("namespaces") + 2 :]
    resource = rest[0] if len(rest) < 3 else f"{rest[0]}/{rest[2]}"
    return VERBS[method], group, resource


def granted() -> Iterator[tuple[str, str, str]]:
    """Yield what the shipped roles allow."""
    for document in yaml.safe_load_all(RBAC.read_text()):
        for rule in document.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((verb, group, resource) for verb in rule["verbs"])


def test_the_controller_has_the_rights_that_it_uses_and_no_others() -> None:
    """That they are enough is proven before a real API (tests/kube/test_controller.py)."""
    assert set(granted()) == set(used())


def test_no_thread_is_left() -> None:
    """Each test above has ended what it began."""
    for each in threading.enumerate():
        if each.name.startswith(("writer-", "election")):
            each.join(PATIENCE_SECONDS)
            assert not each.is_alive()
