"""The responder: answers ARP and neighbor discovery as ordered; knows no Kubernetes.

One thread and one selector: frames, interfaces, and the speaker's socket are served as they come;
each turn ends with what is due. Orders and interfaces together say where each address may be
answered (`decisions.wires`), `decisions.ownership` says where it is answered, and the wire does so.
"""

import selectors
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from exabgp_metallb.adapters.layer2.orders import OrdersClient, OrdersFile
from exabgp_metallb.adapters.layer2.segments import Segments
from exabgp_metallb.adapters.layer2.wire import Count
from exabgp_metallb.adapters.notify import Notifier
from exabgp_metallb.decisions.binding import (
    Action,
    Announce,
    Answer,
    Ask,
    Ignore,
    Listen,
    Phase,
    Place,
    Silence,
)
from exabgp_metallb.decisions.ownership import Ownership
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.wires import Standing, report, verdicts
from exabgp_metallb.programs.heartbeat import Heartbeat, responder_status
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.interfaces import Interface
from exabgp_metallb.values.l2 import Heard, mac_text
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import (
    AddressOrder,
    AddressReport,
    ForeignClaim,
    Orders,
    Report,
    Role,
)
from exabgp_metallb.values.vitals import ResponderVitals

if TYPE_CHECKING:
    from exabgp_metallb.adapters.layer2.metrics import ResponderMetrics

ORDERS_FILE_NAME = "orders.json"

FOREIGN_SECONDS = 60.0  # how long a foreign claim is told after it was heard
REPORT_SECONDS = 0.1  # between two reports of roles: a thousand that change at once are one
REPORT_SHARE = 10  # or longer: a report of ten thousand addresses takes a tenth of the time at most
COUNTERS_SECONDS = 5.0  # between two reports of counters alone
TOLD_AT_ONCE = 20  # addresses in one go; the speaker's status has them all
FOLLOW_SECONDS = 0.05  # in one go; another node's probe is missed after three times as much
FOLLOWED_AT_ONCE = 16  # addresses: with a thousand candidates each may take some milliseconds
BACKLOG_TURNS = 1000  # of 64 frames: more than the kernel keeps for us

