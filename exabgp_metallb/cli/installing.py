"""The command that brings units to a machine: install-units."""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from exabgp_metallb.cli.group import NAME, Failure, commands


@commands.command("install-units")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path),
    default=Path("/usr/local"),
    show_default=True,
    help="/usr/local, or /usr for a package of a distribution.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Into this folder as if it were /; no systemd is told.",
)
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    help="What the units run; default: this program.",
)
@click.option("--uninstall", is_flag=True, help="End the units and take them away.")
def install_units(
    *, prefix: Path, root: Path | None, program: Path | None, uninstall: bool
) -> None:
    """Put systemd units, their users and folders, and a file of settings in place.

    Run it again after an upgrade: units are written anew, settings that you have edited are not.
    With --uninstall the units are stopped, which drains the node, and taken away.

    Exits with 0 when that is done, 2 when it cannot be.
    """
    from exabgp_metallb.programs.units import LEFT, Units  # noqa: PLC0415 -- see the package

    units = Units(program or _this(), prefix=prefix.absolute(), root=root)
    try:
        for placed in units.uninstall() if uninstall else units.install():
            click.echo(f"{placed.path}: {placed.outcome.value}")
    except OSError as error:
        raise Failure(f"{error.filename or prefix}: {error.strerror}: run it as root") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(error.cmd)}: status {error.returncode}") from error
    click.echo(LEFT if uninstall else units.hint)


def _this() -> Path:
    """Return the program that runs: beside its Python, or on the path."""
    beside = Path(sys.executable).with_name(NAME)
    return beside if beside.exists() else Path(shutil.which(NAME) or sys.argv[0]).absolute()
