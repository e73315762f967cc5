"""Which routes a node announces to which peer, and which rule stopped the others.

The data. A Service with addresses contributes routes: one for each address, matching advertisement
and peer that takes it. Contributions of several Services and advertisements to one prefix make one
route (aggregation, shared addresses), their communities united and their endpoints, where the link
bandwidth is to tell of them, added up. A node's Adj-RIBs-Out are nothing
but all contributions together.

The life of a change. `contributions` decides one Service; `RibTable` holds what each Service
contributes and derives from it what each peer should hold. When a Service changes only its own
contributions are decided again; when the intent or the node changes, a new table is made. What a
table holds never depends on the order in which it learned it.

The rules, in their order, are MetalLB's (bgp_controller.go ShouldAnnounce); the first that fails
is the reason.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple, TypeVar

from exabgp_metallb.decisions.bandwidth import link_bandwidth
from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.decisions.preconditions import (
    announced_pool,
    endpoints_refused,
    node_refused,
    serving,
)
from exabgp_metallb.decisions.sessions import node_address, sessions_of
from exabgp_metallb.parsing.intent.conflicts import conflict
from exabgp_metallb.values.addresses import (
    Family,
    Prefix,
    address_order,
    covering_prefix,
    family_of,
)
from exabgp_metallb.values.intent import BgpAdvertisement, Intent, Peer, Pool
from exabgp_metallb.values.labels import any_matches
from exabgp_metallb.values.objects import (
    Endpoint,
    Node,
    ObjectName,
    Service,
)
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from exabgp_metallb.values.sessions import Session
from exabgp_metallb.values.snapshot import Snapshot

PeerName = str
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one Service and one advertisement ask of one peer.

    Attributes:
        attributes: without the link bandwidth, which is that of all who ask for the prefix.
        endpoints: of the Service that serve on this node, where the link bandwidth is to tell.
    """

    peer: PeerName
    prefix: Prefix
    attributes: Attributes
    endpoints: int | None = None


class NodeView:
    """What the decisions of one node need beyond a single Service; made once for an intent.

    Attributes:
        node: as the cluster knows it.
        sessions: that the node holds, by name of peer.
        pools: to find a Service's pool by its addresses.
        refused: why the node as a whole must not attract traffic; None: it may.
    """

    def __init__(self, intent: Intent, node: Node, *, ignore_exclude_label: bool = False) -> None:
        self.node = node
        self.pools = PoolIndex(intent.pools)
        self.refused = node_refused(node, ignore_exclude_label=ignore_exclude_label)
        self.sessions = sessions_of(intent.peers, node)
        self._asns = {session.peer.name: session.peer.speaking_asn for session in self.sessions}
        self._attributes: dict[tuple[str, PeerName, Family], Attributes | None] = {}
        self._with_bandwidth: dict[tuple[Attributes, int, int], Attributes] = {}
        self._advertisements: dict[str, list[BgpAdvertisement]] = {}
        for advertisement in sorted(intent.bgp_advertisements, key=lambda ad: ad.name):
            selectors = advertisement.node_selectors
            if selectors and not any_matches(selectors, node.labels):
                continue
            for pool in advertisement.pools:
                self._advertisements.setdefault(pool, []).append(advertisement)

    def advertisements_of(self, pool: Pool) -> list[BgpAdvertisement]:
        """Return the advertisements that announce a pool from this node, in order of name."""
        return self._advertisements.get(pool.name, [])

    def attributes(
        self, advertisement: BgpAdvertisement, session: Session, family: Family
    ) -> Attributes | None:
        """Return what its routes carry to a peer; None when the peer does not take them."""
        key = (advertisement.name, session.peer.name, family)
        if key not in self._attributes:
            self._attributes[key] = self._make_attributes(advertisement, session, family)
        return self._attributes[key]

    def _make_attributes(
        self, advertisement: BgpAdvertisement, session: Session, family: Family
    ) -> Attributes | None:
        peer = session.peer
        if advertisement.peers and peer.name not in advertisement.peers:
            return None
        if family not in peer.families:
            return None
        next_hop = None
        if peer.address is None or family is not family_of(peer.address):
            # The session's own address is of the other family: name one of this family instead.
            next_hop = node_address(self.node, family)
            if next_hop is None and peer.address is not None:
                return None
        return Attributes(
            next_hop=next_hop,
            local_pref=advertisement.local_pref if peer.is_internal else None,
            med=advertisement.med,
            as_path=_as_path(advertisement.as_path_prepend, peer),
            communities=advertisement.communities,
            large_communities=advertisement.large_communities,
        )

    def with_bandwidth(self, attributes: Attributes, peer: PeerName, endpoints: int) -> Attributes:
        """Return attributes that tell a peer of a number of endpoints; equal ones are one object.

        As many are remembered as there are numbers of endpoints, which a node's pods bound.
        """
        key = (attributes, self._asns[peer], endpoints)
        if key not in self._with_bandwidth:
            bandwidth = link_bandwidth(self._asns[peer], endpoints)
            self._with_bandwidth[key] = replace(attributes, link_bandwidth=bandwidth)
        return self._with_bandwidth[key]


