"""How much link bandwidth a route tells of, so that routers share by endpoint and not by node.

`linkBandwidth: endpoints` gives each node's route a Link Bandwidth extended community (RFC 10005)
in proportion to the endpoints that serve there; a router that weighs its multipath by it sends two
pods twice the traffic of one. Only the proportion counts: the bandwidth is of no real link.

What is counted are the endpoints with this node's name, those of all Services on the prefix added
up (a shared address, an aggregate), each Service once however many advertisements ask. An endpoint
without a node is counted nowhere, and then all nodes weigh the same.

A node that announces without an endpoint, as externalTrafficPolicy Cluster allows, tells of a
hundredth of one: little enough to get next to nothing beside nodes with endpoints, and not zero,
which FRR takes for a bandwidth that is missing and, told to skip those, uses no such path.
"""

import struct

from exabgp_metallb.values.rib import LinkBandwidth

BYTES_PER_ENDPOINT = 125_000  # 1 Mbit/s: no router rounds it away, and 34,359 fit 32 bits, FRR's
BYTES_WITHOUT_ENDPOINT = BYTES_PER_ENDPOINT // 100
MAX_BYTES = 2**32 - 2**8  # the highest float of 32 bits below 2**32

AS_TRANS = 23456  # RFC 6793 section 9: stands for an ASN that does not fit 16 bits


def link_bandwidth(asn: int, endpoints: int) -> LinkBandwidth:
    """Return what a speaker of an AS tells of a number of endpoints.

    Args:
        asn: of the session; 0 where it is not known before the session is up.
        endpoints: that serve on this node, of all Services that the route is for.
    """
    wanted = min(endpoints * BYTES_PER_ENDPOINT or BYTES_WITHOUT_ENDPOINT, MAX_BYTES)
    (held,) = struct.unpack("!f", struct.pack("!f", wanted))
    return LinkBandwidth(asn if 0 < asn < 2**16 else AS_TRANS, int(held))
