"""Random edits of everything that sessions and routes are made of, against a real router.

    python -m tests.bench.edits [--edits 1000] [--seed N]                               needs root

One node has three sessions with an FRR, each between addresses of its own, and a fourth peer that
never answers. After each edit, or burst of them, the router has to hold what `plan` says of the
same objects, and no session may have been reset but those that the edit is about.
"""

import argparse
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from ipaddress import IPv4Address, ip_address, ip_network

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.decisions.sessions import sessions_of
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.decided import Question, decide
from exabgp_metallb.programs.plan import plan_document
from exabgp_metallb.programs.run import SPEAKER_COMMAND
from exabgp_metallb.values.specs import Parsed
from tests.bench.figures import spread
from tests.integration.lab.frr import FrrRouter
from tests.integration.lab.history import Prefix
from tests.integration.lab.network import Lab
from tests.integration.lab.router import NeighborConfig, Path, RouterConfig, Routes, difference
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    community,
    node,
    peer,
    pool,
    secret,
    service,
    slice_of,
)
from tests.integration.nodes import Node

ROUTER_ASN, NODE_ASN = 64512, 64513
PEERS: Mapping[str, tuple[IPv4Address, IPv4Address]] = {  # the router's address, the node's
    f"tor{n}": (IPv4Address(f"10.0.0.{n}"), IPv4Address(f"10.0.0.{10 + n}")) for n in (1, 2, 3)
}
LOCKED = "tor1"  # has a password
DEAD = "dead"
POOLS = {"public": "192.0.2", "inner": "198.51.100"}
SERVICES = 8
SETTLE_SECONDS = 90.0
BURST = 0.2  # of all edits are several at once

HELD = re.compile(r"(\d{4}-\S+) +INFO +ExaBGP holds")

Edit = tuple[str, frozenset[str]]
"""What was edited, and the peers whose sessions may be reset by it."""


