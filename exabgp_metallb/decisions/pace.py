"""All times of takeover, and why they are as they are."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """In seconds; the same on every node."""

    probe: float = 0.2
    """Between two probes of an owner that answers."""

    retry: float = 0.15
    """For an answer; a probe that has none by then is missed, and the next one follows."""

    misses: int = 3
    """Probes in a row without an answer that make an owner dead: one or two frames are lost
    together easily, by a switch's full buffer. From the last answer to the takeover that is half a
    second to two thirds, which leaves a machine under load the rest of a second."""

    hearsay: float = 0.1
    """For the one probe that confirms what another watcher has found out with three."""

    listen: float = 0.4
    """How long a new candidate listens before it takes an address that nobody answers for: two
    questions, since one may be lost."""

    rank: float = 0.2
    """How much longer than the one before it each further candidate waits: time for its
    announcement to come."""

    weak: float = 3.0
    """How long nobody must have answered before a weak candidate does: fifteen better ones have had
    their turn by then."""

    hold_down: float = 5.0
    """How long a better candidate must have been there before it takes an address back. Its own
    network, its pods and its rules for them come up meanwhile."""

    damping: float = 60.0
    """How long an address that moved back to a better candidate stays where that one's next failure
    put it."""

    held: float = 5.0
    """Between two questions to an owner that does not want to be relieved yet."""

    slow: float = 1.0
    """The least time between two probes by a node that does not watch closely."""

    acting_first: float = 1.0
    acting_most: float = 8.0
    """When an acting owner asks for a better one: soon after its takeover, then at doubled times. A
    segment that was cut and is whole again shows at the first frame anyway."""

    acting_known: float = 60.0
    """The same where every better candidate is heard, so none of them owns without knowing."""

    stranger: float = 10.0
    """Who hears a node that was silent for so long asks at once: the segment may have been cut."""

    strangers: float = 1.0
    """The least time between two such rounds of questions."""

    leave: float = 3.0
    """How long a node that is no candidate any more, or ends, waits for another to take over."""

    leaving: float = 0.5
    """Between the first two announcements that a node leaves, since one may be lost; then at
    doubled times, up to `acting_most`, for as long as nobody takes over."""

    defend: float = 1.0
    """The least time between two announcements against another candidate."""

    foreign: float = 10.0
    """The same against a stranger (DEFEND_INTERVAL of RFC 5227 section 1.1)."""

    turn: float = 0.2
    """How often a node takes a turn at least, to find out that it was asleep."""

    asleep: float = 0.4
    """A turn so long after the last one means that others may have taken over: nearly three probes
    were missed."""

    doubt: float = 0.5
    """How long after such a sleep an owner gives way to any other: the answer to its question needs
    far less."""
