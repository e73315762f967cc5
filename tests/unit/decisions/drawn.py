"""Hypothesis strategies for the allocation. Small on purpose: what collides, teaches.

Seven addresses, three pools, two namespaces with four Services each: most Services want one
address, and there are not enough for all.
"""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import strategies as st

from exabgp_metallb.values.addresses import Address, AddressRange
from exabgp_metallb.values.intent import Pool, ServiceAllocation
from exabgp_metallb.values.labels import Labels, LabelSelector
from exabgp_metallb.values.objects import (
    AddressRequest,
    FamilyPolicy,
    Namespace,
    ObjectName,
    Service,
    ServicePort,
    TrafficPolicy,
)

POOL_ADDRESSES: tuple[Address, ...] = (
    *(ip_address("10.0.0.254") + n for n in range(4)),  # .255 and .0 among them
    *(ip_address("fd00::1") + n for n in range(3)),
)
"""The addresses that pools and requests are about."""

POOL_NAMES = ("a", "b", "c")
NAMESPACES = ("left", "right")
SERVICE_NAMES = tuple(ObjectName(space, name) for space in NAMESPACES for name in "wxyz")

label_sets: st.SearchStrategy[Labels] = st.sampled_from(
    [frozenset(), frozenset({("app", "web")}), frozenset({("app", "db")})]
)
selectors = st.builds(LabelSelector, match_labels=label_sets)

service_allocations = st.builds(
    ServiceAllocation,
    priority=st.integers(0, 2),
    namespaces=st.sets(st.sampled_from(NAMESPACES), max_size=1).map(frozenset),
    namespace_selectors=st.lists(selectors, max_size=1).map(tuple),
    service_selectors=st.lists(selectors, max_size=1).map(tuple),
    max_per_namespace=st.sampled_from([None, None, 0, 1, 2]),
)
quotas = st.builds(ServiceAllocation, max_per_namespace=st.integers(0, 2))


@st.composite
def pool_sets(draw: st.DrawFn) -> tuple[Pool, ...]:
    """Draw up to three pools that share out the small universe of addresses."""
    owner = st.sampled_from([*POOL_NAMES, "a", "a", None])
    owners = draw(st.tuples(*(owner for _ in POOL_ADDRESSES)))
    pools = []
    for name in POOL_NAMES:
        own = [a for a, owner in zip(POOL_ADDRESSES, owners, strict=True) if owner == name]
        if own:
            spans = [AddressRange(address, address) for address in own]
            pools.append(
                Pool(
                    name=name,
                    ranges=tuple(reversed(spans) if draw(st.booleans()) else spans),
                    auto_assign=draw(st.sampled_from([True, True, False])),
                    avoid_buggy_ips=draw(st.sampled_from([False, False, True])),
                    allocation=draw(st.none() | st.none() | quotas | service_allocations),
                )
            )
    return tuple(pools)


namespace_sets: st.SearchStrategy[Mapping[str, Namespace]] = st.dictionaries(
    st.sampled_from(NAMESPACES), label_sets, max_size=2
).map(lambda drawn: {name: Namespace(name, its) for name, its in drawn.items()})

_CLUSTER_4, _CLUSTER_6 = ip_address("10.96.0.1"), ip_address("fd00:96::1")
cluster_ips = st.sampled_from(
    [
        *[(_CLUSTER_4,)] * 8,
        *[(_CLUSTER_6,)] * 4,
        *[(_CLUSTER_4, _CLUSTER_6)] * 5,
        *[(_CLUSTER_6, _CLUSTER_4)] * 2,
        (),
    ]
)

_V4 = st.sampled_from([a for a in POOL_ADDRESSES if a.version == 4])
_V6 = st.sampled_from([a for a in POOL_ADDRESSES if a.version == 6])
address_sets = st.one_of(
    st.just(()), st.tuples(_V4), st.tuples(_V6), st.tuples(_V4, _V6), st.tuples(_V6, _V4)
)

address_requests = st.builds(
    AddressRequest,
    pool=st.sampled_from([*[None] * 16, *POOL_NAMES, "nowhere"]),
    addresses=st.one_of(*[st.just(())] * 3, address_sets),
    sharing_key=st.sampled_from(["", "", "j", "k", "k"]),
    fault=st.sampled_from([None] * 19 + ["it cannot be read"]),
)

_TCP, _TLS, _UDP = ServicePort("TCP", 80), ServicePort("TCP", 443), ServicePort("UDP", 80)
service_ports = st.sampled_from([(_TCP,), (_TCP,), (_TLS,), (_UDP,), (_TLS, _TCP), (_TCP, _UDP)])

plain_services = st.builds(
    Service,
    name=st.sampled_from(SERVICE_NAMES),
    created=st.sampled_from(["1", "2", "3"]),
    cluster_ips=st.sampled_from([(_CLUSTER_4,), (_CLUSTER_4,), (_CLUSTER_4, _CLUSTER_6)]),
    family_policy=st.sampled_from(FamilyPolicy),
    ports=service_ports,
    request=st.builds(AddressRequest, sharing_key=st.sampled_from(["", "k", "k"])),
)
"""Services that ask for nothing special, and often share."""

odd_services = st.builds(
    Service,
    name=st.sampled_from(SERVICE_NAMES),
    created=st.sampled_from(["1", "2", "3"]),
    labels=label_sets,
    is_load_balancer=st.sampled_from([True] * 19 + [False]),
    cluster_ips=cluster_ips,
    family_policy=st.sampled_from(
        [
            FamilyPolicy.SINGLE_STACK,
            *[FamilyPolicy.PREFER_DUAL_STACK] * 2,
            FamilyPolicy.REQUIRE_DUAL_STACK,
        ]
    ),
    traffic_policy=st.sampled_from(TrafficPolicy),
    ports=service_ports,
    selector=label_sets,
    request=address_requests,
)

services = plain_services | odd_services
"""Services without a status."""

services_with_status = st.builds(
    lambda service, ingress: replace(service, ingress=ingress), services, address_sets
)
"""Services whose status shows anything at all."""
