"""The demo with real processes: it is right, it can be wrong, and it leaves nothing behind."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from exabgp_metallb.programs.demo.command import MANIFESTS
from exabgp_metallb.programs.demo.steps import STEPS
from tests.integration.lab.waiting import wait_for
from tests.requirements import missing

DEMO = (sys.executable, "-m", "exabgp_metallb", "demo")
WITHOUT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
RUN_SECONDS = 300.0  # it takes ten; each step has a deadline of its own
STOP_SECONDS = 60.0

LATENCY = r"( +\d+ ms| +\d+\.\d\d s)"


def play(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a demo to its end, its temporary folder below `folder`."""
    environment = os.environ | {"TMPDIR": str(folder), "EXABGP_METALLB_LB_CLASS": "of-the-shell"}
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def below(folder: Path) -> list[str]:
    """Return the command lines of all processes that were told of a path in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(folder) in line:
            found.append(line)
    return found


def prove_right(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    """Check that every step was right, in order, and that nothing is left."""
    assert done.returncode == 0, done.stdout + done.stderr
    for number, step in enumerate(STEPS, start=1):
        assert re.search(
            rf"^ {number}{LATENCY}  {re.escape(step.name)}$", done.stdout, re.MULTILINE
        )
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert below(folder) == []
    assert list(folder.iterdir()) == []


def test_the_router_is_right_after_every_step(tmp_path: Path) -> None:
    """Lines without colour, since this is no terminal; the shell's own settings do not count."""
    done = play([*DEMO, "--once"], tmp_path)
    prove_right(done, tmp_path)
    assert "mail 203.0.113.10: node-1 node-2 -> node-2 node-3" in done.stdout
    assert "shop 2001:db8:1::10: - -> node-1 node-2 node-3" in done.stdout


def test_it_needs_neither_root_nor_a_terminal_nor_an_option(tmp_path: Path) -> None:
    """In a user namespace root is somebody else, with no capability at all."""
    without_root: Sequence[str] = ()
    if os.geteuid() == 0:
        without_root = WITHOUT_ROOT
        if subprocess.run([*without_root, "true"], check=False).returncode:
            missing("the kernel refuses user namespaces: run the tests as somebody else than root")
    prove_right(play([*without_root, *DEMO], tmp_path), tmp_path)


def test_a_route_that_does_not_arrive_is_told(tmp_path: Path) -> None:
    """Without its sourceAddress node-3 speaks from an address that the router does not know."""
    manifests, temporary = tmp_path / "manifests", tmp_path / "tmp"
    temporary.mkdir()
    manifests.mkdir()
    for path in MANIFESTS.iterdir():
        text = path.read_text()
        (manifests / path.name).write_text(text.replace("  sourceAddress: 127.0.0.13\n", ""))
    done = play([*DEMO, "--once", "--manifests", str(manifests)], temporary)
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        "  203.0.113.11/32 from 127.0.0.13: missing, expected next hop 127.0.0.13 "
        "community 65535:65281\n"
    ) in done.stdout
    assert "from 127.0.0.11" not in done.stdout
    assert "The log of node-3 ends:\n" in done.stdout
    assert below(tmp_path) == []
    assert list(temporary.iterdir()) == []


@contextmanager
def running(folder: Path, *, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """Give a demo of which all three speakers run."""
    environment = os.environ | {"TMPDIR": str(folder), "TERM": "xterm"}
    child = subprocess.Popen(DEMO, env=environment, stdin=stdout, stdout=stdout)
    try:
        wait_for(lambda: len(speakers(child.pid)) == 3, RUN_SECONDS, "three speakers")
        yield child
    finally:
        child.kill()
        child.wait()


def speakers(root: int) -> list[int]:
    """Return the speakers below a process."""
    found = [root]
    for pid in found:
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            continue  # it has ended
        found += map(int, children.split())
    return [pid for pid in found if b"\0speaker\0" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """Return the arguments of a process, each with a NUL behind it; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    """With the status that a shell gives such an end."""
    with running(tmp_path, stdout=subprocess.DEVNULL) as child:
        child.send_signal(number)
        assert child.wait(STOP_SECONDS) == 128 + number
    assert below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    """Its folder stays, since nobody is left to remove it."""
    with running(tmp_path, stdout=subprocess.DEVNULL) as child:
        left = speakers(child.pid)
        child.kill()
    wait_for(lambda: not below(tmp_path), STOP_SECONDS, lambda: "\n".join(below(tmp_path)))
    wait_for(lambda: not any(map(command_line, left)), STOP_SECONDS, "the speakers to end")


def test_a_terminal_shows_the_table_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    """Drawn again and again, with what to do at its foot."""
    controller, terminal = pty.openpty()
    shown = b""

    def read(text: bytes) -> bool:
        nonlocal shown
        shown += os.read(controller, 65536)
        return text in shown

    with running(tmp_path, stdout=terminal) as child:
        wait_for(lambda: read(b"a pod of mail moves"), RUN_SECONDS, lambda: f"a step in {shown!r}")
        child.send_signal(signal.SIGINT)
        wait_for(lambda: read(b"\x1b[?25h"), STOP_SECONDS, "the cursor to be shown again")
        assert child.wait(STOP_SECONDS) == 128 + signal.SIGINT
    os.close(controller)
    os.close(terminal)
    for text in (b"What the router holds", b"203.0.113.10", b"2001:db8::13", b"Ctrl-C ends"):
        assert text in shown
    assert list(tmp_path.iterdir()) == []
