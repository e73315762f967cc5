"""The neighbors of somebody's own exabgp.conf, read back from ExaBGP.

`show neighbor configuration` prints every neighbor in the grammar of the configuration file: one
setting a line, sections in braces. We read the few settings that decisions need. The text can hold
TCP MD5 passwords; none of it is kept or logged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.intent import DynamicAsn, Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredNeighbor:
    """One neighbor section of exabgp.conf."""

    address: Address
    description: str
    local_as: int | None  # None: `auto`
    peer_as: int | None
    families: frozenset[Family]
    processes: frozenset[str]  # those that its api sections name
    manual_eor: bool

    def as_peer(self) -> Peer:
        """Return the neighbor as the decisions know peers; its name is its address."""
        return Peer(
            name=str(self.address),
            my_asn=self.local_as or 0,
            peer_asn=DynamicAsn.EXTERNAL if self.peer_as is None else self.peer_as,
            address=self.address,
            dual_stack=len(self.families) > 1,
            graceful_restart=self.manual_eor,
        )


def parse_neighbors(lines: Iterable[str]) -> tuple[ConfiguredNeighbor, ...]:
    """Return the neighbors that `show neighbor configuration` printed."""
    return tuple(_neighbor(block) for block in _blocks(lines))


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        if line.startswith("neighbor "):
            block = []
        block.append(line)
        if line.rstrip() == "}" and block[0].startswith("neighbor "):
            yield block
            block = []


def _neighbor(block: list[str]) -> ConfiguredNeighbor:
    settings: dict[str, str] = {}
    families: set[Family] = set()
    processes: set[str] = set()
    for line in block[1:]:
        words = line.strip().rstrip(";").split(maxsplit=1)
        if line.strip() in ("ipv4 unicast;", "ipv6 unicast;"):
            families.add(Family.IPV4 if words[0] == "ipv4" else Family.IPV6)
        elif words[:1] == ["processes"]:
            processes.update(words[1].strip("[] ").split())
        elif len(words) == 2:
            settings.setdefault(words[0], words[1].strip('"'))
    return ConfiguredNeighbor(
        address=ip_address(block[0].split()[1]),
        description=settings.get("description", ""),
        local_as=_asn(settings.get("local-as", "")),
        peer_as=_asn(settings.get("peer-as", "")),
        families=frozenset(families),
        processes=frozenset(processes),
        manual_eor=settings.get("manual-eor") == "true",
    )


def _asn(word: str) -> int | None:
    return int(word) if word.isdigit() else None
