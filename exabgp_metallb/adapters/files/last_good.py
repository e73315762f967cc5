"""The last good objects, kept on disk for a start while their source cannot be reached.

A text file, one JSON value a line: a header that names format and fingerprint (see `codec`), then
an object a line, then a line that counts them and has the CRC-32 of all before it. So a file that
was cut off, damaged or written by a release with other classes is told from a good one and is
ignored; nothing is ever guessed.

No secret is in it: Secrets are left out and passwords are written as null. Whoever restores the
objects is told which peers lack theirs (`Restored.without_password`) and must not render a session
for them anew: ExaBGP's own configuration on disk still has it.
"""

import gc
import json
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from exabgp_metallb.adapters.files.codec import Codecs
from exabgp_metallb.errors import SourceError
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import LegacyConfig, Parsed, PeerSpec

FORMAT = "exabgp-metallb last good objects, 1"
MODE = 0o600

# Between two writes the interpreter lets other threads run: this many objects take half a
# millisecond, so nobody who decides or sends waits for long while a file is written.
OBJECTS_PER_WRITE = 50


@dataclass(frozen=True, slots=True)
class Restored:
    """What was on disk.

    Attributes:
        objects: as they were saved, without Secrets and passwords.
        without_password: the BGPPeers that had or named a password, which the file does not have.
    """

    objects: tuple[Parsed, ...]
    without_password: frozenset[ObjectRef]


class LastGood:
    """One file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        codecs = Codecs()
        codec = codecs.of(Parsed)
        assert codec.encode  # noqa: S101 -- a class always has both
        assert codec.decode  # noqa: S101 -- as above
        self._encode, self._decode = codec.encode, codec.decode
        self._header = _line([FORMAT, codecs.fingerprint()])

    def save(self, objects: Iterable[Parsed]) -> None:
        """Replace what is on disk, or leave it as it was when that fails.

        It takes a while and a disk: call it from a thread where nothing waits.

        Raises:
            SourceError: the file cannot be written.
        """
        aside = self._path.with_name(f".{self._path.name}.new")
        try:
            aside.unlink(missing_ok=True)  # of a process that died
            self._write(aside, iter(objects))
            aside.rename(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}: the old one stays") from error

    def load(self) -> Restored | None:
        """Return what was saved; None when nothing was.

        Raises:
            SourceError: the file cannot be read, is damaged, or is of another release.
        """
        try:
            with self._path.open("rb") as file, _no_collection():
                return self._read(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}: it is not used") from error
        except _DAMAGE as error:
            raise SourceError(f"{self._path}: it is damaged ({error}): it is not used") from error

    def _write(self, path: Path, objects: Iterator[Parsed]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(path, flags, MODE), "wb", buffering=0) as file:  # noqa: PTH123 -- no Path
            checksum, count = _append(file, self._header, 0), 0
            without_password: list[ObjectRef] = []
            while batch := list(islice(objects, OBJECTS_PER_WRITE)):
                kept = [parsed for parsed in batch if parsed.ref.kind != "Secret"]
                without_password += (ref for parsed in kept for ref in _without_password(parsed))
                lines = b"".join(_line(self._encode(parsed)) for parsed in kept)
                checksum = _append(file, lines, checksum)
                count += len(kept)
            lines = _line([[r.kind, r.namespace, r.name] for r in without_password])
            checksum = _append(file, lines, checksum)
            file.write(_line([count, checksum]))
            os.fsync(file.fileno())

    def _read(self, file: BinaryIO) -> Restored:
        if (header := file.readline()) != self._header:
            known = header.startswith(self._header.partition(b",")[0])
            what = "another release wrote it" if known else "it is no file of ours"
            raise SourceError(f"{self._path}: {what}: it is not used")
        checksum = zlib.crc32(header)
        rows: deque[bytes] = deque(maxlen=2)
        objects: list[Parsed] = []
        for line in file:
            if len(rows) == 2:  # the last two lines are no objects
                checksum = zlib.crc32(rows[0], checksum)
                objects.append(self._decode(json.loads(rows[0])))
            rows.append(line)
        refs, end = rows  # ValueError when the file was cut off right here
        checksum = zlib.crc32(refs, checksum)
        if json.loads(end) != [len(objects), checksum] or not end.endswith(b"\n"):
            raise ValueError("its end does not fit the rest")
        return Restored(tuple(objects), frozenset(ObjectRef(*ref) for ref in json.loads(refs)))


# What reading a row that is no longer what was written may raise.
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the collector of cycles from walking what is built and has none: half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _append(file: BinaryIO, data: bytes, checksum: int) -> int:
    file.write(data)
    return zlib.crc32(data, checksum)


def _without_password(parsed: Parsed) -> Iterator[ObjectRef]:
    match parsed.value:
        case PeerSpec(peer=peer, password_secret=secret):
            if peer.password or secret:
                yield parsed.ref
        case LegacyConfig(objects=objects):
            for inner in objects:
                yield from _without_password(inner)


def _sync_folder(path: Path) -> None:
    """Make a rename in a folder last through a power cut (fsync(2), NOTES)."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
