"""Hosts in network namespaces, each with veth cables to the bridges of one switch namespace.

Names carry the process id and its start time, so runs never collide, and what a killed run left
behind is told from what a living one uses; a new Lab clears the former away.
"""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_interface,
)
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.integration.lab.waiting import wait_for

Interface = IPv4Interface | IPv6Interface

PREFIX = "exabgp-lab"
NAMESPACES = Path("/run/netns")  # where iproute2 keeps the names: ip-netns(8)
LEFT_BEHIND = re.compile(rf"{PREFIX}-(\d+)-(\d+)-")
SEGMENT = "lan"  # the bridge that a host joins when no other is named
COMMAND_SECONDS = 60.0
LOG_TAIL_LINES = 25

HOST_SYSCTLS = {
    # Duplicate address detection holds an address back for a second; no two hosts share one here.
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    # With several paths the answer may take another way than the question.
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}
ROUTER_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv6.conf.all.forwarding": 1,
    # Choose the path by ports too, as a hardware router does; by addresses alone two hosts use one.
    "net.ipv4.fib_multipath_hash_policy": 1,
    "net.ipv6.fib_multipath_hash_policy": 1,
}


class LabError(Exception):
    """A command of the lab failed; the text holds the command and what it said."""


class Host:
    """One machine on the network: a namespace, its interfaces, the programs in it."""

    def __init__(self, lab: "Lab", name: str, namespace: str) -> None:
        self.lab = lab
        self.name = name
        self.namespace = namespace
        self.addresses: list[Interface] = []  # in the order given, of all interfaces
        self._ports: dict[str, tuple[str, str]] = {}  # interface -> port of the switch, segment

    @property
    def ipv4(self) -> IPv4Address:
        """The first IPv4 address."""
        return next(a.ip for a in self.addresses if isinstance(a, IPv4Interface))

    @property
    def ipv6(self) -> IPv6Address:
        """The first IPv6 address."""
        return next(a.ip for a in self.addresses if isinstance(a, IPv6Interface))

    def attach(self, *addresses: str, segment: str = SEGMENT) -> str:
        """Plug a new interface into a segment and return its name: eth0, eth1 and so on.

        Args:
            addresses: with prefix length, of either family; usable at once.
            segment: the bridge; one is made for every new name.
        """
        interface = f"eth{len(self._ports)}"
        port = self.lab.plug(self, interface, segment)
        self._ports[interface] = (port, segment)
        for address in addresses:
            self.add_address(address, interface)
        return interface

    def add_address(self, address: str, interface: str = "eth0") -> None:
        """Give an interface one more address."""
        parsed = ip_interface(address)
        words = ["nodad"] if parsed.version == 6 else []
        self.ip("address", "add", address, "dev", interface, *words)
        self.addresses.append(parsed)

    def ip(self, *words: str) -> str:
        """Run `ip` on this host and return what it printed."""
        return command(["ip", "-n", self.namespace, *words])

    def run(self, argv: Sequence[str], timeout_seconds: float = COMMAND_SECONDS) -> str:
        """Run a program here to its end and return its stdout; a status but 0 is a LabError."""
        return command(self._inside(argv), timeout_seconds)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program here, whose pid is the child's; the lab kills and reaps it at its end.

        Args:
            argv: the program and its arguments.
            env: the whole environment; None hands on ours.
            stdin: as for subprocess.
            stdout: as for subprocess.
            stderr: as for subprocess.
        """
        child = subprocess.Popen(
            self._inside(argv), env=env, stdin=stdin, stdout=stdout, stderr=stderr
        )
        self.lab.adopt(child)
        return child

    def sysctl(self, settings: Mapping[str, int]) -> None:
        """Set kernel parameters of this host."""
        self.run(["sysctl", "-qw", *(f"{key}={value}" for key, value in settings.items())])

    def forward(self) -> None:
        """Make the host a router: forward both families, and spread flows by their ports."""
        self.sysctl(ROUTER_SYSCTLS)

    def link_down(self, interface: str = "eth0") -> None:
        """Pull the cable: the host loses carrier and keeps its addresses."""
        self.lab.switch("link", "set", self._ports[interface][0], "down")

    def link_up(self, interface: str = "eth0") -> None:
        """Plug the cable in again."""
        self.lab.switch("link", "set", self._ports[interface][0], "up")

    def cut(self, interface: str = "eth0") -> None:
        """Lose every frame on the way while both ends keep their carrier."""
        self.lab.switch("link", "set", self._ports[interface][0], "nomaster")

    def mend(self, interface: str = "eth0") -> None:
        """Undo cut()."""
        port, segment = self._ports[interface]
        self.lab.switch("link", "set", port, "master", segment)

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *argv]  # execs: no process in between


class Lab:
    """A context with hosts and a folder of its own; leaving it ends every program and host."""

    def __init__(self) -> None:
        remove_left_behind()
        serial = next(_serials)
        self._stem = f"{PREFIX}-{os.getpid()}-{_start_time(os.getpid())}-{serial}"
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self._stem}-"))
        self.folder.chmod(0o755)  # FRR's daemons run as a user of their own
        self.hosts: dict[str, Host] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._segments: set[str] = set()
        self._ports = itertools.count()
        self._switch = f"{self._stem}-switch"

    def __enter__(self) -> Self:
        command(["ip", "netns", "add", self._switch])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def host(self, name: str, *addresses: str, segment: str = SEGMENT) -> Host:
        """Make a host whose eth0 is on a segment with these addresses, such as "10.0.0.1/24"."""
        if name in self.hosts:
            raise LabError(f"a host called {name} is there already")
        host = Host(self, name, f"{self._stem}-{name}")
        command(["ip", "netns", "add", host.namespace])
        self.hosts[name] = host
        host.sysctl(HOST_SYSCTLS)
        host.ip("link", "set", "lo", "up")
        host.attach(*addresses, segment=segment)
        return host

    def switch(self, *words: str) -> str:
        """Run `ip` in the namespace of the bridges."""
        return command(["ip", "-n", self._switch, *words])

    def plug(self, host: Host, interface: str, segment: str) -> str:
        """Lay a cable from a host to a segment and return the name of the switch's port."""
        if segment not in self._segments:
            # Snooping would learn of a group only after the first neighbor solicitation was lost.
            options = ["stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
            self.switch("link", "add", segment, "type", "bridge", *options)
            self.switch("link", "set", segment, "up")
            self._segments.add(segment)
        port = f"port{next(self._ports)}"
        there = ["peer", "name", interface, "netns", host.namespace]
        self.switch("link", "add", port, "type", "veth", *there)
        self.switch("link", "set", port, "master", segment, "up")
        host.ip("link", "set", interface, "up")
        return port

    def adopt(self, child: subprocess.Popen[bytes]) -> None:
        """Kill and reap this process when the lab ends."""
        self._children.append(child)

    def report(self) -> str:
        """Return the end of every log in the folder, for a person who looks at a failed test."""
        return "\n".join(
            f"--- {path.relative_to(self.folder)}\n{tail(path)}"
            for path in sorted(self.folder.rglob("*.log"))
        )

    def close(self) -> None:
        """End all programs, hosts and files."""
        _remove_namespaces([*(host.namespace for host in self.hosts.values()), self._switch])
        for child in self._children:
            child.kill()
            child.wait()
        shutil.rmtree(self.folder)


def command(argv: Sequence[str], timeout_seconds: float = COMMAND_SECONDS) -> str:
    """Run a program to its end and return its stdout.

    Raises:
        LabError: it ended with a status but 0.
    """
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout_seconds, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"{' '.join(argv)}: status {done.returncode}: {said}")
    return done.stdout


