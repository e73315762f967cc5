"""The decision costs in proportion to the addresses given, never to the size of the pools.

Work is counted in calls and lines of our own code, which is the same on every machine.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator, allocate, placed
from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import ObjectName, Service
from tests.effort import lines_run
from tests.unit.decisions.builders import by_name, held, name_of, pool, service


def services(count: int, *, key: str = "") -> dict[ObjectName, Service]:
    """Return Services in the order of their age."""
    return by_name(service(f"s{n:06}", key=key, created=f"{n:06}") for n in range(count))


def wide(count: int) -> Pool:
    """Return a pool of so many addresses."""
    first = ip_address("10.0.0.0")
    return Pool(name="wide", ranges=(AddressRange(first, first + (count - 1)),))


def fill(count: int, key: str) -> None:
    """Fill a pool to the last address at once."""
    outcomes = allocate(services(count, key=key), [wide(count)], {}).outcomes
    assert all(outcome.lease for outcome in outcomes.values())


def fill_one_by_one(count: int, key: str) -> None:
    """Fill a pool to the last address as Services are created."""
    allocator = Allocator([wide(count)], {})
    for name, each in services(count, key=key).items():
        allocator.converge(name, each)
    assert len(allocator.leases) == count


def churn(count: int, key: str) -> None:
    """Fill a pool, and then replace each Service by another, in an order far from the first."""
    allocator = Allocator([wide(count)], {})
    old = services(count, key=key)
    allocator.edit(old)
    for n in range(count):
        gone = f"s{n * 7919 % count:06}"
        allocator.converge(name_of(gone), None)
        (new,) = allocator.converge(name_of(f"t{n}"), service(f"t{n}", key=key))
        assert new.lease


def restart(count: int, key: str) -> None:
    """Start anew on a full pool."""
    one = allocate(services(count, key=key), [wide(count)], {}).outcomes
    shown = {n: placed(s, one[n].lease) for n, s in services(count, key=key).items()}
    again = allocate(shown, [wide(count)], {}).outcomes
    assert {n: o.lease for n, o in again.items()} == {n: o.lease for n, o in one.items()}


def overflow(count: int, key: str) -> None:
    """Let as many wait as hold, and then give each of them a place."""
    allocator = Allocator([wide(count)], {})
    allocator.edit(services(count * 2, key=key))
    for n in range(count):
        allocator.converge(name_of(f"s{n * 7919 % count:06}"), None)
    assert len(allocator.leases) == count


@pytest.mark.parametrize("key", ["", "k"], ids=["no key", "one key and one port"])
@pytest.mark.parametrize("work", [fill, fill_one_by_one, churn, restart, overflow])
def test_eight_times_the_services_cost_eight_times_the_work(
    work: Callable[[int, str], None], key: str
) -> None:
    """Linear: not a walk over those before."""
    small, large = (lines_run(partial(work, count, key)) for count in (128, 1024))
    assert large < 8 * 1.25 * small


def test_a_pool_of_any_size_costs_the_same() -> None:
    """Time and memory follow the addresses in use: a /64 is no more than a /24."""
    small = pool("p", "2001:db8::-2001:db8::ff")
    huge = pool("p", "2001:db8::-2001:db8::ffff:ffff:ffff:ffff")
    sixes = by_name(service(f"s{n}", ip="6") for n in range(64))
    costs, sizes = [], []
    for each in (small, huge):
        costs.append(lines_run(partial(allocate, sixes, [each], {})))
        tracemalloc.start()
        allocator = Allocator([each], {})
        allocator.edit(sixes)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert costs[0] == costs[1]
    assert sizes[1] < sizes[0] + 4096


def test_many_ranges_in_one_pool_are_no_walk() -> None:
    """A lookup costs the logarithm: thousands of ranges make no Service dearer."""

    def cost(ranges: int) -> int:
        first = ip_address("10.0.0.0")
        singles = tuple(AddressRange(first + 2 * n, first + 2 * n) for n in range(ranges))
        allocator = Allocator([Pool(name="p", ranges=singles)], {})
        last = str(singles[-1].first)

        def work() -> None:
            assert held(allocator.converge(name_of("a"), service("a"))[0])
            assert held(allocator.converge(name_of("b"), service("b", asks=last))[0]) == last
            allocator.converge(name_of("a"), None)

        return lines_run(work)

    assert cost(10_000) == cost(100)


def test_an_edit_of_one_service_does_not_grow_with_the_others() -> None:
    """Those who hold, and those who wait, are not looked at."""

    def cost(count: int) -> int:
        allocator = Allocator([wide(count)], {})
        allocator.edit(services(count * 2))
        return lines_run(lambda: allocator.converge(name_of("s000007"), None))

    assert cost(2000) <= cost(200) * 1.1
