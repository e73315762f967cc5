"""The Lease by which one of several controllers leads (coordination.k8s.io/v1), read and written.

The rules are in `decisions.leadership`; this is the thread that asks and tells. Our own kind called
Lease is another thing: a Service's hold on addresses.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from loguru import logger

from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.writes import JSON, Body, Request, send
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.decisions.leadership import LEASE_SECONDS, RETRY_SECONDS, Leadership, Record
from exabgp_metallb.errors import SourceError

LEASE_NAME = "exabgp-metallb-controller"
STOP_SECONDS = 3.0


class Election:
    """Takes part in the election from a thread of its own.

    Args:
        connection: to the API.
        namespace: where the Lease is.
        identity: ours; unlike that of any other replica and of our own earlier lives.
        changed: is told True when we begin to lead and False when we lead no more.
        on_death: is told when the thread dies.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        namespace: str,
        identity: str,
        changed: Callable[[bool], None],
        on_death: OnDeath,
    ) -> None:
        self._connection = connection
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._changed = changed
        self._leadership = Leadership(identity)
        self._led = False
        self._leads_until = 0.0  # monotonic seconds; the one thing that other threads read
        self._stopping = threading.Event()
        self._thread = thread(self._run, name="election", on_death=on_death)
        self._told: str | None = None

    def start(self) -> None:
        """Begin to take part."""
        self._thread.start()

    def leads(self) -> bool:
        """Tell whether we may write now; any thread may ask."""
        return time.monotonic() < self._leads_until

    def stop(self) -> None:
        """Give the Lease up, if it is ours, and end. Call it when nothing is written any more."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._take_part()
                self._told = None
            except SourceError as error:
                self._tell(error)
            self._note()
            self._stopping.wait(RETRY_SECONDS)
        self._release()

    def _tell(self, error: SourceError) -> None:
        """Say what is wrong with the Lease once, not every two seconds."""
        if str(error) != self._told:
            self._told = str(error)
            logger.warning("the Lease {}: {}", LEASE_NAME, error)

    def _note(self) -> None:
        now = time.monotonic()
        self._leads_until = (self._leadership.leads_until() or 0.0) if self._led_at(now) else 0.0
        if self._led_at(now) != self._led:
            self._led = not self._led
            self._changed(self._led)

    def _led_at(self, now: float) -> bool:
        return self._leadership.leads(now)

    def _take_part(self) -> None:
        self._leadership.read(self._read(), time.monotonic())
        record = self._leadership.to_write(time.monotonic())
        if record is None:
            return
        begun_at = time.monotonic()
        try:
            written = self._write(record)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                self._leadership.lost()
                return
            raise
        self._leadership.written(written, begun_at)

    def _read(self) -> Record | None:
        path = f"{self._collection}/{LEASE_NAME}"
        try:
            return _record(send(self._connection, Request(method="GET", path=path)))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _write(self, record: Record) -> Record:
        lease = _lease(record, datetime.now(UTC))
        if not record.version:
            request = Request(method="POST", path=self._collection, body=lease, content_type=JSON)
        else:
            path = f"{self._collection}/{LEASE_NAME}"
            request = Request(method="PUT", path=path, body=lease, content_type=JSON)
        return _record(send(self._connection, request))

    def _release(self) -> None:
        record = self._leadership.to_release(time.monotonic())
        self._leads_until = 0.0
        if record is None:
            return
        try:
            self._write(record)
        except SourceError as error:
            logger.warning("the Lease {} is not given up: {}", LEASE_NAME, error)


def _record(lease: Body) -> Record:
    spec = lease.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=spec.get("leaseDurationSeconds") or LEASE_SECONDS,
        transitions=spec.get("leaseTransitions") or 0,
        version=lease["metadata"]["resourceVersion"],
    )


def _lease(record: Record, now: datetime) -> Body:
    metadata = {"name": LEASE_NAME}
    if record.version:
        metadata["resourceVersion"] = record.version
    time_ = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # MicroTime, for people
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.duration_seconds,
            "leaseTransitions": record.transitions,
            "renewTime": time_,
        },
    }
