"""FRR's bfdd, and zebra where it must be, kept alive beside ExaBGP by the parent of both.

The speaker knows whether anybody wants BFD, and must not be bfdd's parent: routers take the end of
bfdd for the end of this node, so it has to outlive speaker and ExaBGP. So the speaker leaves a note
(`ask`) in the state folder, and the parent does what the note says. It is still there after a
restart of the machine: BFD is ready when the BGP sessions come up.

The daemons have sockets and process ids in a folder of their own, so they meet no
other FRR of the host but at the UDP ports. zebra is left out while no session needs it: it takes
part in the kernel's routing table and wants CAP_NET_ADMIN.
"""

import enum
import errno
import grp
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from loguru import logger

from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.values.bfd import BfdSession

AUTO = "auto"  # for the option `--bfd`: these daemons

PROGRAMS = Path("/usr/lib/frr")  # where Debian, RHEL and FRR's own packages have them
USER = GROUP = "frr"  # whom they run as, if we are root
ZEBRA_SOCKET = "zserv.api"
FOLDER_NAME, NOTE_NAME = "bfd", "bfd.wanted"
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0  # between two starts, doubled each time
PORT = 3784  # UDP, of single-hop sessions: RFC 5881 section 4
SOCKETS = Path("/proc/net/udp"), Path("/proc/net/udp6")
LASTING_SECONDS = 60.0  # a daemon that lived so long is started again at once
STOP_SECONDS = 2.0

ANOTHER = (
    f"UDP port {PORT} is in use on this host, by another bfdd as it seems: name the folder of its "
    "sockets by --bfd, or end it"
)
"""Two bfdd can have the port at one time, and the younger one gets all packets."""

ZEBRA_OPTIONS = ("-r", "-K", "2000000")
"""Leave in the kernel what routes another FRR has put there. zebra sweeps them away at its end, and
so many seconds after its start; 4294967295 was seen to mean at once."""


RIGHTS = (
    "; its own words are above: if it lacks rights, docs/decisions/bfd.md says which, or name the "
    "folder of a bfdd that has them by --bfd"
)


class Need(enum.StrEnum):
    """Which daemons are wanted; the value is the note's text."""

    NOTHING = ""
    BFDD = "bfdd"
    ZEBRA_TOO = "zebra bfdd"

    @property
    def programs(self) -> tuple[str, ...]:
        """The daemons, in the order in which they are started."""
        return tuple(self.value.split())


def need_of(sessions: Iterable[BfdSession]) -> Need:
    """Return which daemons these sessions need."""
    every = tuple(sessions)
    if any(session.needs_zebra for session in every):
        return Need.ZEBRA_TOO
    return Need.BFDD if every else Need.NOTHING


def not_installed(need: Need) -> tuple[Path, ...]:
    """Return the programs that are wanted and not there."""
    paths = (PROGRAMS / name for name in need.programs)
    return tuple(path for path in paths if not os.access(path, os.X_OK))


def ask(state_dir: Path, need: Need) -> None:
    """Leave the note for the parent.

    Raises:
        OSError: the state folder cannot be written.
    """
    note = state_dir / NOTE_NAME
    if asked(state_dir) != need:
        write_aside(note, need.value.encode("ascii"), mode=0o600)


def asked(state_dir: Path) -> Need:
    """Read the note; none, or one that cannot be read, asks for nothing."""
    try:
        return Need((state_dir / NOTE_NAME).read_text("ascii"))
    except (OSError, ValueError):
        return Need.NOTHING


