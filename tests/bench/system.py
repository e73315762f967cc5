"""What clients of the whole system lose while its parts are restarted, drained, or lost.

    python -m tests.bench.system [--ways agents controllers ...] [--runs 3]          needs root

The system is the one of tests/system: a real control plane, kube-proxy on three nodes, FRR, and our
programs by their manifests, or by their units where there is BFD or --form says so. A client beyond
the router and a host beside the nodes fetch pages, 50 a second together, over Services announced by
BGP, on layer 2 and in both modes, in both families. Lost is a request without an answer within
three seconds, delayed one that took over half a second.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby

from tests.bench.figures import table
from tests.integration.lab.network import Lab
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, children
from tests.kube.rendered import NAMESPACE
from tests.system.cluster import Cluster, Form, Node, cluster
from tests.system.fetches import RATE, Fetches
from tests.system.scene import cut_off, furnish, wait_all_serve

SECONDS = 120.0
AROUND_SECONDS = 2.0  # of requests before something happens, and after all is well again
API_AWAY_SECONDS = 10.0
LOST_SECONDS = 15.0  # the hold time is nine
BFD_INTERVAL_MS = 300  # three of them: the default of a BFDProfile
BRIDGED = ("bridged", "bridged-local", "both")
EVERY = ("routed", "routed-local", *BRIDGED)
LOCAL = ("routed-local", "bridged-local", "both")
CLUSTER = ("routed", "bridged")


def agents(place: Cluster) -> None:
    """Replace each node's pod, one after the other; each drains before it ends."""
    for node in place.nodes:
        node.restart()
        wait_all_serve(place)


def upgrade(place: Cluster) -> None:
    """Restart each `run` without a drain: graceful restart has the routers wait."""
    for node in place.nodes:
        node.speaker.upgrade()
        wait_sessions(place)


def exabgp(place: Cluster) -> None:
    """Kill each ExaBGP; `run` starts it anew."""
    for node in place.nodes:
        before = establishments(place, node)
        os.kill(below(node), signal.SIGKILL)
        wait_for(partial(renewed, place, node, before), SECONDS, "new sessions")
        wait_sessions(place)


def responders(place: Cluster) -> None:
    """Restart each responder; others take its addresses over before it ends."""
    for node in place.nodes:
        node.responder.upgrade()


def controllers(place: Cluster) -> None:
    """Replace each controller."""
    for each in place.controllers:
        each.upgrade()


def api(place: Cluster) -> None:
    """Have the API server away for a while."""
    place.api.stop()
    time.sleep(API_AWAY_SECONDS)
    place.api.start()


def drain(place: Cluster) -> None:
    """Drain a node and undo that, by the command that people use."""
    node = place.nodes[0]
    words = ["--kubeconfig", str(place.api.admin_kubeconfig), "--namespace", NAMESPACE]
    command = [*PROGRAM, "drain", node.name, *words]
    control = place.lab.hosts["control"]
    control.run([*command, "--wait"], SECONDS)
    control.run([*command, "--undo"], SECONDS)
    wait_all_serve(place)


