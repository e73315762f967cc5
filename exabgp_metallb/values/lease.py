"""A Service's hold on addresses. Kubernetes' own kind of that name is a CoordinationLease here."""

from collections.abc import Mapping
from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.labels import Labels
from exabgp_metallb.values.objects import ObjectName, ServicePort


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The addresses that one Service holds, and what decides who may share them.

    Attributes:
        addresses: one, or two of different families, in the order of the Service's status.
        pool: the pool that all of them are from.
        ports: the (protocol, port) pairs in use, sorted; no two holders of an address share one.
        sharing_key: "" when the Service shares with nobody.
        backend: the selector under externalTrafficPolicy Local, else empty; sharers have the same.
    """

    addresses: tuple[Address, ...]
    pool: str
    ports: tuple[ServicePort, ...] = ()
    sharing_key: str = ""
    backend: Labels = frozenset()


Leases = Mapping[ObjectName, Lease]
