"""The whole system, with our programs as the manifests have kubelets start them.

The API server, who makes EndpointSlices, kube-proxy and the router are the real ones.
"""

import pytest

from tests.system.cluster import Cluster, Form
from tests.system.fetches import Fetches
from tests.system.losing import lose
from tests.system.reaching import WAYS

pytestmark = [pytest.mark.netns, pytest.mark.kube]

FORM = Form.MANIFESTS
DRAIN_SECONDS = 0.0
ENOUGH = 60


@pytest.mark.parametrize("way", WAYS)
def test_clients_reach_pods(system: Cluster, way: str) -> None:
    """Both modes, both policies, both families."""
    WAYS[way](system)


def test_a_rolling_restart_loses_nothing(system: Cluster) -> None:
    """Every `run` is replaced under 50 requests a second, over all Services in both families.

    Without a drain, as for an upgrade: routers keep the routes by graceful restart, and responders
    answer by the last orders.
    """
    addresses = [each for found in system.services.values() for each in found]
    mark = system.router.mark()
    with Fetches(system.client, addresses) as fetches:
        for node in system.nodes:
            node.speaker.upgrade()
            system.router.wait_established(*(each.ip for each in node.host.addresses[:2]))
        fetches.wait(len(addresses))
    assert fetches.lost == [], fetches.told()
    assert system.router.withdrawals_seen(mark) == []
    assert len(fetches.all) > ENOUGH


def test_a_lost_node_costs_its_hold_time(system: Cluster) -> None:
    """And no more, for a Service with Cluster; the node has no pod, so others can serve all."""
    assert lose(system, system.nodes[-1], ["routed"]) == {"Hold Timer Expired"}
