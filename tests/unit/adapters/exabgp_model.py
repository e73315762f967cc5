"""ExaBGP between its pipes and its routers, made of its own code and without sockets or processes.

Real are: the parser of commands and their handlers, the choice of neighbors, the Adj-RIB-Out, the
making of UPDATEs, and the text of its events. Modelled on reactor/loop.py, reactor/asynchronous.py
and peer.py `_main` are: when each of them gets its turn, and what a session sends as it comes up.
The routers' tables are read from the bytes of the UPDATEs.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from struct import unpack
from types import SimpleNamespace
from typing import Any

from exabgp.bgp.message import Action
from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.open.asn import ASN
from exabgp.bgp.message.open.capability.negotiated import Negotiated
from exabgp.bgp.message.update import Update
from exabgp.bgp.message.update.attribute import Attribute
from exabgp.configuration.configuration import Configuration
from exabgp.configuration.core.format import formated
from exabgp.environment import getenv
from exabgp.logger import log
from exabgp.protocol.family import AFI, SAFI
from exabgp.reactor.api import API
from exabgp.reactor.api.command.limit import extract_neighbors
from exabgp.reactor.api.response import Response
from exabgp.reactor.protocol import Protocol
from exabgp.rib import RIB

from exabgp_metallb.values.addresses import Address, Family, Prefix
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.rib import Attributes, LinkBandwidth

LOCAL = "127.0.0.1"
LOCAL_AS = 65001
STEPS_PER_TURN = 50  # ASYNC.LIMIT
PROCESS = "lb"

Untyped = Any
"""What is ExaBGP's: the package ships no types."""

getenv().log.enable = False
log.init(getenv())

_API = API(reactor=None)


def neighbor_section(address: Address, peer_as: int) -> str:
    """Return the configuration of one neighbor."""
    return f"""
    neighbor {address} {{
        router-id {LOCAL}; local-address {LOCAL}; local-as {LOCAL_AS}; peer-as {peer_as};
        manual-eor true;
        family {{ ipv4 unicast; ipv6 unicast; }}
        api {{ processes [ {PROCESS} ]; neighbor-changes; send {{ parsed; update; }} }}
    }}
    """


def parse_neighbor(address: Address, peer_as: int) -> tuple[str, Untyped]:
    """Return one neighbor as ExaBGP's own parser makes it, and the name it goes by."""
    process = f"process {PROCESS} {{ run /bin/true; encoder json; }}"
    configuration = Configuration([process + neighbor_section(address, peer_as)], text=True)
    assert configuration.reload(), configuration.error
    ((name, neighbor),) = configuration.neighbors.items()
    return name, neighbor


@dataclass(eq=False)
class Router:
    """One neighbor of ExaBGP and its session.

    Attributes:
        table: what the router at the other end has, empty without a session.
        ends_of_rib: families whose End-of-RIB came in this session, and the table at that moment.
    """

    name: str
    neighbor: Untyped
    peer_as: int
    established: bool = False
    table: dict[Prefix, Attributes] = field(default_factory=dict)
    ends_of_rib: list[tuple[Family, dict[Prefix, Attributes]]] = field(default_factory=list)
    updates: Iterator[object] | None = None
    include_withdraw: bool = False

    @property
    def internal(self) -> bool:
        """Tell whether the session is iBGP."""
        return self.peer_as == LOCAL_AS


