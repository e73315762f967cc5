"""Gives addresses to Services, and writes them to the cluster.

Two replicas run and one leads. Both watch; only the leader decides and writes. The life of a
leadership: the Lease is ours; every Service is listed once more, so that nothing a forerunner wrote
last is missed; all of them are decided at once, those with addresses first, which keeps what is
there; from then on each change is decided as it comes. When the leadership ends all that was
decided is forgotten: the cluster has the truth.

One thread owns it all. Watches, writers and the election only put what they heard on its queue.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.kubernetes import writes
from exabgp_metallb.adapters.kubernetes.writes import Request, Sent
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Put, Source
from exabgp_metallb.decisions.allocate import Allocator
from exabgp_metallb.decisions.publish import Publication
from exabgp_metallb.decisions.status import showing, shown
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.programs.report import Report
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import ObjectName, Service
from exabgp_metallb.values.outcome import Outcome, PoolUsage
from exabgp_metallb.values.specs import Parsed

KINDS = frozenset(
    {
        "BFDProfile",
        "BGPAdvertisement",
        "BGPPeer",
        "Community",
        "ConfigMap",
        "IPAddressPool",
        "L2Advertisement",
        "Namespace",
        "Node",
        "Service",
    }
)
"""All that the Intent is resolved from, so that controller, speakers and `plan` see the same one,
but for Secrets: a password decides no address."""

SERVICE = "Service"
STATE_OBJECT, STATE = "the ConfigurationState", "the status of the ConfigurationState"
BATCH = 500  # events taken in one turn
TURN_SECONDS = 1.0
COUNTERS_SECONDS = 1.0  # between two writes of the counters of all pools
RETRY_SECONDS = 1.0  # before a refused write is tried again; a newer object tries at once


@dataclass(frozen=True, slots=True)
class Elected:
    """The election is won or lost."""

    leads: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """The process shall end."""


Heard = Event | Sent | Elected | Stop | BaseException


class ControllerSource(Source, Protocol):
    """A source of which a kind can be read anew."""

    def read_anew(self, kind: str) -> None:
        """List a kind once more; a `Listed` comes of it."""


class Writer(Protocol):
    """Sends writes; see `adapters.kubernetes.writes.Writers`."""

    def submit(self, key: object, request: Request) -> None:
        """Have a write sent; `Sent` with this key comes of it."""


class Services:
    """The Services that this controller has to do with, and what changed of them.

    Ours are those of type LoadBalancer and of our class. One that has changed its type has lost
    its class as well; while it still bears the pool's annotation it is ours to clean up.
    """

    def __init__(self, lb_class: str | None) -> None:
        self._lb_class = lb_class
        self.ours: dict[ObjectName, Service] = {}
        self._told: dict[ObjectName, Parsed] = {}
        self._changed: set[ObjectName] = set()

    def put(self, parsed: Parsed) -> None:
        """Take a Service that is new or has changed; one that cannot be read stays as it was."""
        name = ObjectName(parsed.ref.namespace, parsed.ref.name)
        self._told[name] = parsed
        if isinstance(parsed.value, Service):
            self._hold(name, parsed.value if self._is_ours(parsed.value) else None)

    def gone(self, ref: ObjectRef) -> None:
        """Forget a Service that was deleted."""
        name = ObjectName(ref.namespace, ref.name)
        self._told.pop(name, None)
        self._hold(name, None)

    def listed(self, objects: Iterable[Parsed]) -> None:
        """Take all Services there are."""
        there = [parsed for parsed in objects if parsed.ref.kind == SERVICE]
        names = {ObjectName(parsed.ref.namespace, parsed.ref.name) for parsed in there}
        for name in self._told.keys() - names:
            self.gone(ObjectRef(SERVICE, name.namespace, name.name))
        for parsed in there:
            self.put(parsed)

    def take_changed(self) -> frozenset[ObjectName]:
        """Return the names of Services that differ from the last time somebody asked."""
        changed = frozenset(self._changed)
        self._changed.clear()
        return changed

    def version(self, name: ObjectName) -> str:
        """Return the resourceVersion that was told last."""
        return self._told[name].version if name in self._told else ""

    def uid(self, name: ObjectName) -> str:
        """Return the uid of a Service."""
        return self._told[name].uid if name in self._told else ""

    def _is_ours(self, service: Service) -> bool:
        if service.is_load_balancer:
            return service.load_balancer_class == self._lb_class
        return service.allocated_pool is not None

    def _hold(self, name: ObjectName, service: Service | None) -> None:
        if self.ours.get(name) == service:
            return
        self._changed.add(name)
        if service is None:
            del self.ours[name]
        else:
            self.ours[name] = service


class Controller:
    """The controller of a cluster.

    Args:
        inventory: empty; the controller fills it.
        source: tells about the kinds of `KINDS`.
        writer: sends what is to be written.

    Attributes:
        inbox: where the threads of source, writer and election put what they heard.
    """

    def __init__(
        self,
        inventory: Inventory,
        *,
        inbox: SimpleQueue[Heard],
        source: ControllerSource,
        writer: Writer,
    ) -> None:
        self.inbox = inbox
        self._inventory = inventory
        self._source = source
        self._writer = writer
        self._unread = set(KINDS)
        self._services = Services(inventory.lb_class)
        self._report = Report()
        self._elected = False
        self._stopped = False
        self._term: _Term | None = None

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            BaseException: a thread of an edge died by it.
        """
        self._source.start(self.inbox.put)
        try:
            while not self._stopped:
                for heard in self._take():
                    self._hear(heard)
                self._work(time.monotonic())
        finally:
            self._source.stop()

    def _take(self) -> list[Heard]:
        heard: list[Heard] = []
        try:
            heard.append(self.inbox.get(timeout=TURN_SECONDS))
            while len(heard) < BATCH:
                heard.append(self.inbox.get_nowait())
        except Empty:
            pass
        return heard

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Put):
            self._put(heard.object)
        elif isinstance(heard, Gone):
            self._gone(heard.ref)
        elif isinstance(heard, Listed):
            self._listed(heard)
        elif isinstance(heard, Sent):
            if self._term is not None:
                self._term.sent(heard, time.monotonic())
        elif isinstance(heard, Elected):
            self._elect(leads=heard.leads)
        elif isinstance(heard, Away):
            self._report.away(heard)
        elif isinstance(heard, Back):
            logger.info("{}: read again", heard.what)
        elif isinstance(heard, Stop):
            self._stopped = True
        else:
            raise heard

    def _put(self, parsed: Parsed) -> None:
        if parsed.ref.kind == SERVICE:
            if self._term is not None and self._term.is_behind(parsed):
                return  # from before a write of ours; what came of that is on its way
            self._services.put(parsed)
        self._inventory.put(parsed)

    def _gone(self, ref: ObjectRef) -> None:
        if ref.kind == SERVICE:
            self._services.gone(ref)
        self._inventory.gone(ref)

    def _listed(self, listed: Listed) -> None:
        if SERVICE in listed.kinds:
            self._services.listed(listed.objects)
        self._inventory.listed(listed.kinds, listed.objects)
        self._unread -= listed.kinds

    def _elect(self, *, leads: bool) -> None:
        self._elected = leads
        self._term = None
        if leads:
            logger.info("this replica leads; reading every Service once more")
            self._unread.add(SERVICE)
            self._source.read_anew(SERVICE)
        else:
            logger.warning("this replica leads no more; nothing is written")

    def _work(self, now: float) -> None:
        changes = self._inventory.take_changes()
        if changes.faults:
            self._report.faults(self._inventory.faults)
        if not self._elected or self._unread:
            return
        if self._term is None:
            self._services.take_changed()
            self._term = _Term(self._inventory, self._services, self._writer)
            self._term.begin()
        else:
            self._term.follow(changes)
        self._term.write(now)


