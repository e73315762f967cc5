"""Which Nodes a speaker reads of a cluster: its own, and all of them once an object asks for that.

Every Node reports its status every few minutes, so speakers that all watch all Nodes cost the API
nodes x nodes. Two things need more than the own Node:

- who answers on layer 2 is elected among all Nodes (L2Advertisement);
- which of two resources at odds stands is decided for the whole cluster, by the Nodes that their
  `nodeSelectors` pick (BGPPeer, BGPAdvertisement; `parsing.intent.admission`).

The legacy ConfigMap may stand for either. The objects are asked and not the machine, for a
responder may be started at any time, and a node that knows of no other candidate would answer for
every address. So what asks is told only after all Nodes are, and the first Node only after it is
known whether anything asks. Who has begun to read all Nodes goes on with it: an L2Advertisement
that is deleted and made anew would otherwise have every speaker list every Node again.
"""

from collections.abc import Callable
from threading import Lock

from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, Put
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.specs import BgpAdvertisementSpec, Parsed, PeerSpec

NODE = "Node"
_ALWAYS = frozenset({"ConfigMap", "L2Advertisement"})
_BY_SELECTORS = frozenset({"BGPAdvertisement", "BGPPeer"})

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
        self._unread = set(_ALWAYS | _BY_SELECTORS)
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
            if self._asked and not self._all_told and _kinds(event) & (_ALWAYS | _BY_SELECTORS):
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
        if isinstance(event, Listed):
            self._unread -= event.kinds
            self._asked = self._asked or any(map(_asks, event.objects))
        elif isinstance(event, Put):
            self._asked = self._asked or _asks(event.object)

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


def _asks(parsed: Parsed) -> bool:
    """Tell whether an object makes other Nodes matter."""
    value = parsed.value
    if isinstance(value, PeerSpec):
        return bool(value.peer.node_selectors)
    if isinstance(value, BgpAdvertisementSpec):
        return bool(value.advertisement.node_selectors)
    return parsed.ref.kind in _ALWAYS


def _kinds(event: Event) -> frozenset[str]:
    """Return the kinds of the objects that an event brings or takes."""
    if isinstance(event, Listed):
        return event.kinds
    if isinstance(event, Put):
        return frozenset({event.object.ref.kind})
    return frozenset({event.ref.kind}) if isinstance(event, Gone) else frozenset()
