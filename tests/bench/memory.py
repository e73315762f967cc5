"""How much memory the programs of a node take, by the number of Services.

    python -m tests.bench.memory [--source manifests|api] [--services 0 1000 10000] [--calm 8]

Needs root.

RSS is what the kernel counts for a process; PSS counts what several share once, divided. "Peak" is
the most RSS that there ever was: at the start, while all objects are read. Metrics are served, as a
unit has them.
"""

import argparse
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.api import api_server, fill, inside
from tests.bench.cluster import RawObject, cluster
from tests.bench.figures import table
from tests.bench.scene import ASN, CALM_SECONDS, NODE, ROUTER, ApiNode, Scene, scene
from tests.integration.nodes import Node

NODES = 100
OPTIONS = "--metrics 127.0.0.1:7472"
KIB_PER_MIB = 1024


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", choices=("manifests", "api"), default="manifests")
    parser.add_argument("--services", type=int, nargs="+", default=[0, 1000, 10_000])
    parser.add_argument("--calm", type=float, default=CALM_SECONDS, help="seconds after the start")
    arguments = parser.parse_args()
    of = of_manifests if arguments.source == "manifests" else of_api
    rows = [row for services in arguments.services for row in of(services, arguments.calm)]
    print(table([arguments.source, "Services", "RSS", "PSS", "peak"], rows))


def of_manifests(services: int, calm: float) -> list[list[str]]:
    """Return the rows of a node that follows one file."""
    with scene() as place:
        folder = place.lab.folder / "manifests"
        folder.mkdir()
        tree = {"apiVersion": "v1", "kind": "List", "items": list(objects(services))}
        (folder / "all.json").write_text(json.dumps(tree))
        return measured(place, Node(place.node, folder, options=OPTIONS), services, calm)


def of_api(services: int, calm: float) -> list[list[str]]:
    """Return the rows of a node that watches a kube-apiserver."""
    with scene() as place, inside(place.node), api_server(place.lab.folder / "api") as server:
        fill(server, objects(services))
        node = ApiNode(place.node, server.admin_kubeconfig, options=OPTIONS)
        return measured(place, node, services, calm)


def objects(services: int) -> Iterator[RawObject]:
    """Yield the objects of the cluster."""
    return cluster(services=services, nodes=NODES, peer=str(ROUTER), asn=ASN)


def measured(place: Scene, node: Node, services: int, calm: float) -> list[list[str]]:
    """Start the node, wait until all is announced and calm, and return a row for each program."""
    arrivals = place.arrivals()
    node.start()
    place.bird.wait_established(NODE)
    arrivals.wait(services)
    time.sleep(calm)
    pids = {"speaker": node.speaker_pid(), "ExaBGP": node.exabgp_pid(), "run": node._run.pid}
    rows = [[name, str(services), *memory(pid)] for name, pid in pids.items()]
    node.stop()
    return rows


def memory(pid: int) -> list[str]:
    """Return RSS, PSS and the highest RSS of a process in MiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = Path(f"/proc/{pid}/status").read_text()
    found = [(rollup, "Rss"), (rollup, "Pss"), (status, "VmHWM")]
    return [f"{kib(text, word) / KIB_PER_MIB:.0f} MiB" for text, word in found]


def kib(text: str, word: str) -> int:
    """Return a figure of a file in proc."""
    found = re.search(rf"^{word}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
