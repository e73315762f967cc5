"""A plain ExaBGP on a host, as its users run it: a configuration, an environment, its process.

Everything it says, and what its process writes to stderr, is in one log file.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, tail
from tests.integration.lab.waiting import wait_for

LOG_SECONDS = 60.0
PROCESS_SECONDS = 60.0  # ExaBGP starts its process again within a second

SETTINGS = {
    # Started by root it would become nobody, which may read neither the lab's files nor our tree.
    "exabgp_daemon_drop": "false",
    "exabgp_daemon_user": "root",
    "exabgp_api_cli": "false",  # no named pipes in /run
    "exabgp_log_destination": "stdout",
    "exabgp_log_level": "INFO",
}


class ExaBgp:
    """ExaBGP on a host."""

    def __init__(
        self, host: Host, configuration: str, *, env: Mapping[str, str] | None = None
    ) -> None:
        """Write the configuration; nothing starts yet.

        Args:
            host: where it runs; one ExaBGP a host.
            configuration: the text of exabgp.conf.
            env: more of the environment, for ExaBGP and its process; it goes before our own.
        """
        self.host = host
        self.folder = host.lab.folder / f"exabgp-{host.name}"
        self.folder.mkdir()
        self.configuration = self.folder / "exabgp.conf"
        self.write(configuration)
        inherited = {k: v for k, v in os.environ.items() if not k.lower().startswith("exabgp")}
        self._daemon = Daemon(
            host,
            [sys.executable, "-m", "exabgp", "server", str(self.configuration)],
            output=self.folder / "exabgp.log",
            env=inherited | SETTINGS | dict(env or {}),
        )

    @property
    def alive(self) -> bool:
        """Whether ExaBGP runs."""
        return self._daemon.alive

    @property
    def pid(self) -> int:
        """ExaBGP's own process id."""
        return self._daemon.pid

    @property
    def log_path(self) -> Path:
        """The file with all that was said since the first start."""
        return self._daemon.output

    def start(self) -> None:
        """Start ExaBGP; its sessions come up by themselves."""
        self._daemon.start()

    def stop(self) -> None:
        """End it with SIGTERM: it closes its connections without a NOTIFICATION."""
        self._daemon.stop()

    def kill(self) -> None:
        """Kill ExaBGP; its process sees the end of its stdin."""
        self._daemon.kill()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def write(self, configuration: str) -> None:
        """Replace exabgp.conf in one step, as ExaBGP accepts half a file without a complaint."""
        aside = self.configuration.with_suffix(".new")
        aside.write_text(configuration)
        aside.rename(self.configuration)

    def reload(self) -> None:
        """Tell ExaBGP to read its file again; it forgets that while routes wait to be sent."""
        self._daemon.send(signal.SIGUSR1)

    def process_pid(self) -> int:
        """Return the id of the one process that ExaBGP runs, waiting for it to be there."""
        return self._wait_process(lambda _: True)

    def kill_process(self) -> int:
        """Kill ExaBGP's process, wait for the next one, and return that one's id."""
        old = self.process_pid()
        os.kill(old, signal.SIGKILL)
        return self._wait_process(lambda pid: pid != old)

    def log(self) -> str:
        """Return all that was said since the first start."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_log(self, text: str, timeout: float = LOG_SECONDS, count: int = 1) -> None:
        """Wait until the log holds a text, so many times at least."""
        wait_for(
            lambda: self.log().count(text) >= count,
            timeout,
            lambda: f"{count} times {text!r} in\n{tail(self.log_path)}",
        )

    def _wait_process(self, wanted: Callable[[int], bool]) -> int:
        found = wait_for(
            lambda: [pid for pid in self._children() if wanted(pid)],
            PROCESS_SECONDS,
            lambda: f"a process of ExaBGP\n{tail(self.log_path)}",
        )
        assert len(found) == 1, f"several processes: {found}"
        return found[0]

    def _children(self) -> list[int]:
        pid = self.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


ExaBgpFactory = Callable[[Host, str], ExaBgp]  # returns it started, with this configuration
