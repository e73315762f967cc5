"""The controller against a real kube-apiserver, under the ServiceAccount that we ship.

Where a leader has to fall, Leases last three seconds, not fifteen; all other times follow. With
EXABGP_METALLB_LONG=1 in the environment the leader is killed fifty times, not eight.
"""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import pytest
import yaml

from tests.kube.churn import Churn
from tests.kube.client import Client, Object, reference
from tests.kube.controllers import (
    CRDS,
    LEASE_SECONDS,
    SHORTEST_SECONDS,
    ControllerProcess,
    Judge,
    account,
    addresses_of,
    condition_of,
    create_all,
    events,
    is_long,
    leader,
    pool,
    service,
)
from tests.kube.polling import wait_until
from tests.kube.process import free_ports
from tests.kube.server import ApiServer
from tests.kube.slow import SlowProxy

pytestmark = pytest.mark.kube

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "etc" / "examples" / "metallb-guide"
GUIDE_PLAN = ROOT / "tests" / "golden" / "plan" / "metallb-guide.json"

SEED = 20
PATIENCE_SECONDS = 240.0  # a machine that is busy with ten other things is slow, and not wrong
KILLS, KILLS_LONG = 8, 50
SHORT = ("--lease-seconds", str(SHORTEST_SECONDS))

Start = Callable[..., ControllerProcess]


@pytest.fixture
def kubeconfig(kube: ApiServer, namespace: str) -> Path:
    """Return the kubeconfig of the controller's own ServiceAccount."""
    kube.client.install_crds(CRDS)
    return account(kube, namespace)


