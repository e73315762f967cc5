"""How long a start takes: from nothing to the last of 10,000 routes in BIRD.

    python -m tests.bench.start [--services 10000] [--pairs 5]          needs root

`exabgp-metallb run` on a folder of manifests, against ExaBGP with the same neighbor whose process
is `bare_loop`, in turns. Both find their exabgp.conf in place, and both are measured from the start
of ExaBGP; ours also on its very first start, where there is neither exabgp.conf nor leases. Then
the speaker is killed while ExaBGP holds the table.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exabgp_metallb.programs.run import EXABGP_ENVIRONMENT
from tests.bench import bare_loop
from tests.bench.cluster import cluster, endpoint_slice, prefix_of
from tests.bench.figures import spread, table
from tests.bench.scene import ASN, HOLD_SECONDS, NODE, ROUTER, ROUTES_SECONDS, Scene, scene, started
from tests.integration.lab.capture import Capture
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.manifests import Manifests
from tests.integration.nodes import Node

NODES = 3

BARE = """\
process bare {{
    run {python} {program} {routes};
    encoder json;
}}
neighbor {router} {{
    router-id {node};
    local-address {node};
    local-as {asn};
    peer-as {asn};
    hold-time {hold};
    adj-rib-in false;
    family {{ ipv4 unicast; }}
    capability {{ route-refresh enable; extended-message enable; }}
    api {{ processes [ bare ]; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Program:
    """Something that starts an ExaBGP."""

    name: str
    start: Callable[[], object]
    stop: Callable[[], object]
    exabgp_pid: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds since that of ExaBGP."""

    established: float
    first: float  # route in BIRD
    last: float
    since_run: float  # from the start of all to the last route


ROWS: Mapping[str, Callable[[Start], float]] = {
    "session established": lambda start: start.established,
    "first route in BIRD": lambda start: start.first,
    "last route in BIRD": lambda start: start.last,
    "from the first route to the last": lambda start: start.last - start.first,
    "last route, since `run` was called": lambda start: start.since_run,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    with scene() as place:
        manifests = folder(place, arguments.services)
        node = Node(place.node, manifests.path)
        compare(place, node, arguments.services, arguments.pairs)
        restart(place, node, manifests, arguments.services, arguments.pairs)


def folder(place: Scene, services: int) -> Manifests:
    """Write the manifests: all in one file of JSON, but for the slice that `restart` changes."""
    manifests = Manifests(place.lab.folder / "manifests")
    items = list(cluster(services=services, nodes=NODES, peer=str(ROUTER), asn=ASN))
    own = endpoint_slice(services // 2, NODES)
    items.remove(own)
    manifests.write("all.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    manifests.put(own)
    return manifests


def compare(place: Scene, node: Node, services: int, pairs: int) -> None:
    """Start both in turns and print what each took."""
    bare, ours = bare_program(place, services), program("run", node)
    first = program("run, very first", node)
    starts: dict[str, list[Start]] = {each.name: [] for each in (bare, ours, first)}
    for _ in range(pairs):
        shutil.rmtree(node.state, ignore_errors=True)
        for each in (first, bare, ours):
            starts[each.name].append(one_start(place, each, services))
    rows = [
        [name, *(spread(list(map(of, s))) for s in starts.values())] for name, of in ROWS.items()
    ]
    print(table([f"{services} Services, since the start of ExaBGP", *starts], rows))
    medians = [statistics.median(s.last for s in starts[each.name]) for each in (ours, bare)]
    print(f"ratio of the medians, run to bare loop: {medians[0] / medians[1]:.2f}\n")


def program(name: str, node: Node) -> Program:
    """Return our own program."""
    return Program(name, node.start, node.stop, node.exabgp_pid)


def bare_program(place: Scene, routes: int) -> Program:
    """Return ExaBGP with the bare loop."""
    configuration = BARE.format(
        python=sys.executable,
        program=bare_loop.__file__,
        routes=routes,
        router=ROUTER,
        node=NODE,
        asn=ASN,
        hold=HOLD_SECONDS,
    )
    exabgp = ExaBgp(place.node, configuration, env=EXABGP_ENVIRONMENT)
    return Program("bare loop", exabgp.start, exabgp.stop, lambda: exabgp.pid)


def one_start(place: Scene, program: Program, routes: int) -> Start:
    """Start a program, wait for its routes and end it."""
    arrivals = place.arrivals()
    called = time.time()
    program.start()
    begun = started(program.exabgp_pid())
    arrivals.wait(routes)
    program.stop()
    place.wait_empty()
    assert arrivals.established is not None
    assert arrivals.first is not None
    assert arrivals.last is not None
    return Start(
        arrivals.established - begun,
        arrivals.first - begun,
        arrivals.last - begun,
        arrivals.last - called,
    )


def restart(place: Scene, node: Node, manifests: Manifests, services: int, times: int) -> None:
    """Kill the speaker while ExaBGP holds the table, and print how long it heard nothing.

    An endpoint changes in the same moment; its route, and no other, has to be on the wire.
    """
    arrivals = place.arrivals()
    node.start()
    arrivals.wait(services)
    number, ready = services // 2, True
    prefix = prefix_of(number)
    deaf, others = [], 0
    with Capture(place.router) as capture:
        for _ in range(times):
            killed, ready = time.time(), not ready
            os.kill(node.speaker_pid(), signal.SIGKILL)
            manifests.put(endpoint_slice(number, NODES, ready=ready))
            found = capture.wait_update(
                announced=prefix if ready else None,
                withdrawn=None if ready else prefix,
                after_seconds=killed,
                timeout=ROUTES_SECONDS,
            )
            deaf.append(found.at_seconds - killed)
        others = sum(1 for update in capture.updates())
    node.stop()
    place.wait_empty()
    print(f"speaker killed, until a change of that moment is on the wire: {spread(deaf)}")
    print(f"other UPDATEs: {others - times}")


if __name__ == "__main__":
    main()
