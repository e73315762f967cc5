"""Our end of a session: the address that this host speaks from, and what the host lacks for it.

ExaBGP 5 forgets the address of a session that has `local-address auto` when its configuration is
reloaded, and then refuses every route with `next-hop self`. So next hops are written out. Of a
device or an address that the host does not have ExaBGP says no more than that it cannot connect.
"""

import errno
import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.sessions import Session

DISCARD_PORT = 9  # RFC 863; any will do, since nothing is sent


def local_address(neighbor: Address) -> Address | None:
    """Return the source address of packets to a neighbor; None when there is no route to it.

    Args:
        neighbor: a link-local one with its interface as zone.
    """
    try:
        found = socket.getaddrinfo(
            str(neighbor), DISCARD_PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        family, kind, _, _, place = found[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return ip_address(probe.getsockname()[0].partition("%")[0])
    except OSError:
        return None


def lacking(sessions: Iterable[Session]) -> Mapping[str, str]:
    """Return what sessions need that this host does not have (yet), field first, by peer's name."""
    reasons = ((s.peer.name, _device_lacking(s) or _address_lacking(s)) for s in sessions)
    return {name: reason for name, reason in reasons if reason is not None}


def _device_lacking(session: Session) -> str | None:
    for field, device in (("vrf", session.peer.vrf), ("interface", session.peer.interface)):
        if device is None:
            continue
        try:
            socket.if_nametoindex(device)
        except OSError:
            return (
                f"spec.{field}: this node has no network device {device!a}, so there is no session "
                "before it has: `ip link` shows those that there are"
            )
    return None


def _address_lacking(session: Session) -> str | None:
    local = session.local_address
    if local is None:
        return None
    family = socket.AF_INET if local.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((str(local), 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return (
                f"spec.sourceAddress: this node has no address {local}, so there is no session "
                "before it has: `ip address` shows those that there are"
            )
    return None
