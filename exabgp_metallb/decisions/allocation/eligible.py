"""Which pools a Service may take addresses from, by IPAddressPool spec.serviceAllocation.

A pool without serviceAllocation is open to all. Otherwise its namespaces (named, or matched by
label) and its serviceSelectors must both admit the Service, and a part that is not given admits
every Service. A namespaceSelector that matches no namespace admits nobody: MetalLB takes the empty
result for "no restriction" and lets any Service have the pool that names it.
"""

from collections.abc import Collection, Mapping
from heapq import nsmallest

from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.intent import Pool, ServiceAllocation
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.objects import Namespace, Service
from exabgp_metallb.values.reasons import Reason, Refused

NAMES_SHOWN = 5
"""How many names of pools or Services a message lists; the rest are counted."""


def listed(names: Collection[str]) -> str:
    """Return names for a message, the first ones in order and as many as a person reads."""
    shown = ", ".join(nsmallest(NAMES_SHOWN, names))
    rest = len(names) - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _trial_order(pool: Pool) -> tuple[bool, int, str]:
    """Sort key of pools with a serviceAllocation: by priority, unset last, then by name."""
    priority = pool.allocation.priority if pool.allocation else 0
    return (priority == 0, priority, pool.name)


class Eligibility:
    """The pools together with the namespaces that their selectors speak of.

    Attributes:
        general: the pools that any Service may get addresses from unasked, in order of name.
    """

    __slots__ = ("_by_namespace", "_namespaces", "_pinned", "general", "pools")

    def __init__(self, pools: PoolIndex, namespaces: Mapping[str, Namespace]) -> None:
        self.pools = pools
        self._namespaces = namespaces
        every = pools.by_name.values()
        self.general = tuple(pool for pool in every if self.is_general(pool))
        pinned = [pool for pool in every if pool.auto_assign and pool.allocation is not None]
        self._pinned = tuple(sorted(pinned, key=_trial_order))
        self._by_namespace: dict[str, tuple[Pool, ...]] = {}

    @staticmethod
    def is_general(pool: Pool) -> bool:
        """Tell whether any Service may get addresses from a pool unasked."""
        return pool.auto_assign and pool.allocation is None

    def pinned(self, service: Service) -> tuple[Pool, ...]:
        """Return the pools with a serviceAllocation that serve this Service unasked, in order."""
        namespace = service.name.namespace
        if namespace not in self._by_namespace:
            self._by_namespace[namespace] = tuple(
                pool
                for pool in self._pinned
                if pool.allocation and self._admits_namespace(pool.allocation, namespace)
            )
        here = self._by_namespace[namespace]
        return tuple(p for p in here if p.allocation and _admits_labels(p.allocation, service))

    def objection(self, pool: Pool, service: Service) -> Refused | None:
        """Say why a Service may hold no address of a pool, None when it may."""
        allocation = pool.allocation
        if allocation is None:
            return None
        if not self._admits_namespace(allocation, service.name.namespace):
            return _refused(pool, self._namespace_text(allocation, service.name.namespace))
        if not _admits_labels(allocation, service):
            text = "its serviceSelectors match no such labels; label the Service or edit the pool"
            return _refused(pool, text)
        return None

    def _admits_namespace(self, allocation: ServiceAllocation, name: str) -> bool:
        if name in allocation.namespaces:
            return True
        if not allocation.namespace_selectors:
            return not allocation.namespaces
        namespace = self._namespaces.get(name)
        return namespace is not None and any_matches(
            allocation.namespace_selectors, namespace.labels
        )

    def _namespace_text(self, allocation: ServiceAllocation, name: str) -> str:
        parts = []
        if allocation.namespaces:
            parts.append(f"its namespaces are {listed(allocation.namespaces)}")
        if allocation.namespace_selectors:
            known = "" if name in self._namespaces else " (no such Namespace is known)"
            parts.append(f"its namespaceSelectors do not match namespace {name}{known}")
        return f"{' and '.join(parts)}; add {name} to them or name another pool"


def _admits_labels(allocation: ServiceAllocation, service: Service) -> bool:
    selectors = allocation.service_selectors
    return not selectors or any_matches(selectors, service.labels)


def _refused(pool: Pool, text: str) -> Refused:
    return Refused(Reason.POOL_NOT_ALLOWED, f'pool "{pool.name}" is not for this Service: {text}')
