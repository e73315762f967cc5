"""Which node answers for an address on layer 2, and in which order the others take its place.

The data. A Service with addresses makes a *bid* for them: its electorate (`decisions.electorate`)
and, with policy Local, the nodes that have its endpoints. The nodes that may answer for an address
are those of all bids for it, in one order: a pure function of names and text, so that every node of
a cluster finds the same one by itself, and MetalLB's nodes among them do. The first one answers.

The order is MetalLB's (layer2_controller.go): higher score first, then ascending SHA-256 of
`node#address`, where the address is the first one of the Service, for all that it has. Services
that share an address may have different first ones; MetalLB's nodes then disagree, here the least
counts. A node that more of them may use comes before one that fewer may use.

A node that is NotReady is a candidate only where no other is ready: with their API server all nodes
lose that condition, and serve nevertheless.

The life of a change. `bid` decides one Service; `ElectionTable` holds the bid of each Service and
the slate for each address, which all addresses with the same bids share. A Service that changes is
decided alone. A Node that changes makes new slates of those that it is or was in. The order within
a slate is worked out for whoever asks (`candidates`).

The rules are MetalLB's, in its order, with one difference: MetalLB has one word, notOwner, for six
of them, and here the reason is the rule.
"""

from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, replace

from exabgp_metallb.decisions.candidates import Order, behind, candidates
from exabgp_metallb.decisions.electorate import (
    ClusterView,
    Electorate,
    Interfaces,
    Rank,
    united,
)
from exabgp_metallb.decisions.preconditions import (
    NO_ENDPOINTS,
    announced_pool,
    no_local_endpoints,
    serving,
)
from exabgp_metallb.values.addresses import Address, address_order
from exabgp_metallb.values.intent import L2Advertisement, Pool
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.objects import (
    Endpoint,
    Node,
    NodeName,
    ObjectName,
    Service,
    TrafficPolicy,
)
from exabgp_metallb.values.orders import AddressOrder, Slate
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.snapshot import Snapshot

_Ranks = tuple[Slate, ...]
"""The nodes of each rank that counts, `Rank.READY` first."""


@dataclass(frozen=True, slots=True)
class Bid:
    """What one Service asks for.

    Attributes:
        addresses: of the Service, in its order.
        local: the nodes with endpoints of a Service with policy Local; None: they do not matter.
    """

    electorate: Electorate
    addresses: tuple[Address, ...]
    local: frozenset[NodeName] | None

    @property
    def nodes(self) -> frozenset[NodeName]:
        """The nodes that may answer for it, whatever their rank."""
        able = self.electorate.able
        return able if self.local is None else able & self.local

    def is_for(self, node: NodeName) -> bool:
        """Tell whether a node is among `nodes`."""
        return node in self.electorate.able and (self.local is None or node in self.local)


def bid(service: Service, endpoints: Iterable[Endpoint], view: ClusterView) -> Bid | Refused:
    """Decide what one Service asks for, or why no node at all can answer for it."""
    pool = announced_pool(service, view.pools)
    if isinstance(pool, Refused):
        return pool
    found = serving(endpoints)
    if not found:
        return NO_ENDPOINTS
    matching = _matching(service, pool, view)
    if isinstance(matching, Refused):
        return matching
    local = None
    if service.traffic_policy is TrafficPolicy.LOCAL:
        local = frozenset(e.node for e in found if e.node is not None)
    return Bid(view.electorate(matching), service.ingress, local)


def _matching(service: Service, pool: Pool, view: ClusterView) -> list[L2Advertisement] | Refused:
    offered = view.advertisements_of(pool)
    if not offered:
        message = f"no L2Advertisement is for pool {pool.name}"
        return Refused(Reason.NO_MATCHING_ADVERTISEMENT, message)
    matching = [
        ad
        for ad in offered
        if not ad.service_selectors or any_matches(ad.service_selectors, service.labels)
    ]
    selective = ", ".join(ad.name for ad in matching if ad.service_selectors)
    if service.request.shares and selective:
        message = (
            f"the Service may share its addresses (annotation allow-shared-ip), and {selective} "
            "picks Services by serviceSelectors: do without one of the two"
        )
        return Refused(Reason.SHARED_IP_WITH_SERVICE_SELECTOR, message)
    if not matching:
        names = ", ".join(ad.name for ad in offered)
        message = f"the serviceSelectors of {names} do not match the Service's labels"
        return Refused(Reason.NO_MATCHING_ADVERTISEMENT, message)
    return matching


