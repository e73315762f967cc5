"""Requests to the Kubernetes API: the few lines that block.

The kubernetes package knows how to reach a cluster (TLS, client certificates, proxies, tokens) and
its connection pool is used for that; its ApiClient and models are not, since they cost time and
memory for each object, and their calls differ between the package's releases.

An answer of 401 is tried again once with the configuration read anew: tokens in files rotate, and
credential plugins give new ones.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from exabgp_metallb import __version__
from exabgp_metallb.adapters.kubernetes.answers import ApiError, LostError
from exabgp_metallb.adapters.kubernetes.config import Configuration, Load
from exabgp_metallb.errors import SourceError

CONNECT_SECONDS = 10.0
LONGEST_READ = 65536  # bytes taken from a socket at once
CONNECTIONS_KEPT = 16  # more than there are kinds

# A connection whose other end is gone without a word is found dead after 15 + 5 seconds. The
# kernel asks, so it costs no request; client-go's defaults would take 30 + 9 * 15. What was sent
# and is not acknowledged for four seconds is thrown away: a write that waits in the kernel while a
# network is cut must not arrive when another controller leads (decisions.leadership).
KEEPALIVE = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4000),  # milliseconds; RFC 5482
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

RENEW_SECONDS = 10.0  # at most so often is a configuration read anew: plugins are programs


class Response:
    """An answer whose body is still to be read, by one thread."""

    def __init__(self, raw: Any, place: str) -> None:  # noqa: ANN401 -- urllib3's, imported late
        self._raw = raw
        self._place = place
        self.status: int = raw.status

    @property
    def retry_after_seconds(self) -> float:
        """How long the server asks to be left alone; the form with a date is not used by it."""
        text = str(self._raw.headers.get("Retry-After", ""))
        return float(text) if text.isdecimal() else 0.0

    def body(self) -> bytes:
        """Return the whole body.

        Raises:
            LostError: the connection broke, or was silent for too long.
        """
        try:
            data: bytes = self._raw.read()
        except _broken() as error:
            raise self._lost(error) from error
        return data

    def lines(self) -> Iterator[bytes]:
        """Yield the body's lines, of any length, as they arrive.

        It ends with the body, and when nothing came for the whole of the read timeout. What
        stands after the last line end was cut off and is not worth reading.

        Raises:
            LostError: the connection broke.
        """
        parts: list[bytes] = []
        while chunk := self._chunk():
            *whole, rest = chunk.split(b"\n")
            if whole:
                yield b"".join((*parts, whole[0]))
                yield from whole[1:]
                parts.clear()
            parts.append(rest)

    def interrupt(self) -> None:
        """End a read that is under way in another thread."""
        try:
            self._raw.shutdown()
        except (OSError, ValueError, RuntimeError, AttributeError):
            return  # it has ended by itself

    def close(self) -> None:
        """Free the connection: for the next request when all was read, else for good."""
        self._raw.close()

    def _chunk(self) -> bytes:
        from urllib3.exceptions import ReadTimeoutError  # noqa: PLC0415 -- see config

        try:
            chunk: bytes = self._raw.read1(LONGEST_READ)
        except ReadTimeoutError:
            return b""
        except _broken() as error:
            raise self._lost(error) from error
        return chunk

    def _lost(self, error: Exception) -> LostError:
        return LostError(f"{self._place}: the connection broke: {_reason(error)}")


class Grants:
    """Counts the requests that the API has granted, and lets those who rest hear of the next one.

    While an API is away each thread rests for a time of its own; the first that is served again
    ends the rest of all.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def add(self) -> None:
        """Count one."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, since: int, seconds: float, stopping: threading.Event) -> bool:
        """Rest until the count differs from an earlier one, and tell whether it does.

        Args:
            since: the earlier count.
            seconds: the longest rest.
            stopping: ends it as well, with a `nudge`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.count != since or stopping.is_set(), seconds)
            return self.count != since

    def nudge(self) -> None:
        """Have those who rest look whether they are to stop."""
        with self._changed:
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Session:
    configuration: Configuration
    pool: Any  # urllib3.PoolManager


@dataclass(frozen=True, slots=True)
class _Patience:
    """How long to wait, in seconds: for a connection, and for each part of an answer."""

    connect: float
    read: float


