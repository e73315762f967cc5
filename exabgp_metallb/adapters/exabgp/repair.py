"""When to compare what ExaBGP holds for a neighbor with what it was told.

The answer to `show adj-rib out` is a row for each route, and ExaBGP carries out no other command
before its last row. Measured for 10,000 routes: 0.45 s where `exabgp_api_chunk` is 10, as `run`
sets it, and 2.6 s at ExaBGP's default of 1, most of it pauses in which its sessions are served. So

- one neighbor is asked for at a time, each once in REPAIR_SECONDS, and after an answer ExaBGP is
  left alone for as long as that took, several times over;
- it is asked only while nothing is on its way, and a change that comes meanwhile breaks the answer
  off (3 ms). It is asked again some seconds later;
- only a neighbor that was not compared for OVERDUE_SECONDS, since there was always something to
  send, is asked for at the cost of what comes meanwhile.
"""

from collections.abc import Collection

from exabgp_metallb.values.addresses import Address

REPAIR_SECONDS = 60.0
RETRY_SECONDS = 5.0
OVERDUE_SECONDS = 600.0
REST = 3.0  # times what the last answer took


class Repair:
    """Says which neighbor to ask for next. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._compared_at: dict[Address, float] = {}  # or when its session was first seen
        self._hurried = False
        self._asked: tuple[Address, float, float]  # who, when; and when it was compared before
        self._rest_until = 0.0

    def hurry(self) -> None:
        """Have all neighbors compared soon, as after a reload."""
        self._hurried = True

    def due(self, neighbors: Collection[Address], now: float) -> Address | None:
        """Return whom to ask for while nothing else is to be done, None for nobody.

        Args:
            neighbors: that have a session.
            now: in monotonic seconds.
        """
        self._keep(neighbors, now)
        if now < self._rest_until:
            return None
        waiting = [n for n in neighbors if self._age(n, now) >= REPAIR_SECONDS]
        return max(waiting, key=lambda n: (self._age(n, now), str(n)), default=None)

    def overdue(self, neighbors: Collection[Address], now: float) -> Address | None:
        """Return whom to ask for whatever else is to be done, None for nobody."""
        self._keep(neighbors, now)
        return next((n for n in neighbors if self._age(n, now) >= OVERDUE_SECONDS), None)

    def asked(self, neighbor: Address, now: float) -> None:
        """Note that a neighbor is being asked for."""
        self._asked = neighbor, now, self._compared_at[neighbor]
        self._compared_at[neighbor] = now

    def broken_off(self, now: float) -> None:
        """Note that something was more urgent than the answer."""
        neighbor, _, before = self._asked
        self._compared_at[neighbor] = before
        self._rest_until = now + RETRY_SECONDS

    def answered(self, now: float) -> None:
        """Note the end of the answer."""
        _, asked_at, _ = self._asked
        self._rest_until = now + REST * (now - asked_at)

    def _age(self, neighbor: Address, now: float) -> float:
        return now - self._compared_at[neighbor]

    def _keep(self, neighbors: Collection[Address], now: float) -> None:
        """Know these neighbors and no others."""
        last = now - REPAIR_SECONDS if self._hurried else now
        known, self._hurried = self._compared_at, False
        self._compared_at = {n: min(known.get(n, now), last) for n in neighbors}
