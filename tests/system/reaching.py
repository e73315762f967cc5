"""Every way in which a client beyond the router, or a neighbor of the nodes, reaches pods."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address

from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for
from tests.system.cluster import Cluster, Node
from tests.system.fetches import Fetch, Fetches

SECONDS = 60.0
RATE = 200.0  # a second
ENOUGH = 60  # requests, half of them in each family; one way of two is missed once in 2**29


def fetched(host: Host, addresses: tuple[str, ...]) -> list[Fetch]:
    """Return what became of some requests, from the first one that was answered in each family.

    Routes and the kube-proxies' rules come at their own times after a Service was made.
    """
    assert {ip_address(address).version for address in addresses} == {4, 6}
    with Fetches(host, addresses, rate=RATE) as fetches:
        for address in addresses:
            wait_for(
                lambda address=address: any(  # type: ignore[misc]  # mypy cannot infer a default
                    each.took is not None and each.address == address for each in fetches.all
                ),
                SECONDS,
                lambda: f"an answer: {fetches.told()}\n{host.lab.report()}",
            )
        settled = time.monotonic()  # what began before may yet be lost
        wait_for(
            lambda: sum(each.began > settled for each in fetches.all) >= ENOUGH,
            SECONDS,
            lambda: f"{ENOUGH} requests: {fetches.told()}\n{host.lab.report()}",
        )
    return [each for each in fetches.all if each.began > settled]


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


def cluster_reaches_all_pods_by_all_nodes(system: Cluster) -> None:
    """The router shares among the nodes, each node among the pods; both families."""
    seen = fetched(system.client, system.services["routed"])
    assert answering(seen) == {"web1", "web2"}
    assert entries(seen, system.nodes) == system.nodes


def local_keeps_the_source_address(system: Cluster, name: str) -> None:
    """Nodes without a pod have no route; the others send to their own pod."""
    seen = fetched(system.client, system.services[name])
    assert answering(seen) == {"web1", "web2"}
    assert {each.client for each in seen} == own(system.client)


def layer_2_has_one_entry_for_an_address(system: Cluster, where: str) -> None:
    """For a host beside the nodes, and for the router, which asks by ARP as that host does."""
    seen = fetched(system.lab.hosts[where], system.services["bridged"])
    assert answering(seen) == {"web1", "web2"}
    for address in system.services["bridged"]:
        assert len(entries([s for s in seen if s.address == address], system.nodes)) == 1


def layer_2_with_local_is_one_pod(system: Cluster, name: str) -> None:
    """One node for each address, and its own pod; `both` is announced by BGP too."""
    seen = fetched(system.neighbor, system.services[name])
    assert {each.client for each in seen} == own(system.neighbor)
    for address in system.services[name]:
        assert len(answering([each for each in seen if each.address == address])) == 1


def in_the_end(check: Callable[[Cluster], None], system: Cluster) -> None:
    """Check until it holds: who is there first has an address on layer 2 until a better one is."""
    told = ""

    def holds() -> bool:
        nonlocal told
        try:
            check(system)
        except AssertionError as error:
            told = str(error)
            return False
        return True

    wait_for(holds, SECONDS, lambda: told)


def on_layer_2(check: Callable[..., None], **how: str) -> Callable[[Cluster], None]:
    """Return a check of what comes to rest on layer 2."""
    return partial(in_the_end, partial(check, **how))


WAYS: Mapping[str, Callable[[Cluster], None]] = {
    "routed": cluster_reaches_all_pods_by_all_nodes,
    "routed-local": partial(local_keeps_the_source_address, name="routed-local"),
    "both-by-the-router": partial(local_keeps_the_source_address, name="both"),
    "bridged-by-the-router": on_layer_2(layer_2_has_one_entry_for_an_address, where="client"),
    "bridged": on_layer_2(layer_2_has_one_entry_for_an_address, where="neighbor"),
    "bridged-local": on_layer_2(layer_2_with_local_is_one_pod, name="bridged-local"),
    "both": on_layer_2(layer_2_with_local_is_one_pod, name="both"),
}
"""By the Service, and by whom it is asked where that makes a difference."""
