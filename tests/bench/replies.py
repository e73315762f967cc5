"""Replies a second, and how long one takes: the responder, the kernel, and scapy's loop.

    python -m tests.bench.replies [--seconds 0.2] [--tries 10] [--addresses 1 100 5000] [--busy]

A client and a node on a bridge, in namespaces; the client asks for addresses, one at a time and
with 32 questions in flight, and one of these answers: the responder as it ships, its `Segments`
alone ("wire"), the kernel, and scapy's AnsweringMachine. The fastest of some short
tries counts: other work on the machine only ever makes one slower.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from exabgp_metallb.values.orders import Orders, Report, Role, by_address
from tests.bench.asking import pool
from tests.bench.figures import table
from tests.integration.lab.answering import Answering
from tests.integration.lab.network import Host, Lab, command
from tests.integration.lab.responder import Responder
from tests.integration.lab.waiting import wait_for
from tests.orders import in_order

WINDOWS = (1, 32)
VERSIONS = (4, 6)
READY_SECONDS = 60.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the client saw in its fastest try."""

    per_second: float
    median: float
    p99: float
    lost: int


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--addresses", type=int, nargs="+", default=[1, 100, 5000])
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    options = parser.parse_args()
    rows = []
    print(f"load before: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    with busy_cores(wanted=options.busy):
        for version in VERSIONS:
            for count in options.addresses:
                rows += compare(version, count, options.seconds, options.tries)
    head = ["family", "addresses", "in flight", "who", "replies/s", "median", "p99", "lost", "rate"]
    print(table(head, rows))
    print(f"load after: {os.getloadavg()[0]:.1f}", file=sys.stderr)


def compare(version: int, count: int, seconds: float, tries: int) -> list[list[str]]:
    """Return a row for each who answers and each window."""
    found = {who: measure(who, version, count, seconds, tries) for who in ANSWERERS}
    rows = []
    for place, window in enumerate(WINDOWS):
        for who, by_window in found.items():
            figures = by_window[place]
            ratio = found["responder"][place].per_second / figures.per_second
            rows.append(
                [
                    *(f"IPv{version}", str(count), str(window), who),
                    f"{figures.per_second:,.0f}",
                    f"{figures.median * 1e6:,.0f} us",
                    f"{figures.p99 * 1e6:,.0f} us",
                    str(figures.lost),
                    "" if who == "responder" else f"responder is {ratio:.2f} times",
                ]
            )
    return rows


def measure(who: str, version: int, count: int, seconds: float, tries: int) -> list[Figures]:
    """Return what a client sees, by window, of one that answers in a new pair of hosts."""
    with Lab() as lab:
        node = lab.host("node", "10.0.0.1/8", "fd00::1/32")
        client = lab.host("client", "10.0.0.2/8", "fd00::2/32")
        ANSWERERS[who](node, version, count)
        own = client.ipv4 if version == 4 else client.ipv6
        options = f"--addresses {count} --seconds {seconds} --tries {tries} --window"
        program = [sys.executable, "-m", "tests.bench.asking", str(own), mac_of(client)]
        return [
            Figures(**json.loads(client.run([*program, *options.split(), str(window)])))
            for window in WINDOWS
        ]


def answer_by_wire(node: Host, version: int, count: int) -> None:
    """Have `Segments` answer."""
    Answering(node, *map(str, pool(version, count)))


def answer_by_responder(node: Host, version: int, count: int) -> None:
    """Have the program that ships answer, as the only candidate."""
    addresses = pool(version, count)
    responder = Responder(node)
    responder.serve()
    responder.start()
    responder.order(
        Orders(
            node=node.name,
            addresses=by_address(in_order(a, node.name) for a in addresses),
        )
    )

    def owns_all(report: Report) -> bool:
        return sum(each.role is Role.OWNER for each in report.addresses.values()) == count

    responder.wait_report(owns_all, "it owns all addresses")
    responder.hang_up()  # it goes on by its orders


def answer_by_kernel(node: Host, version: int, count: int) -> None:
    """Give the node the addresses."""
    words = "nodad" if version == 6 else ""
    bits = 128 if version == 6 else 32
    lines = [f"address add {each}/{bits} dev eth0 {words}" for each in pool(version, count)]
    batch = node.lab.folder / "addresses"
    batch.write_text("\n".join(lines) + "\n")
    command(["ip", "-n", node.namespace, "-batch", str(batch)])


def answer_by_scapy(node: Host, version: int, count: int) -> None:
    """Have scapy's AnsweringMachine answer."""
    said = node.lab.folder / "scapy.log"
    program = [sys.executable, "-m", "tests.bench.scapy_answers", mac_of(node)]
    with said.open("wb") as output:
        node.popen(
            [*program, "--version", str(version), "--addresses", str(count)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_for(lambda: "answers" in said.read_text(), READY_SECONDS, node.lab.report)


Start = Callable[[Host, int, int], None]
ANSWERERS: dict[str, Start] = {
    "responder": answer_by_responder,
    "wire": answer_by_wire,
    "kernel": answer_by_kernel,
    "scapy": answer_by_scapy,
}


def mac_of(host: Host) -> str:
    """Return the MAC of a host's eth0."""
    return host.run(["cat", "/sys/class/net/eth0/address"]).strip()


@contextlib.contextmanager
def busy_cores(*, wanted: bool) -> Iterator[None]:
    """Within it every core has a process that does nothing but compute."""
    count = len(os.sched_getaffinity(0)) if wanted else 0
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    main()
