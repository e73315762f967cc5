"""The part of a speaker for layer 2: orders out, reports in, and what is told of them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest

from exabgp_metallb.decisions.candidates import candidates
from exabgp_metallb.decisions.drain import Goal, Phase
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.programs.layer2 import (
    MISSED_SECONDS,
    TOLD_AT_ONCE,
    Layer2,
    Layer2Settings,
    Listener,
)
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.programs.parts import Call
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.orders import (
    AddressOrder,
    AddressReport,
    Failback,
    ForeignClaim,
    InterfaceReport,
    Orders,
    Report,
    Role,
    Slate,
    SubnetRule,
    by_address,
)
from exabgp_metallb.values.vitals import Layer2Vitals
from tests.effort import lines_run
from tests.integration.manifests import (
    Object,
    l2_advertisement,
    node,
    pool,
    service,
    slice_of,
)
from tests.unit.programs.test_elections import not_ready
from tests.unit.programs.test_node_routes import put
from tests.unit.programs.told import Told

WEB, DB = ObjectName("default", "web"), ObjectName("default", "db")
IP = ip_address("192.0.2.1")
BOTH = [
    pool("p", "192.0.2.0/24"),
    l2_advertisement(interfaces=["eth1", "eth0"]),
    service("web", str(IP)),
    slice_of("web", "node1"),
    node("node1"),
    node("node2"),
]
OWNED = AddressReport(address=IP, role=Role.OWNER, interfaces=("eth0",))
CLAIM = ForeignClaim(address=IP, mac="02:00:00:00:00:09", interface="eth0")


@dataclass
class Responder:
    """Takes orders as the way to a responder does, and keeps them."""

    orders: list[Orders] = field(default_factory=list)
    stopped: bool = False

    def send(self, orders: Orders, touched: Collection[Address] | None = None) -> None:
        """Keep the orders."""
        before = self.orders[-1].addresses if self.orders and touched is not None else {}
        every = {*before, *orders.addresses}
        changed = {a for a in every if before.get(a) != orders.addresses.get(a)}
        assert touched is None or changed <= set(touched)
        self.orders.append(orders)

    def stop(self) -> None:
        """Remember that."""
        self.stopped = True


class Scene:
    """A node's part for layer 2, among objects and with a responder."""

    def __init__(self, *objects: Object, settings: Layer2Settings | None = None) -> None:
        self.routes = NodeRoutes(Inventory(), "node2")
        self.responder = Responder()
        self.calls: list[Call] = []
        self.reported: Mapping[Address, AddressReport] = {}
        self.part = Layer2(
            "node2", self.calls.append, connect=self._connect, settings=settings or Layer2Settings()
        )
        self.follow(*objects)

    def _connect(self, listener: Listener) -> Responder:
        self.listener = listener
        return self.responder

    def follow(self, *objects: Object) -> list[Orders]:
        """Let the node hear of objects, and return the orders that come of it."""
        put(self.routes.inventory, *objects)
        before = len(self.responder.orders)
        self.part.decided(self.routes, self.routes.refresh())
        return self.responder.orders[before:]

    def report(self, *addresses: AddressReport, **fields: Any) -> None:  # noqa: ANN401 -- of Report
        """Let the responder report."""
        touched = {*self.reported, *(each.address for each in addresses)}
        self.reported = by_address(addresses)
        self.hear(Report(node="node2", addresses=self.reported, **fields), touched)

    def hear(self, report: Report | None, touched: Collection[Address] | None = None) -> None:
        """Let the responder say something, or be away."""
        self.listener(report, touched)
        for call in self.calls:
            call(0.0)
        self.calls.clear()


@pytest.fixture
def told() -> Iterator[Told]:
    """What is logged."""
    told = Told()
    yield told
    told.close()


# Orders.


def test_the_responder_gets_all_of_it() -> None:
    """The candidates and interfaces of each address, and how the node was called."""
    settings = Layer2Settings(
        subnet=SubnetRule.REQUIRE, failback=Failback.STICKY, refresh_seconds=60.0
    )
    scene = Scene(*BOTH, settings=settings)
    assert scene.responder.orders == [
        Orders(
            node="node2",
            addresses={
                IP: AddressOrder(
                    address=IP,
                    slate=Slate((("node1", "node2"),)),
                    interfaces=frozenset({"eth0", "eth1"}),
                )
            },
            subnet=SubnetRule.REQUIRE,
            failback=Failback.STICKY,
            refresh_seconds=60.0,
            draining=False,
        )
    ]


def test_no_address_is_an_order_too() -> None:
    """So that a responder with older orders on disk gives up what it has."""
    assert Scene(node("node2")).responder.orders == [Orders(node="node2")]


def test_orders_are_sent_when_they_differ() -> None:
    """And not for what changes nothing here."""
    scene = Scene(*BOTH)
    assert scene.follow() == []
    assert scene.follow(node("node1", "10.0.0.1", rack="x")) == []
    assert scene.follow(slice_of("web", "node2")) == []
    (orders,) = scene.follow(not_ready("node1"))
    assert candidates(orders.addresses[IP]) == ("node2",)
    (orders,) = scene.follow(slice_of("web"))
    assert orders.addresses == {}


