"""FRR as a router that watches its neighbors with BFD: bfdd beside zebra and bgpd."""

import json
from collections.abc import Callable
from typing import Any, ClassVar

from exabgp_metallb.adapters.bfd.vty import Vty
from tests.integration.lab.frr import BGPD, ZEBRA, FrrRouter
from tests.integration.lab.history import Address
from tests.integration.lab.network import Host
from tests.integration.lab.router import RouterConfig
from tests.integration.lab.waiting import wait_for

BFDD = "/usr/lib/frr/bfdd"
PATIENT = "patient"  # the profile by which a machine that stood still is no failure of the path
PATIENCE = "detect-multiplier 20"  # six seconds, at 300 ms
BFD_SECONDS = 60.0  # a session comes up within a few


class BfdRouter(FrrRouter):
    """FRR with bfdd."""

    programs: ClassVar[tuple[str, ...]] = (ZEBRA, BGPD, BFDD)

    def __init__(self, host: Host, config: RouterConfig) -> None:
        super().__init__(host, config)
        (self.folder / "bfdd.conf").touch()
        self._bfdd = self._daemon(BFDD, "--bfdctl", str(self.folder / "bfdd.sock"))

    def start(self) -> None:
        """Start bfdd too."""
        super().start()
        self.start_bfdd()

    def stop(self) -> None:
        """End bfdd too."""
        self._bfdd.stop()
        super().stop()

    def start_bfdd(self) -> None:
        """Start bfdd; what it was told by hand is to be told again."""
        (self.folder / "bfdd.vty").unlink(missing_ok=True)
        self._bfdd.start()
        self._wait_socket(self._bfdd, "bfdd.vty")

    def kill_bfdd(self) -> None:
        """Kill bfdd: its neighbors hear no more of it."""
        self._bfdd.kill()

    def bfd(self, *commands: str) -> None:
        """Give commands to bfdd's configuration."""
        with Vty(self.folder / "bfdd.vty") as vty:
            for command in ("configure terminal", "bfd", *commands):
                vty.run(command)

    def watch(self, neighbor: Address, profile: str = PATIENT) -> None:
        """Have bgpd watch a neighbor with BFD, by a profile of bfdd."""
        if profile == PATIENT:
            self.bfd(f"profile {PATIENT}", PATIENCE)
        line = f"neighbor {neighbor} bfd profile {profile}"
        self.vty("configure terminal", f"router bgp {self.config.asn}", line)

    def watch_apart(self, neighbor: Address) -> None:
        """Have bfdd watch a neighbor of which bgpd is told nothing."""
        self.bfd(f"peer {neighbor}", PATIENCE)

    def bfd_peer(self, neighbor: Address) -> dict[str, Any]:
        """Return what bfdd shows of a neighbor; empty if it knows none."""
        return bfd_peer(self.folder / "bfdd.vty", neighbor)

    def wait_bfd(self, neighbor: Address, status: str = "up") -> None:
        """Wait until the BFD session is in a state."""
        wait_for(
            lambda: self.bfd_peer(neighbor).get("status") == status,
            BFD_SECONDS,
            lambda: f"BFD {status}: {self.bfd_peer(neighbor)}\n{self.host.lab.report()}",
        )


BfdRouterFactory = Callable[[Host, RouterConfig], BfdRouter]  # returns it started


def bfd_peer(socket: Any, neighbor: Address, what: str = "") -> dict[str, Any]:  # noqa: ANN401 -- a path
    """Return what the bfdd behind a vty socket shows of a neighbor."""
    with Vty(socket) as vty:
        rows = json.loads(vty.run(f"show bfd peers {what}json"))
    return next((row for row in rows if row["peer"] == str(neighbor)), {})
