"""From options to a running controller: connection, watches, writers, election and signals."""

import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname

from loguru import logger

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.api import KubernetesSource
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.election import Election
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.adapters.kubernetes.writes import Writers
from exabgp_metallb.adapters.notify import Notifier
from exabgp_metallb.decisions.leadership import LEASE_SECONDS, Leadership, Times
from exabgp_metallb.programs.controller import Controller, Elected, Heard, Stop
from exabgp_metallb.programs.heartbeat import Heartbeat, controller_status
from exabgp_metallb.programs.tenure import KINDS
from exabgp_metallb.values.vitals import ControllerVitals

WRITERS = 8  # writes under way at once; the API server answers one in a few milliseconds
STOP_SECONDS = 5.0  # for the writes on their way; then for the Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    """How a controller was called.

    Attributes:
        namespace: of the metallb.io resources, the legacy ConfigMap and the Lease.
        lb_class: spec.loadBalancerClass of the Services that are ours; None: those without.
        kubeconfig: None takes the pod's own account.
        metrics: host and port to serve metrics and probes at; None serves none.
        lease_seconds: how long the Lease lasts; the same for all replicas.
    """

    namespace: str
    lb_class: str | None
    kubeconfig: Path | None
    metrics: tuple[str, int] | None = None
    lease_seconds: int = LEASE_SECONDS


def run(options: ControllerOptions) -> None:
    """Run a controller until SIGTERM or SIGINT; it gives its Lease up on the way out.

    Raises:
        SourceError: the configuration for the Kubernetes API cannot be read.
        BaseException: a thread died by it.
    """
    kubeconfig = options.kubeconfig
    load = config.in_cluster if kubeconfig is None else partial(config.kubeconfig, kubeconfig)
    connection = Connection(load, now=time.monotonic)
    inbox: SimpleQueue[Heard] = SimpleQueue()
    leadership = Leadership(_identity(), Times(options.lease_seconds))
    election = Election(
        connection,
        namespace=options.namespace,
        leadership=leadership,
        now=_seconds,
        changed=lambda term: inbox.put(Elected(term)),
        on_death=inbox.put,
    )
    writers = Writers(
        connection,
        sent=inbox.put,
        may_write=election.leads,
        on_death=inbox.put,
        threads=WRITERS,
        seconds=leadership.times.write_seconds,
    )
    controller = Controller(
        namespace=options.namespace,
        lb_class=options.lb_class,
        inbox=inbox,
        new_source=partial(_source, connection, options.namespace, inbox),
        writer=writers,
        publish=_publisher(options.metrics),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inbox.put(Stop()))
    writers.start()
    election.start()
    try:
        controller.run()
    finally:
        election.stop()
        if writers.stop(STOP_SECONDS):  # else what is on its way may still arrive: the Lease stays
            election.release(STOP_SECONDS)


def _identity() -> str:
    return f"{gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _seconds() -> float:
    """Return the seconds of a clock that goes on while the machine sleeps, as others' clocks do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _source(connection: Connection, namespace: str, inbox: SimpleQueue[Heard]) -> KubernetesSource:
    pace = Pace(uniform=random.uniform)
    return KubernetesSource(
        connection, namespace=namespace, on_death=inbox.put, pace=pace, kinds=KINDS
    )


def _publisher(metrics: tuple[str, int] | None) -> Callable[[ControllerVitals], None] | None:
    """Serve metrics and tell systemd, if they want it, and return who does."""
    takers: list[Callable[[ControllerVitals], None]] = []
    if metrics is not None and (published := _metrics(metrics)) is not None:
        takers.append(published)
    if notifier := Notifier():
        heartbeat = Heartbeat(notifier)
        takers.append(lambda vitals: heartbeat.beat(vitals, controller_status(vitals)))
    if not takers:
        return None

    def publish(vitals: ControllerVitals) -> None:
        for take in takers:
            take(vitals)

    return publish


def _metrics(address: tuple[str, int]) -> Callable[[ControllerVitals], None] | None:
    """Serve metrics and return who takes them; None when the address cannot be used."""
    from exabgp_metallb.adapters.metrics import ControllerMetrics  # noqa: PLC0415 -- 10 MiB

    try:
        metrics = ControllerMetrics(*address)
    except OSError as error:
        logger.error("no metrics on {}: {}; set --metrics", ":".join(map(str, address)), error)
        return None
    metrics.start()
    return metrics.publish
