"""Units come into place and go away again, here below another root."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from exabgp_metallb.cli import commands
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs import units
from exabgp_metallb.programs.units import Outcome, Units, sources
from tests.units.package import install as install_package

PROGRAM = Path("/opt/exabgp-metallb/bin/exabgp-metallb")
SETTINGS = "etc/exabgp-metallb/exabgp-metallb.env"
SYSTEM = "usr/local/lib/systemd/system"
PLACES = {
    SETTINGS,
    f"{SYSTEM}/exabgp-metallb-bfd.service",
    f"{SYSTEM}/exabgp-metallb-controller.service",
    f"{SYSTEM}/exabgp-metallb-responder.service",
    f"{SYSTEM}/exabgp-metallb-speaker.service",
    f"{SYSTEM}/exabgp-metallb.target",
    "usr/local/lib/sysusers.d/exabgp-metallb.conf",
    "usr/local/lib/tmpfiles.d/exabgp-metallb.conf",
}


def files(root: Path) -> set[str]:
    """Return what is below a root."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def outcomes(root: Path) -> dict[str, Outcome]:
    """Install and return what became of what."""
    return {str(p.path.relative_to(root)): p.outcome for p in Units(PROGRAM, root=root).install()}


def test_all_come_into_place_and_go_again(tmp_path: Path) -> None:
    """Files, and the folders that were made for them."""
    assert outcomes(tmp_path) == dict.fromkeys(PLACES, Outcome.WRITTEN)
    assert files(tmp_path) == PLACES
    removed = {placed.outcome for placed in Units(PROGRAM, root=tmp_path).uninstall()}
    assert removed == {Outcome.REMOVED}
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"etc", "usr", "usr/local", "usr/local/lib"}


def test_again_changes_nothing(tmp_path: Path) -> None:
    """Neither does taking away what is not there."""
    outcomes(tmp_path)
    assert outcomes(tmp_path) == dict.fromkeys(PLACES, Outcome.SAME)
    list(Units(PROGRAM, root=tmp_path).uninstall())
    assert list(Units(PROGRAM, root=tmp_path).uninstall()) == []


def test_edited_settings_stay_and_units_do_not(tmp_path: Path) -> None:
    """Through an upgrade, and when all else goes."""
    outcomes(tmp_path)
    unit = f"{SYSTEM}/exabgp-metallb-speaker.service"
    for place in (SETTINGS, unit):
        (tmp_path / place).write_text("# mine\n")
    assert outcomes(tmp_path) == {
        **dict.fromkeys(PLACES, Outcome.SAME),
        SETTINGS: Outcome.EDITED,
        unit: Outcome.WRITTEN,
    }
    assert (tmp_path / SETTINGS).read_text() == "# mine\n"
    list(Units(PROGRAM, root=tmp_path).uninstall())
    assert files(tmp_path) == {SETTINGS}


def test_units_run_the_program_by_its_whole_path(tmp_path: Path) -> None:
    """Each command of ours, and FRR's own by theirs."""
    outcomes(tmp_path)
    ours = set()
    for path in (tmp_path / SYSTEM).glob("*.service"):
        commands = re.findall(r"^Exec\w+=[-+!:]*(\S+) (\S+)", path.read_text(), re.MULTILINE)
        assert commands
        assert all(program.startswith("/") for program, _ in commands)
        ours |= {word for program, word in commands if program == str(PROGRAM)}
    assert {"run", "responder", "controller"} <= ours


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("/root/venv/bin/exabgp-metallb", "units see nothing below /root"),
        ("/home/me/venv/bin/exabgp-metallb", "units see nothing below /home"),
        ("/opt/my venv/exabgp-metallb", "write a whole path"),
        ("/opt/50%/exabgp-metallb", "write a whole path"),
        ("bin/exabgp-metallb", "write a whole path"),
    ],
)
def test_programs_that_units_could_not_run(program: str, why: str, tmp_path: Path) -> None:
    """Are refused before anything is written."""
    with pytest.raises(UsageError, match=why):
        list(Units(Path(program), root=tmp_path).install())
    assert files(tmp_path) == set()


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it runs: of users and folders after the files, of the end before them."""
    monkeypatch.setattr(units, "RUNNING", tmp_path)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    told: list[tuple[str, bool]] = []
    prefix = tmp_path / "usr"
    target = prefix / "lib/systemd/system/exabgp-metallb.target"

    def run(command: Sequence[str]) -> None:
        told.append((" ".join(command[:3]), target.exists()))

    here = Units(PROGRAM, prefix=prefix, run=run)
    monkeypatch.setattr(here, "_root", tmp_path)
    monkeypatch.setattr(here, "_prefix", Path("/usr"))
    list(here.install())
    assert told == [
        ("systemd-sysusers exabgp-metallb.conf", True),
        ("systemd-tmpfiles --create exabgp-metallb.conf", True),
        ("systemctl daemon-reload", True),
    ]
    told.clear()
    list(here.uninstall())
    assert told == [("systemctl --quiet disable", True), ("systemctl daemon-reload", False)]
    told.clear()
    list(here.uninstall())
    assert told == [("systemctl daemon-reload", False)]


def install(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(commands, ["install-units", "--program", str(PROGRAM), *words])


def test_the_command(tmp_path: Path) -> None:
    """It says what it did and what to do next."""
    done = install("--root", str(tmp_path))
    assert done.exit_code == 0
    assert f"{tmp_path}/{SETTINGS}: written\n" in done.stdout
    assert "Next: systemd-sysusers --root=DIR" in done.stdout
    done = install("--root", str(tmp_path), "--uninstall")
    assert done.exit_code == 0
    assert f"{tmp_path}/{SETTINGS}: removed\n" in done.stdout
    assert "Left: the users exabgp-metallb" in done.stdout


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Is named, with what to do."""
    (tmp_path / "usr").touch()
    done = install("--root", str(tmp_path))
    assert done.exit_code == 2
    assert re.search(r"^Error: .*/usr.*: run it as root$", done.stderr, re.MULTILINE)


def test_a_wheel_has_the_units(tmp_path: Path) -> None:
    """An installation of one finds the same files as the source tree."""
    prefix = tmp_path / "venv"
    code = "from exabgp_metallb.programs.units import sources; print(*sources(), sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(install_package(prefix))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for there, here in zip(map(Path, found), sources(), strict=True):
        assert there.is_relative_to(prefix)
        assert {f.name: f.read_bytes() for f in there.iterdir()} == {
            f.name: f.read_bytes() for f in here.iterdir()
        }
