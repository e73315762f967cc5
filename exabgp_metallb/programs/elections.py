"""What one node is to do about addresses on layer 2, followed from change to change.

As `node_routes` is for routes: objects and what changed of them in, orders out. Only what a change
can touch is decided again: a Service that changes, and the addresses for which a Node that changes
was or becomes a candidate. A heartbeat of a Node changes nothing that we read and never comes here.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from exabgp_metallb.decisions.candidates import behind
from exabgp_metallb.decisions.elect import ElectionTable, election_table
from exabgp_metallb.decisions.electorate import ClusterView
from exabgp_metallb.programs.node_routes import Touched
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.intent import Intent, L2Advertisement, Pool
from exabgp_metallb.values.objects import Node, NodeName, ObjectName
from exabgp_metallb.values.orders import AddressOrder
from exabgp_metallb.values.reasons import Refused
from exabgp_metallb.values.snapshot import Snapshot

_Basis = tuple[tuple[Pool, ...], tuple[L2Advertisement, ...], bool]
"""What concerns every Service: while it is the same, only what changed is decided again."""


class Elections:
    """Keeps the orders of one node in step with the objects.

    Args:
        node: its name. Without any Node among the objects it is alone; among others that do not
            name it, it is nobody's candidate.

    Attributes:
        table: who answers for which address.
    """

    def __init__(self, node: NodeName, *, ignore_exclude_label: bool = False) -> None:
        self._node = node
        self._ignore_exclude_label = ignore_exclude_label
        self._basis: _Basis | None = None
        self._intent: Intent | None = None
        self.table = ElectionTable(ClusterView(Intent(), {}))
        self._orders: dict[Address, AddressOrder] = {}
        self._told: dict[bool, Mapping[Address, AddressOrder]] = {}  # by whether the node leaves

    def follow(self, snapshot: Snapshot, touched: Touched) -> Collection[Address]:
        """Decide what changed, and return the addresses that it touches."""
        if self._same_basis(snapshot):
            addresses = dict.fromkeys(self._changed(snapshot, touched))
        else:
            before = self._orders
            nodes = snapshot.nodes or {self._node: Node(name=self._node)}
            ignore = self._ignore_exclude_label
            view = ClusterView(snapshot.intent, nodes, ignore_exclude_label=ignore)
            self.table = election_table(snapshot, view)
            addresses = dict.fromkeys((*before, *self.table))
        for address in addresses:
            self._look(address)
        return addresses.keys()

    def orders(self, *, leaving: bool) -> Mapping[Address, AddressOrder]:
        """Return what the responder is to do; the same object until it differs.

        Args:
            leaving: this node is the last of its own candidates.
        """
        if leaving not in self._told:
            self._told[leaving] = (
                {address: self._behind(order) for address, order in self._orders.items()}
                if leaving
                else dict(self._orders)
            )
        return self._told[leaving]

    def barred(self, name: ObjectName, snapshot: Snapshot) -> Refused | None:
        """Return why this node may answer for no address of a Service, whoever else may."""
        service, endpoints = snapshot.services[name], snapshot.endpoints.get(name, ())
        return self.table.barred(service, endpoints, self._node)

    def is_offered(self, name: ObjectName, snapshot: Snapshot) -> bool:
        """Tell whether any node is asked to answer for a Service, or could be."""
        return self.table.is_offered(snapshot.services[name])

    def services_of(self, addresses: Iterable[Address]) -> Mapping[Address, tuple[ObjectName, ...]]:
        """Return the Services for which this node may answer for each of some addresses."""
        return {address: self.table.services_of(address, self._node) for address in addresses}

    def _same_basis(self, snapshot: Snapshot) -> bool:
        intent = snapshot.intent
        there = bool(snapshot.nodes)
        if self._basis is not None and intent is self._intent and there is self._basis[2]:
            return True
        before, self._intent = self._basis, intent
        self._basis = (intent.pools, intent.l2_advertisements, there)
        return self._basis == before

    def _changed(self, snapshot: Snapshot, touched: Touched) -> Iterable[Address]:
        for node in sorted(touched.nodes) if snapshot.nodes else ():
            yield from self.table.update_node(node, snapshot.nodes.get(node))
        names: Iterable[ObjectName] = touched.verdicts
        if touched.everything:  # which of the Services have changed is not known then
            names = self.table.services | snapshot.services.keys()
        for name in names:
            service, endpoints = snapshot.services.get(name), snapshot.endpoints.get(name, ())
            yield from self.table.update(name, service, endpoints)

    def _look(self, address: Address) -> None:
        before, now = self._orders.get(address), self.table.order_for(address, self._node)
        if now == before:
            return
        self._told.clear()
        if now is None:
            del self._orders[address]
        else:
            self._orders[address] = now

    def _behind(self, order: AddressOrder) -> AddressOrder:
        return replace(order, slate=behind(order.slate, self._node))
