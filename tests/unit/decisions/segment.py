"""A simulated segment: nodes with the real state machine, a clock, and frames between them."""

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from exabgp_metallb.decisions.binding import Action, Announce, Answer, Ask, Place, Silence
from exabgp_metallb.decisions.ownership import Ownership
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import (
    BROADCAST,
    ArpRequest,
    Claim,
    Heard,
    Mac,
    Packed,
    Tag,
    TagState,
    node_hash,
)
from exabgp_metallb.values.orders import Failback, Orders, by_address
from tests.orders import in_order

LINK = 7  # the index of every node's interface
LATENCY = 0.0005

Fate = Callable[[str, str], tuple[float, ...]]
"""What becomes of a frame from one node to another: the delay of each copy that arrives."""


def arrives(_sender: str, _receiver: str) -> tuple[float, ...]:
    """Lose nothing."""
    return (LATENCY,)


def machine(number: int) -> Mac:
    """Return the MAC of a node."""
    return b"\x02\0\0\0" + number.to_bytes(2, "big")


@dataclass
class Node:
    """One node: its state machine, and what its process has not read yet."""

    name: str
    mac: Mac
    orders: Orders
    ownership: Ownership
    places: Mapping[Address, tuple[Place, ...]]
    usable: frozenset[int] = frozenset({LINK})
    shown: dict[Address, TagState] = field(default_factory=dict)
    alive: bool = True
    paused: bool = False
    backlog: list[Heard] = field(default_factory=list)


