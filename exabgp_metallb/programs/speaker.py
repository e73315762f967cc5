"""The process that ExaBGP runs: watches objects and tells ExaBGP what this node announces.

One thread, the one that calls `run`, owns all state. The source's threads and the one that reads
ExaBGP's pipe only put what they heard on its queue. Each turn of the loop takes what is there,
decides once, and says what there is room for: a burst of events is one decision.

Until every kind of object has been read once nothing is decided, and what an earlier speaker or
ExaBGP's own restart left announced stays announced.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.exabgp import dialogue as say
from exabgp_metallb.adapters.exabgp.dialogue import Dialogue
from exabgp_metallb.adapters.exabgp.local_address import local_address
from exabgp_metallb.adapters.exabgp.neighbors import ConfiguredNeighbor
from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.source import Event, OnDeath
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.programs.drain import NodeDrain
from exabgp_metallb.programs.health import Health
from exabgp_metallb.programs.held_down import HeldDown
from exabgp_metallb.programs.included import IncludedNeighbors
from exabgp_metallb.programs.known_objects import KnownObjects, NodeSource
from exabgp_metallb.programs.managed import ManagedConfiguration, Validated
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Call, Neighbors, Part, Post
from exabgp_metallb.programs.report import Report
from exabgp_metallb.programs.status import Document
from exabgp_metallb.values.addresses import Address, Prefix
from exabgp_metallb.values.intent import Intent
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.vitals import SpeakerVitals

BATCH = 500  # events taken in one turn: a few milliseconds of work, then urgent routes go out
TURN_SECONDS = 1.0  # the longest wait; deadlines of the window are shorter


class Pipe(Protocol):
    """The pipe to ExaBGP; see `adapters.exabgp.pipe`."""

    def start(self) -> None:
        """Begin to read."""

    def write(self, lines: Iterable[str]) -> None:
        """Write commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a speaker was called.

    Attributes:
        node: our name among the Nodes.
        kinds: the kinds that the source lists; all must have been read before anything is decided.
        conf: the exabgp.conf that we render (managed mode); None where it is somebody else's.
        run: the command of our process section in it.
        process: our name in the process sections of somebody else's exabgp.conf.
        namespace: of the metallb.io resources and the legacy ConfigMap.
        lb_class: spec.loadBalancerClass of the Services that are ours; None: those without.
        drain_seconds: that routers are given to turn to other nodes.
        ignore_exclude_label: see `decisions.preconditions`.
    """

    node: NodeName
    kinds: frozenset[str]
    conf: Path | None = None
    run: Sequence[str] = ()
    process: str = "exabgp-metallb"
    namespace: str = "metallb-system"
    lb_class: str | None = None
    drain_seconds: float = 0.0
    ignore_exclude_label: bool = False


Heard = Event | Call | BaseException | tuple[str, ...]


class Speaker:
    """One node's speaker.

    Attributes:
        drain: takes the node out of service; its first part.

    Args:
        settings: how it was called.
        source: makes what tells about objects, given whom its threads tell that they died.
        connect: makes the pipe, given the listener for ExaBGP's lines; None: there is no ExaBGP,
            and the parts are all that is done.
        last_good: keeps the snapshot on disk; None keeps none.
        allocate: gives addresses to Services where no controller does; see NodeRoutes.
        publish: is told how the speaker is, each time its loop turns.
        parts: makes what the node does beside its routes, given how their threads are heard and
            who holds sessions down.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: Callable[[OnDeath], NodeSource],
        connect: Callable[[Callable[[tuple[str, ...]], None]], Pipe] | None,
        last_good: LastGood | None = None,
        allocate: Callable[[Inventory, Changes], None] | None = None,
        publish: Callable[[SpeakerVitals], None] | None = None,
        parts: Callable[[Post, Neighbors], Sequence[Part]] | None = None,
    ) -> None:
        self._publish = publish
        self._settings = settings
        self._inbox: SimpleQueue[Heard] = SimpleQueue()
        self._pipe = None if connect is None else connect(self._inbox.put)
        exabgp = self._pipe is not None
        self._included = IncludedNeighbors(settings.process) if settings.conf is None else None
        self._inventory = Inventory(settings.namespace, settings.lb_class)
        self._routes = NodeRoutes(
            self._inventory,
            settings.node,
            allocate=allocate,
            adapt=self._adapt,
            ignore_exclude_label=settings.ignore_exclude_label,
            local_address=self._local_address,
        )
        self._known = KnownObjects(
            source(self._inbox.put),
            self._inventory,
            settings.kinds,
            last_good=last_good,
            decide_anew=self._routes.decide_anew,
        )
        self._dialogue = Dialogue(self._routes.wanted, self._is_ours)
        self._managed = (
            None
            if settings.conf is None
            else ManagedConfiguration(settings.conf, settings.run, self._dialogue, self._validated)
        )
        self._held_down = HeldDown(self._dialogue, self._managed)
        self.drain = NodeDrain(
            self._routes,
            self._dialogue,
            settings.drain_seconds,
            ends_sessions=self._managed is not None,
        )
        more = () if parts is None else parts(self.post, self._held_down)
        self._parts: tuple[Part, ...] = (self.drain, *more)
        self._configured = not exabgp  # ExaBGP has shown its neighbors, or there is none
        self._local_addresses: dict[Address, Address] = {}  # of sessions, while they stand
        self._report = Report()
        self._health = Health(
            self._known, self._routes, self._dialogue, self._managed, exabgp=exabgp
        )
        self._told = self._routes.table  # the decision over all Services that was told last
        self._heard_at = 0.0  # the oldest event of this turn, in monotonic seconds
        self._ended = False

    def run(self) -> None:
        """Speak until ExaBGP ends; without one, until an exception does.

        Raises:
            ExabgpError: ExaBGP closed the pipe while we wrote.
            BaseException: a thread of the source died by it.
        """
        if self._pipe is not None:
            self._pipe.start()
            self._dialogue.begin()
        self._known.start(self._inbox.put)
        try:
            while not self._ended:
                self._turn()
        finally:
            self._known.stop()
            for part in self._parts:
                part.stop()

    def post(self, call: Call) -> None:
        """Have something done in the thread that runs this; from any thread."""
        self._inbox.put(call)

    def status(self, now: float) -> Document:
        """Return how the node is; in the thread that runs this."""
        told: Document = {}
        for part in self._parts:
            told |= part.status(now)
        return self._health.status(now, told)

    def _turn(self) -> None:
        for heard in self._take():
            self._hear(heard)
        if self._ended:
            return
        now = time.monotonic()
        self._known.act(now)
        self._decide()
        self._report.silent(self._down(), now)
        if self._managed is not None:
            self._managed.act(now)
        for part in self._parts:
            part.act(now)
        if self._pipe is not None and (lines := self._dialogue.lines(now)):
            self._pipe.write(lines)
        self._health.turned(now)
        self._known.keep(now)
        if self._publish is not None:
            self._publish(self._health.vitals(now))

    def _take(self) -> list[Heard]:
        """Wait for something to happen or to fall due, and return all that has happened."""
        heard: list[Heard] = []
        try:
            heard.append(self._inbox.get(timeout=self._patience(time.monotonic())))
            self._heard_at = time.monotonic()
            while len(heard) < BATCH:
                heard.append(self._inbox.get_nowait())
        except Empty:
            pass
        return heard

    def _patience(self, now: float) -> float:
        due = [now + TURN_SECONDS]
        if self._managed is not None and (deadline := self._managed.deadline(now)) is not None:
            due.append(deadline)
        if (deadline := self._dialogue.window.next_deadline()) is not None:
            due.append(deadline)
        deadlines = (part.deadline(now) for part in self._parts)
        due += [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(due) - now)

    # What is heard.

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, tuple):
            self._hear_exabgp(heard)
        elif isinstance(heard, Event):
            self._known.hear(heard)
        elif isinstance(heard, BaseException):
            raise heard
        else:
            heard(time.monotonic())

    def _validated(self, verdict: Validated) -> None:
        """Hear, in its own thread, what ExaBGP's parser makes of a configuration."""
        if self._managed is not None:
            self._inbox.put(partial(self._managed.validated, verdict))

    def _hear_exabgp(self, lines: tuple[str, ...]) -> None:
        if not lines:
            logger.info("ExaBGP has closed the pipe")
            self._ended = True
        for line in lines:
            for notice in self._dialogue.hear(line):
                self._notice(notice)
                self._health.noticed(notice, datetime.now(UTC))
                self._held_down.noticed(notice)
                for part in self._parts:
                    part.noticed(notice, time.monotonic())

    def _notice(self, notice: say.Notice) -> None:
        if isinstance(notice, say.SessionUp | say.SessionDown | say.SessionFailed):
            self._report.session(notice, self._name(notice.neighbor), time.monotonic())
            if isinstance(notice, say.SessionUp):
                self._look_again()
            else:
                self._local_addresses.pop(notice.neighbor, None)
        elif isinstance(notice, say.ConfigurationFound):
            self._hear_configuration(notice.neighbors)
        elif isinstance(notice, say.RouteRefused):
            self._report.route_refused(notice, self._name(notice.line.neighbors[0]))
        elif isinstance(notice, say.Repaired):
            self._report.repaired(notice, self._name(notice.drift.neighbor))
        elif isinstance(notice, say.QuestionFailed):
            logger.error("ExaBGP does not answer `{}`: its log says why", notice.command)
        elif isinstance(notice, say.Greeted):
            self._report.version(notice.version)
        elif isinstance(notice, say.NotJson):
            self._report.not_json(notice, self._settings.process)
        elif isinstance(notice, say.Ending):
            logger.info("ExaBGP is shutting down")

    def _look_again(self) -> None:
        """Ask how somebody's own exabgp.conf is now: a reload of it tells us nothing else."""
        if self._included is not None and self._configured:
            self._dialogue.ask_configuration()

    def _hear_configuration(self, neighbors: tuple[ConfiguredNeighbor, ...]) -> None:
        """Take how ExaBGP's neighbors are configured."""
        self._configured = True
        if self._managed is not None:
            self._managed.found(neighbors, time.monotonic())
        elif self._included is not None and self._included.found(neighbors):
            self._report.neighbors(neighbors, self._settings.process)
            self._routes.decide_anew()

    def _local_address(self, neighbor: Address) -> Address | None:
        """Return where the session with a neighbor speaks from; kept as long as it stands."""
        if neighbor in self._local_addresses:
            return self._local_addresses[neighbor]
        found = local_address(neighbor)
        if found is not None and self._dialogue.is_up(neighbor):
            self._local_addresses[neighbor] = found
        return found

    def _name(self, neighbor: Address) -> str:
        peer = self._routes.peers.get(neighbor)
        if peer is None or peer == str(neighbor):
            return f"BGP neighbor {neighbor}"
        return f"BGP peer {peer} ({neighbor})"

    # What is decided.

    def _decide(self) -> None:
        self._known.follow_secrets(wait=not self._dialogue.released)
        if self._known.unread or not self._configured:
            return
        touched = self._routes.refresh()
        self._tell(touched)
        if touched.everything:
            self._sessions_changed()
        for part in self._parts:
            part.decided(self._routes, touched)
        self._health.decided(touched, self._heard_at)
        if self._dialogue.released:
            self._touch(touched)
        elif not self._dialogue.curious:
            self._dialogue.release()

    def _sessions_changed(self) -> None:
        sessions = self._routes.sessions
        self._dialogue.end_of_rib = {
            s.peer.address: tuple(sorted(s.peer.families))
            for s in sessions
            if s.peer.graceful_restart and s.peer.address is not None
        }
        if self._managed is not None and self._known.first_hand:
            # Not from a snapshot on disk: it has no passwords, the file that is there does.
            self._managed.want(sessions)

    def _touch(self, touched: Touched) -> None:
        window = self._dialogue.window
        if touched.everything:
            window.touch_everything()
            return
        for routes, urgent in ((touched.urgent, True), (touched.bulk, False)):
            for peer, prefix in routes:
                window.touch(self._routes.addresses[peer], prefix, urgent=urgent)

    def _is_ours(self, prefix: Prefix) -> bool:
        """Tell whether a route found in ExaBGP can only be from an earlier speaker.

        In somebody's own exabgp.conf there may be other routes; ours lie in the pools.
        """
        return self._managed is not None or self._routes.in_a_pool(prefix)

    def _adapt(self, intent: Intent) -> Intent:
        return intent if self._included is None else self._included.adapt(intent)

    # What is told.

    def _tell(self, touched: Touched) -> None:
        if self._pipe is not None:
            self._tell_routes(touched)
        if touched.faults:
            self._report.faults(self._inventory.faults)
        if not self._routes.node_known:
            nodes = self._inventory.snapshot().nodes
            self._report.node_missing(self._settings.node, nodes)

    def _tell_routes(self, touched: Touched) -> None:
        if self._told is not self._routes.table:
            self._told = self._routes.table
            services = self._inventory.snapshot().services
            self._report.decided_all(self._settings.node, self._told, services)
        self._report.decided(touched.verdicts)

    def _down(self) -> dict[Address, str]:
        """Return the neighbors that should have a session and do not."""
        peers = (s.peer for s in self._routes.sessions)
        addresses = (peer.address for peer in peers if peer.address is not None)
        idle = (a for a in addresses if not self._dialogue.is_up(a) and a not in self._held_down)
        return {a: self._name(a) for a in idle}
