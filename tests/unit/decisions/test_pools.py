"""The owner of an address is found whatever the order and number of ranges."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.pools import PoolIndex
from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.intent import Pool


def span(first: str, last: str) -> AddressRange:
    """Return a range by its two ends."""
    return AddressRange(ip_address(first), ip_address(last))


PUBLIC = Pool(
    name="public", ranges=(span("192.0.2.64", "192.0.2.127"), span("10.0.0.1", "10.0.0.1"))
)
DUAL = Pool(
    name="dual", ranges=(span("192.0.2.0", "192.0.2.63"), span("2001:db8::", "2001:db8::ff"))
)


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        pytest.param("192.0.2.64", PUBLIC, id="first of a range"),
        pytest.param("192.0.2.127", PUBLIC, id="last of a range"),
        pytest.param("192.0.2.63", DUAL, id="last of the neighbour"),
        pytest.param("192.0.2.128", None, id="one past the last"),
        pytest.param("10.0.0.1", PUBLIC, id="a range of one address"),
        pytest.param("10.0.0.0", None, id="before every range"),
        pytest.param("10.0.0.2", None, id="between two ranges"),
        pytest.param("2001:db8::7", DUAL, id="the other family of a dual pool"),
        pytest.param("::a00:1", None, id="an IPv6 address of the same number as an IPv4 one"),
    ],
)
def test_the_owner_of_an_address(address: str, owner: Pool | None) -> None:
    """Each end of each range belongs to its pool, and nothing outside."""
    assert PoolIndex([PUBLIC, DUAL]).pool_of(ip_address(address)) is owner


def test_pools_are_listed_by_name() -> None:
    """The order in which pools arrive shows nowhere."""
    assert list(PoolIndex([PUBLIC, DUAL]).by_name) == ["dual", "public"]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=40, unique=True), st.data())
def test_bisection_finds_what_a_scan_finds(cuts: list[int], data: st.DataObject) -> None:
    """For any disjoint ranges spread over pools, the index agrees with `in`."""
    cuts = sorted(cuts)[: len(cuts) // 2 * 2]
    spans = [
        AddressRange(ip_address(a), ip_address(b))
        for a, b in zip(cuts[::2], cuts[1::2], strict=True)
    ]
    pools = [Pool(name=f"p{i}", ranges=tuple(spans[i::3])) for i in range(3) if spans[i::3]]
    near = data.draw(st.sampled_from(cuts)) + data.draw(st.integers(-1, 1))
    address = ip_address(max(0, min(2**32 - 1, near)))
    scan = next((pool for pool in pools if address in pool), None)
    assert PoolIndex(data.draw(st.permutations(pools))).pool_of(address) is scan
