"""From options to a running speaker: the choice of source, pipe and files.

ExaBGP ends itself, and all sessions with it, at the sixth death of its process within a minute. So
here nothing that a person can mend ends the speaker: it goes on without what cannot be had and says
so, or it waits; and what nobody foresaw ends it slowly.
"""

import gc
import grp
import random
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Lock

from loguru import logger

from exabgp_metallb.adapters.exabgp.pipe import Listener as PipeListener
from exabgp_metallb.adapters.exabgp.pipe import Pipe, set_aside
from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.files.manifests import ManifestFolder
from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.api import KubernetesSource
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.adapters.layer2.orders import OrdersServer
from exabgp_metallb.adapters.notify import Notifier
from exabgp_metallb.adapters.source import Away, Back, Listener, OnDeath, thread
from exabgp_metallb.errors import ExabgpError, SourceError, UsageError
from exabgp_metallb.parsing.objects import KINDS
from exabgp_metallb.programs.bfd import Bfd, bfd_part
from exabgp_metallb.programs.control_socket import ControlSocket
from exabgp_metallb.programs.heartbeat import Heartbeat, speaker_status
from exabgp_metallb.programs.known_objects import NodeSource
from exabgp_metallb.programs.layer2 import Layer2, Layer2Settings
from exabgp_metallb.programs.layer2 import Listener as ReportListener
from exabgp_metallb.programs.node_scope import NODE, NodeScope
from exabgp_metallb.programs.options import Options, written
from exabgp_metallb.programs.parts import Neighbors, Part, Post, dies
from exabgp_metallb.programs.run import SPEAKER_COMMAND
from exabgp_metallb.programs.speaker import Settings, Speaker
from exabgp_metallb.programs.standalone import Standalone
from exabgp_metallb.programs.statuses import Statuses
from exabgp_metallb.values.objects import NodeName, ObjectName
from exabgp_metallb.values.vitals import SpeakerVitals

ALL_KINDS = frozenset(kind for _, kind in KINDS)

CLUSTER_KINDS = frozenset(
    {
        "BFDProfile",
        "BGPAdvertisement",
        "BGPPeer",
        "Community",
        "ConfigMap",
        "EndpointSlice",
        "IPAddressPool",
        "L2Advertisement",
        "Node",
        "Service",
    }
)
"""What a node reads of a cluster. Namespaces matter to the controller alone; Secrets are followed
from when a BGPPeer names one."""

CLUSTER = "the Kubernetes API"  # what is away while no configuration for it can be read
COLLECT_AFTER = 50_000
"""Objects made between two collections of garbage. What is held are values without cycles, and many
of them: at Python's 700, reading ten thousand Services takes three times as long."""

Connect = Callable[[PipeListener], Pipe]
"""Makes the pipe to ExaBGP."""

RETRY_SECONDS = 5.0  # between two looks at a configuration that cannot be read
LINGER_SECONDS = 20.0
"""Before a death. ExaBGP 5 ends at the sixth within 64 s, counted from each multiple of 64 s of its
clock (api/processes.py): so there are four at most, and one more may be somebody's `kill`."""


Connected = Callable[[Connection], None]
"""Takes the connection to the Kubernetes API; called from a thread of its own."""


