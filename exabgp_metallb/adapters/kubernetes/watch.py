"""One kind followed: listed, then watched, for as long as anybody wants it.

The life of a version: a list leaves us at a resourceVersion; a watch from there brings changes,
each with a newer version, and bookmarks with nothing but that. When the connection ends we watch
again from the newest version we have, so nothing is listed twice and nothing is missed. Only when
the server has forgotten that version (410 Gone) is the kind listed again.

Lists come in one of two forms. Where the server can (WatchList: Kubernetes 1.32, and 1.34 and
later) the watch itself begins with all objects, one at a time, and a bookmark that ends the list:
the cheapest form for both sides. Where it cannot, or fails at it in any way (client-go draws no
finer distinction either), pages of a consistent list are read; a resourceVersion with them would
make older servers ignore the limit and answer with everything at once. Either way an object is
parsed as soon as it is read and its JSON is dropped.

A server that is away changes nothing that was told: it is said once, and again when the status
differs. The pauses between attempts are "decorrelated jitter" (Brooker, Exponential Backoff And
Jitter, AWS Architecture Blog, 2015), so that a thousand nodes do not ask at once. The first request
of a node that is granted again, for whatever, ends the pauses of all its watches. But one that is
refused, or fails while others are served, has a trouble of its own and rests for itself.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from exabgp_metallb.adapters.kubernetes import answers
from exabgp_metallb.adapters.kubernetes.answers import ApiError, LostError, WatchEvent
from exabgp_metallb.adapters.kubernetes.connection import Connection, Response
from exabgp_metallb.adapters.kubernetes.kinds import Kind, Query
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, Put
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing import objects
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed

NO_ANSWER = 0  # in place of an HTTP status

PAGE_SIZE = 500  # client-go's page size (tools/pager): a page of Services is a megabyte or two

# What a list would meet in its other form just the same.
_NO_FAULT_OF_THE_FORM = frozenset(
    {
        None,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things may take, and the chance in it.

    Attributes:
        uniform: returns a random number between two: `random.uniform`.
        list_seconds: the longest silence while a page is read.
        silence_seconds: the longest silence on a watch, which is then begun again from where it
            stands. Bookmarks break it, where the server sends any while nothing changes.
        watch_seconds: the server ends a watch after a time between these, so that connections
            spread anew over the servers of a control plane.
        rest_seconds: the shortest and the longest pause before the next attempt.
        rejoin_seconds: the pause instead, once another request of this connection was granted.
        broken_watches: so many watches in a row that break before their first line are not chance.
        absences: so often in a row a kind of ours must be unknown to the server (404) before it is
            taken for one whose CRD is not installed: a server that starts may say so for a moment.
    """

    uniform: Callable[[float, float], float]
    list_seconds: float = 60.0
    silence_seconds: float = 90.0
    watch_seconds: tuple[float, float] = (240.0, 360.0)
    rest_seconds: tuple[float, float] = (0.25, 30.0)
    rejoin_seconds: tuple[float, float] = (0.0, 2.0)
    broken_watches: int = 3
    absences: int = 5


