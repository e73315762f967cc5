"""How each session stands, since when, and what was wrong last, as ExaBGP's notices tell it."""

from dataclasses import dataclass
from datetime import datetime

from exabgp_metallb.adapters.exabgp.dialogue import Notice, SessionDown, SessionFailed, SessionUp
from exabgp_metallb.adapters.exabgp.notifications import explain, explain_failure
from exabgp_metallb.values.addresses import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One session.

    Attributes:
        established: as RFC 4271 section 8.2.2 means it.
        since: in UTC; None where nothing was heard of it yet, or it stood before we began.
        last_error: why it ended, or why the last attempt failed, in words; "" when nothing did.
    """

    established: bool = False
    since: datetime | None = None
    last_error: str = ""


class SessionHistory:
    """The standing of each neighbor that ExaBGP has told of."""

    def __init__(self) -> None:
        self._standings: dict[Address, Standing] = {}

    def of(self, neighbor: Address) -> Standing:
        """Return how the session with a neighbor stands."""
        return self._standings.get(neighbor, Standing())

    def noticed(self, notice: Notice, wall: datetime) -> Address | None:
        """Take a notice at a time in UTC; return the neighbor whose standing it changed."""
        if isinstance(notice, SessionUp):
            before = self.of(notice.neighbor)
            since = None if notice.found else wall
            return self._stands(
                notice.neighbor,
                Standing(established=True, since=since, last_error=before.last_error),
            )
        if isinstance(notice, SessionDown):
            standing = Standing(established=False, since=wall, last_error=explain(notice.reason))
            return self._stands(notice.neighbor, standing)
        if isinstance(notice, SessionFailed):
            since = self.of(notice.neighbor).since or wall
            standing = Standing(
                established=False, since=since, last_error=explain_failure(notice.reason)
            )
            return self._stands(notice.neighbor, standing)
        return None

    def _stands(self, neighbor: Address, standing: Standing) -> Address | None:
        if self.of(neighbor) == standing:
            return None
        self._standings[neighbor] = standing
        return neighbor
