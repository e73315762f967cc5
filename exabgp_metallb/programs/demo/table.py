"""What the router holds: built only from the BGP messages that reached it.

The receiving ExaBGP tells of each UPDATE and of each session as one JSON object a line. An UPDATE
replaces what its neighbor said of a prefix before (RFC 4271 section 3.1), and with a session all
that was learned over it goes (RFC 4271 section 6).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from exabgp_metallb.values.addresses import Address, Prefix, address_order, prefix_order


@dataclass(frozen=True, slots=True)
class BgpPath:
    """How one neighbor reaches a prefix: the attributes that matter here, communities sorted."""

    next_hop: Address
    local_pref: int | None = None
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [f"next hop {self.next_hop}"]
        if self.local_pref is not None:
            words.append(f"local-pref {self.local_pref}")
        words += [f"community {c}" for c in (*self.communities, *self.large_communities)]
        return " ".join(words)


RouteKey = tuple[Prefix, Address]
"""A prefix, and the neighbor that it was learned from."""

Routes = Mapping[RouteKey, BgpPath]


class RouterTable:
    """The router's Adj-RIBs-In.

    Attributes:
        routes: by prefix and neighbor.
        up: the neighbors with an established session.
    """

    def __init__(self) -> None:
        self.routes: dict[RouteKey, BgpPath] = {}
        self.up: set[Address] = set()

    def hear(self, line: str) -> bool:
        """Take one line of the router's ExaBGP and tell whether anything differs now."""
        try:
            tree = json.loads(line)
        except ValueError:
            return False  # `done`, or a line that the router's end cut off
        neighbor = tree.get("neighbor", {})
        if tree.get("type") == "update" and neighbor.get("direction") == "receive":
            return self._updated(neighbor)
        if tree.get("type") == "state":
            return self._session(neighbor)
        return False

    def _updated(self, neighbor: Mapping[str, Any]) -> bool:
        peer = _peer(neighbor)
        update = neighbor["message"].get("update", {})
        before = dict(self.routes)
        for prefix in _withdrawn(update):
            self.routes.pop((prefix, peer), None)
        for prefix, path in _announced(update):
            self.routes[prefix, peer] = path
        return before != self.routes

    def _session(self, neighbor: Mapping[str, Any]) -> bool:
        peer = _peer(neighbor)
        if neighbor["state"] == "up":
            self.up.add(peer)
            return True
        if neighbor["state"] != "down":
            return False
        self.up.discard(peer)
        for key in [key for key in self.routes if key[1] == peer]:
            del self.routes[key]
        return True


def differences(expected: Routes, found: Routes) -> Iterator[str]:
    """Yield in words, in order of prefix and neighbor, where a table is not as it should be."""
    for key in sorted(expected.keys() | found.keys(), key=_order):
        prefix, neighbor = key
        if key not in found:
            yield f"{prefix} from {neighbor}: missing, expected {expected[key]}"
        elif key not in expected:
            yield f"{prefix} from {neighbor}: left over, {found[key]}"
        elif found[key] != expected[key]:
            yield f"{prefix} from {neighbor}: expected {expected[key]}, found {found[key]}"


def _order(key: RouteKey) -> tuple[tuple[int, int, int], tuple[int, int]]:
    return prefix_order(key[0]), address_order(key[1])


def _peer(neighbor: Mapping[str, Any]) -> Address:
    return ip_address(neighbor["address"]["peer"])


def _withdrawn(update: Mapping[str, Any]) -> Iterator[Prefix]:
    for nlris in update.get("withdraw", {}).values():
        yield from (ip_network(nlri["nlri"]) for nlri in nlris)


def _announced(update: Mapping[str, Any]) -> Iterator[tuple[Prefix, BgpPath]]:
    attributes = update.get("attribute", {})
    for by_next_hop in update.get("announce", {}).values():
        for next_hop, nlris in by_next_hop.items():
            path = BgpPath(
                next_hop=ip_address(next_hop),
                local_pref=attributes.get("local-preference"),
                communities=_communities(attributes.get("community", ())),
                large_communities=_communities(attributes.get("large-community", ())),
            )
            yield from ((ip_network(nlri["nlri"]), path) for nlri in nlris)


def _communities(parts: list[list[int]]) -> tuple[str, ...]:
    return tuple(":".join(map(str, part)) for part in sorted(parts))
