"""The addresses that pools have taken, on one line of numbers over both families.

Pools come one after another, and each is checked against those that stand. The ranges that stand
never overlap, so the only one that a new range can meet is the last to start before its end. They
are kept in sorted runs of falling length, the shorter merged as they grow: n ranges cost
O(n log n) in all to file and O(log^2 n) each to check, in whatever order they come.
"""

from bisect import bisect_right
from operator import itemgetter

from exabgp_metallb.parsing.intent.resources import Problem
from exabgp_metallb.values.addresses import AddressRange, Family
from exabgp_metallb.values.intent import Pool

_V6_OFFSET = 1 << Family.IPV4.bits  # IPv6 comes after all of IPv4
_BEYOND = 1 << (Family.IPV6.bits + 1)


class TakenRanges:
    """The ranges of the pools that stand."""

    def __init__(self) -> None:
        self._runs: list[list[tuple[int, int, str, AddressRange]]] = []

    def problem(self, new: Pool) -> Problem | None:
        """Tell why a pool cannot stand."""
        found = [(i, r, hit) for i, r in enumerate(new.ranges) if (hit := self._overlap(r))]
        if not found:
            return None
        index, mine, (pool, other) = found[0]
        more = f" ({len(found) - 1} more entries overlap as well)" if len(found) > 1 else ""
        return Problem(
            f"spec.addresses[{index}]",
            f"{mine} overlaps {other} of IPAddressPool {pool}: an address can be in one pool only, "
            f"take it out of one of them{more}",
        )

    def take(self, pool: Pool) -> None:
        """Note a pool that stands."""
        run = sorted(((*_span(r), pool.name, r) for r in pool.ranges), key=itemgetter(0))
        while self._runs and len(self._runs[-1]) <= len(run):
            run = sorted(self._runs.pop() + run, key=itemgetter(0))  # two sorted halves: linear
        self._runs.append(run)

    def _overlap(self, new: AddressRange) -> tuple[str, AddressRange] | None:
        """Return one of the ranges that share an address with a new one, and its pool."""
        first, last = _span(new)
        for run in self._runs:
            place = bisect_right(run, (last, _BEYOND)) - 1
            if place >= 0 and run[place][1] >= first:
                return run[place][2:]
        return None


def _span(r: AddressRange) -> tuple[int, int]:
    offset = 0 if r.family is Family.IPV4 else _V6_OFFSET
    return int(r.first) + offset, int(r.last) + offset


def shortest_prefix(r: AddressRange) -> int:
    """Return the length of the largest prefix that lies inside a range.

    A range of at least 2**n addresses holds an aligned block of 2**(n-1), so there are two lengths
    to try at most.
    """
    first, last = int(r.first), int(r.last)
    power = r.size.bit_length() - 1
    aligned = -(-first >> power) << power
    return r.family.bits - (power if aligned + (1 << power) - 1 <= last else power - 1)
