"""The words for a decision: what changed for a Service, and the Events that tell its owner."""

from exabgp_metallb.decisions.allocation.settle import Placing
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import FamilyPolicy, ObjectName, Service
from exabgp_metallb.values.outcome import Event, EventReason, LeaseChange, Outcome
from exabgp_metallb.values.reasons import Reason, Refused

_LOSING = frozenset({LeaseChange.MOVED, LeaseChange.REDUCED, LeaseChange.CLEARED})
_GAINING = frozenset({LeaseChange.GIVEN, LeaseChange.MOVED, LeaseChange.EXTENDED})


def change_of(before: tuple[Address, ...], after: tuple[Address, ...]) -> LeaseChange:
    """Return how two sets of addresses differ; their order does not count."""
    old, new = set(before), set(after)
    if old == new:
        return LeaseChange.KEPT
    if not old:
        return LeaseChange.GIVEN
    if not new:
        return LeaseChange.CLEARED
    if old < new:
        return LeaseChange.EXTENDED
    return LeaseChange.REDUCED if new < old else LeaseChange.MOVED


def outcome_of(
    name: ObjectName,
    service: Service | None,
    *,
    before: tuple[Address, ...],
    placing: Placing,
    lost: tuple[str, ...] = (),
    last: Outcome | None = None,
) -> Outcome:
    """Return the outcome of a decision.

    Args:
        name: of the Service.
        service: None when it is gone; nobody reads Events about it then.
        before: the addresses that it had.
        placing: what it has now.
        lost: why it does not keep some of `before`.
        last: the outcome before this; what it said already is not said again.
    """
    lease, refused = placing.lease, placing.refused
    change = change_of(before, lease.addresses if lease else ())
    outcome = Outcome(
        service=name,
        lease=lease,
        refused=None if lease else refused,
        complaint=refused if lease else None,
        change=change,
    )
    if service is None or (last is not None and _says_the_same(outcome, last)):
        return outcome
    events = _events(service, before, outcome, lost)
    return Outcome(
        service=name,
        lease=lease,
        refused=outcome.refused,
        complaint=outcome.complaint,
        change=change,
        events=events,
    )


def _says_the_same(outcome: Outcome, last: Outcome) -> bool:
    return (
        _addresses(outcome.lease) == _addresses(last.lease)
        and outcome.refused == last.refused
        and outcome.complaint == last.complaint
    )


def _addresses(lease: Lease | None) -> tuple[Address, ...]:
    return lease.addresses if lease else ()


def _events(
    service: Service, before: tuple[Address, ...], outcome: Outcome, lost: tuple[str, ...]
) -> tuple[Event, ...]:
    events = []
    if _is_odd(service):
        shown = ", ".join([*map(str, service.ingress), *service.foreign_ingress])
        text = f"status.loadBalancer.ingress shows {shown}: no address, or no pair of a Service"
        events.append(Event(EventReason.UNKNOWN_STATUS_FAMILY, text))
    if outcome.change in _LOSING:
        gone = [a for a in before if a not in _addresses(outcome.lease)]
        why = "; ".join(lost) or "the Service no longer asks for a load balancer"
        text = f"{', '.join(map(str, gone))} taken back: {why}"
        events.append(Event(EventReason.CLEAR_ASSIGNMENT, text))
    if outcome.lease is not None and outcome.change in _GAINING:
        new = [str(a) for a in outcome.lease.addresses if a not in before]
        text = f'assigned {" and ".join(new)} from pool "{outcome.lease.pool}"'
        events.append(Event(EventReason.IP_ALLOCATED, text))
    if outcome.refused is not None:
        events.append(Event(_word_for(service, outcome.refused), outcome.refused.message))
    if outcome.complaint is not None:
        events.append(Event(_word_for_complaint(outcome.complaint), outcome.complaint.message))
    if events and service.request.deprecated:
        text = f"{', '.join(service.request.deprecated)}: write metallb.io for metallb.universe.tf"
        events.append(Event(EventReason.DEPRECATED_ANNOTATION, text))
    return tuple(events)


def _is_odd(service: Service) -> bool:
    """Tell whether the status shows what no decision can have written."""
    families = [family_of(address) for address in service.ingress]
    return len(set(families)) < len(families) or bool(service.foreign_ingress)


def _word_for(service: Service, refused: Refused) -> EventReason:
    required = service.family_policy is FamilyPolicy.REQUIRE_DUAL_STACK
    if refused.reason is Reason.FAMILY_MISMATCH and required and len(service.cluster_ips) < 2:
        return EventReason.NOT_ENOUGH_CLUSTER_IPS
    return EventReason.ALLOCATION_FAILED


def _word_for_complaint(complaint: Refused) -> EventReason:
    if complaint.reason is Reason.BAD_REQUEST:
        return EventReason.LOAD_BALANCER_FAILED
    return EventReason.ADDITIONAL_ASSIGN_FAILED
