"""What a cluster would do, decided from objects alone and printed, never done.

The decisions are those of the daemons, taken by the same functions. A plan is a pure function of
the objects and the question; its shape is `plan_format`. Objects at fault are left out, as a daemon
leaves them out, and named in `errors`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.decisions.advertise import (
    NodeView,
    PeerName,
    RibTable,
    contributions,
    rib_table,
)
from exabgp_metallb.decisions.allocation.allocate import allocate
from exabgp_metallb.decisions.drain import drained
from exabgp_metallb.decisions.elect import ElectionTable, election_table
from exabgp_metallb.decisions.electorate import ClusterView
from exabgp_metallb.decisions.sessions import sessions_of
from exabgp_metallb.errors import UsageError
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.programs.plan_format import (
    BeyondMetallb,
    CheckDocument,
    FaultRow,
    L2Row,
    NodePlan,
    PlanDocument,
    RefusedRow,
    RouteRow,
    ServiceRow,
    SessionRow,
)
from exabgp_metallb.values.addresses import Address, address_order, prefix_order
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import Node, NodeName, ObjectName
from exabgp_metallb.values.outcome import Outcome
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from exabgp_metallb.values.sessions import Session
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.specs import Parsed

Outcomes = Mapping[ObjectName, Outcome]

BGP, L2 = "bgp", "l2"

NAMES_IN_A_MESSAGE = 3

_LATE_RULES = (Reason.NO_SESSION, Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINTS)
"""Rules that come last: a node that one of these stops is all right but for it."""


class Verdict(NamedTuple):
    """Why a node does not announce a Service by one protocol."""

    protocol: str
    node: NodeName
    refused: Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a plan.

    Attributes:
        namespace: where our resources and the legacy ConfigMap live.
        lb_class: the loadBalancerClass of the Services that are ours; None: those without one.
        nodes: to plan; empty means every Node there is.
        down: planned as if they had failed.
        drained: planned in the first phase of a drain.
    """

    namespace: str = "metallb-system"
    lb_class: str | None = None
    nodes: frozenset[NodeName] = frozenset()
    down: frozenset[NodeName] = frozenset()
    drained: frozenset[NodeName] = frozenset()


@dataclass(frozen=True, slots=True)
class Decided:
    """All that holds for the cluster as a whole.

    Attributes:
        snapshot: the Services in it show the addresses that were decided.
        faults: of the objects; what they name is left out.
        warnings: of the objects; what they name stands.
    """

    snapshot: Snapshot
    outcomes: Outcomes
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = field(default=())


def decide(
    objects: Iterable[Parsed], question: Question, warnings: Iterable[Fault] = ()
) -> Decided:
    """Take the decisions that no node takes by itself: what is valid, and who has which address.

    Args:
        objects: each one once.
        question: what to plan.
        warnings: of whoever read the objects.

    Raises:
        UsageError: the question names a node that no Node is.
    """
    inventory = Inventory(question.namespace, question.lb_class)
    listed = tuple(objects)
    inventory.listed(frozenset(parsed.ref.kind for parsed in listed), listed)
    _refuse_unknown_nodes(inventory, question)
    snapshot = inventory.snapshot()
    decision = allocate(inventory.services, snapshot.intent.pools, snapshot.namespaces)
    for name, outcome in decision.outcomes.items():
        inventory.set_addresses(name, () if outcome.lease is None else outcome.lease.addresses)
    complaints = [
        Fault(ObjectRef("Service", name.namespace, name.name), "", outcome.complaint.message)
        for name, outcome in decision.outcomes.items()
        if outcome.complaint is not None
    ]
    told = (*inventory.warnings, *warnings, *complaints, *_unheld(inventory.snapshot(), question))
    return Decided(
        inventory.snapshot(), decision.outcomes, inventory.faults, tuple(sorted(set(told)))
    )


def _refuse_unknown_nodes(inventory: Inventory, question: Question) -> None:
    known = inventory.snapshot().nodes.keys()
    broken = {fault.object.name for fault in inventory.faults if fault.object.kind == "Node"}
    asked = question.nodes | question.down | question.drained
    unknown = sorted(asked - known - broken)
    if unknown:
        there = ", ".join(sorted(known)[:NAMES_IN_A_MESSAGE]) or "none at all"
        more = len(known) - NAMES_IN_A_MESSAGE
        there += f" and {more} more" if more > 0 else ""
        raise UsageError(f"no Node is named {unknown[0]!r}; the input has {there}")


def _unheld(snapshot: Snapshot, question: Question) -> Iterable[Fault]:
    """Yield the peers that the configuration asks for and ExaBGP has no words for."""
    for node in snapshot.nodes.values():
        for peer, why in conf.refusals(sessions_of(snapshot.intent.peers, node)).items():
            where, _, message = why.partition(": ")
            yield Fault(ObjectRef("BGPPeer", question.namespace, peer), where, message)