def _as_path(prepend: int, peer: Peer) -> tuple[int, ...]:
    """Return the AS_PATH towards a peer, our AS so many times more than once; empty for as usual.

    To an iBGP peer it stays as usual: a router drops a path in which it finds its own AS. So it
    does where our AS is not known before the session is up.
    """
    if not prepend or peer.is_internal or not peer.speaking_asn:
        return ()
    return (peer.speaking_asn,) * (1 + prepend)


def contributions(
    service: Service, endpoints: Collection[Endpoint], view: NodeView
) -> tuple[Contribution, ...] | Refused:
    """Decide what one Service contributes from one node: at least one route, or why none."""
    pool = announced_pool(service, view.pools)
    if isinstance(pool, Refused):
        return pool
    matching = _matching(service, pool, view)
    if isinstance(matching, Refused):
        return matching
    refused = view.refused or endpoints_refused(service, endpoints, view.node)
    if refused is not None:
        return refused
    routes = tuple(_routes(service, endpoints, matching, view))
    return routes or _no_session(service, view)


def _matching(service: Service, pool: Pool, view: NodeView) -> list[BgpAdvertisement] | Refused:
    offered = view.advertisements_of(pool)
    if not offered:
        message = f"no BGPAdvertisement announces pool {pool.name} from node {view.node.name}"
        return Refused(Reason.NOT_OWNER, message)
    matching = [
        ad
        for ad in offered
        if not ad.service_selectors or any_matches(ad.service_selectors, service.labels)
    ]
    if not matching:
        names = ", ".join(ad.name for ad in offered)
        message = f"the serviceSelectors of {names} do not match the Service's labels"
        return Refused(Reason.NO_MATCHING_ADVERTISEMENT, message)
    for one, other in combinations(matching, 2):
        found = conflict(one, other, {r.family for r in pool.ranges})
        if found is not None:
            message = (
                f"BGPAdvertisements {one.name} and {other.name} give one prefix {found.field} "
                f"{found.one} and {found.other}: make them equal"
            )
            return Refused(Reason.CONFLICTING_ADVERTISEMENTS, message)
    return matching


def _routes(
    service: Service,
    endpoints: Iterable[Endpoint],
    matching: Collection[BgpAdvertisement],
    view: NodeView,
) -> Iterator[Contribution]:
    here = None
    if any(advertisement.link_bandwidth for advertisement in matching):
        here = sum(1 for e in serving(endpoints) if e.node == view.node.name)
    for advertisement in matching:
        told = here if advertisement.link_bandwidth else None
        for address in service.ingress:
            family = family_of(address)
            prefix = covering_prefix(address, advertisement.aggregation(family))
            for session in view.sessions:
                attributes = view.attributes(advertisement, session, family)
                if attributes is not None:
                    yield Contribution(session.peer.name, prefix, attributes, told)


