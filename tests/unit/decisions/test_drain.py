"""A draining node's routes lose to every other path and go on carrying what is under way."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.drain import (
    CLOSE_SECONDS,
    ORDER,
    WIRE_SECONDS,
    Drain,
    Goal,
    Phase,
    Scene,
    begin,
    drained,
    due,
    longest,
    step,
)
from exabgp_metallb.values.intent import (
    GRACEFUL_SHUTDOWN,
    Community,
    DynamicAsn,
    LargeCommunity,
    Peer,
)
from exabgp_metallb.values.rib import AdjRibOut, Attributes
from tests.strategies import adj_ribs_out

PREFIX = ip_network("10.0.0.1/32")


def peer(peer_asn: int | DynamicAsn, local_asn: int | None = None) -> Peer:
    """Return a peer of AS 64512."""
    return Peer(name="tor", my_asn=64512, peer_asn=peer_asn, local_asn=local_asn)


IBGP, EBGP = peer(64512), peer(64513)
LOW, HIGH = Community(1, 1), Community(65535, 65281)


@pytest.mark.parametrize(
    ("to", "before", "after"),
    [
        pytest.param(
            EBGP,
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="eBGP: the community, no local-pref",
        ),
        pytest.param(
            IBGP,
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP: the lowest local-pref as well",
        ),
        pytest.param(
            IBGP,
            Attributes(local_pref=200),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP: instead of its own",
        ),
        pytest.param(
            peer(DynamicAsn.INTERNAL),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="dynamicASN internal",
        ),
        pytest.param(
            peer(DynamicAsn.EXTERNAL),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="dynamicASN external",
        ),
        pytest.param(
            peer(64513, local_asn=64513),
            Attributes(),
            Attributes(communities=(GRACEFUL_SHUTDOWN,), local_pref=0),
            id="iBGP by localASN",
        ),
        pytest.param(
            EBGP,
            Attributes(communities=(LOW, HIGH)),
            Attributes(communities=(LOW, GRACEFUL_SHUTDOWN, HIGH)),
            id="communities stay, and in order",
        ),
        pytest.param(
            EBGP,
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            Attributes(communities=(GRACEFUL_SHUTDOWN,)),
            id="the community only once",
        ),
        pytest.param(
            EBGP,
            Attributes(
                next_hop=ip_address("192.0.2.1"), large_communities=(LargeCommunity(1, 2, 3),)
            ),
            Attributes(
                next_hop=ip_address("192.0.2.1"),
                large_communities=(LargeCommunity(1, 2, 3),),
                communities=(GRACEFUL_SHUTDOWN,),
            ),
            id="all else stays",
        ),
    ],
)
def test_the_first_phase_of_a_drain(to: Peer, before: Attributes, after: Attributes) -> None:
    """RFC 8326 section 4, by kind of peer."""
    assert drained({PREFIX: before}, to) == {PREFIX: after}


@given(adj_ribs_out)
def test_no_prefix_comes_or_goes(rib: AdjRibOut) -> None:
    """A drain changes attributes only, and draining again changes nothing."""
    once = drained(rib, IBGP)
    assert list(once) == list(rib)
    assert drained(once, IBGP) == once


SERVING, WORSE, WITHDRAWING, DRAINED, CLOSING, CLOSED = Phase
SERVE, DRAIN, STOP = Goal

QUIET = Scene(goal=DRAIN, seconds=5.0, attracts=True, settled=True, closed=True)
"""Everything is on the wire, and routers hold it."""


@pytest.mark.parametrize("phase", ORDER)
def test_giving_up_a_drain_serves_at_once(phase: Phase) -> None:
    """From any phase, whatever is under way."""
    scene = replace(QUIET, goal=SERVE, settled=False)
    assert step(Drain(phase, 1.0), scene, 7.0).phase is SERVING


@pytest.mark.parametrize(
    ("drain", "scene", "now", "phase"),
    [
        pytest.param(Drain(SERVING), QUIET, 9.0, WORSE, id="begin"),
        pytest.param(Drain(SERVING), replace(QUIET, goal=STOP), 9.0, WORSE, id="begin to stop"),
        pytest.param(Drain(WORSE, 9.0), QUIET, 9.0, WORSE, id="sent: now it counts"),
        pytest.param(Drain(WORSE, 9.0, 9.0), QUIET, 13.9, WORSE, id="routers have their time"),
        pytest.param(Drain(WORSE, 9.0, 9.0), QUIET, 14.0, WITHDRAWING, id="they had it"),
        pytest.param(
            Drain(WORSE, 9.0, 9.0),
            replace(QUIET, settled=False),
            14.0,
            WITHDRAWING,
            id="a change of that time holds nothing up",
        ),
        pytest.param(Drain(WORSE, 9.0), replace(QUIET, settled=False), 14.0, WORSE, id="not sent"),
        pytest.param(
            Drain(WORSE, 9.0),
            replace(QUIET, settled=False, seconds=0.0),
            9.0 + WIRE_SECONDS,
            WITHDRAWING,
            id="a router that does not read",
        ),
        pytest.param(
            Drain(WORSE, 9.0), replace(QUIET, seconds=0.0), 9.0, WITHDRAWING, id="no time is given"
        ),
        pytest.param(
            Drain(WORSE, 9.0), replace(QUIET, attracts=False), 9.0, WITHDRAWING, id="nobody to tell"
        ),
        pytest.param(
            Drain(WITHDRAWING, 9.0),
            replace(QUIET, settled=False),
            9.1,
            WITHDRAWING,
            id="withdrawals under way",
        ),
        pytest.param(Drain(WITHDRAWING, 9.0), QUIET, 9.1, DRAINED, id="withdrawn"),
        pytest.param(
            Drain(WITHDRAWING, 9.0),
            replace(QUIET, settled=False),
            9.0 + WIRE_SECONDS,
            DRAINED,
            id="withdrawn as far as can be",
        ),
        pytest.param(Drain(DRAINED, 9.0), QUIET, 99.0, DRAINED, id="a drain ends here"),
        pytest.param(Drain(DRAINED, 9.0), replace(QUIET, goal=STOP), 9.0, CLOSING, id="a stop not"),
        pytest.param(
            Drain(CLOSING, 9.0),
            replace(QUIET, goal=STOP, closed=False),
            9.1,
            CLOSING,
            id="a session is left",
        ),
        pytest.param(Drain(CLOSING, 9.0), replace(QUIET, goal=STOP), 9.1, CLOSED, id="none is"),
        pytest.param(
            Drain(CLOSING, 9.0),
            replace(QUIET, goal=STOP, closed=False),
            9.0 + CLOSE_SECONDS,
            CLOSED,
            id="one stays",
        ),
        pytest.param(Drain(CLOSED, 9.0), replace(QUIET, goal=STOP), 99.0, CLOSED, id="the end"),
        pytest.param(Drain(CLOSING, 9.0), QUIET, 9.1, DRAINED, id="a stop becomes a drain"),
    ],
)
def test_the_next_phase(drain: Drain, scene: Scene, now: float, phase: Phase) -> None:
    """What is asked, what is on the wire, and the clock."""
    assert step(drain, scene, now).phase is phase


def test_a_node_that_is_to_be_drained_begins_so() -> None:
    """It is told so before its first route; one that serves or stops begins with routes."""
    assert [begin(goal, 3.0) for goal in Goal] == [
        Drain(SERVING, 3.0),
        Drain(DRAINED, 3.0),
        Drain(SERVING, 3.0),
    ]


scenes = st.builds(
    Scene,
    goal=st.sampled_from(Goal),
    seconds=st.just(5.0),
    attracts=st.booleans(),
    settled=st.booleans(),
    closed=st.booleans(),
)


@given(st.lists(st.tuples(scenes, st.floats(0, 10))))
def test_phases_follow_each_other(told: list[tuple[Scene, float]]) -> None:
    """None is left out on the way down, and traffic always had its time to leave.

    The way up is one step, and only as far as was asked.
    """
    now, drain = 0.0, Drain()
    phases = [SERVING]
    for scene, passed in told:
        now += passed
        before, drain = drain, step(drain, scene, now)
        phases.append(drain.phase)
        if (before.phase, drain.phase) == (WORSE, WITHDRAWING) and scene.attracts:
            began = now if before.worse_since is None else before.worse_since
            assert now >= began + scene.seconds
    places = list(map(ORDER.index, phases))
    assert all(later <= sooner + 1 for sooner, later in pairwise(places))
    goals = [scene.goal.value for scene, _ in told]
    risen = zip(pairwise(places), goals, strict=True)
    assert all(ORDER[to] is goal for (at, to), goal in risen if to < at)


@given(st.floats(0, 300), st.lists(st.booleans(), min_size=4, max_size=4), st.sampled_from(Goal))
def test_a_drain_ends_in_time(seconds: float, told: list[bool], goal: Goal) -> None:
    """Whatever the routers do, woken only when it asked to be."""
    attracts, settled, closed, begun = told
    scene = Scene(goal=goal, seconds=seconds, attracts=attracts, settled=settled, closed=closed)
    now, drain = 0.0, begin(goal, 0.0) if begun else Drain()
    while drain.phase is not goal.value:
        following = step(drain, scene, now)
        if following == drain:
            wake = due(drain, seconds)
            assert wake is not None
            assert wake > now
            now = wake
        drain = following
    assert now <= longest(seconds)