def check_document(decided: Decided) -> CheckDocument:
    """Return what is wrong with the objects, and no plan."""
    return CheckDocument(
        valid=not decided.faults,
        errors=[_fault_row(fault) for fault in decided.faults],
        warnings=[_fault_row(fault) for fault in decided.warnings],
    )


def plan_document(
    objects: Iterable[Parsed], question: Question, warnings: Iterable[Fault] = ()
) -> PlanDocument:
    """Return the whole plan.

    Raises:
        UsageError: the question names a node that no Node is.
    """
    decided = decide(objects, question, warnings)
    nodes = decided.snapshot.nodes
    planned = sorted(question.nodes & nodes.keys() if question.nodes else nodes)
    cluster = _Cluster(decided.snapshot, question)
    plans = {name: _node_plan(cluster, nodes[name]) for name in planned}
    check = check_document(decided)
    return PlanDocument(
        valid=check["valid"],
        errors=check["errors"],
        warnings=check["warnings"],
        services=[
            _service_row(outcome, cluster)
            for outcome in decided.outcomes.values()
            if outcome.service in decided.snapshot.services
        ],
        nodes=plans,
    )


def _fault_row(fault: Fault) -> FaultRow:
    return FaultRow(object=str(fault.object), field=fault.field, message=fault.message)


class _Cluster:
    """The nodes' decisions, each taken when it is first asked for."""

    def __init__(self, snapshot: Snapshot, question: Question) -> None:
        self.snapshot = snapshot
        self.question = question
        self.addressed = sorted(n for n, service in snapshot.services.items() if service.ingress)
        self.elections = self._elections()
        self.owned: dict[NodeName, list[Address]] = {}
        for address in sorted(self.elections, key=address_order):
            for owner in self.elections.candidates(address)[:1]:
                self.owned.setdefault(owner, []).append(address)
        self._views: dict[NodeName, NodeView] = {}
        self._tables: dict[NodeName, RibTable] = {}

    def _elections(self) -> ElectionTable:
        nodes = {
            node.name: replace(node, ready=self.down(node) is None, draining=self.draining(node))
            for node in self.snapshot.nodes.values()
        }
        return election_table(self.snapshot, ClusterView(self.snapshot.intent, nodes))

    def view(self, node: Node) -> NodeView:
        if node.name not in self._views:
            self._views[node.name] = NodeView(self.snapshot.intent, node)
        return self._views[node.name]

    def table(self, node: Node) -> RibTable:
        if node.name not in self._tables:
            self._tables[node.name] = rib_table(self.snapshot, self.view(node))
        return self._tables[node.name]

    def down(self, node: Node) -> Refused | None:
        """Tell whether a node counts as failed."""
        if node.name in self.question.down:
            return Refused(Reason.NODE_DOWN, f"node {node.name} is planned as failed")
        if not node.ready:
            return Refused(Reason.NODE_DOWN, f"node {node.name} is NotReady")
        return None

    def draining(self, node: Node) -> bool:
        """Tell whether a node is in the first phase of a drain."""
        return node.draining or node.name in self.question.drained

    def protocols(self, pool: str) -> list[str]:
        """Return the protocols that a pool is to be announced by."""
        intent = self.snapshot.intent
        bgp = any(pool in ad.pools for ad in intent.bgp_advertisements)
        l2 = any(pool in ad.pools for ad in intent.l2_advertisements)
        return [BGP] * bgp + [L2] * l2

    def verdicts(self, name: ObjectName, pool: str) -> list[Verdict] | None:
        """Return why no node announces a Service by a protocol of its pool; None when one does."""
        asked = self.protocols(pool)
        found = []
        for node in sorted(self.snapshot.nodes.values(), key=lambda node: node.name):
            for protocol in asked:
                refused = self.down(node) or self.refused(name, node, protocol)
                if refused is None:
                    return None
                found.append(Verdict(protocol, node.name, refused))
        return found

    def refused(self, name: ObjectName, node: Node, protocol: str) -> Refused | None:
        """Return why a node that is up does not announce a Service; None when it does."""
        service, endpoints = self.snapshot.services[name], self.snapshot.endpoints.get(name, ())
        if protocol == L2:
            return self.elections.refused(service, endpoints, node.name)
        if node.name in self._tables:
            return self._tables[node.name].refused.get(name)
        decided = contributions(service, endpoints, self.view(node))
        return decided if isinstance(decided, Refused) else None