@dataclass(slots=True)
class _Daemon:
    """One daemon, started again when it ends."""

    name: str
    folder: Path
    user: str
    group: str
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = field(default=0.0)

    @property
    def runs(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def is_ready(self) -> bool:
        """Tell whether the next one may start: bfdd looks for zebra once, then not for a while."""
        if self.name != "zebra" or not self.runs:
            return self.runs
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.folder / ZEBRA_SOCKET))
            except OSError:
                return False
        return True

    def start(self, now: float) -> None:
        """Start it; its folder is its working directory, which spares it our folder's rights.

        Raises:
            OSError: it cannot be started, or must not be.
        """
        self.started_at = now
        self._end_forerunner()
        if self.name == "bfdd" and is_taken(PORT):
            raise OSError(errno.EADDRINUSE, ANOTHER)
        command = [
            str(PROGRAMS / self.name),
            *("--config_file", "/dev/null"),
            *("--pid_file", f"{self.name}.pid"),
            *("--vty_socket", "."),
            *("--socket", f"./{ZEBRA_SOCKET}"),
            *("--user", self.user, "--group", self.group),
            *("--vty_port", "0"),
            *("--log", "stdout", "--log-level", "warnings"),
            *(("--bfdctl", "./bfdd.sock") if self.name == "bfdd" else ZEBRA_OPTIONS),
        ]
        self.child = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it, by force if it must be."""
        if self.child is None:
            return
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.child, self.pause = None, 0.0

    def _end_forerunner(self) -> None:
        """End the daemon that a killed parent left: it changed its user, so the kernel did not."""
        try:
            pid = int((self.folder / f"{self.name}.pid").read_text())
            descriptor = os.pidfd_open(pid)
        except (OSError, ValueError):
            return
        with open(descriptor, "rb") as ended:  # noqa: PTH123 -- a descriptor
            try:
                if Path(f"/proc/{pid}/cwd").resolve() != self.folder.resolve():
                    return
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            except OSError:
                return
            select.select([ended], [], [], STOP_SECONDS)


class BfdDaemons:
    """Keeps the daemons that the note asks for, and starts the second one when the first is ready.

    Args:
        state_dir: where the note is, and the daemons' folder.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / FOLDER_NAME
        self._daemons: dict[str, _Daemon] = {}
        self._need = Need.NOTHING
        self._told = ""

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of those that run: `check` is due when one ends."""
        children = (daemon.child for daemon in self._daemons.values() if daemon.runs)
        return tuple(child.pid for child in children if child is not None)

    def check(self, now: float) -> None:
        """Start and end what there is to; call it each second.

        Args:
            now: in monotonic seconds.
        """
        need = asked(self._state_dir)
        if need is Need.BFDD and self._need is Need.ZEBRA_TOO:
            need = self._need  # to end zebra bfdd would have to be started again
        if need is not self._need:
            self._change(need)
        for daemon in self._daemons.values():
            self._keep(daemon, now)
            if not daemon.is_ready():
                return

    def stop(self) -> None:
        """End them: bfdd tells the routers."""
        for daemon in reversed(self._daemons.values()):
            daemon.stop()
        self._daemons = {}

    def _change(self, need: Need) -> None:
        """Begin anew: bfdd learns of interfaces from a zebra that is there before it."""
        self.stop()
        self._need = need
        if need is Need.NOTHING or not_installed(need):  # the speaker tells what is missing
            return
        try:
            account = _account()
            self._furnish(account)
        except OSError as error:
            self._tell(f"{error.filename or self._folder}: {error.strerror}")
        except LookupError as error:
            self._tell(f"FRR's daemons need a user with a name: {error}")
        else:
            self._daemons = {name: _Daemon(name, self._folder, *account) for name in need.programs}

    def _furnish(self, account: tuple[str, str]) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self._folder, *account)

    def _keep(self, daemon: _Daemon, now: float) -> None:
        if daemon.runs:
            return
        if daemon.child is not None:
            self._ended(daemon, daemon.child.returncode, now)
        if now >= daemon.started_at + daemon.pause:
            try:
                daemon.start(now)
            except OSError as error:
                daemon.pause = LONGEST_PAUSE_SECONDS
                self._tell(f"{PROGRAMS / daemon.name}: {error.strerror}")
            else:
                self._told = ""

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            self._told = problem
            logger.error("no BFD, BGP goes on without it: {}", problem)

    @staticmethod
    def _ended(daemon: _Daemon, status: int, now: float) -> None:
        daemon.child = None
        lasted = now - daemon.started_at >= LASTING_SECONDS
        again = 0.0 if lasted else max(2 * daemon.pause, SHORTEST_PAUSE_SECONDS)
        daemon.pause = min(again, LONGEST_PAUSE_SECONDS)
        logger.error(
            "FRR's {} ended with status {}: it is started again; BGP sessions stay as they are{}",
            daemon.name,
            status,
            RIGHTS if status > 0 and not lasted else "",
        )


def is_taken(port: int) -> bool:
    """Tell whether a UDP port of this host is in use."""
    rows = (row for path in SOCKETS if path.exists() for row in path.read_text().splitlines()[1:])
    return any(int(row.split()[1].rpartition(":")[2], 16) == port for row in rows)


def _account() -> tuple[str, str]:
    """Return whom the daemons run as: FRR's own user and group, or ours if we are not root."""
    if os.geteuid() == 0:
        pwd.getpwnam(USER)  # whom FRR's packages bring along
        return USER, GROUP
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
