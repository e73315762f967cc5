"""How a node is, as one document for people and programs: what its control socket answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from exabgp_metallb.adapters.exabgp.dialogue import Dialogue
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.programs.session_history import SessionHistory
from exabgp_metallb.values.sessions import Session

Document = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a speaker knows of itself beside its routes and sessions.

    Attributes:
        version: of ExaBGP; "" before it has told, None where there is none.
        managed: exabgp.conf is ours.
        waiting_for: what has to come before anything is announced.
        away: what cannot be read now.
        faults: how many objects are at fault.
        refused_lines: commands that ExaBGP has refused since the start.
        behind: why ExaBGP does not hold the newest sessions; None when it does.
    """

    version: str | None
    managed: bool
    waiting_for: Collection[str]
    away: Collection[str]
    faults: int
    refused_lines: int
    behind: str | None


def node_status(
    condition: Condition,
    routes: NodeRoutes,
    dialogue: Dialogue,
    history: SessionHistory,
    parts: Mapping[str, object],
) -> Document:
    """Return the document; keys may be added to it, never renamed or removed.

    Args:
        condition: of the speaker.
        routes: what is wanted.
        dialogue: what ExaBGP holds.
        history: of the sessions.
        parts: what the parts say, by their own keys; a list `problems` in one counts here too.
    """
    sessions = [_session(session, routes, dialogue, history) for session in routes.sessions]
    problems = [*_problems(condition), *map(_trouble, filter(_is_down, sessions))]
    for part in parts.values():
        problems += part.get("problems", ()) if isinstance(part, Mapping) else ()
    return {
        "node": routes.node_name,
        "healthy": not problems,
        "problems": problems,
        "exabgp": condition.version,
        "managed": condition.managed,
        "waitingFor": sorted(condition.waiting_for),
        "away": sorted(condition.away),
        "objectsAtFault": condition.faults,
        "refusedLines": condition.refused_lines,
        "servicesNotAnnounced": len(routes.table.refused),
        "sessions": sessions,
        **parts,
    }


def _session(
    session: Session, routes: NodeRoutes, dialogue: Dialogue, history: SessionHistory
) -> Document:
    peer, address = session.peer, session.peer.address
    row: Document = {"peer": peer.name, "address": None, "port": peer.port, "state": "down"}
    if address is None:
        return row | {"since": None, "lastError": "", "routesWanted": 0, "routesHeld": 0}
    standing = history.of(address)
    return row | {
        "address": str(address),
        "state": "up" if dialogue.is_up(address) else "down",
        "since": standing.since and standing.since.isoformat(timespec="seconds"),
        "lastError": standing.last_error,
        "routesWanted": len(routes.wanted(address)),
        "routesHeld": len(dialogue.window.held(address)),
        "drift": dialogue.drifted[address],
    }


def _problems(condition: Condition) -> list[str]:
    problems = [f"waits for {what}" for what in sorted(condition.waiting_for)]
    problems += [f"{what} cannot be read" for what in sorted(condition.away)]
    if condition.faults:
        problems.append(f"{condition.faults} objects are at fault: see the log, or `check`")
    if condition.behind is not None:
        problems.append(condition.behind)
    return problems


def _is_down(session: Document) -> bool:
    return session["state"] == "down"


def _trouble(session: Document) -> str:
    where = session["address"] or "no address"
    why = session["lastError"] or "no session yet"
    return f"BGP peer {session['peer']} ({where}): {why}"
