"""Short forms of the objects that tests of the allocation speak of."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from exabgp_metallb.decisions.allocation.allocate import allocate
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
from exabgp_metallb.values.outcome import Outcome
from exabgp_metallb.values.reasons import Refused

TCP_80 = ServicePort("TCP", 80)
TCP_443 = ServicePort("TCP", 443)
UDP_80 = ServicePort("UDP", 80)

POLICIES = {
    "": FamilyPolicy.SINGLE_STACK,
    "prefer": FamilyPolicy.PREFER_DUAL_STACK,
    "require": FamilyPolicy.REQUIRE_DUAL_STACK,
}
CLUSTER = {4: ip_address("10.96.0.1"), 6: ip_address("fd00:96::1")}


def addresses(text: str) -> tuple[Address, ...]:
    """Return the addresses of a text: `192.0.2.1 2001:db8::1`."""
    return tuple(ip_address(each) for each in text.split())


def labels(text: str) -> Labels:
    """Return the labels of a text: `app=web tier=front`."""
    return frozenset((key, value) for key, _, value in (p.partition("=") for p in text.split()))


def selector(text: str) -> LabelSelector:
    """Return a selector by matchLabels."""
    return LabelSelector(match_labels=labels(text))


def span(text: str) -> AddressRange:
    """Return the range of a text: `192.0.2.1-192.0.2.9`, or of a single address."""
    first, _, last = text.partition("-")
    return AddressRange(ip_address(first), ip_address(last or first))


def pool(name: str, ranges: str, **fields: Any) -> Pool:  # noqa: ANN401 -- fields of Pool
    """Return a pool by its ranges: `192.0.2.1-192.0.2.9 2001:db8::1`."""
    return Pool(name=name, ranges=tuple(span(each) for each in ranges.split()), **fields)


def serving(**fields: Any) -> ServiceAllocation:  # noqa: ANN401 -- fields of ServiceAllocation
    """Return a serviceAllocation."""
    return ServiceAllocation(**fields)


def service(
    name: str = "web",
    *,
    ip: str = "4",
    has: str = "",
    asks: str = "",
    key: str = "",
    local: bool = False,
    dual: str = "",
    **fields: Any,  # noqa: ANN401 -- fields of Service
) -> Service:
    """Return a Service.

    Args:
        name: in namespace default, or `namespace/name`.
        ip: families of its clusterIPs, in order: `4`, `6`, `46`, `64`, or nothing.
        has: what its status shows.
        asks: addresses, or the name of a pool after an `@`: `192.0.2.1 @public`.
        key: its sharing key.
        local: externalTrafficPolicy Local.
        dual: the ipFamilyPolicy for short: `require`, `prefer`, or nothing for SingleStack.
        fields: of the Service itself.
    """
    namespace, _, rest = name.rpartition("/")
    words = asks.split()
    wish = AddressRequest(
        pool=next((word[1:] for word in words if word.startswith("@")), None),
        addresses=addresses(" ".join(word for word in words if not word.startswith("@"))),
        sharing_key=key,
        shares=bool(key),
    )
    made: dict[str, Any] = {
        "name": ObjectName(namespace or "default", rest),
        "cluster_ips": tuple(CLUSTER[int(digit)] for digit in ip),
        "family_policy": POLICIES[dual],
        "traffic_policy": TrafficPolicy.LOCAL if local else TrafficPolicy.CLUSTER,
        "ports": (TCP_80,),
        "request": wish,
        "ingress": addresses(has),
    }
    return Service(**(made | fields))


def name_of(text: str) -> ObjectName:
    """Return the name of a Service as `service` reads it."""
    return service(text).name


def by_name(services: Iterable[Service]) -> dict[ObjectName, Service]:
    """Return Services by name."""
    return {each.name: each for each in services}


def namespaces(**texts: str) -> dict[str, Namespace]:
    """Return Namespaces by name, each with the labels of its text."""
    return {name: Namespace(name, labels(text)) for name, text in texts.items()}


def decide(
    services: Iterable[Service], pools: Iterable[Pool], **known: str
) -> dict[ObjectName, Outcome]:
    """Decide everything at once; `known` are the namespaces."""
    return dict(allocate(by_name(services), pools, namespaces(**known)).outcomes)


def only(
    one: Service, pools: Iterable[Pool], others: Iterable[Service] = (), **known: str
) -> Outcome:
    """Decide everything at once and return the outcome of one Service."""
    return decide([*others, one], pools, **known)[one.name]


def held(outcome: Outcome) -> str:
    """Return the addresses of an outcome: `192.0.2.1 2001:db8::1`, empty when there are none."""
    return " ".join(str(each) for each in outcome.lease.addresses) if outcome.lease else ""


def refusal(outcome: Outcome) -> Refused:
    """Return why an outcome has no lease."""
    assert outcome.lease is None
    assert outcome.refused is not None
    return outcome.refused
