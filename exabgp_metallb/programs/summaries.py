"""What a controller says of the whole: the counters of all pools, and the ConfigurationState.

Both are written once a second at most, and only where they differ from what is there. The counters
are not read before: the first write of a term counts as one that may change something, and the API
itself drops it when it does not. The ConfigurationState is read now and then: one that was deleted,
as the end of MetalLB's own pod does it, is written anew.
"""

from collections.abc import Callable
from datetime import datetime

from exabgp_metallb.adapters.kubernetes import writes
from exabgp_metallb.adapters.kubernetes.writes import CONTROLLER, DeposedError, Request, Sent
from exabgp_metallb.adapters.source import Event, Gone, Listed, Put
from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.programs.refusals import Refusals
from exabgp_metallb.values.outcome import PoolUsage
from exabgp_metallb.values.statuses import ConfigurationVerdict

POOL = "IPAddressPool"
STATE_READ, STATE_OBJECT = "the ConfigurationState as it was", "the ConfigurationState"
STATE_STATUS = "the status of the ConfigurationState"

COUNTERS_SECONDS = 1.0  # between two writes
REFUSED_SECONDS = 30.0  # the same after one was refused
LOOK_SECONDS = 300.0  # between two looks at the ConfigurationState: somebody may delete it

Submit = Callable[[object, Request], None]


class Summaries:
    """The counters of all pools and the ConfigurationState, as written last."""

    def __init__(self, namespace: str, submit: Submit) -> None:
        self._namespace = namespace
        self._submit = submit
        self._refusals = Refusals()
        self._pools: set[str] = set()  # that are objects; a legacy ConfigMap's have no status
        self._counters: dict[str, PoolUsage] = {}
        self._due_at = 0.0
        self._state: ConfigurationVerdict | None = None
        self._new_state: ConfigurationVerdict | None = None  # on its way, or to be read first
        self._state_is_known = False
        self._look_at = 0.0
        self._reading = False

    def hear(self, event: Event) -> None:
        """Follow which pools there are."""
        if isinstance(event, Put) and event.object.ref.kind == POOL:
            self._pools.add(event.object.ref.name)
        elif isinstance(event, Gone) and event.ref.kind == POOL:
            self._pools.discard(event.ref.name)
            self._counters.pop(event.ref.name, None)
        elif isinstance(event, Listed) and POOL in event.kinds:
            self._pools = {each.ref.name for each in event.objects if each.ref.kind == POOL}

    def write(
        self, allocator: Allocator, faults: tuple[str, ...], now: float, wall: datetime
    ) -> None:
        """Have written what differs from what is there, unless it was done a moment ago."""
        if now < self._due_at:
            return
        self._due_at = now + COUNTERS_SECONDS
        self._write_counters(allocator)
        if now >= self._look_at and self._new_state is None:
            self._look_at = now + LOOK_SECONDS
            self._state_is_known = False
        self._write_state(faults, wall)

    def _write_counters(self, allocator: Allocator) -> None:
        usage = allocator.usage()
        for pool in sorted(self._pools & usage.keys()):
            if self._counters.get(pool) != usage[pool]:
                self._counters[pool] = usage[pool]
                request = writes.pool_status(self._namespace, pool, usage[pool])
                self._submit((POOL, pool), request)

    def _write_state(self, faults: tuple[str, ...], wall: datetime) -> None:
        if not self._state_is_known:
            if not self._reading:
                self._reading = True
                self._submit(STATE_READ, writes.read_state(self._namespace, CONTROLLER))
            return
        since = self._state.since if self._state is not None else ""
        if self._state is None or bool(self._state.faults) != bool(faults):
            since = writes.timestamp(wall)
        state = ConfigurationVerdict(faults, since)
        is_there = self._state is not None and writes.summary(self._state) == writes.summary(state)
        if self._new_state is None and not is_there:
            self._new_state = state
            self._submit(STATE_OBJECT, self._state_writes(state)[0])

    def _state_writes(self, state: ConfigurationVerdict) -> tuple[Request, Request]:
        return writes.configuration_state(self._namespace, CONTROLLER, state)

    def sent(self, sent: Sent, now: float) -> None:
        """Note what became of a write."""
        if sent.key == STATE_READ:
            self._reading = False
            self._state_is_known = sent.error is None or sent.missing
            self._state = writes.state_of(sent.answer, CONTROLLER)
        if sent.error is not None:
            self._failed(sent, now)
        elif sent.key == STATE_OBJECT and self._new_state is not None:
            # A status needs its object.
            self._submit(STATE_STATUS, self._state_writes(self._new_state)[1])
        elif sent.key == STATE_STATUS:
            self._state, self._new_state = self._new_state, None

    def _failed(self, sent: Sent, now: float) -> None:
        if isinstance(sent.key, tuple):
            self._counters.pop(sent.key[1], None)
        elif sent.key != STATE_READ:
            self._new_state = None
        elif sent.missing:
            return
        self._due_at = now + REFUSED_SECONDS
        if not isinstance(sent.error, DeposedError):
            self._refusals.tell("writing", sent, now)
