"""What a node that is lost costs: requests until that is found out, and none from then on."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.system.cluster import Cluster, Node
from tests.system.fetches import RATE, Fetches
from tests.system.scene import cut_off, wait_serve

SECONDS = 60.0
AFTER_SECONDS = 1.0  # of requests, once the router knows


def lose(system: Cluster, node: Node, names: Sequence[str]) -> set[str]:
    """Cut a node off under 50 requests a second, and return what the router told its sessions.

    Lost, or late, are some of the requests that began before the router had taken the node out of
    these Services' routes, and none that began later.
    """
    wait_serve(system, names)
    addresses = [address for name in names for address in system.services[name]]
    with ExitStack() as stack:  # mended when the last request is over
        with Fetches(system.client, addresses) as fetches:
            fetches.wait(len(addresses))
            stack.enter_context(cut_off(node))
            for each in node.host.addresses[:2]:
                system.router.wait_down(each.ip, SECONDS)
            wait_serve(system, names, without=[node])
            known = time.monotonic()
            fetches.wait(int(AFTER_SECONDS * RATE))
        told = {system.router.last_reset(each.ip) for each in node.host.addresses[:2]}
    assert fetches.lost or fetches.delayed
    assert [each for each in fetches.lost if each.began > known] == [], fetches.told()
    return told
