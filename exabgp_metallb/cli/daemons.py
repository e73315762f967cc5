"""Commands that go on until they are told to end: run, speaker, responder, controller."""

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from exabgp_metallb.cli.group import VALID, WRONG, Failure, commands
from exabgp_metallb.cli.options import (
    CONTROLLER_OPTIONS,
    RESPONDER_OPTIONS,
    node_options,
    twin,
    with_options,
)

if TYPE_CHECKING:
    from exabgp_metallb.programs.options import Options


@commands.command()
@node_options
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 -- as node_options names them
    """Announce Services from this node.

    Starts ExaBGP with a session for each BGPPeer that selects the node, keeps it alive, and has the
    speaker tell it the routes. This is what units and containers run.

    Exits with 0 when told to end, 1 when ExaBGP cannot be kept alive.
    """
    from exabgp_metallb.programs.bfd_daemons import AUTO, BfdDaemons  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.run import Supervisor, environment  # noqa: PLC0415 -- see the package

    given = node_of(managed=True, **options)
    settings = environment(given.environment())
    try:
        supervisor = Supervisor(
            given.conf,
            settings,
            control=given.socket,
            drain_seconds=given.drain_seconds,
            bfd=BfdDaemons(given.state_dir) if given.bfd == AUTO else None,
        )
        ctx.exit(supervisor.run())
    except OSError as error:
        place = error.filename or given.conf
        raise Failure(f"{place}: {error.strerror}: set --state-dir to a folder of ours") from error


class Patient(click.Command):
    """A command that ExaBGP starts: it does not end fast, even when it is called wrongly."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 -- click's own
    ) -> click.Context:
        """Read the arguments; wait before it is told that they are wrong."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise _waited(error) from error


@commands.command(cls=Patient)
@node_options
@twin("managed", type=bool, default=False, hidden=True)
@twin("without-exabgp", is_flag=True, help="There is no ExaBGP: layer 2 is all that is done.")
@click.pass_context
def speaker(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 -- as node_options names them
    """Tell ExaBGP what this node announces; ExaBGP starts it.

    Name this command in a process section of your own exabgp.conf (see etc/exabgp), with the
    options in the environment of ExaBGP. `exabgp-metallb run` does all that by itself.

    With --without-exabgp it is started by you, and gives the responder its orders.

    Exits with 0 when ExaBGP ends, or when told to end, and 1 on failure.
    """
    from exabgp_metallb.programs.start import run_speaker  # noqa: PLC0415 -- see the package

    try:
        given = node_of(**options)
    except click.UsageError as error:
        raise _waited(error) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(VALID))
    if given.without_exabgp:
        signal.signal(signal.SIGINT, lambda *_: sys.exit(VALID))
    ctx.exit(run_speaker(given))


@commands.command()
@partial(with_options, RESPONDER_OPTIONS)
@click.pass_context
def responder(
    ctx: click.Context,
    /,
    *,
    log_level: str,
    log_format: str,
    **options: Any,  # noqa: ANN401 -- as RESPONDER_OPTIONS names them
) -> None:
    """Answer ARP and neighbor discovery for the addresses that the speaker orders.

    Needs CAP_NET_RAW, the speaker's socket and nothing else. While the speaker is away it answers
    by its last orders. When told to end it has other nodes take over first.

    Exits with 0 when told to end, 2 when it may not open packet sockets.
    """
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.options import (  # noqa: PLC0415 -- see the package
        ORDERS_NAME,
        default_state_dir,
    )
    from exabgp_metallb.programs.responder import (  # noqa: PLC0415 -- see the package
        ResponderOptions,
        run,
    )

    configure(log_level, LogFormat(log_format))
    options["state_dir"] = options["state_dir"] or default_state_dir()
    options["orders"] = options["orders"] or options["state_dir"] / ORDERS_NAME
    run(ResponderOptions(**options))
    ctx.exit(VALID)


@commands.command()
@partial(with_options, CONTROLLER_OPTIONS)
@click.pass_context
def controller(
    ctx: click.Context,
    /,
    *,
    log_level: str,
    log_format: str,
    **options: Any,  # noqa: ANN401 -- as CONTROLLER_OPTIONS names them
) -> None:
    """Give addresses to the Services of a cluster.

    Any number of replicas may run; one of them leads, by a Lease in the install namespace.

    Exits with 0 when told to end, 2 when the Kubernetes API cannot be reached as configured.
    """
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.control import ControllerOptions, run  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.options import KUBECONFIG_CREDENTIAL, credential  # noqa: PLC0415

    configure(log_level, LogFormat(log_format))
    options["kubeconfig"] = options["kubeconfig"] or credential(KUBECONFIG_CREDENTIAL)
    run(ControllerOptions(**options))
    ctx.exit(VALID)


def node_of(**options: Any) -> "Options":  # noqa: ANN401 -- as node_options names them
    """Return the options of a node's program, and set up its logs."""
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.options import (  # noqa: PLC0415 -- see the package
        KUBECONFIG_CREDENTIAL,
        Options,
        credential,
        default_state_dir,
    )
    from exabgp_metallb.values.orders import Failback, SubnetRule  # noqa: PLC0415 -- see the package

    if options["manifests"] is not None and options["kubeconfig"] is not None:
        raise click.UsageError("--manifests and --kubeconfig: give one of them")
    if options["manifests"] is None:
        options["kubeconfig"] = options["kubeconfig"] or credential(KUBECONFIG_CREDENTIAL)
    options["l2_subnet"] = SubnetRule(options["l2_subnet"])
    options["l2_failback"] = Failback(options["l2_failback"])
    options["state_dir"] = options["state_dir"] or default_state_dir()
    given = Options(**options)
    configure(given.log_level, LogFormat(given.log_format))
    return given


def _waited(error: click.UsageError) -> Exception:
    """Return what ends the program; below ExaBGP not before a while, see `linger`."""
    from exabgp_metallb.programs.start import linger  # noqa: PLC0415 -- see the package

    if sys.stdin is None or sys.stdin.isatty():
        return error
    error.show()
    linger()
    return click.exceptions.Exit(WRONG)
