"""The Kubernetes source against a scripted server: each way in which an API can answer or fail."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count, pairwise
from pathlib import Path

import pytest

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.api import KubernetesSource, read
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.kinds import KINDS
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.adapters.source import Away, Back, Gone, Listed, Put
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing import objects
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import Service, TrafficPolicy
from tests.unit.adapters.ear import WITHIN_SECONDS, Ear
from tests.unit.adapters.scripted_api import (
    Answer,
    Object,
    ScriptedApi,
    bookmark,
    error,
    line,
    page,
    plain,
    refusal,
    watch,
)

SHORT = Pace(uniform=random.uniform, rest_seconds=(0.01, 0.02), rejoin_seconds=(0.0, 0.005))
NO_REST = Pace(uniform=lambda _low, _high: 0.0, rest_seconds=(0.0, 0.0))
NO_STREAM = refusal(422, "sendInitialEvents is forbidden for watch")

Follow = Callable[..., Ear]


def service(name: str, policy: str = "Cluster", version: str = "1") -> Object:
    """Return a Service as the API sends it, with what we do not read."""
    metadata = {
        "name": name,
        "namespace": "default",
        "resourceVersion": version,
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
    }
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": policy, "ports": []}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def ref(name: str) -> ObjectRef:
    """Return the reference of a service."""
    return ObjectRef("Service", "default", name)


def put(event: object) -> tuple[str, TrafficPolicy]:
    """Return what tells one version of a service from another."""
    assert isinstance(event, Put), event
    assert isinstance(event.object.value, Service)
    return (event.object.ref.name, event.object.value.traffic_policy)


def listed(ear: Ear) -> list[str]:
    """Return the names of a list that is told."""
    event = ear.next()
    assert isinstance(event, Listed), event
    assert event.kinds == {"Service"}
    return [parsed.ref.name for parsed in event.objects]


def away(ear: Ear, what: str = "Service") -> str:
    """Return why something is away."""
    event = ear.next()
    assert isinstance(event, Away), event
    assert event.what == what
    return event.message


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ScriptedApi]:
    """Return a server with an empty script."""
    with ScriptedApi(tmp_path).running() as running:
        yield running


@pytest.fixture
def connection(api: ScriptedApi) -> Connection:
    """Return the way to the scripted server; a second goes by each time the clock is read."""
    load = partial(config.kubeconfig, api.kubeconfig)
    return Connection(load, now=map(float, count(step=1)).__next__)


@pytest.fixture
def follow(api: ScriptedApi, connection: Connection) -> Iterator[Follow]:
    """Return a function that follows kinds and returns who hears of them."""
    sources = []

    def begin(*kinds: str, pace: Pace = NO_REST) -> Ear:
        ear = Ear()
        source = KubernetesSource(
            connection,
            namespace="lb",
            on_death=ear.death,
            pace=pace,
            kinds=kinds or ["Service"],
        )
        sources.append(source)
        source.start(ear)
        return ear

    yield begin
    api.over.set()
    for source in sources:
        source.stop()


@pytest.fixture
def watched(api: ScriptedApi, follow: Follow) -> Callable[..., Ear]:
    """Return a function that lists one service at version 10 and goes on by a script."""

    def begin(*answers: Answer, pace: Pace = NO_REST) -> Ear:
        api.will(watch(line("ADDED", service("web")), bookmark("10", ends_list=True), end="clean"))
        api.will(*answers)
        ear = follow(pace=pace)
        assert listed(ear) == ["web"]
        assert "resourceVersion" not in api.asked().query
        return ear

    return begin


# Lists and watches


def test_a_list_comes_in_pages_where_it_cannot_be_streamed(
    api: ScriptedApi, follow: Follow
) -> None:
    """The pages make one list; the watch goes on from their version."""
    api.will(
        NO_STREAM,
        page([service("a"), service("b")], "7", more="token=="),
        page([service("c")], "7"),
        watch(line("ADDED", service("d", version="8"))),
    )
    ear = follow()
    assert listed(ear) == ["a", "b", "c"]
    assert put(ear.next())[0] == "d"
    streamed, first, second, after = (api.asked() for _ in range(4))
    assert streamed.query["sendInitialEvents"] == "true"
    assert streamed.query["resourceVersionMatch"] == "NotOlderThan"
    assert first.path == "/api/v1/services"
    assert first.query == {"limit": "500"}
    assert second.query == {"limit": "500", "continue": "token=="}
    assert after.query["resourceVersion"] == "7"
    assert after.query["allowWatchBookmarks"] == "true"


def test_a_streamed_list_is_one_list_and_the_watch_goes_on(
    api: ScriptedApi, follow: Follow
) -> None:
    """What changes before the list is at its end is in the list."""
    api.will(
        watch(
            line("ADDED", service("a")),
            line("ADDED", service("b")),
            line("DELETED", service("a")),
            line("MODIFIED", service("b", "Local")),
            bookmark("5"),
            bookmark("9", ends_list=True),
            line("MODIFIED", service("b", "Cluster")),
            line("DELETED", service("b")),
        )
    )
    ear = follow()
    assert listed(ear) == ["b"]
    assert put(ear.next()) == ("b", TrafficPolicy.CLUSTER)
    assert ear.next() == Gone(ref("b"))


def test_an_empty_list_is_told(api: ScriptedApi, follow: Follow) -> None:
    """Go writes an empty list as null."""
    api.will(NO_STREAM, plain({"metadata": {"resourceVersion": "3"}, "items": None}))
    assert listed(follow()) == []


def test_an_object_that_is_ours_no_more_is_gone(api: ScriptedApi, follow: Follow) -> None:
    """A slice that lost the name of its Service is of no use."""

    def endpoints(labels: Object) -> Object:
        metadata = {"name": "s", "namespace": "default", "labels": labels, "resourceVersion": "2"}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": metadata,
            "endpoints": [],
        }

    mine = endpoints({"kubernetes.io/service-name": "web"})
    api.will(
        watch(bookmark("1", ends_list=True), line("ADDED", mine), line("MODIFIED", endpoints({})))
    )
    ear = follow("EndpointSlice")
    assert isinstance(ear.next(), Listed)
    assert isinstance(ear.next(), Put)
    assert ear.next() == Gone(ObjectRef("EndpointSlice", "default", "s"))
    assert api.asked().query["labelSelector"].startswith("kubernetes.io/service-name,")


def test_a_watch_that_ends_goes_on_from_the_newest_version(
    api: ScriptedApi, watched: Callable[..., Ear]
) -> None:
    """An event's, or a bookmark's where that is newer; nothing is listed again."""
    ear = watched(
        watch(line("ADDED", service("a", version="11")), end="clean"),
        watch(bookmark("25"), end="clean"),
        watch(line("ADDED", service("b", version="26"))),
    )
    assert [put(event)[0] for event in ear.take(2)] == ["a", "b"]
    assert [api.asked().query["resourceVersion"] for _ in range(3)] == ["10", "11", "25"]


def test_lines_may_be_long_and_come_in_pieces(watched: Callable[..., Ear]) -> None:
    """A write is no line, and a line no write."""
    big = service("big")
    big["padding"] = "x" * 5_000_000
    data = line("ADDED", service("small")) + line("ADDED", big) + line("ADDED", service("last"))
    cuts = [0, 3, 100, 4_000_000, len(data) - 1, len(data)]
    ear = watched(watch(*(data[a:b] for a, b in pairwise(cuts))))
    assert [put(event)[0] for event in ear.take(3)] == ["small", "big", "last"]


# What ends a watch


def test_a_line_that_is_cut_off_comes_again(api: ScriptedApi, watched: Callable[..., Ear]) -> None:
    """The connection broke; that is no reason to say that the API is away."""
    cut = line("ADDED", service("b", version="12"))
    ear = watched(
        watch(line("ADDED", service("a", version="11")), cut[:40], end="cut"),
        watch(cut),
    )
    assert [put(event)[0] for event in ear.take(2)] == ["a", "b"]
    assert [api.asked().query["resourceVersion"] for _ in range(2)] == ["10", "11"]


def test_a_watch_that_is_silent_is_begun_again(
    api: ScriptedApi, watched: Callable[..., Ear]
) -> None:
    """A connection may be dead without a word; where it is not, nothing is lost by asking."""
    pace = Pace(uniform=NO_REST.uniform, rest_seconds=(0.0, 0.0), silence_seconds=3.0)
    ear = watched(
        watch(line("ADDED", service("a", version="11"))),
        watch(),
        watch(line("ADDED", service("b", version="12"))),
        pace=pace,
    )
    assert [put(event)[0] for event in ear.take(2)] == ["a", "b"]
    assert [api.asked().query["resourceVersion"] for _ in range(3)] == ["10", "11", "11"]


@pytest.mark.parametrize(
    "gone",
    [refusal(410, "too old resource version"), watch(error(410, "too old resource version"))],
    ids=["status", "event"],
)
def test_a_version_that_is_too_old_is_listed_again(
    api: ScriptedApi, watched: Callable[..., Ear], gone: Answer
) -> None:
    """One list tells what changed; nobody says that the API was away."""
    ear = watched(gone, watch(line("ADDED", service("new")), bookmark("90", ends_list=True)))
    assert listed(ear) == ["new"]
    assert api.asked().query["resourceVersion"] == "10"
    assert "resourceVersion" not in api.asked().query


def test_pages_that_expire_are_read_from_the_first_again(api: ScriptedApi, follow: Follow) -> None:
    """Half a list is never told."""
    api.will(
        NO_STREAM,
        page([service("a")], "7", more="x"),
        refusal(410, "The provided continue parameter is too old"),
        page([service("b")], "8"),
    )
    assert listed(follow()) == ["b"]


@pytest.mark.parametrize(
    "failure",
    [
        refusal(400, "unknown parameter"),
        refusal(500, "etcd is too old"),
        refusal(504, "Too large resource version"),
        watch(line("ADDED", service("a")), error(500, "etcd is too old")),
        watch(line("ADDED", service("a")), end="clean"),
    ],
    ids=["400", "500", "504", "event", "no end"],
)
def test_a_streamed_list_that_fails_is_read_in_pages(
    api: ScriptedApi, follow: Follow, failure: Answer
) -> None:
    """Whatever it fails of, and without a word to anybody."""
    api.will(failure, page([service("b")], "8"))
    assert listed(follow()) == ["b"]


# Away and back


def test_a_401_is_tried_again_with_a_new_token(api: ScriptedApi, follow: Follow) -> None:
    """Tokens are replaced; nobody needs to hear of it."""
    api.will(refusal(401, "Unauthorized"), watch(bookmark("1", ends_list=True)))
    api.token_file.write_text("second")
    assert listed(follow()) == []
    assert [api.asked().token for _ in range(2)] == ["first", "second"]


def test_a_401_that_stays_is_away(api: ScriptedApi, follow: Follow) -> None:
    """It is said once, and the next token ends it."""
    api.will(*[refusal(401, "Unauthorized")] * 6, watch(bookmark("1", ends_list=True)))
    ear = follow()
    message = away(ear)
    assert message.startswith("watch services: the API does not know who asks (Unauthorized)")
    assert ear.next() == Back("Service")
    assert listed(ear) == []


def test_a_403_names_verb_kind_and_what_to_grant(api: ScriptedApi, follow: Follow) -> None:
    """As RBAC needs it, to whom RBAC knows."""
    user = "system:serviceaccount:lb:speaker"
    text = (
        f'services is forbidden: User "{user}" cannot list resource "services" in API group "" '
        "at the cluster scope"
    )
    api.will(NO_STREAM, refusal(403, text), refusal(403, text), page([], "1"))
    ear = follow()
    assert away(ear) == (
        f'list services: forbidden: User "{user}" cannot list resource "services" in API group "" '
        "at the cluster scope: grant list and watch on services by a ClusterRole to "
        f"{user}; what was read before stands"
    )
    assert ear.next() == Back("Service")
    assert listed(ear) == []


def test_a_403_in_the_install_namespace_asks_for_a_role(api: ScriptedApi, follow: Follow) -> None:
    """A proxy's refusal has no user in it."""
    api.will(Answer((b"no",), 403))
    message = away(follow("BGPPeer"), "BGPPeer")
    assert message.startswith("watch bgppeers: forbidden: no: grant list and watch on ")
    assert "bgppeers.metallb.io by a Role in the install namespace to the account" in message