@pytest.fixture
def start(namespace: str, kubeconfig: Path, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a controller under its own ServiceAccount."""
    started: list[ControllerProcess] = []

    def begin(*options: str, whom: Path | None = None) -> ControllerProcess:
        log = tmp_path / f"controller-{len(started)}.log"
        times = ("--lease-seconds", str(LEASE_SECONDS))
        replica = ControllerProcess(whom or kubeconfig, namespace, log, *times, *options)
        started.append(replica)
        replica.start()
        return replica

    yield begin
    for replica in started:
        replica.stop()
    for replica in started:
        assert "Traceback" not in replica.log.read_text()


@pytest.fixture
def judge(kube: ApiServer) -> Iterator[Judge]:
    """Return one who watches all that happens, and whose verdict counts in the end."""
    with Judge(kube.admin_kubeconfig) as judge:
        yield judge
    judge.verdict()


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait for something that may take a while on a busy machine."""
    wait_until(condition, what=what, within_seconds=PATIENCE_SECONDS)


def shows(kube: ApiServer, namespace: str, name: str) -> Object:
    """Return a Service as it is now."""
    return kube.client.get(reference("v1", "Service", name, namespace))


def has_address(kube: ApiServer, namespace: str, name: str) -> Callable[[], bool]:
    """Return what asks whether a Service shows an address."""
    return lambda: bool(addresses_of(shows(kube, namespace, name)))


def all_answered(judge: Judge) -> bool:
    """Tell whether every Service shows an address, or why it has none."""
    found = [s for s in [*judge.shown.values()] if s["spec"]["type"] == "LoadBalancer"]
    return all(addresses_of(s) or condition_of(s).get("status") == "False" for s in found)


@pytest.mark.timeout(900)
def test_two_thousand_services_get_distinct_addresses(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """As fast as the API takes them; each is written once, and told once."""
    kube.client.create(pool(namespace, "wide", "192.0.0.0/20"))
    replica = start()
    create_all(kube.admin_kubeconfig, [service(namespace, f"web-{n}") for n in range(2000)])
    wait(lambda: len(judge.given()) == 2000, "2,000 addresses")
    assert len(set(judge.given().values())) == 2000
    wait(lambda: len(events(kube, namespace)) == 2000, "2,000 Events")
    assert judge.events == 4000
    replica.stop()
    lived = len(replica.lines())
    replica.start()
    wait(lambda: replica.said("decided: 2000 of 2000", since=lived), "the restart")
    assert judge.caught_up(kube)
    assert judge.events == 4000
    assert not replica.said("forbidden")


def test_of_two_started_at_once_one_leads(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """The other waits, and takes over at once when the first one is asked to end."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/28"))
    create_all(kube.admin_kubeconfig, [service(namespace, f"web-{n}") for n in range(10)])
    replicas = [start(), start()]
    wait(lambda: len(judge.given()) == 10, "addresses")
    assert [replica.said("this replica leads") for replica in replicas].count(True) == 1
    first = next(replica for replica in replicas if replica.said("this replica leads"))
    second = next(replica for replica in replicas if replica is not first)
    begun = time.monotonic()
    first.stop()
    wait(lambda: second.said("decided: 10 of 10"), "the second one")
    assert time.monotonic() - begun < LEASE_SECONDS  # it did not wait for the Lease to end
    kube.client.create(service(namespace, "late"))
    wait(has_address(kube, namespace, "late"), "the next address")
    assert not first.said("forbidden")


@pytest.mark.timeout(900 if not is_long() else 1800)
def test_a_leader_may_die_at_any_moment(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """No address is shown twice, none moves unasked, and in the end all have what they should."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/27"))
    replicas = [start(*SHORT), start(*SHORT)]
    chance = random.Random(SEED)  # noqa: S311 -- chance that can be repeated
    names = [f"web-{n}" for n in range(45)]
    asked = [f"192.0.2.{n}" for n in range(0, 32, 4)]
    churn = Churn(kube.admin_kubeconfig, namespace, names, asked, SEED)
    churn.start()
    killed = 0
    while killed < (KILLS_LONG if is_long() else KILLS):
        wait(lambda: leading(kube, namespace, replicas), "a leader")
        moment = judge.events + chance.randrange(0, 120)
        wait(lambda moment=moment: judge.events >= moment, "the moment")  # type: ignore[misc] # bound now
        victim = leading(kube, namespace, replicas)
        if victim is not None:
            victim.stop(SIGKILL)
            victim.start()
            killed += 1
    churn.stop()
    assert churn.errors == []
    counters = reference("metallb.io/v1beta1", "IPAddressPool", "public", namespace)

    def counted() -> bool:
        return assigned(kube.client.get(counters)) == len(set(judge.given().values()))

    # A Service that got none may get one that is free by now: all at once, or not yet.
    wait(lambda: judge.caught_up(kube) and all_answered(judge) and counted(), "peace")
    print(f"{killed} kills, {churn.done} changes, {judge.events} events")  # noqa: T201 -- with -s


def leading(
    kube: ApiServer, namespace: str, replicas: list[ControllerProcess]
) -> ControllerProcess | None:
    """Return the replica that holds the Lease; None for one that is gone."""
    holder = leader(kube, namespace)
    return next((r for r in replicas if f"-{r.pid}-" in holder), None)


def assigned(shown: Object) -> int:
    """Return how many IPv4 addresses a pool's status says are in use."""
    return int(shown.get("status", {}).get("assignedIPv4", -1))


def test_an_api_that_is_away_takes_nothing_along(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """It crashes in the middle of work, and comes back; all goes on."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/26"))
    replicas = [start(*SHORT), start(*SHORT)]
    create_all(kube.admin_kubeconfig, [service(namespace, f"old-{n}") for n in range(20)])
    wait(lambda: len(judge.given()) == 20, "addresses")
    churn = Churn(kube.admin_kubeconfig, namespace, [f"web-{n}" for n in range(20)], [], SEED)
    churn.start()
    wait(lambda: churn.done > 20, "some work")
    before = {n: address for n, address in judge.given().items() if n.startswith("old-")}
    kube.stop(SIGKILL)
    wait(lambda: all(r.said("leads no more") or not r.said("leads") for r in replicas), "the end")
    kube.start()
    done = churn.done
    wait(lambda: churn.done > done + 20, "more work")
    churn.stop()
    kube.client.create(service(namespace, "late"))
    wait(has_address(kube, namespace, "late"), "the next address")
    wait(lambda: judge.caught_up(kube) and all_answered(judge), "peace")
    assert before.items() <= judge.given().items()
    assert len(before) == 20


def test_a_slow_api_is_borne(kube: ApiServer, namespace: str, start: Start, judge: Judge) -> None:
    """Also one that does what it is asked, but answers when nobody waits any more."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/26"))
    proxy = SlowProxy(kube.url, 0.1)
    try:
        slow = proxy.kubeconfig(account(kube, namespace))
        start("--lease-seconds", str(3 * LATE_SECONDS), whom=slow)
        create_all(kube.admin_kubeconfig, [service(namespace, f"web-{n}") for n in range(20)])
        wait(lambda: len(judge.given()) == 20, "addresses")
        proxy.hold()
        create_all(kube.admin_kubeconfig, [service(namespace, f"late-{n}") for n in range(20)])
        held = judge.events
        wait_until(past(LATE_SECONDS), what="answers to be late", within_seconds=LATE_SECONDS + 1)
        proxy.flow()
        wait(lambda: len(judge.given()) == 40, "the other addresses")
        wait(lambda: len(events(kube, namespace)) >= 40, "the Events")
        assert judge.caught_up(kube)
        assert judge.events - held <= 40  # nothing is written twice
    finally:
        proxy.close()


LATE_SECONDS = 10
"""A third of a Lease: no answer is waited for so long, and the leader stays well below its end."""


