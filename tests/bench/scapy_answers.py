"""scapy's AnsweringMachine as who answers: what the responder is compared with.

    python -m tests.bench.scapy_answers MAC --version 4 --addresses 100

As good as it gets with it: one socket, opened once, for reading and for replies.
"""

import argparse
from collections.abc import Callable
from typing import Any

from scapy.ansmachine import AnsweringMachine
from scapy.arch.linux import L2Socket
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from tests.bench.asking import INTERFACE, pool

FILTERS = {4: "arp", 6: "icmp6 and ip6[40] == 135"}


class _Answers(AnsweringMachine[Packet]):
    """What both families share; scapy keeps what is set here as options."""

    def parse_options(  # type: ignore[override]  # scapy takes each one's own
        self, mac: str, held: frozenset[str], sock: L2Socket
    ) -> None:
        self.mac, self.held, self.sock = mac, held, sock

    def send_reply(self, reply: Packet, _send_function: Callable[..., Any] | None = None) -> None:
        self.sock.send(reply)


class _Arp(_Answers):
    def is_request(self, req: Packet) -> int:
        return ARP in req and req[ARP].op == 1 and req[ARP].pdst in self.held

    def make_reply(self, req: Packet) -> Packet:
        asked = req[ARP]
        return Ether(dst=asked.hwsrc, src=self.mac) / ARP(
            op=2, hwsrc=self.mac, psrc=asked.pdst, hwdst=asked.hwsrc, pdst=asked.psrc
        )


class _NeighborDiscovery(_Answers):
    def is_request(self, req: Packet) -> int:
        return ICMPv6ND_NS in req and req[ICMPv6ND_NS].tgt in self.held

    def make_reply(self, req: Packet) -> Packet:
        held = req[ICMPv6ND_NS].tgt
        return (
            Ether(dst=req[Ether].src, src=self.mac)
            / IPv6(src=held, dst=req[IPv6].src, hlim=255)
            / ICMPv6ND_NA(tgt=held, R=0, S=1, O=1)
            / ICMPv6NDOptDstLLAddr(lladdr=self.mac)
        )


def main() -> None:
    """Answer until killed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mac")
    parser.add_argument("--version", type=int, choices=(4, 6), required=True)
    parser.add_argument("--addresses", type=int, default=1)
    options = parser.parse_args()
    sock = L2Socket(iface=INTERFACE, filter=FILTERS[options.version], promisc=False)
    held = frozenset(map(str, pool(options.version, options.addresses)))
    answers = {4: _Arp, 6: _NeighborDiscovery}[options.version]
    machine = answers(mac=options.mac, held=held, sock=sock, verbose=False)
    print("answers", flush=True)
    machine(opened_socket=sock)


if __name__ == "__main__":
    main()
