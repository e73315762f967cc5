"""IPv6 prefixes and echo mode of BFD do not go together (MetalLB, reference 6 item 22).

FRR's bfdd, which does BFD for us as it does for MetalLB, has no echo for IPv6. The rule is broken
by three together: a pool with IPv6, an advertisement of it, and a peer that hears the advertisement
and has a BFDProfile with echoMode. Whichever comes last is refused.
"""

from collections.abc import Iterable, Mapping

from exabgp_metallb.parsing.intent.conflicts import Nodes, Placed, share
from exabgp_metallb.parsing.intent.resources import Problem
from exabgp_metallb.parsing.intent.scopes import Scope
from exabgp_metallb.values.addresses import Family
from exabgp_metallb.values.intent import BfdProfile, Peer, Pool

_EVERY = ""  # no peer is named so


class Echo:
    """The peers with echo mode that stand, and the advertisements that may reach them."""

    def __init__(self, profiles: Mapping[str, BfdProfile]) -> None:
        self._profiles = {name for name, profile in profiles.items() if profile.echo_mode}
        self._peers: dict[str, tuple[Peer, Nodes]] = {}
        self._heard: dict[str, list[tuple[Placed, Scope]]] = {}  # by peer that hears it

    def pool_problem(self, new: Pool, scopes: Iterable[Scope]) -> Problem | None:
        """Tell why a pool cannot stand, given the scopes that hold it."""
        ranges = enumerate(new.ranges)
        index = next((i for i, r in ranges if r.family is Family.IPV6), None)
        if index is None or not self._peers:
            return None
        for scope in scopes:
            for placed in scope.audiences.values():
                peer = self._reached(placed)
                if peer is not None:
                    return Problem(
                        f"spec.addresses[{index}]",
                        f"BGPAdvertisement {placed.advertisement.name} brings IPv6 addresses to "
                        f"BGPPeer {peer.name}, {_advice(peer)}",
                    )
        return None

    def advertisement_problem(self, new: Placed, scope: Scope) -> Problem | None:
        """Tell why an advertisement cannot stand."""
        need = scope.tightest.get(Family.IPV6)
        peer = self._reached(new) if need else None
        if need is None or peer is None:
            return None
        message = (
            f"brings the IPv6 addresses of IPAddressPool {need.pool} to BGPPeer {peer.name}, "
            f"{_advice(peer)}"
        )
        return Problem("spec.peers", message)

    def peer_problem(self, new: Peer, nodes: Nodes) -> Problem | None:
        """Tell why a peer cannot stand."""
        if new.bfd_profile not in self._profiles:
            return None
        for placed, scope in (*self._heard.get(_EVERY, ()), *self._heard.get(new.name, ())):
            need = scope.tightest.get(Family.IPV6)
            if need and share(placed.nodes, nodes):
                return Problem(
                    "spec.bfdProfile",
                    f"BGPAdvertisement {placed.advertisement.name} brings the IPv6 addresses of "
                    f"IPAddressPool {need.pool} to this peer, {_advice(new)}",
                )
        return None

    def take_peer(self, peer: Peer, nodes: Nodes) -> None:
        """Note a peer that stands."""
        if peer.bfd_profile in self._profiles:
            self._peers[peer.name] = (peer, nodes)

    def take_advertisement(self, placed: Placed, scope: Scope) -> None:
        """Note an advertisement that stands."""
        for name in placed.advertisement.peers or (_EVERY,):
            self._heard.setdefault(name, []).append((placed, scope))

    def _reached(self, placed: Placed) -> Peer | None:
        """Return a peer with echo mode that hears an advertisement."""
        named = placed.advertisement.peers
        names = sorted(named & self._peers.keys()) if named else self._peers
        for name in names:
            peer, nodes = self._peers[name]
            if share(placed.nodes, nodes):
                return peer
        return None


def _advice(peer: Peer) -> str:
    return (
        f"whose BFDProfile {peer.bfd_profile} has echoMode, which is for IPv4 only: turn echoMode "
        "off, or keep IPv6 from this peer by the advertisement's pools or peers"
    )
