"""Unix stream sockets at paths of any length, and who is at their other end."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODE = 0o660

SO_PEERGROUPS = 59  # asm-generic/socket.h, since Linux 4.13; Python 3.11 has no name for it
_CREDENTIALS = struct.Struct("iII")  # struct ucred of unix(7)
_GROUPS_BYTES = 1024  # the most that Python asks the kernel for: 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as it was when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]


def listen(path: Path, *, group: int | None = None) -> socket.socket:
    """Return a listening socket for the owner and one group (0660).

    Args:
        path: of the socket; what is left of an earlier one is removed.
        group: the group; None: the process' own.

    Raises:
        OSError: there can be no socket at this path.
    """
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), MODE)  # the kernel makes the file with it, less the umask
        with short(path) as address:
            listener.bind(address)
            if group is not None:
                os.chown(address, -1, group)
            Path(address).chmod(MODE)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def peer_of(stream: socket.socket) -> Peer:
    """Return who is at the other end (SO_PEERCRED, SO_PEERGROUPS of unix(7))."""
    pid, uid, gid = _CREDENTIALS.unpack(
        stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    try:
        groups = stream.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:  # it is in more groups than that; its first one counts all the same
        groups = b""
    return Peer(pid, uid, frozenset({gid, *memoryview(groups).cast("I")}))


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a path to the kernel in a form that fits: an address has room for 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
