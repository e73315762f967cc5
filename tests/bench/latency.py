"""How long one change takes: from an endpoint that comes or goes to the UPDATE on the wire.

    python -m tests.bench.latency [--source manifests|api] [--services 10000] [--changes 300]
                                  [--burst 10000] [--calm 8]                        needs root

The end is the time of the packet at the router's side. The beginning, for manifests: the rename of
one small file. For the API: the answer to the PATCH of one EndpointSlice; and the delivery of its
event, which is when a second client, a process that does nothing but watch, has heard of it.

Measured three times, with all Services held: while nothing else happens; while all routes are
announced anew, since the communities of the BGPAdvertisement changed; and while the endpoints of so
many other Services go (a thousand files a second, or as fast as two writers can patch).
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle

from tests.bench.cluster import prefix_of
from tests.bench.figures import latencies, table
from tests.bench.scene import CALM_SECONDS, scene
from tests.bench.sources import SOURCES, Source
from tests.bench.wire import Change, Wire
from tests.integration.lab.capture import Capture

PROBES = 25  # Services that are changed in turn
PAUSE_SECONDS = (0.02, 0.06)  # between two changes; by chance, to meet no rhythm of ExaBGP's
ROUND_SECONDS = 1.5  # what it takes to announce all routes anew


class Probes:
    """The Services that are changed in turn; none again before its last change is on the wire."""

    def __init__(self, source: Source, wire: Wire, numbers: list[int]) -> None:
        self._source = source
        self._wire = wire
        self._turn = cycle(numbers)
        self._last: dict[int, Change] = {}

    def change(self) -> Change:
        """Change the next one."""
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 -- nothing is kept secret by it
        number = next(self._turn)
        before = self._last.get(number)
        if before is not None:
            self._wire.wait(before)
        ready = before is not None and not before.announced
        change = Change(prefix_of(number), ready, self._source.flip(number, ready=ready))
        self._last[number] = change
        return change


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", choices=tuple(SOURCES), default="manifests")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--burst", type=int, default=10_000)
    parser.add_argument("--calm", type=float, default=CALM_SECONDS, help="seconds after the start")
    arguments = parser.parse_args()
    every = range(arguments.services)
    with scene() as place, SOURCES[arguments.source](place, arguments.services, every) as source:
        arrivals = place.arrivals()
        source.node.start()
        arrivals.wait(arguments.services)
        time.sleep(arguments.calm)
        with Capture(place.router) as capture:
            rows = measured(source, Wire(capture), arguments)
        source.node.stop()
    head = [f"{arguments.source}, {arguments.services} Services held", "since the"]
    print(table([*head, "changes", "median", "p99", "most"], rows))


def measured(source: Source, wire: Wire, arguments: argparse.Namespace) -> list[list[str]]:
    """Return the rows of the three phases."""
    step = max(1, arguments.services // PROBES)
    numbers = list(range(0, arguments.services, step))
    others = sorted(set(range(arguments.services)).difference(numbers))
    probes = Probes(source, wire, numbers)
    flips = [(others[n % len(others)], n // len(others) % 2 == 1) for n in range(arguments.burst)]
    phases: dict[str, Callable[[], Iterator[Change]]] = {
        "nothing else happens": lambda: idle(probes, arguments.changes),
        "all routes are announced anew": lambda: anew(source, probes, arguments.changes),
        f"{arguments.burst} other endpoints change": lambda: burst(source, probes, flips),
    }
    rows = []
    for name, phase in phases.items():
        changes = list(phase())
        rows += [[name, *row] for row in timed(source, wire, changes)]
    return rows


def idle(probes: Probes, changes: int) -> Iterator[Change]:
    """Change one after another."""
    for _ in range(changes):
        yield probes.change()


def anew(source: Source, probes: Probes, changes: int) -> Iterator[Change]:
    """Change one after another, and again and again the communities of all."""
    communities = (f"64512:{number}" for number in count(2))
    made = 0
    while made < changes:
        source.advertise(next(communities))
        over = time.monotonic() + ROUND_SECONDS
        while time.monotonic() < over:
            yield probes.change()
            made += 1


def burst(source: Source, probes: Probes, flips: list[tuple[int, bool]]) -> Iterator[Change]:
    """Change one after another while others do so too."""
    processes = source.burst(flips)
    yield probes.change()  # they may be through before we look
    while any(process.is_alive() for process in processes):
        yield probes.change()


def timed(source: Source, wire: Wire, changes: list[Change]) -> Iterator[list[str]]:
    """Yield a row for each instant that is known of the changes."""
    ends = [wire.wait(change) for change in changes]
    pairs = list(zip(changes, ends, strict=True))
    yield [source.done, *latencies([end - change.made.done for change, end in pairs])]
    heard = source.heard()
    known = [(heard[c.made.version], end) for c, end in pairs if c.made.version in heard]
    if known:
        yield ["event's delivery", *latencies([end - at for at, end in known])]


if __name__ == "__main__":
    main()
