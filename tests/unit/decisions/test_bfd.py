"""Which BFD sessions a node holds, and when a BGP session is held down because of one."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.decisions.bfd import (
    HOLD_SECONDS,
    UNKNOWN,
    Reach,
    Watch,
    bfd_sessions,
    is_failure,
    timers,
)
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.bfd import BfdKey, BfdState, BfdStatus, BfdTimers, Diagnostic
from exabgp_metallb.values.intent import BfdProfile, DynamicAsn, Peer
from exabgp_metallb.values.sessions import Session

ROUTER, OURS = ip_address("192.0.2.1"), ip_address("192.0.2.11")
ON_LINK, BEYOND = Reach(OURS, on_link=True), Reach(OURS, on_link=False)
NO_ROUTE = Reach(None, on_link=False)

UP = BfdStatus(state=BfdState.UP)
INIT = BfdStatus(state=BfdState.INIT)
SHUT = BfdStatus(state=BfdState.ADMIN_DOWN)
NEVER_UP = BfdStatus(state=BfdState.DOWN)
EXPIRED = BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.CONTROL_EXPIRED)


def signaled(remote: Diagnostic) -> BfdStatus:
    """Return what bfdd tells when the neighbor said Down."""
    return BfdStatus(
        state=BfdState.DOWN, diagnostic=Diagnostic.NEIGHBOR_DOWN, remote_diagnostic=remote
    )


def session(*, source: Address | None = None, **spec: Any) -> Session:  # noqa: ANN401 -- Peer's own
    """Return a session with the router, with BFD unless the spec says otherwise."""
    fields: dict[str, Any] = {
        "name": "tor",
        "my_asn": 64513,
        "peer_asn": 64512,
        "address": ROUTER,
        "bfd_profile": "fast",
    }
    peer = Peer(**(fields | spec))
    return Session(
        peer=peer, local_address=source, router_id=None, hold_seconds=90, keepalive_seconds=30
    )


def keys(one: Session, way: Reach, *profiles: BfdProfile) -> list[BfdKey]:
    """Return the sessions of a node with one BGP session."""
    known = {p.name: p for p in profiles or (BfdProfile(name="fast"),)}
    return [s.key for s in bfd_sessions([one], known, lambda _: way).values()]


@pytest.mark.parametrize(
    ("one", "way", "expected"),
    [
        pytest.param(session(), ON_LINK, (OURS, False), id="eBGP"),
        pytest.param(session(), BEYOND, (OURS, False), id="eBGP is single hop as bgpd has it"),
        pytest.param(session(), NO_ROUTE, (None, False), id="single hop needs no address of ours"),
        pytest.param(session(ebgp_multihop=True), ON_LINK, (OURS, True), id="ebgpMultiHop"),
        pytest.param(session(ebgp_multihop=True), NO_ROUTE, None, id="multihop, no route yet"),
        pytest.param(session(peer_asn=64513), ON_LINK, (OURS, False), id="iBGP in our subnet"),
        pytest.param(session(peer_asn=64513), BEYOND, (OURS, True), id="iBGP beyond it"),
        pytest.param(
            session(peer_asn=DynamicAsn.INTERNAL), BEYOND, (OURS, True), id="dynamicASN internal"
        ),
        pytest.param(
            session(source=ip_address("192.0.2.99")),
            ON_LINK,
            (ip_address("192.0.2.99"), False),
            id="sourceAddress",
        ),
        pytest.param(session(bfd_profile=None), ON_LINK, None, id="no profile"),
        pytest.param(session(bfd_profile="other"), ON_LINK, None, id="no such profile"),
        pytest.param(session(address=None, interface="eth0"), ON_LINK, None, id="unnumbered"),
    ],
)
def test_a_bgp_session_has_this_bfd_session(
    one: Session, way: Reach, expected: tuple[Address | None, bool] | None
) -> None:
    """Single hop or multihop as FRR's bgpd decides, for the router is often one."""
    found = [(key.local, key.multihop) for key in keys(one, way)]
    assert found == ([] if expected is None else [expected])


def test_the_vrf_goes_along() -> None:
    """One neighbor may be in a VRF."""
    assert [key.vrf for key in keys(session(vrf="blue"), ON_LINK)] == ["blue"]


