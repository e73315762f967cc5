"""The process that ExaBGP runs: watches objects and tells ExaBGP what this node announces.

One thread, the one that calls `run`, owns all state. The source's threads and the one that reads
ExaBGP's pipe only put what they heard on its queue. Each turn of the loop takes what is there,
decides once, and says what there is room for: a burst of events is one decision.

Until every kind of object has been read once nothing is decided, and what an earlier speaker or
ExaBGP's own restart left announced stays announced. If the source cannot be read at the start, the
last good snapshot on disk stands in for it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
from exabgp_metallb.adapters.source import (
    Away,
    Back,
    Event,
    Gone,
    Listed,
    OnDeath,
    Put,
    Source,
)
from exabgp_metallb.decisions.latency import Latency
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.programs.drain import NodeDrain
from exabgp_metallb.programs.held_down import HeldDown
from exabgp_metallb.programs.keeper import Keeper, StandIns
from exabgp_metallb.programs.managed import ManagedConfiguration, Validated
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Call, Neighbors, Part, Post
from exabgp_metallb.programs.report import Report
from exabgp_metallb.programs.session_history import SessionHistory
from exabgp_metallb.programs.status import Condition, Document, node_status
from exabgp_metallb.values.addresses import Address, Prefix
from exabgp_metallb.values.intent import Intent
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.specs import Parsed
from exabgp_metallb.values.vitals import SpeakerVitals

BATCH = 500  # events taken in one turn: a few milliseconds of work, then urgent routes go out
LATER_KIND = "Secret"  # followed once a BGPPeer names one
SILENT_SECONDS = 30.0  # without an answer of ExaBGP; no load makes it that slow
TURN_SECONDS = 1.0  # the longest wait; deadlines of the window are shorter


class NodeSource(Source, Protocol):
    """A source of which a kind can be asked for later."""

    def follow(self, kind: str) -> None:
        """Begin to read one more kind, unless it is read already; it starts with a `Listed`."""


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
    """

    node: NodeName
    kinds: frozenset[str]
    conf: Path | None = None
    run: Sequence[str] = ()
    process: str = "exabgp-metallb"
    namespace: str = "metallb-system"
    lb_class: str | None = None
    drain_seconds: float = 0.0


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
        self._source = source(self._inbox.put)
        self._pipe = None if connect is None else connect(self._inbox.put)
        self._inventory = inventory = Inventory(settings.namespace, settings.lb_class)
        self._keeper = None if last_good is None else Keeper(last_good, inventory.objects)
        self._stand_ins = StandIns(inventory.gone)
        self._routes = NodeRoutes(
            inventory,
            settings.node,
            allocate=allocate,
            adapt=self._with_neighbors,
            local_address=self._local_address,
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
        # As ExaBGP showed them; None: not yet.
        self._neighbors: tuple[ConfiguredNeighbor, ...] | None = None if self._pipe else ()
        self._local_addresses: dict[Address, Address] = {}  # of sessions, while they stand
        self._unread = set(settings.kinds)  # kinds that neither source nor disk has told of
        self._unlisted = set(settings.kinds)  # kinds that the source has not told of
        self._secrets_followed = False
        self._report = Report()
        self._history = SessionHistory()
        self._version = ""  # ExaBGP's
        self._sources_away: set[str] = set()  # what the source cannot read now
        self._faulty = False
        self._sent = False  # the first table is on the wire, to all that have a session
        self._told = self._routes.table  # the decision over all Services that was told last
        self._refused_lines = 0
        self._latency = Latency()
        self._heard_at = 0.0  # the oldest event of this turn, in monotonic seconds
        self._announced: tuple[tuple[str, str], ...] = ()
        self._announced_at = 0.0  # when that was looked at last
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
        self._source.start(self._inbox.put)
        try:
            while not self._ended:
                self._turn()
        finally:
            self._source.stop()
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
        condition = Condition(
            version=self._version if self._pipe is not None else None,
            managed=self._managed is not None,
            waiting_for=self._waiting_for(now),
            away=self._sources_away,
            faults=len(self._inventory.faults),
            refused_lines=self._refused_lines,
            behind=None if self._managed is None else self._managed.behind,
        )
        return node_status(condition, self._routes, self._dialogue, self._history, told)

    def _turn(self) -> None:
        for heard in self._take():
            self._hear(heard)
            if self._keeper is not None and isinstance(heard, Put | Gone | Listed):
                self._keeper.changed()
        if self._ended:
            return
        now = time.monotonic()
        if self._stand_ins.act(now):
            self._routes.decide_anew()  # sessions may follow the objects again
        self._decide()
        self._report.silent(self._down(), now)
        if self._managed is not None:
            self._managed.act(now)
        for part in self._parts:
            part.act(now)
        if self._pipe is not None and (lines := self._dialogue.lines(now)):
            self._pipe.write(lines)
        self._sent = self._sent or self._is_sent(now)
        if self._keeper is not None and not self._unlisted:
            self._keeper.act(now)
        if self._publish is not None:
            self._measure(now)
            self._publish(self._vitals(now))

    def _is_sent(self, now: float) -> bool:
        changing = self._managed is not None and self._managed.changing
        return self._dialogue.released and not changing and self._dialogue.window.idle(now)

    def _measure(self, now: float) -> None:
        if self._latency.running and self._dialogue.window.idle(now):
            self._latency.done(now)

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
        elif isinstance(heard, Put):
            self._inventory.put(heard.object)
            self._stand_ins.told(heard.object.ref)
        elif isinstance(heard, Gone):
            self._inventory.gone(heard.ref)
        elif isinstance(heard, Listed):
            self._hear_list(heard)
        elif isinstance(heard, Away):
            self._source_away(heard)
        elif isinstance(heard, Back):
            self._source_back(heard)
        elif isinstance(heard, BaseException):
            raise heard
        else:
            heard(time.monotonic())

    def _validated(self, verdict: Validated) -> None:
        """Hear, in its own thread, what ExaBGP's parser makes of a configuration."""
        if self._managed is not None:
            self._inbox.put(partial(self._managed.validated, verdict))

    def _hear_list(self, listed: Listed) -> None:
        first = bool(listed.kinds & self._unlisted)
        files_away = self._sources_away - self._settings.kinds - {LATER_KIND}
        if first and files_away and self._keeper is not None:
            kept = self._keeper.restore()
            if kept:
                listed = self._stand_ins.beside(listed, kept)
        self._inventory.listed(listed.kinds, listed.objects)
        self._unread -= listed.kinds
        self._unlisted -= listed.kinds
        if first and not self._unlisted:
            self._routes.decide_anew()  # sessions too, which a stand-in leaves as they are

    def _source_away(self, away: Away) -> None:
        self._report.away(away)
        self._sources_away.add(away.what)
        self._stand_ins.away_again()
        if self._keeper is not None and self._unread == self._unlisted != set():
            self._stand_in(self._keeper.restore())
        if away.what == LATER_KIND and self._unread == {LATER_KIND}:
            # Nothing to stand in: peers that need no Secret need not wait for this one either.
            self._unread.clear()
            self._unlisted.clear()

    def _source_back(self, back: Back) -> None:
        logger.info("{}: read again", back.what)
        self._sources_away.discard(back.what)
        if not self._sources_away:
            self._stand_ins.all_read(time.monotonic())

    def _stand_in(self, objects: tuple[Parsed, ...]) -> None:
        """Begin with what was known before a restart, while the source cannot be read."""
        if not objects:
            return
        message = "the last good snapshot stands in: {} objects; sessions stay as they are"
        logger.warning(message, len(objects))
        self._inventory.listed(frozenset(self._unread), objects)
        self._unread.clear()

    def _hear_exabgp(self, lines: tuple[str, ...]) -> None:
        if not lines:
            logger.info("ExaBGP has closed the pipe")
            self._ended = True
        for line in lines:
            for notice in self._dialogue.hear(line):
                self._notice(notice)
                self._history.noticed(notice, datetime.now(UTC))
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
            self._configured(notice.neighbors)
        elif isinstance(notice, say.RouteRefused):
            self._refused_lines += 1
            self._report.route_refused(notice, self._name(notice.line.neighbors[0]))
        elif isinstance(notice, say.Repaired):
            self._report.repaired(notice, self._name(notice.drift.neighbor))
        elif isinstance(notice, say.QuestionFailed):
            logger.error("ExaBGP does not answer `{}`: its log says why", notice.command)
        elif isinstance(notice, say.Greeted):
            self._version = notice.version
            self._report.version(notice.version)
        elif isinstance(notice, say.NotJson):
            self._report.not_json(notice, self._settings.process)
        elif isinstance(notice, say.Ending):
            logger.info("ExaBGP is shutting down")

    def _look_again(self) -> None:
        """Ask how somebody's own exabgp.conf is now: a reload of it tells us nothing else."""
        if self._managed is None and self._neighbors is not None:
            self._dialogue.ask_configuration()

    def _configured(self, neighbors: tuple[ConfiguredNeighbor, ...]) -> None:
        """Take how ExaBGP's neighbors are configured."""
        known, self._neighbors = self._neighbors, neighbors
        if self._managed is not None:
            self._managed.found(neighbors, time.monotonic())
        elif neighbors != known:
            self._adopt(neighbors)

    def _adopt(self, neighbors: tuple[ConfiguredNeighbor, ...]) -> None:
        """Serve the neighbors of somebody's own exabgp.conf that are for us."""
        self._report.neighbors(neighbors, self._settings.process)
        self._routes.decide_anew()

    def _is_for_us(self, neighbor: ConfiguredNeighbor) -> bool:
        return self._settings.process in neighbor.processes

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
        self._follow_secrets()
        if self._unread or self._neighbors is None:
            return
        touched = self._routes.refresh()
        self._tell(touched)
        if touched.everything:
            self._sessions_changed()
        for part in self._parts:
            part.decided(self._routes, touched)
        if self._dialogue.released:
            self._touch(touched)
        elif not self._dialogue.curious:
            self._dialogue.release()

    def _follow_secrets(self) -> None:
        """Read Secrets from when a BGPPeer names one; the first decision waits for them."""
        if self._secrets_followed or self._unlisted or not self._inventory.names_secrets:
            return
        self._secrets_followed = True
        if LATER_KIND in self._settings.kinds:
            return
        self._source.follow(LATER_KIND)
        if not self._dialogue.released:
            self._unread.add(LATER_KIND)
            self._unlisted.add(LATER_KIND)

    def _sessions_changed(self) -> None:
        sessions = self._routes.sessions
        self._dialogue.end_of_rib = {
            s.peer.address: tuple(sorted(s.peer.families))
            for s in sessions
            if s.peer.graceful_restart and s.peer.address is not None
        }
        if self._managed is not None and not self._unlisted and not self._stand_ins.active:
            # Not from a snapshot on disk: it has no passwords, the file that is there does.
            self._managed.want(sessions)

    def _touch(self, touched: Touched) -> None:
        window = self._dialogue.window
        if touched.everything or touched.urgent or touched.bulk:
            self._latency.began(self._heard_at)
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

    def _with_neighbors(self, intent: Intent) -> Intent:
        """Put the neighbors of somebody's own exabgp.conf in the place of the BGPPeers."""
        if self._managed is not None:
            return intent
        neighbors = [n for n in self._neighbors or () if self._is_for_us(n)]
        names = {n.description: str(n.address) for n in neighbors if n.description}
        advertisements = tuple(
            replace(ad, peers=frozenset(names.get(peer, peer) for peer in ad.peers))
            for ad in intent.bgp_advertisements
        )
        peers = tuple(n.as_peer() for n in neighbors)
        return replace(intent, peers=peers, bgp_advertisements=advertisements)

    # What is told.

    def _tell(self, touched: Touched) -> None:
        if self._pipe is not None:
            self._tell_routes(touched)
        if touched.faults:
            self._report.faults(self._inventory.faults)
            self._faulty = bool(self._inventory.faults)
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

    def _waiting_for(self, now: float) -> list[str]:
        """Return what has to come before this node is of use, and before it is so again."""
        if self._unread:
            return sorted(self._unread)
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
        if now >= self._announced_at + TURN_SECONDS:
            self._announced_at = now
            self._announced = tuple(self._routes.announced())
        return self._announced

    def _vitals(self, now: float) -> SpeakerVitals:
        sessions = {str(s.peer.address): s for s in self._routes.sessions}
        return SpeakerVitals(
            turned_at=now,
            loaded=not self._unread,
            stale=bool(self._sources_away or self._faulty),
            waiting_for=self._not_ready_for(now),
            away=frozenset(self._sources_away),
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
            node=self._settings.node,
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
