"""bfdd and zebra are there when they are wanted, and only then."""

import grp
import os
import pwd
import signal
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from exabgp_metallb.decisions.bfd import timers
from exabgp_metallb.programs import bfd_daemons
from exabgp_metallb.programs.bfd_daemons import BfdDaemons, Need, ask, asked, need_of, not_installed
from exabgp_metallb.values.bfd import BfdKey, BfdSession
from exabgp_metallb.values.intent import BfdProfile
from tests.unit.programs.told import Told

FAKE = """\
#!{python}
import os, socket, sys, time
name = os.path.basename(sys.argv[0])
with open(f"{{name}}.pid", "w") as file:
    file.write(str(os.getpid()))
if name == "zebra":
    server = socket.socket(socket.AF_UNIX)
    server.bind("zserv.api")
    server.listen()
time.sleep(600)
"""
SECONDS = 60.0


def session(*, echo: bool = False, multihop: bool = False, vrf: str | None = None) -> BfdSession:
    """Return a session."""
    key = BfdKey(peer=ip_address("10.9.0.2"), multihop=multihop, vrf=vrf)
    profile = BfdProfile(name="fast", echo_mode=echo)
    return BfdSession(key=key, profile="fast", timers=timers(profile))


@pytest.mark.parametrize(
    ("sessions", "need"),
    [
        ([], Need.NOTHING),
        ([session()], Need.BFDD),
        ([session(), session(echo=True)], Need.ZEBRA_TOO),
        ([session(echo=True, multihop=True)], Need.BFDD),
        ([session(vrf="blue")], Need.ZEBRA_TOO),
    ],
)
def test_zebra_is_for_who_needs_it(sessions: list[BfdSession], need: Need) -> None:
    """It takes part in the kernel's routing table."""
    assert need_of(sessions) is need


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with programs called as FRR's are, which anybody may run."""
    folder = tmp_path / "frr"
    folder.mkdir()
    for name in ("bfdd", "zebra"):
        (folder / name).write_text(FAKE.format(python="/usr/bin/env python3"))
        (folder / name).chmod(0o755)
    monkeypatch.setattr(bfd_daemons, "PROGRAMS", folder)
    account = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    monkeypatch.setattr(bfd_daemons, "_account", lambda: account)
    return folder


@pytest.fixture
def daemons(tmp_path: Path, programs: Path) -> Iterator[BfdDaemons]:  # noqa: ARG001 -- to be there
    """Return the daemons of a state folder; they end with the test."""
    daemons = BfdDaemons(tmp_path)
    yield daemons
    daemons.stop()


def running(daemons: BfdDaemons) -> list[int]:
    """Return the ids of those that run."""
    return list(daemons.pids)


def wait_runs(daemons: BfdDaemons, count: int, now: float = 0.0) -> list[int]:
    """Check until so many run, and return their ids."""
    deadline = time.monotonic() + SECONDS
    while True:
        daemons.check(now)
        if len(found := running(daemons)) == count:
            return found
        assert time.monotonic() < deadline, found
        os.sched_yield()


def test_they_follow_the_note(tmp_path: Path, daemons: BfdDaemons) -> None:
    """Nothing runs unasked; zebra comes before bfdd, and stays once it is there."""
    daemons.check(0.0)
    assert not running(daemons)
    ask(tmp_path, Need.BFDD)
    (bfdd,) = wait_runs(daemons, 1)
    daemons.check(1.0)
    assert running(daemons) == [bfdd]
    ask(tmp_path, Need.ZEBRA_TOO)
    both = wait_runs(daemons, 2, 2.0)
    assert bfdd not in both
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(tmp_path / "bfd" / "zserv.api"))  # was there when bfdd was started
    ask(tmp_path, Need.BFDD)
    assert wait_runs(daemons, 2, 3.0) == both
    ask(tmp_path, Need.NOTHING)
    daemons.check(4.0)
    assert not running(daemons)


def test_what_dies_is_started_again_at_growing_distances(
    tmp_path: Path, daemons: BfdDaemons
) -> None:
    """At once after a life of a minute; else a second later, then two."""
    ask(tmp_path, Need.BFDD)
    wait_runs(daemons, 1)

    def kill(now: float) -> None:
        (pid,) = running(daemons)
        os.kill(pid, signal.SIGKILL)
        wait_runs(daemons, 0, now)

    kill(now=0.5)
    daemons.check(0.9)
    assert not running(daemons)
    daemons.check(1.0)
    kill(now=1.5)
    daemons.check(2.9)
    assert not running(daemons)
    daemons.check(3.0)
    (pid,) = running(daemons)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    daemons.check(63.0)
    (again,) = running(daemons)
    assert again != pid


def test_what_a_killed_parent_left_is_ended(tmp_path: Path, programs: Path) -> None:
    """Two bfdd would fight for the UDP ports."""
    ask(tmp_path, Need.BFDD)
    first = BfdDaemons(tmp_path)
    (old,) = wait_runs(first, 1)
    pid_file = tmp_path / "bfd" / "bfdd.pid"
    deadline = time.monotonic() + SECONDS
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        os.sched_yield()
    second = BfdDaemons(tmp_path)
    wait_runs(second, 1)
    os.waitid(os.P_PID, old, os.WEXITED | os.WNOWAIT)  # or this would wait for ten minutes
    second.stop()
    first.stop()
    assert programs.exists()


def test_another_bfdd_is_left_alone(
    tmp_path: Path, daemons: BfdDaemons, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """Ours would get all its packets; it is said once, and tried again after a while."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        monkeypatch.setattr(bfd_daemons, "PORT", other.getsockname()[1])
        ask(tmp_path, Need.BFDD)
        for now in (0.0, 1.0, 31.0):
            daemons.check(now)
        assert not running(daemons)
        assert told.count("is in use on this host, by another bfdd") == 1
    daemons.check(32.0)
    assert not running(daemons)
    daemons.check(61.0)
    assert running(daemons)


def test_nothing_starts_where_frr_is_not_installed(
    tmp_path: Path, programs: Path, daemons: BfdDaemons
) -> None:
    """The speaker tells what is missing; the parent goes on."""
    (programs / "bfdd").unlink()
    assert not_installed(Need.ZEBRA_TOO) == (programs / "bfdd",)
    ask(tmp_path, Need.ZEBRA_TOO)
    daemons.check(0.0)
    assert not running(daemons)


@pytest.mark.parametrize("note", ["", "nonsense", "bfdd bfdd", "\xff"])
def test_a_note_that_cannot_be_read_asks_for_nothing(tmp_path: Path, note: str) -> None:
    """It names programs that we know, or nothing."""
    (tmp_path / bfd_daemons.NOTE_NAME).write_text(note, encoding="latin-1")
    assert asked(tmp_path) is Need.NOTHING
    ask(tmp_path, Need.BFDD)
    assert asked(tmp_path) is Need.BFDD
