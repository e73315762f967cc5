"""The Lease by which one of several controllers leads (coordination.k8s.io/v1), read and written.

The rules are in `decisions.leadership`; this is the thread that asks and tells. Our own kind called
Lease is another thing: a Service's hold on addresses.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from loguru import logger

from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.writes import Body, Request, send
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.decisions.leadership import LEASE_SECONDS, Leadership, Record
from exabgp_metallb.errors import SourceError

LEASE_NAME = "exabgp-metallb-controller"


class Election:
    """Takes part in the election from a thread of its own.

    Args:
        connection: to the API.
        namespace: where the Lease is.
        leadership: our part, by the rules.
        now: seconds of a clock that no person sets, and that goes on while the machine sleeps.
        changed: is told the number of our term when one begins, and None when it ends. Numbers are
            never used again.
        on_death: is told when the thread dies.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        namespace: str,
        leadership: Leadership,
        now: Callable[[], float],
        changed: Callable[[int | None], None],
        on_death: OnDeath,
    ) -> None:
        self._connection = connection
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace)}/leases"
        self._leadership = leadership
        self._now = now
        self._changed = changed
        self._seconds = leadership.times.write_seconds
        self._terms = 0  # how many were told
        self._told_term = 0  # of the leadership, while it was told; 0: none is
        self._tenure = (0, 0.0)  # our term and its end; one value, since other threads read it
        self._stopping = threading.Event()
        self._thread = thread(self._run, name="election", on_death=on_death)
        self._told: str | None = None

    def start(self) -> None:
        """Begin to take part."""
        self._thread.start()

    def leads(self, term: int) -> bool:
        """Tell whether we may write for this term now; any thread may ask."""
        current, until = self._tenure
        return term == current and self._now() < until and not self._stopping.is_set()

    def stop(self) -> None:
        """Take no part any more; nothing is written from now on. The Lease stays ours."""
        self._stopping.set()

    def release(self, seconds: float) -> None:
        """Give the Lease up, if it is ours. Call it when all that was sent is answered.

        Args:
            seconds: how long to wait for the thread, which may be busy with the Lease.
        """
        self._thread.join(seconds)
        record = None if self._thread.is_alive() else self._leadership.to_release(self._now())
        if record is None:
            return
        try:
            self._write(record)
        except SourceError as error:
            logger.warning("the Lease {} is not given up: {}", LEASE_NAME, error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._take_part()
                self._told = None
            except SourceError as error:
                self._tell(error)
            self._note()
            self._stopping.wait(self._leadership.times.retry_seconds)

    def _tell(self, error: SourceError) -> None:
        """Say what is wrong with the Lease once, not every two seconds."""
        if str(error) != self._told:
            self._told = str(error)
            logger.warning("the Lease {}: {}", LEASE_NAME, error)

    def _note(self) -> None:
        """Tell when our term has ended, or another one begun."""
        leads = self._leadership.leads(self._now())
        term = self._leadership.term if leads else 0
        if term != self._told_term:
            if self._told_term:
                self._tenure = (0, 0.0)
                self._changed(None)
            self._terms += 1
            self._told_term = term
        if term:
            begins = self._tenure[0] != self._terms
            self._tenure = (self._terms, self._leadership.leads_until() or 0.0)
            if begins:
                self._changed(self._terms)

    def _take_part(self) -> None:
        self._leadership.read(self._read(), self._now())
        record = self._leadership.to_write(self._now())
        if record is None:
            return
        begun_at = self._now()
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
            return _record(
                send(self._connection, Request(method="GET", path=path), seconds=self._seconds)
            )
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _write(self, record: Record) -> Record:
        lease = _lease(record, datetime.now(UTC))
        if not record.version:
            request = Request(method="POST", path=self._collection, body=lease)
        else:
            path = f"{self._collection}/{LEASE_NAME}"
            request = Request(method="PUT", path=path, body=lease)
        return _record(send(self._connection, request, seconds=self._seconds))


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
