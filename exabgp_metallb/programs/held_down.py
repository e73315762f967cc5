"""Neighbors whose sessions are kept down, since who watches them says that they are dead.

ExaBGP has no word for it: after `teardown` it connects again at once. So a neighbor that is held
down is taken out of the configuration that we render; in somebody else's it stays, and each session
that comes up is torn down again.
"""

from loguru import logger

from exabgp_metallb.adapters.exabgp.dialogue import Dialogue, Notice, SessionUp
from exabgp_metallb.programs.managed import ManagedConfiguration
from exabgp_metallb.values.addresses import Address

BFD_DOWN = 10  # subcode of Cease, RFC 9384


class HeldDown:
    """Holds neighbors down.

    Args:
        dialogue: with ExaBGP.
        managed: the configuration, where it is ours.
    """

    def __init__(self, dialogue: Dialogue, managed: ManagedConfiguration | None) -> None:
        self._dialogue = dialogue
        self._managed = managed
        self._why: dict[Address, str] = {}

    def __contains__(self, neighbor: Address) -> bool:
        return neighbor in self._why

    def hold_down(self, neighbor: Address, why: str) -> None:
        """End a session now, and let none come up until `let_up`.

        Args:
            neighbor: whose session.
            why: for the log; told again when it changes.
        """
        if self._why.get(neighbor) == why:
            return
        logger.warning("BGP neighbor {}: held down: {}", neighbor, why)
        held_already = neighbor in self._why
        self._why[neighbor] = why
        if not held_already:
            self._dialogue.tear_down(neighbor, BFD_DOWN)
            self._leave_out()

    def let_up(self, neighbor: Address) -> None:
        """Let sessions come up again."""
        if self._why.pop(neighbor, None) is not None:
            logger.info("BGP neighbor {}: no longer held down", neighbor)
            self._leave_out()

    def noticed(self, notice: Notice) -> None:
        """Tear down what came up all the same."""
        if isinstance(notice, SessionUp) and notice.neighbor in self._why:
            self._dialogue.tear_down(notice.neighbor, BFD_DOWN)

    def _leave_out(self) -> None:
        if self._managed is not None:
            self._managed.leave_out(self._why.keys())
