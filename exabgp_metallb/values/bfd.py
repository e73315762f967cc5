"""Bidirectional Forwarding Detection (RFC 5880): the sessions of a node, and what is heard of them.

Sessions are single hop (RFC 5881) or multihop (RFC 5883). They run in FRR's bfdd, beside ExaBGP.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from exabgp_metallb.values.addresses import Address


class BfdState(enum.StrEnum):
    """bfd.SessionState (RFC 5880 section 4.1), in the words of bfdd."""

    ADMIN_DOWN = "adm-down"
    DOWN = "down"
    INIT = "init"
    UP = "up"


class Diagnostic(enum.IntEnum):
    """Why a session left Up the last time (RFC 5880 section 4.1)."""

    NONE = 0
    CONTROL_EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_DOWN = 3
    FORWARDING_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = {
    Diagnostic.NONE: "no diagnostic",
    Diagnostic.CONTROL_EXPIRED: "control detection time expired",
    Diagnostic.ECHO_FAILED: "echo function failed",
    Diagnostic.NEIGHBOR_DOWN: "neighbor signaled session down",
    Diagnostic.FORWARDING_RESET: "forwarding plane reset",
    Diagnostic.PATH_DOWN: "path down",
    Diagnostic.CONCATENATED_PATH_DOWN: "concatenated path down",
    Diagnostic.ADMINISTRATIVELY_DOWN: "administratively down",
    Diagnostic.REVERSE_CONCATENATED_PATH_DOWN: "reverse concatenated path down",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdKey:
    """What bfdd tells one session from another by.

    Attributes:
        local: None leaves the choice to the kernel; single hop only.
        vrf: None is the default one.
    """

    peer: Address
    local: Address | None = None
    multihop: bool = False
    vrf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdTimers:
    """A BFDProfile with FRR's defaults filled in; times are milliseconds.

    Attributes:
        minimum_ttl: of a packet that is taken, on multihop sessions.
    """

    receive_ms: int
    transmit_ms: int
    detect_multiplier: int
    echo_ms: int
    echo_mode: bool
    passive_mode: bool
    minimum_ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdSession:
    """One session that a node holds, and the BFDProfile that it goes by."""

    key: BfdKey
    profile: str
    timers: BfdTimers

    @property
    def needs_zebra(self) -> bool:
        """Tell whether bfdd must know the host's interfaces, which FRR's zebra tells it.

        Measured with FRR 8.4.4: all else works without zebra.
        """
        return self.key.vrf is not None or (self.timers.echo_mode and not self.key.multihop)


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdStatus:
    """The state of one session as bfdd tells it.

    Attributes:
        diagnostic: why we left Up the last time.
        remote_diagnostic: why the neighbor did, by its last packet.
    """

    state: BfdState
    diagnostic: Diagnostic = Diagnostic.NONE
    remote_diagnostic: Diagnostic = Diagnostic.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdVitals:
    """How a node does with BFD, for metrics.

    Attributes:
        reached: bfdd answers, or nobody needs it.
        sessions: by neighbor's address, whether its BFD session is up.
        falls: by neighbor's address, how often it fell since the start.
    """

    reached: bool = True
    sessions: Mapping[str, bool] = field(default_factory=dict)
    falls: Mapping[str, int] = field(default_factory=dict)
