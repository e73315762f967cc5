"""How the demo looks: rows, what changed, and tables that fit 80 columns without colour."""

import io
from ipaddress import ip_address, ip_network

import pytest
from rich.console import Console, RenderableType

from exabgp_metallb.programs.demo import show
from exabgp_metallb.programs.demo.expected import Neighbor, ServiceLine
from exabgp_metallb.programs.demo.show import Played, Row
from exabgp_metallb.programs.demo.table import BgpPath, RouteKey

NEIGHBORS = tuple(
    Neighbor(f"node-{i}", ip_address(f"127.0.0.1{i}"), 64500, 64501) for i in (1, 2, 3)
)
MAIL = ServiceLine("default/mail", "Local", ip_address("203.0.113.10"))
SHOP6 = ServiceLine("default/shop", "Cluster", ip_address("2001:db8:1::10"))


def route(prefix: str, node: int, next_hop: str) -> tuple[RouteKey, BgpPath]:
    """Return a route as a node announces it."""
    neighbor = ip_address(f"127.0.0.1{node}")
    return (ip_network(prefix), neighbor), BgpPath(ip_address(next_hop))


def printed(what: RenderableType, width: int) -> str:
    """Return what a console without a terminal makes of it."""
    console = Console(file=io.StringIO(), width=width)
    console.print(what)
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_a_row_has_the_next_hop_of_every_node_that_announces_its_address() -> None:
    """As the router holds it, and not as the node's name would suggest."""
    routes = dict(
        [
            route("203.0.113.10/32", 1, "127.0.0.11"),
            route("2001:db8:1::10/128", 3, "2001:db8::13"),
        ]
    )
    assert show.rows([MAIL, SHOP6], NEIGHBORS, routes) == (
        Row("mail", "Local", "203.0.113.10", {"node-1": "127.0.0.11"}),
        Row("shop", "Cluster", "2001:db8:1::10", {"node-3": "2001:db8::13"}),
    )


def test_of_two_prefixes_the_longer_one_counts() -> None:
    """As for any packet."""
    routes = dict(
        [
            route("203.0.113.10/32", 1, "127.0.0.11"),
            route("203.0.113.0/24", 1, "127.0.0.99"),
            route("203.0.113.0/24", 2, "127.0.0.12"),
        ]
    )
    (row,) = show.rows([MAIL], NEIGHBORS, routes)
    assert row.next_hops == {"node-1": "127.0.0.11", "node-2": "127.0.0.12"}


def test_a_service_without_an_address_has_a_row_too() -> None:
    """It is waiting."""
    waiting = ServiceLine("default/mail", "Local", None)
    assert show.rows([waiting], NEIGHBORS, {}) == (Row("mail", "Local", "-", {}),)


def test_a_route_of_no_service_is_not_hidden() -> None:
    """It would be a fault of ours."""
    (row,) = show.rows([], NEIGHBORS, dict([route("198.51.100.1/32", 2, "127.0.0.12")]))
    assert row == Row("(none)", "-", "198.51.100.1/32", {"node-2": "127.0.0.12"})


def hops(*nodes: int) -> dict[str, str]:
    """Return the next hops of a Service that these nodes announce."""
    return {f"node-{i}": f"127.0.0.1{i}" for i in nodes}


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (hops(1, 2), hops(2, 3), ["mail 203.0.113.10: node-1 node-2 -> node-2 node-3"]),
        (hops(1), {}, ["mail 203.0.113.10: node-1 -> -"]),
        (hops(1), hops(1), []),
    ],
    ids=["moved", "gone", "same"],
)
def test_a_change_is_told_by_its_nodes(
    before: dict[str, str], after: dict[str, str], says: list[str]
) -> None:
    """One line for each address."""
    told = show.changes(
        [Row("mail", "Local", "203.0.113.10", before)],
        [Row("mail", "Local", "203.0.113.10", after)],
    )
    assert list(told) == says


def test_a_new_service_is_a_change() -> None:
    """It was reached over nothing before."""
    row = Row("wiki", "Local", "203.0.113.30", hops(1))
    assert list(show.changes([], [row])) == ["wiki 203.0.113.30: - -> node-1"]


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.0042, "4 ms"), (0.9994, "999 ms"), (1, "1.00 s"), (12.345, "12.35 s")]
)
def test_latencies_are_said_in_fitting_units(seconds: float, says: str) -> None:
    """Milliseconds below a second."""
    assert show.duration(seconds) == says


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits(width: int) -> None:
    """With a session that is down, both families, and a step under way."""
    row6 = Row(
        "shop", "Cluster", "2001:db8:1::10", {f"node-{i}": f"2001:db8::1{i}" for i in (1, 2, 3)}
    )
    rows = [Row("mail", "Local", "203.0.113.10", hops(1, 3)), row6]
    up = [n.address for n in NEIGHBORS[:2]]
    table = show.router_table(rows, NEIGHBORS, up, [])
    log = [
        Played(1, "three nodes start", "", 2.5),
        Played(2, "a pod of mail moves from node-1 to node-3", "mail is Local: it follows", None),
    ]
    text = printed(show.screen("What the router holds", table, log, "Ctrl-C ends"), width)
    lines = [line.rstrip() for line in text.splitlines()]
    assert "\x1b" not in text
    assert max(map(len, lines)) <= width
    assert any(
        line.split() == ["mail", "Local", "203.0.113.10", "127.0.0.11", "-", "127.0.0.13"]
        for line in lines
    )
    assert any(line.split()[-1:] == ["2001:db8::13"] for line in lines)
    assert any(line.split()[-3:] == ["up", "up", "down"] for line in lines)
    assert " 1   2.50 s  three nodes start" in lines
    assert " 2      ...  a pod of mail moves from node-1 to node-3" in lines
