"""Frozen dataclasses <-> JSON, by their type hints alone: no class has a line of code here.

    dataclass            its fields in order: ["default", "web"]
    named tuple          the same
    tuple, frozenset     a list; a set's is sorted
    enum                 its value
    address              IPv4 as a number, IPv6 as text in base 16
    X | None             null or X
    X | Y                [0, X] or [1, Y], in the order of the hint

A password is never written: null stands for it. `fingerprint` changes whenever anything in the
shape of a class changes, so a file says which program can read it.
"""

import dataclasses
import enum
import hashlib
import sys
import types
import typing
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from exabgp_metallb.values.intent import Password

Convert = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How values of one type are written and read; None is a value that needs no change."""

    encode: Convert | None
    decode: Convert | None


_PLAIN = Codec(None, None)
_TEXT = Codec(None, sys.intern)  # node names, namespaces, ports: the same few words in each object


class Codecs:
    """The codecs of a type and of all that its hints name, built when they are first asked for."""

    def __init__(self) -> None:
        self._known: dict[object, Codec] = {}
        self._shapes: dict[str, str] = {}  # class -> what it looks like

    def of(self, hint: object) -> Codec:
        """Return the codec of a type hint.

        Raises:
            TypeError: a hint of a sort that this module does not know.
        """
        if hint not in self._known:
            self._known[hint] = self._build(hint)
        return self._known[hint]

    def fingerprint(self) -> str:
        """Return a word that names the shape of every class that was asked for so far."""
        text = "\n".join(f"{name}: {shape}" for name, shape in sorted(self._shapes.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _build(self, hint: object) -> Codec:
        if hint is str:
            return _TEXT
        if hint in (int, bool, type(None)):
            return _PLAIN
        if hint is Password:
            return Codec(_nothing, _nothing)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is types.UnionType or origin is typing.Union:
            return self._union(arguments)
        if origin is frozenset:
            return _set(self.of(arguments[0]))
        if origin is tuple:
            return self._tuple(arguments)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            self._shapes[hint.__qualname__] = repr([(m.name, m.value) for m in hint])
            return Codec(_enum_value, {member.value: member for member in hint}.__getitem__)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self._dataclass(hint)
        if isinstance(hint, type) and issubclass(hint, tuple):
            return self._named_tuple(hint)
        raise TypeError(f"no codec for {hint!r}")

    def _dataclass(self, cls: type) -> Codec:
        hints = typing.get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        self._shapes[cls.__qualname__] = repr([(name, str(hints[name])) for name in names])
        # A class may hold itself, so its codec exists before those of its fields.
        encoders: list[tuple[int, Convert]] = []
        decoders: list[tuple[int, Convert]] = []
        codec = Codec(_row(names, encoders), _instance(cls, names, decoders))
        self._known[cls] = codec
        for index, name in enumerate(names):
            field = self.of(hints[name])
            if field.encode:
                encoders.append((index, field.encode))
            if field.decode:
                decoders.append((index, field.decode))
        return codec

    def _named_tuple(self, cls: type) -> Codec:
        hints = typing.get_type_hints(cls)
        self._shapes[cls.__qualname__] = repr([(name, str(hint)) for name, hint in hints.items()])
        row = _fixed([self.of(hint) for hint in hints.values()])
        decode = row.decode
        assert decode  # noqa: S101 -- JSON has no tuples, so there always is one
        return Codec(row.encode, lambda value: tuple.__new__(cls, decode(value)))

    def _tuple(self, arguments: tuple[object, ...]) -> Codec:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _each(self.of(arguments[0]))
        return _fixed([self.of(argument) for argument in arguments])

    def _union(self, arguments: tuple[object, ...]) -> Codec:
        members = [argument for argument in arguments if argument is not type(None)]
        if len(members) == 1:
            codec = self.of(members[0])
        elif set(members) == {IPv4Address, IPv6Address}:
            codec = Codec(_address_to_json, _address_from_json)
        else:
            codec = _choice(members, [self.of(member) for member in members])
        if len(members) == len(arguments):
            return codec
        return Codec(_unless_none(codec.encode), _unless_none(codec.decode))


def _nothing(_value: object) -> None:
    return None


def _enum_value(member: enum.Enum) -> object:
    return member.value


def _address_to_json(address: IPv4Address | IPv6Address) -> int | str:
    if isinstance(address, IPv4Address):
        return int(address)
    return str(address) if address.scope_id else f"{int(address):x}"


def _address_from_json(value: int | str) -> IPv4Address | IPv6Address:
    if isinstance(value, int):
        return IPv4Address(value)
    return IPv6Address(value if "%" in value else int(value, 16))


def _row(names: Sequence[str], encoders: Sequence[tuple[int, Convert]]) -> Convert:
    def encode(value: object) -> list[object]:
        row = [getattr(value, name) for name in names]
        for index, convert in encoders:
            row[index] = convert(row[index])
        return row

    return encode


def _instance(cls: type, names: Sequence[str], decoders: Sequence[tuple[int, Convert]]) -> Convert:
    # Filled by way of its slots, as unpickling does: a third of the time of a frozen class's
    # constructor, and what was valid when it was written is valid still.
    setters = [vars(cls)[name].__set__ for name in names]
    new = object.__new__

    def decode(row: list[Any]) -> object:
        for index, convert in decoders:
            row[index] = convert(row[index])
        value: object = new(cls)
        for fill, item in zip(setters, row, strict=True):
            fill(value, item)
        return value

    return decode


def _each(item: Codec) -> Codec:
    """Return the codec of tuple[X, ...]; JSON writes a tuple as a list by itself."""
    encode, decode = item.encode, item.decode
    return Codec(
        (lambda value: [*map(encode, value)]) if encode else None,
        (lambda value: tuple(map(decode, value))) if decode else tuple,
    )


def _fixed(items: Sequence[Codec]) -> Codec:
    """Return the codec of tuple[X, Y]."""
    if all(item is items[0] for item in items):
        return _each(items[0])

    def convert(value: Sequence[Any], converts: Sequence[Convert | None]) -> tuple[Any, ...]:
        return tuple(c(x) if c else x for c, x in zip(converts, value, strict=True))

    encoders, decoders = [i.encode for i in items], [i.decode for i in items]
    return Codec(lambda value: convert(value, encoders), lambda value: convert(value, decoders))


def _set(item: Codec) -> Codec:
    encode, decode = item.encode, item.decode
    return Codec(
        (lambda value: sorted(map(encode, value))) if encode else sorted,
        (lambda value: frozenset(map(decode, value))) if decode else frozenset,
    )


def _choice(members: Sequence[object], codecs: Sequence[Codec]) -> Codec:
    """Return the codec of X | Y; the type of a value says which of them it is."""
    numbers = {member: number for number, member in enumerate(members)}

    def encode(value: object) -> list[object]:
        number = numbers[type(value)]
        convert = codecs[number].encode
        return [number, convert(value) if convert else value]

    def decode(pair: Sequence[Any]) -> object:
        number, value = pair
        convert = codecs[number].decode
        return convert(value) if convert else value

    return Codec(encode, decode)


def _unless_none(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)
