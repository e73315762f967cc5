"""One address on one interface, as a node holds it, and what is to be done about it on the wire."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from exabgp_metallb.decisions.lineup import Line
from exabgp_metallb.decisions.watching import Watch
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import Mac, TagState


@dataclass(frozen=True, slots=True)
class Place:
    """An interface on which an address can be answered.

    Attributes:
        mac: when it changes, hosts must be told.
        weak: it is not in the address's subnet, and no interface of the node is.
    """

    index: int
    mac: Mac
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """Hear from now on what is said about the address."""

    index: int
    address: Address


@dataclass(frozen=True, slots=True)
class Ignore:
    """Hear of the address no longer, and do not answer for it."""

    index: int
    address: Address


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer from now on, and say this state in the tag."""

    index: int
    address: Address
    state: TagState


@dataclass(frozen=True, slots=True)
class Silence:
    """Answer no longer."""

    index: int
    address: Address


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the segment."""

    index: int
    address: Address
    state: TagState


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask who holds the address: all, or only the one at `mac`."""

    index: int
    address: Address
    state: TagState
    mac: Mac | None = None


Action = Listen | Ignore | Answer | Silence | Announce | Ask


class Phase(enum.Enum):
    """What this node is for an address on an interface."""

    LISTENING = enum.auto()
    STANDBY = enum.auto()
    OWNER = enum.auto()


class Foreign(NamedTuple):
    """Who claimed an address without being a candidate, and when last."""

    mac: Mac
    at: float


class Due(enum.Enum):
    """What falls due for a binding."""

    TAKE = enum.auto()  # take it over, unless somebody else does before
    RETURN = enum.auto()  # ask a worse owner for it
    ANNOUNCE = enum.auto()
    ASK = enum.auto()  # whether anybody (else) holds it
    SHOW = enum.auto()  # the state in the tag may be another one now
    END = enum.auto()  # be silent, whoever answers


@dataclass(slots=True)
class Counts:
    """What has happened since the start."""

    takeovers: int = 0
    yields: int = 0
    returns: int = 0  # takeovers from a worse candidate
    defences: int = 0
    foreign: int = 0
    sleeps: int = 0


Key = tuple[int, Address]
"""An interface by its index, and an address."""


@dataclass(slots=True, eq=False)
class Binding:
    """One address on one interface.

    Attributes:
        line: the candidates.
        rank: this node's place among them.
        weak: this node is a weak candidate.
        mac: of the interface.
        watch: of the owner, while this node stands by.
        owner_weak: as the owner's tag says.
        owner_leaves: as well.
        shown: the state that is answered with; None: nothing is answered.
        released: this node is no candidate any more, and ends once another answers.
        announced: how often, since the takeover.
        asks: how often this node asked who answers, since it began to.
        changed_at: when the owner became another.
        returned_at: when the address moved from a worse owner to a better one.
        foreign: who else claimed it last.
    """

    index: int
    address: Address
    line: Line
    rank: int
    weak: bool
    mac: Mac
    phase: Phase = Phase.LISTENING
    watch: Watch | None = None
    owner_weak: bool = False
    owner_leaves: bool = False
    shown: TagState | None = None
    released: bool = False
    announced: int = 0
    asks: int = 0
    asked_to_return_at: float = -1e9
    changed_at: float = -1e9
    returned_at: float = -1e9
    defended_at: float = -1e9
    defended_foreign_at: float = -1e9
    foreign: Foreign | None = None

    @property
    def key(self) -> Key:
        """Which binding it is."""
        return (self.index, self.address)

    @property
    def acting(self) -> bool:
        """Whether a better candidate may be there."""
        return self.rank > 0 or self.weak
