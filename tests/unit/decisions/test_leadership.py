"""Two replicas never lead at once, whatever is lost or late between them and the cluster."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exabgp_metallb.decisions.leadership import LEASE_SECONDS, Leadership, Record, Times

RENEW_SECONDS = Times().renew_seconds


def taken(leadership: Leadership, now: float) -> Record:
    """Let a replica take a free record, and return it as the cluster has it then."""
    record = leadership.to_write(now)
    assert record is not None
    stored = replace(record, version="1")
    leadership.written(stored, now)
    return stored


def test_a_replica_takes_a_record_that_nobody_holds() -> None:
    """The first one there leads at once."""
    one = Leadership("one")
    one.read(None, 100.0)
    assert not one.leads(100.0)
    taken(one, 100.0)
    assert one.leads(100.0)


def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_begin() -> None:
    """It leads for ten seconds after its last good write; others wait for fifteen."""
    one, two = Leadership("one"), Leadership("two")
    one.read(None, 0.0)
    record = taken(one, 0.0)
    two.read(record, 0.0)
    assert one.leads(RENEW_SECONDS - 0.1)
    assert not one.leads(RENEW_SECONDS)
    assert two.to_write(LEASE_SECONDS - 0.1) is None
    assert two.to_write(float(LEASE_SECONDS)) == replace(record, holder="two", transitions=1)


def test_a_record_that_changes_keeps_others_waiting() -> None:
    """What counts is when we saw it change, not what time is written in it."""
    one, two = Leadership("one"), Leadership("two")
    one.read(None, 0.0)
    record = taken(one, 0.0)
    two.read(record, 0.0)
    two.read(replace(record, version="2"), 14.0)
    assert two.to_write(20.0) is None
    assert two.to_write(14.0 + LEASE_SECONDS) is not None


def test_a_record_given_up_is_taken_at_once() -> None:
    """A replica that ends makes way for the next one."""
    one, two = Leadership("one"), Leadership("two")
    one.read(None, 0.0)
    taken(one, 0.0)
    released = one.to_release(1.0)
    assert released is not None
    two.read(replace(released, version="2"), 1.0)
    assert two.to_write(1.0) is not None


@pytest.mark.parametrize("holder", ["two", ""])
def test_a_leader_that_reads_another_holder_leads_no_more(holder: str) -> None:
    """Somebody took the record, or an operator deleted it."""
    one = Leadership("one")
    one.read(None, 0.0)
    record = taken(one, 0.0)
    one.read(replace(record, holder=holder, version="9"), 1.0)
    assert not one.leads(1.0)


@pytest.mark.parametrize("lease_seconds", [3, 15, 60])
def test_the_times_leave_room_for_what_is_on_its_way(lease_seconds: int) -> None:
    """A write that begins in a leader's last moment is answered before another one may lead."""
    times = Times(lease_seconds)
    assert times.retry_seconds + times.write_seconds < times.renew_seconds
    assert times.renew_seconds + times.write_seconds < times.lease_seconds


def test_a_replica_that_was_deposed_begins_another_term() -> None:
    """Also when it never noticed at the time: somebody else may have led and ended meanwhile."""
    one = Leadership("one")
    one.read(None, 0.0)
    record = taken(one, 0.0)
    assert one.term == 1
    released = replace(record, holder="", version="7", transitions=2)
    one.read(released, 60.0)
    taken(one, 60.0)
    assert one.term == 2


def test_a_late_renewal_continues_the_term() -> None:
    """The record was still the one that we wrote, so nobody led in between."""
    one = Leadership("one")
    one.read(None, 0.0)
    record = taken(one, 0.0)
    assert not one.leads(11.0)
    one.read(record, 11.0)
    taken(one, 11.0)
    assert one.leads(12.0)
    assert one.term == 1


def test_a_deleted_record_keeps_others_waiting() -> None:
    """Its holder may not know yet; it makes a new one, and leads on in another term."""
    one, two = Leadership("one"), Leadership("two")
    one.read(None, 0.0)
    two.read(taken(one, 0.0), 0.0)
    two.read(None, 5.0)
    assert two.to_write(5.0) is None
    two.read(None, 6.0)
    assert two.to_write(19.9) is None
    one.read(None, 6.0)
    assert not one.leads(6.0)
    two.read(taken(one, 6.0), 7.0)
    assert one.term == 2
    assert two.to_write(20.0) is None


def test_a_deleted_record_is_taken_when_nobody_makes_another() -> None:
    """Its holder is gone as well."""
    one, two = Leadership("one"), Leadership("two")
    one.read(None, 0.0)
    two.read(taken(one, 0.0), 0.0)
    two.read(None, 5.0)
    two.read(None, 20.0)
    record = two.to_write(20.0)
    assert record is not None
    assert record.version == ""


class Replicas(RuleBasedStateMachine):
    """Three replicas and one record; requests are lost before or after they reach the cluster."""

    @initialize()
    def begin(self) -> None:
        """Start with no record."""
        self.now = 0.0
        self.version = 0
        self.record: Record | None = None
        self.replicas = [Leadership(name) for name in ("one", "two", "three")]

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds: float) -> None:
        """All clocks go on alike."""
        self.now += seconds

    @rule(index=st.integers(0, 2))
    def a_replica_reads(self, index: int) -> None:
        """The cluster answers with what it has."""
        self.replicas[index].read(self.record, self.now)

    @rule(index=st.integers(0, 2), answer=st.sampled_from(["good", "lost before", "lost after"]))
    def a_replica_writes(self, index: int, answer: str) -> None:
        """A write holds only if the record is the one that the replica saw."""
        replica = self.replicas[index]
        record = replica.to_write(self.now)
        if record is None or answer == "lost before":
            return
        if record.version != (self.record.version if self.record else ""):
            replica.lost()
            return
        self.version += 1
        self.record = replace(record, version=str(self.version))
        if answer == "good":
            replica.written(self.record, self.now)

    @rule(index=st.integers(0, 2))
    def a_replica_ends(self, index: int) -> None:
        """It gives the record up, and a new life begins in its place."""
        replica = self.replicas[index]
        record = replica.to_release(self.now)
        if record and self.record and record.version == self.record.version:
            self.version += 1
            self.record = replace(record, version=str(self.version))
        self.version += 1
        self.replicas[index] = Leadership(f"{replica.identity}'")

    @rule()
    def somebody_deletes_the_record(self) -> None:
        """By hand, after all replicas have seen it."""
        for replica in self.replicas:
            replica.read(self.record, self.now)
        self.record = None

    @invariant()
    def at_most_one_leads(self) -> None:
        """No two replicas may write at one time."""
        if hasattr(self, "replicas"):
            assert sum(replica.leads(self.now) for replica in self.replicas) <= 1


TestReplicas = Replicas.TestCase
TestReplicas.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
