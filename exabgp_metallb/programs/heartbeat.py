"""A program's sign of life for systemd: ready, how it is, and that it still turns.

Given its vitals at each turn of its loop, which is each second at least. Before it is ready it asks
for more time instead: a node may wait for its API server as long as that takes, a program that
hangs at its start may not.
"""

from exabgp_metallb.adapters.notify import Notifier
from exabgp_metallb.values.vitals import ControllerVitals, Health, ResponderVitals, SpeakerVitals

BEATS = 4  # within the time that the watchdog gives
SECONDS = 5.0  # between two beats where it gives none
MORE = "EXTEND_TIMEOUT_USEC=60000000"  # a minute from each beat on, before the program is ready


class Heartbeat:
    """Tells one supervisor.

    Args:
        notifier: reaches it.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._limit = notifier.watchdog_seconds
        self._seconds = SECONDS if self._limit is None else min(SECONDS, self._limit / BEATS)
        self._beat_at: float | None = None
        self._ready = False
        self._status = ""

    def beat(self, vitals: Health, status: str, *, silent_seconds: float = 0.0) -> None:
        """Tell what is new, and now and then that nothing is.

        Args:
            vitals: as of this turn.
            status: the same for people, in a line.
            silent_seconds: since when somebody below us, whom we cannot do without, owes an answer.
        """
        lines = []
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        becomes_ready = not self._ready and not vitals.waiting_for
        self._ready = self._ready or becomes_ready
        due = self._beat_at is None or vitals.turned_at >= self._beat_at + self._seconds
        if becomes_ready or due:
            self._beat_at = vitals.turned_at
            lines += self._signs(hangs=self._limit is not None and silent_seconds > self._limit / 2)
        if lines:
            self._notifier.tell(*lines)

    def _signs(self, *, hangs: bool) -> list[str]:
        """Return the signs of life, ready among them each time: one that is lost is made good."""
        if hangs:
            return ["WATCHDOG=trigger"]
        return ["READY=1", "WATCHDOG=1"] if self._ready else ["WATCHDOG=1", MORE]


def speaker_status(vitals: SpeakerVitals) -> str:
    """Return how a speaker is, in a line."""
    if vitals.waiting_for:
        return _waiting(vitals)
    addresses = len({address for _, address in vitals.announced})
    up = sum(vitals.sessions.values())
    told = [f"{up} of {len(vitals.sessions)} sessions up", f"{addresses} addresses by BGP"]
    if vitals.layer2 is not None:
        told.append(f"{len({a for _, a in vitals.layer2.announced})} on layer 2")
    if vitals.draining:
        told.append("draining")
    return ", ".join((*told, *_troubles(vitals)))


def controller_status(vitals: ControllerVitals) -> str:
    """Return how a controller is, in a line."""
    if vitals.waiting_for:
        return _waiting(vitals)
    if not vitals.leads:
        return "another replica leads"
    given = sum(each.assigned_ipv4 + each.assigned_ipv6 for each in vitals.usage.values())
    return ", ".join(("leads", f"{given} addresses given", *_troubles(vitals)))


def responder_status(vitals: ResponderVitals) -> str:
    """Return how a responder is, in a line."""
    if vitals.waiting_for:
        return _waiting(vitals)
    told = (f"{role.value} of {count}" for role, count in sorted(vitals.roles.items()))
    return ", ".join((*(told if vitals.roles else ("no address",)), *_troubles(vitals)))


def _waiting(vitals: Health) -> str:
    return f"waits for {', '.join(vitals.waiting_for)}"


def _troubles(vitals: Health) -> tuple[str, ...]:
    return tuple(f"{what} is away" for what in sorted(vitals.away))
