"""Processes of the demo: killed with all that is below them, and none is left at the end.

Each case is a script of its own: whoever uses `Processes` answers for all that is below it.
"""

import subprocess
import sys
from pathlib import Path

from tests.integration.lab.waiting import wait_for

FAMILY = """
import signal, subprocess, sys, time
child = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(200)"
)
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(600)
"""
"""A process with a child in a group of its own that does not heed SIGTERM."""

SCRIPT = """
import os, pathlib, signal, sys, time
from exabgp_metallb.programs.demo.processes import Processes, descendants

def wait(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)

folder, family = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
processes = Processes(folder)
for name in ("one", "two"):
    processes.start(name, [sys.executable, str(family)], dict(os.environ))
    wait(lambda: "ready" in processes.tail(name))
assert len(descendants(os.getpid())) == 4
"""


def play(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script after the start of two families."""
    family = tmp_path / "family.py"
    family.write_text(FAMILY)
    command = [sys.executable, "-c", SCRIPT + script, str(tmp_path), str(family)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_killed_process_takes_its_descendants_along(tmp_path: Path) -> None:
    """And no other's."""
    done = play(
        tmp_path,
        "processes.kill('one')\n"
        "assert len(descendants(os.getpid())) == 2\n"
        "assert processes.ended() == []\n"
        "processes.close()\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    """Not even what does not heed SIGTERM and has lost its parent."""
    done = play(tmp_path, "processes.close()\nassert descendants(os.getpid()) == []\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_ends_by_itself_is_known(tmp_path: Path) -> None:
    """The demo then stops to wait."""
    done = play(
        tmp_path,
        "processes.start('short', [sys.executable, '-c', 'pass'], dict(os.environ))\n"
        "wait(lambda: processes.ended() == ['short'])\n"
        "processes.close()\n",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """The kernel tells them; what is below them is theirs to end."""
    script = (
        "children = [child.pid for child in processes._running.values()]\n"
        "print(*children, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = play(tmp_path, script)
    assert done.returncode == -9
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60, "they ended")
