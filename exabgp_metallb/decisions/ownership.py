"""Who answers for which address on which interface, as one node sees it: takeover, yield, return.

The data: a *binding* for each address and each interface on which this node may answer for it. It
listens (nobody is known to answer), stands by (another candidate answers, and is watched), or owns
(this node answers). Each interface is a segment of its own, with an owner of its own.

The life of one address: every candidate asks the segment; nobody answers, so the best candidate
takes it and announces it, the others hear that and stand by. They watch the owner (`watching`);
when it misses too many probes, the first of those left announces itself, the next ones wait a
little longer each. When a better candidate is back, it waits a while, asks the acting owner whether
it may have the address, and announces itself; the acting owner hears that and is silent. A node
that leaves says so, and answers until another has announced itself.

Nothing is agreed upon, so two may own an address for a moment: frames were lost, a segment was cut
in two, a process was asleep. Of two owners that hear each other the better one stays and announces
itself again, the other is silent. Owners at rest say nothing, so an *acting* owner, one that is not
the best candidate, asks now and then whether a better one owns the address too.

Candidates know each other by the tag on each frame; a claim without one is foreign. An owner goes
on all the same, since somebody gave it the address, and defends it as RFC 5227 section 2.4 (c) has
it, at most once in ten seconds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from exabgp_metallb.decisions.binding import (
    Action,
    Announce,
    Answer,
    Ask,
    Binding,
    Due,
    Foreign,
    Ignore,
    Key,
    Listen,
    Phase,
    Place,
    Silence,
)
from exabgp_metallb.decisions.deadlines import Deadlines, doubled
from exabgp_metallb.decisions.gratuitous import next_announcement
from exabgp_metallb.decisions.lineup import Line, Lineup
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.watching import NodeHash, Watch, WatchKey, heirs
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.l2 import Claim, Heard, Mac, TagState, node_hash
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import Failback, Orders

_OWNING = frozenset({TagState.OWNER, TagState.WEAK, TagState.HELD})


@dataclass(slots=True)
class Counts:
    """What has happened since the start."""

    takeovers: int = 0
    yields: int = 0
    returns: int = 0  # takeovers from a worse candidate
    defences: int = 0
    foreign: int = 0
    sleeps: int = 0


class Ownership:
    """All bindings of a node.

    Whoever drives it gives it everything with the time, calls `act` when `deadline` has come, and
    does what `take_actions` returns after each call, in that order.

    Attributes:
        counts: what has happened since the start.
    """

    def __init__(self, node: NodeName, now: float, pace: Pace | None = None) -> None:
        self.counts = Counts()
        self._pace = pace or Pace()
        self._me = node_hash(node)
        self._lineup = Lineup()
        self._bindings: dict[Key, Binding] = {}
        self._acting: dict[int, dict[Address, Binding]] = {}
        self._watches: dict[WatchKey, Watch] = {}
        self._gone: dict[int, set[NodeHash]] = {}  # who missed too many probes, by interface
        self._heard_at: dict[WatchKey, float] = {}
        self._since: dict[int, float] = {}  # when this node was first able, by interface
        self._strangers_at = -1e9  # when one was heard last
        self._deadlines: Deadlines[tuple[Binding, Due] | WatchKey] = Deadlines()
        self._actions: list[Action] = []
        self._moved: dict[Address, None] = {}
        self._draining = False
        self._ending = False
        self._failback = Failback.AUTO
        self._refresh_seconds: float | None = None
        self._awake_at = now
        self._doubt_until = now

    # What is asked of it

    def deadline(self) -> float:
        """Return when `act` must be called at the latest."""
        turn = self._awake_at + self._pace.turn
        due = self._deadlines.next()
        return turn if due is None else min(due, turn)

    def take_actions(self) -> list[Action]:
        """Return what is to be done, and forget it."""
        actions, self._actions = self._actions, []
        return actions

    @property
    def moved(self) -> bool:
        """Whether `take_moved` has anything to return."""
        return bool(self._moved)

    def take_moved(self) -> Collection[Address]:
        """Return the addresses whose phases or foreign claims are others, and forget them."""
        moved, self._moved = self._moved, {}
        return moved.keys()

    def phase(self, index: int, address: Address) -> Phase | None:
        """Return the phase of a binding; None: there is none, or it is only given up."""
        binding = self._bindings.get((index, address))
        return None if binding is None or binding.released else binding.phase

    def shown(self) -> Iterable[tuple[int, Address, TagState]]:
        """Yield what is answered now, and in which state."""
        for binding in self._bindings.values():
            if binding.shown is not None:
                yield binding.index, binding.address, binding.shown

    def foreign(self) -> Iterable[tuple[int, Address, Foreign]]:
        """Yield who else claimed an address of this node, last."""
        for binding in self._bindings.values():
            if binding.foreign is not None:
                yield binding.index, binding.address, binding.foreign

    @property
    def leaves(self) -> bool:
        """Whether `leave` was called."""
        return self._ending

    def awaits_relief(self) -> bool:
        """Tell whether this node answers for an address that another candidate could take."""
        return any(
            binding.phase is Phase.OWNER and len(binding.line.nodes) > 1
            for binding in self._bindings.values()
        )

    # What it is told

    def ordered(
        self,
        orders: Orders,
        places: Mapping[Address, tuple[Place, ...]],
        now: float,
        *,
        usable: Collection[int],
        touched: Collection[Address] | None = None,
    ) -> None:
        """Follow new orders, or the same ones on other interfaces.

        Args:
            orders: whole.
            places: where each address can be answered; none where it can nowhere.
            now: monotonic seconds.
            usable: the interfaces on which anything can be said; an owner on another one has gone
                silent already.
            touched: the only addresses whose orders or places may be different, on the same usable
                interfaces; None: any may be.
        """
        changed = (self._failback, self._draining) != (orders.failback, orders.draining)
        self._failback, self._draining = orders.failback, orders.draining or self._ending
        self._refresh_seconds = orders.refresh_seconds
        indexes = {index for index, _ in self._bindings} if touched is None else set(self._since)
        if touched is None or changed:
            bound = (address for _, address in self._bindings)
            touched = dict.fromkeys((*orders.addresses, *self._lineup, *bound))
        self._lineup.follow({each: orders.addresses.get(each) for each in touched})
        self._know_interfaces(set(usable), now)
        for address in touched:
            there = places.get(address, ()) if address in orders.addresses else ()
            for index in indexes.difference(place.index for place in there):
                if (index, address) in self._bindings:
                    binding = self._bindings[index, address]
                    self._release(binding, now, audible=index in usable)
            for place in there:
                self._place(address, place, now, anew=changed)

    def leave(self, now: float) -> None:
        """Have others take over: the process ends soon."""
        self._ending = self._draining = True
        for binding in self._bindings.values():
            self._deadlines.clear((binding, Due.TAKE))
            if binding.phase is Phase.OWNER and binding.shown is not TagState.LEAVING:
                self._show(binding, now)
                self._announce_anew(binding, now)

    def heard(self, index: int, message: Heard, now: float) -> None:
        """Take what somebody else said on an interface about an address."""
        tag = message.tag
        if tag is not None and tag.node in self._lineup.known:
            self._is_there(WatchKey(index, tag.node), now)
        binding = self._bindings.get((index, message.address))
        if binding is None:
            return
        if tag is None:
            if isinstance(message, Claim):
                self._foreign_claim(binding, message.mac, now)
        elif tag.state in _OWNING:
            mac = message.mac if isinstance(message, Claim) else message.source
            self._claimed(binding, tag.node, mac, tag.state, now)
        elif tag.state is TagState.LEAVING:
            self._left(binding, tag.node, message.source, now)

    def overslept(self, now: float) -> bool:
        """Tell whether this turn comes so late that others may have taken over; call it each turn.

        If so, nothing that was asked for meanwhile is to be answered.
        """
        asleep = now - self._awake_at >= self._pace.asleep
        self._awake_at = now
        if asleep:
            self._wake(now)
        return asleep

    def act(self, now: float) -> None:
        """Do what is due."""
        for key in self._deadlines.due(now):
            if isinstance(key, WatchKey):
                self._watch_due(self._watches[key], now)
            else:
                self._binding_due(*key, now)

    # Orders

    def _know_interfaces(self, indexes: set[int], now: float) -> None:
        for index in self._since.keys() - indexes:
            del self._since[index]
        for index in indexes:
            self._since.setdefault(index, now)

    def _place(self, address: Address, place: Place, now: float, *, anew: bool) -> None:
        """Answer for an address on an interface, or do so in another way than before."""
        line = self._lineup[address]
        found = self._bindings.get((place.index, address))
        if found is not None:
            self._adjust(found, place, line, now, anew=anew)
            return
        rank = line.rank_of(self._me)
        binding = Binding(place.index, address, line, rank, place.weak, place.mac)
        self._bindings[binding.key] = binding
        self._actions.append(Listen(*binding.key))
        binding.changed_at = now
        self._listen(binding, now)

    def _adjust(
        self, binding: Binding, place: Place, line: Line, now: float, *, anew: bool
    ) -> None:
        """Follow what is different for a binding that was there before."""
        moved = binding.mac != place.mac
        same = (binding.line, binding.weak, binding.released) == (line, place.weak, False)
        if same and not moved and not anew:
            return
        binding.line, binding.rank = line, line.rank_of(self._me)
        binding.weak, binding.mac, binding.released = place.weak, place.mac, False
        self._deadlines.clear((binding, Due.END))
        if binding.phase is Phase.OWNER:
            before = binding.shown
            self._show(binding, now)
            self._own_up(binding, now, first_ask=now)
            if moved or TagState.LEAVING in {before, binding.shown}:
                self._announce_anew(binding, now)
        elif binding.watch is not None:
            binding.watch.add(binding.address, heirs(line.nodes, binding.watch.key.node))
            self._plan_return(binding, now)
        else:
            self._listen(binding, now)

    def _release(self, binding: Binding, now: float, *, audible: bool) -> None:
        """Give an address up; an owner answers on until another one does."""
        if binding.phase is not Phase.OWNER or not audible:
            self._forget(binding)
            return
        if binding.released:
            return
        binding.released = True
        self._moved[binding.address] = None
        self._clear(binding)
        self._deadlines.set((binding, Due.END), now + self._pace.leave)
        self._show(binding, now)
        self._announce_anew(binding, now)

    def _forget(self, binding: Binding) -> None:
        self._detach(binding)
        self._quiet(binding)
        del self._bindings[binding.key]
        self._actions.append(Ignore(*binding.key))
        self._moved[binding.address] = None

    # What is heard

    def _is_there(self, key: WatchKey, now: float) -> None:
        last = self._heard_at.get(key, -1e9)
        self._heard_at[key] = now
        self._gone.get(key.interface, set()).discard(key.node)
        since_strangers = now - self._strangers_at
        if now - last >= self._pace.stranger and since_strangers >= self._pace.strangers:
            self._strangers_at = now
            for binding in self._acting.get(key.interface, {}).values():
                binding.asks = 0
                self._deadlines.set((binding, Due.ASK), now)

    def _claimed(
        self, binding: Binding, node: NodeHash, mac: Mac, state: TagState, now: float
    ) -> None:
        """Another candidate answers for an address."""
        weak = state is TagState.WEAK
        if binding.phase is Phase.OWNER:
            better = (weak, binding.line.rank_of(node)) < (binding.weak, binding.rank)
            if not better and not self._gives_way(binding, now):
                self._defend(binding, now)
                return
            self.counts.yields += 1
            if better and not (self._draining or binding.released):
                binding.returned_at = now
            self._stand_by(binding, node, mac, now)
            self._know_owner(binding, now, weak=weak)
            return
        before = None if binding.watch is None else binding.watch.key.node
        left = binding.owner_leaves
        self._stand_by(binding, node, mac, now)
        self._know_owner(binding, now, weak=weak)
        if before == node:
            self._answered(binding, state, now)
        elif before is None or left:
            return
        elif binding.line.rank_of(node) < binding.line.rank_of(before):
            binding.returned_at = now
        else:
            self._suspect(WatchKey(binding.index, before), now)

    def _know_owner(self, binding: Binding, now: float, *, weak: bool) -> None:
        """Remember what the owner's tag says, and whether to ask it for the address."""
        binding.owner_leaves = False
        if binding.owner_weak != weak:
            binding.owner_weak = weak
            self._plan_return(binding, now)

    def _gives_way(self, binding: Binding, now: float) -> bool:
        """Tell whether this owner wants nothing but to be relieved, or does not trust itself."""
        return self._draining or binding.released or now < self._doubt_until

    def _answered(self, binding: Binding, state: TagState, now: float) -> None:
        """Take an answer of the owner that this node stands by for."""
        watch = binding.watch
        assert watch is not None  # noqa: S101 -- the caller has just put it there
        self._alive(watch, binding.address, now)
        asked = now - binding.asked_to_return_at < self._pace.held / 2
        if asked and state is not TagState.HELD and self._may_relieve(binding):
            self.counts.returns += 1
            self._take(binding, now)

    def _left(self, binding: Binding, node: NodeHash, mac: Mac, now: float) -> None:
        """Another candidate answers for an address, and waits to be relieved."""
        if binding.phase is Phase.OWNER:
            if not self._draining:
                self._defend(binding, now)  # it has not heard yet that this node answers
            return
        watch = binding.watch
        if watch is None or watch.key.node != node:
            self._stand_by(binding, node, mac, now)
        else:
            self._alive(watch, binding.address, now)
        if binding.phase is not Phase.STANDBY:
            return
        binding.owner_leaves = True
        if not self._draining:
            self._plan_takeover(binding, node, now)

    def _foreign_claim(self, binding: Binding, mac: Mac, now: float) -> None:
        if mac == binding.mac or (binding.watch is not None and mac == binding.watch.mac):
            return  # the owner's own kernel speaks from the address: nobody is led astray
        if binding.foreign is None or binding.foreign.mac != mac:
            self._moved[binding.address] = None
        binding.foreign = Foreign(mac, now)
        self.counts.foreign += 1
        if binding.phase is Phase.OWNER and now - binding.defended_foreign_at >= self._pace.foreign:
            binding.defended_foreign_at = now
            self._announce(binding)

    def _defend(self, binding: Binding, now: float) -> None:
        if now - binding.defended_at >= self._pace.defend:
            binding.defended_at = now
            self.counts.defences += 1
            self._announce(binding)

    def _wake(self, now: float) -> None:
        """Take nothing over for what was known before; who owns, asks whether another does too.

        What was answered meanwhile is heard before any probe is counted as missed.
        """
        self.counts.sleeps += 1
        self._doubt_until = now + self._pace.doubt
        self._since = dict.fromkeys(self._since, now)
        for watch in self._watches.values():
            if watch.dead:
                self._alive(watch, None, now)
        for binding in self._bindings.values():
            if binding.phase is Phase.LISTENING:
                self._listen(binding, now)
            elif binding.phase is Phase.STANDBY:
                self._deadlines.clear((binding, Due.TAKE))
                self._plan_return(binding, now)
            else:
                self._ask(binding, TagState.STANDBY)

    # Phases

    def _listen(self, binding: Binding, now: float) -> None:
        """Find out whether anybody answers; if not, take the address in turn.

        Each candidate asks when its turn comes, so the first ones' announcements spare the segment
        the questions of all others.
        """
        self._detach(binding)
        self._become(binding, Phase.LISTENING)
        binding.asks = 0
        self._quiet(binding)
        turn = now + self._turn_seconds(binding, None)
        self._deadlines.set((binding, Due.ASK), turn)
        self._deadlines.set((binding, Due.TAKE), turn + self._pace.listen)

    def _stand_by(self, binding: Binding, node: NodeHash, mac: Mac, now: float) -> None:
        """Be silent: another answers."""
        key = WatchKey(binding.index, node)
        if binding.released:
            self._forget(binding)
            return
        if binding.watch is None or binding.watch.key != key:
            self._detach(binding)
            binding.changed_at = now
            self._become(binding, Phase.STANDBY)
            binding.owner_weak = binding.owner_leaves = False
            self._quiet(binding)
            self._attach(binding, key, mac, now)
            self._plan_return(binding, now)
            return
        binding.watch.mac = mac
        self._deadlines.clear((binding, Due.TAKE))

    def _take(self, binding: Binding, now: float) -> None:
        """Answer from now on."""
        self.counts.takeovers += 1
        self._detach(binding)
        self._clear(binding)
        self._become(binding, Phase.OWNER)
        binding.changed_at = now
        self._show(binding, now)
        self._announce_anew(binding, now)
        self._own_up(binding, now, first_ask=now + self._pace.acting_first)

    def _own_up(self, binding: Binding, now: float, *, first_ask: float) -> None:
        """Look for a better owner from time to time, unless there can be none."""
        acting = self._acting.setdefault(binding.index, {})
        binding.asks = 0
        if binding.acting:
            acting[binding.address] = binding
            self._deadlines.set((binding, Due.ASK), max(now, first_ask))
        else:
            acting.pop(binding.address, None)
            self._deadlines.clear((binding, Due.ASK))

    def _become(self, binding: Binding, phase: Phase) -> None:
        binding.phase = phase
        self._moved[binding.address] = None

    def _quiet(self, binding: Binding) -> None:
        """Be no owner any more."""
        self._clear(binding)
        self._acting.get(binding.index, {}).pop(binding.address, None)
        if binding.shown is not None:
            binding.shown = None
            self._actions.append(Silence(binding.index, binding.address))

    def _clear(self, binding: Binding) -> None:
        for due in Due:
            self._deadlines.clear((binding, due))

    def _show(self, binding: Binding, now: float) -> None:
        """Answer with the state that this owner is in."""
        state = self._state(binding, now)
        if state is TagState.HELD and self._failback is Failback.AUTO:
            until = binding.returned_at + self._pace.damping
            self._deadlines.set((binding, Due.SHOW), until)
        if binding.shown is not state:
            binding.shown = state
            self._actions.append(Answer(binding.index, binding.address, state))

    def _state(self, binding: Binding, now: float) -> TagState:
        if self._draining or binding.released:
            return TagState.LEAVING
        if binding.weak:
            return TagState.WEAK
        damped = now < binding.returned_at + self._pace.damping
        if binding.acting and (damped or self._failback is Failback.STICKY):
            return TagState.HELD
        return TagState.OWNER

    # Takeover and return

    def _turn_seconds(self, binding: Binding, owner: NodeHash | None) -> float:
        """Return how long this node lets better candidates go first, when nobody owns."""
        gone = {owner, *self._gone.get(binding.index, ())}
        before = binding.rank - len(gone.intersection(binding.line.nodes[: binding.rank]))
        last = self._pace.weak if binding.weak or self._draining else 0.0
        return before * self._pace.rank + last

    def _plan_takeover(self, binding: Binding, owner: NodeHash, now: float) -> None:
        key = (binding, Due.TAKE)
        if key not in self._deadlines:
            self._deadlines.set(key, now + self._turn_seconds(binding, owner))

    def _may_relieve(self, binding: Binding) -> bool:
        """Tell whether this node is better than the owner that it stands by for."""
        if self._draining or binding.watch is None:
            return False
        if self._failback is Failback.STICKY and not binding.owner_weak:
            return False
        owner = (binding.owner_weak, binding.line.rank_of(binding.watch.key.node))
        return (binding.weak, binding.rank) < owner

    def _plan_return(self, binding: Binding, now: float) -> None:
        """Ask the owner for the address once this node has been there for long enough."""
        if not self._may_relieve(binding):
            self._deadlines.clear((binding, Due.RETURN))
            return
        since = max(self._since.get(binding.index, now), binding.changed_at)
        self._deadlines.set((binding, Due.RETURN), max(now, since + self._pace.hold_down))

    def _ask_to_return(self, binding: Binding, now: float) -> None:
        assert binding.watch is not None  # noqa: S101 -- only a standby returns
        binding.asked_to_return_at = now
        self._ask(binding, TagState.STANDBY, binding.watch.mac)
        self._deadlines.set((binding, Due.RETURN), now + self._pace.held)

    # Watches

    def _attach(self, binding: Binding, key: WatchKey, mac: Mac, now: float) -> None:
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = Watch(key, mac)
        watch.mac = mac
        watch.add(binding.address, heirs(binding.line.nodes, key.node))
        binding.watch = watch
        self._alive(watch, None, now)
        if key not in self._deadlines:
            self._deadlines.set(key, now + self._pace.probe)

    def _detach(self, binding: Binding) -> None:
        watch, binding.watch = binding.watch, None
        if watch is None:
            return
        watch.discard(binding.address)
        if not watch:
            del self._watches[watch.key]
            self._deadlines.clear(watch.key)

    def _alive(self, watch: Watch, address: Address | None, now: float) -> None:
        """The owner was heard; `address`: by its answer for this one."""
        watch.misses = 0
        if watch.dead:
            watch.dead = False
            for each in watch.addresses:
                self._deadlines.clear((self._bindings[watch.key.interface, each], Due.TAKE))
        if address is None or watch.asked != address:
            return
        watch.asked = None
        self._deadlines.set(watch.key, watch.asked_at + self._probe_pause(watch))
        missed, watch.missed = watch.missed, []
        for each in missed:
            if each != address and each in watch:
                self._listen(self._bindings[watch.key.interface, each], now)

    def _probe_pause(self, watch: Watch) -> float:
        """Return the time between two probes while they are answered."""
        watchers = watch.close_watchers()
        if self._me in watchers:
            return self._pace.probe
        crowd = len(self._bindings[watch.key.interface, next(iter(watch.addresses))].line.nodes)
        return max(self._pace.slow, self._pace.probe * crowd)

    def _probe(self, watch: Watch, now: float, wait: float | None = None) -> None:
        watch.asked, watch.asked_at = watch.turn(), now
        state = TagState.STANDBY
        self._actions.append(Ask(watch.key.interface, watch.asked, state, watch.mac))
        self._deadlines.set(watch.key, now + (self._pace.retry if wait is None else wait))

    def _watch_due(self, watch: Watch, now: float) -> None:
        if watch.asked is not None:
            watch.misses += 1
            if len(watch.missed) < self._pace.misses:
                watch.missed.append(watch.asked)
            if watch.misses >= self._pace.misses and not watch.dead:
                self._died(watch, now)
        self._probe(watch, now)

    def _suspect(self, key: WatchKey, now: float) -> None:
        """Look whether an owner is dead, as another one seems to have found out."""
        watch = self._watches.get(key)
        if watch is not None and not watch.dead and watch.misses < self._pace.misses - 1:
            watch.misses = self._pace.misses - 1
            self._probe(watch, now, self._pace.hearsay)

    def _died(self, watch: Watch, now: float) -> None:
        watch.dead = True
        self._gone.setdefault(watch.key.interface, set()).add(watch.key.node)
        for address in watch.addresses:
            binding = self._bindings[watch.key.interface, address]
            self._plan_takeover(binding, watch.key.node, now)

    # What falls due

    def _binding_due(self, binding: Binding, due: Due, now: float) -> None:
        match due:
            case Due.TAKE:
                self._take(binding, now)
            case Due.RETURN:
                self._ask_to_return(binding, now)
            case Due.ANNOUNCE:
                self._announce_due(binding, now)
            case Due.ASK:
                self._ask_due(binding, now)
            case Due.SHOW:
                self._show(binding, now)
            case Due.END:
                self._forget(binding)

    def _ask_due(self, binding: Binding, now: float) -> None:
        """Ask the segment: a listener twice, an acting owner at doubled times."""
        binding.asks += 1
        if binding.phase is Phase.LISTENING:
            self._ask(binding, TagState.STANDBY)
            pause = self._pace.listen / 2
        else:
            self._ask(binding, binding.shown or TagState.OWNER)
            most = self._pace.acting_most
            if self._hears_all_better(binding, now):
                most = self._pace.acting_known
            pause = doubled(self._pace.acting_first, binding.asks, most=most)
        self._deadlines.set((binding, Due.ASK), now + pause)

    def _hears_all_better(self, binding: Binding, now: float) -> bool:
        """Tell whether no candidate that may be better can have been cut off."""
        better = binding.line.nodes if binding.weak else binding.line.nodes[: binding.rank]
        silent = 2 * self._pace.stranger  # who watches from afar does so each ten seconds
        return all(
            node == self._me
            or now - self._heard_at.get(WatchKey(binding.index, node), -1e9) < silent
            for node in better
        )

    def _ask(self, binding: Binding, state: TagState, mac: Mac | None = None) -> None:
        self._actions.append(Ask(binding.index, binding.address, state, mac))

    def _announce_anew(self, binding: Binding, now: float) -> None:
        binding.announced = 0
        self._announce_due(binding, now)

    def _announce_due(self, binding: Binding, now: float) -> None:
        """Announce, and plan the next time."""
        self._announce(binding)
        binding.announced += 1
        again: float | None
        if binding.shown is TagState.LEAVING:
            times = binding.announced - 1
            again = now + doubled(self._pace.leaving, times, most=self._pace.acting_most)
        else:
            again = next_announcement(
                family_of(binding.address),
                sent=binding.announced,
                last_at=now,
                refresh_seconds=self._refresh_seconds,
            )
        if again is not None:
            self._deadlines.set((binding, Due.ANNOUNCE), again)

    def _announce(self, binding: Binding) -> None:
        assert binding.shown is not None  # noqa: S101 -- only owners announce
        self._actions.append(Announce(binding.index, binding.address, binding.shown))
