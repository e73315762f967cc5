"""What one node announces, followed from change to change: events in, touched routes out.

The speaker without its threads and without ExaBGP. It holds the objects (the inventory), has each
change decided, and tells which routes are to be looked at again. Without a cluster it also plays
the controller: it gives addresses to Services, so that a folder of manifests is all that is needed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv6Address

from exabgp_metallb.decisions.advertise import NodeView, PeerName, RibTable, rib_table
from exabgp_metallb.decisions.drain import WITHOUT_ROUTES, Goal, Phase, worse
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.values.addresses import Address, Prefix
from exabgp_metallb.values.intent import Intent, Peer
from exabgp_metallb.values.objects import Node, NodeName, ObjectName
from exabgp_metallb.values.reasons import Refused
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from exabgp_metallb.values.sessions import Session

SMALL_BATCH = 50
"""Routes that one change may touch and still go before bulk: what one line to ExaBGP holds."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What a batch of events may have changed.

    Attributes:
        everything: the intent, the node or the phase of its drain changed: sessions and every route
            are to be looked at.
        urgent: routes to look at before all bulk: small batches, and endpoints that moved.
        bulk: the other routes.
        faults: what is at fault in the objects has changed.
        verdicts: the Services decided again, and why each is not announced (None: it is). Empty
            where everything was.
        nodes: those that are new, gone, or different in any field that we read.
    """

    everything: bool = False
    urgent: tuple[tuple[PeerName, Prefix], ...] = ()
    bulk: tuple[tuple[PeerName, Prefix], ...] = ()
    verdicts: Mapping[ObjectName, Refused | None] = field(default_factory=dict)
    faults: bool = False
    nodes: frozenset[NodeName] = frozenset()


class Rewritten(Mapping[Prefix, Attributes]):
    """An Adj-RIB-Out whose attributes have passed a function. Live, as the one below it."""

    def __init__(self, rib: AdjRibOut, rewrite: Callable[[Attributes], Attributes]) -> None:
        self.rib = rib
        self._rewrite = rewrite
        self._made: dict[int, tuple[Attributes, Attributes]] = {}  # by identity: hashing costs more

    def __getitem__(self, prefix: Prefix) -> Attributes:
        attributes = self.rib[prefix]
        made = self._made.get(id(attributes))
        if made is None:
            # The first stays with it, so that no other gets its id.
            made = self._made[id(attributes)] = (attributes, self._rewrite(attributes))
        return made[1]

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self.rib)

    def __len__(self) -> int:
        return len(self.rib)

    def __contains__(self, prefix: object) -> bool:
        return prefix in self.rib


class NodeRoutes:
    """Keeps the routes of one node in step with the objects.

    Args:
        inventory: the objects; this is its only user.
        node: the name of this node.
        allocate: given the inventory and what changed, fills in the addresses of Services; None
            where a controller writes them to the cluster.
        adapt: changes the intent before it is used, as the included mode does with its neighbors.
        ignore_exclude_label: see `decisions.preconditions`.
        local_address: returns where a session with a neighbor speaks from, if its configuration
            does not say; None leaves the next hop to ExaBGP. A link-local neighbor has its zone.
    """

    def __init__(
        self,
        inventory: Inventory,
        node: NodeName,
        *,
        allocate: Callable[[Inventory, Changes], None] | None = None,
        adapt: Callable[[Intent], Intent] = lambda intent: intent,
        ignore_exclude_label: bool = False,
        local_address: Callable[[Address], Address | None] = lambda _: None,
    ) -> None:
        self.inventory = inventory
        self.node_name = node
        self._allocate = allocate
        self._adapt = adapt
        self._ignore_exclude_label = ignore_exclude_label
        self._local_address = local_address
        self._intent = Intent()
        self._node = Node(name=node)
        self._stale = True
        self.table = RibTable(NodeView(Intent(), Node(name=node)))
        self.peers: dict[Address, PeerName] = {}
        self.addresses: dict[PeerName, Address] = {}
        self._sources: dict[PeerName, Address | None] = {}  # local addresses by configuration
        self._links: dict[Address, Address] = {}  # link-local neighbors, with their interface
        self._by_name: dict[PeerName, Peer] = {}
        self._spelled: dict[tuple[PeerName, Address | None], Rewritten] = {}
        self._phase = Phase.SERVING
        self._phase_is_new = False
        self._leaving = False

    def refresh(self) -> Touched:
        """Decide again whatever changed since the last call."""
        changes = self.inventory.take_changes()
        if self._allocate is not None and (
            changes.intent or changes.services or changes.namespaces
        ):
            self._allocate(self.inventory, changes)
            changes = _united(changes, self.inventory.take_changes())
        snapshot = self.inventory.snapshot()
        # A Node that is gone, or never was, changes nothing: we are still here.
        node = snapshot.nodes.get(self.node_name, self._node)
        if self._stale or snapshot.intent is not self._intent or node != self._node:
            self._stale, self._intent, self._node = False, snapshot.intent, node
            self._phase_is_new = False
            self._rebuild()
            return Touched(everything=True, faults=changes.faults, nodes=changes.nodes)
        touched = self._update(changes)
        if self._phase_is_new:
            self._phase_is_new = False
            return replace(touched, everything=True)
        return touched

    def drain(self, phase: Phase, goal: Goal = Goal.DRAIN) -> None:
        """Have `wanted` answer as a phase of a drain asks, from the next `refresh` on."""
        self._phase, self._phase_is_new = phase, True
        self._spelled = {}
        self._leaving = phase is not Phase.SERVING and (self._leaving or goal is Goal.DRAIN)

    @property
    def leaving(self) -> bool:
        """Tell whether others are to take over from this node: a drain, and no stop of ours alone.

        What this program has ordered can outlive it, as a responder does when we are restarted.
        """
        return self._leaving

    @property
    def draining(self) -> bool:
        """Tell whether this node is to attract no traffic."""
        return self._phase is not Phase.SERVING

    @property
    def drained(self) -> bool:
        """Tell whether a drain is done: no router has a route of this node."""
        return self._leaving and self._phase in WITHOUT_ROUTES - {Phase.WITHDRAWING}

    @property
    def node(self) -> Node:
        """This node, as it was decided for last."""
        return self._node

    def decide_anew(self) -> None:
        """Have the next `refresh` decide everything: what `adapt` does has changed."""
        self._stale = True

    def wanted(self, neighbor: Address) -> AdjRibOut:
        """Return what the neighbor at an address should hold; nothing if we hold no session."""
        peer = self.peers.get(neighbor)
        if peer is None or self._phase in WITHOUT_ROUTES:
            return {}
        remote = self._links.get(neighbor, neighbor)
        next_hop = self._sources[peer] or self._local_address(remote)
        spelled = self._spelled.get((peer, next_hop))
        if spelled is None:
            rewrite = partial(self._spell, self._by_name[peer], next_hop)
            spelled = Rewritten(self.table.adj_rib_out(peer), rewrite)
            self._spelled[peer, next_hop] = spelled
        return spelled

    def _spell(self, peer: Peer, next_hop: Address | None, attributes: Attributes) -> Attributes:
        """Write "next-hop self" out, where we know it, and what a drain asks."""
        if attributes.next_hop is None and next_hop is not None:
            attributes = replace(attributes, next_hop=next_hop)
        return worse(attributes, peer) if self._phase is Phase.WORSE else attributes

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The sessions of this node, by name of peer."""
        return self.table.view.sessions

    def announced(self) -> Iterator[tuple[str, str]]:
        """Yield each Service that is announced from here, with each of its addresses."""
        if self._phase in WITHOUT_ROUTES:
            return
        services = self.inventory.snapshot().services
        for name in self.table.announced:
            if name in services:
                yield from ((str(name), str(address)) for address in services[name].ingress)

    def in_a_pool(self, prefix: Prefix) -> bool:
        """Tell whether a prefix shares an address with a pool."""
        pools = self.inventory.snapshot().intent.pools
        return any(r.overlaps(prefix) for pool in pools for r in pool.ranges)

    @property
    def node_known(self) -> bool:
        """Tell whether a Node of our name is among the objects."""
        return self.node_name in self.inventory.snapshot().nodes

    def _rebuild(self) -> None:
        intent = self._adapt(self._intent)
        view = NodeView(intent, self._node, ignore_exclude_label=self._ignore_exclude_label)
        self.table = rib_table(replace(self.inventory.snapshot(), intent=intent), view)
        self.peers = _holders(view.sessions)
        self.addresses = {name: address for address, name in self.peers.items()}
        self._sources = {s.peer.name: s.local_address for s in view.sessions}
        self._links = {
            s.peer.address: IPv6Address(f"{s.peer.address}%{s.peer.interface}")
            for s in view.sessions
            if s.peer.interface and isinstance(s.peer.address, IPv6Address)
        }
        self._by_name = {s.peer.name: s.peer for s in view.sessions}
        self._spelled = {}

    def _update(self, changes: Changes) -> Touched:
        routes: dict[tuple[PeerName, Prefix], None] = {}
        urgent: dict[tuple[PeerName, Prefix], None] = {}
        verdicts: dict[ObjectName, Refused | None] = {}
        snapshot = self.inventory.snapshot()
        for name in sorted(changes.services | changes.endpoints):
            service = snapshot.services.get(name)
            touched = self.table.update(name, service, snapshot.endpoints.get(name, ()))
            verdicts[name] = self.table.refused.get(name)
            into = routes if name in changes.services else urgent
            into.update(dict.fromkeys(route for route in touched if route[0] in self.addresses))
        together = len(routes) + len(urgent) <= SMALL_BATCH
        return Touched(
            urgent=(*urgent, *routes) if together else tuple(urgent),
            bulk=() if together else tuple(routes),
            verdicts=verdicts,
            faults=changes.faults,
            nodes=changes.nodes,
        )


def _holders(sessions: Iterable[Session]) -> dict[Address, PeerName]:
    """Return whose session ExaBGP holds with each address: that of the oldest peer.

    Peers without an address have none, nor has the younger one of two VRFs.
    """
    youngest_first = sorted(sessions, key=lambda s: (s.peer.created, s.peer.name), reverse=True)
    return {s.peer.address: s.peer.name for s in youngest_first if s.peer.address}


def _united(first: Changes, second: Changes) -> Changes:
    return Changes(
        intent=first.intent or second.intent,
        nodes=first.nodes | second.nodes,
        namespaces=first.namespaces | second.namespaces,
        services=first.services | second.services,
        endpoints=first.endpoints | second.endpoints,
        faults=first.faults or second.faults,
    )
