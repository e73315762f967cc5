"""The node's programs against real routers: manifests in, routes and sessions at FRR, BIRD, GoBGP.

A node runs as units and containers run it: `exabgp-metallb run` on a host of its own.
"""

import os
import signal
import sys
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network
from pathlib import Path as FilePath

import pytest

from exabgp_metallb.programs.run import EXABGP_ENVIRONMENT
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.history import Event, Kind
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import (
    NeighborConfig,
    Path,
    Router,
    RouterConfig,
    RouterFactory,
)
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    community,
    endpoint,
    node,
    on,
    peer,
    pool,
    secret,
    service,
    slice_of,
)
from tests.integration.nodes import Node

pytestmark = pytest.mark.netns

ROUTER_ASN = 64512
NODE_ASN = 64513

WEB, NEAR = "192.0.2.1/32", "192.0.2.2/32"
NODE1, NODE2 = "10.0.0.11", "10.0.0.12"

NodeFactory = Callable[..., Node]  # returns it started


@pytest.fixture
def tor(lab: Lab) -> Host:
    """Return the host of the first router."""
    return lab.host("tor", "10.0.0.1/24", "fd00::1/64")


@pytest.fixture
def tor2(lab: Lab) -> Host:
    """Return the host of the second router."""
    return lab.host("tor2", "10.0.0.2/24", "fd00::2/64")


@pytest.fixture
def node1(lab: Lab) -> Host:
    """Return the first node's host."""
    return lab.host("node1", f"{NODE1}/24", "fd00::11/64")


@pytest.fixture
def node2(lab: Lab) -> Host:
    """Return the second node's host."""
    return lab.host("node2", f"{NODE2}/24", "fd00::12/64")


@pytest.fixture
def manifests(lab: Lab) -> Manifests:
    """Return a folder with a pool, and an advertisement of it to every peer."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(pool("public", "192.0.2.0/24", "fd01::/64"), advertisement())
    return manifests


@pytest.fixture
def start(manifests: Manifests) -> NodeFactory:
    """Return what starts a node that follows the folder."""

    def start(host: Host, **how: str) -> Node:
        started = Node(host, manifests.path, **how)
        started.start()
        return started

    return start


def config(*hosts: Host, asn: int = NODE_ASN, password: str | None = None) -> RouterConfig:
    """Return a router that waits for nodes of one AS."""
    neighbors = tuple(
        NeighborConfig(address=host.ipv4, asn=asn, password=password) for host in hosts
    )
    return RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors)


def ebgp(name: str, host: Host, **spec: object) -> Object:
    """Return the BGPPeer of a router, for nodes in an AS of their own."""
    return peer(name, host.ipv4, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec)


def nodes(*hosts: Host) -> list[Object]:
    """Return the Nodes of hosts."""
    return [node(host.name, host.ipv4, host.ipv6) for host in hosts]


def losses(router: Router, since: int) -> list[str]:
    """Return the prefixes that the router lost since a mark."""
    return [str(event.prefix) for event in router.withdrawals_seen(since)]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not yet reaped does not."""
    try:
        state = FilePath(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_routes_follow_the_pods(
    tor: Host,
    node1: Host,
    node2: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """Both traffic policies, scaling up and down, conditions of endpoints, the last one goes."""
    manifests.put(
        *nodes(node1, node2),
        ebgp("tor", tor),
        service("web", "192.0.2.1", policy="Cluster"),
        service("near", "192.0.2.2", policy="Local"),
        slice_of("web", "node1"),
        slice_of("near", "node1"),
    )
    held = router(tor, config(node1, node2))
    start(node1)
    start(node2)
    held.wait_next_hops({WEB: [NODE1, NODE2], NEAR: [NODE1]})

    steps = [
        (slice_of("near", "node1", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE1, NODE2]}),
        (slice_of("near", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE2]}),
        (slice_of("near", endpoint("node2", ready=False)), {WEB: [NODE1, NODE2]}),
        (
            slice_of("near", endpoint("node2", ready=False, serving=True, terminating=True)),
            {WEB: [NODE1, NODE2], NEAR: [NODE2]},
        ),
        (slice_of("near", endpoint("node1")), {WEB: [NODE1, NODE2], NEAR: [NODE1]}),
        (slice_of("web", endpoint("node1", ready=False, serving=False)), {NEAR: [NODE1]}),
        (slice_of("web", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE1]}),
    ]
    for change, expected in steps:
        manifests.put(change)
        held.wait_next_hops(expected)
    manifests.remove("Service", "web")
    held.wait_next_hops({NEAR: [NODE1]})
    assert held.establishments(node1.ipv4) == held.establishments(node2.ipv4) == 1