def past(seconds: float) -> Callable[[], bool]:
    """Return what asks whether this time has passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def test_a_right_that_is_missing_is_named(kube: ApiServer, namespace: str, start: Start) -> None:
    """Verb, resource and account; once, for all Services. When it is granted all goes on."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/26"))
    less = account(kube, namespace, without=("patch", "services/status"))
    create_all(kube.admin_kubeconfig, [service(namespace, f"web-{n}") for n in range(10)])
    replica = start(whom=less)
    user = f"system:serviceaccount:{namespace}:exabgp-metallb-controller"
    advice = f"grant patch on services/status to {user}"
    wait(lambda: replica.said(advice), "the refusal")
    account(kube, namespace)
    wait(has_address(kube, namespace, "web-9"), "addresses")
    assert sum(advice in line for line in replica.lines()) == 1


def test_others_may_write_to_the_same_services(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """Each of our writes is bound to what it was decided from; theirs are never lost."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/26"))
    names = [f"web-{n}" for n in range(30)]
    create_all(kube.admin_kubeconfig, [service(namespace, name) for name in names])
    stop = threading.Event()
    counts = dict.fromkeys(names, 0)

    def annotate() -> None:
        client = Client(kube.admin_kubeconfig)
        while not stop.is_set():
            for name in names:
                counts[name] += 1
                change = {"metadata": {"annotations": {"example.com/count": str(counts[name])}}}
                client.patch(reference("v1", "Service", name, namespace), change)

    other = threading.Thread(target=annotate, daemon=True)
    other.start()
    start()
    wait(lambda: len(judge.given()) == 30, "addresses")
    stop.set()
    other.join(120.0)
    for name in names:
        annotations = shows(kube, namespace, name)["metadata"]["annotations"]
        assert annotations["example.com/count"] == str(counts[name])
        assert annotations["metallb.io/ip-allocated-from-pool"] == "public"


def test_a_service_that_changes_its_type_leaves_nothing_behind(
    kube: ApiServer, namespace: str, start: Start
) -> None:
    """Its class goes with the type, and it is ours all the same."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/32"))
    web = service(namespace, "web")
    web["spec"]["loadBalancerClass"] = "example.com/metallb"
    late = service(namespace, "late")
    late["spec"]["loadBalancerClass"] = "example.com/metallb"
    start("--lb-class", "example.com/metallb")
    kube.client.create(web)
    wait(has_address(kube, namespace, "web"), "the address")
    kube.client.create(late)
    wait(lambda: events(kube, namespace, "late"), "the refusal")
    assert condition_of(shows(kube, namespace, "late"))
    reason, message = events(kube, namespace, "late")[0]
    assert reason == "AllocationFailed"
    assert "public" in message
    change: Object = {"type": "ClusterIP", "allocateLoadBalancerNodePorts": None}
    kube.client.patch(web, {"spec": {**change, "loadBalancerClass": None}})
    wait(has_address(kube, namespace, "late"), "the address to pass on")
    assert addresses_of(shows(kube, namespace, "web")) == ()
    wait(lambda: not condition_of(shows(kube, namespace, "web")), "the end of what is left")
    left = shows(kube, namespace, "web")
    assert addresses_of(left) == ()
    assert "metallb.io/ip-allocated-from-pool" not in left["metadata"].get("annotations", {})


def test_what_somebody_else_wrote_is_replaced_and_told(
    kube: ApiServer, namespace: str, start: Start
) -> None:
    """A host name, an address of no pool, and another's: at the start and later."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/29"))
    first = kube.client.create(service(namespace, "first"))
    wrong: dict[str, Object] = {
        "host": {"hostname": "lb.example.com"},
        "stray": {"ip": "203.0.113.9"},
        "twin": {"ip": "192.0.2.0"},
    }
    show(kube, first, {"ip": "192.0.2.0"})
    for name, ingress in wrong.items():
        show(kube, kube.client.create(service(namespace, name)), ingress)
    start()
    wait(lambda: right(kube, namespace, wrong), "right addresses")
    wait(lambda: all(events(kube, namespace, name) for name in wrong), "Events")
    for name, ingress in wrong.items():
        show(kube, reference("v1", "Service", name, namespace), ingress)
    wait(lambda: right(kube, namespace, wrong), "right addresses again")
    assert addresses_of(shows(kube, namespace, "first")) == ("192.0.2.0",)
    assert len(events(kube, namespace)) < 20


def show(kube: ApiServer, made: Object, ingress: Object) -> None:
    """Write into a Service's status as somebody else."""
    status = {"loadBalancer": {"ingress": [ingress]}}
    kube.client.patch(made, {"status": status}, subresource="status")


