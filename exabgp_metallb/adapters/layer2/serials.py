"""What changed since when, so that whoever was told before is told no more than the rest."""

from collections.abc import Collection

from exabgp_metallb.adapters.layer2.document import Part
from exabgp_metallb.values.addresses import Address

MOST = 2**14  # addresses that are remembered; whoever lacks more is told everything


class Serials:
    """The addresses of which something changed in a document, by its serial number then.

    Attributes:
        serial: of the newest document.
    """

    def __init__(self) -> None:
        self.serial = 0
        self._since = 0  # what changed later is remembered
        self._changed: dict[Address, int] = {}  # in the order of the serials

    def note(self, addresses: Collection[Address] | None) -> None:
        """Take that there is a new document, different in some addresses (None: any), or beside."""
        self.serial += 1
        if addresses is None or len(self._changed) + len(addresses) > MOST:
            self._since = self.serial
            self._changed.clear()
            return
        for address in addresses:
            self._changed.pop(address, None)
            self._changed[address] = self.serial

    def part(self, serial: int | None) -> Part | None:
        """Return what brings somebody who has a document up to date; None: it is the newest.

        Args:
            serial: of that document; None when there is none.
        """
        if serial == self.serial:
            return None
        if serial is None or serial < self._since:
            return Part(self.serial)
        changed = []
        for address in reversed(self._changed):
            if self._changed[address] <= serial:
                break
            changed.append(address)
        return Part(self.serial, serial, changed)
