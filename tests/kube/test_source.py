"""The Kubernetes source against a real kube-apiserver: what it tells, and when that is away."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest
from kubernetes.client.exceptions import NotFoundException

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.api import KubernetesSource, read
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Put
from exabgp_metallb.parsing.core import DRAIN
from exabgp_metallb.programs.options import Options
from exabgp_metallb.programs.start import CLUSTER_KINDS, ClusterSource
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import EndpointSlice, Node
from exabgp_metallb.values.specs import Parsed
from tests.kube.client import Object, reference
from tests.kube.controllers import account as speaker_account
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

pytestmark = pytest.mark.kube

CRDS = Path(__file__).parents[2] / "etc" / "kubernetes" / "crds"
PACE = Pace(uniform=random.uniform, rest_seconds=(0.05, 0.5))
SHORT_WATCHES = Pace(uniform=random.uniform, rest_seconds=(0.05, 0.5), watch_seconds=(1.0, 1.0))

Follow = Callable[..., "Cluster"]


class Cluster:
    """What a source has told of the cluster so far."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, Parsed] = {}
        self.away: dict[str, str] = {}
        self.events: list[Event] = []
        self.deaths: list[BaseException] = []
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Hear an event; the watches of several kinds may speak at once."""
        with self._lock:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Listed(kinds=kinds, objects=objects):
                kept = {r: o for r, o in [*self.objects.items()] if r.kind not in kinds}
                self.objects = kept | {parsed.ref: parsed for parsed in objects}
            case Put(object=parsed):
                self.objects[parsed.ref] = parsed
            case Gone(ref=ref):
                self.objects.pop(ref, None)
            case Away(what=what, message=message):
                self.away[what] = message
            case Back(what=what):
                self.away.pop(what, None)
        self.events.append(event)

    def count(self, sort: type) -> int:
        """Return how many events of a sort there were."""
        return sum(isinstance(event, sort) for event in self.events)

    def back(self) -> set[str]:
        """Return the kinds that were away and came back, once or more.

        A server that starts may refuse for a moment what it has just allowed.
        """
        return {event.what for event in [*self.events] if isinstance(event, Back)}

    def unreachable(self) -> list[str]:
        """Return the kinds of which it was said that there is no server, as often as it was."""
        away = [event for event in [*self.events] if isinstance(event, Away)]
        return [event.what for event in away if "cannot be reached" in event.message]

    def wait(self, condition: Callable[[], object], *, what: str) -> None:
        """Wait until something that was told makes a condition true."""
        wait_until(lambda: bool(self.deaths or condition()), what=what, within_seconds=60.0)
        assert not self.deaths, self.deaths


@pytest.fixture
def follow(kube: ApiServer, namespace: str) -> Iterator[Follow]:
    """Return a function that follows kinds as somebody, and returns what it is told of them."""
    sources = []

    def begin(
        *kinds: str,
        kubeconfig: Path | None = None,
        pace: Pace = PACE,
        connection: Connection | None = None,
    ) -> Cluster:
        cluster = Cluster()
        load = partial(config.kubeconfig, kubeconfig or kube.admin_kubeconfig)
        source = KubernetesSource(
            connection or Connection(load, now=time.monotonic),
            namespace=namespace,
            on_death=cluster.deaths.append,
            pace=pace,
            kinds=kinds,
        )
        sources.append(source)
        source.start(cluster)
        return cluster

    yield begin
    for source in sources:
        source.stop()


def listed(cluster: Cluster, *kinds: str) -> None:
    """Wait until kinds have been listed."""

    def all_of_them() -> bool:
        told = (event.kinds for event in cluster.events if isinstance(event, Listed))
        return frozenset(kinds) <= frozenset().union(*told)

    cluster.wait(all_of_them, what=f"{', '.join(kinds)} to be listed")


def service(namespace: str, name: str) -> Object:
    """Return a Service of type LoadBalancer."""
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"app": name}}
    return {**reference("v1", "Service", name, namespace), "spec": spec}


def endpoints(namespace: str, service_name: str, *addresses: str) -> Object:
    """Return an EndpointSlice with one endpoint for each address."""
    slice_ = reference("discovery.k8s.io/v1", "EndpointSlice", f"{service_name}-1", namespace)
    slice_["metadata"]["labels"] = {"kubernetes.io/service-name": service_name}
    found = [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]
    return {**slice_, "addressType": "IPv4", "endpoints": found, "ports": [{"port": 80}]}


def node(name: str) -> Object:
    """Return a Node."""
    return reference("v1", "Node", name)


def ref(made: Object) -> ObjectRef:
    """Return how the source names an object."""
    metadata = made["metadata"]
    return ObjectRef(made["kind"], metadata.get("namespace", ""), metadata["name"])


def account(kube: ApiServer, namespace: str, resources: list[str]) -> str:
    """Make a ServiceAccount that may list and watch core resources, and return its name."""
    rbac = "rbac.authorization.k8s.io"
    name = f"reader-{namespace}"
    kube.client.create(reference("v1", "ServiceAccount", name, namespace))
    rules = [{"apiGroups": [""], "resources": resources, "verbs": ["list", "watch"]}]
    role = {**reference(f"{rbac}/v1", "ClusterRole", name), "rules": rules}
    kube.client.create(role)
    kube.client.create(
        {
            **reference(f"{rbac}/v1", "ClusterRoleBinding", name),
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        }
    )
    kube.wait_granted(namespace, name, [role])
    return name


def test_create_scale_and_delete_are_seen(kube: ApiServer, namespace: str, follow: Follow) -> None:
    """What was there is listed; each change after that is told by itself."""
    web = kube.client.create(service(namespace, "web"))
    cluster = follow("Service", "EndpointSlice", "Node")
    listed(cluster, "Service", "EndpointSlice", "Node")
    assert ref(web) in cluster.objects

    made = kube.client.create(endpoints(namespace, "web", "10.0.0.1"))
    cluster.wait(lambda: ref(made) in cluster.objects, what="the slice")
    change = endpoints(namespace, "web", "10.0.0.1", "10.0.0.2")["endpoints"]
    kube.client.patch(made, {"endpoints": change})

    def scaled() -> bool:
        value = cluster.objects[ref(made)].value
        return isinstance(value, EndpointSlice) and len(value.endpoints) == 2

    cluster.wait(scaled, what="two endpoints")
    kube.client.delete(web)
    cluster.wait(lambda: ref(web) not in cluster.objects, what="the Service to go")
    assert cluster.count(Away) == 0
    assert cluster.count(Listed) == 3


def test_a_large_list_comes_whole(kube: ApiServer, namespace: str, follow: Follow) -> None:
    """More than a page of it, however it comes."""
    made = [kube.client.create(service(namespace, f"web-{number}")) for number in range(520)]
    cluster = follow("Service")
    listed(cluster, "Service")
    assert {ref(one) for one in made} <= cluster.objects.keys()
    assert cluster.count(Put) == 0


def test_only_the_install_namespace_is_read_for_what_is_ours(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """A ConfigMap of another name, and Secrets elsewhere, are nobody's business."""
    kube.client.create({**reference("v1", "Secret", "here", namespace)})
    kube.client.create({**reference("v1", "Secret", "there", "default")})
    kube.client.create({**reference("v1", "ConfigMap", "other", namespace)})
    try:
        cluster = follow("Secret", "ConfigMap")
        listed(cluster, "Secret", "ConfigMap")
        assert [ref.name for ref in cluster.objects] == ["here"]
        made = {**reference("v1", "ConfigMap", "config", namespace), "data": {"config": "{}"}}
        kube.client.create(made)
        cluster.wait(lambda: ref(made) in cluster.objects, what="the legacy configuration")
    finally:
        kube.client.delete(reference("v1", "Secret", "there", "default"))


