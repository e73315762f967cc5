"""Short ways to write resources as `parsing` reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Protocol, TypeVar

from exabgp_metallb.parsing.intent.resolve import Resolved, Specs, resolve
from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BfdProfile,
    BgpAdvertisement,
    Community,
    L2Advertisement,
    LargeCommunity,
    Peer,
    Pool,
)
from exabgp_metallb.values.labels import Labels, LabelSelector
from exabgp_metallb.values.objects import (
    Endpoint,
    EndpointSlice,
    Namespace,
    Node,
    ObjectName,
    Secret,
    Service,
)
from exabgp_metallb.values.specs import (
    BgpAdvertisementSpec,
    CommunitySpec,
    L2AdvertisementSpec,
    LegacyConfig,
    Parsed,
    PeerSpec,
    PoolChoice,
    Value,
)

NAMESPACE = "metallb-system"


def labels(**pairs: str) -> Labels:
    """Return labels."""
    return frozenset(pairs.items())


def select(**pairs: str) -> LabelSelector:
    """Return a selector by matchLabels."""
    return LabelSelector(match_labels=labels(**pairs))


def span(text: str) -> AddressRange:
    """Return the range of a CIDR or of `first-last`."""
    if "-" in text:
        first, last = text.split("-")
        return AddressRange(ip_address(first), ip_address(last))
    network = ip_network(text)
    return AddressRange(network[0], network[-1])


def pool(name: str, *addresses: str, created: str = "", **pairs: str) -> Pool:
    """Return a pool; further words are its labels."""
    ranges = tuple(map(span, addresses))
    return Pool(name=name, created=created, ranges=ranges, labels=labels(**pairs))


def peer(  # noqa: PLR0913 -- one word for each field that tests set
    name: str,
    address: str = "198.51.100.1",
    *,
    secret: str | None = None,
    created: str = "",
    on: Iterable[LabelSelector] = (),
    bfd: str | None = None,
    vrf: str | None = None,
    interface: str | None = None,
) -> PeerSpec:
    """Return a peer of AS 64512."""
    made = Peer(
        name=name,
        created=created,
        my_asn=64512,
        peer_asn=64512,
        address=None if interface else ip_address(address),
        interface=interface,
        node_selectors=tuple(on),
        bfd_profile=bfd,
        vrf=vrf,
    )
    return PeerSpec(made, ObjectName(NAMESPACE, secret) if secret else None)


def bgp(  # noqa: PLR0913 -- one word for each field that tests set
    name: str,
    *pools: str,
    selectors: Iterable[LabelSelector] = (),
    aliases: Iterable[str] = (),
    communities: Iterable[Community] = (),
    created: str = "",
    on: Iterable[LabelSelector] = (),
    to: Iterable[str] = (),
    pref: int | None = None,
    med: int | None = None,
    prepend: int = 0,
    bandwidth: BandwidthSource | None = None,
    length: int = 32,
    length6: int = 128,
    services: Iterable[LabelSelector] = (),
) -> BgpAdvertisementSpec:
    """Return a BGPAdvertisement of pools by name and by selector."""
    made = BgpAdvertisement(
        name=name,
        created=created,
        pools=frozenset(),
        aggregation_v4=length,
        aggregation_v6=length6,
        local_pref=pref,
        med=med,
        as_path_prepend=prepend,
        link_bandwidth=bandwidth,
        communities=tuple(communities),
        node_selectors=tuple(on),
        peers=frozenset(to),
        service_selectors=tuple(services),
    )
    return BgpAdvertisementSpec(made, PoolChoice(pools, tuple(selectors)), tuple(aliases))


def l2(
    name: str, *pools: str, selectors: Iterable[LabelSelector] = (), created: str = ""
) -> L2AdvertisementSpec:
    """Return an L2Advertisement."""
    made = L2Advertisement(name=name, created=created, pools=frozenset())
    return L2AdvertisementSpec(made, PoolChoice(pools, tuple(selectors)))


def community(name: str, created: str = "", **aliases: Community | LargeCommunity) -> CommunitySpec:
    """Return a Community."""
    return CommunitySpec(name, created, tuple(aliases.items()))


def secret(
    name: str, value: str | None = "s3cr3t", kind: str = "kubernetes.io/basic-auth"
) -> Secret:
    """Return a Secret."""
    return Secret(ObjectName(NAMESPACE, name), kind, value)


def node(name: str, **pairs: str) -> Node:
    """Return a Node; further words are its labels."""
    return Node(name=name, labels=labels(**pairs))


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def by_name(objects: Iterable[N]) -> Mapping[str, N]:
    """Return objects by their names."""
    return {o.name: o for o in objects}


def specs(  # noqa: PLR0913 -- one word for each field that tests set
    *,
    pools: Iterable[Pool] = (),
    peers: Iterable[PeerSpec] = (),
    bgp: Iterable[BgpAdvertisementSpec] = (),
    l2: Iterable[L2AdvertisementSpec] = (),
    communities: Iterable[CommunitySpec] = (),
    profiles: Iterable[BfdProfile] = (),
    secrets: Iterable[Secret] = (),
    nodes: Iterable[Node] = (),
) -> Specs:
    """Return everything that `resolve` takes; the order given is the order of its mappings."""
    return Specs(
        pools=by_name(pools),
        peers={spec.peer.name: spec for spec in peers},
        bgp_advertisements={spec.advertisement.name: spec for spec in bgp},
        l2_advertisements={spec.advertisement.name: spec for spec in l2},
        communities=by_name(communities),
        bfd_profiles=by_name(profiles),
        secrets={s.name.name: s for s in secrets},
        nodes=by_name(nodes),
    )


def places(faults: Iterable[Fault]) -> list[tuple[str, str]]:
    """Return kind and name, and field, of each fault."""
    return [(f"{f.object.kind}/{f.object.name}", f.field) for f in faults]


def resolved(**objects: Iterable[object]) -> Resolved:
    """Resolve objects by kind, as `specs` takes them."""
    return resolve(specs(**objects))  # type: ignore[arg-type]  # the words are those of `specs`


KIND_OF: Mapping[type, str] = {
    Pool: "IPAddressPool",
    PeerSpec: "BGPPeer",
    BgpAdvertisementSpec: "BGPAdvertisement",
    L2AdvertisementSpec: "L2Advertisement",
    CommunitySpec: "Community",
    BfdProfile: "BFDProfile",
    Secret: "Secret",
    LegacyConfig: "ConfigMap",
    Service: "Service",
    EndpointSlice: "EndpointSlice",
    Node: "Node",
    Namespace: "Namespace",
}


def ref_of(value: Value, namespace: str = NAMESPACE) -> ObjectRef:
    """Return how messages name a value."""
    kind = KIND_OF[type(value)]
    if isinstance(value, Service | EndpointSlice | Secret):
        return ObjectRef(kind, value.name.namespace, value.name.name)
    if isinstance(value, Node | Namespace):
        return ObjectRef(kind, "", value.name)
    if isinstance(value, PeerSpec):
        return ObjectRef(kind, namespace, value.peer.name)
    if isinstance(value, BgpAdvertisementSpec | L2AdvertisementSpec):
        return ObjectRef(kind, namespace, value.advertisement.name)
    return ObjectRef(kind, namespace, "config" if isinstance(value, LegacyConfig) else value.name)


def parsed(value: Value, namespace: str = NAMESPACE) -> Parsed:
    """Return a value as a source tells it."""
    return Parsed(ref_of(value, namespace), value)


def spoiled(value: Value, message: str = "nonsense") -> Parsed:
    """Return the object of a value after an edit that made it nonsense."""
    ref = ref_of(value)
    return Parsed(ref, None, (Fault(ref, "spec", message),))


def service(name: str = "web", ingress: Iterable[str] = (), **more: object) -> Service:
    """Return a Service of type LoadBalancer."""
    made = Service(name=ObjectName("default", name), ingress=tuple(ip_address(a) for a in ingress))
    return replace(made, **more)  # type: ignore[arg-type]  # the fields of a Service


def slice_of(name: str, of: str, *endpoints: Endpoint) -> EndpointSlice:
    """Return a slice of a Service."""
    return EndpointSlice(ObjectName("default", name), ObjectName("default", of), endpoints)


def endpoint(node: str | None, *, ready: bool | None = True) -> Endpoint:
    """Return an endpoint on a node."""
    return Endpoint(1, node=node, ready=ready)
