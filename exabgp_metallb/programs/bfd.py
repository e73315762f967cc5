"""The part of a speaker that watches the paths to its routers with BFD.

It has FRR's bfdd hold a BFD session for each BGPPeer with a BFDProfile, hears how they are, and has
BGP sessions held down as `decisions.bfd` says. bfdd being away is nobody's failure: it is said, and
BGP goes on without BFD.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.bfd.client import (
    Away,
    BfddClient,
    BfddEvent,
    BfddListener,
    Reached,
    Refused,
)
from exabgp_metallb.adapters.bfd.control import Told
from exabgp_metallb.adapters.bfd.reach import reach
from exabgp_metallb.adapters.exabgp.dialogue import Notice
from exabgp_metallb.adapters.source import OnDeath
from exabgp_metallb.decisions.bfd import HOLD_SECONDS, UNKNOWN, Reach, Watch, bfd_sessions
from exabgp_metallb.programs.bfd_daemons import AUTO, FOLDER_NAME, Need, ask, need_of, not_installed
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Neighbors, Post, dies
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.bfd import (
    BfdKey,
    BfdSession,
    BfdState,
    BfdStatus,
    BfdVitals,
    Diagnostic,
)

OFF = "off"  # for the option `--bfd`
PATIENCE_SECONDS = 10.0  # for a bfdd that is being started
LOOK_SECONDS = 10.0  # between two looks at how a neighbor with no BFD session is reached


class Client(Protocol):
    """Who speaks with bfdd; see `adapters.bfd.client`."""

    def start(self) -> None:
        """Begin."""

    def want(self, sessions: tuple[BfdSession, ...]) -> None:
        """Have bfdd hold these sessions of ours and no others."""

    def stop(self) -> None:
        """End; sessions stay."""


class Own:
    """A bfdd that our parent starts, as long as anybody wants it.

    Args:
        state_dir: where the parent looks for what is wanted.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def prepare(self, sessions: tuple[BfdSession, ...]) -> str | None:
        """Have bfdd run if there are sessions; return why it cannot."""
        need = need_of(sessions)
        missing = not_installed(need)
        try:
            ask(self._state_dir, Need.NOTHING if missing else need)
        except OSError as error:
            return f"{self._state_dir}: {error.strerror}: bfdd cannot be asked for"
        if not missing:
            return None
        programs = " and ".join(map(str, missing))
        return (
            f"{programs} is not installed on this node: install the package frr, or name the "
            "folder of a running bfdd's sockets by --bfd"
        )


class Others:
    """A bfdd that somebody else starts."""

    @staticmethod
    def prepare(_sessions: tuple[BfdSession, ...]) -> str | None:
        """Do nothing: whether it runs is seen."""
        return None


class Off:
    """No bfdd at all."""

    @staticmethod
    def prepare(sessions: tuple[BfdSession, ...]) -> str | None:
        """Return that there is none."""
        return "BFD is off on this node (--bfd off)" if sessions else None


Engine = Own | Others | Off