def _no_session(service: Service, view: NodeView) -> Refused:
    name = view.node.name
    if not view.sessions:
        return Refused(Reason.NO_SESSION, f"no BGPPeer selects node {name}")
    families = " and ".join(sorted({str(family_of(a)) for a in service.ingress}))
    message = (
        f"no peer of node {name} takes its {families} prefixes: the advertisement names other "
        "peers, or the session is of the other family (dualStackAddressFamily, and a node address "
        "of that family as next hop)"
    )
    return Refused(Reason.NO_SESSION, message)


def merged(several: Iterable[Attributes]) -> Attributes:
    """Return the attributes of a prefix that several ask for: communities united.

    Preferences that differ can only come from different pools below one aggregate; the best is
    taken, so that the order of the resources does not matter: the highest local preference, the
    lowest MED, of which none is the lowest (RFC 4271 section 9.1.2.2), and the shortest path.
    """
    every = list(several)
    prefs = [a.local_pref for a in every if a.local_pref is not None]
    next_hops = [a.next_hop for a in every if a.next_hop is not None]
    return Attributes(
        next_hop=min(next_hops, key=address_order, default=None),
        local_pref=max(prefs, default=None),
        med=min((a.med for a in every), key=lambda med: -1 if med is None else med),
        as_path=min((a.as_path for a in every), key=len),
        communities=tuple(sorted({c for a in every for c in a.communities})),
        large_communities=tuple(sorted({c for a in every for c in a.large_communities})),
    )


class RibTable:
    """What every peer of one node should hold, kept up to date Service by Service.

    Attributes:
        view: the node and intent that it was decided with.
        refused: the Services without a route, and why.
    """

    def __init__(self, view: NodeView) -> None:
        self.view = view
        self.refused: dict[ObjectName, Refused] = {}
        self._contributed: dict[ObjectName, tuple[Contribution, ...]] = {}
        self._askers: dict[tuple[PeerName, Prefix], _Asker | _Askers] = {}
        self._merged: dict[frozenset[Attributes], Attributes] = {}  # one object for equal routes
        self._ribs: dict[PeerName, dict[Prefix, Attributes]] = {
            session.peer.name: {} for session in view.sessions
        }

    def adj_rib_out(self, peer: PeerName) -> AdjRibOut:
        """Return what the peer should hold; a live view, empty for a peer without routes."""
        return self._ribs[peer]

    @property
    def announced(self) -> Collection[ObjectName]:
        """The Services that are announced to somebody; a live view."""
        return self._contributed.keys()

    def peers_of(self, service: ObjectName) -> tuple[PeerName, ...]:
        """Return the peers that a Service is announced to, sorted."""
        return tuple(sorted({c.peer for c in self._contributed.get(service, ())}))

    def services_of(self, peer: PeerName, prefix: Prefix) -> tuple[ObjectName, ...]:
        """Return the Services that a route is there for, sorted."""
        askers = self._askers.get((peer, prefix))
        if isinstance(askers, _Askers):
            return tuple(sorted(askers.services))
        return () if askers is None else (askers.service,)

    def update(
        self, name: ObjectName, service: Service | None, endpoints: Collection[Endpoint]
    ) -> tuple[tuple[PeerName, Prefix], ...]:
        """Decide one Service again (None: it is gone) and return the routes that it touches."""
        self.refused.pop(name, None)
        now: tuple[Contribution, ...] = ()
        if service is not None:
            decided = contributions(service, endpoints, self.view)
            if isinstance(decided, Refused):
                self.refused[name] = decided
            else:
                now = decided
        before = self._contributed.pop(name, ())
        if now:
            self._contributed[name] = now
        if now == before:
            return ()
        return self._replace(name, before, now)

    def _replace(
        self, name: ObjectName, before: tuple[Contribution, ...], now: tuple[Contribution, ...]
    ) -> tuple[tuple[PeerName, Prefix], ...]:
        touched = dict.fromkeys((c.peer, c.prefix) for c in (*before, *now))
        for c in now:
            self._add((c.peer, c.prefix), _Asker(name, c.attributes, c.endpoints))
        for c in before:
            self._remove((c.peer, c.prefix), _Asker(name, c.attributes, c.endpoints))
        for peer, prefix in touched:
            self._derive(peer, prefix)
        return tuple(touched)

    def _add(self, key: tuple[PeerName, Prefix], new: "_Asker") -> None:
        there = self._askers.setdefault(key, new)
        if there is new:
            return
        if isinstance(there, _Asker):
            alone, there = there, _Askers()
            there.add(alone)
            self._askers[key] = there
        there.add(new)

    def _remove(self, key: tuple[PeerName, Prefix], old: "_Asker") -> None:
        there = self._askers[key]
        if isinstance(there, _Askers):
            there.remove(old)
            if there.services:
                return
        del self._askers[key]

    def _derive(self, peer: PeerName, prefix: Prefix) -> None:
        there = self._askers.get((peer, prefix))
        if there is None:
            del self._ribs[peer][prefix]
            return
        if isinstance(there, _Asker):
            attributes = there.attributes
        else:
            attributes = self._union(frozenset(there.wishes))
        if there.endpoints is not None:
            attributes = self.view.with_bandwidth(attributes, peer, there.endpoints)
        self._ribs[peer][prefix] = attributes

    def _union(self, wishes: frozenset[Attributes]) -> Attributes:
        if len(wishes) == 1:
            return next(iter(wishes))
        if wishes not in self._merged:
            self._merged[wishes] = merged(wishes)
        return self._merged[wishes]


