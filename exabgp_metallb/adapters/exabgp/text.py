"""ExaBGP's API as text: our commands to lines, its lines to values.

Commands follow the grammar of ExaBGP 5 ("API v4"): a selector of neighbors, then `announce
attributes ... nlri ...`, the form that takes many prefixes of one family with equal attributes.
Events come as one JSON object a line (`encoder json`), answers to commands as `done` or `error`,
and what a `show` command prints stands between. Nothing that a user wrote gets into a line: all of
it is made of addresses, numbers and words of the grammar, and so is ASCII.

What ExaBGP writes is read with distrust: a line that is not as it should be is a `Text`, an event
of a kind or family that is not ours is None, and no line raises.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import takewhile

from exabgp_metallb.values.addresses import Address, Family, Prefix, family_of
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.rib import Attributes, LinkBandwidth

SHOW_NEIGHBORS = "show neighbor summary"  # its JSON fails where a peer-as is `auto`
SHOW_NEIGHBOR_CONFIGURATION = "show neighbor configuration"
SHOW_ADJ_RIB_OUT = "show adj-rib out"  # `extensive` after it, and an address before that
ENABLE_ACK = "enable-ack"
RELOAD = "reload"
SHUTDOWN = "shutdown"
TEARDOWN = "teardown"

UNKNOWN = Attributes(local_pref=-1)
"""Attributes of a route that is there, but what they are is not known; never wanted of any."""

DEFAULT_LOCAL_PREF = 100
"""What ExaBGP tells an iBGP peer where we set none."""

_UNICAST = ("ipv4 unicast", "ipv6 unicast")

_WELL_KNOWN = {
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "no-export-subconfed": "65535:65283",
    "no-peer": "65535:65284",
    "blackhole": "65535:666",
}
"""Communities that ExaBGP shows by name (community/initial/community.py)."""

# RFC 10005 section 2: type, subtype, ASN, bytes a second; and what of them says which community.
_LINK_BANDWIDTH = struct.Struct("!BBHf")
_NOT_TRANSITIVE, _BANDWIDTH = 0x40, 0x04


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
    attributes: Attributes | None = UNKNOWN  # with the session's next hop; None: a withdrawal


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
    attributes: Attributes = UNKNOWN  # as we set them, with the next hop that `self` became


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
    if attributes.med is not None:
        yield f"med {attributes.med}"
    if attributes.as_path:
        # It replaces what ExaBGP would make: to an eBGP peer our own AS must stand in it, too.
        yield f"as-path [ {' '.join(map(str, attributes.as_path))} ]"
    if attributes.communities:
        yield f"community [ {' '.join(map(str, attributes.communities))} ]"
    if attributes.large_communities:
        yield f"large-community [ {' '.join(map(str, attributes.large_communities))} ]"
    if attributes.link_bandwidth is not None:
        told = attributes.link_bandwidth
        yield f"extended-community [ bandwidth:{told.asn}:{told.bytes_per_second} ]"


def parse(line: str) -> Message | None:
    """Return what a line of ExaBGP means; None for what does not concern us."""
    if line == "done":
        return Done()
    if line == "error":
        return Failed()
    if not line.startswith("{"):
        return _held(line) or _neighbor_state(line) or Text(line)
    tree = _json(line)
    return Text(line) if tree is None else _event(tree)


def same_on_the_wire(asked: Attributes | None, told: Attributes | None) -> bool:
    """Tell whether what an UPDATE was told to carry is what we asked for; None for withdrawals.

    ExaBGP fills in what we leave open: its own address as next hop, an iBGP peer's local
    preference, and its AS in the path to an eBGP peer. What is not known may be anything.
    """
    if told is UNKNOWN:
        return True
    if asked is None or told is None:
        return asked is told
    if asked is UNKNOWN:
        return True
    prefs = (None, DEFAULT_LOCAL_PREF) if asked.local_pref is None else (asked.local_pref,)
    usual = not asked.as_path and len(told.as_path) <= 1
    return (
        told.local_pref in prefs
        and (usual or asked.as_path == told.as_path)
        and asked.med == told.med
        and asked.link_bandwidth == told.link_bandwidth
        and asked.next_hop in (None, told.next_hop)
        and asked.communities == told.communities
        and asked.large_communities == told.large_communities
    )


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except RecursionError:
        return None
    except ValueError:
        pass
    if ": None" not in line:
        return None
    # A peer whose AS is `auto` has Python's None in all of its events.
    return _json(line.replace(": None", ": null"))


def show_adj_rib_out(neighbor: Address | None = None) -> str:
    """Return the question what ExaBGP holds for a neighbor, or for all of them."""
    words = (SHOW_ADJ_RIB_OUT, "" if neighbor is None else str(neighbor), "extensive")
    return " ".join(word for word in words if word)


def _held(line: str) -> Held | None:
    # "neighbor 127.0.0.2 local-ip ... ipv4 unicast 192.0.2.1/32 next-hop 127.0.0.1 med 7"
    for family in _UNICAST:
        head, found, row = line.partition(f" {family} ")
        if not found:
            continue
        words = head.split(maxsplit=2)
        nlri, _, attributes = row.partition(" ")
        neighbor = _address(words[1]) if words[:1] == ["neighbor"] and len(words) > 1 else None
        prefix = _prefix(family, nlri)
        if neighbor is not None and prefix is not None:
            return Held(neighbor, prefix, _shown(attributes))
    return None


@lru_cache(maxsize=4096)  # many routes share few
def _shown(words: str) -> Attributes:
    """Return attributes that ExaBGP shows in words; UNKNOWN when there are some that we never set.

    They are what the RIB holds: without what a session adds to them.
    """
    settings = dict(_settings(iter(words.split())))
    try:
        shown = Attributes(
            next_hop=ip_address(settings.pop("next-hop")[0]),
            local_pref=_only(settings.pop("local-preference", ())),
            med=_only(settings.pop("med", ())),
            as_path=tuple(map(int, settings.pop("as-path", ()))),
            communities=tuple(
                sorted(
                    Community(*map(int, _WELL_KNOWN.get(word, word).split(":")))
                    for word in settings.pop("community", ())
                )
            ),
            large_communities=tuple(
                sorted(
                    LargeCommunity(*map(int, word.split(":")))
                    for word in settings.pop("large-community", ())
                )
            ),
            link_bandwidth=_link_bandwidth(
                [{"value": int(word, 16)} for word in settings.pop("extended-community", ())]
            ),
        )
    except (LookupError, TypeError, ValueError):
        return UNKNOWN
    return UNKNOWN if settings else shown


def _settings(words: Iterator[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each name with its values: one word, or several in brackets."""
    for name in words:
        value = next(words, "")
        if value in ("[", "("):
            yield name, list(takewhile(lambda word: word not in ("]", ")"), words))
        else:
            yield name, [value]


