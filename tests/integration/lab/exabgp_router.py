"""ExaBGP as a router: it waits for its neighbors and writes down what they say.

Its process is a `cat` that adds ExaBGP's JSON to a file (and holds its own stdout open, since
ExaBGP takes the end of that for the end of the process). So every UPDATE and every change of a
session stands there in order. ExaBGP keeps no table of what it hears: the driver makes one of it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.lab.history import Address, Event, Kind, Prefix
from tests.integration.lab.network import Host
from tests.integration.lab.router import (
    START_SECONDS,
    NeighborConfig,
    Path,
    Router,
    RouterConfig,
    Routes,
)
from tests.integration.lab.waiting import wait_for

LISTEN = {"exabgp_tcp_bind": "0.0.0.0 ::"}

Told = tuple[Address, Prefix]


class ExaBgpRouter(Router):
    """A receiving ExaBGP on a host."""

    programs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, host: Host, config: RouterConfig) -> None:
        super().__init__(host, config)
        self._heard = self.folder / "heard.json"
        text = "\n".join(_configuration(config, str(self._heard))) + "\n"
        self._exabgp = ExaBgp(host, text, env=LISTEN | {"exabgp_tcp_port": str(config.port)})
        self._offset = 0
        self._paths: dict[Told, Path] = {}
        self._up: set[Address] = set()
        self.history.follow(self._heard, self._parse)

    def start(self) -> None:
        """Start ExaBGP and return once it listens."""
        self._exabgp.start()
        wait_for(self._listens, START_SECONDS, lambda: f"exabgp\n{self.host.lab.report()}")

    def stop(self) -> None:
        """End ExaBGP, which closes its connections without a word."""
        self._exabgp.stop()

    def kill(self) -> None:
        """Kill ExaBGP."""
        self._exabgp.kill()

    def routes(self) -> Routes:
        """Return all paths of all neighbors whose session is up."""
        self.history.events()
        found: defaultdict[Prefix, set[Path]] = defaultdict(set)
        for (_, prefix), path in self._paths.items():
            found[prefix].add(path)
        return {prefix: frozenset(paths) for prefix, paths in found.items()}

    def established(self, neighbor: Address) -> bool:
        """Return whether the last word about the session is that it is up."""
        self.history.events()
        return neighbor in self._up

    def received(self, neighbor: Address) -> int:
        """Return how many prefixes the neighbor has announced and not withdrawn."""
        self.history.events()
        return sum(1 for known, _ in self._paths if known == neighbor)

    def _listens(self) -> bool:
        return f":{self.config.port} " in self.host.run(["ss", "-Hltn"])

    def _parse(self, line: str) -> Iterator[Event]:
        """Take one event of ExaBGP's, and tell what became of routes and sessions."""
        told = json.loads(line)
        if told["type"] not in ("state", "update"):
            return
        about = told["neighbor"]
        neighbor = ip_address(about["address"]["peer"])
        if told["type"] == "state":
            yield from self._state(neighbor, about["state"])
        elif "update" in about.get("message", {}):
            yield from self._update(neighbor, about["message"]["update"])

    def _state(self, neighbor: Address, state: str) -> Iterator[Event]:
        if state == "up":
            self._up.add(neighbor)
            yield Event(Kind.SESSION_UP, neighbor)
        elif state == "down" and neighbor in self._up:
            self._up.remove(neighbor)
            yield Event(Kind.SESSION_DOWN, neighbor)
            for known, prefix in [told for told in self._paths if told[0] == neighbor]:
                del self._paths[known, prefix]
            yield Event(Kind.FLUSHED, neighbor)

    def _update(self, neighbor: Address, update: dict[str, Any]) -> Iterator[Event]:
        for rows in update.get("withdraw", {}).values():
            for row in rows:
                prefix = ip_network(row["nlri"])
                self._paths.pop((neighbor, prefix), None)
                yield Event(Kind.WITHDRAWN, neighbor, prefix)
        for by_hop in update.get("announce", {}).values():
            for hop, rows in by_hop.items():
                for row in rows:
                    if "nlri" not in row:  # an End-of-RIB
                        continue
                    prefix = ip_network(row["nlri"])
                    self._paths[neighbor, prefix] = _path(hop, update["attribute"])
                    yield Event(Kind.ANNOUNCED, neighbor, prefix)


def _path(next_hop: str, attributes: dict[str, Any]) -> Path:
    """Turn the attributes of an UPDATE into ours."""
    return Path(
        next_hop=ip_address(next_hop),
        as_path=tuple(
            asn for part in attributes.get("as-path", {}).values() for asn in part["value"]
        ),
        med=attributes.get("med"),
        local_pref=attributes.get("local-preference"),
        communities=_numbers(attributes.get("community", [])),
        large_communities=_numbers(attributes.get("large-community", [])),
    )


def _numbers(communities: list[list[int]]) -> tuple[str, ...]:
    return tuple(sorted(":".join(map(str, parts)) for parts in communities))


def _configuration(config: RouterConfig, heard: str) -> Iterator[str]:
    yield f'process ear {{ run /bin/sh -c "exec 3>&1 cat >> {heard}"; encoder json; }}'
    for neighbor in config.neighbors:
        yield from _session(neighbor, config)


def _session(neighbor: NeighborConfig, config: RouterConfig) -> Iterator[str]:
    yield f"neighbor {neighbor.address} {{"
    yield f"  router-id {config.router_id}; local-address {neighbor.local_address}; passive true;"
    yield f"  local-as {config.asn}; peer-as {neighbor.asn};"
    yield f"  hold-time {neighbor.hold_seconds};"
    if neighbor.password is not None:
        yield f'  md5-password "{neighbor.password}";'
    yield "  family {"
    yield from (f"    {family} unicast;" for family in neighbor.families)
    yield "  }"
    yield "  api { processes [ ear ]; neighbor-changes; receive { parsed; update; } }"
    yield "}"
