"""Where objects come from: the interface, and the form of it that lives in memory.

A source runs in threads of its own. It parses each object at once, so that nobody holds JSON, and
hands events to a listener, which does no more than put them on its owner's queue. The owner keeps
the objects (`parsing.inventory`); a source keeps only what it needs to tell what changed.

A source that is away is not an empty one: it says `Away`, and what it told before still stands.
A thread that dies says so too, but not to the listener, which may be why it died: see `OnDeath`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects of some kinds, as one list: what is not in it is gone."""

    kinds: frozenset[str]
    objects: tuple[Parsed, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """An object is new or has changed."""

    object: Parsed


@dataclass(frozen=True, slots=True)
class Gone:
    """An object was deleted."""

    ref: ObjectRef


@dataclass(frozen=True, slots=True)
class Away:
    """The source, or one kind of it, cannot be read now; said once, and again when it differs."""

    what: str  # a kind, a folder, a file
    message: str  # what happened, and what would be right


@dataclass(frozen=True, slots=True)
class Back:
    """What was `Away` is read again."""

    what: str


Event = Listed | Put | Gone | Away | Back
Listener = Callable[[Event], None]

OnDeath = Callable[[BaseException], None]
"""Called in the dying thread with what nobody foresaw; the owner ends the process with status 1."""


class Source(Protocol):
    """Something that tells a listener about objects until it is stopped."""

    def start(self, listener: Listener) -> None:
        """Begin to read, in threads of the source's own; each kind starts with a `Listed`."""

    def stop(self) -> None:
        """End the threads; the listener hears no more."""


def thread(run: Callable[[], None], *, name: str, on_death: OnDeath) -> threading.Thread:
    """Return a daemon thread, not yet started, that cannot die in silence."""

    def body() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the owner must hear of it
            on_death(error)

    return threading.Thread(target=body, name=name, daemon=True)
