"""YAML and JSON text -> plain objects, with every number, date and word read as kubectl reads it.

kubectl reads YAML with sigs.k8s.io/yaml, which is go-yaml v2 (go.yaml.in/yaml/v2, resolve.go) made
into JSON. That is neither YAML 1.1, which PyYAML follows, nor YAML 1.2:

    64512:10          text; there are no numbers of base 60
    2026-01-01        text; JSON has no dates
    yes no on off y n booleans, in the usual three spellings
    0777 0o17 0x1F    numbers of base 8, 8 and 16; 08 is the decimal number 8
    1_000 1e3 64512.0 the whole numbers 1000, 1000 and 64512
    1: a              a key is text always: "1"; null as a key is an error
    <<: *base         merges at its place: keys before it are replaced, keys after it win

Where go-yaml lets the last of two equal keys win we refuse the text: it is always a slip. What JSON
cannot hold (.nan, .inf), nesting beyond `MAX_DEPTH` and aliases that expand beyond `MAX_ALIASED`
nodes are refused too.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import yaml
from yaml._yaml import CParser

from exabgp_metallb.errors import Error

MAX_DEPTH = 100
"""Nesting that no object of ours comes near; what reads the objects may recurse."""

MAX_ALIASED = 100_000
"""Nodes that all aliases of a document may stand for; a "billion laughs" has 10**9."""

_BOM = "\ufeff"
_CORE = "tag:yaml.org,2002:"
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1

_WORDS: Mapping[str, object] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_NOT_IN_JSON = frozenset(
    {".nan", ".NaN", ".NAN"}
    | {sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
)

# strconv.ParseInt(s, 0, 64) after the underscores are gone; 24 digits are beyond 64 bits.
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_OLD_OCTAL = re.compile(r"[-+]?0[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


Each = Callable[[dict[str, object]], object]


class TextError(Error, ValueError):
    """A text is neither YAML nor JSON as kubectl reads them; nothing of it is used.

    Attributes:
        line: where, from 1; the message starts with it.
        column: from 1.
    """

    def __init__(self, message: str, *, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column


def documents(text: str, *, each: Each | None = None) -> list[object]:
    """Return the documents of a YAML stream, or of JSON values one after another; no empty ones.

    A document is a dict with keys of text, a list, a str, an int, a float or a bool. Aliases share
    one object, so treat all of it as read-only.

    Args:
        text: all of it.
        each: given each dict of JSON as soon as its end is read, the innermost first; what it
            returns stands in the dict's place. Of YAML, which may merge what it read before, it is
            given nothing.

    Raises:
        TextError: the text cannot be read; says where and why.
    """
    text = text.removeprefix(_BOM)
    if text.lstrip()[:1] in ("{", "["):  # as kubectl: JSON first, and YAML where that fails
        with suppress(ValueError, RecursionError):
            return _json_documents(text, _decoder(each))
    return _yaml_documents(text)


def _json_documents(text: str, decoder: json.JSONDecoder) -> list[object]:
    """Return JSON values one after another; ValueError sends the text on to the YAML reader."""
    found: list[object] = []
    end = 0
    while (start := _after_space(text, end)) < len(text):
        value, end = decoder.raw_decode(text, start)
        _refuse_depth(value)
        found.append(value)
    return found


def _after_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _refuse_depth(value: object) -> None:
    """Raise ValueError for what is nested beyond MAX_DEPTH; a loop, since Python recurses less."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise ValueError("nested too deeply")


def _decoder(each: Each | None) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_unique if each is None else lambda pairs: each(_unique(pairs)),
        parse_constant=_refuse_constant,
        parse_float=lambda digits: _whole(float(digits)),
    )


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object; the YAML reader says where a key stands twice."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _whole(value: float) -> int | float:
    """Return a float without a fraction as the whole number that its JSON is."""
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


_SPACE = re.compile(r"[ \t\r\n]*")


