"""BIRD 2 as a router: one process, asked with birdc.

BIRD notes each route that comes and goes by itself ("debug { routes }"), also at the end of a
session or of a graceful restart, so nothing about its history is inferred. Protocols are called
n0, n1 and so on in the order of the neighbors. It gets no kernel protocol: its routes stay inside.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import ClassVar

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.history import Address, Event, Kind, Prefix
from tests.integration.lab.network import Host, LabError, command
from tests.integration.lab.router import (
    START_SECONDS,
    NeighborConfig,
    Path,
    Router,
    RouterConfig,
    Routes,
)
from tests.integration.lab.waiting import wait_for

BIRD = "/usr/sbin/bird"
BIRDC = "/usr/sbin/birdc"

# "10.1.1.1/32  unicast [n0 11:28:49.654] * (100) [AS65001i]"; more paths leave the prefix out.
PATH = re.compile(r"(\S+/\d+)?\s+\w+ \[n(\d+) ")
ATTRIBUTE = re.compile(r"\tBGP\.(\w+): ?(.*)")
ROUTE = re.compile(
    r"<TRACE> n(\d+)\.ipv\d > (added|updated|removed|ignored) (?:\[\w+\] )?(\S+/\d+) "
)
SESSION = re.compile(r"<TRACE> n(\d+): BGP session (established|closed)")
IMPORTED = re.compile(r"Routes: +(\d+) imported")
ROUTE_KINDS = {
    "added": Kind.ANNOUNCED,
    "updated": Kind.ANNOUNCED,
    "ignored": Kind.ANNOUNCED,  # the same once more
    "removed": Kind.WITHDRAWN,
}


class BirdRouter(Router):
    """BIRD on a host."""

    programs: ClassVar[tuple[str, ...]] = (BIRD, BIRDC)

    def __init__(self, host: Host, config: RouterConfig) -> None:
        super().__init__(host, config)
        self._log = self.folder / "trace.log"
        self._control = self.folder / "bird.ctl"
        conf = self.folder / "bird.conf"
        conf.write_text("\n".join([f'log "{self._log}" all;', *_configuration(config)]) + "\n")
        self._bird = Daemon(
            host,
            [BIRD, "-f", "-c", str(conf), "-s", str(self._control)],
            output=self.folder / "bird.log",
        )
        self.history.follow(self._log, self._parse)

    def start(self) -> None:
        """Start BIRD; it answers on its control socket once its protocols are up."""
        self._control.unlink(missing_ok=True)
        self._bird.start()
        wait_for(self._answers, START_SECONDS, lambda: f"bird\n{self.host.lab.report()}")

    def stop(self) -> None:
        """End BIRD, which sends Cease first."""
        self._bird.stop()

    def kill(self) -> None:
        """Kill BIRD."""
        self._bird.kill()

    def birdc(self, words: str) -> str:
        """Give a command and return the answer."""
        self._bird.check()
        return command([BIRDC, "-s", str(self._control), *words.split()])

    def routes(self) -> Routes:
        """Return all paths of both tables."""
        found: defaultdict[Prefix, set[Path]] = defaultdict(set)
        for prefix, number, attributes in _paths(
            self.birdc("show route where source = RTS_BGP all")
        ):
            external = self.is_external(self.config.neighbors[number].address)
            found[prefix].add(_path(attributes, external=external))
        return {prefix: frozenset(paths) for prefix, paths in found.items()}

    def established(self, neighbor: Address) -> bool:
        """Return whether the protocol is up: then every channel is."""
        return "BGP state:          Established" in self._protocol(neighbor)

    def received(self, neighbor: Address) -> int:
        """Return the sum of the channels' counters."""
        return sum(map(int, IMPORTED.findall(self._protocol(neighbor))))

    def _protocol(self, neighbor: Address) -> str:
        addresses = [n.address for n in self.config.neighbors]
        return self.birdc(f"show protocols all n{addresses.index(neighbor)}")

    def _answers(self) -> bool:
        self._bird.check()
        try:
            return "up and running" in self.birdc("show status")
        except LabError:
            return False

    def _parse(self, line: str) -> Iterator[Event]:
        if found := ROUTE.search(line):
            neighbor = self.config.neighbors[int(found[1])].address
            yield Event(ROUTE_KINDS[found[2]], neighbor, ip_network(found[3]))
        elif found := SESSION.search(line):
            up = found[2] == "established"
            neighbor = self.config.neighbors[int(found[1])].address
            yield Event(Kind.SESSION_UP if up else Kind.SESSION_DOWN, neighbor)


