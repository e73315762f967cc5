"""A proxy before the API that counts what passes: requests, watch events and bytes, by resource.

Its clients speak HTTP without TLS to it, and it TLS to the server, so all can be read. Bytes are
those of HTTP, heads included; TLS would add a few in a hundred.
"""

import base64
import json
import re
import select
import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.kube.process import LOOPBACK

CHUNK = 65536
_REQUEST = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_EVENT = re.compile(rb'\{"type":"(?:ADDED|MODIFIED|DELETED|BOOKMARK)","object"')
_EVENT_LENGTH = 28  # of the longest


@dataclass(slots=True)
class Counts:
    """What has passed, by resource (`nodes`, `servicebgpstatuses/status`).

    Attributes:
        requests: by verb and resource; the verb of a GET is `watch`, `list` or `get`.
        events: of watches, bookmarks too.
        sent: bytes from the server.
        taken: bytes to it.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def octets(self) -> int:
        """Return how many bytes have passed in both directions."""
        return self.sent.total() + self.taken.total()

    def copy(self) -> "Counts":
        """Return the counts as they are now."""
        return Counts(
            Counter(self.requests), Counter(self.events), Counter(self.sent), Counter(self.taken)
        )

    def since(self, before: "Counts") -> "Counts":
        """Return what has passed since a copy was made."""
        return Counts(
            self.requests - before.requests,
            self.events - before.events,
            self.sent - before.sent,
            self.taken - before.taken,
        )


def asked(method: str, target: str) -> tuple[str, str]:
    """Return verb and resource of a request."""
    url = urlsplit(target)
    _, root, *parts = url.path.split("/")
    parts = parts[1:] if root == "api" else parts[2:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    resource = "/".join((parts[0], *parts[2:]))
    if method != "GET":
        return method.lower(), resource
    if "watch=true" in url.query:
        return "watch", resource
    return ("get" if len(parts) > 1 else "list"), resource


class CountingProxy:
    """Passes HTTP on to the server of a kubeconfig, whose certificate it checks.

    Attributes:
        counts: what has passed.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._config = json.loads(kubeconfig.read_text())
        cluster = self._config["clusters"][0]["cluster"]
        url = urlsplit(cluster["server"])
        self._server = (url.hostname or LOOPBACK, url.port or 443)
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        # After the handshake of 1.3 come tickets: readable, and yet nothing to read.
        self._tls.maximum_version = ssl.TLSVersion.TLSv1_2
        self._lock = threading.Lock()
        self._counts = Counts()
        self._listening = socket.create_server((LOOPBACK, 0))
        port = self._listening.getsockname()[1]
        self.kubeconfig = kubeconfig.with_suffix(f".{port}")
        self._config["clusters"][0]["cluster"] = {"server": f"http://{LOOPBACK}:{port}"}
        self.kubeconfig.write_text(json.dumps(self._config))
        threading.Thread(target=self._accept, daemon=True).start()

    def counts(self) -> Counts:
        """Return what has passed so far."""
        with self._lock:
            return self._counts.copy()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with (
                client,
                socket.create_connection(self._server) as plain,
                self._tls.wrap_socket(plain, server_hostname=self._server[0]) as server,
            ):
                self._pass(client, server)
        except OSError:
            return  # one of both hung up

    def _pass(self, client: socket.socket, server: ssl.SSLSocket) -> None:
        resource, rest = "", b""
        while True:
            ready, _, _ = select.select([client, server], [], [])
            if client in ready:
                if not (chunk := client.recv(CHUNK)):
                    return
                if found := _REQUEST.match(chunk):  # a request begins a chunk: none is sent early
                    verb, resource = asked(found[1].decode(), found[2].decode())
                    with self._lock:
                        self._counts.requests[verb, resource] += 1
                with self._lock:
                    self._counts.taken[resource] += len(chunk)
                server.sendall(chunk)
            while server in ready or server.pending():
                ready = []
                if not (chunk := server.recv(CHUNK)):
                    return
                seen = rest + chunk
                ends = [match.end() for match in _EVENT.finditer(seen)]
                rest = seen[max(len(seen) - _EVENT_LENGTH + 1, ends[-1] if ends else 0) :]
                with self._lock:
                    self._counts.events[resource] += len(ends)
                    self._counts.sent[resource] += len(chunk)
                client.sendall(chunk)
