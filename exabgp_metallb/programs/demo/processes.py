"""Processes that leave nothing behind, however the demo ends.

ExaBGP puts its own processes into groups of their own, so a group does not hold them together.
Instead the demo becomes the subreaper of all that runs below it (prctl(2), PR_SET_CHILD_SUBREAPER):
whatever loses its parent becomes its child, so its descendants are always all there is. Should the
demo itself be killed, the kernel tells its children (PR_SET_PDEATHSIG), and they end theirs.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
STOP_SECONDS = 8.0  # `run` gives ExaBGP five, ExaBGP gives the speaker two
LOOK_SECONDS = 0.01
TAIL_LINES = 15

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Processes:
    """Everything that this process runs, by name. Started and ended by the main thread alone.

    From the first start on whatever is below this process counts as started here.

    Args:
        logs: the folder for what each writes to stdout and stderr.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._used = False

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process; what it says is added to its log."""
        self._used = True
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the demo alone
                preexec_fn=_end_with_parent,  # noqa: PLW1509 -- the demo has no threads
            )

    def ended(self) -> list[str]:
        """Return the names of those that ended by themselves."""
        return [name for name, child in self._running.items() if child.poll() is not None]

    def kill(self, name: str) -> None:
        """Kill a process with all its descendants, as a power cut would."""
        child = self._running.pop(name)
        victims = [child.pid, *descendants(child.pid)]
        for pid in victims:  # parents first, so that none starts another
            _signal(pid, signal.SIGKILL)
        child.wait()
        _reap(victims[1:])

    def close(self) -> None:
        """End everything in order, then kill and reap whatever is left."""
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
        self._running.clear()
        while self._used and (left := descendants(os.getpid())):
            for pid in left:
                _signal(pid, signal.SIGKILL)
            _reap(left)
            time.sleep(LOOK_SECONDS)

    def log(self, name: str) -> Path:
        """Return the path of a process' log."""
        return self._logs / f"{name}.log"

    def tail(self, name: str) -> list[str]:
        """Return the last lines of a process' log."""
        try:
            text = self.log(name).read_text(errors="replace")
        except OSError:
            return []
        return text.splitlines()[-TAIL_LINES:]


def _end_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pids: Sequence[int]) -> None:
    """Wait for killed processes, parents first: with its parent's end a process becomes ours."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below one, parents before children."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found[1:]


def _parents() -> Iterator[tuple[int, int]]:
    """Yield every process and its parent."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            status = Path(entry.path, "stat").read_text(errors="replace")
            # "12 (name) S 11 ...": the name may hold blanks and parentheses; see proc(5).
            yield int(entry.name), int(status.rpartition(")")[2].split()[1])
