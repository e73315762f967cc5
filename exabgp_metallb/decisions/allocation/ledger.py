"""The leases, and every question about them answered by an index that `add` and `remove` keep.

The mapping of leases is the only state; holders by address, free addresses by pool, shared
addresses by key, and Services by namespace and pool all follow from it, and only this class writes
any of them.
"""

from collections.abc import Mapping
from types import MappingProxyType

from exabgp_metallb.decisions.allocation.sharing import (
    Group,
    Holding,
    ShareKey,
    Terms,
    terms_of_lease,
)
from exabgp_metallb.decisions.allocation.shelf import Shelf
from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import INT64_MAX, PoolUsage

Row = tuple[str, Family]
"""A pool in one family."""


class Ledger:
    """Who holds which address of which pool."""

    __slots__ = ("_counts", "_groups", "_holdings", "_leases", "_shelves")

    def __init__(self, pools: PoolIndex) -> None:
        self._leases: dict[ObjectName, Lease] = {}
        self._holdings: dict[Address, Holding] = {}
        self._groups: dict[tuple[Row, ShareKey], Group] = {}
        self._counts: dict[tuple[str, str], int] = {}  # Services by pool and namespace
        self._shelves: dict[Row, Shelf] = {}
        for pool in pools.by_name.values():
            self._stock(pool)

    def _stock(self, pool: Pool) -> None:
        for family in Family:
            ranges = [r for r in pool.ranges if r.family is family]
            if ranges:
                shelf = Shelf(ranges, avoid_buggy=pool.avoid_buggy_ips)
                self._shelves[pool.name, family] = shelf

    @property
    def leases(self) -> Leases:
        """The leases by Service, as a view."""
        return MappingProxyType(self._leases)

    def add(self, name: ObjectName, lease: Lease) -> None:
        """Record a lease; the Service has none, and all its addresses admit it on its terms."""
        assert name not in self._leases  # noqa: S101 -- two leases of one Service cannot be
        self._leases[name] = lease
        terms = terms_of_lease(lease)
        for address in lease.addresses:
            self._hold(address, name, lease.pool, terms)
        count = (lease.pool, name.namespace)
        self._counts[count] = self._counts.get(count, 0) + 1

    def _hold(self, address: Address, name: ObjectName, pool: str, terms: Terms) -> None:
        holding = self._holdings.get(address)
        if holding is None:
            row = (pool, family_of(address))
            shelf = self._shelves[row]
            place = shelf.place_of(address)
            shelf.take(place)
            holding = self._holdings[address] = Holding(terms.share_key)
            if terms.key:
                self._groups.setdefault((row, terms.share_key), Group()).join(place, holding)
        assert holding.admits(name, terms)  # noqa: S101 -- no address is held twice
        holding.add(name, terms.ports)

    def remove(self, name: ObjectName) -> Lease | None:
        """Take a Service's lease back and return it; None when it had none."""
        lease = self._leases.pop(name, None)
        if lease is None:
            return None
        for address in lease.addresses:
            self._release(address, name, lease)
        count = (lease.pool, name.namespace)
        self._counts[count] -= 1
        if not self._counts[count]:
            del self._counts[count]
        return lease

    def _release(self, address: Address, name: ObjectName, lease: Lease) -> None:
        holding = self._holdings[address]
        holding.remove(name, lease.ports)
        row = (lease.pool, family_of(address))
        shelf = self._shelves[row]
        place = shelf.place_of(address)
        group = self._groups.get((row, holding.share_key))
        if group is not None:
            group.loosen(place, lease.ports)
        if holding.holders:
            return
        del self._holdings[address]
        shelf.give_back(place)
        if group is not None:
            group.leave(place)
            if not group:
                del self._groups[row, holding.share_key]

    def replace_pools(self, old: PoolIndex, new: PoolIndex) -> None:
        """Follow an edit of the pools; nothing is leased from those that changed or went."""
        for name, pool in old.by_name.items():
            if new.by_name.get(name) != pool:
                for family in Family:
                    self._shelves.pop((name, family), None)
        for name, pool in new.by_name.items():
            if old.by_name.get(name) != pool:
                self._stock(pool)

    def holding(self, address: Address) -> Holding | None:
        """Return who holds an address; None when it is free, or of no pool."""
        return self._holdings.get(address)

    def has_free(self, pool: str, family: Family) -> bool:
        """Tell whether an address of the pool is held by nobody."""
        shelf = self._shelves.get((pool, family))
        return shelf is not None and shelf.lowest_free() is not None

    def lowest(self, pool: str, family: Family, terms: Terms) -> Address | None:
        """Return the first address of the pool that is free, or shared on these terms."""
        shelf = self._shelves.get((pool, family))
        if shelf is None:
            return None
        group = self._groups.get(((pool, family), terms.share_key)) if terms.key else None
        places = (shelf.lowest_free(), group.lowest(terms.ports) if group else None)
        place = min((place for place in places if place is not None), default=None)
        return None if place is None else shelf.at(place)

    def count(self, pool: str, namespace: str) -> int:
        """Count the Services of a namespace that hold addresses of a pool."""
        return self._counts.get((pool, namespace), 0)

    def capacity(self, pool: str, family: Family) -> int:
        """Count the addresses that a pool can give out in a family."""
        shelf = self._shelves.get((pool, family))
        return 0 if shelf is None else shelf.capacity

    def usage(self, pool: str) -> PoolUsage:
        """Return the counters of an IPAddressPool's status; an unknown pool has none."""
        used = {f: s.in_use if (s := self._shelves.get((pool, f))) else 0 for f in Family}
        left = {f: min(self.capacity(pool, f), INT64_MAX) - used[f] for f in Family}
        return PoolUsage(
            assigned_ipv4=used[Family.IPV4],
            assigned_ipv6=used[Family.IPV6],
            available_ipv4=left[Family.IPV4],
            available_ipv6=left[Family.IPV6],
        )


def usages(ledger: Ledger, pools: PoolIndex) -> Mapping[str, PoolUsage]:
    """Return the counters of every pool, in order of name."""
    return {name: ledger.usage(name) for name in pools.by_name}
