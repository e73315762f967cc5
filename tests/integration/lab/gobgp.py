"""GoBGP as a router: gobgpd, asked with the gobgp command over a unix socket.

Its log is a stream of JSON objects in which every UPDATE, End-of-RIB and change of a session stands
in the order in which it was handled: the History reads that and infers what goes with a session.
(The command `gobgp monitor adj-in` says nothing of routes that go with their session.)
"""

import json
from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

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

GOBGPD = "/usr/bin/gobgpd"
GOBGP = "/usr/bin/gobgp"
GAVE_UP = "context deadline exceeded"
ANSWER_SECONDS = 60.0

IDLE, ESTABLISHED = 1, 6  # api/gobgp.proto, PeerState.SessionState

# Types of path attributes: IANA, BGP Path Attributes
AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES = 2, 3, 4, 5, 8
MP_REACH, MP_UNREACH, LARGE_COMMUNITY = 14, 15, 32


class GoBgpRouter(Router):
    """GoBGP on a host."""

    programs: ClassVar[tuple[str, ...]] = (GOBGPD, GOBGP)
    logs_end_of_rib: ClassVar[bool] = True

    def __init__(self, host: Host, config: RouterConfig) -> None:
        super().__init__(host, config)
        conf = self.folder / "gobgpd.toml"
        conf.write_text("\n".join(_configuration(config)) + "\n")
        self._socket = self.folder / "api"
        self._api = f"unix://{self._socket}"
        self._gobgpd = Daemon(
            host,
            [
                *(GOBGPD, "--config-file", str(conf), "--api-hosts", self._api),
                *("--log-level", "debug", "--pprof-disable"),
            ],
            output=self.folder / "gobgpd.log",
        )
        self.history.follow(self._gobgpd.output, parse_log)

    def start(self) -> None:
        """Start gobgpd; it answers before it knows its neighbors, and refuses them while idle."""
        self._socket.unlink(missing_ok=True)
        self._gobgpd.start()
        wait_for(self._answers, START_SECONDS, lambda: f"gobgpd\n{self.host.lab.report()}")

    def stop(self) -> None:
        """End gobgpd with SIGTERM."""
        self._gobgpd.stop()

    def kill(self) -> None:
        """Kill gobgpd."""
        self._gobgpd.kill()

    def gobgp(self, words: str) -> Any:  # noqa: ANN401  # JSON has no type
        """Ask and return what is said in JSON; None when that is nothing."""
        message = f"gobgpd answers {words!r}"
        text = wait_for(lambda: self._said(words), ANSWER_SECONDS, message)[0]
        return json.loads(text) if text.strip() else None

    def routes(self) -> Routes:
        """Return all paths of the global table."""
        found: dict[Prefix, frozenset[Path]] = {}
        for family in ("ipv4", "ipv6"):
            for prefix, entries in (self.gobgp(f"global rib -a {family}") or {}).items():
                found[ip_network(prefix)] = frozenset(_path(entry["attrs"]) for entry in entries)
        return found

    def established(self, neighbor: Address) -> bool:
        """Return whether gobgpd calls the session Established."""
        return bool(self.gobgp(f"neighbor {neighbor}")["state"].get("session_state") == ESTABLISHED)

    def received(self, neighbor: Address) -> int:
        """Return gobgpd's count of prefixes over both families."""
        families = self.gobgp(f"neighbor {neighbor}").get("afi_safis", [])
        return sum(family["state"].get("received", 0) for family in families)

    def _said(self, words: str) -> list[str]:
        """Return what a command says; none where it gave up, as it does after a second."""
        self._gobgpd.check()
        try:
            return [command([GOBGP, "--target", self._api, "--json", *words.split()])]
        except LabError as error:
            if GAVE_UP not in str(error):
                raise
            return []

    def _answers(self) -> bool:
        self._gobgpd.check()
        if not self._socket.exists():  # the command would look again only after a second
            return False
        try:
            neighbors = self.gobgp("neighbor") or []
        except LabError:
            return False
        ready = [n for n in neighbors if n["state"].get("session_state", IDLE) != IDLE]
        return len(ready) == len(self.config.neighbors)


