"""Which Nodes a speaker reads of a cluster: its own, and all of them once an object asks for that.

Every Node reports its status every few minutes, so speakers that all watch all Nodes cost the API
nodes x nodes. Two things need more than the own Node:

- who answers on layer 2 is elected among all Nodes (L2Advertisement);
- which of two BGPPeers or BGPAdvertisements at odds stands is decided for the whole cluster, by the
  Nodes that their `nodeSelectors` pick (`parsing.intent.placement`).

The legacy ConfigMap may stand for either. The objects are asked and not the machine, for a
responder may be started at any time, and a node that knows of no other candidate would answer for
every address. So what asks is told only after all Nodes are, and the first Node only after it is
known whether anything asks. Who has begun to read all Nodes goes on with it: an L2Advertisement
that is deleted and made anew would otherwise have every speaker list every Node again.
"""

from collections.abc import Callable, Iterable
from threading import Lock

from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, Put
from exabgp_metallb.parsing.intent.placement import depends_on_nodes
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.specs import BgpAdvertisementSpec, Parsed, PeerSpec

NODE = "Node"
_ALWAYS = frozenset({"ConfigMap", "L2Advertisement"})
_MAY_ASK = _ALWAYS | {"BGPAdvertisement", "BGPPeer"}

ReadNodes = Callable[[Listener, NodeName | None], None]
"""Begins to read the Node of a name, or all (None), in place of what was read of Nodes before."""


class NodeScope:
    """Stands between the watches of a cluster and who listens to them; called from their threads.

    Args:
        node: our own.
        listener: is told what all others are, in an order that suits.
        read_nodes: see there.
    """

    def __init__(self, node: NodeName, listener: Listener, read_nodes: ReadNodes) -> None:
        self._node = node
        self._listener = listener
        self._read_nodes = read_nodes
        self._lock = Lock()  # of all below, and of the order in which the listener is told
        self._unread = set(_MAY_ASK)
        self._asking: dict[ObjectRef, Parsed] = {}  # what may, as it was when it had a value
        self._asked = False
        self._all_told = False
        self._held: list[Event] = []  # until all Nodes are told
        self._away = False  # Nodes, as the listener was told
        self._turn = Lock()  # whose holder begins to read Nodes
        self._reads_all = False

    def hear(self, event: Event) -> None:
        """Take what is told of any kind but Nodes."""
        with self._lock:
            was_known, had_asked = not self._unread, self._asked
            self._look(event)
            if self._asked and not self._all_told and _kinds(event) & _MAY_ASK:
                self._held.append(event)
            else:
                self._listener(event)
            is_news = self._asked > had_asked or (not self._unread and not was_known)
        if is_news:
            self._read()

    def _read(self) -> None:
        with self._turn:  # a thread that was overtaken by another does what is right by now
            if not self._asked:
                self._read_nodes(self._hear_own, self._node)
            elif not self._reads_all:
                self._reads_all = True
                self._read_nodes(self._hear_all, None)

    def _look(self, event: Event) -> None:
        if self._asked or not _kinds(event) & _MAY_ASK:
            return
        if isinstance(event, Listed):
            self._unread -= event.kinds
            there = {parsed.ref for parsed in event.objects}
            gone = {r for r in self._asking if r.kind in event.kinds and r not in there}
            self._asking = {r: p for r, p in self._asking.items() if r not in gone}
            self._note(*event.objects)
        elif isinstance(event, Put):
            self._note(event.object)
        elif isinstance(event, Gone):
            self._asking.pop(event.ref, None)
        self._asked = _ask(self._asking.values())

    def _note(self, *objects: Parsed) -> None:
        """Take objects; one that cannot be read stands as it was."""
        for parsed in objects:
            if parsed.value is not None or parsed.ref not in self._asking:
                self._asking[parsed.ref] = parsed

    def _hear_own(self, event: Event) -> None:
        with self._lock:
            if not self._asked:  # or it is a late word of a watch that has ended
                self._tell_of_nodes(event)

    def _hear_all(self, event: Event) -> None:
        with self._lock:
            self._tell_of_nodes(event)
            if not isinstance(event, Listed):
                return
            self._all_told = True
            if self._away:  # the watch on our own Node was; this one never said so
                self._tell_of_nodes(Back(NODE))
            for held in self._held:
                self._listener(held)
            self._held.clear()

    def _tell_of_nodes(self, event: Event) -> None:
        if isinstance(event, Away | Back):
            self._away = isinstance(event, Away)
        self._listener(event)


def _ask(objects: Iterable[Parsed]) -> bool:
    """Tell whether objects make other Nodes matter."""
    found = [*objects]
    if any(parsed.ref.kind in _ALWAYS for parsed in found):
        return True
    values = [parsed.value for parsed in found]
    peers = [v.peer for v in values if isinstance(v, PeerSpec)]
    advertisements = [v.advertisement for v in values if isinstance(v, BgpAdvertisementSpec)]
    return depends_on_nodes(peers, advertisements)


def _kinds(event: Event) -> frozenset[str]:
    """Return the kinds of the objects that an event brings or takes."""
    if isinstance(event, Listed):
        return event.kinds
    if isinstance(event, Put):
        return frozenset({event.object.ref.kind})
    return frozenset({event.ref.kind}) if isinstance(event, Gone) else frozenset()
