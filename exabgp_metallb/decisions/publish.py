"""In which order decisions are written to the API, so that no crash leaves an address held twice.

The data. For each Service three things: what it should show (the decision), what the API showed
when we looked last, and what it may show besides, because a write is on its way or was lost. An
address is *claimed* by every Service that shows it or may show it.

The rule. A Service is given an address only when everybody else who claims it holds it by decision
as well (shared addresses). So when an address passes from one Service to another, the first write
takes it away, its success is seen, and only then the second write gives it. A controller that dies
in between leaves the address free, never doubled; the next one reads who shows what and goes on.
A Service that must wait for its address first gives up what it may not keep: two that change places
would wait for each other else.

A write whose answer never came counts as done and as not done, until a later one is answered, or
the object is seen at a newer version than the one that the write was bound to: then it was done
before that, or never will be. A write that would change nothing is not made.
"""

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.conditions import Condition
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.publication import Showing, StatusWrite

_NOTHING = Showing()
_MOVING = Condition(
    holds=False, reason="Moving", message="its address is being taken back from another Service"
)


class Publication:
    """Keeps what Services show equal to what was decided."""

    def __init__(self) -> None:
        self._wanted: dict[ObjectName, Showing] = {}
        self._shown: dict[ObjectName, Showing] = {}
        self._in_flight: dict[ObjectName, Showing] = {}
        self._lost: dict[ObjectName, frozenset[Address]] = {}
        self._claims: dict[ObjectName, frozenset[Address]] = {}
        self._claimers: dict[Address, set[ObjectName]] = {}
        self._due: dict[ObjectName, None] = {}
        self._blocked: dict[Address, set[ObjectName]] = {}

    # What the owner tells.

    def want(self, name: ObjectName, showing: Showing) -> None:
        """Take a decision: the Service should show this."""
        before = self._wanted.get(name, _NOTHING)
        self._wanted[name] = showing
        self._due[name] = None
        self._unblock(frozenset(before.addresses) | frozenset(showing.addresses))

    def shows(self, name: ObjectName, showing: Showing) -> None:
        """Take what the API shows of a Service now."""
        self._shown[name] = showing
        self._due[name] = None
        self._claim(name)

    def gone(self, name: ObjectName) -> None:
        """Forget a Service that was deleted, or is not ours."""
        for known in (self._wanted, self._shown, self._in_flight, self._lost, self._due):
            known.pop(name, None)
        self._claim(name)

    # What became of writes.

    def written(self, name: ObjectName) -> None:
        """Note that the write on its way was done."""
        showing = self._in_flight.pop(name, None)
        if showing is not None:
            self._lost.pop(name, None)
            self.shows(name, showing)

    def refused(self, name: ObjectName) -> None:
        """Note that the write on its way was not done, such as for a conflict; see `retry`."""
        if self._in_flight.pop(name, None) is not None:
            self._claim(name)

    def unanswered(self, name: ObjectName) -> None:
        """Note that nobody knows whether the write on its way was done; see `retry`."""
        showing = self._in_flight.pop(name, None)
        if showing is not None:
            before = self._lost.get(name, frozenset())
            self._lost[name] = before | frozenset(showing.addresses)
            self._claim(name)

    def moved_on(self, name: ObjectName) -> None:
        """Note that what `shows` told is newer than what the lost writes were bound to."""
        if self._lost.pop(name, None) is not None:
            self._claim(name)

    def retry(self, name: ObjectName) -> None:
        """Look at a Service again whose write was refused or not answered."""
        self._due[name] = None

    # What to do.

    def writes(self) -> list[StatusWrite]:
        """Return the writes that may be made now; each counts as on its way."""
        made: list[StatusWrite] = []
        while self._due:
            due, self._due = self._due, {}
            for name in due:
                write = self._write(name)
                if write is not None:
                    self._in_flight[name] = write.showing
                    self._claim(name)
                    made.append(write)
        return made

    def wants_nothing(self, name: ObjectName) -> bool:
        """Tell whether it was decided that a Service shows nothing of ours."""
        return self._wanted.get(name) == _NOTHING

    def is_shown(self, name: ObjectName) -> bool:
        """Tell whether a Service shows what it should, as far as anybody can know."""
        if name in self._in_flight or name in self._lost:
            return False
        return name in self._wanted and self._wanted[name] == self._shown.get(name)

    @property
    def settled(self) -> bool:
        """Tell whether every Service shows what it should."""
        return not (self._due or self._in_flight or any(self._blocked.values()))

    def _write(self, name: ObjectName) -> StatusWrite | None:
        wanted = self._wanted.get(name)
        if wanted is None or name not in self._shown or name in self._in_flight:
            return None
        if wanted == self._shown[name] and name not in self._lost:
            return None
        blocking = [a for a in wanted.addresses if not self._may_show(name, a)]
        for address in blocking:
            self._blocked.setdefault(address, set()).add(name)
        if not blocking:
            return StatusWrite(name, wanted, self._shown[name])
        if self._claims.get(name, frozenset()) <= frozenset(wanted.addresses):
            return None
        return StatusWrite(name, self._meanwhile(name), self._shown[name])

    def _meanwhile(self, name: ObjectName) -> Showing:
        """Return what a Service shows while another one still shows an address of it."""
        kept = tuple(a for a in self._shown[name].addresses if a in self._wanted[name].addresses)
        return Showing(
            addresses=kept, pool=self._shown[name].pool if kept else None, condition=_MOVING
        )

    def _may_show(self, name: ObjectName, address: Address) -> bool:
        if address in self._shown[name].addresses:
            return True
        others = self._claimers.get(address, set()) - {name}
        return all(address in self._wanted.get(other, _NOTHING).addresses for other in others)

    def _claim(self, name: ObjectName) -> None:
        """Follow what a Service shows, or may show, and let those go on who waited for it."""
        before = self._claims.pop(name, frozenset())
        now = frozenset(self._shown.get(name, _NOTHING).addresses)
        now |= frozenset(self._in_flight.get(name, _NOTHING).addresses)
        now |= self._lost.get(name, frozenset())
        if now:
            self._claims[name] = now
        for address in before - now:
            claimers = self._claimers[address]
            claimers.discard(name)
            if not claimers:
                del self._claimers[address]
        for address in now - before:
            self._claimers.setdefault(address, set()).add(name)
        self._unblock(before - now)

    def _unblock(self, addresses: frozenset[Address]) -> None:
        for address in addresses:
            for name in sorted(self._blocked.pop(address, ())):
                self._due[name] = None
