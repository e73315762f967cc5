"""How often something may be done about one Service: a token bucket for each."""

from exabgp_metallb.values.objects import ObjectName


class Allowance:
    """Grants `burst` at once, and one more each `pause_seconds`. Time is an argument.

    Args:
        burst: how many, after a long rest.
        pause_seconds: between two, when all of those are spent.
    """

    def __init__(self, burst: int, pause_seconds: float) -> None:
        self._burst = burst
        self._pause_seconds = pause_seconds
        self._spent: dict[ObjectName, tuple[float, float]] = {}  # how many, as of when

    def spend(self, name: ObjectName, now: float) -> bool:
        """Take one, and tell whether there was one to take."""
        spent, since = self._spent.get(name, (0.0, now))
        spent = max(0.0, spent - (now - since) / self._pause_seconds)
        may = spent + 1 <= self._burst
        self._spent[name] = (spent + 1 if may else spent, now)
        return may

    def gone(self, name: ObjectName) -> None:
        """Forget a Service."""
        self._spent.pop(name, None)