class ExabgpModel:
    """ExaBGP as its process sees it: lines in, lines out, and routers beyond.

    Attributes:
        written: lines that the process wrote and ExaBGP has not read.
        told: lines that ExaBGP wrote and the process has not read.
        routers: by address; those that are in the configuration.
    """

    def __init__(self) -> None:
        RIB._cache.clear()
        self.written: deque[str] = deque()
        self.told: deque[str] = deque()
        self.routers: dict[Address, Router] = {}
        self.queue: deque[Iterator[object]] = deque()
        self._encoder = Response.JSON("5.0.0")
        self._api = _API
        self._reactor = _reactor(self)

    # The configuration.

    def add(self, address: Address, peer_as: int) -> None:
        """Read a configuration that has one more neighbor."""
        name, neighbor = parse_neighbor(address, peer_as)
        self.routers[address] = Router(name, neighbor, peer_as)

    def remove(self, address: Address) -> None:
        """Read a configuration that has one neighbor less (Peer.remove)."""
        router = self.routers.pop(address)
        if router.established:
            self.told.append(self._encoder.down(router.neighbor, "stop, message [removed]"))
        router.neighbor.rib.uncache()

    # The sessions.

    def establish(self, address: Address) -> None:
        """Bring a session up, and give it the rest of that turn (Peer._main)."""
        router = self.routers[address]
        router.established, router.updates, router.include_withdraw = True, None, False
        self.told.append(self._encoder.up(router.neighbor))
        router.neighbor.rib.outgoing.replace_restart([], [])
        self.flush(address, 1)

    def end(self, address: Address) -> None:
        """Have a session end (Peer._reset)."""
        router = self.routers[address]
        self.told.append(self._encoder.down(router.neighbor, "closing connection"))
        router.established, router.updates = False, None
        router.table.clear()
        router.ends_of_rib.clear()
        router.neighbor.reset_rib()

    def refresh(self, address: Address) -> None:
        """Have a router ask for all routes again (RFC 2918)."""
        self.routers[address].neighbor.rib.outgoing.resend(enhanced_refresh=False)

    def flush(self, address: Address, messages: int) -> None:
        """Give an established session its turn; its router reads no more than so many messages."""
        router = self.routers[address]
        if router.updates is None and router.neighbor.rib.outgoing.pending():
            router.updates = Protocol.new_update(_protocol(self, router), router.include_withdraw)
        if router.updates is None:
            self._send_end_of_rib(router)
            return
        for _ in range(messages):
            if next(router.updates, None) is None:
                router.updates, router.include_withdraw = None, True
                return

    def _send_end_of_rib(self, router: Router) -> None:
        if router.neighbor.eor:
            afi = router.neighbor.eor.popleft().afi
            family = Family.IPV4 if afi == AFI.ipv4 else Family.IPV6
            router.ends_of_rib.append((family, dict(router.table)))

    def send(self, router: Router, raw: bytes) -> None:
        """Put an UPDATE on the wire, and tell the process of it (Protocol.send)."""
        message = Update.unpack_message(raw[19:], Direction.OUT, _negotiated(router))
        event = self._encoder.update(router.neighbor, "send", message, None, b"", b"")
        self.told.append(event)
        for nlri in message.nlris:
            prefix = ip_network(str(nlri.cidr))
            if nlri.action == Action.WITHDRAW:
                router.table.pop(prefix, None)
            else:
                router.table[prefix] = _attributes(message.attributes, str(nlri.nexthop))

    # The API.

    def read(self, lines: int) -> None:
        """Take in commands (Processes.received)."""
        for _ in range(min(lines, len(self.written))):
            self._api.process(self._reactor, PROCESS, formated(self.written.popleft()))

    def work(self, steps: int = STEPS_PER_TURN) -> None:
        """Go on with the commands taken in (ASYNC._run_async)."""
        for _ in range(steps):
            if not self.queue:
                return
            try:
                next(self.queue[0])
            except StopIteration:
                self.queue.popleft()
            except Exception:  # noqa: BLE001 -- as ExaBGP does
                self.queue.popleft()
                self.told.append("error")

    @property
    def quiet(self) -> bool:
        """Tell whether nothing is on its way anywhere."""
        pending = any(
            r.updates is not None or r.neighbor.rib.outgoing.pending() or r.neighbor.eor
            for r in self.routers.values()
            if r.established
        )
        return not (self.written or self.told or self.queue or pending)

    def overtaking(self, address: Address) -> bool:
        """Tell whether several changes of one prefix may be waiting to be sent."""
        router = self.routers[address]
        buckets = router.neighbor.rib.outgoing._new_attr_af_nlri.values()
        changes = [index for bucket in buckets for family in bucket.values() for index in family]
        return router.updates is not None or len(changes) != len(set(changes))

    def waiting(self, address: Address) -> set[Prefix]:
        """Return the prefixes of which a change is waiting to be sent."""
        buckets = self.routers[address].neighbor.rib.outgoing._new_attr_af_nlri.values()
        changes = (c for bucket in buckets for family in bucket.values() for c in family.values())
        return {ip_network(str(change.nlri.cidr)) for change in changes}

    def rows(self, address: Address) -> list[str]:
        """Return what `show adj-rib out extensive` prints (_show_adjrib_callback)."""
        neighbor = self.routers[address].neighbor
        return [
            f"{neighbor.name()} {change.nlri.afi} {change.nlri.safi} {change.extensive()}"
            for change in neighbor.rib.outgoing.cached_changes()
        ]


