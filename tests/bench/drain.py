"""What clients notice when one of three nodes goes: drained, stopped at once, killed, cut off.

    python -m tests.bench.drain --runs 3

FRR shares new connections among three nodes by ECMP, by address and port. A client beyond it begins
100 connections a second, each with one question and one answer. A few seconds in, one node ends,
and with it what serves there, as before a reboot. Counted are connections that came to nothing
within three seconds, and those that a lost packet delayed. Needs root.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import click

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.frr import FrrRouter
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import Node

NODES = ("node1", "node2", "node3")
ADDRESS, PORT = "192.0.2.1", "80"
ROUTER_ASN, NODE_ASN = 64512, 64513
WAIT_SECONDS = 60.0
BEFORE_SECONDS = 2.0  # of traffic, before anything happens
DELAYED_SECONDS = 0.5  # a lost packet costs a fifth of that at least, a lost SYN a whole second
TRAFFIC = [sys.executable, "-m", "tests.bench.traffic"]


@dataclass(slots=True)
class Server:
    """A node, and what serves on it."""

    node: Node
    serves: Daemon

    def start(self) -> None:
        """Start both."""
        self.serves.start()
        self.node.start()


@dataclass(frozen=True, slots=True)
class Scene:
    """Three nodes, the router before them, and a client beyond it."""

    router: FrrRouter
    servers: tuple[Server, ...]
    client: Host

    def wait_all_serve(self) -> None:
        """Wait until the kernel of the router shares traffic among all nodes."""
        hops = [str(server.node.host.ipv4) for server in self.servers]
        self.router.wait_fib({f"{ADDRESS}/32": hops}, WAIT_SECONDS)


@contextmanager
def scene(drain_seconds: float) -> Iterator[Scene]:
    """Make the lab; all of it ends with the context."""
    with Lab() as lab:
        tor = lab.host("tor", "10.0.0.1/24")
        tor.attach("10.1.0.1/24", segment="clients")
        hosts = [lab.host(name, f"10.0.0.{11 + n}/24") for n, name in enumerate(NODES)]
        client = lab.host("client", "10.1.0.2/24", segment="clients")
        client.ip("route", "add", "default", "via", "10.1.0.1")
        manifests = Manifests(lab.folder / "manifests")
        manifests.put(
            pool("public", "192.0.2.0/24"),
            advertisement(),
            service("web", ADDRESS),
            slice_of("web", *NODES),
            peer("tor", tor.ipv4, asn=NODE_ASN, peer_asn=ROUTER_ASN),
            *(node(host.name, host.ipv4) for host in hosts),
        )
        router = FrrRouter(tor, _router(hosts))
        router.start()
        servers = tuple(_server(host, manifests.path, drain_seconds) for host in hosts)
        for server in servers:
            server.start()
        yield Scene(router, servers, client)


def _router(hosts: list[Host]) -> RouterConfig:
    neighbors = tuple(
        NeighborConfig(address=host.ipv4, asn=NODE_ASN, families=("ipv4",)) for host in hosts
    )
    return RouterConfig(
        asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors, maximum_paths=8
    )


def _server(host: Host, manifests: Path, drain_seconds: float) -> Server:
    host.ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
    host.ip("route", "add", "default", "via", "10.0.0.1")
    serves = Daemon(
        host, [*TRAFFIC, "serve", ADDRESS, PORT], output=host.lab.folder / f"serve-{host.name}.log"
    )
    options = f"--drain-seconds {drain_seconds:g}"
    return Server(Node(host, manifests, options=options), serves)


def stop(server: Server) -> None:
    """End the node as a unit is ended, and then what serves there."""
    server.node.stop()
    server.serves.kill()


def kill(server: Server) -> None:
    """End everything at the same moment, as a crash of the machine's software would."""
    below = [server.node.speaker_pid(), server.node.exabgp_pid()]
    server.node.kill()
    for pid in below:
        with suppress(ProcessLookupError):  # they end with their parent, if they are let to
            os.kill(pid, signal.SIGKILL)
    server.serves.kill()


def cut(server: Server) -> None:
    """Lose every frame of the node, as a switch without power would."""
    server.node.host.cut()


@dataclass(frozen=True, slots=True)
class Way:
    """One way for a node to go."""

    go: Callable[[Server], None]
    drain_seconds: float
    seconds: float  # of traffic


WAYS = {
    "drain": Way(stop, 2.0, 10.0),
    "stop": Way(stop, 0.0, 6.0),
    "kill": Way(kill, 0.0, 6.0),
    "cut": Way(cut, 0.0, 16.0),  # the hold time is nine seconds
}


def measure(place: Scene, way: Way, open_ms: int) -> list[float | None]:
    """Let one node go while the client works; return how long each of its connections took."""
    place.wait_all_serve()
    words = ["--seconds", str(way.seconds), "--open-ms", str(open_ms)]
    client = place.client.popen(
        [*TRAFFIC, "connect", ADDRESS, PORT, *words], stdout=subprocess.PIPE
    )
    time.sleep(BEFORE_SECONDS)
    way.go(place.servers[0])
    told, _ = client.communicate()
    return list(json.loads(told))


def again(place: Scene, way: Way) -> None:
    """Let the node come back."""
    if way.go is cut:
        place.servers[0].node.host.mend()
        return
    wait_for(lambda: not place.servers[0].node.alive, WAIT_SECONDS, "the node to end")
    place.servers[0].start()


@click.command()
@click.option("--runs", type=int, default=3, show_default=True)
@click.option("--ways", multiple=True, type=click.Choice([*WAYS]), default=[*WAYS])
@click.option("--open-ms", type=int, default=0, help="How long a connection stays open.")
def main(runs: int, ways: tuple[str, ...], open_ms: int) -> None:
    """Print a row for each way."""
    for name in ways:
        way = WAYS[name]
        with scene(way.drain_seconds) as place:
            rows = []
            for number in range(runs):
                if number:
                    again(place, way)
                rows.append(measure(place, way, open_ms))
        every = [took for row in rows for took in row]
        lost = [sum(took is None for took in row) for row in rows]
        late = sum(took is not None and took >= DELAYED_SECONDS for took in every)
        print(
            f"{name:6} {runs} runs, {len(every)} connections: lost {sum(lost)} "
            f"({', '.join(map(str, lost))}), delayed {late}",
            flush=True,
        )


if __name__ == "__main__":
    main()
