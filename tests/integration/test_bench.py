"""Every benchmark runs, in a size that takes seconds; what it measures then says nothing."""

import os
import subprocess
import sys

import pytest

from tests.integration.lab.bird import BirdRouter
from tests.integration.lab.frr import FrrRouter
from tests.integration.lab.frr_bfd import BfdRouter
from tests.requirements import missing

SECONDS = 540.0  # beside other work; less than pytest's own limit


def run(command: str) -> str:
    """Run a benchmark and return what it printed."""
    name, *options = command.split()
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name}", *options],
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_decisions_are_timed() -> None:
    """Without any network."""
    assert "median" in run("decision --services 50 --nodes 3 --changes 10")


def test_frames_are_made_worse() -> None:
    """Without any network; a wrong answer ends it with status 1."""
    assert "3,000 frames, no wrong answer" in run("fuzz_frames --frames 3000")


@pytest.mark.netns
def test_a_cut_is_timed() -> None:
    """With BFD, which a busy machine does not trip; without it a run takes the hold time."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    if not all(map(os.path.exists, BfdRouter.programs)):
        missing("FRR is not installed: run tests/peers.sh as root")
    assert "median" in run("bfd --runs 1 --cases 300x10")


@pytest.mark.netns
def test_replies_are_counted() -> None:
    """The responder, its wire alone, the kernel and scapy, in both families."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    printed = run("replies --addresses 3 --tries 1 --seconds 0.05")
    assert printed.count("responder is") == 12


@pytest.mark.netns
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("start --services 50 --pairs 1", "ratio of the medians"),
        ("latency --services 50 --changes 5 --burst 20 --calm 0", "20 other endpoints change"),
        ("memory --services 0 50 --calm 0", "PSS"),
        ("peers bulk --services 500 --peers 1 2 --rounds 1", "ratio"),
        ("peers sustained --services 50 --rate 20 --seconds 2 --calm 0", "rename to UPDATE"),
        ("peers returning --services 100 --calm 0", "the other peer comes back"),
    ],
)
def test_a_node_is_measured(command: str, told: str) -> None:
    """On manifests, before BIRD."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    if not all(map(os.path.exists, BirdRouter.programs)):
        missing("bird is not installed: run tests/peers.sh as root")
    assert told in run(command)


@pytest.mark.netns
def test_lost_connections_are_counted() -> None:
    """Before FRR, which shares them among nodes."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    if not all(map(os.path.exists, FrrRouter.programs)):
        missing("FRR is not installed: run tests/peers.sh as root")
    assert "600 connections: lost" in run("drain --runs 1 --ways kill")


def test_frames_at_rest_are_counted() -> None:
    """A simulation; without any network."""
    assert "frames/s an owner" in run("failover --rest --nodes 4 --addresses 4 --seconds 1")


@pytest.mark.netns
def test_a_failover_is_timed() -> None:
    """A hand-over loses nothing: none is reset, and none is left unanswered."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    *_, last = run("failover --runs 1 --kinds drain").strip().splitlines()
    assert last.split()[0] == "drain"
    assert last.split()[-2:] == ["0", "0"]
