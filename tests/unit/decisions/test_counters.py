"""The counters of an IPAddressPool's status: distinct addresses, never negative."""

import pytest

from exabgp_metallb.decisions.allocation.allocate import Allocator, allocate
from exabgp_metallb.values.outcome import INT64_MAX, PoolUsage
from tests.unit.decisions.builders import by_name, name_of, pool, service

SLASH_64 = "2001:db8::-2001:db8::ffff:ffff:ffff:ffff"


@pytest.mark.parametrize(
    ("ranges", "avoid_buggy", "available"),
    [
        pytest.param("10.0.0.0-10.0.0.255", False, (256, 0), id="/24"),
        pytest.param("10.0.0.0-10.0.0.255 10.1.0.0-10.1.0.127", False, (384, 0), id="and /25"),
        pytest.param("10.0.0.0-10.0.0.255 10.1.0.0-10.1.0.127", True, (381, 0), id="no buggy ones"),
        pytest.param(SLASH_64, False, (0, INT64_MAX), id="/64: as many as an int64 holds"),
        pytest.param(f"{SLASH_64} fd00::1", False, (0, INT64_MAX), id="/64, then a small one"),
        pytest.param("1.2.3.0-1.2.3.1 1000::-1000::1", True, (1, 2), id="/31 and /127"),
        pytest.param("1.2.3.0", True, (0, 0), id="a /32 that is to be avoided"),
    ],
)
def test_what_an_unused_pool_has(
    ranges: str,
    avoid_buggy: bool,  # noqa: FBT001 -- a table
    available: tuple[int, int],
) -> None:
    """Capacities, clipped to what the status field holds."""
    usage = allocate({}, [pool("p", ranges, avoid_buggy_ips=avoid_buggy)], {}).usage["p"]
    assert (usage.available_ipv4, usage.available_ipv6) == available
    assert (usage.assigned_ipv4, usage.assigned_ipv6) == (0, 0)


def test_each_address_in_use_counts_once() -> None:
    """Shared ones too; what is given back is available again."""
    services = [
        service("a", key="k", ports=()),
        service("b", key="k", ports=()),
        service("c", ip="46", dual="require"),
    ]
    allocator = Allocator([pool("p", f"192.0.2.1-192.0.2.4 {SLASH_64}")], {})
    allocator.edit(by_name(services))
    assert allocator.usage()["p"] == PoolUsage(
        assigned_ipv4=2, assigned_ipv6=1, available_ipv4=2, available_ipv6=INT64_MAX - 1
    )
    for each in ("a", "b", "c"):
        allocator.converge(name_of(each), None)
    assert allocator.usage()["p"].available_ipv4 == 4


def test_pools_are_listed_by_name() -> None:
    """And go when they are deleted."""
    allocator = Allocator([pool("z", "192.0.2.1"), pool("a", "192.0.2.2")], {})
    assert list(allocator.usage()) == ["a", "z"]
    allocator.edit(pools=[pool("a", "192.0.2.2")])
    assert list(allocator.usage()) == ["a"]
