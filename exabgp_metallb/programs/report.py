"""What a speaker tells people: one line of log for each decision and session that changed.

Nothing is told twice: not at each attempt of ExaBGP to reach a router, not at each heartbeat of a
Node, not for each of ten thousand faults of one kind.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from loguru import logger

from exabgp_metallb.adapters.exabgp import dialogue as say
from exabgp_metallb.adapters.exabgp.neighbors import NEIGHBOR_CHANGES, SENT, ConfiguredNeighbor
from exabgp_metallb.adapters.exabgp.notifications import (
    NO_CONNECTION,
    explain,
    explain_failure,
)
from exabgp_metallb.adapters.source import Away
from exabgp_metallb.decisions.advertise import RibTable
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.reasons import Refused

TOLD_AT_ONCE = 20  # faults or names in one go; `exabgp-metallb check` tells them all
RESTLESS_ENDS = 5  # ends of a session in RESTLESS_SECONDS before they are no news any more
RESTLESS_SECONDS = 60.0
SILENT_SECONDS = 15.0  # ExaBGP says nothing of packets that nobody answers: a firewall, a wrong key

OLDEST, NEWER = (5, 0, 15), (6,)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


class Report:
    """Remembers what was told."""

    def __init__(self) -> None:
        self._verdicts: dict[ObjectName, Refused | None] = {}
        self._faults: frozenset[Fault] = frozenset()
        self._failed: set[Address] = set()
        self._ends: dict[Address, list[float]] = {}  # of sessions, in the last minute
        self._restless_told: dict[Address, float] = {}
        self._nodes: Collection[str] | None = None
        self._down_since: dict[Address, float] = {}  # monotonic seconds
        self._not_json_told = False

    @staticmethod
    def version(version: str) -> None:
        """Tell which ExaBGP runs, and whether it is one that we know."""
        numbers = tuple(int(word) for word in re.findall(r"\d+", version)[:3])
        if OLDEST <= numbers < NEWER:
            logger.info("ExaBGP {}", version)
        else:
            known = f"{_dotted(OLDEST)} or later, below {_dotted(NEWER)}"
            logger.warning("ExaBGP {}: not tried; use {}", version, known)

    def decided_all(self, node: str, table: RibTable, services: Iterable[ObjectName]) -> None:
        """Tell of a decision over all Services there are, in one line."""
        self._verdicts = {name: table.refused.get(name) for name in services}
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
        others = ", ".join(names[:TOLD_AT_ONCE])
        there = f"; there are: {others}" if others else ""  # none may have been asked for
        logger.warning(
            "no Node is named {}, so no selector of nodes matches; set --node{}", node, there
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
        logger.warning("{}", away.message)

    def session(
        self, notice: say.SessionUp | say.SessionDown | say.SessionFailed, who: str, now: float
    ) -> None:
        """Tell of a session; of failed attempts at one only the first.

        One that a router ends as soon as it stands comes up again at once, ten times a second: of
        such a one each minute.
        """
        neighbor = notice.neighbor
        ends = [at for at in self._ends.get(neighbor, ()) if now - at < RESTLESS_SECONDS]
        if isinstance(notice, say.SessionDown):
            ends.append(now)
        self._ends[neighbor] = ends
        if len(ends) > RESTLESS_ENDS:
            self._restless(notice, who, now)
        elif isinstance(notice, say.SessionUp):
            self._failed.discard(neighbor)
            logger.info("{}: up", who)
        elif isinstance(notice, say.SessionDown):
            logger.warning("{}: down: {}", who, explain(notice.reason))
        elif neighbor not in self._failed:
            self._failed.add(neighbor)
            self._no_session(who, explain_failure(notice.reason))

    def _restless(
        self, notice: say.SessionUp | say.SessionDown | say.SessionFailed, who: str, now: float
    ) -> None:
        told = self._restless_told.get(notice.neighbor)
        if isinstance(notice, say.SessionUp):
            return
        if told is not None and now - told < RESTLESS_SECONDS:
            return
        self._restless_told[notice.neighbor] = now
        logger.warning(
            "{}: up and down again more than {} times in a minute, told of once a minute: {}",
            who,
            RESTLESS_ENDS,
            explain(notice.reason),
        )

    @staticmethod
    def _no_session(who: str, why: str) -> None:
        logger.warning("{}: no session yet, ExaBGP goes on trying: {}", who, why)

    def silent(self, down: Mapping[Address, str], now: float) -> None:
        """Tell of sessions that are not up for a while, where ExaBGP itself has said nothing.

        Args:
            down: the neighbors without a session, and what to call them.
            now: in monotonic seconds.
        """
        self._down_since = {n: self._down_since.get(n, now) for n in down}
        for neighbor, since in self._down_since.items():
            if now - since >= SILENT_SECONDS and neighbor not in self._failed:
                self._failed.add(neighbor)
                self._no_session(down[neighbor], f"{NO_CONNECTION}; is the password the same?")

    @staticmethod
    def neighbors(neighbors: Iterable[ConfiguredNeighbor], process: str) -> None:
        """Tell what somebody's own exabgp.conf lacks for our process."""
        ours = [neighbor for neighbor in neighbors if process in neighbor.processes]
        if not ours:
            logger.error(
                "no neighbor in exabgp.conf names process {} in its api section: add `api {{ "
                "processes [ {} ]; neighbor-changes; send {{ parsed; update; }} }}`",
                process,
                process,
            )
        for neighbor in ours:
            if (process, NEIGHBOR_CHANGES) not in neighbor.reports:
                logger.error(
                    "neighbor {} in exabgp.conf does not say when its session is up, and is sent "
                    "nothing: add `neighbor-changes;` to its api section",
                    neighbor.address,
                )
            elif (process, SENT) not in neighbor.reports:
                logger.warning(
                    "neighbor {} in exabgp.conf does not say what was sent to it, so a route that "
                    "changes twice waits a second: add `send {{ parsed; update; }}` to its api "
                    "section",
                    neighbor.address,
                )

    def not_json(self, notice: say.NotJson, process: str) -> None:
        """Tell, once, that ExaBGP's events cannot be read."""
        if self._not_json_told:
            return
        self._not_json_told = True
        logger.error(
            "ExaBGP tells of neighbors in words, `{}`, and so no session is seen to be up: write "
            "`encoder json;` in process {} of exabgp.conf and restart ExaBGP",
            notice.line,
            process,
        )

    @staticmethod
    def repaired(notice: say.Repaired, who: str) -> None:
        """Tell that ExaBGP held something else than it was told."""
        drift = notice.drift
        logger.warning(
            "{}: ExaBGP has lost {} routes, holds {} otherwise than it was told and {} too many: "
            "repaired",
            who,
            len(drift.missing),
            len(drift.different),
            len(drift.extra),
        )

    @staticmethod
    def route_refused(notice: say.RouteRefused, who: str) -> None:
        """Tell of a route that ExaBGP does not take."""
        line = notice.line
        message = "ExaBGP refuses {} for {}: its log says why; the command was: {}"
        logger.error(message, line.prefixes[0], who, line.text)
