"""What falls due when: one deadline for each key, the earliest first."""

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

LONGEST_DOUBLING = 64  # a float ends at the 1,024th

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """One deadline for each key; setting, clearing and taking cost the logarithm of their number.

    A deadline that is replaced or cleared stays in the heap until its turn comes, and is passed
    over then (the lazy deletion of Python's own heapq documentation).
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._at: dict[K, tuple[float, int]] = {}
        self._serials = itertools.count()

    def __contains__(self, key: K) -> bool:
        return key in self._at

    def set(self, key: K, at: float) -> None:
        """Let a key fall due at a time, in place of its last deadline."""
        serial = next(self._serials)
        self._at[key] = (at, serial)
        heapq.heappush(self._heap, (at, serial, key))

    def clear(self, key: K) -> None:
        """Let a key not fall due."""
        self._at.pop(key, None)

    def next(self) -> float | None:
        """Return the earliest deadline, None when there is none."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[K]:
        """Take out and yield every key whose time has come, the earliest first."""
        while (at := self.next()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            yield key


def doubled(first: float, times: int, *, most: float) -> float:
    """Return a pause that doubles each time until it is long enough."""
    return min(first * 2.0 ** min(times, LONGEST_DOUBLING), most)
