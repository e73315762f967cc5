"""Who of several replicas leads: a Lease of coordination.k8s.io, judged by our own clock.

The data. The cluster holds one record: holder, how long it lasts, a counter of changes. Each
replica remembers when, by its own monotonic clock, it saw the record change last. Wall clocks are
written for people and never compared, so clocks that differ or jump do no harm.

The life of a leadership. A replica that sees a record without a holder, or one that has not changed
for as long as it lasts, writes itself into it, on the condition that the record is still the one it
saw (resourceVersion). The holder renews well before the record ends; renewals count from the moment
the request was begun. It leads for two thirds of the record's time after the last good one and not
a moment longer, while the others wait for all of it: the last third is what its writes on their way
have left to arrive, and what two clocks may drift apart. On the way out it gives the record up.

A record that somebody deletes by hand is one that changed: whoever saw its holder waits as long as
for any other change, since the holder may not have noticed. Whoever never saw one takes it at once,
as in a new cluster.

Why not the kubernetes package's leaderelection: it compares wall clocks, keeps no margin between
the end of a leadership and the next one, and does not release on exit.

Source: coordination.k8s.io/v1 LeaseSpec; client-go tools/leaderelection for the times.
"""

from dataclasses import dataclass, replace

LEASE_SECONDS = 15  # client-go's default, as every controller of a cluster has it


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take in an election; all follow from the first, as in client-go's defaults.

    Attributes:
        lease_seconds: how long the record lasts after its last change.
    """

    lease_seconds: int = LEASE_SECONDS

    @property
    def renew_seconds(self) -> float:
        """How long a holder leads after its last good renewal: 10 of 15 seconds."""
        return self.lease_seconds * 2 / 3

    @property
    def retry_seconds(self) -> float:
        """The pause between two looks at the record: 2 of 15 seconds."""
        return self.lease_seconds * 2 / 15

    @property
    def write_seconds(self) -> float:
        """The longest wait for the answer to a write: 4 of the 5 seconds that are left."""
        return self.lease_seconds * 4 / 15


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
        times: the same for all replicas.

    Attributes:
        term: counts the leaderships of this replica. Within one of them nobody else has led.
    """

    def __init__(self, identity: str, times: Times | None = None) -> None:
        self.identity = identity
        self.times = times or Times()
        self.term = 0
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None  # when the last good write of ours was begun

    def leads(self, now: float) -> bool:
        """Tell whether this replica may write now."""
        return self._renewed_at is not None and now < self._renewed_at + self.times.renew_seconds

    def leads_until(self) -> float | None:
        """Return when the leadership ends unless it is renewed; None when there is none."""
        return None if self._renewed_at is None else self._renewed_at + self.times.renew_seconds

    def read(self, record: Record | None, now: float) -> None:
        """Take the record as the cluster has it; None when there is none."""
        seen = self._seen
        if record is None and seen is not None and seen.holder not in ("", self.identity):
            record = replace(seen, version="")  # deleted; its holder may not know yet
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
        lease_seconds = self.times.lease_seconds
        if seen.holder == self.identity:
            return replace(seen, duration_seconds=lease_seconds)
        if seen.holder and now < self._seen_at + seen.duration_seconds:
            return None
        taken = replace(seen, holder=self.identity, duration_seconds=lease_seconds)
        return replace(taken, transitions=seen.transitions + 1) if seen.version else taken

    def written(self, record: Record, begun_at: float) -> None:
        """Note that the cluster took our record; `begun_at` is when the request was begun."""
        if self._renewed_at is None:
            self.term += 1
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
