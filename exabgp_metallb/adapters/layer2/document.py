"""A JSON document a line, whole or as what is different from the one before it.

    {"version": 2, "serial": 7, "since": null, KIND: {"node": ..., ...}}
    {"version": 2, "serial": 9, "since": 7, KIND: {"node": ..., ...}}

The second one says what is different from the first. A reader that does not have the document with
the serial `since` has no use for it.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Generic, NoReturn, TypeVar

from exabgp_metallb.errors import OrdersError, OrdersGapError
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import Orders, Report

VERSION = 2

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")
Document = TypeVar("Document", Orders, Report)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a document is on a line.

    Attributes:
        serial: of the document.
        since: that of the document from which the line says the difference; None: it is whole.
        addresses: all that may be different; None: any.
    """

    serial: int = 0
    since: int | None = None
    addresses: Collection[Address] | None = None


WHOLE = Part()


@dataclass(frozen=True, slots=True)
class Received(Generic[Document]):
    """A document as it is with a line that came."""

    version: int
    part: Part
    document: Document


def line_of(kind: str, fields: Mapping[str, object], part: Part) -> bytes:
    """Return a line with these fields."""
    head = {"version": VERSION, "serial": part.serial, "since": part.since}
    return json.dumps(head | {kind: fields}, separators=(",", ":")).encode() + b"\n"


def fields_of(line: bytes, kind: str, last: Received[Document] | None) -> tuple[int, Part, "Field"]:
    """Return the version of a line, what it is a part of, and its fields.

    Raises:
        OrdersError: it says nothing; `OrdersGapError` when it says nothing without another one.
    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OrdersError(f"{kind}: no JSON document: {line[:60]!r}") from error
    root = Field(document, "document")
    version, fields = root["version"].number(), root[kind]
    fields["node"].text()  # the document is there
    serial, since = root["serial"], root["since"]
    part = Part(serial.number() if serial.given else 0, since.number() if since.given else None)
    if part.since is not None and (last is None or part.since != last.part.serial):
        raise OrdersGapError(f"{kind}: a difference from number {part.since}, which did not come")
    return version, part, fields


class Field:
    """A value in a document, with its place for messages."""

    def __init__(self, value: object, path: str) -> None:
        self._value = value
        self._path = path

    def __getitem__(self, name: str) -> "Field":
        if not isinstance(self._value, Mapping):
            self.wrong("an object")
        return Field(self._value.get(name), f"{self._path}.{name}")

    @property
    def given(self) -> bool:
        """Whether there is a value."""
        return self._value is not None

    def items(self) -> Sequence["Field"]:
        """Return the items of a list; none of one that is not there."""
        if self._value is None:
            return ()
        if not isinstance(self._value, list):
            self.wrong("a list")
        return [Field(each, f"{self._path}[{i}]") for i, each in enumerate(self._value)]

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._value, list)

    def rows(self) -> Iterator[tuple["Field", "Field"]]:
        """Yield the addresses of an object with their rows; or of a list, as in version 1."""
        if self.is_list:
            yield from ((each["address"], each) for each in self.items())
            return
        if not isinstance(self._value, Mapping | None):
            self.wrong("an object")
        for text, row in (self._value or {}).items():
            path = f"{self._path}.{text}"
            yield Field(text, path), Field(row, path)

    def parts(self, count: int) -> Sequence["Field"]:
        """Return the first items of a list; a later release may have more."""
        found = self.items()
        return found[:count] if len(found) >= count else self.wrong(f"a list of {count}")

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
