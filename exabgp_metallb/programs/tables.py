"""Tables for people: columns as in kubectl's output, without lines, so that they can be copied."""

import io
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exabgp_metallb.programs.terminal import clean, width

_NO_LINES: Box | None = None


def console(stream: TextIO) -> Console:
    """Return what collects text in the width and colours of a stream; see `text_of`."""
    return Console(
        file=io.StringIO(),
        force_terminal=stream.isatty(),
        width=width(stream),
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def text_of(collected: Console) -> str:
    """Return what was printed to a `console`."""
    assert isinstance(collected.file, io.StringIO)  # noqa: S101 -- `console` made it
    lines = collected.file.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def title(to: Console, text: str, style: str = "bold") -> None:
    """Print a title, with an empty line before it unless it is the first."""
    space(to)
    to.print(Text(text, style=style))


def end(to: Console, *lines: Text) -> None:
    """Print the last lines, apart from what is before them."""
    space(to)
    for line in lines:
        to.print(line)


def space(to: Console) -> None:
    """Print an empty line, if there is anything before it."""
    if to.file.tell():
        to.print()


def table(headers: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Return a table; cells that are plain text are made safe for a terminal."""
    made = Table(box=_NO_LINES, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
    for header in headers:
        made.add_column(header.upper(), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    return made
