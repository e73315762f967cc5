"""Whatever happens in whatever order, once things are quiet the routers have what is wanted.

The judge is ExaBGP's own code (`exabgp_model`); Hypothesis chooses who gets a turn.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from math import inf

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exabgp_metallb.adapters.exabgp import text
from exabgp_metallb.adapters.exabgp.adjacency import FLUSH_SECONDS
from exabgp_metallb.adapters.exabgp.window import LINES_IN_FLIGHT, Line, Window
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.intent import Community
from exabgp_metallb.values.rib import AdjRibOut, Attributes, LinkBandwidth
from tests.unit.adapters.exabgp_model import LOCAL, LOCAL_AS, ExabgpModel

INTERNAL, EXTERNAL = ip_address("127.0.0.2"), ip_address("127.0.0.3")
PEER_AS = {INTERNAL: LOCAL_AS, EXTERNAL: 65003}
ENDS_OF_RIB = {INTERNAL: (), EXTERNAL: (Family.IPV4, Family.IPV6)}

NARROW = [ip_network(p) for p in ("10.0.0.1/32", "10.0.0.0/24")]
WIDE = ip_network("2001:db8::1/128")
NEXT_HOP = ip_address("2001:db8::ffff")
POISON = Attributes()  # an IPv6 route with next-hop self over IPv4: ExaBGP answers "error"

neighbors = st.sampled_from([INTERNAL, EXTERNAL])
marks = st.sampled_from([(), (Community(1, 1),), (Community(1, 1), Community(2, 2))])
prefs = st.sampled_from([None, 100, 200])
meds = st.sampled_from([None, None, 0, 7])
bandwidths = st.sampled_from([None, None, *(LinkBandwidth(LOCAL_AS, speed) for speed in (1, 2))])
paths = st.sampled_from([(), (), (LOCAL_AS, LOCAL_AS)])


@st.composite
def routes(draw: st.DrawFn, neighbor: Address) -> tuple[Prefix, Attributes | None]:
    """A prefix and what it is to become at a neighbor."""
    prefix = draw(st.sampled_from([*NARROW, WIDE]))
    if draw(st.booleans()):
        return prefix, None
    if prefix is WIDE and draw(st.booleans()):
        return prefix, POISON
    return prefix, Attributes(
        next_hop=NEXT_HOP if prefix is WIDE else None,
        local_pref=draw(prefs) if neighbor == INTERNAL else None,
        med=draw(meds),
        as_path=draw(paths) if neighbor == EXTERNAL else (),
        communities=draw(marks),
        link_bandwidth=draw(bandwidths),
    )


def arrived(neighbor: Address, wanted: AdjRibOut) -> AdjRibOut:
    """Return what a router has once it has what is wanted."""
    return {p: on_arrival(neighbor, a) for p, a in wanted.items() if a != POISON or p != WIDE}


def sound(table: AdjRibOut, wanted: AdjRibOut) -> AdjRibOut:
    """Return a router's table without what ExaBGP cannot put there."""
    return {p: a for p, a in table.items() if wanted.get(p) != POISON or p != WIDE}


def on_arrival(neighbor: Address, attributes: Attributes) -> Attributes:
    """Return what a router sees where we ask for these attributes."""
    local_pref = attributes.local_pref
    if neighbor == INTERNAL and local_pref is None:
        local_pref = 100
    usual = () if neighbor == INTERNAL else (LOCAL_AS,)
    return replace(
        attributes,
        next_hop=attributes.next_hop or ip_address(LOCAL),
        local_pref=local_pref,
        as_path=attributes.as_path or usual,
    )


