"""The pods and Services that the tests and the figures of the whole system are about."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

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
    wait_serve(cluster, (name for name in SERVICES if "bridged" not in name))


def wait_serve(cluster: Cluster, names: Iterable[str], *, without: Sequence[Node] = ()) -> None:
    """Wait until the router's kernel has the nodes for these Services, but some nodes."""
    nodes = serving(cluster)
    cluster.wait_routes(
        {name: [each for each in nodes[name] if each not in without] for name in names}
    )


@contextmanager
def cut_off(node: Node) -> Iterator[None]:
    """Lose every frame from and to a node, as without power, for the body of `with`."""
    node.host.cut()
    try:
        yield
    finally:
        node.host.mend()


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
