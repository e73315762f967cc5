"""Everything that decisions are taken from, at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exabgp_metallb.values.intent import Intent
from exabgp_metallb.values.objects import (
    Endpoint,
    Namespace,
    Node,
    NodeName,
    ObjectName,
    Service,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster and the operator's intent, all parsed and checked.

    `services` holds only those of type LoadBalancer that are ours by their loadBalancerClass. What
    a Service is announced with is its `ingress`: the controller writes it to the cluster's status;
    without a cluster the same decision is filled in before a snapshot is taken.
    """

    intent: Intent = field(default_factory=Intent)
    nodes: Mapping[NodeName, Node] = field(default_factory=dict)
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)
    services: Mapping[ObjectName, Service] = field(default_factory=dict)
    endpoints: Mapping[ObjectName, tuple[Endpoint, ...]] = field(default_factory=dict)
    """By Service: the endpoints of all its slices, slices in order of name."""
