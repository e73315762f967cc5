"""Routers that behave badly, each a program of its own on a host.

`BadRouter` runs this file as a program, with a behaviour and an address. It speaks just enough BGP
(RFC 4271 section 4) to misbehave at the right moment. What it did it writes to its log.
"""

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.history import Address
from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for

PORT = 179
READY_SECONDS = 60.0
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4

ROUTES = 100_000
ROUTES_IN_AN_UPDATE = 700
FIRST_ROUTE = int(IPv4Address("20.0.0.0"))


class BadRouter:
    """A program that listens where a router should.

    Args:
        host: where it runs.
        behaviour: one of BEHAVIOURS.
        address: of the host, that it listens on.
        asn: that its OPEN names.
    """

    def __init__(self, host: Host, behaviour: str, address: Address, asn: int) -> None:
        self._trigger = host.lab.folder / f"{behaviour}-{address}.go"
        self._daemon = Daemon(
            host,
            [
                *(sys.executable, "-m", __name__, behaviour, str(address), str(asn)),
                str(self._trigger),
            ],
            output=host.lab.folder / f"{behaviour}-{address}.log",
            env=dict(os.environ),
        )

    def start(self) -> None:
        """Start it and return once it listens."""
        self._daemon.start()
        self.wait_said("listens")

    def go(self) -> None:
        """Let it do what it waits with."""
        self._trigger.touch()

    def wait_said(self, text: str, timeout: float = READY_SECONDS) -> None:
        """Wait until it has done something."""
        output = self._daemon.output
        wait_for(
            lambda: text in output.read_text(), timeout, lambda: f"{text!r} in {output.read_text()}"
        )


def _message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def _open(asn: int) -> bytes:
    unicast = b"\x02\x06\x01\x04\x00\x01\x00\x01"  # IPv4 unicast
    fields = struct.pack("!BHH4sB", 4, asn, 0, IPv4Address("10.66.66.66").packed, len(unicast))
    return _message(OPEN, fields + unicast)  # hold time 0: nobody sends KEEPALIVEs


def _greet(stream: socket.socket, asn: int) -> None:
    stream.recv(4096)
    stream.sendall(_open(asn) + _message(KEEPALIVE))
    stream.recv(4096)
    _say("established")


def mute(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """Take the connection and never say a word."""
    del asn, go
    while stream.recv(4096):
        pass


def reset(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """Answer the OPEN with a TCP reset."""
    del asn, go
    stream.recv(4096)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def chatter(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """Speak another protocol."""
    del asn, go
    stream.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 20)
    stream.recv(4096)


def garbage(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """End the session with a NOTIFICATION that no document knows, of bytes that are no text."""
    _greet(stream, asn)
    go()
    stream.sendall(_message(NOTIFICATION, b"\xc8\x4d" + bytes(range(256)) * 15))


def shutdown(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """End it with a Shutdown Communication that is no UTF-8 and says it is longer (RFC 9003)."""
    _greet(stream, asn)
    go()
    stream.sendall(_message(NOTIFICATION, b"\x06\x02\xff\xc3\x28\n{"))


def flood(stream: socket.socket, asn: int, go: Callable[[], None]) -> None:
    """Announce a hundred thousand routes, to who takes none."""
    _greet(stream, asn)
    go()
    origin = b"\x40\x01\x01\x00"
    as_path = b"\x40\x02\x04\x02\x01" + struct.pack("!H", asn)
    next_hop = b"\x40\x03\x04" + IPv4Address("10.66.66.66").packed
    attributes = origin + as_path + next_hop
    for first in range(FIRST_ROUTE, FIRST_ROUTE + ROUTES, ROUTES_IN_AN_UPDATE):
        last = min(first + ROUTES_IN_AN_UPDATE, FIRST_ROUTE + ROUTES)
        nlri = b"".join(b"\x20" + struct.pack("!I", route) for route in range(first, last))
        head = struct.pack("!HH", 0, len(attributes))
        stream.sendall(_message(UPDATE, head + attributes + nlri))
    _say("flooded")
    while stream.recv(65536):
        pass


BEHAVIOURS = {each.__name__: each for each in (mute, reset, chatter, garbage, shutdown, flood)}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _main(behaviour: str, address: str, asn: str, trigger: str) -> None:
    def go() -> None:
        while not os.path.exists(trigger):  # noqa: PTH110  # a program of few imports
            time.sleep(0.01)

    with socket.create_server((address, PORT)) as server:
        _say("listens")
        while True:
            stream, _ = server.accept()
            try:
                BEHAVIOURS[behaviour](stream, int(asn), go)
            except OSError as error:
                _say(str(error))
            finally:
                stream.close()


if __name__ == "__main__":
    _main(*sys.argv[1:])
