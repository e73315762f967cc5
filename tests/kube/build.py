"""Finds or builds kube-apiserver, kube-controller-manager, kube-proxy and render, and finds etcd.

The Go module in this folder pins a Kubernetes release and has one small main package for each
program; the one in render/ pins Helm and kustomize. What is built goes into a cache outside the
tree, in a folder named after everything the result depends on, so that a change of go.mod or of the
toolchain builds anew and nothing else does.

    python -m tests.kube.build [PROGRAM...]     builds (default: kube-apiserver), prints the paths
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tests.kube.toolchain import Go, ToolchainError, environment, find_go

MODULE = Path(__file__).parent
VERSION_PACKAGE = "k8s.io/component-base/version"
BUILD_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")


class Program(StrEnum):
    """A program that the Go module builds."""

    APISERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    PROXY = "kube-proxy"
    RENDER = "render"

    @property
    def module(self) -> Path:
        """The Go module that it is in."""
        return MODULE / "render" if self is Program.RENDER else MODULE

    @property
    def package(self) -> str:
        """Its main package in the module."""
        return "." if self is Program.RENDER else f"./cmd/{self}"

    @property
    def linker_flags(self) -> str:
        """What the linker is told."""
        return "-s -w" if self is Program.RENDER else linker_flags(kubernetes_version())


class UnavailableError(Exception):
    """A program is not on the machine and cannot be built; says what was tried."""


def find(program: Program) -> Path:
    """Return the program's path: from KUBEBUILDER_ASSETS, else from the cache, else built now.

    A cold build takes some minutes; another process that builds is waited for, not raced.

    Raises:
        UnavailableError: it is nowhere and could not be built.
    """
    if asset := from_assets(program):
        return asset
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with locked(cache / "toolchain.lock"):
            go = find_go(cache)
    except ToolchainError as error:
        message = f"{program}: {assets_word()}; {error}"
        raise UnavailableError(message) from error
    built = cache / fingerprint(go, program) / program
    if built.exists():
        return built
    with locked(cache / f"{program}.lock"):
        if not built.exists():  # whoever held the lock may have built it
            build(program, go, built)
    return built


def find_etcd() -> Path:
    """Return etcd's path: from KUBEBUILDER_ASSETS, else from PATH.

    Raises:
        UnavailableError: it is nowhere.
    """
    if asset := from_assets("etcd"):
        return asset
    if on_path := shutil.which("etcd"):
        return Path(on_path)
    message = f"etcd: {assets_word()}; none on PATH: install Debian's etcd-server"
    raise UnavailableError(message)


def build(program: Program, go: Go, built: Path) -> None:
    """Build the program aside and rename it to `built`, whose folder is made.

    Raises:
        UnavailableError: go failed; the message ends with its last lines.
    """
    say(f"building {program} with {go.version}: some minutes ...")
    built.parent.mkdir(parents=True, exist_ok=True)
    aside = built.with_suffix(".aside")
    flags = [*BUILD_FLAGS, "-ldflags", program.linker_flags]
    done = subprocess.run(
        [go.program, "build", *flags, "-o", aside, program.package],
        check=False,
        cwd=program.module,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.decode(errors="replace").splitlines()[-10:])
        message = f"{program}: {go.program} build failed:\n{last}"
        raise UnavailableError(message)
    aside.rename(built)


def fingerprint(go: Go, program: Program) -> str:
    """Return a name for everything that a build depends on."""
    digest = hashlib.sha256()
    for word in (go.version, *BUILD_FLAGS, program.linker_flags):
        digest.update(word.encode() + b"\0")
    for source in sources(program.module):
        content = hashlib.sha256(source.read_bytes()).hexdigest()
        digest.update(f"{source.relative_to(program.module)} {content}\n".encode())
    return digest.hexdigest()[:16]


def sources(module: Path) -> list[Path]:
    """Return the files of a Go module, in a fixed order."""
    code = module.glob("*.go") if module != MODULE else module.glob("cmd/**/*.go")
    return [module / "go.mod", module / "go.sum", *sorted(code)]


def kubernetes_version() -> str:
    """Return the release that go.mod pins, like "v1.35.4"."""
    text = (MODULE / "go.mod").read_text()
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
    assert found is not None, "go.mod requires k8s.io/kubernetes"
    return found[1]


def linker_flags(version: str) -> str:
    """Return flags that drop the symbol tables and make the programs report `version`."""
    major, minor, _ = version.removeprefix("v").split(".", maxsplit=2)
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "",
        "gitTreeState": "archive",  # Kubernetes' word for a build from released sources
    }
    return " ".join(["-s -w", *(f"-X {VERSION_PACKAGE}.{k}={v}" for k, v in values.items())])


def cache_directory() -> Path:
    """Return the folder that built programs and an installed toolchain live in."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "exabgp-metallb" / "kube"


def from_assets(name: str) -> Path | None:
    """Return a program of KUBEBUILDER_ASSETS, None when that is unset or does not hold it."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(assets) / name if assets else None
    return path if path and path.is_file() else None


def assets_word() -> str:
    """Say, for an error, why KUBEBUILDER_ASSETS did not help."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return f"not in KUBEBUILDER_ASSETS={assets}" if assets else "KUBEBUILDER_ASSETS is not set"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file while the body runs."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another build ({path}) ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """Tell the person who waits what is going on."""
    sys.stderr.write(f"{line}\n")


def main(names: Sequence[str]) -> int:
    """Build the named programs, print where they are, and return the exit status."""
    try:
        programs = [Program(name) for name in names or [Program.APISERVER]]
    except ValueError as error:
        say(f"{error}: write any of {', '.join(Program)}")
        return 2
    try:
        for program in programs:
            sys.stdout.write(f"{find(program)}\n")
    except UnavailableError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
