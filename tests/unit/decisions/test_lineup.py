"""The lines that a responder keeps are those that the elections have."""

from collections.abc import Mapping
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.candidates import behind, candidates
from exabgp_metallb.decisions.lineup import Lineup
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import node_hash
from exabgp_metallb.values.orders import AddressOrder, Slate
from tests.effort import lines_run

NAMES = [f"n{n}" for n in range(30)]
ADDRESSES = [ip_address(f"10.0.0.{n}") for n in range(3)]


@st.composite
def slates(draw: st.DrawFn) -> Slate:
    """Nodes in up to three tiers, mostly many in the first."""
    tier = {name: draw(st.sampled_from([0, 0, 0, 0, 1, 2, None])) for name in NAMES}
    tiers = (tuple(sorted(n for n in NAMES if tier[n] == each)) for each in range(3))
    return Slate(tuple(filter(None, tiers)))


few = slates().flatmap(lambda slate: st.sampled_from([slate, behind(slate, "n1")]))


@given(st.lists(st.tuples(st.sampled_from(ADDRESSES), st.none() | few), max_size=8), st.data())
def test_lines_are_those_of_the_elections(
    steps: list[tuple[Address, Slate | None]], data: st.DataObject
) -> None:
    """However the slates of an address follow each other."""
    lineup = Lineup()
    orders: dict[Address, AddressOrder] = {}
    for address, slate in steps:
        order = None
        if slate is not None:
            by = data.draw(st.sampled_from([None, None, ADDRESSES[0]]))
            order = AddressOrder(address=address, slate=slate, by=by)
        orders.pop(address, None)
        orders |= {} if order is None else {address: order}
        lineup.follow({address: order})
        check(lineup, orders)


def check(lineup: Lineup, orders: Mapping[Address, AddressOrder]) -> None:
    """See that the lines are those of the orders, and that their nodes are known, and no other."""
    assert set(lineup) == set(orders)
    for address, order in orders.items():
        assert lineup[address].nodes == tuple(map(node_hash, candidates(order)))
    known = {node for address in orders for node in lineup[address].nodes}
    assert {name for name in NAMES if lineup.knows(node_hash(name))} == {
        name for name in NAMES if node_hash(name) in known
    }


def test_a_node_that_goes_or_comes_back_costs_a_few_digests() -> None:
    """And not one for each of a thousand candidates."""
    names = tuple(f"node-{n:04}" for n in range(1000))
    many = Slate((names,))
    less = Slate((names[:500] + names[501:],))
    address = ADDRESSES[0]
    lineup = Lineup()
    lineup.follow({address: AddressOrder(address=address, slate=many)})
    before = lineup[address]
    others = [AddressOrder(address=ip_address(n), slate=many) for n in range(10)]
    lineup.follow({order.address: order for order in others})

    def follow(slate: Slate) -> None:
        lineup.follow({each: AddressOrder(address=each, slate=slate) for each in lineup})

    for slate in (less, many, less, many):
        follow(slate)  # the step from the one to the other is worked out once
    assert lines_run(lambda: follow(less)) < 20 * 1000
    assert lines_run(lambda: follow(many)) < 20 * 1000
    assert lineup[address] == before
