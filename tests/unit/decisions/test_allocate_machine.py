"""Whatever is edited in whatever order: no address twice, none moved unasked, no false refusal."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exabgp_metallb.decisions.allocation.allocate import Allocator, allocate, placed
from exabgp_metallb.decisions.allocation.ledger import Ledger
from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import Namespace, ObjectName, Service
from exabgp_metallb.values.outcome import LeaseChange, Outcome
from exabgp_metallb.values.reasons import Reason
from tests.unit.decisions import drawn
from tests.unit.decisions.oracle import World, families, needs


def _is_about_room(outcome: Outcome) -> bool:
    """Tell whether there is no room: a full pool and a full quota are both true, and one is told.

    Which one depends on when the Service was last looked at.
    """
    rooms = (Reason.POOL_EXHAUSTED, Reason.QUOTA_EXCEEDED)
    return outcome.refused is not None and outcome.refused.reason in rooms


class Allocation(RuleBasedStateMachine):
    """A controller's life: objects edited, statuses written late or never, restarts."""

    @initialize(
        services=st.lists(drawn.services_with_status, max_size=8),
        pools=drawn.pool_sets(),
        namespaces=drawn.namespace_sets,
    )
    def start(
        self,
        services: list[Service],
        pools: tuple[Pool, ...],
        namespaces: Mapping[str, Namespace],
    ) -> None:
        """Start on a cluster whose statuses show anything."""
        self.services = {service.name: service for service in services}
        self.pools, self.namespaces = pools, dict(namespaces)
        self._boot()

    def _boot(self) -> None:
        self.allocator = Allocator(self.pools, self.namespaces)
        self.allocator.edit(self.services)

    @property
    def world(self) -> World:
        """The rules, as they stand."""
        return World(self.services, self.pools, self.namespaces)

    def _edit(self, edits: dict[ObjectName, Service | None]) -> None:
        """Edit Services; all others keep what they have, the edited ones what they may."""
        before = dict(self.allocator.leases)
        known = set(self.services)
        for name, edit in edits.items():
            if edit is None:
                self.services.pop(name, None)
            else:
                self.services[name] = edit
        self.allocator.edit(edits)
        for name, lease in before.items():
            if name not in edits:
                self._assert_kept(name, lease)
        if len(edits) == 1:
            (name,) = edits
            if name in before and name in known and name in self.services:
                others = {each: lease for each, lease in before.items() if each != name}
                if self.world.is_legal(self.services[name], before[name].addresses, others):
                    self._assert_kept(name, before[name])

    def _assert_kept(self, name: ObjectName, lease: Lease) -> None:
        now = self.allocator.leases[name]
        assert set(now.addresses) >= set(lease.addresses)

    @rule(service=drawn.services)
    def edit_a_service(self, service: Service) -> None:
        """Create a Service or edit it beyond recognition; its status stays."""
        old = self.services.get(service.name)
        self._edit({service.name: replace(service, ingress=old.ingress if old else ())})

    @rule(name=st.sampled_from(drawn.SERVICE_NAMES), data=st.data())
    def edit_one_thing(self, name: ObjectName, data: st.DataObject) -> None:
        """Edit a single field of a Service, as people do."""
        if name not in self.services:
            return
        new = data.draw(drawn.services)
        field = data.draw(
            st.sampled_from(
                ["ports", "request", "labels", "cluster_ips", "family_policy", "traffic_policy"]
            )
        )
        self._edit({name: replace(self.services[name], **{field: getattr(new, field)})})

    @rule(services=st.lists(drawn.services, min_size=2, max_size=4))
    def edit_several_at_once(self, services: list[Service]) -> None:
        """A burst of events is one decision."""
        self._edit({service.name: service for service in services})

    @rule(name=st.sampled_from(drawn.SERVICE_NAMES))
    def delete_a_service(self, name: ObjectName) -> None:
        """Delete a Service, or one that is not there."""
        self._edit({name: None})

    @rule(names=st.sets(st.sampled_from(drawn.SERVICE_NAMES)))
    def statuses_are_written(self, names: set[ObjectName]) -> None:
        """The API shows some decisions; that changes none of them."""
        leases = dict(self.allocator.leases)
        for name in names & self.services.keys():
            self.services[name] = placed(self.services[name], leases.get(name))
            self.allocator.converge(name, self.services[name])
        assert leases == self.allocator.leases

    @rule(pools=drawn.pool_sets())
    def edit_the_pools(self, pools: tuple[Pool, ...]) -> None:
        """Shrink, rename, delete, open, close pools."""
        before = dict(self.allocator.leases)
        self.pools = pools
        self.allocator.edit(pools=pools)
        self._assert_legal_ones_kept(before)

    @rule(namespaces=drawn.namespace_sets)
    def edit_the_namespaces(self, namespaces: Mapping[str, Namespace]) -> None:
        """Create, delete and label namespaces."""
        before = dict(self.allocator.leases)
        self.namespaces = dict(namespaces)
        self.allocator.edit(namespaces=namespaces)
        self._assert_legal_ones_kept(before)

    @rule(
        services=st.lists(drawn.services, max_size=3),
        pools=drawn.pool_sets(),
        namespaces=drawn.namespace_sets,
    )
    def everything_changes_at_once(
        self,
        services: list[Service],
        pools: tuple[Pool, ...],
        namespaces: Mapping[str, Namespace],
    ) -> None:
        """A whole snapshot after a long absence."""
        before = dict(self.allocator.leases)
        edited = {service.name for service in services}
        self.services.update((service.name, service) for service in services)
        self.pools, self.namespaces = pools, dict(namespaces)
        self.allocator.follow(self.services, pools, namespaces)
        unedited = {name: lease for name, lease in before.items() if name not in edited}
        self._assert_legal_ones_kept(unedited)

    def _assert_legal_ones_kept(self, before: dict[ObjectName, Lease]) -> None:
        for name, lease in before.items():
            if self.world.is_legal(self.services[name], lease.addresses, {}):
                self._assert_kept(name, lease)

    @rule()
    def restart_after_all_statuses_are_written(self) -> None:
        """A restart changes nothing."""
        leases = dict(self.allocator.leases)
        refused = {name: each.refused for name, each in self.allocator.outcomes.items()}
        for name, service in self.services.items():
            if service.is_load_balancer:
                self.services[name] = placed(service, leases.get(name))
        self._boot()
        assert leases == self.allocator.leases
        after = {name: each.refused for name, each in self.allocator.outcomes.items()}
        assert {n for n, r in refused.items() if r} == {n for n, r in after.items() if r}
        changes = {each.change for each in self.allocator.outcomes.values()}
        assert changes <= {LeaseChange.KEPT, LeaseChange.CLEARED}

    @rule()
    def restart_after_a_crash(self) -> None:
        """Some statuses were never written; nobody was told of those leases."""
        self._boot()

    @rule(name=st.sampled_from(drawn.SERVICE_NAMES), ingress=drawn.address_sets)
    def somebody_edits_a_status_and_we_restart(
        self, name: ObjectName, ingress: tuple[Address, ...]
    ) -> None:
        """A status shows an address that we never gave."""
        if name in self.services:
            self.services[name] = replace(self.services[name], ingress=ingress)
        self._boot()

    @invariant()
    @precondition(lambda self: hasattr(self, "allocator"))
    def every_lease_is_legal(self) -> None:
        """No address is held twice but by the rules, and each by whom its pool allows."""
        leases = self.allocator.leases
        for name, lease in leases.items():
            service = self.services[name]
            assert self.world.is_legal(service, lease.addresses, leases)
            pools = {self.world.pool_for(address, service) for address in lease.addresses}
            assert {pool.name for pool in pools if pool} == {lease.pool}
            wish = service.request
            assert wish.fault or not wish.addresses or wish.addresses == lease.addresses

    @invariant()
    @precondition(lambda self: hasattr(self, "allocator"))
    def every_refusal_is_true(self) -> None:
        """Whoever lacks something could not be given it, and is told why."""
        leases = self.allocator.leases
        for name, service in self.services.items():
            outcome = self.allocator.outcomes[name]
            assert (outcome.lease is None) == (name not in leases)
            if outcome.lease is not None:
                if set(map(family_of, outcome.lease.addresses)) != families(service):
                    assert outcome.complaint is not None
                    assert not self.world.could_add(service, outcome.lease, leases)
                continue
            assert (outcome.refused is not None) == service.is_load_balancer
            assert not self.world.could_have(service, leases)
            self._assert_true_words(name)

    def _assert_true_words(self, name: ObjectName) -> None:
        refused, leases = self.allocator.outcomes[name].refused, self.allocator.leases
        if refused is None:
            return
        assert refused.message
        service = self.services[name]
        if refused.reason is Reason.ADDRESS_IN_USE:
            address = next(
                a for a in service.request.addresses if f"{a} is held" in refused.message
            )
            holders = {n for n, lease in leases.items() if address in lease.addresses}
            assert holders
            assert all(str(holder) in refused.message for holder in holders)
        elif refused.reason is Reason.QUOTA_EXCEEDED:
            assert any(not self.world.has_quota(p, service, leases) for p in self.pools)
        elif refused.reason is Reason.BAD_REQUEST:
            assert service.request.fault or len(service.request.addresses) == 2
        elif refused.reason is Reason.NO_CLUSTER_IP:
            assert not needs(service)
        elif refused.reason is Reason.NO_POOLS:
            assert not self.pools

    @invariant()
    @precondition(lambda self: hasattr(self, "allocator"))
    def a_full_retry_brings_nothing(self) -> None:
        """What can be reached by trying all again has been reached, and said."""
        again = pickle.loads(pickle.dumps(self.allocator))  # noqa: S301 -- our own; fastest copy
        outcomes = again.edit(self.services)
        assert dict(again.leases) == dict(self.allocator.leases)
        for outcome in outcomes:
            if not _is_about_room(outcome):
                assert not outcome.events
        assert {each.change for each in outcomes} <= {LeaseChange.KEPT}

    @invariant()
    @precondition(lambda self: hasattr(self, "allocator"))
    def every_index_follows_from_the_leases(self) -> None:
        """The ledger is what a new one with the same leases is."""
        mine, fresh = self.allocator._ledger, Ledger(PoolIndex(self.pools))
        for name, lease in self.allocator.leases.items():
            fresh.add(name, lease)
        assert mine._counts == fresh._counts
        assert mine._groups.keys() == fresh._groups.keys()
        assert all(mine._groups[k]._places == fresh._groups[k]._places for k in mine._groups)
        assert mine._holdings.keys() == fresh._holdings.keys()
        for address, holding in mine._holdings.items():
            assert holding.holders == fresh._holdings[address].holders
            assert holding.ports == fresh._holdings[address].ports
        for row, shelf in mine._shelves.items():
            assert shelf._taken == fresh._shelves[row]._taken
            assert shelf.lowest_free() == fresh._shelves[row].lowest_free()

    @invariant()
    @precondition(lambda self: hasattr(self, "allocator"))
    def the_counters_add_up(self) -> None:
        """Distinct addresses are counted, and no counter is negative."""
        for pool, usage in self.allocator.usage().items():
            leases = [lease for lease in self.allocator.leases.values() if lease.pool == pool]
            distinct = {address for lease in leases for address in lease.addresses}
            assert usage.assigned_ipv4 + usage.assigned_ipv6 == len(distinct)
            assert min(usage.available_ipv4, usage.available_ipv6) >= 0


TestAllocation = Allocation.TestCase
TestAllocation.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@settings(deadline=None)
@given(
    st.lists(drawn.services_with_status, max_size=8).map(
        lambda s: list({x.name: x for x in s}.values())
    ),
    drawn.pool_sets(),
    drawn.namespace_sets,
    st.randoms(use_true_random=False),
)
def test_no_order_of_the_input_shows(
    services: list[Service],
    pools: tuple[Pool, ...],
    namespaces: Mapping[str, Namespace],
    random: Random,
) -> None:
    """The decision is a function of the objects, whatever order they arrive in."""
    mixed, mixed_pools = list(services), list(pools)
    random.shuffle(mixed)
    random.shuffle(mixed_pools)
    one = allocate({s.name: s for s in services}, pools, namespaces)
    other = allocate(
        {s.name: s for s in mixed}, mixed_pools, dict(reversed(list(namespaces.items())))
    )
    assert one == other
    assert list(one.outcomes) == list(other.outcomes)
