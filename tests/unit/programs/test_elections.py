"""What a node is to do on layer 2, followed from change to change, is what all objects say."""

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.decisions.candidates import candidates
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.elections import Elections
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.orders import AddressOrder
from tests.effort import lines_run
from tests.integration.manifests import (
    Object,
    endpoint,
    l2_advertisement,
    node,
    pool,
    service,
    slice_of,
)
from tests.unit.programs.test_node_routes import put

WEB = ip_address("192.0.2.1")
BASIC = [
    pool("p", "192.0.2.0/24"),
    l2_advertisement(),
    service("web", "192.0.2.1"),
    slice_of("web", "node1"),
]
BOTH = [*BASIC, node("node1"), node("node2")]


class Scene:
    """A node's elections among objects."""

    def __init__(self, *objects: Object, name: str = "node1") -> None:
        self.inventory = Inventory()
        self.routes = NodeRoutes(self.inventory, name)
        self.elections = Elections(name)
        self.follow(*objects)

    def follow(self, *objects: Object) -> set[Address]:
        """Let the node hear of objects, and return the addresses that this touches."""
        put(self.inventory, *objects)
        return self.refresh()

    def gone(self, each: Object) -> set[Address]:
        """Let an object be gone."""
        parsed = parse(each)
        assert parsed is not None
        self.inventory.gone(parsed.ref)
        return self.refresh()

    def refresh(self) -> set[Address]:
        """Follow what changed."""
        touched = self.routes.refresh()
        return set(self.elections.follow(self.inventory.snapshot(), touched))

    def orders(self) -> dict[str, str]:
        """Return the candidates for each address of this node."""
        return {
            str(address): " ".join(candidates(order))
            for address, order in self.elections.orders(leaving=False).items()
        }

    def state(self) -> tuple[Mapping[Address, AddressOrder], Mapping[Address, object]]:
        """Return all that the elections say."""
        orders = self.elections.orders(leaving=False)
        return orders, self.elections.services_of(orders)


def not_ready(name: str) -> Object:
    """Return a Node that is NotReady."""
    made = node(name)
    made["status"]["conditions"][0]["status"] = "False"
    return made


some_nodes = st.sampled_from(["node1", "node2", "node3"])
objects: st.SearchStrategy[Object] = st.one_of(
    st.builds(
        service,
        st.sampled_from("abc"),
        st.sampled_from([f"192.0.2.{n}" for n in range(3)]),
        policy=st.sampled_from(["Cluster", "Local"]),
    ),
    st.builds(
        lambda name, where: slice_of(name, *where),
        st.sampled_from("abc"),
        st.lists(st.builds(endpoint, some_nodes, ready=st.booleans()), max_size=2),
    ),
    st.builds(lambda name, rack: node(name, rack=rack), some_nodes, st.sampled_from("ab")),
    some_nodes.map(not_ready),
    st.builds(
        l2_advertisement,
        st.sampled_from(["one", "two"]),
        interfaces=st.sampled_from([[], ["eth0"]]),
        nodeSelectors=st.sampled_from([[], [{"matchLabels": {"rack": "a"}}]]),
    ),
)
batches = st.lists(st.lists(st.tuples(st.booleans(), objects), max_size=3), max_size=6)


@settings(max_examples=100, deadline=None)
@given(batches)
def test_following_changes_is_deciding_anew(batches: list[list[tuple[bool, Object]]]) -> None:
    """Whatever comes, changes or goes, in whatever order."""
    scene = Scene(*BASIC)
    for batch in batches:
        before, _ = scene.state()
        for stays, each in batch:
            put(scene.inventory, each)
            parsed = parse(each)
            assert parsed is not None
            if not stays:
                scene.inventory.gone(parsed.ref)
        touched = scene.refresh()
        anew = Elections("node1")
        fresh = NodeRoutes(scene.inventory, "node1")
        anew.follow(scene.inventory.snapshot(), fresh.refresh())
        now, services = scene.state()
        assert now == anew.orders(leaving=False)
        assert services == anew.services_of(now)
        assert {a for a in {**before, **now} if before.get(a) != now.get(a)} <= touched


