"""A node that drains or stops, as FRR, BIRD and GoBGP see it."""

import json
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address, ip_network

import pytest

from tests.integration.lab.capture import NOTIFICATION, UPDATE, Capture
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import (
    NeighborConfig,
    Path,
    Router,
    RouterConfig,
    RouterFactory,
    Routes,
)
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import PROGRAM, Node, clean_environment

pytestmark = pytest.mark.netns

ROUTER_ASN, NODE_ASN = 64512, 64513
WEB = "192.0.2.1/32"
GRACEFUL_SHUTDOWN, GRACEFUL_SHUTDOWN_BYTES = "65535:0", b"\xff\xff\x00\x00"
NODE1, NODE2 = "10.0.0.11", "10.0.0.12"
LONG = "--drain-seconds 600"  # the first phase lasts as long as the test looks at it
SHORT = "--drain-seconds 1"
CEASE, ADMINISTRATIVE_SHUTDOWN = 6, 2
SECONDS = 60.0

ANNOTATION = "exabgp-metallb.io/drain"


@pytest.fixture
def tor(lab: Lab) -> Host:
    """Return the router's host."""
    return lab.host("tor", "10.0.0.1/24")


@pytest.fixture
def hosts(lab: Lab) -> list[Host]:
    """Return the hosts of two nodes."""
    return [lab.host("node1", f"{NODE1}/24"), lab.host("node2", f"{NODE2}/24")]


@pytest.fixture
def manifests(lab: Lab, hosts: list[Host]) -> Manifests:
    """Return a folder with two nodes and a Service that both announce."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        pool("public", "192.0.2.0/24"),
        advertisement(),
        service("web", "192.0.2.1"),
        slice_of("web", "node1", "node2"),
        *(node(host.name, host.ipv4) for host in hosts),
    )
    return manifests


@pytest.fixture
def start(manifests: Manifests) -> Callable[[Host, str], Node]:
    """Return what starts a node with options."""

    def start(host: Host, options: str) -> Node:
        started = Node(host, manifests.path, options=options)
        started.start()
        return started

    return start


def router_config(*hosts: Host, asn: int = NODE_ASN, graceful: bool = False) -> RouterConfig:
    """Return a router that shares traffic among nodes."""
    neighbors = tuple(
        NeighborConfig(address=host.ipv4, asn=asn, graceful_restart=graceful, families=("ipv4",))
        for host in hosts
    )
    return RouterConfig(
        asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors, maximum_paths=8
    )


def to_router(tor: Host, asn: int = NODE_ASN, **spec: object) -> Object:
    """Return the BGPPeer of the router."""
    return peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN, **spec)


def annotated(host: Host, value: str = "true") -> Object:
    """Return a Node that is to be drained."""
    found = node(host.name, host.ipv4)
    found["metadata"]["annotations"] = {ANNOTATION: value}
    return found


def command(running: Node, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours on the machine of a node."""
    return subprocess.run(
        [*PROGRAM, *words, "--state-dir", str(running.state)],
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS * 2,
        env=clean_environment({}),
    )


