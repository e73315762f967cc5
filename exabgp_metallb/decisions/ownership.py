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
itself again, the other is silent; of two that both leave, the one whose hash is less stays. Owners
at rest say nothing, so an *acting* owner, one that is not the best candidate, asks now and then
whether a better one owns the address too.

Candidates know each other by the tag on each frame; a claim without one is foreign. An owner goes
on all the same, since somebody gave it the address, and defends it as RFC 5227 section 2.4 (c) has
it, at most once in ten seconds.
"""

from collections.abc import Collection, Iterable, Mapping

from exabgp_metallb.decisions.binding import (
    Action,
    Binding,
    Counts,
    Due,
    Foreign,
    Ignore,
    Key,
    Listen,
    Phase,
    Place,
)
from exabgp_metallb.decisions.deadlines import Deadlines, doubled
from exabgp_metallb.decisions.lineup import Line, Lineup
from exabgp_metallb.decisions.others import Others
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.succession import Succession
from exabgp_metallb.decisions.voice import Timetable, Voice
from exabgp_metallb.decisions.watching import NodeHash, WatchKey, heirs
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.l2 import Claim, Heard, Mac, TagState, node_hash
from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import Orders

_OWNING = frozenset({TagState.OWNER, TagState.WEAK, TagState.HELD})


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
        self._deadlines: Timetable = Deadlines()
        self._voice = Voice(self._pace, self._deadlines, self.counts)
        self._others = Others(
            self._me,
            self._pace,
            bindings=self._bindings,
            deadlines=self._deadlines,
            voice=self._voice,
        )
        self._succession = Succession(self._pace, self._deadlines, self._voice, self._others)
        self._moved: dict[Address, None] = {}
        self._ending = False
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
        return self._voice.take_actions()

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
            touched: the addresses whose orders or places may be different; None: any may be. What
                concerns every binding is followed for the others too.
        """
        changed = (self._voice.failback, self._voice.draining) != (orders.failback, orders.draining)
        self._voice.failback, self._voice.draining = (
            orders.failback,
            orders.draining or self._ending,
        )
        self._voice.refresh_seconds = orders.refresh_seconds
        indexes = set(self._succession.usable)  # all that bindings are on
        if touched is None:
            touched = (*orders.addresses, *self._lineup)
        if changed or indexes != set(usable):
            touched = (*touched, *(address for _, address in self._bindings))
        touched = dict.fromkeys(touched)
        self._lineup.follow({each: orders.addresses.get(each) for each in touched})
        self._succession.know(usable, now)
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
        self._ending = self._voice.draining = True
        for binding in self._bindings.values():
            self._deadlines.clear((binding, Due.TAKE))
            if binding.phase is Phase.OWNER and binding.shown is not TagState.LEAVING:
                self._voice.show(binding, now)
                self._voice.announce_anew(binding, now)

    def heard(self, index: int, message: Heard, now: float) -> None:
        """Take what somebody else said on an interface about an address."""
        tag = message.tag
        if tag is not None and self._lineup.knows(tag.node):
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
                for binding in self._others.due(key, now):
                    self._succession.plan_takeover(binding, key.node, now)
            else:
                self._binding_due(*key, now)

    # Orders

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
        self._voice.do(Listen(*binding.key))
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
            self._voice.show(binding, now)
            self._own_up(binding, now, first_ask=now)
            if moved or TagState.LEAVING in {before, binding.shown}:
                self._voice.announce_anew(binding, now)
        elif binding.watch is not None:
            binding.watch.add(binding.address, heirs(line.nodes, binding.watch.key.node))
            self._succession.plan_return(binding, now)
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
        self._voice.show(binding, now)
        self._voice.announce_anew(binding, now)

    def _forget(self, binding: Binding) -> None:
        self._others.unwatch(binding)
        self._quiet(binding)
        del self._bindings[binding.key]
        self._voice.do(Ignore(*binding.key))
        self._moved[binding.address] = None

    # What is heard

    def _is_there(self, key: WatchKey, now: float) -> None:
        if self._others.hear(key, now):
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
                self._voice.defend(binding, now)
                return
            self.counts.yields += 1
            if better and not (self._voice.draining or binding.released):
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
            self._others.suspect(WatchKey(binding.index, before), now)

    def _know_owner(self, binding: Binding, now: float, *, weak: bool) -> None:
        """Remember what the owner's tag says, and whether to ask it for the address."""
        binding.owner_leaves = False
        if binding.owner_weak != weak:
            binding.owner_weak = weak
            self._succession.plan_return(binding, now)

    def _gives_way(self, binding: Binding, now: float) -> bool:
        """Tell whether this owner wants nothing but to be relieved, or does not trust itself."""
        return self._voice.draining or binding.released or now < self._doubt_until

    def _answered(self, binding: Binding, state: TagState, now: float) -> None:
        """Take an answer of the owner that this node stands by for."""
        self._alive(binding, now)
        asked = now - binding.asked_to_return_at < self._pace.held / 2
        if asked and state is not TagState.HELD and self._succession.may_relieve(binding):
            self.counts.returns += 1
            self._take(binding, now)

    def _alive(self, binding: Binding, now: float) -> None:
        """Take that the owner answered for the address of a standby."""
        for missed in self._others.answered(binding):
            self._listen(missed, now)

    def _left(self, binding: Binding, node: NodeHash, mac: Mac, now: float) -> None:
        """Another candidate answers for an address, and waits to be relieved."""
        if binding.phase is Phase.OWNER:
            if not self._voice.draining:
                self._voice.defend(binding, now)  # it has not heard yet that this node answers
                return
            if self._me < node:  # of two that both wait for a third one, one gives way
                return
            self.counts.yields += 1
        watch = binding.watch
        if watch is None or watch.key.node != node:
            self._stand_by(binding, node, mac, now)
        else:
            self._alive(binding, now)
        if binding.phase is not Phase.STANDBY:
            return
        binding.owner_leaves = True
        if not self._voice.draining:
            self._succession.plan_takeover(binding, node, now)

    def _foreign_claim(self, binding: Binding, mac: Mac, now: float) -> None:
        if mac == binding.mac or (binding.watch is not None and mac == binding.watch.mac):
            return  # the owner's own kernel speaks from the address: nobody is led astray
        if binding.foreign is None or binding.foreign.mac != mac:
            self._moved[binding.address] = None
        binding.foreign = Foreign(mac, now)
        self.counts.foreign += 1
        self._voice.defend_against_stranger(binding, now)

    def _wake(self, now: float) -> None:
        """Take nothing over for what was known before; who owns, asks whether another does too.

        What was answered meanwhile is heard before any probe is counted as missed.
        """
        self.counts.sleeps += 1
        self._doubt_until = now + self._pace.doubt
        self._succession.begin_anew(now)
        self._others.forgive()
        for binding in self._bindings.values():
            if binding.phase is Phase.LISTENING:
                self._listen(binding, now)
            elif binding.phase is Phase.STANDBY:
                self._deadlines.clear((binding, Due.TAKE))
                self._succession.plan_return(binding, now)
            else:
                self._voice.ask(binding, TagState.STANDBY)

    # Phases

    def _listen(self, binding: Binding, now: float) -> None:
        """Find out whether anybody answers; if not, take the address in turn.

        Each candidate asks when its turn comes, so the first ones' announcements spare the segment
        the questions of all others.
        """
        self._others.unwatch(binding)
        self._become(binding, Phase.LISTENING)
        binding.asks = 0
        self._quiet(binding)
        turn = now + self._succession.turn_seconds(binding, None)
        self._deadlines.set((binding, Due.ASK), turn)
        self._deadlines.set((binding, Due.TAKE), turn + self._pace.listen)

    def _stand_by(self, binding: Binding, node: NodeHash, mac: Mac, now: float) -> None:
        """Be silent: another answers."""
        key = WatchKey(binding.index, node)
        if binding.released:
            self._forget(binding)
            return
        if binding.watch is None or binding.watch.key != key:
            self._others.unwatch(binding)
            binding.changed_at = now
            self._become(binding, Phase.STANDBY)
            binding.owner_weak = binding.owner_leaves = False
            self._quiet(binding)
            self._others.watch(binding, key, mac, now)
            self._succession.plan_return(binding, now)
            return
        binding.watch.mac = mac
        self._deadlines.clear((binding, Due.TAKE))

    def _take(self, binding: Binding, now: float) -> None:
        """Answer from now on."""
        self.counts.takeovers += 1
        self._others.unwatch(binding)
        self._clear(binding)
        self._become(binding, Phase.OWNER)
        binding.changed_at = now
        self._voice.show(binding, now)
        self._voice.announce_anew(binding, now)
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
        self._voice.silence(binding)

    def _clear(self, binding: Binding) -> None:
        for due in Due:
            self._deadlines.clear((binding, due))

    # What falls due

    def _binding_due(self, binding: Binding, due: Due, now: float) -> None:
        match due:
            case Due.TAKE:
                self._take(binding, now)
            case Due.RETURN:
                self._succession.ask_to_return(binding, now)
            case Due.ANNOUNCE:
                self._voice.announce_due(binding, now)
            case Due.ASK:
                self._ask_due(binding, now)
            case Due.SHOW:
                self._voice.show(binding, now)
            case Due.END:
                self._forget(binding)

    def _ask_due(self, binding: Binding, now: float) -> None:
        """Ask the segment: a listener twice, an acting owner at doubled times."""
        binding.asks += 1
        if binding.phase is Phase.LISTENING:
            self._voice.ask(binding, TagState.STANDBY)
            pause = self._pace.listen / 2
        else:
            self._voice.ask(binding, binding.shown or TagState.OWNER)
            most = self._pace.acting_most
            if self._others.hears_all_better(binding, now):
                most = self._pace.acting_known
            pause = doubled(self._pace.acting_first, binding.asks, most=most)
        self._deadlines.set((binding, Due.ASK), now + pause)
