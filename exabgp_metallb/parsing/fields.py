"""Checked access to the nested mappings of one object; what is wrong goes into one report.

A reader takes what it knows from a `Fields` and gets a usable value back even where a fault was
found, so that one pass tells every fault of an object. Nobody uses such a value: an object with a
fault is refused as a whole (`values.specs.Parsed`).

null is the same as absent, as in Kubernetes. A bool is no number and a number no text. Whatever was
written is abbreviated and escaped before it stands in a message.
"""

import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.labels import Labels

T = TypeVar("T")

MAX_FAULTS = 20
"""Faults, and warnings, that are told of one object; a hostile one has as many as bytes."""

_NOTHING: Mapping[str, object] = {}

MAX_SHOWN = 60
"""Letters of a value that a message shows."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")


def shared(value: T) -> T:
    """Return an equal value that was met before, if there was one lately: one of them is enough.

    For values that many objects have: a Service's labels and its selector, the ports of most.
    """
    met: T = _met(value)
    return met


@lru_cache(maxsize=4096)
def _met(value: Any) -> Any:  # noqa: ANN401 -- a cache knows no type variables
    return value


def shown(value: object) -> str:
    """Return what a message shows of a value: one short line, printable."""
    if isinstance(value, str):
        return f"'{escaped(value)}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a number of more than 20 digits"
    if isinstance(value, int | float):
        return str(value)
    if value is None:
        return "null"
    return _noun(value)


def escaped(text: str, limit: int = MAX_SHOWN) -> str:
    """Return a text cut to `limit` letters, with everything escaped that does not print."""
    if len(text) > limit:
        text = f"{text[: limit - 3]}..."
    return text if text.isprintable() else repr(text)[1:-1]


def _noun(value: object) -> str:
    """Return what a value is, without a word of it."""
    nouns = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        type(None): "null",
    }
    return nouns.get(type(value), "something that is not JSON")


class Report:
    """What is wrong with one object, as it is found.

    Attributes:
        ref: the object.
        faults: each refuses the object; in the order found.
        warnings: the object stands.
    """

    __slots__ = ("faults", "opened", "ref", "warnings")

    def __init__(self, ref: ObjectRef) -> None:
        self.ref = ref
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.opened: list[StrictFields] = []

    def fault(self, field: str, message: str) -> None:
        """Refuse the object: `message` says what was found and what would be right."""
        self._note(self.faults, field, message)

    def warn(self, field: str, message: str) -> None:
        """Tell the user something that does not refuse the object."""
        self._note(self.warnings, field, message)

    def warn_of_unknown(self) -> None:
        """Warn of every key that was never asked for, in all mappings that were opened."""
        for fields in self.opened:
            if len(self.warnings) <= MAX_FAULTS:  # the search for a likely key takes its time
                fields.warn_of_unknown()

    def _note(self, notes: list[Fault], field: str, message: str) -> None:
        if len(notes) < MAX_FAULTS:
            notes.append(Fault(self.ref, field, message))
        elif len(notes) == MAX_FAULTS:
            notes.append(Fault(self.ref, "", f"and more: only the first {MAX_FAULTS} are told"))


class Fields:
    """One mapping inside an object.

    Attributes:
        report: where faults go; one for the object.
    """

    __slots__ = ("_index", "_key", "_parent", "_raw", "report")

    def __init__(
        self,
        raw: object,
        report: Report,
        parent: "Fields | None" = None,
        key: str = "",
        index: int | None = None,
    ) -> None:
        """Open a mapping that lies at `key` of `parent`, or at `index` of the list there."""
        self._raw: Mapping[str, object] = raw if isinstance(raw, dict) else _NOTHING
        self._parent = parent
        self._key = key
        self._index = index
        self.report = report

    @property
    def path(self) -> str:
        """Where this mapping lies in its object: `spec.communities[1]`; "" for the object."""
        path = self._parent.path_of(self._key) if self._parent else self._key
        return path if self._index is None else f"{path}[{self._index}]"

    def path_of(self, key: str) -> str:
        """Return where the value of a key lies in the object."""
        path = self.path
        if not _PLAIN_KEY.fullmatch(str(key)):
            return f"{path}[{escaped(str(key))}]"
        return f"{path}.{key}" if path else key

    def get(self, key: str) -> object:
        """Return a value as it was written; None where there is none."""
        return self._raw.get(key)

    def has(self, key: str) -> bool:
        """Tell whether there is a value, right or wrong."""
        return self.get(key) is not None

    def has_no_mapping(self, key: str) -> bool:
        """Tell whether there is a value that is no mapping."""
        return not isinstance(self.get(key), dict | None)

    def names(self) -> list[str]:
        """Return all keys, sorted."""
        return sorted(self._raw, key=str)

    def fault(self, key: str, message: str) -> None:
        """Refuse the object for what is at `key`."""
        self.report.fault(self.path_of(key), message)

    def warn(self, key: str, message: str) -> None:
        """Warn of what is at `key`."""
        self.report.warn(self.path_of(key), message)

    def refuse(self, key: str, advice: str) -> None:
        """Refuse the object for the value at `key`, which the message shows."""
        self.fault(key, f"{shown(self.get(key))}: {advice}")

    def fault_item(self, key: str, index: int, message: str) -> None:
        """Refuse the object for one item of the list at `key`."""
        self.report.fault(f"{self.path_of(key)}[{index}]", message)

    def require(self, *keys: str, advice: str = "this field is required") -> None:
        """Refuse the object where one of these keys has no value."""
        if self._index is None and self._parent and self._parent.has_no_mapping(self._key):
            return  # which is told already
        for key in keys:
            if self.get(key) in (None, "", []):
                self.fault(key, f"missing: {advice}")

    def apart(self) -> "StrictFields":
        """Return the same mapping with a report of its own: an object inside another."""
        report = Report(self.report.ref)
        return StrictFields(self._raw, report, self._parent, self._key, self._index)

    # Scalars: None where the value is absent or, with a fault, wrong.

    def text(self, key: str) -> str | None:
        """Return a text; None also for an empty one, which is how Go writes "unset"."""
        value = self.get(key)
        if isinstance(value, str):
            return value or None
        if value is not None:
            self.refuse(key, _text_advice(value))
        return None

    def secret(self, key: str, parser: Callable[[str], T]) -> T | None:
        """Return a text as the parser reads it; no message shows it."""
        value = self.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.fault(key, f"{_noun(value)} (not shown): {_text_advice(value)}")
            return None
        try:
            return parser(value)
        except ValueError as error:
            self.fault(key, f"(not shown): {error}")
            return None

    def parsed(self, key: str, parser: Callable[[str], T]) -> T | None:
        """Return a text as the parser reads it.

        Args:
            key: where the text is.
            parser: raises ValueError with what would be right, to stand behind what was found.
        """
        value = self.text(key)
        if value is None:
            return None
        try:
            return parser(value)
        except ValueError as error:
            self.refuse(key, str(error))
            return None

    def integer(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number from `low` to `high`."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        quotes = " without quotes" if isinstance(value, str) else ""
        self.refuse(key, f"write a whole number from {low} to {high}{quotes}")
        return None

    def boolean(self, key: str) -> bool | None:
        """Return true or false."""
        value = self.get(key)
        if isinstance(value, bool):
            return value
        if value is not None:
            quotes = " without quotes" if isinstance(value, str) else ""
            self.refuse(key, f"write true or false{quotes}")
        return None

    def flag(self, key: str) -> bool:
        """Return true or false; false where there is neither."""
        return self.boolean(key) is True

    # Lists and mappings: empty where the value is absent or, with a fault, wrong.

    def sequence(self, key: str) -> Sequence[object]:
        """Return a list of anything."""
        value = self.get(key)
        if isinstance(value, list):
            return value
        if value is not None:
            self.refuse(key, "write a list")
        return ()

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.get(key)
        if isinstance(value, list):
            for item in value:
                if type(item) is not str:
                    break
            else:
                return tuple(value)
        return tuple(self.all_parsed(key, str))

    def all_parsed(self, key: str, parser: Callable[[str], T]) -> list[T]:
        """Return the texts of a list as the parser reads them, as `parsed` does for one."""
        return list(self.parsed_by_index(key, parser).values())

    def parsed_by_index(self, key: str, parser: Callable[[str], T]) -> dict[int, T]:
        """Return the same by the place that each text has in the list, in order."""
        found = {}
        for index, value in enumerate(self.sequence(key)):
            if not isinstance(value, str):
                self._refuse_item(key, index, value, _text_advice(value))
                continue
            try:
                found[index] = parser(value)
            except ValueError as error:
                self._refuse_item(key, index, value, str(error))
        return found

    def distinct(self, key: str) -> None:
        """Refuse a list in which a text stands twice."""
        seen: dict[str, int] = {}
        for index, value in enumerate(self.sequence(key)):
            if isinstance(value, str) and seen.setdefault(value, index) != index:
                self._refuse_item(key, index, value, f"stands in [{seen[value]}] too: remove one")

    def child(self, key: str) -> "Fields":
        """Open the mapping at a key."""
        value = self._raw.get(key)
        if value is not None and not isinstance(value, dict):
            self.refuse(key, "write a mapping")
        return type(self)(value, self.report, self, key)

    def children(self, key: str) -> "list[Fields]":
        """Open the mappings of the list at a key."""
        found = []
        for index, value in enumerate(self.sequence(key)):
            if isinstance(value, dict):
                found.append(type(self)(value, self.report, self, key, index))
            else:
                self._refuse_item(key, index, value, "write a mapping")
        return found

    def words(self, key: str) -> dict[str, str]:
        """Return a mapping of text to text, such as labels and annotations."""
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(key, "write a mapping")
            return {}
        for word, text in value.items():
            if type(word) is not str or type(text) is not str:
                return self._some_words(key)
        return value

    def labels(self, key: str) -> Labels:
        """Return a mapping of text to text as labels; equal words share their memory."""
        intern = sys.intern
        return shared(frozenset([(intern(k), intern(v)) for k, v in self.words(key).items()]))

    def _some_words(self, key: str) -> dict[str, str]:
        words = Fields(self.get(key), self.report, self, key)
        found = {name: words.text(name) for name in words.names()}
        return {name: text for name, text in found.items() if text is not None}

    def _refuse_item(self, key: str, index: int, value: object, advice: str) -> None:
        self.fault_item(key, index, f"{shown(value)}: {advice}")


class StrictFields(Fields):
    """A mapping of which every key is known: to read a key makes it so."""

    __slots__ = ("_children", "_known")

    def __init__(
        self,
        raw: object,
        report: Report,
        parent: "Fields | None" = None,
        key: str = "",
        index: int | None = None,
    ) -> None:
        super().__init__(raw, report, parent, key, index)
        self._known: set[str] = set()
        self._children: dict[str, Fields] = {}
        report.opened.append(self)

    def get(self, key: str) -> object:
        """Return a value as it was written; None where there is none."""
        self._known.add(key)
        return self._raw.get(key)

    def names(self) -> list[str]:
        """Return all keys, sorted; they are known from now on."""
        self._known.update(self._raw)
        return sorted(self._raw, key=str)

    def child(self, key: str) -> Fields:
        """Open the mapping at a key; asked again, it is the same one."""
        self._known.add(key)
        if key not in self._children:
            self._children[key] = super().child(key)
        return self._children[key]

    def warn_of_unknown(self) -> None:
        """Warn of every key that was never asked for."""
        for key in sorted(self._raw.keys() - self._known, key=str)[: MAX_FAULTS + 1]:
            self.warn(key, _unknown(str(key), self._known))


def _text_advice(value: object) -> str:
    if isinstance(value, bool | int | float):
        return "write a text: put it in quotes"
    return "write a text"


def _unknown(key: str, known: set[str]) -> str:
    """Say that nobody knows a key, and which one may be meant."""
    likely = {word.lower(): word for word in sorted(known)}
    close = difflib.get_close_matches(escaped(key).lower(), likely, n=1)
    hint = f": did you mean '{likely[close[0]]}'?" if close else ""
    return f"unknown field, ignored{hint}"
