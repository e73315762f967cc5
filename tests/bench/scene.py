"""Where the benchmarks with a router take place: BIRD on one host of a lab, a node on another.

BIRD notes when each route came, to the microsecond, so nothing here depends on how often anybody
looks.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

from tests.integration.lab.bird import BirdRouter
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, Node, clean_environment

ROUTER, NODE = IPv4Address("10.0.0.254"), IPv4Address("10.0.0.2")  # the latter as in `cluster`
ASN = 64512  # of both: iBGP
HOLD_SECONDS = 90
ROUTES_SECONDS = 120.0
CALM_SECONDS = 8.0  # after a start; the last good objects are written within five

_NOTE = re.compile(
    r"(\S+ \S+) <TRACE> n0(?:\.ipv4 > (added|updated|removed)|: BGP session (established))"
)


@dataclass(slots=True)
class Arrivals:
    """What BIRD noted since this was made; times are since the epoch, None for what was not."""

    trace: Path
    offset: int
    established: float | None = None
    first: float | None = None
    last: float | None = None
    count: int = 0  # routes that came less those that went

    def look(self) -> int:
        """Read what is new and return how many routes there are."""
        with self.trace.open("rb") as file:
            file.seek(self.offset)
            whole = file.read().rpartition(b"\n")[0]
        self.offset += len(whole)
        for found in map(_NOTE.match, whole.decode().splitlines()):
            if found:
                self._note(datetime.fromisoformat(found[1]).timestamp(), found[2] or found[3])
        return self.count

    def wait(self, count: int) -> None:
        """Wait until there are so many routes."""
        wait_for(
            lambda: self.look() == count, ROUTES_SECONDS, lambda: f"{count} routes: {self.count}"
        )

    def _note(self, at: float, what: str) -> None:
        if what == "established":
            self.established = at
            return
        self.first = self.first or at
        self.last = at
        self.count += {"added": 1, "updated": 0, "removed": -1}[what]


@dataclass(frozen=True, slots=True)
class Scene:
    """Two hosts and the router."""

    lab: Lab
    node: Host
    router: Host
    bird: BirdRouter

    def arrivals(self) -> Arrivals:
        """Note what comes from now on."""
        trace = self.bird.folder / "trace.log"
        return Arrivals(trace, trace.stat().st_size)

    def wait_empty(self) -> None:
        """Wait until BIRD holds nothing of the node."""
        wait_for(lambda: self.bird.received(NODE) == 0, ROUTES_SECONDS, "no routes")


@contextmanager
def scene() -> Iterator[Scene]:
    """Make the lab and start BIRD; all of it ends with the context. Needs root."""
    with Lab() as lab:
        router = lab.host("router", f"{ROUTER}/24")
        node = lab.host("node-1", f"{NODE}/24")
        neighbor = NeighborConfig(address=NODE, asn=ASN, hold_seconds=HOLD_SECONDS)
        bird = BirdRouter(router, RouterConfig(asn=ASN, router_id=ROUTER, neighbors=(neighbor,)))
        bird.start()
        yield Scene(lab, node, router, bird)


class ApiNode(Node):
    """A node that watches the Kubernetes API."""

    def __init__(self, host: Host, kubeconfig: Path, *, options: str = "") -> None:
        self.host = host
        self.name = host.name
        self.state = host.lab.folder / f"state-{host.name}"
        words = ["--node", self.name, "--kubeconfig", str(kubeconfig)]
        self._run = Daemon(
            host,
            [*PROGRAM, "run", *words, "--state-dir", str(self.state), *options.split()],
            output=host.lab.folder / f"node-{host.name}.log",
            env=clean_environment({}),
        )


def started(pid: int) -> float:
    """Return when a process began, in seconds since the epoch, to a hundredth."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    ticks = int(stat.rpartition(")")[2].split()[19])  # field 22 of proc(5)
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / 100)
