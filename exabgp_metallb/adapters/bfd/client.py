"""A client of bfdd: has it hold the BFD sessions that are wanted, and tells how they are.

It lives in a thread of its own, since bfdd may be slow, hang or be away. Whenever the wish changes,
and whenever bfdd is there (again), bfdd's configuration is read and what it lacks is said; so a
bfdd that was started again gets all sessions, and one that outlived us loses those that nobody
wants any more.
"""

import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from exabgp_metallb.adapters.bfd import configuration, control
from exabgp_metallb.adapters.bfd.control import Told
from exabgp_metallb.adapters.bfd.vty import Vty
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.errors import BfddError
from exabgp_metallb.values.bfd import BfdKey, BfdSession, Diagnostic

CONTROL_NAME, VTY_NAME = "bfdd.sock", "bfdd.vty"
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 10.0  # between two tries, doubled each time


@dataclass(frozen=True, slots=True)
class Reached:
    """bfdd is there; what it says of its sessions follows."""


@dataclass(frozen=True, slots=True)
class Away:
    """bfdd is not there, so that nothing is known of any session; said again when it differs."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """bfdd refused a command; the other sessions are as they should be."""

    why: str


BfddEvent = Reached | Away | Told | Refused
BfddListener = Callable[[BfddEvent], None]


class BfddClient:
    """Speaks with the bfdd whose sockets are in a folder.

    Args:
        folder: where bfdd.sock and bfdd.vty are.
        hear: takes what happens, in our thread; no more than put it on a queue.
        on_death: is told when our thread dies.
    """

    def __init__(self, folder: Path, hear: BfddListener, on_death: OnDeath) -> None:
        self._folder = folder
        self._hear = hear
        self._lock = threading.Lock()
        self._wanted: tuple[BfdSession, ...] = ()  # with the lock
        self._stopped = False  # as above
        self._waker: socket.socket | None = None  # with the lock; while the thread runs
        self._thread = thread(self._run, name="bfdd", on_death=on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def want(self, sessions: Iterable[BfdSession]) -> None:
        """Have bfdd hold these sessions of ours and no others; from any thread."""
        with self._lock:
            self._wanted = tuple(sessions)
        self._wake()

    def stop(self) -> None:
        """End the thread; sessions stay as they are, so that the routers notice nothing."""
        with self._lock:
            self._stopped = True
        self._wake()

    def _wake(self) -> None:
        with self._lock, suppress(BlockingIOError):  # woken so often, it will look
            if self._waker is not None:
                self._waker.send(b"\0")

    def _run(self) -> None:
        waker, woken = socket.socketpair()
        waker.setblocking(False)  # noqa: FBT003 -- the standard library's
        with waker, woken:
            with self._lock:
                self._waker = waker
            try:
                self._follow(woken)
            finally:
                with self._lock:
                    self._waker = None

    def _follow(self, woken: socket.socket) -> None:
        told: str | None = None
        pause = SHORTEST_PAUSE_SECONDS
        while not self._is_stopped():
            if not self._wishes():
                _sleep(woken, None)
                continue
            try:
                with _Conversation(self._folder) as conversation:
                    asked = self._wishes()
                    refusals = conversation.configure(asked)
                    told, pause = None, SHORTEST_PAUSE_SECONDS
                    self._hear(Reached())
                    self._talk(conversation, woken, asked, refusals)
            except (OSError, BfddError) as error:
                if str(error) != told:
                    told = str(error)
                    self._hear(Away(told))
                _sleep(woken, pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _talk(
        self,
        conversation: "_Conversation",
        woken: socket.socket,
        asked: tuple[BfdSession, ...] | None,
        refusals: tuple[Refused, ...],
    ) -> None:
        while not self._is_stopped():
            wishes = self._wishes()
            if wishes != asked:
                refusals, asked = conversation.configure(wishes), wishes
            for refused in refusals:
                self._hear(refused)
            refusals = ()
            if conversation.wait(woken):
                woken.recv(4096)
            for told in conversation.listen():
                self._hear(told)
                if conversation.is_lost(told):
                    asked = None  # somebody else removed a session of ours

    def _wishes(self) -> tuple[BfdSession, ...]:
        with self._lock:
            return self._wanted

    def _is_stopped(self) -> bool:
        with self._lock:
            return self._stopped


def _sleep(woken: socket.socket, seconds: float | None) -> None:
    """Wait, or until somebody wants something else."""
    if select.select([woken], [], [], seconds)[0]:
        woken.recv(4096)


class _Conversation:
    """What is said between a connect and the end of that bfdd."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._decoder = control.Decoder()
        self._ours: frozenset[BfdKey] = frozenset()

    def __enter__(self) -> Self:
        path = self._folder / CONTROL_NAME
        try:
            self._socket.connect(str(path))
            self._socket.sendall(control.SUBSCRIBE)
        except OSError as error:
            self._socket.close()
            raise BfddError(f"{path}: {error.strerror or error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def configure(self, wanted: tuple[BfdSession, ...]) -> tuple[Refused, ...]:
        """Have bfdd hold these sessions of ours and no others, and return what it refused."""
        path = self._folder / VTY_NAME
        try:
            with Vty(path) as vty:
                held = configuration.parse(vty.run("show running-config"))
                groups = configuration.commands(held, wanted)
                refused = [_refusal(vty, group) for group in groups]
        except OSError as error:
            advice = ": bfdd lets in its own user and the group frrvty"
            why = f"{path}: {error.strerror or error}"
            raise BfddError(why + advice * isinstance(error, PermissionError)) from error
        self._ours = frozenset(session.key for session in wanted)
        return tuple(each for each in refused if each is not None)

    def wait(self, woken: socket.socket) -> bool:
        """Wait for bfdd or for somebody to wake us, and tell whether it was the latter."""
        return woken in select.select([self._socket, woken], [], [])[0]

    def listen(self) -> Iterator[Told]:
        """Yield what bfdd has said of sessions."""
        if not select.select([self._socket], [], [], 0)[0]:
            return
        data = self._socket.recv(65536)
        if not data:
            raise BfddError("bfdd has closed its control socket")
        for message in self._decoder.feed(data):
            told = control.told(message)
            if told is not None:
                yield told

    def is_lost(self, told: Told) -> bool:
        """Tell whether a session of ours may be gone; bfdd calls a removed one PATH_DOWN."""
        removed = told.status is None or told.status.diagnostic is Diagnostic.PATH_DOWN
        return removed and told.key in self._ours


def _refusal(vty: Vty, group: tuple[str, ...]) -> Refused | None:
    try:
        for command in ("end", "configure terminal", "bfd", *group):
            vty.run(command)
    except BfddError as error:
        return Refused(str(error))
    return None