def _paths(text: str) -> Iterator[tuple[Prefix, int, dict[str, str]]]:
    """Cut the answer to `show route all` into prefix, number of the neighbor and attributes."""
    prefix: Prefix | None = None
    attributes: dict[str, str] = {}
    number: int | None = None
    for line in text.splitlines():
        if head := PATH.match(line):
            if prefix is not None and number is not None:
                yield prefix, number, attributes
            prefix = ip_network(head[1]) if head[1] else prefix
            number, attributes = int(head[2]), {}
        elif attribute := ATTRIBUTE.match(line):
            attributes[attribute[1]] = attribute[2]
    if prefix is not None and number is not None:
        yield prefix, number, attributes


def _path(attributes: dict[str, str], *, external: bool) -> Path:
    """Turn BIRD's attributes into a path; it gives eBGP routes a local-pref of its own."""
    med, local_pref = attributes.get("med"), attributes.get("local_pref")
    # A global one, then a link-local one; it writes "::" where there is no global one.
    next_hop = next(hop for hop in attributes["next_hop"].split() if hop != "::")
    return Path(
        next_hop=ip_address(next_hop),
        as_path=tuple(map(int, re.findall(r"\d+", attributes.get("as_path", "")))),
        med=None if med is None else int(med),
        local_pref=None if external or local_pref is None else int(local_pref),
        communities=_communities(attributes.get("community", "")),
        large_communities=_communities(attributes.get("large_community", "")),
    )


def _communities(text: str) -> tuple[str, ...]:
    """Turn "(65001,1) (65535,0)" or "(65001, 2, 3)" into our form."""
    found = re.findall(r"\(([^)]*)\)", text)
    return tuple(sorted(re.sub(r", ?", ":", each) for each in found))


def _configuration(config: RouterConfig) -> Iterator[str]:
    yield f"router id {config.router_id};"
    yield "timeformat log iso long us;"
    yield "protocol device { }"
    yield "protocol direct { ipv4; ipv6; }"  # iBGP next hops are looked up in the table
    for number, neighbor in enumerate(config.neighbors):
        yield from _session(number, neighbor, config)


def _session(number: int, neighbor: NeighborConfig, config: RouterConfig) -> Iterator[str]:
    yield f"protocol bgp n{number} {{"
    yield "  debug { states, routes, events };"
    yield f"  local port {config.port} as {config.asn};"
    yield f"  neighbor {neighbor.address} as {neighbor.asn};"
    yield f"  hold time {neighbor.hold_seconds};"
    yield f"  connect retry time {neighbor.connect_seconds};"
    yield f"  connect delay time {neighbor.connect_seconds};"
    yield "  error wait time 1, 1;"  # after an error BIRD would refuse the neighbor for a minute
    yield f"  graceful restart {'aware' if neighbor.graceful_restart else 'off'};"
    yield "  long lived graceful restart off;"
    if neighbor.password is not None:
        yield f'  password "{neighbor.password}";'
    if neighbor.passive:
        yield "  passive on;"
    if neighbor.ebgp_multihop is not None:
        yield f"  multihop {neighbor.ebgp_multihop};"
    elif neighbor.asn == config.asn:
        yield "  direct;"
    for family in neighbor.families:
        yield f"  {family} {{ import all; export none; }};"
    yield "}"
