"""What is written to the Kubernetes API: bodies as pure functions, and who sends them.

Every write of a status is bound to the resourceVersion that the decision was taken from, so it
never overwrites what somebody else has written since (409 Conflict: the watch brings the newer
object, and the decision is taken again). Status and annotation of a Service go in one request: the
API takes both on the status subresource, as MetalLB's controller uses it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from itertools import count
from queue import PriorityQueue
from typing import Any
from urllib.parse import quote

from exabgp_metallb.adapters.kubernetes.answers import ApiError, status_text
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing.core import ADDRESS_ALLOCATED, ALLOCATED_FROM_POOL, PREFIX
from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Event, PoolUsage
from exabgp_metallb.values.publication import StatusWrite
from exabgp_metallb.values.statuses import ConfigurationVerdict

COMPONENT = "metallb-controller"  # the source of MetalLB's Events, which dashboards filter by

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"  # conditions merge by their type
APPLY = "application/apply-patch+yaml"
JSON = "application/json"

LONGEST_SUMMARY = 32768  # of a condition (meta/v1 Condition)
LONGEST_NOTE = 1024  # of an Event

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to be sent.

    Attributes:
        may_wait: until nothing else is to be sent.
    """

    method: str
    path: str
    body: Body | None = None
    content_type: str = JSON
    may_wait: bool = False


def service_status(write: StatusWrite, version: str, now: datetime) -> Request:
    """Return the write that makes a Service show a decision (core/v1 ServiceStatus).

    The time of a condition is sent only when it begins or ends to hold (meta/v1 Condition); the API
    keeps the old one otherwise, since conditions merge by their type.
    """
    name, showing = write.service, write.showing
    ingress = [{"ip": str(address), "ipMode": "VIP"} for address in showing.addresses]
    status: Body = {"loadBalancer": {"ingress": ingress or None}}
    if showing.condition is not None:
        status["conditions"] = [_condition(showing.condition, write.before.condition, now)]
    elif write.before.condition is not None:
        status["conditions"] = [{"type": ADDRESS_ALLOCATED, "$patch": "delete"}]
    annotations = {PREFIX + ALLOCATED_FROM_POOL: showing.pool}
    metadata = {"resourceVersion": version, "annotations": annotations}
    return Request(
        method="PATCH",
        path=f"/api/v1/namespaces/{quote(name.namespace)}/services/{quote(name.name)}/status",
        body={"metadata": metadata, "status": status},
        content_type=STRATEGIC_MERGE,
    )


def _condition(condition: Condition, before: Condition | None, now: datetime) -> Body:
    body = {
        "type": ADDRESS_ALLOCATED,
        "status": "True" if condition.holds else "False",
        "reason": condition.reason,
        "message": condition.message,
    }
    if before is None or before.holds != condition.holds:
        body["lastTransitionTime"] = timestamp(now)
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Involved:
    """What an Event is about (core/v1 ObjectReference)."""

    api_version: str
    kind: str
    name: ObjectName
    uid: str


def service_event(name: ObjectName, uid: str, event: Event, now: datetime) -> Request:
    """Return the write of the controller's Event on a Service."""
    involved = Involved(api_version="v1", kind="Service", name=name, uid=uid)
    kind = "Warning" if event.is_warning else "Normal"
    return event_on(involved, COMPONENT, (kind, event.reason, event.message), now)


def event_on(
    involved: Involved, component: str, said: tuple[str, str, str], now: datetime
) -> Request:
    """Return the write of an Event (core/v1 Event).

    It is named for what it says and when, so that sending it twice makes one Event (409 Conflict).

    Args:
        involved: what it is about.
        component: who says it.
        said: Normal or Warning, the reason in one word, and the message.
        now: in UTC.
    """
    kind, reason, message = said
    name = involved.name
    text = f"{involved.uid} {component} {reason} {message} {now.isoformat()}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name.name[:200]}.{digest}", "namespace": name.namespace},
        "involvedObject": {
            "apiVersion": involved.api_version,
            "kind": involved.kind,
            "namespace": name.namespace,
            "name": name.name,
            "uid": involved.uid,
        },
        "reason": reason,
        "message": message[:LONGEST_NOTE],
        "type": kind,
        "source": {"component": component},
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
    path = f"/api/v1/namespaces/{quote(name.namespace)}/events"
    return Request(method="POST", path=path, body=body, content_type=JSON, may_wait=True)


