"""Which files below a folder hold manifests, and whether they are the ones that we know.

Every *.yaml, *.yml and *.json counts. A name that begins with a dot does not: editors, rsync and
the kubelet keep what is not finished under such names. Symbolic links are followed, so a mounted
ConfigMap, whose files are links into a hidden folder, is read as it looks.
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

SUFFIXES = (".yaml", ".yml", ".json")

Signature = int
"""Stands for a file's modification time, size and inode: while it stands, so does the content."""


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder of this name is passed over."""
    return name.startswith(".")


def is_manifest(name: str) -> bool:
    """Tell whether a file of this name counts."""
    return name.endswith(SUFFIXES) and not is_hidden(name)


def signature(status: os.stat_result) -> Signature:
    """Return what tells one content of a file from another."""
    return hash((status.st_mtime_ns, status.st_size, status.st_ino))  # one number a file, not four


def name_order(path: str) -> list[str]:
    """Sort key of paths: the order in which a walk that goes by name meets them."""
    return path.split("/")


class Tree:
    """What is below a folder; every path begins with the one that was asked for.

    Attributes:
        files: manifests, in name order.
        unreadable: files and folders that are there and cannot be read, with the reason.
        device: the number of the file system that the root is on.
    """

    def __init__(self, root: str, on_folder: Callable[[str], None]) -> None:
        """Look at all of it.

        Args:
            root: a folder, or a file, which counts whatever its name.
            on_folder: called for each folder before it is read, so that whoever watches it misses
                nothing.

        Raises:
            OSError: the root itself cannot be read.
        """
        self.files: dict[str, Signature] = {}
        self.unreadable: dict[str, str] = {}
        self._on_folder = on_folder
        self._visited: set[tuple[int, int]] = set()  # folders, since links can make circles
        status = Path(root).stat()
        self.device = status.st_dev
        if not stat.S_ISDIR(status.st_mode):
            self.files[root] = signature(status)
        else:
            self._enter(root, status)

    def hides(self, path: str) -> bool:
        """Tell whether a file may be there all the same, in something that cannot be read."""
        return any(path == p or path.startswith(f"{p}/") for p in self.unreadable)

    def _enter(self, folder: str, status: os.stat_result) -> None:
        place = (status.st_dev, status.st_ino)
        if place in self._visited:
            return
        self._visited.add(place)
        self._on_folder(folder)
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if not is_hidden(entry.name):
                self._look(entry)

    def _look(self, entry: os.DirEntry[str]) -> None:
        if not is_manifest(entry.name) and not entry.is_dir():
            return
        try:
            status = entry.stat()
            if stat.S_ISDIR(status.st_mode):
                self._enter(entry.path, status)
            elif stat.S_ISREG(status.st_mode):  # a pipe would be waited for
                self.files[entry.path] = signature(status)
        except OSError as error:
            if os.path.lexists(entry.path):
                self.unreadable[entry.path] = error.strerror or str(error)
