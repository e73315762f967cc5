"""A node that drains, between a source in memory and ExaBGP at the far end of the pipe."""

from collections.abc import Mapping

from exabgp_metallb.decisions.drain import Goal, Phase
from exabgp_metallb.parsing.core import DRAIN
from tests.integration.manifests import Object, node
from tests.unit.programs.test_speaker import BASIC, ONE, TOR, TWO, Stage

WORSE = "local-preference 0 community [ 65535:0 ]"

SECONDS = 1000.0  # longer than any test


def drained(value: str = "true") -> Object:
    """Return the Node with the annotation."""
    found = node("node1", "10.0.0.11")
    found["metadata"]["annotations"] = {DRAIN: value}
    return found


class Draining(Stage):
    """A speaker with two routes at a router, whose clock the test turns."""

    def __init__(self, *objects: Object, seconds: float = SECONDS) -> None:
        super().__init__(drain_seconds=seconds)
        self.up("127.0.0.1")
        self.tell(self.listed(*BASIC, *objects))
        self.reached: list[Phase] = []

    @property
    def drain(self) -> Mapping[str, object]:
        """What status says of it."""
        told = self.speaker.status(0.0)["drain"]
        assert isinstance(told, Mapping)
        return told

    def phase(self) -> object:
        """Return how far the drain is."""
        return self.drain["phase"]

    def ask(self, goal: Goal, seconds: float | None = None) -> None:
        """Ask as the control socket does."""
        self.speaker.post(lambda _: self.speaker.drain.ask(goal, seconds, self.reached.append))
        self.settle()

    def settle(self) -> None:
        """Let the speaker go on until it waits for the clock."""
        for _ in Phase:
            self.tell()

    def last_announced(self) -> str:
        """Return the last line that announced something."""
        return [line for line in self.far.heard if " announce " in line][-1]


def test_routes_become_worse_before_they_go() -> None:
    """At once, and they stay until the routers had their time."""
    stage = Draining()
    stage.ask(Goal.DRAIN)
    assert stage.phase() == "worse"
    assert stage.routes() == {ONE, TWO}
    assert WORSE in stage.last_announced()
    stage.ask(Goal.DRAIN, 0.0)
    assert stage.phase() == "drained"
    assert stage.routes() == set()
    assert stage.reached == [Phase.WORSE, Phase.DRAINED]
    assert not any("teardown" in line for line in stage.far.heard)


def test_what_is_measured_of_a_drain() -> None:
    """That there is one, and how many prefixes routers should hold meanwhile."""
    stage = Draining()
    assert (stage.vitals[-1].draining, stage.vitals[-1].prefixes["127.0.0.1:179"]) == (False, 2)
    stage.ask(Goal.DRAIN)
    assert (stage.vitals[-1].draining, stage.vitals[-1].prefixes["127.0.0.1:179"]) == (True, 2)
    stage.ask(Goal.DRAIN, 0.0)
    assert (stage.vitals[-1].draining, stage.vitals[-1].prefixes["127.0.0.1:179"]) == (True, 0)


def test_who_gives_up_is_served_at_once() -> None:
    """From worse routes and from none; what changed meanwhile is there."""
    stage = Draining()
    stage.ask(Goal.DRAIN)
    stage.ask(Goal.SERVE)
    assert stage.phase() == "serving"
    assert WORSE not in stage.last_announced()
    stage.ask(Goal.DRAIN, 0.0)
    stage.tell(stage.listed(*BASIC[:6]))
    assert stage.routes() == set()
    stage.ask(Goal.SERVE)
    assert stage.routes() == {ONE}
    assert stage.reached == [Phase.WORSE, Phase.SERVING, Phase.DRAINED, Phase.SERVING]


def test_the_annotation_of_the_node_drains_it() -> None:
    """And ends it; what somebody asked at this machine stands beside it."""
    stage = Draining(seconds=0.0)
    stage.tell(stage.listed(drained(), *BASIC[1:]))
    stage.settle()
    assert stage.routes() == set()
    assert stage.drain["askedBy"] == ["annotation"]
    stage.ask(Goal.SERVE)
    assert stage.routes() == set()
    stage.ask(Goal.DRAIN)
    stage.tell(stage.listed(drained("false"), *BASIC[1:]))
    stage.settle()
    assert stage.drain["askedBy"] == ["request"]
    assert stage.routes() == set()
    stage.ask(Goal.SERVE)
    assert stage.routes() == {ONE, TWO}


def test_a_drain_waits_until_others_answer_on_layer_2() -> None:
    """A stop does not: the responder goes on."""
    stage = Draining(seconds=0.0)
    answers = True
    stage.speaker.drain.answers = lambda: answers
    stage.ask(Goal.DRAIN)
    assert stage.routes() == set()
    assert stage.phase() == "withdrawing"
    answers = False
    stage.settle()
    assert stage.reached == [Phase.DRAINED]
    answers = True
    stage.ask(Goal.SERVE)
    stage.ask(Goal.STOP)
    assert stage.reached == [Phase.DRAINED, Phase.SERVING, Phase.CLOSED]


def test_a_node_that_starts_drained_attracts_nobody() -> None:
    """No route is announced, not even a worse one; one found in ExaBGP is taken back."""
    stage = Stage(held=[ONE], drain_seconds=SECONDS)
    stage.up("127.0.0.1")
    stage.tell(stage.listed(drained(), *BASIC[1:]))
    stage.tell()
    assert stage.routes() == set()
    assert not any(" announce " in line for line in stage.far.heard)


def test_a_session_that_comes_up_gets_what_the_phase_asks() -> None:
    """Worse routes from the first, and none later."""
    stage = Draining()
    stage.ask(Goal.DRAIN)
    stage.up("127.0.0.2")
    assert stage.routes("127.0.0.2") == {ONE, TWO}
    assert WORSE in stage.last_announced()
    stage.say(stage.far.down("127.0.0.2"))
    stage.ask(Goal.DRAIN, 0.0)
    stage.up("127.0.0.2")
    stage.settle()
    assert stage.routes("127.0.0.2") == set()


def test_nobody_waits_for_routers_that_are_not_there() -> None:
    """A node without a session stops at once, however long its routers were to be given."""
    stage = Draining()
    stage.say(stage.far.down("127.0.0.1"))
    stage.ask(Goal.STOP)
    assert stage.reached == [Phase.CLOSED]


def test_a_stop_leaves_the_sessions_of_somebody_else() -> None:
    """In their own exabgp.conf other routes may need them."""
    stage = Draining(seconds=0.0)
    stage.ask(Goal.STOP)
    assert stage.reached == [Phase.CLOSED]
    assert stage.routes() == set()
    assert not any("teardown" in line for line in stage.far.heard)
    assert TOR in stage.far.established


def test_a_stop_before_anything_was_read_waits_for_nothing() -> None:
    """What ExaBGP holds from before stays there, for a graceful restart."""
    stage = Stage(held=[ONE], drain_seconds=SECONDS)
    reached: list[Phase] = []
    stage.speaker.post(lambda _: stage.speaker.drain.ask(Goal.STOP, None, reached.append))
    for _ in Phase:
        stage.tell()
    assert reached == [Phase.CLOSED]
    assert stage.routes() == {ONE}


def test_what_is_told_of_a_drain() -> None:
    """How far it is, since when, who asked and how long it takes."""
    stage = Draining()
    stage.ask(Goal.DRAIN, 2 * SECONDS)
    told = dict(stage.drain)
    told.pop("forSeconds")
    assert told == {
        "phase": "worse",
        "goal": "drained",
        "askedBy": ["request"],
        "drainSeconds": 2 * SECONDS,
    }