def test_what_a_profile_leaves_out_is_frrs_default() -> None:
    """As MetalLB has it, which leaves it to FRR."""
    assert timers(BfdProfile(name="x")) == BfdTimers(
        receive_ms=300,
        transmit_ms=300,
        detect_multiplier=3,
        echo_ms=50,
        echo_mode=False,
        passive_mode=False,
        minimum_ttl=254,
    )


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (EXPIRED, True),
        (BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.ECHO_FAILED), True),
        (BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.PATH_DOWN), True),
        (signaled(Diagnostic.CONTROL_EXPIRED), True),
        (signaled(Diagnostic.PATH_DOWN), True),
        (signaled(Diagnostic.NONE), False),
        (signaled(Diagnostic.NEIGHBOR_DOWN), False),
        (signaled(Diagnostic.ADMINISTRATIVELY_DOWN), False),
        (NEVER_UP, False),
        (BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.ADMINISTRATIVELY_DOWN), False),
    ],
)
def test_only_a_failure_of_the_path_is_one(status: BfdStatus, *, failure: bool) -> None:
    """A neighbor that lets go of its session has seen none (RFC 5882 section 3.2)."""
    assert is_failure(status) is failure


@pytest.mark.parametrize(
    ("told", "held"),
    [
        pytest.param([], False, id="nothing heard"),
        pytest.param([NEVER_UP], False, id="never up does not hold BGP"),
        pytest.param([INIT, EXPIRED], False, id="never up, though it tried"),
        pytest.param([EXPIRED], False, id="what was before us is not known"),
        pytest.param([UP], False, id="up"),
        pytest.param([UP, EXPIRED], True, id="fallen"),
        pytest.param([UP, EXPIRED, INIT], True, id="coming, not up yet"),
        pytest.param([UP, EXPIRED, INIT, NEVER_UP], True, id="still down"),
        pytest.param([UP, EXPIRED, UP], False, id="up again"),
        pytest.param([UP, EXPIRED, UP, EXPIRED], True, id="fallen again"),
        pytest.param([UP, SHUT], False, id="shut down here"),
        pytest.param([UP, EXPIRED, SHUT], False, id="shut down here after a fall"),
        pytest.param([UP, SHUT, NEVER_UP], False, id="opened again"),
        pytest.param([UP, signaled(Diagnostic.NONE)], False, id="ended by the neighbor"),
        pytest.param([UP, signaled(Diagnostic.CONTROL_EXPIRED)], True, id="the neighbor is deaf"),
        pytest.param([UP, None], False, id="bfdd is gone"),
        pytest.param([UP, EXPIRED, None], False, id="bfdd is gone after a fall"),
        pytest.param([UP, None, EXPIRED], False, id="a new bfdd's session was never up"),
        pytest.param([UP, None, UP, EXPIRED], True, id="fallen under a new bfdd"),
    ],
)
def test_what_is_told_holds_bgp_down(told: list[BfdStatus | None], *, held: bool) -> None:
    """None stands for the end of bfdd."""
    assert followed(told).holds(now=1.0) is held


def followed(told: list[BfdStatus | None]) -> Watch:
    """Return what is known after all this, told at one instant."""
    watch = UNKNOWN
    for status in told:
        watch = UNKNOWN if status is None else watch.heard(status, now=1.0)
    return watch


def test_a_hold_ends_by_itself() -> None:
    """A router that begins with BFD only after BGP would wait for us as we for it."""
    watch = followed([UP, EXPIRED])
    assert watch.release_at() == 1.0 + HOLD_SECONDS
    assert watch.holds(now=1.0 + HOLD_SECONDS - 0.001)
    assert not watch.holds(now=1.0 + HOLD_SECONDS)
    later = watch.heard(EXPIRED, now=50.0)
    assert later.release_at() == watch.release_at()  # told again is not fallen again


statuses = st.builds(
    BfdStatus,
    state=st.sampled_from(BfdState),
    diagnostic=st.sampled_from(Diagnostic),
    remote_diagnostic=st.sampled_from(Diagnostic),
)


@given(st.lists(st.none() | statuses, max_size=12))
def test_bgp_is_held_exactly_when_bfd_fell_and_bfdd_lives(told: list[BfdStatus | None]) -> None:
    """In whatever order things happen, against the rule said in another way."""
    alive = told[len(told) - told[::-1].index(None) :] if None in told else told
    states = [status.state for status in alive if status is not None]
    last_up = max((i for i, s in enumerate(states) if s is BfdState.UP), default=None)
    after = [] if last_up is None else alive[last_up + 1 :]
    ended = any(status is not None and status.state is BfdState.ADMIN_DOWN for status in after)
    fell = bool(after) and after[0] is not None and is_failure(after[0])
    assert followed(told).holds(now=1.0) is (fell and not ended)
