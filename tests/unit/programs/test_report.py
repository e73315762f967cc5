"""What people are told: every change once, and nothing twice."""

from ipaddress import ip_address, ip_network

import pytest

from exabgp_metallb.adapters.exabgp import dialogue as say
from exabgp_metallb.adapters.exabgp.adjacency import Line
from exabgp_metallb.adapters.exabgp.neighbors import NEIGHBOR_CHANGES, SENT, ConfiguredNeighbor
from exabgp_metallb.adapters.exabgp.notifications import NO_CONNECTION
from exabgp_metallb.decisions.advertise import NodeView, RibTable
from exabgp_metallb.programs.report import RESTLESS_ENDS, SILENT_SECONDS, TOLD_AT_ONCE, Report
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import Intent
from exabgp_metallb.values.objects import Node, ObjectName
from exabgp_metallb.values.reasons import Reason, Refused
from tests.unit.programs.told import Told

TOR = ip_address("10.0.0.1")
WEB = ObjectName("default", "web")
NO = Refused(Reason.NO_ENDPOINTS, "no endpoint")
OTHER_NO = Refused(Reason.NO_LOCAL_ENDPOINTS, "none here")


@pytest.fixture
def report() -> Report:
    """Return a report that has told nothing."""
    return Report()


def test_a_verdict_is_told_when_it_changes(report: Report, told: Told) -> None:
    """With its reason word."""
    for verdict in (None, None, NO, NO, OTHER_NO, None):
        report.decided({WEB: verdict})
    assert told.lines == [
        "INFO Service default/web: announced\n",
        "INFO Service default/web: not announced: noEndpoints: no endpoint\n",
        "INFO Service default/web: not announced: noLocalEndpoints: none here\n",
        "INFO Service default/web: announced\n",
    ]


def test_a_decision_over_everything_is_one_line(report: Report, told: Told) -> None:
    """And what it decided is not told again Service by Service."""
    table = RibTable(NodeView(Intent(), Node(name="node1")))
    table.refused[WEB] = NO
    old, new = ObjectName("default", "old"), ObjectName("default", "new")
    report.decided_all("node1", table, [WEB, old])
    report.decided({WEB: NO, old: None, new: None})
    assert told.lines == [
        "INFO decided for node node1: 0 sessions, 0 routes, 1 Services not announced\n",
        "INFO Service default/new: announced\n",
    ]


def fault(name: str) -> Fault:
    """Return what is wrong with a Service."""
    return Fault(ObjectRef("Service", "default", name), "spec", "write something else")


def test_a_fault_is_told_once_and_again_when_it_comes_back(report: Report, told: Told) -> None:
    """It was mended in between."""
    for faults in ([fault("a")], [fault("a"), fault("b")], [fault("b")], [fault("a")]):
        report.faults(faults)
    names = [line.split("/")[2].split(":")[0] for line in told.lines]
    assert names == ["a", "b", "a"]


def test_ten_thousand_faults_are_a_few_lines(report: Report, told: Told) -> None:
    """The rest is for `check`."""
    faults = [fault(f"s{number:05}") for number in range(10_000)]
    report.faults(faults)
    assert len(told.lines) == TOLD_AT_ONCE + 1
    assert "and 9980 faults more" in told.lines[-1]
    report.faults(faults)
    assert len(told.lines) == TOLD_AT_ONCE + 1


def test_failing_attempts_are_told_once_for_each_failure(report: Report, told: Told) -> None:
    """ExaBGP tries for ever; a session in between makes the next failure news."""
    failed = say.SessionFailed(TOR, "notification received (2,2)")
    for notice in (failed, failed, say.SessionUp(TOR), say.SessionDown(TOR, "why"), failed, failed):
        report.session(notice, "BGP peer tor", 0.0)
    assert [line.split(":")[1].strip() for line in told.lines] == [
        "no session yet, ExaBGP goes on trying",
        "up",
        "down",
        "no session yet, ExaBGP goes on trying",
    ]
    assert "wrong ASN" in told.lines[0]


def test_a_restless_session_is_told_of_once_a_minute(report: Report, told: Told) -> None:
    """Ten ends a second are no news; those of an hour each are."""
    for tenth in range(1200):
        for notice in (say.SessionUp(TOR), say.SessionDown(TOR, "why")):
            report.session(notice, "BGP peer tor", tenth / 10)
    assert told.count("up and down again more than 5 times in a minute") == 2
    assert len(told.lines) == 2 * RESTLESS_ENDS + 1 + 2

    told.lines.clear()
    for hour in range(1, 25):
        report.session(say.SessionDown(TOR, "why"), "BGP peer tor", 3600.0 * hour)
    assert told.count("BGP peer tor: down: why") == 24


