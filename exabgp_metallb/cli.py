"""The command line: arguments, environment and exit codes.

    0  done; for `plan` and `check`: the configuration is valid
    1  at least one object is rejected; for `status`: something is wrong
    2  the input cannot be read, nobody answers, or the call is wrong

Every option that daemons have too can be given as EXABGP_METALLB_<OPTION> in the environment. What
a command needs beyond the standard library and click is imported when it is called: `--help` and
shell completion stay quick.
"""

import io
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from exabgp_metallb import __version__
from exabgp_metallb.errors import Error

if TYPE_CHECKING:
    from exabgp_metallb.programs.options import Options
    from exabgp_metallb.programs.plan import Question
    from exabgp_metallb.programs.plan_format import CheckDocument
    from exabgp_metallb.values.faults import Fault
    from exabgp_metallb.values.specs import Parsed

VALID, REJECTED, WRONG = 0, 1, 2

NAME = "exabgp-metallb"
STATUS_SECONDS = 40.0  # a speaker that is busy answers within 30
SHELLS = ("bash", "zsh", "fish")

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Document = TypeVar("_Document", bound=Mapping[str, object])


class Failure(click.ClickException):
    """Ends the program with a message: the input cannot be read, or the call is wrong."""

    exit_code = WRONG


class Commands(click.Group):
    """Tells our own errors as click tells its own: one line on standard error, exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        from exabgp_metallb.programs.terminal import clean  # noqa: PLC0415 -- see above

        try:
            return super().invoke(ctx)
        except Error as error:
            raise Failure(clean(str(error))) from error


def env(option: str) -> str:
    """Return the environment's name for an option: its twin."""
    return f"EXABGP_METALLB_{option.upper().replace('-', '_')}"


def twin(name: str, **settings: Any) -> Callable[[_Command], _Command]:  # noqa: ANN401 -- click's own
    """Return the decorator for an option `--name` that the environment may give as well."""
    return click.option(f"--{name}", envvar=env(name), show_envvar=True, **settings)


def cluster_options(command: _Command) -> _Command:
    """Add the options that say which objects are ours; every program has them."""
    namespace = twin(
        "namespace",
        default="metallb-system",
        show_default=True,
        metavar="NAME",
        help="Where the metallb.io resources and the legacy ConfigMap live.",
    )
    lb_class = twin(
        "lb-class",
        metavar="NAME",
        help="Only Services of this loadBalancerClass are ours; without it, those without one.",
    )
    return namespace(lb_class(command))


def file_option(command: _Command) -> _Command:
    """Add the option that names the manifests to read once."""
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        required=True,
        metavar="FILE_OR_DIR",
        help="A YAML or JSON file, a folder, or - for standard input; may be repeated.",
    )(command)