class _Asker(NamedTuple):
    """Who asks for one route, and what, as in a Contribution: of most routes there is one."""

    service: ObjectName
    attributes: Attributes
    endpoints: int | None


class _Askers:
    """Several who ask for one route, and the attributes asked for, each with how often.

    Ten thousand Services may share one aggregate, so that one of them must not cost a look at all:
    the sum of their endpoints is kept, to which each adds its own once, however often it asks.
    """

    __slots__ = ("_shares", "_sum", "services", "wishes")

    def __init__(self) -> None:
        self.services: Counter[ObjectName] = Counter()
        self.wishes: Counter[Attributes] = Counter()
        self._shares: Counter[tuple[ObjectName, int]] = Counter()
        self._sum = 0

    @property
    def endpoints(self) -> int | None:
        return self._sum if self._shares else None

    def add(self, asker: _Asker) -> None:
        self.services[asker.service] += 1
        self.wishes[asker.attributes] += 1
        if asker.endpoints is not None:
            share = (asker.service, asker.endpoints)
            self._sum += 0 if share in self._shares else asker.endpoints
            self._shares[share] += 1

    def remove(self, asker: _Asker) -> None:
        _less(self.services, asker.service)
        _less(self.wishes, asker.attributes)
        if asker.endpoints is not None:
            share = (asker.service, asker.endpoints)
            _less(self._shares, share)
            self._sum -= 0 if share in self._shares else asker.endpoints


def _less(counter: Counter[_Item], item: _Item) -> None:
    counter[item] -= 1
    if not counter[item]:
        del counter[item]


def rib_table(snapshot: Snapshot, view: NodeView) -> RibTable:
    """Decide every Service of a snapshot for one node."""
    table = RibTable(view)
    for name, service in snapshot.services.items():
        table.update(name, service, snapshot.endpoints.get(name, ()))
    return table


def adj_ribs_out(snapshot: Snapshot, node: Node) -> Mapping[PeerName, AdjRibOut]:
    """Return what each peer of a node should hold; peers without routes are there and empty."""
    view = NodeView(snapshot.intent, node)
    table = rib_table(snapshot, view)
    return {s.peer.name: table.adj_rib_out(s.peer.name) for s in view.sessions}
