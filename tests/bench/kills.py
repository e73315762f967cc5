"""What a router sees when a node's processes are killed while thousands of its routes change.

    python -m tests.bench.kills [--services 10000] [--rounds 50] [--seed N]             needs root
    python -m tests.bench.kills --kill ExaBGP --graceful yes --keep FOLDER

All routes of a node get another community, and a tenth of them come or go; at a moment drawn from
the time that this takes, the speaker, ExaBGP or both are killed. Then the table of the router, an
FRR, has to become right, and no route that stays may ever be withdrawn where it restarts
gracefully: by what tcpdump heard, by what FRR noted, by what its kernel lost.

Each round is told on stderr as it ends. Of those that took long, and of one that never ended well,
the logs of the node and the router are kept in a folder, to find out why.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tests.bench.cluster import advertisement, cluster, endpoint_slice, prefix_of
from tests.bench.figures import spread, table
from tests.integration.lab.capture import Capture
from tests.integration.lab.frr import FrrRouter
from tests.integration.lab.history import Kind, Prefix
from tests.integration.lab.network import Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import Node

ROUTER, NODE = IPv4Address("10.0.0.254"), IPv4Address("10.0.0.2")  # the latter as in `cluster`
ASN = 64512  # of both: iBGP
RIGHT_SECONDS = 120.0
BURST_SECONDS = 1.0  # to read and decide the change, beside what its routes take
ROUTES_A_SECOND = 5000
ROUNDS_A_RUN = 4  # `run` gives up at the sixth start of ExaBGP in 300 s, that of a speaker in 64 s
SLOW_SECONDS = 20.0  # of such a round the logs are kept

DISPLAYED = re.compile(r"Displayed\s+(\d+) routes")


@dataclass(frozen=True, slots=True)
class Round:
    """What one kill did.

    Attributes:
        seconds: from the kill to the right table.
        withdrawn: routes that stay, and of which an UPDATE told that they went.
        lost: of those, how many the router noted as lost, for whatever reason.
        unrouted: of those, how many the router's kernel had no route to for a moment.
    """

    seconds: float
    withdrawn: int
    lost: int
    unrouted: int


class Theatre:
    """A node and its router; a context.

    Args:
        lab: an empty one.
        services: how many.
        graceful: the router keeps the routes of a node that restarts (RFC 4724).
    """

    def __init__(self, lab: Lab, services: int, *, graceful: bool) -> None:
        self._lab = lab
        host = lab.host("node-1", f"{NODE}/24")
        self._router_host = lab.host("router", f"{ROUTER}/24")
        neighbor = NeighborConfig(
            address=NODE, asn=ASN, families=("ipv4",), graceful_restart=graceful
        )
        config = RouterConfig(asn=ASN, router_id=ROUTER, neighbors=(neighbor,))
        self.router = FrrRouter(self._router_host, config)
        self._folder = lab.folder / "manifests"
        self._folder.mkdir()
        self.node = Node(host, self._folder)
        self._services = services
        self._graceful = graceful
        self._movers = range(0, services, 10)
        self._number = 0
        self._write("all", list(_objects(services, set(self._movers), graceful=graceful)))
        self._write("movers", [endpoint_slice(n, 1) for n in self._movers])

    def start(self) -> None:
        """Start both, and wait for the whole table."""
        self.router.start()
        self.node.start()
        self._change()
        self._wait_right()

    def round(self, kill: Callable[[Node], None], choice: random.Random) -> Round:
        """Kill once in the middle of a change, and see what becomes of it."""
        mark = self.router.mark()
        with Capture(self._router_host) as capture:
            self._change()
            time.sleep(choice.uniform(0.0, BURST_SECONDS + self._services / ROUTES_A_SECOND))
            said, sessions = self.node.mark(), self.router.establishments(NODE)
            begun = time.monotonic()
            kill(self.node)
            self._wait_next(said, sessions, ended=kill is not _speaker)
            self._wait_right()
            seconds = time.monotonic() - begun
            told = {prefix for update in capture.updates() for prefix in update.withdrawn}
        lost = {e.prefix for e in self.router.withdrawals_seen(mark) if e.prefix is not None}
        unrouted = set(self.router.fib_deletions(mark))
        return Round(seconds, *(len(found - self._moving) for found in (told, lost, unrouted)))

    def keep(self, folder: Path) -> None:
        """Copy what the node, the router and its kernel have said."""
        folder.mkdir(parents=True)
        for path in (*self._lab.folder.glob("*.log"), *self.router.folder.glob("*.log")):
            shutil.copy(path, folder / path.name)

    @property
    def _moving(self) -> set[Prefix]:
        return {prefix_of(n) for n in self._movers}

    @property
    def _all_there(self) -> bool:
        """Whether the movers are announced in this round."""
        return self._number % 2 == 1

    def _change(self) -> None:
        self._number += 1
        ready = self._all_there
        self._write("movers", [endpoint_slice(n, 1, ready=ready) for n in self._movers])
        self._write("advertisement", [advertisement(f"64512:{self._number}")])

    def _wait_next(self, said: int, sessions: int, *, ended: bool) -> None:
        """Wait until the next speaker has decided, and for the next session if one ended."""
        wait_for(
            lambda: "decided for" in self.node.log(said).partition("speaker of node")[2],
            RIGHT_SECONDS,
            lambda: f"the next decision\n{self.node.log(said)}",
        )
        if ended:
            wait_for(lambda: self._is_back(sessions), RIGHT_SECONDS, "a session, and its table")

    def _is_back(self, sessions: int) -> bool:
        """Tell whether there is another session, and the end of a graceful restart in it."""
        if self.router.establishments(NODE) == sessions:
            return False
        kinds = [event.kind for event in self.router.events_since(0)]
        last = len(kinds) - kinds[::-1].index(Kind.SESSION_UP)
        return not self._graceful or Kind.END_OF_RIB in kinds[last:]

    def _wait_right(self) -> None:
        count = self._services - (0 if self._all_there else len(self._movers))
        wait_for(
            lambda: self._held() == (count, count),
            RIGHT_SECONDS,
            lambda: f"{count} routes with 64512:{self._number}: {self._held()}\n{self.node.log()}",
        )

    def _held(self) -> tuple[int, int]:
        """Return how many routes the router has, and how many with this round's community."""
        received = self.router.received(NODE)
        shown = self.router.vty(f"show bgp ipv4 unicast community 64512:{self._number}")
        found = DISPLAYED.search(shown)
        return received, 0 if found is None else int(found[1])

    def _write(self, name: str, items: list[dict[str, object]]) -> None:
        aside = self._folder / f".{name}.json"
        aside.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        aside.rename(self._folder / f"{name}.json")


