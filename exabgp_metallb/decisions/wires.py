"""Which interfaces of a node may answer for an address, and why the others may not.

An interface that is up, connected, of Ethernet's kind and no member of another one is usable, for
a family when it holds an address of it. Whoever asks for an address on the segment is in its
subnet, so the interfaces in that subnet answer. A node without one is a weak candidate, unless
`SubnetRule` says otherwise.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.interfaces import Interface
from exabgp_metallb.values.orders import InterfaceReport, SubnetRule

LOOPBACK = "loopback"
DOWN = "down"
NO_CARRIER = "no carrier"
NOT_ETHERNET = "not Ethernet"
NO_ARP = "ARP is off"
NO_BROADCAST = "no broadcast"
NO_LINK_LOCAL = "no link-local address"
NOT_NAMED = "not named by an advertisement"
NOT_IN_SUBNET = "no address in the subnet"
OTHERS_IN_SUBNET = "another interface is in the subnet"
OWN = "the interface's own address: the kernel answers"


class Standing(enum.Enum):
    """What an interface is for one address."""

    ANSWERS = "answers"
    WEAK = "weak"  # it answers when nobody else does
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an interface is for one address, and why, in words, unless it answers."""

    standing: Standing
    why: str = ""


_ANSWERS = Verdict(Standing.ANSWERS)
_WEAK = Verdict(Standing.WEAK, NOT_IN_SUBNET)


def verdicts(
    interfaces: Iterable[Interface],
    address: Address,
    *,
    rule: SubnetRule,
    named: frozenset[str] | None,
) -> Mapping[int, Verdict]:
    """Return the verdict on each interface, by index.

    Args:
        interfaces: all of the node.
        address: the service's.
        rule: what an interface outside the address's subnet is.
        named: the only interfaces to answer on; None means every one.
    """
    found = {each.index: _alone(each, address, rule, named) for each in interfaces}
    if _ANSWERS not in found.values():
        return found
    outshone = Verdict(Standing.NOT, OTHERS_IN_SUBNET)
    return {index: outshone if each == _WEAK else each for index, each in found.items()}


def report(interface: Interface) -> InterfaceReport:
    """Return whether an interface can answer for any address at all."""
    why = _unusable(interface)
    if not why:
        whys = [_unusable_for(interface, family) for family in Family]
        why = "" if "" in whys else ", ".join(whys)
    return InterfaceReport(name=interface.name, usable=not why, why=why)


def _alone(
    interface: Interface, address: Address, rule: SubnetRule, named: frozenset[str] | None
) -> Verdict:
    """Return the verdict on one interface, whatever the others are."""
    if named is not None and interface.name not in named:
        return Verdict(Standing.NOT, NOT_NAMED)
    why = _unusable(interface) or _unusable_for(interface, family_of(address))
    if why:
        return Verdict(Standing.NOT, why)
    # On other interfaces the kernel may be told to be silent (arp_ignore), as kube-proxy in IPVS
    # mode needs it, which puts every service address on an interface of its own.
    if any(address == own.ip for own in interface.addresses):
        return Verdict(Standing.NOT, OWN)
    if rule is SubnetRule.IGNORE or any(address in own.network for own in interface.addresses):
        return _ANSWERS
    return _WEAK if rule is SubnetRule.PREFER else Verdict(Standing.NOT, NOT_IN_SUBNET)


def _unusable(interface: Interface) -> str:
    """Return why an interface can answer for no address, "" when it can."""
    if interface.loopback:
        return LOOPBACK
    if not interface.up:
        return DOWN
    if not interface.carrier:
        return NO_CARRIER
    if interface.master:
        return f"{interface.master} member"
    if not interface.mac:
        return NOT_ETHERNET
    return NO_ARP if interface.noarp else ""


def _unusable_for(interface: Interface, family: Family) -> str:
    """Return why a usable interface can answer for no address of a family, "" when it can."""
    own = interface.of(family)
    if family is Family.IPV6:
        return "" if any(each.is_link_local for each in own) else NO_LINK_LOCAL
    if not interface.broadcast:
        return NO_BROADCAST
    return "" if own else f"no {family} address"
