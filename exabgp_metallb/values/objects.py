"""Kubernetes' own objects: only the fields that we read, in native types.

Small on purpose: a node agent of a large cluster holds ten thousand of these, and not their JSON.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from exabgp_metallb.values.addresses import Address, Family
from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.labels import Labels

NodeName = str


class ObjectName(NamedTuple):
    """Namespace and name of an object; what messages print as `default/web`.

    No dataclass, for the reason that `values.faults.ObjectRef` is none.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class TrafficPolicy(enum.StrEnum):
    """Service spec.externalTrafficPolicy (core/v1)."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class FamilyPolicy(enum.StrEnum):
    """Service spec.ipFamilyPolicy (core/v1)."""

    SINGLE_STACK = "SingleStack"
    PREFER_DUAL_STACK = "PreferDualStack"
    REQUIRE_DUAL_STACK = "RequireDualStack"


@dataclass(frozen=True, slots=True, order=True)
class ServicePort:
    """What may collide when two Services share an address."""

    protocol: str  # TCP, UDP or SCTP
    port: int  # 1 to 65535


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """What a Service asks for by annotation or field (reference: metallb.io annotations).

    Attributes:
        pool: from `address-pool`; None when not asked for.
        addresses: from `loadBalancerIPs` or spec.loadBalancerIP, in the order given.
        sharing_key: from `allow-shared-ip`; "" when absent. `shares` tells an empty key from none.
        fault: why the request cannot be read; the Service then keeps what it has and gets no more.
        deprecated: the annotations with the prefix metallb.universe.tf that were used, sorted.
    """

    pool: str | None = None
    addresses: tuple[Address, ...] = ()
    sharing_key: str = ""
    shares: bool = False  # the sharing annotation is present, whatever its value
    fault: str | None = None
    deprecated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """core/v1 Service, of any type."""

    name: ObjectName
    created: str = ""  # creationTimestamp, RFC 3339 in UTC: sorts as text; "" sorts first
    labels: Labels = frozenset()
    is_load_balancer: bool = True  # spec.type is LoadBalancer
    load_balancer_class: str | None = None
    cluster_ips: tuple[Address, ...] = ()  # without "None"
    headless: bool = False  # clusterIP is "None": it has none by wish, and not none as yet
    ip_families: tuple[Family, ...] = ()  # spec.ipFamilies, the primary one first
    family_policy: FamilyPolicy = FamilyPolicy.SINGLE_STACK
    traffic_policy: TrafficPolicy = TrafficPolicy.CLUSTER
    ports: tuple[ServicePort, ...] = ()  # sorted
    selector: Labels = frozenset()
    request: AddressRequest = AddressRequest()
    ingress: tuple[Address, ...] = ()  # status.loadBalancer.ingress[].ip, in order
    foreign_ingress: tuple[str, ...] = ()  # entries of status without an address that parses
    allocated_pool: str | None = None  # annotation ip-allocated-from-pool
    allocated: Condition | None = None  # our condition metallb.io/AddressAllocated


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice (discovery.k8s.io/v1 Endpoint).

    Without its addresses, of which nothing is read but that there are some: so the endpoints of ten
    thousand Services are a few hundred different ones, and equal ones share their memory.
    """

    addresses: int  # how many
    node: NodeName | None = None  # nodeName; None when the slice does not say
    ready: bool | None = None  # conditions; None when unset
    serving: bool | None = None
    terminating: bool | None = None

    @property
    def can_serve(self) -> bool:
        """MetalLB's rule: ready is true or unset, else serving is true; terminating is not read."""
        return self.ready is not False or self.serving is True


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """discovery.k8s.io/v1 EndpointSlice of a Service (label kubernetes.io/service-name)."""

    name: ObjectName
    service: ObjectName
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """core/v1 Node."""

    name: NodeName
    labels: Labels = frozenset()
    ready: bool = True  # condition Ready is True, or there is none
    network_available: bool = True  # condition NetworkUnavailable is not True
    draining: bool = False  # somebody asked that it be drained
    internal_ips: tuple[Address, ...] = ()  # status.addresses of type InternalIP, in order


@dataclass(frozen=True, slots=True)
class Namespace:
    """core/v1 Namespace."""

    name: str
    labels: Labels = frozenset()


@dataclass(frozen=True, slots=True)
class Secret:
    """core/v1 Secret, as far as a BGPPeer's passwordSecret needs it.

    Attributes:
        type: `kubernetes.io/basic-auth` is the only one that serves.
        password: the decoded key `password`; None when there is no such key.
    """

    name: ObjectName
    type: str
    password: str | None

    def __repr__(self) -> str:
        return f"Secret({self.name}, type={self.type})"  # never the password
