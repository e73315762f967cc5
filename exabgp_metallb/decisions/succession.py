"""When a node takes an address over, and when it asks a worse owner to have it back.

Nobody is asked who takes over: each candidate waits a little longer than the one before it, those
left out that are known to be gone. Who comes back waits until it has been there for a while.
"""

from collections.abc import Collection, KeysView

from exabgp_metallb.decisions.binding import Binding, Due
from exabgp_metallb.decisions.others import Others
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.voice import Timetable, Voice
from exabgp_metallb.decisions.watching import NodeHash
from exabgp_metallb.values.l2 import TagState
from exabgp_metallb.values.orders import Failback


class Succession:
    """The turns of a node, on all interfaces.

    Args:
        pace: how long they are.
        deadlines: what falls due; `ask_to_return` is to be called for `Due.RETURN`.
        voice: of this node.
        others: the others.
    """

    def __init__(self, pace: Pace, deadlines: Timetable, voice: Voice, others: Others) -> None:
        self._pace = pace
        self._deadlines = deadlines
        self._voice = voice
        self._others = others
        self._since: dict[int, float] = {}  # when this node was first able, by interface

    @property
    def usable(self) -> KeysView[int]:
        """The interfaces on which anything can be said."""
        return self._since.keys()

    def know(self, usable: Collection[int], now: float) -> None:
        """Take which interfaces are usable now."""
        self._since = {index: self._since.get(index, now) for index in usable}

    def begin_anew(self, now: float) -> None:
        """Count as new on all interfaces."""
        self._since = dict.fromkeys(self._since, now)

    def turn_seconds(self, binding: Binding, owner: NodeHash | None) -> float:
        """Return how long this node lets better candidates go first, when nobody owns.

        Args:
            binding: of the address.
            owner: who owned it, and is not waited for.
        """
        gone = {owner, *self._others.gone(binding.index)}
        before = binding.rank - len(gone.intersection(binding.line.nodes[: binding.rank]))
        last = self._pace.weak if binding.weak or self._voice.draining else 0.0
        return before * self._pace.rank + last

    def plan_takeover(self, binding: Binding, owner: NodeHash, now: float) -> None:
        """Take an address over from an owner when this node's turn comes."""
        key = (binding, Due.TAKE)
        if key not in self._deadlines:
            self._deadlines.set(key, now + self.turn_seconds(binding, owner))

    def may_relieve(self, binding: Binding) -> bool:
        """Tell whether this node is better than the owner that it stands by for."""
        if self._voice.draining or binding.watch is None:
            return False
        if self._voice.failback is Failback.STICKY and not binding.owner_weak:
            return False
        owner = (binding.owner_weak, binding.line.rank_of(binding.watch.key.node))
        return (binding.weak, binding.rank) < owner

    def plan_return(self, binding: Binding, now: float) -> None:
        """Ask the owner for the address once this node has been there for long enough."""
        if not self.may_relieve(binding):
            self._deadlines.clear((binding, Due.RETURN))
            return
        since = max(self._since.get(binding.index, now), binding.changed_at)
        self._deadlines.set((binding, Due.RETURN), max(now, since + self._pace.hold_down))

    def ask_to_return(self, binding: Binding, now: float) -> None:
        """Ask the owner for the address, and again after a while."""
        assert binding.watch is not None  # noqa: S101 -- only a standby returns
        binding.asked_to_return_at = now
        self._voice.ask(binding, TagState.STANDBY, binding.watch.mac)
        self._deadlines.set((binding, Due.RETURN), now + self._pace.held)
