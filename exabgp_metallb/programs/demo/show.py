"""How the demo looks: the router's table, the log of steps, and what a step changed.

The table has a column for each node and in it the next hop that the router learned from that node.
Colour only emphasises: what changed can be told without it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from exabgp_metallb.programs.demo.expected import Neighbor, ServiceLine
from exabgp_metallb.programs.demo.table import Routes
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import NodeName

NOTHING = "-"
NEW, LOST, STALE = "bold green", "bold red", "dim"


@dataclass(frozen=True, slots=True)
class Row:
    """One address of a Service, and over which nodes the router reaches it.

    Attributes:
        next_hops: as the router holds them, by node; a node that is not in it announces nothing.
    """

    service: str
    policy: str
    address: str
    next_hops: Mapping[NodeName, str]


@dataclass(frozen=True, slots=True)
class Played:
    """A step in the log; seconds is None while it is under way."""

    number: int
    name: str
    see: str
    seconds: float | None


def rows(
    services: Iterable[ServiceLine], neighbors: Iterable[Neighbor], routes: Routes
) -> tuple[Row, ...]:
    """Return the router's table by Service; what belongs to none of them comes last."""
    nodes = {n.address: n.node for n in neighbors}
    left = {prefix for prefix, _ in routes}
    found = []
    for line in services:
        covering = {p for p in left if line.address is not None and line.address in p}
        address = NOTHING if line.address is None else str(line.address)
        hops = _next_hops(routes, nodes, line.address)
        found.append(Row(line.service.removeprefix("default/"), line.policy, address, hops))
        left -= covering
    for prefix in sorted(left, key=str):
        hops = _next_hops(routes, nodes, prefix.network_address)
        found.append(Row("(none)", NOTHING, str(prefix), hops))
    return tuple(found)


def _next_hops(
    routes: Routes, nodes: Mapping[Address, NodeName], address: Address | None
) -> dict[NodeName, str]:
    """Return each node's next hop for an address: that of its longest prefix (RFC 1812 5.2.4.3)."""
    if address is None:
        return {}
    matching = [key for key in routes if address in key[0]]
    matching.sort(key=lambda key: key[0].prefixlen)  # the longest comes last and stands
    return {
        nodes[neighbor]: str(routes[prefix, neighbor].next_hop) for prefix, neighbor in matching
    }


def changes(before: Iterable[Row], after: Iterable[Row]) -> Iterator[str]:
    """Yield in words which nodes the router reached an address over, and which it does now."""
    old = {(row.service, row.address): row.next_hops for row in before}
    new = {(row.service, row.address): row.next_hops for row in after}
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key, {}), new.get(key, {})
        if was != now:
            yield f"{key[0]} {key[1]}: {_nodes(was)} -> {_nodes(now)}"


def _nodes(next_hops: Mapping[NodeName, str]) -> str:
    return " ".join(sorted(next_hops)) or NOTHING


def duration(seconds: float) -> str:
    """Return a latency as people say it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def router_table(
    shown: Iterable[Row], nodes: Iterable[Neighbor], up: Iterable[Address], before: Iterable[Row]
) -> Table:
    """Return the table; cells that differ from `before` stand out."""
    established = frozenset(up)
    columns = {n.node: n.address in established for n in nodes}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in ("Service", "Policy", "Address"):
        table.add_column(name, no_wrap=True)
    for node, is_up in columns.items():
        state = Text("up") if is_up else Text("down", style=LOST)
        table.add_column(Text(f"{node}\n").append_text(state), min_width=7)
    old = {(row.service, row.address): row.next_hops for row in before}
    for row in shown:
        was = old.get((row.service, row.address), {})
        cells = [_cell(was.get(node), row.next_hops.get(node)) for node in columns]
        table.add_row(Text(row.service), row.policy, row.address, *cells)
    return table


def _cell(was: str | None, now: str | None) -> Text:
    if was == now:
        return Text(now or NOTHING, style="" if now else STALE)
    return Text(now or NOTHING, style=NEW if now else LOST)


def log_line(played: Played) -> Text:
    """Return a step of the log, its latency in front."""
    time = "..." if played.seconds is None else duration(played.seconds)
    return Text(f"{played.number:>2} {time:>8}  ").append(played.name)


def screen(title: str, table: RenderableType, log: Iterable[Played], footer: str) -> Group:
    """Return all of the live display; the last step of the log comes with what to look for."""
    played = list(log)
    lines: list[RenderableType] = [log_line(step) for step in played]
    if played:
        lines.append(Text(f"{'':13}{played[-1].see}", style="italic"))
    blank = Text()
    return Group(
        Text(title, style="bold"), blank, table, blank, *lines, blank, Text(footer, style=STALE)
    )