class ElectionTable:
    """Who answers for every address of a cluster, kept up to date Service by Service.

    Attributes:
        view: the nodes and advertisements that it was decided with.
    """

    def __init__(self, view: ClusterView) -> None:
        self.view = view
        self._bids: dict[ObjectName, Bid] = {}
        self._bidders: dict[Address, tuple[ObjectName, ...]] = {}  # sorted
        self._slates: dict[Address, Slate] = {}
        self._orders: dict[Address, Order] = {}  # those that were asked for
        self._ranks: dict[tuple[Electorate, ...], _Ranks] = {}  # where no bid is for some nodes

    def __iter__(self) -> Iterator[Address]:
        """Yield every address that a Service asks for, in no order."""
        return iter(self._bidders)

    @property
    def services(self) -> KeysView[ObjectName]:
        """The Services that some node can answer for, as far as their own rules go."""
        return self._bids.keys()

    # Who answers.

    def candidates(self, address: Address) -> Order:
        """Return the nodes that may answer for an address, best first; the first one does.

        Nodes that are NotReady are among them where none is ready.
        """
        if address not in self._slates:
            return ()
        if address not in self._orders:
            self._orders[address] = candidates(self._order(address))
        return self._orders[address]

    def services_of(self, address: Address, node: NodeName) -> tuple[ObjectName, ...]:
        """Return the Services for which a node may answer for an address, sorted."""
        bidders = self._bidders.get(address, ())
        return tuple(name for name in bidders if self._bids[name].is_for(node))

    def addresses_of(self, name: ObjectName) -> tuple[Address, ...]:
        """Return the addresses that a Service asks for."""
        return self._bids[name].addresses if name in self._bids else ()

    def interfaces(self, address: Address, node: NodeName) -> Interfaces:
        """Return where a node that may answer for an address does so."""
        electorates = (self._bids[s].electorate for s in self.services_of(address, node))
        return united(e.standing[node].interfaces for e in electorates)

    def order_for(self, address: Address, node: NodeName) -> AddressOrder | None:
        """Return what the responder of a node is to do about an address; None: nothing.

        A node that is draining is the last of its own candidates, and none of anybody else's.
        """
        if not self.services_of(address, node):
            return None
        order = replace(self._order(address), interfaces=self.interfaces(address, node))
        if self.view.late.get(node) is Rank.DRAINING:
            return replace(order, slate=behind(order.slate, node))
        return order if order.slate.has(node) else None

    def _order(self, address: Address) -> AddressOrder:
        bids = (self._bids[name] for name in self._bidders[address])
        by = min((b.addresses[0] for b in bids), key=address_order)
        return AddressOrder(
            address=address, slate=self._slates[address], by=None if by == address else by
        )

    def is_offered(self, service: Service) -> bool:
        """Tell whether any L2Advertisement is for the pool of a Service, or could be."""
        pool = announced_pool(service, self.view.pools)
        if isinstance(pool, Refused):
            return self.view.asks
        return bool(self.view.advertisements_of(pool))

    def refused(
        self, service: Service, endpoints: Collection[Endpoint], node: NodeName
    ) -> Refused | None:
        """Return why a node answers for no address of a Service; None when it does for one.

        Args:
            service: as the table knows it.
            endpoints: as the table knows them.
            node: whichever.
        """
        return self.barred(service, endpoints, node) or self._not_first(service.name, node)

    def barred(
        self, service: Service, endpoints: Collection[Endpoint], node: NodeName
    ) -> Refused | None:
        """Return why a node is no candidate for any address of a Service; None when it is one.

        Args:
            service: as the table knows it.
            endpoints: as the table knows them.
            node: whichever.
        """
        made = self._bids.get(service.name) or bid(service, endpoints, self.view)
        if isinstance(made, Refused):
            return made
        if node not in self.view.nodes:
            return Refused(Reason.NODE_DOWN, f"no Node is named {node}")
        if node not in made.electorate.standing:
            names = ", ".join(ad.name for ad in made.electorate.advertisements)
            message = f"the nodeSelectors of {names} do not select node {node}"
            return Refused(Reason.NO_MATCHING_ADVERTISEMENT, message)
        if node in self.view.barred:
            return self.view.barred[node]
        if self.view.late.get(node) is Rank.DRAINING:
            message = f"node {node} is being drained and answers for no address"
            return Refused(Reason.NODE_DRAINED, message)
        if made.local is not None and node not in made.local:
            return no_local_endpoints(node, serving(endpoints))
        if not any(self._slates[address].has(node) for address in made.addresses):
            return Refused(Reason.NODE_DOWN, f"node {node} is NotReady, and others are ready")
        return None

    def _not_first(self, name: ObjectName, node: NodeName) -> Refused | None:
        orders = [self.candidates(address) for address in self._bids[name].addresses]
        among = [order for order in orders if node in order]
        if any(order[0] == node for order in among):
            return None
        first = " and ".join(dict.fromkeys(order[0] for order in orders))
        place, of = among[0].index(node) + 1, len(among[0])
        message = f"node {first} answers; node {node} is number {place} of {of} candidates"
        return Refused(Reason.NOT_OWNER, message)

    # What changes.

    def update(
        self, name: ObjectName, service: Service | None, endpoints: Iterable[Endpoint]
    ) -> tuple[Address, ...]:
        """Decide one Service again (None: it is gone) and return the addresses that it touches."""
        decided = None if service is None else bid(service, endpoints, self.view)
        now = decided if isinstance(decided, Bid) else None
        before = self._bids.pop(name, None)
        if now is not None:
            self._bids[name] = now
        if now == before:
            return ()
        touched = tuple(dict.fromkeys(a for b in (before, now) if b for a in b.addresses))
        for address in touched:
            bidders = {n for n in self._bidders.get(address, ()) if n != name}
            if now is not None and address in now.addresses:
                bidders.add(name)
            self._set_bidders(address, tuple(sorted(bidders)))
        return touched

    def update_node(self, name: NodeName, node: Node | None) -> tuple[Address, ...]:
        """Take a node as it is now (None: it is gone) and return the addresses that it touches."""
        before = self.view.electing(name)
        electorates = self.view.put(name, node)
        if not electorates:
            return ()
        self._ranks.clear()
        concerned = {e for e in electorates if e in before or name in e.able}
        addresses = dict.fromkeys(
            address
            for b in self._bids.values()
            if b.electorate in concerned and (b.local is None or name in b.local)
            for address in b.addresses
        )
        for address in addresses:
            self._set_slate(address)
        return tuple(addresses)

    def _set_bidders(self, address: Address, names: tuple[ObjectName, ...]) -> None:
        self._bidders[address] = names
        if names:
            self._set_slate(address)
        else:
            del self._bidders[address]
            self._slates.pop(address, None)
            self._orders.pop(address, None)

    def _set_slate(self, address: Address) -> None:
        self._slates[address] = self._slate([self._bids[n] for n in self._bidders[address]])
        self._orders.pop(address, None)

    def _slate(self, bids: Sequence[Bid]) -> Slate:
        """Return the nodes that may answer for an address: those of the best rank that has any."""
        anywhere = all(b.local is None for b in bids)
        if anywhere or len(bids) == 1:
            ranks = self._ranks_of(tuple(b.electorate for b in bids))
        else:
            ranks = _ranks(bids, self.view.late)
        if not anywhere and len(bids) == 1:
            ranks = tuple(_among(slate, bids[0].nodes) for slate in ranks)
        return next((slate for slate in ranks if slate.tiers), Slate(()))

    def _ranks_of(self, electorates: tuple[Electorate, ...]) -> _Ranks:
        """Return the nodes of bids for all nodes of these electorates; the same objects again."""
        if electorates not in self._ranks:
            bids = [Bid(electorate, (), None) for electorate in electorates]
            self._ranks[electorates] = _ranks(bids, self.view.late)
        return self._ranks[electorates]


