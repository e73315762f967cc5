"""A node's responder in the lab, with the speaker's end of its orders in the test; and judges."""

import contextlib
import re
import signal
from collections.abc import Callable, Sequence

from exabgp_metallb.adapters.layer2.orders import OrdersServer
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import AddressReport, ForeignClaim, Orders, Report, Role
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, LabError, tail
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, clean_environment

SEEN_SECONDS = 60.0 + Pace().damping  # an address that moved may stay there for so long
RESOLVED_SECONDS = 5.0  # the kernel asks three times, a second apart
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


class Responder:
    """`exabgp-metallb responder` on a host.

    Args:
        host: where it runs; its name is the node's.
        wrapper: what starts the program, such as setpriv.
    """

    def __init__(self, host: Host, *, wrapper: Sequence[str] = ()) -> None:
        self.host = host
        self.state = host.lab.folder / f"responder-{host.name}"
        self.state.mkdir(exist_ok=True)
        self.socket = host.lab.folder / f"orders-{host.name}.sock"
        self.report: Report | None = None
        self.deaths: list[BaseException] = []
        self._server: OrdersServer | None = None
        options = {"--node": host.name, "--orders": self.socket, "--state-dir": self.state}
        self.daemon = Daemon(
            host,
            [*wrapper, *PROGRAM, "responder", *(str(w) for pair in options.items() for w in pair)],
            output=host.lab.folder / f"responder-{host.name}.log",
            env=clean_environment({}),
        )

    @property
    def name(self) -> str:
        """The node's name."""
        return self.host.name

    def serve(self) -> None:
        """Be its speaker."""
        self._server = OrdersServer(self.socket, self._heard, on_death=self.deaths.append)
        self._server.start()

    def hang_up(self) -> None:
        """Be its speaker no more."""
        if self._server is not None:
            self._server.stop()
            self._server._thread.join()  # it may yet tell that the responder is gone
            self._server = None

    def order(self, orders: Orders) -> None:
        """Send orders."""
        assert self._server is not None
        self._server.send(orders)

    def start(self) -> None:
        """Start it, or let one that was stopped go on; wait until it is heard of."""
        if self.daemon.alive:
            self.daemon.send(signal.SIGCONT)
            return
        self.report = None
        self.daemon.start()

    def seen(self, address: Address) -> AddressReport | None:
        """Return what it reports of an address."""
        return None if self.report is None else self.report.addresses.get(address)

    def wait_report(self, wanted: Callable[[Report], object], what: str) -> Report:
        """Wait for a report."""
        wait_for(
            lambda: self.report is not None and wanted(self.report),
            SEEN_SECONDS,
            lambda: f"{self.name}: {what}; {self.report}\n{tail(self.daemon.output)}",
        )
        assert self.report is not None
        return self.report

    def wait_role(self, address: Address, role: Role) -> AddressReport:
        """Wait until it is this for an address."""

        def stands(_report: Report) -> bool:
            seen = self.seen(address)
            return seen is not None and seen.role is role

        self.wait_report(stands, f"{address}: {role}")
        seen = self.seen(address)
        assert seen is not None
        return seen

    def wait_interfaces(self, address: Address, *names: str) -> None:
        """Wait until it answers for an address on these interfaces."""

        def stands(_report: Report) -> bool:
            seen = self.seen(address)
            return seen is not None and seen.interfaces == names

        self.wait_report(stands, f"{address}: {names}")

    def wait_foreign(self, address: Address) -> ForeignClaim:
        """Wait until it tells of somebody else who answers for an address."""

        def claims() -> list[ForeignClaim]:
            found = () if self.report is None else self.report.foreign
            return [each for each in found if each.address == address]

        return wait_for(
            claims, SEEN_SECONDS, lambda: f"a foreign claim of {address}\n{self.log()}"
        )[0]

    def wait_saved(self, address: Address) -> None:
        """Wait until orders for an address are on disk."""
        path = self.state / "orders.json"
        wait_for(
            lambda: path.exists() and str(address) in path.read_text(), SEEN_SECONDS, str(path)
        )

    def wait_log(self, text: str, *, since: int = 0) -> None:
        """Wait until the log holds a text."""
        wait_for(
            lambda: text in self.log()[since:],
            SEEN_SECONDS,
            lambda: f"{text!r} in\n{tail(self.daemon.output)}",
        )

    def log(self) -> str:
        """Return all that it has said."""
        path = self.daemon.output
        return path.read_text(errors="replace") if path.exists() else ""

    def _heard(self, report: Report | None, _touched: object) -> None:
        self.report = report


def mac_of(host: Host, interface: str = "eth0") -> str:
    """Return the MAC of an interface."""
    found = _MAC.search(host.ip("-o", "link", "show", interface))
    assert found is not None
    return found[0]


def who_answers(client: Host, address: Address, interface: str = "eth0") -> set[str]:
    """Return the MACs that answer for an address, by arping or ndisc6."""
    if address.version == 4:
        program = ["arping", "-b", "-c", "2", "-i", "1", "-w", "1", "-I", interface, str(address)]
    else:
        program = ["ndisc6", "-m", "-r", "1", "-w", "400", str(address), interface]
    try:
        said = client.run(program)
    except LabError as error:  # nobody answers
        said = str(error).partition("status")[2]
    return set(_MAC.findall(said.lower()))


def answers_duplicate_detection(client: Host, address: Address, interface: str = "eth0") -> bool:
    """Tell whether a host that wanted the address for itself is told that it is taken."""
    assert address.version == 4
    try:
        client.run(["arping", "-D", "-c", "1", "-w", "2", "-I", interface, str(address)])
    except LabError:
        return True
    return False


def neighbor(client: Host, address: Address) -> str | None:
    """Return the MAC in a host's neighbor table, None when there is none."""
    found = _MAC.search(client.ip("neighbor", "show", "to", str(address)))
    return None if found is None else found[0]


def resolve(client: Host, address: Address) -> str | None:
    """Have a host's kernel find out where an address is, and return what it found."""
    with contextlib.suppress(LabError):  # a datagram to nobody; what counts is the neighbor
        client.run(["bash", "-c", f"echo > /dev/udp/{address}/9"])
    with contextlib.suppress(AssertionError):
        wait_for(lambda: neighbor(client, address), RESOLVED_SECONDS, "a neighbor")
    return neighbor(client, address)
