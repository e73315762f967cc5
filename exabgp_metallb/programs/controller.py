"""Gives addresses to Services, and writes them to the cluster, while it leads.

Two replicas run and one leads. Only the leader reads the cluster, decides and writes (see
`programs.tenure`); the other waits for its turn, and knows nothing that could be out of date then.
A term begins when nothing that was sent in an earlier one is still on its way.

One thread owns it all. Watches, writers and the election only put what they heard on its queue.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Protocol

from loguru import logger

from exabgp_metallb.adapters.kubernetes.writes import Request, Sent
from exabgp_metallb.adapters.source import Event, Source
from exabgp_metallb.programs.tenure import Tenure
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.vitals import ControllerVitals

BATCH = 500  # what is heard in one turn
TURN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the source of a term tells."""

    term: int
    event: Event


@dataclass(frozen=True, slots=True)
class Elected:
    """A term of ours begins; None: it ends."""

    term: int | None


@dataclass(frozen=True, slots=True)
class Stop:
    """The process shall end."""


Heard = Told | Sent | Elected | Stop | BaseException


class Writer(Protocol):
    """Sends writes; see `adapters.kubernetes.writes.Writers`."""

    def submit(self, term: int, key: object, request: Request) -> None:
        """Have a write sent; one `Sent` with this term and key comes of it."""


class Controller:
    """A replica of the controller.

    Args:
        namespace: of the metallb.io resources and the legacy ConfigMap.
        lb_class: of the Services that are ours; None: those without.
        inbox: where the threads of sources, writer and election put what they heard.
        new_source: returns a source of the kinds of `tenure.KINDS`, not yet started.
        writer: sends what is to be written.
        publish: is told after each turn how we are; None when nobody asks.
    """

    def __init__(
        self,
        *,
        namespace: str,
        lb_class: str | None,
        inbox: SimpleQueue[Heard],
        new_source: Callable[[], Source],
        writer: Writer,
        publish: Callable[[ControllerVitals], None] | None = None,
    ) -> None:
        self._namespace = namespace
        self._lb_class = lb_class
        self._inbox = inbox
        self._new_source = new_source
        self._writer = writer
        self._publish = publish
        self._term: int | None = None
        self._tenure: Tenure | None = None
        self._source: Source | None = None
        self._on_their_way = 0  # writes that no answer was heard of, of all terms
        self._updates = self._failures = 0
        self._is_stopped = False

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            BaseException: a thread of an edge died by it.
        """
        try:
            while not self._is_stopped:
                self.turn(self._take(), time.monotonic(), datetime.now(UTC))
        finally:
            self._end()

    def turn(self, heard: Iterable[Heard], now: float, wall: datetime) -> None:
        """Take what was heard, and do what follows from it.

        Args:
            heard: in the order of the inbox.
            now: in monotonic seconds.
            wall: the same moment for people.
        """
        for each in heard:
            self._hear(each, now)
        if self._term is not None and self._tenure is None and not self._on_their_way:
            self._begin(self._term)
        if self._tenure is not None:
            self._tenure.work(now, wall)
        if self._publish is not None:
            self._publish(self._vitals(now))

    def _take(self) -> list[Heard]:
        heard: list[Heard] = []
        try:
            heard.append(self._inbox.get(timeout=TURN_SECONDS))
            while len(heard) < BATCH:
                heard.append(self._inbox.get_nowait())
        except Empty:
            pass
        return heard

    def _hear(self, heard: Heard, now: float) -> None:
        if isinstance(heard, Told):
            if self._tenure is not None and heard.term == self._term:
                self._tenure.hear(heard.event)
        elif isinstance(heard, Sent):
            self._on_their_way -= 1
            self._updates += isinstance(heard.key, ObjectName) and heard.error is None
            self._failures += heard.error is not None
            if self._tenure is not None and heard.term == self._term:
                self._tenure.sent(heard, now)
        elif isinstance(heard, Elected):
            self._elect(heard.term)
        elif isinstance(heard, Stop):
            self._is_stopped = True
        else:
            raise heard

    def _elect(self, term: int | None) -> None:
        self._end()
        self._term = term
        if term is None:
            logger.warning("this replica leads no more; nothing is written")
        else:
            logger.info("this replica leads")

    def _begin(self, term: int) -> None:
        def submit(key: object, request: Request) -> None:
            self._on_their_way += 1
            self._writer.submit(term, key, request)

        self._tenure = Tenure(namespace=self._namespace, lb_class=self._lb_class, submit=submit)
        self._source = self._new_source()
        self._source.start(lambda event: self._inbox.put(Told(term, event)))

    def _end(self) -> None:
        if self._source is not None:
            self._source.stop()
        self._source = self._tenure = None

    def _vitals(self, now: float) -> ControllerVitals:
        tenure = self._tenure
        if tenure is None:
            return ControllerVitals(
                turned_at=now,
                loaded=True,
                waiting_for=(),
                updates=self._updates,
                failures=self._failures,
            )
        return ControllerVitals(
            turned_at=now,
            loaded=not tenure.unread,
            stale=tenure.is_stale,
            waiting_for=tuple(sorted(tenure.unread)),
            away=frozenset(tenure.away),
            leads=True,
            usage=tenure.usage(),
            updates=self._updates,
            failures=self._failures,
        )