_ROLES = {Phase.LISTENING: Role.LISTENING, Phase.STANDBY: Role.STANDBY, Phase.OWNER: Role.OWNER}
_BEST = (Role.OWNER, Role.STANDBY, Role.LISTENING, Role.UNABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderOptions:
    """How a responder is called.

    Attributes:
        node: our name, as it is among the candidates.
        orders: the speaker's socket.
        state_dir: where the last orders are kept.
        metrics: where to serve metrics and health; None serves none.
    """

    node: NodeName
    orders: Path
    state_dir: Path
    metrics: tuple[str, int] | None = None


def now() -> float:
    """Return the time; it goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Responder:
    """The process.

    Args:
        options: how it was called.

    Raises:
        WireError: it may not open packet sockets.
    """

    def __init__(self, options: ResponderOptions) -> None:
        self._options = options
        self._pace = Pace()
        self._ownership = Ownership(options.node, now(), self._pace)
        self._selector = selectors.DefaultSelector()
        self._wire = Segments(self._selector, options.node, self)
        self._client = OrdersClient(options.orders, self._selector, self._ordered)
        self._file = OrdersFile(options.state_dir / ORDERS_FILE_NAME)
        self._orders: Orders | None = None
        self._usable: tuple[Interface, ...] | None = None  # None: to be looked at anew
        self._late: dict[Address, None] = {}  # addresses whose orders are not followed yet
        self._places: dict[Address, tuple[Place, ...]] = {}  # of the others
        self._interfaces_changed = True
        self._ending_at: float | None = None
        self._began = False  # to follow orders, and nobody was told yet
        self._reported_at = -1e9
        self._report_pause = REPORT_SECONDS
        self._report: Report | None = None
        self._unreported: dict[Address, None] = {}  # addresses whose orders or interfaces changed
        self._counters: tuple[Count, ...] = ()
        self._counted_at = -1e9
        self._told_foreign: set[ForeignClaim] = set()
        self._metrics = None if options.metrics is None else _metrics(options.metrics)
        notifier = Notifier()
        self._heartbeat = Heartbeat(notifier) if notifier else None

    def run(self) -> None:
        """Answer until told to end."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        if self._metrics is not None:
            self._metrics.start()
        kept = self._file.read()
        if kept is not None:
            logger.info("begun by the orders on disk", addresses=len(kept.addresses))
            self._follow(kept)
        try:
            while not self._over():
                self._turn()
        finally:
            self._client.close()
            self._wire.close()
            self._file.close()

    def _end(self, *_: object) -> None:
        """Have others take over, then end; a second signal changes nothing."""
        if self._ending_at is None:
            self._ending_at = now() + self._pace.leave

    def _over(self) -> bool:
        if self._ending_at is None:
            return False
        if not self._ownership.leaves:
            logger.info("told to end: other nodes take over")
            self._ownership.leave(now())
            self._carry_out()
        return now() >= self._ending_at or not self._ownership.awaits_relief()

    def _turn(self) -> None:
        ready = self._selector.select(0 if self._late else max(0.0, self._deadline() - now()))
        if self._ownership.overslept(now()):
            self._catch_up()
        for key, _ in ready:
            if key.fd in self._selector.get_map():  # one before it may have closed it
                key.data()
        at = now()
        self._client.act(at)
        if self._interfaces_changed:
            self._place()
        if self._late:
            self._keep_up()
        self._ownership.act(at)
        self._carry_out()
        self._tell(at)

    def _deadline(self) -> float:
        deadlines = [self._ownership.deadline()]
        connect = self._client.deadline()
        if connect is not None:
            deadlines.append(connect)
        if self._has_news():
            deadlines.append(self._reported_at + self._report_pause)
        return min(deadlines)

    def _catch_up(self) -> None:
        """Hear what was said during a sleep without answering it: another may have taken over."""
        logger.warning("this process was not run for a while; others may have taken over")
        for index, address, _ in self._ownership.shown():
            self._wire.silence(index, address)
        for _ in range(BACKLOG_TURNS):
            ready = self._selector.select(0)
            if not ready:
                break
            for key, _ in ready:
                if key.fd in self._selector.get_map():
                    key.data()
        self._carry_out()
        for index, address, state in self._ownership.shown():
            self._wire.answer(index, address, state)

    # What is heard

    def heard(self, index: int, message: Heard) -> None:
        """Take what somebody else said; see `adapters.layer2.wire.Listener`."""
        self._ownership.heard(index, message, now())
        self._carry_out()

    def changed(self) -> None:
        """Look at the interfaces again; see `adapters.layer2.wire.Listener`."""
        self._interfaces_changed = True

    def _ordered(self, orders: Orders, touched: Collection[Address] | None) -> None:
        if orders == self._orders:
            return
        self._file.write(orders)
        self._follow(orders, touched)

    def _follow(self, orders: Orders, touched: Collection[Address] | None = None) -> None:
        if orders.node != self._options.node:
            logger.error(
                "orders for node {} are ignored: this one is {}; give both the same --node",
                orders.node,
                self._options.node,
            )
            return
        before, self._orders = self._orders, orders
        if before is None:
            self._began = True
            touched = orders.addresses.keys()
        elif touched is None:
            touched = _different(before, orders)
        self._late |= dict.fromkeys(touched)
        if before is None or before.subnet is not orders.subnet:
            self._usable = None
        if self._usable is None or self._interfaces_changed:
            self._place()
        self._keep_up()

    def _keep_up(self) -> None:
        """Follow orders for a moment; those for many addresses must not delay answers."""
        until = now() + FOLLOW_SECONDS
        while True:
            some = list(islice(self._late, FOLLOWED_AT_ONCE))
            for address in some:
                del self._late[address]
            self._have_places(some)
            if not self._late or now() >= until:
                return

    def _place(self) -> None:
        """Work out where each address may be answered, if the interfaces are others than before."""
        self._interfaces_changed = False
        self._unreported |= {  # for another reason, it may be
            address: None
            for address, there in self._reported().items()
            if there.role is Role.UNABLE
        }
        usable = tuple(each for each in self._wire.interfaces.values() if report(each).usable)
        if self._orders is not None and usable != self._usable:
            self._usable = usable
            self._have_places(list(self._places))

    def _have_places(self, addresses: Collection[Address]) -> None:
        """Answer for some addresses where the orders and the interfaces say."""
        assert self._orders is not None  # noqa: S101 -- asked by the callers
        assert self._usable is not None  # noqa: S101 -- as above
        orders = self._orders.addresses
        for address in addresses:
            if address in orders:
                self._places[address] = self._places_of(orders[address], self._usable)
            else:
                self._places.pop(address, None)
        self._unreported |= dict.fromkeys(addresses)
        indexes = frozenset(each.index for each in self._usable)
        self._ownership.ordered(
            self._orders, self._places, now(), usable=indexes, touched=addresses
        )
        self._carry_out()

    def _places_of(self, order: AddressOrder, usable: tuple[Interface, ...]) -> tuple[Place, ...]:
        assert self._orders is not None  # noqa: S101 -- asked by the caller
        macs = {each.index: each.mac for each in usable}
        found = verdicts(usable, order.address, rule=self._orders.subnet, named=order.interfaces)
        return tuple(
            Place(index, macs[index], verdict.standing is Standing.WEAK)
            for index, verdict in sorted(found.items())
            if verdict.standing is not Standing.NOT
        )

    # What is done

    def _carry_out(self) -> None:
        for action in self._ownership.take_actions():
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Listen(index, address):
                self._wire.watch(index, address)
            case Ignore(index, address):
                self._wire.ignore(index, address)
            case Answer(index, address, state):
                self._wire.answer(index, address, state)
            case Silence(index, address):
                self._wire.silence(index, address)
            case Announce(index, address, state):
                self._wire.announce(index, address, state)
            case Ask(index, address, state, mac):
                self._wire.probe(index, address, state=state, mac=mac)

    # What is told

    def _has_news(self) -> bool:
        return bool(self._unreported) or self._began or self._ownership.moved

    def _tell(self, at: float) -> None:
        """Report addresses soon after they change, all else now and then."""
        pause = self._report_pause if self._has_news() else COUNTERS_SECONDS
        if at - self._reported_at < pause:
            return
        self._reported_at = at
        touched = self._unreported | dict.fromkeys(self._ownership.take_moved())
        self._unreported, self._began = {}, False
        found = self._seen(touched, at)
        self._log(found, self._reported(), touched)
        if found != self._report:
            self._report = found
            self._client.report(found, touched)
        if at - self._counted_at >= COUNTERS_SECONDS:
            self._counted_at = at
            self._counters = (*self._wire.counters(), *self._counted())
        vitals = self._vitals(found)
        if self._metrics is not None:
            self._metrics.publish(vitals)
        if self._heartbeat is not None:
            self._heartbeat.beat(vitals, responder_status(vitals))
        self._report_pause = max(REPORT_SECONDS, REPORT_SHARE * (now() - at))

    def _reported(self) -> Mapping[Address, AddressReport]:
        return {} if self._report is None else self._report.addresses

    def _seen(self, touched: Iterable[Address], at: float) -> Report:
        """Return what is to be seen by now, as before but for some addresses."""
        names = {index: each.name for index, each in self._wire.interfaces.items()}
        orders = {} if self._orders is None else self._orders.addresses
        addresses = dict(self._reported())
        for address in touched:
            if address in self._places and address in orders:
                addresses[address] = self._seen_of(orders[address], names)
            else:
                addresses.pop(address, None)
        return Report(
            node=self._options.node,
            addresses=addresses,
            interfaces=tuple(
                sorted(map(report, self._wire.interfaces.values()), key=lambda each: each.name)
            ),
            foreign=tuple(
                ForeignClaim(
                    address=address, mac=mac_text(foreign.mac), interface=names.get(index, "")
                )
                for index, address, foreign in self._ownership.foreign()
                if at - foreign.at < FOREIGN_SECONDS
            ),
        )

    def _seen_of(self, order: AddressOrder, names: Mapping[int, str]) -> AddressReport:
        roles = [
            (_ROLES[phase], names.get(place.index, ""))
            for place in self._places[order.address]
            if (phase := self._ownership.phase(place.index, order.address)) is not None
        ]
        if not roles:
            return AddressReport(
                address=order.address, role=Role.UNABLE, why=self._why_unable(order)
            )
        role = min((role for role, _ in roles), key=_BEST.index)
        answering = tuple(sorted(name for each, name in roles if each is Role.OWNER))
        return AddressReport(address=order.address, role=role, interfaces=answering)

    def _why_unable(self, order: AddressOrder) -> str:
        """Name each interface, but the loopback, and what is wrong with it."""
        assert self._orders is not None  # noqa: S101 -- the address is ordered
        every = {index: each for index, each in self._wire.interfaces.items() if not each.loopback}
        found = verdicts(
            every.values(), order.address, rule=self._orders.subnet, named=order.interfaces
        )
        whys = (f"{every[index].name}: {verdict.why}" for index, verdict in found.items())
        return "; ".join(sorted(whys)) or "no interface"

    def _counted(self) -> Iterable[tuple[str, str, int]]:
        counts = self._ownership.counts
        for name in ("takeovers", "returns", "yields", "defences", "foreign", "sleeps"):
            yield "layer2_ownership", name, getattr(counts, name)

    def _vitals(self, found: Report) -> ResponderVitals:
        connected, loaded = self._client.connected, self._orders is not None
        return ResponderVitals(
            turned_at=time.monotonic(),
            loaded=loaded,
            stale=not connected,
            waiting_for=() if loaded else ("orders",),
            away=frozenset() if connected else frozenset({"speaker"}),
            roles=Counter(each.role for each in found.addresses.values()),
            interfaces=found.interfaces,
            foreign=found.foreign,
            counters=self._counters,
        )

    def _log(
        self, found: Report, before: Mapping[Address, AddressReport], touched: Iterable[Address]
    ) -> None:
        """Say what is different from what was said before."""
        there = [found.addresses[each] for each in touched if each in found.addresses]
        news = [
            each
            for each in there
            if each.address not in before or before[each.address].role is not each.role
        ]
        for each in news[:TOLD_AT_ONCE]:
            detail = each.why or ", ".join(each.interfaces)
            logger.info("{}: {}", each.address, f"{each.role.value} {detail}".rstrip())
        if len(news) > TOLD_AT_ONCE:
            logger.info("and {} more addresses changed roles", len(news) - TOLD_AT_ONCE)
        foreign = set(found.foreign)
        for claim in sorted(foreign - self._told_foreign, key=str):
            logger.warning(
                "{}: {} on {} answers for it too, and is no candidate: a host with this address, "
                "or kube-proxy in IPVS mode without strictARP",
                claim.address,
                claim.mac,
                claim.interface,
            )
        self._told_foreign = foreign


def _different(before: Orders, now: Orders) -> Collection[Address]:
    """Return the addresses for which orders are different."""
    was, are = before.addresses, now.addresses
    return [each for each in {**was, **are} if was.get(each) != are.get(each)]


def _metrics(address: tuple[str, int]) -> "ResponderMetrics":
    """Return what serves metrics; without them prometheus-client takes no memory."""
    from exabgp_metallb.adapters.layer2.metrics import ResponderMetrics  # noqa: PLC0415 -- see above

    return ResponderMetrics(*address)


def run(options: ResponderOptions) -> None:
    """Answer until told to end.

    Raises:
        WireError: this process may not open packet sockets.
    """
    try:
        options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:  # the file of orders says what follows from it
        logger.error(
            "{}: {}: set --state-dir to a folder of ours", options.state_dir, error.strerror
        )
    Responder(options).run()
