"""What is noted while one edit of the allocation is being decided."""

from dataclasses import dataclass

from exabgp_metallb.decisions.allocation.settle import Placing
from exabgp_metallb.decisions.allocation.waiting import Turn
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import LeaseChange, Outcome

_FREEING = (LeaseChange.CLEARED, LeaseChange.REDUCED)


def writing_order(outcome: Outcome) -> tuple[int, ObjectName]:
    """Return a sort key: who gives addresses up, who moves, and then who gets some or keeps all."""
    if outcome.change in _FREEING:
        return (0, outcome.service)
    return (1 if outcome.change is LeaseChange.MOVED else 2, outcome.service)


@dataclass(frozen=True, slots=True)
class Begun:
    """How a Service stood before an edit."""

    turn: Turn
    current: tuple[Address, ...]
    outcome: Outcome | None


class Course:
    """One edit in the course of being decided.

    Attributes:
        held: leases that stand in for statuses.
        begun: every Service touched so far.
        taken: the leases taken off the ledger and not settled again yet.
        results: what each Service touched has now.
        lost: why it does not keep what it had.
        stirred: addresses that changed hands or terms since those that wait were last tried.
        eased: pools and namespaces that have a Service less than then.
    """

    __slots__ = ("begun", "eased", "held", "lost", "results", "stirred", "taken")

    def __init__(self, held: Leases) -> None:
        self.held = held
        self.begun: dict[ObjectName, Begun] = {}
        self.taken: dict[ObjectName, Lease | None] = {}
        self.results: dict[ObjectName, Placing] = {}
        self.lost: dict[ObjectName, tuple[str, ...]] = {}
        self.stirred: set[Address] = set()
        self.eased: set[tuple[str, str]] = set()

    def stir(self, name: ObjectName, before: Lease | None, after: Lease | None) -> None:
        """Note what a new lease in place of an old one changes for others."""
        if before == after:
            return
        for lease in (before, after):
            self.stirred.update(lease.addresses if lease else ())
        if before is not None and (after is None or after.pool != before.pool):
            self.eased.add((before.pool, name.namespace))
