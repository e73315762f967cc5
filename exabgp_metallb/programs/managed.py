"""The exabgp.conf that the speaker renders, and the reload that brings it into force.

ExaBGP 5 reads its neighbors from a file only, and its reload has traps: it is lost while any route
waits to be sent, and after one bad file it refuses every later one. So: render aside, have ExaBGP's
own parser check it, stop sending until all is on the wire, rename, reload, and believe it only when
ExaBGP lists the neighbors of the new file. A burst of edits is one reload, and whatever fails
leaves the old file and the old sessions as they are.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from loguru import logger

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.exabgp.dialogue import Dialogue
from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.errors import ExabgpError
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.sessions import Session

RETRY_SECONDS = 2.0  # ExaBGP's loop turns each second at most; twice that is no hurry
RELOADS = 5  # lost ones are made up for by the second; a poisoned ExaBGP never takes any
FULL_DISK_SECONDS = 10.0
QUIET_SECONDS = 0.02  # between two looks at whether all that was sent is on the wire


@dataclass(frozen=True, slots=True)
class Validated:
    """ExaBGP's parser has read a rendered configuration; None for error means that it is good."""

    text: str
    error: str | None


class _Step(enum.Enum):
    IDLE = enum.auto()
    CHECKING = enum.auto()
    QUIESCING = enum.auto()
    RELOADING = enum.auto()


class ManagedConfiguration:
    """Keeps a node's exabgp.conf equal to its sessions.

    Args:
        path: of exabgp.conf; ExaBGP was started on it.
        run: the command of the process section.
        dialogue: is paused around a reload.
        listener: takes `Validated` from the thread that checks.
    """

    def __init__(
        self,
        path: Path,
        run: Sequence[str],
        dialogue: Dialogue,
        listener: Callable[[Validated], None],
    ) -> None:
        self._path = path
        self._run = run
        self._dialogue = dialogue
        self._listener = listener
        self._step = _Step.IDLE
        self._wanted = self._active = self._read()
        self._expected: frozenset[Address] = frozenset()
        self._neighbors: frozenset[Address] = frozenset()
        self._retry_at: float | None = None
        self._reloads = 0
        self._told: dict[str, str] = {}

    def _read(self) -> str | None:
        try:
            return self._path.read_text(encoding="ascii")
        except (OSError, UnicodeError):
            return None

    def want(self, sessions: Sequence[Session]) -> None:
        """Have ExaBGP hold these sessions."""
        refused = conf.refusals(sessions)
        for name, why in refused.items():
            if self._told.get(name) != why:
                logger.error("BGPPeer {}: {}", name, why)
        self._told = dict(refused)
        held = [s for s in sessions if s.peer.name not in refused]
        self._neighbors = frozenset(s.peer.address for s in held if s.peer.address is not None)
        self._wanted = conf.render(held, run=self._run)
        if self._step is _Step.IDLE and self._wanted != self._active:
            self._check()

    def _check(self) -> None:
        text = self._wanted
        assert text is not None  # noqa: S101 -- `want` rendered it
        self._step = _Step.CHECKING

        def check() -> None:
            try:
                conf.validate(text)
            except ExabgpError as error:
                self._listener(Validated(text, str(error)))
            else:
                self._listener(Validated(text, None))

        Thread(target=check, name="exabgp-validate", daemon=True).start()

    def validated(self, result: Validated) -> None:
        """Go on with a configuration that ExaBGP's parser has read."""
        if result.text != self._wanted:
            self._check()
            return
        if result.error is not None:
            logger.error(
                "ExaBGP refuses the new configuration, the old one stays: {}", result.error
            )
            self._active = result.text  # not tried again until it differs
            self._step = _Step.IDLE
            return
        self._step = _Step.QUIESCING
        self._dialogue.paused = True

    def act(self, now: float) -> None:
        """Do what is due: bring a checked file into force, or try a lost reload again."""
        if self._step is _Step.QUIESCING and self._dialogue.window.settled(now):
            self._bring_into_force(now)
        if self._retry_at is None or self._retry_at > now:
            return
        if self._step is _Step.RELOADING:
            logger.warning("ExaBGP has not taken the new configuration yet: reload again")
            self._reload(now)
        elif self._step is _Step.IDLE:
            self._finish()

    def _bring_into_force(self, now: float) -> None:
        assert self._wanted is not None  # noqa: S101 -- `want` rendered it
        try:
            write_aside(self._path, self._wanted.encode("ascii"), mode=0o600)
        except OSError as error:
            logger.error("{}: cannot be written, the old sessions stay: {}", self._path, error)
            self._dialogue.paused = False
            self._step = _Step.IDLE
            self._retry_at = now + FULL_DISK_SECONDS
            return
        self._active = self._wanted
        self._expected = self._neighbors
        self._step = _Step.RELOADING
        self._reloads = 0
        self._reload(now)

    def _reload(self, now: float) -> None:
        if self._reloads == RELOADS:
            logger.error(
                "ExaBGP does not take {}: restart it; until then the old sessions stay", self._path
            )
            self._finish()
            return
        self._reloads += 1
        self._retry_at = now + RETRY_SECONDS
        self._dialogue.reload()

    def neighbors_found(self, neighbors: frozenset[Address]) -> None:
        """Compare what ExaBGP has with what the file says."""
        if self._step is _Step.RELOADING and neighbors == self._expected:
            logger.info("ExaBGP holds {} neighbors by {}", len(neighbors), self._path)
            self._finish()

    def _finish(self) -> None:
        self._dialogue.paused = False
        self._retry_at = None
        self._step = _Step.IDLE
        if self._wanted != self._active:
            self._check()

    def deadline(self, now: float) -> float | None:
        """Return when `act` must be asked again, in monotonic seconds."""
        return now + QUIET_SECONDS if self._step is _Step.QUIESCING else self._retry_at
