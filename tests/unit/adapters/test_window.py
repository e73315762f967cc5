"""What is written to ExaBGP and when, rule by rule; all at once in `test_window_machine`."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest

from exabgp_metallb.adapters.exabgp.adjacency import FLUSH_SECONDS, REMEMBERED_KINDS
from exabgp_metallb.adapters.exabgp.text import UNKNOWN
from exabgp_metallb.adapters.exabgp.window import (
    LINES_IN_FLIGHT,
    NEIGHBORS_PER_LINE,
    PREFIXES_PER_LINE,
    Line,
    Window,
)
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.rib import Attributes

TOR, TOR2 = ip_address("10.0.0.1"), ip_address("10.0.0.2")
PLAIN, BETTER, WORSE = Attributes(), Attributes(local_pref=200), Attributes(local_pref=0)
BOTH_FAMILIES = (Family.IPV4, Family.IPV6)


def host(number: int) -> Prefix:
    """Return one of many prefixes, in order."""
    return ip_network((int(ip_address("172.16.0.0")) + number, 32))


def hosts(*numbers: int) -> list[Prefix]:
    """Return several of them."""
    return [host(n) for n in numbers]


ONE, TWO, THREE = hosts(1, 2, 3)
WIDE = ip_network("2001:db8::1/128")


class Talk:
    """A window, what is wanted, a clock that stands, and an ExaBGP that says what it is told to."""

    def __init__(self) -> None:
        self.wanted: dict[Address, dict[Prefix, Attributes]] = {TOR: {}, TOR2: {}}
        self.window = Window(lambda neighbor: self.wanted.setdefault(neighbor, {}))
        self.now = 100.0

    def want(
        self,
        *prefixes: Prefix,
        at: Address = TOR,
        become: Attributes | None = PLAIN,
        urgent: bool = False,
    ) -> None:
        """Have prefixes become something at a neighbor."""
        for prefix in prefixes:
            self.change(prefix, at=at, become=become)
            self.window.touch(at, prefix, urgent=urgent)

    def change(self, prefix: Prefix, *, at: Address = TOR, become: Attributes | None) -> None:
        """Change what is wanted without a word to the window."""
        if become is None:
            self.wanted[at].pop(prefix, None)
        else:
            self.wanted[at][prefix] = become

    def written(self) -> list[Line]:
        """Return what is written now."""
        return list(self.window.lines(self.now))

    def prefixes(self) -> list[list[Prefix]]:
        """Return the prefixes of each line that is written now."""
        return [list(line.prefixes) for line in self.written()]

    def answer(self) -> Line:
        """Have ExaBGP take the oldest line."""
        line = self.window.acknowledged()
        assert line is not None
        return line

    def flush(self, line: Line) -> None:
        """Have ExaBGP send what a line told it."""
        for neighbor in line.neighbors:
            self.window.flushed(neighbor, line.prefixes, line.attributes)

    def settle(self) -> list[Line]:
        """Let everything run its course; return the lines of it."""
        lines: list[Line] = []
        while some := self.written():
            lines += some
            for _ in some:
                self.flush(self.answer())
        assert self.window.idle(self.now)
        return lines


@pytest.fixture
def talk() -> Talk:
    """Return a window with two neighbors that are up, and nothing wanted."""
    talk = Talk()
    talk.window.up(TOR)
    talk.window.up(TOR2)
    return talk


def told(lines: Iterable[Line]) -> list[tuple[Prefix, Attributes | None]]:
    """Return what the lines say of each prefix."""
    return [(prefix, line.attributes) for line in lines for prefix in line.prefixes]


# Who is told.


def test_a_neighbor_that_is_not_up_is_told_nothing() -> None:
    """Neither of what is wanted of it nor of what ExaBGP holds for it."""
    talk = Talk()
    talk.window.holds(TOR, ONE)
    talk.want(TWO, urgent=True)
    talk.window.touch_all(TOR)
    talk.window.touch_everything()
    assert talk.written() == []
    assert not talk.window.is_up(TOR)
    assert talk.window.idle(talk.now)


def test_a_neighbor_that_comes_up_is_told_its_table() -> None:
    """In order of prefix, and it is then held."""
    talk = Talk()
    talk.wanted[TOR] = {TWO: PLAIN, ONE: PLAIN}
    talk.window.up(TOR)
    assert told(talk.settle()) == [(ONE, PLAIN), (TWO, PLAIN)]
    assert talk.window.is_up(TOR)
    assert talk.window.held(TOR) == talk.wanted[TOR]


def test_a_neighbor_that_comes_up_again_is_told_the_difference(talk: Talk) -> None:
    """ExaBGP sends by itself what it holds; what it should not hold is withdrawn first."""
    talk.want(ONE, TWO, THREE)
    talk.settle()
    talk.window.down(TOR)
    talk.change(ONE, become=None)
    talk.change(TWO, become=BETTER)
    talk.want(host(4))
    assert talk.written() == []
    talk.window.up(TOR)
    assert told(talk.settle()) == [(ONE, None), (TWO, BETTER), (host(4), PLAIN)]


def test_what_a_forerunner_left_is_announced_anew_or_withdrawn() -> None:
    """Its attributes are not known, so they are not relied on."""
    talk = Talk()
    talk.wanted[TOR] = {ONE: PLAIN}
    talk.window.holds(TOR, ONE)
    talk.window.holds(TOR, TWO)
    assert talk.window.held(TOR) == {ONE: UNKNOWN, TWO: UNKNOWN}
    talk.window.up(TOR)
    assert told(talk.settle()) == [(TWO, None), (ONE, PLAIN)]


def test_neighbors_that_wait_for_the_same_share_a_line(talk: Talk) -> None:
    """One line names both of them."""
    talk.want(ONE, TWO)
    talk.want(ONE, TWO, THREE, at=TOR2)
    (first, second) = talk.settle()
    assert (first.neighbors, first.prefixes) == ((TOR, TOR2), (ONE, TWO))
    assert (second.neighbors, second.prefixes) == ((TOR2,), (THREE,))


def test_neighbors_that_want_something_else_share_nothing(talk: Talk) -> None:
    """Other attributes make another line."""
    talk.want(ONE)
    talk.want(ONE, at=TOR2, become=BETTER)
    assert [line.neighbors for line in talk.settle()] == [(TOR,), (TOR2,)]


def test_no_line_names_too_many_neighbors() -> None:
    """The rest has a line of its own."""
    talk = Talk()
    everybody = [ip_address(f"10.1.0.{n}") for n in range(NEIGHBORS_PER_LINE + 1)]
    for neighbor in everybody:
        talk.window.up(neighbor)
        talk.want(ONE, at=neighbor)
    assert [len(line.neighbors) for line in talk.settle()] == [NEIGHBORS_PER_LINE, 1]


def test_neighbors_with_much_to_hear_are_served_in_turn(talk: Talk) -> None:
    """Nobody waits for the end of another's table."""
    talk.want(*map(host, range(200)))
    talk.want(*map(host, range(200)), at=TOR2, become=BETTER)
    served = [line.neighbors for line in talk.settle()]
    assert served == [(TOR,), (TOR2,)] * 4


