"""The conversation with ExaBGP: who is answered, what is asked, and when routes may flow."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.adapters.exabgp import dialogue as say
from exabgp_metallb.adapters.exabgp.dialogue import GREETING, Dialogue
from exabgp_metallb.adapters.exabgp.repair import OVERDUE_SECONDS, REPAIR_SECONDS, RETRY_SECONDS
from exabgp_metallb.adapters.exabgp.window import Drift
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.rib import Attributes
from tests.unit.far_end import FarEnd, neighbor_text

TOR, TOR2 = ip_address("10.0.0.1"), ip_address("10.0.0.2")
BOTH = neighbor_text("10.0.0.1") + neighbor_text("10.0.0.2")
OURS = ip_network("192.0.2.0/24")
ROUTES = {ip_network(f"192.0.2.{n}/32"): Attributes() for n in range(3)}
ONE, TWO, THREE = ROUTES


class Talk:
    """A dialogue, what its owner wants, and ExaBGP at the far end."""

    def __init__(self, conf: str = BOTH) -> None:
        self.far = FarEnd(conf)
        self.now = 0.0
        self.wanted: dict[Address, dict[Prefix, Attributes]] = {TOR: dict(ROUTES), TOR2: {}}
        self.notices: list[say.Notice] = []
        self.restart()

    def restart(self) -> None:
        """Begin as a speaker that was just started; ExaBGP goes on."""
        self.dialogue = Dialogue(
            lambda neighbor: self.wanted.get(neighbor, {}), lambda prefix: prefix.overlaps(OURS)
        )
        self.dialogue.begin()

    def say(self, lines: Iterable[str]) -> None:
        """Let ExaBGP say something by itself."""
        for line in lines:
            self.notices += self.dialogue.hear(line)

    def run(self) -> None:
        """Let both talk until neither has anything to say."""
        while lines := self.dialogue.lines(self.now):
            self.say(self.far.answers(lines))

    def routes(self, neighbor: Address = TOR) -> set[Prefix]:
        """Return what ExaBGP holds for a neighbor."""
        return self.far.ribs.get(neighbor, set())


@pytest.fixture
def talk() -> Talk:
    """Return a conversation that has not begun."""
    return Talk()


def begun(talk: Talk) -> Talk:
    """Bring it to where routes flow to a neighbor that is up."""
    talk.run()
    talk.dialogue.release()
    talk.say(talk.far.up("10.0.0.1"))
    talk.run()
    return talk


def test_what_a_speaker_must_know_is_asked_first(talk: Talk) -> None:
    """The version, the configuration, who is up, and what is held; then nothing, until release."""
    talk.far.established.add(TOR)
    talk.run()
    assert talk.far.heard == [
        *GREETING,
        "show neighbor configuration",
        "show neighbor summary",
        "show adj-rib out extensive",
    ]
    greeted, found, up = talk.notices
    assert (greeted, up) == (say.Greeted("5.0.15"), say.SessionUp(TOR))
    assert isinstance(found, say.ConfigurationFound)
    assert [n.address for n in found.neighbors] == [TOR, TOR2]
    assert not talk.dialogue.curious
    assert talk.routes() == set()
    talk.dialogue.release()
    talk.run()
    assert talk.routes() == ROUTES.keys()


stale = st.lists(
    st.sampled_from(
        [
            "done",
            "error",
            "reload in progress",
            "10.0.0.1 ipv4 unicast 192.0.2.9/32 next-hop self",
            "10.0.0.2        64512     0:00:03 established  12 0",
            'neighbor 10.0.0.3 { description "old"; }',
        ]
    ),
    max_size=8,
)


@given(stale)
def test_answers_to_a_forerunner_are_passed_over(lines: list[str]) -> None:
    """ExaBGP carries out the last commands of a speaker that died, and tells the next one."""
    talk = Talk()
    greeting = talk.dialogue.lines(0.0)
    talk.say(lines)
    talk.say(talk.far.answers(greeting))
    talk.run()
    assert talk.notices[0] == say.Greeted("5.0.15")
    assert not any(isinstance(n, say.SessionUp | say.QuestionFailed) for n in talk.notices)
    begun(talk)
    assert talk.routes() == ROUTES.keys()


def test_a_new_speaker_takes_over_what_is_held(talk: Talk) -> None:
    """What is wanted stays, what can only be ours is taken back, and the rest is theirs."""
    theirs, old = ip_network("203.0.113.0/24"), ip_network("192.0.2.99/32")
    begun(talk)
    talk.far.ribs[TOR] |= {theirs, old}
    talk.restart()
    talk.far.heard.clear()
    talk.run()
    assert talk.routes() == {*ROUTES, theirs, old}
    talk.dialogue.release()
    talk.run()
    assert talk.routes() == {*ROUTES, theirs}
    withdrawals = [line for line in talk.far.heard if "withdraw" in line]
    assert withdrawals == [
        f"neighbor 10.0.0.1 withdraw attributes next-hop 0.0.0.0 nlri {old}",
    ]


def test_routes_go_to_neighbors_that_are_up(talk: Talk) -> None:
    """Nothing is sent to the others: what waits for a router that is away blocks every reload."""
    begun(talk)
    talk.wanted[TOR2] = dict(ROUTES)
    talk.dialogue.window.touch_everything()
    talk.run()
    assert talk.routes(TOR2) == set()
    talk.say(talk.far.up("10.0.0.2"))
    talk.run()
    assert talk.routes(TOR2) == ROUTES.keys()


def test_a_session_that_comes_back_gets_what_changed(talk: Talk) -> None:
    """ExaBGP sends again by itself what it holds; only the difference is ours to tell."""
    begun(talk)
    talk.say(talk.far.down("10.0.0.1"))
    del talk.wanted[TOR][ONE]
    talk.dialogue.window.touch(TOR, ONE, urgent=True)
    talk.run()
    assert talk.routes() == ROUTES.keys()
    talk.far.heard.clear()
    talk.say(talk.far.up("10.0.0.1"))
    talk.run()
    assert talk.routes() == {TWO, THREE}
    assert [line.split()[2] for line in talk.far.heard] == ["withdraw"]


@pytest.mark.parametrize(
    ("events", "notices"),
    [
        pytest.param([("up",)], [say.SessionUp(TOR)], id="up"),
        pytest.param([("up",), ("up",)], [say.SessionUp(TOR)], id="up twice"),
        pytest.param([("down", "why")], [say.SessionFailed(TOR, "why")], id="attempt failed"),
        pytest.param(
            [("up",), ("down", "why")],
            [say.SessionUp(TOR), say.SessionDown(TOR, "why")],
            id="session ended",
        ),
    ],
)
def test_sessions_are_told(
    events: list[tuple[str, ...]], notices: list[say.Notice], talk: Talk
) -> None:
    """A session that ends is told apart from one that never was."""
    talk.run()
    talk.notices.clear()
    for event, *words in events:
        talk.say(getattr(talk.far, event)("10.0.0.1", *words))
    assert talk.notices == notices
    assert talk.dialogue.is_up(TOR) == isinstance(notices[-1], say.SessionUp)


def test_a_pause_holds_routes_back_and_questions_not(talk: Talk) -> None:
    """As around a reload."""
    begun(talk)
    talk.dialogue.paused = True
    del talk.wanted[TOR][ONE]
    talk.dialogue.window.touch(TOR, ONE, urgent=True)
    talk.dialogue.ask_configuration()
    talk.run()
    assert not talk.dialogue.curious
    assert talk.routes() == ROUTES.keys()
    talk.dialogue.paused = False
    talk.run()
    assert talk.routes() == {TWO, THREE}


def test_a_question_waits_until_all_is_on_the_wire(talk: Talk) -> None:
    """Its answer must not be taken for that of a line, and a reload is lost among routes."""
    talk.run()
    talk.dialogue.release()
    talk.say(talk.far.up("10.0.0.1"))
    routes = talk.dialogue.lines(talk.now)
    talk.dialogue.reload()
    assert talk.dialogue.lines(talk.now) == []
    answers = talk.far.answers(routes)
    talk.say(answers[:1])
    assert talk.dialogue.lines(talk.now) == []
    talk.say(answers[1:])
    assert talk.dialogue.lines(talk.now) == ["reload"]


def test_a_question_that_fails_is_told_and_no_other_answer_lost(talk: Talk) -> None:
    """The next answer belongs to the next question."""
    begun(talk)
    talk.notices.clear()
    talk.far.refused.add("reload")
    talk.dialogue.reload()
    talk.run()
    assert talk.notices[0] == say.QuestionFailed("reload")
    assert isinstance(talk.notices[1], say.ConfigurationFound)


def test_a_route_that_is_refused_is_told_and_the_others_go(talk: Talk) -> None:
    """Of a line of three, the one that ExaBGP does not take."""
    talk.far.refused.add(str(TWO))
    begun(talk)
    assert talk.routes() == {ONE, THREE}
    (refused,) = [n for n in talk.notices if isinstance(n, say.RouteRefused)]
    assert refused.line.prefixes == (TWO,)


def test_a_neighbor_made_anew_while_away_gets_all_routes(talk: Talk) -> None:
    """After a reload ExaBGP may hold nothing for it, and tells nobody."""
    begun(talk)
    talk.say(talk.far.down("10.0.0.1"))
    talk.far.conf = neighbor_text("10.0.0.1", hold=30) + neighbor_text("10.0.0.2")
    talk.dialogue.reload()
    talk.run()
    assert talk.routes() == set()
    talk.say(talk.far.up("10.0.0.1"))
    talk.run()
    assert talk.routes() == ROUTES.keys()


def test_a_neighbor_that_a_reload_took_away_is_forgotten(talk: Talk) -> None:
    """With a word, when it was up, or without one."""
    begun(talk)
    talk.say(talk.far.down("10.0.0.1", "stop, message [removed]"))
    talk.far.ribs.clear()
    talk.say(talk.far.up("10.0.0.1"))
    talk.run()
    assert talk.routes() == ROUTES.keys()

    talk.say(talk.far.down("10.0.0.1"))
    talk.far.conf = neighbor_text("10.0.0.2")
    talk.dialogue.reload()
    talk.run()
    assert not talk.dialogue.window.held(TOR)


def test_a_neighbor_that_somebody_changed_is_looked_at_again(talk: Talk) -> None:
    """They reloaded exabgp.conf while the session stood: what it lacks is sent, no more."""
    begun(talk)
    old = ip_network("192.0.2.77/32")
    talk.far.ribs[TOR] = {ONE, old}
    talk.far.text = neighbor_text("10.0.0.1", description="other") + neighbor_text("10.0.0.2")
    talk.dialogue.ask_configuration()
    talk.run()
    assert talk.routes() == ROUTES.keys()


@pytest.mark.parametrize("established", [[], [TOR], [TOR2], [TOR, TOR2]])
def test_a_neighbor_with_any_as_is_asked_for_otherwise(established: list[Address]) -> None:
    """ExaBGP's summary fails where a peer-as is `auto`."""
    talk = Talk(neighbor_text("10.0.0.1", peer_as="auto") + neighbor_text("10.0.0.2"))
    talk.far.established.update(established)
    talk.run()
    assert talk.notices[2:] == [say.SessionUp(neighbor) for neighbor in established]
    assert not talk.dialogue.curious


