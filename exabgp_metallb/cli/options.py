"""Options that several commands have, each with its twin in the environment."""

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from exabgp_metallb.cli.group import NAME

_Command = TypeVar("_Command", bound=Callable[..., Any])


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


def endpoint(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """Return the host and the port; an IPv6 address stands in brackets, any other may."""
    if not value:
        return None
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host[:1] + host[-1:] == "[]" else host
    if not bare or (":" in bare and bare == host) or not port.isdecimal() or int(port) > 65535:
        right = "write ADDR:PORT, such as 127.0.0.1:7472 or [::1]:7472"
        raise click.BadParameter(f"{value!r}: {right}")
    return bare, int(port)


IGNORE_EXCLUDE_LB = twin(
    "ignore-exclude-lb",
    is_flag=True,
    help="A Node with the label node.kubernetes.io/exclude-from-external-load-balancers announces "
    "as any other.",
)
KUBECONFIG = twin(
    "kubeconfig",
    type=click.Path(path_type=Path),
    help="Reach the Kubernetes API by this file; without it, by the credential `kubeconfig` of a "
    "unit, or the pod's own account.",
)
STATE_DIR = twin(
    "state-dir",
    type=click.Path(path_type=Path, readable=False),  # what cannot be used is told with a remedy
    help="What is kept over a restart.",
)
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
    callback=endpoint,
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
CONTROLLER_OPTIONS = (
    cluster_options,
    KUBECONFIG,
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
NODE_OPTIONS = (
    twin("node", default=socket.gethostname, metavar="NAME", help="Our Node; default: this host."),
    cluster_options,
    twin("manifests", type=click.Path(path_type=Path), help="Follow this folder of manifests."),
    KUBECONFIG,
    STATE_DIR,
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
    IGNORE_EXCLUDE_LB,
    twin(
        "service-bgp-status",
        type=click.Choice(("on", "off")),
        default="on",
        show_default=True,
        help="One ServiceBGPStatus for each Service that this node announces, and an Event when it "
        "begins to; off: neither, and those that this node wrote are removed.",
    ),
    _METRICS,
    *_LOG_OPTIONS,
)


RESPONDER_OPTIONS = (
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
    return with_options(NODE_OPTIONS, command)


def with_options(options: Iterable[Callable[[_Command], _Command]], command: _Command) -> _Command:
    """Add several options to a command, in the order given."""
    for option in reversed(tuple(options)):
        command = option(command)
    return command