class Bfd:
    """Watches the paths to the routers.

    Args:
        post: how the client's thread is heard.
        neighbors: who holds BGP sessions down.
        engine: whose bfdd it is.
        connect: makes the client, given whom it tells what happens and whom that it died.
        reach: tells how this host reaches a neighbor.
    """

    def __init__(
        self,
        post: Post,
        neighbors: Neighbors,
        engine: Engine,
        *,
        connect: Callable[[BfddListener, OnDeath], Client],
        reach: Callable[[Address], Reach],
    ) -> None:
        self._neighbors = neighbors
        self._engine = engine
        self._reach = reach
        self._client = connect(
            lambda event: post(lambda now: self._heard(event, now)),
            dies(post),
        )
        self._started = False
        self._routes: NodeRoutes | None = None
        self._ways: dict[Address, Reach] = {}  # as they were while the path was good
        self._sessions: dict[Address, BfdSession] = {}
        self._peers: dict[Address, str] = {}
        self._watches: dict[Address, Watch] = {}
        self._held: dict[Address, str] = {}  # and why
        self._falls: Counter[Address] = Counter()
        self._lacking: str | None = None  # why there is no bfdd to ask
        self._told_lacking: frozenset[str] = frozenset()
        self._reached = False
        self._away: str | None = None
        self._tell_away_at: float | None = None
        self._look_at = 0.0

    def state(self, neighbor: Address) -> str:
        """Return the state of a neighbor's BFD session in MetalLB's words: Up, Down or N/A."""
        if neighbor not in self._sessions:
            return "N/A"
        status = self._watches.get(neighbor, UNKNOWN).status
        if status is None:
            return "Unknown"
        return "Up" if status.state is BfdState.UP else "Down"

    # What a part does.

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:
        """Follow the sessions and the profiles."""
        self._routes = routes
        if touched.everything:
            self._follow(routes)

    def noticed(self, notice: Notice, now: float) -> None:
        """Do nothing: BFD does not follow BGP."""

    def act(self, now: float) -> None:
        """End the holds that are over, and look again at what is not reached yet."""
        self._settle(now)
        if self._tell_away_at is not None and now >= self._tell_away_at:
            self._tell_away()
        if now >= self._look_at and self._routes is not None and self._unsettled():
            self._look_at = now + LOOK_SECONDS
            self._follow(self._routes)

    def deadline(self, now: float) -> float | None:
        """Return when a hold ends, or the next look is due."""
        due = [until for watch in self._watches.values() if (until := watch.release_at())]
        due = [until for until in due if until > now]
        if self._tell_away_at is not None:
            due.append(self._tell_away_at)
        if self._unsettled():
            due.append(self._look_at)
        return min(due, default=None)

    def status(self, now: float) -> Mapping[str, object]:
        """Return the sessions, and whether there is a bfdd."""
        rows = [
            {
                "neighbor": str(neighbor),
                "peer": self._peers[neighbor],
                "profile": session.profile,
                "multihop": session.key.multihop,
                "state": self.state(neighbor),
                "holdsDown": self._watches.get(neighbor, UNKNOWN).holds(now),
            }
            for neighbor, session in self._sessions.items()
        ]
        if not rows:
            return {"bfd": {"problem": self._lacking, "sessions": []}} if self._lacking else {}
        problem = None if self._reached else self._away or "bfdd is not reached yet"
        return {"bfd": {"problem": problem, "sessions": rows}}

    def stop(self) -> None:
        """End the client's thread; bfdd goes on."""
        if self._started:
            self._client.stop()

    def vitals(self) -> BfdVitals:
        """Return how the sessions are, for metrics."""
        return BfdVitals(
            reached=self._lacking is None and (self._reached or not self._sessions),
            sessions={str(n): self.state(n) == "Up" for n in self._sessions},
            falls={str(n): self._falls[n] for n in self._sessions},
        )

    # What is wanted.

    def _follow(self, routes: NodeRoutes) -> None:
        profiles = {p.name: p for p in routes.inventory.snapshot().intent.bfd_profiles}
        sessions = bfd_sessions(routes.sessions, profiles, self._way)
        self._peers = {s.peer.address: s.peer.name for s in routes.sessions if s.peer.address}
        self._lacking = self._engine.prepare(tuple(sessions.values()))
        if self._lacking is not None:
            self._tell_lacking(sessions)
            sessions = {}
        for neighbor, session in self._sessions.items():
            if neighbor not in sessions or sessions[neighbor].key != session.key:
                self._watches.pop(neighbor, None)
        if sessions != self._sessions:
            self._sessions = sessions
            self._want()

    def _way(self, neighbor: Address) -> Reach:
        """Return how a neighbor is reached: while its path is watched or broken, as it was."""
        watch = self._watches.get(neighbor, UNKNOWN)
        kept = self._ways.get(neighbor)
        if kept is not None and (watch.fell_at is not None or _is_up(watch)):
            return kept
        self._ways[neighbor] = found = self._reach(neighbor)
        return found

    def _want(self) -> None:
        if not self._started and self._sessions:
            self._started = True
            self._client.start()
        if self._started:
            self._client.want(tuple(self._sessions.values()))

    def _unsettled(self) -> bool:
        """Tell whether a session may be missing, or come from an address that is not there."""
        if self._routes is None:
            return False
        wanting = (s.peer for s in self._routes.sessions if s.peer.bfd_profile is not None)
        return any(not _is_up(self._watches.get(p.address, UNKNOWN)) for p in wanting if p.address)

    # What is heard.

    def _heard(self, event: BfddEvent, now: float) -> None:
        if isinstance(event, Told):
            self._told(event, now)
        elif isinstance(event, Refused):
            logger.error("bfdd refuses a part of its configuration: {}", event.why)
        elif isinstance(event, Away):
            self._gone(event, now)
        elif isinstance(event, Reached):
            self._reached, self._away, self._tell_away_at = True, None, None
            logger.info("bfdd answers: it holds {} BFD sessions of ours", len(self._sessions))
        self._settle(now)

    def _gone(self, away: Away, now: float) -> None:
        """Forget what bfdd said; at the start it is given a while to come."""
        if self._away is None:
            self._tell_away_at = now if self._reached else now + PATIENCE_SECONDS
        self._reached, self._away = False, away.why
        self._watches.clear()

    def _tell_away(self) -> None:
        self._tell_away_at = None
        message = "nothing is known of BFD sessions: {}; BGP sessions stay, and go on without BFD"
        logger.warning(message, self._away)

    def _tell_lacking(self, sessions: Mapping[Address, BfdSession]) -> None:
        named: dict[str, list[str]] = {}
        for neighbor, session in sessions.items():
            named.setdefault(session.profile, []).append(f"BGPPeer {self._peers[neighbor]}")
        every = {
            f"BFDProfile {profile}: no BFD for {', '.join(peers)}: {self._lacking}"
            for profile, peers in named.items()
        }
        for told in sorted(every - self._told_lacking):
            logger.warning("{}; BGP goes on without it", told)
        self._told_lacking = frozenset(every)

    def _told(self, told: Told, now: float) -> None:
        neighbor = told.key.peer
        session = self._sessions.get(neighbor)
        if session is None or told.key not in _spellings(session.key):
            return
        before = self._watches.get(neighbor, UNKNOWN)
        after = UNKNOWN if told.status is None else before.heard(told.status, now)
        self._watches[neighbor] = after
        self._tell(neighbor, before, after)

    def _tell(self, neighbor: Address, before: Watch, after: Watch) -> None:
        who = f"BFD session of BGP peer {self._peers[neighbor]} ({neighbor})"
        if _is_up(after) and not _is_up(before):
            logger.info("{}: up", who)
        elif _is_up(before) and not _is_up(after):
            why = "removed from bfdd" if after.status is None else _reason(after.status)
            if after.fell_at is None:
                logger.info("{}: ended: {}; its BGP session stays", who, why)
            else:
                self._falls[neighbor] += 1
                logger.warning("{}: down: {}", who, why)

    def _settle(self, now: float) -> None:
        """Have held down what is to be, and nothing else."""
        wanted = dict(self._holds(now))
        for neighbor in self._held.keys() - wanted.keys():
            self._neighbors.let_up(neighbor)
            if self._watches.get(neighbor, UNKNOWN).fell_at is not None:
                message = "BFD with {} is down for {:.0f} s: BGP may try by itself"
                logger.warning(message, neighbor, HOLD_SECONDS)
        for neighbor, why in wanted.items():
            if neighbor not in self._held:
                self._neighbors.hold_down(neighbor, why)
        self._held = wanted

    def _holds(self, now: float) -> Iterator[tuple[Address, str]]:
        for neighbor, watch in self._watches.items():
            if watch.holds(now):
                until = f"until BFD is up again, for at most {HOLD_SECONDS:.0f} s"
                yield neighbor, self._held.get(neighbor, f"BFD is down, {until}")


def _is_up(watch: Watch) -> bool:
    return watch.status is not None and watch.status.state is BfdState.UP


def _reason(status: BfdStatus) -> str:
    if status.diagnostic is Diagnostic.NEIGHBOR_DOWN:
        return f"{status.diagnostic} ({status.remote_diagnostic})"
    return str(status.diagnostic)


def _spellings(key: BfdKey) -> tuple[BfdKey, ...]:
    """Return how bfdd may name a session: of a single hop it leaves out the VRF."""
    return key, replace(key, vrf=None)


def bfd_part(choice: str, state_dir: Path, post: Post, neighbors: Neighbors) -> Bfd:
    """Return the part as the option asks for it.

    Args:
        choice: "off"; "auto", where our parent starts bfdd; or the folder of a bfdd's sockets.
        state_dir: of ours.
        post: see Bfd.
        neighbors: see Bfd.
    """
    engine: Engine = Others()
    folder = Path(choice)
    if choice == AUTO:
        engine, folder = Own(state_dir), state_dir / FOLDER_NAME
    elif choice == OFF:
        engine = Off()
    return Bfd(post, neighbors, engine, connect=partial(BfddClient, folder), reach=reach)
