"""What would keep a program from its work, told before it starts: `exabgp-metallb preflight`.

Each check looks at one thing and yields findings: what is wrong, and what to do about it. No check
stops another, and nothing is changed but for the state folder, which is made if it is not there.
`preflight_cluster` asks the Kubernetes API, this module the machine. A unit or an init container
runs the checks of the very command that it starts next, by the options of that command.
"""

import enum
import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from exabgp_metallb.adapters.unix import short
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs.options import Options, written
from exabgp_metallb.programs.run import LOCK_NAME, refuse_user

TCP_TABLES = Path("/proc/net/tcp"), Path("/proc/net/tcp6")
LISTENING = "0A"  # TCP_LISTEN of <net/tcp_states.h>
MEMBERLIST_PORT = 7946  # where MetalLB's speakers speak with each other, unless told otherwise
BGP_PORT = 179
EXABGP_BIND = ("exabgp_tcp_bind", "exabgp.tcp.bind")  # ExaBGP's settings in its environment
EXABGP_PORT = ("exabgp_tcp_port", "exabgp.tcp.port")


class Role(enum.StrEnum):
    """What is to be started: the commands of the same names."""

    CONTROLLER = "controller"
    RUN = "run"
    SPEAKER = "speaker"
    RESPONDER = "responder"


class Result(enum.StrEnum):
    """What became of a check, the worst last."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: its name.
        result: whether the program can start, and do all of its work.
        message: what was seen.
        remedy: what to do about it; "" where nothing is to be done.
    """

    check: str
    result: Result
    message: str
    remedy: str = ""


Findings = Iterator[Finding]
Check = Callable[[Options], Findings]


def preflight(
    checks: Mapping[str, Check], options: Options, skip: Collection[str] = ()
) -> dict[str, object]:
    """Return what the checks find, as a document.

    Args:
        checks: by name, in the order in which they are told.
        options: of the command that is to be started.
        skip: names of checks that are left out.
    """
    findings = [each for name in checks for each in _findings(name, checks[name], options, skip)]
    return {
        "healthy": all(each.result is not Result.ERROR for each in findings),
        "findings": [{k: str(v) for k, v in asdict(each).items()} for each in findings],
    }


def _findings(
    name: str, check: Check, options: Options, skip: Collection[str]
) -> Iterable[Finding]:
    if name in skip:
        return [Finding(check=name, result=Result.SKIPPED, message="as you asked")]
    return [*check(options)]


def machine_checks(role: Role) -> dict[str, Check]:
    """Return the checks of the machine that a command needs, by name."""
    if role is Role.CONTROLLER:
        return {"metrics": metrics}
    checks: dict[str, Check] = {"state": state, "metrics": metrics}
    if role is Role.RESPONDER:
        return {**checks, "capability": capability}
    checks |= {"agents": agents, "metallb": metallb}
    return {"user": user, **checks} if role is Role.RUN else {**checks, "port": port}


