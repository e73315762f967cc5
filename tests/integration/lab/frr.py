"""FRR as a router: zebra and bgpd in the foreground, asked over bgpd's vty socket.

The socket speaks vtysh's own protocol: a command ends in NUL, its answer in three NULs and a
status. That costs a millisecond where a vtysh process costs 40. The daemons drop to the user frr,
who makes the sockets, so the folder belongs to that user.
"""

import json
import re
import shutil
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.history import Address, Event, Kind, Prefix
from tests.integration.lab.network import Host, LabError
from tests.integration.lab.router import (
    ROUTES_SECONDS,
    START_SECONDS,
    NeighborConfig,
    Path,
    Router,
    RouterConfig,
    Routes,
)
from tests.integration.lab.waiting import wait_for

ZEBRA = "/usr/lib/frr/zebra"
BGPD = "/usr/lib/frr/bgpd"

# bgpd/bgp_community.c, community_com2str; RFC 1997, 3765, 7611, 7999, 8326, 9494
WELL_KNOWN = {
    "gracefulShutdown": "65535:0",
    "acceptOwn": "65535:1",
    "llgrStale": "65535:6",
    "noLlgr": "65535:7",
    "acceptOwnNexthop": "65535:8",
    "blackhole": "65535:666",
    "noExport": "65535:65281",
    "noAdvertise": "65535:65282",
    "localAs": "65535:65283",
    "noPeer": "65535:65284",
}

RECEIVED = re.compile(r"\] (\S+?)\(\S+?\) rcvd (\S+/\d+) IPv\d unicast")
WITHDRAWN = re.compile(r"\] (\S+?)\(\S+?\) rcvd UPDATE about (\S+/\d+) IPv\d unicast -- withdrawn")
ADJACENCY = re.compile(r"%ADJCHANGE: neighbor (\S+?)\(\S+?\) in vrf default (Up|Down)( NSF)?")
END_OF_RIB = re.compile(r"rcvd End-of-RIB for IPv(\d) Unicast from (\S+) ")
EXPIRED = re.compile(r"\] (\S+?)\(\S+?\) graceful restart (?:stalepath )?timer expired")
FIB_DELETED = re.compile(r"Deleted (?:unicast )?(\S+) .*\bproto bgp\b")


@dataclass(frozen=True, slots=True)
class FibHop:
    """One next hop of a kernel route."""

    address: Address
    weight: int  # 1 unless link bandwidths differ


