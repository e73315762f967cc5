"""A Debian to boot, made once by debootstrap into a cache outside the tree."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.integration.lab.network import LabError, command

SUITE = "bookworm"
PACKAGES = ("frr", "iproute2", "python3", "systemd", "systemd-sysv")
OTHERS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cron.service",
    "dpkg-db-backup.timer",
    "frr.service",
    "getty.target",
)
"""What would run beside our units."""

BUILD_SECONDS = 1200.0


class UnavailableError(Exception):
    """There can be no such Debian here; says why."""


def tree() -> Path:
    """Return the folder with its files, which nobody changes.

    Raises:
        UnavailableError: something is missing, or the Debian mirror is.
    """
    for program in ("debootstrap", "systemd-nspawn"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not installed: run tests/peers.sh as root")
    if os.geteuid() != 0:
        raise UnavailableError("a system is booted by root")
    recipe = repr((SUITE, PACKAGES, OTHERS))
    folder = _cache() / f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    include = f"--include={','.join(PACKAGES)}"
    make = ["debootstrap", "--variant=minbase", include, SUITE, str(aside)]
    try:
        command(make, BUILD_SECONDS)
        command(["systemctl", f"--root={aside}", "mask", *OTHERS])
    except (LabError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"no {SUITE} could be made: {error}") from error
    shutil.rmtree(aside / "var/cache/apt")
    shutil.rmtree(aside / "var/lib/apt/lists")
    aside.rename(folder)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "exabgp-metallb" / "units"
