"""Keeps the objects on disk, and lets them stand in at a start for what cannot be read.

Two things may be away when a speaker begins: the whole source, and single files of a folder. For a
source, all that was kept is taken, until the source can be read. Beside a folder's list, which then
lacks what those files hold, those kept objects are taken that are not in it; they go when all files
can be read again and none holds them.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Thread

from loguru import logger

from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.source import Listed
from exabgp_metallb.errors import SourceError
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed, PeerSpec

SAVE_SECONDS = 5.0  # between two writes
RETRY_SECONDS = 60.0  # after one that failed: a disk stays full for a while
READ_SECONDS = 1.0  # a file that can be read again is told of before its objects are


class Keeper:
    """Writes now and then, from a thread of its own; reads at the start.

    Args:
        last_good: the file.
        objects: returns what to keep, as it is when it is asked.
    """

    def __init__(self, last_good: LastGood, objects: Callable[[], Iterable[Parsed]]) -> None:
        self._last_good = last_good
        self._objects = objects
        self._unsaved = False
        self._save_at = 0.0  # monotonic seconds
        self._saver: Thread | None = None
        self._trouble: str | None = None  # set by the thread alone

    def changed(self) -> None:
        """Note that the objects differ from what is on disk."""
        self._unsaved = True

    def act(self, now: float) -> None:
        """Begin to write, if there is something to write and the last write is some time ago."""
        writing = self._saver is not None and self._saver.is_alive()
        if writing or now < self._save_at or not (self._unsaved or self._trouble):
            return
        self._unsaved = False
        self._save_at = now + (RETRY_SECONDS if self._trouble else SAVE_SECONDS)
        saving = (self._objects(),)  # asked for here, and used up there
        self._saver = Thread(target=self._save, args=saving, name="last-good", daemon=True)
        self._saver.start()

    def _save(self, objects: Iterable[Parsed]) -> None:
        try:
            self._last_good.save(objects)
        except SourceError as error:
            if str(error) != self._trouble:
                logger.warning("{}", error)
            self._trouble = str(error)
        else:
            self._trouble = None

    def restore(self) -> tuple[Parsed, ...]:
        """Return what was kept; nothing when there is nothing that can be read."""
        try:
            restored = self._last_good.load()
        except SourceError as error:
            logger.warning("{}", error)
            return ()
        return () if restored is None else tuple(map(_without_secret, restored.objects))


class StandIns:
    """The kept objects that stand beside a list which lacks some.

    Args:
        forget: is given each when it has to go.
    """

    def __init__(self, forget: Callable[[ObjectRef], None]) -> None:
        self._forget = forget
        self._refs: set[ObjectRef] = set()
        self._until: float | None = None
        self.active = False

    def beside(self, listed: Listed, kept: Iterable[Parsed]) -> Listed:
        """Begin, and return the list with all that was kept and is not in it."""
        there = {parsed.ref for parsed in listed.objects}
        added = tuple(p for p in kept if p.ref.kind in listed.kinds and p.ref not in there)
        self._refs = {parsed.ref for parsed in added}
        self.active = True
        return Listed(listed.kinds, (*listed.objects, *added))

    def told(self, ref: ObjectRef) -> None:
        """Note that the source has told of an object itself."""
        self._refs.discard(ref)

    def all_read(self, now: float) -> None:
        """Note that nothing is away any more."""
        self._until = now + READ_SECONDS

    def away_again(self) -> None:
        """Note that something is."""
        self._until = None

    def act(self, now: float) -> bool:
        """Let those go that nobody has; return whether this is the end of it."""
        if not self.active or self._until is None or now < self._until:
            return False
        for ref in sorted(self._refs):
            self._forget(ref)
        self._refs.clear()
        self.active = False
        return True


def _without_secret(parsed: Parsed) -> Parsed:
    """Return a restored BGPPeer as one that needs no Secret: its session is already configured."""
    if isinstance(parsed.value, PeerSpec) and parsed.value.password_secret is not None:
        return replace(parsed, value=replace(parsed.value, password_secret=None))
    return parsed
