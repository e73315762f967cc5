"""The objects that a node knows: what its source tells, and what stands in while it cannot.

Until every kind has been read once, nothing can be decided. If the source cannot be read at the
start, the last good snapshot on disk is read in its place; where only files of a folder cannot be,
what they held is. What is known of the source itself is kept on disk in turn.
"""

import time
from collections.abc import Callable
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, Put, Source
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.programs.keeper import Keeper, StandIns
from exabgp_metallb.programs.report import Report
from exabgp_metallb.values.specs import Parsed

LATER_KIND = "Secret"  # followed once a BGPPeer names one


class NodeSource(Source, Protocol):
    """A source of which a kind can be asked for later."""

    def follow(self, kind: str) -> None:
        """Begin to read one more kind, unless it is read already; it starts with a `Listed`."""


class KnownObjects:
    """Keeps an inventory in step with a source.

    Args:
        source: tells of objects.
        inventory: holds them.
        kinds: the kinds that the source lists.
        last_good: keeps them on disk; None keeps none.
        decide_anew: is called when the source has told of every kind, and when the last stand-in
            has gone: what was decided before was of objects from disk.

    Attributes:
        unread: kinds that neither source nor disk has told of.
        away: what the source cannot read now.
    """

    def __init__(
        self,
        source: NodeSource,
        inventory: Inventory,
        kinds: frozenset[str],
        *,
        last_good: LastGood | None,
        decide_anew: Callable[[], None],
    ) -> None:
        self._source = source
        self._inventory = inventory
        self._kinds = kinds
        self._keeper = None if last_good is None else Keeper(last_good, inventory.objects)
        self._decide_anew = decide_anew
        self._stand_ins = StandIns(inventory.gone)
        self.unread = set(kinds)
        self.away: set[str] = set()
        self._unlisted = set(kinds)  # kinds that the source has not told of
        self._secrets_followed = False

    @property
    def first_hand(self) -> bool:
        """Tell whether the source has told of all that is known; what is on disk has no Secret."""
        return not self._unlisted and not self._stand_ins.active

    def start(self, listener: Listener) -> None:
        """Begin to read; `hear` is to be told of what the listener hears."""
        self._source.start(listener)

    def stop(self) -> None:
        """End the threads of the source."""
        self._source.stop()

    def hear(self, event: Event) -> None:
        """Take what the source tells."""
        if isinstance(event, Put):
            self._inventory.put(event.object)
            self._stand_ins.told(event.object.ref)
        elif isinstance(event, Gone):
            self._inventory.gone(event.ref)
        elif isinstance(event, Listed):
            self._hear_list(event)
        elif isinstance(event, Away):
            self._hear_away(event)
        else:
            self._hear_back(event)
        if self._keeper is not None and isinstance(event, Put | Gone | Listed):
            self._keeper.changed()

    def act(self, now: float) -> None:
        """Let stand-ins go that nobody has."""
        if self._stand_ins.act(now):
            self._decide_anew()

    def keep(self, now: float) -> None:
        """Write to disk, if it is time."""
        if self._keeper is not None and not self._unlisted:
            self._keeper.act(now)

    def follow_secrets(self, *, wait: bool) -> None:
        """Read Secrets too, from when a BGPPeer names one.

        Args:
            wait: they count as unread until they are listed, as before the first decision.
        """
        if self._secrets_followed or self._unlisted or not self._inventory.names_secrets:
            return
        self._secrets_followed = True
        if LATER_KIND in self._kinds:
            return
        self._source.follow(LATER_KIND)
        if wait:
            self.unread.add(LATER_KIND)
            self._unlisted.add(LATER_KIND)

    def _hear_list(self, listed: Listed) -> None:
        first = bool(listed.kinds & self._unlisted)
        files_away = self.away - self._kinds - {LATER_KIND}
        if first and files_away and self._keeper is not None:
            kept = self._keeper.restore()
            if kept:
                listed = self._stand_ins.beside(listed, kept)
        self._inventory.listed(listed.kinds, listed.objects)
        self.unread -= listed.kinds
        self._unlisted -= listed.kinds
        if first and not self._unlisted:
            self._decide_anew()

    def _hear_away(self, away: Away) -> None:
        Report.away(away)
        self.away.add(away.what)
        self._stand_ins.away_again()
        if self._keeper is not None and self.unread == self._unlisted != set():
            self._stand_in(self._keeper.restore())
        if away.what == LATER_KIND and self.unread == {LATER_KIND}:
            # Nothing to stand in: peers that need no Secret need not wait for this one either.
            self.unread.clear()
            self._unlisted.clear()

    def _hear_back(self, back: Back) -> None:
        logger.info("{}: read again", back.what)
        self.away.discard(back.what)
        if not self.away:
            self._stand_ins.all_read(time.monotonic())

    def _stand_in(self, objects: tuple[Parsed, ...]) -> None:
        """Begin with what was known before a restart, while the source cannot be read."""
        if not objects:
            return
        message = "the last good snapshot stands in: {} objects; sessions stay as they are"
        logger.warning(message, len(objects))
        self._inventory.listed(frozenset(self.unread), objects)
        self.unread.clear()