def drain(running: Node, *words: str) -> str:
    """Ask a node to drain, and return what that said."""
    done = command(running, "drain", "--local", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def path_by(routes: Routes, next_hop: str) -> Path | None:
    """Return the path of the Service by a node."""
    paths = routes.get(ip_network(WEB), frozenset())
    return next((p for p in paths if p.next_hop == IPv4Address(next_hop)), None)


def end_of_rib_from(host: Host, capture: Capture) -> bool:
    """Tell whether a node has sent its whole table: an UPDATE without any prefix."""
    return any(
        u.source == host.ipv4 and not u.announced and not u.withdrawn for u in capture.updates()
    )


def wait_worse(router: Router, *, internal: bool) -> None:
    """Wait until the first node's path is the last choice, and the second one's is not."""

    def is_worse(routes: Routes) -> bool:
        first, second = path_by(routes, NODE1), path_by(routes, NODE2)
        return (
            first is not None
            and first.communities == (GRACEFUL_SHUTDOWN,)
            and first.local_pref == (0 if internal else None)
            and second is not None
            and second.communities == ()
        )

    router.wait_routes(is_worse)


@pytest.mark.parametrize("asn", [ROUTER_ASN, NODE_ASN], ids=["ibgp", "ebgp"])
def test_a_drain_phase_by_phase(
    asn: int,
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    router: RouterFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """Worse, back at once, worse and gone; the sessions stand, and the other node serves."""
    manifests.put(to_router(tor, asn))
    held = router(tor, router_config(*hosts, asn=asn))
    first = start(hosts[0], LONG)
    start(hosts[1], LONG)
    both = held.wait_next_hops({WEB: [NODE1, NODE2]})

    assert drain(first) == "to be drained"
    wait_worse(held, internal=asn == ROUTER_ASN)
    assert drain(first, "--undo") == "to be serving"
    held.wait_routes(both)
    assert drain(first, "--seconds", "0", "--wait") == "drained"
    held.wait_next_hops({WEB: [NODE2]})
    assert held.established(hosts[0].ipv4)
    assert drain(first, "--undo", "--wait") == "serving"
    held.wait_routes(both)
    assert held.establishments(hosts[0].ipv4) == held.establishments(hosts[1].ipv4) == 1


def test_traffic_turns_away_before_the_route_goes(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    frr: FrrFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """The kernel of the router has no next hop at the node, while its path is still there."""
    manifests.put(to_router(tor))
    held = frr(tor, router_config(*hosts))
    first = start(hosts[0], LONG)
    start(hosts[1], LONG)
    held.wait_fib({WEB: [NODE1, NODE2]})
    drain(first)
    held.wait_fib({WEB: [NODE2]})
    wait_worse(held, internal=False)
    drain(first, "--undo")
    held.wait_fib({WEB: [NODE1, NODE2]})


def test_the_only_path_is_used_until_it_goes(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    frr: FrrFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """A worse path is better than none; no prefix leaves the kernel before its time."""
    manifests.put(to_router(tor), slice_of("web", "node1"))
    held = frr(tor, router_config(*hosts))
    first = start(hosts[0], LONG)
    held.wait_fib({WEB: [NODE1]})
    mark = held.mark()
    drain(first)

    def is_worse(routes: Routes) -> bool:
        path = path_by(routes, NODE1)
        return path is not None and path.communities == (GRACEFUL_SHUTDOWN,)

    held.wait_routes(is_worse)
    held.wait_fib({WEB: [NODE1]})
    assert held.fib_deletions(mark) == []


def test_the_annotation_of_a_node_drains_it(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    router: RouterFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """In a folder of manifests; over a restart of the speaker and of the node."""
    manifests.put(to_router(tor))
    held = router(tor, router_config(*hosts))
    first = start(hosts[0], SHORT)
    start(hosts[1], SHORT)
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    mark = held.mark()
    manifests.put(annotated(hosts[0]))
    held.wait_next_hops({WEB: [NODE2]})
    events = [str(event) for event in held.events_since(mark)]
    assert events.index(f"announced {WEB} {NODE1}") < events.index(f"withdrawn {WEB} {NODE1}")

    mark, said = held.mark(), first.mark()
    first.kill_speaker()
    first.wait_log("decided for node node1", since=said)
    assert drain(first, "--wait") == "drained"
    first.stop()
    first.start()
    wait_for(lambda: held.establishments(hosts[0].ipv4) == 2, SECONDS, "the second session")
    wait_for(lambda: command(first, "status").returncode == 0, SECONDS, "a healthy node")
    assert f"announced {WEB} {NODE1}" not in map(str, held.events_since(mark))

    manifests.put(annotated(hosts[0], "false"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})


def test_a_stop_drains_and_says_goodbye(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    router: RouterFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """SIGTERM: worse, withdrawn, Cease, and only then the end of TCP."""
    manifests.put(to_router(tor))
    held = router(tor, router_config(*hosts))
    first = start(hosts[0], SHORT)
    start(hosts[1], SHORT)
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    with Capture(hosts[0]) as capture:
        assert first.stop() == 0
        held.wait_next_hops({WEB: [NODE2]})
        said = [m for m in capture.messages() if m.source == hosts[0].ipv4]
        gone = next(u for u in capture.updates() if ip_network(WEB) in u.withdrawn)
    worse = next(m for m in said if m.type == UPDATE and GRACEFUL_SHUTDOWN_BYTES in m.body)
    end = next(m for m in said if m.type == NOTIFICATION)
    assert gone.source == hosts[0].ipv4
    assert gone.at_seconds - worse.at_seconds >= 0.9
    assert end.at_seconds >= gone.at_seconds
    assert tuple(end.body[:2]) == (CEASE, ADMINISTRATIVE_SHUTDOWN)


def test_a_stop_without_a_drain_keeps_routes_of_a_graceful_restart(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    router: RouterFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """`--drain-seconds 0` is for upgrades: the router never loses the route."""
    manifests.put(to_router(tor, enableGracefulRestart=True))
    held = router(tor, router_config(*hosts, graceful=True))
    with Capture(hosts[0]) as capture:
        first = start(hosts[0], "--drain-seconds 0")
        held.wait_next_hops({WEB: [NODE1]})
        wait_for(lambda: end_of_rib_from(hosts[0], capture), SECONDS, "the end of the first table")
    mark = held.mark()
    first.stop()
    first.start()
    wait_for(lambda: held.establishments(hosts[0].ipv4) == 2, SECONDS, "the second session")
    wait_for(lambda: command(first, "status").returncode == 0, SECONDS, "a healthy node")
    held.wait_next_hops({WEB: [NODE1]})
    assert held.withdrawals_seen(mark) == []


def test_a_stop_with_a_drain_leaves_no_stale_route(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    router: RouterFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """Where sessions restart gracefully, nothing is left for the router to keep."""
    manifests.put(to_router(tor, enableGracefulRestart=True))
    held = router(tor, router_config(*hosts, graceful=True))
    first = start(hosts[0], SHORT)
    held.wait_next_hops({WEB: [NODE1]})
    assert first.stop() == 0
    held.wait_next_hops({})


def test_what_status_says(
    tor: Host,
    hosts: list[Host],
    manifests: Manifests,
    frr: FrrFactory,
    start: Callable[[Host, str], Node],
) -> None:
    """Healthy, drained, and with a router that is gone; as a table and as JSON."""
    manifests.put(to_router(tor))
    held = frr(tor, router_config(*hosts))
    first = start(hosts[0], LONG)
    held.wait_next_hops({WEB: [NODE1]})
    wait_for(lambda: command(first, "status").returncode == 0, SECONDS, "a healthy node")
    table = command(first, "status").stdout
    assert "Healthy." in table
    assert "10.0.0.1" in table
    drain(first, "--seconds", "0", "--wait")
    shown = json.loads(command(first, "status", "-o", "json").stdout)
    assert shown["drain"]["phase"] == "drained"
    assert [row["routesHeld"] for row in shown["sessions"]] == [0]
    held.stop()
    first.wait_log("BGP peer tor (10.0.0.1): down")
    done = command(first, "status")
    assert done.returncode == 1
    assert "BGP peer tor (10.0.0.1)" in done.stdout.partition("Problems")[2]
    first.kill()
