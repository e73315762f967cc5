"""A BGP router of the lab: what it is told, what it shows, and the verbs that all drivers share.

A driver says how its daemon is started, asked and read; the waiting and comparing is here, so that
a test written once runs over all of them.
"""

import abc
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path as FilePath
from typing import ClassVar, Literal

from tests.integration.lab.history import Address, Event, History, Kind, Prefix
from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for

Family = Literal["ipv4", "ipv6"]

START_SECONDS = 60.0
ROUTES_SECONDS = 60.0
ESTABLISH_SECONDS = 60.0  # GoBGP refuses a neighbor for 5 s after each end of its session


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborConfig:
    """One neighbor of a router."""

    address: Address
    asn: int
    password: str | None = None  # TCP MD5, RFC 2385
    families: tuple[Family, ...] = ("ipv4", "ipv6")
    passive: bool = True  # waits for the neighbor: ExaBGP listens only when told to
    hold_seconds: int = 9
    connect_seconds: int = 1  # between two tries of a router that is not passive
    ebgp_multihop: int | None = None  # TTL; None: an eBGP neighbor is on the same segment
    graceful_restart: bool = False  # helper of a neighbor that restarts, RFC 4724
    local_address: Address | None = None  # the router's, of the session; ExaBGP alone must know


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """What a router is told; it takes every route and announces none."""

    asn: int
    router_id: IPv4Address
    neighbors: tuple[NeighborConfig, ...]
    maximum_paths: int = 1  # next hops of one prefix, in FRR's kernel routes; the others have none
    port: int = 179


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One way to a prefix as a neighbor announced it, before the router's own choice."""

    next_hop: Address
    as_path: tuple[int, ...] = ()
    med: int | None = None  # None: not sent
    local_pref: int | None = None  # None from eBGP neighbors, which send none
    communities: tuple[str, ...] = ()  # "65001:1", sorted as text; well-known ones as numbers
    large_communities: tuple[str, ...] = ()  # "65001:2:3", sorted as text


Routes = Mapping[Prefix, frozenset[Path]]  # all paths of a prefix, of all neighbors


