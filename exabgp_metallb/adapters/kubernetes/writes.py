"""What the controller writes to the Kubernetes API: bodies as pure functions, and who sends them.

Every write of a status is bound to the resourceVersion that the decision was taken from, so it
never overwrites what somebody else has written since (409 Conflict: the watch brings the newer
object, and the decision is taken again). Status and annotation of a Service go in one request: the
API takes both on the status subresource, as MetalLB's controller uses it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

from exabgp_metallb.adapters.kubernetes.answers import ApiError, status_text
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing.core import ADDRESS_ALLOCATED, ALLOCATED_FROM_POOL, PREFIX
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Event, PoolUsage
from exabgp_metallb.values.publication import Showing

COMPONENT = "metallb-controller"  # the source of MetalLB's Events, which dashboards filter by

MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"  # conditions merge by their type
APPLY = "application/apply-patch+yaml"
JSON = "application/json"

WRITE_SECONDS = 4.0
"""The longest wait for an answer: less than what a lost leadership leaves before the next one may
begin (decisions.leadership: LEASE_SECONDS - RENEW_SECONDS)."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, ready to be sent."""

    method: str
    path: str
    body: Body | None = None
    content_type: str = JSON


def service_status(name: ObjectName, showing: Showing, version: str, now: datetime) -> Request:
    """Return the write that makes a Service show a decision (core/v1 ServiceStatus)."""
    ingress = [{"ip": str(address), "ipMode": "VIP"} for address in showing.addresses]
    status: Body = {"loadBalancer": {"ingress": ingress or None}}
    if showing.condition is not None:
        status["conditions"] = [_condition(showing, now)]
    else:
        status["conditions"] = [{"type": ADDRESS_ALLOCATED, "$patch": "delete"}]
    annotations = {PREFIX + ALLOCATED_FROM_POOL: showing.pool}
    metadata = {"resourceVersion": version, "annotations": annotations}
    return Request(
        method="PATCH",
        path=f"/api/v1/namespaces/{quote(name.namespace)}/services/{quote(name.name)}/status",
        body={"metadata": metadata, "status": status},
        content_type=STRATEGIC_MERGE,
    )


def _condition(showing: Showing, now: datetime) -> Body:
    assert showing.condition is not None  # noqa: S101 -- the caller asked
    return {
        "type": ADDRESS_ALLOCATED,
        "status": "True" if showing.condition.holds else "False",
        "reason": showing.condition.reason,
        "message": showing.condition.message,
        "lastTransitionTime": timestamp(now),
    }


def service_event(name: ObjectName, uid: str, event: Event, now: datetime) -> Request:
    """Return the write of an Event on a Service (core/v1 Event)."""
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name.name[:200]}.", "namespace": name.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": name.namespace,
            "name": name.name,
            "uid": uid,
        },
        "reason": event.reason,
        "message": event.message[:1024],  # what the API takes
        "type": "Warning" if event.is_warning else "Normal",
        "source": {"component": COMPONENT},
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
    path = f"/api/v1/namespaces/{quote(name.namespace)}/events"
    return Request(method="POST", path=path, body=body, content_type=JSON)


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


def configuration_state(
    namespace: str, faults: tuple[str, ...], now: datetime
) -> tuple[Request, Request]:
    """Return the writes that say whether all resources are accepted (ConfigurationState).

    The first makes sure that the object is there, the second fills in its status; both by
    server-side apply, so that they create what somebody deleted.
    """
    named: Body = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "ConfigurationState",
        "metadata": {
            "name": "controller",
            "namespace": namespace,
            "labels": {"metallb.io/component-type": "controller"},
        },
    }
    summary = "\n".join(faults)
    condition = {
        "type": "poolReconcilerValid",
        "status": "False" if faults else "True",
        "reason": "ConfigurationError" if faults else "Reconciled",
        "message": summary[:32768],
        "lastTransitionTime": timestamp(now),
    }
    status = {
        "result": "Invalid" if faults else "Valid",
        "errorSummary": summary,
        "conditions": [condition],
    }
    path = f"/apis/metallb.io/v1beta1/namespaces/{quote(namespace)}/configurationstates/controller"
    query = "?fieldManager=exabgp-metallb&force=true"
    return (
        Request(method="PATCH", path=path + query, body=named, content_type=APPLY),
        Request(
            method="PATCH",
            path=f"{path}/status{query}",
            body={**named, "status": status},
            content_type=APPLY,
        ),
    )


