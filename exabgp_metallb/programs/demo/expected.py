"""What the router should hold: what `plan` says of the manifests as they are now.

Nothing about the right answer is written down in the demo. The nodes and the plan take their
decisions from the same functions, and between the two lie the files, the speakers, ExaBGP and BGP.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from exabgp_metallb.adapters.files.manifests import read
from exabgp_metallb.decisions.sessions import node_address
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs.decided import Question, decide
from exabgp_metallb.programs.demo.table import BgpPath, RouteKey, Routes
from exabgp_metallb.programs.plan import plan_document
from exabgp_metallb.programs.plan_format import NodePlan, PlanDocument, RouteRow, SessionRow
from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.objects import Node, NodeName


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A node as its router sees it."""

    node: NodeName
    address: Address
    asn: int
    router_asn: int


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One address of a Service; None while it has none."""

    service: str
    policy: str
    address: Address | None


@dataclass(frozen=True, slots=True)
class Expected:
    """The plan, as far as the demo shows and checks it.

    Attributes:
        services: by name, then in the order of the Service's addresses.
        neighbors: of the router, by name of node.
        routes: what the router should hold.
    """

    services: tuple[ServiceLine, ...]
    neighbors: tuple[Neighbor, ...]
    routes: Routes


def expected(
    manifests: Path, router: tuple[Address, int], down: frozenset[NodeName] = frozenset()
) -> Expected:
    """Return what the manifests ask for.

    Args:
        manifests: the folder.
        router: its address and port; sessions with other peers are none of the demo's business.
        down: nodes that do not run.

    Raises:
        SourceError: the manifests cannot be read.
        UsageError: the plan rejects one of them, or a session is not one that the demo can hold.
    """
    objects, _ = read([str(manifests)], io.BytesIO())
    question = Question(down=down)
    plan = plan_document(objects, question)
    if not plan["valid"]:
        first = plan["errors"][0]
        raise UsageError(f"{manifests}: {first['object']}: {first['field']}: {first['message']}")
    decided = decide(objects, question)
    nodes = decided.snapshot.nodes
    policies = {str(n): str(s.traffic_policy) for n, s in decided.snapshot.services.items()}
    return Expected(
        services=tuple(_services(plan, policies)),
        neighbors=tuple(_neighbors(plan, nodes, router)),
        routes=dict(_routes(plan, nodes, router)),
    )


def _services(plan: PlanDocument, policies: Mapping[str, str]) -> Iterator[ServiceLine]:
    for row in plan["services"]:
        policy = policies[row["service"]]
        for address in row["addresses"]:
            yield ServiceLine(row["service"], policy, ip_address(address))
        if not row["addresses"]:
            yield ServiceLine(row["service"], policy, None)


def _sessions(plan: NodePlan, router: tuple[Address, int]) -> Iterator[SessionRow]:
    address, port = router
    for session in plan["sessions"]:
        if session["address"] == str(address) and session["port"] == port:
            yield session


def _neighbors(
    plan: PlanDocument, nodes: Mapping[NodeName, Node], router: tuple[Address, int]
) -> Iterator[Neighbor]:
    for name, node_plan in plan["nodes"].items():
        for session in _sessions(node_plan, router):
            router_asn = session["peerASN"]
            if not isinstance(router_asn, int):
                message = f"BGPPeer {session['peer']}: the demo's router needs a number as peerASN"
                raise UsageError(message)
            own = _own_address(session, nodes[name])
            yield Neighbor(name, own, session["localASN"], router_asn)


def _own_address(session: SessionRow, node: Node) -> Address:
    """Return the address that a node speaks from: its next hop where the plan says `self`."""
    if session["localAddress"] is not None:
        return ip_address(session["localAddress"])
    own = node_address(node, Family.IPV4)
    if own is None:
        raise UsageError(f"Node {node.name}: the demo needs an IPv4 InternalIP, such as 127.0.0.11")
    return own


def _routes(
    plan: PlanDocument, nodes: Mapping[NodeName, Node], router: tuple[Address, int]
) -> Iterator[tuple[RouteKey, BgpPath]]:
    for name, node_plan in plan["nodes"].items():
        sessions = {s["peer"]: s for s in _sessions(node_plan, router)}
        for row in node_plan["bgp"]:
            if row["peer"] in sessions:
                own = _own_address(sessions[row["peer"]], nodes[name])
                yield (ip_network(row["prefix"]), own), _path(row, own)


def _path(row: RouteRow, own: Address) -> BgpPath:
    return BgpPath(
        next_hop=own if row["nextHop"] == "self" else ip_address(row["nextHop"]),
        local_pref=row["localPref"],
        communities=tuple(row["communities"]),
        large_communities=tuple(row["largeCommunities"]),
    )
