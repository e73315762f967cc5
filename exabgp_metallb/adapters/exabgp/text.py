"""ExaBGP's API as text: our commands to lines, its lines to values.

Commands follow the grammar of ExaBGP 5 ("API v4"): a selector of neighbors, then `announce
attributes ... nlri ...`, the form that takes many prefixes of one family with equal attributes.
Events come as one JSON object a line (`encoder json`), answers to commands as `done` or `error`,
and what a `show` command prints stands between. Nothing that a user wrote gets into a line: all of
it is made of addresses, numbers and words of the grammar, and so is ASCII.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from exabgp_metallb.values.addresses import Address, Family, Prefix, family_of
from exabgp_metallb.values.rib import Attributes

SHOW_NEIGHBORS = "show neighbor summary"  # its JSON fails where a peer-as is `auto`
SHOW_NEIGHBOR_CONFIGURATION = "show neighbor configuration"
SHOW_ADJ_RIB_OUT = "show adj-rib out"
ENABLE_ACK = "enable-ack"
RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class Done:
    """The oldest command without an answer entered ExaBGP's RIB; it may not be on the wire yet."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The oldest command without an answer was refused; only ExaBGP's log says why."""


@dataclass(frozen=True, slots=True)
class Up:
    """A session is established."""

    neighbor: Address


@dataclass(frozen=True, slots=True)
class Down:
    """A session, or an attempt at one, ended."""

    neighbor: Address
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """An UPDATE has left ExaBGP's RIB for the wire."""

    neighbor: Address
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Notified:
    """A peer sent a NOTIFICATION (RFC 4271 section 6)."""

    neighbor: Address
    code: int
    subcode: int
    message: str


@dataclass(frozen=True, slots=True)
class Held:
    """One row of `show adj-rib out`: ExaBGP holds a prefix for a neighbor."""

    neighbor: Address
    prefix: Prefix


@dataclass(frozen=True, slots=True)
class NeighborState:
    """One row of `show neighbor summary`."""

    neighbor: Address
    established: bool


@dataclass(frozen=True, slots=True)
class Shutdown:
    """ExaBGP is about to end."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line that is no JSON, such as one of `show neighbor configuration`."""

    line: str


Message = Done | Failed | Up | Down | Sent | Notified | Held | NeighborState | Shutdown | Text


def announce(
    neighbors: Iterable[Address], attributes: Attributes, prefixes: Sequence[Prefix]
) -> str:
    """Return the line that announces prefixes of one family to neighbors."""
    words = [selector(neighbors), "announce attributes", *_attributes(attributes), "nlri"]
    return " ".join((*words, *map(str, prefixes)))


def withdraw(neighbors: Iterable[Address], prefixes: Sequence[Prefix]) -> str:
    """Return the line that takes prefixes of one family back from neighbors."""
    # A withdrawal has no next hop (RFC 4271 section 4.3), but the grammar wants one of the family.
    next_hop = "0.0.0.0" if family_of(prefixes[0]) is Family.IPV4 else "::"  # noqa: S104 -- no bind
    words = [selector(neighbors), "withdraw attributes next-hop", next_hop, "nlri"]
    return " ".join((*words, *map(str, prefixes)))


def end_of_rib(neighbor: Address, family: Family) -> str:
    """Return the line that sends End-of-RIB (RFC 4724 section 2) for a family."""
    return f"neighbor {neighbor} announce eor ipv{family.value} unicast"


def selector(neighbors: Iterable[Address]) -> str:
    """Return the words that pick neighbors; at least one."""
    return ", ".join(f"neighbor {n}" for n in neighbors)


def _attributes(attributes: Attributes) -> Iterable[str]:
    yield f"next-hop {'self' if attributes.next_hop is None else attributes.next_hop}"
    if attributes.local_pref is not None:
        yield f"local-preference {attributes.local_pref}"
    if attributes.communities:
        yield f"community [ {' '.join(map(str, attributes.communities))} ]"
    if attributes.large_communities:
        yield f"large-community [ {' '.join(map(str, attributes.large_communities))} ]"


def parse(line: str) -> Message | None:
    """Return what a line of ExaBGP means; None for what does not concern us."""
    if line == "done":
        return Done()
    if line == "error":
        return Failed()
    if not line.startswith("{"):
        return _held(line) or _neighbor_state(line) or Text(line)
    try:
        tree = json.loads(line)
    except ValueError:
        return Text(line)
    return _event(tree)


def _held(line: str) -> Held | None:
    words = line.split(maxsplit=4)
    if len(words) < 4 or words[1:3] not in (["ipv4", "unicast"], ["ipv6", "unicast"]):
        return None
    try:
        return Held(ip_address(words[0]), ip_network(words[3]))
    except ValueError:
        return None


def _neighbor_state(line: str) -> NeighborState | None:
    # "127.0.0.2  65000  1 day, 0:00:03  established  12  0": only the up time may hold blanks.
    words = line.split()
    if len(words) < 6 or not (words[-1].isdigit() and words[-2].isdigit()):
        return None
    try:
        return NeighborState(ip_address(words[0]), words[-3] == "established")
    except ValueError:
        return None


def _event(tree: Mapping[str, Any]) -> Message | None:
    kind = tree.get("type")
    if kind == "notification" and "neighbor" not in tree:
        return Shutdown()
    neighbor = tree.get("neighbor", {})
    if kind == "update":
        return _sent(neighbor)
    if kind == "state":
        return _state(neighbor)
    if kind == "notification" and neighbor.get("direction") == "receive":
        return _notified(neighbor)
    return None


def _peer(neighbor: Mapping[str, Any]) -> Address:
    return ip_address(neighbor["address"]["peer"])


def _state(neighbor: Mapping[str, Any]) -> Message | None:
    if neighbor["state"] == "up":
        return Up(_peer(neighbor))
    if neighbor["state"] == "down":
        return Down(_peer(neighbor), neighbor.get("reason", ""))
    return None


def _sent(neighbor: Mapping[str, Any]) -> Sent | None:
    if neighbor.get("direction") != "send":
        return None
    update = neighbor["message"].get("update", {})
    announced = [
        nlri
        for by_next_hop in update.get("announce", {}).values()
        for nlris in by_next_hop.values()
        for nlri in nlris
    ]
    withdrawn = [nlri for nlris in update.get("withdraw", {}).values() for nlri in nlris]
    prefixes = tuple(ip_network(nlri["nlri"]) for nlri in (*announced, *withdrawn))
    return Sent(_peer(neighbor), prefixes) if prefixes else None


def _notified(neighbor: Mapping[str, Any]) -> Notified:
    told = neighbor["notification"]
    text = str(told.get("message", ""))
    return Notified(_peer(neighbor), int(told["code"]), int(told["subcode"]), text)
