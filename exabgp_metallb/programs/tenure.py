"""One leadership of a controller: what was read and decided in it, and how far it is written.

It begins with nothing. Every kind is read anew, so that nothing is missed that a forerunner wrote
last, and no pool that its addresses came from; then all Services are decided at once, those with
addresses first, which keeps what is there; from then on each change is decided as it comes.
When the leadership ends all of this is dropped: the cluster has the truth.

What a Service shows is written as `decisions.publish` allows; its Events follow the write
(`decisions.tidings`). Counters of pools and the ConfigurationState are written each second at most.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from loguru import logger

from exabgp_metallb.adapters.kubernetes import writes
from exabgp_metallb.adapters.kubernetes.writes import DeposedError, Request, Sent
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Put
from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.decisions.allowance import Allowance
from exabgp_metallb.decisions.publish import Publication
from exabgp_metallb.decisions.status import showing, shown
from exabgp_metallb.decisions.tidings import Tidings
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.programs.refusals import Refusals, Retries
from exabgp_metallb.programs.report import Report
from exabgp_metallb.programs.services import SERVICE, Services
from exabgp_metallb.programs.summaries import Submit, Summaries
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Outcome, PoolUsage

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
        SERVICE,
    }
)
"""All that the Intent is resolved from, so that controller, speakers and `plan` see the same one,
but for Secrets: a password decides no address."""


BURST, PAUSE_SECONDS = 50, 1.0
"""How often one Service is written: somebody else may write its status as stubbornly as we do."""

EVENT_ATTEMPTS = 6  # half a minute; a Service's condition says the same


@dataclass(frozen=True, slots=True)
class _EventKey:
    """An Event on its way; it is known by its number."""

    number: int
    service: ObjectName = field(compare=False)
    request: Request = field(compare=False)


class Tenure:
    """What a controller knows and does while it leads.

    Args:
        namespace: of the metallb.io resources and the legacy ConfigMap.
        lb_class: of the Services that are ours; None: those without.
        submit: has a write sent, by the key that `sent` is told with.

    Attributes:
        unread: the kinds that were not read yet; nothing is decided before that.
        away: the kinds that cannot be read now.
    """

    def __init__(self, *, namespace: str, lb_class: str | None, submit: Submit) -> None:
        self.unread = set(KINDS)
        self.away: set[str] = set()
        self._submit = submit
        self._inventory = Inventory(namespace, lb_class)
        self._services = Services(lb_class)
        self._report = Report()
        self._begun = False
        self._allocator = Allocator((), {})
        self._publication = Publication()
        self._tidings = Tidings()
        self._bound: dict[ObjectName, str] = {}  # the version that the last write is bound to
        self._touched: set[ObjectName] = set()  # may show now what was decided
        self._retries = Retries[ObjectName]()
        self._allowance = Allowance(BURST, PAUSE_SECONDS)
        self._events = Retries[_EventKey]()
        self._numbers = count()
        self._refusals = Refusals()
        self._summaries = Summaries(namespace, submit)

    # What is told.

    def hear(self, event: Event) -> None:
        """Take what the source tells."""
        if isinstance(event, Put):
            if event.object.ref.kind == SERVICE:
                self._services.put(event.object)
            else:
                self._inventory.put(event.object)
        elif isinstance(event, Gone):
            if event.ref.kind == SERVICE:
                self._services.gone(event.ref)
            else:
                self._inventory.gone(event.ref)
        elif isinstance(event, Listed):
            self._listed(event)
        elif isinstance(event, Away):
            self.away.add(event.what)
            self._report.away(event)
        elif isinstance(event, Back):
            self.away.discard(event.what)
            logger.info("{}: read again", event.what)
        self._summaries.hear(event)

    def _listed(self, listed: Listed) -> None:
        if SERVICE in listed.kinds:
            self._services.listed(p for p in listed.objects if p.ref.kind == SERVICE)
        self._inventory.listed(listed.kinds - {SERVICE}, listed.objects)
        self.unread -= listed.kinds

    def sent(self, sent: Sent, now: float) -> None:
        """Note what became of a write."""
        if isinstance(sent.key, ObjectName):
            self._service_sent(sent.key, sent, now)
        elif isinstance(sent.key, _EventKey):
            self._event_sent(sent.key, sent, now)
        else:
            self._summaries.sent(sent, now)

    def _service_sent(self, name: ObjectName, sent: Sent, now: float) -> None:
        self._touched.add(name)
        if sent.error is None:
            self._services.written(name, sent.version)
            self._publication.written(name)
            self._retries.over(name)
            return
        has_moved_on = self._services.version(name) != self._bound.get(name)
        if sent.unknown and not has_moved_on:
            self._publication.unanswered(name)
        else:
            self._publication.refused(name)
        if name not in self._services.ours:
            return
        self._retries.failed(name, now)
        if not sent.conflict and not isinstance(sent.error, DeposedError):
            self._refusals.tell("Service", sent, now)

    def _event_sent(self, key: _EventKey, sent: Sent, now: float) -> None:
        if sent.passing and self._events.failed(key, now) < EVENT_ATTEMPTS:
            return
        self._events.over(key)
        told = sent.error is None or sent.conflict  # it is there from an attempt before
        if not (told or sent.missing):  # nobody misses an Event of what is gone
            self._refusals.tell("Event on Service", sent, now)

    # What is decided.

    def work(self, now: float, wall: datetime) -> None:
        """Decide what there is to decide, and have written what may be written."""
        changes = self._inventory.take_changes()
        if changes.faults:
            self._report.faults(self._inventory.faults)
        if self.unread:
            return
        if self._begun:
            self._follow(changes, now, wall)
        else:
            self._begin()
        self._write(now, wall)

    def _begin(self) -> None:
        self._begun = True
        self._services.take_news()
        services = self._services.ours
        snapshot = self._inventory.snapshot()
        for name, service in services.items():
            self._publication.shows(name, shown(service))
        outcomes = self._allocator.edit(
            dict(services), pools=snapshot.intent.pools, namespaces=snapshot.namespaces
        )
        for outcome in outcomes:
            # What a Service shows already was told when it came to show it.
            self._want(outcome, told=showing(outcome) == shown(services[outcome.service]))
        given = sum(outcome.lease is not None for outcome in outcomes)
        logger.info("decided: {} of {} Services have addresses", given, len(services))

    def _follow(self, changes: Changes, now: float, wall: datetime) -> None:
        news = self._services.take_news()
        for name in news.told:
            self._told(name, now, wall)
        if not (news.changed or changes.intent or changes.namespaces):
            return
        snapshot = self._inventory.snapshot()
        outcomes = self._allocator.edit(
            {name: self._services.ours.get(name) for name in news.changed},
            pools=snapshot.intent.pools if changes.intent else None,
            namespaces=snapshot.namespaces if changes.namespaces else None,
        )
        for outcome in outcomes:
            if outcome.service in self._services.ours:
                self._want(outcome, told=False)

    def _told(self, name: ObjectName, now: float, wall: datetime) -> None:
        """Take what a Service shows now."""
        service = self._services.ours.get(name)
        if service is None:
            if self._publication.wants_nothing(name):
                self._tell_owner(name, now, wall)  # it was cleaned up after a change of its type
            self._publication.gone(name)
            self._tidings.gone(name)
            self._allowance.gone(name)
            self._retries.over(name)
            self._bound.pop(name, None)
            return
        self._touched.add(name)
        self._publication.shows(name, shown(service))
        if self._services.version(name) != self._bound.get(name):
            self._publication.moved_on(name)

    def _want(self, outcome: Outcome, *, told: bool) -> None:
        name = outcome.service
        self._touched.add(name)
        self._publication.want(name, showing(outcome))
        if not told:
            self._tidings.add(name, outcome.events)

    # What is written.

    def _write(self, now: float, wall: datetime) -> None:
        for key in self._events.take_due(now):
            self._submit(key, key.request)
        for name in self._retries.take_due(now):
            self._publication.retry(name)
        for write in self._publication.writes():
            if not self._allowance.spend(write.service, now):
                self._publication.refused(write.service)
                self._retries.postpone(write.service, now + PAUSE_SECONDS)
                continue
            version = self._services.version(write.service)
            self._bound[write.service] = version
            self._submit(write.service, writes.service_status(write, version, wall))
        self._tell_owners(now, wall)
        self._summaries.write(self._allocator, self._all_faults(), now, wall)

    def _tell_owners(self, now: float, wall: datetime) -> None:
        for name in sorted(self._touched):
            if self._publication.is_shown(name):
                self._tell_owner(name, now, wall)
        self._touched.clear()

    def _tell_owner(self, name: ObjectName, now: float, wall: datetime) -> None:
        uid = self._services.uid(name)
        for event in self._tidings.take(name, now) if uid else ():
            logger.info("Service {}: {}: {}", name, event.reason, event.message)
            request = writes.service_event(name, uid, event, wall)
            self._submit(_EventKey(next(self._numbers), name, request), request)

    def _all_faults(self) -> tuple[str, ...]:
        return tuple(map(str, self._inventory.faults))

    # For metrics.

    @property
    def is_stale(self) -> bool:
        """Tell whether an object is refused, or a kind cannot be read now."""
        return bool(self.away or self._inventory.faults)

    def usage(self) -> dict[str, PoolUsage]:
        """Return the counters of each pool."""
        return dict(self._allocator.usage())
