"""Builds the image from the Dockerfile, without a registry: buildah on a base made by debootstrap.

The base has the name that the Dockerfile's FROM has, so that buildah looks no further. It, the
layers of earlier builds, and what pip downloads are kept outside the tree: a second build does
again only what has changed.

    python -m tests.image.build     builds, and prints the image's name
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAME = "localhost/exabgp-metallb"
MOUNTED = "exabgp-metallb-mounted-by-"
STAGE = f"{NAME}-build"  # named, so that its layers are kept for the next time
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")  # whom this machine trusts
SEEN_AS = "/mnt/ca-certificates.crt"


class UnavailableError(Exception):
    """The image cannot be built here; says what was tried."""


def build() -> None:
    """Build the image of the tree as it is; quick when nothing has changed.

    Raises:
        UnavailableError: something is missing, or a step failed.
    """
    with _built():
        pass


def base_name() -> str:
    """Return what the Dockerfile builds upon."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None, "the Dockerfile names its base by ARG BASE"
    return found[1]


@contextmanager
def mounted() -> Iterator[tuple[str, dict[str, Any]]]:
    """Build the image, and return the folder in which its files are, while the body runs.

    With it come its own settings: User, Env, Entrypoint, as the OCI image format has them.

    Raises:
        UnavailableError: as build() does.
    """
    with _built():  # who builds next, from another tree, takes the name
        words = ("--pull-never", "--name", f"{MOUNTED}{os.getpid()}")
        container = _buildah("from", *words, NAME)
    try:
        settings: dict[str, Any] = json.loads(_buildah("inspect", container))["OCIv1"]["config"]
        yield _buildah("mount", container), settings
    finally:
        _buildah("umount", container)
        _buildah("rm", container)


@contextmanager
def _built() -> Iterator[None]:
    """Build the image, and have nobody else build one while the body runs."""
    if os.geteuid() != 0:
        raise UnavailableError("an image is built by root")
    for program in ("buildah", "debootstrap"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed: run tests/peers.sh as root")
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _buildah("images", "--quiet", "--filter", f"reference={base_name()}"):
            _make_base()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as pip:
            pip.write(f"[global]\ncert = {SEEN_AS}\n" if TRUSTED.exists() else "")
            pip.flush()
            _build(STAGE, Path(pip.name), "--target", "build")
            _build(NAME, Path(pip.name))
        with suppress(UnavailableError):  # what another run is about to remove goes another time
            _remove_left_behind()
        yield


def _remove_left_behind() -> None:
    """Remove images without a name, and containers whose process was killed, which use them."""
    told = _buildah("containers", "--format", "{{.ContainerName}}")
    for name in told.split():
        owner = name.removeprefix(MOUNTED)
        # Ours by its number is that of another, before us: we have none yet.
        if owner in (name, str(os.getpid())) or not Path(f"/proc/{owner}").exists():
            _buildah("rm", name)
    with suppress(UnavailableError):  # one that another run has mounted goes another time
        _buildah("rmi", "--prune")


def _make_base() -> None:
    """Make the base image: what Debian's own has, and what debootstrap cannot leave out."""
    _say(f"making {base_name()} with debootstrap: half a minute ...")
    release = base_name().partition(":")[2].partition("-")[0]
    tree = _cache() / "base"
    shutil.rmtree(tree, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", release, str(tree))
    container = _buildah("from", "scratch")
    _buildah("add", container, str(tree), "/")
    _buildah("commit", "--rm", container, base_name())
    shutil.rmtree(tree)


def _build(name: str, pip: Path, *words: str) -> None:
    _say(f"building {name}: minutes the first time ...")
    volumes = ["--volume", f"{pip}:/etc/pip.conf:ro"]
    if TRUSTED.exists():
        volumes += ["--volume", f"{TRUSTED}:{SEEN_AS}:ro"]
    options = ("--isolation", "chroot", "--pull-never", "--layers", *volumes, *words)
    _buildah("build", *options, "--tag", name, str(ROOT))


def _buildah(*words: str) -> str:
    store = _cache() / _driver()
    where = ("--root", str(store), "--runroot", f"/run/exabgp-metallb-tests/{_driver()}")
    return _run("buildah", *where, "--storage-driver", _driver(), *words).strip()


@cache
def _driver() -> str:
    """Return the quicker storage driver if the file system of the cache can carry it."""
    with tempfile.TemporaryDirectory(dir=_cache()) as folder:
        where = ("--root", f"{folder}/root", "--runroot", f"{folder}/run")
        tried = subprocess.run(
            ["buildah", *where, "--storage-driver", "overlay", "info"],
            check=False,
            capture_output=True,
        )
        subprocess.run(["umount", f"{folder}/root/overlay"], check=False, capture_output=True)
    return "overlay" if tried.returncode == 0 else "vfs"


def _run(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise UnavailableError(f"{' '.join(words)}:\n{last}")
    return done.stdout


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "exabgp-metallb" / "image"


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    try:
        build()
    except UnavailableError as trouble:
        sys.exit(str(trouble))
    sys.stdout.write(f"{NAME}\n")
