"""Commands that read manifests once and touch nothing: plan, check, render, convert."""

import sys

import click

from exabgp_metallb.cli.documents import print_document, read, trees, verdict
from exabgp_metallb.cli.group import commands
from exabgp_metallb.cli.options import (
    IGNORE_EXCLUDE_LB,
    cluster_options,
    file_option,
    output_option,
)


@commands.command()
@file_option
@output_option
@click.option("--node", "nodes", multiple=True, metavar="NAME", help="Plan this node only.")
@click.option("--down", multiple=True, metavar="NAME", help="Plan as if this node had failed.")
@click.option("--drain", multiple=True, metavar="NAME", help="Plan the drain of this node.")
@IGNORE_EXCLUDE_LB
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
    ignore_exclude_lb: bool,
    namespace: str,
    lb_class: str | None,
) -> None:
    """Print what a cluster would do.

    The manifests are read and all decisions taken as the daemons take them; nothing is touched.

    Exits with 0 when the configuration is valid, 1 when at least one object is rejected, 2 when the
    input cannot be read or the call is wrong.
    """
    from exabgp_metallb.programs.decided import Question  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan import plan_document  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan_tables import plan_text  # noqa: PLC0415 -- see the package

    question = Question(
        namespace=namespace,
        lb_class=lb_class,
        nodes=frozenset(nodes),
        down=frozenset(down),
        drained=frozenset(drain),
        ignore_exclude_label=ignore_exclude_lb,
    )
    document = plan_document(*read(files, question))
    print_document(document, form, plan_text)
    ctx.exit(verdict(document))


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
    from exabgp_metallb.programs.decided import Question, decide  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan import check_document  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan_tables import check_text  # noqa: PLC0415 -- see the package

    question = Question(namespace=namespace, lb_class=lb_class)
    document = check_document(decide(*read(files, question)))
    print_document(document, form, check_text)
    ctx.exit(verdict(document))


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
    from exabgp_metallb.programs import render as program  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.decided import Question  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan import check_document  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan_tables import check_text  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.terminal import write  # noqa: PLC0415 -- see the package

    question = Question(namespace=namespace, lb_class=lb_class, nodes=frozenset({node}))
    passwords = program.shown if show_passwords else program.hidden
    text, decided = program.exabgp_conf(*read(files, question), passwords=passwords)
    document = check_document(decided)
    write(text)
    if document["errors"] or document["warnings"]:
        click.echo(check_text(document, sys.stderr), err=True, nl=False)
    ctx.exit(verdict(document))


@commands.command()
@file_option
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(("yaml", "json")),
    default="yaml",
    show_default=True,
    help="What kubectl apply takes, in YAML or JSON.",
)
@cluster_options
@click.pass_context
def convert(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    form: str,
    namespace: str,
    lb_class: str | None,
) -> None:
    """Print the resources that stand for MetalLB's old ConfigMap.

    Reads the ConfigMap of before version 0.13, or the bare text in it. Passwords are printed as
    they are there.

    Exits as `plan` does, by what was printed; what is wrong with it is told on standard error.
    """
    from exabgp_metallb.parsing.objects import parse  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs import terminal  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.convert import converted  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.decided import Question, decide  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan import check_document  # noqa: PLC0415 -- see the package
    from exabgp_metallb.programs.plan_tables import check_text  # noqa: PLC0415 -- see the package

    resources = converted(trees(files), namespace=namespace)
    made = [parsed for raw in resources if (parsed := parse(raw)) is not None]
    document = check_document(decide(made, Question(namespace=namespace, lb_class=lb_class)))
    text = terminal.json_text if form == "json" else terminal.yaml_text
    terminal.write(text({"apiVersion": "v1", "kind": "List", "items": resources}))
    if document["errors"] or document["warnings"]:
        click.echo(check_text(document, sys.stderr), err=True, nl=False)
    ctx.exit(verdict(document))
