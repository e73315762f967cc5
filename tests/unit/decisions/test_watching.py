"""Who watches whom, what falls due when, and the times of announcements."""

from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.deadlines import Deadlines
from exabgp_metallb.decisions.gratuitous import next_announcement
from exabgp_metallb.decisions.watching import Heirs, Watch, WatchKey, heirs
from exabgp_metallb.values.addresses import Family

A, B, C, D = (bytes([number]) * 8 for number in range(4))


def watch(*given_heirs: Heirs) -> Watch:
    """Return a watch of node D with an address for each pair of heirs."""
    made = Watch(WatchKey(1, D), b"")
    for number, each in enumerate(given_heirs):
        made.add(IPv4Address(number), each)
    return made


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((D, A, B), Heirs(A, B)),
        ((A, D, B), Heirs(A, B)),
        ((A, D), Heirs(A, None)),
        ((D,), Heirs(None, None)),
        ((A, B, C), Heirs(A, B)),
    ],
)
def test_heirs_are_the_first_two_that_are_not_the_owner(
    candidates: tuple[bytes, ...], expected: Heirs
) -> None:
    """Whether the owner is a candidate or not."""
    assert heirs(candidates, D) == expected


def test_the_first_heirs_watch_closely_before_the_second_ones() -> None:
    """They wake the others, since they take over at once."""
    assert set(watch(Heirs(A, B), Heirs(B, A)).close_watchers()) == {A, B}
    assert watch(Heirs(C, A)).close_watchers() == (C, A)
    assert watch(Heirs(C, None)).close_watchers() == (C,)
    assert watch(Heirs(None, None)).close_watchers() == ()


def test_close_watchers_follow_the_addresses() -> None:
    """One that is first for nothing any more leaves its place to another."""
    watched = watch(Heirs(A, B), Heirs(C, B), Heirs(C, A))
    assert set(watched.close_watchers()) == {A, C}
    watched.discard(IPv4Address(0))
    assert watched.close_watchers() == (C, *{B, A} & {min(A, B, key=_distance)})
    watched.add(IPv4Address(1), Heirs(B, A))
    assert set(watched.close_watchers()) == {B, C}


def _distance(node: bytes) -> int:
    return int.from_bytes(node, "big") ^ int.from_bytes(D, "big")


def test_every_address_is_asked_for_in_turn() -> None:
    """Also when some come and go."""
    watched = watch(*[Heirs(A, B)] * 3)
    assert [int(watched.turn()) for _ in range(4)] == [0, 1, 2, 0]
    watched.discard(IPv4Address(1))
    watched.add(IPv4Address(7), Heirs(A, B))
    assert [int(watched.turn()) for _ in range(4)] == [2, 0, 7, 2]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.none() | st.floats(min_value=0, max_value=100)), max_size=30
    ),
    st.floats(min_value=0, max_value=100),
)
def test_what_is_due_comes_out_once_the_earliest_first(
    changes: list[tuple[int, float | None]], now: float
) -> None:
    """As a plain mapping would say."""
    deadlines: Deadlines[int] = Deadlines()
    plain: dict[int, float] = {}
    for key, at in changes:
        if at is None:
            deadlines.clear(key)
            plain.pop(key, None)
        else:
            deadlines.set(key, at)
            plain[key] = at
    assert deadlines.next() == min(plain.values(), default=None)
    due = list(deadlines.due(now))
    assert sorted(due) == sorted(key for key, at in plain.items() if at <= now)
    assert [plain[key] for key in due] == sorted(plain[key] for key in due)
    assert deadlines.next() == min((at for at in plain.values() if at > now), default=None)


def announced(family: Family, refresh_seconds: float | None, until: float) -> list[float]:
    """Return when an address is announced after its takeover at 0."""
    times: list[float] = []
    at = next_announcement(family, sent=0, last_at=0.0, refresh_seconds=refresh_seconds)
    while at is not None and at <= until:
        times.append(at)
        at = next_announcement(family, sent=len(times), last_at=at, refresh_seconds=refresh_seconds)
    return times


def test_the_burst_thins_out_and_keeps_to_the_standards() -> None:
    """RFC 5227 section 2.3, RFC 4861 section 7.2.6."""
    assert announced(Family.IPV4, None, 1e6) == [0.0, 0.2, 1.0, 3.0, 7.0]
    solicited = announced(Family.IPV6, None, 1e6)
    assert solicited == [0.0, 1.0, 3.0]
    assert len(solicited) <= 3
    assert all(later - earlier >= 1 for earlier, later in pairwise(solicited))


def test_a_refresh_goes_on() -> None:
    """At its own pace after the burst."""
    assert announced(Family.IPV6, 60.0, 190.0) == [0.0, 1.0, 3.0, 63.0, 123.0, 183.0]
