"""BGPAdvertisement and L2Advertisement (metallb.io/v1beta1)."""

from exabgp_metallb.parsing.fields import Fields
from exabgp_metallb.parsing.metadata import created
from exabgp_metallb.parsing.metallb.communities import community_or_alias
from exabgp_metallb.parsing.scalars import interface
from exabgp_metallb.parsing.selectors import selector, selectors
from exabgp_metallb.values.intent import (
    BandwidthSource,
    BgpAdvertisement,
    Community,
    L2Advertisement,
    LargeCommunity,
    NodePreference,
)
from exabgp_metallb.values.specs import BgpAdvertisementSpec, L2AdvertisementSpec, PoolChoice

MAX_COMMUNITIES = 63
"""MetalLB's limit for one announcement."""

MAX_PREPEND = 10
"""What FRR and IOS take for `set as-path prepend last-as`; a path that long has lost already."""

_NO_POOLS: frozenset[str] = frozenset()  # they are looked up when all pools are known


def bgp_advertisement(root: Fields) -> BgpAdvertisementSpec:
    """Read a BGPAdvertisement; without a spec it is for all pools, nodes and peers."""
    spec = root.child("spec")
    spec.distinct("peers")
    communities = _communities(spec)
    advertisement = BgpAdvertisement(
        name=root.report.ref.name,
        created=created(root.child("metadata")),
        pools=_NO_POOLS,
        aggregation_v4=_length(spec, "aggregationLength", 32),
        aggregation_v6=_length(spec, "aggregationLengthV6", 128),
        local_pref=spec.integer("localPref", 0, 2**32 - 1) or None,
        med=spec.integer("med", 0, 2**32 - 1),
        as_path_prepend=spec.integer("asPathPrepend", 1, MAX_PREPEND) or 0,
        link_bandwidth=spec.parsed("linkBandwidth", _bandwidth_source),
        communities=tuple(sorted({c for c in communities if isinstance(c, Community)})),
        large_communities=tuple(sorted({c for c in communities if isinstance(c, LargeCommunity)})),
        node_selectors=selectors(spec, "nodeSelectors"),
        peers=frozenset(spec.texts("peers")),
        service_selectors=selectors(spec, "serviceSelectors"),
    )
    _refuse_partial_aggregates(spec, advertisement)
    aliases = tuple(c for c in communities if isinstance(c, str))
    return BgpAdvertisementSpec(advertisement, _choice(spec), aliases)


def _length(spec: Fields, key: str, bits: int) -> int:
    """Return an aggregation length: by default that of one address."""
    return spec.integer(key, 1, bits) or bits


def _bandwidth_source(text: str) -> BandwidthSource:
    try:
        return BandwidthSource(text)
    except ValueError:
        raise ValueError("write endpoints, or leave the field out") from None


def _communities(spec: Fields) -> list[Community | LargeCommunity | str]:
    spec.distinct("communities")
    found = spec.all_parsed("communities", community_or_alias)
    if len(found) > MAX_COMMUNITIES:
        told = f"{len(found)} communities: write at most {MAX_COMMUNITIES}"
        spec.fault("communities", told)
    return found


def _refuse_partial_aggregates(spec: Fields, advertisement: BgpAdvertisement) -> None:
    """Refuse serviceSelectors with an aggregate, which would carry Services not selected."""
    lengths = (advertisement.aggregation_v4, advertisement.aggregation_v6)
    if advertisement.service_selectors and lengths != (32, 128):
        spec.fault(
            "serviceSelectors",
            "an aggregate would hold other Services too: remove the selectors, or "
            "aggregationLength and aggregationLengthV6",
        )


def l2_advertisement(root: Fields) -> L2AdvertisementSpec:
    """Read an L2Advertisement; without a spec it is for all pools, nodes and interfaces."""
    spec = root.child("spec")
    advertisement = L2Advertisement(
        name=root.report.ref.name,
        created=created(root.child("metadata")),
        pools=_NO_POOLS,
        node_selectors=selectors(spec, "nodeSelectors"),
        interfaces=frozenset(spec.all_parsed("interfaces", interface)),
        service_selectors=selectors(spec, "serviceSelectors"),
        preferences=tuple(_preference(f) for f in spec.children("preferredNodeSelectors")),
    )
    return L2AdvertisementSpec(advertisement, _choice(spec))


def _preference(fields: Fields) -> NodePreference:
    fields.require("preference", "weight")  # a preference of {} is right: all nodes
    weight = fields.integer("weight", 1, 100)
    return NodePreference(weight or 1, selector(fields.child("preference")))


def _choice(spec: Fields) -> PoolChoice:
    spec.distinct("ipAddressPools")
    return PoolChoice(spec.texts("ipAddressPools"), selectors(spec, "ipAddressPoolSelectors"))
