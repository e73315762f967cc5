"""The exceptions of this package.

    Error                       something a caller may want to answer for
    ├── ParseError              one object of the user is at fault; carries the Fault
    ├── SourceError             objects cannot be read: a folder, a file, the Kubernetes API
    ├── ControlError            no speaker answers at its control socket
    ├── ExabgpError             ExaBGP refused a configuration or went away
    ├── OrdersError             orders or a report of layer 2 make no sense
    │   └── OrdersGapError      what they are different from did not come
    ├── WireError               this process may not hear ARP and neighbor discovery
    ├── BfddError               FRR's bfdd refused a configuration or cannot be understood
    └── UsageError              the call itself is wrong: a node that does not exist, a bad option

What a user wrote never raises out of a decision: there "no" is a value (`values.reasons.Refused`).
"""

from exabgp_metallb.values.faults import Fault


class Error(Exception):
    """Root of the tree."""


class ParseError(Error):
    """One object is at fault, and only that object is refused.

    Attributes:
        fault: the object, the field and what would be right.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class SourceError(Error):
    """Objects cannot be read; what was read before still stands."""


class ExabgpError(Error):
    """ExaBGP refused a configuration, answered with an error, or went away."""


class BfddError(Error):
    """FRR's bfdd refused a configuration, or tells what cannot be understood."""


class ControlError(Error):
    """No speaker answers at its control socket."""


class WireError(Error):
    """This process may not hear and send ARP and neighbor discovery."""


class UsageError(Error):
    """The call is wrong; nothing was done."""


class OrdersError(Error):
    """Orders or a report between speaker and responder make no sense; what was before stands."""


class OrdersGapError(OrdersError):
    """What they are different from did not come; all of it is needed."""
