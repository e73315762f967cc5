"""Fixtures: one machine and its router for all tests of the units."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Lab, LabError
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    advertisement,
    l2_advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.requirements import missing
from tests.units.machine import PROGRAM, Machine
from tests.units.tree import UnavailableError, tree

NODE, ROUTER = "10.0.0.11", "10.0.0.1"
NODE_ASN, ROUTER_ASN = 64513, 64512
WEB, SPARE = "192.0.2.1/32", "192.0.2.2/32"
ON_LINK = "10.0.0.200"

FOLDER = "/etc/exabgp-metallb/manifests"
SETTINGS = "/etc/exabgp-metallb/exabgp-metallb.env"
SPEAKER, RESPONDER = "exabgp-metallb-speaker.service", "exabgp-metallb-responder.service"
TARGET = "exabgp-metallb.target"
SECONDS = 120.0

WATCHDOGS = {SPEAKER: 20, RESPONDER: 20}
"""Seconds, in place of the minute that a busy node may need; a speaker that ExaBGP starts again
beats not before it has been imported."""

OBJECTS = (
    node("node-1", NODE),
    peer("tor", ROUTER, asn=NODE_ASN, peer_asn=ROUTER_ASN, enableGracefulRestart=True),
    pool("routed", "192.0.2.0/24"),
    advertisement(ipAddressPools=["routed"]),
    pool("on-link", f"{ON_LINK}/32"),
    l2_advertisement(ipAddressPools=["on-link"]),
    *(
        each
        for name, address in {"web": "192.0.2.1", "lan": ON_LINK}.items()
        for each in (service(name, address), slice_of(name, "node-1"))
    ),
)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make the Debian before the first test: without a cache it takes minutes."""
    wanted = any("scene" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            tree()
        except UnavailableError:
            return  # the fixture finds the same and says so for each test


class Followed(Manifests):
    """The folder that systemd-tmpfiles has made on a machine; what is written can be read there."""

    def __init__(self, machine: Machine) -> None:
        self.path = machine.path(FOLDER)

    def write(self, name: str, text: str) -> None:
        """Write a file as docs/install-systemd.md says."""
        super().write(name, text)
        (self.path / name).chmod(0o644)


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine with the units, the folder that it follows, and its router.

    Attributes:
        machine: the machine.
        router: the router.
        manifests: the folder, as seen from here.
    """

    machine: Machine
    router: BfdRouter
    manifests: Manifests

    def start(self) -> None:
        """Start the units, and return when all are ready."""
        self.machine.run("systemctl", "enable", "--now", SPEAKER, RESPONDER, TARGET)

    def wait_routes(self, *prefixes: str) -> None:
        """Wait until the router has exactly these, and the session is up."""
        self.router.wait_next_hops({prefix: [NODE] for prefix in prefixes}, SECONDS)
        self.router.wait_established(timeout=SECONDS)

    def answers(self) -> bool:
        """Tell whether somebody answers ARP for the address on the segment."""
        try:
            self.router.host.run(["arping", "-c", "1", "-w", "2", "-I", "eth0", ON_LINK])
        except LabError:
            return False
        return True

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so, and show the machine's journal when it never is."""
        wait_for(condition, SECONDS, lambda: f"{what}\n{self.journal()}")

    def wait_said(self, unit: str, text: str) -> None:
        """Wait until the journal has a text of a unit."""
        words = ("journalctl", "--output=cat", f"--unit={unit}")
        self.wait(lambda: text in self.machine.run(*words), f"{unit} says {text!r}")

    def journal(self) -> str:
        """Return the end of the journal."""
        return self.machine.run("journalctl", "--no-pager", "--output=cat", "--lines=80")


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Return a machine on which the units are installed and started, as the guide says."""
    try:
        debian = tree()
    except UnavailableError as error:
        missing(str(error))
    with Lab() as lab:
        tor = lab.host("tor", f"{ROUTER}/24")
        neighbor = NeighborConfig(
            address=ip_address(NODE), asn=NODE_ASN, families=("ipv4",), graceful_restart=True
        )
        config = RouterConfig(asn=ROUTER_ASN, router_id=tor.ipv4, neighbors=(neighbor,))
        router = BfdRouter(tor, config)
        router.start()
        machine = Machine(lab.host("node-1", f"{NODE}/24"), debian)
        try:
            yield _installed(machine, router)
        finally:
            machine.off()


def _installed(machine: Machine, router: BfdRouter) -> Scene:
    machine.run(PROGRAM, "install-units")
    settings = machine.path(SETTINGS)
    line = f"EXABGP_METALLB_MANIFESTS={FOLDER}\n"
    text = settings.read_text()
    assert f"\n#{line}" in text
    settings.write_text(
        text.replace(f"\n#{line}", f"\n{line}").replace(
            "\n#EXABGP_METALLB_DRAIN_SECONDS=5\n", "\nEXABGP_METALLB_DRAIN_SECONDS=1\n"
        )
    )
    for unit, seconds in WATCHDOGS.items():
        override = f"[Service]\nWatchdogSec={seconds}\n"
        machine.write(f"/run/systemd/system/{unit}.d/shorter.conf", override)
    machine.run("systemctl", "daemon-reload")
    scene = Scene(machine, router, Followed(machine))
    scene.manifests.put(*OBJECTS)
    scene.start()
    return scene
