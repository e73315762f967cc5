"""Plays the demo: one step after the other, each until the router's table is right.

One thread does all of it. It waits in short slices, and only there looks at whether it is to stop,
so that nothing is left half done: signals set a mark and no more.
"""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType

from exabgp_metallb.errors import Error
from exabgp_metallb.programs.demo.expected import Expected
from exabgp_metallb.programs.demo.network import Network, Scene
from exabgp_metallb.programs.demo.show import Played
from exabgp_metallb.programs.demo.stage import Stage, View
from exabgp_metallb.programs.demo.table import differences

DEADLINE_SECONDS = 60.0  # for the router's table to be right after a step, on a busy machine too
SETTLE_SECONDS = 0.2  # that it has to stay right
SLICE_SECONDS = 0.1  # between two looks at whether to stop, and at the terminal's size


class WrongTableError(Error):
    """The router's table was not right in time; the message says what differs."""


class Stopped(Exception):  # noqa: N818 -- no error: somebody wants it so
    """The demo was told to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Remembers that the demo is to end."""

    def __init__(self) -> None:
        self._number: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 -- signal's own
        """Be a signal's handler."""
        self._number = number

    def check(self) -> None:
        """Raise Stopped if a signal came."""
        if self._number is not None:
            raise Stopped(self._number)


@contextmanager
def signals() -> Iterator[Signals]:
    """Take the signals that mean the end for as long as the context lasts."""
    heard = Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, heard.handle) for number in numbers]
    try:
        yield heard
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class Player:
    """Plays scenes in a network on a stage.

    Attributes:
        manifests: the folder that the nodes follow.
    """

    def __init__(self, network: Network, heard: Signals) -> None:
        self._network = network
        self._heard = heard
        self.manifests = network.manifests
        self._view = View(services=(), neighbors=network.neighbors, table=network.feed.table)

    def play(self, scenes: Sequence[Scene], stage: Stage) -> None:
        """Play all of them.

        Raises:
            WrongTableError: the router's table was not right in time.
            ExabgpError: something ended by itself.
            Stopped: the demo was told to end.
        """
        for number, scene in enumerate(scenes, start=1):
            if number > 1 and stage.pause_seconds:
                self.linger(stage, stage.pause_seconds)
            self._play(number, scene, stage)

    def _play(self, number: int, scene: Scene, stage: Stage) -> None:
        step = scene.step
        log = self._view.log
        playing = Played(number, step.name, step.see, None)
        self._view = replace(
            self._view,
            services=scene.expected.services,
            before=self._view.rows(),
            log=(*log, playing),
        )
        stage.refresh(self._view)
        moment = self._network.perform(step.act)
        seconds = self._await(scene.expected, moment, stage)
        self._view = replace(self._view, log=(*log, replace(playing, seconds=seconds)))
        stage.played(self._view)

    def _await(self, wanted: Expected, moment: float, stage: Stage) -> float:
        """Return how long after a moment the router's table was right to stay."""
        right_since: float | None = None
        changed = False
        while True:
            now = time.monotonic()
            found = self._network.feed.table.routes
            if found != wanted.routes:
                right_since = None
                if now > moment + DEADLINE_SECONDS:
                    raise WrongTableError("\n".join(differences(wanted.routes, found)))
            elif right_since is None:
                right_since = now
            elif now >= right_since + SETTLE_SECONDS:
                return right_since - moment
            if changed:  # drawn only after the clock was read
                stage.refresh(self._view)
            changed = self._wait()

    def _wait(self) -> bool:
        """Wait a little, less if the router has news, and tell whether it had."""
        self._heard.check()
        self._network.check()
        return self._network.feed.wait(SLICE_SECONDS)

    def linger(self, stage: Stage, seconds: float | None) -> None:
        """Go on showing the router's table, also while somebody edits the manifests.

        Args:
            stage: to show it on.
            seconds: how long; None waits for a signal.

        Raises:
            ExabgpError: something ended by itself.
            Stopped: the demo was told to end.
        """
        end = None if seconds is None else time.monotonic() + seconds
        seen = self._network.edited()
        while end is None or time.monotonic() < end:
            self._wait()
            if (now := self._network.edited()) != seen:
                seen = now
                self._look_again()
            stage.refresh(self._view)

    def show(self, stage: Stage) -> None:
        """Show the router's table as it is now."""
        stage.refresh(self._view)

    def _look_again(self) -> None:
        """Follow the manifests' Services; what cannot be read changes nothing, here as there."""
        with suppress(Error):
            services = self._network.plan().services
            self._view = replace(self._view, services=services, before=self._view.rows())
