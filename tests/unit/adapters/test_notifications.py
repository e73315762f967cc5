"""Reasons for the end of a session: ExaBGP's own words stay, and what they mean is added."""

import pytest

from exabgp_metallb.adapters.exabgp.notifications import (
    CLOSED,
    LOST_CONNECTION,
    MEANINGS,
    NO_CONNECTION,
    explain,
    explain_failure,
)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        pytest.param("notification received (2,2)", "wrong ASN", id="AS of the OPEN"),
        pytest.param("notification sent (2,2)", "wrong ASN", id="we refuse theirs"),
        pytest.param("notification sent (4,0)", "hold timer expired", id="silence"),
        pytest.param("notification received (6,2)", "administratively shut down", id="shutdown"),
        pytest.param("notification received (6,5)", "no neighbor with our address", id="stranger"),
        pytest.param("notification received (2,99)", "OPEN refused", id="subcode nobody knows"),
        pytest.param("notification received (6,99)", "session ceased", id="cease nobody knows"),
    ],
)
def test_a_code_is_explained(reason: str, meaning: str) -> None:
    """Code and subcode stay in the text, for who looks them up."""
    assert explain(reason).startswith(f"{reason}: ")
    assert meaning in explain(reason)
    assert explain_failure(reason) == explain(reason)


@pytest.mark.parametrize(
    "reason", ["", "stop, message [removed]", "notification received (99,1)", "(2,2)"]
)
def test_what_has_no_known_code_stays_as_it_is(reason: str) -> None:
    """ExaBGP's words are better than none."""
    assert explain(reason) == reason


def test_tcp_is_told_apart_by_what_there_was_before() -> None:
    """ExaBGP has one text for a connection that was lost and for one that was never made."""
    assert explain(CLOSED) == LOST_CONNECTION
    assert explain_failure(CLOSED) == NO_CONNECTION


def test_every_code_has_a_general_meaning_or_its_own() -> None:
    """A subcode that is not listed falls back to its code, where the code has subcodes at all."""
    assert all((code, 0) in MEANINGS for code, _ in MEANINGS)
