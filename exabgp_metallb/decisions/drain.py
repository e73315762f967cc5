"""A node that is about to go makes its routes worse before it takes them back.

RFC 8326 section 4: announced with GRACEFUL_SHUTDOWN, and on iBGP with the lowest local preference,
a route loses to every other path while it still carries the traffic that is under way. Once the
routers have had time to turn to other nodes the routes are withdrawn, and only then do sessions
end, so that no router is left with a path that nobody serves.

    SERVING -> WORSE -> WITHDRAWING -> DRAINED -> CLOSING -> CLOSED

A node that is to be drained stays in DRAINED: its sessions stand, without a route. One that stops
goes to the end. A phase is over when what it changed is on the wire, or when the wire has had its
time; a router that does not read holds nobody up. Whoever gives up a drain has the routes of before
back at once, from any phase.
"""

import enum
from dataclasses import dataclass, replace

from exabgp_metallb.values.intent import GRACEFUL_SHUTDOWN, Peer
from exabgp_metallb.values.rib import AdjRibOut, Attributes

WIRE_SECONDS = 10.0  # for a phase's routes to reach the wire: 10,000 to four routers take three
CLOSE_SECONDS = 2.0  # for ExaBGP to say Cease on all sessions: it takes milliseconds


class Phase(enum.StrEnum):
    """How far a drain has come."""

    SERVING = "serving"  # there is none
    WORSE = "worse"  # routes are there, as everybody's last choice
    WITHDRAWING = "withdrawing"
    DRAINED = "drained"  # no router has a route of this node
    CLOSING = "closing"  # sessions are being ended
    CLOSED = "closed"  # nothing is left to do before the end


class Goal(enum.Enum):
    """What is asked of a node; its value is the phase in which that is reached."""

    SERVE = Phase.SERVING
    DRAIN = Phase.DRAINED
    STOP = Phase.CLOSED


ORDER = tuple(Phase)
WITHOUT_ROUTES = frozenset(ORDER[ORDER.index(Phase.WITHDRAWING) :])
"""The phases in which no router should hold a route of ours."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The state of a drain.

    Attributes:
        phase: how far it has come.
        since: when the phase began, in monotonic seconds.
        worse_since: since when the routers have had the worse routes; None: they may not yet.
    """

    phase: Phase = Phase.SERVING
    since: float = 0.0
    worse_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a drain looks at.

    Attributes:
        goal: what is asked now.
        seconds: how long routers are given to turn to other nodes.
        attracts: some router holds a route of ours.
        settled: what the phase changed is on the wire.
        closed: no session is left that has not been ended in this phase.
    """

    goal: Goal
    seconds: float
    attracts: bool
    settled: bool
    closed: bool


def begin(goal: Goal, now: float) -> Drain:
    """Return the state to start in: a node that is to be drained begins without routes."""
    return Drain(Phase.DRAINED if goal is Goal.DRAIN else Phase.SERVING, now)


def step(drain: Drain, scene: Scene, now: float) -> Drain:
    """Return the state that follows, at most one phase further; the same where nothing does."""
    if scene.goal is Goal.SERVE:
        return drain if drain.phase is Phase.SERVING else Drain(Phase.SERVING, now)
    goal = ORDER.index(scene.goal.value)
    place = ORDER.index(drain.phase)
    if place > goal:  # a stop that was taken back, of a node that is to be drained
        return Drain(scene.goal.value, now)
    if place == goal:
        return drain
    if drain.phase is Phase.WORSE and drain.worse_since is None and _sent(drain, scene, now):
        drain = replace(drain, worse_since=now)
    return Drain(ORDER[place + 1], now) if _is_over(drain, scene, now) else drain


def due(drain: Drain, seconds: float) -> float | None:
    """Return when a phase is over whatever happens, in monotonic seconds; None: at no time."""
    if drain.phase is Phase.WORSE and drain.worse_since is not None:
        return drain.worse_since + seconds
    if drain.phase in (Phase.WORSE, Phase.WITHDRAWING):
        return drain.since + WIRE_SECONDS
    if drain.phase is Phase.CLOSING:
        return drain.since + CLOSE_SECONDS
    return None


def longest(seconds: float) -> float:
    """Return how long a whole drain may take, from the first phase to the last session."""
    return WIRE_SECONDS + seconds + WIRE_SECONDS + CLOSE_SECONDS


def _is_over(drain: Drain, scene: Scene, now: float) -> bool:
    """Tell whether the next phase may begin, given that it is wanted."""
    if drain.phase is Phase.WORSE:
        waited = drain.worse_since is not None and now >= drain.worse_since + scene.seconds
        return waited or not scene.attracts
    if drain.phase is Phase.WITHDRAWING:
        return _sent(drain, scene, now)
    if drain.phase is Phase.CLOSING:
        return scene.closed or now >= drain.since + CLOSE_SECONDS
    return True


def _sent(drain: Drain, scene: Scene, now: float) -> bool:
    return scene.settled or now >= drain.since + WIRE_SECONDS


def drained(rib: AdjRibOut, peer: Peer) -> AdjRibOut:
    """Return the first phase of a drain: the same prefixes, each as the last choice."""
    worst = {attributes: worse(attributes, peer) for attributes in set(rib.values())}
    return {prefix: worst[attributes] for prefix, attributes in rib.items()}


def worse(attributes: Attributes, peer: Peer) -> Attributes:
    """Return the attributes with which a route to a peer is the last choice."""
    communities = tuple(sorted({*attributes.communities, GRACEFUL_SHUTDOWN}))
    local_pref = 0 if peer.is_internal else None
    return replace(attributes, communities=communities, local_pref=local_pref)