class _Term:
    """One leadership: what was decided in it, and how far it is written."""

    def __init__(self, inventory: Inventory, services: Services, writer: Writer) -> None:
        self._inventory = inventory
        self._services = services
        self._writer = writer
        self._allocator = Allocator((), {})
        self._publication = Publication()
        self._versions: dict[ObjectName, str] = {}  # newer than what the watch has told
        self._retry_at: dict[ObjectName, float] = {}
        self._counters: dict[str, PoolUsage] = {}  # as written last
        self._counters_at = 0.0
        self._faults: tuple[str, ...] | None = None
        self._state: Request | None = None  # the status that follows the object

    def begin(self) -> None:
        """Decide everything that there is."""
        services = self._services.ours
        snapshot = self._inventory.snapshot()
        for name, service in services.items():
            self._publication.shows(name, shown(service))
        outcomes = self._allocator.edit(
            dict(services), pools=snapshot.intent.pools, namespaces=snapshot.namespaces
        )
        self._want(outcomes)
        given = sum(outcome.lease is not None for outcome in outcomes)
        logger.info("decided: {} of {} Services have addresses", given, len(services))

    def follow(self, changes: Changes) -> None:
        """Decide what changed."""
        names = self._services.take_changed()
        if not (names or changes.intent or changes.namespaces):
            return
        edited = {name: self._services.ours.get(name) for name in names}
        for name, service in edited.items():
            if service is None:
                self._publication.gone(name)
                self._versions.pop(name, None)
            else:
                self._publication.shows(name, shown(service))
        snapshot = self._inventory.snapshot()
        self._want(
            self._allocator.edit(
                edited,
                pools=snapshot.intent.pools if changes.intent else None,
                namespaces=snapshot.namespaces if changes.namespaces else None,
            )
        )

    def _want(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            name = outcome.service
            if name not in self._services.ours:
                continue
            self._publication.want(name, showing(outcome))
            uid = self._services.uid(name)
            for event in outcome.events:
                logger.info("Service {}: {}: {}", name, event.reason, event.message)
                request = writes.service_event(name, uid, event, datetime.now(UTC))
                self._writer.submit(None, request)

    # Writing.

    def write(self, now: float) -> None:
        """Send what may be sent."""
        for name in [n for n, at in self._retry_at.items() if at <= now]:
            del self._retry_at[name]
            self._publication.retry(name)
        for write in self._publication.writes():
            version = self._versions.get(write.service) or self._services.version(write.service)
            wall = datetime.now(UTC)
            request = writes.service_status(write.service, write.showing, version, wall)
            self._writer.submit(write.service, request)
        if now >= self._counters_at:
            self._counters_at = now + COUNTERS_SECONDS
            self._write_counters()
            self._write_state()

    def _write_counters(self) -> None:
        usage = self._allocator.usage()
        for pool, counters in usage.items():
            if self._counters.get(pool) != counters:
                request = writes.pool_status(self._inventory.namespace, pool, counters)
                self._writer.submit(("pool", pool), request)
        self._counters = dict(usage)

    def _write_state(self) -> None:
        faults = tuple(map(str, self._inventory.faults))
        if faults != self._faults:
            self._faults = faults
            namespace = self._inventory.namespace
            there, self._state = writes.configuration_state(namespace, faults, datetime.now(UTC))
            self._writer.submit(STATE_OBJECT, there)

    # What comes back.

    def is_behind(self, parsed: Parsed) -> bool:
        """Tell whether the watch tells of a Service as it was before a write of ours.

        Versions of one kind can be compared as numbers (KEP-5504); where they are none, none is.
        """
        name = ObjectName(parsed.ref.namespace, parsed.ref.name)
        written = self._versions.get(name, "")
        if not (written.isdecimal() and parsed.version.isdecimal()):
            return False
        if int(parsed.version) < int(written):
            return True
        del self._versions[name]
        return False

    def sent(self, sent: Sent, now: float) -> None:
        """Note what became of a write."""
        if not isinstance(sent.key, ObjectName):
            if sent.error is not None:
                self._other_failed(sent)
            elif sent.key == STATE_OBJECT and self._state is not None:
                self._writer.submit(STATE, self._state)  # a status needs its object
            return
        if sent.error is None:
            self._versions[sent.key] = sent.version
            self._publication.written(sent.key)
            return
        if sent.unknown:
            self._publication.unanswered(sent.key)
        else:
            self._publication.refused(sent.key)
        self._retry_at[sent.key] = now + RETRY_SECONDS
        if not sent.conflict:
            logger.warning("Service {}: {}; it is tried again", sent.key, sent.error)

    def _other_failed(self, sent: Sent) -> None:
        logger.warning("{}", sent.error)
        if isinstance(sent.key, tuple):
            self._counters.pop(sent.key[1], None)
        elif sent.key in (STATE_OBJECT, STATE):
            self._faults = None