def _ranks(bids: Collection[Bid], late: Mapping[NodeName, Rank]) -> _Ranks:
    """Return the nodes that bids for one address are for.

    Who may answer for more of the Services comes first, then who is preferred.
    """
    tiers: dict[tuple[Rank, int, int], list[NodeName]] = {}
    for node in sorted(frozenset[NodeName]().union(*(b.nodes for b in bids))):
        scores = [b.electorate.standing[node].score for b in bids if b.is_for(node)]
        place = (late.get(node, Rank.READY), -len(scores), -max(scores))
        tiers.setdefault(place, []).append(node)
    return tuple(
        Slate(tuple(tuple(tiers[place]) for place in sorted(tiers) if place[0] is rank))
        for rank in (Rank.READY, Rank.NOT_READY)
    )


def _among(slate: Slate, nodes: Collection[NodeName]) -> Slate:
    """Return what is left of a slate when only some nodes matter."""
    left = (tuple(name for name in tier if name in nodes) for tier in slate.tiers)
    return Slate(tuple(filter(None, left)))


def election_table(snapshot: Snapshot, view: ClusterView) -> ElectionTable:
    """Decide every Service of a snapshot."""
    table = ElectionTable(view)
    for name, service in snapshot.services.items():
        table.update(name, service, snapshot.endpoints.get(name, ()))
    return table
