"""bfdd's configuration: what is ours in it, and the commands that make it what we want.

Each BFDProfile is a profile of bfdd, whose name shows that it is ours; sessions name it. So a
profile that changes changes its sessions as they run, and in a bfdd that somebody else uses too
only our own sessions are ever touched.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise

from exabgp_metallb.values.bfd import BfdKey, BfdSession, BfdTimers

PREFIX = "exabgp-metallb-"
LONGEST_NAME = 63  # BFD_PROFILE_NAME_LEN of FRR's bfdd/bfd.h, less the NUL
DIGEST_DIGITS = 8

_PROFILE = re.compile(r" profile (\S+)$")
_PEER = re.compile(r" peer (\S+)((?: \S+)*)$")
_USES = re.compile(r"  profile (\S+)$")


@dataclass(frozen=True, slots=True)
class Held:
    """What of bfdd's configuration is ours."""

    profiles: frozenset[str] = frozenset()
    sessions: frozenset[BfdKey] = frozenset()


def profile_name(name: str) -> str:
    """Return bfdd's name for a BFDProfile."""
    full = PREFIX + name
    if len(full) <= LONGEST_NAME:
        return full
    digest = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_DIGITS]
    return f"{full[: LONGEST_NAME - DIGEST_DIGITS - 1]}-{digest}"


def parse(running: str) -> Held:
    """Read `show running-config`."""
    profiles: set[str] = set()
    sessions: set[BfdKey] = set()
    peer: BfdKey | None = None
    for line in running.splitlines():
        if found := _PROFILE.match(line):
            peer = None
            if found[1].startswith(PREFIX):
                profiles.add(found[1])
        elif found := _PEER.match(line):
            peer = _key(found[1], found[2].split())
        elif peer is not None and (found := _USES.match(line)) and found[1].startswith(PREFIX):
            sessions.add(peer)
    return Held(frozenset(profiles), frozenset(sessions))


def _key(peer: str, words: list[str]) -> BfdKey | None:
    """Read the rest of a `peer` line; None is a session that cannot be ours."""
    given = dict(pairwise(words))  # with pairs that mean nothing
    if "interface" in words:
        return None
    return BfdKey(
        peer=ip_address(peer),
        local=ip_address(given["local-address"]) if "local-address" in words else None,
        multihop="multihop" in words,
        vrf=given.get("vrf"),
    )


def commands(held: Held, wanted: Iterable[BfdSession]) -> Iterator[tuple[str, ...]]:
    """Yield groups of commands for bfdd's `bfd` node, each of which stands by itself.

    What is there already is said again: it changes nothing.
    """
    sessions = {session.key: session for session in wanted}
    for key in sorted(held.sessions - sessions.keys(), key=_line):
        yield (f"no {_line(key)}",)
    profiles = {profile_name(s.profile): s.timers for s in sessions.values()}
    for name, timers in sorted(profiles.items()):
        yield (f"profile {name}", *_fields(timers), "exit")
    for key, session in sorted(sessions.items(), key=lambda item: _line(item[0])):
        yield (_line(key), f"profile {profile_name(session.profile)}", "exit")
    for name in sorted(held.profiles - profiles.keys()):
        yield (f"no profile {name}",)


def _line(key: BfdKey) -> str:
    words = ["peer", str(key.peer)]
    if key.multihop:
        words.append("multihop")
    if key.local is not None:
        words += ["local-address", str(key.local)]
    if key.vrf is not None:
        words += ["vrf", key.vrf]
    return " ".join(words)


def _fields(timers: BfdTimers) -> Iterator[str]:
    yield f"detect-multiplier {timers.detect_multiplier}"
    yield f"receive-interval {timers.receive_ms}"
    yield f"transmit-interval {timers.transmit_ms}"
    yield f"echo transmit-interval {timers.echo_ms}"
    yield f"echo receive-interval {timers.echo_ms}"
    yield f"minimum-ttl {timers.minimum_ttl}"
    yield "passive-mode" if timers.passive_mode else "no passive-mode"
    yield "echo-mode" if timers.echo_mode else "no echo-mode"