class Theatre:
    """A node, its router, and the objects.

    Args:
        lab: an empty one.
        seed: of all that is drawn.
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self._choice = random.Random(seed)  # noqa: S311 -- nothing is kept secret by it
        self._seed = seed
        self._edits: list[str] = []
        tor = lab.host("tor", *(f"{theirs}/24" for theirs, _ in PEERS.values()))
        host = lab.host("node1", *(f"{ours}/24" for _, ours in PEERS.values()))
        neighbors = tuple(
            NeighborConfig(
                address=ours,
                asn=NODE_ASN,
                families=("ipv4",),
                password="first" if name == LOCKED else None,
            )
            for name, (_, ours) in PEERS.items()
        )
        self.router = FrrRouter(
            tor,
            RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors),
        )
        self._manifests = Manifests(lab.folder / "manifests")
        self._objects: dict[tuple[str, str], Object] = {}
        self.node = Node(host, self._manifests.path)
        self._changed: list[Object] = list(self._first())

    def start(self) -> None:
        """Start both, and wait for the first table."""
        self.router.start()
        self._apply()
        self.node.start()
        self.node.wait_file("exabgp.conf", "neighbor ")
        self._settle()

    def step(self) -> float:
        """Edit something, wait until all is as it should be, and return the seconds it took.

        Raises:
            AssertionError: it never was, or a session was reset that had nothing to do with it.
        """
        before = self._establishments()
        burst = self._choice.randrange(2, 6) if self._choice.random() < BURST else 1
        edits = [
            self._choice.choice(EDITS if burst == 1 else EDITS[:-1])(self) for _ in range(burst)
        ]
        self._edits.append(" + ".join(text for text, _ in edits))
        concerned = frozenset[str]().union(*(peers for _, peers in edits))
        begun = time.monotonic()
        self._apply()
        self._settle()
        seconds = time.monotonic() - begun
        after = self._establishments()
        reset = {name for name in PEERS if after[name] != before[name]} - concerned
        assert not reset, f"{sorted(reset)} were reset by {self._story()}"
        return seconds

    # The objects.

    def _first(self) -> Iterator[Object]:
        yield node("node1", *(ours for _, ours in PEERS.values()), rack="a")
        for name, prefix in POOLS.items():
            yield pool(name, f"{prefix}.0/24")
        yield community("names", blue="65001:1", red="65001:2")
        yield secret("tor1", "first")
        for name in (*PEERS, DEAD):
            yield self._peer(name, 9)
        yield advertisement("ad0")
        for number in range(SERVICES):
            yield from self._service(number)

    def _peer(self, name: str, hold: int, **spec: object) -> Object:
        theirs, ours = PEERS.get(name, (IPv4Address("10.0.0.99"), IPv4Address("10.0.0.11")))
        if name == LOCKED:
            spec["passwordSecret"] = {"name": "tor1"}
        return peer(
            name,
            theirs,
            asn=NODE_ASN,
            peer_asn=ROUTER_ASN,
            sourceAddress=str(ours),
            **spec | {"holdTime": f"{hold}s"},
        )

    def _service(self, number: int) -> tuple[Object, Object]:
        name = f"s{number}"
        prefix = self._choice.choice(list(POOLS.values()))
        policy = self._choice.choice(["Cluster", "Local"])
        where = self._choice.choice([["node1"], ["node1", "node2"], ["node2"], []])
        address = f"{prefix}.{number + 1}"
        return service(name, address, policy=policy), slice_of(name, *where)

    # The edits.

    def edit_services(self) -> Edit:
        """Put one, or take it away."""
        number = self._choice.randrange(SERVICES)
        if ("Service", f"s{number}") in self._objects and self._choice.random() < 0.3:
            return self._take("Service", f"s{number}")
        self._changed += self._service(number)
        return f"Service s{number}", frozenset()

    def edit_advertisements(self) -> Edit:
        """Put one of three with other pools, peers, communities, lengths, or take it away."""
        name = f"ad{self._choice.randrange(3)}"
        if ("BGPAdvertisement", name) in self._objects and self._choice.random() < 0.3:
            return self._take("BGPAdvertisement", name)
        spec: Object = {
            "communities": self._some(["blue", "red", "65001:9", "large:65001:2:3"]),
            "ipAddressPools": self._some(list(POOLS)),
            "peers": self._some([*PEERS, DEAD, "nobody"]),
            "aggregationLength": self._choice.choice([32, 32, 28, 24]),
            "nodeSelectors": self._selectors(),
        }
        self._changed.append(advertisement(name, **spec))
        return f"BGPAdvertisement {name} {spec}", frozenset()

    def edit_communities(self) -> Edit:
        """Let an alias stand for something else."""
        blue = f"65001:{self._choice.randrange(10, 20)}"
        self._changed.append(community("names", blue=blue, red="65001:2"))
        return f"Community blue {blue}", frozenset()

    def edit_peers(self) -> Edit:
        """Put one with another hold time and other selectors, or take it away."""
        name = self._choice.choice([*PEERS, DEAD])
        if ("BGPPeer", name) in self._objects and self._choice.random() < 0.3:
            return self._take("BGPPeer", name)
        hold = self._choice.choice([9, 12, 15])
        spec = {"nodeSelectors": selectors} if (selectors := self._selectors()) else {}
        self._changed.append(self._peer(name, hold, **spec))
        return f"BGPPeer {name} {hold} {spec}", frozenset({name})

    def edit_labels(self) -> Edit:
        """Move the node to another rack, which has other peers."""
        rack = self._choice.choice("ab")
        addresses = [ours for _, ours in PEERS.values()]
        self._changed.append(node("node1", *addresses, rack=rack))
        selective = (n for n in PEERS if "nodeSelectors" in self._spec(n))
        return f"Node rack={rack}", frozenset(selective)

    def edit_secrets(self) -> Edit:
        """Rotate the password, at the router too."""
        password = f"word-{self._choice.randrange(10**6)}"
        ours = PEERS[LOCKED][1]
        self.router.vty(
            "configure terminal", f"router bgp {ROUTER_ASN}", f"neighbor {ours} password {password}"
        )
        self._changed.append(secret("tor1", password))
        wait_for(lambda: not self.router.established(ours), SETTLE_SECONDS, f"{ours} down")
        return f"Secret tor1 {password}", frozenset({LOCKED})

    def _take(self, kind: str, name: str) -> Edit:
        self._changed = [o for o in self._changed if _key(o) != (kind, name)]
        self._manifests.remove(kind, name)
        del self._objects[kind, name]
        return f"no {kind} {name}", frozenset({name})

    def _some(self, of: list[str]) -> list[str]:
        return [each for each in of if self._choice.random() < 0.5]

    def _selectors(self) -> list[Object]:
        return self._choice.choice([[], [], [{"matchLabels": {"rack": "a"}}]])

    def _spec(self, name: str) -> Object:
        spec: Object = self._objects.get(("BGPPeer", name), {}).get("spec", {})
        return spec

    # What comes of them.

    def _apply(self) -> None:
        self._manifests.put(*self._changed)
        self._objects |= {_key(each): each for each in self._changed}
        self._changed = []

    def _settle(self) -> None:
        objects = [found for each in self._objects.values() if (found := parse(each)) is not None]
        text = _configuration(objects)
        wanted, up = _planned(objects)
        wait_for(
            lambda: self.node.conf == text and self._is_in_force() and self._established() == up,
            SETTLE_SECONDS,
            lambda: f"sessions {up}: {self._established()} after {self._story()}\n{text}",
        )
        wait_for(
            lambda: self.router.routes() == wanted,
            SETTLE_SECONDS,
            lambda: f"{self._story()}\n{difference(_rows(wanted), _rows(self.router.routes()))}",
        )

    def _is_in_force(self) -> bool:
        """Tell whether ExaBGP was seen to hold what is in exabgp.conf, since that was written."""
        held = HELD.findall(self.node.log())
        written = (self.node.state / "exabgp.conf").stat().st_mtime
        return bool(held) and datetime.fromisoformat(held[-1]).timestamp() > written

    def _established(self) -> set[str]:
        return {name for name, (_, ours) in PEERS.items() if self.router.established(ours)}

    def _establishments(self) -> Mapping[str, int]:
        return {name: self.router.establishments(ours) for name, (_, ours) in PEERS.items()}

    def _story(self) -> str:
        last = "\n".join(self._edits[-3:])
        return f"edit {len(self._edits)} of seed {self._seed}; the last ones:\n{last}"


EDITS: tuple[Callable[[Theatre], Edit], ...] = (
    Theatre.edit_services,
    Theatre.edit_services,
    Theatre.edit_advertisements,
    Theatre.edit_advertisements,
    Theatre.edit_communities,
    Theatre.edit_peers,
    Theatre.edit_labels,
    Theatre.edit_secrets,  # alone: it ends a session at the router's side
)
"""A route on its way to a router whose session ends in that moment, and that answers no more, keeps
ExaBGP from every reload until it does; that is known, and would fail here by chance."""


def _key(each: Object) -> tuple[str, str]:
    return each["kind"], each["metadata"]["name"]


def _configuration(objects: list[Parsed]) -> str:
    """Return the exabgp.conf that follows from objects."""
    snapshot = decide(objects, Question()).snapshot
    sessions = sessions_of(snapshot.intent.peers, snapshot.nodes["node1"])
    return conf.render(sessions, run=SPEAKER_COMMAND)


def _planned(objects: list[Parsed]) -> tuple[Routes, set[str]]:
    """Return what `plan` says the router holds, and who has a session."""
    planned = plan_document(objects, Question())["nodes"]["node1"]
    routes: dict[Prefix, set[Path]] = {}
    for row in planned["bgp"]:
        if row["peer"] in PEERS:
            path = Path(
                next_hop=ip_address(PEERS[row["peer"]][1]),
                as_path=(NODE_ASN,),
                communities=tuple(sorted(row["communities"])),
                large_communities=tuple(sorted(row["largeCommunities"])),
            )
            routes.setdefault(ip_network(row["prefix"]), set()).add(path)
    up = {row["peer"] for row in planned["sessions"]} & PEERS.keys()
    return {prefix: frozenset(paths) for prefix, paths in routes.items()}, up


def _rows(routes: Routes) -> set[str]:
    return {f"{prefix} {path}" for prefix, paths in routes.items() for path in paths}


def main() -> None:
    """Make the edits, and print how long they took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311 -- no key
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with Lab() as lab:
        theatre = Theatre(lab, arguments.seed)
        theatre.start()
        seconds = [theatre.step() for _ in range(arguments.edits)]
    print(f"{len(seconds)} edits, no session reset but by its own; settled in {spread(seconds)}")


if __name__ == "__main__":
    main()