class Conversation(RuleBasedStateMachine):
    """The window and ExaBGP, each going on when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.exabgp = ExabgpModel()
        self.wanted: dict[Address, dict[Prefix, Attributes]] = {INTERNAL: {}, EXTERNAL: {}}
        for neighbor, peer_as in PEER_AS.items():
            self.exabgp.add(neighbor, peer_as)
        self.begin()
        for neighbor in PEER_AS:
            self.exabgp.establish(neighbor)
        self.hear(len(self.exabgp.told))

    def begin(self) -> None:
        """Start the process of ExaBGP, which knows nothing."""
        self.window = Window(self.wanted.__getitem__)
        self.up: set[Address] = set()
        self.unanswered: deque[Line] = deque()
        self.on_its_way: dict[tuple[Address, Prefix], float] = {}  # until when, as far as it knows
        self.at_up: dict[Address, dict[Prefix, Attributes]] = {}

    # What is wanted.

    @rule(data=st.data(), neighbor=neighbors, urgent=st.booleans())
    def want_one(self, data: st.DataObject, neighbor: Address, urgent: bool) -> None:  # noqa: FBT001 -- drawn
        """One route is to change."""
        prefix, attributes = data.draw(routes(neighbor))
        self.set_wanted(neighbor, prefix, attributes)
        self.window.touch(neighbor, prefix, urgent=urgent)

    @rule(data=st.data(), neighbor=neighbors)
    def want_one_now(self, data: st.DataObject, neighbor: Address) -> None:
        """One route is to change, and there is nothing else to do."""
        self.want_one(data, neighbor, urgent=True)
        self.write()

    @rule(data=st.data(), neighbor=neighbors)
    def want_all(self, data: st.DataObject, neighbor: Address) -> None:
        """The whole table of a neighbor is decided again."""
        for prefix, attributes in data.draw(st.lists(routes(neighbor), max_size=4)):
            self.set_wanted(neighbor, prefix, attributes)
        self.window.touch_all(neighbor)

    def set_wanted(self, neighbor: Address, prefix: Prefix, attributes: Attributes | None) -> None:
        """Change what is wanted."""
        self.at_up.get(neighbor, {}).pop(prefix, None)
        if attributes is None:
            self.wanted[neighbor].pop(prefix, None)
        else:
            self.wanted[neighbor][prefix] = attributes

    # The process.

    @rule()
    def write(self) -> None:
        """The process writes what the window lets it write."""
        for line in self.window.lines(self.now):
            assert line.text.isascii()
            assert self.up.issuperset(line.neighbors), "a neighbor that is down is sent nothing"
            for change in ((n, p) for n in line.neighbors for p in line.prefixes):
                assert self.on_its_way.pop(change, 0.0) <= self.now, "one change at a time"
                self.on_its_way[change] = inf
            self.unanswered.append(line)
            self.exabgp.written.append(line.text)
        assert len(self.unanswered) <= LINES_IN_FLIGHT

    @rule(lines=st.integers(1, 8))
    def hear(self, lines: int) -> None:
        """The process reads what ExaBGP told it."""
        for _ in range(min(lines, len(self.exabgp.told))):
            message = text.parse(self.exabgp.told.popleft())
            if isinstance(message, text.Done):
                assert self.window.acknowledged() is self.unanswered[0]
                self.answered(self.now + FLUSH_SECONDS)
            elif isinstance(message, text.Failed):
                self.window.refused()
                self.answered(self.now)
            else:
                self.hear_event(message)

    def answered(self, until: float) -> None:
        """Note that the oldest line has its answer."""
        line = self.unanswered.popleft()
        for change in ((n, p) for n in line.neighbors for p in line.prefixes):
            if self.on_its_way.get(change) == inf:
                self.on_its_way[change] = until

    def hear_event(self, message: text.Message | None) -> None:
        """Tell the window of an event, as the dialogue does."""
        if isinstance(message, text.Up):
            self.came_up(message.neighbor)
        elif isinstance(message, text.Down):
            self.up.discard(message.neighbor)
            self.window.down(message.neighbor)
            if "removed" in message.reason:
                self.window.forget(message.neighbor)
            self.begin_anew(message.neighbor)
        elif isinstance(message, text.Sent):
            self.window.flushed(message.neighbor, message.prefixes, message.attributes)
            for prefix in message.prefixes:
                self.flushed(message.neighbor, prefix)

    def begin_anew(self, neighbor: Address) -> None:
        """Note that nothing is on its way to a neighbor but what ExaBGP has not taken yet."""
        self.on_its_way = {
            change: until
            for change, until in self.on_its_way.items()
            if change[0] != neighbor or until == inf
        }

    def flushed(self, neighbor: Address, prefix: Prefix) -> None:
        """Note a change on the wire; ExaBGP keeps their order, so the older ones left too."""
        if (neighbor, prefix) in self.on_its_way:
            earlier = [change for change in self.on_its_way if change[0] == neighbor]
            for change in earlier[: earlier.index((neighbor, prefix)) + 1]:
                del self.on_its_way[change]

    def came_up(self, neighbor: Address) -> None:
        """Tell the window that a session is there."""
        self.up.add(neighbor)
        self.window.up(neighbor, ENDS_OF_RIB[neighbor])
        self.at_up[neighbor] = dict(self.wanted[neighbor])

    def overtaken(self, neighbor: Address) -> bool:
        """Tell whether a change overtook another inside ExaBGP, which its process has to mend."""
        router = self.exabgp.routers[neighbor]
        if not router.established or self.exabgp.overtaking(neighbor):
            return self.exabgp.overtaking(neighbor)
        held = {row.prefix: on_arrival(neighbor, row.attributes) for row in self.held(neighbor)}
        settled = (held.keys() | router.table.keys()) - self.exabgp.waiting(neighbor)
        return any(held.get(prefix) != router.table.get(prefix) for prefix in settled)

    def held(self, neighbor: Address) -> Iterator[text.Held]:
        """Yield what ExaBGP says that it holds for a neighbor."""
        for row in map(text.parse, self.exabgp.rows(neighbor)):
            assert isinstance(row, text.Held)
            yield row

    @precondition(lambda self: not any(map(self.overtaken, self.exabgp.routers)))
    @rule()
    def restart(self) -> None:
        """The process dies; the next one asks what there is, after what was queued has been done.

        What the dead one would have mended (a change that overtook another inside ExaBGP because
        the router did not read for seconds) nobody mends; so it does not die just then.
        """
        self.exabgp.written.clear()
        while self.exabgp.queue:
            self.exabgp.work()
        self.exabgp.told.clear()
        self.begin()
        for neighbor, router in self.exabgp.routers.items():
            for row in self.held(neighbor):
                self.window.holds(neighbor, row.prefix, row.attributes)
            if router.established:
                self.came_up(neighbor)

    # Time, ExaBGP and the routers.

    @rule()
    def go_on(self) -> None:
        """Everybody gets a turn or two."""
        for _ in range(2):
            self.turn()

    def turn(self) -> None:
        """Give everybody a turn."""
        self.write()
        self.exabgp.read(LINES_IN_FLIGHT)
        self.exabgp.work()
        for neighbor in self.exabgp.routers:
            self.flush(neighbor, 25)
        self.hear(len(self.exabgp.told))

    @rule(data=st.data(), neighbor=neighbors)
    def want_one_of_a_router_that_does_not_read(
        self, data: st.DataObject, neighbor: Address
    ) -> None:
        """Everybody has time enough, but nothing goes to the wire."""
        self.want_one(data, neighbor, urgent=True)
        self.write()
        self.exabgp.read(LINES_IN_FLIGHT)
        self.exabgp.work()
        self.hear(len(self.exabgp.told))
        self.write()
        self.now += FLUSH_SECONDS

    @rule(seconds=st.sampled_from([0.01, FLUSH_SECONDS / 2, FLUSH_SECONDS, 5 * FLUSH_SECONDS]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(lines=st.integers(1, 3), steps=st.integers(0, 6))
    def read(self, lines: int, steps: int) -> None:
        """ExaBGP reads commands and goes on with them."""
        self.exabgp.read(lines)
        self.exabgp.work(steps)

    @rule(neighbor=neighbors, messages=st.integers(1, 3))
    def flush(self, neighbor: Address, messages: int) -> None:
        """A session gets its turn."""
        router = self.exabgp.routers.get(neighbor)
        if router is not None and router.established:
            self.exabgp.flush(neighbor, messages)

    @rule(neighbor=neighbors)
    def establish(self, neighbor: Address) -> None:
        """A session comes up."""
        router = self.exabgp.routers.get(neighbor)
        if router is not None and not router.established:
            self.exabgp.establish(neighbor)

    @rule(neighbor=neighbors)
    def end(self, neighbor: Address) -> None:
        """A session ends, or an attempt at one."""
        if neighbor in self.exabgp.routers:
            self.exabgp.end(neighbor)

    @rule(neighbor=neighbors, anew=st.booleans())
    def bounce(self, neighbor: Address, anew: bool) -> None:  # noqa: FBT001 -- drawn
        """A session ends and comes back, perhaps of a new neighbor; the process hears of both."""
        if anew:
            self.reconfigure(neighbor)
        self.end(neighbor)
        if neighbor not in self.exabgp.routers:
            self.reconfigure(neighbor)
        self.establish(neighbor)
        self.hear(len(self.exabgp.told))

    @rule(neighbor=neighbors)
    def ask_for_refresh(self, neighbor: Address) -> None:
        """A router asks for everything again."""
        router = self.exabgp.routers.get(neighbor)
        if router is not None and router.established:
            self.exabgp.refresh(neighbor)

    @rule(neighbor=neighbors)
    def reconfigure(self, neighbor: Address) -> None:
        """A neighbor is taken out of the configuration, or put into it again."""
        if neighbor not in self.exabgp.routers:
            self.exabgp.add(neighbor, PEER_AS[neighbor])
            return
        told = self.exabgp.routers[neighbor].established
        self.exabgp.remove(neighbor)
        if not told:  # then the process finds out by asking; nothing happens before the answer
            self.hear(len(self.exabgp.told))
            self.window.forget_others(self.exabgp.routers)
            self.begin_anew(neighbor)

    # What must hold.

    @invariant()
    def idle_means_done(self) -> None:
        """When the window is idle and ExaBGP too, the routers have what is wanted."""
        if self.window.idle(self.now) and self.exabgp.quiet:
            self.check_tables()

    def check_tables(self) -> None:
        """Compare the routers' tables with what is wanted."""
        for neighbor, router in self.exabgp.routers.items():
            if not router.established:
                continue
            wanted = self.wanted[neighbor]
            assert sound(router.table, wanted) == arrived(neighbor, wanted)

    def teardown(self) -> None:
        """Let everything come to rest: it does, and all is as it should be."""
        for _ in range(200):
            self.turn()
            if self.exabgp.quiet and self.window.idle(self.now):
                break
            self.now += FLUSH_SECONDS / 4
        assert self.exabgp.quiet
        assert self.window.idle(self.now)
        self.check_tables()
        self.check_ends_of_rib()

    def check_ends_of_rib(self) -> None:
        """Each session got its End-of-RIB once, after the table that it found."""
        for neighbor, router in self.exabgp.routers.items():
            if not router.established or not ENDS_OF_RIB[neighbor]:
                assert not router.ends_of_rib
                continue
            # One that a session took to its grave is sent by the next one: ExaBGP's own doing.
            *_, (family, first), (other, second) = router.ends_of_rib
            assert (family, other) == ENDS_OF_RIB[neighbor]
            initial = arrived(neighbor, self.at_up[neighbor])
            assert initial.items() <= first.items()
            assert initial.items() <= second.items()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    # Without "explain", which traces ExaBGP's lines for minutes.
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
)