def lost(place: Cluster, number: int = 0) -> None:
    """Lose every frame of a node, as without power."""
    with cut_off(place.nodes[number]):
        time.sleep(LOST_SECONDS)
    wait_all_serve(place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What happens, and in which cluster.

    Attributes:
        do: it.
        names: of the Services that are asked for.
        drain_seconds: of `run`.
        bfd: the router and the nodes watch each other.
    """

    do: Callable[[Cluster], None]
    names: tuple[str, ...] = EVERY
    drain_seconds: float = 5.0
    bfd: bool = False


# Of a lost node's pods kube-proxy hears when the kubelet is missed, after 40 s: with Cluster they
# are Kubernetes' to lose. So it is a node without one that is lost then.
WAYS: Mapping[str, Way] = {
    "agents": Way(do=agents),
    "responders": Way(do=responders),
    "controllers": Way(do=controllers),
    "api": Way(do=api),
    "drain": Way(do=drain),
    "upgrade": Way(do=upgrade, drain_seconds=0.0),
    "exabgp": Way(do=exabgp, drain_seconds=0.0),
    "lost": Way(do=lost, names=LOCAL),
    "lost-cluster": Way(do=partial(lost, number=-1), names=CLUSTER),
    "lost-bfd": Way(do=lost, names=LOCAL, bfd=True),
    "lost-cluster-bfd": Way(do=partial(lost, number=-1), names=CLUSTER, bfd=True),
}


def below(node: Node) -> int:
    """Return the id of the ExaBGP of a node."""
    return wait_for(
        lambda: children(node.speaker.daemon.pid, "server"), SECONDS, "an ExaBGP of the node"
    )[0]


def establishments(place: Cluster, node: Node) -> list[int]:
    """Return how often each session of a node has come up."""
    return [place.router.establishments(each.ip) for each in node.host.addresses[:2]]


def renewed(place: Cluster, node: Node, before: list[int]) -> bool:
    """Tell whether every session of a node has come up again."""
    return all(n > old for n, old in zip(establishments(place, node), before, strict=True))


def wait_sessions(place: Cluster) -> None:
    """Wait until all sessions are up and all agents ready."""
    place.router.wait_established(timeout=SECONDS)
    for node in place.nodes:
        node.agents.wait_ready()


def wait_bfd(place: Cluster) -> None:
    """Wait until all BFD sessions are up."""
    for neighbor in place.router.config.neighbors:
        place.router.wait_bfd(neighbor.address)


def measure(place: Cluster, name: str) -> list[str]:
    """Let something happen, and return a row about the requests meanwhile."""
    way = WAYS[name]
    names = way.names
    beyond = [each for service in names for each in place.services[service]]
    beside = [each for service in names if service in BRIDGED for each in place.services[service]]
    wait_all_serve(place)
    wait_sessions(place)
    if way.bfd:
        wait_bfd(place)
    with ExitStack() as stack:
        client = stack.enter_context(Fetches(place.client, beyond, rate=RATE / 2))
        neighbor = stack.enter_context(Fetches(place.neighbor, beside, rate=RATE / 2))
        client.wait(int(AROUND_SECONDS * RATE / 2))
        began = time.monotonic()
        way.do(place)
        took = time.monotonic() - began
        client.wait(int(AROUND_SECONDS * RATE / 2))
    for each in (*client.lost, *neighbor.lost):
        print(f"  {each.began - began:+.2f} s: {each.address}: {each.error}", file=sys.stderr)
    told = "; ".join(each.told() for each in (client, neighbor) if each.lost)
    return [
        name,
        f"{took:.0f} s",
        str(len(client.all) + len(neighbor.all)),
        str(len(client.lost)),
        str(len(neighbor.lost)),
        str(len(client.delayed) + len(neighbor.delayed)),
        f"{max(client.span_seconds(), neighbor.span_seconds()):.1f} s",
        told or "-",
    ]


def cluster_of(name: str) -> tuple[float, bool]:
    """Return what a cluster is made with for this."""
    return WAYS[name].drain_seconds, WAYS[name].bfd


HEAD = ("what", "took", "requests", "lost beyond", "lost beside", "delayed", "span", "which")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--form", type=Form, default=Form.MANIFESTS, help="manifests or units")
    arguments = parser.parse_args()
    rows = []
    for (drain_seconds, bfd), names in groupby(
        sorted(arguments.ways, key=cluster_of), key=cluster_of
    ):
        with Lab() as lab, cluster(lab) as place:
            place.use(Form.UNITS if bfd else arguments.form, drain_seconds=drain_seconds)
            furnish(place)
            if bfd:
                place.watch(interval_ms=BFD_INTERVAL_MS)
            for name in names:
                for _ in range(arguments.runs):
                    rows.append(measure(place, name))
                    print(" | ".join(rows[-1]), flush=True)
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"\n{table(HEAD, rows)}\n\nload of the machine at the end: {load}")


if __name__ == "__main__":
    main()
