"""Why a Service is announced, or is not: the first rule that stopped or allowed it, node by node.

The decisions are those of the daemons, taken by the same functions from the same objects; who has
another view of the cluster than the speakers (a watch that broke, a session that is down) sees that
in `status` on the node.
"""

from collections.abc import Iterable, Sequence
from typing import TextIO, TypedDict

from rich.padding import Padding
from rich.text import Text

from exabgp_metallb.decisions.advertise import contributions
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs import tables
from exabgp_metallb.programs.cluster_decisions import BGP, L2, ClusterDecisions, unannounced
from exabgp_metallb.programs.decided import Decided, Question, decide
from exabgp_metallb.programs.terminal import clean
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import Node, ObjectName, Service
from exabgp_metallb.values.reasons import Refused
from exabgp_metallb.values.specs import Parsed

_INDENT = (0, 0, 0, 2)


class VerdictRow(TypedDict):
    """What one node does with a Service by one protocol.

    Attributes:
        protocol: `bgp` or `l2`.
        announces: whether it does.
        reason: the word of the first rule that stopped it; null where it announces.
        message: what it does, or what stopped it and would help.
    """

    node: str
    protocol: str
    announces: bool
    reason: str | None
    message: str


class Explanation(TypedDict):
    """Why a Service is announced, or is not; keys may be added, never renamed or removed.

    Attributes:
        message: why it has no address, or is announced nowhere; null where it is announced.
        verdicts: by node and protocol; empty without an address.
        errors: objects that are refused, one line each: what they ask for is not done.
    """

    service: str
    addresses: list[str]
    pool: str | None
    announced: bool
    message: str | None
    verdicts: list[VerdictRow]
    errors: list[str]


def explain(objects: Iterable[Parsed], name: ObjectName, question: Question) -> Explanation:
    """Explain one Service.

    Raises:
        UsageError: there is no such Service among the objects.
    """
    listed = tuple(objects)
    decided = decide(listed, question)
    errors = [str(fault) for fault in decided.faults]
    outcome = decided.outcomes.get(name)
    if outcome is None:
        return _explained(name, errors, message=_not_ours(listed, name, question))
    if outcome.lease is None:
        why = "it has no address" if outcome.refused is None else outcome.refused.message
        return _explained(name, errors, message=why)
    pool = outcome.lease.pool
    cluster = ClusterDecisions(decided.snapshot, question)
    message = unannounced(name, pool, cluster)
    explanation = _explained(name, errors, message=message)
    explanation["addresses"] = [str(address) for address in outcome.lease.addresses]
    explanation["pool"] = pool
    explanation["announced"] = message is None
    explanation["verdicts"] = list(_verdicts(name, pool, cluster, decided))
    return explanation


def _explained(name: ObjectName, errors: list[str], *, message: str | None) -> Explanation:
    return Explanation(
        service=str(name),
        addresses=[],
        pool=None,
        announced=False,
        message=message,
        verdicts=[],
        errors=errors,
    )


def _not_ours(objects: Sequence[Parsed], name: ObjectName, question: Question) -> str:
    ref = ObjectRef("Service", name.namespace, name.name)
    found = next((parsed for parsed in objects if parsed.ref == ref), None)
    if found is None:
        raise UsageError(f"no Service is named {name}: write NAMESPACE/NAME")
    if not isinstance(found.value, Service):
        return "the Service is at fault: see the errors"
    if not found.value.is_load_balancer:
        return "its spec.type is not LoadBalancer, so it gets no address"
    own, asked = found.value.load_balancer_class, question.lb_class
    ours = "Services without one are ours" if asked is None else f"{asked} is ours"
    return f"its spec.loadBalancerClass is {own or 'not set'}, and {ours}: it is somebody else's"


def _verdicts(
    name: ObjectName, pool: str, cluster: ClusterDecisions, decided: Decided
) -> Iterable[VerdictRow]:
    nodes = sorted(decided.snapshot.nodes.values(), key=lambda node: node.name)
    for node in nodes:
        for protocol in cluster.protocols(pool):
            refused = cluster.down(node) or cluster.refused(name, node, protocol)
            yield VerdictRow(
                node=node.name,
                protocol=protocol,
                announces=refused is None,
                reason=None if refused is None else str(refused.reason),
                message=_done(name, node, protocol, cluster)
                if refused is None
                else refused.message,
            )


def _done(name: ObjectName, node: Node, protocol: str, cluster: ClusterDecisions) -> str:
    """Say what a node does that announces a Service."""
    snapshot = cluster.snapshot
    if protocol == L2:
        owned = set(cluster.owned.get(node.name, ()))
        answered = [str(each) for each in snapshot.services[name].ingress if each in owned]
        return f"answers for {', '.join(answered)}"
    endpoints = snapshot.endpoints.get(name, ())
    routes = contributions(snapshot.services[name], endpoints, cluster.view(node))
    if isinstance(routes, Refused):
        return ""
    by_peer: dict[str, list[str]] = {}
    for route in routes:
        by_peer.setdefault(route.peer, []).append(str(route.prefix))
    worse = ", as the last choice: the node is drained" if cluster.draining(node) else ""
    told = "; ".join(f"{', '.join(prefixes)} to {peer}" for peer, prefixes in by_peer.items())
    return told + worse


_WORDS = {BGP: "BGP", L2: "layer 2"}


def explanation_text(document: Explanation, stream: TextIO) -> str:
    """Return an explanation in the width and colours of the stream that it is for."""
    console = tables.console(stream)
    addresses = ", ".join(document["addresses"]) or "no address"
    pool = f" of pool {document['pool']}" if document["pool"] else ""
    tables.title(console, f"Service {clean(document['service'])}: {clean(addresses + pool)}")
    rows = [_row(row) for row in document["verdicts"]]
    if rows:
        headers = ("Node", "By", "Announces", "Why")
        console.print(Padding(tables.table(headers, rows), _INDENT))
    if document["errors"]:
        tables.title(console, "Objects that are refused, which may be why", "bold red")
        for error in document["errors"]:
            console.print(Text(f"  {clean(error)}", style="red"))
    message = document["message"]
    if message is None:
        tables.end(console, Text("Announced.", style="bold green"))
    else:
        tables.end(console, Text(_sentence(clean(message)), style="bold red"))
    return tables.text_of(console)


def _row(row: VerdictRow) -> tuple[str | Text, ...]:
    verdict = Text("yes", style="green") if row["announces"] else Text(row["reason"] or "no")
    return row["node"], _WORDS[row["protocol"]], verdict, row["message"]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
