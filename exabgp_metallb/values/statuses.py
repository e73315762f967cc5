"""What a node tells of itself in the Kubernetes API: one small object for each thing it does.

Each value is what the status of such an object says. They are compared with what the API has, and
written where they differ.
"""

import enum
from dataclasses import dataclass

from exabgp_metallb.values.objects import ObjectName


class StatusKind(enum.StrEnum):
    """Kinds of metallb.io/v1beta1 that a speaker writes."""

    SERVICE_BGP = "ServiceBGPStatus"
    SERVICE_L2 = "ServiceL2Status"
    SESSION = "BGPSessionState"
    CONFIGURATION = "ConfigurationState"


@dataclass(frozen=True, slots=True, order=True)
class StatusName:
    """Which object of this node.

    Attributes:
        about: the Service, the BGPPeer (in the install namespace), or for CONFIGURATION the node.
    """

    kind: StatusKind
    about: ObjectName

    def __str__(self) -> str:
        return f"{self.kind} of {self.about}"


@dataclass(frozen=True, slots=True)
class ServiceBgpStatus:
    """To which peers a Service is announced."""

    peers: tuple[str, ...]  # names of BGPPeers, sorted


@dataclass(frozen=True, slots=True)
class ServiceL2Status:
    """Where this node answers for a Service's address."""

    interfaces: tuple[str, ...]  # sorted; empty means every usable one


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """How a session really is.

    Attributes:
        address: of the router.
        vrf: "" for none.
        since: RFC 3339 in UTC; "" where nobody knows.
        last_error: in words; "" where there was none.
        bfd: `Up` or `Down` as frr-k8s writes it, or N/A.
    """

    address: str
    vrf: str = ""
    established: bool
    since: str
    last_error: str = ""
    bfd: str = "N/A"


@dataclass(frozen=True, slots=True)
class ConfigurationVerdict:
    """Whether all resources are accepted.

    Attributes:
        faults: one line for each object that is refused.
        since: when it became valid, or invalid; RFC 3339 in UTC.
    """

    faults: tuple[str, ...]
    since: str


Status = ServiceBgpStatus | ServiceL2Status | SessionState | ConfigurationVerdict
