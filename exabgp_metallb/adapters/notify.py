"""What a program tells systemd of itself: sd_notify(3), without its library.

A datagram of `NAME=VALUE` lines to the socket that NOTIFY_SOCKET names: READY, STATUS, WATCHDOG,
STOPPING. systemd takes it from the main process of a unit. Where that one is only the ancestor of
who knows, as `exabgp-metallb run` is, it gives those below it a socket of its own, a `Relay`, and
hands on what comes; so silence means that one of them hangs, whichever it is.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from exabgp_metallb.adapters import unix

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
LONGEST = 4096  # bytes of a datagram, as systemd takes them


class Notifier:
    """Tells the supervisor; tells nobody where there is none.

    Args:
        environment: what systemd has set is looked up there.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get(SOCKET, "")
        self.watchdog_seconds = _seconds(environment.get(WATCHDOG, ""))

    def __bool__(self) -> bool:
        """Tell whether there is a supervisor who listens."""
        return bool(self._address)

    def tell(self, *lines: str) -> None:
        """Tell these in one go; never waits, and a supervisor that is not there is none."""
        self.hand_on("\n".join(lines).encode())

    def hand_on(self, datagram: bytes) -> None:
        """Tell what somebody below has told."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.settimeout(0)
            if self._address.startswith("@"):  # of the abstract namespace: unix(7)
                teller.sendto(datagram, b"\0" + os.fsencode(self._address[1:]))
                return
            with unix.short(Path(self._address)) as address:
                teller.sendto(datagram, address)


class Relay:
    """A socket for those below us to tell.

    Args:
        path: of the socket; what is left of an earlier one is removed.

    Raises:
        OSError: there can be no socket at this path.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        try:
            with unix.short(path) as address:
                self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody has told something."""
        return self._socket.fileno()

    def take(self) -> list[bytes]:
        """Return what was told, in the order told."""
        told = []
        with suppress(BlockingIOError):
            while True:
                told.append(self._socket.recv(LONGEST))
        return told

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def _seconds(microseconds: str) -> float | None:
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None
