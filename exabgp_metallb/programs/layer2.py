"""The part of a speaker that has this node answer for addresses on layer 2.

The life of an order. `elections` decides what this node is to do about addresses. The responder is
told each time that it differs, and does the rest: it knows the interfaces and hears who else
answers. The life of a report, which is whole as well: it changes no decision, but what it says is
what is true, so people and the cluster are told of it, once for each change. Of thousands of
addresses a few change at a time, and only those are looked at, here and by the responder.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.exabgp.dialogue import Notice
from exabgp_metallb.decisions.candidates import candidates
from exabgp_metallb.programs.elections import Elections
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Post
from exabgp_metallb.values.addresses import Address, address_order
from exabgp_metallb.values.objects import NodeName, ObjectName
from exabgp_metallb.values.orders import (
    AddressReport,
    Failback,
    ForeignClaim,
    InterfaceReport,
    Orders,
    Report,
    Role,
    SubnetRule,
)
from exabgp_metallb.values.reasons import Reason, Refused
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.vitals import Layer2Vitals

MISSED_SECONDS = 10.0  # for a responder that is started beside us, or again
TOLD_AT_ONCE = 20  # addresses in one go; `exabgp-metallb status` tells them all
ORDERED = 100  # candidates of an address that a status tells; more take seconds to put in order

_LEFT_TO_OTHERS = (Reason.NO_MATCHING_ADVERTISEMENT, Reason.NO_IP_ALLOCATED)
"""No news: nobody is asked to answer, or others are."""

Listener = Callable[[Report | None, Collection[Address] | None], None]
"""Takes what the responder reports, and the addresses that may be different in it (None: any); None
for a report when there is no responder any more. From any thread."""


class OrdersSink(Protocol):
    """The way to the responder; see `adapters.layer2.orders`."""

    def send(self, orders: Orders, touched: Collection[Address] | None = None) -> None:
        """Let these be the responder's orders, now or as soon as there is one; never blocks.

        Args:
            orders: all of them.
            touched: the addresses that may be different from before; None: any.
        """

    def stop(self) -> None:
        """End threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer2Settings:
    """How this node answers; see `values.orders`."""

    subnet: SubnetRule = SubnetRule.PREFER
    failback: Failback = Failback.AUTO
    refresh_seconds: float | None = None
    ignore_exclude_label: bool = False  # see `decisions.preconditions`


