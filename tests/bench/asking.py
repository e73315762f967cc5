"""A client that asks for addresses by ARP or neighbor discovery as fast as answers come.

    python -m tests.bench.asking ADDRESS MAC --addresses 100 --window 32 --seconds 1

Run in the client's namespace; asks from ADDRESS on eth0 and prints a JSON document. With a window
of n it keeps n questions in flight, and asks the next when an answer comes. An answer is checked:
it must be for the address that was asked for first of those in flight. Where an answerer was asleep
that is not so: questions of its sleep are lost, or answered when nobody waits for it any more.
"""

import argparse
import itertools
import json
import random
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import itemgetter

from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from exabgp_metallb.adapters.layer2.socket import PacketSocket
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.l2 import Packed, group_mac, mac_text, solicited_node_group, unpacked
from tests.bench.figures import percentile

INTERFACE = "eth0"
PATIENCE_MILLISECONDS = 500  # then what is in flight counts as lost
SEED = 20  # every client asks in the same order
FIRST: dict[int, Address] = {4: IPv4Address("10.1.0.1"), 6: IPv6Address("fd00:1::1")}


def pool(version: int, count: int, first: Address | None = None) -> list[Address]:
    """Return the addresses that are asked for."""
    start = first or FIRST[version]
    return [start + number for number in range(count)]


def main() -> None:
    """Ask, and print how that went."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", type=ip_address)
    parser.add_argument("mac")
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--first", type=ip_address, help="of the addresses")
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--tries", type=int, default=1, help="of which the fastest counts")
    options = parser.parse_args()
    targets = pool(options.address.version, options.addresses, options.first)
    asker = _Asker(options.address, bytes.fromhex(options.mac.replace(":", "")), targets)
    tries = [asker.run(options.window, options.seconds) for _ in range(options.tries)]
    json.dump(max(tries, key=itemgetter("per_second")), sys.stdout)


class _Asker:
    """Questions, ready to be sent, and the socket."""

    def __init__(self, own: Address, mac: bytes, targets: list[Address]) -> None:
        family = family_of(own)
        self._mac = mac
        self._questions = _questions(own, mac, targets)
        index = socket.if_nametoindex(INTERFACE)
        self._socket = PacketSocket(index, family, Counter())
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._answer_at = 28 if family == 4 else 62
        self._length = family.bits // 8
        self._kind = (slice(20, 22), b"\0\2") if family == 4 else (slice(54, 55), b"\x88")
        self._in_flight: deque[tuple[Packed, float]] = deque()
        self._given_up: set[Packed] = set()
        self._lost = 0

    def run(self, window: int, seconds: float) -> dict[str, float]:
        """Return the figures of one try: replies a second, how long they took, how many lacked."""
        latencies: list[float] = []
        self._lost = 0
        begun = now = time.perf_counter()
        while now - begun < seconds or not latencies:
            while len(self._in_flight) < window:
                self._ask()
            if self._await_answer():
                now = time.perf_counter()
                latencies.append(now - self._in_flight.popleft()[1])
            else:
                now = time.perf_counter()
                self._give_up(len(self._in_flight))
        self._settle()
        return {
            "per_second": len(latencies) / (now - begun),
            "median": percentile(latencies, 50),
            "p99": percentile(latencies, 99),
            "lost": self._lost,
        }

    def _settle(self) -> None:
        """Take in what is still in flight, so that the next try begins with nothing."""
        while self._in_flight and self._await_answer():
            self._in_flight.popleft()
        self._give_up(len(self._in_flight))

    def _ask(self) -> None:
        target, frame = next(self._questions)
        self._in_flight.append((target, time.perf_counter()))
        if not self._socket.send(frame):
            raise SystemExit("a question could not be sent")

    def _await_answer(self) -> bool:
        where, kind = self._kind
        while True:
            frame = self._socket.read()
            if frame is None:
                if not self._poll.poll(PATIENCE_MILLISECONDS):
                    return False
            elif frame[where] == kind and frame[:6] == self._mac:  # and no announcement to all
                held = frame[self._answer_at : self._answer_at + self._length]
                if held == self._in_flight[0][0]:
                    return True
                waiting = [target for target, _ in self._in_flight]
                if held in waiting:
                    self._give_up(waiting.index(held))
                    return True
                if held not in self._given_up:
                    raise SystemExit(f"asked for {waiting[0]!r}, told {held!r}")

    def _give_up(self, count: int) -> None:
        """Count the oldest questions in flight as lost."""
        for _ in range(count):
            self._given_up.add(self._in_flight.popleft()[0])
        self._lost += count


def _questions(own: Address, mac: bytes, targets: list[Address]) -> Iterator[tuple[Packed, bytes]]:
    found = [(target.packed, question(str(own), mac_text(mac), target)) for target in targets]
    random.Random(SEED).shuffle(found)  # noqa: S311 -- no secret
    return itertools.cycle(found)


def question(own: str, mac: str, target: Address) -> bytes:
    """Return the frame by which a host that knows nobody asks for an address."""
    return bytes((_arp_request if target.version == 4 else _solicitation)(own, mac, target))


def _arp_request(own: str, mac: str, target: Address) -> Packet:
    arp = ARP(op=1, hwsrc=mac, psrc=own, hwdst="00:00:00:00:00:00", pdst=str(target))
    return Ether(dst="ff:ff:ff:ff:ff:ff", src=mac) / arp


def _solicitation(own: str, mac: str, target: Address) -> Packet:
    group = solicited_node_group(target.packed)
    return (
        Ether(dst=mac_text(group_mac(group)), src=mac)
        / IPv6(src=own, dst=str(unpacked(group)), hlim=255)
        / ICMPv6ND_NS(tgt=str(target))
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    )


if __name__ == "__main__":
    main()
