"""A long-running program on a host: started, stopped, killed and asked whether it lives."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.integration.lab.network import Host, LabError, tail

STOP_SECONDS = 60.0  # a node drains for five; bird and FRR end at once


class Daemon:
    """One program, started any number of times, its stdout and stderr added to one file."""

    def __init__(
        self,
        host: Host,
        argv: Sequence[str],
        *,
        output: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.argv = list(argv)
        self.output = output
        self.env = env
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The program's own process id; a LabError when it does not run."""
        self.check()
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start it; a second one beside a living one is a LabError."""
        if self.alive:
            raise LabError(f"{self.argv[0]} runs already")
        with self.output.open("ab") as output:
            self._child = self.host.popen(
                self.argv, env=self.env, stdout=output, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        """Send SIGTERM and wait until it is gone; nothing when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as a crash would; nothing when it does not run."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the running program."""
        self.check()
        assert self._child is not None
        self._child.send_signal(number)

    def check(self) -> None:
        """Raise a LabError with the end of its output unless it runs."""
        if not self.alive:
            status = "was not started" if self._child is None else f"ended: {self._child.poll()}"
            raise LabError(f"{self.argv[0]} {status}\n{tail(self.output)}")

    def _end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        self._child.send_signal(number)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.argv[0]} did not end\n{tail(self.output)}") from None
