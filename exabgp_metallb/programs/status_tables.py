"""How a node is, as tables that a person reads: sessions, layer 2, drain, last what is wrong."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.padding import Padding
from rich.text import Text

from exabgp_metallb.programs import tables
from exabgp_metallb.programs.terminal import clean

_INDENT = (0, 0, 0, 2)
_STYLES = {"up": "green", "down": "red", "owner": "green", "unable": "red"}
CANDIDATES_SHOWN = 3  # watch each other; who comes later only waits
_STEPS = ((86400, "d"), (3600, "h"), (60, "m"))

Document = Mapping[str, Any]  # JSON; see `programs.status`


def status_text(document: Document, stream: TextIO, now: datetime) -> str:
    """Return a status, in the width and colours of the stream that it is for.

    Args:
        document: as the control socket answers.
        stream: what it is for.
        now: in UTC.
    """
    console = tables.console(stream)
    tables.title(console, f"Node {clean(document['node'])}: {_exabgp(document)}")
    sessions = document["sessions"]
    if sessions:
        headers = ("Peer", "Address", "State", "For", "Routes", "Last error")
        rows = [_session(row, now) for row in sessions]
        console.print(Padding(tables.table(headers, rows), _INDENT))
    elif document["exabgp"] is not None:
        console.print(Padding(Text("no BGP session", style="dim"), _INDENT))
    addresses = document.get("layer2", {}).get("addresses", ())
    if addresses:
        columns = ("Address", "Role", "On", "Candidates", "For")
        table = tables.table(columns, map(_address, addresses))
        console.print(Padding(table, (1, 0, 0, 2)))
    drain = document["drain"]
    if drain["phase"] != drain["goal"] or drain["phase"] != "serving":
        tables.end(console, Text(_drain(drain), style="yellow"))
    problems = [Text(f"  {clean(problem)}", style="red") for problem in document["problems"]]
    if problems:
        tables.title(console, "Problems", "bold red")
        for problem in problems:
            console.print(problem)
    else:
        tables.end(console, Text("Healthy.", style="bold green"))
    return tables.text_of(console)


def _exabgp(document: Document) -> str:
    version = document["exabgp"]
    if version is None:
        return "without ExaBGP"
    how = "its exabgp.conf is ours" if document["managed"] else "in somebody's own exabgp.conf"
    return f"ExaBGP {clean(version or 'has not answered yet')}, {how}"


def _session(row: Document, now: datetime) -> Sequence[str | Text]:
    wanted, held = row["routesWanted"], row["routesHeld"]
    return (
        row["peer"],
        row["address"] or "",
        Text(row["state"], style=_STYLES[row["state"]]),
        _passed(row["since"], now),
        f"{held}" if wanted == held else f"{held} of {wanted}",
        row["lastError"],
    )


def _address(row: Document) -> Sequence[str | Text]:
    return (
        row["address"],
        Text(row["role"] or "unknown", style=_STYLES.get(row["role"], "")),
        ", ".join(row["answeredOn"]),
        _candidates(row),
        ", ".join(row["services"]),
    )


def _candidates(row: Document) -> str:
    candidates = row["candidates"]
    if candidates is None:  # too many to be put in order
        return f"{row['candidateCount']} nodes"
    shown, more = candidates[:CANDIDATES_SHOWN], len(candidates) - CANDIDATES_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _passed(since: str | None, now: datetime) -> str:
    """Return how long ago a time is, as kubectl tells it."""
    if since is None:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(since).astimezone(UTC)).total_seconds()))
    for length, unit in _STEPS:
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _drain(drain: Document) -> str:
    asked = " and ".join(drain["askedBy"]) or "nobody any more"
    return (
        f"Drain: {drain['phase']} for {drain['forSeconds']:g} s, to be {drain['goal']}, "
        f"asked for by {asked}"
    )
