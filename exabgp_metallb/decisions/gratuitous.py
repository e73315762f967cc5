"""When an owner tells the segment, unasked, that it holds an address.

A burst on takeover that thins out: the first announcement moves every host that hears it, the
others are for those that lost it. After that a slow refresh, if one is wanted: hosts that know the
address ask again by themselves when the owner falls silent (RFC 4861 section 7.3, and Linux for ARP
too).
"""

from collections.abc import Mapping

from exabgp_metallb.values.addresses import Family

PAUSES: Mapping[Family, tuple[float, ...]] = {
    # RFC 5227 section 2.3 has two, 2 s apart, as the least. A fifth of a second is for the loss
    # while a switch learns, the longer ones for ports that come up slowly (spanning tree).
    Family.IPV4: (0.0, 0.2, 0.8, 2.0, 4.0),
    # RFC 4861 section 7.2.6: at most three (MAX_NEIGHBOR_ADVERTISEMENT), at least a second apart
    # (RetransTimer).
    Family.IPV6: (0.0, 1.0, 2.0),
}
"""Seconds before each announcement of a burst, since the takeover or the one before it."""


def next_announcement(
    family: Family, *, sent: int, last_at: float, refresh_seconds: float | None
) -> float | None:
    """Return when the next announcement is due; None: never.

    Args:
        family: of the address.
        sent: how many announcements there were since the takeover.
        last_at: when the last one was; of the takeover while there was none.
        refresh_seconds: between announcements after the burst; None: none.
    """
    pauses = PAUSES[family]
    pause = pauses[sent] if sent < len(pauses) else refresh_seconds
    return None if pause is None else last_at + pause
