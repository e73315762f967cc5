"""What is done about writes that were not done: they are told, not too often, and tried again."""

from typing import Generic, TypeVar

from loguru import logger

from exabgp_metallb.adapters.kubernetes.writes import Sent

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0  # before a refused write is tried again
QUIET_SECONDS = 60.0  # between two lines about refusals of one kind

Name = TypeVar("Name")


class Retries(Generic[Name]):
    """When to try again: later each time. Time is an argument, in monotonic seconds."""

    def __init__(self) -> None:
        self._failures: dict[Name, int] = {}
        self._due_at: dict[Name, float] = {}

    def failed(self, name: Name, now: float) -> int:
        """Note that it was in vain, and return how often it was."""
        failures = self._failures.get(name, 0)
        self._failures[name] = failures + 1
        self._due_at[name] = now + min(FIRST_SECONDS * 2.0 ** min(failures, 9), LONGEST_SECONDS)
        return failures + 1

    def postpone(self, name: Name, until: float) -> None:
        """Have it tried at a time, although nothing failed."""
        self._due_at[name] = until

    def over(self, name: Name) -> None:
        """Note that there is nothing to try again."""
        self._failures.pop(name, None)
        self._due_at.pop(name, None)

    def take_due(self, now: float) -> tuple[Name, ...]:
        """Return what is to be tried now, once."""
        due = tuple(name for name, at in self._due_at.items() if at <= now)
        for name in due:
            del self._due_at[name]
        return due


class Refusals:
    """Tells of writes that were not done; of many of one kind, such as 403, one each minute."""

    def __init__(self) -> None:
        self._told_at: dict[object, float] = {}  # by kind
        self._more: dict[object, int] = {}  # since then

    def tell(self, what: str, sent: Sent, now: float) -> None:
        """Tell of one, unless one like it was told a short time ago."""
        kind = (what, sent.status)
        told_at = self._told_at.get(kind)
        if told_at is not None and now < told_at + QUIET_SECONDS:
            self._more[kind] = self._more.get(kind, 0) + 1
            return
        self._told_at[kind] = now
        more = self._more.pop(kind, 0)
        logger.warning(
            "{} {}: {}; it is tried again{}",
            what,
            getattr(sent.key, "service", sent.key),
            sent.error,
            f"; {more} more like this since the last line" if more else "",
        )
