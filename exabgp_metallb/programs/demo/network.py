"""Three nodes and a router on loopback: what the demo runs, and the folder that it runs in.

Each node is the command that units and containers start. Nodes and router know of each other by the
manifests alone: the router's neighbors are the sessions that `plan` finds in them.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from exabgp_metallb.adapters.files.tree import is_manifest
from exabgp_metallb.errors import ExabgpError, UsageError
from exabgp_metallb.programs.demo import router
from exabgp_metallb.programs.demo.expected import Expected, expected
from exabgp_metallb.programs.demo.processes import Processes
from exabgp_metallb.programs.demo.steps import (
    LATER,
    Act,
    Add,
    NodeDies,
    NodeReturns,
    Replace,
    StartAll,
    Step,
    edit,
)
from exabgp_metallb.programs.demo.table import Routes
from exabgp_metallb.programs.run import environment
from exabgp_metallb.values.objects import NodeName

ROUTER = "router"
ROUTER_ADDRESS = IPv4Address("127.0.0.1")

_PEER_PORT = re.compile(r"^(\s*peerPort:\s*)\d+", re.MULTILINE)
_OF_EXABGP = re.compile("exabgp", re.IGNORECASE)  # the user's settings for ExaBGP and for us


@dataclass(frozen=True, slots=True)
class Scene:
    """A step, and what the router should hold after it."""

    step: Step
    expected: Expected


class Network:
    """The router, the nodes, and the manifests that the nodes follow.

    Args:
        source: the folder of manifests to copy.
        folder: an empty one, for everything.
        processes: starts and ends what runs.
        port: of the router.

    Attributes:
        manifests: the copy; its peers have the router's port.
        feed: what the router tells.
        neighbors: of the router, by the manifests as they are at first.

    Raises:
        UsageError: the manifests are not there, or no demo can be made of them.
    """

    def __init__(self, source: Path, folder: Path, processes: Processes, port: int) -> None:
        self._folder = folder
        self._processes = processes
        self._router = (ROUTER_ADDRESS, port)
        own = {k: v for k, v in os.environ.items() if not _OF_EXABGP.match(k)}
        self._environment = own | {"TMPDIR": str(folder)}  # what a signal cuts short goes with it
        self.manifests = folder / "manifests"
        copy(source, self.manifests, port=port)
        self.feed = router.RouterFeed(folder / "feed")
        self.neighbors = self.plan().neighbors
        if not self.neighbors:
            raise UsageError(
                f"{source}: no node has a session with the demo's router: write a BGPPeer for each "
                f"node, with peerAddress {ROUTER_ADDRESS}, a peerPort, and a sourceAddress"
            )

    def plan(self) -> Expected:
        """Return what the router should hold by the manifests as they are now.

        Raises:
            SourceError: they cannot be read.
            UsageError: one of them is rejected.
        """
        return expected(self.manifests, self._router)

    def rehearse(self, steps: Iterable[Step]) -> list[Scene]:
        """Return what the router should hold after each step; only a second copy is edited.

        Raises:
            SourceError: a step makes manifests that cannot be read.
            UsageError: a step does not fit the manifests, or does not change the router's table.
        """
        stage = self._folder / "rehearsal"
        shutil.copytree(self.manifests, stage)
        down: set[NodeName] = set()
        scenes: list[Scene] = []
        routes: Routes = {}
        for step in steps:
            if isinstance(step.act, Replace | Add):
                edit(stage, step.act)
            elif isinstance(step.act, NodeDies):
                down.add(step.act.node)
            elif isinstance(step.act, NodeReturns):
                down.discard(step.act.node)
            scenes.append(Scene(step, expected(stage, self._router, frozenset(down))))
            if scenes[-1].expected.routes == routes:
                raise UsageError(f"with these manifests nothing changes when {step.name}")
            routes = scenes[-1].expected.routes
        return scenes

    def perform(self, act: Act) -> float:
        """Do it, and return the moment before it took effect in monotonic seconds."""
        if isinstance(act, Replace | Add):
            return edit(self.manifests, act)
        moment = time.monotonic()
        if isinstance(act, StartAll):
            self._start_router()
            for node in self._nodes():
                self._start_node(node)
        elif isinstance(act, NodeDies):
            self._processes.kill(act.node)
        else:
            self._start_node(act.node)
        return moment

    def edited(self) -> Mapping[str, int]:
        """Return when each manifest was edited, to tell whether one was."""
        return {path.name: path.stat().st_mtime_ns for path in self.manifests.glob("*.yaml")}

    def _nodes(self) -> Iterable[NodeName]:
        return dict.fromkeys(n.node for n in self.neighbors)

    def _start_router(self) -> None:
        """Start the router on the neighbors that the manifests had at first."""
        forward = (sys.executable, "-m", f"{__package__}.forward", str(self._folder / "feed"))
        path = self._folder / "router.conf"
        path.write_text(router.conf(ROUTER_ADDRESS, self.neighbors, forward))
        listen = {"exabgp_tcp_bind": str(ROUTER_ADDRESS), "exabgp_tcp_port": str(self._router[1])}
        settings = environment(listen, inherited=self._environment)
        self._processes.start(ROUTER, router.command(path), settings)

    def _start_node(self, node: NodeName) -> None:
        """Start a node as units and containers do; its state is what it left, if it ran before."""
        state = self._folder / "state" / node
        arguments = {"--node": node, "--manifests": self.manifests, "--state-dir": state}
        arguments["--drain-seconds"] = 0  # nobody waits for the end of a demo
        command = [sys.executable, "-m", "exabgp_metallb", "run"]
        command += [str(word) for pair in arguments.items() for word in pair]
        self._processes.start(node, command, self._environment)

    def check(self) -> None:
        """See that all that should run does.

        Raises:
            ExabgpError: something ended by itself.
        """
        if ended := self._processes.ended():
            raise ExabgpError(f"{' and '.join(ended)} ended by itself")

    def tails(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the end of each process' log with the process' name."""
        for name in (ROUTER, *self._nodes()):
            yield name, self._processes.tail(name)


@contextmanager
def network(source: Path) -> Iterator[Network]:
    """Give a network of which nothing runs yet, and leave neither processes nor files behind."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="exabgp-metallb-demo-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        processes = Processes(folder)
        stack.callback(processes.close)
        port = stack.enter_context(router.reserved_port(ROUTER_ADDRESS))
        yield Network(source, folder, processes, port)


def copy(source: Path, target: Path, *, port: int) -> None:
    """Copy a folder's manifests, those of later steps too, and give its peers another port.

    Raises:
        UsageError: there are none.
    """
    if not source.is_dir():
        raise UsageError(
            f"{source}: no such folder; the demo's manifests are etc/examples/demo of the source "
            "tree: run the demo from there, or name a copy with --manifests"
        )
    found = [p for p in source.iterdir() if is_manifest(p.name.removesuffix(LATER))]
    if not found:
        raise UsageError(f"{source}: it holds no manifests (*.yaml)")
    target.mkdir()
    for path in found:
        text = _PEER_PORT.sub(rf"\g<1>{port}", path.read_text())
        (target / path.name).write_text(text)
