"""The rendered exabgp.conf: what is brought into force, what is tried again, what is left alone."""

import os
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from queue import SimpleQueue

import pytest

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.exabgp.dialogue import ConfigurationFound, Dialogue
from exabgp_metallb.programs.managed import (
    LONGEST_RETRY_SECONDS,
    LOOK_SECONDS,
    PATIENT_RELOADS,
    REFUSED_SECONDS,
    RELOADS,
    RETRY_SECONDS,
    ManagedConfiguration,
    Validated,
)
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.intent import Peer
from tests.unit.adapters.test_conf import PLAIN, RUN, sessions
from tests.unit.far_end import FarEnd
from tests.unit.programs.told import Told

TOR = IPv4Address("198.51.100.1")
OTHER = replace(PLAIN, name="router-9", address=IPv4Address("198.51.100.9"))
SLOWER = replace(PLAIN, hold_seconds=120)
WAIT_SECONDS = 60.0


class Managed:
    """The configuration, the dialogue that it pauses, and ExaBGP, which was started on the file."""

    def __init__(self, path: Path, *peers: Peer) -> None:
        self.path = path
        path.write_text(conf.render(sessions(*peers), run=RUN))
        self.far = FarEnd(path)
        self.now = 0.0
        self.checks: SimpleQueue[Validated] = SimpleQueue()
        self.restart()

    def restart(self) -> None:
        """Begin as a new speaker."""
        self.dialogue = Dialogue(lambda _: {}, lambda _: True)
        self.dialogue.begin()
        self.managed = ManagedConfiguration(self.path, RUN, self.dialogue, self.checks.put)
        self.run()
        self.dialogue.release()

    def want(self, *peers: Peer) -> None:
        """Ask for sessions."""
        self.managed.want(sessions(*peers))

    def check(self, error: str | None = None) -> None:
        """Wait for ExaBGP's parser; an error takes the place of its verdict."""
        result = self.checks.get(timeout=WAIT_SECONDS)
        assert result.error is None
        self.managed.validated(replace(result, error=error), self.now)

    def run(self) -> None:
        """Let both talk until neither has anything to say."""
        while True:
            self.managed.act(self.now)
            lines = self.dialogue.lines(self.now)
            if not lines:
                return
            for line in self.far.answers(lines):
                for notice in self.dialogue.hear(line):
                    if isinstance(notice, ConfigurationFound):
                        self.managed.found(notice.neighbors, self.now)

    def settle(self, *peers: Peer) -> None:
        """Ask for sessions, and see them through."""
        self.want(*peers)
        self.check()
        self.run()

    @property
    def reloads(self) -> int:
        """How often ExaBGP was told to reload."""
        return self.far.heard.count("reload")

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self.checks.empty() and self.managed.deadline(self.now) is None


@pytest.fixture
def managed(tmp_path: Path) -> Managed:
    """Return a configuration with one session, in force."""
    return Managed(tmp_path / "exabgp.conf", PLAIN)


def test_equal_sessions_need_no_reload(managed: Managed) -> None:
    """Not even a look by ExaBGP's parser."""
    managed.want(PLAIN)
    assert managed.idle
    assert managed.reloads == 0


@pytest.mark.parametrize(
    "peers",
    [
        pytest.param([PLAIN, OTHER], id="add"),
        pytest.param([], id="remove"),
        pytest.param([SLOWER], id="edit"),
        pytest.param([OTHER], id="replace"),
    ],
)
def test_a_change_is_brought_into_force(peers: list[Peer], managed: Managed) -> None:
    """The file is replaced, private, and ExaBGP has it; routes may flow again."""
    managed.settle(*peers)
    text = conf.render(sessions(*peers), run=RUN)
    assert managed.path.read_text() == managed.far.text == text
    assert managed.path.stat().st_mode & 0o777 == 0o600
    assert managed.reloads == 1
    assert not managed.dialogue.paused
    assert managed.idle


