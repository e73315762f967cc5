"""Keeps the objects on disk, for a start at which their source cannot be read."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Thread

from loguru import logger

from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.errors import SourceError
from exabgp_metallb.values.specs import Parsed, PeerSpec

SAVE_SECONDS = 5.0  # between two writes


class Keeper:
    """Writes now and then, from a thread of its own; reads once.

    Args:
        last_good: the file.
        objects: returns what to keep.
    """

    def __init__(self, last_good: LastGood, objects: Callable[[], Iterable[Parsed]]) -> None:
        self._last_good = last_good
        self._objects = objects
        self._unsaved = False
        self._save_at = 0.0  # monotonic seconds
        self._saver: Thread | None = None

    def changed(self) -> None:
        """Note that the objects differ from what is on disk."""
        self._unsaved = True

    def act(self, now: float) -> None:
        """Begin to write, if there is something to write and the last write is some time ago."""
        writing = self._saver is not None and self._saver.is_alive()
        if not self._unsaved or writing or now < self._save_at:
            return
        self._unsaved = False
        self._save_at = now + SAVE_SECONDS
        objects = tuple(self._objects())
        self._saver = Thread(target=self._save, args=(objects,), name="last-good", daemon=True)
        self._saver.start()

    def _save(self, objects: Iterable[Parsed]) -> None:
        try:
            self._last_good.save(objects)
        except SourceError as error:
            logger.warning("{}", error)

    def restore(self) -> tuple[Parsed, ...]:
        """Return what was kept; nothing when there is nothing that can be read."""
        try:
            restored = self._last_good.load()
        except SourceError as error:
            logger.warning("{}", error)
            return ()
        return () if restored is None else tuple(map(_without_secret, restored.objects))


def _without_secret(parsed: Parsed) -> Parsed:
    """Return a restored BGPPeer as one that needs no Secret: its session is already configured."""
    if isinstance(parsed.value, PeerSpec) and parsed.value.password_secret is not None:
        return replace(parsed, value=replace(parsed.value, password_secret=None))
    return parsed
