"""Has a node drained: the state machine of `decisions.drain` before the routes and the sessions.

Three may ask: the Node's annotation, a person at the control socket, and the parent that is to end.
The last one wins over all, since it goes on to close the sessions; the others leave them standing.
In somebody else's exabgp.conf the sessions are not ours to close: other routes may need them.
"""

from collections.abc import Callable, Mapping

from loguru import logger

from exabgp_metallb.adapters.exabgp.dialogue import Dialogue, Notice, SessionDown
from exabgp_metallb.decisions.drain import Drain, Goal, Phase, Scene, begin, due, step
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.values.addresses import Address

ADMINISTRATIVE_SHUTDOWN = 2  # subcode of Cease, RFC 4486 section 4

Reached = Callable[[Phase], None]
"""Is told the phase when what was asked is done, or when something else was asked meanwhile."""

_TELL: Mapping[Phase, str] = {
    Phase.SERVING: "drain is over: routes are as they were",
    Phase.WORSE: "drain begins: every route is the last choice",
    Phase.WITHDRAWING: "drain: routes are withdrawn",
    Phase.DRAINED: "drained: no router has a route of this node",
    Phase.CLOSING: "sessions are closed",
    Phase.CLOSED: "ready to end",
}


class NodeDrain:
    """One node's drain, a part of its speaker.

    Args:
        routes: are made worse, and withdrawn.
        dialogue: with ExaBGP.
        seconds: that routers are given to turn to other nodes, unless a request says otherwise.
        ends_sessions: a stop closes the sessions with a Cease.

    Attributes:
        answers: tells whether this node still answers for addresses in another way, as on layer 2;
            a drain waits for the end of that as for withdrawals.
    """

    def __init__(
        self, routes: NodeRoutes, dialogue: Dialogue, seconds: float, *, ends_sessions: bool
    ) -> None:
        self._routes = routes
        self._dialogue = dialogue
        self._usual_seconds = self._seconds = seconds
        self._ends_sessions = ends_sessions
        self.answers: Callable[[], bool] = lambda: False
        self._state = Drain()
        self._begun = False
        self._moved = False  # so the next turn comes at once
        self._asked = Goal.SERVE
        self._annotated = False
        self._to_close: set[Address] = set()
        self._waiting: list[Reached] = []

    @property
    def phase(self) -> Phase:
        """How far the drain has come."""
        return self._state.phase

    @property
    def goal(self) -> Goal:
        """What is asked, by whomever."""
        if self._asked is Goal.SERVE and self._annotated:
            return Goal.DRAIN
        return self._asked

    def ask(self, goal: Goal, seconds: float | None = None, reached: Reached | None = None) -> None:
        """Take a request of this machine; one for `SERVE` takes the earlier one back.

        Args:
            goal: what is asked; the Node's annotation asks for a drain beside it.
            seconds: that routers are given; None for the usual ones.
            reached: is told.
        """
        self._asked = goal
        self._seconds = self._usual_seconds if seconds is None else seconds
        self._tell_waiting()
        if reached is not None:
            self._waiting.append(reached)

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:  # noqa: ARG002 -- the protocol's
        """Look whether the Node is to be drained."""
        self._annotated = routes.node.draining

    def noticed(self, notice: Notice, now: float) -> None:  # noqa: ARG002 -- the protocol's
        """Look which sessions have ended."""
        if isinstance(notice, SessionDown):
            self._to_close.discard(notice.neighbor)

    def act(self, now: float) -> None:
        """Go on by one phase, if it is time; what that changes is decided in the next turn."""
        self._moved = False
        if not self._begun and self._dialogue.released:
            self._begun = True
            if self.phase is Phase.SERVING:
                self._move(begin(self.goal, now))
        if self.goal.value is not self.phase:
            self._move(step(self._state, self._scene(now), now))
        if self.goal.value is self.phase:
            self._tell_waiting()

    def deadline(self, now: float) -> float | None:
        """Return when a phase is over."""
        if self._moved:
            return now
        return None if self.goal.value is self.phase else due(self._state, self._seconds)

    def status(self, now: float) -> Mapping[str, object]:
        """Return the phase, since when, and who asked."""
        asked = {"annotation": self._annotated, "request": self._asked is not Goal.SERVE}
        return {
            "drain": {
                "phase": self.phase.value,
                "forSeconds": round(now - self._state.since, 1),
                "goal": self.goal.value.value,
                "askedBy": [who for who, did in asked.items() if did],
                "drainSeconds": self._seconds,
            }
        }

    def stop(self) -> None:
        """Do nothing: there is no thread."""

    def _scene(self, now: float) -> Scene:
        window = self._dialogue.window
        return Scene(
            goal=self.goal,
            seconds=self._seconds,
            attracts=any(self._dialogue.is_up(n) and window.held(n) for n in self._routes.peers),
            settled=window.idle(now) and not self._hands_over(),
            closed=not self._to_close,
        )

    def _hands_over(self) -> bool:
        """Tell whether others have still to take over; nobody is told to when a node only stops."""
        leaving = self.phase is Phase.WITHDRAWING and self.goal is Goal.DRAIN
        return leaving and self.answers()

    def _move(self, state: Drain) -> None:
        before, self._state = self._state, state
        if before.phase is state.phase:
            return
        logger.info("{}", _TELL[state.phase])
        self._moved = True
        self._routes.drain(state.phase, self.goal)
        self._to_close.clear()
        if state.phase is Phase.CLOSING and self._ends_sessions:
            self._to_close = {n for n in self._routes.peers if self._dialogue.is_up(n)}
            for neighbor in sorted(self._to_close, key=str):
                self._dialogue.tear_down(neighbor, ADMINISTRATIVE_SHUTDOWN)

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reached in waiting:
            reached(self.phase)
