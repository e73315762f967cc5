"""What a Service shows of our decisions in the Kubernetes API."""

from dataclasses import dataclass, field

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.objects import ObjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """The part of a Service that the controller writes.

    Attributes:
        addresses: status.loadBalancer.ingress[].ip, in order.
        pool: annotation metallb.io/ip-allocated-from-pool.
        condition: None where there is none (yet).
        clean: whether ingress holds nothing but addresses; somebody else's host names are no.
    """

    addresses: tuple[Address, ...] = ()
    pool: str | None = None
    condition: Condition | None = None
    clean: bool = True


@dataclass(frozen=True, slots=True)
class StatusWrite:
    """One write to the API: make this Service show that.

    Attributes:
        before: what it shows now; no part of what the write does.
    """

    service: ObjectName
    showing: Showing
    before: Showing = field(default=Showing(), compare=False)
