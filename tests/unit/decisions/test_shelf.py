"""Free addresses: lowest first in the order declared, whatever was taken and given back."""

from heapq import nsmallest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.allocation.shelf import Shelf, is_buggy
from exabgp_metallb.values.addresses import AddressRange
from tests.unit.decisions.builders import addresses, span


def shelf(text: str, *, avoid_buggy: bool = False) -> Shelf:
    """Return a shelf by its ranges."""
    return Shelf([span(each) for each in text.split()], avoid_buggy=avoid_buggy)


@pytest.mark.parametrize(
    ("ranges", "avoid_buggy", "capacity"),
    [
        pytest.param("192.0.2.0-192.0.2.255", False, 256, id="/24"),
        pytest.param("192.0.2.0-192.0.2.255", True, 254, id="/24 without .0 and .255"),
        pytest.param("10.0.0.0-10.0.0.255 10.1.0.0-10.1.0.127", False, 384, id="/24 and /25"),
        pytest.param("10.0.0.0-10.0.0.255 10.1.0.0-10.1.0.127", True, 381, id="the same without"),
        pytest.param("1.2.3.0-1.2.3.1", True, 1, id="/31 from .0"),
        pytest.param("1.2.3.0", True, 0, id="/32 of .0: none, and not less"),
        pytest.param("1.2.3.4", True, 1, id="an innocent /32"),
        pytest.param("1.2.3.128-1.2.5.127", True, 508, id="across two boundaries"),
        pytest.param("1000::-1000::1", True, 2, id="IPv6 has no such addresses"),
        pytest.param("2001:db8::-2001:db8::ffff:ffff:ffff:ffff", False, 2**64, id="/64"),
    ],
)
def test_capacity(ranges: str, avoid_buggy: bool, capacity: int) -> None:  # noqa: FBT001 -- a table
    """Every address counts but those to be avoided."""
    assert shelf(ranges, avoid_buggy=avoid_buggy).capacity == capacity


@given(st.integers(0, 2**20), st.integers(0, 600))
def test_capacity_is_what_a_count_finds(first: int, length: int) -> None:
    """The arithmetic agrees with looking at each address."""
    (low,) = addresses("10.0.0.0")
    own = AddressRange(low + first, low + first + length)
    counted = sum(not is_buggy(own.at(n)) for n in range(own.size))
    assert Shelf([own], avoid_buggy=True).capacity == counted


def test_ranges_come_in_the_order_declared() -> None:
    """Places follow spec.addresses, not the numbers."""
    both = shelf("192.0.2.9 192.0.2.1-192.0.2.2 192.0.2.5")
    given_out = []
    while (place := both.lowest_free()) is not None:
        given_out.append(str(both.at(place)))
        both.take(place)
    assert given_out == ["192.0.2.9", "192.0.2.1", "192.0.2.2", "192.0.2.5"]
    assert [both.place_of(a) for a in addresses(" ".join(given_out))] == [0, 1, 2, 3]


@given(
    st.lists(st.integers(0, 255), unique=True, min_size=2, max_size=12),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["lowest", "any", "back"]), st.integers(0, 300))),
)
def test_the_lowest_free_place_is_what_a_scan_finds(
    cuts: list[int],
    avoid_buggy: bool,  # noqa: FBT001 -- drawn
    steps: list[tuple[str, int]],
) -> None:
    """After any takings and givings back, explicit ones among them."""
    (low,) = addresses("10.0.0.128")
    ends = sorted(cuts)[: len(cuts) // 2 * 2]
    spans = [AddressRange(low + a, low + b) for a, b in zip(ends[::2], ends[1::2], strict=True)]
    one = Shelf(reversed(spans), avoid_buggy=avoid_buggy)
    usable = [
        n for n in range(sum(s.size for s in spans)) if not (avoid_buggy and is_buggy(one.at(n)))
    ]
    taken: set[int] = set()
    for what, number in steps:
        free = [n for n in usable if n not in taken]
        if what == "back" and taken:
            place = sorted(taken)[number % len(taken)]
            one.give_back(place)
            taken.remove(place)
        elif free and what != "back":
            place = free[0] if what == "lowest" else free[number % len(free)]
            one.take(place)
            taken.add(place)
        assert one.lowest_free() == next(iter(n for n in usable if n not in taken), None)
        assert one.in_use == len(taken)


def test_nothing_is_kept_for_free_addresses() -> None:
    """An IPv6 /64 with a million given out and back holds no more than those in use at once."""
    wide = shelf("2001:db8::-2001:db8::ffff:ffff:ffff:ffff")
    for _ in range(1000):
        place = wide.lowest_free()
        assert place == 0
        wide.take(place)
        wide.give_back(place)
    far = 2**63
    wide.take(far)
    wide.give_back(far)
    assert wide.lowest_free() == 0
    assert len(wide._freed) + len(wide._in_heap) + len(wide._taken) <= 4


def test_a_place_given_back_twice_is_kept_once() -> None:
    """An explicit request that comes and goes does not make the heap grow."""
    small = shelf("192.0.2.1-192.0.2.9")
    for n in range(5):
        assert small.lowest_free() == n
        small.take(n)
    for _ in range(100):
        small.give_back(3)
        small.take(3)
    assert nsmallest(9, small._freed) == [3]