# What a line holds, and how many there are.


def test_a_line_holds_so_many_prefixes_and_no_more(talk: Talk) -> None:
    """A line of each, and the rest."""
    talk.want(*map(host, range(2 * PREFIXES_PER_LINE + 1)))
    sizes = [len(line.prefixes) for line in talk.settle()]
    assert sizes == [PREFIXES_PER_LINE, PREFIXES_PER_LINE, 1]


def test_prefixes_of_different_kinds_have_lines_of_their_own(talk: Talk) -> None:
    """One family and one set of attributes a line."""
    talk.want(ONE, WIDE, become=Attributes(next_hop=ip_address("2001:db8::2")))
    talk.want(TWO, become=BETTER)
    lines = talk.settle()
    assert [list(line.prefixes) for line in lines] == [[ONE], [WIDE], [TWO]]


def test_equal_attributes_share_a_line_whoever_made_them(talk: Talk) -> None:
    """They are compared by value, not by who they are."""
    talk.want(ONE, become=Attributes(local_pref=7))
    talk.want(TWO, become=Attributes(local_pref=7))
    assert len(talk.settle()) == 1


def test_more_kinds_than_are_remembered_find_their_lines(talk: Talk) -> None:
    """What is remembered of attributes is a matter of speed only."""
    many = [host(n) for n in range(REMEMBERED_KINDS + 2 * PREFIXES_PER_LINE)]
    for prefix in many:
        talk.want(prefix, become=Attributes(local_pref=7))
    assert len(talk.settle()) == -(-len(many) // PREFIXES_PER_LINE)


def test_so_many_lines_are_without_an_answer_and_no_more(talk: Talk) -> None:
    """The next is written when the oldest is answered."""
    talk.want(*map(host, range(5 * PREFIXES_PER_LINE)))
    assert len(talk.written()) == LINES_IN_FLIGHT
    assert talk.written() == []
    first = talk.answer()
    assert first.prefixes[0] == host(0)
    (third,) = talk.written()
    assert third.prefixes[0] == host(LINES_IN_FLIGHT * PREFIXES_PER_LINE)


def test_answers_to_nothing_mean_nothing() -> None:
    """A window without lines in flight has none to give back."""
    window = Window(lambda _: {})
    assert window.acknowledged() is None
    assert window.refused() is None


# What goes first.


def test_an_urgent_change_goes_before_bulk(talk: Talk) -> None:
    """It takes the next free place."""
    talk.want(*map(host, range(5 * PREFIXES_PER_LINE)))
    talk.written()
    talk.want(host(9999), urgent=True)
    talk.answer()
    assert talk.prefixes() == [[host(9999)]]


def test_a_withdrawal_goes_before_bulk(talk: Talk) -> None:
    """However it was touched."""
    talk.want(host(9999))
    talk.settle()
    talk.want(*map(host, range(5 * PREFIXES_PER_LINE)))
    talk.want(host(9999), become=None)
    assert talk.prefixes()[0] == [host(9999)]


def test_when_a_whole_table_changes_its_new_routes_go_before_its_withdrawals(talk: Talk) -> None:
    """An aggregate does not leave before what replaces it."""
    aggregate = ip_network("172.16.0.0/24")
    talk.want(aggregate)
    talk.settle()
    talk.wanted[TOR] = {host(n): PLAIN for n in range(PREFIXES_PER_LINE + 1)}
    talk.window.touch_everything()
    *announced, withdrawn = talk.settle()
    assert len(announced) == 2
    assert told([withdrawn]) == [(aggregate, None)]


# One change at a time.


def test_what_changed_ten_times_in_the_queue_is_told_once(talk: Talk) -> None:
    """As it is wanted when its line is written."""
    talk.want(*map(host, range(2 * PREFIXES_PER_LINE)))
    talk.written()
    for n in range(10):
        talk.want(host(500), become=Attributes(local_pref=n))
    talk.answer()
    assert told(talk.written()) == [(host(500), Attributes(local_pref=9))]


def test_what_changed_back_in_the_queue_is_not_told(talk: Talk) -> None:
    """It is what it was."""
    talk.want(ONE)
    talk.settle()
    talk.want(ONE, become=None)
    talk.want(ONE)
    assert talk.settle() == []


def test_a_change_that_nobody_told_of_is_seen_when_its_line_is_written(talk: Talk) -> None:
    """A queue holds prefixes; what they become is looked up at the last moment."""
    talk.want(ONE, TWO)
    talk.change(TWO, become=BETTER)
    assert told(talk.settle()) == [(ONE, PLAIN), (TWO, BETTER)]


def test_a_second_change_waits_until_the_first_is_on_the_wire(talk: Talk) -> None:
    """Whether or not the first is answered; then it has the right of way."""
    talk.want(ONE)
    (first,) = talk.written()
    talk.want(ONE, become=BETTER)
    assert talk.written() == []
    talk.answer()
    assert talk.written() == []
    talk.flush(first)
    assert told(talk.written()) == [(ONE, BETTER)]


def test_changes_that_wait_are_told_once_if_at_all(talk: Talk) -> None:
    """What changed back meanwhile needs no line."""
    talk.want(ONE)
    (first,) = talk.written()
    talk.want(ONE, become=None)
    talk.want(ONE)
    talk.answer()
    talk.flush(first)
    assert talk.written() == []
    assert talk.window.idle(talk.now)


def test_an_event_of_something_else_is_no_sign(talk: Talk) -> None:
    """A table sent again, say, while the withdrawal is still inside ExaBGP."""
    talk.want(ONE)
    talk.settle()
    talk.want(ONE, become=None)
    talk.written()
    talk.answer()
    talk.want(ONE, become=BETTER)
    talk.window.flushed(TOR, [ONE], PLAIN)
    assert talk.written() == []
    talk.window.flushed(TOR, [ONE], None)
    assert told(talk.written()) == [(ONE, BETTER)]


def test_an_event_whose_content_is_not_told_is_believed(talk: Talk) -> None:
    """Then it is of what was meant."""
    talk.want(ONE)
    talk.written()
    talk.answer()
    talk.window.flushed(TOR, [ONE])
    assert talk.window.settled(talk.now)


def test_a_later_change_on_the_wire_means_that_the_earlier_are(talk: Talk) -> None:
    """ExaBGP keeps order; of what it found to be no change it tells nothing."""
    talk.want(ONE)
    talk.want(TWO, become=BETTER)
    _, second = talk.written()
    talk.want(ONE, become=BETTER)
    talk.answer()
    talk.answer()
    assert talk.written() == []
    talk.flush(second)
    assert told(talk.written()) == [(ONE, BETTER)]


def test_silence_means_that_there_was_nothing_to_send(talk: Talk) -> None:
    """Counted from the answer, not from the writing: ExaBGP may be busy."""
    talk.want(ONE)
    talk.written()
    talk.want(ONE, become=BETTER)
    talk.now += 10 * FLUSH_SECONDS
    assert talk.written() == []
    assert talk.window.next_deadline() is None
    talk.answer()
    assert talk.written() == []
    assert talk.window.next_deadline() == talk.now + FLUSH_SECONDS
    talk.now += FLUSH_SECONDS
    assert told(talk.written()) == [(ONE, BETTER)]


def test_a_neighbor_that_is_being_told_things_is_not_silent(talk: Talk) -> None:
    """While ExaBGP works off an older batch it has not come to the change yet."""
    talk.want(ONE)
    talk.settle()
    talk.want(TWO)
    talk.written()
    talk.answer()
    talk.written()
    talk.now += FLUSH_SECONDS / 2
    talk.window.flushed(TOR, [ONE], PLAIN)
    assert not talk.window.settled(talk.now)
    talk.now += FLUSH_SECONDS / 2
    assert not talk.window.settled(talk.now)
    talk.now += FLUSH_SECONDS / 2
    assert talk.window.settled(talk.now)


def test_routes_of_others_do_not_break_the_silence(talk: Talk) -> None:
    """Somebody's own process may announce and withdraw all day long."""
    talk.want(ONE)
    talk.written()
    talk.answer()
    talk.written()
    for _ in range(4):
        talk.now += FLUSH_SECONDS / 4
        assert not talk.window.settled(talk.now - 0.01)
        talk.window.flushed(TOR, [TWO], PLAIN)
    assert talk.window.settled(talk.now)


# What ExaBGP refuses.


def test_a_refused_line_is_tried_again_one_by_one(talk: Talk) -> None:
    """One bad route refuses itself only, and only that is told of."""
    talk.want(ONE, TWO)
    talk.written()
    assert talk.window.refused() is None
    assert talk.prefixes() == [[ONE], [TWO]]
    (bad,) = [talk.window.refused()]
    assert bad is not None
    assert bad.prefixes == (ONE,)
    talk.flush(talk.answer())
    assert talk.settle() == []
    assert talk.window.held(TOR) == {ONE: UNKNOWN, TWO: PLAIN}


def test_a_line_refused_for_several_neighbors_is_tried_for_each(talk: Talk) -> None:
    """Where the refusal comes from is not known."""
    talk.want(ONE)
    talk.want(ONE, at=TOR2)
    talk.written()
    talk.window.refused()
    assert [line.neighbors for line in talk.settle()] == [(TOR,), (TOR2,)]


def refuse_one(talk: Talk) -> None:
    """Have ExaBGP refuse a route for good."""
    talk.want(ONE)
    talk.written()
    assert talk.window.refused() is not None
    assert talk.settle() == []


def test_a_refused_route_is_left_alone(talk: Talk) -> None:
    """A look at the whole table does not bring it back."""
    refuse_one(talk)
    talk.window.touch_all(TOR)
    assert talk.settle() == []


def test_a_refused_route_that_becomes_another_is_tried(talk: Talk) -> None:
    """A look at the whole table finds that out."""
    refuse_one(talk)
    talk.change(ONE, become=BETTER)
    talk.window.touch_all(TOR)
    assert told(talk.settle()) == [(ONE, BETTER)]


def test_a_refused_route_is_tried_again_when_touched(talk: Talk) -> None:
    """Something about it has changed, here or at ExaBGP."""
    refuse_one(talk)
    talk.want(ONE)
    assert told(talk.settle()) == [(ONE, PLAIN)]


def test_a_refused_route_is_tried_again_when_the_session_comes_up(talk: Talk) -> None:
    """It may be a matter of the session."""
    refuse_one(talk)
    talk.window.down(TOR)
    talk.window.up(TOR)
    assert told(talk.settle()) == [(ONE, PLAIN)]


def test_a_route_that_changed_while_it_was_refused_is_tried_as_it_is_now(talk: Talk) -> None:
    """What was refused was another one."""
    talk.want(ONE)
    talk.written()
    talk.want(ONE, become=BETTER)
    assert talk.window.refused() is None
    assert told(talk.settle()) == [(ONE, BETTER)]


def test_routes_that_changed_while_they_were_refused_are_tried_as_they_are_now(talk: Talk) -> None:
    """Also when they are not wanted any more: ExaBGP may have taken part of the line."""
    talk.want(ONE, TWO)
    talk.written()
    talk.want(ONE, become=None)
    talk.want(TWO, become=BETTER)
    talk.window.refused()
    assert told(talk.settle()) == [(ONE, None), (TWO, BETTER)]


def test_a_line_refused_for_a_neighbor_that_is_gone_is_nobodys(talk: Talk) -> None:
    """There is nothing to tell of."""
    talk.want(ONE)
    talk.written()
    talk.window.forget(TOR)
    talk.window.forget(TOR)
    talk.window.refused()
    assert talk.settle() == []


# Sessions that end.


def test_a_line_in_flight_outlives_its_session(talk: Talk) -> None:
    """ExaBGP may take it before or after the next session; until it did, its prefixes wait."""
    talk.want(ONE)
    (line,) = talk.written()
    talk.window.down(TOR)
    talk.change(ONE, become=None)
    talk.window.up(TOR)
    assert talk.written() == []
    talk.answer()
    assert talk.written() == []
    talk.flush(line)
    assert told(talk.settle()) == [(ONE, None)]


def test_a_withdrawal_in_flight_outlives_its_session(talk: Talk) -> None:
    """ExaBGP may send the route again before it takes the withdrawal."""
    talk.want(ONE)
    talk.settle()
    talk.want(ONE, become=None)
    talk.written()
    talk.window.down(TOR)
    talk.change(ONE, become=BETTER)
    talk.window.up(TOR)
    talk.window.flushed(TOR, [ONE], PLAIN)
    talk.answer()
    assert talk.written() == []
    talk.window.flushed(TOR, [ONE], None)
    assert told(talk.settle()) == [(ONE, BETTER)]


def test_what_was_taken_before_a_session_ended_waits_for_nothing(talk: Talk) -> None:
    """It is part of what ExaBGP sends by itself."""
    talk.want(ONE)
    talk.written()
    talk.answer()
    talk.window.down(TOR)
    assert talk.window.settled(talk.now)
    talk.change(ONE, become=BETTER)
    talk.window.up(TOR)
    assert told(talk.settle()) == [(ONE, BETTER)]


def test_a_forgotten_neighbor_begins_with_nothing(talk: Talk) -> None:
    """ExaBGP dropped what it held."""
    talk.want(ONE)
    talk.want(ONE, at=TOR2)
    talk.settle()
    talk.window.forget_others({TOR2})
    assert talk.window.held(TOR) == {}
    assert talk.window.held(TOR2) == {ONE: PLAIN}
    talk.window.up(TOR)
    assert told(talk.settle()) == [(ONE, PLAIN)]


def test_a_line_in_flight_may_find_the_next_neighbor_of_that_address(talk: Talk) -> None:
    """Then it holds what nobody wants any more."""
    talk.want(ONE)
    (line,) = talk.written()
    talk.window.forget(TOR)
    talk.change(ONE, become=None)
    talk.window.up(TOR)
    talk.answer()
    talk.flush(line)
    assert told(talk.settle()) == [(ONE, None)]


def test_a_session_that_comes_up_twice_is_a_new_one(talk: Talk) -> None:
    """Nobody told of the end of the first; what was taken is sent again."""
    talk.want(ONE)
    talk.written()
    talk.answer()
    talk.window.up(TOR)
    assert talk.window.settled(talk.now)
    assert talk.settle() == []


# A router that did not read for so long that changes overtook each other inside ExaBGP.


def presume(talk: Talk, *changes: Attributes | None) -> None:
    """Have one route change several times, with silence after each."""
    for attributes in changes:
        talk.want(ONE, become=attributes)
        assert told(talk.written()) == [(ONE, attributes)]
        talk.answer()
        assert talk.written() == []
        talk.now += FLUSH_SECONDS
    assert talk.written() == []


@pytest.mark.parametrize(
    ("changes", "events", "mended"),
    [
        pytest.param([PLAIN, None], [None, PLAIN], [(ONE, None)], id="left over"),
        pytest.param([PLAIN, None, PLAIN], [PLAIN, None], [(ONE, None), (ONE, PLAIN)], id="lost"),
        pytest.param(
            [PLAIN, WORSE, PLAIN], [PLAIN, WORSE], [(ONE, None), (ONE, PLAIN)], id="old attributes"
        ),
        pytest.param([PLAIN, WORSE], [PLAIN, WORSE], [], id="in order after all"),
        pytest.param([PLAIN, None], [PLAIN, None], [], id="withdrawn in order after all"),
        pytest.param([PLAIN, WORSE], [PLAIN], [], id="attributes that were never told our way"),
    ],
)
def test_a_route_that_went_astray_is_taken_back_and_told_anew(
    talk: Talk,
    changes: list[Attributes | None],
    events: list[Attributes | None],
    mended: list[tuple[Prefix, Attributes | None]],
) -> None:
    """The last event of a prefix is what its router has."""
    presume(talk, *changes)
    for event in events:
        talk.window.flushed(TOR, [ONE], event)
    assert told(talk.settle()) == mended


def test_an_overtaken_change_that_is_not_presumed_waits(talk: Talk) -> None:
    """Events in the wrong order while the last change is on its way."""
    presume(talk, PLAIN, None)
    talk.want(ONE)
    talk.written()
    talk.answer()
    talk.window.flushed(TOR, [ONE], PLAIN)
    talk.window.flushed(TOR, [ONE], None)
    assert told(talk.settle()) == [(ONE, None), (ONE, PLAIN)]


def test_routes_of_others_are_not_ours_to_mend(talk: Talk) -> None:
    """Events tell of the static routes of somebody's own configuration, too."""
    talk.window.flushed(TOR, [ONE, TWO], PLAIN)
    talk.window.flushed(ip_address("10.9.9.9"), [ONE], PLAIN)
    assert talk.settle() == []


# End-of-RIB.


def ends(lines: Iterable[Line]) -> list[str]:
    """Return the End-of-RIB among lines."""
    return [line.text for line in lines if not line.prefixes]


FOR_TOR = [f"neighbor {TOR} announce eor ipv4 unicast", f"neighbor {TOR} announce eor ipv6 unicast"]


def test_no_end_of_rib_unless_asked_for(talk: Talk) -> None:
    """Without manual-eor ExaBGP sends it by itself."""
    talk.want(ONE)
    assert ends(talk.settle()) == []


def test_end_of_rib_follows_the_whole_table() -> None:
    """When all of it is on the wire, once for each family."""
    talk = Talk()
    talk.wanted[TOR] = {host(n): PLAIN for n in range(PREFIXES_PER_LINE)} | {TWO: BETTER}
    talk.window.up(TOR, BOTH_FAMILIES)
    first, second = talk.written()
    talk.answer()
    talk.answer()
    talk.flush(first)
    assert talk.written() == []
    assert not talk.window.idle(talk.now)
    talk.flush(second)
    assert [line.text for line in talk.settle()] == FOR_TOR
    talk.want(host(777))
    assert ends(talk.settle()) == []


def test_end_of_rib_of_an_empty_table_goes_at_once() -> None:
    """There is nothing to wait for."""
    talk = Talk()
    talk.window.up(TOR, BOTH_FAMILIES)
    assert [line.text for line in talk.written()] == FOR_TOR


def test_end_of_rib_does_not_wait_for_later_changes() -> None:
    """Neither of other routes nor of those of the table, however often they change."""
    talk = Talk()
    talk.wanted[TOR] = {ONE: PLAIN}
    talk.window.up(TOR, BOTH_FAMILIES)
    (line,) = talk.written()
    talk.want(TWO, urgent=True)
    talk.want(ONE, become=BETTER)
    talk.answer()
    talk.flush(line)
    assert ends(talk.written()) == FOR_TOR


def test_end_of_rib_waits_no_longer_for_what_is_not_wanted_any_more() -> None:
    """A change that needs no line needs no flush."""
    talk = Talk()
    talk.wanted[TOR] = {host(n): PLAIN for n in range(3 * PREFIXES_PER_LINE)}
    talk.window.up(TOR, BOTH_FAMILIES)
    talk.written()
    last = host(3 * PREFIXES_PER_LINE - 1)
    talk.want(last, become=None)
    lines = [talk.answer() for _ in range(LINES_IN_FLIGHT)]
    for line in lines:
        talk.flush(line)
    assert talk.prefixes() == [
        [host(n) for n in range(2 * PREFIXES_PER_LINE, len(talk.wanted[TOR]))]
    ]
    talk.flush(talk.answer())
    assert ends(talk.settle()) == FOR_TOR


def test_end_of_rib_waits_no_longer_for_what_exabgp_refuses() -> None:
    """A bad route does not keep a graceful restart open."""
    talk = Talk()
    talk.wanted[TOR] = {ONE: PLAIN, TWO: PLAIN}
    talk.window.up(TOR, BOTH_FAMILIES)
    talk.written()
    talk.window.refused()
    talk.written()
    talk.window.refused()
    talk.flush(talk.answer())
    assert [line.text for line in talk.settle()] == FOR_TOR


def test_end_of_rib_waits_for_silence_where_nothing_is_told() -> None:
    """A table that ExaBGP held already."""
    talk = Talk()
    talk.wanted[TOR] = {ONE: PLAIN}
    talk.window.holds(TOR, ONE)
    talk.window.up(TOR, BOTH_FAMILIES)
    talk.written()
    talk.answer()
    assert talk.written() == []
    talk.now += FLUSH_SECONDS
    assert ends(talk.written()) == FOR_TOR


def test_end_of_rib_waits_for_what_an_older_line_keeps_from_being_sent(talk: Talk) -> None:
    """The prefix belongs to the table of the new session, not only to the line in flight."""
    talk.want(ONE)
    (line,) = talk.written()
    talk.window.down(TOR)
    talk.change(ONE, become=BETTER)
    talk.window.up(TOR, BOTH_FAMILIES)
    talk.answer()
    talk.flush(line)
    (better,) = talk.written()
    assert told([better]) == [(ONE, BETTER)]
    talk.flush(talk.answer())
    assert ends(talk.settle()) == FOR_TOR


def test_end_of_rib_waits_for_what_follows_an_older_line_that_is_refused(talk: Talk) -> None:
    """And for nothing else."""
    talk.want(ONE)
    talk.written()
    talk.window.down(TOR)
    talk.change(ONE, become=BETTER)
    talk.window.up(TOR, BOTH_FAMILIES)
    assert talk.window.refused() is None
    (better,) = talk.written()
    assert told([better]) == [(ONE, BETTER)]
    talk.flush(talk.answer())
    assert ends(talk.settle()) == FOR_TOR


def test_end_of_rib_is_lost_with_its_session() -> None:
    """The next session says what it wants."""
    talk = Talk()
    talk.wanted[TOR] = {ONE: PLAIN}
    talk.window.up(TOR, BOTH_FAMILIES)
    talk.written()
    talk.window.down(TOR)
    talk.answer()
    assert talk.written() == []
    talk.now += FLUSH_SECONDS
    assert talk.settle() == []
    talk.window.up(TOR)
    assert ends(talk.settle()) == []


def test_a_refused_end_of_rib_is_not_tried_again() -> None:
    """ExaBGP refuses it only where there is no session; the next one gets its own."""
    talk = Talk()
    talk.window.up(TOR, (Family.IPV4,))
    assert ends(talk.written()) == FOR_TOR[:1]
    assert talk.window.refused() is None
    assert talk.settle() == []


# What the owner asks.


def test_settled_means_answered_and_flushed(talk: Talk) -> None:
    """Whatever is still queued."""
    talk.want(*map(host, range(3 * PREFIXES_PER_LINE)))
    assert talk.window.settled(talk.now)
    first, second = talk.written()
    assert not talk.window.settled(talk.now)
    talk.answer()
    talk.flush(first)
    assert not talk.window.settled(talk.now)
    talk.answer()
    assert not talk.window.settled(talk.now)
    talk.flush(second)
    assert talk.window.settled(talk.now)
    assert not talk.window.idle(talk.now)


def test_there_is_no_deadline_where_all_is_on_the_wire(talk: Talk) -> None:
    """Nobody has to be woken for it."""
    talk.want(ONE)
    talk.settle()
    assert talk.window.next_deadline() is None
