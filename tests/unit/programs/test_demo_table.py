"""The router's table of the demo, from lines that a real ExaBGP 5.0.15 wrote."""

from ipaddress import ip_address, ip_network

import pytest

from exabgp_metallb.programs.demo.table import BgpPath, RouteKey, RouterTable, differences

HEAD = (
    '{ "exabgp": "5.0.0", "time": 1795262379.6295822, "host" : "vm", "pid" : 22337, '
    '"ppid" : 22335, "counter": 1, "type": '
)
FROM_11 = (
    '"neighbor": { "address": { "local": "127.0.0.1", "peer": "127.0.0.11" }, '
    '"asn": { "local": 64501, "peer": 64500 }, "router-id": "127.0.0.1" , '
)
UP = f'{HEAD}"state", {FROM_11}"state": "up" }} }}'
DOWN = f'{HEAD}"state", {FROM_11}"state": "down", "reason": "closing connection" }} }}'
CONNECTED = f'{HEAD}"state", {FROM_11}"state": "connected" }} }}'
ORIGIN = '"origin": "igp", "as-path": {"0": {"element": "as-sequence", "value": [64500]}}'
END_OF_RIB = (
    f'{HEAD}"update", {FROM_11}"direction": "receive", '
    '"message": { "eor": { "afi" : "ipv4", "safi" : "unicast" } } } }'
)

WEB = ip_network("203.0.113.10/32")
WEB6 = ip_network("2001:db8:1::10/128")
MAIL = ip_network("203.0.113.11/32")
NODE_1, NODE_2 = ip_address("127.0.0.11"), ip_address("127.0.0.12")


def update(body: str) -> str:
    """Return the line of an UPDATE that node-1 sent."""
    return (
        f'{HEAD}"update", {FROM_11}"direction": "receive", '
        f'"message": {{ "update": {{ {body} }} }} }} }}'
    )


WEB_ANNOUNCED = update(
    f'"attribute": {{ {ORIGIN}, "community": [ [ 65535, 65281 ], [ 64500, 7 ] ], '
    '"large-community": [ [ 1, 2 , 3 ] ] }, '
    '"announce": { "ipv4 unicast": { "127.0.0.11": [ { "nlri": "203.0.113.10/32" } ] } }'
)
WEB6_ANNOUNCED = update(
    f'"attribute": {{ {ORIGIN} }}, '
    '"announce": { "ipv6 unicast": { "2001:db8::11": [ { "nlri": "2001:db8:1::10/128" } ] } }'
)
TWO_ANNOUNCED = update(
    f'"attribute": {{ {ORIGIN}, "local-preference": 200 }}, "announce": {{ "ipv4 unicast": '
    '{ "127.0.0.11": [ { "nlri": "203.0.113.10/32" }, { "nlri": "203.0.113.11/32" } ] } }'
)
WEB_WITHDRAWN = update('"withdraw": { "ipv4 unicast": [ { "nlri": "203.0.113.10/32" } ] }')

PLAIN = BgpPath(NODE_1)


def heard(*lines: str) -> RouterTable:
    """Return a table that heard these lines."""
    table = RouterTable()
    for line in lines:
        table.hear(line)
    return table


def test_an_update_brings_its_prefix_with_next_hop_and_attributes() -> None:
    """Communities are sorted, whatever order the wire has them in."""
    path = BgpPath(NODE_1, None, ("64500:7", "65535:65281"), ("1:2:3",))
    assert heard(UP, WEB_ANNOUNCED).routes == {(WEB, NODE_1): path}


def test_an_update_may_hold_several_prefixes() -> None:
    """All of them have the attributes of the UPDATE."""
    path = BgpPath(NODE_1, local_pref=200)
    assert heard(UP, TWO_ANNOUNCED).routes == {(WEB, NODE_1): path, (MAIL, NODE_1): path}


def test_ipv6_comes_with_its_own_next_hop() -> None:
    """Over an IPv4 session too."""
    table = heard(UP, WEB6_ANNOUNCED)
    assert table.routes == {(WEB6, NODE_1): BgpPath(ip_address("2001:db8::11"))}


def test_a_later_update_replaces_an_earlier_one() -> None:
    """RFC 4271 section 3.1."""
    assert heard(UP, WEB_ANNOUNCED, TWO_ANNOUNCED).routes[WEB, NODE_1].communities == ()


def test_a_withdrawal_takes_its_prefix_and_no_other() -> None:
    """Of the one neighbor."""
    table = heard(UP, TWO_ANNOUNCED)
    table.routes[WEB, NODE_2] = PLAIN
    table.hear(WEB_WITHDRAWN)
    assert set(table.routes) == {(MAIL, NODE_1), (WEB, NODE_2)}


def test_the_end_of_a_session_takes_all_that_was_learned_over_it() -> None:
    """And nothing of the others."""
    table = heard(UP, TWO_ANNOUNCED, WEB6_ANNOUNCED)
    table.routes[WEB, NODE_2] = PLAIN
    assert table.hear(DOWN)
    assert set(table.routes) == {(WEB, NODE_2)}
    assert table.up == set()


def test_a_session_is_up_from_its_event_on() -> None:
    """`connected` is TCP alone."""
    assert heard(CONNECTED).up == set()
    assert heard(CONNECTED, UP).up == {NODE_1}


@pytest.mark.parametrize("line", [END_OF_RIB, CONNECTED, "done", "", UP[:70], WEB_WITHDRAWN])
def test_other_lines_change_nothing(line: str) -> None:
    """End-of-RIB, answers, what was cut off, and a withdrawal of what was never announced."""
    assert not RouterTable().hear(line)


NODE_2_PATH = BgpPath(NODE_2, communities=("1:2",))
KEY: RouteKey = (WEB, NODE_1)


@pytest.mark.parametrize(
    ("expected", "found", "says"),
    [
        ({KEY: PLAIN}, {KEY: PLAIN}, []),
        (
            {KEY: PLAIN},
            {},
            ["203.0.113.10/32 from 127.0.0.11: missing, expected next hop 127.0.0.11"],
        ),
        ({}, {KEY: PLAIN}, ["203.0.113.10/32 from 127.0.0.11: left over, next hop 127.0.0.11"]),
        (
            {KEY: PLAIN},
            {KEY: NODE_2_PATH},
            [f"{WEB} from {NODE_1}: expected next hop 127.0.0.11, found {NODE_2_PATH}"],
        ),
    ],
    ids=["equal", "missing", "left over", "different"],
)
def test_differences_are_told_in_words(
    expected: dict[RouteKey, BgpPath], found: dict[RouteKey, BgpPath], says: list[str]
) -> None:
    """One line for each prefix and neighbor."""
    assert list(differences(expected, found)) == says


def test_differences_come_in_order_of_prefix_and_neighbor() -> None:
    """IPv4 before IPv6, whatever order the table has."""
    keys: list[RouteKey] = [(WEB6, NODE_1), (MAIL, NODE_1), (WEB, NODE_2), (WEB, NODE_1)]
    told = [
        line.partition(":  ")[0].split(": missing")[0]
        for line in differences(dict.fromkeys(keys, PLAIN), {})
    ]
    assert told == [
        "203.0.113.10/32 from 127.0.0.11",
        "203.0.113.10/32 from 127.0.0.12",
        "203.0.113.11/32 from 127.0.0.11",
        "2001:db8:1::10/128 from 127.0.0.11",
    ]
