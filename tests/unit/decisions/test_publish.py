"""Decisions reach the API in an order that never shows an address twice."""

from ipaddress import ip_address

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exabgp_metallb.decisions.publish import Publication
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.publication import Showing, StatusWrite

A, B = ObjectName("default", "a"), ObjectName("default", "b")
X = Showing(addresses=(ip_address("192.0.2.1"),), pool="public")
Y = Showing(addresses=(ip_address("192.0.2.2"),), pool="public")
NOTHING = Showing()


def test_an_address_is_taken_away_before_it_is_given() -> None:
    """The second write waits for the success of the first."""
    publication = Publication()
    publication.shows(A, X)
    publication.shows(B, NOTHING)
    publication.want(B, X)
    publication.want(A, Y)
    assert list(publication.writes()) == [StatusWrite(A, Y)]
    publication.written(A)
    assert list(publication.writes()) == [StatusWrite(B, X)]
    publication.written(B)
    assert list(publication.writes()) == []
    assert publication.settled


def test_a_write_that_would_change_nothing_is_not_made() -> None:
    """A restart with the same decisions writes nothing."""
    publication = Publication()
    publication.shows(A, X)
    publication.want(A, X)
    assert list(publication.writes()) == []
    assert publication.settled


def test_a_write_without_an_answer_may_have_been_done() -> None:
    """The address is nobody else's until a later write of the Service is answered."""
    publication = Publication()
    publication.shows(A, NOTHING)
    publication.shows(B, NOTHING)
    publication.want(A, X)
    assert list(publication.writes()) == [StatusWrite(A, X)]
    publication.unanswered(A)
    publication.want(A, NOTHING)
    publication.want(B, X)
    assert list(publication.writes()) == [StatusWrite(A, NOTHING)]
    publication.written(A)
    assert list(publication.writes()) == [StatusWrite(B, X)]


def test_services_that_change_places_do_not_wait_for_each_other() -> None:
    """Each gives up what it has, then gets what it should."""
    publication = Publication()
    for name, has, wants in ((A, X, Y), (B, Y, X)):
        publication.shows(name, has)
        publication.want(name, wants)
    given_up = publication.writes()
    assert [(write.service, write.showing.addresses) for write in given_up] == [(A, ()), (B, ())]
    publication.written(B)
    assert list(publication.writes()) == []
    publication.written(A)
    assert sorted(publication.writes(), key=lambda write: write.service) == [
        StatusWrite(A, Y),
        StatusWrite(B, X),
    ]


def test_a_lost_write_is_settled_by_a_newer_version() -> None:
    """Whatever the Service shows at it, the lost write is part of that, or will never be done."""
    publication = Publication()
    publication.shows(A, NOTHING)
    publication.shows(B, NOTHING)
    publication.want(A, X)
    assert list(publication.writes()) == [StatusWrite(A, X)]
    publication.unanswered(A)
    assert not publication.is_shown(A)
    publication.shows(A, X)
    publication.moved_on(A)
    assert publication.is_shown(A)
    assert list(publication.writes()) == []
    assert publication.settled


def test_many_writes_take_linear_time() -> None:
    """Those that are due are not looked up from the start of all."""
    publication = Publication()
    names = [ObjectName("default", f"web-{number}") for number in range(65536)]
    for name in names:
        publication.shows(name, NOTHING)
        publication.want(name, Showing(pool="public"))
    assert len(publication.writes()) == len(names)


def test_services_that_share_by_decision_show_one_address() -> None:
    """Neither waits for the other."""
    publication = Publication()
    for name in (A, B):
        publication.shows(name, NOTHING)
        publication.want(name, X)
    assert list(publication.writes()) == [StatusWrite(A, X), StatusWrite(B, X)]


def test_a_deleted_service_claims_nothing() -> None:
    """Its address can be given at once."""
    publication = Publication()
    publication.shows(A, X)
    publication.shows(B, NOTHING)
    publication.want(B, X)
    assert list(publication.writes()) == []
    publication.gone(A)
    assert list(publication.writes()) == [StatusWrite(B, X)]


NAMES = [ObjectName("default", name) for name in "abcd"]
ADDRESSES: list[Address] = [ip_address(f"192.0.2.{last}") for last in range(1, 4)]


class Controller(RuleBasedStateMachine):
    """An API that loses answers, a controller that dies, decisions that never give twice."""

    @initialize()
    def begin(self) -> None:
        """Start with Services that show nothing."""
        self.api = dict.fromkeys(NAMES, NOTHING)
        self.wanted = dict.fromkeys(NAMES, NOTHING)
        self.flying: list[StatusWrite] = []
        self.start()

    @rule()
    def start(self) -> None:
        """A controller begins: it reads what is shown, and keeps that."""
        self.flying = []
        self.publication = Publication()
        self.wanted = dict(self.api)
        for name in NAMES:
            self.publication.shows(name, self.api[name])
            self.publication.want(name, self.wanted[name])

    @rule(name=st.sampled_from(NAMES), address=st.sampled_from([None, *ADDRESSES]))
    def decide(self, name: ObjectName, address: Address | None) -> None:
        """Give an address to a Service, and take it from who has it."""
        for other in NAMES:
            if other != name and address in self.wanted[other].addresses:
                self.want(other, NOTHING)
        self.want(name, Showing(addresses=(address,)) if address else NOTHING)

    def want(self, name: ObjectName, showing: Showing) -> None:
        """Decide for one Service."""
        self.wanted[name] = showing
        self.publication.want(name, showing)

    @rule()
    def write(self) -> None:
        """Send what may be sent."""
        self.flying += self.publication.writes()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), answer=st.sampled_from(["done", "refused", "lost", "done, answer lost"]))
    def answer(self, data: st.DataObject, answer: str) -> None:
        """The API answers one of the writes on their way, in any order."""
        write = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        if answer.startswith("done"):
            self.api[write.service] = write.showing
        if answer == "done":
            self.publication.written(write.service)
        elif answer == "refused":
            self.publication.refused(write.service)
        else:
            self.publication.unanswered(write.service)

    @rule(name=st.sampled_from(NAMES))
    def retry(self, name: ObjectName) -> None:
        """Some time has passed."""
        self.publication.retry(name)

    @rule(name=st.sampled_from(NAMES))
    def watch(self, name: ObjectName) -> None:
        """The watch tells what a Service shows, unless a write of it is on its way."""
        if all(write.service != name for write in self.flying):
            self.publication.shows(name, self.api[name])

    @invariant()
    def no_address_is_shown_twice(self) -> None:
        """At any moment, and so after a crash at any moment."""
        if hasattr(self, "api"):
            shown = [address for showing in self.api.values() for address in showing.addresses]
            assert len(shown) == len(set(shown))

    def teardown(self) -> None:
        """In the end, when the API answers, what was decided is shown."""
        if not hasattr(self, "api"):
            return
        for write in self.flying:
            self.publication.unanswered(write.service)
        for name in NAMES:
            self.publication.retry(name)
        for _ in range(10 * len(NAMES)):
            for write in list(self.publication.writes()):
                self.api[write.service] = write.showing
                self.publication.written(write.service)
        assert list(self.publication.writes()) == []
        assert self.api == self.wanted
        assert self.publication.settled


TestController = Controller.TestCase
TestController.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