def pool_status(namespace: str, name: str, usage: PoolUsage) -> Request:
    """Return the write of a pool's counters (metallb.io/v1beta1 IPAddressPool status)."""
    status = {
        "assignedIPv4": usage.assigned_ipv4,
        "assignedIPv6": usage.assigned_ipv6,
        "availableIPv4": usage.available_ipv4,
        "availableIPv6": usage.available_ipv6,
    }
    path = f"/apis/metallb.io/v1beta1/namespaces/{quote(namespace)}/ipaddresspools/{quote(name)}"
    return Request(
        method="PATCH", path=f"{path}/status", body={"status": status}, content_type=MERGE
    )


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who has a ConfigurationState of its own, and how MetalLB names it there.

    Attributes:
        name: of the object.
        labels: of the object.
        condition: the type of the one condition.
    """

    name: str
    labels: Mapping[str, str]
    condition: str


CONTROLLER = Reporter(
    "controller", {"metallb.io/component-type": "controller"}, "poolReconcilerValid"
)


def read_state(namespace: str, reporter: Reporter) -> Request:
    """Return the request for a ConfigurationState; see `state_of`."""
    return Request(method="GET", path=_state_path(namespace, reporter))


def state_of(body: Body, reporter: Reporter) -> ConfigurationVerdict | None:
    """Return what a ConfigurationState says; None when that is not ours."""
    status = body.get("status") or {}
    conditions = status.get("conditions") or ()
    ours = [each for each in conditions if each.get("type") == reporter.condition]
    if not ours:
        return None
    text = status.get("errorSummary") or ""
    faults = tuple(text.split("\n")) if text else ()
    return ConfigurationVerdict(faults, ours[0].get("lastTransitionTime") or "")


def configuration_state(
    namespace: str, reporter: Reporter, verdict: ConfigurationVerdict
) -> tuple[Request, Request]:
    """Return the writes that say whether all resources are accepted (ConfigurationState).

    The first makes sure that the object is there, the second fills in its status; both by
    server-side apply, so that they create what somebody deleted.
    """
    named: Body = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "ConfigurationState",
        "metadata": {
            "name": reporter.name,
            "namespace": namespace,
            "labels": dict(reporter.labels),
        },
    }
    text = summary(verdict)
    condition = {
        "type": reporter.condition,
        "status": "False" if verdict.faults else "True",
        "reason": "ConfigurationError" if verdict.faults else "Reconciled",
        "message": text,
        "lastTransitionTime": verdict.since,
    }
    status = {
        "result": "Invalid" if verdict.faults else "Valid",
        "errorSummary": text,
        "conditions": [condition],
    }
    path = _state_path(namespace, reporter)
    return (
        applied(path, named),
        applied(f"{path}/status", {**named, "status": status}),
    )


def summary(verdict: ConfigurationVerdict) -> str:
    """Return all faults, as far as they have room."""
    return "\n".join(verdict.faults)[:LONGEST_SUMMARY]


def applied(path: str, body: Body) -> Request:
    """Return a server-side apply, which takes over what others own of those fields."""
    query = "?fieldManager=exabgp-metallb&force=true"
    return Request(method="PATCH", path=path + query, body=body, content_type=APPLY)


def _state_path(namespace: str, reporter: Reporter) -> str:
    root = "/apis/metallb.io/v1beta1"
    return f"{root}/namespaces/{quote(namespace)}/configurationstates/{quote(reporter.name)}"


def timestamp(now: datetime) -> str:
    """Return a time as meta/v1 Time has it: RFC 3339 in UTC, whole seconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def send(connection: Connection, request: Request, *, seconds: float) -> Body:
    """Send a write and return the object that the API made of it.

    Args:
        connection: to the API.
        request: what to send.
        seconds: the longest wait for an answer.

    Raises:
        ApiError: it was refused (`status`), or nobody answered (`status` is None).
        SourceError: the configuration had to be read anew and cannot be.
    """
    response = connection.send(
        request.method,
        request.path,
        b"" if request.body is None else json.dumps(request.body).encode(),
        content_type=request.content_type,
        seconds=seconds,
    )
    try:
        body = response.body()
    finally:
        response.close()
    if response.status >= HTTPStatus.BAD_REQUEST:
        message = f"{request.method} {request.path}: {_advised(response.status, status_text(body))}"
        after = response.retry_after_seconds
        raise ApiError(message, status=response.status, retry_after_seconds=after)
    return _answer(request, body)


