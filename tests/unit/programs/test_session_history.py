"""How sessions stand after what ExaBGP told."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from exabgp_metallb.adapters.exabgp.dialogue import Greeted, SessionDown, SessionFailed, SessionUp
from exabgp_metallb.adapters.exabgp.notifications import NO_CONNECTION
from exabgp_metallb.programs.session_history import SessionHistory, Standing

TOR = ip_address("192.0.2.1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=5)


def test_a_session_that_nobody_spoke_of() -> None:
    """It is down, and nobody knows since when."""
    assert SessionHistory().of(TOR) == Standing()


def test_attempts_do_not_move_the_time_of_the_fall() -> None:
    """It is down since it fell; the last error is that of the last attempt."""
    history = SessionHistory()
    assert history.noticed(SessionUp(TOR), NOON) == TOR
    assert history.of(TOR) == Standing(established=True, since=NOON)
    assert history.noticed(SessionDown(TOR, "notification received (6,2)"), LATER) == TOR
    fell = history.of(TOR)
    assert (fell.established, fell.since) == (False, LATER)
    assert fell.last_error.endswith("administratively shut down")
    failed = SessionFailed(TOR, "closing connection")
    assert history.noticed(failed, LATER + timedelta(minutes=1)) == TOR
    assert history.of(TOR) == Standing(established=False, since=LATER, last_error=NO_CONNECTION)
    assert history.noticed(failed, LATER + timedelta(minutes=2)) is None


def test_the_error_is_remembered_when_it_is_over() -> None:
    """Who asks why it was away in the night finds it in the morning."""
    history = SessionHistory()
    history.noticed(SessionFailed(TOR, "closing connection"), NOON)
    history.noticed(SessionUp(TOR), LATER)
    assert history.of(TOR) == Standing(established=True, since=LATER, last_error=NO_CONNECTION)


def test_other_notices_change_nothing() -> None:
    """ExaBGP's version says nothing of sessions."""
    assert SessionHistory().noticed(Greeted("5.0.15"), NOON) is None