def test_a_crd_that_is_not_installed_is_named(api: ScriptedApi, follow: Follow) -> None:
    """And is asked for until it is there."""
    api.will(*[Answer((b"404 page not found\n",), 404)] * 2, watch(bookmark("1", ends_list=True)))
    ear = follow("BFDProfile")
    assert "the CRD bfdprofiles.metallb.io is not installed" in away(ear, "BFDProfile")
    assert ear.next() == Back("BFDProfile")
    assert isinstance(ear.next(), Listed)


def test_a_crd_that_stays_away_is_a_kind_without_objects(api: ScriptedApi, follow: Follow) -> None:
    """Whoever waits for every kind need not wait for one that nobody installed."""
    absent = [Answer((b"404 page not found\n",), 404)] * NO_REST.absences
    api.will(*absent, watch(bookmark("1", ends_list=True)))
    ear = follow("BFDProfile")
    assert "not installed" in away(ear, "BFDProfile")
    assert ear.next() == Listed(frozenset({"BFDProfile"}), ())
    assert ear.next() == Back("BFDProfile")
    assert isinstance(ear.next(), Listed)


def test_another_server_is_told_from_an_api(api: ScriptedApi, follow: Follow) -> None:
    """It has no Services."""
    api.will(refusal(404))
    assert "Kubernetes 1.21 or later is needed" in away(follow())