class KindWatch:
    """Tells a listener about the objects of one kind, in a thread of its own, until stopped."""

    def __init__(
        self,
        kind: Kind,
        connection: Connection,
        namespace: str,
        listener: Listener,
        *,
        pace: Pace,
    ) -> None:
        self._kind = kind
        self._connection = connection
        self._path = kind.path(namespace)
        self._listener = listener
        self._pace = pace
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # over _response, which `stop` interrupts
        self._response: Response | None = None
        self._version = ""  # resourceVersion to go on from; "" means that a list is due
        self._streamed: dict[ObjectRef, Parsed] | None = None  # a streamed list without its end
        self._can_stream = True
        self._said: int | None = None  # the status that was told with Away; NO_ANSWER too
        self._heard = False  # whether this round's watch brought a line
        self._broken = 0  # watches in a row that broke before their first line
        self._absences = 0  # answers in a row that the kind is unknown, before it was ever listed
        self._rest_seconds = pace.rest_seconds[0]
        self._granted = 0  # requests of the connection, when this round began
        self._granted_before: int | None = None  # when the last one that failed did; None: none did

    def run(self) -> None:
        """Follow the kind until `stop`."""
        while not self._stopping.is_set():
            try:
                self._follow()
            except SourceError as error:
                self._answer_for(error)

    def stop(self) -> None:
        """Make `run` return soon, whatever it waits for. Nothing is told any more."""
        self._stopping.set()
        self._connection.grants.nudge()
        with self._lock:
            if self._response:
                self._response.interrupt()

    # One round: a list if one is due, and a watch until it ends.

    def _follow(self) -> None:
        self._heard = False
        self._granted = self._connection.grants.count
        if not self._version and self._can_stream:
            self._watch_with_list()
            return
        if not self._version:
            self._read_pages()
        self._watch({"resourceVersion": self._version})

    def _read_pages(self) -> None:
        found: list[Parsed] = []
        query = self._kind.selectors() | {"limit": str(PAGE_SIZE)}
        while True:
            with self._request("list", query, self._pace.list_seconds) as response:
                page = answers.page(self._kind, response.body())
            page.items.reverse()
            while page.items:  # the JSON of each goes as soon as it is read
                if parsed := objects.parse(page.items.pop()):
                    found.append(parsed)
            if not page.rest:
                break
            query["continue"] = page.rest
        self._tell_list(found, page.version)

    def _watch_with_list(self) -> None:
        """Watch from a list that the server streams; leave that to pages when it fails."""
        self._streamed = {}
        try:
            self._watch({"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"})
            self._can_stream = self._streamed is None
        except ApiError as error:
            if self._streamed is None or error.status in _NO_FAULT_OF_THE_FORM:
                raise
            self._can_stream = False
        finally:
            self._streamed = None

    def _watch(self, start: Query) -> None:
        """Tell what a watch brings, until its time is over or nothing comes any more."""
        query = {
            **self._kind.selectors(),
            **start,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(self._pace.uniform(*self._pace.watch_seconds))),
        }
        with self._request("watch", query, self._pace.silence_seconds) as response:
            if self._streamed is None and self._broken < self._pace.broken_watches:
                self._say_back()
            for line in response.lines():
                self._take(answers.watch_event(self._kind, line))
        if not self._heard:
            self._rest()  # a server that hangs up at once is not asked again at once
        self._all_is_well()

    def _take(self, event: WatchEvent) -> None:
        if not self._heard:
            self._heard = True
            self._all_is_well()
            if self._streamed is None:
                self._say_back()
        if self._streamed is not None and event.ends_list:
            found = [*self._streamed.values()]
            self._streamed = None
            self._tell_list(found, event.version)
            return
        if event.type != "BOOKMARK":
            self._tell_change(event)
        if self._streamed is None and event.version:
            self._version = event.version

    # What the listener is told.

    def _tell(self, event: Event) -> None:
        if not self._stopping.is_set():
            self._listener(event)

    def _tell_list(self, found: list[Parsed], version: str) -> None:
        self._say_back()
        self._tell(Listed(frozenset({self._kind.name}), tuple(found)))
        self._absences = self._pace.absences  # it was there; from now on 404 is no sign of anything
        self._version = version
        self._all_is_well()

    def _tell_change(self, event: WatchEvent) -> None:
        parsed = None if event.type == "DELETED" else objects.parse(event.object)
        ref = objects.ref_of(event.object)
        if self._streamed is None:
            self._tell(Put(parsed) if parsed else Gone(ref))
        elif parsed:
            self._streamed[ref] = parsed
        else:
            self._streamed.pop(ref, None)

    def _say_away(self, error: SourceError) -> None:
        status = (error.status if isinstance(error, ApiError) else None) or NO_ANSWER
        if self._said != status:
            self._said = status
            self._tell(Away(self._kind.name, f"{error}; what was read before stands"))

    def _say_back(self) -> None:
        if self._said is not None:
            self._said = None
            self._tell(Back(self._kind.name))

    # What goes wrong.

    def _answer_for(self, error: SourceError) -> None:
        """Decide what an error means for what was said, and when to try again."""
        if self._stopping.is_set():
            return
        if isinstance(error, LostError):
            if self._heard and self._version:
                return  # it was a good connection: watch again at once
            self._broken += 1
        expired = isinstance(error, ApiError) and error.is_expired
        if expired:
            self._version = ""
        elif not isinstance(error, LostError) or self._broken >= self._pace.broken_watches:
            self._say_away(error)
        if isinstance(error, ApiError) and error.status == HTTPStatus.NOT_FOUND:
            self._note_absence()
        if isinstance(error, ApiError) and error.may_be_outage:
            self._rest_apart(error.retry_after_seconds)
        else:
            self._rest()

    def _note_absence(self) -> None:
        """Tell of a kind that the server has never known as one without objects."""
        self._absences += 1
        if self._kind.is_custom and self._absences == self._pace.absences:
            self._tell(Listed(frozenset({self._kind.name}), ()))

    def _rest(self) -> None:
        self._stopping.wait(self._pause())

    def _rest_apart(self, at_least: float) -> None:
        """Rest, but for that long at least, until another request of the connection is granted."""
        at_least = min(at_least, self._pace.rest_seconds[1])
        pause = max(at_least, self._pause())
        before, self._granted_before = self._granted_before, self._granted
        is_ours_alone = before not in (None, self._granted)  # others were served since the last one
        if is_ours_alone or pause <= max(at_least, self._pace.rejoin_seconds[1]):
            self._stopping.wait(pause)
            return
        self._stopping.wait(at_least)
        if self._connection.grants.wait(self._granted, pause - at_least, self._stopping):
            self._rest_seconds = self._pace.rest_seconds[0]
            self._stopping.wait(self._pace.uniform(*self._pace.rejoin_seconds))

    def _pause(self) -> float:
        shortest, longest = self._pace.rest_seconds
        self._rest_seconds = min(longest, self._pace.uniform(shortest, 3 * self._rest_seconds))
        return self._rest_seconds

    def _all_is_well(self) -> None:
        self._broken = 0
        self._granted_before = None
        self._rest_seconds = self._pace.rest_seconds[0]

    @contextmanager
    def _request(self, verb: str, query: Query, read_seconds: float) -> Iterator[Response]:
        """Hold the answer to a request where `stop` can end it; raise when it is not 200."""
        response = self._connection.get(self._path, query, read_seconds=read_seconds)
        with self._lock:
            self._response = response
        try:
            if self._stopping.is_set():
                response.interrupt()
            if response.status != HTTPStatus.OK:
                raise answers.refusal(
                    self._kind,
                    verb,
                    response.status,
                    answers.status_text(response.body()),
                    retry_after_seconds=response.retry_after_seconds,
                )
            yield response
        finally:
            with self._lock:
                self._response = None
            response.close()
