"""The neighbors of an exabgp.conf, read back from ExaBGP or from a text of ours.

`show neighbor configuration` prints every neighbor in the grammar of the configuration file: one
setting a line, sections in braces. Our own files are written the same way, so one reader serves
both, and tells whether ExaBGP has what a file says. The text can hold TCP MD5 passwords; none of it
is kept but a digest.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.intent import DynamicAsn, Peer

SETTINGS = frozenset(
    {
        "adj-rib-out",
        "connect",
        "description",
        "graceful-restart",
        "hold-time",
        "local-address",
        "local-as",
        "manual-eor",
        "md5-password",
        "outgoing-ttl",
        "peer-as",
        "router-id",
        "source-interface",
    }
)
"""What we write into a file; ExaBGP shows its defaults for more."""

UNSET = frozenset({"None", "auto", "disable", "false"})
"""How ExaBGP shows a setting that the file leaves out, or leaves to ExaBGP."""

BARE = "source-interface"
"""ExaBGP shows it without quotes, so a device that is called None looks like none."""


NEIGHBOR_CHANGES, SENT = "neighbor-changes", "send update"
"""What an api section may have a process told that we need: of sessions, of UPDATEs sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredNeighbor:
    """One neighbor section of exabgp.conf.

    Attributes:
        local_address: None: ExaBGP speaks from the one that the kernel gives it.
        local_as: None: the peer's.
        peer_as: None: any.
        processes: those that its api sections name.
        reports: what ExaBGP tells which of them: (process, NEIGHBOR_CHANGES), (process, SENT).
        digest: of all its SETTINGS, so that two versions of a neighbor differ.
    """

    address: Address
    description: str
    local_address: Address | None = None
    local_as: int | None
    peer_as: int | None
    families: frozenset[Family]
    processes: frozenset[str]
    reports: frozenset[tuple[str, str]] = frozenset()
    manual_eor: bool
    digest: str = ""

    def as_peer(self) -> Peer:
        """Return the neighbor as the decisions know peers; its name is its address."""
        return Peer(
            name=str(self.address),
            my_asn=self.local_as or 0,
            peer_asn=DynamicAsn.EXTERNAL if self.peer_as is None else self.peer_as,
            address=self.address,
            source_address=self.local_address,
            dual_stack=len(self.families) > 1,
            graceful_restart=self.manual_eor,
        )


def parse_neighbors(lines: Iterable[str]) -> tuple[ConfiguredNeighbor, ...]:
    """Return the neighbors that `show neighbor configuration` printed, or that a file holds."""
    return tuple(_neighbor(block) for block in _blocks(lines))


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        if line.startswith("neighbor "):
            block = [line]
        elif block:
            block.append(line)
        if block and line.rstrip() == "}":
            yield block
            block = []


def _neighbor(block: list[str]) -> ConfiguredNeighbor:
    settings: dict[str, str] = {}
    families: set[Family] = set()
    processes: set[str] = set()
    for line in block[1:]:
        name, _, value = line.strip().rstrip(";").partition(" ")
        if value == "unicast" and name in ("ipv4", "ipv6"):
            families.add(Family(int(name[-1])))
        elif name == "processes":
            processes.update(value.strip("[] ").split())
        elif name in SETTINGS and (value.strip('"') if name == BARE else value) not in UNSET:
            settings.setdefault(name, value.strip('"'))
    local = settings.get("local-address")
    return ConfiguredNeighbor(
        address=ip_address(block[0].split()[1]),
        description=settings.get("description", ""),
        local_address=None if local is None else ip_address(local),
        local_as=_asn(settings.get("local-as", "")),
        peer_as=_asn(settings.get("peer-as", "")),
        families=frozenset(families),
        processes=frozenset(processes),
        manual_eor="manual-eor" in settings,
        reports=frozenset(_reports(block)),
        digest=hashlib.sha256(repr(sorted(settings.items())).encode()).hexdigest(),
    )


def _reports(block: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what each api section has its processes told: a `processes` line begins it."""
    told: list[str] = []
    direction = ""
    for line in block:
        name, _, value = line.strip().rstrip(";").partition(" ")
        if name == "processes":
            told = value.strip("[] ").split()
        elif value == "{":
            direction = "" if name == "api" else f"{name} "
        elif name == "}":
            direction = ""
        elif direction + name in (NEIGHBOR_CHANGES, SENT):
            yield from ((process, direction + name) for process in told)


def _asn(word: str) -> int | None:
    return int(word) if word.isdigit() else None
