"""The exabgp.conf that a node would run with, from objects alone."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.decisions.sessions import sessions_of
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs.decided import Decided, Question, decide
from exabgp_metallb.programs.run import SPEAKER_COMMAND
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.intent import Password
from exabgp_metallb.values.sessions import Session
from exabgp_metallb.values.specs import Parsed


def shown(session: Session) -> Session:
    """Leave a session as it is."""
    return session


def hidden(session: Session) -> Session:
    """Return a session whose password is asterisks."""
    password = session.peer.password
    if password is None:
        return session
    return replace(session, peer=replace(session.peer, password=Password(str(password))))


def exabgp_conf(
    objects: Iterable[Parsed],
    question: Question,
    warnings: Iterable[Fault] = (),
    *,
    passwords: Callable[[Session], Session] = hidden,
) -> tuple[str, Decided]:
    """Return the text for the one node that the question names, and what was decided before.

    Raises:
        UsageError: no Node has that name, or the Node is at fault.
    """
    (name,) = question.nodes
    decided = decide(objects, question, warnings)
    node = decided.snapshot.nodes.get(name)
    if node is None:
        raise UsageError(f"Node {name} is at fault and holds no session: see `check`")
    sessions = sessions_of(decided.snapshot.intent.peers, node)
    return conf.render(map(passwords, sessions), run=SPEAKER_COMMAND), decided
