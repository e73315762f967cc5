"""A proxy before the API that answers late, or not until it is told to."""

import json
import select
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlparse

LOOPBACK = "127.0.0.1"


class SlowProxy:
    """Passes TCP on; what the server says waits for a while, and for as long as `hold` says.

    Args:
        url: of the server.
        seconds: how late its bytes come.
    """

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlparse(url)
        self._server = (parts.hostname or LOOPBACK, parts.port or 443)
        self._seconds = seconds
        self._flowing = threading.Event()
        self._flowing.set()
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def kubeconfig(self, original: Path) -> Path:
        """Write a copy of a kubeconfig that goes through here."""
        config = json.loads(original.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://{LOOPBACK}:{self.port}"
        path = original.with_suffix(f".{self.port}")
        path.write_text(json.dumps(config))
        return path

    def hold(self) -> None:
        """Let no answer through from now on; requests go on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let answers through again."""
        self._flowing.set()

    def close(self) -> None:
        """Accept nobody any more."""
        self.flow()
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                try:
                    if client in ready and not self._pass(client, server):
                        return
                    if server in ready:
                        time.sleep(self._seconds)
                        self._flowing.wait()
                        if not self._pass(server, client):
                            return
                except OSError:
                    return

    def _pass(self, one: socket.socket, other: socket.socket) -> bool:
        chunk = one.recv(65536)
        other.sendall(chunk)
        return bool(chunk)