def tail(path: Path) -> str:
    """Return the last lines of a text file, nothing of one that is not there."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


def remove_left_behind() -> None:
    """Remove the hosts and folders of test processes that no longer live."""
    names = [path.name for path in NAMESPACES.glob(f"{PREFIX}-*") if _is_left_behind(path)]
    _remove_namespaces(names)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if _is_left_behind(folder):
            shutil.rmtree(folder, ignore_errors=True)


_serials = itertools.count()


def _is_left_behind(path: Path) -> bool:
    owner = LEFT_BEHIND.match(path.name)
    return owner is not None and _start_time(int(owner[1])) != int(owner[2])


def _start_time(pid: int) -> int | None:
    """Return when a process began, in ticks since boot, or None: pids come back, this does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])  # field 22 of proc(5); a name may hold blanks


def _remove_namespaces(names: Iterable[str]) -> None:
    present = [name for name in names if (NAMESPACES / name).exists()]
    wait_for(lambda: not sum(map(_kill_all, present)), COMMAND_SECONDS, "all programs ended")
    for name in present:
        with contextlib.suppress(LabError):  # another test process clears the same ones away
            command(["ip", "netns", "delete", name])


def _kill_all(namespace: str) -> int:
    """Kill what runs in a namespace and return how many that were; a zombie has left it already."""
    try:
        pids = [int(word) for word in command(["ip", "netns", "pids", namespace]).split()]
    except LabError:
        return 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)
