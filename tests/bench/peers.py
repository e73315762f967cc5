"""What a node with several peers does under load.

    python -m tests.bench.peers bulk [--services 10000] [--peers 1 4 16] [--rounds 2]   needs root
    python -m tests.bench.peers sustained [--services 10000] [--rate 200] [--seconds 60]
    python -m tests.bench.peers returning [--services 10000]

`bulk`: all routes are announced to all peers, against ExaBGP with the same neighbors whose process
is `bare_loop`; from the first UPDATE to the last, in turns. `sustained`: endpoints come and go at a
steady rate while all routes are held; from the rename of a file to the UPDATE. `returning`: one of
two peers comes back and is sent the whole table; meanwhile changes are timed at the other one.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from exabgp_metallb.programs.run import EXABGP_ENVIRONMENT
from tests.bench import bare_loop
from tests.bench.cluster import RawObject, cluster, endpoint_slice, prefix_of
from tests.bench.figures import latencies, spread, table
from tests.integration.lab.bird import BirdRouter
from tests.integration.lab.capture import Capture, Update
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.lab.history import Prefix
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import Node

ASN = 64512  # of both: iBGP
HOLD_SECONDS = 90
TABLE_SECONDS = 180.0
CALM_SECONDS = 8.0  # after a start; the last good objects are written within five
MOVERS = 1000  # Services with a file of their own
PAUSE_SECONDS = 0.05  # between changes while a peer comes back

Change = tuple[float, Prefix, bool]
"""When a file was renamed, and what its Service's route becomes: announced or not."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and one BIRD with an address for each session at both ends."""

    lab: Lab
    host: Host
    router: Host
    bird: BirdRouter
    pairs: tuple[tuple[IPv4Address, IPv4Address], ...]  # the router's address, the node's

    def wait_table(self, services: int) -> None:
        """Wait until every session holds so many routes."""
        for _, ours in self.pairs:
            held = partial(self.bird.received, ours)
            waited = f"{services} routes of {ours}"
            wait_for(partial(_is, held, services), TABLE_SECONDS, waited)


def _is(look: Callable[[], int], wanted: int) -> bool:
    return look() == wanted


@contextmanager
def place(peers: int) -> Iterator[Place]:
    """Make the lab and start BIRD; all of it ends with the context."""
    pairs = tuple(
        (IPv4Address(f"10.0.1.{n}"), IPv4Address(f"10.0.2.{n}")) for n in range(1, 1 + peers)
    )
    with Lab() as lab:
        router = lab.host("router", *(f"{theirs}/16" for theirs, _ in pairs))
        host = lab.host("node-1", *(f"{ours}/16" for _, ours in pairs))
        neighbors = tuple(
            NeighborConfig(address=ours, asn=ASN, hold_seconds=HOLD_SECONDS, families=("ipv4",))
            for _, ours in pairs
        )
        config = RouterConfig(asn=ASN, router_id=pairs[0][0], neighbors=neighbors)
        bird = BirdRouter(router, config)
        bird.start()
        yield Place(lab, host, router, bird, pairs)


