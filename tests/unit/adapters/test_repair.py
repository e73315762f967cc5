"""Whom to ask for what ExaBGP holds, and when."""

from ipaddress import ip_address

from exabgp_metallb.adapters.exabgp.repair import (
    OVERDUE_SECONDS,
    REPAIR_SECONDS,
    REST,
    RETRY_SECONDS,
    Repair,
)

ONE, TWO = ip_address("10.0.0.1"), ip_address("10.0.0.2")
BOTH = {ONE, TWO}


def begun() -> Repair:
    """Return one that has seen two neighbors at time 0, and was asked for nobody."""
    repair = Repair()
    assert repair.due(BOTH, 0.0) is None
    return repair


def test_who_waits_longest_is_next() -> None:
    """A minute after its last time, or after it was first seen."""
    repair = begun()
    assert repair.due(BOTH, REPAIR_SECONDS - 1) is None
    first = repair.due(BOTH, REPAIR_SECONDS)
    assert first in BOTH
    repair.asked(first, REPAIR_SECONDS)
    repair.answered(REPAIR_SECONDS)
    (second,) = BOTH - {first}
    assert repair.due(BOTH, REPAIR_SECONDS) == second
    repair.asked(second, REPAIR_SECONDS)
    repair.answered(REPAIR_SECONDS)
    assert repair.due(BOTH, 2 * REPAIR_SECONDS - 1) is None


def test_exabgp_rests_after_an_answer() -> None:
    """In proportion to what it took."""
    repair = begun()
    repair.asked(ONE, REPAIR_SECONDS)
    answered = REPAIR_SECONDS + 2.0
    repair.answered(answered)
    assert repair.due(BOTH, answered + 2.0 * REST - 0.1) is None
    assert repair.due(BOTH, answered + 2.0 * REST) == TWO


def test_what_was_broken_off_is_asked_again() -> None:
    """Soon, and for long without insisting."""
    repair = begun()
    repair.due({ONE}, 0.0)
    now = REPAIR_SECONDS
    while now < OVERDUE_SECONDS:
        assert repair.due({ONE}, now) == ONE
        assert repair.overdue({ONE}, now) is None
        repair.asked(ONE, now)
        repair.broken_off(now)
        assert repair.due({ONE}, now + RETRY_SECONDS - 0.1) is None
        now += RETRY_SECONDS
    assert repair.overdue({ONE}, now) == ONE
    repair.asked(ONE, now)
    assert repair.overdue({ONE}, now) is None


def test_all_may_be_hurried() -> None:
    """As after a reload; once."""
    repair = begun()
    repair.hurry()
    for _ in BOTH:
        neighbor = repair.due(BOTH, 1.0)
        assert neighbor is not None
        repair.asked(neighbor, 1.0)
        repair.answered(1.0)
    assert repair.due(BOTH, REPAIR_SECONDS) is None


def test_a_session_that_came_back_is_a_new_one() -> None:
    """What ExaBGP holds was sent again by itself; nobody is overdue for having been away."""
    repair = begun()
    repair.due({TWO}, OVERDUE_SECONDS - 1)
    assert repair.overdue({ONE}, OVERDUE_SECONDS) is None
