"""What a speaker tells people: one line of log for each decision and session that changed.

Nothing is told twice: not at each attempt of ExaBGP to reach a router, not at each heartbeat of a
Node, not for each of ten thousand faults of one kind.
"""

from collections.abc import Collection, Mapping, Sequence

from loguru import logger

from exabgp_metallb.adapters.exabgp import dialogue as say
from exabgp_metallb.adapters.exabgp.notifications import explain
from exabgp_metallb.adapters.source import Away
from exabgp_metallb.decisions.advertise import RibTable
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.reasons import Refused

TOLD_AT_ONCE = 20  # faults or names in one go; `exabgp-metallb check` tells them all


class Report:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._verdicts: dict[ObjectName, Refused | None] = {}
        self._faults: frozenset[Fault] = frozenset()
        self._failed: set[Address] = set()
        self._nodes: Collection[str] | None = None

    def decided_all(self, node: str, table: RibTable) -> None:
        """Tell of a decision over everything, in one line."""
        self._verdicts = dict(table.refused)
        sessions = table.view.sessions
        logger.info(
            "decided for node {}: {} sessions, {} routes, {} Services not announced",
            node,
            len(sessions),
            sum(len(table.adj_rib_out(s.peer.name)) for s in sessions),
            len(table.refused),
        )

    def decided(self, verdicts: Mapping[ObjectName, Refused | None]) -> None:
        """Tell of Services whose verdict changed."""
        for name, refused in verdicts.items():
            if name in self._verdicts and self._verdicts[name] == refused:
                continue
            self._verdicts[name] = refused
            if refused is None:
                logger.info("Service {}: announced", name)
            else:
                why = f"{refused.reason}: {refused.message}"
                logger.info("Service {}: not announced: {}", name, why)

    def node_missing(self, node: str, nodes: Collection[str]) -> None:
        """Tell that no Node has our name; again when the Nodes there are change."""
        names = sorted(nodes)
        if names == self._nodes:
            return
        self._nodes = names
        there = ", ".join(names[:TOLD_AT_ONCE]) or "none"
        logger.warning(
            "no Node is named {}, so no selector of nodes matches; set --node; there are: {}",
            node,
            there,
        )

    def faults(self, faults: Sequence[Fault]) -> None:
        """Tell of faults that are new."""
        now = frozenset(faults)
        news = sorted(now - self._faults)
        self._faults = now
        for fault in news[:TOLD_AT_ONCE]:
            logger.error("{}", fault)
        if len(news) > TOLD_AT_ONCE:
            more = len(news) - TOLD_AT_ONCE
            logger.error("and {} faults more: `exabgp-metallb check` tells them all", more)

    @staticmethod
    def away(away: Away) -> None:
        """Tell that a source cannot be read."""
        logger.warning("{}: {}; what was read before still stands", away.what, away.message)

    def session(
        self, notice: say.SessionUp | say.SessionDown | say.SessionFailed, who: str
    ) -> None:
        """Tell of a session; of failed attempts at one only the first."""
        neighbor = notice.neighbor
        if isinstance(notice, say.SessionUp):
            self._failed.discard(neighbor)
            logger.info("{}: up", who)
        elif isinstance(notice, say.SessionDown):
            logger.warning("{}: down: {}", who, explain(notice.reason))
        elif neighbor not in self._failed:
            self._failed.add(neighbor)
            why = explain(notice.reason)
            logger.warning("{}: no session yet, ExaBGP goes on trying: {}", who, why)

    @staticmethod
    def route_refused(notice: say.RouteRefused, who: str) -> None:
        """Tell of a route that ExaBGP does not take."""
        line = notice.line
        message = "ExaBGP refuses {} for {}: its log says why; the command was: {}"
        logger.error(message, line.prefixes[0], who, line.text)
