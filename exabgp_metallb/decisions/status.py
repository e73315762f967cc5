"""What a Service should show of its outcome: addresses, pool, and a condition that says why."""

from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.objects import Service
from exabgp_metallb.values.outcome import Outcome
from exabgp_metallb.values.publication import Showing

ALLOCATED = "Allocated"
"""The reason of a condition that holds."""

LONGEST_MESSAGE = 32768  # meta/v1 Condition; what the API would refuse is never decided


def shown(service: Service) -> Showing:
    """Return what a Service shows in the API now."""
    return Showing(
        addresses=service.ingress,
        pool=service.allocated_pool,
        condition=service.allocated,
        clean=not service.foreign_ingress,
    )


def showing(outcome: Outcome) -> Showing:
    """Return what a Service should show after a decision.

    A Service that keeps its addresses while something it asks for cannot be met shows both: the
    addresses, and a condition that does not hold and says why.
    """
    lease = outcome.lease
    complaint = outcome.refused or outcome.complaint
    return Showing(
        addresses=() if lease is None else lease.addresses,
        pool=None if lease is None else lease.pool,
        condition=_condition(outcome) if lease is not None or complaint is not None else None,
    )


def _condition(outcome: Outcome) -> Condition:
    complaint = outcome.refused or outcome.complaint
    if complaint is not None:
        message = complaint.message[:LONGEST_MESSAGE]
        return Condition(holds=False, reason=complaint.reason, message=message)
    assert outcome.lease is not None  # noqa: S101 -- the caller saw that there is one or the other
    addresses = " and ".join(map(str, outcome.lease.addresses))
    message = f"{addresses} from IPAddressPool {outcome.lease.pool}"
    return Condition(holds=True, reason=ALLOCATED, message=message)
