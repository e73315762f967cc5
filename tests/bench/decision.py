"""How long decisions take: everything at once, and one change, at 10,000 Services x 100 nodes.

    python -m tests.bench.decision [--services 10000] [--nodes 100] [--changes 1000]

Garbage is collected as the speaker has it collected. Nothing else of the machine is touched.
"""

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.programs.start import COLLECT_AFTER
from exabgp_metallb.values.specs import Parsed
from tests.bench.cluster import cluster, endpoint_slice
from tests.bench.figures import latencies, table

T = TypeVar("T")

STEP = 7  # from one changed Service to the next, so that they are all over the cluster


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--changes", type=int, default=1000)
    arguments = parser.parse_args()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    inventory, routes = whole(arguments.services, arguments.nodes)
    taken = one_change(routes, inventory, arguments.services, arguments.nodes, arguments.changes)
    print(table(["one endpoint's change", "changes", "median", "p99", "most"], taken))


def whole(services: int, nodes: int) -> tuple[Inventory, NodeRoutes]:
    """Print how long everything takes, from objects as JSON has them to the routes of all nodes."""
    raw = list(cluster(services=services, nodes=nodes, peer="10.0.0.254"))
    inventory = Inventory()
    parsed, parse_seconds = timed(lambda: [p for p in map(parse, raw) if p is not None])
    _, take_seconds = timed(lambda: take(inventory, parsed))
    routes = NodeRoutes(inventory, "node-1")
    _, one_seconds = timed(routes.refresh)
    names = [f"node-{number + 1}" for number in range(nodes)]
    _, all_seconds = timed(lambda: [NodeRoutes(inventory, name).refresh() for name in names])
    rows = [
        [f"parse {len(raw)} objects", f"{parse_seconds:.2f} s"],
        ["take them into the inventory", f"{take_seconds:.2f} s"],
        ["decide for one node", f"{one_seconds:.2f} s"],
        [f"decide for each of {nodes} nodes", f"{all_seconds:.2f} s"],
    ]
    print(table([f"{services} Services x {nodes} nodes", "once"], rows), end="\n\n")
    return inventory, routes


def take(inventory: Inventory, parsed: list[Parsed]) -> None:
    """Give all objects to the inventory, as a source lists them."""
    inventory.listed(frozenset(each.ref.kind for each in parsed), parsed)


def one_change(
    routes: NodeRoutes, inventory: Inventory, services: int, nodes: int, changes: int
) -> list[list[str]]:
    """Return how long it takes to parse one EndpointSlice, and from there to its routes."""
    parsing, deciding = [], []
    for change in range(changes):
        raw = endpoint_slice(change * STEP % services, nodes, ready=change % 2 == 1)
        parsed, seconds = timed(partial(parse, raw))
        parsing.append(seconds)
        assert parsed is not None
        _, seconds = timed(partial(decide, routes, inventory, parsed))
        deciding.append(seconds)
    return [["parse it", *latencies(parsing)], ["decide", *latencies(deciding)]]


def decide(routes: NodeRoutes, inventory: Inventory, parsed: Parsed) -> None:
    """Take an object and decide what follows from it."""
    inventory.put(parsed)
    routes.refresh()


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what the work returned and the seconds that it took."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


if __name__ == "__main__":
    main()
