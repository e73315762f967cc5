"""How long a start takes: from nothing to the last of 10,000 routes in BIRD.

    python -m tests.bench.start [--source manifests|api] [--services 10000] [--pairs 5]   needs root

`exabgp-metallb run`, on one file of manifests or on a kube-apiserver, against ExaBGP with the same
neighbor whose process is `bare_loop`, in turns. Both find their exabgp.conf in place, and both are
measured from the start of ExaBGP; ours also on its very first start, where there is neither
exabgp.conf nor anything else of before. Then the speaker is killed while ExaBGP holds the table.
"""

import argparse
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
from tests.bench.cluster import prefix_of
from tests.bench.figures import spread, table
from tests.bench.scene import ASN, HOLD_SECONDS, NODE, ROUTER, Scene, scene, started
from tests.bench.sources import SOURCES, Source
from tests.bench.wire import Change, Wire
from tests.integration.lab.capture import Capture
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.nodes import Node

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
    parser.add_argument("--source", choices=tuple(SOURCES), default="manifests")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    services, pairs = arguments.services, arguments.pairs
    probe = services // 2
    with scene() as place, SOURCES[arguments.source](place, services, [probe]) as source:
        compare(place, source.node, services, pairs)
        restart(place, source, services, probe, pairs)


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


def restart(place: Scene, source: Source, services: int, probe: int, times: int) -> None:
    """Kill the speaker while ExaBGP holds the table, and print how long it heard nothing.

    An endpoint changes in the same moment; its route, and no other, has to be on the wire.
    """
    arrivals = place.arrivals()
    source.node.start()
    arrivals.wait(services)
    deaf = []
    with Capture(place.router) as capture:
        wire = Wire(capture)
        for number in range(times):
            ready = number % 2 == 1
            os.kill(source.node.speaker_pid(), signal.SIGKILL)
            change = Change(prefix_of(probe), ready, source.flip(probe, ready=ready))
            deaf.append(wire.wait(change) - change.made.done)
        updates = len(capture.updates())
    source.node.stop()
    place.wait_empty()
    print(f"speaker killed, until a change of that moment is on the wire: {spread(deaf)}")
    print(f"UPDATEs of other routes meanwhile: {updates - times}")


if __name__ == "__main__":
    main()
