"""Who of several replicas leads: a Lease of coordination.k8s.io, judged by our own clock.

The data. The cluster holds one record: holder, how long it lasts, a counter of changes. Each
replica remembers when, by its own monotonic clock, it saw the record change last. Wall clocks are
written for people and never compared, so clocks that differ or jump do no harm.

The life of a leadership. A replica that sees a record without a holder, or one that has not changed
for as long as it lasts, writes itself into it, on the condition that the record is still the one it
saw (resourceVersion). The holder renews well before the record ends; renewals count from the moment
the request was begun. It leads until RENEW_SECONDS after the last good one and not a moment longer,
while the others wait for LEASE_SECONDS: the difference is what its writes on their way have left to
arrive, and what two clocks may drift apart. On the way out it gives the record up.

Why not the kubernetes package's leaderelection: it compares wall clocks, keeps no margin between
the end of a leadership and the next one, and does not release on exit.

Source: coordination.k8s.io/v1 LeaseSpec; client-go tools/leaderelection for the times.
"""

from dataclasses import dataclass, replace

LEASE_SECONDS = 15  # client-go's defaults, as every controller of a cluster has them
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The Lease in the cluster, as read or to be written.

    Attributes:
        holder: identity of the leader; "" when nobody leads.
        duration_seconds: how long the others wait after the last change.
        transitions: how often the holder changed.
        version: resourceVersion; "" for a record that does not exist yet.
    """

    holder: str = ""
    duration_seconds: int = LEASE_SECONDS
    transitions: int = 0
    version: str = ""


class Leadership:
    """One replica's part in it. Time is an argument, in monotonic seconds.

    Args:
        identity: unlike that of any other replica, also of this pod's earlier lives.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None  # when the last good write of ours was begun

    def leads(self, now: float) -> bool:
        """Tell whether this replica may write now."""
        return self._renewed_at is not None and now < self._renewed_at + RENEW_SECONDS

    def leads_until(self) -> float | None:
        """Return when the leadership ends unless it is renewed; None when there is none."""
        return None if self._renewed_at is None else self._renewed_at + RENEW_SECONDS

    def read(self, record: Record | None, now: float) -> None:
        """Take the record as the cluster has it; None when there is none."""
        found = record or Record()
        if found != self._seen:
            self._seen, self._seen_at = found, now
        if found.holder != self.identity:
            self._renewed_at = None

    def to_write(self, now: float) -> Record | None:
        """Return the record to write now; None when another replica leads."""
        seen = self._seen
        if seen is None:
            return None
        if seen.holder == self.identity:
            return seen
        if seen.holder and now < self._seen_at + seen.duration_seconds:
            return None
        taken = replace(seen, holder=self.identity, duration_seconds=LEASE_SECONDS)
        return replace(taken, transitions=seen.transitions + 1) if seen.version else taken

    def written(self, record: Record, begun_at: float) -> None:
        """Note that the cluster took our record; `begun_at` is when the request was begun."""
        self._seen, self._seen_at = record, begun_at
        self._renewed_at = begun_at

    def lost(self) -> None:
        """Note that the cluster has another record than the one we saw; it must be read again."""
        self._seen = None
        self._renewed_at = None

    def to_release(self, now: float) -> Record | None:
        """Return the record that gives the leadership up; None when there is nothing to give."""
        if self._seen is None or not self.leads(now):
            return None
        return replace(self._seen, holder="", duration_seconds=1)

    def next_look(self, now: float) -> float:
        """Return when to read or renew next."""
        return now + RETRY_SECONDS
