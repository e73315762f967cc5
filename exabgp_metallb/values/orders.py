"""What the speaker has the responder do on layer 2, and what the responder tells it in return.

Orders are whole: each replaces the last, so a lost or repeated one does no harm. They hold what the
cluster knows (which nodes may answer for an address); what only the node knows (its interfaces, who
answers on the wire) the responder adds, and reports back.

Thousands of addresses have the same candidates, each in an order of its own. Orders hold the
candidates once, as a `Slate`; the order follows from it and the address (`decisions.candidates`).
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import NodeName


class SubnetRule(enum.StrEnum):
    """Whether an interface must hold an address in the subnet of those that it answers for."""

    PREFER = "prefer"  # a node without one is a weak candidate: it answers when nobody else does
    REQUIRE = "require"  # such a node never answers
    IGNORE = "ignore"  # MetalLB's behaviour: every usable interface answers


class Failback(enum.StrEnum):
    """What an owner does when a better candidate is back."""

    AUTO = "auto"  # it yields, once the better one has held out for a while
    STICKY = "sticky"  # it stays, until it fails or is drained


Tiers = tuple[tuple[NodeName, ...], ...]
"""Nodes; each of a tier comes before all of the next. None is empty, each is sorted by name."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Slate:
    """The nodes that may answer for some addresses."""

    tiers: Tiers
    _hash: int = field(init=False, repr=False, compare=False)  # of thousands of names, once

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.tiers))

    def __hash__(self) -> int:
        return self._hash

    def has(self, node: NodeName) -> bool:
        """Tell whether a node is among them."""
        return any(node in tier for tier in self.tiers)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressOrder:
    """One address that this node may answer for.

    Attributes:
        slate: the nodes that may answer; this node is one of them.
        by: the address whose text puts the nodes of a tier in order; None: this one.
        interfaces: the only ones to answer on; None means every usable one.
    """

    address: Address
    slate: Slate
    by: Address | None = None
    interfaces: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """All that the responder of one node is to do.

    Attributes:
        addresses: those for which this node is a candidate; see `by_address`.
        draining: this node is leaving: it gives up each address as soon as another answers for it.
    """

    node: NodeName
    addresses: Mapping[Address, AddressOrder] = field(default_factory=dict)
    subnet: SubnetRule = SubnetRule.PREFER
    failback: Failback = Failback.AUTO
    refresh_seconds: float | None = None  # between gratuitous announcements at rest; None: none
    draining: bool = False


class Role(enum.StrEnum):
    """What a node is for one address."""

    OWNER = "owner"  # it answers
    STANDBY = "standby"  # another does, and is watched
    LISTENING = "listening"  # it does not know yet whether anybody does
    UNABLE = "unable"  # it has no interface to answer on


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressReport:
    """What became of one address on this node.

    Attributes:
        interfaces: where it is answered, sorted; empty unless this node is the owner.
        why: in words, for UNABLE; else "".
    """

    address: Address
    role: Role
    interfaces: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceReport:
    """Whether an interface can answer at all, and why not ("" when it can)."""

    name: str
    usable: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClaim:
    """Somebody who is none of the candidates answers for an address of ours."""

    address: Address
    mac: str  # aa:bb:cc:dd:ee:ff
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the responder of one node sees; each replaces the last.

    Attributes:
        addresses: see `by_address`.
    """

    node: NodeName
    addresses: Mapping[Address, AddressReport] = field(default_factory=dict)
    interfaces: tuple[InterfaceReport, ...] = ()
    foreign: tuple[ForeignClaim, ...] = ()


_About = TypeVar("_About", AddressOrder, AddressReport)


def by_address(items: Iterable[_About]) -> dict[Address, _About]:
    """Return what is said about addresses by address."""
    return {each.address: each for each in items}