def draining(name: str) -> Object:
    """Return a Node that somebody wants drained."""
    made = node(name)
    made["metadata"]["annotations"] = {"exabgp-metallb.io/drain": "true"}
    return made


def test_an_annotation_drains_a_node() -> None:
    """This one comes last in its own orders, another one is no candidate."""
    scene = Scene(*BOTH)
    (orders,) = scene.follow(draining("node1"))
    assert (orders.draining, candidates(orders.addresses[IP])) == (False, ("node2",))
    (orders,) = scene.follow(node("node1"), draining("node2"))
    assert (orders.draining, candidates(orders.addresses[IP])) == (True, ("node1", "node2"))


def test_a_drain_of_this_machine_makes_it_the_last() -> None:
    """It answers until another node does; afterwards all is as it was."""
    scene = Scene(*BOTH)
    (before,) = scene.responder.orders
    scene.routes.drain(Phase.WORSE)
    (orders,) = scene.follow()
    assert (orders.draining, candidates(orders.addresses[IP])) == (True, ("node1", "node2"))
    scene.routes.drain(Phase.SERVING, Goal.SERVE)
    assert scene.follow() == [before]


def test_a_stop_of_this_program_moves_nothing() -> None:
    """The responder goes on by its last orders."""
    scene = Scene(*BOTH)
    scene.routes.drain(Phase.WORSE, Goal.STOP)
    assert scene.follow() == []
    scene.part.stop()
    assert scene.responder.stopped


# Reports.


def test_what_is_answered_is_told_of_services() -> None:
    """As long as it does not change the mapping is the same object."""
    scene = Scene(*BOTH, service("db", str(IP)), slice_of("db", "node1"))
    assert scene.part.answered == {}
    scene.report(OWNED)
    answered = scene.part.answered
    assert answered == {WEB: ("eth0",), DB: ("eth0",)}
    scene.report(OWNED)
    assert scene.part.answered is answered
    scene.follow(slice_of("db"))
    assert scene.part.answered == {WEB: ("eth0",)}
    scene.report(AddressReport(address=IP, role=Role.STANDBY))
    assert scene.part.answered == {}


def test_a_responder_that_is_away_may_be_restarting() -> None:
    """What it said last stands in the cluster, and is measured no more."""
    scene = Scene(*BOTH)
    scene.report(OWNED)
    answers = [scene.part.answers]
    scene.hear(None)
    assert scene.part.answered == {WEB: ("eth0",)}
    answers.append(scene.part.answers)
    assert answers == [True, False]  # a drain does not wait for one that is gone
    assert scene.part.vitals() == Layer2Vitals(node="node2")


def test_foreign_claims_are_told_of_services() -> None:
    """With whom and where, for an Event."""
    scene = Scene(*BOTH)
    scene.report(OWNED, foreign=(CLAIM,))
    assert scene.part.claimed == {WEB: (CLAIM,)}
    scene.report(OWNED)
    assert scene.part.claimed == {}


def test_vitals() -> None:
    """What metrics are made from."""
    scene = Scene(*BOTH)
    scene.report(OWNED)
    vitals = scene.part.vitals()
    announced = (("default/web", "192.0.2.1"),)
    assert vitals == Layer2Vitals(node="node2", connected=True, announced=announced)
    assert scene.part.vitals() is vitals


def test_status() -> None:
    """What a person sees: who answers for what, where, and who else."""
    scene = Scene(*BOTH)
    address = {
        "address": "192.0.2.1",
        "role": None,
        "why": "",
        "answeredOn": [],
        "interfaces": ["eth0", "eth1"],
        "candidates": ["node2", "node1"],
        "candidateCount": 2,
        "services": ["default/web"],
    }
    nothing = {
        "responder": "away",
        "leaving": False,
        "problems": ["no responder takes orders for 1 addresses on layer 2"],
        "addresses": [address],
        "interfaces": [],
        "foreignClaims": [],
    }
    assert scene.part.status(0.0) == {"layer2": nothing}
    down = InterfaceReport(name="eth1", usable=False, why="no carrier")
    scene.report(OWNED, interfaces=(down,), foreign=(CLAIM,))
    assert scene.part.status(0.0) == {
        "layer2": {
            "responder": "connected",
            "leaving": False,
            "problems": ["192.0.2.1: 02:00:00:00:00:09 on eth0 answers for it as well"],
            "addresses": [address | {"role": "owner", "answeredOn": ["eth0"]}],
            "interfaces": [{"name": "eth1", "usable": False, "why": "no carrier"}],
            "foreignClaims": [
                {"address": "192.0.2.1", "mac": "02:00:00:00:00:09", "interface": "eth0"}
            ],
        }
    }


def test_an_address_without_an_interface_is_a_problem() -> None:
    """Another node has to answer for it."""
    scene = Scene(*BOTH)
    scene.report(AddressReport(address=IP, role=Role.UNABLE, why="no interface is up"))
    status = scene.part.status(0.0)["layer2"]
    assert isinstance(status, dict)
    assert status["problems"] == ["192.0.2.1: this node cannot answer: no interface is up"]


