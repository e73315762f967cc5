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
the order for each address. A Service that changes is decided alone. A Node that changes is taken
out of the orders that it is in and put in where it belongs; the others keep their places.

The rules are MetalLB's, in its order, with one difference: MetalLB has one word, notOwner, for six
of them, and here the reason is the rule.
"""

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from hashlib import sha256

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
from exabgp_metallb.values.orders import AddressOrder
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.snapshot import Snapshot

Order = tuple[NodeName, ...]
"""Nodes that may answer for an address, best first."""

_Place = tuple[Rank, int, int, bytes]


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
        self._orders: dict[Address, Order] = {}  # of all ranks

    def __iter__(self) -> Iterator[Address]:
        """Yield every address that a Service asks for, in no order."""
        return iter(self._orders)

    @property
    def services(self) -> KeysView[ObjectName]:
        """The Services that some node can answer for, as far as their own rules go."""
        return self._bids.keys()

    # Who answers.

    def candidates(self, address: Address) -> Order:
        """Return the nodes that may answer for an address, best first; the first one does.

        Nodes that are NotReady are among them where none is ready.
        """
        order, late = self._orders.get(address, ()), self.view.late
        if late.keys().isdisjoint(order):
            return order
        rank = min(late.get(name, Rank.READY) for name in order)
        if rank is Rank.DRAINING:
            return ()
        return tuple(name for name in order if late.get(name, Rank.READY) is rank)

    def services_of(self, address: Address, node: NodeName) -> tuple[ObjectName, ...]:
        """Return the Services for which a node may answer for an address, sorted."""
        bidders = self._bidders.get(address, ())
        return tuple(name for name in bidders if node in self._bids[name].nodes)

    def interfaces(self, address: Address, node: NodeName) -> Interfaces:
        """Return where a node that may answer for an address does so."""
        electorates = (self._bids[s].electorate for s in self.services_of(address, node))
        return united(e.standing[node].interfaces for e in electorates)

    def order_for(self, address: Address, node: NodeName) -> AddressOrder | None:
        """Return what the responder of a node is to do about an address; None: nothing.

        A node that is draining is the last of its own candidates, and none of anybody else's.
        """
        candidates = self.candidates(address)
        if node not in candidates:
            leaves = self.view.late.get(node) is Rank.DRAINING
            if not leaves or node not in self._orders.get(address, ()):
                return None
            candidates = (*candidates, node)
        return AddressOrder(
            address=address, candidates=candidates, interfaces=self.interfaces(address, node)
        )

    def refused(
        self, service: Service, endpoints: Collection[Endpoint], node: NodeName
    ) -> Refused | None:
        """Return why a node answers for no address of a Service; None when it does for one.

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
        return self._not_first(made, node)

    def _not_first(self, made: Bid, node: NodeName) -> Refused | None:
        orders = [self.candidates(address) for address in made.addresses]
        among = [order for order in orders if node in order]
        if not among:
            return Refused(Reason.NODE_DOWN, f"node {node} is NotReady, and others are ready")
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
            self._bidders[address] = tuple(sorted(bidders))
            self._derive(address, moved=() if _alike(before, now) else None)
        return touched

    def update_node(self, name: NodeName, node: Node | None) -> tuple[Address, ...]:
        """Take a node as it is now (None: it is gone) and return the addresses that it touches."""
        electorates = self.view.put(name, node)
        if not electorates:
            return ()
        asked = (b for b in self._bids.values() if b.electorate in electorates)
        addresses = dict.fromkeys(a for b in asked for a in b.addresses)
        return tuple(a for a in addresses if self._derive(a, moved=(name,)))

    def _derive(self, address: Address, *, moved: Collection[NodeName] | None) -> bool:
        """Put the nodes for an address in order, and tell whether that concerns what moved.

        Args:
            address: that somebody asks for, or did.
            moved: the only nodes that there are whose place may be another one; None: any may.
        """
        bids = [self._bids[name] for name in self._bidders[address]]
        before = self._orders.pop(address, ())
        if not bids:
            del self._bidders[address]
            return True
        nodes = frozenset[NodeName]().union(*(b.nodes for b in bids))
        place = _place(bids, self.view.late)
        if moved is None or len(bids) > 1:
            self._orders[address] = tuple(sorted(nodes, key=place))
        else:
            order = [n for n in before if n in nodes and n not in moved]
            for node in nodes.difference(order):
                insort(order, node, key=place)
            self._orders[address] = tuple(order)
        return moved is None or any(n in before or n in nodes for n in moved)


def _alike(one: Bid | None, other: Bid | None) -> bool:
    """Tell whether every node that both bids are for has one place in both."""
    if one is None or other is None:
        return False
    return one.electorate is other.electorate and one.addresses == other.addresses


def _place(bids: Collection[Bid], late: Mapping[NodeName, Rank]) -> Callable[[NodeName], _Place]:
    """Return where a node belongs among those that bids for one address are for."""
    sides = [(b.nodes, b.electorate.standing) for b in bids]
    text = str(min((b.addresses[0] for b in bids), key=address_order))

    def place(node: NodeName) -> _Place:
        scores = [standing[node].score for nodes, standing in sides if node in nodes]
        digest = sha256(f"{node}#{text}".encode()).digest()
        return (late.get(node, Rank.READY), -len(scores), -max(scores), digest)

    return place


def election_table(snapshot: Snapshot, view: ClusterView) -> ElectionTable:
    """Decide every Service of a snapshot."""
    table = ElectionTable(view)
    for name, service in snapshot.services.items():
        table.update(name, service, snapshot.endpoints.get(name, ()))
    return table
