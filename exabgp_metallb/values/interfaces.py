"""The network interfaces of a node, as far as they matter for who answers where."""

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from exabgp_metallb.values.addresses import Family
from exabgp_metallb.values.l2 import Mac, Packed

Subnet = IPv4Interface | IPv6Interface
"""An address of an interface, with the subnet it is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface.

    Attributes:
        mac: b"" where the link is not Ethernet.
        carrier: it is connected (IFF_LOWER_UP); an interface that is down is not.
        master: the kind of interface it is a member of, such as "bridge" or "bond"; "": of none.
        addresses: in the kernel's order.
    """

    name: str
    index: int
    mac: Mac = b""
    up: bool = False
    carrier: bool = False
    loopback: bool = False
    broadcast: bool = False
    noarp: bool = False
    master: str = ""
    addresses: tuple[Subnet, ...] = ()

    def of(self, family: Family) -> tuple[Subnet, ...]:
        """Return the addresses of one family."""
        return tuple(address for address in self.addresses if address.version == family)

    def asker(self, target: Packed) -> Packed | None:
        """Return the address to ask from about a target: one in its subnet, else the first.

        For IPv6 the link-local one, as the kernel does for what it asks by itself. None: there is
        no address of the family.
        """
        number = int.from_bytes(target, "big")
        found = self.of(Family.IPV4 if len(target) == 4 else Family.IPV6)
        if len(target) == 16:
            found = tuple(address for address in found if address.is_link_local)
        for address in found:
            mask = int(address.netmask)
            if number & mask == int(address) & mask:
                return address.packed
        return found[0].packed if found else None