class Segment:
    """Nodes on one wire, and a client that believes the last announcement."""

    def __init__(
        self,
        addresses: Mapping[str, tuple[str, ...]],
        *,
        failback: Failback = Failback.AUTO,
        weak: Iterable[str] = (),
        start: Iterable[str] | None = None,
        fate: Fate = arrives,
        pace: Pace | None = None,
    ) -> None:
        self.now = 0.0
        self.fate = fate
        self.frames: Counter[str] = Counter()
        self.pace = pace or Pace()
        self.orders = {ip_address(text): nodes for text, nodes in addresses.items()}
        self.failback = failback
        self.weak = set(weak)
        self.nodes: dict[str, Node] = {}
        self.believed: dict[Address, str] = {}  # the client's neighbor table
        self.moves: dict[Address, list[tuple[float, str]]] = {a: [] for a in self.orders}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serials = itertools.count()
        self._turns: dict[str, int] = {}  # the newest turn that is planned
        self.names = sorted({name for nodes in addresses.values() for name in nodes})
        self._by_mac = {machine(i): name for i, name in enumerate(self.names)}
        for name in self.names if start is None else start:
            self.start(name)

    # What may happen to a node

    def start(self, name: str, *, touched: Iterable[str] | None = None) -> None:
        """Start the process of a node, which remembers nothing; `touched`: see `order`."""
        mac = machine(self.names.index(name))
        mine = sorted((a for a, nodes in self.orders.items() if name in nodes), key=int)
        orders = Orders(
            node=name,
            addresses=by_address(in_order(a, *self.orders[a]) for a in mine),
            failback=self.failback,
        )
        places = dict.fromkeys(mine, (Place(LINK, mac, name in self.weak),))
        node = Node(name, mac, orders, Ownership(name, self.now, self.pace), places)
        self.nodes[name] = node
        self.order(name, orders, touched=touched)

    def kill(self, name: str) -> None:
        """End a process without a word."""
        self.nodes[name].alive = False
        self.nodes[name].shown.clear()

    def pause(self, name: str) -> None:
        """Stop a process; frames wait for it."""
        self.nodes[name].paused = True

    def resume(self, name: str) -> None:
        """Let a process go on."""
        node = self.nodes[name]
        node.paused = False
        if node.alive:
            self._turn(node)

    def leave(self, name: str) -> None:
        """Tell a process to end; the lab's SIGTERM."""
        node = self.nodes[name]
        node.ownership.leave(self.now)
        self._carry_out(node)
        self._plan(node)

    def order(
        self,
        name: str,
        orders: Orders,
        *,
        touched: Iterable[str | Address] | None = None,
        places: Mapping[Address, tuple[Place, ...]] | None = None,
    ) -> None:
        """Give a node other orders; it follows those for some addresses only, or for all."""
        node = self.nodes[name]
        node.orders = orders
        node.places = node.places if places is None else places
        some = None if touched is None else [ip_address(each) for each in touched]
        node.ownership.ordered(orders, node.places, self.now, usable=node.usable, touched=some)
        self._carry_out(node)
        self._plan(node)

    def drain(self, name: str, *, draining: bool = True) -> None:
        """Have a node give its addresses up, or be a candidate again."""
        self.order(name, replace(self.nodes[name].orders, draining=draining))

    def reorder(self, name: str, *candidates: str) -> None:
        """Give a node other candidates for all addresses; none: no addresses."""
        orders = self.nodes[name].orders
        addresses = by_address(in_order(each, *candidates) for each in orders.addresses)
        self.order(name, replace(orders, addresses=addresses if candidates else {}))

    def happen(self, what: str, name: str) -> None:
        """Let something happen to a node, if it can; see the methods."""
        node = self.nodes[name]
        awake = node.alive and not node.paused
        if what == "kill":
            self.kill(name)
        elif what == "start" and not node.alive:
            self.start(name)
        elif what == "pause":
            self.pause(name)
        elif what == "resume":
            self.resume(name)
        elif what == "cut":
            self.fate = lambda s, r: (LATENCY,) if (s == name) == (r == name) else ()
        elif what == "leave" and awake:
            self.leave(name)
            self.kill(name)
        elif what in {"drain", "undrain"} and awake:
            self.drain(name, draining=what == "drain")

    def place(self, name: str, places: Mapping[Address, tuple[Place, ...]]) -> None:
        """Give a node other interfaces; none: its only one can say nothing any more."""
        node = self.nodes[name]
        node.usable = frozenset({LINK} if places else ())
        self.order(name, node.orders, places=places)

    def say(self, message: Heard) -> None:
        """Let a stranger say something to all."""
        for node in self.nodes.values():
            self._deliver(node, message)

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = end

    def run_until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Let time pass until something is so, and return how long that took."""
        begun = self.now
        while not condition():
            assert self.now - begun < seconds, "it never came"
            assert self._events
            self.now, _, event = heapq.heappop(self._events)
            event()
        return self.now - begun

    # What can be seen

    def owners(self, address: Address) -> list[str]:
        """Return who would answer now."""
        return [
            node.name
            for node in self.nodes.values()
            if node.alive and not node.paused and address in node.shown
        ]

    def at(self, delay: float, event: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._events, (self.now + delay, next(self._serials), event))

    def _plan(self, node: Node) -> None:
        serial = self._turns[node.name] = next(self._serials)
        at = max(node.ownership.deadline(), self.now)

        def turn() -> None:
            current = self.nodes.get(node.name) is node and self._turns[node.name] == serial
            if current and node.alive and not node.paused:
                self._turn(node)

        heapq.heappush(self._events, (at, serial, turn))

    def _turn(self, node: Node) -> None:
        """Do as programs.responder does: notice a sleep, hear, act."""
        slept = node.ownership.overslept(self.now)
        self._carry_out(node)
        backlog, node.backlog = node.backlog, []
        for message in backlog:
            self._hear(node, message, answer=not slept)
        node.ownership.act(self.now)
        self._carry_out(node)
        self._plan(node)

    def _hear(self, node: Node, message: Heard, *, answer: bool) -> None:
        if answer and isinstance(message, ArpRequest) and message.address in node.shown:
            self._reply(node, message)
        node.ownership.heard(LINK, message, self.now)
        self._carry_out(node)

    def _reply(self, node: Node, request: ArpRequest) -> None:
        asker = self._by_mac[request.source]
        claim = self._claim(node, request.target, node.shown[request.address], answer=True)
        self._send(node, claim, [asker], "reply")

    def _claim(self, node: Node, holder: Packed, state: TagState, *, answer: bool) -> Claim:
        tag = Tag(state, node_hash(node.name))
        return Claim(BROADCAST, node.mac, node.mac, holder, answer=answer, tag=tag)

    def _carry_out(self, node: Node) -> None:
        for action in node.ownership.take_actions():
            self._do(node, action)

    def _do(self, node: Node, action: Action) -> None:
        match action:
            case Answer(_, address, state):
                node.shown[address] = state
            case Silence(_, address):
                del node.shown[address]
            case Announce(_, address, state):
                assert node.shown[address] is state
                claim = self._claim(node, address.packed, state, answer=False)
                self._send(node, claim, self.names, "announcement")
                if self.fate(node.name, "client"):
                    self._believe(address, node.name)
            case Ask(_, address, state, mac):
                tag = Tag(state, node_hash(node.name))
                destination = BROADCAST if mac is None else mac
                request = ArpRequest(destination, node.mac, node.mac, bytes(4), address.packed, tag)
                to = self.names if mac is None else [self._by_mac[mac]]
                self._send(node, request, to, "question" if mac is None else "probe")

    def _believe(self, address: Address, name: str) -> None:
        if self.believed.get(address) != name:
            self.believed[address] = name
            self.moves[address].append((self.now, name))

    def _send(self, node: Node, message: Heard, to: Iterable[str], kind: str) -> None:
        self.frames[kind] += 1
        for name in to:
            if name == node.name or name not in self.nodes:
                continue
            for delay in self.fate(node.name, name):
                receiver = self.nodes[name]
                self.at(delay, lambda receiver=receiver: self._deliver(receiver, message))  # type: ignore[misc]  # a default binds it

    def _deliver(self, node: Node, message: Heard) -> None:
        if not node.alive or self.nodes.get(node.name) is not node:
            return
        node.backlog.append(message)
        if not node.paused:
            self._turn(node)