def test_selectors_follow_the_labels_of_nodes(
    tor: Host,
    node1: Host,
    node2: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """An advertisement's selectors say who announces, a peer's who has a session."""
    edge, rack_a = [{"matchLabels": {"tier": "edge"}}], [{"matchLabels": {"rack": "a"}}]
    manifests.put(
        node("node1", node1.ipv4, tier="edge", rack="a"),
        node("node2", node2.ipv4, tier="edge", rack="b"),
        ebgp("tor", tor, nodeSelectors=edge),
        advertisement(nodeSelectors=rack_a),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, node2))
    start(node1)
    second = start(node2)
    held.wait_established()
    held.wait_next_hops({WEB: [NODE1]})

    manifests.put(node("node2", node2.ipv4, tier="edge", rack="a"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    manifests.put(node("node2", node2.ipv4, rack="a"))
    held.wait_next_hops({WEB: [NODE1]})
    held.wait_down(node2.ipv4)
    assert "neighbor " not in second.conf
    manifests.put(node("node2", node2.ipv4, tier="edge", rack="a"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    assert held.establishments(node1.ipv4) == 1


@pytest.mark.parametrize("asn", [ROUTER_ASN, NODE_ASN], ids=["ibgp", "ebgp"])
def test_routes_carry_what_the_advertisements_ask(
    asn: int,
    tor: Host,
    node1: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """Communities by alias and number, large ones, aggregation; local-pref to iBGP peers only."""
    aggregate = {"aggregationLength": 26, "aggregationLengthV6": 64}
    manifests.put(
        *nodes(node1),
        peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN),
        community("names", blue="65001:1"),
        advertisement("all", localPref=200, communities=["blue", "65001:2", "large:65001:2:3"]),
        advertisement("aggregate", **aggregate, communities=["large:65001:2:4"]),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, asn=asn))
    start(node1)
    internal = asn == ROUTER_ASN
    as_path = () if internal else (NODE_ASN,)
    held.wait_routes(
        {
            ip_network(WEB): frozenset(
                {
                    Path(
                        next_hop=node1.ipv4,
                        as_path=as_path,
                        local_pref=200 if internal else None,
                        communities=("65001:1", "65001:2"),
                        large_communities=("65001:2:3",),
                    )
                }
            ),
            ip_network("192.0.2.0/26"): frozenset(
                {
                    Path(
                        next_hop=node1.ipv4,
                        as_path=as_path,
                        local_pref=100 if internal else None,  # the default, RFC 4271 section 5.1.5
                        large_communities=("65001:2:4",),
                    )
                }
            ),
        }
    )
    mark = held.mark()
    manifests.put(advertisement("aggregate", **aggregate, communities=["65001:9"]))
    held.wait_routes(
        lambda routes: {p.communities for p in routes[ip_network("192.0.2.0/26")]} == {("65001:9",)}
    )
    assert losses(held, mark) == []


def test_an_ipv6_session_carries_both_families(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """IPv4 routes on it have the node's own IPv4 address as next hop."""
    manifests.put(
        *nodes(node1),
        peer("tor", tor.ipv6, asn=NODE_ASN, peer_asn=ROUTER_ASN, dualStackAddressFamily=True),
        service("both", "192.0.2.1", "fd01::1", families=["IPv4", "IPv6"]),
        service("six", "fd01::2", families=["IPv6"]),
        slice_of("both", "node1"),
        slice_of("six", "node1"),
    )
    neighbor = NeighborConfig(address=node1.ipv6, asn=NODE_ASN)
    held = router(
        tor,
        RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=(neighbor,)),
    )
    start(node1)
    six = {"fd01::1/128": ["fd00::11"], "fd01::2/128": ["fd00::11"]}
    held.wait_next_hops({WEB: [NODE1], **six})
    manifests.put(slice_of("both"))
    held.wait_next_hops({"fd01::2/128": ["fd00::11"]})


def test_an_advertisement_may_be_for_some_peers(
    tor: Host,
    tor2: Host,
    node1: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """Two routers, and lists of peers that change."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        ebgp("tor2", tor2),
        pool("private", "198.51.100.0/24"),
        advertisement("all", ipAddressPools=["public"]),
        advertisement("private", ipAddressPools=["private"], peers=["tor2"]),
        service("web", "192.0.2.1"),
        service("inner", "198.51.100.1"),
        slice_of("web", "node1"),
        slice_of("inner", "node1"),
    )
    first, second = router(tor, config(node1)), router(tor2, config(node1))
    start(node1)
    second.wait_next_hops({WEB: [NODE1], "198.51.100.1/32": [NODE1]})
    first.wait_next_hops({WEB: [NODE1]})

    manifests.put(advertisement("private", ipAddressPools=["private"], peers=["tor"]))
    first.wait_next_hops({WEB: [NODE1], "198.51.100.1/32": [NODE1]})
    second.wait_next_hops({WEB: [NODE1]})


def test_a_killed_speaker_withdraws_nothing(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """The next one goes on from what ExaBGP holds, and what changed meanwhile is made good."""
    manifests.put(*nodes(node1), ebgp("tor", tor))
    for number, name in enumerate(("kept", "gone", "new"), start=1):
        manifests.put(service(name, f"192.0.2.{number}"), slice_of(name, "node1"))
    manifests.put(slice_of("new"))
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({"192.0.2.1/32": [NODE1], "192.0.2.2/32": [NODE1]})
    mark = held.mark()

    os.kill(running.speaker_pid(), signal.SIGSTOP)  # so that it learns of nothing any more
    manifests.put(slice_of("gone"), slice_of("new", "node1"))
    running.kill_speaker()
    held.wait_next_hops({"192.0.2.1/32": [NODE1], "192.0.2.3/32": [NODE1]})
    assert losses(held, mark) == ["192.0.2.2/32"]
    assert held.establishments(node1.ipv4) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_router_that_restarts_gets_all_routes(
    end: str,
    tor: Host,
    node1: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """Those that it had, and those that changed while it was away."""
    manifests.put(*nodes(node1), ebgp("tor", tor))
    for number, name in enumerate(("kept", "gone", "new"), start=1):
        manifests.put(service(name, f"192.0.2.{number}"), slice_of(name, "node1"))
    manifests.put(slice_of("new"))
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({"192.0.2.1/32": [NODE1], "192.0.2.2/32": [NODE1]})

    getattr(held, end)()
    running.wait_log("BGP peer tor (10.0.0.1): down")
    manifests.put(slice_of("gone"), slice_of("new", "node1"))
    running.wait_log("Service default/new: announced")
    held.start()
    held.wait_next_hops({"192.0.2.1/32": [NODE1], "192.0.2.3/32": [NODE1]})


def test_exabgp_is_started_again(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """A crash of ExaBGP costs its sessions; they and the routes come back by themselves."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    mark = held.mark()

    running.kill_exabgp()
    running.wait_log("ExaBGP ended with status -9: it is started again")
    wait_for(lambda: Event(Kind.SESSION_UP, node1.ipv4) in held.events_since(mark), 60, "a session")
    held.wait_next_hops({WEB: [NODE1]})


def test_a_graceful_restart_loses_only_what_is_gone(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """ExaBGP crashes; End-of-RIB comes after the whole table, and not when the session does."""
    manifests.put(*nodes(node1), ebgp("tor", tor, enableGracefulRestart=True))
    for number in range(1, 4):
        manifests.put(service(f"s{number}", f"192.0.2.{number}"), slice_of(f"s{number}", "node1"))
    helped = NeighborConfig(
        address=node1.ipv4,
        asn=NODE_ASN,
        graceful_restart=True,
        families=("ipv4",),  # GoBGP waits for End-of-RIB of every family that it is configured for
    )
    held = router(
        tor, RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=(helped,))
    )
    running = start(node1)
    held.wait_next_hops({f"192.0.2.{number}/32": [NODE1] for number in range(1, 4)})
    held.wait_end_of_rib(node1.ipv4)
    mark = held.mark()

    os.kill(running.speaker_pid(), signal.SIGSTOP)
    manifests.put(slice_of("s3"))
    running.kill_exabgp()
    wait_for(lambda: held.establishments(node1.ipv4) == 2, 60, "the second session")
    held.wait_next_hops({f"192.0.2.{number}/32": [NODE1] for number in range(1, 3)})
    assert losses(held, mark) == ["192.0.2.3/32"]


def test_a_peer_may_have_any_other_as(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """The peer has dynamicASN external; over a restart of the speaker and a reload."""
    dynamic = ebgp("tor", tor, dynamicASN="external")
    del dynamic["spec"]["peerASN"]
    manifests.put(*nodes(node1), dynamic, service("web", "192.0.2.1"), slice_of("web", "node1"))
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    running.kill_speaker()
    manifests.put(service("near", "192.0.2.2"), slice_of("near", "node1"))
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    manifests.put(peer("dead", "10.0.0.99", asn=1, peer_asn=2))
    running.wait_log("ExaBGP holds 2 neighbors")
    manifests.put(slice_of("web"))
    held.wait_next_hops({NEAR: [NODE1]})
    assert held.establishments(node1.ipv4) == 1


def test_nothing_outlives_the_parent(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """Killed, it takes ExaBGP with it: a second ExaBGP would fight the first for the session."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    below = [running.exabgp_pid(), running.speaker_pid()]

    running.kill()
    held.wait_next_hops({})
    wait_for(lambda: not any(map(is_alive, below)), 60, f"{below} end with their parent")
    running.start()
    held.wait_next_hops({WEB: [NODE1]})
    assert running.stop() == 0
    held.wait_next_hops({})


def test_peers_change_while_others_keep_their_sessions(
    tor: Host,
    tor2: Host,
    node1: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """One is added, edited and removed, beside one that stands and one that never answers."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    manifests.put(peer("dead", "10.0.0.99", asn=NODE_ASN, peer_asn=ROUTER_ASN))
    first, second = router(tor, config(node1)), router(tor2, config(node1))
    running = start(node1)
    first.wait_next_hops({WEB: [NODE1]})
    mark = first.mark()

    manifests.put(ebgp("tor2", tor2))
    second.wait_next_hops({WEB: [NODE1]})
    manifests.put(ebgp("tor2", tor2, holdTime="12s"))
    wait_for(lambda: second.establishments(node1.ipv4) == 2, 60, "a session with another hold time")
    second.wait_next_hops({WEB: [NODE1]})
    assert "hold-time 12;" in running.conf
    manifests.remove("BGPPeer", "tor2")
    second.wait_down(node1.ipv4)
    second.wait_next_hops({})

    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    first.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    assert losses(first, mark) == []
    assert first.establishments(node1.ipv4) == 1


def test_a_peer_may_change_while_its_router_is_away(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """ExaBGP makes a new neighbor of it and forgets its routes: they are sent again."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    held.kill()
    running.wait_log("BGP peer tor (10.0.0.1): down")
    mark = running.mark()
    manifests.put(ebgp("tor", tor, routerID="10.9.9.9"))
    running.wait_log("ExaBGP holds 1 neighbors", since=mark)
    held.start()
    held.wait_next_hops({WEB: [NODE1]})


def helped(*hosts: Host) -> RouterConfig:
    """Return a router that keeps the routes of nodes that restart."""
    neighbors = tuple(
        NeighborConfig(address=host.ipv4, asn=NODE_ASN, graceful_restart=True, families=("ipv4",))
        for host in hosts
    )
    return RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors)


def test_an_exabgp_that_takes_no_reload_any_more_is_started_anew(
    tor: Host,
    tor2: Host,
    node1: Host,
    manifests: Manifests,
    frr: FrrFactory,
    start: NodeFactory,
) -> None:
    """Somebody edited exabgp.conf by hand and reloaded it: a new peer comes, no route is lost."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor, enableGracefulRestart=True),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    first, second = frr(tor, helped(node1)), frr(tor2, helped(node1))
    running = start(node1)
    first.wait_next_hops({WEB: [NODE1]})
    first.wait_end_of_rib(node1.ipv4)
    mark = first.mark()

    with (running.state / "exabgp.conf").open("a") as file:
        file.write("neighbour 10.0.0.1 { }\n")
    os.kill(running.exabgp_pid(), signal.SIGUSR1)
    running.wait_log("could not load/reload configuration")
    manifests.put(ebgp("tor2", tor2, enableGracefulRestart=True))
    second.wait_next_hops({WEB: [NODE1]}, timeout=60.0)
    assert "it is restarted" in running.log()
    first.wait_next_hops({WEB: [NODE1]})
    assert first.establishments(node1.ipv4) == 2
    assert losses(first, mark) == []
    assert first.fib_deletions(mark) == []
    assert not (running.state / "exabgp.conf.refused").exists()


def test_a_password_comes_from_a_secret(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """The session waits for it, and nobody else may read it."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor, passwordSecret={"name": "tor"}),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, password="s3cret-word"))
    running = start(node1)
    running.wait_log("passwordSecret")
    manifests.put(secret("tor", "s3cret-word"))
    held.wait_next_hops({WEB: [NODE1]})
    assert "s3cret-word" in running.conf
    assert (running.state / "exabgp.conf").stat().st_mode & 0o777 == 0o600
    assert "s3cret-word" not in running.log()
    assert "s3cret-word" not in (running.state / "last-good.jsonl").read_text()


def test_a_bad_peer_harms_no_other(
    tor: Host,
    tor2: Host,
    node1: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: NodeFactory,
) -> None:
    """One that speaks another AS, and one where nobody listens: one message each."""
    manifests.put(
        *nodes(node1),
        ebgp("good", tor),
        peer("stranger", tor2.ipv4, asn=64999, peer_asn=ROUTER_ASN),
        peer("deaf", node1.lab.host("deaf", "10.0.0.3/24").ipv4, asn=NODE_ASN, peer_asn=1),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1))
    router(tor2, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    running.wait_log("BGP peer stranger (10.0.0.2): no session")
    running.wait_log("BGP peer deaf (10.0.0.3): no session")
    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    told = sorted(line for line in running.log().splitlines() if "no session" in line)
    assert len(told) == 2
    assert "BGP peer deaf" in told[0] or "BGP peer deaf" in told[1]
    assert any("stranger" in line and "wrong ASN" in line for line in told)
    assert held.establishments(node1.ipv4) == 1


def test_a_node_that_is_not_there_announces_what_needs_no_node(
    tor: Host, node1: Host, manifests: Manifests, frr: FrrFactory, start: NodeFactory
) -> None:
    """A name that no Node has: told once, with the names there are; no selector matches."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        ebgp("elsewhere", node1, nodeSelectors=on("node1")),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = frr(tor, config(node1))
    running = start(node1, name="typo")
    held.wait_next_hops({WEB: [NODE1]})
    manifests.put(slice_of("web"))
    held.wait_next_hops({})
    assert running.log().count("no Node is named typo") == 1
    assert "there are: node1" in running.log()
    assert running.conf.count("neighbor 10.") == 1


def test_broken_files_take_nothing_away(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """Broken YAML, and a folder that vanishes: told once, also over a restart of the speaker."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        service("web", "192.0.2.1"),
        service("more", "192.0.2.2"),
        slice_of("web", "node1"),
        slice_of("more", "node1"),
    )
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    running.wait_file("last-good.jsonl", "default")
    mark = held.mark()

    manifests.write_object("Service", "web", "kind: Service\n  metadata: {")
    running.wait_log("Service-web.yaml")
    said = running.mark()
    running.kill_speaker()
    running.wait_log("last good snapshot stands in", since=said)
    manifests.put(slice_of("more"))
    held.wait_next_hops({WEB: [NODE1]})
    assert losses(held, mark) == [NEAR]

    manifests.put(service("web", "192.0.2.3"))
    held.wait_next_hops({"192.0.2.3/32": [NODE1]})
    running.wait_file("last-good.jsonl", str(int(IPv4Address("192.0.2.3"))))
    mark, said = held.mark(), running.mark()
    manifests.vanish()
    running.wait_log("No such file or directory", since=said)
    running.kill_speaker()
    running.wait_log("last good snapshot stands in", since=said)
    running.wait_log("decided for node node1: 1 sessions, 1 routes", since=said)
    assert losses(held, mark) == []
    assert held.establishments(node1.ipv4) == 1
    assert "Traceback" not in running.log()


def test_a_node_that_boots_without_its_source_announces_what_it_did(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: NodeFactory
) -> None:
    """The last rendered sessions, one of them with a password, and the last good objects."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor, passwordSecret={"name": "tor"}),
        secret("tor", "s3cret-word"),
        service("web"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, password="s3cret-word"))
    running = start(node1)
    held.wait_next_hops({"192.0.2.0/32": [NODE1]})
    running.wait_file("last-good.jsonl", "default")
    running.stop()
    held.wait_next_hops({})
    manifests.vanish()
    running.start()
    held.wait_next_hops({"192.0.2.0/32": [NODE1]})


def test_addresses_given_without_a_cluster_stay(
    tor: Host, node1: Host, manifests: Manifests, frr: FrrFactory, start: NodeFactory
) -> None:
    """A Service that would have been served first gets what is left, and no restart changes it."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        pool("public", "192.0.2.4/31"),
        service("m", created="2026-02-01T00:00:00Z"),
        slice_of("m", "node1"),
    )
    held = frr(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({"192.0.2.4/32": [NODE1]})
    both = {"192.0.2.4/32": [NODE1], "192.0.2.5/32": [NODE1]}
    manifests.put(service("a", created="2026-01-01T00:00:00Z"), slice_of("a", "node1"))
    held.wait_next_hops(both)
    leases = {"default/a": ["192.0.2.5"], "default/m": ["192.0.2.4"]}
    assert running.leases == leases

    running.stop()
    held.wait_next_hops({})
    running.start()
    held.wait_next_hops(both)
    assert running.leases == leases
    manifests.put(service("b"), slice_of("b", "node1"))
    running.wait_log("Service default/b: no address: poolExhausted")
    manifests.remove("Service", "m")
    held.wait_next_hops(both)
    wait_for(lambda: running.leases.get("default/b") == ["192.0.2.4"], 60, "b has what m left")


DEAF = """
import os, sys, time
line = "announce route 192.0.2.2/32 next-hop self"
print(line, flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.1)
os.close(0)
for _ in range(4000):  # ExaBGP keeps 8 KiB of answers before it minds
    print(line, flush=True)
"""
"""A process of ExaBGP that dies while it is answered, as ExaBGP sees it: its pipe has no reader."""


def test_exabgp_ends_rather_than_stopping_its_peers(
    tor: Host, node1: Host, frr: FrrFactory
) -> None:
    """An answer that finds no reader would have it hold all peers down for good; routes stay."""
    held = frr(tor, helped(node1))
    script, go = node1.lab.folder / "deaf.py", node1.lab.folder / "go"
    script.write_text(DEAF)
    made = ExaBgp(
        node1,
        f"""
process deaf {{ run {sys.executable} {script} {go}; encoder json; }}
neighbor {tor.ipv4} {{
    router-id {node1.ipv4}; local-address {node1.ipv4};
    local-as {NODE_ASN}; peer-as {ROUTER_ASN}; hold-time 9;
    capability {{ graceful-restart 30; }}
    family {{ ipv4 unicast; }}
    api {{ processes [ deaf ]; }}
    static {{ route {WEB} next-hop self; }}
}}
""",
        env=EXABGP_ENVIRONMENT,
    )
    try:
        made.start()
        held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
        go.touch()
        wait_for(lambda: not made.alive, 60, lambda: f"the end of ExaBGP\n{made.log()}")
    finally:
        made.stop()
    assert held.establishments(node1.ipv4) == 1
    assert losses(held, 0) == []
