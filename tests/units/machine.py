"""A machine that systemd boots, on a host of the lab: its network, our package, no network manager.

Its files are a layer over the cached Debian, mounted where nobody else sees it, so all that it was
goes with its last process. Our package is installed from a wheel into /opt; what that depends on is
the test's own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.integration.lab.network import Host, command
from tests.integration.lab.waiting import wait_for
from tests.units.package import install

HOME = Path("opt/exabgp-metallb")
PROGRAM = f"/{HOME}/bin/exabgp-metallb"
SHARED = "/opt/shared"  # the test's own packages
SECONDS = 120.0

BOOT = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
shift 3
exec systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --console=pipe \
    --kill-signal=SIGKILL --boot --directory "$@"
"""

LAUNCHER = f"""#!/{HOME}/bin/python3
from exabgp_metallb.cli import main
main()
"""


class Machine:
    """A machine.

    Args:
        host: whose network it has, and whose name.
        tree: the Debian; it stays as it is.
    """

    def __init__(self, host: Host, tree: Path) -> None:
        self.host = host
        self._folder = host.lab.folder / f"machine-{host.name}"
        self._layer = self._folder / "layer"
        self.log = self._folder / "boot.log"
        for name in ("layer", "work", "root"):
            (self._folder / name).mkdir(parents=True)
        self._install()
        self._boot(tree)

    def _install(self) -> None:
        home = self._layer / HOME
        site = install(home)
        (site / "shared.pth").write_text(f"{SHARED}\n")
        (home / "pyvenv.cfg").write_text("home = /usr/bin\n")
        (home / "bin" / "python3").symlink_to("/usr/bin/python3")
        (home / "bin" / "exabgp-metallb").write_text(LAUNCHER)
        (self._layer / "etc").mkdir(mode=0o755)
        (self._layer / "etc" / "hostname").write_text(f"{self.host.name}\n")
        for folder in (home, *home.rglob("*")):
            if folder.is_dir():
                folder.chmod(0o755)

    def _boot(self, tree: Path) -> None:
        layers = [str(tree), *(str(self._folder / name) for name in ("layer", "work", "root"))]
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        options = [
            f"--machine={self.host.namespace}",  # others may boot one of this name
            f"--hostname={self.host.name}",
            f"--network-namespace-path=/run/netns/{self.host.namespace}",
            f"--bind-ro={packages}:{SHARED}",
            "systemd.unit=multi-user.target",
        ]
        shell = ["sh", "-euc", BOOT, "boot", *layers, *options]
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                ["unshare", "--mount", *shell], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.host.lab.adopt(self._child)
        wait_for(self._is_up, SECONDS, lambda: f"booted\n{self.log.read_text()}")

    @property
    def leader(self) -> int:
        """The id of its systemd, as seen from here."""
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children")
        return int(children.read_text().split()[0])

    def _is_up(self) -> bool:
        assert self._child.poll() is None, self.log.read_text()
        try:
            if Path(f"/proc/{self.leader}/ns/pid").samefile("/proc/self/ns/pid"):
                return False  # one of those that make it, and on our own systemd
            done = subprocess.run(
                self._inside(["systemctl", "is-active", "multi-user.target"]),
                capture_output=True,
                check=False,
            )
        except (IndexError, FileNotFoundError):
            return False
        return done.returncode == 0

    def run(self, *argv: str, seconds: float = SECONDS) -> str:
        """Run a program as its root and return its stdout; a status but 0 is a LabError."""
        return command(self._inside(argv), seconds)

    def path(self, name: str) -> Path:
        """Return a file of its own, as seen from here."""
        return Path(f"/proc/{self.leader}/root") / name.lstrip("/")

    def write(self, name: str, text: str) -> None:
        """Write a file, and make its folder."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def main_pid(self, unit: str) -> int:
        """Return the id of a unit's main process, as seen from here; 0 when it has none."""
        inner = int(self.show(unit, "MainPID"))
        return self._outer(unit).get(inner, 0) if inner else 0

    def pids(self, unit: str) -> set[int]:
        """Return the ids of all processes of a unit, as seen from here."""
        return set(self._outer(unit).values())

    def _outer(self, unit: str) -> dict[int, int]:
        """Return the ids of a unit's processes: as seen from within, and from here."""
        network = Path(f"/proc/{self.leader}/ns/net")
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                if unit not in (process / "cgroup").read_text().replace("\n", "/").split("/"):
                    continue
                if not network.samefile(process / "ns" / "net"):
                    continue
                lines = (process / "status").read_text().splitlines()
                ids = next(line for line in lines if line.startswith("NSpid:"))
                outer, *_, inner = map(int, ids.split()[1:])
                found[inner] = outer
        return found

    def _inside(self, argv: Sequence[str]) -> list[str]:
        enter = ["nsenter", "--target", str(self.leader), "--all", "--root", "--wd"]
        return [*enter, "--", *argv]

    def off(self) -> None:
        """Cut the power."""
        os.kill(self.leader, signal.SIGKILL)
        self._child.wait(SECONDS)