class FrrRouter(Router):
    """FRR's bgpd and zebra on a host; the one driver whose routes reach the kernel."""

    programs: ClassVar[tuple[str, ...]] = (ZEBRA, BGPD)
    logs_end_of_rib: ClassVar[bool] = True

    def __init__(self, host: Host, config: RouterConfig) -> None:
        super().__init__(host, config)
        shutil.chown(self.folder, "frr", "frr")
        (self.folder / "zebra.conf").write_text("log timestamp precision 6\n")
        (self.folder / "bgpd.conf").write_text("\n".join(_configuration(config)) + "\n")
        self._zebra = self._daemon(ZEBRA)
        self._bgpd = self._daemon(BGPD, "-p", str(config.port))
        self._monitor = Daemon(
            host, ["ip", "-oneline", "monitor", "route"], output=self.folder / "fib.log"
        )
        self.history.follow(self._bgpd.output, parse_log)
        self.history.follow(self._monitor.output, parse_monitor)

    def start(self) -> None:
        """Start zebra, then bgpd, which would look for it again only after 10 s."""
        self.host.forward()
        if not self._monitor.alive:
            self._monitor.start()
        for name in ("zserv.api", "bgpd.vty"):
            (self.folder / name).unlink(missing_ok=True)
        self._zebra.start()
        self._wait_socket(self._zebra, "zserv.api")
        self._bgpd.start()
        self._wait_socket(self._bgpd, "bgpd.vty")
        self.vty()  # answered once bgpd has read its file, and listens

    def stop(self) -> None:
        """End both; zebra takes its routes out of the kernel."""
        self._bgpd.stop()
        self._zebra.stop()

    def kill(self) -> None:
        """Kill both; the kernel keeps the routes until a new zebra sweeps them."""
        self._bgpd.kill()
        self._zebra.kill()

    def vty(self, *commands: str) -> str:
        """Give bgpd commands, one after the other, and return what the last one printed.

        Raises:
            LabError: bgpd refused one.
        """
        self._bgpd.check()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(str(self.folder / "bgpd.vty"))
            answer = ""
            for line in ("enable", *commands):
                stream.sendall(line.encode() + b"\0")
                answer, status = _answer(stream)
                if status != 0:
                    raise LabError(f"bgpd: {line}: status {status}: {answer.strip()}")
            # bgpd writes out its log before it waits for the next command: with an answer to none,
            # what was shown stands in the history too.
            stream.sendall(b"\0")
            _answer(stream)
            return answer

    def show(self, what: str) -> dict[str, Any]:
        """Return the answer to a show command that ends in json; empty if bgpd has none."""
        text = self.vty(f"show {what}")
        return json.loads(text) if text.lstrip().startswith("{") else {}

    def routes(self) -> Routes:
        """Return all paths of the BGP table."""
        found: dict[Prefix, frozenset[Path]] = {}
        for family in ("ipv4", "ipv6"):
            shown = self.show(f"bgp {family} unicast json detail").get("routes", {})
            for prefix, entries in shown.items():
                # The first entry is about the prefix, the others are its paths.
                paths = frozenset(_path(entry) for entry in entries if "nexthops" in entry)
                if paths:
                    found[ip_network(prefix)] = paths
        return found

    def established(self, neighbor: Address) -> bool:
        """Return whether bgpd calls the session Established."""
        shown = self.show(f"bgp neighbors {neighbor} json").get(str(neighbor), {})
        return bool(shown.get("bgpState") == "Established")

    def last_reset(self, neighbor: Address) -> str:
        """Return the last NOTIFICATION, sent or received, of a session that is down."""
        shown = self.show(f"bgp neighbors {neighbor} json").get(str(neighbor), {})
        return str(shown.get("lastNotificationReason", ""))

    def received(self, neighbor: Address) -> int:
        """Return bgpd's count of prefixes over both families."""
        summary = self.show("bgp summary json")
        counts = [
            summary.get(family, {}).get("peers", {}).get(str(neighbor), {}).get("pfxRcd", 0)
            for family in ("ipv4Unicast", "ipv6Unicast")
        ]
        return sum(counts)

    def fib(self) -> Mapping[Prefix, frozenset[FibHop]]:
        """Return the kernel's routes that came from BGP, each with its next hops."""
        routes: dict[Prefix, frozenset[FibHop]] = {}
        for family in ("-4", "-6"):
            for route in json.loads(self.host.ip(family, "-j", "route", "show", "proto", "bgp")):
                hops = route.get("nexthops", [route])
                routes[ip_network(route["dst"])] = frozenset(
                    FibHop(ip_address(hop["gateway"]), hop.get("weight", 1)) for hop in hops
                )
        return routes

    def fib_deletions(self, since: int) -> list[Prefix]:
        """Return the prefixes that the kernel lost since a mark; a changed route is no loss."""
        events = self.events_since(since)
        return [e.prefix for e in events if e.kind is Kind.FIB_DELETED and e.prefix is not None]

    def wait_fib(
        self, expected: Mapping[str, Collection[str]], timeout: float = ROUTES_SECONDS
    ) -> None:
        """Wait until the kernel has exactly these prefixes, each with exactly these next hops."""
        wanted = {ip_network(p): {ip_address(hop) for hop in hops} for p, hops in expected.items()}
        wait_for(
            lambda: {p: {hop.address for hop in hops} for p, hops in self.fib().items()} == wanted,
            timeout,
            lambda: f"the kernel of {self.host.name} has {wanted}; it has {self.fib()}",
        )

    def _daemon(self, program: str, *arguments: str) -> Daemon:
        name = program.rpartition("/")[2]
        files = {
            "--config_file": self.folder / f"{name}.conf",
            "--pid_file": self.folder / f"{name}.pid",
            "--vty_socket": self.folder,
            "--socket": self.folder / "zserv.api",
        }
        words = [word for option, path in files.items() for word in (option, str(path))]
        common = ["-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout", "--log-level", "debug"]
        return Daemon(
            self.host, [program, *words, *common, *arguments], output=self.folder / f"{name}.log"
        )

    def _wait_socket(self, daemon: Daemon, name: str) -> None:
        """Wait until the daemon accepts connections."""

        def accepts() -> bool:
            daemon.check()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                return stream.connect_ex(str(self.folder / name)) == 0

        wait_for(accepts, START_SECONDS, lambda: f"{name}\n{self.host.lab.report()}")


