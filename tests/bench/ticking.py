"""A client that connects each ten milliseconds, as a program of its own that begins fast.

After the second that succeeded it says that it has begun, and when its stdin closes it prints one
JSON document: for each connection its begin, and "" or what came in its way: the name of an error,
or "silence".
"""

import argparse
import errno
import json
import selectors
import socket
import sys
import time

TICK_SECONDS = 0.01
PATIENCE_SECONDS = 0.5  # less than TCP takes to send a lost SYN again: such a tick is a lost one


class _Client:
    """Connects and connects."""

    def __init__(self, address: str, port: int) -> None:
        self._to = (address, port)
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, float] = {}
        self._ticks: list[tuple[float, str]] = []
        self._good = 0

    def run(self) -> None:
        """Tick until stdin closes, and wait for the last ones."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        due = time.monotonic()
        ending = False
        while not ending or self._open:
            now = time.monotonic()
            if now >= due and not ending:
                due = max(due + TICK_SECONDS, now)
                self._begin(now)
            wait = TICK_SECONDS if ending else max(0.0, due - time.monotonic())
            for key, _ in self._selector.select(wait):
                if key.fileobj is sys.stdin:
                    ending = True
                    self._selector.unregister(sys.stdin)
                else:
                    self._finish(key.fileobj)  # type: ignore[arg-type]  # only sockets are left
            self._give_up(time.monotonic())
        sys.stdout.write(json.dumps(sorted(self._ticks)))

    def _begin(self, now: float) -> None:
        family = socket.AF_INET6 if ":" in self._to[0] else socket.AF_INET
        stream = socket.socket(family, socket.SOCK_STREAM)
        stream.settimeout(0)
        try:
            stream.connect(self._to)
        except BlockingIOError:
            self._open[stream] = now
            self._selector.register(stream, selectors.EVENT_WRITE)
        except OSError as error:
            stream.close()
            self._ticks.append((now, errno.errorcode[error.errno or 0]))

    def _finish(self, stream: socket.socket) -> None:
        begun = self._open.pop(stream)
        self._selector.unregister(stream)
        failed = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # Reset when closed: tens of thousands in TIME_WAIT would use up the ports.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.close()
        self._ticks.append((begun, errno.errorcode[failed] if failed else ""))
        self._good += not failed
        if self._good == 2 and not failed:  # from here on there is a gap between two
            sys.stdout.write("begun\n")
            sys.stdout.flush()

    def _give_up(self, now: float) -> None:
        for stream, begun in list(self._open.items()):
            if now - begun > PATIENCE_SECONDS:
                del self._open[stream]
                self._selector.unregister(stream)
                stream.close()
                self._ticks.append((begun, "silence"))


def main() -> None:
    """Tick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    _Client(options.address, options.port).run()


if __name__ == "__main__":
    main()