class Router(abc.ABC):
    """A routing daemon on a host."""

    programs: ClassVar[tuple[str, ...]]  # what must be installed for this driver
    logs_end_of_rib: ClassVar[bool] = False  # whether its history has `Kind.END_OF_RIB`

    def __init__(self, host: Host, config: RouterConfig) -> None:
        self.host = host
        self.config = config
        self.folder: FilePath = host.lab.folder / f"{type(self).__name__.lower()}-{host.name}"
        self.folder.mkdir()
        self.history = History()

    @abc.abstractmethod
    def start(self) -> None:
        """Start the daemon and return once it listens."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End it with SIGTERM: it says goodbye to its neighbors."""

    @abc.abstractmethod
    def kill(self) -> None:
        """End it with SIGKILL: its neighbors see the kernel close the connection."""

    @abc.abstractmethod
    def routes(self) -> Routes:
        """Return all paths of all prefixes, of both families, best or not."""

    @abc.abstractmethod
    def established(self, neighbor: Address) -> bool:
        """Return whether the session is in the state Established."""

    @abc.abstractmethod
    def received(self, neighbor: Address) -> int:
        """Return how many prefixes the neighbor's session holds, without reading them all."""

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def wait_established(self, *neighbors: Address, timeout: float = ESTABLISH_SECONDS) -> None:
        """Wait until the sessions with these neighbors, or with all of them, are up."""
        for neighbor in neighbors or [n.address for n in self.config.neighbors]:
            self._wait_established(neighbor, timeout)

    def wait_down(self, neighbor: Address, timeout: float = ESTABLISH_SECONDS) -> None:
        """Wait until the session is not Established."""
        wait_for(lambda: not self.established(neighbor), timeout, f"{neighbor} is down")

    def wait_end_of_rib(self, neighbor: Address, timeout: float = ROUTES_SECONDS) -> None:
        """Wait until a neighbor that restarts gracefully has sent its first table, whole.

        GoBGP keeps nothing of one that dies earlier; routers that do not log it keep what they had.
        """
        families = next(n.families for n in self.config.neighbors if n.address == neighbor)
        ends = {Event(Kind.END_OF_RIB, neighbor, family=int(name[-1])) for name in families}
        wait_for(
            lambda: not self.logs_end_of_rib or ends <= set(self.history.events()),
            timeout,
            lambda: f"End-of-RIB of {neighbor}\n{self.host.lab.report()}",
        )

    def wait_routes(
        self, expected: Routes | Callable[[Routes], bool], timeout: float = ROUTES_SECONDS
    ) -> Routes:
        """Wait until the routes equal a table, path for path, or satisfy a predicate."""
        if callable(expected):
            return self._wait(expected, timeout, lambda seen: difference(None, _rows(seen)))
        wanted = _rows(expected)
        return self._wait(
            lambda seen: seen == expected, timeout, lambda seen: difference(wanted, _rows(seen))
        )

    def wait_next_hops(
        self, expected: Mapping[str, Collection[str]], timeout: float = ROUTES_SECONDS
    ) -> Routes:
        """Wait until exactly these prefixes are there, each with exactly these next hops."""
        wanted = {
            ip_network(prefix): frozenset(map(ip_address, hops))
            for prefix, hops in expected.items()
        }
        return self._wait(
            lambda seen: next_hops(seen) == wanted,
            timeout,
            lambda seen: difference(_hop_rows(wanted), _hop_rows(next_hops(seen))),
        )

    def mark(self) -> int:
        """Return the place in the history that comes next."""
        return len(self.history.events())

    def events_since(self, mark: int) -> list[Event]:
        """Return what the router noted since a mark."""
        return self.history.events()[mark:]

    def withdrawals_seen(self, since: int) -> list[Event]:
        """Return every loss of a neighbor's route since a mark, by UPDATE or with its session.

        Where the neighbor restarts gracefully, a route that the router kept is not lost.
        """
        return [event for event in self.events_since(since) if event.kind is Kind.WITHDRAWN]

    def establishments(self, neighbor: Address) -> int:
        """Return how often the session has come up: the same number twice, and it was not reset."""
        ups = Event(Kind.SESSION_UP, neighbor)
        return self.history.events().count(ups)

    def _wait(
        self,
        predicate: Callable[[Routes], bool],
        timeout: float,
        explain: Callable[[Routes], str],
    ) -> Routes:
        seen: Routes = {}

        def look() -> bool:
            nonlocal seen
            seen = self.routes()
            return predicate(seen)

        wait_for(look, timeout, lambda: f"{self.host.name} holds {explain(seen)}")
        return seen

    def _wait_established(self, neighbor: Address, timeout: float) -> None:
        wait_for(
            lambda: self.established(neighbor),
            timeout,
            lambda: f"session of {self.host.name} with {neighbor}\n{self.host.lab.report()}",
        )

    def is_external(self, neighbor: Address) -> bool:
        """Return whether the neighbor is in another AS."""
        asn = next(n.asn for n in self.config.neighbors if n.address == neighbor)
        return asn != self.config.asn


RouterFactory = Callable[[Host, RouterConfig], Router]  # returns it started


def next_hops(routes: Routes) -> dict[Prefix, frozenset[Address]]:
    """Return the next hops of each prefix."""
    return {prefix: frozenset(p.next_hop for p in paths) for prefix, paths in routes.items()}


def difference(wanted: Iterable[str] | None, seen: Iterable[str]) -> str:
    """Return lines of what is missing and what is too much; all that is there if nothing is wanted.

    Args:
        wanted: None where a predicate decides.
        seen: what the router holds.
    """
    if wanted is None:
        return "\n  ".join(["what the predicate asks; it has", *sorted(seen)])
    missing, extra = set(wanted) - set(seen), set(seen) - set(wanted)
    rows = [f"missing {row}" for row in sorted(missing)]
    rows += [f"too much {row}" for row in sorted(extra)]
    return "\n  ".join(["the wanted routes", *rows])


def _rows(routes: Routes) -> set[str]:
    return {f"{prefix} {path}" for prefix, paths in routes.items() for path in paths}


def _hop_rows(hops: Mapping[Prefix, Iterable[Address]]) -> set[str]:
    return {f"{prefix} via {hop}" for prefix, hops_of in hops.items() for hop in hops_of}
