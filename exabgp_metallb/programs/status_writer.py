"""Keeps the status objects of one node in the Kubernetes API equal to what is wanted.

Level-triggered: `want` notes what an object should say, and what differs from what the API has is
written, a few each second, since every node of a cluster writes. What was written before a restart
is read first, so that nothing is written again; objects of this node that nobody wants are removed.
One object has one request under way at a time. What is refused is tried again, later each time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from exabgp_metallb.adapters.kubernetes import statuses
from exabgp_metallb.adapters.kubernetes.statuses import Author
from exabgp_metallb.adapters.kubernetes.writes import Request, Sent
from exabgp_metallb.programs.refusals import Refusals, Retries
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.statuses import Status, StatusKind, StatusName

WRITES_PER_SECOND = 20.0  # of one node; a hundred nodes that start at once stay below 2,000
UNDER_WAY = 4  # requests at a time
OTHERS_AT_ONCE = 50  # Services in one look for other nodes' objects: their names are in its URL
READ_AGAIN_SECONDS = 30.0  # after the API has refused to list

Submit = Callable[[object, Request], None]
Told = Callable[[StatusName, Status | None, Status | None], None]


@dataclass(frozen=True, slots=True)
class _Listing:
    kind: StatusKind

    def __str__(self) -> str:
        return f"list {self.kind}"


@dataclass(frozen=True, slots=True)
class _Creation:
    name: StatusName

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class _Filling:
    name: StatusName
    status: Status

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class _OthersFound:
    services: tuple[ObjectName, ...]

    def __str__(self) -> str:
        return f"list other nodes' {StatusKind.SERVICE_L2}"


@dataclass(frozen=True, slots=True)
class _Removal:
    kind: StatusKind
    called: str
    name: StatusName | None = None  # None: surplus

    def __str__(self) -> str:
        return f"{self.kind} {self.called}"


class StatusWriter:
    """Writes the status objects of one node.

    Args:
        submit: has a request sent; `sent` is to be told what became of it.
        told: is told of each object that has come to say something else, as it was and as it is;
            None for one that is not there.
    """

    def __init__(self, submit: Submit, told: Told) -> None:
        self._submit = submit
        self._told = told
        self._author: Author | None = None
        self._wanted: dict[StatusName, Status] = {}
        self._shown: dict[StatusName, Status] = {}
        self._due: dict[StatusName, None] = {}
        self._busy: set[StatusName] = set()
        self._under_way = 0
        self._unread: dict[StatusKind, str] = dict.fromkeys(StatusKind, "")  # the page to ask for
        self._reading = False
        self._read_at = 0.0
        self._surplus: dict[tuple[StatusKind, str], None] = {}
        self._taken_over: dict[ObjectName, None] = {}  # on layer 2, where another may have been
        self._look_at = 0.0  # for what others left
        self._write_at = 0.0
        self._retries = Retries[StatusName]()
        self._refusals = Refusals()

    def want(self, name: StatusName, status: Status | None) -> None:
        """Have an object say something; None: have it not be there."""
        if self._wanted.get(name) == status:
            return
        if status is None:
            del self._wanted[name]
        else:
            self._wanted[name] = status
        self._due[name] = None

    def wanted(self, kind: StatusKind) -> set[StatusName]:
        """Return the objects of a kind that are wanted."""
        return {name for name in self._wanted if name.kind is kind}

    def shown(self, name: StatusName) -> Status | None:
        """Return what an object says in the API; None where it is not there, or not known."""
        return self._shown.get(name)

    @property
    def has_read(self) -> bool:
        """Tell whether all that was written before is known."""
        return not self._unread

    def act(self, author: Author, now: float) -> None:
        """Send what is due and may be sent."""
        self._author = author
        if not self.has_read:
            self._read(author, now)
            return
        for name in self._retries.take_due(now):
            self._due[name] = None
        while self._under_way < UNDER_WAY and self._write_at <= now:
            request = self._next(author, now)
            if request is None:
                return
            self._send(*request)
            self._write_at = max(self._write_at, now - 1.0) + 1.0 / WRITES_PER_SECOND

    def deadline(self, now: float) -> float | None:
        """Return when `act` may have something to send, in monotonic seconds."""
        if not self.has_read:
            return None if self._reading else max(now, self._read_at)
        waiting = self._due or self._surplus or (self._taken_over and self._look_at <= now)
        return max(now, self._write_at) if waiting and self._under_way < UNDER_WAY else None

    def _read(self, author: Author, now: float) -> None:
        if self._reading or now < self._read_at:
            return
        kind, rest = next(iter(self._unread.items()))
        self._reading = True
        self._send(_Listing(kind), statuses.listing(author, kind, rest))

    def _next(self, author: Author, now: float) -> tuple[object, Request] | None:
        for name in list(self._due):
            if name in self._busy:
                continue  # looked at again when its answer is there
            del self._due[name]
            wanted, shown = self._wanted.get(name), self._shown.get(name)
            if wanted == shown:
                continue
            self._busy.add(name)
            if wanted is None:
                called = statuses.object_name(author, name)
                removal = statuses.removal(author, name.kind, called)
                return _Removal(name.kind, called, name), removal
            if shown is None:
                return _Creation(name), statuses.creation(author, name)
            return self._filling(author, name, wanted)
        if self._look_at <= now and (request := self._look_for_others(author)) is not None:
            return request
        while self._surplus:
            kind, called = next(iter(self._surplus))
            del self._surplus[kind, called]
            return _Removal(kind, called), statuses.removal(author, kind, called)
        return None

    def _look_for_others(self, author: Author) -> tuple[object, Request] | None:
        """Ask for what other nodes said of Services that we answer for now: there is one owner.

        For many at once, when all of them are written: see `statuses.of_others`.
        """
        asked = tuple(islice(self._taken_over, OTHERS_AT_ONCE))
        for service in asked:
            del self._taken_over[service]
        services = self._still(asked)
        if not services:
            return None
        return _OthersFound(services), statuses.of_others(author, services)

    def _filling(self, author: Author, name: StatusName, status: Status) -> tuple[object, Request]:
        return _Filling(name, status), statuses.filling(author, name, status)

    def _send(self, key: object, request: Request) -> None:
        self._under_way += 1
        self._submit(key, request)

    # What became of it.

    def sent(self, sent: Sent, now: float) -> None:
        """Note what became of a request."""
        self._under_way -= 1
        author, key = self._author, sent.key
        if author is None:
            return
        if isinstance(key, _Listing):
            self._listed(author, key.kind, sent, now)
        elif isinstance(key, _OthersFound):
            self._others_found(author, key, sent, now)
        elif isinstance(key, _Removal):
            self._removed(key, sent, now)
        elif isinstance(key, _Creation | _Filling):
            self._written(author, key, sent, now)

    def _others_found(self, author: Author, key: _OthersFound, sent: Sent, now: float) -> None:
        if sent.passing:
            self._taken_over |= dict.fromkeys(key.services)
            self._look_at = now + READ_AGAIN_SECONDS
        if sent.error is None:
            others = statuses.others(author, self._still(key.services), sent.answer)
            self._surplus |= dict.fromkeys((StatusKind.SERVICE_L2, each) for each in others)

    def _still(self, services: Iterable[ObjectName]) -> tuple[ObjectName, ...]:
        """Return those Services that we answer for: others' objects are not ours to remove."""
        return tuple(s for s in services if StatusName(StatusKind.SERVICE_L2, s) in self._wanted)

    def _listed(self, author: Author, kind: StatusKind, sent: Sent, now: float) -> None:
        self._reading = False
        if sent.error is not None:
            self._refusals.tell("reading", sent, now)
            if sent.status is not None and sent.status < 500:
                # It may not be read, or its CRD is not there: what was written is not known.
                del self._unread[kind]
            else:
                self._read_at = now + READ_AGAIN_SECONDS
            return
        page = statuses.found(author, kind, sent.answer)
        self._shown |= page.statuses
        self._due |= dict.fromkeys(page.statuses)
        self._surplus |= dict.fromkeys((kind, called) for called in page.surplus)
        if page.more:
            self._unread[kind] = page.more
        else:
            del self._unread[kind]

    def _written(self, author: Author, key: _Creation | _Filling, sent: Sent, now: float) -> None:
        name = key.name
        self._busy.discard(name)
        if sent.error is not None:
            if sent.missing:
                self._shown.pop(name, None)  # somebody removed it
            self._failed(name, sent, now)
            return
        self._retries.over(name)
        wanted = self._wanted.get(name)
        if isinstance(key, _Creation) and wanted is not None:
            self._busy.add(name)
            self._send(*self._filling(author, name, wanted))
            return
        if isinstance(key, _Filling):
            before, self._shown[name] = self._shown.get(name), key.status
            self._told(name, before, key.status)
            if name.kind is StatusKind.SERVICE_L2 and before is None:
                self._taken_over[name.about] = None
        else:
            self._surplus[name.kind, statuses.object_name(author, name)] = None
        self._due[name] = None

    def _removed(self, key: _Removal, sent: Sent, now: float) -> None:
        if key.name is None:
            if sent.passing:
                self._surplus[key.kind, key.called] = None
            return
        self._busy.discard(key.name)
        if sent.error is not None and not sent.missing:
            self._failed(key.name, sent, now)
            return
        before = self._shown.pop(key.name, None)
        self._told(key.name, before, None)
        self._due[key.name] = None

    def _failed(self, name: StatusName, sent: Sent, now: float) -> None:
        self._retries.failed(name, now)
        self._refusals.tell(str(name.kind), sent, now)
