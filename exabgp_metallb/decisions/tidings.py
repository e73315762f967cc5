"""Which Events are written about Services, and when: once, when they are true, and not many.

The Events of a decision wait until the Service shows what was decided: one that is never written is
never told, and a controller that takes over finds from what a Service shows that all was said.
Events of decisions that were overtaken before they were written go along with the next ones.

A Service whose decisions alternate, or whose owner edits it in a loop, has BURST Events to spend
and gets one more each PAUSE_SECONDS; its condition always has the last word. client-go's recorders
limit Events in the same way (tools/record/events_cache.go: 25, and one each five minutes).
"""

from collections.abc import Iterable

from exabgp_metallb.decisions.allowance import Allowance
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Event

BURST = 25
PAUSE_SECONDS = 300.0
LONGEST = 8  # Events about one Service that wait at a time; older ones are dropped


class Tidings:
    """The Events that wait to be written. Time is an argument, in monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: dict[ObjectName, tuple[Event, ...]] = {}
        self._allowance = Allowance(BURST, PAUSE_SECONDS)

    def add(self, name: ObjectName, events: Iterable[Event]) -> None:
        """Take the Events of a decision about a Service."""
        all_ = dict.fromkeys((*self._waiting.get(name, ()), *events))
        if all_:
            self._waiting[name] = tuple(all_)[-LONGEST:]

    def gone(self, name: ObjectName) -> None:
        """Forget a Service."""
        self._waiting.pop(name, None)
        self._allowance.gone(name)

    def take(self, name: ObjectName, now: float) -> tuple[Event, ...]:
        """Return the Events to write now that a Service shows the decision."""
        events = self._waiting.pop(name, ())
        return tuple(event for event in events if self._allowance.spend(name, now))
