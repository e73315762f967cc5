"""How a program is, as one value: what metrics and probes are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from exabgp_metallb.values.bfd import BfdVitals
from exabgp_metallb.values.orders import ForeignClaim, InterfaceReport, Role
from exabgp_metallb.values.outcome import PoolUsage

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets, in seconds; one more bucket holds what took longer."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times that were measured since the start of a program.

    Attributes:
        counts: one for each bound, and one for what is above all of them.
        total_seconds: of all times together.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    total_seconds: float = 0.0

    def cumulative(self) -> Sequence[tuple[str, int]]:
        """Return each bound as Prometheus writes it, and how many took no longer."""
        bounds = (*map(str, BOUNDS), "+Inf")
        return [(bound, sum(self.counts[: n + 1])) for n, bound in enumerate(bounds)]


class Health(Protocol):
    """What every program's vitals have; see `SpeakerVitals`."""

    @property
    def turned_at(self) -> float:
        """When the loop turned last, in monotonic seconds."""

    @property
    def loaded(self) -> bool:
        """Whether every kind of object has been read."""

    @property
    def stale(self) -> bool:
        """Whether what is in force is not the newest."""

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """What readiness lacks; empty when ready."""

    @property
    def away(self) -> frozenset[str]:
        """Sources or kinds that cannot be read now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerVitals:
    """How a controller is.

    Attributes:
        turned_at: when the loop turned last, in monotonic seconds.
        loaded: every kind of object has been read, or this replica waits for its turn to lead.
        stale: some object is refused, or some kind cannot be read now.
        waiting_for: what readiness lacks; empty when ready.
        away: kinds that cannot be read now.
        leads: this replica gives the addresses.
        usage: by pool; empty while another replica leads.
        updates: statuses of Services that were written since the start.
        failures: writes that were refused or not answered since the start.
    """

    turned_at: float = 0.0
    loaded: bool = False
    stale: bool = False
    waiting_for: tuple[str, ...] = ("start",)
    away: frozenset[str] = frozenset()
    leads: bool = False
    usage: Mapping[str, PoolUsage] = field(default_factory=dict)
    updates: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer2Vitals:
    """How a node does on layer 2, as its speaker knows it.

    Attributes:
        node: its name.
        connected: there is a responder.
        announced: Service and address, for all that this node answers for; nothing while nobody is
            there to say so. The responder has metrics of its own for the rest.
    """

    node: str
    connected: bool = False
    announced: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerVitals:
    """How a speaker is, as one value.

    Attributes:
        turned_at: when the loop turned last, in monotonic seconds.
        loaded: every kind of object has been read.
        stale: some object is refused, or the source is away: what is in force is not the newest.
        waiting_for: what readiness lacks; empty when ready.
        away: sources or kinds that cannot be read now.
        sessions: by peer (`address:port`), whether its session is established.
        prefixes: by peer, how many prefixes it should hold.
        draining: this node is to attract no traffic.
        node: its name.
        announced: Service and address, for all that is announced from here by BGP.
        latency: from events to the wire.
        refused_lines: commands that ExaBGP has refused since the start.
        drift: by peer, routes that ExaBGP was found to hold otherwise than it was told.
        silent_seconds: for how long ExaBGP has owed an answer and said nothing.
        layer2: None: the node has no part in it.
        bfd: None: nor in that.
    """

    turned_at: float = 0.0
    loaded: bool = False
    stale: bool = False
    waiting_for: tuple[str, ...] = ("start",)
    away: frozenset[str] = frozenset()
    sessions: Mapping[str, bool] = field(default_factory=dict)
    prefixes: Mapping[str, int] = field(default_factory=dict)
    draining: bool = False
    node: str = ""
    announced: tuple[tuple[str, str], ...] = ()
    latency: Histogram = field(default_factory=Histogram)
    refused_lines: int = 0
    drift: Mapping[str, int] = field(default_factory=dict)
    silent_seconds: float = 0.0
    layer2: Layer2Vitals | None = None
    bfd: BfdVitals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderVitals:
    """How a responder is, as one value; as of its last turn.

    Attributes:
        turned_at: when the loop turned last, in monotonic seconds.
        loaded: there are orders, from the speaker or from disk.
        stale: the speaker is away.
        waiting_for: what readiness lacks; empty when ready.
        away: the speaker, while it is.
        roles: how many addresses this node has each role for.
        interfaces: whether each can answer at all.
        foreign: who else answers for an address of ours.
        counters: name, label and count, since the start.
    """

    turned_at: float = 0.0
    loaded: bool = False
    stale: bool = True
    waiting_for: tuple[str, ...] = ("orders",)
    away: frozenset[str] = frozenset({"speaker"})
    roles: Mapping[Role, int] = field(default_factory=dict)
    interfaces: tuple[InterfaceReport, ...] = ()
    foreign: tuple[ForeignClaim, ...] = ()
    counters: tuple[tuple[str, str, int], ...] = ()
