"""What ends or is away: the speaker, ExaBGP, their parent, the router, the folder of manifests.

No route goes that can stay, and whatever changed meanwhile is made good.
"""

import os
import signal
import sys
from ipaddress import IPv4Address

import pytest

from exabgp_metallb.programs.run import EXABGP_ENVIRONMENT
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.history import Event, Kind
from tests.integration.lab.network import Host
from tests.integration.lab.router import Router, RouterConfig, RouterFactory
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import Manifests, secret, service, slice_of
from tests.integration.nodes import Node, has_ended
from tests.integration.rack import (
    NEAR,
    NODE1,
    NODE_ASN,
    ROUTER_ASN,
    WEB,
    Start,
    config,
    ebgp,
    losses,
    nodes,
    wait_losses,
)

pytestmark = pytest.mark.netns

GONE, NEW = service("gone", "192.0.2.2"), service("new", "192.0.2.3")


@pytest.fixture
def held(tor: Host, node1: Host, manifests: Manifests, router: RouterFactory) -> Router:
    """Return the router to which a node is to announce a Service."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    return router(tor, config(node1))


@pytest.fixture
def running(held: Router, node1: Host, start: Start) -> Node:
    """Return that node; the router has the route."""
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    return running


def helped(host: Host) -> RouterConfig:
    """Return a router that keeps the routes of a node that restarts."""
    # GoBGP waits for End-of-RIB of every family that it is configured for.
    return config(host, graceful_restart=True, families=("ipv4",))


def test_a_killed_speaker_withdraws_nothing(
    held: Router, running: Node, node1: Host, manifests: Manifests
) -> None:
    """The next one goes on from what ExaBGP holds, and what changed meanwhile is made good."""
    manifests.put(GONE, slice_of("gone", "node1"), NEW)
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    mark = held.mark()

    os.kill(running.speaker_pid(), signal.SIGSTOP)  # so that it learns of nothing any more
    manifests.put(slice_of("gone"), slice_of("new", "node1"))
    running.kill_speaker()
    held.wait_next_hops({WEB: [NODE1], "192.0.2.3/32": [NODE1]})
    wait_losses(held, mark, NEAR)
    assert held.establishments(node1.ipv4) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_router_that_restarts_gets_all_routes(
    end: str, held: Router, running: Node, manifests: Manifests
) -> None:
    """Those that it had, and those that changed while it was away."""
    manifests.put(GONE, slice_of("gone", "node1"), NEW)
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})

    said = running.mark()
    getattr(held, end)()
    running.wait_log("BGP peer tor (10.0.0.1): down", since=said)
    manifests.put(slice_of("gone"), slice_of("new", "node1"))
    running.wait_log("Service default/new: announced")
    held.start()
    held.wait_next_hops({WEB: [NODE1], "192.0.2.3/32": [NODE1]})


def test_exabgp_is_started_again(held: Router, running: Node, node1: Host) -> None:
    """A crash of ExaBGP costs its sessions; they and the routes come back by themselves."""
    mark = held.mark()

    running.kill_exabgp()
    running.wait_log("ExaBGP ended with status -9: it is started again")
    wait_for(lambda: Event(Kind.SESSION_UP, node1.ipv4) in held.events_since(mark), 60, "a session")
    held.wait_next_hops({WEB: [NODE1]})


def test_a_graceful_restart_loses_only_what_is_gone(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """ExaBGP crashes; End-of-RIB comes after the whole table, and not when the session does."""
    manifests.put(*nodes(node1), ebgp("tor", tor, enableGracefulRestart=True))
    for number in range(1, 4):
        manifests.put(service(f"s{number}", f"192.0.2.{number}"), slice_of(f"s{number}", "node1"))
    held = router(tor, helped(node1))
    running = start(node1)
    held.wait_next_hops({f"192.0.2.{number}/32": [NODE1] for number in range(1, 4)})
    held.wait_end_of_rib(node1.ipv4)
    mark = held.mark()

    os.kill(running.speaker_pid(), signal.SIGSTOP)
    manifests.put(slice_of("s3"))
    running.kill_exabgp()
    wait_for(lambda: held.establishments(node1.ipv4) == 2, 60, "the second session")
    held.wait_next_hops({f"192.0.2.{number}/32": [NODE1] for number in range(1, 3)})
    wait_losses(held, mark, "192.0.2.3/32")


def test_nothing_outlives_the_parent(held: Router, running: Node) -> None:
    """Killed, it takes ExaBGP with it: a second ExaBGP would fight the first for the session."""
    below = [running.exabgp_pid(), running.speaker_pid()]

    running.kill()
    held.wait_next_hops({})
    wait_for(lambda: all(map(has_ended, below)), 60, f"{below} end with their parent")
    running.start()
    held.wait_next_hops({WEB: [NODE1]})
    assert running.stop() == 0
    held.wait_next_hops({})


def test_a_peer_may_change_while_its_router_is_away(
    held: Router, running: Node, tor: Host, manifests: Manifests
) -> None:
    """ExaBGP makes a new neighbor of it and forgets its routes: they are sent again."""
    mark = running.mark()
    held.kill()
    running.wait_log("BGP peer tor (10.0.0.1): down", since=mark)
    mark = running.mark()
    manifests.put(ebgp("tor", tor, routerID="10.9.9.9"))
    running.wait_log("ExaBGP holds 1 neighbors", since=mark)
    held.start()
    held.wait_next_hops({WEB: [NODE1]})


def test_an_exabgp_that_takes_no_reload_any_more_is_started_anew(
    tor: Host, tor2: Host, node1: Host, manifests: Manifests, frr: FrrFactory, start: Start
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
    second.wait_next_hops({WEB: [NODE1]}, timeout=120.0)  # after four reloads, and a start
    assert "it is restarted" in running.log()
    first.wait_next_hops({WEB: [NODE1]})
    assert first.establishments(node1.ipv4) == 2
    assert losses(first, mark) == []
    assert first.fib_deletions(mark) == []
    assert not (running.state / "exabgp.conf.refused").exists()


def test_broken_files_take_nothing_away(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
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
    wait_losses(held, mark, NEAR)

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
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
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
