"""How long changes take: from the event that asked for them until they are on the wire.

Changes that come while others are under way count with those: what is measured is how long a router
was told something else than was wanted. Time is an argument, in monotonic seconds.
"""

from bisect import bisect_left

from exabgp_metallb.values.vitals import BOUNDS, Histogram


class Latency:
    """Measures changes.

    Attributes:
        histogram: of those that are done.
    """

    def __init__(self) -> None:
        self.histogram = Histogram()
        self._since: float | None = None

    def began(self, heard_at: float) -> None:
        """Note a change, and when the event behind it was heard."""
        if self._since is None:
            self._since = heard_at

    def done(self, now: float) -> None:
        """Note that all changes, if there were any, are on the wire."""
        if self._since is None:
            return
        seconds, self._since = now - self._since, None
        counts = list(self.histogram.counts)
        counts[bisect_left(BOUNDS, seconds)] += 1
        self.histogram = Histogram(tuple(counts), self.histogram.total_seconds + seconds)
