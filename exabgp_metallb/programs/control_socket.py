"""What can be asked of a running speaker on its own machine, by `exabgp-metallb` or by anybody.

    {"do": "status"}                answers how the node is; see `programs.status`
    {"do": "drain", "seconds": 30}  answers when no router has a route of this node
    {"do": "undrain"}               takes a drain or a stop back
    {"do": "stop", "seconds": 30}   drains, closes the sessions, and answers when ExaBGP may end

`seconds`, that routers are given to turn to other nodes, may be left out. With `"wait": false` the
answer comes at once. It holds the phase that was reached, which is another one than was asked for
when somebody asked something else meanwhile; a wrong request is answered by `error`.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.control import ControlServer, Message
from exabgp_metallb.decisions.drain import Goal, Phase, longest
from exabgp_metallb.programs.drain import NodeDrain
from exabgp_metallb.programs.parts import Call

BUSY_SECONDS = 30.0  # a speaker may be that busy with ten thousand objects that came at once
LONGEST_SECONDS = 86400.0

Reply = Callable[[Message], None]


class Node(Protocol):
    """The speaker, as far as it is asked."""

    drain: NodeDrain

    def post(self, call: Call) -> None:
        """Have something done in the speaker's thread."""

    def status(self, now: float) -> dict[str, object]:
        """Return how the node is; in the speaker's thread."""


class ControlSocket:
    """The control socket of a speaker.

    Args:
        path: of the socket.
        node: answers.
    """

    def __init__(self, path: Path, node: Node) -> None:
        self._path = path
        self._node = node
        self._server: ControlServer | None = None

    def start(self) -> None:
        """Listen; a socket that cannot be made is told, and nothing else suffers."""
        try:
            self._server = ControlServer(self._path, self.answer)
        except OSError as error:
            logger.error(
                "{}: {}: no `status`, and no drain before the end; set --state-dir to a folder of "
                "ours",
                self._path,
                error.strerror,
            )
            return
        self._server.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.stop()

    def answer(self, request: Message) -> Message:
        """Return the answer to a request, when it is there."""
        act = request.get("do")
        if act == "status":
            return self._in_thread(lambda now, reply: reply(self._node.status(now)), BUSY_SECONDS)
        goal = _GOALS.get(act) if isinstance(act, str) else None
        if goal is None:
            return {"error": f"unknown `do`: write status, {', '.join(_GOALS)}"}
        try:
            seconds = _seconds(request.get("seconds"))
        except ValueError as error:
            return {"error": str(error)}
        patience = BUSY_SECONDS + longest(LONGEST_SECONDS if seconds is None else seconds)
        waits = request.get("wait") is not False
        return self._in_thread(partial(self._ask, goal, seconds, waits=waits), patience)

    def _ask(
        self, goal: Goal, seconds: float | None, now: float, reply: Reply, *, waits: bool
    ) -> None:
        drain = self._node.drain

        def reached(phase: Phase) -> None:
            reply({"phase": phase.value, "reached": phase is goal.value})

        drain.ask(goal, seconds, reached if waits else None)
        if not waits:
            reply(dict(drain.status(now)))

    def _in_thread(self, do: Callable[[float, Reply], None], seconds: float) -> Message:
        """Have something done in the speaker's thread, and wait for the reply."""
        replies: SimpleQueue[Message] = SimpleQueue()
        self._node.post(lambda now: do(now, replies.put))
        try:
            return replies.get(timeout=seconds)
        except Empty:
            return {"error": f"the speaker has been busy for {seconds:g} s"}


_GOALS = {"drain": Goal.DRAIN, "undrain": Goal.SERVE, "stop": Goal.STOP}


def _seconds(given: object) -> float | None:
    if given is None:
        return None
    number = None if isinstance(given, bool) or not isinstance(given, int | float) else given
    if number is not None and 0 <= number <= LONGEST_SECONDS:  # NaN is in no range
        return float(number)
    raise ValueError(f"`seconds`: write a number from 0 to {LONGEST_SECONDS:g}")