@pytest.mark.parametrize(
    "body",
    [b"<html>\n Log in </html>", b"[]", b'{"items": []}', b'{"items": ', b"\xff", b"[" * 100_000],
)
def test_a_list_that_is_none_is_away(api: ScriptedApi, follow: Follow, body: bytes) -> None:
    """What is not Kubernetes' JSON is shown, and asked for again."""
    api.will(NO_STREAM, plain(body), page([], "1"))
    ear = follow()
    message = away(ear)
    assert message.startswith("list services: the answer is not Kubernetes' JSON: ")
    assert len(message) < 1000
    assert ear.next() == Back("Service")
    assert listed(ear) == []


@pytest.mark.parametrize("garbage", [b"oops\n", b"{}\n", b'{"type": "ADDED", "object": 1}\n'])
def test_garbage_on_a_watch_is_away(
    api: ScriptedApi, watched: Callable[..., Ear], garbage: bytes
) -> None:
    """Nothing that was told is taken back; the watch goes on before the garbage."""
    ear = watched(
        watch(line("ADDED", service("a", version="11")), garbage),
        watch(line("ADDED", service("b", version="12"))),
    )
    assert put(ear.next())[0] == "a"
    assert away(ear).startswith("watch services: the answer is not Kubernetes' JSON: ")
    assert ear.next() == Back("Service")
    assert put(ear.next())[0] == "b"
    assert [api.asked().query["resourceVersion"] for _ in range(2)] == ["10", "11"]