def test_a_version_that_etcd_forgot_is_listed_again(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """410 Gone while the connection stays: one list, nobody away, nothing gone by mistake."""
    kube.restart(uncached=["services"])
    web = kube.client.create(service(namespace, "web"))
    cluster = follow("Service", pace=SHORT_WATCHES)
    listed(cluster, "Service")
    for number in range(3):  # versions move on without an event for us
        kube.client.create(reference("v1", "ConfigMap", f"other-{number}", namespace))
    kube.etcd.compact()
    cluster.wait(lambda: cluster.count(Listed) > 1, what="another list")
    late = kube.client.create(service(namespace, "late"))
    cluster.wait(lambda: ref(late) in cluster.objects, what="the next event")
    assert ref(web) in cluster.objects
    assert cluster.count(Away) == cluster.count(Gone) == 0


def test_after_a_compaction_and_a_restart_all_is_known_again(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """As when a control plane is upgraded; a kind may never notice that it was away."""
    web = kube.client.create(service(namespace, "web"))
    cluster = follow("Service", "Node")
    listed(cluster, "Service", "Node")
    kube.forget_history()
    late = {
        ref(kube.client.create(service(namespace, "late"))),
        ref(kube.client.create(node(f"late-{namespace}"))),
    }
    cluster.wait(lambda: late <= cluster.objects.keys(), what="what came later")
    cluster.wait(lambda: not cluster.away, what="all to be back")
    assert ref(web) in cluster.objects
    assert cluster.count(Gone) == 0


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL])
def test_an_api_that_is_away_takes_nothing_along(
    kube: ApiServer, namespace: str, follow: Follow, how: Signals
) -> None:
    """Each kind says so once; what changes before we are back is seen then."""
    web = kube.client.create(service(namespace, "web"))
    old = kube.client.create(service(namespace, "old"))
    slow = Pace(uniform=lambda _low, high: high, rest_seconds=(3.0, 3.0))
    cluster = follow("Service", "Node", pace=slow)
    listed(cluster, "Service", "Node")
    kube.stop(how)
    cluster.wait(lambda: set(cluster.away) == {"Service", "Node"}, what="both to be away")
    cluster.wait(
        lambda: f"{kube.url} cannot be reached: " in cluster.away["Service"], what="its address"
    )
    kube.start()
    kube.client.delete(old)  # mostly before the next attempt
    new = kube.client.create(service(namespace, "new"))
    cluster.wait(lambda: not cluster.away, what="it to be back")
    cluster.wait(lambda: ref(new) in cluster.objects, what="what is new")
    cluster.wait(lambda: ref(old) not in cluster.objects, what="what is gone")
    assert ref(web) in cluster.objects
    away = [*takewhile(lambda event: event != Back("Service"), cluster.events)]
    lists = [event for event in away if isinstance(event, Listed) and "Service" in event.kinds]
    assert len(lists) == 1  # the one of before
    assert not any(isinstance(event, Gone) for event in away)
    assert sorted(cluster.unreachable()) == ["Node", "Service"]
    assert cluster.back() == {"Node", "Service"}
    assert [event for event in cluster.events if isinstance(event, Gone)] in ([], [Gone(ref(old))])


