"""When a change was on the wire: the time of the packet at the router's side."""

from dataclasses import dataclass, field

from exabgp_metallb.values.addresses import Prefix
from tests.bench.sources import Made
from tests.integration.lab.capture import Capture
from tests.integration.lab.waiting import wait_for

WIRE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one Service's endpoints, and the route that follows from it."""

    prefix: Prefix
    announced: bool
    made: Made


@dataclass(slots=True)
class Wire:
    """When each prefix was announced and withdrawn."""

    capture: Capture
    read: int = 0
    times: dict[tuple[Prefix, bool], list[float]] = field(default_factory=dict)

    def when(self, change: Change) -> float | None:
        """Return when a change was on the wire, None while it is not."""
        updates = self.capture.updates()
        for update in updates[self.read :]:
            for prefixes, announced in ((update.announced, True), (update.withdrawn, False)):
                for prefix in prefixes:
                    self.times.setdefault((prefix, announced), []).append(update.at_seconds)
        self.read = len(updates)
        times = self.times.get((change.prefix, change.announced), [])
        return next((at for at in times if at > change.made.begun), None)

    def wait(self, change: Change) -> float:
        """Wait until a change is on the wire, and return when it was."""
        return wait_for(lambda: self.when(change), WIRE_SECONDS, f"{change}") or 0.0
