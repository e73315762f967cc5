"""What a node says about an address: answers, announcements, questions, and in which state.

`Ownership` decides when; here is what the others hear then. The state is in the tag of every frame:
an owner that leaves, that is weak, or that does not want to be relieved yet says so.
"""

from exabgp_metallb.decisions.binding import (
    Action,
    Announce,
    Answer,
    Ask,
    Binding,
    Counts,
    Due,
    Phase,
    Silence,
)
from exabgp_metallb.decisions.deadlines import Deadlines, doubled
from exabgp_metallb.decisions.gratuitous import next_announcement
from exabgp_metallb.decisions.pace import Pace
from exabgp_metallb.decisions.watching import WatchKey
from exabgp_metallb.values.addresses import family_of
from exabgp_metallb.values.l2 import Mac, TagState
from exabgp_metallb.values.orders import Failback

Timetable = Deadlines[tuple[Binding, Due] | WatchKey]
"""What falls due for bindings and for watches."""


class Voice:
    """All that a node has to say.

    Args:
        pace: of announcements.
        deadlines: what falls due; `show` is to be called for `Due.SHOW`, `announce_due` for
            `Due.ANNOUNCE`.
        counts: what happened; added to.

    Attributes:
        draining: it leaves.
        failback: whether it wants to be relieved by a better candidate.
        refresh_seconds: between announcements at rest; None: there are none.
    """

    def __init__(self, pace: Pace, deadlines: Timetable, counts: Counts) -> None:
        self.draining = False
        self.failback = Failback.AUTO
        self.refresh_seconds: float | None = None
        self._pace = pace
        self._deadlines = deadlines
        self._counts = counts
        self._actions: list[Action] = []

    def take_actions(self) -> list[Action]:
        """Return what is to be done, and forget it."""
        actions, self._actions = self._actions, []
        return actions

    def do(self, action: Action) -> None:
        """Have something done after all that was said before."""
        self._actions.append(action)

    def show(self, binding: Binding, now: float) -> None:
        """Answer with the state that this owner is in."""
        state = self._state(binding, now)
        if state is TagState.HELD and self.failback is Failback.AUTO:
            until = binding.returned_at + self._pace.damping
            self._deadlines.set((binding, Due.SHOW), until)
        if binding.shown is not state:
            binding.shown = state
            self._actions.append(Answer(binding.index, binding.address, state))

    def _state(self, binding: Binding, now: float) -> TagState:
        if self.draining or binding.released:
            return TagState.LEAVING
        if binding.weak:
            return TagState.WEAK
        damped = now < binding.returned_at + self._pace.damping
        if binding.acting and (damped or self.failback is Failback.STICKY):
            return TagState.HELD
        return TagState.OWNER

    def silence(self, binding: Binding) -> None:
        """Answer no longer."""
        if binding.shown is not None:
            binding.shown = None
            self._actions.append(Silence(binding.index, binding.address))

    def ask(self, binding: Binding, state: TagState, mac: Mac | None = None) -> None:
        """Ask who holds the address: all, or only the one at `mac`."""
        self._actions.append(Ask(binding.index, binding.address, state, mac))

    def defend(self, binding: Binding, now: float) -> None:
        """Tell another candidate that this node owns an address."""
        if now - binding.defended_at >= self._pace.defend:
            binding.defended_at = now
            self._counts.defences += 1
            self._announce(binding)

    def defend_against_stranger(self, binding: Binding, now: float) -> None:
        """Tell all that this node owns an address, since somebody who is no candidate claims it."""
        if binding.phase is Phase.OWNER and now - binding.defended_foreign_at >= self._pace.foreign:
            binding.defended_foreign_at = now
            self._announce(binding)

    def announce_anew(self, binding: Binding, now: float) -> None:
        """Announce an address, and then as often as after a takeover."""
        binding.announced = 0
        self.announce_due(binding, now)

    def announce_due(self, binding: Binding, now: float) -> None:
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
                refresh_seconds=self.refresh_seconds,
            )
        if again is not None:
            self._deadlines.set((binding, Due.ANNOUNCE), again)

    def _announce(self, binding: Binding) -> None:
        assert binding.shown is not None  # noqa: S101 -- only owners announce
        self._actions.append(Announce(binding.index, binding.address, binding.shown))
