"""What a node tells the cluster: which writes and Events follow from decisions and notices."""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import cast

import pytest

from exabgp_metallb.adapters.exabgp.dialogue import Notice, SessionDown, SessionUp
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.writes import Body, Request, Sent
from exabgp_metallb.adapters.source import OnDeath
from exabgp_metallb.decisions.drain import Goal, Phase
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import KINDS, parse
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.programs.parts import Call
from exabgp_metallb.programs.statuses import (
    CLAIM_EVENT_SECONDS,
    SESSION_EVENT_SECONDS,
    Statuses,
)
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.orders import ForeignClaim
from exabgp_metallb.values.specs import Parsed
from tests.integration.manifests import (
    Object,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)

TOR = ip_address("127.0.0.1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALL_KINDS = frozenset(kind for _, kind in KINDS)


def with_uid(raw: Object) -> Object:
    """Return an object as the API has it."""
    return raw | {"metadata": raw["metadata"] | {"uid": f"uid-of-{raw['metadata']['name']}"}}


BASIC = [
    with_uid(each)
    for each in (
        node("node1", "10.0.0.11"),
        pool("p", "192.0.2.0/24"),
        peer("tor", TOR, asn=64512, peer_asn=64513),
        advertisement(),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
]


class Cluster:
    """A node's part that tells, and an API in memory that takes everything.

    Attributes:
        said: kind and reason of each Event.
        notes: their messages.
    """

    def __init__(self, *objects: Object) -> None:
        self.now = 0.0
        self.said: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.objects: dict[str, Body] = {}
        self.answered: dict[ObjectName, tuple[str, ...]] = {}
        self.claimed: dict[ObjectName, tuple[ForeignClaim, ...]] = {}
        self._calls: deque[Call] = deque()
        self._flying: deque[tuple[object, Request]] = deque()
        self.restart(*objects)

    def restart(self, *objects: Object, service_bgp: bool = True) -> None:
        """Begin as a new speaker."""
        self._flying.clear()
        inventory = Inventory()
        inventory.listed(ALL_KINDS, self._parsed(objects))
        self.routes = NodeRoutes(inventory, "node1")
        self.part = Statuses(
            self._calls.append,
            namespace="metallb-system",
            answered=lambda: self.answered,
            claimed=lambda: self.claimed,
            service_bgp=service_bgp,
            wall=lambda: NOON + timedelta(seconds=self.now),
            writing=self._writing,
        )
        self.part.connected(cast("Connection", None))

    @staticmethod
    def _parsed(objects: Iterable[Object]) -> list[Parsed]:
        found = [parse(each) for each in objects]
        return [each for each in found if each is not None]

    def _writing(self, _c: Connection, sent: Callable[[Sent], None], _d: OnDeath) -> "Cluster":
        self._tell = sent
        return self

    def start(self) -> None:
        """Do nothing: there are no threads."""

    def submit(self, _term: int, key: object, request: Request) -> None:
        """Take a request."""
        self._flying.append((key, request))

    def stop(self, _seconds: float) -> bool:
        """Do nothing: there are no threads."""
        return True

    def run(self, seconds: float = 5.0) -> None:
        """Let decisions be told, time pass and requests be answered."""
        self.part.decided(self.routes, self.routes.refresh())
        for _ in range(int(seconds * 10)):
            self.now += 0.1
            while self._calls:
                self._calls.popleft()(self.now)
            self.part.act(self.now)
            while self._flying:
                self._answer(*self._flying.popleft())

    def _answer(self, key: object, request: Request) -> None:
        path = request.path.partition("?")[0]
        body = request.body or {}
        answer: Body = {}
        if path.endswith("/events"):
            self.said.append((body["involvedObject"]["kind"], body["reason"]))
            self.notes.append(body["message"])
        elif request.method == "GET":
            answer = {"items": [o for p, o in self.objects.items() if p.startswith(path)]}
        elif request.method == "DELETE":
            self.objects.pop(path, None)
        else:
            self.objects.setdefault(path.removesuffix("/status"), {}).update(body)
        self._tell(Sent(0, key, answer))

    def statuses(self, kind: str) -> list[Body]:
        """Return the statuses of a kind."""
        return [o["status"] for o in self.objects.values() if o["kind"] == kind and "status" in o]

    def put(self, raw: Object) -> None:
        """Have an object changed."""
        for each in self._parsed([with_uid(raw)]):
            self.routes.inventory.put(each)

    def notice(self, notice: Notice) -> None:
        """Have ExaBGP tell something."""
        self.part.noticed(notice, self.now)


@pytest.fixture
def cluster() -> Cluster:
    """Return a node that announces one Service to one peer, whose session is up."""
    made = Cluster(*BASIC)
    made.run()
    made.notice(SessionUp(TOR))
    made.run()
    return made


def test_what_a_node_does_is_told(cluster: Cluster) -> None:
    """The Service's peers, the session, and that nothing is at fault."""
    about = {"node": "node1", "serviceName": "web", "serviceNamespace": "default"}
    assert cluster.statuses("ServiceBGPStatus") == [{**about, "peers": ["tor"]}]
    (session,) = cluster.statuses("BGPSessionState")
    assert (session["peer"], session["bgpStatus"]) == ("tor", "Established")
    assert session["since"] == "2026-01-01T12:00:05Z"
    (verdict,) = cluster.statuses("ConfigurationState")
    assert verdict["result"] == "Valid"
    assert cluster.said == [("Service", "nodeAssigned"), ("BGPPeer", "SessionUp")]
    assert cluster.notes[0] == 'announcing from node "node1" with protocol "bgp"'


def test_a_restart_tells_nothing_anew(cluster: Cluster) -> None:
    """The objects are there, and so is the time since which the session stands."""
    before = {path: dict(body) for path, body in cluster.objects.items()}
    cluster.restart(*BASIC)
    cluster.run()
    cluster.notice(SessionUp(TOR, found=True))
    cluster.run()
    assert cluster.objects == before
    assert len(cluster.said) == 2


def test_a_service_that_is_not_announced_any_more(cluster: Cluster) -> None:
    """Its object goes; when it is back, that is told."""
    cluster.put(slice_of("web"))
    cluster.run()
    assert cluster.statuses("ServiceBGPStatus") == []
    cluster.put(slice_of("web", "node1"))
    cluster.run()
    assert len(cluster.statuses("ServiceBGPStatus")) == 1
    assert cluster.said.count(("Service", "nodeAssigned")) == 2


def test_a_node_that_is_drained_announces_nothing(cluster: Cluster) -> None:
    """Its Services' objects go when the drain is done; a restart of its own leaves them alone."""
    cluster.routes.drain(Phase.WITHDRAWING)
    cluster.run()
    assert len(cluster.statuses("ServiceBGPStatus")) == 1
    cluster.routes.drain(Phase.DRAINED)
    cluster.run()
    assert cluster.statuses("ServiceBGPStatus") == []
    cluster.routes.drain(Phase.SERVING)
    cluster.run()
    assert len(cluster.statuses("ServiceBGPStatus")) == 1
    cluster.routes.drain(Phase.CLOSED, Goal.STOP)
    cluster.run()
    assert len(cluster.statuses("ServiceBGPStatus")) == 1


def test_services_that_are_not_to_be_told(cluster: Cluster) -> None:
    """What was written of them goes, no Event says more, and the rest is told as ever."""
    cluster.notes.clear()
    cluster.restart(*BASIC, service_bgp=False)
    cluster.run()
    cluster.notice(SessionUp(TOR))
    cluster.put(service("shop", "192.0.2.2"))
    cluster.put(slice_of("shop", "node1"))
    cluster.answered = {ObjectName("default", "shop"): ("eth0",)}
    cluster.run()
    assert cluster.statuses("ServiceBGPStatus") == []
    assert len(cluster.statuses("BGPSessionState")) == 1
    assert len(cluster.statuses("ServiceL2Status")) == 1
    assert cluster.notes == ['announcing from node "node1" with protocol "layer2"']


def test_a_flapping_session_has_one_event_a_minute(cluster: Cluster) -> None:
    """Its state is always right; the Event tells what it is by then, with the reason."""
    for _ in range(20):
        cluster.notice(SessionDown(TOR, "notification received (6,2)"))
        cluster.run(seconds=1.0)
        assert cluster.statuses("BGPSessionState")[0]["bgpStatus"] == "Down"
        cluster.notice(SessionUp(TOR))
        cluster.run(seconds=1.0)
    cluster.notice(SessionDown(TOR, "notification received (6,2)"))
    cluster.run(seconds=2 * SESSION_EVENT_SECONDS)
    events = [reason for kind, reason in cluster.said if kind == "BGPPeer"]
    assert events == ["SessionUp", "SessionDown"]
    assert "administratively shut down" in cluster.notes[-1]


def test_a_session_that_is_back_as_it_was_needs_no_event(cluster: Cluster) -> None:
    """Within the minute in which nothing may be told."""
    cluster.notice(SessionDown(TOR, "closing connection"))
    cluster.run(seconds=1.0)
    cluster.notice(SessionUp(TOR))
    cluster.run(seconds=2 * SESSION_EVENT_SECONDS)
    assert [reason for kind, reason in cluster.said if kind == "BGPPeer"] == ["SessionUp"]


def test_a_peer_that_is_gone_has_no_session(cluster: Cluster) -> None:
    """Nor is the Service announced to it."""
    cluster.routes.inventory.gone(ObjectRef("BGPPeer", "metallb-system", "tor"))
    cluster.run()
    assert cluster.statuses("BGPSessionState") == []
    assert cluster.statuses("ServiceBGPStatus") == []


def test_a_fault_is_in_the_verdict(cluster: Cluster) -> None:
    """With the time at which it came."""
    cluster.put(peer("bad", "not an address", asn=64512, peer_asn=64513))
    cluster.run()
    (verdict,) = cluster.statuses("ConfigurationState")
    assert verdict["result"] == "Invalid"
    assert "BGPPeer/metallb-system/bad: spec.peerAddress" in verdict["errorSummary"]
    (condition,) = verdict["conditions"]
    assert condition["lastTransitionTime"] > "2026-01-01T12:00:05Z"


def test_layer_2_has_objects_of_its_own(cluster: Cluster) -> None:
    """As long as this node answers."""
    cluster.answered = {ObjectName("default", "web"): ("eth0",)}
    cluster.run()
    (status,) = cluster.statuses("ServiceL2Status")
    assert status["interfaces"] == [{"name": "eth0"}]
    assert cluster.notes[-1] == 'announcing from node "node1" with protocol "layer2"'
    cluster.answered = {}
    cluster.run()
    assert cluster.statuses("ServiceL2Status") == []


def test_who_else_answers_is_told() -> None:
    """With MAC, interface and remedy; once while it lasts, and not more often than that."""
    cluster = Cluster(*BASIC)
    claim = ForeignClaim(address=ip_address("192.0.2.1"), mac="02:00:00:00:00:09", interface="eth0")
    cluster.claimed = {ObjectName("default", "web"): (claim,)}
    cluster.run()
    assert cluster.said.count(("Service", "foreignClaim")) == 1
    assert cluster.notes[cluster.said.index(("Service", "foreignClaim"))] == (
        'node "node1" hears somebody else answer: 02:00:00:00:00:09 on eth0 for 192.0.2.1; where '
        "that is a node of this cluster it may be kube-proxy in IPVS mode: set strictARP"
    )
    for seconds, count in ((5.0, 1), (CLAIM_EVENT_SECONDS, 2)):
        cluster.claimed = {}
        cluster.run(seconds)
        cluster.claimed = {ObjectName("default", "web"): (claim,)}
        cluster.run()
        assert cluster.said.count(("Service", "foreignClaim")) == count