class Cluster:
    """A folder with all objects, of which some slices have files of their own."""

    def __init__(self, place: Place, services: int) -> None:
        self._folder = place.lab.folder / "manifests"
        self._folder.mkdir()
        self.node = Node(place.host, self._folder)
        self.services = services
        self.movers = range(0, services, max(1, services // MOVERS))
        self._ready = dict.fromkeys(self.movers, False)
        moving = {f"service-{n}-x" for n in self.movers}
        items = [o for o in _objects(place, services) if o["metadata"]["name"] not in moving]
        self._write("all", {"apiVersion": "v1", "kind": "List", "items": items})
        for number in self.movers:
            self.flip(number)

    def flip(self, number: int) -> Change:
        """Let the endpoint of a Service come, or go."""
        ready = self._ready[number] = not self._ready[number]
        begun = self._write(f"slice-{number}", endpoint_slice(number, 1, ready=ready))
        return begun, prefix_of(number), ready

    def _write(self, name: str, tree: RawObject) -> float:
        """Return when it was renamed."""
        aside = self._folder / f".{name}"
        aside.write_text(json.dumps(tree))
        begun = time.time()
        aside.rename(self._folder / f"{name}.json")
        return begun


def _objects(place: Place, services: int) -> Iterator[RawObject]:
    for each in cluster(services=services, nodes=1, peer="10.0.1.1", asn=ASN):
        if each["kind"] != "BGPPeer":
            yield each
            continue
        for number, (theirs, ours) in enumerate(place.pairs):
            spec = each["spec"] | {"peerAddress": str(theirs), "sourceAddress": str(ours)}
            yield each | {"metadata": each["metadata"] | {"name": f"tor{number}"}, "spec": spec}


# Bulk.


def bulk(arguments: argparse.Namespace) -> None:
    """Print how long all routes take to all peers."""
    rows = []
    for peers in arguments.peers:
        with place(peers) as where:
            node = Cluster(where, arguments.services).node
            bare = ExaBgp(where.host, _bare(where, arguments.services), env=EXABGP_ENVIRONMENT)
            seconds: dict[str, list[float]] = {"bare": [], "ours": []}
            for _ in range(arguments.rounds):
                for name, program in (("bare", bare), ("ours", node)):
                    with Capture(where.router) as capture:
                        program.start()
                        where.wait_table(arguments.services)
                        at = _announcements(capture, len(where.pairs) * arguments.services)
                        seconds[name].append(at[-1] - at[0])
                    program.kill()
                    where.wait_table(0)
        ratio = sum(seconds["ours"]) / sum(seconds["bare"])
        figures = (spread(seconds["bare"]), spread(seconds["ours"]), f"{ratio:.2f}")
        rows.append([str(peers), *figures])
    print(table([f"{arguments.services} routes, peers", "bare loop", "run", "ratio"], rows))


def _announcements(capture: Capture, routes: int) -> list[float]:
    """Return when each UPDATE with routes was heard, once tcpdump has noted so many routes."""

    def heard() -> list[Update]:
        return [update for update in capture.updates() if update.announced]

    wait_for(
        lambda: len({(u.destination, p) for u in heard() for p in u.announced}) == routes,
        TABLE_SECONDS,
        lambda: f"{routes} routes in {len(heard())} UPDATEs",
    )
    return [update.at_seconds for update in heard()]


def _bare(where: Place, routes: int) -> str:
    process = (
        f"process bare {{ run {sys.executable} {bare_loop.__file__} {routes}; encoder json; }}\n"
    )
    return process + "".join(
        f"neighbor {theirs} {{ router-id {ours}; local-address {ours}; local-as {ASN}; "
        f"peer-as {ASN}; hold-time {HOLD_SECONDS}; adj-rib-in false; family {{ ipv4 unicast; }} "
        "capability { route-refresh enable; extended-message enable; } "
        "api { processes [ bare ]; } }\n"
        for theirs, ours in where.pairs
    )


# Changes.


def sustained(arguments: argparse.Namespace) -> None:
    """Print latency and processor time at a steady rate of changes."""
    with place(1) as where:
        scene = _standing(where, arguments)
        pids = {"speaker": scene.node.speaker_pid(), "ExaBGP": scene.node.exabgp_pid()}
        with Capture(where.router) as capture:
            before = {name: _processor_seconds(pid) for name, pid in pids.items()}
            begun = time.monotonic()
            changes = []
            for count in range(arguments.rate * arguments.seconds):
                time.sleep(max(0.0, begun + count / arguments.rate - time.monotonic()))
                changes.append(scene.flip(scene.movers[count % len(scene.movers)]))
            took = time.monotonic() - begun
            used = {n: 100 * (_processor_seconds(p) - before[n]) / took for n, p in pids.items()}
            delays = _delays(capture, changes, where.pairs[0][0])
    print(f"{arguments.services} routes held, {len(changes) / took:.0f} changes a second")
    print(
        table(["", "changes", "median", "p99", "most"], [["rename to UPDATE", *latencies(delays)]])
    )
    print("processor: " + ", ".join(f"{name} {share:.0f} %" for name, share in used.items()))


def returning(arguments: argparse.Namespace) -> None:
    """Print how long changes take at one peer while another one is sent the whole table."""
    with place(2) as where:
        scene = _standing(where, arguments)
        away, stays = where.pairs
        rows: list[list[str]] = []
        with Capture(where.router) as capture:
            for name in ("nothing else happens", "the other peer comes back"):
                changes: list[Change] = []
                if name != "nothing else happens":
                    where.bird.birdc("disable n0")
                    where.bird.wait_down(away[1])
                    time.sleep(1.0)  # its neighbor is trying again
                    where.bird.birdc("enable n0")
                begun = time.monotonic()
                most = scene.services - len(scene.movers)
                while time.monotonic() < begun + 3.0 or where.bird.received(away[1]) < most:
                    changes.append(scene.flip(scene.movers[len(changes) % len(scene.movers)]))
                    time.sleep(PAUSE_SECONDS)
                    assert time.monotonic() < begun + TABLE_SECONDS
                rows.append([name, *latencies(_delays(capture, changes, stays[0]))])
    print(table([f"{arguments.services} routes held", "changes", "median", "p99", "most"], rows))


def _standing(where: Place, arguments: argparse.Namespace) -> Cluster:
    scene = Cluster(where, arguments.services)
    scene.node.start()
    where.wait_table(arguments.services)
    time.sleep(arguments.calm)
    return scene


def _delays(capture: Capture, changes: list[Change], router: IPv4Address) -> list[float]:
    """Return how long each change took to the UPDATE that went to an address of the router."""

    def when() -> dict[tuple[Prefix, bool], list[float]]:
        found: dict[tuple[Prefix, bool], list[float]] = {}
        for update in capture.updates():
            if update.destination == router:
                for prefixes, announced in ((update.announced, True), (update.withdrawn, False)):
                    for prefix in prefixes:
                        found.setdefault((prefix, announced), []).append(update.at_seconds)
        return found

    def delays() -> list[float | None]:
        times = when()
        return [
            next((seen - at for seen in times.get((prefix, announced), ()) if seen > at), None)
            for at, prefix, announced in changes
        ]

    wait_for(lambda: None not in delays(), TABLE_SECONDS, lambda: f"{delays().count(None)} UPDATEs")
    return [delay for delay in delays() if delay is not None]


def _processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("bulk", "sustained", "returning"))
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--calm", type=float, default=CALM_SECONDS, help="seconds after a start")
    arguments = parser.parse_args()
    {"bulk": bulk, "sustained": sustained, "returning": returning}[arguments.what](arguments)


if __name__ == "__main__":
    main()
