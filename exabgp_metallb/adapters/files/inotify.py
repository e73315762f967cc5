"""What happens in folders, told by the kernel as it happens (inotify(7)).

Where the kernel cannot (a network file system, too many watches) its silence is no news; whoever
listens here looks for himself from time to time.
"""

import math
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from inotify_simple import Event, INotify, flags  # type: ignore[import-untyped]  # it ships no types

from exabgp_metallb.adapters.files.tree import is_hidden, is_manifest

_NAMES = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE
_SELF = flags.DELETE_SELF | flags.MOVE_SELF
_ENDS = _SELF | flags.UNMOUNT | flags.IGNORED
_IN_FOLDER = _NAMES | _SELF | flags.MODIFY | flags.CLOSE_WRITE | flags.ONLYDIR
_COMPLETE = flags.CLOSE_WRITE | flags.MOVED_TO


@dataclass(slots=True)
class Happened:
    """What a wait ended with.

    Attributes:
        written: manifests that somebody has finished writing, or moved into place.
        touched: manifests that came or went otherwise; one that came may be unfinished.
        look: something else changed, such as a folder: look at everything.
        complete: what changed was moved into place as a whole.
    """

    written: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    look: bool = False
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.written or self.touched or self.look)


class Watches:
    """The kernel's watches on the folders of one tree; for one thread, but for `wake`.

    Attributes:
        fault: why the kernel does not tell about all folders; None while it does.
    """

    def __init__(self) -> None:
        self.fault: OSError | None = None
        self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closing = threading.Lock()  # over _closed, since `wake` comes at any time
        self._closed = False
        self._poll = select.poll()
        self._poll.register(self._waker, select.POLLIN)
        self._folders: dict[int, tuple[str, str]] = {}  # watch -> folder, the one name that counts
        self._writing: set[str] = set()  # manifests that somebody has changed and not closed
        self._ahead = Happened()  # what was heard and not yet waited for
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify()
            self._poll.register(self._inotify.fileno(), select.POLLIN)
        except OSError as error:  # fs.inotify.max_user_instances
            self.fault = error

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Within it add every folder; those that are not added again are watched no more."""
        old, self._folders = self._folders, {}
        self.fault = None if self._inotify else self.fault
        try:
            yield
        finally:
            for watch in old.keys() - self._folders.keys():
                self._drop(watch)

    def add(self, folder: str, *, only: str = "") -> None:
        """Watch a folder, or one name in it."""
        if self._inotify is None:
            return
        try:
            watch = self._inotify.add_watch(folder, _IN_FOLDER)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # whoever reads the folder finds the same and says so
        except OSError as error:  # fs.inotify.max_user_watches
            self.fault = error
            return
        self._folders[watch] = (folder, only)

    def wait(self, seconds: float) -> Happened:
        """Return what happened, as soon as anything did; nothing after some seconds, or `wake`."""
        if not self._ahead:
            self._poll.poll(math.ceil(seconds * 1000))
            with suppress(BlockingIOError):
                os.eventfd_read(self._waker)
        self._hear()
        happened, self._ahead = self._ahead, Happened()
        return happened

    def is_being_written(self, path: str) -> bool:
        """Tell whether somebody has begun to write a file and has not closed it.

        Asked after the file was read, it tells whether what was read is whole.
        """
        self._hear()
        return path in self._writing

    def trust(self, path: str) -> None:
        """Take a file for written, though nobody closed it: it has not changed for long."""
        self._writing.discard(path)

    def wake(self) -> None:
        """End a `wait` in another thread."""
        with self._closing:
            if not self._closed:
                os.eventfd_write(self._waker, 1)

    def close(self) -> None:
        """End all watches."""
        with self._closing:
            self._closed = True
            os.close(self._waker)
        if self._inotify:
            self._inotify.close()

    def _hear(self) -> None:
        for event in self._inotify.read(timeout=0) if self._inotify else ():
            self._add(event)

    def _drop(self, watch: int) -> None:
        with suppress(OSError):  # the folder may be gone, and the watch with it
            if self._inotify:
                self._inotify.rm_watch(watch)

    def _add(self, event: Event) -> None:
        """Sort an event in; those of watches that were ended, and of other names, do not count."""
        if event.mask & flags.Q_OVERFLOW:
            self._ahead.look, self._ahead.complete = True, False
        if event.wd not in self._folders:
            return
        folder, only = self._folders[event.wd]
        path = f"{folder}/{event.name}"
        if only and event.name != only:
            return
        is_file = not event.mask & flags.ISDIR and (only or is_manifest(event.name))
        if is_file:
            self._add_file(path, event.mask)
        is_root = only and event.mask & _NAMES
        if is_root or event.mask & _ENDS or (not is_file and self._may_be_folder(path, event)):
            self._ahead.look = True
            self._ahead.complete &= not event.mask & flags.CREATE

    def _add_file(self, path: str, mask: int) -> None:
        if mask & flags.MODIFY:
            self._writing.add(path)
            self._ahead.written.discard(path)
            return
        self._writing.discard(path)
        (self._ahead.written if mask & _COMPLETE else self._ahead.touched).add(path)

    def _may_be_folder(self, path: str, event: Event) -> bool:
        if event.name.startswith(".."):  # a mounted ConfigMap is replaced by a rename to `..data`
            return bool(event.mask & flags.MOVED_TO)
        if is_hidden(event.name) or not event.mask & _NAMES:
            return False
        if event.mask & flags.ISDIR:
            return True
        known = any(folder == path for folder, _ in self._folders.values())  # a link to a folder
        return known or Path(path).is_dir()
