r"""Orders and reports as text; see `document` for what a line is.

    "orders": {"node": "n1", "subnet": "prefer", "failback": "auto", "refresh_seconds": null,
               "draining": false, "nodes": ["n1", "n2", "n3"], "slates": [[[0, 2], [1]]],
               "addresses": {"192.0.2.1": [0, null, null],
                             "2001:db8::1": [0, "192.0.2.1", ["eth0"]]}}
    "report": {"node": "n1", "interfaces": [...], "foreign": [...],
               "addresses": {"192.0.2.1": ["owner", ["eth0"], ""], "192.0.2.2": null}}

An address has its slate, the address by whose text nodes are put in order (null: itself) and the
interfaces; in a report its role, where it is answered and why not. Where a line says the difference
an address that is not in it is as it was, and one with null is gone; all else is whole. `nodes`
names every candidate once and `slates` counts in it, tier by tier.

A field that the reader does not know is ignored, and one that it misses has its default: a release
that adds one keeps the version. Another version is read all the same, and told of. Documents of
version 1 were always whole, with a list of addresses, each with its candidates in order: a slate of
one node in each tier. Readers of that version take nothing but a list, and keep what they have.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar
from weakref import WeakValueDictionary

from exabgp_metallb.adapters.layer2.document import (
    WHOLE,
    Field,
    Part,
    Received,
    fields_of,
    line_of,
)
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import (
    AddressOrder,
    AddressReport,
    Failback,
    ForeignClaim,
    InterfaceReport,
    Orders,
    Report,
    Role,
    Slate,
    SubnetRule,
)

About = TypeVar("About", AddressOrder, AddressReport)

_SLATES: WeakValueDictionary[Slate, Slate] = WeakValueDictionary()
"""Those that somebody has: thousands of addresses that change one by one have few of them."""


def orders_line(orders: Orders, part: Part = WHOLE) -> bytes:
    """Return orders as a line, or the part of them that is different."""
    told = _told(orders.addresses, part)
    slates = list(dict.fromkeys(order.slate for order in told.values() if order is not None))
    nodes = sorted({node for slate in slates for tier in slate.tiers for node in tier})
    node_number = {node: place for place, node in enumerate(nodes)}
    slate_number = {slate: place for place, slate in enumerate(slates)}
    return line_of(
        "orders",
        {
            "node": orders.node,
            "subnet": orders.subnet.value,
            "failback": orders.failback.value,
            "refresh_seconds": orders.refresh_seconds,
            "draining": orders.draining,
            "nodes": nodes,
            "slates": [
                [[node_number[node] for node in tier] for tier in slate.tiers] for slate in slates
            ],
            "addresses": {
                str(address): None
                if order is None
                else (
                    slate_number[order.slate],
                    None if order.by is None else str(order.by),
                    None if order.interfaces is None else sorted(order.interfaces),
                )
                for address, order in told.items()
            },
        },
        part,
    )


def report_line(report: Report, part: Part = WHOLE) -> bytes:
    """Return a report as a line, or the part of it that is different."""
    return line_of(
        "report",
        {
            "node": report.node,
            "addresses": {
                str(address): None if each is None else (each.role.value, each.interfaces, each.why)
                for address, each in _told(report.addresses, part).items()
            },
            "interfaces": [
                {"name": each.name, "usable": each.usable, "why": each.why}
                for each in report.interfaces
            ],
            "foreign": [
                {"address": str(each.address), "mac": each.mac, "interface": each.interface}
                for each in report.foreign
            ],
        },
        part,
    )


def read_orders(line: bytes, last: Received[Orders] | None = None) -> Received[Orders]:
    """Return the orders as they are with a line.

    Args:
        line: as it came.
        last: what came before it on the same connection, None when nothing did.

    Raises:
        OrdersError: where the line is wrong, and what would be right.
    """
    version, part, fields = fields_of(line, "orders", last)
    nodes = tuple(sys.intern(each.text()) for each in fields["nodes"].items())
    slates = tuple(_slate(each, nodes) for each in fields["slates"].items())
    rows = {
        row.address(): _address_order(row.address(), each, slates, nodes)
        for row, each in fields["addresses"].rows()
    }
    part, addresses = _applied(rows, part, {} if last is None else last.document.addresses)
    orders = Orders(
        node=fields["node"].text(),
        addresses=addresses,
        subnet=fields["subnet"].member(SubnetRule, SubnetRule.PREFER),
        failback=fields["failback"].member(Failback, Failback.AUTO),
        refresh_seconds=fields["refresh_seconds"].seconds(),
        draining=fields["draining"].flag(),
    )
    return Received(version, part, orders)


def read_report(line: bytes, last: Received[Report] | None = None) -> Received[Report]:
    """Return the report as it is with a line.

    Args:
        line: as it came.
        last: what came before it on the same connection, None when nothing did.

    Raises:
        OrdersError: where the line is wrong, and what would be right.
    """
    version, part, fields = fields_of(line, "report", last)
    rows = {
        row.address(): _address_report(row.address(), each)
        for row, each in fields["addresses"].rows()
    }
    part, addresses = _applied(rows, part, {} if last is None else last.document.addresses)
    report = Report(
        node=fields["node"].text(),
        addresses=addresses,
        interfaces=tuple(
            InterfaceReport(
                name=each["name"].text(),
                usable=each["usable"].flag(),
                why=each["why"].text(""),
            )
            for each in fields["interfaces"].items()
        ),
        foreign=tuple(
            ForeignClaim(
                address=each["address"].address(),
                mac=each["mac"].text(),
                interface=each["interface"].text(),
            )
            for each in fields["foreign"].items()
        ),
    )
    return Received(version, part, report)


def _told(addresses: Mapping[Address, About], part: Part) -> Mapping[Address, About | None]:
    """Return what a line says of addresses; None: they are gone."""
    if part.since is None or part.addresses is None:
        return {**addresses}
    return {address: addresses.get(address) for address in part.addresses}


def _applied(
    rows: Mapping[Address, About | None], part: Part, before: Mapping[Address, About]
) -> tuple[Part, Mapping[Address, About]]:
    """Return what a line says of addresses together with what was known before."""
    known = {} if part.since is None else dict(before)
    for address, row in rows.items():
        if row is not None:
            known[address] = row
        else:
            known.pop(address, None)
    return (part if part.since is None else replace(part, addresses=rows.keys())), known


def _slate(field: Field, nodes: tuple[str, ...]) -> Slate:
    made = Slate(tuple(_named(tier, nodes) for tier in field.items()))
    return _SLATES.setdefault(made, made)


def _named(field: Field, nodes: tuple[str, ...]) -> tuple[str, ...]:
    """Return who is counted; there may be a thousand, so all at once."""
    numbers = field.whole_numbers(below=len(nodes))
    if numbers is not None:
        return tuple([nodes[number] for number in numbers])
    return tuple(_node(each, nodes) for each in field.items())  # says which one is wrong


def _node(field: Field, nodes: tuple[str, ...]) -> str:
    number = field.number()
    return nodes[number] if number < len(nodes) else field.wrong(f"a number below {len(nodes)}")


def _address_order(
    address: Address, field: Field, slates: tuple[Slate, ...], nodes: tuple[str, ...]
) -> AddressOrder | None:
    if not field.given:
        return None
    if not field.is_list:  # version 1
        order = _named(field["candidates"], nodes)
        slate = Slate(tuple((node,) for node in order))
        return AddressOrder(address=address, slate=slate, interfaces=_names(field["interfaces"]))
    number, by, interfaces = field.parts(3)
    if number.number() >= len(slates):
        number.wrong(f"a number below {len(slates)}")
    return AddressOrder(
        address=address,
        slate=slates[number.number()],
        by=by.address() if by.given else None,
        interfaces=_names(interfaces),
    )


def _names(field: Field) -> frozenset[str] | None:
    return frozenset(each.text() for each in field.items()) if field.given else None


def _address_report(address: Address, field: Field) -> AddressReport | None:
    if not field.given:
        return None
    if field.is_list:
        role, interfaces, why = field.parts(3)
    else:  # version 1
        role, interfaces, why = field["role"], field["interfaces"], field["why"]
    return AddressReport(
        address=address,
        role=role.member(Role),
        interfaces=tuple(each.text() for each in interfaces.items()),
        why=why.text(""),
    )
