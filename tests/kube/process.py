"""A child process of the tests: started, asked whether it lives, stopped."""

import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 60.0  # a kube-apiserver ends about a second after SIGTERM, an etcd at once
LOG_TAIL_LINES = 15


class ProcessError(Exception):
    """A child process that ended by itself, or one that was never started."""


class Process:
    """One program, started and stopped any number of times with its output added to one file."""

    def __init__(self, program: Path, log: Path) -> None:
        """Name the program and the file its output goes to; nothing starts yet."""
        self.program = program
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return self._child.pid if self._child else None

    def start(self, arguments: Sequence[str]) -> None:
        """Start the program; it dies with this process, however that ends.

        Linux ties PR_SET_PDEATHSIG to the thread that forks: a child of a helper thread would die
        when that thread does, so only the main thread may call this.
        """
        assert self._child is None, f"{self.program.name} is running already"
        assert threading.current_thread() is threading.main_thread(), "start from the main thread"
        setpriv = shutil.which("setpriv")  # util-linux; without it a killed test run leaves orphans
        prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [*prefix, self.program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the program and wait until it is gone; does nothing when there is none.

        Args:
            how: SIGTERM lets it finish its requests, SIGKILL is a crash.
        """
        if self._child is None:
            return
        self._child.send_signal(how)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def check(self) -> None:
        """Raise ProcessError with the end of the log unless the program is running."""
        if self._child is None:
            message = f"{self.program.name} is not started"
            raise ProcessError(message)
        if (status := self._child.poll()) is not None:
            message = f"{self.program.name} ended with status {status}:\n{self.log_tail()}"
            raise ProcessError(message)

    def log_tail(self) -> str:
        """Return the last lines that the program wrote."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


def free_ports(count: int) -> list[int]:
    """Return TCP ports that nothing on loopback listens on at the moment."""
    with ExitStack() as stack:  # all open at once, so that they differ
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind((LOOPBACK, 0))
        return [opened.getsockname()[1] for opened in sockets]