def test_end_of_rib_follows_the_table(talk: Talk) -> None:
    """Where the peer restarts gracefully; once for each session."""
    talk.dialogue.end_of_rib = {TOR: (Family.IPV4,)}
    begun(talk)
    eor = "neighbor 10.0.0.1 announce eor ipv4 unicast"
    assert talk.far.heard[-1] == eor
    assert talk.far.heard.count(eor) == 1


def test_a_session_is_torn_down_before_all_that_waits(talk: Talk) -> None:
    """Its answer comes before that of older lines, and is taken for none of theirs."""
    begun(talk)
    talk.wanted[TOR2] = dict(ROUTES)
    talk.say(talk.far.up("10.0.0.2"))
    routes = talk.dialogue.lines(talk.now)
    talk.dialogue.reload()
    talk.dialogue.tear_down(TOR, 10)
    order = talk.dialogue.lines(talk.now)
    assert order == ["neighbor 10.0.0.1 teardown 10"]
    talk.say(talk.far.answers(order))
    assert talk.dialogue.lines(talk.now) == []  # the lines are still on their way
    talk.say(talk.far.answers(routes))
    assert talk.dialogue.lines(talk.now) == ["reload"]
    assert talk.notices[-1] == say.SessionDown(TOR, "notification sent (6,10)")


