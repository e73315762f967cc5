"""The free addresses of one pool in one family, lowest first.

A place is an address' number in the order of giving out: ranges in the order of spec.addresses,
addresses ascending in each (as MetalLB walks them). All places from a watermark on were never
given out by search, so they need no record; those below it that came back lie in a heap. Cost and
memory follow the addresses in use, never the size of the pool: an IPv6 /64 costs what a /32 does.
"""

from bisect import bisect_right
from collections.abc import Iterable
from heapq import heappop, heappush
from ipaddress import IPv4Address
from itertools import accumulate

from exabgp_metallb.values.addresses import Address, AddressRange, Family


def is_buggy(address: Address) -> bool:
    """Tell whether spec.avoidBuggyIPs leaves the address out: IPv4 that ends in .0 or .255."""
    return isinstance(address, IPv4Address) and int(address) & 0xFF in (0x00, 0xFF)


def _buggy_below(number: int) -> int:
    """Count the IPv4 addresses below `number` that end in .0 or .255."""
    blocks, rest = divmod(number, 256)
    return 2 * blocks + (rest > 0)


class Shelf:
    """Which places are taken, and the lowest that is not."""

    __slots__ = (
        "_buggy",
        "_firsts",
        "_freed",
        "_in_heap",
        "_number_order",
        "_ranges",
        "_size",
        "_starts",
        "_taken",
        "_watermark",
        "capacity",
    )

    def __init__(self, ranges: Iterable[AddressRange], *, avoid_buggy: bool = False) -> None:
        """Take disjoint ranges of one family, in the order of the pool."""
        self._ranges = tuple(ranges)
        ends = list(accumulate(r.size for r in self._ranges))
        self._size = ends[-1] if ends else 0
        self._starts = [0, *ends[:-1]]  # the place of each range's first address
        self._number_order = sorted(
            range(len(self._ranges)), key=lambda i: int(self._ranges[i].first)
        )
        self._firsts = [int(self._ranges[i].first) for i in self._number_order]
        self._buggy = avoid_buggy
        self.capacity = sum(self._usable(r) for r in self._ranges)
        self._taken: set[int] = set()
        self._freed: list[int] = []  # a heap; may still hold places that were taken again
        self._in_heap: set[int] = set()
        self._watermark = 0

    def _usable(self, span: AddressRange) -> int:
        if not self._buggy or span.family is Family.IPV6:
            return span.size
        return span.size - _buggy_below(int(span.last) + 1) + _buggy_below(int(span.first))

    @property
    def in_use(self) -> int:
        """How many addresses are taken."""
        return len(self._taken)

    def place_of(self, address: Address) -> int:
        """Return the place of an address of this shelf."""
        index = self._number_order[bisect_right(self._firsts, int(address)) - 1]
        return self._starts[index] + int(address) - int(self._ranges[index].first)

    def at(self, place: int) -> Address:
        """Return the address of a place."""
        index = bisect_right(self._starts, place) - 1
        return self._ranges[index].at(place - self._starts[index])

    def take(self, place: int) -> None:
        """Mark a free place as taken."""
        self._taken.add(place)

    def give_back(self, place: int) -> None:
        """Mark a taken place as free again; it is the next one given if no lower one is free."""
        self._taken.remove(place)
        if place < self._watermark and place not in self._in_heap:
            heappush(self._freed, place)
            self._in_heap.add(place)

    def lowest_free(self) -> int | None:
        """Return the lowest free place, None when all are taken."""
        while self._freed:
            if self._freed[0] not in self._taken:
                return self._freed[0]
            self._in_heap.remove(heappop(self._freed))
        while self._watermark < self._size:
            if self._is_free(self._watermark):
                return self._watermark
            self._watermark += 1
        return None

    def _is_free(self, place: int) -> bool:
        return place not in self._taken and not (self._buggy and is_buggy(self.at(place)))
