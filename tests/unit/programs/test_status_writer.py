"""Status objects kept equal to what is wanted, against an API in memory that may refuse."""

from collections.abc import Callable
from http import HTTPStatus

from exabgp_metallb.adapters.kubernetes import statuses
from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.statuses import Author
from exabgp_metallb.adapters.kubernetes.writes import Body, Request, Sent
from exabgp_metallb.programs.status_writer import (
    OTHERS_AT_ONCE,
    UNDER_WAY,
    WRITES_PER_SECOND,
    StatusWriter,
)
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.statuses import (
    ServiceBgpStatus,
    ServiceL2Status,
    Status,
    StatusKind,
    StatusName,
)

AUTHOR = Author(node="node1", namespace="metallb-system", uid="uid-of-node1")
WEB = StatusName(StatusKind.SERVICE_BGP, ObjectName("default", "web"))
SHOP = StatusName(StatusKind.SERVICE_BGP, ObjectName("default", "shop"))
WEB_L2 = StatusName(StatusKind.SERVICE_L2, ObjectName("default", "web"))
TOR = ServiceBgpStatus(("tor",))

Told = tuple[StatusName, Status | None, Status | None]


class Api:
    """Holds objects by path, and answers what a writer has submitted."""

    def __init__(self) -> None:
        self.objects: dict[str, Body] = {}
        self.flying: list[tuple[object, Request]] = []
        self.writes: list[str] = []
        self.lists = 0
        self.refuse: Callable[[Request], int | None] = lambda _request: None
        self.restart()
        self.now = 0.0

    def restart(self) -> None:
        """Begin as a new speaker."""
        self.flying.clear()
        self.told: list[Told] = []
        self.writer = StatusWriter(
            lambda key, request: self.flying.append((key, request)),
            lambda *told: self.told.append(told),
        )

    def run(self, seconds: float = 10.0) -> None:
        """Let time pass, and answer everything."""
        for _ in range(int(seconds * 100)):
            self.now += 0.01
            self.writer.act(AUTHOR, self.now)
            assert len(self.flying) <= UNDER_WAY
            self.answer()

    def answer(self) -> None:
        """Answer what was submitted so far."""
        flying, self.flying = self.flying, []
        for key, request in flying:
            self.writer.sent(self._answer(key, request), self.now)

    def _answer(self, key: object, request: Request) -> Sent:
        status = self.refuse(request)
        if status is not None:
            return Sent(0, key, error=ApiError("refused", status=status))
        path = request.path.partition("?")[0]
        if request.method == "GET":
            self.lists += 1
            kind = path.rpartition("/")[2]
            items = [o for p, o in self.objects.items() if f"/{kind}/" in p]
            return Sent(0, key, {"items": items, "metadata": {}})
        self.writes.append(f"{request.method} {path}")
        if request.method == "DELETE":
            return self._gone(key, path)
        if path.endswith("/status"):
            there = self.objects.get(path.removesuffix("/status"))
            if there is None:
                return Sent(0, key, error=ApiError("no object", status=HTTPStatus.NOT_FOUND))
            there["status"] = (request.body or {})["status"]
            return Sent(0, key, there)
        self.objects.setdefault(path, dict(request.body or {}))
        return Sent(0, key, self.objects[path])

    def _gone(self, key: object, path: str) -> Sent:
        if self.objects.pop(path, None) is None:
            return Sent(0, key, error=ApiError("no object", status=HTTPStatus.NOT_FOUND))
        return Sent(0, key)

    def said(self) -> list[object]:
        """Return all statuses in the API."""
        return [each.get("status") for each in self.objects.values()]


def web(*peers: str) -> Body:
    """Return what the status of the Service says."""
    return {
        "node": "node1",
        "serviceName": "web",
        "serviceNamespace": "default",
        "peers": list(peers),
    }


def test_what_is_wanted_is_written_once() -> None:
    """An object, then its status; and nothing more when the same is wanted again."""
    api = Api()
    api.writer.want(WEB, TOR)
    api.run()
    assert api.said() == [web("tor")]
    assert len(api.writes) == 2
    assert api.told == [(WEB, None, TOR)]
    api.writer.want(WEB, ServiceBgpStatus(("tor",)))
    api.run()
    assert len(api.writes) == 2
    assert api.writer.deadline(api.now) is None


def test_a_change_writes_the_status_alone() -> None:
    """And what changed ten times in between is written as it is at last."""
    api = Api()
    api.writer.want(WEB, TOR)
    api.run()
    for number in range(10):
        api.writer.want(WEB, ServiceBgpStatus((f"tor-{number}",)))
    api.run()
    assert api.said() == [web("tor-9")]
    assert len(api.writes) == 3
    assert api.told[-1] == (WEB, TOR, ServiceBgpStatus(("tor-9",)))


def test_what_is_not_wanted_any_more_is_removed() -> None:
    """And nothing is left to do."""
    api = Api()
    api.writer.want(WEB, TOR)
    api.run()
    api.writer.want(WEB, None)
    api.run()
    assert api.objects == {}
    assert api.told[-1] == (WEB, TOR, None)


