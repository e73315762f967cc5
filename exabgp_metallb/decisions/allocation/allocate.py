"""Which Service holds which addresses: the whole decision, and the same kept up change by change.

`allocate` decides everything from nothing: Services that show addresses in their status keep them
as far as they may, the older one where two show the same; then every Service is served in turn,
those with addresses first, then by age. `Allocator` keeps what that needs and takes edits. An edit
costs what it touches: the Services edited, the holders in pools and namespaces edited, and of
those that wait only the ones that an address given back, or held on other terms, may help.

The life of one edit: the leases of all that it touches are taken off the ledger; each of these
Services claims what it keeps, so that nobody is given an address that a later one may keep (in
turn, those with new sharing terms last: who ends an agreement has to move); each is then settled in
turn; at last those that wait are tried wherever an address changed hands, until nothing more comes
of it. What is pending then is pending for the reason in its outcome.

The status of a Service counts when it is first seen. From then on the ledger knows better, and a
status that comes back late from the API, or that somebody edits, does not undo a decision.

Rules: MetalLB's controller (convergeBalancer) and allocator, with the differences that
docs/compatibility.md lists. Objects: core/v1 Service, Namespace; metallb.io/v1beta1 IPAddressPool.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from exabgp_metallb.decisions.allocation.course import Begun, Course, writing_order
from exabgp_metallb.decisions.allocation.eligible import Eligibility
from exabgp_metallb.decisions.allocation.fit import may_have_none, over_quota
from exabgp_metallb.decisions.allocation.ledger import Ledger, usages
from exabgp_metallb.decisions.allocation.outcomes import outcome_of
from exabgp_metallb.decisions.allocation.settle import Placing, keeping, lease_of, placing, staying
from exabgp_metallb.decisions.allocation.sharing import terms_of, terms_of_lease
from exabgp_metallb.decisions.allocation.waiting import Waiting
from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.addresses import Address, address_order, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import Namespace, ObjectName, Service
from exabgp_metallb.values.outcome import LeaseChange, Outcome, PoolUsage

_NOTHING: Mapping[ObjectName, Service | None] = MappingProxyType({})
_NO_LEASES: Leases = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Allocation:
    """A whole decision.

    Attributes:
        outcomes: one for each Service, sorted by name.
        usage: the counters of each pool, sorted by name.
    """

    outcomes: Mapping[ObjectName, Outcome]
    usage: Mapping[str, PoolUsage]


def allocate(
    services: Mapping[ObjectName, Service],
    pools: Iterable[Pool],
    namespaces: Mapping[str, Namespace],
    held: Leases = _NO_LEASES,
) -> Allocation:
    """Decide the addresses of all Services at once.

    Args:
        services: those that are ours, of any type; their order does not matter.
        pools: disjoint, with distinct names.
        namespaces: by name, for namespaceSelectors; a namespace not among them matches none.
        held: leases known from elsewhere; they stand in for the status of these Services.
    """
    allocator = Allocator(pools, namespaces)
    outcomes = allocator.edit(services, held=held)
    ordered = sorted(outcomes, key=lambda outcome: outcome.service)
    return Allocation({each.service: each for each in ordered}, allocator.usage())


def placed(service: Service, lease: Lease | None) -> Service:
    """Return the Service as its status will show the decision."""
    if lease is None:
        return replace(service, ingress=(), allocated_pool=None)
    return replace(service, ingress=lease.addresses, allocated_pool=lease.pool)


class Allocator:
    """The decision, kept up with edits. It has one owner and no lock.

    After a restart a new one is filled by a single `edit` with every Service there is; addresses
    that their statuses show are then kept as far as the rules allow.
    """

    def __init__(self, pools: Iterable[Pool], namespaces: Mapping[str, Namespace]) -> None:
        index = PoolIndex(pools)
        self._services: dict[ObjectName, Service] = {}
        self._in_namespace: dict[str, set[ObjectName]] = {}
        self._namespaces = dict(namespaces)
        self._eligibility = Eligibility(index, self._namespaces)
        self._ledger = Ledger(index)
        self._waiting = Waiting()
        self._outcomes: dict[ObjectName, Outcome] = {}
        self._refused: set[ObjectName] = set()

    @property
    def leases(self) -> Leases:
        """The leases by Service, as a view that follows the decision."""
        return self._ledger.leases

    @property
    def outcomes(self) -> Mapping[ObjectName, Outcome]:
        """The last outcome of each Service without its events, as a view that follows along."""
        return MappingProxyType(self._outcomes)

    def usage(self) -> Mapping[str, PoolUsage]:
        """Return the status counters of every pool, in order of name."""
        return usages(self._ledger, self._eligibility.pools)

    def converge(self, name: ObjectName, service: Service | None) -> tuple[Outcome, ...]:
        """Take one Service as it is now; None when it is deleted or no longer ours. See `edit`."""
        return self.edit({name: service})

    def retry(self) -> tuple[Outcome, ...]:
        """Try all Services again that lack something; nothing comes of it unless `edit` erred."""
        names = self._refused.union(self._waiting)
        return self.edit({name: self._services[name] for name in names})

    def follow(
        self,
        services: Mapping[ObjectName, Service],
        pools: Iterable[Pool],
        namespaces: Mapping[str, Namespace],
    ) -> tuple[Outcome, ...]:
        """Take a whole new snapshot; only what differs from the last one is decided again."""
        edited: dict[ObjectName, Service | None] = {
            name: service
            for name, service in services.items()
            if (old := self._services.get(name)) is not service and old != service
        }
        edited.update((name, None) for name in self._services.keys() - services.keys())
        return self.edit(edited, pools=pools, namespaces=namespaces)

    def edit(
        self,
        services: Mapping[ObjectName, Service | None] = _NOTHING,
        *,
        pools: Iterable[Pool] | None = None,
        namespaces: Mapping[str, Namespace] | None = None,
        held: Leases = _NO_LEASES,
    ) -> tuple[Outcome, ...]:
        """Take edits, all at one moment, and decide what follows from them.

        Args:
            services: those that changed; None for one that is deleted or no longer ours.
            pools: all pools there are now; None when none changed.
            namespaces: all namespaces there are now; None when none changed.
            held: leases that stand in for the status of these Services.

        Returns:
            The outcomes of the Services named, and of all others for which something is new:
            first those that give addresses up, then those that move, then those that gain.
        """
        course = Course(held)
        self._store(services)
        touched = set(services)
        if namespaces is not None:
            touched |= self._take_namespaces(namespaces)
        new = None if pools is None else self._new_index(pools)
        if new is not None:
            touched |= self._touched_by_pools(new)
        for name in touched:
            self._begin(name, course)
        in_turn = sorted(touched, key=lambda name: course.begun[name].turn)
        if new is not None or len(touched) > 1:
            self._claim_again(in_turn, new, course)
        for name in in_turn:
            self._settle(name, course)
        self._serve_waiting(course)
        return self._finish(services.keys(), course)

    def _store(self, services: Mapping[ObjectName, Service | None]) -> None:
        for name, service in services.items():
            if service is not None:
                self._services[name] = service
                self._in_namespace.setdefault(name.namespace, set()).add(name)
            elif self._services.pop(name, None) is not None:
                self._in_namespace[name.namespace].discard(name)

    def _take_namespaces(self, namespaces: Mapping[str, Namespace]) -> set[ObjectName]:
        """Follow the namespaces; return the Services that may be admitted elsewhere now."""
        old = self._namespaces
        edited = {n for n in old.keys() | namespaces.keys() if old.get(n) != namespaces.get(n)}
        if not edited:
            return set()
        self._namespaces = dict(namespaces)
        self._eligibility = Eligibility(self._eligibility.pools, self._namespaces)
        return set().union(*(self._in_namespace.get(name, ()) for name in edited))

    def _new_index(self, pools: Iterable[Pool]) -> PoolIndex | None:
        """Return the index of the pools, None when they are the ones that we have."""
        by_name = {pool.name: pool for pool in pools}
        return None if by_name == self._eligibility.pools.by_name else PoolIndex(by_name.values())

    def _touched_by_pools(self, new: PoolIndex) -> set[ObjectName]:
        """Return the holders in pools that changed or went, and all that have nothing."""
        old = self._eligibility.pools.by_name
        stale = {name for name, pool in old.items() if new.by_name.get(name) != pool}
        holders = {name for name, lease in self.leases.items() if lease.pool in stale}
        return holders.union(self._refused)

    def _begin(self, name: ObjectName, course: Course) -> None:
        """Note how a Service stands before the edit does anything to it."""
        service = self._services.get(name)
        current = self._current(name, service, course)
        turn = (not current, service.created if service else "", name)
        course.begun[name] = Begun(turn, current, self._outcomes.get(name))

    def _current(
        self, name: ObjectName, service: Service | None, course: Course
    ) -> tuple[Address, ...]:
        """Return the addresses that a Service has, whether or not it may keep them."""
        lease = self.leases.get(name)
        if lease is not None:
            return lease.addresses
        if service is None or name in self._outcomes or name in course.results:
            return ()
        if name in course.held:
            return course.held[name].addresses
        return service.ingress if service.is_load_balancer or service.allocated_pool else ()

    def _claim_again(self, names: list[ObjectName], new: PoolIndex | None, course: Course) -> None:
        """Take the leases of these Services back, and let each claim in turn what it may keep."""
        for name in names:
            course.taken[name] = self._ledger.remove(name)
        if new is not None:
            self._ledger.replace_pools(self._eligibility.pools, new)
            self._eligibility = Eligibility(new, self._namespaces)
        for name in sorted(names, key=lambda name: self._has_new_terms(name, course)):
            service, current = self._services.get(name), course.begun[name].current
            if service is None or not current or not self._may_have_some(service):
                continue
            stay = staying(service, current, self._eligibility, self._ledger)
            if stay.pool is not None:
                self._ledger.add(name, lease_of(service, stay.addresses, stay.pool))

    def _has_new_terms(self, name: ObjectName, course: Course) -> bool:
        """Tell whether a Service would hold its addresses on other terms than before."""
        service, lease = self._services.get(name), course.taken[name]
        return service is None or lease is None or terms_of(service) != terms_of_lease(lease)

    def _may_have_some(self, service: Service) -> bool:
        return service.is_load_balancer and may_have_none(service, self._eligibility) is None

    def _settle(self, name: ObjectName, course: Course) -> None:
        """Decide for one Service, and write it into every index."""
        service = self._services.get(name)
        if name not in course.begun:
            self._begin(name, course)
        if name in course.results:
            current = self._current(name, service, course)
        else:
            current = course.begun[name].current
        claimed = self.leases.get(name)
        before = course.taken.pop(name, claimed)
        result, lost = self._decided(service, current)
        course.results[name] = result
        course.lost.setdefault(name, lost)
        self._write(name, result.lease)
        course.stir(name, before, result.lease)
        course.stir(name, claimed, result.lease)
        if service is None:
            self._waiting.leave(name)
            return
        turn = (result.lease is None, service.created, name)
        self._waiting.enrol(turn, terms_of(service), result.wait)

    def _decided(
        self, service: Service | None, current: tuple[Address, ...]
    ) -> tuple[Placing, tuple[str, ...]]:
        """Decide for one Service; also why it does not keep some of its current addresses."""
        if service is None or not service.is_load_balancer:
            return Placing(None), ()
        refused = may_have_none(service, self._eligibility)
        if refused is not None:
            return Placing(None, refused), (refused.message,)
        stay = staying(service, current, self._eligibility, self._ledger)
        kept = keeping(service, stay)
        if kept is not None:
            return kept, stay.lost
        self._ledger.remove(service.name)
        return placing(service, stay, self._eligibility, self._ledger), stay.lost

    def _write(self, name: ObjectName, lease: Lease | None) -> None:
        if self.leases.get(name) == lease:
            return
        self._ledger.remove(name)
        if lease is not None:
            self._ledger.add(name, lease)

    def _serve_waiting(self, course: Course) -> None:
        """Try those that wait wherever something changed, until nothing more comes of it."""
        while self._waiting and (course.stirred or course.eased):
            stirred, course.stirred = sorted(course.stirred, key=address_order), set()
            eased, course.eased = sorted(course.eased), set()
            for pool, namespace in eased:
                self._offer_quota(pool, namespace, course)
            for address in stirred:
                for name in self._waiting.at(address):
                    self._settle(name, course)
                self._offer(address, course)

    def _offer_quota(self, name: str, namespace: str, course: Course) -> None:
        """Let those in whose way a quota was try again, in turn, as long as it is not."""
        pool = self._eligibility.pools.by_name.get(name)
        for waiting in self._waiting.short_of(name, namespace):
            if pool and over_quota(self._services[waiting], pool, self._ledger):
                return
            self._settle(waiting, course)

    def _offer(self, address: Address, course: Course) -> None:
        """Let those that wait for any address of a pool have this one, in turn."""
        pool = self._eligibility.pools.pool_of(address)
        if pool is None:
            return
        places = (pool.name, None) if self._eligibility.is_general(pool) else (pool.name,)
        tried: set[ObjectName] = set()
        while name := self._next_hopeful(pool, places, address, tried):
            tried.add(name)
            self._settle(name, course)

    def _next_hopeful(
        self, pool: Pool, places: tuple[str | None, ...], address: Address, tried: set[ObjectName]
    ) -> ObjectName | None:
        holding = self._ledger.holding(address)
        key = None if holding is None else holding.share_key
        if key is not None and not key[0]:
            return None
        for name, need in self._waiting.hopeful(places, family_of(address), key):
            terms = terms_of(self._services[name])
            there = (self._ledger.lowest(pool.name, family, terms) for family in need)
            if name not in tried and all(found is not None for found in there):
                return name
        return None

    def _finish(self, named: Iterable[ObjectName], course: Course) -> tuple[Outcome, ...]:
        """Put the results into words, remember them, and return those that matter."""
        told = set(named)
        outcomes = []
        for name, result in course.results.items():
            outcome = self._outcome(name, result, course)
            self._remember(outcome)
            if name in told or outcome.change is not LeaseChange.KEPT or outcome.events:
                outcomes.append(outcome)
        return tuple(sorted(outcomes, key=writing_order))

    def _outcome(self, name: ObjectName, result: Placing, course: Course) -> Outcome:
        begun = course.begun[name]
        return outcome_of(
            name,
            self._services.get(name),
            before=begun.current,
            placing=result,
            lost=course.lost[name],
            last=begun.outcome,
        )

    def _remember(self, outcome: Outcome) -> None:
        name = outcome.service
        self._refused.discard(name)
        if name not in self._services:
            self._outcomes.pop(name, None)
            return
        self._outcomes[name] = replace(outcome, events=()) if outcome.events else outcome
        if outcome.refused is not None:
            self._refused.add(name)
