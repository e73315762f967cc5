"""From what a peer was sent to what it should hold."""

from collections.abc import Iterable
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.changes import changes
from exabgp_metallb.values.addresses import Prefix
from exabgp_metallb.values.rib import (
    AdjRibOut,
    Announce,
    Attributes,
    Change,
    Route,
    Withdraw,
)
from tests.strategies import adj_ribs_out

PLAIN, BETTER = Attributes(), Attributes(local_pref=200)
ONE, TWO = ip_network("10.0.0.1/32"), ip_network("10.0.0.2/32")
SHORT, LONG = ip_network("10.0.0.0/24"), ip_network("10.0.0.0/32")
WIDE = ip_network("2001:db8::/64")


def announce(prefix: Prefix, attributes: Attributes = PLAIN) -> Announce:
    """Return the announcement of a route."""
    return Announce(Route(prefix, attributes))


@pytest.mark.parametrize(
    ("sent", "wanted", "expected"),
    [
        pytest.param({}, {}, [], id="nothing at all"),
        pytest.param({ONE: PLAIN}, {ONE: PLAIN}, [], id="all as it should be"),
        pytest.param({}, {ONE: PLAIN}, [announce(ONE)], id="a new route"),
        pytest.param({ONE: PLAIN}, {}, [Withdraw(ONE)], id="a route too many"),
        pytest.param(
            {ONE: PLAIN}, {ONE: BETTER}, [announce(ONE, BETTER)], id="other attributes replace"
        ),
        pytest.param(
            {ONE: PLAIN}, {TWO: PLAIN}, [announce(TWO), Withdraw(ONE)], id="announcements first"
        ),
        pytest.param(
            {},
            {WIDE: PLAIN, TWO: PLAIN, LONG: PLAIN, SHORT: PLAIN},
            [announce(SHORT), announce(LONG), announce(TWO), announce(WIDE)],
            id="announced in order of prefix",
        ),
        pytest.param(
            {WIDE: PLAIN, TWO: PLAIN, ONE: PLAIN},
            {},
            [Withdraw(ONE), Withdraw(TWO), Withdraw(WIDE)],
            id="withdrawn in order of prefix",
        ),
    ],
)
def test_what_is_to_be_told(sent: AdjRibOut, wanted: AdjRibOut, expected: list[Change]) -> None:
    """The fewest changes, in their order."""
    assert list(changes(sent, wanted)) == expected


def followed(told: Iterable[Change], sent: AdjRibOut) -> AdjRibOut:
    """Return what a peer holds after some changes."""
    held = dict(sent)
    for change in told:
        if isinstance(change, Announce):
            held[change.route.prefix] = change.route.attributes
        else:
            del held[change.prefix]
    return held


@given(sent=adj_ribs_out, wanted=adj_ribs_out)
def test_following_the_changes_leaves_the_wanted_rib(sent: AdjRibOut, wanted: AdjRibOut) -> None:
    """Whatever the peer holds, it ends with the wanted routes and no others."""
    assert followed(changes(sent, wanted), sent) == wanted


@given(sent=adj_ribs_out, wanted=adj_ribs_out)
def test_no_change_is_one_too_many(sent: AdjRibOut, wanted: AdjRibOut) -> None:
    """Each prefix at most once, and only where there is a difference."""
    told = [c.route.prefix if isinstance(c, Announce) else c.prefix for c in changes(sent, wanted)]
    differing = [p for p in {**sent, **wanted} if sent.get(p) != wanted.get(p)]
    assert sorted(map(str, told)) == sorted(map(str, differing))


@given(adj_ribs_out, adj_ribs_out, st.randoms(use_true_random=False))
def test_the_order_in_which_routes_were_learned_shows_nowhere(
    sent: dict[Prefix, Attributes], wanted: dict[Prefix, Attributes], random: Random
) -> None:
    """Equal ribs give equal changes."""
    other_sent, other_wanted = list(sent.items()), list(wanted.items())
    random.shuffle(other_sent)
    random.shuffle(other_wanted)
    assert changes(dict(other_sent), dict(other_wanted)) == changes(sent, wanted)
