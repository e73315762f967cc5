"""The small parent that units and containers start: keeps ExaBGP, with our settings, alive.

ExaBGP is the parent of the speaker and owns the BGP sessions; this is the parent of ExaBGP. It
sees that the configuration ExaBGP starts on is one that ExaBGP can read: the last rendered one, so
that the sessions of before are there at once, or one that holds our process alone.

No ExaBGP outlives its parent, however that ends: the next one would fight it for the sessions.

ExaBGP itself ends its sessions with a bare FIN. So the speaker is asked to drain the node before
ExaBGP is told to end; one that does not answer holds nothing up.

systemd listens to its own child alone. So what the speaker tells it, that it is ready and that it
and ExaBGP live, passes through here; when one of the three hangs, systemd hears nothing.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Thread, Timer
from types import FrameType

from loguru import logger

from exabgp_metallb.adapters.control import ask
from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.adapters.notify import SOCKET, Notifier, Relay
from exabgp_metallb.decisions.drain import longest
from exabgp_metallb.errors import ControlError, ExabgpError, UsageError
from exabgp_metallb.programs.bfd_daemons import BfdDaemons

SPEAKER_COMMAND = (sys.executable, "-m", "exabgp_metallb", "speaker")
"""What exabgp.conf runs. Settings go through the environment, so the file does not hold them."""

STARTS = 5  # of ExaBGP within STARTS_SECONDS; whatever ends it more often than that will again
STARTS_SECONDS = 300.0
LOOK_SECONDS = 1.0  # between two looks at bfdd, and at whether ExaBGP has its process
LOOKS = 30  # without one before it is ended; it starts a process again within a second
STOP_SECONDS = 5.0  # ExaBGP gives its processes two
ALIVE_SECONDS = 10.0  # for a speaker to show that it lives, before it is asked to drain
MARGIN_SECONDS = 5.0  # beyond the time that a drain takes at most

EXABGP_ENVIRONMENT: Mapping[str, str] = {
    "exabgp_api_ack": "true",  # the window counts answers
    "exabgp_api_chunk": "10",  # rows: 500 between two looks at its peers, and not 50
    "exabgp_api_cli": "false",  # no named pipes: nothing but the speaker gives orders
    "exabgp_api_terminate": "true",  # else an answer without a reader stops all peers for good
    "exabgp_cache_attributes": "true",
    "exabgp_daemon_daemonize": "false",
    "exabgp_daemon_drop": "false",  # we start it as who it shall be
    "exabgp_log_destination": "stderr",
    "exabgp_log_level": "ERROR",  # a warning is each attempt at a session, and the speaker tells
}
"""ExaBGP's settings, each as the environment variable that its env file would hold."""

ENVFILE = "EXABGP_ENVFILE"
ENVFILE_NAME = "exabgp.env"
ENVFILE_TEXT = "# ExaBGP's settings are in the environment that `exabgp-metallb run` gives it.\n"
"""Without a file ExaBGP logs, at each start, an error that tells to make one."""

