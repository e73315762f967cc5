"""Which BFD sessions a node holds, and when a BGP session is held down because of one.

The rules are those of RFC 5882 for a control protocol that has a life of its own:

- BGP does not wait for BFD. A router without BFD, or one that begins with it only after BGP is up,
  gets its session (section 4.1), as it does from FRR's bgpd.
- A BFD session that was up and goes down is a failure of the path: the BGP session is torn down
  and held down until BFD is up again (section 4.2).
- Not for ever: many routers begin with BFD only after BGP is up, and end it with BGP. Both would
  wait for each other. After `HOLD_SECONDS` BGP may try by itself; a dead path costs nothing.
- A neighbor that ends its session without having seen a failure is no failure (section 3.2).
- What bfdd does not tell, since it is gone, is not known; what is not known holds nothing down.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.bfd import (
    BfdKey,
    BfdSession,
    BfdState,
    BfdStatus,
    BfdTimers,
    Diagnostic,
)
from exabgp_metallb.values.intent import BfdProfile, Peer
from exabgp_metallb.values.sessions import Session

HOLD_SECONDS = 60.0

INTERVAL_MS, MULTIPLIER, ECHO_MS, MINIMUM_TTL = 300, 3, 50, 254
"""FRR's defaults (bfdd/bfd.h), and so MetalLB's."""

_FAILURES = frozenset(Diagnostic) - {
    Diagnostic.NONE,
    Diagnostic.NEIGHBOR_DOWN,
    Diagnostic.ADMINISTRATIVELY_DOWN,
}
"""What is said by who saw the path fail. bfdd does not tell a neighbor's AdminDown from its Down; a
neighbor that is FRR says NONE when its session is shut down, NEIGHBOR_DOWN when it is removed."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How this host reaches a neighbor.

    Attributes:
        local: the address it would speak from; None: no route there now.
        on_link: the neighbor is in the subnet of an interface.
    """

    local: Address | None
    on_link: bool


def bfd_sessions(
    sessions: Iterable[Session],
    profiles: Mapping[str, BfdProfile],
    reach: Callable[[Address], Reach],
) -> dict[Address, BfdSession]:
    """Return the BFD sessions of a node's BGP sessions, by neighbor, in order of the peer's name.

    A multihop session needs a local address; while there is no route to the neighbor it is left
    out. So is a session that is unnumbered: ExaBGP cannot hold it.
    """
    found: dict[Address, BfdSession] = {}
    for session in sessions:
        peer = session.peer
        profile = profiles.get(peer.bfd_profile or "")
        if profile is None or peer.address is None:
            continue
        way = reach(peer.address)
        local = session.local_address or way.local
        multihop = is_multihop(peer, on_link=way.on_link)
        if multihop and local is None:
            continue
        key = BfdKey(peer=peer.address, local=local, multihop=multihop, vrf=peer.vrf)
        found[peer.address] = BfdSession(key=key, profile=profile.name, timers=timers(profile))
    return found


def is_multihop(peer: Peer, *, on_link: bool) -> bool:
    """Tell whether BFD with a peer is multihop, as bgpd decides it.

    Measured with FRR 8.4.4: eBGP by `ebgp-multihop` alone, iBGP by whether the peer is in a subnet
    of ours. Both sides must agree: the UDP ports differ (RFC 5881 section 4, RFC 5883 section 5).
    """
    return not on_link if peer.is_internal else peer.ebgp_multihop


def timers(profile: BfdProfile) -> BfdTimers:
    """Return a profile with FRR's defaults filled in."""
    return BfdTimers(
        receive_ms=profile.receive_ms or INTERVAL_MS,
        transmit_ms=profile.transmit_ms or INTERVAL_MS,
        detect_multiplier=profile.detect_multiplier or MULTIPLIER,
        echo_ms=profile.echo_ms or ECHO_MS,
        echo_mode=profile.echo_mode,
        passive_mode=profile.passive_mode,
        minimum_ttl=profile.minimum_ttl or MINIMUM_TTL,
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of one BFD session.

    Attributes:
        status: as bfdd told it; None: it did not, or it is gone.
        fell_at: when it left Up by a failure, in monotonic seconds; None: it did not, or it has
            been up or ended since.
    """

    status: BfdStatus | None = None
    fell_at: float | None = None

    def heard(self, status: BfdStatus, now: float) -> "Watch":
        """Return what is known after bfdd told a state."""
        if status.state in (BfdState.UP, BfdState.ADMIN_DOWN):
            return Watch(status)
        if self._is_up and is_failure(status):
            return Watch(status, now)
        return Watch(status, self.fell_at)

    def release_at(self) -> float | None:
        """Return until when BGP is held down, in monotonic seconds; None: it is not."""
        return None if self.fell_at is None else self.fell_at + HOLD_SECONDS

    def holds(self, now: float) -> bool:
        """Tell whether the BGP session is to be held down."""
        until = self.release_at()
        return until is not None and now < until

    @property
    def _is_up(self) -> bool:
        return self.status is not None and self.status.state is BfdState.UP


UNKNOWN = Watch()


def is_failure(status: BfdStatus) -> bool:
    """Tell whether a session that is not up any more shows that the path has failed."""
    if status.diagnostic is Diagnostic.NEIGHBOR_DOWN:
        return status.remote_diagnostic in _FAILURES
    return status.diagnostic in _FAILURES
