"""What a cluster would do, decided from objects alone and printed, never done.

The decisions are those of the daemons, taken by the same functions. A plan is a pure function of
the objects and the question; its shape is `plan_format`. Objects at fault are left out, as a daemon
leaves them out, and named in `errors`.
"""

from collections.abc import Iterable

from exabgp_metallb.decisions.advertise import (
    PeerName,
    RibTable,
)
from exabgp_metallb.decisions.drain import drained
from exabgp_metallb.programs.cluster_decisions import BGP, L2, ClusterDecisions, unannounced
from exabgp_metallb.programs.decided import Decided, Question, decide
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
from exabgp_metallb.values.addresses import prefix_order
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.objects import Node, NodeName
from exabgp_metallb.values.outcome import Outcome
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from exabgp_metallb.values.sessions import Session
from exabgp_metallb.values.specs import Parsed


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
    cluster = ClusterDecisions(decided.snapshot, question)
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


def _node_plan(cluster: ClusterDecisions, node: Node) -> NodePlan:
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


def _l2_rows(cluster: ClusterDecisions, node: NodeName) -> Iterable[L2Row]:
    elections = cluster.elections
    for address in cluster.owned.get(node, ()):
        interfaces = elections.interfaces(address, node)
        yield L2Row(
            address=str(address),
            interfaces=None if interfaces is None else sorted(interfaces),
            services=[str(name) for name in elections.services_of(address, node)],
        )


def _refused_rows(cluster: ClusterDecisions, node: Node) -> Iterable[RefusedRow]:
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


def _service_row(outcome: Outcome, cluster: ClusterDecisions) -> ServiceRow:
    lease = outcome.lease
    if lease is None:
        why = "it has no address" if outcome.refused is None else outcome.refused.message
        return ServiceRow(service=str(outcome.service), addresses=[], pool=None, message=why)
    return ServiceRow(
        service=str(outcome.service),
        addresses=[str(address) for address in lease.addresses],
        pool=lease.pool,
        message=unannounced(outcome.service, lease.pool, cluster),
    )
