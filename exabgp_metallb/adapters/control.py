"""The control socket: what a node's speaker is asked on its own machine.

A Unix stream socket in the state directory, for the owner and the group (0660). One JSON object a
line is a request, one a line its answer; a connection may carry any number, one after the other.
What they mean is not this module's business: `programs.control_socket`.
"""

import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from exabgp_metallb.adapters import unix
from exabgp_metallb.errors import ControlError

LONGEST_LINE = 65536  # of a request; answers may be longer
IDLE_SECONDS = 60.0  # a connection that asks nothing for so long is closed
RETRY_SECONDS = 1.0  # after a connection that could not be taken

Message = Mapping[str, object]
Answer = Callable[[Message], Message]
"""Answers a request; called in the connection's own thread, and may take its time."""


class ControlServer:
    """Listens, from threads of its own.

    Args:
        path: of the socket; what is left of an earlier one is removed.
        answer: answers requests.

    Raises:
        OSError: there can be no socket at this path.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._answer = answer
        self._stopped = Event()
        self._listener = unix.listen(path)

    def start(self) -> None:
        """Begin to answer."""
        Thread(target=self._accept, name="control", daemon=True).start()

    def stop(self) -> None:
        """Answer no new connection."""
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                stream, _ = self._listener.accept()
            except OSError:  # stopped, or out of file descriptors
                self._stopped.wait(RETRY_SECONDS)
                continue
            Thread(target=self._serve, args=(stream,), name="control-one", daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        """Answer one connection line by line."""
        stream.settimeout(IDLE_SECONDS)
        with stream, suppress(OSError), stream.makefile("rwb") as file:
            while line := file.readline(LONGEST_LINE):
                request = _object(line)
                wrong = {"error": "write one JSON object a line"}
                answer = wrong if request is None else self._answer(request)
                file.write(json.dumps(answer).encode() + b"\n")
                file.flush()


def ask(path: Path, request: Message, *, seconds: float) -> Message:
    """Return the answer to a request.

    Args:
        path: of the socket.
        request: in types that JSON has.
        seconds: the longest wait for the answer.

    Raises:
        ControlError: nobody answers, or not in time.
    """
    line = json.dumps(request).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(seconds)
            with unix.short(path) as address:
                stream.connect(address)
            stream.sendall(line)
            with stream.makefile("rb") as file:
                told = file.readline()
    except TimeoutError as error:
        raise ControlError(f"{path}: the speaker does not answer within {seconds:g} s") from error
    except PermissionError as error:
        message = f"{path}: {error.strerror}: ask as root, or as the user that the speaker runs as"
        raise ControlError(message) from error
    except OSError as error:
        raise ControlError(
            f"{path}: {error.strerror}: no speaker listens there; is it running, and is this its "
            "--state-dir?"
        ) from error
    answer = _object(told)
    if answer is None:
        raise ControlError(f"{path}: the speaker hung up without an answer: it has ended")
    return answer


def _object(line: bytes) -> Message | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
