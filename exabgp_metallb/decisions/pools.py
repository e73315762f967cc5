"""Which pool an address belongs to, found by bisection.

Pools are disjoint once they are part of an Intent (overlaps are refused by parsing), so one sorted
list of range starts for each family answers for all of them: a lookup costs the logarithm of the
number of ranges, and an IPv6 /64 no more than a single address.
"""

from bisect import bisect_right
from collections.abc import Iterable

from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.intent import Pool


class PoolIndex:
    """The pools by name, and by address.

    Attributes:
        by_name: in order of name.
    """

    __slots__ = ("_lasts", "_owners", "_starts", "by_name")

    def __init__(self, pools: Iterable[Pool]) -> None:
        self.by_name = {pool.name: pool for pool in sorted(pools, key=lambda pool: pool.name)}
        self._starts: dict[Family, list[int]] = {}
        self._lasts: dict[Family, list[int]] = {}
        self._owners: dict[Family, list[Pool]] = {}
        for family in Family:
            held = [
                (int(r.first), int(r.last), pool)
                for pool in self.by_name.values()
                for r in pool.ranges
                if r.family is family
            ]
            held.sort(key=lambda entry: entry[0])
            self._starts[family] = [start for start, _, _ in held]
            self._lasts[family] = [last for _, last, _ in held]
            self._owners[family] = [pool for _, _, pool in held]

    def pool_of(self, address: Address) -> Pool | None:
        """Return the pool whose ranges hold the address, None when there is no such pool."""
        family, number = family_of(address), int(address)
        place = bisect_right(self._starts[family], number) - 1
        if place < 0 or number > self._lasts[family][place]:
            return None
        return self._owners[family][place]