def test_a_session_is_torn_down_after_the_lines_to_it(talk: Talk) -> None:
    """Else their routes would enter the RIB of a neighbor without a session, and block reloads."""
    talk.run()
    talk.dialogue.release()
    talk.say(talk.far.up("10.0.0.1"))
    routes = talk.dialogue.lines(talk.now)
    talk.dialogue.tear_down(TOR, 10)
    assert talk.dialogue.lines(talk.now) == []
    talk.say(talk.far.answers(routes))
    assert talk.dialogue.lines(talk.now) == ["neighbor 10.0.0.1 teardown 10"]


def test_a_neighbor_that_is_torn_down_is_sent_nothing_more(talk: Talk) -> None:
    """Also before ExaBGP has told that its session ended: a route would wait for the next one."""
    begun(talk)
    del talk.wanted[TOR][ONE]
    talk.dialogue.tear_down(TOR, 10)
    talk.dialogue.window.touch(TOR, ONE, urgent=True)
    assert talk.dialogue.lines(talk.now) == ["neighbor 10.0.0.1 teardown 10"]


def later(talk: Talk, seconds: float = REPAIR_SECONDS) -> None:
    """Let time pass, so that a neighbor is compared."""
    talk.notices.clear()
    talk.far.heard.clear()
    talk.run()  # the clock is looked at
    talk.now += seconds
    talk.run()


