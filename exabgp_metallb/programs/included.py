"""The neighbors of somebody else's exabgp.conf, which are served as they stand there.

They take the place of the BGPPeers, which are not used in this mode. A BGPAdvertisement names them
by address, or by the description that they have there.
"""

from dataclasses import replace

from exabgp_metallb.adapters.exabgp.neighbors import ConfiguredNeighbor
from exabgp_metallb.values.intent import Intent


class IncludedNeighbors:
    """The neighbors that are for us, as ExaBGP showed them last.

    Args:
        process: our name in the process sections of that exabgp.conf.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._shown: tuple[ConfiguredNeighbor, ...] | None = None

    def found(self, neighbors: tuple[ConfiguredNeighbor, ...]) -> bool:
        """Take what ExaBGP shows; return whether that differs from what it showed before."""
        before, self._shown = self._shown, neighbors
        return neighbors != before

    def adapt(self, intent: Intent) -> Intent:
        """Put the neighbors in the place of the BGPPeers."""
        neighbors = [n for n in self._shown or () if self._process in n.processes]
        names = {n.description: str(n.address) for n in neighbors if n.description}
        advertisements = tuple(
            replace(ad, peers=frozenset(names.get(peer, peer) for peer in ad.peers))
            for ad in intent.bgp_advertisements
        )
        peers = tuple(n.as_peer() for n in neighbors)
        return replace(intent, peers=peers, bgp_advertisements=advertisements)
