"""What is written to standard output: safe for terminals, and read back as it was meant."""

import json
import os
import subprocess
import sys
import unicodedata

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from exabgp_metallb.parsing.text import documents
from exabgp_metallb.programs.terminal import clean, json_text, yaml_text

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text())
def test_clean_leaves_no_control_character(text: str) -> None:
    """Neither escape sequences nor ends of lines nor changes of direction get through."""
    cleaned = clean(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in cleaned)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("Zürich", "Zürich"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    """Only what is dangerous is escaped."""
    assert clean(text) == expected


@given(st.dictionaries(st.text(), values))
def test_json_is_read_back(document: dict[str, object]) -> None:
    """JSON is ASCII and stands for the document."""
    text = json_text(document)
    assert text.isascii()
    assert json.loads(text) == document


words = st.sampled_from(["y", "no", "on", "64512:10", "0777", "1_000", "1e3", "null", "2026-01-01"])
texts = st.text(st.characters(exclude_categories=["Cs"])) | words


@given(st.dictionaries(st.sampled_from(["a", "b"]), texts | st.integers(0, 2**32) | st.none()))
@example({"a": "y"})
@example({"a": "64512:10"})
def test_yaml_is_read_back_by_all_readers(document: dict[str, object]) -> None:
    """YAML 1.1 as PyYAML has it, and YAML as kubectl reads it."""
    text = yaml_text(document)
    assert yaml.safe_load(text) == document
    assert documents(text) == ([document] if document else [{}])


WRITER = """
import sys
from exabgp_metallb.programs.terminal import write
for _ in range(100):
    write("x" * 10_000)
print("still here", file=sys.stderr)
"""


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in `plan | head -1`: nothing on standard error, and the exit code of the work."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", WRITER],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "still here\n")
