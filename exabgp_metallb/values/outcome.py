"""What became of one Service's wish for addresses, and how full a pool is."""

import enum
from dataclasses import dataclass

from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.reasons import Refused


class LeaseChange(enum.StrEnum):
    """How the addresses of a Service differ from those that it had before."""

    KEPT = "kept"  # the same ones, or none as before
    GIVEN = "given"
    MOVED = "moved"  # at least one is new and one is gone
    EXTENDED = "extended"  # the second family came
    REDUCED = "reduced"  # one of two is gone
    CLEARED = "cleared"


class EventReason(enum.StrEnum):
    """Reasons of the Events that MetalLB's controller writes on a Service."""

    IP_ALLOCATED = "IPAllocated"
    CLEAR_ASSIGNMENT = "ClearAssignment"
    ADDITIONAL_ASSIGN_FAILED = "AdditionalAssignFailed"
    ALLOCATION_FAILED = "AllocationFailed"
    LOAD_BALANCER_FAILED = "LoadBalancerFailed"  # a bad request; the Service keeps what it has
    NOT_ENOUGH_CLUSTER_IPS = "not enough clusterips"
    UNKNOWN_STATUS_FAMILY = "nolbIPsIPFamily"  # status shows no address, or no possible pair
    DEPRECATED_ANNOTATION = "deprecatedAnnotation"


_NORMAL = frozenset(
    {
        EventReason.IP_ALLOCATED,
        EventReason.CLEAR_ASSIGNMENT,
        EventReason.ADDITIONAL_ASSIGN_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """One Event to write on a Service (core/v1)."""

    reason: EventReason
    message: str

    @property
    def is_warning(self) -> bool:
        """Tell whether its type is Warning and not Normal."""
        return self.reason not in _NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The decision for one Service.

    Attributes:
        lease: what it holds from now on; None clears its status and the pool annotation.
        refused: why it holds nothing. Neither this nor a lease: it wants nothing (deleted, or no
            LoadBalancer).
        complaint: with a lease only: what is not as the Service asks. A request that cannot be
            read (it keeps what it has), or the second family of a PreferDualStack Service.
        change: against what it held before this decision.
        events: to be written now, in order; empty when the last decision said the same.
    """

    service: ObjectName
    lease: Lease | None = None
    refused: Refused | None = None
    complaint: Refused | None = None
    change: LeaseChange = LeaseChange.KEPT
    events: tuple[Event, ...] = ()


INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUsage:
    """IPAddressPool status: distinct addresses in use, and left. All 0 to INT64_MAX."""

    assigned_ipv4: int
    assigned_ipv6: int
    available_ipv4: int
    available_ipv6: int