def read_back(line: str) -> tuple[list[Address], list[tuple[Prefix, Attributes]]]:
    """Return whom a line of routes picks, and what it says of each prefix, in ExaBGP's reading."""
    picked, command = extract_neighbors(formated(line))
    changes = _API.api_attributes(command, [])
    return [_picked(words) for words in picked], [
        (ip_network(str(c.nlri.cidr)), _attributes(c.attributes, str(c.nlri.nexthop)))
        for c in changes
    ]


def eor_family(line: str) -> tuple[Address, Family]:
    """Return the neighbor and the family of an End-of-RIB, in ExaBGP's reading."""
    (words,), command = extract_neighbors(formated(line))
    family = _API.api_eor(command)
    assert family.safi == SAFI.unicast
    return _picked(words), Family.IPV4 if family.afi == AFI.ipv4 else Family.IPV6


def _picked(words: list[str]) -> Address:
    (word,) = words
    return ip_address(word.removeprefix("neighbor "))


def _reactor(model: ExabgpModel) -> SimpleNamespace:
    """Return what ExaBGP's commands need of the reactor."""
    configuration = Configuration([])

    def peers(service: str = "") -> list[str]:  # noqa: ARG001 -- all of them are ours
        configuration.neighbors = {r.name: r.neighbor for r in model.routers.values()}
        return list(configuration.neighbors)

    def established_peers() -> set[str]:
        peers()
        return {r.name for r in model.routers.values() if r.established}

    return SimpleNamespace(
        configuration=configuration,
        peers=peers,
        established_peers=established_peers,
        asynchronous=SimpleNamespace(schedule=lambda _, __, work: model.queue.append(work)),
        processes=SimpleNamespace(
            answer_done=lambda _: model.told.append("done"),
            answer_error=lambda _: model.told.append("error"),
        ),
    )


def _protocol(model: ExabgpModel, router: Router) -> SimpleNamespace:
    """Return what the making of UPDATEs needs of a session."""

    def send(raw: bytes) -> Iterator[bool]:
        model.send(router, raw)
        yield True

    return SimpleNamespace(
        neighbor=router.neighbor,
        negotiated=_negotiated(router),
        send=send,
        connection=SimpleNamespace(session=lambda: "model"),
    )


def _negotiated(router: Router) -> Untyped:
    negotiated = Negotiated(router.neighbor)
    negotiated.local_as, negotiated.peer_as = ASN(LOCAL_AS), ASN(router.peer_as)
    negotiated.families = [(AFI.ipv4, SAFI.unicast), (AFI.ipv6, SAFI.unicast)]
    negotiated.asn4 = True
    return negotiated


def _attributes(carried: Untyped, next_hop: str) -> Attributes:
    """Return attributes of ExaBGP's as ours; `self` is what None is to us."""
    local_pref = carried.get(Attribute.CODE.LOCAL_PREF)
    communities = getattr(carried.get(Attribute.CODE.COMMUNITY), "communities", ())
    large = getattr(carried.get(Attribute.CODE.LARGE_COMMUNITY), "communities", ())
    extended = getattr(carried.get(Attribute.CODE.EXTENDED_COMMUNITY), "communities", ())
    med, path = carried.get(Attribute.CODE.MED), carried.get(Attribute.CODE.AS_PATH)
    bandwidths = [LinkBandwidth(*unpack("!xxHf", c.pack())) for c in extended]
    assert all(c.pack()[:2] == b"\x40\x04" for c in extended)
    return Attributes(
        next_hop=None if next_hop == "self" else ip_address(next_hop),
        local_pref=None if local_pref is None else local_pref.localpref,
        communities=tuple(sorted(Community(*unpack("!HH", c.pack())) for c in communities)),
        large_communities=tuple(sorted(LargeCommunity(*unpack("!LLL", c.pack())) for c in large)),
        med=None if med is None else med.med,
        as_path=() if path is None else tuple(int(asn) for part in path.aspath for asn in part),
        link_bandwidth=bandwidths[0] if bandwidths else None,
    )
