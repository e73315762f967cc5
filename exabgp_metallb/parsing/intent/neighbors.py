"""One session to an address: which BGPPeers cannot stand side by side (reference 6, 34 and 42).

Peers that have one address, or one interface, and one VRF may not share a node. Those that stand
share none, so a node of such a group has one peer, and a new one need only look up its own nodes.
"""

from dataclasses import dataclass, field, replace

from exabgp_metallb.parsing.fields import shown
from exabgp_metallb.parsing.intent.conflicts import Nodes
from exabgp_metallb.parsing.intent.resources import Problem
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.intent import Peer

Neighbor = tuple[Address | None, str | None, str | None]
"""Address, interface, VRF."""


@dataclass(slots=True)
class _Group:
    """The peers of one neighbor, in order of age.

    Attributes:
        on_all: the one that has all nodes; no other has any then.
    """

    on_all: Peer | None = None
    by_node: dict[str, Peer] = field(default_factory=dict)

    def clash(self, nodes: Nodes) -> tuple[Peer, str] | None:
        """Return the oldest peer on one of these nodes, and the node ("" for all of them)."""
        if nodes == frozenset():
            return None
        if self.on_all is not None:
            return self.on_all, "" if nodes is None else min(nodes)
        shared = sorted(self.by_node if nodes is None else nodes & self.by_node.keys())
        if not shared:
            return None
        node = min(shared, key=lambda n: (self.by_node[n].created, self.by_node[n].name))
        return self.by_node[node], node


class TakenNeighbors:
    """The neighbors that the peers which stand speak to."""

    def __init__(self) -> None:
        self._groups: dict[Neighbor, _Group] = {}
        self._same: dict[Peer, str] = {}

    def problem(self, new: Peer, nodes: Nodes) -> Problem | None:
        """Tell why a peer cannot stand."""
        twin = self._same.get(_nameless(new))
        if twin is not None:
            return Problem("", f"says the same as BGPPeer {twin}: delete one of the two")
        group = self._groups.get(neighbor_of(new))
        clash = group.clash(nodes) if group else None
        if clash is None:
            return None
        other, node = clash
        what = f"address {new.address}" if new.address else f"interface {shown(new.interface)}"
        vrf = f" in VRF {shown(new.vrf)}" if new.vrf else ""
        return Problem(
            "spec.peerAddress" if new.address else "spec.interface",
            f"{what}{vrf} is that of BGPPeer {other.name} already, "
            f"{f'on node {node}' if node else 'on all nodes'}: "
            "delete one of the two, or give them nodeSelectors that share no node",
        )

    def take(self, peer: Peer, nodes: Nodes) -> None:
        """Note a peer that stands."""
        self._same[_nameless(peer)] = peer.name
        group = self._groups.setdefault(neighbor_of(peer), _Group())
        if nodes is None:
            group.on_all = peer
        else:
            group.by_node.update(dict.fromkeys(nodes, peer))


def neighbor_of(peer: Peer) -> Neighbor:
    """Return what a node has one session with."""
    return peer.address, peer.interface, peer.vrf


def _nameless(peer: Peer) -> Peer:
    return replace(peer, name="", created="")
