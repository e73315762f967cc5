"""An HTTP server on loopback that answers from a script, word for word and cut for cut.

The seam between us and the Kubernetes API is its wire: what is tested here goes through the
kubernetes package, urllib3 and a real socket, and can be broken in all the ways those have.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import parse_qsl, urlsplit

from tests.unit.adapters.ear import WITHIN_SECONDS

Object = dict[str, object]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    query: dict[str, str]
    token: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: pieces of a chunked body, one write each.

    Attributes:
        end: `clean` ends the body in order; `cut` breaks the connection where it stands; `hold`
            leaves it open and says no more.
    """

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "clean"


def plain(body: object, status: int = 200, **headers: str) -> Answer:
    """Return a JSON answer; bytes are sent as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer((data,), status, named)


def refusal(status: int, message: str = "", **headers: str) -> Answer:
    """Return an error as Kubernetes writes it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status}
    return plain({**body, "message": message}, status, **headers)


def page(items: Iterable[Object], version: str, more: str = "") -> Answer:
    """Return a page of a list; items of a list have neither kind nor apiVersion."""
    bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": version, "continue": more}
    return plain({"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": bare})


def line(sort: str, found: Object) -> bytes:
    """Return one event of a watch."""
    return json.dumps({"type": sort, "object": found}).encode() + b"\n"


def bookmark(version: str, *, ends_list: bool = False) -> bytes:
    """Return a bookmark, or the one that ends a streamed list."""
    metadata: Object = {"resourceVersion": version, "creationTimestamp": None}
    if ends_list:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return line("BOOKMARK", {"kind": "Service", "apiVersion": "v1", "metadata": metadata})


def error(code: int, message: str = "") -> bytes:
    """Return the event that ends a watch with an error."""
    return line("ERROR", {"kind": "Status", "apiVersion": "v1", "code": code, "message": message})


def watch(*pieces: bytes, end: str = "hold") -> Answer:
    """Return a watch."""
    return Answer(pieces, end=end)


class ScriptedApi:
    """Answers requests in the order of its script; when that is at its end it holds them.

    Who asks for the version is answered beside the script: such a request takes nobody's place.
    """

    def __init__(self, directory: Path) -> None:
        self.requests: SimpleQueue[Request] = SimpleQueue()
        self._script: SimpleQueue[Answer] = SimpleQueue()
        self.over = threading.Event()
        self._server = _Server(self)
        self.token_file = directory / "token"
        self.token_file.write_text("first")
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(self._kubeconfig()))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def will(self, *answers: Answer) -> None:
        """Add to the script."""
        for answer in answers:
            self._script.put(answer)

    def asked(self) -> Request:
        """Return the next request that came."""
        return self.requests.get(timeout=WITHIN_SECONDS)

    def next_answer(self) -> Answer:
        """Return what comes next in the script."""
        return Answer(end="hold") if self._script.empty() else self._script.get()

    @contextmanager
    def running(self) -> Iterator["ScriptedApi"]:
        """Answer within the block."""
        runner = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        runner.start()
        try:
            yield self
        finally:
            self.over.set()
            self._server.shutdown()
            runner.join()
            self._server.server_close()

    def _kubeconfig(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"tokenFile": str(self.token_file)}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # each ends with the test
    block_on_close = True

    def __init__(self, api: ScriptedApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = WITHIN_SECONDS

    def do_GET(self) -> None:
        """Answer by the script."""
        url = urlsplit(self.path)
        api = self.server.api
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        api.requests.put(Request(url.path, dict(parse_qsl(url.query)), token))
        answer = plain({}) if url.path == "/version" else api.next_answer()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in answer.pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if answer.end == "clean":
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
        if answer.end == "hold":
            api.over.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
        """Say nothing."""
