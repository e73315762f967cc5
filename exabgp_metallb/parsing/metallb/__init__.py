"""The resources of group metallb.io: one module for each kind, or for two that are alike.

Every field of MetalLB's schemas is read and every rule kept that one object alone can show, whether
it stands in the schema, in a CEL rule or in MetalLB's own parser.
"""

from collections.abc import Callable, Mapping

from exabgp_metallb.parsing.fields import Fields, Report, StrictFields
from exabgp_metallb.parsing.metadata import check, identity
from exabgp_metallb.parsing.metallb.advertisements import bgp_advertisement, l2_advertisement
from exabgp_metallb.parsing.metallb.bfd import bfd_profile
from exabgp_metallb.parsing.metallb.communities import community_spec
from exabgp_metallb.parsing.metallb.peers import peer
from exabgp_metallb.parsing.metallb.pools import pool
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed, Value

GROUP = "metallb.io"
V1BETA1 = f"{GROUP}/v1beta1"
V1BETA2 = f"{GROUP}/v1beta2"

READERS: Mapping[tuple[str, str], Callable[[Fields], Value]] = {
    (V1BETA1, "IPAddressPool"): pool,
    (V1BETA1, "BGPPeer"): peer,
    (V1BETA2, "BGPPeer"): peer,
    (V1BETA1, "BGPAdvertisement"): bgp_advertisement,
    (V1BETA1, "L2Advertisement"): l2_advertisement,
    (V1BETA1, "Community"): community_spec,
    (V1BETA1, "BFDProfile"): bfd_profile,
}
"""By apiVersion and kind."""


def resource(raw: object, ref: ObjectRef, reader: Callable[[Fields], Value]) -> Parsed:
    """Read one resource: all its faults, and a warning for each field that nobody knows."""
    report = Report(ref)
    root = StrictFields(raw, report)
    for key in ("apiVersion", "kind", "status"):
        root.get(key)
    check(root)
    value = reader(root)
    root.child("metadata").names()  # Kubernetes' own: all are known
    report.warn_of_unknown()
    faults = tuple(report.faults)
    uid = identity(raw)[1] if ref.kind == "BGPPeer" else ""  # Events are about it
    return Parsed(ref, None if faults else value, faults, tuple(report.warnings), uid=uid)
