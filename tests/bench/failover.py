"""How long an address is not reached when its owner fails, and what the watching costs.

    python -m tests.bench.failover --runs 5            by kind of failure
    python -m tests.bench.failover --kinds sigkill cut
    python -m tests.bench.failover --rest              frames on the wire at rest, simulated

A client connects to the address each ten milliseconds; each node's nftables sends what comes for it
to a server on that node, as kube-proxy would to a pod. The gap is the longest time between two
connections that succeeded, so ten milliseconds where nothing is lost. Half of the runs are IPv4.
Lost connections were reset or went unanswered: a hand-over may reset one that is open in that very
moment, and leaves none unanswered.

The client knows the address, so a node serves it on even when nothing there answers for the address
any more. Another host asks anew each ten milliseconds: how long it takes from the failure until the
next owner answers it, and the longest time in which nobody does, after the failure and before it.
"""

import argparse
import hashlib
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from loguru import logger

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import Orders, Role, by_address
from tests.bench.figures import percentile, table
from tests.bench.newcomer import Newcomer, silent_seconds, taken_over_seconds
from tests.bench.ticks import Ticks, gap_seconds, lost
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.responder import Responder, mac_of, resolve
from tests.integration.lab.waiting import wait_for
from tests.orders import in_order
from tests.unit.decisions.segment import Segment

NAMES = ("a", "b", "c")
PORT, SERVER_PORT = 80, 8080
SECONDS = 60.0
BEFORE_SECONDS, AFTER_SECONDS = 0.7, 0.7  # the failure, and the takeover, lie between


@dataclass(frozen=True, slots=True)
class Measured:
    """What one failure did, in seconds.

    Attributes:
        gap: the longest time between two connections of a host that knows the address.
        lost: those that came to nothing, by what came in their way.
        taken: from the failure until the next owner answered a host that asks anew.
        silent: the longest time after the failure in which nobody answered that host.
        before: the same before it, which is what the machine's other work does.
    """

    gap: float
    lost: Counter[str]
    taken: float
    silent: float
    before: float


SERVER = """
import socket, sys
with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, backlog=4096,
                          dualstack_ipv6=True) as server:
    while True:
        server.accept()[0].close()
"""

RULES = """
table inet services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr 10.9.128.0/17 tcp dport {port} dnat ip to {ipv4}:{to}
    ip6 daddr 2001:db8:9:1::/64 tcp dport {port} dnat ip6 to [{ipv6}]:{to}
  }}
}}
"""


