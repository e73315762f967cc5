"""A node of a cluster in the lab: `exabgp-metallb run` on a host, ExaBGP and the speaker below it.

The three are parent, child and grandchild; each can be killed alone. All they say is in one log.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, tail
from tests.integration.lab.waiting import wait_for

LOG_SECONDS = 60.0
PROCESS_SECONDS = 60.0

PROGRAM = [sys.executable, "-m", "exabgp_metallb"]
NO_INTERPRETER_NOISE = {"PYTHONWARNINGS": "ignore"}  # pytest's own filters are not for children


def clean_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without settings of ExaBGP or of ourselves, and with some more."""
    inherited = {k: v for k, v in os.environ.items() if "exabgp" not in k.lower()}
    return inherited | NO_INTERPRETER_NOISE | dict(own)


def children(pid: int, word: str) -> list[int]:
    """Return the ids of a process' children whose command line has a word."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [each for each in found if word in _command_line(each)]


def has_ended(pid: int) -> bool:
    """Tell whether a process is over, though nobody may have asked for its status yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"  # field 3 of proc(5)


def _command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


class Node:
    """One node.

    Args:
        host: where it runs; one node a host.
        folder: of manifests, that it follows.
        name: of its Node; the host's by default.
        options: more words for the command line.
    """

    def __init__(
        self, host: Host, folder: Path, *, name: str | None = None, options: str = ""
    ) -> None:
        self.host = host
        self.name = name or host.name
        self.state = host.lab.folder / f"state-{host.name}"
        words = {"--node": self.name, "--manifests": folder, "--state-dir": self.state}
        self._run = Daemon(
            host,
            [*PROGRAM, "run", *(str(w) for pair in words.items() for w in pair), *options.split()],
            output=host.lab.folder / f"node-{host.name}.log",
            env=clean_environment({}),
        )

    @property
    def alive(self) -> bool:
        """Whether the parent runs."""
        return self._run.alive

    def start(self) -> None:
        """Start it."""
        self._run.start()

    def stop(self) -> int | None:
        """End it as a unit or a container is ended, and return its exit status."""
        self._run.stop()
        return self._run._child.returncode if self._run._child else None

    def kill(self) -> None:
        """Kill the parent alone."""
        self._run.kill()

    def exabgp_pid(self) -> int:
        """Return the id of ExaBGP, waiting for it to be there."""
        return self._child(lambda: self._run.pid, "server")

    def speaker_pid(self) -> int:
        """Return the id of the speaker, waiting for it to be there."""
        return self._child(self.exabgp_pid, "speaker")

    def kill_exabgp(self) -> None:
        """Kill ExaBGP, and wait for the next one."""
        self._replace(self.exabgp_pid)

    def kill_speaker(self) -> None:
        """Kill the speaker, and wait for the next one to have started."""
        self._replace(self.speaker_pid)

    @property
    def conf(self) -> str:
        """The rendered exabgp.conf."""
        return (self.state / "exabgp.conf").read_text()

    @property
    def leases(self) -> dict[str, list[str]]:
        """The addresses that the node gave to Services."""
        path = self.state / "leases.json"
        tree = json.loads(path.read_text()) if path.exists() else {}
        return {name: lease["addresses"] for name, lease in tree.items()}

    def wait_file(self, name: str, text: str) -> None:
        """Wait until a file of the node's state is there and holds a text."""
        path = self.state / name
        wait_for(
            lambda: path.exists() and text in path.read_text(), LOG_SECONDS, f"{text!r} in {name}"
        )

    def mark(self) -> int:
        """Return the place in the log that comes next."""
        return len(self.log())

    def log(self, since: int = 0) -> str:
        """Return what was said since a mark."""
        path = self._run.output
        return path.read_text(errors="replace")[since:] if path.exists() else ""

    def wait_log(self, text: str, *, since: int = 0) -> None:
        """Wait until the log holds a text."""
        wait_for(
            lambda: text in self.log(since),
            LOG_SECONDS,
            lambda: f"{text!r} in\n{tail(self._run.output)}",
        )

    def _child(self, parent: Callable[[], int], word: str) -> int:
        def look() -> list[int]:
            try:
                return children(parent(), word)
            except (FileNotFoundError, ProcessLookupError):
                return []

        found = wait_for(
            look, PROCESS_SECONDS, lambda: f"a child called {word}\n{tail(self._run.output)}"
        )
        return found[0]

    @staticmethod
    def _replace(pid: Callable[[], int]) -> None:
        old = pid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: pid() != old, PROCESS_SECONDS, f"another process than {old}")
