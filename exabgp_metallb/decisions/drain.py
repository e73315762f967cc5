"""A node that is about to go makes its routes worse before it takes them back.

RFC 8326 section 4: announced with GRACEFUL_SHUTDOWN, and on iBGP with the lowest local preference,
a route loses to every other path while it still carries the traffic that is under way.
"""

from dataclasses import replace

from exabgp_metallb.values.intent import GRACEFUL_SHUTDOWN, Peer
from exabgp_metallb.values.rib import AdjRibOut, Attributes


def drained(rib: AdjRibOut, peer: Peer) -> AdjRibOut:
    """Return the first phase of a drain: the same prefixes, each as the last choice."""
    worst = {attributes: _worst(attributes, peer) for attributes in set(rib.values())}
    return {prefix: worst[attributes] for prefix, attributes in rib.items()}


def _worst(attributes: Attributes, peer: Peer) -> Attributes:
    communities = tuple(sorted({*attributes.communities, GRACEFUL_SHUTDOWN}))
    local_pref = 0 if peer.is_internal else None
    return replace(attributes, communities=communities, local_pref=local_pref)
