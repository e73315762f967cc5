"""A plan as tables that a person reads: services, then each node, and last what is wrong.

What the configuration leaves to other nodes, or to the other protocol, is left out: the other
forms tell it. What is wrong comes last, since the end is what a terminal shows. Columns stand as in
kubectl's output, without lines, so that a table can also be searched and copied.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exabgp_metallb.programs import tables
from exabgp_metallb.programs.plan_format import (
    CheckDocument,
    FaultRow,
    L2Row,
    NodePlan,
    PlanDocument,
    RefusedRow,
    RouteRow,
    SessionRow,
)
from exabgp_metallb.programs.terminal import clean
from exabgp_metallb.values.reasons import Reason

NAMES_IN_A_CELL = 4
_INDENT = (0, 0, 0, 2)

_LEFT_TO_OTHERS = (Reason.NOT_OWNER, Reason.NO_MATCHING_ADVERTISEMENT)
"""As long as somebody announces the Service."""

_Announcers = Mapping[str, Sequence[str]]
"""The nodes that announce each Service."""


def plan_text(document: PlanDocument, stream: TextIO) -> str:
    """Return the whole plan, in the width and colours of the stream that it is for."""
    console = tables.console(stream)
    bgp = _announcers({name: plan["bgp"] for name, plan in document["nodes"].items()})
    l2 = _announcers({name: plan["l2"] for name, plan in document["nodes"].items()})
    if document["services"]:
        tables.title(console, "Services")
        _services(console, document, bgp, l2)
    for name, plan in document["nodes"].items():
        tables.title(console, f"Node {clean(name)}")
        _node(console, plan, announced=bgp.keys() | l2.keys())
    _faults(console, document)
    tables.end(console, _verdict(document), _counts(document))
    return tables.text_of(console)


def check_text(document: CheckDocument, stream: TextIO) -> str:
    """Return what is wrong, in the width and colours of the stream that it is for."""
    console = tables.console(stream)
    _faults(console, document)
    tables.end(console, _verdict(document))
    return tables.text_of(console)


def _announcers(rows: Mapping[str, Sequence[RouteRow] | Sequence[L2Row]]) -> _Announcers:
    where: dict[str, list[str]] = {}
    for node, announced in rows.items():
        for service in dict.fromkeys(service for row in announced for service in row["services"]):
            where.setdefault(service, []).append(node)
    return where


def _services(console: Console, document: PlanDocument, bgp: _Announcers, l2: _Announcers) -> None:
    columns = {"BGP from": bgp, "L2 from": l2} if l2 else {"Announced by BGP from": bgp}
    every = len(document["nodes"])
    rows: list[Sequence[str | Text]] = [
        (
            row["service"],
            Text("\n".join(row["addresses"]) or "none"),
            row["pool"] or "none",
            *(_names(where.get(row["service"], ()), every) for where in columns.values()),
        )
        for row in document["services"]
    ]
    headers = ("Service", "Address", "Pool", *columns)
    console.print(Padding(tables.table(headers, rows), _INDENT))
    notes = [row for row in document["services"] if row["message"] is not None]
    for place, row in enumerate(notes):
        note = Text(f"{clean(row['service'])}: ") + Text(clean(str(row["message"])), style="yellow")
        console.print(Padding(note, (0 if place else 1, 0, 0, 2)))


def _names(nodes: Sequence[str], every: int) -> str:
    if len(nodes) <= NAMES_IN_A_CELL:
        return ", ".join(nodes) or "none"
    return f"all {every} nodes" if len(nodes) == every else f"{len(nodes)} of {every} nodes"


def _node(console: Console, plan: NodePlan, *, announced: Container[str]) -> None:
    if plan["sessions"]:
        headers = ("Peer", "Address", "Our AS", "Peer AS", "Hold", "With")
        table = tables.table(headers, map(_session, plan["sessions"]))
        console.print(Padding(table, _INDENT))
    else:
        console.print(Padding(Text("no BGP session", style="dim"), _INDENT))
    if plan["bgp"]:
        console.print(Padding(_routes(plan["bgp"]), (1, 0, 0, 2)))
    if plan["l2"]:
        answers = [
            (row["address"], _interfaces(row), ", ".join(row["services"])) for row in plan["l2"]
        ]
        table = tables.table(("Answers for", "On", "For"), answers)
        console.print(Padding(table, (1, 0, 0, 2)))
    refused = [row for row in plan["refused"] if not _left_to_others(row, announced)]
    if refused:
        rows = [
            (
                row["service"],
                row["protocol"],
                Text(clean(row["reason"]), style="yellow"),
                row["message"],
            )
            for row in refused
        ]
        table = tables.table(("Not announced", "By", "Reason", "Why"), rows)
        console.print(Padding(table, (1, 0, 0, 2)))


def _interfaces(row: L2Row) -> str:
    return "every interface" if row["interfaces"] is None else ", ".join(row["interfaces"])


def _left_to_others(row: RefusedRow, announced: Container[str]) -> bool:
    return row["service"] in announced and row["reason"] in _LEFT_TO_OTHERS


def _session(row: SessionRow) -> Sequence[str]:
    port = "" if row["port"] == 179 else f" port {row['port']}"
    extras = {
        "password": row["password"],
        f"BFD {row['bfdProfile']}": row["bfdProfile"],
        "graceful restart": row["gracefulRestart"],
        "multihop": row["ebgpMultiHop"],
        f"VRF {row['vrf']}": row["vrf"],
        f"from {row['localAddress']}": row["localAddress"],
        f"router id {row['routerID']}": row["routerID"],
    }
    return (
        row["peer"],
        (row["address"] or f"over {row['interface']}") + port,
        str(row["localASN"]),
        str(row["peerASN"]),
        f"{row['holdTime']} s",
        ", ".join(extra for extra, there in extras.items() if there),
    )


def _routes(rows: Sequence[RouteRow]) -> Table:
    """Return a line for each prefix and attribute set; `With` is there where it is needed."""
    headers = ("Prefix", "To", "Next hop", "Pref", "Communities", "For", "With")
    lines = list(_route_lines(rows))
    columns = len(headers) if any(line[-1] for line in lines) else len(headers) - 1
    return tables.table(headers[:columns], (line[:columns] for line in lines))


def _route_lines(rows: Sequence[RouteRow]) -> Iterable[Sequence[str]]:
    """Yield a line for each prefix and attribute set, with all the peers that hear it."""

    def same(row: RouteRow) -> tuple[object, ...]:
        lists = (row["communities"], row["largeCommunities"], row["services"])
        one = (row["prefix"], row["nextHop"], row["localPref"], _beyond_metallb(row))
        return (*one, *map(tuple, lists))

    order = {row["prefix"]: place for place, row in enumerate(rows)}
    ordered = sorted(rows, key=lambda row: (order[row["prefix"]], str(same(row)), row["peer"]))
    for _, group in groupby(ordered, key=same):
        routes = list(group)
        first = routes[0]
        yield (
            first["prefix"],
            ", ".join(route["peer"] for route in routes),
            first["nextHop"],
            "" if first["localPref"] is None else str(first["localPref"]),
            ", ".join((*first["communities"], *first["largeCommunities"])),
            ", ".join(first["services"]),
            _beyond_metallb(first),
        )


def _beyond_metallb(row: RouteRow) -> str:
    words = {
        "med": "MED {}",
        "asPathPrepend": "AS path +{}",
        "linkBandwidth": "link bandwidth {:,} B/s",
    }
    return ", ".join(told.format(row[key]) for key, told in words.items() if key in row)  # type: ignore[literal-required]  # the keys of BeyondMetallb


def _faults(console: Console, document: CheckDocument) -> None:
    for title, style, faults in (
        ("Warnings", "yellow", document["warnings"]),
        ("Errors", "red", document["errors"]),
    ):
        if not faults:
            continue
        tables.title(console, title, f"bold {style}")
        for name, group in groupby(faults, key=lambda fault: fault["object"]):
            console.print(Padding(Text(clean(name), style=style), _INDENT))
            for fault in group:
                console.print(Padding(_fault(fault), (0, 0, 0, 4)))


def _fault(fault: FaultRow) -> Text:
    field = Text(f"{clean(fault['field'])}: " if fault["field"] else "", style="bold")
    return field + Text(clean(fault["message"]))


def _counts(document: PlanDocument) -> Text:
    plans = document["nodes"].values()
    answers = sum(len(plan["l2"]) for plan in plans)
    parts = (
        _count(len(document["services"]), "Service"),
        _count(len(document["nodes"]), "node"),
        _count(sum(len(plan["sessions"]) for plan in plans), "session"),
        _count(sum(len(plan["bgp"]) for plan in plans), "route"),
        _count(answers, "address on layer 2", "addresses on layer 2") if answers else "",
    )
    return Text(", ".join(filter(None, parts)))


def _verdict(document: CheckDocument) -> Text:
    errors, warnings = len(document["errors"]), len(document["warnings"])
    if document["valid"]:
        noted = f", {_count(warnings, 'warning')}" if warnings else ""
        return Text(f"Valid{noted}.", style="bold green")
    text = f"{_count(errors, 'error')}, {_count(warnings, 'warning')}: what has errors is left out."
    return Text(text, style="bold red")


def _count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"
