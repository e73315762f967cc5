"""The part of a speaker that tells the cluster what its node does: status objects and Events.

What is told follows from decisions and from ExaBGP's notices; `status_writer` writes what differs
from what the API has. Events follow those writes, so a restart repeats none: a Service gets one
when this node begins to announce it, a BGPPeer when its session comes or goes, but one a minute.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.exabgp.dialogue import Notice
from exabgp_metallb.adapters.kubernetes import writes
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.statuses import Author
from exabgp_metallb.adapters.kubernetes.writes import Involved, Request, Sent, Writers
from exabgp_metallb.adapters.source import OnDeath
from exabgp_metallb.decisions.allowance import Allowance
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Post
from exabgp_metallb.programs.refusals import Refusals, Retries
from exabgp_metallb.programs.session_history import SessionHistory, Standing
from exabgp_metallb.programs.status_writer import StatusWriter
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.orders import ForeignClaim
from exabgp_metallb.values.sessions import Session
from exabgp_metallb.values.statuses import (
    ConfigurationVerdict,
    ServiceBgpStatus,
    ServiceL2Status,
    SessionState,
    Status,
    StatusKind,
    StatusName,
)

COMPONENT = "metallb-speaker"  # the source of MetalLB's Events, which dashboards filter by
WRITERS = 2
WRITE_SECONDS = 10.0  # the longest wait for an answer
STOP_SECONDS = 0.5  # ExaBGP gives its process two to end
SESSION_EVENT_SECONDS = 60.0  # between two Events of one session
CLAIM_EVENT_SECONDS = 300.0  # between two Events of one Service that somebody else answers for

AnsweredHere = Callable[[], Mapping[ObjectName, tuple[str, ...]]]
"""Returns the Services whose addresses this node answers for on layer 2, and the interfaces."""

ClaimedHere = Callable[[], Mapping[ObjectName, tuple[ForeignClaim, ...]]]
"""Returns the Services whose addresses somebody who is no candidate answers for, as heard here."""

BfdState = Callable[[Address], str]
"""Returns `Up`, `Down` or N/A for a neighbor."""


class Writing(Protocol):
    """The threads that write; see `adapters.kubernetes.writes.Writers`."""

    def start(self) -> None:
        """Begin to send."""

    def submit(self, term: int, key: object, request: Request) -> None:
        """Have a request sent."""

    def stop(self, seconds: float) -> bool:
        """End within a time."""


NewWriting = Callable[[Connection, Callable[[Sent], None], OnDeath], Writing]
"""Makes them, given whom they tell what became of each request, and of their death."""


def _writers(connection: Connection, sent: Callable[[Sent], None], on_death: OnDeath) -> Writing:
    return Writers(
        connection,
        sent=sent,
        may_write=lambda _term: True,
        on_death=on_death,
        threads=WRITERS,
        seconds=WRITE_SECONDS,
    )


def _no_bfd(_neighbor: Address) -> str:
    return "N/A"


class Statuses:
    """Tells the cluster what a node does.

    Args:
        post: how the threads that write are heard.
        namespace: the install namespace.
        answered: what the node answers for on layer 2; a new mapping whenever that changes.
        claimed: what others answer for; in the same way.
        bfd: the state of a neighbor's BFD session.
        service_bgp: tell which Services the node announces by BGP; otherwise what was told of them
            before is removed.
        wall: the time in UTC.
        writing: makes the threads that write.
    """

    def __init__(  # noqa: PLR0913 -- whom it asks, one for each thing to tell
        self,
        post: Post,
        *,
        namespace: str,
        answered: AnsweredHere = dict,
        claimed: ClaimedHere = dict,
        bfd: BfdState = _no_bfd,
        service_bgp: bool = True,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        writing: NewWriting = _writers,
    ) -> None:
        self._post = post
        self._namespace = namespace
        self._answered = answered
        self._claimed = claimed
        self._bfd = bfd
        self._tells_services = service_bgp
        self._wall = wall
        self._routes: NodeRoutes | None = None
        self._history = SessionHistory()
        self._new_writing = writing
        self._writers: Writing | None = None
        self._writer = StatusWriter(self._submit, self._told)
        self._answered_last: Mapping[ObjectName, tuple[str, ...]] = {}
        self._compared = False  # with what was written before
        self._sessions: dict[StatusName, Session] = {}
        self._events = Allowance(1, SESSION_EVENT_SECONDS)
        self._claimed_last: Mapping[ObjectName, tuple[ForeignClaim, ...]] = {}
        self._claim_events = Allowance(1, CLAIM_EVENT_SECONDS)
        self._postponed = Retries[ObjectName]()
        self._told_up: dict[ObjectName, bool] = {}  # sessions, as Events told them
        self._refusals = Refusals()

    def connected(self, connection: Connection) -> None:
        """Begin to write; from any thread, once."""
        self._post(lambda _now: self._begin(connection))

    def _begin(self, connection: Connection) -> None:
        self._writers = self._new_writing(connection, self._hear, self._died)
        self._writers.start()

    def _hear(self, sent: Sent) -> None:
        self._post(lambda now: self._sent(sent, now))

    @staticmethod
    def _died(error: BaseException) -> None:
        """Go on without: routes matter more than what is told of them."""
        logger.error("no status is written any more: {!r}", error)

    def _submit(self, key: object, request: Request) -> None:
        if self._writers is not None:
            self._writers.submit(0, key, request)

    # What a part does.

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:
        """Tell of what changed."""
        self._routes = routes
        if touched.everything:
            self._all_services(routes)
            self._all_sessions(routes)
        for name in touched.verdicts:
            self._service(routes, name)
        if touched.everything or touched.faults:
            self._configuration(routes)

    def noticed(self, notice: Notice, now: float) -> None:  # noqa: ARG002 -- the protocol's
        """Tell of a session."""
        neighbor = self._history.noticed(notice, self._wall())
        if neighbor is None:
            return
        for name, session in self._sessions.items():
            if session.peer.address == neighbor:
                self._session(name, session)

    def act(self, now: float) -> None:
        """Have written what may be written."""
        if self._writers is None or self._routes is None:
            return
        self._layer2()
        self._tell_claims(now)
        if self._writer.has_read and not self._compared:
            self._compared = True
            self._all_sessions(self._routes)
            self._configuration(self._routes)
        self._writer.act(self._author(self._routes), now)
        for peer in self._postponed.take_due(now):
            self._tell_session(peer, now)

    def deadline(self, now: float) -> float | None:
        """Return when a write is due."""
        if self._writers is None or self._routes is None:
            return None
        return self._writer.deadline(now)

    def status(self, now: float) -> Mapping[str, object]:  # noqa: ARG002 -- the protocol's
        """Return nothing: what this part knows it has from others."""
        return {}

    def stop(self) -> None:
        """End the threads that write."""
        if self._writers is not None:
            self._writers.stop(STOP_SECONDS)

    # What is wanted.

    def _author(self, routes: NodeRoutes) -> Author:
        uid = routes.inventory.uid(ObjectRef("Node", "", routes.node_name))
        return Author(node=routes.node_name, namespace=self._namespace, uid=uid)

    def _all_services(self, routes: NodeRoutes) -> None:
        services = routes.inventory.snapshot().services
        for name in self._writer.wanted(StatusKind.SERVICE_BGP):
            if name.about not in services:
                self._writer.want(name, None)
        for service in services:
            self._service(routes, service)

    def _service(self, routes: NodeRoutes, service: ObjectName) -> None:
        if not self._tells_services:
            return
        peers = () if routes.drained else routes.table.peers_of(service)
        status = ServiceBgpStatus(peers) if peers else None
        self._writer.want(StatusName(StatusKind.SERVICE_BGP, service), status)

    def _all_sessions(self, routes: NodeRoutes) -> None:
        self._sessions = {
            StatusName(StatusKind.SESSION, ObjectName(self._namespace, each.peer.name)): each
            for each in routes.sessions
            if each.peer.address is not None
        }
        for name in self._writer.wanted(StatusKind.SESSION) - self._sessions.keys():
            self._writer.want(name, None)
        for name, session in self._sessions.items():
            self._session(name, session)

    def _session(self, name: StatusName, session: Session) -> None:
        address = session.peer.address
        if address is None or not self._writer.has_read:
            return
        standing, shown = self._history.of(address), self._writer.shown(name)
        since = "" if standing.since is None else writes.timestamp(standing.since)
        if isinstance(shown, SessionState):
            if standing == Standing():  # nothing was heard of it yet
                self._writer.want(name, shown)
                return
            if not since and shown.established == standing.established:
                since = shown.since  # it stood so before this speaker began
        state = SessionState(
            address=str(address),
            vrf=session.peer.vrf or "",
            established=standing.established,
            since=since,
            last_error=standing.last_error,
            bfd=self._bfd(address),
        )
        self._writer.want(name, state)

    def _configuration(self, routes: NodeRoutes) -> None:
        name = StatusName(StatusKind.CONFIGURATION, ObjectName("", routes.node_name))
        faults = tuple(map(str, routes.inventory.faults))
        shown = self._writer.shown(name)
        same = isinstance(shown, ConfigurationVerdict) and bool(shown.faults) == bool(faults)
        since = shown.since if isinstance(shown, ConfigurationVerdict) and same else ""
        verdict = ConfigurationVerdict(faults, since or writes.timestamp(self._wall()))
        self._writer.want(name, verdict)

    def _layer2(self) -> None:
        answered = self._answered()
        if answered is self._answered_last:
            return
        for service in self._answered_last.keys() - answered.keys():
            self._writer.want(StatusName(StatusKind.SERVICE_L2, service), None)
        for service, interfaces in answered.items():
            if self._answered_last.get(service) != interfaces:
                status = ServiceL2Status(interfaces)
                self._writer.want(StatusName(StatusKind.SERVICE_L2, service), status)
        self._answered_last = answered

    # What is told.

    def _sent(self, sent: Sent, now: float) -> None:
        if isinstance(sent.key, Involved):
            if sent.error is not None and not sent.conflict and not sent.missing:
                self._refusals.tell("Event", sent, now)
            return
        self._writer.sent(sent, now)

    def _told(self, name: StatusName, before: Status | None, after: Status | None) -> None:
        if name.kind is StatusKind.SERVICE_BGP and before is None and after is not None:
            self._assigned(name.about, "bgp")
        elif name.kind is StatusKind.SERVICE_L2 and before is None and after is not None:
            self._assigned(name.about, "layer2")
        elif isinstance(before, SessionState) and isinstance(after, SessionState):
            self._told_up.setdefault(name.about, before.established)
            self._postponed.postpone(name.about, 0.0)

    def _assigned(self, service: ObjectName, protocol: str) -> None:
        routes = self._routes
        if routes is None:
            return
        message = f'announcing from node "{routes.node_name}" with protocol "{protocol}"'
        self._event(self._of_service(routes, service), ("Normal", "nodeAssigned", message))

    @staticmethod
    def _of_service(routes: NodeRoutes, service: ObjectName) -> Involved:
        uid = routes.inventory.uid(ObjectRef("Service", service.namespace, service.name))
        return Involved(api_version="v1", kind="Service", name=service, uid=uid)

    def _tell_claims(self, now: float) -> None:
        """Tell of others that begin to answer for the addresses of our Services."""
        claimed, before = self._claimed(), self._claimed_last
        if claimed is before or self._routes is None:
            return
        self._claimed_last = claimed
        for service, claims in claimed.items():
            news = [claim for claim in claims if claim not in before.get(service, ())]
            if not news or not self._claim_events.spend(service, now):
                continue
            who = ", ".join(
                f"{claim.mac} on {claim.interface} for {claim.address}" for claim in news
            )
            message = (
                f'node "{self._routes.node_name}" hears somebody else answer: {who}; where that is '
                "a node of this cluster it may be kube-proxy in IPVS mode: set strictARP"
            )
            self._event(
                self._of_service(self._routes, service), ("Warning", "foreignClaim", message)
            )

    def _tell_session(self, peer: ObjectName, now: float) -> None:
        routes, state = self._routes, self._writer.shown(StatusName(StatusKind.SESSION, peer))
        if routes is None or not isinstance(state, SessionState):
            return
        if self._told_up.get(peer) == state.established:
            return
        if not self._events.spend(peer, now):
            self._postponed.postpone(peer, now + SESSION_EVENT_SECONDS)
            return
        self._told_up[peer] = state.established
        uid = routes.inventory.uid(ObjectRef("BGPPeer", peer.namespace, peer.name))
        involved = Involved(api_version="metallb.io/v1beta2", kind="BGPPeer", name=peer, uid=uid)
        where = f'session of node "{routes.node_name}" with {state.address}'
        if state.established:
            self._event(involved, ("Normal", "SessionUp", f"{where} is established"))
        else:
            self._event(
                involved, ("Warning", "SessionDown", f"{where} is down: {state.last_error}")
            )

    def _event(self, involved: Involved, said: tuple[str, str, str]) -> None:
        if involved.uid:
            self._submit(involved, writes.event_on(involved, COMPONENT, said, self._wall()))
