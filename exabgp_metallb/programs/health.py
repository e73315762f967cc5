"""How a speaker is: what its probes and metrics are made from, and what its control socket answers.

It only looks on: nothing is decided by what stands here.
"""

from collections.abc import Mapping
from datetime import datetime

from exabgp_metallb.adapters.exabgp.dialogue import Dialogue, Greeted, Notice, RouteRefused
from exabgp_metallb.decisions.latency import Latency
from exabgp_metallb.programs.known_objects import KnownObjects
from exabgp_metallb.programs.managed import ManagedConfiguration
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.session_history import SessionHistory
from exabgp_metallb.programs.status import Condition, Document, node_status
from exabgp_metallb.values.vitals import SpeakerVitals

SILENT_SECONDS = 30.0  # without an answer of ExaBGP; no load makes it that slow
LOOK_SECONDS = 1.0  # between two looks at which Services are announced


class Health:
    """One speaker's.

    Args:
        known: the objects.
        routes: what is wanted.
        dialogue: what ExaBGP holds.
        managed: the configuration, where it is ours.
        exabgp: there is one.
    """

    def __init__(
        self,
        known: KnownObjects,
        routes: NodeRoutes,
        dialogue: Dialogue,
        managed: ManagedConfiguration | None,
        *,
        exabgp: bool,
    ) -> None:
        self._known = known
        self._routes = routes
        self._dialogue = dialogue
        self._managed = managed
        self._version = "" if exabgp else None  # ExaBGP's
        self._history = SessionHistory()
        self._latency = Latency()
        self._refused_lines = 0
        self._faulty = False
        self._sent = False  # the first table is on the wire, to all that have a session
        self._announced: tuple[tuple[str, str], ...] = ()
        self._look_at = 0.0  # when that is looked at again

    # What is seen.

    def noticed(self, notice: Notice, wall: datetime) -> None:
        """Take what ExaBGP told at a time in UTC."""
        self._history.noticed(notice, wall)
        if isinstance(notice, RouteRefused):
            self._refused_lines += 1
        elif isinstance(notice, Greeted):
            self._version = notice.version

    def decided(self, touched: Touched, heard_at: float) -> None:
        """Take what was decided, and when the first event behind it was heard."""
        if touched.faults:
            self._faulty = bool(self._routes.inventory.faults)
        routes_touched = touched.everything or touched.urgent or touched.bulk
        if routes_touched and self._dialogue.released:
            self._latency.began(heard_at)

    def turned(self, now: float) -> None:
        """Look whether all that is wanted is on the wire."""
        if not self._dialogue.window.idle(now):
            return
        self._latency.done(now)
        changing = self._managed is not None and self._managed.changing
        self._sent = self._sent or (self._dialogue.released and not changing)

    # What is told.

    def status(self, now: float, parts: Mapping[str, object]) -> Document:
        """Return how the node is; see `status.node_status`."""
        condition = Condition(
            version=self._version,
            managed=self._managed is not None,
            waiting_for=self._waiting_for(now),
            away=self._known.away,
            faults=len(self._routes.inventory.faults),
            refused_lines=self._refused_lines,
            behind=None if self._managed is None else self._managed.behind,
        )
        return node_status(condition, self._routes, self._dialogue, self._history, parts)

    def vitals(self, now: float) -> SpeakerVitals:
        """Return how the speaker is, as of this turn of its loop."""
        sessions = {str(s.peer.address): s for s in self._routes.sessions}
        return SpeakerVitals(
            turned_at=now,
            loaded=not self._known.unread,
            stale=bool(self._known.away or self._faulty),
            waiting_for=self._not_ready_for(now),
            away=frozenset(self._known.away),
            sessions={
                f"{address}:{s.peer.port}": s.peer.address is not None
                and self._dialogue.is_up(s.peer.address)
                for address, s in sessions.items()
            },
            prefixes={
                f"{address}:{s.peer.port}": len(self._routes.wanted(s.peer.address))
                for address, s in sessions.items()
                if s.peer.address is not None
            },
            draining=self._routes.draining,
            node=self._routes.node_name,
            announced=self._announced_services(now),
            latency=self._latency.histogram,
            refused_lines=self._refused_lines,
            drift={
                f"{address}:{s.peer.port}": self._dialogue.drifted[s.peer.address]
                for address, s in sessions.items()
                if s.peer.address is not None
            },
            silent_seconds=self._dialogue.silence(now),
        )

    def _waiting_for(self, now: float) -> list[str]:
        """Return what has to come before this node is of use, and before it is so again."""
        if self._known.unread:
            return sorted(self._known.unread)
        silent = self._dialogue.silence(now) >= SILENT_SECONDS
        if silent or not self._dialogue.released:
            return ["ExaBGP"]
        return []

    def _not_ready_for(self, now: float) -> tuple[str, ...]:
        """Return what readiness lacks: the first table too, although nothing is wrong before."""
        unsent = () if self._sent else ("routes on their way",)
        return tuple(self._waiting_for(now)) or unsent

    def _announced_services(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return Services and the addresses that this node announces; looked at once a second."""
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._announced = tuple(self._routes.announced())
        return self._announced
