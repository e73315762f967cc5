"""Checked access to nested mappings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.parsing.fields import MAX_FAULTS, Fields, Report, StrictFields, escaped, shown
from exabgp_metallb.parsing.scalars import address
from exabgp_metallb.values.faults import ObjectRef
from tests.strategies import json_values
from tests.unit.parsing.manifests import by_field

REF = ObjectRef("IPAddressPool", "metallb-system", "edge")


def opened(raw: object) -> StrictFields:
    """Open an object with a report of its own."""
    return StrictFields(raw, Report(REF))


def told(fields: Fields) -> dict[str, str]:
    """Return the faults that were found."""
    return by_field(tuple(fields.report.faults))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("abc", "'abc'", id="text"),
        pytest.param("", "''", id="empty"),
        pytest.param("a\nb\x1b[31m", r"'a\nb\x1b[31m'", id="control-characters"),
        pytest.param("a\u202eb", r"'a\u202eb'", id="right-to-left"),
        pytest.param("\ud800", r"'\ud800'", id="half-a-surrogate"),
        pytest.param("é", "'é'", id="letters"),
        pytest.param("x" * 100, "'" + "x" * 57 + "...'", id="long"),
        pytest.param(True, "true", id="bool"),
        pytest.param(None, "null", id="null"),
        pytest.param(-5, "-5", id="number"),
        pytest.param(1.5, "1.5", id="fraction"),
        pytest.param(10**5000, "a number of more than 20 digits", id="absurd-number"),
        pytest.param(["secret"], "a list", id="list"),
        pytest.param({"a": 1}, "a mapping", id="mapping"),
        pytest.param(object(), "something that is not JSON", id="no-json"),
    ],
)
def test_what_a_message_shows_of_a_value(value: object, text: str) -> None:
    """One short line that prints, and nothing of what lists and mappings hold."""
    assert shown(value) == text


@given(st.text())
def test_a_shown_text_is_short_and_printable(text: str) -> None:
    """Whatever a user wrote, it cannot break a line or a terminal."""
    assert escaped(text).isprintable()
    assert len(text) <= 60 or escaped(text).endswith("...")


def test_paths() -> None:
    """A fault names the whole path, with odd keys in brackets."""
    root = opened({"spec": {"list": [{"a": 1}], "map": {"x/y": 2}, "texts": ["a", 5]}})
    root.child("spec").children("list")[0].text("a")
    root.child("spec").words("map")
    root.child("spec").texts("texts")
    odd = "k\n" * 100
    root.child("spec").child("map").fault(odd, "odd")
    assert list(told(root)) == [
        "spec.list[0].a",
        "spec.map[x/y]",
        "spec.texts[1]",
        f"spec.map[{escaped(odd)}]",
    ]


@pytest.mark.parametrize(
    ("method", "raw", "message"),
    [
        pytest.param("text", 5, "5: write a text: put it in quotes", id="text-number"),
        pytest.param("text", True, "true: write a text: put it in quotes", id="text-bool"),
        pytest.param("text", ["a"], "a list: write a text", id="text-list"),
        pytest.param("flag", "yes", "'yes': write true or false without quotes", id="flag-text"),
        pytest.param("flag", 1, "1: write true or false", id="flag-number"),
        pytest.param("sequence", "a", "'a': write a list", id="list-text"),
        pytest.param("sequence", {}, "a mapping: write a list", id="list-mapping"),
        pytest.param("child", [], "a list: write a mapping", id="mapping-list"),
        pytest.param("words", "a", "'a': write a mapping", id="words-text"),
    ],
)
def test_values_of_the_wrong_type(method: str, raw: object, message: str) -> None:
    """Each says what was found and what would be right."""
    fields = opened({"key": raw})
    getattr(fields, method)("key")
    assert told(fields) == {"key": message}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param("7", "'7': write a whole number from 1 to 9 without quotes", id="text"),
        pytest.param(True, "true: write a whole number from 1 to 9", id="bool-is-no-number"),
        pytest.param(1.5, "1.5: write a whole number from 1 to 9", id="fraction"),
        pytest.param(0, "0: write a whole number from 1 to 9", id="too-small"),
        pytest.param(10, "10: write a whole number from 1 to 9", id="too-large"),
        pytest.param([], "a list: write a whole number from 1 to 9", id="list"),
    ],
)
def test_what_is_no_number_of_the_range(raw: object, message: str) -> None:
    """The message says the range, and that quotes make a text."""
    fields = opened({"key": raw})
    assert fields.integer("key", 1, 9) is None
    assert told(fields) == {"key": message}


@pytest.mark.parametrize("raw", [{}, {"key": None}], ids=["absent", "null"])
def test_what_is_absent_is_no_fault(raw: object) -> None:
    """A null is absent, as in Kubernetes."""
    fields = opened(raw)
    assert fields.text("key") is None
    assert fields.integer("key", 0, 1) is None
    assert fields.boolean("key") is None
    assert fields.flag("key") is False
    assert fields.parsed("key", address) is None
    assert fields.secret("key", address) is None
    assert fields.texts("key") == ()
    assert fields.children("key") == []
    assert fields.labels("key") == frozenset()
    assert fields.child("key").names() == []
    assert told(fields) == {}


def test_a_list_tells_every_item_that_is_wrong() -> None:
    """The good items are there all the same, and the faults are of their places."""
    fields = opened({"key": ["192.0.2.1", "x", 5, None]})
    assert fields.all_parsed("key", address) == [address("192.0.2.1")]
    assert told(fields) == {
        "key[1]": "'x': write an IPv4 or IPv6 address",
        "key[2]": "5: write a text: put it in quotes",
        "key[3]": "null: write a text",
    }


def test_a_text_that_stands_twice() -> None:
    """Each repetition is a fault that names the first."""
    fields = opened({"key": ["a", "b", "a", 5, 5]})
    fields.distinct("key")
    assert told(fields) == {"key[2]": "'a': stands in [0] too: remove one"}


def test_what_is_required() -> None:
    """Absent, null and empty are missing; in something that is no mapping nothing is."""
    fields = opened({"a": None, "b": "", "c": [], "d": 0, "e": {}, "f": 5})
    fields.require("a", "b", "c", "d", "e")
    fields.child("f").require("g")
    assert told(fields) == {
        "a": "missing: this field is required",
        "b": "missing: this field is required",
        "c": "missing: this field is required",
        "f": "5: write a mapping",
    }


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param("secret", "(not shown): write an IPv4 or IPv6 address", id="wrong"),
        pytest.param(12345, "a number (not shown): write a text: put it in quotes", id="number"),
        pytest.param(["secret"], "a list (not shown): write a text", id="list"),
    ],
)
def test_a_secret_is_never_shown(raw: object, message: str) -> None:
    """The message says what is wrong without the value."""
    fields = opened({"key": raw})
    fields.secret("key", address)
    assert told(fields) == {"key": message}


def test_unknown_fields_are_warned_of() -> None:
    """All of them, with the known one that was probably meant."""
    fields = opened({"addresses": [], "adresses": [], "zzz": 1, "spec": {"autoAsign": 1}})
    fields.sequence("addresses")
    fields.child("spec").boolean("autoAssign")
    fields.report.warn_of_unknown()
    assert by_field(tuple(fields.report.warnings)) == {
        "adresses": "unknown field, ignored: did you mean 'addresses'?",
        "zzz": "unknown field, ignored",
        "spec.autoAsign": "unknown field, ignored: did you mean 'autoAssign'?",
    }
    assert fields.report.faults == []


def test_a_lenient_mapping_warns_of_nothing() -> None:
    """Kubernetes' own objects have hundreds of fields that nobody reads."""
    fields = Fields({"a": 1, "b": {"c": 1}}, Report(REF))
    fields.child("b").text("d")
    fields.report.warn_of_unknown()
    assert fields.report.warnings == []


def test_ten_thousand_faults_are_told_as_a_few() -> None:
    """A hostile object cannot flood the log, nor take long."""
    fields = opened({"key": [5] * 10_000, **{f"k{n}": n for n in range(10_000)}})
    fields.texts("key")
    fields.report.warn_of_unknown()
    for notes in (fields.report.faults, fields.report.warnings):
        assert len(notes) == MAX_FAULTS + 1
        assert notes[-1].message == f"and more: only the first {MAX_FAULTS} are told"


@given(json_values)
def test_no_value_gets_an_exception_out_of_an_accessor(raw: object) -> None:
    """Every accessor takes anything."""
    fields = opened({"key": raw, "list": [raw, raw]})
    for key in ("key", "list"):
        fields.text(key)
        fields.integer(key, 0, 9)
        fields.flag(key)
        fields.secret(key, address)
        fields.parsed(key, address)
        fields.texts(key)
        fields.distinct(key)
        fields.labels(key)
        fields.require(key)
        fields.child(key).text("x")
        for child in fields.children(key):
            child.text("x")
    fields.report.warn_of_unknown()
    for fault in (*fields.report.faults, *fields.report.warnings):
        assert str(fault).isprintable()
