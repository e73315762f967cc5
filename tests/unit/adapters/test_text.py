"""ExaBGP's API as text: its lines to values, our commands to what its own parser makes of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from exabgp_metallb.adapters.exabgp import text
from exabgp_metallb.adapters.exabgp.text import UNKNOWN, Sent, Text, same_on_the_wire
from exabgp_metallb.adapters.exabgp.window import NEIGHBORS_PER_LINE, PREFIXES_PER_LINE
from exabgp_metallb.decisions.bandwidth import link_bandwidth
from exabgp_metallb.parsing.metallb.advertisements import MAX_PREPEND
from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.rib import Attributes, LinkBandwidth
from tests import strategies
from tests.unit.adapters.exabgp_model import LOCAL_AS, ExabgpModel, eor_family, read_back

LONGEST_LINE = 8192

RECORDED = Path(__file__).parents[2] / "golden" / "exabgp-5.0.15.lines"


def recorded() -> dict[str, str]:
    """Return the lines that ExaBGP wrote, by name."""
    blocks = RECORDED.read_text(encoding="ascii").split("\n\n")[1:]
    pairs = (block.splitlines() for block in blocks)
    return {name.removeprefix("# "): line for name, line in pairs}


LINES = recorded()

IBGP, EBGP, V6 = ip_address("127.0.0.2"), ip_address("127.0.0.3"), ip_address("2001:db8::2")
OURS = ip_address("127.0.0.1")


def nets(*words: str) -> tuple[Prefix, ...]:
    """Return prefixes by their text."""
    return tuple(map(ip_network, words))


MEANINGS: dict[str, text.Message | None] = {
    "acknowledged": text.Done(),
    "refused": text.Failed(),
    "up": text.Up(IBGP),
    "up, AS auto": text.Up(IBGP),
    "up, IPv6": text.Up(V6),
    "connected": None,
    "down, refused connection": text.Down(IBGP, "closing connection"),
    "down, wrong AS": text.Down(IBGP, "notification sent (2,2)"),
    "down, removed": text.Down(IBGP, "stop, message [removed]"),
    "sent, all attributes": Sent(
        IBGP,
        nets("10.2.0.0/16", "10.1.0.1/32", "10.1.0.2/32"),
        Attributes(
            next_hop=OURS,
            local_pref=150,
            communities=(
                Community(64512, 1),
                Community(65535, 0),
                Community(65535, 666),
                Community(65535, 65281),
            ),
            large_communities=(
                LargeCommunity(64512, 1, 2),
                LargeCommunity(4200000000, 4294967295, 0),
            ),
        ),
    ),
    "sent, eBGP": Sent(
        EBGP,
        nets("10.1.0.5/32"),
        Attributes(next_hop=OURS, as_path=(65001,), communities=(Community(64512, 5),)),
    ),
    "sent, MED, prepended, link bandwidth": Sent(
        ip_address("10.0.1.1"),
        nets("192.0.2.12/32"),
        Attributes(
            next_hop=ip_address("10.0.1.11"),
            med=7,
            as_path=(64513, 64513, 64513),
            link_bandwidth=LinkBandwidth(23456, 125_000),
        ),
    ),
    "sent, MED 0 to iBGP": Sent(
        ip_address("10.0.1.1"),
        nets("192.0.2.10/32", "192.0.2.11/32"),
        Attributes(next_hop=ip_address("10.0.1.12"), local_pref=100, med=0),
    ),
    "sent, AS auto": Sent(IBGP, nets("10.1.0.4/32"), Attributes(next_hop=OURS, local_pref=100)),
    "sent, IPv6": Sent(
        IBGP,
        nets("2001:db8:1::1/128"),
        Attributes(
            next_hop=ip_address("2001:db8::9"),
            local_pref=100,
            communities=(Community(64512, 1),),
        ),
    ),
    "sent, withdrawal": Sent(IBGP, nets("10.1.0.1/32", "10.1.0.4/32"), None),
    "sent, IPv6 withdrawal": Sent(IBGP, nets("2001:db8:1::1/128"), None),
    "End-of-RIB": None,
    "notification": text.Notified(IBGP, 6, 4, 'Shutdown Communication: "Administrative Reset"'),
    "shutdown": text.Shutdown(),
    "held": text.Held(IBGP, ip_network("10.1.0.2/32"), Attributes(next_hop=OURS)),
    "held, IPv6": text.Held(
        IBGP,
        ip_network("2001:db8:2::/64"),
        Attributes(next_hop=ip_address("2001:db8::9"), communities=(Community(65535, 65281),)),
    ),
    "held, everything": text.Held(
        IBGP,
        ip_network("10.1.1.2/32"),
        Attributes(
            next_hop=OURS,
            as_path=(65001, 65001),
            med=7,
            local_pref=5,
            communities=(Community(65001, 1), Community(65535, 0), Community(65535, 666)),
            large_communities=(LargeCommunity(1, 2, 3),),
            link_bandwidth=LinkBandwidth(65001, 1250),
        ),
    ),
    "held, what we never set": text.Held(IBGP, ip_network("10.1.1.3/32"), UNKNOWN),
    "summary, its head": Text(LINES["summary, its head"]),
    "summary, established": text.NeighborState(IBGP, established=True),
    "summary, for days": text.NeighborState(IBGP, established=True),
    "summary, idle": text.NeighborState(ip_address("127.0.0.4"), established=False),
    "configuration": Text(LINES["configuration"]),
    "configuration, inside": Text(LINES["configuration, inside"]),
}


@pytest.mark.parametrize("name", LINES)
def test_what_exabgp_wrote_is_understood(name: str) -> None:
    """Each line that a real ExaBGP wrote means what it meant."""
    assert text.parse(LINES[name]) == MEANINGS[name]


def update(body: object, direction: str = "send") -> str:
    """Return the event of an UPDATE that ExaBGP could write."""
    neighbor = {"address": {"peer": "127.0.0.2"}, "direction": direction, "message": body}
    return json.dumps({"type": "update", "neighbor": neighbor})


def announced(**families: object) -> str:
    """Return the event of an UPDATE with these announcements, spaces written as underscores."""
    named = {family.replace("_", " "): routes for family, routes in families.items()}
    return update({"update": {"announce": named}})


ONE = [{"nlri": "10.0.0.1/32"}]


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        pytest.param(
            update({"update": {"announce": {"ipv4 unicast": {"127.0.0.1": ONE}}}}, "receive"),
            None,
            id="an UPDATE that came in",
        ),
        pytest.param(announced(ipv4_flow={"no-nexthop": [{"string": "x"}]}), None, id="flow"),
        pytest.param(
            announced(ipv4_unicast={"127.0.0.1": ONE}, ipv4_flow={"no-nexthop": [{}]}),
            Sent(IBGP, nets("10.0.0.1/32"), Attributes(next_hop=OURS)),
            id="flow beside ours",
        ),
        pytest.param(
            announced(ipv4_unicast={"10.0.0.8": ONE, "10.0.0.9": [{"nlri": "10.0.0.2/32"}]}),
            Sent(IBGP, nets("10.0.0.1/32", "10.0.0.2/32"), UNKNOWN),
            id="two next hops",
        ),
        pytest.param(
            update(
                {
                    "update": {
                        "announce": {"ipv4 unicast": {"127.0.0.1": ONE}},
                        "withdraw": {"ipv4 unicast": [{"nlri": "10.0.0.2/32"}]},
                    }
                }
            ),
            Sent(IBGP, nets("10.0.0.1/32", "10.0.0.2/32"), UNKNOWN),
            id="announcement and withdrawal in one",
        ),
    ],
)
def test_updates_of_other_kinds(line: str, meaning: text.Message | None) -> None:
    """What is not ours is passed over; what cannot be told for all prefixes is unknown."""
    assert text.parse(line) == meaning


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="half an event"),
        pytest.param('{"type": "state"', id="cut off"),
        pytest.param("{" * 100_000, id="deeper than Python goes"),
        pytest.param('{"a":' * 100_000, id="deeper, with keys"),
        pytest.param('{"a": None', id="None in what is no JSON"),
        pytest.param('{"a": ' + "9" * 5000 + "}x", id="a number longer than Python reads"),
        pytest.param("127.0.0.2 ipv4 unicast 10.0.0.1/24", id="host bits"),
        pytest.param("127.0.0.2 ipv4 unicast 2001:db8::/64", id="the other family"),
        pytest.param("127.0.0.2 ipv4 flow 10.0.0.1/32", id="another SAFI"),
        pytest.param("router ipv4 unicast 10.0.0.1/32", id="no address"),
        pytest.param("router 65001 0:00:04 established 2 2", id="no address in a summary"),
        pytest.param("done.", id="not quite done"),
    ],
)
def test_lines_that_are_nothing_known(line: str) -> None:
    """A line that cannot be read is handed on as it is."""
    assert text.parse(line) == Text(line)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"type": 7}, id="a type that is no word"),
        pytest.param({"type": "state", "neighbor": 7}, id="a neighbor that is a number"),
        pytest.param({"type": "state", "neighbor": {"state": "up"}}, id="no address"),
        pytest.param(
            {"type": "state", "neighbor": {"address": {"peer": "x"}, "state": "up"}},
            id="an address that is none",
        ),
        pytest.param(
            {
                "type": "notification",
                "neighbor": {
                    "address": {"peer": "127.0.0.2"},
                    "direction": "receive",
                    "notification": {"code": "6", "subcode": None},
                },
            },
            id="codes that are no numbers",
        ),
    ],
)
def test_events_of_another_shape(event: object) -> None:
    """An event that does not say what it must is passed over."""
    assert text.parse(json.dumps(event)) is None


EVENTS = [json.loads(line.replace(": None", ": null")) for line in LINES.values() if line[0] == "{"]


@given(strategies.mutated(EVENTS) | strategies.json_values)
def test_no_event_raises(event: object) -> None:
    """Whatever JSON comes, it means something or nothing."""
    text.parse(json.dumps(event))


@given(st.text(), st.sampled_from(list(LINES.values())), st.integers(0, 400))
def test_no_line_raises(noise: str, line: str, at: int) -> None:
    """Neither noise nor a line with noise in it raises."""
    text.parse(noise)
    text.parse(line[:at] + noise + line[at:])


PLAIN = Attributes(next_hop=OURS)
MARKED = Attributes(communities=(Community(1, 1),))
LARGE = Attributes(large_communities=(LargeCommunity(1, 1, 1),))
TWICE = Attributes(as_path=(65001, 65001))
ONE_POD, TWO_PODS = (
    Attributes(link_bandwidth=LinkBandwidth(65001, 125_000 * pods)) for pods in (1, 2)
)


def arrived(asked: Attributes, **more: object) -> Attributes:
    """Return what an UPDATE carries where this was asked for."""
    return replace(asked, next_hop=OURS, **more)  # type: ignore[arg-type]  # the fields' own types


@pytest.mark.parametrize(
    ("asked", "told", "same"),
    [
        pytest.param(Attributes(), PLAIN, True, id="next-hop self"),
        pytest.param(PLAIN, PLAIN, True, id="a next hop"),
        pytest.param(replace(PLAIN, next_hop=EBGP), PLAIN, False, id="another next hop"),
        pytest.param(Attributes(), replace(PLAIN, local_pref=100), True, id="default local-pref"),
        pytest.param(Attributes(), replace(PLAIN, local_pref=0), False, id="an older local-pref"),
        pytest.param(
            Attributes(local_pref=0), replace(PLAIN, local_pref=100), False, id="zero is not unset"
        ),
        pytest.param(Attributes(), arrived(PLAIN, as_path=(65001,)), True, id="our AS, as usual"),
        pytest.param(Attributes(), arrived(TWICE), False, id="an older path"),
        pytest.param(TWICE, arrived(TWICE), True, id="a path"),
        pytest.param(TWICE, arrived(PLAIN, as_path=(65001,)), False, id="the path before"),
        pytest.param(Attributes(med=0), PLAIN, False, id="a MED of 0 is one"),
        pytest.param(Attributes(), arrived(PLAIN, med=7), False, id="an older MED"),
        pytest.param(Attributes(med=7), arrived(PLAIN, med=7), True, id="a MED"),
        pytest.param(ONE_POD, arrived(ONE_POD), True, id="link bandwidth"),
        pytest.param(ONE_POD, arrived(TWO_PODS), False, id="another link bandwidth"),
        pytest.param(Attributes(), arrived(ONE_POD), False, id="an older link bandwidth"),
        pytest.param(MARKED, PLAIN, False, id="communities"),
        pytest.param(LARGE, PLAIN, False, id="large communities"),
        pytest.param(None, None, True, id="withdrawn"),
        pytest.param(None, PLAIN, False, id="announced although withdrawn"),
        pytest.param(PLAIN, None, False, id="withdrawn although announced"),
        pytest.param(UNKNOWN, PLAIN, True, id="held with whatever"),
        pytest.param(UNKNOWN, None, False, id="held with whatever, and withdrawn"),
        pytest.param(PLAIN, UNKNOWN, True, id="told of whatever"),
        pytest.param(None, UNKNOWN, True, id="told of whatever, after a withdrawal"),
    ],
)
def test_what_was_asked_and_what_was_told(
    asked: Attributes | None,
    told: Attributes | None,
    same: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    """ExaBGP may fill in what we left open, and nothing else."""
    assert same_on_the_wire(asked, told) is same


neighbors = st.lists(strategies.addresses, min_size=1, max_size=NEIGHBORS_PER_LINE, unique=True)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Attributes, list[Prefix]]:
    """What one line may announce."""
    family = draw(st.sampled_from(Family))
    some = st.lists(
        strategies.prefixes(family), min_size=1, max_size=PREFIXES_PER_LINE, unique=True
    )
    return draw(strategies.attributes(family)), draw(some)


WORST = (
    Attributes(
        next_hop=ip_address(2**128 - 1),
        local_pref=2**32 - 1,
        med=2**32 - 1,
        as_path=(2**32 - 1,) * (1 + MAX_PREPEND),
        link_bandwidth=link_bandwidth(65535, 2**32),
        communities=tuple(Community(65000 + n, 65000 + n) for n in range(63)),
        large_communities=tuple(
            LargeCommunity(2**32 - 1 - n, 2**32 - 1 - n, 2**32 - 1) for n in range(62, -1, -1)
        ),
    ),
    [ip_network((2**128 - 1 - n, 128)) for n in range(PREFIXES_PER_LINE)],
)
FULL_HOUSE: list[Address] = [ip_address(2**128 - 1 - n) for n in range(NEIGHBORS_PER_LINE)]


@given(neighbors, batches())
@example(FULL_HOUSE, WORST)
def test_exabgp_reads_an_announcement_as_it_was_meant(
    to: Sequence[Address], batch: tuple[Attributes, Sequence[Prefix]]
) -> None:
    """The same neighbors, prefixes and attributes, from a line of the allowed length in ASCII."""
    attributes, prefixes = batch
    line = text.announce(to, attributes, prefixes)
    assert fits_the_pipe(line)
    assert read_back(line) == (list(to), [(prefix, attributes) for prefix in prefixes])


@given(neighbors, batches())
@example(FULL_HOUSE, WORST)
def test_exabgp_reads_a_withdrawal_as_it_was_meant(
    to: Sequence[Address], batch: tuple[Attributes, Sequence[Prefix]]
) -> None:
    """The same neighbors and prefixes; no attributes, but the next hop that the grammar wants."""
    _, prefixes = batch
    line = text.withdraw(to, prefixes)
    assert fits_the_pipe(line)
    who, routes = read_back(line)
    assert who == list(to)
    assert [prefix for prefix, _ in routes] == prefixes
    assert all(replace(a, next_hop=None) == Attributes() for _, a in routes)


@settings(deadline=None)  # ExaBGP's parser reads a configuration each time
@given(batches())
@example(WORST)
def test_what_exabgp_shows_is_what_it_was_told(batch: tuple[Attributes, Sequence[Prefix]]) -> None:
    """`show adj-rib out extensive` has each attribute, with its own address as next hop."""
    attributes, prefixes = batch
    assume(not any(p.network_address.is_multicast for p in prefixes))  # to ExaBGP no unicast routes
    if attributes.next_hop is None:
        attributes = replace(attributes, next_hop=None if prefixes[0].version == 4 else V6)
    exabgp = ExabgpModel()
    exabgp.add(IBGP, LOCAL_AS)
    exabgp.written.append(text.announce([IBGP], attributes, prefixes))
    exabgp.read(1)
    while exabgp.queue:
        exabgp.work()
    rows = list(map(text.parse, exabgp.rows(IBGP)))
    assert {row.prefix for row in rows if isinstance(row, text.Held)} == set(prefixes)
    for row in rows:
        assert isinstance(row, text.Held)
        assert row.attributes == replace(attributes, next_hop=attributes.next_hop or OURS)


@given(strategies.addresses, st.sampled_from(Family))
def test_exabgp_reads_an_end_of_rib_as_it_was_meant(neighbor: Address, family: Family) -> None:
    """The same neighbor and family."""
    line = text.end_of_rib(neighbor, family)
    assert fits_the_pipe(line)
    assert eor_family(line) == (neighbor, family)


def fits_the_pipe(line: str) -> bool:
    """Tell whether a line is what ExaBGP's reader takes in without harm."""
    return line.isascii() and line.isprintable() and len(line) < LONGEST_LINE


def test_questions_are_fit_for_the_pipe() -> None:
    """The commands that are always the same, too."""
    questions: Iterable[str] = (
        text.SHOW_NEIGHBORS,
        text.SHOW_NEIGHBOR_CONFIGURATION,
        text.SHOW_ADJ_RIB_OUT,
        text.ENABLE_ACK,
        text.RELOAD,
    )
    assert all(map(fits_the_pipe, questions))
