"""How this host reaches a neighbor, by the kernel's main routing table (proc(5))."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from pathlib import Path

from exabgp_metallb.adapters.exabgp.local_address import local_address
from exabgp_metallb.decisions.bfd import Reach
from exabgp_metallb.values.addresses import Address, Prefix

ROUTES = Path("/proc/net/route"), Path("/proc/net/ipv6_route")
RTF_UP, RTF_GATEWAY, RTF_REJECT = 0x1, 0x2, 0x200  # <linux/route.h>


def reach(neighbor: Address) -> Reach:
    """Return how a neighbor is reached now."""
    v4, v6 = (path.read_text() if path.exists() else "" for path in ROUTES)
    subnets = connected_v4(v4) if neighbor.version == 4 else connected_v6(v6)
    return Reach(local_address(neighbor), any(neighbor in subnet for subnet in subnets))


def connected_v4(table: str) -> Iterator[Prefix]:
    """Yield the subnets of interfaces in /proc/net/route; numbers there are little-endian."""
    for row in table.splitlines()[1:]:
        words = row.split()
        flags = int(words[3], 16)
        address, mask = (IPv4Address(bytes.fromhex(words[n])[::-1]) for n in (1, 7))
        if flags & (RTF_UP | RTF_GATEWAY | RTF_REJECT) == RTF_UP and int(mask):
            yield ip_network(f"{address}/{mask}")


def connected_v6(table: str) -> Iterator[Prefix]:
    """Yield the subnets of interfaces in /proc/net/ipv6_route."""
    for row in table.splitlines():
        words = row.split()
        length, flags = int(words[1], 16), int(words[8], 16)
        if flags & (RTF_UP | RTF_GATEWAY | RTF_REJECT) == RTF_UP and length and words[9] != "lo":
            yield ip_network((IPv6Address(bytes.fromhex(words[0])), length))
