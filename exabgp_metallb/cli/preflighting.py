"""The command that looks before another one starts: preflight."""

from typing import Any

import click

from exabgp_metallb.cli.daemons import node_of
from exabgp_metallb.cli.documents import print_document
from exabgp_metallb.cli.group import REJECTED, VALID, commands
from exabgp_metallb.cli.options import node_options, output_option, twin

ROLES = ("controller", "run", "speaker", "responder")


@commands.command()
@click.argument("role", metavar="COMMAND", type=click.Choice(ROLES))
@twin("skip", multiple=True, metavar="CHECK", help="Leave a check out; may be repeated.")
@click.option("--without-exabgp", is_flag=True, help="As for the speaker.")
@node_options
@output_option
@click.pass_context
def preflight(
    ctx: click.Context,
    /,
    *,
    role: str,
    skip: tuple[str, ...],
    without_exabgp: bool,
    form: str,
    **options: Any,  # noqa: ANN401 -- as node_options names them
) -> None:
    """Look whether a COMMAND could do its work here, and say what to do if not.

    COMMAND is controller, run, speaker or responder; the options are those that it will be given.
    Nothing is changed, but for the state folder, which is made if it is not there.

    Exits with 0 when it could, 1 when something is in its way, 2 when the call is wrong.
    """
    from exabgp_metallb.programs.preflight import (  # noqa: PLC0415 -- see exabgp_metallb.cli
        Role,
        machine_checks,
    )
    from exabgp_metallb.programs.preflight import preflight as look  # noqa: PLC0415 -- as above
    from exabgp_metallb.programs.preflight_cluster import cluster_checks  # noqa: PLC0415
    from exabgp_metallb.programs.preflight_tables import preflight_text  # noqa: PLC0415

    what = Role(role)
    checks = {**machine_checks(what), **cluster_checks(what)}
    unknown = ", ".join(sorted(set(skip) - checks.keys()))
    if unknown:
        raise click.UsageError(f"--skip {unknown}: write any of {', '.join(checks)}")
    given = node_of(managed=what is Role.RUN, without_exabgp=without_exabgp, **options)
    document = look(checks, given, skip)
    print_document(document, form, preflight_text)
    ctx.exit(VALID if document["healthy"] else REJECTED)