ASK = "show adj-rib out 10.0.0.1 extensive"
OLD, THEIRS = ip_network("192.0.2.99/32"), ip_network("203.0.113.0/24")


def test_what_exabgp_lost_is_told_again(talk: Talk) -> None:
    """And what is ours and not wanted is withdrawn; what is not ours stays."""
    begun(talk)
    talk.far.ribs[TOR] = {TWO, THREE, OLD, THEIRS}
    talk.far.attributes[TOR, TWO] = "next-hop 10.0.0.11 med 77"
    later(talk)
    assert talk.routes() == {*ROUTES, THEIRS}
    assert talk.far.attributes[TOR, TWO] == "next-hop 10.0.0.11"
    (repaired,) = talk.notices
    assert repaired == say.Repaired(Drift(TOR, (ONE,), (TWO,), (OLD,)))
    assert talk.dialogue.drifted == {TOR: 3}
    later(talk)
    assert (talk.notices, talk.far.heard) == ([], [ASK])


def test_nothing_is_repaired_where_all_is_as_told(talk: Talk) -> None:
    """Every attribute is read back; a neighbor without a session is not asked for."""
    everything = Attributes(
        next_hop=ip_address("10.0.0.77"),
        local_pref=5,
        med=7,
        as_path=(1, 1),
        communities=(Community(65535, 666), Community(65535, 65281)),
        large_communities=(LargeCommunity(1, 2, 3),),
    )
    talk.wanted[TOR] = {ONE: everything, TWO: Attributes()}
    begun(talk)
    later(talk)
    assert (talk.notices, talk.far.heard) == ([], [ASK])


def test_every_neighbor_is_compared_once_a_minute_and_after_a_reload(talk: Talk) -> None:
    """One at a time."""
    begun(talk)
    talk.say(talk.far.up("10.0.0.2"))
    talk.run()
    both = [ASK, ASK.replace("0.1", "0.2")]
    for _ in range(2):
        later(talk)
        assert sorted(talk.far.heard) == both
    later(talk, REPAIR_SECONDS / 2)
    assert talk.far.heard == []
    talk.dialogue.reload()
    talk.run()
    assert sorted(talk.far.heard[2:]) == both


def asked(talk: Talk) -> list[str]:
    """Bring it to where a neighbor is asked for, and return the answer, which is not read yet."""
    begun(talk)
    talk.far.ribs[TOR] = {ONE}
    talk.now += REPAIR_SECONDS
    question = talk.dialogue.lines(talk.now)
    assert question == [ASK]
    return talk.far.answers(question)


