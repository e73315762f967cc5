"""From what a peer was sent to what it should hold."""

from exabgp_metallb.values.addresses import prefix_order
from exabgp_metallb.values.rib import AdjRibOut, Announce, Change, Route, Withdraw


def changes(sent: AdjRibOut, wanted: AdjRibOut) -> tuple[Change, ...]:
    """Return the fewest changes that leave the peer with `wanted` and nothing else.

    A route that differs only in attributes is announced again, never withdrawn first: the new
    one replaces the old (RFC 4271 section 3.1 b). Announcements come first, in prefix order.
    """
    announce = [p for p in sorted(wanted, key=prefix_order) if sent.get(p) != wanted[p]]
    withdraw = sorted(sent.keys() - wanted.keys(), key=prefix_order)
    return (*(Announce(Route(p, wanted[p])) for p in announce), *map(Withdraw, withdraw))