def output_option(command: _Command) -> _Command:
    """Add the choice of the output's form."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(("table", "json", "yaml")),
        default="table",
        show_default=True,
        help="Tables for people, JSON or YAML for programs.",
    )(command)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=NAME, message="%(prog)s %(version)s")
def commands() -> None:
    """A load balancer for bare-metal Kubernetes: MetalLB's resources, ExaBGP's sessions."""


@commands.command()
@file_option
@output_option
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Plan this node only.")
@click.option("--down", multiple=True, metavar="NAME", help="Plan as if this node had failed.")
@click.option("--drain", multiple=True, metavar="NAME", help="Plan the drain of this node.")
@cluster_options
@click.pass_context
def plan(  # noqa: PLR0913 -- one for each option
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    form: str,
    nodes: tuple[str, ...],
    down: tuple[str, ...],
    drain: tuple[str, ...],
    namespace: str,
    lb_class: str | None,
) -> None:
    """Print what a cluster would do.

    The manifests are read and all decisions taken as the daemons take them; nothing is touched.

    Exits with 0 when the configuration is valid, 1 when at least one object is rejected, 2 when the
    input cannot be read or the call is wrong.
    """
    from exabgp_metallb.programs.plan import Question, plan_document  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.plan_tables import plan_text  # noqa: PLC0415 -- see above

    question = Question(
        namespace=namespace,
        lb_class=lb_class,
        nodes=frozenset(nodes),
        down=frozenset(down),
        drained=frozenset(drain),
    )
    document = plan_document(*_read(files, question))
    _print(document, form, plan_text)
    ctx.exit(_verdict(document))


@commands.command()
@file_option
@output_option
@cluster_options
@click.pass_context
def check(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    form: str,
    namespace: str,
    lb_class: str | None,
) -> None:
    """Print what is wrong with manifests.

    Each fault comes with the object, the field, and what would be right.

    Exits as `plan` does.
    """
    from exabgp_metallb.programs.plan import (  # noqa: PLC0415 -- see above
        Question,
        check_document,
        decide,
    )
    from exabgp_metallb.programs.plan_tables import check_text  # noqa: PLC0415 -- see above

    question = Question(namespace=namespace, lb_class=lb_class)
    document = check_document(decide(*_read(files, question)))
    _print(document, form, check_text)
    ctx.exit(_verdict(document))


@commands.command()
@click.argument("node")
@file_option
@click.option("--show-passwords", is_flag=True, help="Print passwords instead of asterisks.")
@cluster_options
@click.pass_context
def render(
    ctx: click.Context,
    *,
    node: str,
    files: tuple[str, ...],
    show_passwords: bool,
    namespace: str,
    lb_class: str | None,
) -> None:
    """Print the exabgp.conf of a node.

    Exits as `plan` does; what is wrong is told on standard error.
    """
    from exabgp_metallb.programs import render as program  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.plan import Question, check_document  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.plan_tables import check_text  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.terminal import write  # noqa: PLC0415 -- see above

    question = Question(namespace=namespace, lb_class=lb_class, nodes=frozenset({node}))
    passwords = program.shown if show_passwords else program.hidden
    text, decided = program.exabgp_conf(*_read(files, question), passwords=passwords)
    document = check_document(decided)
    write(text)
    if document["errors"] or document["warnings"]:
        click.echo(check_text(document, sys.stderr), err=True, nl=False)
    ctx.exit(_verdict(document))


def _endpoint(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """Return the host and the port; an IPv6 address stands in brackets."""
    if not value:
        return None
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host[:1] + host[-1:] == "[]" else host
    if not bare or (":" in bare) != (bare != host) or not port.isdecimal() or int(port) > 65535:
        right = "write ADDR:PORT, such as 127.0.0.1:7472 or [::1]:7472"
        raise click.BadParameter(f"{value!r}: {right}")
    return bare, int(port)


_KUBECONFIG = twin(
    "kubeconfig",
    type=click.Path(path_type=Path),
    help="Reach the Kubernetes API by this file; without it, by the pod's own account.",
)
_STATE_DIR = twin("state-dir", type=click.Path(path_type=Path), help="What is kept over a restart.")
_LOG_OPTIONS = (
    twin(
        "log-level",
        type=click.Choice(("debug", "info", "warning", "error")),
        default="info",
        show_default=True,
    ),
    twin("log-format", type=click.Choice(("text", "json")), default="text", show_default=True),
)
_METRICS = twin(
    "metrics",
    callback=_endpoint,
    metavar="ADDR:PORT",
    help="Serve /metrics, /healthz and /readyz there.",
)
_LAYER2_OPTIONS = (
    twin(
        "orders",
        type=click.Path(path_type=Path),
        metavar="SOCKET",
        help="Where the responder gets its orders; default: orders.sock in the state folder.",
    ),
    twin(
        "orders-group",
        metavar="NAME",
        help="Whose members may be the responder, beside root and our own user.",
    ),
    twin(
        "l2-subnet",
        type=click.Choice(("prefer", "require", "ignore")),
        default="prefer",
        show_default=True,
        help="Interfaces with an address in the Service's subnet: first, only, or no matter.",
    ),
    twin(
        "l2-failback",
        type=click.Choice(("auto", "sticky")),
        default="auto",
        show_default=True,
        help="Give an address back to a better node that is there again, or keep it.",
    ),
    twin(
        "l2-refresh",
        type=click.FloatRange(min=1),
        metavar="SECONDS",
        help="Announce addresses on layer 2 again and again; by default only when they move.",
    ),
)
_CONTROLLER_OPTIONS = (
    cluster_options,
    _KUBECONFIG,
    _METRICS,
    twin(
        "lease-seconds",
        type=click.IntRange(min=3),
        default=15,
        show_default=True,
        help="How long a leader may be silent before another one begins; the same for all.",
    ),
    *_LOG_OPTIONS,
)
_NODE_OPTIONS = (
    twin("node", default=socket.gethostname, metavar="NAME", help="Our Node; default: this host."),
    cluster_options,
    twin("manifests", type=click.Path(path_type=Path), help="Follow this folder of manifests."),
    _KUBECONFIG,
    _STATE_DIR,
    twin(
        "process",
        default=NAME,
        show_default=True,
        metavar="NAME",
        help="Our process section in somebody's own exabgp.conf.",
    ),
    twin(
        "drain-seconds",
        type=click.FloatRange(min=0, max=86400),
        default=5.0,
        show_default=True,
        help="How long routers are given to turn to other nodes before a stop; 0: do not drain.",
    ),
    twin(
        "bfd",
        default="auto",
        show_default=True,
        metavar="auto|off|DIR",
        help="FRR's bfdd for BFDProfiles: `run` starts one, none, or the one with sockets in DIR.",
    ),
    *_LAYER2_OPTIONS,
    _METRICS,
    *_LOG_OPTIONS,
)


_RESPONDER_OPTIONS = (
    twin("node", default=socket.gethostname, metavar="NAME", help="Our Node; default: this host."),
    twin(
        "orders",
        type=click.Path(path_type=Path),
        metavar="SOCKET",
        help="Where the speaker gives orders; default: orders.sock in the state folder.",
    ),
    twin("state-dir", type=click.Path(path_type=Path), help="Where the last orders are kept."),
    _METRICS,
    *_LOG_OPTIONS,
)


def node_options(command: _Command) -> _Command:
    """Add the options that the programs of a node share."""
    return _with(_NODE_OPTIONS, command)


def _with(options: Iterable[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(tuple(options)):
        command = option(command)
    return command


@commands.command()
@node_options
@click.pass_context
def run(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 -- as node_options names them
    """Announce Services from this node.

    Starts ExaBGP with a session for each BGPPeer that selects the node, keeps it alive, and has the
    speaker tell it the routes. This is what units and containers run.

    Exits with 0 when told to end, 1 when ExaBGP cannot be kept alive.
    """
    from exabgp_metallb.programs.bfd_daemons import AUTO, BfdDaemons  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.run import Supervisor, environment  # noqa: PLC0415 -- see above

    given = _node(managed=True, **options)
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
    from exabgp_metallb.programs.start import run_speaker  # noqa: PLC0415 -- see above

    try:
        given = _node(**options)
    except click.UsageError as error:
        raise _waited(error) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(VALID))
    if given.without_exabgp:
        signal.signal(signal.SIGINT, lambda *_: sys.exit(VALID))
    ctx.exit(run_speaker(given))


@commands.command()
@click.argument("node", required=False)
@click.option("--local", is_flag=True, help="Ask the speaker on this machine, not the cluster.")
@click.option("--undo", is_flag=True, help="End the drain: its routes are back at once.")
@click.option("--wait", is_flag=True, help="Return when it is done.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, max=86400),
    help="With --local: how long routers are given; without it --drain-seconds of the node.",
)
@twin(
    "kubeconfig",
    type=click.Path(path_type=Path),
    help="Reach the Kubernetes API by this file; without it as kubectl does, or a pod.",
)
@twin("namespace", default="metallb-system", help="With --wait: where a node's status stands.")
@_STATE_DIR
def drain(  # noqa: PLR0913 -- one for each option
    *,
    node: str | None,
    local: bool,
    undo: bool,
    wait: bool,
    seconds: float | None,
    kubeconfig: Path | None,
    namespace: str,
    state_dir: Path | None,
) -> None:
    """Take a node out of service, gently.

    Its routes become every router's last choice, then they are withdrawn; its sessions stay. With
    NODE an annotation of the Node asks for it, which lasts until --undo; with --local the speaker
    on this machine is asked, until it ends.

    Exits with 0 when that is done, 2 when it cannot be.
    """
    if local == (node is not None):
        raise click.UsageError("give the name of a NODE, or --local")
    if not local and seconds is not None:
        raise click.UsageError("--seconds: with --local only")
    if not local and undo and wait:
        raise click.UsageError("--undo --wait: with --local only; a cluster does not tell")
    from exabgp_metallb.programs import drain_command  # noqa: PLC0415 -- see above

    if node is not None:
        cluster = drain_command.Cluster(kubeconfig=kubeconfig, namespace=namespace)
        told = drain_command.drain_node(node, cluster, undo=undo, wait=wait)
    else:
        told = drain_command.drain_here(_socket(state_dir), undo=undo, wait=wait, seconds=seconds)
    click.echo(told)


@commands.command()
@output_option
@_STATE_DIR
@click.pass_context
def status(ctx: click.Context, *, form: str, state_dir: Path | None) -> None:
    """Print how the node of this machine is.

    Exits with 0 when all is well, 1 when something is wrong, 2 when no speaker answers.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 -- see above

    from exabgp_metallb.adapters.control import ask  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.status_tables import status_text  # noqa: PLC0415 -- see above

    document = ask(_socket(state_dir), {"do": "status"}, seconds=STATUS_SECONDS)
    if "error" in document:
        raise Failure(str(document["error"]))
    _print(document, form, lambda told, stream: status_text(told, stream, datetime.now(UTC)))
    ctx.exit(VALID if document["healthy"] else REJECTED)