def right(kube: ApiServer, namespace: str, wrong: dict[str, Object]) -> bool:
    """Tell whether these Services show each an address of its own from the pool."""
    found = [address for name in wrong for address in addresses_of(shows(kube, namespace, name))]
    ours = {f"192.0.2.{last}" for last in range(1, 8)}
    return len(found) == len(set(found)) == len(wrong) and set(found) <= ours


def test_an_older_service_keeps_what_two_claim(
    kube: ApiServer, namespace: str, start: Start
) -> None:
    """The younger is told by whom it is held."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/32"))
    for name in ("older", "younger"):
        made = kube.client.create(service(namespace, name))
        created = made["metadata"]["creationTimestamp"]
        show(kube, made, {"ip": "192.0.2.0"})
        clock = f"clock-{name}"
        wait(lambda c=created, n=clock: newer(kube, namespace, n, c), "the next second")  # type: ignore[misc] # bound now
    start()
    wait(lambda: condition_of(shows(kube, namespace, "younger")), "the refusal")
    assert addresses_of(shows(kube, namespace, "older")) == ("192.0.2.0",)
    assert addresses_of(shows(kube, namespace, "younger")) == ()
    wait(lambda: "older" in str(events(kube, namespace, "younger")), "its holder's name")


def newer(kube: ApiServer, namespace: str, name: str, created: str) -> bool:
    """Tell whether an object made now is younger by the API's own clock, of whole seconds."""
    made = kube.client.apply(reference("v1", "ConfigMap", name, namespace))
    if made["metadata"]["creationTimestamp"] > created:
        return True
    kube.client.delete(made)
    return False


def test_metrics_and_probes(kube: ApiServer, namespace: str, start: Start) -> None:
    """MetalLB's names; ready when everything has been read."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/30"))
    kube.client.create(service(namespace, "web"))
    (port,) = free_ports(1)
    start("--metrics", f"127.0.0.1:{port}")
    wait(has_address(kube, namespace, "web"), "the address")
    lines = (
        'metallb_allocator_addresses_total{pool="public"} 4.0',
        'metallb_allocator_ipv4_addresses_in_use_total{pool="public"} 1.0',
        'metallb_allocator_ipv6_addresses_total{pool="public"} 0.0',
        "metallb_k8s_client_config_loaded_bool 1.0",
        "metallb_k8s_client_config_stale_bool 0.0",
        "exabgp_metallb_controller_leads 1.0",
    )
    wait(lambda: all(line in fetch(port, "metrics") for line in lines), "the metrics")
    assert fetch(port, "readyz") == "ok\n"
    assert fetch(port, "healthz") == "ok\n"


def fetch(port: int, path: str) -> str:
    """GET a path from a program's own server."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        text: bytes = answer.read()
        return text.decode()


def test_a_lease_deleted_by_hand_is_made_again(
    kube: ApiServer, namespace: str, start: Start, judge: Judge
) -> None:
    """One replica leads all the time, or none."""
    kube.client.create(pool(namespace, "public", "192.0.2.0/28"))
    replicas = [start(*SHORT), start(*SHORT)]
    wait(lambda: leading(kube, namespace, replicas), "a leader")
    lease = reference("coordination.k8s.io/v1", "Lease", "exabgp-metallb-controller", namespace)
    kube.client.delete(lease)
    wait(lambda: leading(kube, namespace, replicas), "a leader again")
    kube.client.create(service(namespace, "web"))
    wait(has_address(kube, namespace, "web"), "the address")
    wait(lambda: judge.caught_up(kube), "the judge")
    assert len(set(judge.given().values())) == 1


def test_the_guide_gives_what_its_text_promises(
    kube: ApiServer, namespace: str, start: Start
) -> None:
    """Each Service of the published walk-through gets the address that `plan` gives it."""
    start()
    for document in guide():
        metadata = {"name": document["metadata"]["name"], "namespace": namespace}
        metadata["annotations"] = document["metadata"].get("annotations", {})
        kube.client.create({**document, "metadata": metadata, "status": {}})
    promised = {
        row["service"].partition("/")[2]: tuple(row["addresses"])
        for row in json.loads(GUIDE_PLAN.read_text())["services"]
    }

    def given() -> dict[str, tuple[str, ...]]:
        shown = kube.client.list("v1", "Service", namespace)["items"]
        return {found["metadata"]["name"]: addresses_of(found) for found in shown}

    wait(lambda: given() == promised, "the addresses of the guide")


def guide() -> Iterator[Object]:
    """Yield the pools and Services of the walk-through, as their author would apply them."""
    for path in sorted(GUIDE.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] == "Service":
                for assigned in ("clusterIP", "clusterIPs"):
                    document["spec"].pop(assigned, None)
            if document["kind"] in ("IPAddressPool", "Service"):
                yield document
