"""What goes to standard output: documents as JSON or YAML, and text that is safe for a terminal.

Names and messages hold what a user, or a stranger's manifest, wrote. `clean` leaves no control
character in them, so nothing that is printed can move the cursor, rename the window or hide a line.
JSON and YAML escape by themselves.
"""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TextIO

from exabgp_metallb.errors import Error

PIPED_WIDTH = 160
"""Columns where there is no terminal to ask; what reads a pipe does not mind long lines."""


def clean(text: str) -> str:
    r"""Return a text as one line without control characters; they become `\x1b` and the like.

    Format characters (of bidirectional text), surrogates and private ones are treated the same.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if _is_unsafe(c) else c for c in text)


def _is_unsafe(character: str) -> bool:
    category = unicodedata.category(character)
    return category.startswith("C") or category in ("Zl", "Zp")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width(stream: TextIO) -> int:
    """Return the columns of the terminal behind a stream; COLUMNS goes before."""
    if stream.isatty():
        return shutil.get_terminal_size().columns
    with suppress(KeyError, ValueError):
        return max(20, int(os.environ["COLUMNS"]))
    return PIPED_WIDTH


def json_text(document: Mapping[str, object]) -> str:
    """Return a document as JSON, ASCII alone: mappings opened up, each item of a list on a line."""
    return "".join(_json(document, "")) + "\n"


def _json(value: object, indent: str) -> Iterator[str]:
    deeper = indent + "  "
    if isinstance(value, Mapping) and value:
        lines = (
            (f"{deeper}{json.dumps(key)}: ", *_json(item, deeper)) for key, item in value.items()
        )
        yield from _block("{", lines, indent + "}")
    elif isinstance(value, list) and value and not isinstance(value[0], str):
        yield from _block("[", ((deeper, json.dumps(item)) for item in value), indent + "]")
    else:
        yield json.dumps(value)


def _block(start: str, lines: Iterable[Iterable[str]], end: str) -> Iterator[str]:
    yield start
    for place, line in enumerate(lines):
        yield ",\n" if place else "\n"
        yield from line
    yield "\n" + end


def yaml_text(document: Mapping[str, object]) -> str:
    """Return a document as YAML that YAML 1.1, 1.2 and kubectl read alike."""
    import yaml  # noqa: PLC0415 -- JSON and tables do without

    from exabgp_metallb.parsing.text import plain  # noqa: PLC0415 -- as above

    class Dumper(yaml.CSafeDumper):
        """PyYAML's, with quotes also where only kubectl would see another type than text."""

        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- PyYAML's signature
            return True

    def represent(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
        style = None if plain(text) == text and isinstance(plain(text), str) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1_000_000)


def write(text: str) -> None:
    """Write to standard output; a reader that has gone away is no mistake of anybody.

    Raises:
        Error: it cannot be written, because a disk is full for one.
    """
    if sys.stdout is None:  # started with its standard output closed
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _give_up()
    except OSError as error:
        _give_up()
        raise Error(f"standard output: {error.strerror}") from error


def _give_up() -> None:
    """Point standard output at nothing, so that Python's last flush fails no more."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