class Layer2:
    """Has the responder of a node follow the objects, and tells what it reports.

    Args:
        node: its name.
        post: how the responder is heard.
        connect: makes the way to the responder, given who listens.
        settings: how this node answers.

    Attributes:
        answered: the Services that this node answers for, and on which interfaces; another mapping
            each time that it changes.
        claimed: the Services whose addresses somebody else answers for; in the same way.
    """

    def __init__(
        self,
        node: NodeName,
        post: Post,
        *,
        connect: Callable[[Listener], OrdersSink],
        settings: Layer2Settings,
    ) -> None:
        self._node = node
        self._post = post
        self._settings = settings
        self._elections = Elections(node, ignore_exclude_label=settings.ignore_exclude_label)
        self._orders: Orders | None = None
        self._connected = False
        self._report = Report(node=node)
        self._served: dict[Address, tuple[ObjectName, ...]] = {}  # of those that are answered
        self._announced: dict[Address, list[tuple[str, str]]] = {}  # the same, in words
        self._told: dict[ObjectName, Refused] = {}
        self._counted = 0
        self._vitals: Layer2Vitals | None = None  # None: to be measured again
        self._missed_since: float | None = None  # orders without a responder; monotonic seconds
        self._missed_told = False
        self.answered: Mapping[ObjectName, tuple[str, ...]] = {}
        self.claimed: Mapping[ObjectName, tuple[ForeignClaim, ...]] = {}
        self._sink = connect(self._heard)

    # What a part does.

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:
        """Have the responder follow what changed."""
        snapshot = routes.inventory.snapshot()
        addresses = self._elections.follow(snapshot, touched)
        if addresses:
            self._relate(addresses)
        leaving = routes.leaving or routes.node.draining
        orders = Orders(
            node=self._node,
            addresses=self._elections.orders(leaving=leaving),
            subnet=self._settings.subnet,
            failback=self._settings.failback,
            refresh_seconds=self._settings.refresh_seconds,
            draining=leaving,
        )
        before, self._orders = self._orders, orders
        if before is None or before.draining != leaving:
            self._sink.send(orders)
        elif before.addresses is not orders.addresses:
            self._sink.send(orders, addresses)
        if touched.everything:
            self._tell_count(len(orders.addresses))
        self._tell_verdicts(snapshot, touched.verdicts)

    def noticed(self, notice: Notice, now: float) -> None:
        """Do nothing: layer 2 needs no ExaBGP."""

    def act(self, now: float) -> None:
        """Tell, once, that there are orders and nobody to follow them."""
        if self._connected or self._orders is None or not self._orders.addresses:
            self._missed_since = None
        elif self._missed_since is None:
            self._missed_since = now
        elif not self._missed_told and now - self._missed_since >= MISSED_SECONDS:
            self._missed_told = True
            logger.warning(
                "no responder takes orders, so this node answers for none of {} addresses: run "
                "`exabgp-metallb responder` on it",
                len(self._orders.addresses),
            )

    def deadline(self, now: float) -> float | None:  # noqa: ARG002 -- the protocol's
        """Return None: nothing falls due."""
        return None

    def status(self, now: float) -> Mapping[str, object]:  # noqa: ARG002 -- the protocol's
        """Return who answers for what, on which interfaces, and who else claims it."""
        report = self._report
        return {
            "layer2": {
                "responder": "connected" if self._connected else "away",
                "leaving": self._orders is not None and self._orders.draining,
                "problems": list(self._problems()),
                "addresses": list(self._address_rows()),
                "interfaces": [
                    {"name": each.name, "usable": each.usable, "why": each.why}
                    for each in report.interfaces
                ],
                "foreignClaims": [
                    {"address": str(c.address), "mac": c.mac, "interface": c.interface}
                    for c in report.foreign
                ],
            }
        }

    def stop(self) -> None:
        """End the threads; the responder goes on by its last orders."""
        self._sink.stop()

    @property
    def answers(self) -> bool:
        """Whether this node answers for anything, by a responder that is still there."""
        return self._connected and bool(self.answered)

    def vitals(self) -> Layer2Vitals:
        """Return what there is to measure; the same value until it differs."""
        if self._vitals is None:
            announced = chain.from_iterable(self._announced.values()) if self._connected else ()
            self._vitals = Layer2Vitals(
                node=self._node, connected=self._connected, announced=tuple(announced)
            )
        return self._vitals

    def _problems(self) -> Iterator[str]:
        addresses = self._orders.addresses if self._orders is not None else ()
        if addresses and not self._connected:
            yield f"no responder takes orders for {len(addresses)} addresses on layer 2"
        unable = [each for each in self._report.addresses.values() if each.role is Role.UNABLE]
        for each in unable[:TOLD_AT_ONCE]:
            yield f"{each.address}: this node cannot answer: {each.why}"
        if len(unable) > TOLD_AT_ONCE:
            yield f"and {len(unable) - TOLD_AT_ONCE} addresses more that it cannot answer for"
        for claim in self._report.foreign:
            yield f"{claim.address}: {claim.mac} on {claim.interface} answers for it as well"

    def _address_rows(self) -> Iterable[Mapping[str, object]]:
        orders = self._orders.addresses if self._orders is not None else {}
        addresses = sorted(orders, key=address_order)
        services = self._elections.services_of(addresses)
        for address in addresses:
            there, order = self._report.addresses.get(address), orders[address]
            count = sum(map(len, order.slate.tiers))
            yield {
                "address": str(address),
                "role": None if there is None else str(there.role),
                "why": "" if there is None else there.why,
                "answeredOn": [] if there is None else list(there.interfaces),
                "interfaces": None if order.interfaces is None else sorted(order.interfaces),
                "candidates": list(candidates(order)) if count <= ORDERED else None,
                "candidateCount": count,
                "services": [str(name) for name in services[address]],
            }

    # What the responder says.

    def _heard(self, report: Report | None, touched: Collection[Address] | None) -> None:
        self._post(lambda _now: self._reported(report, touched))

    def _reported(self, report: Report | None, touched: Collection[Address] | None) -> None:
        """Take what it says; while it is away what it said last stands, as it may be restarting."""
        self._vitals = None
        self._connected = report is not None
        self._missed_told = False
        if report is None:
            return
        before, self._report = self._report, report
        _tell_interfaces(before.interfaces, report.interfaces)
        _tell_claims(before.foreign, report.foreign)
        if touched is None:
            touched = dict.fromkeys((*report.addresses, *before.addresses))
        _tell_addresses(before.addresses, report.addresses, touched)
        self._relate(touched)

    def _relate(self, addresses: Iterable[Address]) -> None:
        """Say of Services what the responder says of some addresses."""
        self._vitals = None
        self._answer_for(addresses)
        claimed: dict[ObjectName, tuple[ForeignClaim, ...]] = {}
        for claim in self._report.foreign:
            for name in self._elections.services_of([claim.address])[claim.address]:
                claimed[name] = (*claimed.get(name, ()), claim)
        if claimed != self.claimed:
            self.claimed = claimed

    def _answer_for(self, addresses: Iterable[Address]) -> None:
        """Look again for which Services this node answers at some addresses."""
        names: set[ObjectName] = set()
        for address in addresses:
            there = self._report.addresses.get(address)
            names.update(self._served.pop(address, ()))
            self._announced.pop(address, None)
            if there is not None and there.role is Role.OWNER:
                served = self._elections.services_of([address])[address]
                self._served[address] = served
                self._announced[address] = [(str(name), str(address)) for name in served]
                names.update(served)
        on = {name: self._answered_on(name) for name in names}
        if any(on[name] != self.answered.get(name) for name in names):
            answered = dict(self.answered)
            for name, where in on.items():
                if where is None:
                    answered.pop(name, None)
                else:
                    answered[name] = where
            self.answered = answered

    def _answered_on(self, name: ObjectName) -> tuple[str, ...] | None:
        """Return the interfaces on which this node answers for a Service; None: it does not."""
        addresses = self._elections.table.addresses_of(name)
        owned = [address for address in addresses if name in self._served.get(address, ())]
        if not owned:
            return None
        return tuple(sorted({i for a in owned for i in self._report.addresses[a].interfaces}))

    # What is told.

    def _tell_count(self, count: int) -> None:
        """Tell of a decision over everything there is, in one line."""
        if count != self._counted:
            self._counted = count
            logger.info("layer 2: candidate for {} addresses", count)

    def _tell_verdicts(self, snapshot: Snapshot, names: Iterable[ObjectName]) -> None:
        """Tell why Services are not answered for, of those where that is not as arranged."""
        for name in names:
            refused = None
            if name in snapshot.services and self._elections.is_offered(name, snapshot):
                refused = self._elections.barred(name, snapshot)
            if refused is not None and refused.reason in _LEFT_TO_OTHERS:
                refused = None
            if refused == self._told.get(name):
                continue
            if refused is None:
                del self._told[name]
                logger.info("Service {}: nothing stands in its way on layer 2", name)
            else:
                self._told[name] = refused
                why = f"{refused.reason}: {refused.message}"
                logger.info("Service {}: this node does not answer on layer 2: {}", name, why)


