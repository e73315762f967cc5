"""Whether the Nodes that selectors pick may decide which of the resources stand.

The rules between resources that ask which Nodes two of them share (`admission`) find two at odds
only if they also would where every selector picked every Node. So where they would not even then,
it does not matter which Nodes there are.
"""

from collections import Counter
from collections.abc import Collection

from exabgp_metallb.parsing.intent.conflicts import preference
from exabgp_metallb.parsing.intent.neighbors import neighbor_of
from exabgp_metallb.values.intent import BgpAdvertisement, Peer


def depends_on_nodes(peers: Collection[Peer], advertisements: Collection[BgpAdvertisement]) -> bool:
    """Tell whether it may: True also where only more than these resources could tell."""
    spoken_to = Counter(map(neighbor_of, peers))
    if any(peer.node_selectors and spoken_to[neighbor_of(peer)] > 1 for peer in peers):
        return True
    placed = any(ad.node_selectors for ad in advertisements)
    if placed and len({preference(ad) for ad in advertisements}) > 1:
        return True
    placed = placed or any(peer.node_selectors for peer in peers)
    return placed and any(peer.bfd_profile for peer in peers)  # it may have echoMode
