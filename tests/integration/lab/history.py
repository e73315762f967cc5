"""What a router lived through: a log of sessions and routes that only grows.

The data: each driver follows the files in which its daemon notes what it does, and turns every line
into events. The life of one event: the daemon writes a line, the next look at the History reads it,
the event gets the next place. A mark is such a place, so "since" a mark means: noted later than the
look that gave it.

Some daemons note each route that goes, others only why all of a neighbor's routes go. For the
latter the History keeps what each neighbor has announced and adds the withdrawals that follow, by
the rules of RFC 4724 section 4.2 for a neighbor that restarts gracefully.

To prove that something did NOT happen, first wait for something later that did, on the same
session.
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network


class Kind(enum.Enum):
    """What happened."""

    SESSION_UP = "session up"
    SESSION_DOWN = "session down"  # says nothing about its routes
    FLUSHED = "flushed"  # the router dropped all routes of the neighbor
    END_OF_RIB = "end of RIB"  # of one family; ends a graceful restart
    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    FIB_DELETED = "deleted from the FIB"  # the kernel has no route to the prefix any more


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a router noted."""

    kind: Kind
    neighbor: Address | None = None  # None: the kernel's table, which knows no neighbors
    prefix: Prefix | None = None  # of ANNOUNCED, WITHDRAWN and FIB_DELETED
    family: int | None = None  # 4 or 6, of END_OF_RIB

    def __str__(self) -> str:
        about = [str(part) for part in (self.prefix, self.neighbor) if part is not None]
        return " ".join([self.kind.value, *about])


Parser = Callable[[str], Iterable[Event]]


class History:
    """The events of one router, gathered from files that grow."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._sources: list[_Source] = []
        self._stale: dict[Address, dict[Prefix, bool]] = {}  # by neighbor, what it has announced

    def follow(self, path: Path, parse: Parser) -> None:
        """Read events from a file, from its start, that may not be there yet."""
        self._sources.append(_Source(path, parse))

    def events(self) -> list[Event]:
        """Return all events so far; of several files, each in its own order."""
        for source in self._sources:
            for event in source.read():
                self._add(event)
        return self._events

    def _add(self, event: Event) -> None:
        self._events.append(event)
        if event.neighbor is None:
            return
        routes = self._stale.setdefault(event.neighbor, {})
        match event:
            case Event(kind=Kind.ANNOUNCED, prefix=prefix) if prefix is not None:
                routes[prefix] = False
            case Event(kind=Kind.WITHDRAWN, prefix=prefix) if prefix is not None:
                routes.pop(prefix, None)
            case Event(kind=Kind.SESSION_DOWN):
                routes.update(dict.fromkeys(routes, True))
            case Event(kind=Kind.FLUSHED):
                self._withdraw(event.neighbor, list(routes))
            case Event(kind=Kind.END_OF_RIB, family=family):
                left = [p for p, stale in routes.items() if stale and p.version == family]
                self._withdraw(event.neighbor, left)

    def _withdraw(self, neighbor: Address, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            self._add(Event(Kind.WITHDRAWN, neighbor, prefix))


class _Source:
    """A file that grows, read line by line."""

    def __init__(self, path: Path, parse: Parser) -> None:
        self._path = path
        self._parse = parse
        self._offset = 0

    def read(self) -> list[Event]:
        """Return the events of the lines that were completed since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        return [event for line in lines for event in self._parse(line)]
