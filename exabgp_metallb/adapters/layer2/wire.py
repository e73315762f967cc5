"""The segments that a node is on: what is heard there, answered at once, and said."""

from collections.abc import Mapping
from typing import Protocol

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.interfaces import Interface
from exabgp_metallb.values.l2 import Heard, Mac, TagState

Count = tuple[str, str, int]
"""Name, label and count, as `values.orders.Report` has them."""


class Listener(Protocol):
    """Who is told what happens on the wire; called from within the selector's turn."""

    def heard(self, index: int, message: Heard) -> None:
        """Take what somebody else said on an interface.

        Every claim of a watched address comes here, and every request for one that carries a tag
        (another candidate asks). What this node sent itself does not come back.
        """

    def changed(self) -> None:
        """Look at the interfaces again: some came, went, or are not what they were.

        What was answered on an interface that went is forgotten with it.
        """


class Wire(Protocol):
    """All segments of a node together; for one thread.

    Interfaces go by their index: a name may change, and come back as another interface. To an
    index that is not there (any more) nothing is sent, and nothing is raised.
    """

    @property
    def interfaces(self) -> Mapping[int, Interface]:
        """All interfaces of the node, by index."""

    def watch(self, index: int, address: Address) -> None:
        """Listen on an interface for an address from now on.

        A node has many interfaces that answer for nothing, one for each pod; those cost nothing as
        long as nothing is watched on them.
        """

    def ignore(self, index: int, address: Address) -> None:
        """Listen for an address on an interface no longer, and answer for it no more either."""

    def answer(self, index: int, address: Address, state: TagState) -> None:
        """Answer for an address that is watched on an interface, saying so in the tag."""

    def silence(self, index: int, address: Address) -> None:
        """Answer no longer for an address on an interface."""

    def announce(self, index: int, address: Address, state: TagState) -> bool:
        """Tell all hosts of the segment that this node holds an address, and whether that went out.

        Gratuitous ARP as request (RFC 5227 section 2.3) and, unless it leaves, as reply; or an
        unsolicited NA with the override flag (RFC 4861 section 7.2.6).
        """

    def probe(
        self, index: int, address: Address, *, state: TagState, mac: Mac | None = None
    ) -> bool:
        """Ask who holds an address: all, or only the one at `mac`; tell whether that went out.

        The answer comes as a `Claim` to the listener.
        """

    def counters(self) -> list[Count]:
        """Return all that was counted since the start."""

    def close(self) -> None:
        """Close every socket."""
