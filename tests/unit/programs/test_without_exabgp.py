"""A speaker with no ExaBGP, as a process: a folder of manifests in, orders for a responder out."""

import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from exabgp_metallb.adapters.control import ask
from exabgp_metallb.adapters.layer2.orders import OrdersClient
from exabgp_metallb.decisions.preconditions import EXCLUDE_LABEL
from exabgp_metallb.values.orders import (
    AddressOrder,
    AddressReport,
    Failback,
    Orders,
    Report,
    Role,
    Slate,
    SubnetRule,
    by_address,
)
from tests.integration.manifests import (
    Manifests,
    l2_advertisement,
    node,
    pool,
    service,
    slice_of,
)

WAIT_SECONDS = 60.0
IP = ip_address("192.0.2.1")


class Client:
    """The responder's end, served until something is true."""

    def __init__(self, path: Path) -> None:
        self._selector = selectors.DefaultSelector()
        self.orders: list[Orders] = []
        self._client = OrdersClient(path, self._selector, lambda new, _: self.orders.append(new))

    def wait(self, done: Callable[[], bool]) -> None:
        """Serve the socket until something is true."""
        end = time.monotonic() + WAIT_SECONDS
        while not done():
            assert time.monotonic() < end, self.orders
            self._client.act(time.monotonic())
            for key, _ in self._selector.select(0.05):
                key.data()

    def report(self, report: Report) -> None:
        """Let the speaker know."""
        self._client.report(report)

    def close(self) -> None:
        """Hang up."""
        self._client.close()
        self._selector.close()


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    """A folder with two nodes, one of them with a label to be ignored, and a Service on layer 2."""
    folder = Manifests(tmp_path / "manifests")
    folder.put(
        pool("p", "192.0.2.1/32"),
        l2_advertisement(),
        node("node1"),
        node("node2", **{EXCLUDE_LABEL: ""}),
        service("web"),
        slice_of("web", "node1"),
    )
    return folder


@pytest.fixture
def speaker(tmp_path: Path, manifests: Manifests) -> Iterator[subprocess.Popen[bytes]]:
    """A speaker of node1 without ExaBGP."""
    command = [
        *(sys.executable, "-m", "exabgp_metallb", "speaker", "--without-exabgp"),
        *("--node", "node1", "--manifests", str(manifests.path), "--state-dir", str(tmp_path)),
        *("--l2-subnet", "require", "--l2-failback", "sticky", "--l2-refresh", "30"),
        "--ignore-exclude-lb",
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """The responder's end at the socket where both look by default."""
    client = Client(tmp_path / "orders.sock")
    yield client
    client.close()


def test_the_way_of_an_order(
    speaker: subprocess.Popen[bytes], client: Client, manifests: Manifests, tmp_path: Path
) -> None:
    """From a manifest to the responder, its report to the status; it ends when told to."""
    client.wait(lambda: bool(client.orders))
    assert client.orders == [
        Orders(
            node="node1",
            addresses=by_address([AddressOrder(address=IP, slate=Slate((("node1", "node2"),)))]),
            subnet=SubnetRule.REQUIRE,
            failback=Failback.STICKY,
            refresh_seconds=30.0,
        )
    ]
    manifests.remove("Node", "node2")
    client.wait(lambda: client.orders[-1].addresses[IP].slate.tiers == (("node1",),))
    owner = AddressReport(address=IP, role=Role.OWNER, interfaces=("eth0",))
    client.report(Report(node="node1", addresses=by_address([owner])))
    status: dict[str, object] = {}

    def answered() -> bool:
        status.update(ask(tmp_path / "speaker.sock", {"do": "status"}, seconds=WAIT_SECONDS))
        return "eth0" in str(status["layer2"])

    client.wait(answered)
    assert (status["exabgp"], status["healthy"], status["problems"]) == (None, True, [])
    speaker.send_signal(signal.SIGTERM)
    assert speaker.wait(WAIT_SECONDS) == 0
    assert speaker.stdout is not None
    assert speaker.stdout.read() == b""
