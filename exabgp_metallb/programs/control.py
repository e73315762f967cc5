"""From options to a running controller: connection, watches, writers, election and signals."""

import os
import random
import signal
import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from socket import gethostname
from types import FrameType

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.api import KubernetesSource
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.election import Election
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.adapters.kubernetes.writes import Writers
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.programs.controller import KINDS, Controller, Elected, Heard, Stop

WRITERS = 8  # writes under way at once; the API server answers one in a few milliseconds
WRITERS_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerOptions:
    """How a controller was called.

    Attributes:
        namespace: of the metallb.io resources, the legacy ConfigMap and the Lease.
        lb_class: spec.loadBalancerClass of the Services that are ours; None: those without.
        kubeconfig: None takes the pod's own account.
    """

    namespace: str
    lb_class: str | None
    kubeconfig: Path | None


class RereadSource(KubernetesSource):
    """The Kubernetes API, of which a kind can be read anew."""

    def read_anew(self, kind: str) -> None:
        """List a kind once more."""
        self.unfollow(kind)
        self.follow(kind)


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
    election = Election(
        connection,
        namespace=options.namespace,
        identity=f"{gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        changed=lambda leads: inbox.put(Elected(leads)),
        on_death=inbox.put,
    )
    writers = Writers(
        connection, sent=inbox.put, may_write=election.leads, on_death=inbox.put, count=WRITERS
    )
    source = RereadSource(
        connection,
        namespace=options.namespace,
        on_death=inbox.put,
        pace=Pace(uniform=random.uniform),
        kinds=KINDS,
    )
    inventory = Inventory(options.namespace, options.lb_class)
    controller = Controller(inventory, inbox=inbox, source=source, writer=writers)

    def stop(_number: int, _frame: FrameType | None) -> None:
        inbox.put(Stop())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    writers.start()
    election.start()
    try:
        controller.run()
    finally:
        writers.stop(WRITERS_STOP_SECONDS)
        election.stop()
