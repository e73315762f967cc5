"""How a program is, as one value: what metrics and probes are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exabgp_metallb.values.orders import Role
from exabgp_metallb.values.outcome import PoolUsage


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
    """How a node does on layer 2.

    Attributes:
        connected: there is a responder; without one the rest is empty.
        announced: Service and address, for all that this node answers for.
        roles: how many addresses it has in each role.
        usable: by interface, whether it can answer there.
        foreign: address, MAC and interface of those who answer for an address of ours.
        counters: what the responder counted since its start, by name and label.
    """

    connected: bool = False
    announced: tuple[tuple[str, str], ...] = ()
    roles: Mapping[Role, int] = field(default_factory=dict)
    usable: Mapping[str, bool] = field(default_factory=dict)
    foreign: tuple[tuple[str, str, str], ...] = ()
    counters: tuple[tuple[str, str, int], ...] = ()
