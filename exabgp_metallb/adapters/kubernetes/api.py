"""The Kubernetes API as a source of objects: one watch for each kind, each in its own thread.

`watch` has the life of one of them; this module starts, adds and ends them. Import it only where a
cluster is really read: the kubernetes package behind it costs some 30 MiB.
"""

import queue
import threading
from collections.abc import Iterable
from dataclasses import replace

from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.kinds import KINDS
from exabgp_metallb.adapters.kubernetes.watch import KindWatch, Pace
from exabgp_metallb.adapters.source import Away, Event, Listed, Listener, OnDeath, thread
from exabgp_metallb.errors import SourceError
from exabgp_metallb.values.specs import Parsed

STOP_SECONDS = 1.0  # ExaBGP grants its processes two seconds from SIGTERM to SIGKILL
ALL_BUT_SECRETS = frozenset(KINDS) - {"Secret"}


class KubernetesSource:
    """Tells a listener about the objects in a cluster. One thread at a time may call it."""

    def __init__(
        self,
        connection: Connection,
        *,
        namespace: str,
        on_death: OnDeath,
        pace: Pace,
        kinds: Iterable[str] = ALL_BUT_SECRETS,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            connection: how to reach the API.
            namespace: where our own resources, the Secrets and the legacy ConfigMap are.
            on_death: called when a thread ends by an error that nobody foresaw.
            pace: how long things may take: `Pace(uniform=random.uniform)`.
            kinds: names from `KINDS` to begin with; others may be followed later.
        """
        self._connection = connection
        self._namespace = namespace
        self._on_death = on_death
        self._pace = pace
        self._kinds = sorted(kinds)
        self._listener: Listener | None = None
        self._watches: dict[str, tuple[KindWatch, threading.Thread]] = {}

    def start(self, listener: Listener) -> None:
        """Follow the kinds that were asked for; the listener is called from several threads."""
        self._listener = listener
        for kind in self._kinds:
            self.follow(kind)

    def follow(
        self, kind: str, *, only: str | None = None, listener: Listener | None = None
    ) -> None:
        """Begin to read one more kind, such as `Secret` once a peer needs one.

        The kind starts with a `Listed`. Nothing happens when it is followed already.

        Args:
            kind: its name.
            only: the metadata.name of the one object that is read; None: all are.
            listener: is told of this kind; None: whom `start` was given.
        """
        told = listener or self._listener
        assert told, "start comes first"  # noqa: S101 -- an impossible state
        if kind in self._watches:
            return
        asked = KINDS[kind]
        if only is not None:
            asked = replace(asked, field_selector=f"metadata.name={only}")
        watch = KindWatch(asked, self._connection, self._namespace, told, pace=self._pace)
        runner = thread(watch.run, name=f"watch-{kind}", on_death=self._on_death)
        self._watches[kind] = (watch, runner)
        runner.start()

    def unfollow(self, kind: str) -> None:
        """Read a kind no more; what was told about it is the listener's to forget."""
        if kind in self._watches:
            watch, runner = self._watches.pop(kind)
            watch.stop()
            runner.join(STOP_SECONDS)

    def stop(self) -> None:
        """End all watches; the listener hears no more."""
        for watch, _ in self._watches.values():
            watch.stop()
        for _, runner in self._watches.values():
            # One that is busy connecting is not waited for: it is a daemon and tells nothing.
            runner.join(STOP_SECONDS / len(self._watches))
        self._watches.clear()
        self._connection.close()


def read(
    connection: Connection, *, namespace: str, pace: Pace, kinds: Iterable[str] = ALL_BUT_SECRETS
) -> tuple[Parsed, ...]:
    """Read all objects of some kinds once, for a command that answers and ends.

    Raises:
        SourceError: one of the kinds cannot be read; says which, why, and what would be right.
    """
    events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
    missing = set(kinds)
    source = KubernetesSource(
        connection, namespace=namespace, on_death=events.put, pace=pace, kinds=missing
    )
    found: list[Parsed] = []
    source.start(events.put)
    try:
        while missing:
            match events.get():
                case Listed(kinds=listed, objects=objects):
                    found += objects
                    missing -= listed
                case Away(message=message):
                    raise SourceError(message)
                case BaseException() as error:
                    raise error
    finally:
        source.stop()
    return tuple(found)