def _only(words: Sequence[str]) -> int | None:
    return int(words[0]) if words else None


def _neighbor_state(line: str) -> NeighborState | None:
    # "127.0.0.2  65000  1 day, 0:00:03  established  12  0": only the up time may hold blanks.
    words = line.split()
    if len(words) < 6 or not (words[-1].isdigit() and words[-2].isdigit()):
        return None
    neighbor = _address(words[0])
    return None if neighbor is None else NeighborState(neighbor, words[-3] == "established")


def _event(tree: object) -> Message | None:
    kind = _at(tree, "type")
    if kind == "notification" and _at(tree, "neighbor") is None:
        return Shutdown()
    event = _EVENTS.get(kind) if isinstance(kind, str) else None
    neighbor = _address(_at(tree, "neighbor", "address", "peer"))
    return None if event is None or neighbor is None else event(neighbor, _at(tree, "neighbor"))


def _state(neighbor: Address, event: object) -> Message | None:
    state = _at(event, "state")
    if state == "up":
        return Up(neighbor)
    if state == "down":
        return Down(neighbor, _text(_at(event, "reason")))
    return None


def _sent(neighbor: Address, event: object) -> Sent | None:
    if _at(event, "direction") != "send":
        return None
    update = _at(event, "message", "update")
    withdrawn = tuple(_withdrawn(update))
    announced = {hop: tuple(prefixes) for hop, prefixes in _announced(update)}
    prefixes = (*(p for some in announced.values() for p in some), *withdrawn)
    if not prefixes:
        return None
    if not announced:
        return Sent(neighbor, prefixes, None)
    if withdrawn or len(announced) > 1:  # RFC 7606 section 5.1 advises senders against it
        return Sent(neighbor, prefixes)
    return Sent(neighbor, prefixes, _carried(_at(update, "attribute"), *announced))


