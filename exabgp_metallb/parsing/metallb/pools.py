"""IPAddressPool (metallb.io/v1beta1)."""

from collections.abc import Mapping

from exabgp_metallb.parsing.fields import Fields, shown
from exabgp_metallb.parsing.metadata import created, labels
from exabgp_metallb.parsing.scalars import address_range
from exabgp_metallb.parsing.selectors import selectors
from exabgp_metallb.values.addresses import AddressRange, address_order
from exabgp_metallb.values.intent import Pool, ServiceAllocation

INT32_MAX = 2**31 - 1


def pool(root: Fields) -> Pool:
    """Read an IPAddressPool."""
    metadata, spec = root.child("metadata"), root.child("spec")
    return Pool(
        name=root.report.ref.name,
        created=created(metadata),
        labels=labels(metadata),
        ranges=_ranges(spec),
        auto_assign=spec.boolean("autoAssign") is not False,
        avoid_buggy_ips=spec.flag("avoidBuggyIPs"),
        allocation=_allocation(spec),
    )


def _ranges(spec: Fields) -> tuple[AddressRange, ...]:
    spec.require("addresses", advice="write at least one CIDR or first-last range")
    ranges = spec.parsed_by_index("addresses", address_range)
    _refuse_overlaps(spec, ranges)
    return tuple(ranges.values())


def _refuse_overlaps(spec: Fields, ranges: Mapping[int, AddressRange]) -> None:
    """Refuse each range that has an address of another; told of the one that is written later."""
    texts = spec.sequence("addresses")
    reach: int | None = None  # of the ranges so far, by first address, the one that ends last
    for index in sorted(ranges, key=lambda index: address_order(ranges[index].first)):
        if reach is not None and ranges[index].first in ranges[reach]:
            earlier, later = sorted((index, reach))
            told = f"{shown(texts[later])}: overlaps {shown(texts[earlier])} in [{earlier}]"
            spec.fault_item("addresses", later, f"{told}: remove one")
        if reach is None or address_order(ranges[index].last) > address_order(ranges[reach].last):
            reach = index


def _allocation(spec: Fields) -> ServiceAllocation | None:
    """Read spec.serviceAllocation; an empty one still takes the pool out of the general set."""
    if not spec.has("serviceAllocation"):
        return None
    fields = spec.child("serviceAllocation")
    fields.distinct("namespaces")
    return ServiceAllocation(
        priority=fields.integer("priority", 0, INT32_MAX) or 0,
        namespaces=frozenset(fields.texts("namespaces")),
        namespace_selectors=selectors(fields, "namespaceSelectors"),
        service_selectors=selectors(fields, "serviceSelectors"),
        max_per_namespace=fields.integer("maxPerNamespace", 1, INT32_MAX),
    )