def test_away_is_said_once_and_again_when_it_differs(api: ScriptedApi, follow: Follow) -> None:
    """Not per second."""
    busy = refusal(503, "starting up", Retry_After="0")
    api.will(
        busy, busy, busy, refusal(429, "slow down"), busy, watch(bookmark("1", ends_list=True))
    )
    ear = follow()
    assert [away(ear)[:35] for _ in range(3)] == [
        "watch services: the API answers 503",
        "watch services: the API answers 429",
        "watch services: the API answers 503",
    ]
    assert ear.next() == Back("Service")
    assert listed(ear) == []


def test_an_api_that_cannot_be_reached_is_away(api: ScriptedApi) -> None:
    """The message has its address and the kernel's reason."""
    with socket.socket() as deaf:  # it has the port, and listens to nobody
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        text = api.kubeconfig.read_text()
        api.kubeconfig.write_text(text.replace(api.url, f"http://127.0.0.1:{port}"))
        connection = Connection(partial(config.kubeconfig, api.kubeconfig), now=lambda: 0.0)
        with pytest.raises(SourceError) as caught:
            read(connection, namespace="lb", pace=NO_REST, kinds=["Service"])
    message = f"http://127.0.0.1:{port} cannot be reached: [Errno 111] Connection refused"
    assert str(caught.value).startswith(message)


def test_watches_that_always_break_at_once_are_away(watched: Callable[..., Ear]) -> None:
    """Once or twice is chance; something between that breaks each one must be named."""
    cut = watch(end="cut")
    ear = watched(cut, cut, cut, cut, watch(line("ADDED", service("a", version="11"))))
    assert "the connection broke" in away(ear)
    assert ear.next() == Back("Service")
    assert put(ear.next())[0] == "a"