def _node_plan(cluster: _Cluster, node: Node) -> NodePlan:
    down = cluster.down(node)
    if down is not None:
        return NodePlan(sessions=[], bgp=[], l2=[], refused=list(_refused_rows(cluster, node)))
    table = cluster.table(node)
    routes: list[RouteRow] = []
    for session in table.view.sessions:
        rib = table.adj_rib_out(session.peer.name)
        if cluster.draining(node):
            rib = drained(rib, session.peer)
        routes += _route_rows(table, session.peer.name, rib)
    return NodePlan(
        sessions=[_session_row(session) for session in table.view.sessions],
        bgp=routes,
        l2=list(_l2_rows(cluster, node.name)),
        refused=list(_refused_rows(cluster, node)),
    )


def _session_row(session: Session) -> SessionRow:
    peer = session.peer
    return SessionRow(
        peer=peer.name,
        address=_text(peer.address),
        port=peer.port,
        localASN=peer.speaking_asn,
        peerASN=str(peer.peer_asn) if isinstance(peer.peer_asn, str) else peer.peer_asn,
        localAddress=_text(session.local_address),
        routerID=_text(peer.router_id),
        holdTime=session.hold_seconds,
        keepaliveTime=session.keepalive_seconds,
        ebgpMultiHop=peer.ebgp_multihop,
        password=peer.password is not None,
        bfdProfile=peer.bfd_profile,
        gracefulRestart=peer.graceful_restart,
        vrf=peer.vrf,
        interface=peer.interface,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _route_rows(table: RibTable, peer: PeerName, rib: AdjRibOut) -> Iterable[RouteRow]:
    for prefix in sorted(rib, key=prefix_order):
        attributes = rib[prefix]
        yield RouteRow(
            peer=peer,
            prefix=str(prefix),
            nextHop="self" if attributes.next_hop is None else str(attributes.next_hop),
            localPref=attributes.local_pref,
            **_beyond_metallb(attributes),
            communities=[str(community) for community in attributes.communities],
            largeCommunities=[str(community) for community in attributes.large_communities],
            services=[str(name) for name in table.services_of(peer, prefix)],
        )


def _beyond_metallb(attributes: Attributes) -> BeyondMetallb:
    row = BeyondMetallb()
    if attributes.med is not None:
        row["med"] = attributes.med
    if attributes.as_path:
        row["asPathPrepend"] = len(attributes.as_path) - 1
    if attributes.link_bandwidth is not None:
        row["linkBandwidth"] = attributes.link_bandwidth.bytes_per_second
    return row


def _l2_rows(cluster: _Cluster, node: NodeName) -> Iterable[L2Row]:
    elections = cluster.elections
    for address in cluster.owned.get(node, ()):
        interfaces = elections.interfaces(address, node)
        yield L2Row(
            address=str(address),
            interfaces=None if interfaces is None else sorted(interfaces),
            services=[str(name) for name in elections.services_of(address, node)],
        )


def _refused_rows(cluster: _Cluster, node: Node) -> Iterable[RefusedRow]:
    """Yield why a node does not announce a Service with addresses, by Service and protocol."""
    down = cluster.down(node)
    for name in cluster.addressed:
        for protocol in (BGP, L2):
            refused = down or cluster.refused(name, node, protocol)
            if refused is not None:
                yield RefusedRow(
                    service=str(name),
                    protocol=protocol,
                    reason=str(refused.reason),
                    message=refused.message,
                )


def _service_row(outcome: Outcome, cluster: _Cluster) -> ServiceRow:
    lease = outcome.lease
    if lease is None:
        why = "it has no address" if outcome.refused is None else outcome.refused.message
        return ServiceRow(service=str(outcome.service), addresses=[], pool=None, message=why)
    return ServiceRow(
        service=str(outcome.service),
        addresses=[str(address) for address in lease.addresses],
        pool=lease.pool,
        message=_unannounced(outcome.service, lease.pool, cluster),
    )


def _unannounced(name: ObjectName, pool: str, cluster: _Cluster) -> str | None:
    """Tell in one line why a Service with an address is announced nowhere; None when it is."""
    if not cluster.protocols(pool):
        return (
            f"not announced: no BGPAdvertisement and no L2Advertisement is for pool {pool}: add one"
        )
    if not cluster.snapshot.nodes:
        return "not announced: there is no Node that could"
    verdicts = cluster.verdicts(name, pool)
    return None if verdicts is None else f"not announced: {_summary(verdicts)}"


def _summary(verdicts: Iterable[Verdict]) -> str:
    """Say each reason once, in the words for its first node; those nearest to success first."""

    def order(verdict: Verdict) -> tuple[int, str, str]:
        reason = verdict.refused.reason
        late = _LATE_RULES.index(reason) if reason in _LATE_RULES else len(_LATE_RULES)
        return late, reason, verdict.protocol

    parts = []
    for _, group in groupby(sorted(verdicts, key=order), key=order):
        first, *others = group
        differing = sum(1 for verdict in others if verdict.refused != first.refused)
        more = f" ({differing} more nodes: the same)" if differing else ""
        parts.append(first.refused.message + more)
    return "; ".join(dict.fromkeys(parts))
