"""A host that knows nobody: it asks for an address each ten milliseconds, as if for the first time.

    python -m tests.bench.newcomer ADDRESS MAC TARGET

Run on its host, with the host's own address and MAC on eth0. An ARP request goes to all, a neighbor
solicitation to the solicited-node group, and nothing is remembered from one to the next. After the
second answer it says that it has begun; when its stdin closes it prints a JSON document: each
answer with its time and the MAC that it names.
"""

import argparse
import json
import math
import selectors
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise

from exabgp_metallb.adapters.layer2.frames import decode
from exabgp_metallb.adapters.layer2.socket import PacketSocket
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.l2 import Claim, mac_text
from tests.bench.asking import INTERFACE, question
from tests.bench.ticking import TICK_SECONDS
from tests.bench.witness import Witness
from tests.integration.lab.network import Host
from tests.integration.lab.responder import mac_of


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: when it came, in monotonic seconds, and whose MAC it names."""

    at: float
    mac: str


class Newcomer(Witness):
    """`tests.bench.newcomer` on a host."""

    def __init__(self, host: Host, target: Address) -> None:
        own = host.ipv4 if target.version == 4 else host.ipv6
        super().__init__(host, "tests.bench.newcomer", str(own), mac_of(host), str(target))

    def end(self) -> list[Told]:
        """Return every answer, in order."""
        return [Told(at, mac) for at, mac in self.told()]


def taken_over_seconds(told: list[Told], owner: str, since: float) -> float:
    """Return how long after a moment another than this owner answered for the first time."""
    return next(each.at for each in told if each.at >= since and each.mac != owner) - since


def silent_seconds(told: list[Told], *, since: float = -math.inf, until: float = math.inf) -> float:
    """Return the longest time between two answers, whoever gave them.

    Args:
        told: all answers.
        since: the second of the two came later than this.
        until: it came earlier than that.
    """
    return max(
        later.at - earlier.at for earlier, later in pairwise(told) if since < later.at < until
    )


def main() -> None:
    """Ask, and tell what was answered."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", type=ip_address)
    parser.add_argument("mac")
    parser.add_argument("target", type=ip_address)
    options = parser.parse_args()
    mac = bytes.fromhex(options.mac.replace(":", ""))
    index = socket.if_nametoindex(INTERFACE)
    wire = PacketSocket(index, family_of(options.target), Counter())
    frame = question(str(options.address), mac_text(mac), options.target)
    json.dump(list(_answers(wire, frame, mac)), sys.stdout)


def _answers(wire: PacketSocket, frame: bytes, mac: bytes) -> list[tuple[float, str]]:
    """Ask until stdin closes; return each answer's time and MAC."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    selector.register(wire, selectors.EVENT_READ)
    answers: list[tuple[float, str]] = []
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            due = max(due + TICK_SECONDS, now)
            wire.send(frame)
        for key, _ in selector.select(max(0.0, due - time.monotonic())):
            if key.fileobj is sys.stdin:
                return answers
            while (heard := wire.read()) is not None:
                claim = decode(heard)
                if isinstance(claim, Claim) and claim.answer and claim.destination == mac:
                    answers.append((time.monotonic(), mac_text(claim.mac)))
                    if len(answers) == 2:  # from here on there is a time between two
                        sys.stdout.write("begun\n")
                        sys.stdout.flush()


if __name__ == "__main__":
    main()
