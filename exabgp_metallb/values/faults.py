"""What is wrong with an object: where, and what would be right."""

from dataclasses import dataclass
from typing import NamedTuple


class ObjectRef(NamedTuple):
    """An object of the user, as messages name it: `BGPPeer/metallb-system/router-1`.

    No dataclass, for it is the key of most mappings: a tuple is hashed, compared and sorted in a
    quarter of the time, and that a dozen times for each object at each start.
    """

    kind: str
    namespace: str  # "" for a kind without namespaces, such as Node
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One mistake in one object. `message` says what was found and what would be right."""

    object: ObjectRef
    field: str  # path below the object: `spec.addresses[1]`; "" for the object as a whole
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.object), self.field, self.message) if part)
