"""`exabgp-metallb drain`: ask a cluster, or the speaker on this machine, to drain a node."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from exabgp_metallb.adapters.control import Message, ask
from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.statuses import Author, listing
from exabgp_metallb.adapters.kubernetes.writes import MERGE, Request, send
from exabgp_metallb.decisions.drain import longest
from exabgp_metallb.errors import ControlError, Error, UsageError
from exabgp_metallb.parsing.core import DRAIN
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.statuses import StatusKind

ANSWER_SECONDS = 30.0
LONGEST_SECONDS = 86400.0  # the longest time that routers may be given
LOOK_SECONDS = 1.0  # between two looks at what a node tells of itself
LONGEST_WAIT_SECONDS = 300.0


def annotation(node: NodeName, *, undo: bool) -> Request:
    """Return the write of the annotation that drains a Node, or of its removal."""
    return Request(
        method="PATCH",
        path=f"/api/v1/nodes/{quote(node)}",
        body={"metadata": {"annotations": {DRAIN: None if undo else "true"}}},
        content_type=MERGE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How to reach a cluster.

    Attributes:
        kubeconfig: None takes what kubectl would, else the pod's account.
        namespace: the install namespace.
    """

    kubeconfig: Path | None
    namespace: str


def drain_node(node: NodeName, cluster: Cluster, *, undo: bool, wait: bool) -> str:
    """Drain a node of a cluster, or end that; return what was done.

    Args:
        node: its name.
        cluster: whose it is.
        undo: end the drain.
        wait: return when no status object says any more that the node announces a Service.

    Raises:
        SourceError: the API cannot be reached as configured, or refuses.
        UsageError: there is no such Node.
        Error: it takes too long.
    """
    connection = Connection(config.usual(cluster.kubeconfig), now=time.monotonic)
    author = Author(node=node, namespace=cluster.namespace)
    try:
        silent = wait and not [*_told(connection, author)]
        send(connection, annotation(node, undo=undo), seconds=ANSWER_SECONDS)
        if wait:
            _wait_drained(connection, author)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise UsageError(f"no Node is named {node}: see `kubectl get nodes`") from error
        raise
    finally:
        connection.close()
    if undo:
        return f"node {node}: not drained any more"
    if silent:  # it announces nothing, or says nothing of it: --service-bgp-status off
        return f"node {node}: to be drained; no status object says that it announces a Service"
    return f"node {node}: {'drained' if wait else 'to be drained'}"


def _wait_drained(connection: Connection, author: Author) -> None:
    """Wait until the node has taken back what it told of the Services that it announces."""
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while left := [*_told(connection, author)]:
        if time.monotonic() >= until:
            raise Error(f"node {author.node} still has {' and '.join(left)}: see its `status`")
        time.sleep(LOOK_SECONDS)


def _told(connection: Connection, author: Author) -> Iterator[str]:
    for kind in (StatusKind.SERVICE_BGP, StatusKind.SERVICE_L2):
        items = send(connection, listing(author, kind), seconds=ANSWER_SECONDS).get("items")
        if items:
            yield f"{len(items)} {kind.value} objects"


def drain_here(control: Path, *, undo: bool, wait: bool, seconds: float | None) -> str:
    """Drain the node of this machine, or end that; return how far it is.

    Args:
        control: the speaker's control socket.
        undo: end the drain.
        wait: return when it is done.
        seconds: that routers are given to turn to other nodes; None: as the speaker was started.

    Raises:
        ControlError: no speaker answers, or something else was asked of it meanwhile.
    """
    request: dict[str, object] = {"do": "undrain" if undo else "drain", "wait": wait}
    if seconds is not None:
        request["seconds"] = seconds
    patience = longest(LONGEST_SECONDS if seconds is None else seconds) if wait else 0.0
    answer = ask(control, request, seconds=patience + ANSWER_SECONDS)
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return _outcome(answer, wait=wait)


def _outcome(answer: Message, *, wait: bool) -> str:
    if not wait:
        drain = answer["drain"]
        assert isinstance(drain, dict)  # noqa: S101 -- our own speaker's
        return f"to be {drain['goal']}"
    if not answer["reached"]:
        raise ControlError(f"something else was asked for meanwhile: the node is {answer['phase']}")
    return str(answer["phase"])
