"""A node that drains or stops, as FRR, BIRD and GoBGP see it."""

import json
import subprocess
from ipaddress import IPv4Address, ip_network

import pytest

from tests.integration.lab.capture import NOTIFICATION, UPDATE, Capture, Message
from tests.integration.lab.frr import FrrFactory, FrrRouter
from tests.integration.lab.network import Host
from tests.integration.lab.router import Path, Router, RouterConfig, RouterFactory, Routes
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import Manifests, Object, node, peer, service, slice_of
from tests.integration.nodes import PROGRAM, Node, clean_environment
from tests.integration.rack import NODE1, NODE2, NODE_ASN, ROUTER_ASN, WEB, Start, config, ebgp

pytestmark = pytest.mark.netns

GRACEFUL_SHUTDOWN, GRACEFUL_SHUTDOWN_BYTES = "65535:0", b"\xff\xff\x00\x00"
LONG = "--drain-seconds 600"  # the first phase lasts as long as the test looks at it
SHORT = "--drain-seconds 1"
CEASE, ADMINISTRATIVE_SHUTDOWN = 6, 2
SECONDS = 60.0

ANNOTATION = "exabgp-metallb.io/drain"


@pytest.fixture
def manifests(manifests: Manifests, tor: Host) -> Manifests:
    """Return the folder with a Service that two nodes announce to the router."""
    manifests.put(
        ebgp("tor", tor),
        service("web", "192.0.2.1"),
        slice_of("web", "node1", "node2"),
        node("node1", NODE1),
        node("node2", NODE2),
    )
    return manifests


@pytest.fixture
def settings(node1: Host, node2: Host) -> RouterConfig:
    """Return what the router is told."""
    return config(node1, node2, families=("ipv4",))


@pytest.fixture
def held(tor: Host, router: RouterFactory, settings: RouterConfig) -> Router:
    """Return the router, of each make."""
    return router(tor, settings)


@pytest.fixture
def held_frr(tor: Host, frr: FrrFactory, settings: RouterConfig) -> FrrRouter:
    """Return the same of one make, where the kernel's routes are of interest."""
    return frr(tor, settings)


@pytest.fixture
def held_graceful(tor: Host, node1: Host, manifests: Manifests, router: RouterFactory) -> Router:
    """Return a router of each make that keeps the first node's routes while that restarts."""
    manifests.put(ebgp("tor", tor, enableGracefulRestart=True))
    return router(tor, config(node1, families=("ipv4",), graceful_restart=True))


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
    node1: Host,
    node2: Host,
    manifests: Manifests,
    router: RouterFactory,
    start: Start,
) -> None:
    """Worse, back at once, worse and gone; the sessions stand, and the other node serves."""
    manifests.put(peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN))
    held = router(tor, config(node1, node2, asn=asn, families=("ipv4",)))
    first = start(node1, options=LONG)
    start(node2, options=LONG)
    both = held.wait_next_hops({WEB: [NODE1, NODE2]})

    assert drain(first) == "to be drained"
    wait_worse(held, internal=asn == ROUTER_ASN)
    assert drain(first, "--undo") == "to be serving"
    held.wait_routes(both)
    assert drain(first, "--seconds", "0", "--wait") == "drained"
    held.wait_next_hops({WEB: [NODE2]})
    assert held.established(node1.ipv4)
    assert drain(first, "--undo", "--wait") == "serving"
    held.wait_routes(both)
    assert held.establishments(node1.ipv4) == held.establishments(node2.ipv4) == 1


def test_traffic_turns_away_before_the_route_goes(
    held_frr: FrrRouter, node1: Host, node2: Host, start: Start
) -> None:
    """The kernel of the router has no next hop at the node, while its path is still there."""
    first = start(node1, options=LONG)
    start(node2, options=LONG)
    held_frr.wait_fib({WEB: [NODE1, NODE2]})
    drain(first)
    held_frr.wait_fib({WEB: [NODE2]})
    wait_worse(held_frr, internal=False)
    drain(first, "--undo")
    held_frr.wait_fib({WEB: [NODE1, NODE2]})


def test_the_only_path_is_used_until_it_goes(
    held_frr: FrrRouter, node1: Host, manifests: Manifests, start: Start
) -> None:
    """A worse path is better than none; no prefix leaves the kernel before its time."""
    manifests.put(slice_of("web", "node1"))
    first = start(node1, options=LONG)
    held_frr.wait_fib({WEB: [NODE1]})
    mark = held_frr.mark()
    drain(first)

    def is_worse(routes: Routes) -> bool:
        path = path_by(routes, NODE1)
        return path is not None and path.communities == (GRACEFUL_SHUTDOWN,)

    held_frr.wait_routes(is_worse)
    held_frr.wait_fib({WEB: [NODE1]})
    assert held_frr.fib_deletions(mark) == []


