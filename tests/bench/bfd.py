"""How long a router goes on using a dead path: from a silent cut to the route gone from its kernel.

    python -m tests.bench.bfd [--runs 5] [--cases 300x3 50x3 without]            needs root

FRR with bgpd and bfdd on one side, a node on the other, a bridge between them. The cut takes the
node's port out of the bridge, so that every frame is lost and both ends keep their carrier; it
begins when `ip` is started for it, some milliseconds earlier than it is done. The end is the
kernel's own notice, by `ip -tshort monitor`. Each run begins at another instant of the timers.
A case is an interval in milliseconds and a detect multiplier; `without` has no BFD and a hold time
of 9 s.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Address, ip_network
from pathlib import Path

from tests.bench.figures import percentile, table
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    bfd_profile,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import Node

ROUTER_ASN, NODE_ASN = 64512, 64513
HOLD_SECONDS = 9
ADDRESS = "192.0.2.1"
PATIENCE_SECONDS = 60.0
WITHOUT = "without"


class Scene:
    """The router, the node, and the notices of the router's kernel.

    Args:
        lab: empty.
        case: see the module.
    """

    def __init__(self, lab: Lab, case: str) -> None:
        self.host = lab.host("node1", "10.0.0.11/24")
        tor = lab.host("tor", "10.0.0.1/24")
        neighbor = NeighborConfig(address=self.host.ipv4, asn=NODE_ASN, hold_seconds=HOLD_SECONDS)
        self.router = BfdRouter(
            tor, RouterConfig(asn=ROUTER_ASN, router_id=tor.ipv4, neighbors=(neighbor,))
        )
        self.router.start()
        self._notices = lab.folder / "notices.log"
        command = ["ip", "-tshort", "-oneline", "monitor", "route"]
        Daemon(tor, command, output=self._notices).start()
        self._watched = case != WITHOUT
        manifests = Manifests(lab.folder / "manifests")
        manifests.put(*self._objects(case, tor.ipv4))
        self._node = Node(self.host, manifests.path)
        self._node.start()

    def _objects(self, case: str, router: IPv4Address) -> Iterator[Object]:
        yield node("node1", self.host.ipv4)
        yield pool("public", "192.0.2.0/24")
        yield advertisement()
        yield service("web", ADDRESS)
        yield slice_of("web", "node1")
        spec: dict[str, object] = {"holdTime": f"{HOLD_SECONDS}s"}
        if self._watched:
            interval, multiplier = (int(word) for word in case.split("x"))
            self.router.bfd(
                "profile p",
                f"detect-multiplier {multiplier}",
                f"receive-interval {interval}",
                f"transmit-interval {interval}",
            )
            self.router.watch(self.host.ipv4, "p")
            spec["bfdProfile"] = "p"
            yield bfd_profile(
                "p",
                receiveInterval=interval,
                transmitInterval=interval,
                detectMultiplier=multiplier,
            )
        yield peer("tor", router, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec)

    def settle(self) -> None:
        """Wait until all is well."""
        wait_for(
            lambda: ip_network(ADDRESS) in self.router.fib(), PATIENCE_SECONDS, "the route is there"
        )
        if self._watched:
            self.router.wait_bfd(self.host.ipv4)

    def cut(self) -> float:
        """Cut the path, and return the seconds until the kernel has told of the route's end."""
        before = self._notices.stat().st_size
        begin = time.time()
        self.host.cut()
        gone = wait_for(lambda: _gone(self._notices, before), PATIENCE_SECONDS, "the route is gone")
        self.host.mend()
        assert gone is not None  # wait_for returns what is true
        return gone - begin

    def stop(self) -> None:
        """End the node."""
        self._node.stop()


def _gone(notices: Path, since: int) -> float | None:
    """Return when the route went, in seconds since the epoch."""
    with notices.open() as file:
        file.seek(since)
        for line in file:
            stamp, _, rest = line.partition("]")
            if rest.lstrip().startswith(f"Deleted {ADDRESS} ") and line.endswith("\n"):
                return datetime.fromisoformat(stamp.lstrip("[")).timestamp()
    return None


def measure(case: str, runs: int) -> list[float]:
    """Return the seconds of each run."""
    seconds = []
    with Lab() as lab:
        scene = Scene(lab, case)
        for _ in range(runs):
            scene.settle()
            time.sleep(random.uniform(1.0, 2.0))  # noqa: S311 -- to meet no rhythm
            seconds.append(scene.cut())
        scene.stop()
    return seconds


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=["300x3", "50x3", WITHOUT])
    arguments = parser.parse_args()
    rows = []
    for case in arguments.cases:
        seconds = measure(case, arguments.runs)
        figures = (statistics.median(seconds), percentile(seconds, 95), max(seconds))
        rows.append([case, str(len(seconds)), *(f"{figure:.3f} s" for figure in figures)])
    print(table(["BFD", "runs", "median", "p95", "worst"], rows))


if __name__ == "__main__":
    main()