@pytest.mark.parametrize("read", [0, 1, 2], ids=["nothing", "a row", "the whole answer"])
def test_a_change_breaks_a_comparison_off(read: int, talk: Talk) -> None:
    """However much of the answer was written, none of it is believed; it is asked again."""
    answer = asked(talk)
    del talk.wanted[TOR][TWO]
    talk.dialogue.window.touch(TOR, TWO, urgent=True)
    greeting = talk.dialogue.lines(talk.now)
    assert greeting == list(GREETING)
    talk.say(answer[:read])
    talk.say(talk.far.answers(greeting))
    talk.notices.clear()
    talk.far.heard.clear()
    talk.run()
    assert talk.far.heard == [
        "neighbor 10.0.0.1 withdraw attributes next-hop 0.0.0.0 nlri " + str(TWO)
    ]
    later(talk, RETRY_SECONDS)
    assert talk.notices == [say.Repaired(Drift(TOR, (THREE,)))]


def test_a_reload_and_the_end_of_a_session_break_it_off_too(talk: Talk) -> None:
    """The one has it asked again; the other needs no answer."""
    asked(talk)
    talk.dialogue.reload()
    assert talk.dialogue.lines(talk.now) == list(GREETING)
    talk.say(talk.far.answers(GREETING))
    talk.dialogue.tear_down(TOR, 10)
    order = talk.dialogue.lines(talk.now)
    assert order == ["neighbor 10.0.0.1 teardown 10", "reload"]


def test_who_could_not_be_compared_for_long_is_at_the_cost_of_changes(talk: Talk) -> None:
    """Where there is always something to say."""
    begun(talk)
    talk.far.ribs[TOR] = {TWO, THREE}
    talk.now += OVERDUE_SECONDS
    del talk.wanted[TOR][TWO]
    talk.dialogue.window.touch(TOR, TWO, urgent=True)
    question = talk.dialogue.lines(talk.now)
    assert question == [ASK]
    assert talk.dialogue.lines(talk.now) == []
    talk.say(talk.far.answers(question))
    talk.run()
    assert talk.routes() == {ONE, THREE}


def test_the_end_of_exabgp_is_told(talk: Talk) -> None:
    """Before it closes the pipe."""
    talk.run()
    talk.notices.clear()
    talk.say(['{"exabgp": "5.0.0", "type": "notification", "notification": "shutdown"}'])
    assert talk.notices == [say.Ending()]


def test_how_long_exabgp_owes_an_answer(talk: Talk) -> None:
    """From the question on, and from the last thing that it said; else not at all."""
    begun(talk)
    talk.now = 5.0
    assert talk.dialogue.lines(talk.now) == []
    assert talk.dialogue.silence(100.0) == 0.0
    talk.dialogue.ask_configuration()
    talk.now = 10.0
    lines = talk.dialogue.lines(talk.now)
    assert talk.dialogue.silence(17.0) == 7.0
    talk.say(talk.far.up("10.0.0.2"))
    talk.now = 20.0
    talk.dialogue.lines(talk.now)
    assert talk.dialogue.silence(21.0) == 1.0
    talk.say(talk.far.answers(lines))
    assert talk.dialogue.silence(99.0) == 0.0


def test_a_line_without_an_answer_is_owed_one(talk: Talk) -> None:
    """So is an order."""
    begun(talk)
    talk.wanted[TOR].pop(ONE)
    talk.dialogue.window.touch(TOR, ONE, urgent=True)
    talk.now = 10.0
    assert talk.dialogue.lines(talk.now)
    assert talk.dialogue.silence(13.0) == 3.0
    talk.say(["done"])
    assert talk.dialogue.silence(13.0) == 0.0
    talk.dialogue.tear_down(TOR, 6)
    talk.now = 20.0
    assert talk.dialogue.lines(talk.now)
    assert talk.dialogue.silence(24.0) == 4.0


def test_events_in_words_are_told_of(talk: Talk) -> None:
    """The process section has `encoder text`; without a question nobody asked for that line."""
    begun(talk)
    talk.say(["neighbor 10.0.0.1 down - closing connection"])
    assert talk.notices[-1] == say.NotJson("neighbor 10.0.0.1 down - closing connection")