def _socket(state_dir: Path | None) -> Path:
    from exabgp_metallb.programs.options import (  # noqa: PLC0415 -- see above
        SOCKET_NAME,
        default_state_dir,
    )

    return (state_dir or default_state_dir()) / SOCKET_NAME


@commands.command()
@partial(_with, _RESPONDER_OPTIONS)
@click.pass_context
def responder(
    ctx: click.Context,
    /,
    *,
    log_level: str,
    log_format: str,
    **options: Any,  # noqa: ANN401 -- as _RESPONDER_OPTIONS names them
) -> None:
    """Answer ARP and neighbor discovery for the addresses that the speaker orders.

    Needs CAP_NET_RAW, the speaker's socket and nothing else. While the speaker is away it answers
    by its last orders. When told to end it has other nodes take over first.

    Exits with 0 when told to end, 2 when it may not open packet sockets.
    """
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.options import default_state_dir  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.responder import (  # noqa: PLC0415 -- see above
        ORDERS_SOCKET_NAME,
        ResponderOptions,
        run,
    )

    configure(log_level, LogFormat(log_format))
    options["state_dir"] = options["state_dir"] or default_state_dir()
    options["orders"] = options["orders"] or options["state_dir"] / ORDERS_SOCKET_NAME
    run(ResponderOptions(**options))
    ctx.exit(VALID)