def _tell_addresses(
    before: Mapping[Address, AddressReport],
    now: Mapping[Address, AddressReport],
    touched: Iterable[Address],
) -> None:
    """Tell where this node begins or ceases to answer, and where it cannot."""
    lines: list[tuple[str, str]] = []
    for address in touched:
        old, there = before.get(address), now.get(address)
        if there is not None and there.role is Role.OWNER:
            if old is None or _where(old) != _where(there):
                lines.append(("INFO", f"{address}: this node answers, on {_where(there)}"))
        elif there is not None and there.role is Role.UNABLE:
            if old is None or old.why != there.why:
                lines.append(("WARNING", f"{address}: this node cannot answer: {there.why}"))
        elif old is not None and old.role is Role.OWNER:
            lines.append(("INFO", f"{address}: this node answers no more"))
    for level, line in lines[:TOLD_AT_ONCE]:
        logger.log(level, "{}", line)
    if len(lines) > TOLD_AT_ONCE:
        more = len(lines) - TOLD_AT_ONCE
        logger.info("and {} addresses more: `exabgp-metallb status` tells them all", more)


def _where(report: AddressReport) -> str:
    return ", ".join(report.interfaces) if report.role is Role.OWNER else ""


def _tell_interfaces(before: Iterable[InterfaceReport], now: Iterable[InterfaceReport]) -> None:
    """Tell which interfaces can answer, and why others cannot."""
    was = {each.name: each for each in before}
    for each in now:
        if was.get(each.name) == each:
            continue
        if each.usable:
            logger.info("interface {}: is used on layer 2", each.name)
        else:
            logger.info("interface {}: is not used on layer 2: {}", each.name, each.why)


def _tell_claims(before: Iterable[ForeignClaim], now: Iterable[ForeignClaim]) -> None:
    """Tell of others that answer for our addresses, and of those that ceased to."""
    was, current = frozenset(before), frozenset(now)
    for claim in sorted(current - was, key=str):
        logger.warning(
            "{}: {} answers for it on {} and is no candidate; where that is a node of ours it may "
            "be kube-proxy in IPVS mode: set strictARP in its configuration",
            claim.address,
            claim.mac,
            claim.interface,
        )
    for claim in sorted(was - current, key=str):
        logger.info("{}: {} answers for it no more", claim.address, claim.mac)
