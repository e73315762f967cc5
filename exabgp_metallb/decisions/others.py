"""What a node knows of the others on its segments: who was heard, who is watched, who is gone.

The data: a `Watch` for each owner on each interface, with all addresses that this node stands by
for (`watching`). An owner that misses too many probes in a row is dead, and gone until it is heard
again; what follows for its addresses is up to `Ownership`.
"""

from collections.abc import Collection, Mapping

from exabgp_metallb.decisions.binding import Ask, Binding, Due, Key
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.voice import Timetable, Voice
from exabgp_metallb.decisions.watching import NodeHash, Watch, WatchKey, heirs
from exabgp_metallb.values.l2 import Mac, TagState

_LONG_AGO = -1e9


class Others:
    """All other nodes, on all interfaces.

    Args:
        me: this node.
        pace: of probes.
        bindings: all of this node.
        deadlines: what falls due; `due` is to be called for each `WatchKey`.
        voice: what says the probes.
    """

    def __init__(
        self,
        me: NodeHash,
        pace: Pace,
        *,
        bindings: Mapping[Key, Binding],
        deadlines: Timetable,
        voice: Voice,
    ) -> None:
        self._me = me
        self._pace = pace
        self._bindings = bindings
        self._deadlines = deadlines
        self._voice = voice
        self._watches: dict[WatchKey, Watch] = {}
        self._gone: dict[int, set[NodeHash]] = {}
        self._heard_at: dict[WatchKey, float] = {}
        self._returned_at = _LONG_AGO  # when one was heard that had been silent

    # What is known

    def gone(self, index: int) -> Collection[NodeHash]:
        """Return who missed too many probes on an interface, and was not heard since."""
        return self._gone.get(index, ())

    def hears_all_better(self, binding: Binding, now: float) -> bool:
        """Tell whether no candidate that may be better can have been cut off."""
        better = binding.line.nodes if binding.weak else binding.line.nodes[: binding.rank]
        silent = 2 * self._pace.stranger  # who watches from afar does so each ten seconds
        return all(
            node == self._me
            or now - self._heard_at.get(WatchKey(binding.index, node), _LONG_AGO) < silent
            for node in better
        )

    # What is heard

    def hear(self, key: WatchKey, now: float) -> bool:
        """Take that a node was heard; tell whether it had been silent, and may be cut off no more.

        Not of each of many that come back together.
        """
        last = self._heard_at.get(key, _LONG_AGO)
        self._heard_at[key] = now
        self._gone.get(key.interface, set()).discard(key.node)
        since_others = now - self._returned_at
        if now - last < self._pace.stranger or since_others < self._pace.strangers:
            return False
        self._returned_at = now
        return True

    def answered(self, binding: Binding) -> Collection[Binding]:
        """Take that the owner answered for an address that this node stands by for.

        Returns:
            Those for which it has not answered, although it lives.
        """
        watch = binding.watch
        assert watch is not None  # noqa: S101 -- a standby has one
        self._lives(watch)
        if watch.asked != binding.address:
            return ()
        watch.asked = None
        self._deadlines.set(watch.key, watch.asked_at + self._probe_pause(watch))
        missed, watch.missed = watch.missed, []
        silent = [each for each in missed if each != binding.address and each in watch]
        return [self._bindings[watch.key.interface, each] for each in dict.fromkeys(silent)]

    def suspect(self, key: WatchKey, now: float) -> None:
        """Look whether an owner is dead, as another node seems to have found out."""
        watch = self._watches.get(key)
        if watch is not None and not watch.dead and watch.misses < self._pace.misses - 1:
            watch.misses = self._pace.misses - 1
            self._probe(watch, now, self._pace.hearsay)

    def forgive(self) -> None:
        """Take nobody for dead any more: this node was asleep, and could not hear."""
        for watch in self._watches.values():
            if watch.dead:
                self._lives(watch)

    # Watches

    def watch(self, binding: Binding, key: WatchKey, mac: Mac, now: float) -> None:
        """Watch an owner for an address."""
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = Watch(key, mac)
        watch.mac = mac
        watch.add(binding.address, heirs(binding.line.nodes, key.node))
        binding.watch = watch
        self._lives(watch)
        if key not in self._deadlines:
            self._deadlines.set(key, now + self._pace.probe)

    def unwatch(self, binding: Binding) -> None:
        """Watch the owner of an address for it no longer, if this node did."""
        watch, binding.watch = binding.watch, None
        if watch is None:
            return
        watch.discard(binding.address)
        if not watch:
            del self._watches[watch.key]
            self._deadlines.clear(watch.key)

    def due(self, key: WatchKey, now: float) -> Collection[Binding]:
        """Probe an owner; return the addresses of one that is dead, once."""
        watch = self._watches[key]
        died = False
        if watch.asked is not None:
            watch.misses += 1
            if len(watch.missed) < self._pace.misses:
                watch.missed.append(watch.asked)
            died = watch.misses >= self._pace.misses and not watch.dead
        orphans = []
        if died:
            watch.dead = True
            self._gone.setdefault(key.interface, set()).add(key.node)
            orphans = [self._bindings[key.interface, each] for each in watch.addresses]
        self._probe(watch, now, self._pace.retry)
        return orphans

    def _lives(self, watch: Watch) -> None:
        watch.misses = 0
        if watch.dead:
            watch.dead = False
            for each in watch.addresses:
                self._deadlines.clear((self._bindings[watch.key.interface, each], Due.TAKE))

    def _probe(self, watch: Watch, now: float, wait: float) -> None:
        watch.asked, watch.asked_at = watch.turn(), now
        self._voice.do(Ask(watch.key.interface, watch.asked, TagState.STANDBY, watch.mac))
        self._deadlines.set(watch.key, now + wait)

    def _probe_pause(self, watch: Watch) -> float:
        """Return the time between two probes while they are answered."""
        watchers = watch.close_watchers()
        if self._me in watchers:
            return self._pace.probe
        crowd = len(self._bindings[watch.key.interface, next(iter(watch.addresses))].line.nodes)
        return max(self._pace.slow, self._pace.probe * crowd)