def _objects(services: int, apart: set[int], *, graceful: bool) -> Iterator[dict[str, object]]:
    """Yield the cluster without what is written apart."""
    names = {endpoint_slice(n, 1)["metadata"]["name"] for n in apart}
    for each in cluster(services=services, nodes=1, peer=str(ROUTER)):
        if each["kind"] == "BGPPeer":
            spec = each["spec"] | {"enableGracefulRestart": graceful, "holdTime": "30s"}
            yield each | {"spec": spec}
        elif each["kind"] != "BGPAdvertisement" and each["metadata"]["name"] not in names:
            yield each


def _speaker(node: Node) -> None:
    os.kill(node.speaker_pid(), signal.SIGKILL)


def _exabgp(node: Node) -> None:
    os.kill(node.exabgp_pid(), signal.SIGKILL)


def _both(node: Node) -> None:
    both = node.exabgp_pid(), node.speaker_pid()
    for pid in both:
        with suppress(ProcessLookupError):  # the speaker ends with ExaBGP, if it is let to
            os.kill(pid, signal.SIGKILL)


KILLS: Mapping[str, Callable[[Node], None]] = {
    "speaker": _speaker,
    "ExaBGP": _exabgp,
    "both": _both,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311 -- no key
    parser.add_argument("--kill", choices=tuple(KILLS), action="append")
    parser.add_argument("--graceful", choices=("yes", "no"), action="append")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of slow rounds")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    choice = random.Random(arguments.seed)  # noqa: S311 -- nothing is kept secret by it
    rows = []
    for graceful in arguments.graceful or ("yes", "no"):
        for name in arguments.kill or KILLS:
            rounds = list(_rounds(arguments, name, choice, graceful=graceful == "yes"))
            rows.append([name, graceful, str(len(rounds)), *_sums(rounds)])
    head = ["killed", "graceful restart", "rounds", "table right after"]
    print(table([*head, "withdrawn", "lost", "without a route"], rows))


def _rounds(
    arguments: argparse.Namespace, name: str, choice: random.Random, *, graceful: bool
) -> Iterator[Round]:
    for first in range(0, arguments.rounds, ROUNDS_A_RUN):
        with Lab() as lab:
            theatre = Theatre(lab, arguments.services, graceful=graceful)
            theatre.start()
            for number in range(first, min(first + ROUNDS_A_RUN, arguments.rounds)):
                yield _told(
                    theatre,
                    f"{name}-{'yes' if graceful else 'no'}-{number}",
                    choice,
                    arguments.keep,
                )


def _told(theatre: Theatre, name: str, choice: random.Random, keep: Path | None) -> Round:
    """Have a round, and show it; keep the logs of one that was slow."""
    begun = time.strftime("%H:%M:%S")
    seconds = RIGHT_SECONDS
    try:
        found = theatre.round(KILLS[name.partition("-")[0]], choice)
        seconds = found.seconds
    finally:
        if keep is not None and seconds > SLOW_SECONDS:
            theatre.keep(keep / name)
    told = f"{begun} {name}: {seconds:.1f} s, load {os.getloadavg()[0]:.1f}"
    print(f"{told}, {found.withdrawn} withdrawn, {found.unrouted} without a route", file=sys.stderr)
    return found


def _sums(rounds: list[Round]) -> Iterator[str]:
    yield spread([each.seconds for each in rounds])
    yield str(sum(each.withdrawn for each in rounds))
    yield str(sum(each.lost for each in rounds))
    yield str(sum(each.unrouted for each in rounds))


if __name__ == "__main__":
    main()
