"""What is decided for a cluster as a whole: which objects are valid, who has which address.

For commands that look and touch nothing; the decisions are those of the daemons, taken by the same
functions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.decisions.allocation.allocate import allocate
from exabgp_metallb.decisions.sessions import sessions_of
from exabgp_metallb.errors import UsageError
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import NodeName, ObjectName
from exabgp_metallb.values.outcome import Outcome
from exabgp_metallb.values.snapshot import Snapshot
from exabgp_metallb.values.specs import Parsed

Outcomes = Mapping[ObjectName, Outcome]

NAMES_IN_A_MESSAGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the decisions.

    Attributes:
        namespace: where our resources and the legacy ConfigMap live.
        lb_class: the loadBalancerClass of the Services that are ours; None: those without one.
        nodes: to plan; empty means every Node there is.
        down: planned as if they had failed.
        drained: planned in the first phase of a drain.
        ignore_exclude_label: speakers run with `--ignore-exclude-lb`.
    """

    namespace: str = "metallb-system"
    lb_class: str | None = None
    nodes: frozenset[NodeName] = frozenset()
    down: frozenset[NodeName] = frozenset()
    drained: frozenset[NodeName] = frozenset()
    ignore_exclude_label: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """All that holds for the cluster as a whole.

    Attributes:
        snapshot: the Services in it show the addresses that were decided.
        faults: of the objects; what they name is left out.
        warnings: of the objects; what they name stands.
    """

    snapshot: Snapshot
    outcomes: Outcomes
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = field(default=())


def decide(
    objects: Iterable[Parsed], question: Question, warnings: Iterable[Fault] = ()
) -> Decided:
    """Take the decisions that no node takes by itself: what is valid, and who has which address.

    Args:
        objects: each one once.
        question: what to plan.
        warnings: of whoever read the objects.

    Raises:
        UsageError: the question names a node that no Node is.
    """
    inventory = Inventory(question.namespace, question.lb_class)
    listed = tuple(objects)
    inventory.listed(frozenset(parsed.ref.kind for parsed in listed), listed)
    _refuse_unknown_nodes(inventory, question)
    snapshot = inventory.snapshot()
    decision = allocate(inventory.services, snapshot.intent.pools, snapshot.namespaces)
    for name, outcome in decision.outcomes.items():
        inventory.set_addresses(name, () if outcome.lease is None else outcome.lease.addresses)
    complaints = [
        Fault(ObjectRef("Service", name.namespace, name.name), "", outcome.complaint.message)
        for name, outcome in decision.outcomes.items()
        if outcome.complaint is not None
    ]
    told = (*inventory.warnings, *warnings, *complaints, *_unheld(inventory.snapshot(), question))
    return Decided(
        inventory.snapshot(), decision.outcomes, inventory.faults, tuple(sorted(set(told)))
    )


def _refuse_unknown_nodes(inventory: Inventory, question: Question) -> None:
    known = inventory.snapshot().nodes.keys()
    broken = {fault.object.name for fault in inventory.faults if fault.object.kind == "Node"}
    asked = question.nodes | question.down | question.drained
    unknown = sorted(asked - known - broken)
    if unknown:
        there = ", ".join(sorted(known)[:NAMES_IN_A_MESSAGE]) or "none at all"
        more = len(known) - NAMES_IN_A_MESSAGE
        there += f" and {more} more" if more > 0 else ""
        raise UsageError(f"no Node is named {unknown[0]!r}; the input has {there}")


def _unheld(snapshot: Snapshot, question: Question) -> Iterable[Fault]:
    """Yield the peers that the configuration asks for and ExaBGP has no words for."""
    for node in snapshot.nodes.values():
        for peer, why in conf.refusals(sessions_of(snapshot.intent.peers, node)).items():
            where, _, message = why.partition(": ")
            yield Fault(ObjectRef("BGPPeer", question.namespace, peer), where, message)