def test_a_restart_writes_what_differs() -> None:
    """What is there as wanted is left alone, the rest of this node is removed."""
    api = Api()
    api.writer.want(WEB, TOR)
    api.writer.want(SHOP, TOR)
    api.run()
    api.restart()
    api.writes.clear()
    folder = "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicebgpstatuses"
    api.objects[f"{folder}/bgp-abcde"] = {"metadata": {"name": "bgp-abcde"}}
    api.writer.want(WEB, TOR)
    api.run()
    shop = statuses.object_name(AUTHOR, SHOP)
    assert sorted(api.writes) == sorted([f"DELETE {folder}/{shop}", f"DELETE {folder}/bgp-abcde"])
    assert api.said() == [web("tor")]


def test_what_somebody_removed_is_made_anew() -> None:
    """The next write finds no object, and creates one."""
    api = Api()
    api.writer.want(WEB, TOR)
    api.run()
    api.objects.clear()
    api.writer.want(WEB, ServiceBgpStatus(("other",)))
    api.run()
    assert api.said() == [web("other")]


def test_a_refusal_is_tried_again_until_it_ends() -> None:
    """Later each time; what is wanted by then is written."""
    api = Api()
    api.refuse = lambda request: 503 if request.method == "PATCH" else None
    api.writer.want(WEB, TOR)
    api.run()
    assert api.objects == {}
    api.refuse = lambda _request: None
    api.run(seconds=90.0)
    assert api.said() == [web("tor")]


def test_lists_that_may_not_be_read_hold_no_write_up() -> None:
    """Writes do not depend on what was there: they are applied."""
    api = Api()
    api.refuse = lambda request: 403 if request.method == "GET" else None
    api.writer.want(WEB, TOR)
    api.run()
    assert api.said() == [web("tor")]


def test_an_api_that_is_away_is_asked_again() -> None:
    """Nothing is written before it has been read: it might be there already."""
    api = Api()
    api.refuse = lambda _request: 503
    api.writer.want(WEB, TOR)
    api.run()
    api.refuse = lambda _request: None
    assert api.writes == []
    api.run(seconds=60.0)
    assert api.said() == [web("tor")]


def test_one_node_writes_a_few_each_second() -> None:
    """However many Services there are: the API serves all nodes."""
    api = Api()
    for number in range(500):
        name = StatusName(StatusKind.SERVICE_BGP, ObjectName("default", f"web-{number}"))
        api.writer.want(name, TOR)
    api.run(seconds=1.0)
    assert len(api.writes) <= 2 * 2 * WRITES_PER_SECOND + UNDER_WAY  # two for each object
    api.run(seconds=60.0)
    assert len(api.said()) == 500


L2_FOLDER = "/apis/metallb.io/v1beta1/namespaces/metallb-system/servicel2statuses"
OLD_OWNER = Author(node="node2", namespace="metallb-system")


def left(api: Api, name: StatusName) -> str:
    """Have an object of another node there, and return its path."""
    body = statuses.filling(OLD_OWNER, name, ServiceL2Status(())).body or {}
    path = f"{L2_FOLDER}/{statuses.object_name(OLD_OWNER, name)}"
    api.objects[path] = body
    return path


def test_on_layer_2_one_node_speaks_for_a_service() -> None:
    """The new owner removes what the old one, which may be dead, has left."""
    api = Api()
    api.writer.want(WEB_L2, ServiceL2Status(("eth0",)))
    api.run(seconds=0.02)
    left(api, WEB_L2)
    api.run()
    (status,) = api.said()
    assert status == {
        "node": "node1",
        "serviceName": "web",
        "serviceNamespace": "default",
        "interfaces": [{"name": "eth0"}],
    }


def test_many_that_are_taken_over_are_one_look() -> None:
    """The API server looks through all objects of the kind each time."""
    api = Api()
    api.run(seconds=1.0)
    listed = api.lists
    for number in range(OTHERS_AT_ONCE + 10):
        name = StatusName(StatusKind.SERVICE_L2, ObjectName("default", f"web-{number}"))
        left(api, name)
        api.writer.want(name, ServiceL2Status(("eth0",)))
    api.run(seconds=60.0)
    assert api.lists - listed == 2
    assert len(api.objects) == OTHERS_AT_ONCE + 10
    assert {each["node"] for each in api.said() if isinstance(each, dict)} == {"node1"}


def test_what_was_lost_again_is_the_new_owners() -> None:
    """Its object is the true one; a look that comes too late removes none."""
    api = Api()
    api.run(seconds=1.0)
    path = left(api, WEB_L2)
    lose = iter([WEB_L2])

    def refuse(request: Request) -> None:
        if request.method == "GET":
            for name in lose:
                api.writer.want(name, None)

    api.refuse = refuse
    api.writer.want(WEB_L2, ServiceL2Status(("eth0",)))
    api.run()
    assert [*api.objects] == [path]


def test_a_look_that_fails_is_tried_again() -> None:
    """Not at once: an API that is away, or has too much to do, is not helped by it."""
    api = Api()
    api.run(seconds=1.0)
    left(api, WEB_L2)
    asked = []

    def refuse(request: Request) -> int | None:
        asked.append(request.method)
        return 503 if request.method == "GET" else None

    api.refuse = refuse
    api.writer.want(WEB_L2, ServiceL2Status(("eth0",)))
    api.run()
    assert asked.count("GET") == 1
    api.refuse = lambda _request: None
    api.run(seconds=60.0)
    assert len(api.objects) == 1
    assert api.writer.deadline(api.now) is None
