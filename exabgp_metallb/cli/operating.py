"""Commands for who runs it: explain, drain, status."""

from pathlib import Path

import click

from exabgp_metallb.cli.documents import print_document, read
from exabgp_metallb.cli.group import REJECTED, VALID, Failure, commands
from exabgp_metallb.cli.options import (
    IGNORE_EXCLUDE_LB,
    STATE_DIR,
    cluster_options,
    output_option,
    twin,
)

STATUS_SECONDS = 40.0  # a speaker that is busy answers within 30

_KUBECONFIG = twin(
    "kubeconfig",
    type=click.Path(path_type=Path),
    help="Reach the Kubernetes API by this file; without it as kubectl does, or a pod.",
)


@commands.command()
@click.argument("service", metavar="NAMESPACE/SERVICE")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE_OR_DIR",
    help="Manifests to look at instead of a cluster; - for standard input; may be repeated.",
)
@_KUBECONFIG
@IGNORE_EXCLUDE_LB
@cluster_options
@output_option
@click.pass_context
def explain(  # noqa: PLR0913 -- one for each option
    ctx: click.Context,
    *,
    service: str,
    files: tuple[str, ...],
    kubeconfig: Path | None,
    ignore_exclude_lb: bool,
    namespace: str,
    lb_class: str | None,
    form: str,
) -> None:
    """Say why a Service is announced, or is not.

    For each node and protocol the first rule that stopped or allowed it, from the objects in the
    cluster, or in manifests.

    Exits with 0 when it is announced, 1 when it is not, 2 when there is no such Service.
    """
    from exabgp_metallb.programs.decided import Question  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.explain import (  # noqa: PLC0415 -- see the package
        explain,
        explanation_text,
    )
    from exabgp_metallb.programs.live import read_cluster  # noqa: PLC0415 -- see the package
    from exabgp_metallb.values.objects import ObjectName  # noqa: PLC0415 -- see the package

    if files and kubeconfig is not None:
        raise click.UsageError("--file and --kubeconfig: give one of them")
    question = Question(
        namespace=namespace, lb_class=lb_class, ignore_exclude_label=ignore_exclude_lb
    )
    objects = read(files, question)[0] if files else read_cluster(kubeconfig, namespace)
    home, _, name = service.rpartition("/")
    document = explain(objects, ObjectName(home or "default", name), question)
    print_document(document, form, explanation_text)
    ctx.exit(VALID if document["announced"] else REJECTED)


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
@_KUBECONFIG
@twin("namespace", default="metallb-system", help="With --wait: where a node's status stands.")
@STATE_DIR
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
    from exabgp_metallb.programs import drain_command  # noqa: PLC0415 -- see the package

    if node is not None:
        cluster = drain_command.Cluster(kubeconfig=kubeconfig, namespace=namespace)
        told = drain_command.drain_node(node, cluster, undo=undo, wait=wait)
    else:
        told = drain_command.drain_here(_socket(state_dir), undo=undo, wait=wait, seconds=seconds)
    click.echo(told)


@commands.command()
@output_option
@STATE_DIR
@click.pass_context
def status(ctx: click.Context, *, form: str, state_dir: Path | None) -> None:
    """Print how the node of this machine is.

    Exits with 0 when all is well, 1 when something is wrong, 2 when no speaker answers.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 -- see the package

    from exabgp_metallb.adapters.control import ask  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.status_tables import status_text  # noqa: PLC0415 -- see the package

    document = ask(_socket(state_dir), {"do": "status"}, seconds=STATUS_SECONDS)
    if "error" in document:
        raise Failure(str(document["error"]))
    print_document(
        document, form, lambda told, stream: status_text(told, stream, datetime.now(UTC))
    )
    ctx.exit(VALID if document["healthy"] else REJECTED)


def _socket(state_dir: Path | None) -> Path:
    from exabgp_metallb.programs.options import (  # noqa: PLC0415 -- see the package
        SOCKET_NAME,
        default_state_dir,
    )

    return (state_dir or default_state_dir()) / SOCKET_NAME
