"""The pipe to ExaBGP: its process API on our standard input and output.

ExaBGP writes to us without ever giving up, and while it waits its BGP sessions starve (64 KiB that
nobody reads end them all by their hold timers). So a thread reads at all times and does nothing
else; what it read goes to the listener as raw lines, to be understood by the listener's owner.
"""

import fcntl
import os
from collections.abc import Callable, Iterable
from threading import Thread

from exabgp_metallb.errors import ExabgpError

READ_BYTES = 65536  # the size of a Linux pipe

Listener = Callable[[tuple[str, ...]], None]

LOWEST = 3  # the first file descriptor that is none of the standard ones


def set_aside() -> tuple[int, int]:
    """Keep ExaBGP's pipes to ourselves, and return what they are from now on: input, output.

    Programs that this process starts, such as the credential plugins of a kubeconfig, inherit the
    standard streams: they would read ExaBGP's answers, and what they print it would carry out. They
    find an empty input instead, and what they print goes where our log goes.
    """
    ours = tuple(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOWEST) for descriptor in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return ours[0], ours[1]


class Pipe:
    """Standard input and output, as ExaBGP's child sees them.

    Args:
        listener: is given the lines as they arrive, without their ends; an empty tuple means that
            ExaBGP has closed the pipe, and that no more will come.
        stdin: file descriptor to read from.
        stdout: file descriptor to write to.
    """

    def __init__(self, listener: Listener, stdin: int = 0, stdout: int = 1) -> None:
        self._listener = listener
        self._stdin = stdin
        self._stdout = stdout

    def start(self) -> None:
        """Begin to read."""
        Thread(target=self._read, name="exabgp-pipe", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        while True:
            data = self._read_some()
            if not data:
                self._listener(())
                return
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                self._listener(tuple(line.decode("ascii", "replace") for line in lines))

    def _read_some(self) -> bytes:
        try:
            return os.read(self._stdin, READ_BYTES)
        except OSError:
            return b""

    def write(self, lines: Iterable[str]) -> None:
        """Write commands, one a line.

        Raises:
            ExabgpError: ExaBGP has closed the pipe.
        """
        data = memoryview("".join(f"{line}\n" for line in lines).encode("ascii"))
        try:
            while data:
                data = data[os.write(self._stdout, data) :]
        except OSError as error:
            raise ExabgpError(f"ExaBGP does not read its API any more: {error}") from error
