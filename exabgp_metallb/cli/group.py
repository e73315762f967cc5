"""The command that all others are below, and how a command ends."""

import click

from exabgp_metallb import __version__
from exabgp_metallb.errors import Error

VALID, REJECTED, WRONG = 0, 1, 2

NAME = "exabgp-metallb"


class Failure(click.ClickException):
    """Ends the program with a message: the input cannot be read, or the call is wrong."""

    exit_code = WRONG


class Commands(click.Group):
    """Tells our own errors as click tells its own: one line on standard error, exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        from exabgp_metallb.programs.terminal import clean  # noqa: PLC0415 -- see the package

        try:
            return super().invoke(ctx)
        except Error as error:
            raise Failure(clean(str(error))) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME, message="%(prog)s %(version)s")
def commands() -> None:
    """A load balancer for bare-metal Kubernetes: MetalLB's resources, ExaBGP's sessions."""
