"""ExaBGP as seen from its process: lines in, lines out. It stands at the far end of the pipe.

As much of ExaBGP 5 as the speaker's conversation needs: its neighbors come from the configuration
file, a reload reads that again or is lost, and each command is answered at once.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path

from exabgp_metallb.adapters.exabgp.neighbors import parse_neighbors
from exabgp_metallb.values.addresses import Address, Prefix

LOCAL = "10.0.0.11"

NEIGHBOR = """\
neighbor {address} {{
    description "{description}";
    router-id 10.0.0.11;
    local-address {local};
    local-as 64512;
    peer-as {peer_as};
    hold-time {hold};
    family {{
        ipv4 unicast;
    }}
    api {{
        processes [ {process} ];
    }}
}}
"""


def neighbor_text(
    address: str,
    *,
    description: str = "tor",
    local: str = "auto",
    hold: int = 90,
    peer_as: int | str = 64512,
    process: str = "exabgp-metallb",
) -> str:
    """Return a section of exabgp.conf."""
    return NEIGHBOR.format(
        address=address,
        description=description,
        local=local,
        hold=hold,
        peer_as=peer_as,
        process=process,
    )


class FarEnd:
    """ExaBGP.

    Attributes:
        text: what it has read of its configuration.
        established: the neighbors with a session.
        ribs: what it holds for each neighbor; survives its sessions.
        attributes: of what it holds, in words; without an entry nothing but our next hop.
        lost_reloads: how many more reloads are to be lost.
        heard: every line that was written to it.
        refused: lines with one of these words are answered with an error.
    """

    def __init__(self, conf: Path | str) -> None:
        self.conf = conf
        self.text = self._read()
        self.established: set[Address] = set()
        self.ribs: dict[Address, set[Prefix]] = {}
        self.attributes: dict[tuple[Address, Prefix], str] = {}
        self.lost_reloads = 0
        self.heard: list[str] = []
        self.refused: set[str] = set()

    def answers(self, lines: Iterable[str]) -> list[str]:
        """Carry out commands and return what it writes to its process."""
        return [said for line in lines for said in self._answer(line)]

    def up(self, address: str) -> list[str]:
        """Establish a session: what it holds is sent again, and told."""
        neighbor = ip_address(address)
        self.established.add(neighbor)
        held = self.ribs.setdefault(neighbor, set())
        return [_event(neighbor, "state", state="up"), *_sent(neighbor, held, "announce")]

    def down(self, address: str, reason: str = "closing connection") -> list[str]:
        """End a session, or fail to make one."""
        self.established.discard(ip_address(address))
        return [_event(ip_address(address), "state", state="down", reason=reason)]

    @property
    def neighbors(self) -> list[Address]:
        """The neighbors of what it has read."""
        return [n.address for n in parse_neighbors(self.text.splitlines())]

    def _read(self) -> str:
        return self.conf if isinstance(self.conf, str) else self.conf.read_text()

    def _answer(self, line: str) -> Iterator[str]:
        self.heard.append(line)
        if any(word in line for word in self.refused) or self._refuses(line):
            yield "error"
        elif line == "version":
            yield "exabgp 5.0.15"
        elif line not in ("reset", "silence-ack"):
            yield from self._rows(line)
            yield "done"
            yield from self._route(line)
            yield from self._tear_down(line)

    def _rows(self, line: str) -> Iterator[str]:
        if line.startswith("show neighbor summary"):
            yield "Peer            AS        up/down state       |     #sent     #recvd"
            for neighbor in self._shown(line.removeprefix("show neighbor summary")):
                state = "established" if neighbor in self.established else "connect"
                yield f"{neighbor!s:<15} 64512     0:00:03 {state:<12} 12 0"
        elif line == "show neighbor configuration":
            yield from self.text.splitlines()
        elif line.startswith("show adj-rib out"):
            words = line.removeprefix("show adj-rib out").removesuffix("extensive")
            for neighbor in self._shown(words):
                for prefix in sorted(self.ribs.get(neighbor, ()), key=str):
                    shown = self.attributes.get((neighbor, prefix), f"next-hop {LOCAL}")
                    yield f"neighbor {neighbor} ipv{prefix.version} unicast {prefix} {shown}"
        elif line in ("reload", "shutdown"):
            yield f"{line} in progress"
            if line == "reload":
                self._reload()

    def _shown(self, words: str) -> list[Address]:
        return [n for n in self.neighbors if words.strip() in ("", str(n))]

    def _auto(self, words: str) -> bool:
        """Tell whether a question is about a neighbor whose AS is not in the configuration."""
        neighbors = parse_neighbors(self.text.splitlines())
        return any(n.peer_as is None and words.strip() in ("", str(n.address)) for n in neighbors)

    def _refuses(self, line: str) -> bool:
        if line.endswith(" flush adj-rib out"):
            return ip_address(line.split()[1]) not in self.established
        summary = line.startswith("show neighbor summary")
        return summary and self._auto(line.removeprefix("show neighbor summary"))

    def _reload(self) -> None:
        if self.lost_reloads:
            self.lost_reloads -= 1
            return
        before = set(parse_neighbors(self.text.splitlines()))
        self.text = self._read()
        for gone in before.difference(parse_neighbors(self.text.splitlines())):
            self.established.discard(gone.address)
            self.ribs.pop(gone.address, None)

    def _tear_down(self, line: str) -> Iterator[str]:
        selector, _, code = line.partition(" teardown ")
        neighbor = selector.removeprefix("neighbor ")
        if code and ip_address(neighbor) in self.established:
            yield from self.down(neighbor, f"notification sent (6,{code})")

    def _route(self, line: str) -> Iterator[str]:
        head, _, routes = line.partition(" nlri ")
        act = "announce" if " announce " in head else "withdraw"
        if not routes:
            return
        words = head.replace(",", " ").split()
        next_hop = words[words.index("next-hop") + 1].replace("self", LOCAL)
        for neighbor in [ip_address(w) for v, w in pairwise(words) if v == "neighbor"]:
            prefixes = {ip_network(word) for word in routes.split()}
            held = self.ribs.setdefault(neighbor, set())
            shown = head.partition(" attributes ")[2].replace("self", LOCAL)
            same = {p for p in held if self.attributes.get((neighbor, p), shown) == shown}
            told = prefixes - same if act == "announce" else prefixes & held
            held.difference_update(prefixes) if act == "withdraw" else held.update(prefixes)
            self.attributes.update(dict.fromkeys([(neighbor, p) for p in prefixes], shown))
            yield from _sent(neighbor, told, act, next_hop, _attributes(head))


def _event(neighbor: Address, kind: str, **more: object) -> str:
    addresses = {"local": LOCAL, "peer": str(neighbor)}
    return json.dumps({"type": kind, "neighbor": {"address": addresses, **more}})


def _sent(
    neighbor: Address,
    prefixes: Iterable[Prefix],
    act: str,
    next_hop: str = LOCAL,
    attributes: Mapping[str, object] | None = None,
) -> Iterator[str]:
    for prefix in sorted(prefixes, key=str):
        nlri = [{"nlri": str(prefix)}]
        told = {f"ipv{prefix.version} unicast": {next_hop: nlri} if act == "announce" else nlri}
        update = {"attribute": attributes or {}, act: told}
        yield _event(neighbor, "update", direction="send", message={"update": update})


def _attributes(head: str) -> dict[str, object]:
    """Return what ExaBGP tells of the attributes in a command."""
    found: dict[str, object] = {}
    if preference := re.search(r" local-preference (\d+)", head):
        found["local-preference"] = int(preference[1])
    if communities := re.search(r" community \[ (.*?) \]", head):
        found["community"] = [list(map(int, c.split(":"))) for c in communities[1].split()]
    return found