LOCK_NAME = "run.lock"
RELAY_NAME = "notify.sock"
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Supervisor:
    """Starts ExaBGP, again when it ends by itself, and ends it when told to.

    Args:
        path: of exabgp.conf.
        environment: for ExaBGP and the speaker below it.
        control: the speaker's control socket.
        drain_seconds: that routers are given to turn to other nodes before ExaBGP ends; 0 ends it
            without a drain.
        bfd: kept alive beside ExaBGP; None leaves BFD to others.
    """

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str],
        *,
        control: Path,
        drain_seconds: float,
        bfd: BfdDaemons | None = None,
    ) -> None:
        self._path = path
        self._envfile = path.parent / ENVFILE_NAME
        self._environment = {ENVFILE: str(self._envfile), **environment}
        self._control = control
        self._drain_seconds = drain_seconds
        self._patience = longest(drain_seconds) + MARGIN_SECONDS
        self._bfd = bfd
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._starts: deque[float] = deque(maxlen=STARTS)
        self._notifier = Notifier()
        self._relay: Relay | None = None

    def run(self) -> int:
        """Return the exit status: 0 after SIGTERM or SIGINT, 1 when ExaBGP cannot be kept alive.

        Raises:
            OSError: the folder of exabgp.conf cannot be used.
            UsageError: ExaBGP refuses to run as our user and group.
        """
        refuse_user(os.geteuid(), os.getegid())
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / LOCK_NAME).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.error("{}: another `exabgp-metallb run` uses it; set --state-dir", folder)
                return 1
            self._listen(folder)
            try:
                return self._keep_alive()
            finally:
                if self._bfd is not None:
                    self._bfd.stop()
                if self._relay is not None:
                    self._relay.close()

    def _listen(self, folder: Path) -> None:
        """Hear what the speaker tells systemd."""
        if self._notifier:
            self._relay = Relay(folder / RELAY_NAME)
            self._environment[SOCKET] = str(self._relay.path.absolute())

    def _keep_alive(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            if self._too_often(time.monotonic()):
                logger.error("ExaBGP ended {} times in {:.0f} s: giving up", STARTS, STARTS_SECONDS)
                return 1
            self._prepare()
            status = self._run_once()
            if not self._stopping:
                logger.error("ExaBGP ended with status {}: it is started again", status)
                self._notifier.tell("STATUS=ExaBGP ended, and is started again")
        return 0

    def _too_often(self, now: float) -> bool:
        full = len(self._starts) == STARTS and now - self._starts[0] < STARTS_SECONDS
        self._starts.append(now)
        return full

    def _prepare(self) -> None:
        """See to it that there is a configuration on which ExaBGP starts."""
        write_aside(self._envfile, ENVFILE_TEXT.encode("ascii"), mode=0o600)
        alone = conf.render((), run=SPEAKER_COMMAND).encode("ascii")
        if self._path.exists():
            try:
                conf.validate(self._path)
            except ExabgpError as error:
                logger.error("{}; starting without neighbors", error)
            else:
                if self._path.read_bytes().startswith(alone):
                    return
                logger.warning("{}: not as we write it; starting without neighbors", self._path)
        write_aside(self._path, alone, mode=0o600)

    def _run_once(self) -> int:
        command = [sys.executable, "-m", "exabgp", "server", str(self._path)]
        self._child = subprocess.Popen(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=partial(_end_with_parent, os.getpid()),  # noqa: PLW1509 -- no threads here
        )
        if self._stopping:  # the signal came while it was being started
            self._child.terminate()
        self._wait(self._child)
        return self._child.wait()

    def _wait(self, child: "subprocess.Popen[bytes]") -> None:
        """Wait until ExaBGP ends; end it when it stays without its process.

        A reload of a file that does not name the process ends that one, and ExaBGP goes on alone.
        """
        alone = 0
        relay = [] if self._relay is None else [self._relay.fileno()]
        with open(os.pidfd_open(child.pid), "rb") as ended:  # noqa: PTH123 -- a descriptor
            while True:
                if self._bfd is not None:
                    self._bfd.check(time.monotonic())
                ready = select.select([ended.fileno(), *relay], [], [], LOOK_SECONDS)[0]
                if ended.fileno() in ready:
                    return
                if self._relay is not None and ready:
                    for datagram in self._relay.take():
                        self._notifier.hand_on(datagram)
                    continue
                alone = 0 if _has_children(child.pid) else alone + 1
                if alone == LOOKS:
                    logger.error(
                        "ExaBGP has lost its process, as by a foreign exabgp.conf: ending it"
                    )
                    _end(child)

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- signal's own
        again, self._stopping = self._stopping, True
        longest_seconds = ALIVE_SECONDS + self._patience + STOP_SECONDS
        self._notifier.tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={longest_seconds * 1e6:.0f}")
        child = self._child
        if child is None or child.poll() is not None:
            return
        if again or not self._drain_seconds:
            _end(child)
        else:
            Thread(target=self._drain, args=(child,), name="drain", daemon=True).start()

    def _drain(self, child: "subprocess.Popen[bytes]") -> None:
        """Have the speaker drain the node, then end ExaBGP."""
        try:
            ask(self._control, {"do": "status"}, seconds=ALIVE_SECONDS)
            logger.info("draining before the end; a second signal ends it at once")
            request = {"do": "stop", "seconds": self._drain_seconds}
            answer = ask(self._control, request, seconds=self._patience)
        except ControlError as error:
            logger.warning("{}: ending without a drain", error)
        else:
            if not answer.get("reached"):
                logger.warning("the speaker did not drain: {}", answer)
        _end(child)


def _has_children(pid: int) -> bool:
    try:
        told = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it is ending
        return True
    return not told or any(told)  # a kernel need not tell: proc_pid_children(5)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End ExaBGP in its own way, and by force when that takes too long."""
    child.terminate()
    timer = Timer(STOP_SECONDS, child.kill)
    timer.daemon = True
    timer.start()


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent dies: prctl(2)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before that
        os._exit(1)


def environment(
    own: Mapping[str, str], inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return the environment of ExaBGP: ours, its settings, and the options of the speaker.

    Args:
        own: options of the speaker as EXABGP_METALLB_* variables.
        inherited: what ours is taken to be.
    """
    user = {"exabgp_daemon_user": _user()}
    return {**inherited, **EXABGP_ENVIRONMENT, **user, **own}


def refuse_user(uid: int, gid: int) -> None:
    """Refuse a user and group as whom ExaBGP would end at once (reactor/daemon.py).

    Where one of them is 0 it makes itself the user whose name it was given, so that one must exist
    and have exactly these ids.

    Raises:
        UsageError: with what would be right.
    """
    if uid and gid:
        return
    import pwd  # noqa: PLC0415 -- needed once

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        entry = None
    if entry is None or entry.pw_gid != gid:
        raise UsageError(
            f"ExaBGP does not run as user {uid} with group {gid}: give both another number than 0, "
            "such as runAsUser and runAsGroup 65534, or `docker run --user 65534:65534`"
        )


def _user() -> str:
    import pwd  # noqa: PLC0415 -- needed once

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user need not have a name; ExaBGP then keeps who it is
        return "nobody"