class ClusterSource:
    """The Kubernetes API as a source that a wrong kubeconfig makes wait and not die.

    ExaBGP ends itself when its process dies too often, and all sessions with it.

    Args:
        options: how to reach the API, and where our resources are.
        on_death: is told when a thread dies.
        connected: are given the connection as soon as there is one.
    """

    def __init__(
        self, options: Options, on_death: OnDeath, connected: Sequence[Connected] = ()
    ) -> None:
        self._options = options
        self._on_death = on_death
        self._connected = connected
        self._lock = Lock()
        self._kinds = set(CLUSTER_KINDS)
        self._source: KubernetesSource | None = None
        self._stopped = Event()

    def start(self, listener: Listener) -> None:
        """Begin to read as soon as the configuration can be read."""
        thread(partial(self._begin, listener), name="kubernetes", on_death=self._on_death).start()

    def _begin(self, listener: Listener) -> None:
        told = None
        while not self._stopped.is_set():
            try:
                connection = self._connect()
            except SourceError as error:
                if str(error) != told:
                    listener(Away(CLUSTER, str(error)))
                told = str(error)
                self._stopped.wait(RETRY_SECONDS)
                continue
            if told is not None:
                listener(Back(CLUSTER))
            for take in self._connected:
                take(connection)
            self._follow_all(connection, listener)
            return

    def _connect(self) -> Connection:
        kubeconfig = self._options.kubeconfig
        load = config.in_cluster if kubeconfig is None else partial(config.kubeconfig, kubeconfig)
        return Connection(load, now=time.monotonic)

    def _follow_all(self, connection: Connection, listener: Listener) -> None:
        nodes = NodeScope(self._options.node, listener, self._read_nodes)
        with self._lock:
            if self._stopped.is_set():  # while the configuration was read
                connection.close()
                return
            self._source = KubernetesSource(
                connection,
                namespace=self._options.namespace,
                on_death=self._on_death,
                pace=Pace(uniform=random.uniform),
                kinds=self._kinds - {NODE},
            )
            self._source.start(nodes.hear)

    def _read_nodes(self, listener: Listener, only: NodeName | None) -> None:
        with self._lock:
            if self._source is not None and not self._stopped.is_set():
                self._source.unfollow(NODE)
                self._source.follow(NODE, only=only, listener=listener)

    def follow(self, kind: str) -> None:
        """Read one more kind."""
        with self._lock:
            self._kinds.add(kind)
            if self._source is not None:
                self._source.follow(kind)

    def stop(self) -> None:
        """End the threads."""
        self._stopped.set()
        with self._lock:
            if self._source is not None:
                self._source.stop()


class FolderSource(ManifestFolder):
    """A folder of manifests, which tells of every kind from the start."""

    def __init__(self, path: Path, namespace: str, on_death: OnDeath) -> None:
        super().__init__(path, on_death=on_death, now=time.monotonic, namespace=namespace)

    def follow(self, kind: str) -> None:
        """Do nothing: the kind is followed already."""


class Composition:
    """The source of objects and the parts of a speaker, as the options ask for them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._connected: list[Connected] = []
        self._layer2: Layer2 | None = None
        self._bfd: Bfd | None = None

    def source(self, on_death: OnDeath) -> NodeSource:
        """Make the source of objects."""
        options = self._options
        if options.manifests is not None:
            return FolderSource(options.manifests, options.namespace, on_death)
        return ClusterSource(options, on_death, self._connected)

    def parts(self, post: Post, neighbors: Neighbors) -> Sequence[Part]:
        """Make what the node does beside its routes."""
        options = self._options
        bfd = bfd_part(options.bfd, options.state_dir, post, neighbors)
        parts: list[Part] = []
        if options.managed:  # BFDProfiles are of BGPPeers
            self._bfd = bfd
            parts.append(bfd)
        self._layer2 = self._make_layer2(post)
        if self._layer2 is not None:
            parts.append(self._layer2)
        if options.manifests is None:
            statuses = Statuses(
                post,
                namespace=options.namespace,
                answered=self._answered,
                claimed=lambda: {} if self._layer2 is None else self._layer2.claimed,
                bfd=bfd.state,
                service_bgp=options.service_bgp_status == "on",
            )
            self._connected.append(statuses.connected)
            parts.append(statuses)
        return parts

    def publish(self) -> Callable[[SpeakerVitals], None] | None:
        """Serve metrics and tell systemd, if they want it, and return who does."""
        options = self._options
        takers: list[Callable[[SpeakerVitals], None]] = []
        if options.metrics is not None and (published := _metrics(options.metrics)) is not None:
            takers.append(published)
        if notifier := Notifier():
            takers.append(partial(_beat, Heartbeat(notifier)))
        return partial(self._publish, takers) if takers else None

    def _publish(
        self, takers: Iterable[Callable[[SpeakerVitals], None]], vitals: SpeakerVitals
    ) -> None:
        layer2 = None if self._layer2 is None else self._layer2.vitals()
        bfd = None if self._bfd is None else self._bfd.vitals()
        for take in takers:
            take(replace(vitals, layer2=layer2, bfd=bfd))

    def answers(self) -> bool:
        """Tell whether this node answers for anything on layer 2."""
        return self._layer2 is not None and self._layer2.answers

    def _answered(self) -> Mapping[ObjectName, tuple[str, ...]]:
        return {} if self._layer2 is None else self._layer2.answered

    def _make_layer2(self, post: Post) -> Layer2 | None:
        options = self._options
        settings = Layer2Settings(
            subnet=options.l2_subnet,
            failback=options.l2_failback,
            refresh_seconds=options.l2_refresh,
            ignore_exclude_label=options.ignore_exclude_lb,
        )
        try:
            serve = partial(self._serve_orders, dies(post))
            return Layer2(options.node, post, connect=serve, settings=settings)
        except OSError as error:
            why = f"{options.orders_socket}: {error.strerror}: set --orders to a path of ours"
        except KeyError:
            why = f"--orders-group: no group is named {options.orders_group!r}"
        if options.without_exabgp:
            raise UsageError(why)
        logger.error("{}; this node answers for nothing on layer 2", why)
        return None

    def _serve_orders(self, on_death: OnDeath, listener: ReportListener) -> OrdersServer:
        group = self._options.orders_group
        server = OrdersServer(
            self._options.orders_socket,
            listener,
            on_death=on_death,
            group=None if group is None else grp.getgrnam(group).gr_gid,
        )
        server.start()
        return server


def speaker(options: Options, connect: Connect | None) -> Speaker:
    """Return the speaker that the options ask for, ready to run."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    try:
        options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        logger.error(
            "{}: {}: nothing is kept over a restart; set --state-dir to a folder that can be "
            "written",
            options.state_dir,
            error.strerror,
        )
    standalone = options.manifests is not None
    composition = Composition(options)
    made = Speaker(
        Settings(
            node=options.node,
            kinds=ALL_KINDS if standalone else CLUSTER_KINDS,
            conf=options.conf if options.managed else None,
            run=SPEAKER_COMMAND,
            process=options.process,
            namespace=options.namespace,
            lb_class=options.lb_class,
            drain_seconds=options.drain_seconds,
            ignore_exclude_label=options.ignore_exclude_lb,
        ),
        source=composition.source,
        connect=connect,
        last_good=LastGood(options.last_good),
        allocate=Standalone(options.leases) if standalone else None,
        publish=composition.publish(),
        parts=composition.parts,
    )
    made.drain.answers = composition.answers
    return made