def test_silence_is_told_of_after_a_while(report: Report, told: Told) -> None:
    """Once; a session that comes and goes starts the clock anew."""
    down = {TOR: "BGP peer tor"}
    report.silent(down, 100.0)
    report.silent(down, 100.0 + SILENT_SECONDS - 1)
    report.silent({}, 100.0 + SILENT_SECONDS)
    report.silent(down, 200.0)
    report.silent(down, 200.0 + SILENT_SECONDS - 1)
    assert told.lines == []
    for second in range(5):
        report.silent(down, 200.0 + SILENT_SECONDS + second)
    assert told.count(f"BGP peer tor: no session yet, ExaBGP goes on trying: {NO_CONNECTION}") == 1
    assert len(told.lines) == 1


def test_a_failure_that_was_told_makes_silence_no_news(report: Report, told: Told) -> None:
    """One message for one peer that does not answer."""
    report.session(say.SessionFailed(TOR, "closing connection"), "BGP peer tor", 0.0)
    for second in range(100):
        report.silent({TOR: "BGP peer tor"}, float(second))
    assert len(told.lines) == 1


def test_a_missing_node_is_told_with_those_that_are_there(report: Report, told: Told) -> None:
    """Again only when those change, and the first twenty of them."""
    report.node_missing("typo", [])
    report.node_missing("typo", [])
    report.node_missing("typo", [f"n{number:02}" for number in range(40)])
    missing = "no Node is named typo, so no selector of nodes matches; set --node"
    there = ", ".join(f"n{number:02}" for number in range(TOLD_AT_ONCE))
    assert [line.partition(" ")[2].strip() for line in told.lines] == [
        missing,
        f"{missing}; there are: {there}",
    ]


def test_a_refused_route_is_told_with_its_command(report: Report, told: Told) -> None:
    """ExaBGP's log says why; this says what."""
    line = Line("announce nonsense", (TOR,), None, (ip_network("192.0.2.1/32"),))
    report.route_refused(say.RouteRefused(line), "BGP peer tor")
    assert told.count("ExaBGP refuses 192.0.2.1/32 for BGP peer tor") == 1
    assert told.count("announce nonsense") == 1


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("5.0.15", "INFO"),
        ("5.0.16-abcdef", "INFO"),
        ("5.1.0", "INFO"),
        ("5.0.14", "WARNING"),
        ("4.2.22", "WARNING"),
        ("6.0.0", "WARNING"),
        ("nonsense", "WARNING"),
    ],
)
def test_an_exabgp_that_nobody_tried_is_told_of(
    version: str, level: str, report: Report, told: Told
) -> None:
    """The included mode runs on somebody's own."""
    report.version(version)
    (line,) = told.lines
    assert line.startswith(f"{level} ExaBGP {version}")
    assert ("use 5.0.15 or later, below 6" in line) == (level == "WARNING")


def neighbor(*reports: str) -> ConfiguredNeighbor:
    """Return a neighbor with our process in its api section."""
    return ConfiguredNeighbor(
        address=TOR,
        description="",
        local_as=1,
        peer_as=1,
        families=frozenset(),
        processes=frozenset({"announcer"}),
        reports=frozenset(("announcer", report) for report in reports),
        manual_eor=False,
    )


@pytest.mark.parametrize(
    ("neighbors", "remedy"),
    [
        pytest.param([], "add `api { processes [ announcer ];", id="none is for us"),
        pytest.param([neighbor()], "add `neighbor-changes;`", id="sessions are not told"),
        pytest.param(
            [neighbor(NEIGHBOR_CHANGES)], "add `send { parsed; update; }`", id="sent is not told"
        ),
        pytest.param([neighbor(NEIGHBOR_CHANGES, SENT)], "", id="as it should be"),
    ],
)
def test_what_somebody_s_own_configuration_lacks(
    report: Report, told: Told, neighbors: list[ConfiguredNeighbor], remedy: str
) -> None:
    """With what to write."""
    report.neighbors(neighbors, "announcer")
    assert len(told.lines) == bool(remedy)
    assert remedy in "".join(told.lines)
