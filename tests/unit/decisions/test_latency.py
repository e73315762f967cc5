"""How long changes take, as a histogram."""

from exabgp_metallb.decisions.latency import Latency
from exabgp_metallb.values.vitals import BOUNDS, Histogram


def test_changes_under_way_are_measured_from_the_first() -> None:
    """Until all are done; the next one begins anew."""
    latency = Latency()
    latency.began(10.0)
    latency.began(10.2)
    latency.done(10.3)
    latency.done(11.0)
    latency.began(20.0)
    latency.done(20.002)
    cumulative = dict(latency.histogram.cumulative())
    assert cumulative["0.0025"] == 1
    assert cumulative["0.25"] == 1
    assert cumulative["0.5"] == cumulative["+Inf"] == 2
    assert abs(latency.histogram.total_seconds - 0.302) < 1e-9


def test_a_bound_belongs_to_its_bucket_and_what_is_longer_to_the_last() -> None:
    """As Prometheus means `le`."""
    latency = Latency()
    for seconds in (BOUNDS[0], BOUNDS[-1] + 1.0):
        latency.began(0.0)
        latency.done(seconds)
    assert latency.histogram.counts[0] == latency.histogram.counts[-1] == 1


def test_nothing_was_measured_yet() -> None:
    """All buckets are there from the start, so that rates can be taken."""
    assert {count for _, count in Histogram().cumulative()} == {0}