def test_pauses_grow_to_the_longest_and_begin_anew(api: ScriptedApi, follow: Follow) -> None:
    """Decorrelated jitter: up to three times the last pause."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        if low == 0.001:
            drawn.append((low, round(high, 6)))
        return high

    api.will(
        *[refusal(500)] * 2,
        *[refusal(503)] * 3,
        page([], "1"),
        refusal(503),
        watch(line("ADDED", service("a"))),
    )
    ear = follow(pace=Pace(uniform=uniform, rest_seconds=(0.001, 0.02)))
    assert isinstance(ear.next(), Away)  # pages, after the streamed list that failed
    assert isinstance(ear.next(), Away)
    assert ear.next() == Back("Service")
    assert listed(ear) == []
    assert isinstance(ear.next(), Away)
    assert ear.next() == Back("Service")
    assert put(ear.next())[0] == "a"
    assert [high for _, high in drawn] == [0.003, 0.009, 0.027, 0.06, 0.003]


def test_a_pause_ends_when_another_request_is_granted(
    api: ScriptedApi, connection: Connection, follow: Follow
) -> None:
    """Whatever was asked: the server is there again."""
    an_hour = Pace(uniform=lambda low, _high: low, rest_seconds=(3600.0, 3600.0))
    api.will(refusal(503), watch(bookmark("1", ends_list=True)))
    ear = follow(pace=an_hour)
    assert isinstance(ear.next(), Away)
    connection.get("/version", {}, read_seconds=60.0).body()
    assert ear.next() == Back("Service")
    assert listed(ear) == []


@pytest.mark.parametrize(("status", "woken_after"), [(503, [1]), (429, [1]), (403, []), (404, [])])
def test_a_kind_that_fails_alone_is_not_asked_for_sooner(
    status: int,
    woken_after: list[int],
    api: ScriptedApi,
    connection: Connection,
    follow: Follow,
) -> None:
    """Others that are granted end its first pause at most, and of a refusal none."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        if high != SHORT.watch_seconds[1]:
            drawn.append((low, high))
        if low == SHORT.rest_seconds[0]:
            connection.get("/version", {}, read_seconds=60.0).body()
        return low

    pace = replace(SHORT, uniform=uniform)
    api.will(*[refusal(status)] * 4, watch(bookmark("1", ends_list=True)))
    ear = follow(pace=pace)
    assert isinstance(ear.next(), Away)
    assert ear.next() == Back("Service")
    assert [n for n, each in enumerate(drawn) if each == pace.rejoin_seconds] == woken_after
    assert len(drawn) == 4 + len(woken_after)


def test_a_server_that_asks_for_a_pause_has_it(
    api: ScriptedApi, connection: Connection, follow: Follow
) -> None:
    """Retry-After holds for who was told, whoever else is served meanwhile."""
    pace = Pace(uniform=lambda low, _high: low, rest_seconds=(0.0, 60.0))
    api.will(refusal(429, Retry_After="1"), watch(bookmark("1", ends_list=True)))
    begun = time.monotonic()
    ear = follow(pace=pace)
    assert isinstance(ear.next(), Away)
    connection.get("/version", {}, read_seconds=60.0).body()
    assert ear.next() == Back("Service")
    assert time.monotonic() - begun > 1.0


def test_stop_ends_a_pause(api: ScriptedApi, connection: Connection) -> None:
    """Whether it may be ended by others or not."""
    ear = Ear()
    pace = Pace(uniform=lambda low, _high: low, rest_seconds=(3600.0, 3600.0))
    source = KubernetesSource(
        connection, namespace="lb", on_death=ear.death, pace=pace, kinds=["Service"]
    )
    api.will(refusal(503))
    source.start(ear)
    assert isinstance(ear.next(), Away)
    (_, runner) = source._watches["Service"]
    source.stop()
    runner.join(WITHIN_SECONDS)
    assert not runner.is_alive()


