"""Manifests on disk as a source of objects: read once, or followed as they change.

The life of a change: somebody writes a file, or moves one into place; the kernel says so; that one
file is read and parsed; its objects are compared with those it gave before, and the listener hears
what differs, a millisecond or two after the writer was done. A slow look at the whole folder finds
what the kernel did not tell.

What a file in the making must not do is make anything go:

- a file is read when its writer closes it, or looked the same twice, `SETTLE_SECONDS` apart;
- a file that is gone is believed gone after `GONE_SECONDS`, because git and some editors take the
  old file away before they write the new one;
- a file that cannot be read or parsed, or that is suddenly empty, keeps what it gave before;
- a folder that is gone or cannot be read keeps all that it gave, and so does a single file.
"""

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from loguru import logger

from exabgp_metallb.adapters.files.contents import parse
from exabgp_metallb.adapters.files.inotify import Happened, Watches
from exabgp_metallb.adapters.files.standing import Given, Standing, doubled, last_of, warned
from exabgp_metallb.adapters.files.tree import Signature, Tree, signature
from exabgp_metallb.adapters.source import Away, Back, Event, Listed, Listener, OnDeath, thread
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing.objects import HOME, KINDS
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.specs import Parsed

SETTLE_SECONDS = 1.0
GONE_SECONDS = 0.2
LOOK_SECONDS = 30.0  # 20,000 files take a tenth of a second to look at
BLIND_LOOK_SECONDS = 1.0  # where the kernel tells nothing, or the folder is away
STOP_SECONDS = 1.0

ALL_KINDS = frozenset(kind for _, kind in KINDS)

STANDARD_INPUT = "-"