def _announced(update: object) -> Iterator[tuple[str, Iterator[Prefix]]]:
    for family in _UNICAST:
        by_next_hop = _at(update, "announce", family)
        if isinstance(by_next_hop, dict):
            for next_hop, routes in by_next_hop.items():
                yield next_hop, _prefixes(family, routes)


def _withdrawn(update: object) -> Iterator[Prefix]:
    for family in _UNICAST:
        yield from _prefixes(family, _at(update, "withdraw", family))


def _prefixes(family: str, routes: object) -> Iterator[Prefix]:
    for route in _list(routes):
        prefix = _prefix(family, _at(route, "nlri"))
        if prefix is not None:
            yield prefix


def _carried(attributes: object, next_hop: str) -> Attributes:
    communities = [Community(*row) for row in _rows(_at(attributes, "community"), 2)]
    large = [LargeCommunity(*row) for row in _rows(_at(attributes, "large-community"), 3)]
    return Attributes(
        next_hop=_address(next_hop),
        local_pref=_number(_at(attributes, "local-preference")),
        med=_number(_at(attributes, "med")),
        as_path=tuple(_as_path(_at(attributes, "as-path"))),
        communities=tuple(sorted(communities)),
        large_communities=tuple(sorted(large)),
        link_bandwidth=_link_bandwidth(_at(attributes, "extended-community")),
    )


def _as_path(segments: object) -> Iterator[int]:
    for segment in segments.values() if isinstance(segments, dict) else ():
        yield from (asn for asn in _list(_at(segment, "value")) if isinstance(asn, int))


def _link_bandwidth(communities: object) -> LinkBandwidth | None:
    """Return the Link Bandwidth among extended communities; each is a number of 64 bits."""
    for community in _list(communities):
        number = _number(_at(community, "value"))
        if number is None or not 0 <= number < 2**64:
            continue
        kind, subtype, asn, speed = _LINK_BANDWIDTH.unpack(number.to_bytes(8))
        if (kind, subtype) == (_NOT_TRANSITIVE, _BANDWIDTH) and speed.is_integer():
            return LinkBandwidth(asn, int(speed))
    return None


def _rows(value: object, length: int) -> Iterator[list[int]]:
    for row in _list(value):
        numbers = [n for n in _list(row) if isinstance(n, int)]
        if len(numbers) == length:
            yield numbers


def _notified(neighbor: Address, event: object) -> Notified | None:
    if _at(event, "direction") != "receive":
        return None
    told = _at(event, "notification")
    code, subcode = _at(told, "code"), _at(told, "subcode")
    if not isinstance(code, int) or not isinstance(subcode, int):
        return None
    return Notified(neighbor, code, subcode, _text(_at(told, "message")))


_EVENTS: Mapping[str, Callable[[Address, object], Message | None]] = {
    "state": _state,
    "update": _sent,
    "notification": _notified,
}
"""By the type of a JSON event."""


def _at(tree: object, *path: str) -> object:
    """Return what stands at a path of keys; None when there is no such place."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _address(text: object) -> Address | None:
    try:
        return ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _prefix(family: str, text: object) -> Prefix | None:
    network = IPv4Network if family == "ipv4 unicast" else IPv6Network
    try:
        return network(text) if isinstance(text, str) else None
    except ValueError:
        return None
