"""The address that this host speaks from to a neighbor, as the kernel's routes say.

ExaBGP 5 forgets the address of a session that has `local-address auto` when its configuration is
reloaded, and then refuses every route with `next-hop self`. So next hops are written out.
"""

import socket
from ipaddress import ip_address

from exabgp_metallb.values.addresses import Address

DISCARD_PORT = 9  # RFC 863; any will do, since nothing is sent


def local_address(neighbor: Address) -> Address | None:
    """Return the source address of packets to a neighbor; None when there is no route to it."""
    family = socket.AF_INET if neighbor.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(neighbor), DISCARD_PORT))
            return ip_address(probe.getsockname()[0])
    except OSError:
        return None