def read(
    paths: Iterable[str], stdin: BinaryIO | None = None, *, namespace: str = HOME
) -> tuple[tuple[Parsed, ...], tuple[Fault, ...]]:
    """Read manifests once.

    Args:
        paths: files, folders, and `-` for standard input.
        stdin: read where `-` is named; None is the process's own.
        namespace: the install namespace, where objects of the operator are that name none.

    Returns:
        The objects, sorted, the last one where several are the same; and a warning for each that
        is.

    Raises:
        SourceError: something cannot be read, or is neither YAML nor JSON; with file and line.
    """
    found: dict[ObjectRef, list[tuple[Parsed, str]]] = {}
    for place, data in contents(paths, stdin or sys.stdin.buffer):
        for parsed in parse(data, place, home=namespace):
            found.setdefault(parsed.ref, []).append((parsed, place))
    doubles = (
        doubled(ref, [place for _, place in same])
        for ref, same in sorted(found.items())
        if ref.name and len(same) > 1
    )
    objects = (last_of([parsed for parsed, _ in found[ref]]) for ref in sorted(found))
    return tuple(objects), tuple(doubles)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when it was last read.

    Attributes:
        signature: None when it could not be read, so that the next look tries again.
        content: hash of its bytes, since a file may be written anew and hold what it held.
    """

    signature: Signature | None = None
    content: int = 0


class ManifestFolder:
    """A folder of manifests, or a single file, followed."""

    def __init__(
        self,
        path: str | Path,
        *,
        on_death: OnDeath,
        now: Callable[[], float],
        namespace: str = HOME,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            path: of the folder or file; it may come into being later.
            on_death: called when the thread ends by an error that nobody foresaw.
            now: monotonic seconds.
            namespace: the install namespace, where objects of the operator are that name none.
        """
        self._root = str(Path(path).absolute())
        self._namespace = namespace
        self._now = now
        self._thread = thread(self._run, name="manifests", on_death=on_death)
        self._stopping = threading.Event()
        self._watches = Watches()
        self._standing = Standing()
        self._seen: dict[str, _Seen] = {}
        self._unsettled: dict[str, tuple[Signature, float]] = {}  # until when it must stay so
        self._missing: dict[str, float] = {}  # file -> when it counts as gone
        self._unreadable: dict[str, str] = {}  # at the last look
        self._said: dict[str, str] = {}  # what is away -> the message
        self._listed = False
        self._device = 0
        self._is_blind = False
        self._next_look = 0.0

    def start(self, listener: Listener) -> None:
        """Read everything, tell it as one `Listed`, and go on with what changes.

        Files that cannot be read are told before it: what they held is not in it.
        """
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the listener hears no more."""
        self._stopping.set()
        self._watches.wake()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        with closing(self._watches):
            self._look_at_everything(self._read)
            while not self._stopping.is_set():
                due = [self._next_look, *self._missing.values()]
                due += [until for _, until in self._unsettled.values()]
                self._take(self._watches.wait(max(0.0, min(due) - self._now())))

    def _take(self, happened: Happened) -> None:
        for path in sorted(happened.touched - happened.written):
            self._notice(path)
        for path in sorted(happened.written):
            self._read(path)
        if happened.look:
            self._look_at_everything(self._read if happened.complete else self._notice)
        now = self._now()
        waited = self._missing | {path: until for path, (_, until) in self._unsettled.items()}
        for path in [path for path, until in waited.items() if until <= now]:
            self._notice(path)
        if self._next_look <= now:
            self._look_at_everything(self._notice)

    # One look at the whole folder.

    def _look_at_everything(self, look: Callable[[str], None]) -> None:
        """Look at every file that is new or not the one we know.

        Args:
            look: `_read`, or `_notice` where such a file may be in the making.
        """
        parent, _, name = self._root.rpartition("/")
        try:
            with self._watches.renewed():
                self._watches.add(parent or "/", only=name)
                tree = Tree(self._root, self._watches.add)
        except OSError as error:
            self._next_look = self._now() + BLIND_LOOK_SECONDS
            self._say_away(self._root, f"{error.strerror}: name a folder or file to read")
            return
        self._tell_blindness()
        self._next_look = self._now() + (BLIND_LOOK_SECONDS if self._is_blind else LOOK_SECONDS)
        if self._seen and not tree.files and tree.device != self._device:
            self._say_away(self._root, "it is empty, and on another file system than before")
            return
        self._device = tree.device
        self._say_back(self._root)
        self._compare(tree, look)
        if not self._listed:
            self._listed = True
            self._tell(Listed(ALL_KINDS, self._standing.objects()))

    def _compare(self, tree: Tree, look: Callable[[str], None]) -> None:
        for path in self._seen.keys() - tree.files.keys():
            if not tree.hides(path):
                self._miss(path)
        for path, current in tree.files.items():
            if path in self._missing or self._signature(path) != current:
                look(path)
        for path, reason in tree.unreadable.items():
            self._say_away(path, f"{reason}: {_STANDS}")
        for path in self._unreadable.keys() - tree.unreadable.keys():
            self._say_back(path)
        self._unreadable = tree.unreadable

    def _tell_blindness(self) -> None:
        if self._watches.fault and not self._is_blind:
            logger.warning(
                "{}: the kernel cannot watch it ({}): it is looked at each second instead; raise "
                "fs.inotify.max_user_watches or max_user_instances",
                self._root,
                self._watches.fault,
            )
        self._is_blind = self._watches.fault is not None

    # One file.

    def _notice(self, path: str) -> None:
        """Read a file if it is another than we know and has settled."""
        try:
            status = Path(path).stat()
        except FileNotFoundError:
            self._miss(path)
            return
        except OSError:
            return  # the next look at the folder says so
        self._missing.pop(path, None)
        if not stat.S_ISREG(status.st_mode):
            return
        current, now = signature(status), self._now()
        known, until = self._unsettled.get(path, (current, now + SETTLE_SECONDS))
        if current == self._signature(path):
            self._unsettled.pop(path, None)
        elif known != current:
            self._unsettled[path] = (current, now + SETTLE_SECONDS)
        elif until <= now:
            self._watches.trust(path)
            self._read(path)
        else:
            self._unsettled[path] = (known, until)

    def _read(self, path: str) -> None:
        """Read a file that is complete, and tell what it changes."""
        try:
            data, current = _read_whole(path)
        except FileNotFoundError:
            self._miss(path)
            return
        except OSError as error:
            self._seen[path] = _Seen()
            self._say_away(path, f"{error.strerror}: {_STANDS}")
            return
        self._missing.pop(path, None)
        if self._watches.is_being_written(path) or not self._is_settled(path, data, current):
            self._unsettled[path] = (current, self._now() + SETTLE_SECONDS)
            return
        self._unsettled.pop(path, None)
        known, self._seen[path] = self._seen.get(path), _Seen(current, hash(data))
        if known is None or known.content != hash(data):
            self._understand(path, data)

    def _is_settled(self, path: str, data: bytes, current: Signature) -> bool:
        """Tell whether what was read is whole.

        An empty file is mostly one that is just being written: the kernel tells of the writing a
        moment after the file was emptied.
        """
        if current == CHANGING:
            return False
        if data.strip() or not self._standing.given(path):
            return True
        known, until = self._unsettled.get(path, (CHANGING, 0.0))
        return known == current and until <= self._now()

    def _understand(self, path: str, data: bytes) -> None:
        if not data.strip() and self._standing.given(path):
            self._say_away(path, f"it is empty: {_STANDS}; delete it if that should go")
            return
        try:
            found = parse(data, path, home=self._namespace)
        except SourceError as error:
            self._say_away(path, f"{str(error).removeprefix(path + ': ')}: {_STANDS}")
            return
        self._say_back(path)
        given = _by_ref(found, path)
        # What has moved here from a file that is gone is not doubled, even before that is believed.
        left = {other: self._standing.given(other) for other in self._missing}
        self._change(
            {path: given}
            | {f: {r: o for r, o in g.items() if r not in given} for f, g in left.items()}
        )

    def _miss(self, path: str) -> None:
        """Believe that a file is gone when it has been for long enough; but not the only one."""
        self._unsettled.pop(path, None)
        if path not in self._seen or path == self._root:
            return
        if self._missing.setdefault(path, self._now() + GONE_SECONDS) <= self._now():
            del self._seen[path], self._missing[path]
            self._say_back(path)
            self._change({path: {}})

    def _signature(self, path: str) -> Signature | None:
        seen = self._seen.get(path)
        return seen.signature if seen else None

    # What the listener is told.

    def _change(self, files: Mapping[str, Given]) -> None:
        for event in self._standing.change(files):
            if self._listed:
                self._tell(event)

    def _say_away(self, what: str, message: str) -> None:
        if self._said.get(what) != message:
            self._said[what] = message
            self._tell(Away(what, f"{what}: {message}"))

    def _say_back(self, what: str) -> None:
        if self._said.pop(what, None) is not None:
            self._tell(Back(what))

    def _tell(self, event: Event) -> None:
        if not self._stopping.is_set():
            self._listener(event)


CHANGING: Signature = 0  # no file has it, so it is looked at again

_STANDS = "what it held before stands"


def _read_whole(path: str) -> tuple[bytes, Signature]:
    """Return a file's content and signature; CHANGING when it changed while it was read."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- half the time of Path.open
        before = signature(os.fstat(file.fileno()))
        data = file.read()
        status = os.fstat(file.fileno())
    whole = signature(status) == before and len(data) == status.st_size
    return data, before if whole else CHANGING


def _by_ref(found: Iterable[Parsed], path: str) -> Given:
    """Return a file's objects by reference; one that it holds twice has a warning."""
    given: dict[ObjectRef, list[Parsed]] = {}
    for parsed in found:
        given.setdefault(parsed.ref, []).append(parsed)
    return {
        ref: last_of(same) if len(same) == 1 else warned(last_of(same), [path])
        for ref, same in given.items()
    }


def contents(paths: Iterable[str], stdin: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each file that paths name."""
    for path in paths:
        if path == STANDARD_INPUT:
            yield "standard input", stdin.read()
            continue
        try:
            yield from ((file, Path(file).read_bytes()) for file in _files(path))
        except OSError as error:
            place = error.filename or path
            raise SourceError(
                f"{place}: {error.strerror}: name a file or folder to read"
            ) from error


def _files(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]  # a pipe too, where it is named
    tree = Tree(path.rstrip("/") or "/", lambda _folder: None)
    for unreadable, reason in tree.unreadable.items():
        raise SourceError(f"{unreadable}: {reason}: make it readable, or name files instead")
    return [*tree.files]