def test_a_burst_of_edits_is_one_reload(managed: Managed) -> None:
    """What was wanted in between is never brought into force."""
    for hold in range(10, 20):
        managed.want(replace(PLAIN, hold_seconds=hold))
    managed.check()  # of the first
    managed.check()
    managed.run()
    assert "hold-time 19;" in managed.far.text
    assert managed.reloads == 1


def test_what_changes_before_the_reload_is_checked_first(managed: Managed) -> None:
    """A text that ExaBGP's parser has not seen never gets into the file."""
    managed.want(SLOWER)
    managed.check()
    assert managed.dialogue.paused
    managed.want(OTHER)
    managed.run()
    assert managed.reloads == 0
    assert managed.far.text == managed.path.read_text()
    managed.check()
    managed.run()
    assert managed.far.neighbors == [OTHER.address]


@pytest.mark.parametrize("peers", [[PLAIN, OTHER], [SLOWER]], ids=["add", "edit"])
def test_a_lost_reload_is_made_up_for(peers: list[Peer], managed: Managed) -> None:
    """Routes flow while it is waited; an edit that keeps the addresses is no exception."""
    managed.far.lost_reloads = 1
    managed.settle(*peers)
    assert (managed.reloads, managed.dialogue.paused) == (1, False)
    managed.now += RETRY_SECONDS
    managed.run()
    assert managed.reloads == 2
    assert managed.far.text == conf.render(sessions(*peers), run=RUN)
    assert managed.idle


def lose(managed: Managed, reloads: int) -> list[float]:
    """See so many reloads lost, and return how long it was waited before each but the first."""
    managed.far.lost_reloads = 1000
    if not managed.reloads:
        managed.settle(SLOWER)
    waits = []
    while managed.reloads < reloads:
        deadline = managed.managed.deadline(managed.now)
        assert deadline is not None
        waits.append(deadline - managed.now)
        managed.now = deadline
        managed.run()
    return waits


def refused(managed: Managed) -> Path:
    """Return where a file is kept that ExaBGP has not taken."""
    return managed.path.with_name("exabgp.conf.refused")


def test_a_reload_that_is_not_taken_is_undone(managed: Managed) -> None:
    """The file of before is there, should ExaBGP be started anew; routes flow meanwhile."""
    before = managed.path.read_text()
    waits = lose(managed, RELOADS - 1)
    assert waits == [RETRY_SECONDS, 2 * RETRY_SECONDS]
    assert (
        managed.managed.behind
        == f"ExaBGP has not taken its new configuration at {RELOADS - 1} reloads"
    )
    assert managed.path.read_text() == before
    assert not managed.dialogue.paused
    assert "shutdown" not in managed.far.heard
    managed.far.lost_reloads = 0
    managed.settle(OTHER)
    assert managed.far.neighbors == [OTHER.address]
    assert not refused(managed).exists()


GRACEFUL = replace(PLAIN, graceful_restart=True)


@pytest.mark.parametrize(
    ("peers", "established", "reloads"),
    [
        pytest.param([PLAIN, OTHER], [TOR], PATIENT_RELOADS, id="one is down, one would suffer"),
        pytest.param([GRACEFUL, OTHER], [TOR], RELOADS, id="one is down, one would not suffer"),
        pytest.param([PLAIN], [TOR], RELOADS, id="all are up"),
        pytest.param([PLAIN], [], RELOADS, id="none is up"),
    ],
)
def test_an_exabgp_that_takes_none_is_started_anew(
    peers: list[Peer], established: list[Address], reloads: int, tmp_path: Path, told: Told
) -> None:
    """Later where a neighbor may be in the way, and others suffer by it."""
    managed = Managed(tmp_path / "exabgp.conf", *peers)
    before = managed.path.read_text()
    managed.far.established.update(established)
    managed.restart()
    lose(managed, reloads - 1)
    assert "shutdown" not in managed.far.heard
    lose(managed, reloads)
    assert "shutdown" in managed.far.heard
    assert told.count("it is restarted") == 1
    assert managed.path.read_text() == before
    assert "hold-time 120;" in refused(managed).read_text()
    assert refused(managed).stat().st_mode & 0o777 == 0o600

    managed.far.lost_reloads = 0
    managed.restart()
    managed.settle(SLOWER)
    assert "hold-time 120;" in managed.far.text
    assert managed.managed.behind is None
    assert not refused(managed).exists()