FrrFactory = Callable[[Host, RouterConfig], FrrRouter]  # returns it started


def parse_log(line: str) -> Iterator[Event]:
    """Read one line of bgpd's log, with the debugging that _configuration() turns on."""
    if found := RECEIVED.search(line):
        yield Event(Kind.ANNOUNCED, ip_address(found[1]), ip_network(found[2]))
    elif found := WITHDRAWN.search(line):
        yield Event(Kind.WITHDRAWN, ip_address(found[1]), ip_network(found[2]))
    elif found := ADJACENCY.search(line):
        neighbor = ip_address(found[1])
        yield Event(Kind.SESSION_UP if found[2] == "Up" else Kind.SESSION_DOWN, neighbor)
        if found[2] == "Down" and not found[3]:  # NSF: a graceful restart begins
            yield Event(Kind.FLUSHED, neighbor)
    elif found := END_OF_RIB.search(line):
        yield Event(Kind.END_OF_RIB, ip_address(found[2]), family=int(found[1]))
    elif found := EXPIRED.search(line):
        yield Event(Kind.FLUSHED, ip_address(found[1]))


def parse_monitor(line: str) -> Iterator[Event]:
    """Read one line of `ip monitor route`."""
    if found := FIB_DELETED.match(line):
        yield Event(Kind.FIB_DELETED, prefix=ip_network(found[1]))


def _answer(stream: socket.socket) -> tuple[str, int]:
    """Read up to the end of an answer: three NULs and a status, lib/vty.c of FRR."""
    answer = bytearray()
    while len(answer) < 4 or answer[-4:-1] != b"\0\0\0":
        if not (more := stream.recv(65536)):
            raise LabError(f"bgpd closed its vty socket after {bytes(answer)!r}")
        answer += more
    return answer[:-4].decode(errors="replace"), answer[-1]


def _path(entry: Mapping[str, Any]) -> Path:
    """Turn one path of `show bgp ... json detail` into ours."""
    hops = entry["nexthops"]  # of IPv6 perhaps a link-local one too
    hop = next((h for h in hops if h.get("scope") == "global"), hops[0])
    external = entry["peer"]["type"] == "external"
    communities = entry.get("community", {}).get("list", [])
    return Path(
        next_hop=ip_address(hop["ip"]),
        as_path=tuple(asn for part in entry["aspath"]["segments"] for asn in part["list"]),
        med=entry.get("metric"),
        local_pref=None if external else entry.get("locPrf"),
        communities=tuple(sorted(WELL_KNOWN.get(name, name) for name in communities)),
        large_communities=tuple(sorted(entry.get("largeCommunity", {}).get("list", []))),
    )


def _configuration(config: RouterConfig) -> Iterator[str]:
    yield "debug bgp updates in"
    yield "debug bgp neighbor-events"
    yield "debug bgp graceful-restart"
    yield "route-map nothing deny 1"
    yield f"router bgp {config.asn}"
    yield f" bgp router-id {config.router_id}"
    yield " bgp log-neighbor-changes"
    yield " no bgp ebgp-requires-policy"
    yield " no bgp default ipv4-unicast"
    yield " bgp bestpath as-path multipath-relax"  # nodes may each have an AS of their own
    for neighbor in config.neighbors:
        yield from _session(neighbor)
    for family in ("ipv4", "ipv6"):
        yield f" address-family {family} unicast"
        yield f"  maximum-paths {config.maximum_paths}"
        yield f"  maximum-paths ibgp {config.maximum_paths}"
        for neighbor in config.neighbors:
            if family in neighbor.families:
                yield f"  neighbor {neighbor.address} activate"
                yield f"  neighbor {neighbor.address} route-map nothing out"
        yield " exit-address-family"


def _session(neighbor: NeighborConfig) -> Iterator[str]:
    head = f" neighbor {neighbor.address}"
    yield f"{head} remote-as {neighbor.asn}"
    yield f"{head} timers {max(1, neighbor.hold_seconds // 3)} {neighbor.hold_seconds}"
    yield f"{head} timers connect {neighbor.connect_seconds}"
    yield f"{head} graceful-restart-{'helper' if neighbor.graceful_restart else 'disable'}"
    if neighbor.password is not None:
        yield f"{head} password {neighbor.password}"
    if neighbor.passive:
        yield f"{head} passive"
    if neighbor.ebgp_multihop is not None:
        yield f"{head} ebgp-multihop {neighbor.ebgp_multihop}"