def _advised(status: int, text: str) -> str:
    denied = _DENIED.search(text) if status == HTTPStatus.FORBIDDEN else None
    if denied is None:
        return f"{status}: {text}"
    user, verb, resource, group = denied.groups()
    what = f"{resource} of {group}" if group else resource
    return f"{status}: {text}: grant {verb} on {what} to {user}"


_DENIED = re.compile(r'User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"')


def _answer(request: Request, body: bytes) -> Body:
    try:
        answer = json.loads(body)
    except ValueError as error:
        message = f"{request.method} {request.path}: the answer is not Kubernetes' JSON"
        raise ApiError(message) from error
    return answer if isinstance(answer, dict) else {}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a request.

    Attributes:
        term: of the leadership that it belongs to.
        key: what the owner called it.
        answer: the object as the API has it now; empty after an error.
        error: None when it was done.
    """

    term: int
    key: object
    answer: Body = field(default_factory=dict)
    error: SourceError | None = None

    @property
    def version(self) -> str:
        """The resourceVersion of the object as written."""
        return str(self.answer.get("metadata", {}).get("resourceVersion", ""))

    @property
    def status(self) -> int | None:
        """The HTTP status of a refusal; None without one."""
        return self.error.status if isinstance(self.error, ApiError) else None

    @property
    def unknown(self) -> bool:
        """Tell whether the write may have been done although no good answer came."""
        return self.error is not None and (self.status is None or self.status >= 500)

    @property
    def conflict(self) -> bool:
        """Tell whether the object has changed since the decision."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def passing(self) -> bool:
        """Tell whether the same write may well be done at another time."""
        return self.unknown or self.status == HTTPStatus.TOO_MANY_REQUESTS

    @property
    def missing(self) -> bool:
        """Tell whether there is no such object."""
        return self.status == HTTPStatus.NOT_FOUND


class DeposedError(ApiError):
    """The leadership that a write belongs to has ended; nothing was sent."""


_Queued = tuple[int, int, tuple[int, object, Request] | None]  # urgency, number, what to send
_NOW, _LATER, _END = range(3)


class Writers:
    """Threads that send writes, each once, in the order given; what may wait comes last.

    Args:
        connection: to the API.
        sent: is told what became of each write; called from their threads.
        may_write: asked with its term right before each write: leadership may have ended, and even
            begun anew, since it was decided.
        on_death: is told when a thread dies.
        threads: how many.
        seconds: the longest wait for an answer.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sent: Callable[[Sent], None],
        may_write: Callable[[int], bool],
        on_death: OnDeath,
        threads: int,
        seconds: float,
    ) -> None:
        self._connection = connection
        self._sent = sent
        self._may_write = may_write
        self._seconds = seconds
        self._queue: PriorityQueue[_Queued] = PriorityQueue()
        self._numbers = count()
        self._threads = [
            thread(self._run, name=f"writer-{number}", on_death=on_death)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin to send."""
        for each in self._threads:
            each.start()

    def submit(self, term: int, key: object, request: Request) -> None:
        """Have a write of a leadership sent."""
        urgency = _LATER if request.may_wait else _NOW
        self._queue.put((urgency, next(self._numbers), (term, key, request)))

    def stop(self, seconds: float) -> bool:
        """End after what is queued; wait no longer than that, and tell whether all have ended."""
        for _ in self._threads:
            self._queue.put((_END, next(self._numbers), None))
        for each in self._threads:
            each.join(seconds / len(self._threads))
        return not any(each.is_alive() for each in self._threads)

    def _run(self) -> None:
        while (item := self._queue.get()[2]) is not None:
            self._sent(self._send(*item))

    def _send(self, term: int, key: object, request: Request) -> Sent:
        if not self._may_write(term):
            message = "not the leader any more; nothing was sent"
            return Sent(term, key, error=DeposedError(message, status=HTTPStatus.CONFLICT))
        try:
            return Sent(term, key, send(self._connection, request, seconds=self._seconds))
        except SourceError as error:
            return Sent(term, key, error=error)
