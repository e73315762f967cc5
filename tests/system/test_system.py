"""A client beyond the router and a neighbor of the nodes fetch pages from pods, in every way.

The API server, who makes EndpointSlices, kube-proxy and the router are the real ones. One cluster
serves all tests.
"""

from ipaddress import ip_address

import pytest

from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for
from tests.system.cluster import Cluster, Node
from tests.system.fetches import Fetch, Fetches

pytestmark = [pytest.mark.netns, pytest.mark.kube]

SECONDS = 60.0
ENOUGH = 60  # requests, half of them in each family; one way of two is missed once in 2**29


def fetched(host: Host, addresses: tuple[str, ...]) -> list[Fetch]:
    """Return what became of some requests, from the first one that was answered in each family.

    Routes and the kube-proxies' rules come at their own times after a Service was made.
    """
    assert {ip_address(address).version for address in addresses} == {4, 6}
    with Fetches(host, addresses) as fetches:
        for address in addresses:
            wait_for(
                lambda address=address: any(  # type: ignore[misc]  # mypy cannot infer a default
                    each.took is not None and each.address == address for each in fetches.all
                ),
                SECONDS,
                lambda: f"an answer: {fetches.told()}\n{host.lab.report()}",
            )
        settled = len(fetches.all)
        fetches.wait(ENOUGH)
    return fetches.all[settled:]


def answering(fetches: list[Fetch]) -> set[str]:
    """Return the pods that answered; every request must have been."""
    assert [each for each in fetches if each.took is None] == []
    return {each.pod for each in fetches}


def entries(fetches: list[Fetch], nodes: list[Node]) -> list[Node]:
    """Return the nodes whose kube-proxies masqueraded a request."""
    return [node for node in nodes if any(node.is_entry(each.client) for each in fetches)]


def own(host: Host) -> set[str]:
    """Return a host's own addresses."""
    return {str(each.ip) for each in host.addresses}


def test_cluster_reaches_all_pods_by_all_nodes(system: Cluster) -> None:
    """The router shares among the nodes, each node among the pods; both families."""
    seen = fetched(system.client, system.services["routed"])
    assert answering(seen) == {"web1", "web2"}
    assert entries(seen, system.nodes) == system.nodes


@pytest.mark.parametrize("name", ["routed-local", "both"])
def test_local_keeps_the_source_address(system: Cluster, name: str) -> None:
    """Nodes without a pod have no route; the others send to their own pod."""
    seen = fetched(system.client, system.services[name])
    assert answering(seen) == {"web1", "web2"}
    assert {each.client for each in seen} == own(system.client)


@pytest.mark.parametrize("where", ["client", "neighbor"])
def test_layer_2_has_one_entry_for_an_address(system: Cluster, where: str) -> None:
    """For a host beside the nodes, and for the router, which asks by ARP as that host does."""
    seen = fetched(system.lab.hosts[where], system.services["bridged"])
    assert answering(seen) == {"web1", "web2"}
    for address in system.services["bridged"]:
        assert len(entries([s for s in seen if s.address == address], system.nodes)) == 1


@pytest.mark.parametrize("name", ["bridged-local", "both"])
def test_layer_2_with_local_is_one_pod(system: Cluster, name: str) -> None:
    """One node for each address, and its own pod; `both` is announced by BGP too."""
    seen = fetched(system.neighbor, system.services[name])
    assert {each.client for each in seen} == own(system.neighbor)
    for address in system.services[name]:
        assert len(answering([each for each in seen if each.address == address])) == 1


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
