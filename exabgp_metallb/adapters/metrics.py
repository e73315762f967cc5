"""Metrics and health over HTTP, for Prometheus and for probes.

The owner publishes its vitals whenever they have changed; a scrape reads the last ones, so no lock
is shared with the thread that decides. MetalLB's names where the meaning is the same.

`/metrics`: the text format. `/healthz`: 200 while the owner's loop turns, else 503. `/readyz`: 200
once a speaker has read every kind of object and handed its table to ExaBGP, or a controller has
read them or waits for its turn to lead; else 503 and what is missing.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from socketserver import BaseServer, TCPServer
from threading import Thread
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from exabgp_metallb.values.bfd import BfdVitals
from exabgp_metallb.values.outcome import PoolUsage
from exabgp_metallb.values.vitals import (
    ControllerVitals,
    Health,
    Layer2Vitals,
    SpeakerVitals,
)

STUCK_SECONDS = 30.0  # the loop turns each second; this long without a turn is no load any more


def speaker_metrics(vitals: SpeakerVitals) -> Iterator[Metric]:
    """Yield the metrics of a speaker."""
    yield from _of_every_program(vitals)
    yield _labelled(
        "metallb_bgp_session_up", "1 if the session is established.", "peer", vitals.sessions
    )
    yield _labelled(
        "metallb_bgp_announced_prefixes_total",
        "Prefixes that the peer should hold from this node.",
        "peer",
        vitals.prefixes,
    )
    yield _announced(vitals)
    yield HistogramMetricFamily(
        "exabgp_metallb_change_seconds",
        "From an event until all that it changes is on the wire.",
        buckets=vitals.latency.cumulative(),
        sum_value=vitals.latency.total_seconds,
    )
    draining = "1 if this node is drained, or on its way there."
    yield _gauge("exabgp_metallb_draining", draining, vitals.draining)
    refused = "Commands that ExaBGP has refused."
    yield CounterMetricFamily("exabgp_metallb_refused_lines", refused, value=vitals.refused_lines)
    drifted = (
        "Routes that ExaBGP was found to hold otherwise than it was told, and that were mended."
    )
    family = CounterMetricFamily("exabgp_metallb_drift", drifted, labels=["peer"])
    for peer, count in sorted(vitals.drift.items()):
        family.add_metric([peer], float(count))
    yield family
    if vitals.layer2 is not None:
        yield from _layer2_metrics(vitals.layer2)
    if vitals.bfd is not None:
        yield from _bfd_metrics(vitals.bfd)


def _bfd_metrics(vitals: BfdVitals) -> Iterator[Metric]:
    reached = "1 if bfdd answers, or nobody needs it."
    yield _gauge("exabgp_metallb_bfdd_reached", reached, vitals.reached)
    up = "1 if the BFD session is up."
    yield _labelled("metallb_bfd_session_up", up, "peer", vitals.sessions)
    downs = "Times that the BFD session fell, so that its BGP session was held down."
    family = CounterMetricFamily("exabgp_metallb_bfd_falls", downs, labels=["peer"])
    for peer, count in sorted(vitals.falls.items()):
        family.add_metric([peer], float(count))
    yield family


def _layer2_metrics(vitals: Layer2Vitals) -> Iterator[Metric]:
    connected = "1 while a responder takes orders."
    yield _gauge("exabgp_metallb_layer2_responder_connected", connected, vitals.connected)


def _announced(vitals: SpeakerVitals) -> Metric:
    family = GaugeMetricFamily(
        "metallb_speaker_announced",
        "1 for each address of a Service that this node announces or answers for.",
        labels=["service", "protocol", "node", "ip"],
    )
    layer2 = () if vitals.layer2 is None else vitals.layer2.announced
    for protocol, announced in (("bgp", vitals.announced), ("layer2", layer2)):
        for service, address in announced:
            family.add_metric([service, protocol, vitals.node, address], 1.0)
    return family


def controller_metrics(vitals: ControllerVitals) -> Iterator[Metric]:
    """Yield the metrics of a controller; those of pools only while it leads."""
    yield from _of_every_program(vitals)
    yield _gauge(
        "exabgp_metallb_controller_leads", "1 if this replica gives the addresses.", vitals.leads
    )
    written = "Statuses of Services that were written."
    yield CounterMetricFamily("metallb_k8s_client_updates", written, value=vitals.updates)
    failed = "Writes that the API has refused or not answered."
    yield CounterMetricFamily("metallb_k8s_client_update_errors", failed, value=vitals.failures)
    for family, in_use, left in _USAGE:
        used = {pool: in_use(usage) for pool, usage in vitals.usage.items()}
        total = {pool: used[pool] + left(usage) for pool, usage in vitals.usage.items()}
        name = f"metallb_allocator_{family}addresses"
        yield _labelled(f"{name}_total", "Usable addresses of the pool.", "pool", total)
        yield _labelled(f"{name}_in_use_total", "Addresses of the pool in use.", "pool", used)


_USAGE: tuple[tuple[str, Callable[[PoolUsage], int], Callable[[PoolUsage], int]], ...] = (
    (
        "",
        lambda usage: usage.assigned_ipv4 + usage.assigned_ipv6,
        lambda usage: usage.available_ipv4 + usage.available_ipv6,
    ),
    ("ipv4_", lambda usage: usage.assigned_ipv4, lambda usage: usage.available_ipv4),
    ("ipv6_", lambda usage: usage.assigned_ipv6, lambda usage: usage.available_ipv6),
)


def _of_every_program(vitals: Health) -> Iterator[Metric]:
    yield _gauge(
        "metallb_k8s_client_config_loaded_bool",
        "1 if every kind of object has been read at least once.",
        vitals.loaded,
    )
    yield _gauge(
        "metallb_k8s_client_config_stale_bool",
        "1 if an object is refused or the source is away.",
        vitals.stale,
    )
    yield _labelled(
        "exabgp_metallb_source_away",
        "1 for each kind or folder that cannot be read now; what was read before stands.",
        "source",
        dict.fromkeys(vitals.away, 1),
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for each, value in sorted(values.items()):
        family.add_metric([each], float(value))
    return family


V = TypeVar("V", bound=Health)


class _VitalsCollector(Collector, Generic[V]):
    """Turns the last vitals into metrics at each scrape."""

    def __init__(self, vitals: V, metrics: Callable[[V], Iterator[Metric]]) -> None:
        self.vitals = vitals
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; see prometheus_client's custom collectors."""
        return self._metrics(self.vitals)