def parse_log(line: str) -> Iterator[Event]:
    """Read one line of gobgpd's log at level debug."""
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return  # a panic, or Go's own words
    match entry:
        case {"msg": "received update", "Key": key}:
            yield from _update(ip_address(key), entry)
        case {"msg": "Peer Up", "Key": key}:
            yield Event(Kind.SESSION_UP, ip_address(key))
        case {"msg": "Peer Down", "Key": key, "Reason": reason}:
            yield Event(Kind.SESSION_DOWN, ip_address(key))
            if reason != "graceful-restart":
                yield Event(Kind.FLUSHED, ip_address(key))
        case {"msg": "graceful restart timer expired", "Key": key}:
            yield Event(Kind.FLUSHED, ip_address(key))
        case {"msg": "EOR received", "Key": key, "AddressFamily": family}:
            afi = family >> 16  # RFC 4760: 1 is IPv4, 2 is IPv6
            yield Event(Kind.END_OF_RIB, ip_address(key), family={1: 4, 2: 6}[afi])
        case _:
            return


def _update(neighbor: Address, entry: dict[str, Any]) -> Iterator[Event]:
    attributes = {each["type"]: each for each in entry["attributes"]}
    withdrawn = [*entry["withdrawals"], *_nlri(attributes.get(MP_UNREACH))]
    announced = [*entry["nlri"], *_nlri(attributes.get(MP_REACH))]
    for nlri in withdrawn:
        yield Event(Kind.WITHDRAWN, neighbor, ip_network(nlri["prefix"]))
    for nlri in announced:
        yield Event(Kind.ANNOUNCED, neighbor, ip_network(nlri["prefix"]))


def _nlri(attribute: dict[str, Any] | None) -> list[dict[str, str]]:
    return (attribute or {}).get("value") or []


def _path(attributes: Iterable[dict[str, Any]]) -> Path:
    """Turn the attributes of one path into ours."""
    by_type = {each["type"]: each for each in attributes}
    next_hop = (by_type.get(MP_REACH) or by_type[NEXT_HOP])["nexthop"]
    large = by_type.get(LARGE_COMMUNITY, {}).get("value", [])
    return Path(
        next_hop=ip_address(next_hop),
        as_path=tuple(
            asn for part in by_type.get(AS_PATH, {}).get("as_paths", []) for asn in part["asns"]
        ),
        med=by_type.get(MED, {}).get("metric"),
        local_pref=by_type.get(LOCAL_PREF, {}).get("value"),
        communities=tuple(
            sorted(
                f"{number >> 16}:{number & 0xFFFF}"
                for number in by_type.get(COMMUNITIES, {}).get("communities", [])
            )
        ),
        large_communities=tuple(
            sorted(f"{each['ASN']}:{each['LocalData1']}:{each['LocalData2']}" for each in large)
        ),
    )


def _configuration(config: RouterConfig) -> Iterator[str]:
    yield "[global.config]"
    yield f"as = {config.asn}"
    yield f'router-id = "{config.router_id}"'
    yield f"port = {config.port}"
    yield "[global.apply-policy.config]"
    yield 'default-export-policy = "reject-route"'
    for neighbor in config.neighbors:
        yield from _session(neighbor)


def _session(neighbor: NeighborConfig) -> Iterator[str]:
    restarts = str(neighbor.graceful_restart).lower()
    yield "[[neighbors]]"
    yield "[neighbors.config]"
    yield f'neighbor-address = "{neighbor.address}"'
    yield f"peer-as = {neighbor.asn}"
    if neighbor.password is not None:
        yield f'auth-password = "{neighbor.password}"'
    yield "[neighbors.timers.config]"
    yield f"hold-time = {neighbor.hold_seconds}"
    yield f"keepalive-interval = {max(1, neighbor.hold_seconds // 3)}"
    yield f"connect-retry = {neighbor.connect_seconds}"
    yield "[neighbors.transport.config]"
    yield f"passive-mode = {str(neighbor.passive).lower()}"
    yield "[neighbors.graceful-restart.config]"
    yield f"enabled = {restarts}"
    yield f"helper-only = {restarts}"
    if neighbor.ebgp_multihop is not None:
        yield "[neighbors.ebgp-multihop.config]"
        yield "enabled = true"
        yield f"multihop-ttl = {neighbor.ebgp_multihop}"
    for family in neighbor.families:
        yield "[[neighbors.afi-safis]]"
        yield "[neighbors.afi-safis.config]"
        yield f'afi-safi-name = "{family}-unicast"'
        yield "[neighbors.afi-safis.mp-graceful-restart.config]"
        yield f"enabled = {restarts}"