def test_one_request_that_is_granted_ends_the_pauses_of_all(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """Each kind would be asked for an hour later."""
    is_down = False
    long_rests: set[threading.Thread] = set()

    def uniform(low: float, high: float) -> float:
        if low != 0.05 or not is_down or high < 1.0:  # no long rest of the outage
            return high if is_down else low
        long_rests.add(threading.current_thread())
        return 3600.0

    pace = Pace(uniform=uniform, rest_seconds=(0.05, 3600.0))
    load = partial(config.kubeconfig, kube.admin_kubeconfig)
    connection = Connection(load, now=time.monotonic)
    cluster = follow("Service", "Node", "Namespace", pace=pace, connection=connection)
    listed(cluster, "Service", "Node", "Namespace")
    is_down = True
    kube.stop()
    cluster.wait(lambda: len(long_rests) == 3, what="the third pause of all")
    assert len(cluster.away) == 3
    is_down = False
    kube.start()
    connection.get("/version", {}, read_seconds=60.0).body()
    cluster.wait(lambda: not cluster.away, what="all to be back")
    made = kube.client.create(service(namespace, "web"))
    cluster.wait(lambda: ref(made) in cluster.objects, what="the next event")


def test_an_api_that_is_away_at_the_start_is_waited_for(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """A node may boot before its control plane."""
    web = kube.client.create(service(namespace, "web"))
    kube.stop()
    cluster = follow("Service")
    cluster.wait(lambda: cluster.away, what="it to be away")
    kube.start()
    listed(cluster, "Service")
    assert ref(web) in cluster.objects
    cluster.wait(lambda: not cluster.away, what="it to be back")


def test_a_token_that_expires_is_read_again(
    kube: ApiServer, namespace: str, follow: Follow, tmp_path: Path
) -> None:
    """A new one that is there in time is never noticed; one that is late ends the absence."""
    name = account(kube, namespace, ["nodes"])
    tokens = {word: tmp_path / word for word in ("in-time", "late")}
    for token in tokens.values():
        token.write_text(kube.expiring_token(namespace, name, accepted_seconds=15))
    configs = {word: kube.token_file_kubeconfig(token) for word, token in tokens.items()}
    clusters = {
        word: follow("Node", kubeconfig=config, pace=SHORT_WATCHES)
        for word, config in configs.items()
    }
    for cluster in clusters.values():
        listed(cluster, "Node")
    put(tokens["in-time"], kube.token(namespace, name))
    late = clusters["late"]
    late.wait(lambda: late.away, what="the token to expire")
    assert "the API does not know who asks" in late.away["Node"]
    put(tokens["late"], kube.token(namespace, name))
    late.wait(lambda: not late.away, what="the new token to be read")
    made = kube.client.create(node(f"node-{namespace}"))
    for cluster in clusters.values():
        cluster.wait(partial(cluster.objects.__contains__, ref(made)), what="the next event")
        assert cluster.count(Listed) == 1
    assert [cluster.count(Away) for cluster in clusters.values()] == [0, 1]


def put(token: Path, text: str) -> None:
    """Replace a token at once, as the kubelet does: it may be read at any moment."""
    aside = token.with_suffix(".aside")
    aside.write_text(text)
    aside.replace(token)


def test_rbac_that_forbids_one_kind_leaves_the_others(
    kube: ApiServer, namespace: str, follow: Follow
) -> None:
    """The message has what to grant and to whom; once it is granted all goes on."""
    name = account(kube, namespace, ["nodes"])
    kubeconfig = kube.service_account_kubeconfig(namespace, name)
    cluster = follow("Service", "Node", kubeconfig=kubeconfig)
    listed(cluster, "Node")
    cluster.wait(lambda: "Service" in cluster.away, what="the refusal")
    user = f"system:serviceaccount:{namespace}:{name}"
    message = cluster.away["Service"]
    assert message.startswith(("list services: forbidden: ", "watch services: forbidden: "))
    assert f"grant list and watch on services by a ClusterRole to {user}" in message
    made = kube.client.create(node(f"node-{namespace}"))
    cluster.wait(lambda: ref(made) in cluster.objects, what="an event of the other kind")
    role = reference("rbac.authorization.k8s.io/v1", "ClusterRole", name)
    rule = {"apiGroups": [""], "resources": ["nodes", "services"], "verbs": ["list", "watch"]}
    kube.client.patch(role, {"rules": [rule]})
    listed(cluster, "Service")
    cluster.wait(lambda: not cluster.away, what="the end of the refusal")


def test_a_crd_that_is_not_installed_is_waited_for(kube: ApiServer, follow: Follow) -> None:
    """Its absence is named, and ends when somebody installs it."""
    definition = reference("apiextensions.k8s.io/v1", "CustomResourceDefinition", "")
    definition["metadata"]["name"] = "bfdprofiles.metallb.io"
    with suppress(NotFoundException):
        kube.client.delete(definition)
    cluster = follow("BFDProfile")
    absence = "the CRD bfdprofiles.metallb.io is not installed"
    cluster.wait(lambda: absence in cluster.away.get("BFDProfile", ""), what="the absence")
    kube.client.install_crds(CRDS)
    listed(cluster, "BFDProfile")
    cluster.wait(lambda: not cluster.away, what="the end of the absence")


def test_a_speaker_reads_its_own_node_until_something_needs_all(
    kube: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """By the rights that we ship; an L2Advertisement is told when the last Node is."""
    kube.client.install_crds(CRDS)
    ours, other = (kube.client.create(node(f"{each}-{namespace}")) for each in ("ours", "other"))
    options = Options(
        node=ours["metadata"]["name"],
        namespace=namespace,
        lb_class=None,
        manifests=None,
        kubeconfig=speaker_account(kube, namespace, of="speaker"),
        state_dir=tmp_path,
        managed=True,
        process="",
    )
    cluster = Cluster()
    source = ClusterSource(options, cluster.deaths.append)
    source.start(cluster)
    try:
        listed(cluster, *CLUSTER_KINDS)
        assert nodes(cluster) == {ref(ours)}
        kube.client.patch(ours, {"metadata": {"annotations": {DRAIN: "true"}}})
        cluster.wait(lambda: draining(cluster, ours), what="a change of our own Node")
        assert nodes(cluster) == {ref(ours)}
        made = kube.client.create(
            reference("metallb.io/v1beta1", "L2Advertisement", "all", namespace)
        )
        cluster.wait(lambda: ref(made) in cluster.objects, what="the L2Advertisement")
        before = [*takewhile(lambda event: not brings(event, ref(made)), cluster.events)]
        assert all(any(brings(event, ref(each)) for event in before) for each in (ours, other))
        late = kube.client.create(node(f"late-{namespace}"))
        cluster.wait(lambda: ref(late) in cluster.objects, what="another Node")
    finally:
        source.stop()


def nodes(cluster: Cluster) -> set[ObjectRef]:
    """Return the Nodes that are known."""
    return {each for each in [*cluster.objects] if each.kind == "Node"}


def brings(event: Event, what: ObjectRef) -> bool:
    """Tell whether an event brings an object."""
    if isinstance(event, Listed):
        return any(parsed.ref == what for parsed in event.objects)
    return isinstance(event, Put) and event.object.ref == what


def draining(cluster: Cluster, made: Object) -> bool:
    """Tell whether a Node is known to drain."""
    value = cluster.objects[ref(made)].value
    return isinstance(value, Node) and value.draining


def test_all_of_our_kinds_are_read(kube: ApiServer, namespace: str) -> None:
    """At once, for a command; BGPPeers in the newer of their versions."""
    kube.client.install_crds(CRDS)
    peer = {
        **reference("metallb.io/v1beta1", "BGPPeer", "router", namespace),
        "spec": {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1"},
    }
    pool = {
        **reference("metallb.io/v1beta1", "IPAddressPool", "pool", namespace),
        "spec": {"addresses": ["192.0.2.0/24"]},
    }
    for made in (peer, pool):
        kube.client.create(made)
    connection = Connection(partial(config.kubeconfig, kube.admin_kubeconfig), now=time.monotonic)
    objects = read(connection, namespace=namespace, pace=PACE)
    found = {parsed.ref: parsed for parsed in objects}
    assert found[ref(peer)].value
    assert found[ref(pool)].value
    assert not found[ref(peer)].warnings
