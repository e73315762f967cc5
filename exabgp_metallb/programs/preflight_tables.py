"""What a preflight finds, as a table that a person reads, and the remedies below."""

from collections.abc import Mapping
from typing import Any, TextIO

from rich.text import Text

from exabgp_metallb.programs import tables
from exabgp_metallb.programs.terminal import clean

_STYLES = {"ok": "green", "skipped": "dim", "warning": "yellow", "error": "red"}


def preflight_text(document: Mapping[str, Any], stream: TextIO) -> str:
    """Return a preflight's document, in the width and colours of the stream that it is for."""
    console = tables.console(stream)
    findings = document["findings"]
    console.print(
        tables.table(
            ("Check", "Result", "What was seen"),
            (
                (each["check"], Text(each["result"], _STYLES[each["result"]]), each["message"])
                for each in findings
            ),
        )
    )
    remedies = dict.fromkeys((each["check"], each["remedy"]) for each in findings if each["remedy"])
    if remedies:
        tables.title(console, "What to do")
        for check, remedy in remedies:
            console.print(Text(f"  {clean(check)}: {clean(remedy)}"))
    verdict = "Ready." if document["healthy"] else "Not ready."
    tables.end(console, Text(verdict, "bold green" if document["healthy"] else "bold red"))
    return tables.text_of(console)