def user(_options: Options) -> Findings:
    """Look whether ExaBGP would run as our user and group."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        refuse_user(uid, gid)
    except UsageError as error:
        message, _, remedy = str(error).partition(": ")
        yield Finding(check="user", result=Result.ERROR, message=message, remedy=remedy)
    else:
        yield Finding(check="user", result=Result.OK, message=f"user {uid}, group {gid}")


_STATE_REMEDIES = {
    errno.EROFS: "mount a volume there that can be written, or set --state-dir",
    errno.EACCES: "give it to user {uid} (`chown {uid}:{gid}`), or set --state-dir",
    errno.EPERM: "give it to user {uid} (`chown {uid}:{gid}`), or set --state-dir",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
}


def state(options: Options) -> Findings:
    """Look whether the state folder is there, or can be made, and can be written."""
    folder = options.state_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        remedy = _STATE_REMEDIES.get(error.errno or 0, "set --state-dir to a folder of ours")
        yield Finding(
            check="state",
            result=Result.ERROR,
            message=f"{folder}: {error.strerror}",
            remedy=remedy.format(uid=os.geteuid(), gid=os.getegid()),
        )
    else:
        yield Finding(check="state", result=Result.OK, message=f"{folder} can be written")


def metrics(options: Options) -> Findings:
    """Look whether metrics and probes can be served."""
    if options.metrics is None:
        yield Finding(check="metrics", result=Result.SKIPPED, message="none are asked for")
        return
    place = written(options.metrics)
    error = _bind(*options.metrics)
    if error is None:
        yield Finding(check="metrics", result=Result.OK, message=f"{place} is free")
        return
    remedies = {
        errno.EADDRINUSE: "end the other program, which may be another agent of this node, "
        "or set --metrics to another port",
        errno.EADDRNOTAVAIL: "this machine has no such address: set --metrics to one that it has",
    }
    yield Finding(
        check="metrics",
        result=Result.ERROR,
        message=f"{place}: {error.strerror}",
        remedy=remedies.get(error.errno or 0, "set --metrics"),
    )


def agents(options: Options) -> Findings:
    """Look whether another agent of ours is at work on the same state."""
    remedy = "one agent a node: end the other one, or give each its own --state-dir and --lb-class"
    busy = [f"{path}: {what}" for path, what in _signs(options) if _is_alive(path)]
    for message in busy:
        yield Finding(check="agents", result=Result.ERROR, message=message, remedy=remedy)
    if not busy:
        yield Finding(check="agents", result=Result.OK, message="no other one at this state")


def _signs(options: Options) -> Iterator[tuple[Path, str]]:
    yield options.state_dir / LOCK_NAME, "another `exabgp-metallb run` holds it"
    yield options.socket, "another speaker listens there"
    yield options.orders_socket, "another speaker gives orders there"


def _is_alive(path: Path) -> bool:
    """Tell whether somebody holds a lock file, or listens at a socket."""
    if path.name == LOCK_NAME:
        try:
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        with short(path) as address:
            stream.connect(address)
        return True
    return False


def metallb(options: Options) -> Findings:
    """Look whether MetalLB's speaker is on this node."""
    if MEMBERLIST_PORT not in listening(path.read_text() for path in TCP_TABLES if path.exists()):
        yield Finding(check="metallb", result=Result.OK, message="no speaker of MetalLB's here")
        return
    found = f"port {MEMBERLIST_PORT} is listened on, as by MetalLB's speaker"
    if options.lb_class is not None:
        yield Finding(
            check="metallb",
            result=Result.OK,
            message=f"{found}; Services of class {options.lb_class} alone are ours",
        )
        return
    yield Finding(
        check="metallb",
        result=Result.ERROR,
        message=f"{found}: both would announce the same Services",
        remedy="end MetalLB's speaker first, or set --lb-class; docs/migrating.md has both ways. "
        "If it is another program: --skip metallb",
    )


def listening(tables: Iterable[str]) -> frozenset[int]:
    """Return the TCP ports that are listened on, from tables in the form of /proc/net/tcp."""
    rows = (row.split() for table in tables for row in table.splitlines()[1:])
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING)


def capability(_options: Options) -> Findings:
    """Look whether packet sockets can be opened."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        yield Finding(
            check="capability",
            result=Result.ERROR,
            message=f"a packet socket cannot be opened: {error.strerror}",
            remedy="grant CAP_NET_RAW: AmbientCapabilities= in a unit; in a pod runAsUser 0 and "
            "capabilities {drop: [ALL], add: [NET_RAW]}",
        )
    else:
        yield Finding(check="capability", result=Result.OK, message="CAP_NET_RAW is there")


def lacking_capabilities(wanted: Mapping[str, int]) -> tuple[str, ...]:
    """Return which of these capabilities, by name and number, this process does not have."""
    told = Path("/proc/self/status").read_text()
    mask = int(told.partition("CapEff:")[2].split()[0], 16)
    return tuple(name for name, number in wanted.items() if not mask >> number & 1)


def port(_options: Options) -> Findings:
    """Look whether somebody's own ExaBGP can listen where its environment has it listen."""
    place = _setting(EXABGP_BIND)
    if not place:
        message = "ExaBGP calls the routers and listens nowhere"
        yield Finding(check="port", result=Result.OK, message=message)
        return
    number = int(_setting(EXABGP_PORT) or BGP_PORT)
    for address in place.replace(",", " ").split():
        error = _bind(address, number)
        if error is None:
            message = f"{written((address, number))} is free"
            yield Finding(check="port", result=Result.OK, message=message)
            continue
        remedies = {
            errno.EADDRINUSE: "end the other BGP speaker of this node, or have ExaBGP listen "
            "elsewhere (exabgp.tcp.bind, exabgp.tcp.port)",
            errno.EACCES: "grant CAP_NET_BIND_SERVICE, or leave exabgp.tcp.bind empty: it can do "
            "without, since it calls the routers",
        }
        yield Finding(
            check="port",
            result=Result.ERROR,
            message=f"{written((address, number))}: {error.strerror}",
            remedy=remedies.get(error.errno or 0, "correct exabgp.tcp.bind"),
        )


def _setting(names: Iterable[str]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")


def _bind(address: str, number: int) -> OSError | None:
    """Return why an address cannot be listened on; None where it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, number))
            probe.listen()
    except OSError as error:
        return error
    return None