def test_the_annotation_of_a_node_drains_it(
    held: Router, node1: Host, node2: Host, manifests: Manifests, start: Start
) -> None:
    """In a folder of manifests; over a restart of the speaker and of the node."""
    first = start(node1, options=SHORT)
    start(node2, options=SHORT)
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    mark = held.mark()
    manifests.put(annotated(node1))
    held.wait_next_hops({WEB: [NODE2]})
    gone = f"withdrawn {WEB} {NODE1}"
    wait_for(lambda: gone in map(str, held.events_since(mark)), SECONDS, gone)
    events = [str(event) for event in held.events_since(mark)]
    assert events.index(f"announced {WEB} {NODE1}") < events.index(gone)

    mark, said = held.mark(), first.mark()
    first.kill_speaker()
    first.wait_log("decided for node node1", since=said)
    assert drain(first, "--wait") == "drained"
    sessions = held.establishments(node1.ipv4)
    first.stop()
    first.start()
    wait_for(lambda: held.establishments(node1.ipv4) > sessions, SECONDS, "another session")
    wait_for(lambda: command(first, "status").returncode == 0, SECONDS, "a healthy node")
    assert f"announced {WEB} {NODE1}" not in map(str, held.events_since(mark))

    manifests.put(annotated(node1, "false"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})


def test_a_stop_drains_and_says_goodbye(
    held: Router, node1: Host, node2: Host, start: Start
) -> None:
    """SIGTERM: worse, withdrawn, Cease, and only then the end of TCP."""
    first = start(node1, options=SHORT)
    start(node2, options=SHORT)
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    with Capture(node1) as capture:
        assert first.stop() == 0
        held.wait_next_hops({WEB: [NODE2]})

        def said(kind: int) -> list[Message]:
            return [m for m in capture.messages() if (m.source, m.type) == (node1.ipv4, kind)]

        wait_for(lambda: said(NOTIFICATION), SECONDS, "the last packet, from tcpdump")
        gone = next(u for u in capture.updates() if ip_network(WEB) in u.withdrawn)
    worse = next(m for m in said(UPDATE) if GRACEFUL_SHUTDOWN_BYTES in m.body)
    end = said(NOTIFICATION)[0]
    assert gone.source == node1.ipv4
    assert gone.at_seconds - worse.at_seconds >= 0.9
    assert end.at_seconds >= gone.at_seconds
    assert tuple(end.body[:2]) == (CEASE, ADMINISTRATIVE_SHUTDOWN)


def test_a_stop_without_a_drain_keeps_routes_of_a_graceful_restart(
    held_graceful: Router, node1: Host, start: Start
) -> None:
    """`--drain-seconds 0` is for upgrades: the router never loses the route."""
    with Capture(node1) as capture:
        first = start(node1, options="--drain-seconds 0")
        held_graceful.wait_next_hops({WEB: [NODE1]})
        wait_for(lambda: end_of_rib_from(node1, capture), SECONDS, "the end of the first table")
    held_graceful.wait_end_of_rib(node1.ipv4)  # of those that say when they have read it
    mark = held_graceful.mark()
    first.stop()
    first.start()
    wait_for(lambda: held_graceful.establishments(node1.ipv4) == 2, SECONDS, "the second session")
    wait_for(lambda: command(first, "status").returncode == 0, SECONDS, "a healthy node")
    held_graceful.wait_next_hops({WEB: [NODE1]})
    assert held_graceful.withdrawals_seen(mark) == []


def test_a_stop_with_a_drain_leaves_no_stale_route(
    held_graceful: Router, node1: Host, start: Start
) -> None:
    """Where sessions restart gracefully, nothing is left for the router to keep."""
    first = start(node1, options=SHORT)
    held_graceful.wait_next_hops({WEB: [NODE1]})
    assert first.stop() == 0
    held_graceful.wait_next_hops({})


def test_what_status_says(held_frr: FrrRouter, node1: Host, start: Start) -> None:
    """Healthy, drained, and with a router that is gone; as a table and as JSON."""
    first = start(node1, options=LONG)
    held_frr.wait_next_hops({WEB: [NODE1]})
    wait_for(lambda: "Healthy." in command(first, "status").stdout, SECONDS, "a healthy node")
    assert "10.0.0.1" in command(first, "status").stdout
    drain(first, "--seconds", "0", "--wait")
    shown = json.loads(command(first, "status", "-o", "json").stdout)
    assert shown["drain"]["phase"] == "drained"
    assert [row["routesHeld"] for row in shown["sessions"]] == [0]
    said = first.mark()
    held_frr.stop()
    first.wait_log("BGP peer tor (10.0.0.1): down", since=said)
    done = command(first, "status")
    assert done.returncode == 1
    assert "BGP peer tor (10.0.0.1)" in done.stdout.partition("Problems")[2]
    first.kill()