def _metrics(address: tuple[str, int]) -> Callable[[SpeakerVitals], None] | None:
    """Serve metrics and return who takes them; None when the address cannot be used."""
    from exabgp_metallb.adapters.metrics import Metrics  # noqa: PLC0415 -- 10 MiB

    try:
        metrics = Metrics(*address)
    except OSError as error:
        logger.error("no metrics on {}: {}; set --metrics", written(address), error)
        return None
    metrics.start()
    return metrics.publish


def _beat(heartbeat: Heartbeat, vitals: SpeakerVitals) -> None:
    heartbeat.beat(vitals, speaker_status(vitals), silent_seconds=vitals.silent_seconds)


def run_speaker(options: Options) -> int:
    """Run the speaker until ExaBGP ends, and return the exit status.

    Raises:
        UsageError: there is no ExaBGP, and nothing else that could be done.
    """
    logger.info("speaker of node {} starts", options.node)
    connect = None if options.without_exabgp else _exabgp()
    try:
        made = speaker(options, connect)
        control = ControlSocket(options.socket, made)
        control.start()
        try:
            made.run()
        finally:
            control.stop()
    except UsageError:
        raise
    except ExabgpError as error:
        logger.info("{}", error)
        linger(connect)  # it ends at once where ExaBGP has ended
    except Exception as error:  # noqa: BLE001 -- whatever it is, ExaBGP must not see us die fast
        logger.critical(
            "the speaker ends by what nobody foresaw:\n{}",
            "".join(traceback.format_exception(error)),
        )
        linger(connect)
        return 1
    return 0


def _exabgp() -> Connect:
    """Return what makes the pipe to ExaBGP, which is nobody else's from now on."""
    try:
        stdin, stdout = set_aside()
    except OSError:  # a standard stream is closed: ExaBGP did not start us, and this ends soon
        return Pipe
    return partial(Pipe, stdin=stdin, stdout=stdout)


def linger(connect: Connect | None = Pipe) -> None:
    """Stay for a while, while ExaBGP does, and read what it writes: it would wait for us."""
    if connect is None:
        return
    ended = Event()
    connect(lambda lines: None if lines else ended.set()).start()
    ended.wait(LINGER_SECONDS)
