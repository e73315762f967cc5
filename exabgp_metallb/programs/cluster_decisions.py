"""Who announces what in a whole cluster, and why the others do not."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from exabgp_metallb.decisions.advertise import NodeView, RibTable, contributions, rib_table
from exabgp_metallb.decisions.elect import ElectionTable, election_table
from exabgp_metallb.decisions.electorate import ClusterView
from exabgp_metallb.programs.decided import Question
from exabgp_metallb.values.addresses import Address, address_order
from exabgp_metallb.values.objects import Node, NodeName, ObjectName
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.snapshot import Snapshot

BGP, L2 = "bgp", "l2"

_LATE_RULES = (Reason.NO_SESSION, Reason.NO_ENDPOINTS, Reason.NO_LOCAL_ENDPOINTS)
"""Rules that come last: a node that one of these stops is all right but for it."""


class Verdict(NamedTuple):
    """Why a node does not announce a Service by one protocol."""

    protocol: str
    node: NodeName
    refused: Refused


class ClusterDecisions:
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
        ignore = self.question.ignore_exclude_label
        view = ClusterView(self.snapshot.intent, nodes, ignore_exclude_label=ignore)
        return election_table(self.snapshot, view)

    def view(self, node: Node) -> NodeView:
        """Return what the decisions of one node need."""
        if node.name not in self._views:
            self._views[node.name] = NodeView(
                self.snapshot.intent,
                node,
                ignore_exclude_label=self.question.ignore_exclude_label,
            )
        return self._views[node.name]

    def table(self, node: Node) -> RibTable:
        """Return what the peers of one node should hold."""
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


def unannounced(name: ObjectName, pool: str, cluster: ClusterDecisions) -> str | None:
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
