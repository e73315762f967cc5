"""Which Nodes are read, and that nothing is told too early that needs the others."""

from threading import Thread

import pytest

from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, Put
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.node_scope import NodeScope
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.specs import Parsed
from tests.integration.manifests import (
    Object,
    advertisement,
    l2_advertisement,
    node,
    peer,
    pool,
    service,
)

KINDS = ("L2Advertisement", "ConfigMap", "BGPPeer", "BGPAdvertisement")
OVERTAKE_SECONDS = 0.2
RACK = [{"matchLabels": {"rack": "a"}}]
LEGACY: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "config", "namespace": "metallb-system"},
    "data": {"config": "address-pools: []"},
}


def parsed(raw: Object) -> Parsed:
    """Return an object as a watch tells it."""
    found = parse(raw)
    assert found is not None
    return found


def every_node() -> Listed:
    """Return a list of all Nodes."""
    return Listed(frozenset({"Node"}), tuple(parsed(node(name)) for name in ("node1", "node2")))


class Cluster:
    """What a scope has told, and what of Nodes it reads."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.read: list[NodeName | None] = []
        self.nodes: list[Listener] = []
        self.scope = NodeScope("node1", self.told.append, self._read)

    def _read(self, listener: Listener, only: NodeName | None) -> None:
        self.nodes.append(listener)
        self.read.append(only)

    def list(self, *objects: Object) -> None:
        """Tell of all objects of each kind in turn."""
        found = [*map(parsed, objects)]
        for kind in KINDS:
            ours = tuple(each for each in found if each.ref.kind == kind)
            self.scope.hear(Listed(frozenset({kind}), ours))


TOR = peer("tor", "192.0.2.1", asn=64512, peer_asn=64513)
BESIDE = (TOR, advertisement())


@pytest.fixture
def cluster() -> Cluster:
    """Return one without anything that needs other Nodes."""
    made = Cluster()
    made.list(*BESIDE)
    return made


ASKING_PEER = peer("rack", "192.0.2.1", asn=64512, peer_asn=64513, nodeSelectors=RACK)
ASKING = [
    pytest.param(l2_advertisement(), id="layer 2"),
    pytest.param(LEGACY, id="legacy"),
    pytest.param(ASKING_PEER, id="peer"),
    pytest.param(
        peer("bfd", "192.0.2.9", asn=64512, peer_asn=64513, nodeSelectors=RACK, bfdProfile="p"),
        id="profile",
    ),
    pytest.param(advertisement("rack", nodeSelectors=RACK, localPref=100), id="advertisement"),
]


def test_our_own_node_is_all_that_routes_need(cluster: Cluster) -> None:
    """It is read once it is known that nothing asks for more; what comes then changes nothing."""
    assert cluster.read == ["node1"]
    own = Listed(frozenset({"Node"}), (parsed(node("node1")),))
    cluster.nodes[0](own)
    rack = peer("rack", "192.0.2.9", asn=64512, peer_asn=64513, nodeSelectors=RACK)
    placed = advertisement("rack", nodeSelectors=RACK, communities=["64512:1"])
    anew = [pool("p", "192.0.2.0/24"), TOR, service("web"), rack, placed]
    later = [Put(parsed(each)) for each in anew]
    for event in later:
        cluster.scope.hear(event)
    assert cluster.told[-6:] == [own, *later]
    assert cluster.read == ["node1"]


def test_nothing_is_read_of_nodes_before_it_is_known() -> None:
    """An own Node that is told first would leave it alone among what stood in from disk."""
    cluster = Cluster()
    for kind in KINDS[1:]:
        cluster.scope.hear(Listed(frozenset({kind}), ()))
    cluster.scope.hear(Away("L2Advertisement", "forbidden"))
    assert cluster.read == []
    cluster.scope.hear(Listed(frozenset({KINDS[0]}), ()))
    assert cluster.read == ["node1"]


@pytest.mark.parametrize("asking", ASKING)
def test_what_needs_all_nodes_is_told_after_them(asking: Object) -> None:
    """At the start: the kind counts as not read until then."""
    cluster = Cluster()
    cluster.list(*BESIDE, asking)
    assert cluster.read == [None]
    asks = parsed(asking)
    assert not any(isinstance(e, Listed) and asks in e.objects for e in cluster.told)
    cluster.nodes[0](every_node())
    assert cluster.told.index(every_node()) < next(
        n for n, e in enumerate(cluster.told) if isinstance(e, Listed) and asks in e.objects
    )
    assert cluster.read == [None]
    listed = frozenset().union(*(e.kinds for e in cluster.told if isinstance(e, Listed)))
    assert listed == {*KINDS, "Node"}


@pytest.mark.parametrize("asking", ASKING)
def test_what_comes_to_need_all_nodes_waits_for_them(cluster: Cluster, asking: Object) -> None:
    """And what the watch on our own Node says after that is no news any more."""
    asks = parsed(asking)
    cluster.told.clear()
    cluster.scope.hear(Put(asks))
    cluster.scope.hear(Gone(asks.ref))
    cluster.scope.hear(Put(asks))
    cluster.scope.hear(Put(parsed(service("web"))))
    cluster.nodes[0](Listed(frozenset({"Node"}), (parsed(node("node1")),)))
    assert cluster.told == [Put(parsed(service("web")))]
    assert cluster.read == ["node1", None]
    cluster.nodes[1](every_node())
    assert cluster.told[1:] == [every_node(), Put(asks), Gone(asks.ref), Put(asks)]
    changed = Put(parsed(node("node2", "10.0.0.12")))
    cluster.nodes[1](changed)
    cluster.scope.hear(Gone(asks.ref))
    cluster.scope.hear(Put(asks))
    assert cluster.told[-3:] == [changed, Gone(asks.ref), Put(asks)]
    assert cluster.read == ["node1", None]


def test_what_has_changed_or_gone_asks_for_nothing(cluster: Cluster) -> None:
    """The older of two peers moves, and goes; what cannot be read is as it was."""
    moved = peer("tor", "192.0.2.2", asn=64512, peer_asn=64513)
    cluster.scope.hear(Put(parsed(moved)))
    cluster.scope.hear(Put(parsed(ASKING_PEER)))
    cluster.scope.hear(Gone(parsed(moved).ref))
    cluster.scope.hear(Put(parsed(peer("tor", "nonsense", asn=64512, peer_asn=64513))))
    cluster.scope.hear(Listed(frozenset({"BGPPeer"}), (parsed(TOR),)))
    assert cluster.read == ["node1"]
    cluster.scope.hear(Put(parsed(peer("tor", "nonsense", asn=64512, peer_asn=64513))))
    cluster.scope.hear(Put(parsed(ASKING_PEER)))
    assert cluster.read == ["node1", None]


def test_an_absence_of_our_own_node_ends_with_the_list_of_all(cluster: Cluster) -> None:
    """The watch that said it is gone and cannot take it back."""
    cluster.nodes[0](Away("Node", "away"))
    cluster.scope.hear(Put(parsed(l2_advertisement())))
    cluster.nodes[1](every_node())
    assert Back("Node") in cluster.told
    cluster.nodes[1](every_node())
    assert cluster.told.count(Back("Node")) == 1


def test_threads_that_overtake_each_other_end_with_all_nodes() -> None:
    """One finds that our own Node will do; before it has acted another kind asks for all."""
    cluster = Cluster()

    def overtaken(listener: Listener, only: NodeName | None) -> None:
        if only is not None:
            other.start()
            other.join(OVERTAKE_SECONDS)  # it may have to wait for us
        cluster.nodes.append(listener)
        cluster.read.append(only)

    cluster.scope = NodeScope("node1", cluster.told.append, overtaken)
    other = Thread(target=cluster.scope.hear, args=(Put(parsed(ASKING_PEER)),))
    cluster.list(*BESIDE)
    other.join()
    assert cluster.read == ["node1", None]


def test_other_absences_pass(cluster: Cluster) -> None:
    """They are of the kinds that were always read."""
    for event in (Away("Service", "away"), Back("Service")):
        cluster.scope.hear(event)
        assert cluster.told[-1] == event
    ref = ObjectRef("Service", "default", "web")
    cluster.scope.hear(Gone(ref))
    assert cluster.told[-1] == Gone(ref)