class Connection:
    """The Kubernetes API as one user reaches it. All threads share it.

    Attributes:
        grants: of all requests.
    """

    def __init__(self, load: Load, *, now: Callable[[], float]) -> None:
        """Read the configuration; nothing is sent yet.

        Args:
            load: from `config`: reads the configuration, now and whenever a 401 says that the
                old one will not do.
            now: monotonic seconds.

        Raises:
            SourceError: the configuration cannot be read.
        """
        self.grants = Grants()
        self._load = load
        self._now = now
        self._lock = threading.Lock()
        self._renewed_at: float | None = None
        self._session = self._open()

    @property
    def place(self) -> str:
        """The address of the API, for messages."""
        return str(self._session.configuration.host)

    def get(self, path: str, query: Mapping[str, str], *, read_seconds: float) -> Response:
        """Send a GET and return the answer, of any status, when its head has come.

        Args:
            path: below the address of the API.
            query: what follows the question mark.
            read_seconds: how long the server may be silent, now and while the body is read.

        Raises:
            ApiError: there is no answer.
            SourceError: the configuration had to be read anew and cannot be.
        """
        place = f"{path}?{urlencode(query)}" if query else path
        return self._request("GET", place, None, {}, _Patience(CONNECT_SECONDS, read_seconds))

    def send(
        self, method: str, path: str, body: bytes, *, content_type: str, seconds: float
    ) -> Response:
        """Send a request with a body; otherwise as `get`, with the query in the path.

        Args:
            method: of HTTP.
            path: below the address of the API, with a query.
            body: what is sent.
            content_type: of the body.
            seconds: the longest wait for the head of the answer. A quarter of it may pass before
                the request leaves us, so that it is never sent long after it was decided.
        """
        patience = _Patience(seconds / 4, seconds * 3 / 4)
        return self._request(method, path, body, {"Content-Type": content_type}, patience)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        patience: _Patience,
    ) -> Response:
        session = self._session
        response = self._send(session, method, path, body, headers, patience)
        if response.status == HTTPStatus.UNAUTHORIZED and self._renew(session):
            response.close()
            response = self._send(self._session, method, path, body, headers, patience)
        if response.status < HTTPStatus.BAD_REQUEST:
            self.grants.add()
        return response

    def close(self) -> None:
        """Close the connections that nobody uses; those in use end with their answers."""
        self._session.pool.clear()

    def _send(
        self,
        session: _Session,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        patience: _Patience,
    ) -> Response:
        import urllib3  # noqa: PLC0415 -- see config: whoever reads manifests never needs it

        try:
            raw = session.pool.request(
                method,
                f"{session.configuration.host}{path}",
                body=body,
                headers=self._headers(session) | dict(headers),
                preload_content=False,
                redirect=False,
                retries=False,  # when to try again is the caller's to decide
                timeout=urllib3.Timeout(connect=patience.connect, read=patience.read),
            )
        except _broken() as error:
            message = f"{session.configuration.host} cannot be reached: {_reason(error)}"
            raise ApiError(message) from error
        return Response(raw, self.place)

    def _headers(self, session: _Session) -> dict[str, str]:
        from kubernetes.config import ConfigException  # noqa: PLC0415 -- see config

        headers = {"Accept": "application/json", "User-Agent": f"exabgp-metallb/{__version__}"}
        try:
            with self._lock:  # the package reads a token file or runs a plugin here, when due
                settings = session.configuration.auth_settings()
        except (ConfigException, OSError) as error:
            raise SourceError(f"the token for {self.place}: {error}") from error
        tokens = {s["key"]: s["value"] for s in settings.values() if s["in"] == "header"}
        return headers | {key: value for key, value in tokens.items() if value}

    def _renew(self, refused: _Session) -> bool:
        """Read the configuration anew, once for all threads; tell whether there is another."""
        with self._lock:
            if self._session is not refused:
                return True
            now = self._now()
            if self._renewed_at is not None and now < self._renewed_at + RENEW_SECONDS:
                return False
            self._renewed_at = now
            self._session = self._open()
            refused.pool.clear()
            return True

    def _open(self) -> _Session:
        from kubernetes.client import rest  # noqa: PLC0415 -- see config

        configuration = self._load()
        configuration.socket_options = [*KEEPALIVE]
        configuration.connection_pool_maxsize = CONNECTIONS_KEPT
        return _Session(configuration, rest.RESTClientObject(configuration).pool_manager)


def _reason(error: BaseException) -> str:
    """Return the first cause in its own words, without what urllib3 wraps around it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error) or type(error).__name__


def _broken() -> tuple[type[Exception], ...]:
    """Return what urllib3 raises when a connection fails; some of it comes out as it is below."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 -- see config

    return (HTTPError, OSError, ValueError)