def timestamp(now: datetime) -> str:
    """Return a time as meta/v1 Time has it: RFC 3339 in UTC, whole seconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def send(connection: Connection, request: Request) -> Body:
    """Send a write and return the object that the API made of it.

    Raises:
        ApiError: it was refused (`status`), or nobody answered (`status` is None).
        SourceError: the configuration had to be read anew and cannot be.
    """
    response = connection.send(
        request.method,
        request.path,
        b"" if request.body is None else json.dumps(request.body).encode(),
        content_type=request.content_type,
        read_seconds=WRITE_SECONDS,
    )
    try:
        body = response.body()
    finally:
        response.close()
    if response.status >= HTTPStatus.BAD_REQUEST:
        text = status_text(body)
        message = f"{request.method} {request.path}: {response.status}: {text}"
        after = response.retry_after_seconds
        raise ApiError(message, status=response.status, retry_after_seconds=after)
    answer = json.loads(body)
    return answer if isinstance(answer, dict) else {}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a write.

    Attributes:
        key: what the owner called it.
        version: resourceVersion of the object as written; "" when it was not.
        error: None when it was done.
        unknown: nobody can tell whether it was done.
    """

    key: object
    version: str = ""
    error: SourceError | None = None

    @property
    def unknown(self) -> bool:
        """Tell whether the write may have been done although no answer came."""
        status = self.error.status if isinstance(self.error, ApiError) else None
        return self.error is not None and (status is None or status >= 500)

    @property
    def conflict(self) -> bool:
        """Tell whether the object has changed since the decision."""
        return isinstance(self.error, ApiError) and self.error.status == HTTPStatus.CONFLICT


class Writers:
    """Threads that send writes, each write once, in the order given as far as they keep up.

    Args:
        connection: to the API.
        sent: is told what became of each write that has a key; called from their threads.
        may_write: asked right before each write, since leadership may have ended meanwhile.
        on_death: is told when a thread dies.
        count: how many threads; writes of one owner in order need one each for what depends.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sent: Callable[[Sent], None],
        may_write: Callable[[], bool],
        on_death: OnDeath,
        count: int,
    ) -> None:
        self._connection = connection
        self._sent = sent
        self._may_write = may_write
        self._queue: SimpleQueue[tuple[object, Request] | None] = SimpleQueue()
        self._threads = [
            thread(self._run, name=f"writer-{number}", on_death=on_death) for number in range(count)
        ]

    def start(self) -> None:
        """Begin to send."""
        for each in self._threads:
            each.start()

    def submit(self, key: object, request: Request) -> None:
        """Have a write sent. What becomes of one whose key is None is only logged by the API."""
        self._queue.put((key, request))

    def stop(self, seconds: float) -> None:
        """End after what is queued, but wait no longer than that."""
        for _ in self._threads:
            self._queue.put(None)
        for each in self._threads:
            each.join(seconds / len(self._threads))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            key, request = item
            self._sent(self._send(key, request))

    def _send(self, key: object, request: Request) -> Sent:
        if not self._may_write():
            refused = ApiError("not the leader any more", status=HTTPStatus.CONFLICT)
            return Sent(key, error=refused)
        try:
            answer = send(self._connection, request)
        except SourceError as error:
            return Sent(key, error=error)
        return Sent(key, version=str(answer.get("metadata", {}).get("resourceVersion", "")))
