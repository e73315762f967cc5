"""Which of the resources stand, where some are at odds with others.

Pools, peers and advertisements are taken in one after another, the oldest first, and each is
checked against those that stand. One that is at odds with them is refused and is from then on as if
it had never been. So the older of two stands, a refused object refuses no other, and the outcome is
what MetalLB would hold had the objects been created one by one: it keeps its last good
configuration, too, when a new object spoils it. Of the same age (files need not have a
creationTimestamp) pools come first, then peers, then advertisements, each by name.

The rules are those of reference 6 that need more than one object:

    10  IPAddressPool     shares addresses with a pool
    20  BGPAdvertisement  announces shorter prefixes than a pool's ranges have room for
    21  BGPAdvertisement  gives the prefixes of a pool another localPref, med or
                          asPathPrepend (`conflicts`)
    22  BGPAdvertisement  brings a pool with IPv6 to a peer whose BFDProfile has echoMode: bfdd has
                          no echo for IPv6
    19  BGPAdvertisement  says the same as another
    34  BGPPeer           says the same as another
    42  BGPPeer           has the address, or the interface, and the VRF of another on some node

20, 21 and 22 are broken as well by a pool, and 22 by a peer, that is younger than the rest.

Two rules of MetalLB's FRR mode are not here, since ExaBGP keeps router id and AS for each neighbor:
41 (peers of a node with different routerID) and 43 (with different myASN in one VRF).
"""

from collections.abc import Iterable
from dataclasses import replace

from exabgp_metallb.parsing.intent.conflicts import Nodes, Placed
from exabgp_metallb.parsing.intent.echo import Echo
from exabgp_metallb.parsing.intent.neighbors import TakenNeighbors
from exabgp_metallb.parsing.intent.overlaps import TakenRanges
from exabgp_metallb.parsing.intent.resources import Problem, Specs
from exabgp_metallb.parsing.intent.scopes import Scopes
from exabgp_metallb.parsing.intent.selection import LabelIndex
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.intent import BgpAdvertisement, Peer, Pool
from exabgp_metallb.values.labels import LabelSelector

_TURNS = {Pool: 0, Peer: 1, BgpAdvertisement: 2}  # who comes first of the same age


class Admission:
    """What stands so far.

    Attributes:
        pools: by name.
        peers: by name.
        advertisements: by name; their `pools` are not filled in yet.
        faults: of the refused, in order of age.
    """

    def __init__(self, specs: Specs, scopes: Scopes) -> None:
        self.pools: dict[str, Pool] = {}
        self.peers: dict[str, Peer] = {}
        self.advertisements: dict[str, BgpAdvertisement] = {}
        self.faults: list[Fault] = []
        self._specs = specs
        self._scopes = scopes
        self._nodes = LabelIndex({name: node.labels for name, node in specs.nodes.items()})
        self._ranges = TakenRanges()
        self._neighbors = TakenNeighbors()
        self._echo = Echo(specs.bfd_profiles)
        self._same: dict[object, str] = {}

    def admit(self, newcomers: Iterable[Pool | Peer | BgpAdvertisement]) -> None:
        """Take in all that can stand. An advertisement's choice of pools is in the specs."""
        for new in sorted(newcomers, key=lambda n: (n.created, _TURNS[type(n)], n.name)):
            if isinstance(new, Pool):
                self._admit_pool(new)
            elif isinstance(new, Peer):
                self._admit_peer(new)
            else:
                self._admit_advertisement(new)

    def _admit_pool(self, new: Pool) -> None:
        scopes = self._scopes.covering(new.name)
        problem = (
            self._ranges.problem(new)
            or self._echo.pool_problem(new, scopes)
            or self._scopes.pool_problem(new)
        )
        if self._refused("IPAddressPool", new.name, problem):
            return
        self.pools[new.name] = new
        self._ranges.take(new)
        self._scopes.take_pool(new)

    def _admit_peer(self, new: Peer) -> None:
        nodes = self._nodes_of(new.node_selectors)
        problem = self._neighbors.problem(new, nodes) or self._echo.peer_problem(new, nodes)
        if self._refused("BGPPeer", new.name, problem):
            return
        self.peers[new.name] = new
        self._neighbors.take(new, nodes)
        self._echo.take_peer(new, nodes)

    def _admit_advertisement(self, new: BgpAdvertisement) -> None:
        choice = self._specs.bgp_advertisements[new.name].choice
        scope = self._scopes.of(choice)
        placed = Placed(len(self.advertisements), new, self._nodes_of(new.node_selectors))
        words = (
            replace(new, name="", created=""),
            frozenset(choice.names),
            frozenset(choice.selectors),
        )
        problem = (
            self._same_problem(words)
            or scope.advertisement_problem(placed)
            or self._echo.advertisement_problem(placed, scope)
        )
        if self._refused("BGPAdvertisement", new.name, problem):
            return
        self.advertisements[new.name] = new
        self._same[words] = new.name
        scope.take_advertisement(placed)
        self._echo.take_advertisement(placed, scope)

    def _same_problem(self, words: object) -> Problem | None:
        if words not in self._same:
            return None
        message = f"says the same as BGPAdvertisement {self._same[words]}: delete one of the two"
        return Problem("", message)

    def _refused(self, kind: str, name: str, problem: Problem | None) -> bool:
        """Note why an object cannot stand, and tell whether there is a reason."""
        if problem is None:
            return False
        ref = self._specs.ref(kind, name)
        self.faults.append(Fault(ref, problem.field, problem.message))
        return True

    def _nodes_of(self, selectors: tuple[LabelSelector, ...]) -> Nodes:
        if not selectors or not self._specs.nodes:
            return None
        picked = self._nodes.pick(selectors)
        return None if picked is self._nodes.everything else picked