@pytest.mark.parametrize(
    ("change", "orders", "touched"),
    [
        pytest.param(node("node2", rack="b"), "node2 node1", False, id="a label that nobody reads"),
        pytest.param(node("node2", "10.0.0.2"), "node2 node1", False, id="an address"),
        pytest.param(not_ready("node2"), "node1", True, id="NotReady"),
        pytest.param(not_ready("node1"), "", True, id="this node is NotReady"),
        pytest.param(node("node3"), "node3 node2 node1", True, id="another node"),
        pytest.param(slice_of("web", "node2"), "node2 node1", False, id="an endpoint, Cluster"),
        pytest.param(slice_of("web"), "", True, id="the last endpoint"),
        pytest.param(service("db", "192.0.2.9"), "node2 node1", False, id="without endpoints"),
    ],
)
def test_what_a_change_touches(change: Object, orders: str, touched: bool) -> None:  # noqa: FBT001 -- a table
    """Nodes matter by what makes them candidates."""
    scene = Scene(*BOTH)
    found = scene.follow(change)
    assert scene.orders().get("192.0.2.1", "") == orders
    assert (WEB in found) is touched


def test_a_node_that_goes_is_no_candidate() -> None:
    """Also this one: the others do not count on it."""
    scene = Scene(*BOTH)
    assert scene.gone(node("node2")) == {WEB}
    assert scene.orders() == {"192.0.2.1": "node1"}
    scene.follow(node("node2"))
    assert scene.gone(node("node1")) == {WEB}
    assert scene.orders() == {}
    refused = scene.elections.barred(ObjectName("default", "web"), scene.inventory.snapshot())
    assert refused is not None
    assert (str(refused.reason), refused.message) == ("nodeDown", "no Node is named node1")


def test_without_nodes_this_one_is_alone() -> None:
    """A folder of manifests need not name the only machine there is."""
    scene = Scene(*BASIC)
    assert scene.orders() == {"192.0.2.1": "node1"}
    scene.follow(node("other"))
    assert scene.orders() == {}


def test_a_node_that_leaves_comes_last() -> None:
    """In its own orders, which keep all addresses; the order stays for when it serves again."""
    scene = Scene(*BOTH, name="node2")
    (leaving,) = scene.elections.orders(leaving=True).values()
    assert candidates(leaving) == ("node1", "node2")
    assert scene.orders() == {"192.0.2.1": "node2 node1"}


def test_orders_are_the_same_object_until_they_differ() -> None:
    """Who compares them pays nothing."""
    scene = Scene(*BOTH)
    before = scene.elections.orders(leaving=False)
    scene.follow(node("node2", rack="x"))
    assert scene.elections.orders(leaving=False) is before
    scene.follow(not_ready("node2"))
    assert scene.elections.orders(leaving=False) is not before


def many(count: int) -> Scene:
    """Return a scene of many Services."""
    addresses = [f"10.0.{n // 256}.{n % 256}" for n in range(count)]
    return Scene(
        pool("p", "10.0.0.0/16"),
        l2_advertisement(),
        *(service(f"s{n}", each) for n, each in enumerate(addresses)),
        *(slice_of(f"s{n}", "node1") for n in range(count)),
        node("node1"),
        node("node2"),
    )


def test_one_endpoint_costs_the_same_among_many() -> None:
    """A Service that changes is decided alone; another Node's heartbeat costs nothing at all."""

    def cost(count: int) -> int:
        scene = many(count)
        put(scene.inventory, slice_of("s3"))
        touched = scene.routes.refresh()

        def work() -> None:
            scene.elections.follow(scene.inventory.snapshot(), touched)
            scene.elections.orders(leaving=False)

        return lines_run(work)

    assert cost(500) == cost(5)
    scene = many(5)
    put(scene.inventory, node("node2"))
    touched = scene.routes.refresh()
    assert lines_run(lambda: scene.elections.follow(scene.inventory.snapshot(), touched)) < 30