@commands.command()
@partial(_with, _CONTROLLER_OPTIONS)
@click.pass_context
def controller(
    ctx: click.Context,
    /,
    *,
    log_level: str,
    log_format: str,
    **options: Any,  # noqa: ANN401 -- as _CONTROLLER_OPTIONS names them
) -> None:
    """Give addresses to the Services of a cluster.

    Any number of replicas may run; one of them leads, by a Lease in the install namespace.

    Exits with 0 when told to end, 2 when the Kubernetes API cannot be reached as configured.
    """
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.control import ControllerOptions, run  # noqa: PLC0415 -- see above

    configure(log_level, LogFormat(log_format))
    run(ControllerOptions(**options))
    ctx.exit(VALID)


def _node(**options: Any) -> "Options":  # noqa: ANN401 -- as node_options names them
    """Return the options of a node's program, and set up its logs."""
    from exabgp_metallb.adapters.logs import LogFormat, configure  # noqa: PLC0415 -- see above
    from exabgp_metallb.programs.options import Options, default_state_dir  # noqa: PLC0415
    from exabgp_metallb.values.orders import Failback, SubnetRule  # noqa: PLC0415 -- see above

    if options["manifests"] is not None and options["kubeconfig"] is not None:
        raise click.UsageError("--manifests and --kubeconfig: give one of them")
    options["l2_subnet"] = SubnetRule(options["l2_subnet"])
    options["l2_failback"] = Failback(options["l2_failback"])
    options["state_dir"] = options["state_dir"] or default_state_dir()
    given = Options(**options)
    configure(given.log_level, LogFormat(given.log_format))
    return given


def _waited(error: click.UsageError) -> Exception:
    """Return what ends the program; below ExaBGP not before a while, see `linger`."""
    from exabgp_metallb.programs.start import linger  # noqa: PLC0415 -- see above

    if sys.stdin is None or sys.stdin.isatty():
        return error
    error.show()
    linger()
    return click.exceptions.Exit(WRONG)


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
    from exabgp_metallb.programs.demo.command import run  # noqa: PLC0415 -- see above

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
    from click.shell_completion import get_completion_class  # noqa: PLC0415 -- see above

    from exabgp_metallb.programs.terminal import write  # noqa: PLC0415 -- see above

    complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101 -- SHELLS are click's own
    write(complete(commands, {}, NAME, "_EXABGP_METALLB_COMPLETE").source() + "\n")


def _read(
    files: tuple[str, ...], question: "Question"
) -> tuple[tuple["Parsed", ...], "Question", tuple["Fault", ...]]:
    """Return what the programs take: the objects, the question, and warnings of the reader."""
    from exabgp_metallb.adapters.files.manifests import read  # noqa: PLC0415 -- see above

    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
    objects, warnings = read(files, stdin, namespace=question.namespace)
    return objects, question, warnings


def _print(document: _Document, form: str, as_tables: Callable[[_Document, TextIO], str]) -> None:
    from exabgp_metallb.programs import terminal  # noqa: PLC0415 -- see above

    if sys.stdout is None:  # closed by the caller: the exit code is all that is asked for
        return
    if form == "json":
        text = terminal.json_text(document)
    elif form == "yaml":
        text = terminal.yaml_text(document)
    else:
        text = as_tables(document, sys.stdout)
    terminal.write(text)


def _verdict(document: "CheckDocument") -> int:
    return VALID if document["valid"] else REJECTED


def main() -> NoReturn:
    """Run the command that the arguments name; the entry point of the package."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="backslashreplace")  # for a terminal that knows ASCII alone
    commands.main(prog_name=NAME)
    sys.exit(VALID)
