"""Puts the systemd units in place, and takes them away again.

The files are those of systemd/ and etc/exabgp-metallb/: in the source tree, or where the wheel has
put them. What is written says `exabgp-metallb` by its whole path. Below PREFIX, which is /usr/local
or a distribution's /usr, nothing is anybody's to edit, and is written over; settings are in /etc
and are left alone once they differ from ours. Users and state stay: an address that was given must
not be given to somebody else because of a package that was removed for an hour.
"""

import enum
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import product
from pathlib import Path

from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.errors import UsageError

NAME = "exabgp-metallb"
PREFIX = Path("/usr/local")
RUNNING = Path("/run/systemd/system")  # is there where systemd runs: sd_booted(3)
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= hides from the units."""

SOCKETS = f"run/{NAME}"
FOLDERS = (f"etc/{NAME}/manifests", f"etc/{NAME}", SOCKETS)
"""Made by tmpfiles.d; removed when nothing is in them, as those of ours below the prefix."""

LEFT = f"""\
Left: the users {NAME} and {NAME}-responder, /var/lib/{NAME} and /var/lib/{NAME}-responder."""

NEXT = f"""\
Next: put the kubeconfig of the speaker into /etc/credstore/{NAME}-speaker.kubeconfig, or say in
/etc/{NAME}/{NAME}.env where the manifests are, and start what this machine shall do:
    systemctl enable --now {NAME}-speaker {NAME}-responder {NAME}.target"""

NEXT_IN_A_ROOT = f"""\
Next: systemd-sysusers --root=DIR, systemd-tmpfiles --root=DIR --create, and
systemctl --root=DIR enable {NAME}-speaker {NAME}-responder {NAME}.target"""

_PROGRAM = re.compile(rf"^(Exec\w+=[-+!:]*){NAME}(?= )", re.MULTILINE)
_ODD = re.compile(r"[^A-Za-z0-9/._+-]")
_PLACES = ("systemd/system", "systemd", "sysusers.d", "tmpfiles.d")
_KINDS = {".sysusers.conf": "sysusers.d", ".tmpfiles.conf": "tmpfiles.d"}


class Outcome(enum.StrEnum):
    """What became of a file; the value is for people."""

    WRITTEN = "written"
    SAME = "as it was"
    EDITED = "left alone: it is edited"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Placed:
    """A file, or a folder, and what became of it."""

    path: Path
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _File:
    path: Path  # below the root
    text: str
    settings: bool = False


def sources() -> tuple[Path, Path]:
    """Return the folders of the units and of the settings.

    Raises:
        UsageError: this installation has none.
    """
    tree = Path(__file__).parents[2]
    if (tree / "systemd").is_dir():
        return tree / "systemd", tree / "etc" / NAME
    for file in metadata.files(NAME) or ():
        if file.name == f"{NAME}.target":
            share = Path(str(file.locate())).resolve().parents[1]
            return share / "systemd", share / "etc"
    raise UsageError("this installation has no units: install the wheel or use the source tree")


class Units:
    """The files of one machine.

    Args:
        program: what the units run.
        prefix: where units, users and folders are described, as seen from the root.
        root: of the machine's files; None: those of this one, whose systemd is told.
        run: runs a command of systemd's; a status but 0 is an error.
    """

    def __init__(
        self,
        program: Path,
        *,
        prefix: Path = PREFIX,
        root: Path | None = None,
        run: Callable[[Sequence[str]], object] | None = None,
    ) -> None:
        self._program = program
        self._prefix = prefix
        self._root = Path("/") if root is None else root
        self._live = root is None and RUNNING.is_dir()
        self._run = _run if run is None else run

    def install(self) -> Iterator[Placed]:
        """Put all in place; what is there already is left.

        Raises:
            UsageError: the units could not run this program.
            OSError: a file cannot be written.
            subprocess.CalledProcessError: systemd refuses.
        """
        self._check()
        for file in self._files():
            yield Placed(self._root / file.path, self._write(file))
        if self._live:
            self._run(["systemd-sysusers", f"{NAME}.conf"])
            self._run(["systemd-tmpfiles", "--create", f"{NAME}.conf"])
            self._run(["systemctl", "daemon-reload"])

    def uninstall(self) -> Iterator[Placed]:
        """End all units and take everything away but what somebody has made.

        Raises:
            OSError: a file cannot be removed.
            subprocess.CalledProcessError: systemd refuses.
        """
        files = tuple(self._files())
        names = [f.path.name for f in files if f.path.suffix in {".service", ".target"}]
        if self._live and any((self._root / f.path).exists() for f in files):
            self._run(["systemctl", "--quiet", "disable", "--now", *names])
        for file in files:
            path = self._root / file.path
            if path.exists():
                yield Placed(path, self._remove(file))
        for socket in (self._root / SOCKETS).glob("*.sock"):
            socket.unlink()
        lib = self._prefix.relative_to("/") / "lib"
        for place in (*map(Path, FOLDERS), *(lib / each for each in _PLACES)):
            folder = self._root / place
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                yield Placed(folder, Outcome.REMOVED)
        if self._live:
            self._run(["systemctl", "daemon-reload"])

    @property
    def hint(self) -> str:
        """What to do after an install."""
        return NEXT if self._live else NEXT_IN_A_ROOT

    def _check(self) -> None:
        paths = (self._program, Path(sys.base_prefix)) if self._live else (self._program,)
        for path, folder in product(paths, HIDDEN):
            if folder in path.parents:
                raise UsageError(
                    f"{path}: units see nothing below {folder}: install exabgp-metallb "
                    f"elsewhere, such as `python3 -m venv /opt/{NAME}`"
                )
        if _ODD.search(str(self._program)) or not self._program.is_absolute():
            raise UsageError(f"{self._program}: write a whole path of letters, digits and /._+-")

    def _files(self) -> Iterator[_File]:
        units, settings = sources()
        lib = self._prefix.relative_to("/") / "lib"
        for path in sorted(units.iterdir()):
            text = _PROGRAM.sub(rf"\g<1>{self._program}", path.read_text("utf-8"))
            suffix = "".join(path.suffixes)
            if suffix in _KINDS:
                yield _File(lib / _KINDS[suffix] / f"{NAME}.conf", text)
            else:
                yield _File(lib / "systemd/system" / path.name, text)
        for path in sorted(settings.iterdir()):
            text = path.read_text("utf-8")
            yield _File(Path("etc") / NAME / path.name, text, settings=True)

    def _write(self, file: _File) -> Outcome:
        path = self._root / file.path
        if path.exists():
            if path.read_text("utf-8", "replace") == file.text:
                return Outcome.SAME
            if file.settings:
                return Outcome.EDITED
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_aside(path, file.text.encode(), mode=0o644)
        return Outcome.WRITTEN

    def _remove(self, file: _File) -> Outcome:
        path = self._root / file.path
        if file.settings and path.read_text("utf-8", "replace") != file.text:
            return Outcome.EDITED
        path.unlink()
        return Outcome.REMOVED


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)
