"""What the demo plays: edits of the manifests as data, and how they are made.

An edit arrives as a rename, so that no node ever reads half a file.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from exabgp_metallb.errors import UsageError
from exabgp_metallb.values.objects import NodeName

LATER = ".later"
"""Ends the name of a manifest that a step adds; without it the file would be read at once."""


@dataclass(frozen=True, slots=True)
class StartAll:
    """Start the router and every node."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Write `new` in a file wherever it says `old`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Add:
    """Give a manifest that ends in LATER its name."""

    file: str


@dataclass(frozen=True, slots=True)
class NodeDies:
    """Kill every process of a node, as a power cut would."""

    node: NodeName


@dataclass(frozen=True, slots=True)
class NodeReturns:
    """Start a node again, on the state that it left."""

    node: NodeName


Edit = Replace | Add
Act = StartAll | Edit | NodeDies | NodeReturns


@dataclass(frozen=True, slots=True)
class Step:
    """One act, what it is, and what a person should see of it in the router's table."""

    name: str
    see: str
    act: Act


_READY = "    ready: true\n    serving: true\n"
_UNREADY = "    ready: false\n    serving: false\n"

STEPS = (
    Step(
        "three nodes start",
        "each Service is reached over the nodes that may announce it",
        StartAll(),
    ),
    Step(
        "a pod of mail moves from node-1 to node-3",
        "mail is Local: it follows its pods",
        Replace(
            "3-mail.yaml",
            "  - 10.244.1.21\n  nodeName: node-1\n",
            "  - 10.244.3.21\n  nodeName: node-3\n",
        ),
    ),
    Step(
        "node-2 loses its last pod of mail",
        "mail is reached over node-3 alone",
        Replace(
            "3-mail.yaml",
            "- addresses:\n  - 10.244.2.21\n  nodeName: node-2\n  conditions:\n"
            f"{_READY}    terminating: false\n",
            "",
        ),
    ),
    Step(
        "Service wiki is added",
        "it gets the address that it asks for; the nodes of its pods announce it",
        Add("5-wiki.yaml"),
    ),
    Step(
        "all pods of shop become unready",
        "no node announces shop, so that another site could take over",
        Replace("4-shop.yaml", _READY, _UNREADY),
    ),
    Step(
        "the pods of shop are ready again",
        "shop is Cluster: every node announces it",
        Replace("4-shop.yaml", _UNREADY, _READY),
    ),
    Step(
        "node-1 drops out",
        "the session ends, and with it all that the router learned over it",
        NodeDies("node-1"),
    ),
    Step(
        "node-1 comes back",
        "its routes come back with the session",
        NodeReturns("node-1"),
    ),
)


def edit(folder: Path, act: Edit) -> float:
    """Make an edit, and return the moment before it took effect in monotonic seconds.

    Raises:
        UsageError: there is nothing to change.
    """
    path = folder / act.file
    if isinstance(act, Add):
        aside = folder / (act.file + LATER)
    else:
        aside = folder / f".{act.file}.new"
        aside.write_text(_replaced(path, act))
    moment = time.monotonic()
    try:
        os.rename(aside, path)  # noqa: PTH104 -- the moment lies right before the system call
    except FileNotFoundError:
        raise UsageError(f"the demo adds {aside.name}: the folder has no such file") from None
    return moment


def _replaced(path: Path, act: Replace) -> str:
    text = path.read_text() if path.exists() else ""
    if act.old not in text:
        raise UsageError(f"{path.name}: the demo edits lines that are not there:\n{act.old}")
    return text.replace(act.old, act.new)
