"""The pods and Services that the tests and the figures of the whole system are about."""

from collections.abc import Mapping, Sequence

from tests.system.cluster import Cluster, Node

APP = "web"
SERVICES: Mapping[str, tuple[str, str]] = {
    "routed": ("routed", "Cluster"),
    "routed-local": ("routed", "Local"),
    "bridged": ("bridged", "Cluster"),
    "bridged-local": ("bridged", "Local"),
    "both": ("both", "Local"),
}
"""By name: the pool, which says how it is announced, and externalTrafficPolicy."""


def furnish(cluster: Cluster) -> None:
    """Run a pod on each node but the last, make the Services, and wait until they can be used."""
    for number, node in enumerate(with_pods(cluster), start=1):
        cluster.run_pod(f"web{number}", node, app=APP)
    for name, (pool, policy) in SERVICES.items():
        cluster.serve(name, pool=pool, policy=policy, app=APP)
    for name, nodes in serving(cluster).items():
        cluster.wait_forwarding(name, nodes)
    wait_all_serve(cluster)


def wait_all_serve(cluster: Cluster) -> None:
    """Wait until every node that should is in the router's kernel."""
    routed = {name: nodes for name, nodes in serving(cluster).items() if "bridged" not in name}
    cluster.wait_routes(routed)


def serving(cluster: Cluster) -> Mapping[str, Sequence[Node]]:
    """Return by Service the nodes that take what is for it: those with a pod where it is Local."""
    having = with_pods(cluster)
    return {
        name: having if policy == "Local" else cluster.nodes
        for name, (_pool, policy) in SERVICES.items()
    }


def with_pods(cluster: Cluster) -> list[Node]:
    """Return the nodes that have a pod."""
    return cluster.nodes[:-1]
