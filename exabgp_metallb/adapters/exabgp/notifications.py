"""BGP's own reasons for ending a session, in words that say what to look at."""

import re

MEANINGS = {
    (1, 0): "message header error",
    (2, 0): "OPEN refused",
    (2, 1): "unsupported BGP version",
    (2, 2): "wrong ASN: compare peerASN with the router's AS and myASN with its remote-as for us",
    (2, 3): "bad BGP identifier: both sides have one router id",
    (2, 6): "unacceptable hold time: the router wants a longer one",
    (2, 7): "a capability that the other side requires is missing",
    (3, 0): "UPDATE refused",
    (4, 0): "hold timer expired: the other side was silent; look at the link and its load",
    (5, 0): "unexpected message for the session's state",
    (6, 0): "session ceased",
    (6, 1): "the router's maximum number of prefixes was reached",
    (6, 2): "administratively shut down",
    (6, 3): "the neighbor was taken out of the configuration, or changed in it",
    (6, 4): "administratively reset",
    (6, 5): "connection rejected: the router has no neighbor with our address, or it is shut down",
    (6, 6): "the configuration of the neighbor changed",
    (6, 7): "another connection of the same two routers won",
    (6, 8): "the router is out of resources",
    (6, 9): "hard reset",
    (6, 10): "BFD is down",
}
"""By code and subcode of the NOTIFICATION: RFC 4271 section 4.5, RFC 4486, RFC 8538, RFC 9384."""

CLOSED = "closing connection"
"""All that ExaBGP says when TCP fails, before a session or during one."""

NO_CONNECTION = (
    "no TCP connection, or one that the router closes or leaves without an answer: look at "
    "peerAddress and peerPort, whether the router has a neighbor with our address, at firewalls "
    "between, and whether a router of another AS that is more than one hop away has ebgpMultiHop"
)
LOST_CONNECTION = "the TCP connection was closed or lost"

_CODES = re.compile(r"notification (sent|received) \((\d+),(\d+)\)")


def explain_failure(reason: str) -> str:
    """Return ExaBGP's reason why an attempt at a session failed, with what it means."""
    return NO_CONNECTION if reason == CLOSED else explain(reason)


def explain(reason: str) -> str:
    """Return ExaBGP's reason for the end of a session, with what the code in it means."""
    if reason == CLOSED:
        return LOST_CONNECTION
    found = _CODES.search(reason)
    if found is None:
        return reason
    code, subcode = int(found[2]), int(found[3])
    meaning = MEANINGS.get((code, subcode)) or MEANINGS.get((code, 0))
    return reason if meaning is None else f"{reason}: {meaning}"
