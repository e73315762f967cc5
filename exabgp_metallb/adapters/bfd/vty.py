"""The vty socket of one of FRR's daemons, as vtysh uses it (FRR: lib/vty.c).

A command ends in NUL; its answer is text, three NULs and a status, 0 for success. A command costs a
millisecond, a vtysh process forty.
"""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from exabgp_metallb.errors import BfddError

SECONDS = 5.0  # for one answer
END = b"\0\0\0"


class Vty:
    """A conversation with a daemon; a context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        try:
            self._socket.settimeout(SECONDS)
            self._socket.connect(str(self._path))
            self.run("enable")
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def run(self, command: str) -> str:
        """Give a command and return what it printed.

        Raises:
            BfddError: the daemon refused it.
            OSError: the daemon is gone or does not answer.
        """
        self._socket.sendall(command.encode("ascii") + b"\0")
        answer = bytearray()
        while len(answer) <= len(END) or answer[-len(END) - 1 : -1] != END:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionResetError(f"{self._path}: closed")
            answer += more
        text = answer[: -len(END) - 1].decode("ascii", errors="replace")
        if answer[-1] != 0:
            raise BfddError(f"{command}: {text.strip() or f'status {answer[-1]}'}")
        return text
