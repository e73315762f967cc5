r"""Orders and reports as text: one JSON document a line, each whole.

    {"version": 1, "orders": {"node": ..., "nodes": [...], "addresses": [...], ...}}  to a responder
    {"version": 1, "report": {"node": ..., "addresses": [...], ...}}                  to a speaker

`nodes` names every candidate once and `candidates` counts in it: a thousand addresses with fifty
candidates each are 200 kB so, and three times that with names.

A field that the reader does not know is ignored, and one that it misses has its default: a release
that adds one keeps the version. Another version is read all the same, and told of.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from ipaddress import ip_address
from typing import NoReturn, TypeVar

from exabgp_metallb.errors import OrdersError
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
    SubnetRule,
)

VERSION = 1

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def orders_line(orders: Orders) -> bytes:
    """Return orders as a line."""
    nodes = sorted({node for order in orders.addresses for node in order.candidates})
    number = {node: place for place, node in enumerate(nodes)}
    return _line(
        "orders",
        {
            "node": orders.node,
            "nodes": nodes,
            "addresses": [
                {
                    "address": str(order.address),
                    "candidates": [number[node] for node in order.candidates],
                    "interfaces": None if order.interfaces is None else sorted(order.interfaces),
                }
                for order in orders.addresses
            ],
            "subnet": orders.subnet.value,
            "failback": orders.failback.value,
            "refresh_seconds": orders.refresh_seconds,
            "draining": orders.draining,
        },
    )


def report_line(report: Report) -> bytes:
    """Return a report as a line."""
    return _line(
        "report",
        {
            "node": report.node,
            "addresses": [
                {
                    "address": str(each.address),
                    "role": each.role.value,
                    "interfaces": list(each.interfaces),
                    "why": each.why,
                }
                for each in report.addresses
            ],
            "interfaces": [
                {"name": each.name, "usable": each.usable, "why": each.why}
                for each in report.interfaces
            ],
            "foreign": [
                {"address": str(each.address), "mac": each.mac, "interface": each.interface}
                for each in report.foreign
            ],
            "counters": [list(each) for each in report.counters],
        },
    )


def read_orders(line: bytes) -> tuple[int, Orders]:
    """Return the version and the orders of a line.

    Raises:
        OrdersError: where the line is wrong, and what would be right.
    """
    version, fields = _read(line, "orders")
    nodes = tuple(each.text() for each in fields["nodes"].items())
    return version, Orders(
        node=fields["node"].text(),
        addresses=tuple(_address_order(each, nodes) for each in fields["addresses"].items()),
        subnet=fields["subnet"].member(SubnetRule, SubnetRule.PREFER),
        failback=fields["failback"].member(Failback, Failback.AUTO),
        refresh_seconds=fields["refresh_seconds"].seconds(),
        draining=fields["draining"].flag(),
    )


def read_report(line: bytes) -> tuple[int, Report]:
    """Return the version and the report of a line.

    Raises:
        OrdersError: where the line is wrong, and what would be right.
    """
    version, fields = _read(line, "report")
    return version, Report(
        node=fields["node"].text(),
        addresses=tuple(_address_report(each) for each in fields["addresses"].items()),
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
        counters=tuple(_counter(each) for each in fields["counters"].items()),
    )


class _Field:
    """A value in a document, with its place for messages."""

    def __init__(self, value: object, path: str) -> None:
        self._value = value
        self._path = path

    def __getitem__(self, name: str) -> "_Field":
        if not isinstance(self._value, Mapping):
            self.wrong("an object")
        return _Field(self._value.get(name), f"{self._path}.{name}")

    @property
    def given(self) -> bool:
        """Whether there is a value."""
        return self._value is not None

    def items(self) -> Sequence["_Field"]:
        """Return the items of a list; none of one that is not there."""
        if self._value is None:
            return ()
        if not isinstance(self._value, list):
            self.wrong("a list")
        return [_Field(each, f"{self._path}[{i}]") for i, each in enumerate(self._value)]

    def text(self, default: str | None = None) -> str:
        """Return a text."""
        value = default if self._value is None else self._value
        return value if isinstance(value, str) else self.wrong("a text")

    def flag(self) -> bool:
        """Return true or false; false where it is not there."""
        value = False if self._value is None else self._value
        return value if isinstance(value, bool) else self.wrong("true or false")

    def number(self) -> int:
        """Return a whole number, at least 0."""
        value = self._value
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.wrong("a whole number")
        return value

    def whole_numbers(self, *, below: int) -> Sequence[int] | None:
        """Return a list of numbers from 0 to below a bound; None: it is something else."""
        value = self._value
        if not isinstance(value, list):
            return None
        right = all(type(each) is int and 0 <= each < below for each in value)
        return value if right else None

    def seconds(self) -> float | None:
        """Return a time, None where it is not there."""
        value = self._value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            self.wrong("a number above 0")
        return float(value)

    def member(self, kind: type[E], default: E | None = None) -> E:
        """Return a member of an enumeration; the default for one that is newer than we are."""
        try:
            return kind(self.text("" if default is None else default.value))
        except ValueError:
            return default or self.wrong(" or ".join(kind))

    def address(self) -> Address:
        """Return an address."""
        return self.made(ip_address, "an address")

    def made(self, make: Callable[[str], T], right: str) -> T:
        """Return what is made of a text."""
        try:
            return make(self.text())
        except ValueError:
            self.wrong(right)

    def wrong(self, right: str) -> NoReturn:
        """Say what would be right here."""
        shown = repr(self._value)[:60]
        raise OrdersError(f"{self._path}: {shown}: {right} was expected")


def _line(kind: str, document: Mapping[str, object]) -> bytes:
    text = json.dumps({"version": VERSION, kind: document}, separators=(",", ":"))
    return text.encode() + b"\n"


def _read(line: bytes, kind: str) -> tuple[int, _Field]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OrdersError(f"{kind}: no JSON document: {line[:60]!r}") from error
    root = _Field(document, "document")
    version, fields = root["version"].number(), root[kind]
    fields["node"].text()  # the document is there
    return version, fields


def _address_order(field: _Field, nodes: tuple[str, ...]) -> AddressOrder:
    interfaces = field["interfaces"]
    named = frozenset(each.text() for each in interfaces.items())
    return AddressOrder(
        address=field["address"].address(),
        candidates=_candidates(field["candidates"], nodes),
        interfaces=named if interfaces.given else None,
    )


def _candidates(field: _Field, nodes: tuple[str, ...]) -> tuple[str, ...]:
    """Return who is counted; there are fifty times as many as addresses, so all at once."""
    numbers = field.whole_numbers(below=len(nodes))
    if numbers is not None:
        return tuple([nodes[number] for number in numbers])
    return tuple(_node(each, nodes) for each in field.items())  # says which one is wrong


def _node(field: _Field, nodes: tuple[str, ...]) -> str:
    number = field.number()
    return nodes[number] if number < len(nodes) else field.wrong(f"a number below {len(nodes)}")


def _address_report(field: _Field) -> AddressReport:
    return AddressReport(
        address=field["address"].address(),
        role=field["role"].member(Role),
        interfaces=tuple(each.text() for each in field["interfaces"].items()),
        why=field["why"].text(""),
    )


def _counter(field: _Field) -> tuple[str, str, int]:
    parts = field.items()
    if len(parts) != 3:
        field.wrong("name, label and count")
    name, label, count = parts
    return name.text(), label.text(), count.number()