def plain(text: str) -> object:
    """Return what an unquoted YAML scalar stands for: None, a bool, a number or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in "+-.0123456789" else text


def _number(text: str) -> int | float | str:
    digits = text if text.startswith(".") else text.replace("_", "")
    if len(digits) <= 24 and _INTEGER.fullmatch(digits):
        value = int(digits, 8 if _OLD_OCTAL.fullmatch(digits) else 0)
        if _INT64_MIN <= value <= _UINT64_MAX:
            return value
    if _FLOAT.fullmatch(digits) and math.isfinite(number := float(digits)):
        return _whole(number)
    return text


def _yaml_documents(text: str) -> list[object]:
    try:
        return _Reader(text).documents()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise _at("a character that is none", text[: error.start]) from error
    except yaml.reader.ReaderError as error:  # a control character
        head = text.encode()[: error.position].decode(errors="ignore")
        raise _at(f"{error.reason}: remove the control character", head) from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from error


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> TextError:
    what = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return TextError(what, line=1, column=1)
    line = text.split("\n")[mark.line : mark.line + 1]
    if line and line[0][mark.column : mark.column + 1] == "\t":
        what = "a tab: YAML is indented with spaces"
    return TextError(what, line=mark.line + 1, column=mark.column + 1)


def _at(what: str, head: str) -> TextError:
    """Return the error for what follows `head`, the text before it."""
    return TextError(what, line=head.count("\n") + 1, column=len(head) - head.rfind("\n"))


class _Reader:
    """Builds objects from libyaml's events, which name line and column."""

    def __init__(self, text: str) -> None:
        self._parser = CParser(text)
        self._anchors: dict[str, tuple[object, int] | None] = {}  # value, nodes; None: still open
        self._nodes = 0
        self._aliased = 0

    def documents(self) -> list[object]:
        found = []
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                self._nodes = self._aliased = 0
                found.append(self._node(self._next(), depth=0))
        return [document for document in found if document is not None]

    def _next(self) -> yaml.Event:
        event = self._parser.get_event()
        assert event is not None  # noqa: S101 -- nobody asks beyond the end of the stream
        return event

    def _node(self, event: yaml.Event, *, depth: int) -> object:
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.NodeEvent)  # noqa: S101 -- libyaml's grammar
        if event.anchor is None:
            return self._content(event, depth=depth)
        before = self._nodes
        self._anchors[event.anchor] = None
        value = self._content(event, depth=depth)
        self._anchors[event.anchor] = (value, self._nodes - before + 1)
        return value

    def _content(self, event: yaml.NodeEvent, *, depth: int) -> object:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth >= MAX_DEPTH:
            raise _error(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth=depth + 1)
        return self._sequence(depth=depth + 1)

    def _sequence(self, *, depth: int) -> list[object]:
        value = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            value.append(self._node(event, depth=depth))
        return value

    def _mapping(self, *, depth: int) -> dict[str, object]:
        value: dict[str, object] = {}
        merged: set[str] = set()  # keys that only a merge has set: they may be set again
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if _is_merge(event):
                values = self._next()
                for base in _bases(values, self._node(values, depth=depth)):
                    merged |= base.keys() - (value.keys() - merged)
                    value.update(base)
                continue
            key = _key(event, self._node(event, depth=depth))
            if key in value and key not in merged:
                raise _error(event, f"the key {key[:60]!r} stands twice in one mapping: keep one")
            merged.discard(key)
            value[key] = self._node(self._next(), depth=depth)
        return value

    def _alias(self, event: yaml.AliasEvent) -> object:
        name = event.anchor or ""
        if name not in self._anchors:
            raise _error(event, f"no anchor &{name[:60]} stands before the alias *{name[:60]}")
        anchored = self._anchors[name]
        if anchored is None:
            raise _error(event, f"the alias *{name[:60]} stands inside what it stands for")
        value, nodes = anchored
        self._nodes += nodes
        self._aliased += nodes
        if self._aliased > MAX_ALIASED:
            raise _error(event, f"aliases stand for more than {MAX_ALIASED} nodes: write them out")
        return value


def _error(event: yaml.Event, what: str) -> TextError:
    mark = event.start_mark
    assert mark is not None  # noqa: S101 -- libyaml marks every event
    return TextError(what, line=mark.line + 1, column=mark.column + 1)


def _scalar(event: yaml.ScalarEvent) -> object:
    text = event.value
    if event.implicit[0] and not event.tag:  # neither quoted nor tagged
        if text in _NOT_IN_JSON:
            raise _error(event, f"{text} is no number that an object can hold")
        return plain(text)
    return _tagged(event) if event.tag else text


def _tagged(event: yaml.ScalarEvent) -> object:
    """Return a scalar with an explicit tag; tags that go-yaml does not know leave text."""
    tag = (event.tag or "").removeprefix(_CORE)
    if tag in _TAGGED:
        value = plain(event.value)
        if type(value) not in _TAGGED[tag]:
            raise _error(event, f"{event.value[:60]!r} cannot be read as !!{tag}")
        return value
    if tag == "binary":
        return _binary(event)
    return event.value


_TAGGED: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}


def _binary(event: yaml.ScalarEvent) -> str:
    try:
        return base64.b64decode("".join(event.value.split()), validate=True).decode(
            errors="replace"
        )
    except ValueError as error:
        raise _error(event, "!!binary holds no base64") from error


def _is_merge(event: yaml.Event) -> bool:
    if not isinstance(event, yaml.ScalarEvent) or event.value != "<<":
        return False
    return event.tag == f"{_CORE}merge" if event.tag else bool(event.implicit[0])


def _bases(event: yaml.Event, value: object) -> list[dict[str, object]]:
    """Return the mappings that `<<` merges, in the order of merging: of a list the first wins."""
    values = value[::-1] if isinstance(value, list) else [value]
    bases = [base for base in values if isinstance(base, dict)]
    if len(bases) < len(values):
        raise _error(event, "<< merges a mapping or a list of mappings")
    return bases


def _key(event: yaml.Event, value: object) -> str:
    """Return a key as the text it is in JSON (convertToJSONableObject of sigs.k8s.io/yaml)."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    found = "null" if value is None else "a list or a mapping"
    raise _error(event, f"{found} cannot be a key: write a word")
