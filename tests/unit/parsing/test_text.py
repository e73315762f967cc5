"""Reading YAML and JSON text as kubectl does.

What kubectl makes of each word was taken from sigs.k8s.io/yaml 1.6.0 (YAMLToJSON) itself.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.errors import Error
from exabgp_metallb.parsing.text import MAX_DEPTH, TextError, documents

KUBECTL = [
    # words and booleans
    ("y", True),
    ("Y", True),
    ("yes", True),
    ("On", True),
    ("TRUE", True),
    ("n", False),
    ("No", False),
    ("off", False),
    ("False", False),
    ("oN", "oN"),
    ("tRUE", "tRUE"),
    ("'yes'", "yes"),
    ('"5"', "5"),
    ("", None),
    ("~", None),
    ("Null", None),
    ("nuLL", "nuLL"),
    ("=", "="),
    # whole numbers
    ("64512", 64512),
    ("+5", 5),
    ("-0", 0),
    ("1_000", 1000),
    ("0777", 511),
    ("0_7", 7),
    ("0o17", 15),
    ("0x1F", 31),
    ("-0x10", -16),
    ("0b_1", 1),
    ("0B11", 3),
    ("08", 8),
    ("64512.0", 64512),
    ("1e3", 1000),
    ("1.e3", 1000),
    ("18446744073709551615", 18446744073709551615),
    # what is no number of base 60, no date and no number at all
    ("64512:10", "64512:10"),
    ("1:2", "1:2"),
    ("190:20:30", "190:20:30"),
    ("2001-01-01", "2001-01-01"),
    ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
    ("192.168.1.1", "192.168.1.1"),
    ("0x", "0x"),
    ("1.2.3", "1.2.3"),
    ("1e999", "1e999"),
    ("._1", "._1"),
    ("_1", "_1"),
    (".", "."),
    # fractions
    (".5", 0.5),
    ("-.5", -0.5),
    ("0.1_0", 0.1),
    ("12345678901234567890123", 1.2345678901234568e22),
    # explicit tags
    ("!!str 5", "5"),
    ("!!float 3", 3),
    ("!!timestamp 2001-01-01", "2001-01-01"),
    ("!!binary aGk=", "hi"),
    ("!ours 5", "5"),
    ("! 5", "5"),
    # collections and blocks
    ("[a, yes]", ["a", True]),
    ("{b, c: 1}", {"b": None, "c": 1}),
    ("|\n  1\n", "1\n"),
]


@pytest.mark.parametrize(("text", "value"), KUBECTL, ids=[text or "nothing" for text, _ in KUBECTL])
def test_a_scalar_is_what_kubectl_makes_of_it(text: str, value: object) -> None:
    """Value and type are those of the JSON that kubectl sends."""
    (document,) = documents(f"a: {text}")
    assert isinstance(document, dict)
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1: a\n1.5: b\ny: c", {"1": "a", "1.5": "b", "true": "c"}, id="keys-are-text"),
        pytest.param("x: &x [1]\nz: *x", {"x": [1], "z": [1]}, id="alias"),
        pytest.param(
            "x: &x {a: 1}\nz: {<<: *x, a: 2}",
            {"x": {"a": 1}, "z": {"a": 2}},
            id="a-key-after-a-merge-wins",
        ),
        pytest.param(
            "x: &x {a: 1}\nz: {a: 2, <<: *x}",
            {"x": {"a": 1}, "z": {"a": 1}},
            id="a-key-before-a-merge-is-replaced",
        ),
        pytest.param("<<: [{a: 2, b: 3}, {b: 4}]", {"a": 2, "b": 3}, id="the-first-of-a-list-wins"),
        pytest.param("'<<': 1", {"<<": 1}, id="a-quoted-merge-is-a-key"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="byte-order-mark"),
        pytest.param('\ufeff{"a": 1}', {"a": 1}, id="byte-order-mark-and-json"),
    ],
)
def test_a_mapping_is_what_kubectl_makes_of_it(text: str, value: object) -> None:
    """Keys, aliases and merges come out as in kubectl's JSON."""
    assert documents(text) == [value]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("# a comment\n---\n---\n# more\n", [], id="empty-documents"),
        pytest.param("---\na: 1\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}], id="yaml"),
        pytest.param('{"a": 1}\n{"b": 2}', [{"a": 1}, {"b": 2}], id="json-after-json"),
        pytest.param('{"a": 1}\n---\n{"b": 2}', [{"a": 1}, {"b": 2}], id="json-as-yaml"),
        pytest.param("[1, 2]", [[1, 2]], id="a-list"),
        pytest.param("word", ["word"], id="a-word"),
        pytest.param("{a: 64512:10}", [{"a": "64512:10"}], id="flow-is-not-json"),
        pytest.param('{"a": 1.0, "b": 1e3}', [{"a": 1, "b": 1000}], id="json-whole-numbers"),
        pytest.param('{"a": "\\ud83d\\ude00\\/"}', [{"a": "\U0001f600/"}], id="json-escapes"),
        pytest.param('{"a": NaN}', [{"a": "NaN"}], id="json-has-no-nan"),
    ],
)
def test_documents_of_a_stream(text: str, values: list[object]) -> None:
    """A stream holds any number of documents, in YAML or JSON; empty ones are dropped."""
    assert documents(text) == values


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, 1, "the key 'a' stands twice", id="duplicate"),
        pytest.param("1: a\n'1': b", 2, 1, "'1' stands twice", id="duplicate-after-conversion"),
        pytest.param('{"a": 1,\n "a": 2}', 2, 2, "'a' stands twice", id="duplicate-in-json"),
        pytest.param("a: b: c", 1, 5, "mapping values are not allowed", id="syntax"),
        pytest.param('{"a": 1', 2, 1, "expected ',' or '}'", id="json-cut-off"),
        pytest.param("a:\n\t- b", 2, 1, "indented with spaces", id="tab"),
        pytest.param("a: 'x\n", 2, 1, "unexpected end", id="open-quote"),
        pytest.param("é: \x01", 1, 4, "control character", id="control-character"),
        pytest.param("a\n b: \ud800", 2, 5, "a character that is none", id="half-a-surrogate"),
        pytest.param("a: .inf", 1, 4, ".inf is no number", id="infinity"),
        pytest.param("a: !!int yes", 1, 4, "cannot be read as !!int", id="wrong-tag"),
        pytest.param("a: !!bool 1", 1, 4, "cannot be read as !!bool", id="wrong-bool-tag"),
        pytest.param("a: !!binary '*'", 1, 4, "no base64", id="wrong-binary"),
        pytest.param("a: !!binary 'é'", 1, 4, "no base64", id="wrong-binary-letters"),
        pytest.param("~: 1", 1, 1, "null cannot be a key", id="null-key"),
        pytest.param("? [a]\n: 1", 1, 3, "cannot be a key", id="list-as-key"),
        pytest.param("<<: 5", 1, 5, "<< merges a mapping", id="merge-of-a-number"),
        pytest.param("a: *x", 1, 4, "no anchor &x", id="unknown-alias"),
        pytest.param("a: &x 1\n---\nb: *x", 3, 4, "no anchor &x", id="alias-between-documents"),
        pytest.param("a: &x [*x]", 1, 8, "inside what it stands for", id="alias-of-itself"),
        pytest.param(BOMB, 5, 29, "aliases stand for more", id="billion-laughs"),
        pytest.param("a: " + "[" * 200, 1, 103, "nested more than", id="deep-yaml"),
        pytest.param('{"a":' * 200 + "1" + "}" * 200, 1, 501, "nested more than", id="deep-json"),
        pytest.param("[" * 100_000, 1, 101, "nested more than", id="very-deep"),
    ],
)
def test_what_is_refused(text: str, line: int, column: int, words: str) -> None:
    """The error says line, column and why."""
    with pytest.raises(TextError, match=f"^line {line}, column {column}: ") as caught:
        documents(text)
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert isinstance(caught.value, Error)
    assert isinstance(caught.value, ValueError)


def test_the_deepest_that_is_read() -> None:
    """One level less than what is refused is read, in both languages."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert documents(text) == documents("# yaml\n" + text)


@given(st.text() | st.text(alphabet="{}[]:,-*&!<>|'\"#%@\\? \t\nab01._~"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text gets anything but documents or a TextError out of the reader."""
    try:
        found = documents(text)
    except TextError:
        return
    json.dumps(found, allow_nan=False)


READABLE = st.text(st.characters(exclude_categories=("C", "Z")))  # YAML takes no controls


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | READABLE,
        lambda children: st.lists(children) | st.dictionaries(READABLE, children),
        max_leaves=20,
    )
)
def test_json_comes_back_as_it_was(value: object) -> None:
    """Every JSON value is read as itself."""
    assert documents(json.dumps({"a": value})) == [{"a": value}]
    assert documents("# yaml\n" + json.dumps({"a": value}, ensure_ascii=False)) == [{"a": value}]
