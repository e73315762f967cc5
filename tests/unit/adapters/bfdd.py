"""A bfdd in memory of a thread: both its sockets, its configuration, and what it is made to tell.

It understands what `configuration.commands` says, in the way of FRR 8.4: a configuration of lines.
"""

import json
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

from exabgp_metallb.adapters.bfd.control import HEADER, NOTIFY, RESPONSE, VERSION

OK = b'{"status":"ok"}'


class Bfdd:
    """Listens in a folder until it is ended.

    Args:
        folder: where its sockets are.
        refused: commands that it refuses if they begin like this.
    """

    def __init__(self, folder: Path, *, refused: str = "nothing") -> None:
        self.profiles: dict[str, list[str]] = {}
        self.peers: dict[str, str] = {}  # by the words after `peer`, the profile
        self.commands: list[str] = []
        self._refused = refused
        self._accepted: list[socket.socket] = []
        self._clients: list[socket.socket] = []  # of those, who has subscribed
        self._ended = False
        self._changed = threading.Condition()
        # Who reaches the first expects the second to be there.
        vty, control = (self._listen(folder / name) for name in ("bfdd.vty", "bfdd.sock"))
        self._listeners = [control, vty]
        self._serve(control, self._subscribe)
        self._serve(vty, self._converse)

    @staticmethod
    def _listen(path: Path) -> socket.socket:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen()
        return listener

    def _serve(self, listener: socket.socket, serve: object) -> None:
        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with self._changed:
                    self._accepted.append(client)
                    if self._ended:  # between the connect and this
                        client.close()
                        return
                assert callable(serve)
                with suppress(OSError, struct.error):  # who has left may not wait for an answer
                    serve(client)

        threading.Thread(target=accept, daemon=True).start()

    def end(self) -> None:
        """End as when it is killed."""
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._changed:
            self._ended = True
            for client in self._accepted:
                with suppress(OSError):  # it may be gone by now
                    client.shutdown(socket.SHUT_RDWR)  # wakes who reads
                client.close()

    def tell(self, **fields: object) -> None:
        """Notify whoever has subscribed; wait for a first one, who may be on the way."""
        body = json.dumps(fields).encode()
        with self._changed:
            assert self._changed.wait_for(lambda: self._clients, 60)
            for client in self._clients:
                client.sendall(HEADER.pack(len(body), 0, NOTIFY, VERSION) + body)

    def wait(self, *peers: str, profiles: tuple[str, ...] = ("exabgp-metallb-fast",)) -> None:
        """Wait until it has exactly these peers and profiles."""
        wanted = (sorted(peers), sorted(profiles))
        with self._changed:
            assert self._changed.wait_for(lambda: self._held() == wanted, 60), self._held()

    def _held(self) -> tuple[list[str], list[str]]:
        return sorted(self.peers), sorted(self.profiles)

    def _subscribe(self, client: socket.socket) -> None:
        length, number, _, _ = HEADER.unpack(client.recv(HEADER.size))
        client.recv(length)
        with self._changed:  # who was answered has subscribed
            client.sendall(HEADER.pack(len(OK), number, RESPONSE, VERSION) + OK)
            self._clients.append(client)
            self._changed.notify_all()

    def _converse(self, client: socket.socket) -> None:
        inside = ""
        with client, client.makefile("rb") as stream:
            while command := _until_nul(stream.read):
                text, status = "", 0
                with self._changed:
                    self.commands.append(command)
                    if command.startswith(self._refused):
                        text, status = "% Unknown command\n", 2
                    elif command == "show running-config":
                        text = self.running()
                    else:
                        inside = self._obey(command, inside)
                    self._changed.notify_all()
                client.sendall(text.encode() + b"\0\0\0" + bytes([status]))

    def _obey(self, command: str, inside: str) -> str:
        """Carry out a command in a node, and return the node that follows."""
        first, _, rest = command.partition(" ")
        if first == "no" and rest.startswith("peer "):
            del self.peers[rest.removeprefix("peer ")]
        elif first == "no" and rest.startswith("profile "):
            del self.profiles[rest.removeprefix("profile ")]
        elif first == "peer":
            self.peers.setdefault(rest, "")
            return command
        elif first == "profile" and inside.startswith("peer "):
            self.peers[inside.removeprefix("peer ")] = rest
        elif first == "profile":
            self.profiles[rest] = []
            return command
        elif inside.startswith("profile ") and command != "exit":
            self.profiles[inside.removeprefix("profile ")].append(command)
        return "" if command in ("exit", "end") else inside

    def running(self) -> str:
        """Return `show running-config`."""
        lines = ["!", "frr version 8.4.4", "!", "bfd"]
        for name, fields in self.profiles.items():
            lines += [f" profile {name}", *(f"  {field}" for field in fields), " exit", " !"]
        for peer, profile in self.peers.items():
            lines += [f" peer {peer}", *([f"  profile {profile}"] * bool(profile)), " exit", " !"]
        return "\n".join([*lines, "exit", "!", "end", ""])


def _until_nul(read: object) -> str:
    assert callable(read)
    command = b""
    while (octet := read(1)) not in (b"", b"\0"):
        command += octet
    return command.decode()