class HealthServer(Generic[V]):
    """The HTTP server; `publish` is all that its owner does after `start`.

    Args:
        address: to listen on.
        port: 0 takes one that is free.
        vitals: those of a program that has not begun.
        metrics: what a program's vitals say to Prometheus.
    """

    def __init__(
        self, address: str, port: int, vitals: V, metrics: Callable[[V], Iterator[Metric]]
    ) -> None:
        self._collector = _VitalsCollector(vitals, metrics)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        self._server = _Server((address, port), self._handler)

    @property
    def port(self) -> int:
        """The port that is listened on; the kernel's choice when 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve from a thread."""
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def publish(self, vitals: V) -> None:
        """Let scrapes see this from now on."""
        self._collector.vitals = vitals

    def _handler(
        self, request: socket, client_address: tuple[str, int], server: BaseServer
    ) -> BaseHTTPRequestHandler:
        return _Handler(self._answer, request, client_address, server)

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        vitals = self._collector.vitals
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            turning = time.monotonic() - vitals.turned_at < STUCK_SECONDS
            return (200, "text/plain", b"ok\n") if turning else (503, "text/plain", b"stuck\n")
        if path == "/readyz":
            if not vitals.waiting_for:
                return 200, "text/plain", b"ok\n"
            return 503, "text/plain", f"waiting for {', '.join(vitals.waiting_for)}\n".encode()
        return 404, "text/plain", b"/metrics, /healthz and /readyz are here\n"


class Metrics(HealthServer[SpeakerVitals]):
    """A speaker's."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(address, port, SpeakerVitals(), speaker_metrics)


class ControllerMetrics(HealthServer[ControllerVitals]):
    """A controller's."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(address, port, ControllerVitals(), controller_metrics)


class _Server(ThreadingHTTPServer):
    """Listens on addresses of both families; socketserver knows of the first alone."""

    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: Callable[[socket, tuple[str, int], BaseServer], BaseHTTPRequestHandler],
    ) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind, without the look-up of our own name in DNS that http.server makes here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


class _Handler(BaseHTTPRequestHandler):
    """One connection: asks `answer` for what a path has to say."""

    def __init__(
        self,
        answer: Callable[[str], tuple[int, str, bytes]],
        request: socket,
        client_address: tuple[str, int],
        server: BaseServer,
    ) -> None:
        self._answer = answer
        super().__init__(request, client_address, server)

    def do_GET(self) -> None:
        """Answer a GET."""
        status, content_type, body = self._answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        """Stay quiet: probes come every few seconds."""
