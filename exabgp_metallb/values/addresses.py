"""IP addresses, prefixes and ranges, with one total order over IPv4 and IPv6.

`ipaddress` objects of different families do not compare; every sorted output here goes by
`address_order` or `prefix_order`: IPv4 before IPv6, then by number, then the shorter prefix first.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    summarize_address_range,
)

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


class Family(enum.IntEnum):
    """An address family, by its IP version number."""

    IPV4 = 4
    IPV6 = 6

    @property
    def bits(self) -> int:
        """Length of an address: 32 or 128."""
        return 32 if self is Family.IPV4 else 128

    def __str__(self) -> str:
        return "IPv4" if self is Family.IPV4 else "IPv6"


_FAMILIES = {family.value: family for family in Family}  # a tenth of the time of Family(version)


def family_of(value: Address | Prefix) -> Family:
    """Return the family of an address or a prefix."""
    return _FAMILIES[value.version]


def address_order(address: Address) -> tuple[int, int]:
    """Sort key over both families."""
    return (address.version, int(address))


def prefix_order(prefix: Prefix) -> tuple[int, int, int]:
    """Sort key over both families; of two prefixes with one network the shorter comes first."""
    return (prefix.version, int(prefix.network_address), prefix.prefixlen)


def covering_prefix(address: Address, length: int) -> Prefix:
    """Return the prefix of `length` bits that holds `address`."""
    # From a number: from an address the package makes a text first, and reads that again.
    if isinstance(address, IPv4Address):
        return IPv4Network((int(address), length), strict=False)
    return IPv6Network((int(address), length), strict=False)


@dataclass(frozen=True, slots=True)
class AddressRange:
    """All addresses from `first` to `last`, both included, of one family."""

    first: Address
    last: Address

    def __post_init__(self) -> None:
        if self.first.version != self.last.version:
            raise ValueError(f"{self.first} and {self.last} are of different families")
        if int(self.first) > int(self.last):
            raise ValueError(f"{self.first} comes after {self.last}")

    @property
    def family(self) -> Family:
        """The family of every address in the range."""
        return family_of(self.first)

    @property
    def size(self) -> int:
        """How many addresses the range holds, network and broadcast addresses among them."""
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: Address) -> bool:
        return address.version == self.first.version and int(self.first) <= int(address) <= int(
            self.last
        )

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def overlaps(self, prefix: Prefix) -> bool:
        """Tell whether range and prefix share an address."""
        return (
            prefix.version == self.first.version
            and int(self.first) <= int(prefix.broadcast_address)
            and int(prefix.network_address) <= int(self.last)
        )

    def at(self, index: int) -> Address:
        """Return the address `index` places after the first; 0 <= index < size."""
        return self.first + index

    def prefixes(self) -> Iterator[Prefix]:
        """Yield the fewest prefixes that make up the range, in order."""
        if isinstance(self.first, IPv4Address) and isinstance(self.last, IPv4Address):
            return summarize_address_range(self.first, self.last)
        assert isinstance(self.first, IPv6Address)  # noqa: S101 -- __post_init__ saw to it
        assert isinstance(self.last, IPv6Address)  # noqa: S101 -- as above
        return summarize_address_range(self.first, self.last)