# Kinds, threads and configurations


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Service", "/api/v1/services"),
        ("EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices"),
        ("Node", "/api/v1/nodes"),
        ("Namespace", "/api/v1/namespaces"),
        ("Secret", "/api/v1/namespaces/lb/secrets"),
        ("ConfigMap", "/api/v1/namespaces/lb/configmaps"),
        ("IPAddressPool", "/apis/metallb.io/v1beta1/namespaces/lb/ipaddresspools"),
        ("BGPPeer", "/apis/metallb.io/v1beta2/namespaces/lb/bgppeers"),
        ("BGPAdvertisement", "/apis/metallb.io/v1beta1/namespaces/lb/bgpadvertisements"),
        ("L2Advertisement", "/apis/metallb.io/v1beta1/namespaces/lb/l2advertisements"),
        ("Community", "/apis/metallb.io/v1beta1/namespaces/lb/communities"),
        ("BFDProfile", "/apis/metallb.io/v1beta1/namespaces/lb/bfdprofiles"),
    ],
)
def test_each_kind_is_asked_for_at_its_place(kind: str, path: str) -> None:
    """All that we own, and Secrets, in the install namespace only."""
    assert KINDS[kind].path("lb") == path
    assert KINDS[kind].api_version in {version for version, k in objects.KINDS if k == kind}


def test_every_kind_that_is_parsed_can_be_followed() -> None:
    """One table may not forget what the other has."""
    assert set(KINDS) == {kind for _, kind in objects.KINDS}


def test_a_kind_can_be_followed_later_and_no_more(api: ScriptedApi, connection: Connection) -> None:
    """Secrets, once a peer needs one."""
    ear = Ear()
    source = KubernetesSource(
        connection, namespace="lb", on_death=ear.death, pace=NO_REST, kinds=()
    )
    source.start(ear)
    assert ear.is_quiet
    api.will(watch(bookmark("1", ends_list=True)), watch(bookmark("2", ends_list=True)))
    source.follow("Secret")
    source.follow("Secret")
    assert ear.next() == Listed(frozenset({"Secret"}), ())
    source.unfollow("Secret")
    source.unfollow("Secret")
    source.follow("Secret")
    assert ear.next() == Listed(frozenset({"Secret"}), ())
    assert {api.asked().path for _ in range(2)} == {"/api/v1/namespaces/lb/secrets"}
    source.stop()


def test_one_kind_that_fails_leaves_the_others_alone(api: ScriptedApi, follow: Follow) -> None:
    """Each has its own watch."""
    api.will(refusal(403, "no"), watch(bookmark("1", ends_list=True)))
    ear = follow("Node", "Service", pace=Pace(uniform=random.uniform, rest_seconds=(60.0, 60.0)))
    kinds = {type(event) for event in ear.take(2)}
    assert kinds == {Away, Listed}


def test_stop_ends_a_watch_that_waits(api: ScriptedApi, connection: Connection) -> None:
    """Its thread is not left behind, and the listener hears no more."""
    ear = Ear()
    source = KubernetesSource(
        connection, namespace="lb", on_death=ear.death, pace=NO_REST, kinds=["Service"]
    )
    api.will(watch(bookmark("1", ends_list=True)))
    source.start(ear)
    assert listed(ear) == []
    (_, runner) = source._watches["Service"]
    source.stop()
    runner.join(WITHIN_SECONDS)
    assert not runner.is_alive()
    assert ear.is_quiet


def test_a_listener_that_raises_is_a_death(api: ScriptedApi, connection: Connection) -> None:
    """Nothing is lost in silence."""
    ear = Ear()

    def fail(_event: object) -> None:
        raise ZeroDivisionError

    source = KubernetesSource(
        connection, namespace="lb", on_death=ear.death, pace=NO_REST, kinds=["Service"]
    )
    api.will(watch(bookmark("1", ends_list=True)))
    source.start(fail)
    assert isinstance(ear.last_words(), ZeroDivisionError)
    source.stop()


def test_all_is_read_once(api: ScriptedApi, connection: Connection) -> None:
    """For commands that answer and end."""
    api.will(watch(line("ADDED", service("web")), bookmark("1", ends_list=True)))
    (parsed,) = read(connection, namespace="lb", pace=NO_REST, kinds=["Service"])
    assert parsed.ref == ref("web")


def test_what_cannot_be_read_once_is_an_error(api: ScriptedApi, connection: Connection) -> None:
    """With the message that a follower would be given."""
    api.will(refusal(403, "no"))
    with pytest.raises(SourceError, match="watch services: forbidden: no"):
        read(connection, namespace="lb", pace=NO_REST, kinds=["Service"])
