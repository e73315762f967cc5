"""BFDProfile (metallb.io/v1beta1)."""

from exabgp_metallb.parsing.fields import Fields
from exabgp_metallb.parsing.metadata import created
from exabgp_metallb.values.intent import BfdProfile

_INTERVAL = (10, 60_000)  # milliseconds; the schema's, and what bfdd takes


def bfd_profile(root: Fields) -> BfdProfile:
    """Read a BFDProfile; without a spec all is FRR's default."""
    spec = root.child("spec")
    return BfdProfile(
        name=root.report.ref.name,
        created=created(root.child("metadata")),
        receive_ms=spec.integer("receiveInterval", *_INTERVAL),
        transmit_ms=spec.integer("transmitInterval", *_INTERVAL),
        detect_multiplier=spec.integer("detectMultiplier", 2, 255),
        echo_ms=spec.integer("echoInterval", *_INTERVAL),
        echo_mode=spec.flag("echoMode"),
        passive_mode=spec.flag("passiveMode"),
        minimum_ttl=spec.integer("minimumTtl", 1, 254),
    )
