"""The pods and Services that the tests and the figures of the whole system are about."""

from collections.abc import Mapping

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
    """Run a pod on each node but the last, make the Services, and wait for their routes."""
    for number, node in enumerate(with_pods(cluster), start=1):
        cluster.run_pod(f"web{number}", node, app=APP)
    for name, (pool, policy) in SERVICES.items():
        cluster.serve(name, pool=pool, policy=policy, app=APP)
    wait_all_serve(cluster)


def wait_all_serve(cluster: Cluster) -> None:
    """Wait until every node that should is in the router's kernel."""
    serving = with_pods(cluster)
    cluster.wait_routes({"routed": cluster.nodes, "routed-local": serving, "both": serving})


def with_pods(cluster: Cluster) -> list[Node]:
    """Return the nodes that have a pod."""
    return cluster.nodes[:-1]