def test_one_change_costs_the_same_among_many() -> None:
    """An endpoint that goes, and what the responder says then."""

    def cost(count: int) -> int:
        texts = [f"192.0.2.{n}" for n in range(count)]
        scene = Scene(
            *BOTH,
            *(service(f"s{n}", text) for n, text in enumerate(texts)),
            *(slice_of(f"s{n}", "node1") for n in range(count)),
        )
        owned = [replace(OWNED, address=ip_address(text)) for text in texts]
        scene.report(*owned)
        less = Report(node="node2", addresses=by_address(owned[:2] + owned[3:]))
        put(scene.routes.inventory, slice_of("s2"))
        touched = scene.routes.refresh()

        def work() -> None:
            scene.part.decided(scene.routes, touched)
            scene.hear(less, [owned[2].address])
            scene.part.vitals()

        return lines_run(work)

    assert cost(200) == cost(5)


# What is told.


def test_each_change_is_told_once(told: Told) -> None:
    """Roles, interfaces and claims; also over a restart of the responder."""
    scene = Scene(*BOTH)
    unable = AddressReport(address=IP, role=Role.UNABLE, why="no interface is up")
    down = InterfaceReport(name="eth0", usable=False, why="no carrier")
    up = InterfaceReport(name="eth0", usable=True)
    for _ in range(2):
        scene.report(unable, interfaces=(down,))
    for _ in range(2):
        scene.report(OWNED, interfaces=(up,), foreign=(CLAIM,))
    for _ in range(2):
        scene.hear(None)
    scene.report(AddressReport(address=IP, role=Role.STANDBY), interfaces=(up,))
    for line in (
        "INFO layer 2: candidate for 1 addresses",
        "WARNING 192.0.2.1: this node cannot answer: no interface is up",
        "INFO interface eth0: is not used on layer 2: no carrier",
        "INFO 192.0.2.1: this node answers, on eth0",
        "INFO interface eth0: is used on layer 2",
        "WARNING 192.0.2.1: 02:00:00:00:00:09 answers for it on eth0",
        "INFO 192.0.2.1: this node answers no more",
        "INFO 192.0.2.1: 02:00:00:00:00:09 answers for it no more",
    ):
        assert told.count(line) == 1, line


def test_orders_that_nobody_follows_are_told(told: Told) -> None:
    """Once for each absence, after a while; not where there is nothing to answer for."""
    line = "no responder takes orders, so this node answers for none of 1 addresses"
    idle, scene = Scene(node("node2")), Scene(*BOTH)
    for now in (0.0, MISSED_SECONDS - 1):
        idle.part.act(now)
        scene.part.act(now)
    assert told.count("no responder") == 0
    for now in (MISSED_SECONDS, MISSED_SECONDS + 1):
        idle.part.act(now)
        scene.part.act(now)
    assert told.count("no responder") == told.count(line) == 1
    scene.report(OWNED)
    scene.part.act(100.0)
    scene.hear(None)
    scene.part.act(101.0)
    scene.part.act(101.0 + MISSED_SECONDS)
    assert told.count(line) == 2


def test_an_address_that_goes_is_told(told: Told) -> None:
    """Nobody asks for it any more, so no report names it."""
    scene = Scene(*BOTH)
    scene.report(OWNED)
    scene.report()
    assert told.count("this node answers no more") == 1


def test_thousands_of_addresses_are_counted(told: Told) -> None:
    """A line for each would help nobody."""
    addresses = [ip_address("10.0.0.0") + n for n in range(TOLD_AT_ONCE + 5)]
    Scene(*BOTH).report(*(AddressReport(address=a, role=Role.OWNER) for a in addresses))
    assert told.count("this node answers") == TOLD_AT_ONCE
    assert told.count("and 5 addresses more") == 1


def test_a_service_that_cannot_be_answered_for_says_why(told: Told) -> None:
    """Once; and not where another node answers, or nobody is asked to."""
    scene = Scene(*BOTH)
    for _ in range(2):
        scene.follow(service("web", str(IP), policy="Local"))
        scene.follow(service("web", str(IP), policy="Local", labels={"a": "b"}))
    assert told.count("Service default/web: this node does not answer on layer 2: noLocal") == 1
    scene.follow(service("web", str(IP)))
    assert told.count("Service default/web: nothing stands in its way on layer 2") == 1
    scene.follow(not_ready("node1"), service("none", "198.51.100.1"))
    assert told.count("Service default/none: this node does not answer on layer 2: ipNot") == 1
    scene.follow(l2_advertisement(ipAddressPools=["other"]), service("web", str(IP)))
    assert told.count("Service default/web") == 2


def test_nothing_is_told_where_no_l2_advertisement_is_for_the_pool(told: Told) -> None:
    """BGP alone announces it, whatever it lacks."""
    scene = Scene(*BOTH)
    scene.follow(l2_advertisement(ipAddressPools=["other"]), service("web", str(IP)))
    scene.follow(slice_of("web"))
    assert told.count("Service default/web") == 0