class Scene:
    """Three nodes, a client, and a host that knows nobody."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._random = random.Random(1)  # noqa: S311 -- no secret
        self._serial = 0
        for number, name in enumerate((*NAMES, "client", "newcomer"), start=1):
            lab.host(name, f"10.9.0.{number}/16", f"2001:db8:9::{number}/48")
        self.client = lab.hosts["client"]
        self.nodes = {name: Responder(lab.hosts[name]) for name in NAMES}
        for node in self.nodes.values():
            _serve(node.host)
            node.serve()
        self.put_right()

    @property
    def owner(self) -> Responder:
        """The node that everything happens to."""
        return self.nodes["a"]

    def put_right(self) -> None:
        """Undo what was done to a node."""
        self.owner.host.link_up()
        self.owner.host.mend()
        for node in self.nodes.values():
            node.start()
            node.wait_report(lambda _report: True, "it is there")

    def begin(self) -> Address:
        """Have node a own a new address, and the client know it."""
        self.put_right()
        self._serial += 1
        address = ip_address(
            f"2001:db8:9:1::{self._serial:x}"
            if self._serial % 2 == 0
            else f"10.9.{128 + self._serial // 250}.{1 + self._serial % 250}"
        )
        self.order(address)
        self.owner.wait_role(address, Role.OWNER)
        for name in NAMES[1:]:
            self.nodes[name].wait_role(address, Role.STANDBY)
        wait_for(lambda: resolve(self.client, address), SECONDS, "a neighbor")
        return address

    def order(self, address: Address, *, only: str | None = None, draining: bool = False) -> None:
        """Give all nodes, or one, orders for an address."""
        orders = by_address([in_order(address, *NAMES)])
        for name, node in self.nodes.items():
            if only in {None, name}:
                node.order(Orders(node=name, addresses=orders, draining=draining))

    def measure(self, fail: Callable[["Scene", Address], None]) -> Measured | None:
        """Return what a failure does; None if the address had moved before it.

        None as well if the host that asks anew was asleep while it moved.
        """
        address = self.begin()
        newcomer = Newcomer(self.lab.hosts["newcomer"], address)
        ticks = Ticks(self.client, address, PORT)
        # At any moment of the watchers' round.
        time.sleep(BEFORE_SECONDS + self._random.random() * 0.2)
        failed_at = time.monotonic()
        fail(self, address)
        self.nodes["b"].wait_role(address, Role.OWNER)
        time.sleep(AFTER_SECONDS)
        told, answers = ticks.end(), newcomer.end()
        owner = mac_of(self.owner.host)
        if any(each.mac != owner for each in answers if each.at < failed_at):
            return None
        if all(each.mac == owner for each in answers):
            return None
        return Measured(
            gap=gap_seconds(told),
            lost=lost(told),
            taken=taken_over_seconds(answers, owner, failed_at),
            silent=silent_seconds(answers, since=failed_at),
            before=silent_seconds(answers, until=failed_at),
        )


def _serve(host: Host) -> None:
    host.popen([sys.executable, "-c", SERVER, str(SERVER_PORT)])
    rules = host.lab.folder / f"nft-{host.name}"
    rules.write_text(RULES.format(port=PORT, to=SERVER_PORT, ipv4=host.ipv4, ipv6=host.ipv6))
    host.run(["nft", "-f", str(rules)])
    # DNAT to ourselves: the kernel forwards nothing, but must take what was not sent to it.
    wait_for(lambda: f":{SERVER_PORT}" in host.run(["ss", "-ltn"]), SECONDS, "a server")


def _kill(scene: Scene, _address: Address) -> None:
    scene.owner.daemon.kill()


def _stop(scene: Scene, _address: Address) -> None:
    scene.owner.daemon.send(signal.SIGSTOP)


def _cut(scene: Scene, _address: Address) -> None:
    scene.owner.host.cut()


def _carrier(scene: Scene, _address: Address) -> None:
    scene.owner.host.link_down()


def _term(scene: Scene, _address: Address) -> None:
    scene.owner.daemon.send(signal.SIGTERM)
    wait_for(lambda: not scene.owner.daemon.alive, SECONDS, "its end")


def _drain(scene: Scene, address: Address) -> None:
    scene.order(address, only="a", draining=True)


KINDS: Mapping[str, Callable[[Scene, Address], None]] = {
    "sigkill": _kill,
    "sigstop": _stop,
    "cut": _cut,
    "carrier": _carrier,
    "sigterm": _term,
    "drain": _drain,
}


def failures(kinds: list[str], runs: int) -> Iterator[list[str]]:
    """Yield a row for each kind of failure."""
    with Lab() as lab:
        scene = Scene(lab)
        for kind in kinds:
            measured = [_measured(scene, kind) for _ in range(runs)]
            figures = (
                [each.taken for each in measured],
                [each.silent for each in measured],
                [each.before for each in measured],
                [each.gap for each in measured],
            )
            yield [
                *(kind, str(runs), *map(_distribution, figures)),
                str(sum(each.lost.total() for each in measured)),
                str(sum(each.lost.total() - each.lost["ECONNRESET"] for each in measured)),
            ]
        for node in scene.nodes.values():
            node.hang_up()


def _distribution(seconds: list[float]) -> str:
    """Return median, p95 and worst."""
    figures = (statistics.median(seconds), percentile(seconds, 95), max(seconds))
    return " ".join(f"{figure * 1000:.0f}" for figure in figures) + " ms"


def _measured(scene: Scene, kind: str) -> Measured:
    """Show each run as it ends: fifty of them take minutes."""
    while (run := scene.measure(KINDS[kind])) is None:
        print(f"{kind}: the owner or the asker hung, so this run is none", file=sys.stderr)
    figures = {"taken over": run.taken, "silent": run.silent, "before": run.before, "gap": run.gap}
    words = [
        *(f"{name} {seconds * 1000:.0f} ms" for name, seconds in figures.items()),
        f"{run.lost.total()} lost",
        *(f"{count} {why}" for why, count in sorted(run.lost.items())),
        f"load {os.getloadavg()[0]:.1f}",
    ]
    print(f"{kind}: {', '.join(words)}", file=sys.stderr)
    return run


def at_rest(nodes: int, addresses: int, seconds: float) -> list[str]:
    """Return a row: the frames of a segment at rest, and how long a takeover takes then."""
    names = [f"node{number:03}" for number in range(nodes)]
    orders = {
        text: tuple(sorted(names, key=lambda name: _place(name, text)))
        for text in (f"10.{n // 250}.{n % 250}.1" for n in range(addresses))
    }
    segment = Segment(orders)
    segment.run(40.0)  # the slowest watcher has had its turn
    assert all(len(segment.owners(ip_address(text))) == 1 for text in orders)
    owned = Counter(segment.owners(ip_address(text))[0] for text in orders)
    before = segment.frames.copy()
    segment.run(seconds)
    frames = segment.frames - before
    rate, unasked = frames.total(), frames.total() - frames["probe"] - frames["reply"]
    busiest, most = owned.most_common(1)[0]
    segment.kill(busiest)
    every = [ip_address(text) for text in orders]
    took = segment.run_until(lambda: all(map(segment.owners, every)), SECONDS)
    return [
        *(str(nodes), str(addresses), str(len(owned))),
        *(
            f"{rate / seconds:.0f}",
            f"{unasked / seconds:.1f}",
            f"{rate / seconds / len(owned):.1f}",
        ),
        f"{took * 1000:.0f} ms ({most})",
    ]


def _place(name: str, text: str) -> bytes:
    return hashlib.sha256(f"{name}#{text}".encode()).digest()


def main() -> None:
    """Measure, and print the figures."""
    logger.remove()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rest", action="store_true", help="count frames at rest instead")
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--addresses", type=int, nargs="+", default=[50, 1000])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    if options.rest:
        head = (
            *("nodes", "addresses", "owners", "frames/s", "broadcast/s", "frames/s an owner"),
            "until all addresses of a dead owner are taken",
        )
        rows = [at_rest(options.nodes, each, options.seconds) for each in options.addresses]
        print(table(head, rows))
        return
    print("median, p95 and worst of each")
    columns = (
        *("failure", "runs", "taken over", "nobody answers", "nobody did before"),
        *("gap in traffic", "lost", "unanswered"),
    )
    print(table(columns, list(failures(options.kinds, options.runs))))


if __name__ == "__main__":
    main()
