"""Commands for who looks at it for the first time: demo, completion."""

from pathlib import Path

import click

from exabgp_metallb.cli.group import NAME, commands

SHELLS = ("bash", "zsh", "fish")


@commands.command()
@click.option("--once", is_flag=True, help="Print lines, and end after the last step.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help="How long to stay after the last step; without it until Ctrl-C.",
)
@click.option(
    "--manifests",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Play with a copy of this folder; without it etc/examples/demo of the source tree.",
)
@click.pass_context
def demo(ctx: click.Context, *, once: bool, seconds: float | None, manifests: Path | None) -> None:
    """Show the main job with no cluster and no root.

    Three nodes and a router run on loopback addresses. A few edits of the manifests are played, and
    each arrives in the router's table. Without a terminal it does as with --once.

    Exits with 0 if the router's table was right after every step, else 1.
    """
    from exabgp_metallb.programs.demo.command import run  # noqa: PLC0415 -- see the package

    ctx.exit(run(manifests, once=once, seconds=seconds))


@commands.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    r"""Print a shell's completion script.

    \b
    bash:  eval "$(exabgp-metallb completion bash)"
    zsh:   eval "$(exabgp-metallb completion zsh)"
    fish:  exabgp-metallb completion fish | source
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 -- see the package

    from exabgp_metallb.programs.terminal import write  # noqa: PLC0415 -- see the package

    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 -- SHELLS are click's own
    write(complete(commands, {}, NAME, "_EXABGP_METALLB_COMPLETE").source() + "\n")
