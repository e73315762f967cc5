"""The rules of the allocation by brute force: every address tried, every pair of holders compared.

Written from the rules and not from the code, slow and without any index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import (
    FamilyPolicy,
    Namespace,
    ObjectName,
    Service,
    TrafficPolicy,
)


def families(service: Service) -> set[Family]:
    """Return the families that the Service is of."""
    return {family_of(address) for address in service.cluster_ips}


def needs(service: Service) -> list[set[Family]]:
    """Return the sets of families that would do, the best first."""
    have = families(service)
    if not have or (service.family_policy is FamilyPolicy.REQUIRE_DUAL_STACK and len(have) < 2):
        return []
    if len(have) == 2 and service.family_policy is FamilyPolicy.PREFER_DUAL_STACK:
        return [have, {Family.IPV4}, {Family.IPV6}]
    return [have]


@dataclass(frozen=True)
class World:
    """Everything that decides."""

    services: Mapping[ObjectName, Service]
    pools: tuple[Pool, ...]
    namespaces: Mapping[str, Namespace]

    def admits(self, pool: Pool, service: Service) -> bool:
        """Tell whether a pool is for a Service."""
        rule = pool.allocation
        if rule is None:
            return True
        space = service.name.namespace
        if rule.namespaces or rule.namespace_selectors:
            known = self.namespaces.get(space)
            matches = known is not None and any_matches(rule.namespace_selectors, known.labels)
            if space not in rule.namespaces and not matches:
                return False
        return not rule.service_selectors or any_matches(rule.service_selectors, service.labels)

    def pool_for(self, address: Address, service: Service) -> Pool | None:
        """Return the pool that the Service may hold an address of, None when it may not."""
        pool = next((pool for pool in self.pools if address in pool), None)
        if pool is None or not self.admits(pool, service):
            return None
        buggy = address.version == 4 and str(address).rpartition(".")[2] in ("0", "255")
        return None if pool.avoid_buggy_ips and buggy else pool

    def may_share(self, one: Service, other: Service) -> bool:
        """Tell whether two Services may hold one address."""
        return (
            one.request.sharing_key == other.request.sharing_key != ""
            and _backend(one) == _backend(other)
            and not set(one.ports) & set(other.ports)
        )

    def is_open(self, address: Address, service: Service, leases: Leases) -> bool:
        """Tell whether nobody who holds the address is in the Service's way."""
        return all(
            name == service.name
            or address not in lease.addresses
            or self.may_share(service, self.services[name])
            for name, lease in leases.items()
        )

    def is_legal(self, service: Service, held: tuple[Address, ...], leases: Leases) -> bool:
        """Tell whether a Service may hold these addresses and no others."""
        pools = {pool.name if (pool := self.pool_for(a, service)) else None for a in held}
        wish = service.request
        asked = set(wish.addresses) if wish.fault is None else set()
        return (
            service.is_load_balancer
            and len(pools) == 1
            and None not in pools
            and {family_of(a) for a in held} in needs(service)
            and len({family_of(a) for a in held}) == len(held)
            and (wish.pool is None or wish.pool in pools)
            and (not asked or (asked == set(held) and len(held) == len(families(service))))
            and all(self.is_open(address, service, leases) for address in held)
        )

    def has_quota(self, pool: Pool, service: Service, leases: Leases) -> bool:
        """Tell whether the Service's namespace may have one more Service in the pool."""
        most = pool.allocation.max_per_namespace if pool.allocation else None
        space = service.name.namespace
        return most is None or most > sum(
            lease.pool == pool.name and name.namespace == space and name != service.name
            for name, lease in leases.items()
        )

    def could_have(self, service: Service, leases: Leases) -> set[tuple[Address, ...]]:
        """Return every set of addresses that might be given to a Service that has none."""
        if not service.is_load_balancer or service.request.fault is not None:
            return set()
        wish = service.request
        found = set()
        for pool in self.pools:
            unasked = wish.pool is None and not wish.addresses
            if (unasked and not pool.auto_assign) or not self.has_quota(pool, service, leases):
                continue
            for need in needs(service):
                for each in _choices(pool, need):
                    if self.is_legal(service, each, leases):
                        found.add(each)
        return found

    def could_add(self, service: Service, lease: Lease, leases: Leases) -> bool:
        """Tell whether a second family could be added to the lease of a Service."""
        if service.request.fault is not None:
            return False
        pool = next(pool for pool in self.pools if pool.name == lease.pool)
        missing = families(service) - {family_of(address) for address in lease.addresses}
        return any(
            self.is_legal(service, (*lease.addresses, *more), leases)
            for more in _choices(pool, missing)
            if more
        )


def _backend(service: Service) -> frozenset[tuple[str, str]]:
    local = service.traffic_policy is TrafficPolicy.LOCAL
    return service.selector if local else frozenset()


def _choices(pool: Pool, need: set[Family]) -> list[tuple[Address, ...]]:
    by_family = [
        [span.at(n) for span in pool.ranges if span.family is family for n in range(span.size)]
        for family in sorted(need)
    ]
    return list(product(*by_family))
