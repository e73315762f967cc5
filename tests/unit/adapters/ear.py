"""A listener for sources under test: it waits for events and tells when none came."""

from queue import Empty, SimpleQueue

from exabgp_metallb.adapters.source import Event

WITHIN_SECONDS = 60.0  # what arrives in milliseconds may take long on a loaded machine


class Ear:
    """Hears what a source tells, and what its threads die of."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event | BaseException] = SimpleQueue()

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        self._events.put(event)

    def death(self, error: BaseException) -> None:
        """Hear that a thread died."""
        self._events.put(error)

    def next(self) -> Event:
        """Return the next event; fail when none comes, or when a thread died."""
        try:
            event = self._events.get(timeout=WITHIN_SECONDS)
        except Empty:
            raise AssertionError("nothing was told") from None
        if isinstance(event, BaseException):
            raise AssertionError("a thread died") from event  # noqa: TRY004 -- it is no type error
        return event

    def take(self, count: int) -> list[Event]:
        """Return the next events."""
        return [self.next() for _ in range(count)]

    def last_words(self) -> BaseException:
        """Return what a thread died of."""
        while True:
            event = self._events.get(timeout=WITHIN_SECONDS)
            if isinstance(event, BaseException):
                return event

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing is left to hear."""
        return self._events.empty()
