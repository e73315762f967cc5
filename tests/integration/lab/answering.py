"""A host that answers for addresses on layer 2 by `Segments`, with no election around it.

Run as a program it answers on every interface that may (`decisions.wires`), follows the interfaces
as they change, prints what it sees as one JSON document a line, and does what stdin says.
"""

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from exabgp_metallb.adapters.layer2.segments import Segments
from exabgp_metallb.decisions.wires import Standing, Verdict, report, verdicts
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import Claim, Heard, TagState, mac_text
from exabgp_metallb.values.orders import SubnetRule
from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for

START_SECONDS = 60.0
SEEN_SECONDS = 60.0
ROOT = Path(__file__).parents[3]

Event = Mapping[str, Any]


class Answering:
    """The program below on a host; the lab ends it.

    Args:
        host: where it runs.
        addresses: what it answers for.
        options: more of the program's options.
        wrapper: what starts the program, such as setpriv.
    """

    def __init__(
        self,
        host: Host,
        *addresses: str,
        options: Sequence[str] = (),
        wrapper: Sequence[str] = (),
    ) -> None:
        self._output = host.lab.folder / f"answering-{host.name}.log"
        self._orders = host.lab.folder / f"answering-{host.name}.orders"
        os.mkfifo(self._orders)
        program = [sys.executable, "-m", "tests.integration.lab.answering", "--node", host.name]
        # Open for both, so that it has no end when the last order has been written.
        with self._output.open("wb") as output, self._orders.open("r+b", buffering=0) as orders:
            self._child = host.popen(
                [*wrapper, *program, *options, *addresses],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=orders,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait(lambda event: "interfaces" in event, START_SECONDS)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.send_signal(number)

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._child.pid

    def events(self) -> list[Event]:
        """Return all that it has printed."""
        lines = self._output.read_text().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        return [json.loads(line) for line in whole if line.startswith("{")]

    def wait(self, wanted: Callable[[Event], Any], seconds: float = SEEN_SECONDS) -> Event:
        """Return the first event that is wanted, past ones among them."""
        found = wait_for(
            lambda: [event for event in self.events() if wanted(event)],
            seconds,
            lambda: f"an event\n{self._output.read_text()}",
        )
        return found[0]

    def wait_heard(self, number: int) -> Event:
        """Return the message that it heard as the first, second and so on."""

        def heard() -> list[Event]:
            return [event for event in self.events() if "heard" in event][number - 1 :]

        return wait_for(heard, SEEN_SECONDS, lambda: f"a message\n{self._output.read_text()}")[0]

    def wait_verdict(self, address: str, interface: str, words: str) -> None:
        """Wait until the newest verdict on an interface is this: "answers" or "not: why"."""

        def stands() -> bool:
            told = [event["verdicts"] for event in self.events() if "verdicts" in event]
            return bool(told) and told[-1][address].get(interface) == words

        wait_for(stands, SEEN_SECONDS, lambda: f"{words}\n{self._output.read_text()}")

    def counters(self) -> dict[tuple[str, str], int]:
        """Return what it has counted by now."""
        before = sum("counters" in event for event in self.events())
        self.say("counters")
        told = wait_for(
            lambda: [e["counters"] for e in self.events() if "counters" in e][before:],
            SEEN_SECONDS,
            "counters",
        )
        return {(name, label): count for name, label, count in told[0]}

    def say(self, order: str) -> None:
        """Give an order, such as "announce 10.0.0.9"."""
        with self._orders.open("wb", buffering=0) as orders:
            orders.write(f"{order}\n".encode())


class _Program:
    """Everything that runs on the host."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._addresses: list[Address] = [ip_address(each) for each in options.addresses]
        self._rule = SubnetRule(options.subnet)
        self._named = frozenset(options.interface) if options.interface else None
        self._state = TagState[options.state]
        self._silent = options.silent
        self._places: set[tuple[int, Address]] = set()
        self._selector = selectors.DefaultSelector()
        self._wire = Segments(self._selector, options.node, self)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._orders)
        self.changed()

    def run(self) -> None:
        """Serve the selector for ever: the loop of whoever uses `Segments`."""
        while True:
            for key, _ in self._selector.select():
                key.data()

    def heard(self, index: int, message: Heard) -> None:
        """Print a claim, or a request of another candidate."""
        _tell(
            heard=type(message).__name__,
            interface=self._wire.interfaces[index].name,
            address=str(message.address),
            mac=mac_text(message.mac) if isinstance(message, Claim) else "",
            tag=message.tag.state.name if message.tag else "",
        )

    def changed(self) -> None:
        """Answer where it is due now, and print where that is."""
        interfaces = self._wire.interfaces
        found = {address: self._verdicts(address) for address in self._addresses}
        places = {
            (index, address)
            for address, by_index in found.items()
            for index, verdict in by_index.items()
            if verdict.standing is not Standing.NOT
        }
        for index, address in self._places - places:
            self._wire.ignore(index, address)
        for index, address in places:
            self._wire.watch(index, address)
            if not self._silent:
                self._wire.answer(index, address, self._state)
        self._places = places
        _tell(
            interfaces={each.name: report(each).why for each in interfaces.values()},
            verdicts={
                str(address): {interfaces[i].name: _words(each) for i, each in by_index.items()}
                for address, by_index in found.items()
            },
        )

    def _verdicts(self, address: Address) -> Mapping[int, Verdict]:
        interfaces = self._wire.interfaces.values()
        return verdicts(interfaces, address, rule=self._rule, named=self._named)

    def _orders(self) -> None:
        data = os.read(sys.stdin.fileno(), 65536)  # whole lines, since they are short
        if not data:
            sys.exit()
        for line in data.decode().splitlines():
            self._order(*line.split())

    def _order(self, word: str, address: str = "", mac: str = "") -> None:
        if word == "counters":
            _tell(counters=self._wire.counters())
            return
        about = ip_address(address)
        for index in self._wire.interfaces:
            if word == "announce":
                self._wire.announce(index, about, self._state)
            elif word == "silence":
                self._wire.silence(index, about)
            else:
                at = bytes.fromhex(mac.replace(":", "")) or None
                self._wire.probe(index, about, state=TagState.STANDBY, mac=at)
        _tell(done=f"{word} {address}")


def _words(verdict: Verdict) -> str:
    return f"{verdict.standing.value}: {verdict.why}".removesuffix(": ")


def _tell(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", required=True)
    parser.add_argument("--subnet", default="prefer")
    parser.add_argument("--state", default="OWNER")
    parser.add_argument("--interface", action="append")
    parser.add_argument("--silent", action="store_true", help="listen only")
    parser.add_argument("addresses", nargs="*")
    _Program(parser.parse_args()).run()


if __name__ == "__main__":
    main()
