"""Why something is not done. One word serves log, metric, condition, plan and test."""

import enum
from dataclasses import dataclass


class Reason(enum.StrEnum):
    """The first rule that stopped a decision; MetalLB's words where MetalLB has the rule."""

    # Announcing: MetalLB's speaker (bgp_controller.go, layer2_controller.go).
    NO_IP_ALLOCATED = "noIPAllocated"
    INVALID_IP = "invalidIP"
    IP_NOT_ALLOWED = "ipNotAllowed"
    NOT_OWNER = "notOwner"
    NO_MATCHING_ADVERTISEMENT = "noMatchingAdvertisement"
    CONFLICTING_ADVERTISEMENTS = "conflictingAdvertisements"
    NODE_NETWORK_UNAVAILABLE = "nodeNetworkUnavailable"
    NODE_LABELED_EXCLUDE_BALANCERS = "nodeLabeledExcludeBalancers"
    NO_LOCAL_ENDPOINTS = "noLocalEndpoints"
    NO_ENDPOINTS = "noEndpoints"
    SHARED_IP_WITH_SERVICE_SELECTOR = "sharedIPWithServiceSelector"
    # Announcing: ours.
    NODE_DOWN = "nodeDown"  # the Node is NotReady, gone, or planned as failed
    NODE_DRAINED = "nodeDrained"  # layer 2 only: a draining node answers for nothing
    NO_SESSION = "noSession"  # no peer of this node takes the prefix

    # Allocating (MetalLB's controller tells these apart only by the text of its events).
    NO_POOLS = "noPools"
    NO_CLUSTER_IP = "noClusterIP"
    BAD_REQUEST = "badRequest"  # what the Service asks for cannot be read or met as written
    UNKNOWN_POOL = "unknownPool"
    POOL_NOT_ALLOWED = "poolNotAllowed"
    POOL_EXHAUSTED = "poolExhausted"
    ADDRESS_IN_USE = "addressInUse"
    ADDRESS_NOT_IN_POOL = "addressNotInPool"
    FAMILY_MISMATCH = "familyMismatch"
    QUOTA_EXCEEDED = "quotaExceeded"


@dataclass(frozen=True, slots=True)
class Refused:
    """A "no" as a value: the rule that said it, and a line for a person with what would help."""

    reason: Reason
    message: str