def test_a_file_that_is_never_taken_has_exabgp_started_anew_but_once(
    managed: Managed, told: Told
) -> None:
    """Then the fault is the file's, or ours."""
    lose(managed, RELOADS)
    managed.restart()
    managed.far.heard.clear()
    assert lose(managed, RELOADS + 5)[-1] == LONGEST_RETRY_SECONDS
    assert "shutdown" not in managed.far.heard
    assert told.count("still does not take") == 1


def test_somebody_else_s_reload_is_undone(managed: Managed) -> None:
    """Within a minute, whether or not anything of ours changes."""
    ours = managed.path.read_text()
    managed.settle()
    managed.settle(PLAIN)
    managed.path.write_text(conf.render(sessions(OTHER), run=RUN))
    managed.far.answers(["reload"])
    assert managed.far.neighbors == [OTHER.address]
    managed.now += LOOK_SECONDS
    managed.run()
    managed.check()
    managed.run()
    assert managed.far.text == managed.path.read_text() == ours


def test_what_exabgp_refuses_leaves_the_old_file(managed: Managed, told: Told) -> None:
    """After one bad reload ExaBGP takes no other; it is told once, and tried again later."""
    before = managed.path.read_text()
    managed.want(SLOWER)
    managed.check(error="invalid")
    managed.run()
    assert managed.path.read_text() == before
    assert managed.reloads == 0
    managed.now += REFUSED_SECONDS
    managed.run()
    managed.check(error="invalid")
    assert told.count("ExaBGP refuses the new configuration: invalid") == 1
    assert managed.managed.behind == "the new configuration is not in force: see the log"
    managed.now += REFUSED_SECONDS
    managed.run()
    managed.check()
    managed.run()
    assert "hold-time 120;" in managed.far.text


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    managed: Managed, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: routes flow, and it is tried again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        managed.settle(SLOWER)
    assert told.count("No space left on device") == 1
    assert (managed.reloads, managed.dialogue.paused) == (0, False)
    managed.now += REFUSED_SECONDS
    managed.run()
    managed.check()
    managed.run()
    assert "hold-time 120;" in managed.far.text


def test_a_forerunner_s_unfinished_reload_is_carried_out(managed: Managed) -> None:
    """It died between rename and reload: the file is new, and ExaBGP is not."""
    managed.path.write_text(conf.render(sessions(PLAIN, OTHER), run=RUN))
    managed.restart()
    managed.settle(PLAIN, OTHER)
    assert managed.reloads == 1
    assert managed.far.neighbors == [PLAIN.address, OTHER.address]


def test_a_session_that_exabgp_cannot_hold_is_told_once(managed: Managed, told: Told) -> None:
    """The others are rendered without it."""
    unnumbered = replace(PLAIN, name="unnumbered", address=None, interface="eth0")
    managed.want(PLAIN, unnumbered)
    managed.want(PLAIN, unnumbered)
    assert managed.idle
    assert told.count("BGPPeer unnumbered: spec.interface") == 1


def test_a_neighbor_may_be_left_out_for_a_while(managed: Managed) -> None:
    """Whatever is wanted meanwhile; then it is back."""
    managed.managed.want(sessions(PLAIN))
    managed.managed.leave_out({TOR})
    managed.check()
    managed.run()
    assert managed.far.neighbors == []
    managed.settle(SLOWER, OTHER)
    assert managed.far.neighbors == [OTHER.address]
    managed.managed.leave_out(())
    managed.check()
    managed.run()
    assert managed.far.neighbors == [PLAIN.address, OTHER.address]
