"""A status as tables: what is well, what is wrong, and text that means harm."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from exabgp_metallb.programs.status_tables import status_text

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)

SESSION = {
    "peer": "tor",
    "address": "10.0.0.1",
    "port": 179,
    "state": "up",
    "since": "2026-01-02T11:58:59+00:00",
    "lastError": "",
    "routesWanted": 2,
    "routesHeld": 2,
}
HEALTHY: dict[str, Any] = {
    "node": "node1",
    "healthy": True,
    "problems": [],
    "exabgp": "5.0.15",
    "managed": True,
    "sessions": [SESSION],
    "drain": {
        "phase": "serving",
        "goal": "serving",
        "forSeconds": 3.0,
        "askedBy": [],
        "drainSeconds": 5.0,
    },
}


def shown(**changes: object) -> str:
    """Return the text for a status with some changes."""
    return status_text(HEALTHY | changes, io.StringIO(), NOW)


def test_a_healthy_node() -> None:
    """Its sessions, and one word."""
    assert shown() == (
        "Node node1: ExaBGP 5.0.15, its exabgp.conf is ours\n"
        "  PEER  ADDRESS   STATE  FOR  ROUTES  LAST ERROR\n"
        "  tor   10.0.0.1  up     1m   2\n"
        "\n"
        "Healthy.\n"
    )


ANSWERED = {
    "address": "192.0.2.1",
    "role": "owner",
    "why": "",
    "answeredOn": ["eth0", "eth1"],
    "interfaces": None,
    "candidates": ["n1", "n2", "n3", "n4", "n5"],
    "services": ["default/web"],
}


def test_layer_2() -> None:
    """Who answers for what; the first candidates watch, the others only wait."""
    unheard = ANSWERED | {"address": "192.0.2.2", "role": None, "answeredOn": []}
    crowd = unheard | {"candidates": None, "candidateCount": 1000}
    layer2 = {"addresses": [ANSWERED, unheard | {"candidates": ["n1"]}, crowd]}
    assert shown(exabgp=None, sessions=[], layer2=layer2) == (
        "Node node1: without ExaBGP\n"
        "\n"
        "  ADDRESS    ROLE     ON          CANDIDATES             FOR\n"
        "  192.0.2.1  owner    eth0, eth1  n1, n2, n3 and 2 more  default/web\n"
        "  192.0.2.2  unknown              n1                     default/web\n"
        "  192.0.2.2  unknown              1000 nodes             default/web\n"
        "\n"
        "Healthy.\n"
    )


def test_one_that_is_not() -> None:
    """What is wrong comes last, since the end is what a terminal shows."""
    down = SESSION | {"state": "down", "since": None, "lastError": "closed", "routesHeld": 1}
    text = shown(sessions=[down], healthy=False, problems=["BGP peer tor (10.0.0.1): closed"])
    assert "  tor   10.0.0.1  down        1 of 2  closed\n" in text
    assert text.endswith("\nProblems\n  BGP peer tor (10.0.0.1): closed\n")


def test_a_node_that_drains() -> None:
    """How far, and who asked."""
    drain = HEALTHY["drain"] | {"phase": "worse", "goal": "drained", "askedBy": ["annotation"]}
    asked = "Drain: worse for 3 s, to be drained, asked for by annotation\n"
    assert asked in shown(drain=drain)


def test_a_node_without_sessions() -> None:
    """It has just started, in somebody's own exabgp.conf."""
    text = shown(sessions=[], managed=False, exabgp="")
    assert text.startswith(
        "Node node1: ExaBGP has not answered yet, in somebody's own exabgp.conf\n  no BGP session\n"
    )


@pytest.mark.parametrize(
    ("since", "passed"),
    [
        ("2026-01-02T12:00:00+00:00", "0s"),
        ("2026-01-02T12:00:09+00:00", "0s"),  # the clock of the two programs is one, but may jump
        ("2026-01-02T11:59:01+00:00", "59s"),
        ("2026-01-02T11:00:01+00:00", "59m"),
        ("2026-01-02T13:00:00+02:00", "1h"),
        ("2025-12-30T11:00:00+00:00", "3d"),
    ],
)
def test_times_are_told_as_kubectl_does(since: str, passed: str) -> None:
    """The largest unit alone."""
    assert f"up     {passed} " in shown(sessions=[SESSION | {"since": since}])


def test_text_that_means_harm_is_made_safe() -> None:
    """A name is what somebody wrote."""
    evil = "\x1b[2Jgone"
    text = shown(node=evil, sessions=[SESSION | {"peer": evil, "lastError": evil}], problems=[evil])
    assert "\x1b" not in text
    assert text.count(r"\x1b[2Jgone") == 4
