"""What a node does beside its routes, by the same objects: the parts of a speaker.

A part follows the decisions of the one thread that owns all state, is asked each turn what is due,
and never blocks. Threads of its own hand what they heard to that thread with a `Post`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from exabgp_metallb.adapters.exabgp.dialogue import Notice
from exabgp_metallb.adapters.source import OnDeath
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.values.addresses import Address

Call = Callable[[float], None]
"""Something to be done in the speaker's thread; takes now, in monotonic seconds."""

Post = Callable[[Call], None]
"""Has something done in the speaker's thread, soon; from any thread."""


def dies(post: Post) -> OnDeath:
    """Return whom a part's threads tell that they died: the speaker ends by it."""

    def told(error: BaseException) -> None:
        def end(_now: float) -> None:
            raise error

        post(end)

    return told


class Neighbors(Protocol):
    """What a part can do to the sessions; in the speaker's thread alone."""

    def hold_down(self, neighbor: Address, why: str) -> None:
        """End a session now, and let none come up until `let_up`."""

    def let_up(self, neighbor: Address) -> None:
        """Let sessions come up again."""


class Part(Protocol):
    """One part; see the module."""

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:
        """Take what was decided; `touched.everything` says that nothing of before holds.

        Not called before every kind of object has been read once. What is touched may be empty.
        """

    def noticed(self, notice: Notice, now: float) -> None:
        """Take what ExaBGP told."""

    def act(self, now: float) -> None:
        """Do what is due."""

    def deadline(self, now: float) -> float | None:
        """Return when `act` must be called again, in monotonic seconds; None: no need."""

    def status(self, now: float) -> Mapping[str, object]:
        """Return what a person may want to know, in types that JSON has."""

    def stop(self) -> None:
        """End threads; the speaker ends."""
