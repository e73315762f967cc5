"""A cluster goes from MetalLB to us and back, by docs/migrating.md, and no address changes.

What the document has kubectl do is done here by the same requests; patches are taken from its very
text.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from tests.kube import metallb
from tests.kube.client import Object, read_definitions, reference
from tests.kube.controllers import (
    CRDS,
    LEASE_SECONDS,
    ControllerProcess,
    Judge,
    account,
    addresses_of,
    condition_of,
    pool,
    service,
)
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

pytestmark = pytest.mark.kube

DOCUMENT = Path(__file__).parents[2] / "docs" / "migrating.md"
PEERS = reference(*metallb.CRD, "bgppeers.metallb.io")
CLASS = "example.com/exabgp-metallb"
PATIENCE_SECONDS = 120.0

Start = Callable[..., ControllerProcess]


def patches(target: str) -> list[Object]:
    """Return the patches of the document's `kubectl patch` commands for a target, in order."""
    command = rf"kubectl .*patch {re.escape(target)} --type=merge -p '([^']+)'"
    return [json.loads(found) for found in re.findall(command, DOCUMENT.read_text())]


@pytest.fixture
def moving(kube: ApiServer, namespace: str) -> Iterator[ApiServer]:
    """Return a cluster with MetalLB's definitions; ours are back afterwards, without a trace."""
    metallb.install(kube.client, namespace)
    yield kube
    kube.client.patch(PEERS, {"spec": {"conversion": {"strategy": "None", "webhook": None}}})
    kube.client.install_crds(CRDS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a controller under the rights that we ship."""
    started: list[ControllerProcess] = []

    def begin(kube: ApiServer, namespace: str, *options: str) -> ControllerProcess:
        log = tmp_path / f"controller-{len(started)}.log"
        times = ("--lease-seconds", str(LEASE_SECONDS))
        rights = account(kube, namespace)
        replica = ControllerProcess(rights, namespace, log, *times, *options)
        started.append(replica)
        replica.start()
        return replica

    yield begin
    for replica in started:
        replica.stop()
        assert "Traceback" not in replica.log.read_text()
        assert not replica.said("forbidden")


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait for something that may take a while on a busy machine."""
    wait_until(condition, what=what, within_seconds=PATIENCE_SECONDS)


def with_spec(made: Object, **spec: object) -> Object:
    """Return a Service with more in its spec."""
    return {**made, "spec": {**made["spec"], **spec}}


def annotated(made: Object, **texts: str) -> Object:
    """Return a Service with annotations of the prefix of before 0.14.9; `_` for `-`."""
    old = {f"{metallb.OLD_PREFIX}/{key.replace('_', '-')}": text for key, text in texts.items()}
    made["metadata"]["annotations"] |= old
    return made


def configuration(namespace: str) -> list[Object]:
    """Return what somebody had MetalLB do."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    peer = reference("metallb.io/v1beta2", "BGPPeer", "tor", namespace)
    alias = reference("metallb.io/v1beta1", "Community", "aliases", namespace)
    bgp = reference("metallb.io/v1beta1", "BGPAdvertisement", "all", namespace)
    layer2 = reference("metallb.io/v1beta1", "L2Advertisement", "all", namespace)
    profile = reference("metallb.io/v1beta1", "BFDProfile", "fast", namespace)
    router = {"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1", "bfdProfile": "fast"}
    return [
        pool(namespace, "public", "192.0.2.0/28"),
        pool(namespace, "named", "198.51.100.0/28", autoAssign=False),
        pool(namespace, "both", "203.0.113.0/28", "2001:db8::/124"),
        pool(
            namespace,
            "team",
            "192.0.2.64/28",
            serviceAllocation={"priority": 10, "namespaceSelectors": [selector]},
            autoAssign=False,
        ),
        {**profile, "spec": {"receiveInterval": 100}},
        {**peer, "spec": router},
        {**alias, "spec": {"communities": [{"name": "metro", "value": "64512:7"}]}},
        {**bgp, "spec": {"communities": ["metro"], "localPref": 200}},
        {**layer2, "spec": {}},
    ]


def services(namespace: str) -> dict[str, tuple[Object, str, tuple[str, ...]]]:
    """Return Services by name, each with the pool and the addresses that MetalLB gave it."""
    dual = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}
    local = {"externalTrafficPolicy": "Local", "ports": [{"port": 443}]}
    pair = "203.0.113.5,2001:db8::5"

    def made(name: str, **annotations: str) -> Object:
        return service(namespace, name, **annotations)

    rows = [
        (made("first"), "public", ("192.0.2.0",)),
        (made("not-the-lowest"), "public", ("192.0.2.9",)),
        (made("by-pool", address_pool="named"), "named", ("198.51.100.3",)),
        (annotated(made("by-old"), address_pool="named"), "named", ("198.51.100.4",)),
        (made("asked", loadBalancerIPs="198.51.100.7"), "named", ("198.51.100.7",)),
        (annotated(made("asked-old"), loadBalancerIPs="192.0.2.3"), "public", ("192.0.2.3",)),
        (with_spec(made("pinned"), loadBalancerIP="192.0.2.4"), "public", ("192.0.2.4",)),
        (made("shared-a", allow_shared_ip="key"), "public", ("192.0.2.5",)),
        (
            with_spec(annotated(made("shared-b"), allow_shared_ip="key"), ports=[{"port": 53}]),
            "public",
            ("192.0.2.5",),
        ),
        (with_spec(made("local"), **local), "public", ("192.0.2.6",)),
        (with_spec(made("dual"), **dual), "both", ("203.0.113.2", "2001:db8::7")),
        (
            with_spec(made("dual-asked", loadBalancerIPs=pair), **dual),
            "both",
            ("203.0.113.5", "2001:db8::5"),
        ),
        (
            with_spec(made("prefers-dual"), ipFamilyPolicy="PreferDualStack"),
            "both",
            ("203.0.113.6", "2001:db8::6"),
        ),
        (made("of-team", address_pool="team"), "team", ("192.0.2.70",)),
        (
            annotated(made("moved-once"), ip_allocated_from_pool="of-long-ago"),
            "public",
            ("192.0.2.8",),
        ),
    ]
    return {row[0]["metadata"]["name"]: row for row in rows}


def settle(kube: ApiServer, namespace: str) -> dict[str, tuple[str, ...]]:
    """Make the Services with their addresses, and return those."""
    given = services(namespace)
    for made, pool_name, addresses in given.values():
        metallb.write_addresses(kube.client, kube.client.create(made), pool_name, *addresses)
    return {name: row[2] for name, row in given.items()}


def shown(kube: ApiServer, namespace: str) -> dict[str, tuple[str, ...]]:
    """Return the addresses of all Services now."""
    found = kube.client.list("v1", "Service", namespace)["items"]
    return {each["metadata"]["name"]: addresses_of(each) for each in found}


def apply_definitions(kube: ApiServer) -> None:
    """`kubectl apply --server-side --force-conflicts -k etc/kubernetes/crds`."""
    kube.client.install_crds(CRDS)


def unmoved(judge: Judge, *shared: str) -> None:
    """Assert that no address changed at any moment, and that two had the same only by request."""
    assert judge.errors == [], judge.errors
    assert judge.moves == [], "\n".join(judge.moves)
    assert [line for line in judge.doubles if not line.startswith(shared)] == []


def preflight(kube: ApiServer, namespace: str) -> tuple[int, dict[str, Object]]:
    """Return what `exabgp-metallb preflight controller` finds, by check, and its exit code."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "exabgp_metallb", "preflight", "controller", "-o", "json"),
            *("--kubeconfig", str(kube.admin_kubeconfig), "--namespace", namespace),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {each["check"]: each for each in findings}


def result(kube: ApiServer, namespace: str, check: str) -> object:
    """Return what a check of preflight comes to; schemas are published a moment after they hold."""
    return preflight(kube, namespace)[1][check]["result"]


KINDS = (
    ("metallb.io/v1beta1", "BFDProfile"),
    ("metallb.io/v1beta1", "BGPAdvertisement"),
    ("metallb.io/v1beta2", "BGPPeer"),
    ("metallb.io/v1beta1", "Community"),
    ("metallb.io/v1beta1", "IPAddressPool"),
    ("metallb.io/v1beta1", "L2Advertisement"),
    ("v1", "Service"),
    ("v1", "Namespace"),
)


def planned(kube: ApiServer, namespace: str, folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the addresses that `plan` foresees from what kubectl shows of the cluster."""
    file = folder / "cluster.yaml"
    lists = [kube.client.list(*kind) for kind in KINDS]
    items = [
        {"apiVersion": version, "kind": kind} | item
        for (version, kind), listed in zip(KINDS, lists, strict=True)
        for item in listed["items"]
    ]
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items}))
    command = [sys.executable, "-m", "exabgp_metallb", "plan", "-f", str(file), "-o", "json"]
    done = subprocess.run(
        [*command, "--namespace", namespace], check=True, capture_output=True, text=True
    )
    rows = json.loads(done.stdout)["services"]
    return {row["service"].removeprefix(f"{namespace}/"): tuple(row["addresses"]) for row in rows}


def test_in_place_and_back(moving: ApiServer, namespace: str, start: Start, tmp_path: Path) -> None:
    """Each Service keeps its addresses, whatever it asked for, and is MetalLB's again then."""
    kube, client = moving, moving.client
    for each in configuration(namespace):
        client.create(each)
    client.create(metallb.webhooks(namespace))
    given = settle(kube, namespace)
    with Judge(kube.admin_kubeconfig) as judge:
        # MetalLB's controller is gone: nobody answers its webhooks.
        public = reference("metallb.io/v1beta1", "IPAddressPool", "public", namespace)
        wait(lambda: refused(kube, public), "the webhooks to be asked")
        wait(lambda: result(kube, namespace, "definitions") == "error", "the schemas")
        code, findings = preflight(kube, namespace)
        assert code == 1
        assert "kubectl delete validatingwebhook" in findings["webhooks"]["remedy"]
        client.delete(metallb.WEBHOOKS)
        wait(lambda: not refused(kube, public), "the webhooks to be forgotten")

        assert planned(kube, namespace, tmp_path) == given
        with pytest.raises(ApiException) as error:
            client.apply(definition_of_peers())
        assert "spec.conversion.webhook" in str(error.value.body)
        client.patch(PEERS, patches("crd bgppeers.metallb.io")[0])
        apply_definitions(kube)
        wait(lambda: result(kube, namespace, "definitions") == "ok", "the schemas")
        code, findings = preflight(kube, namespace)
        assert (code, findings["webhooks"]["result"]) == (0, "ok")
        old = client.get(reference("metallb.io/v1beta1", "BGPPeer", "tor", namespace))
        assert old["spec"]["bfdProfile"] == "fast"

        controller = start(kube, namespace)
        count = len(given)
        wait(lambda: controller.said(f"decided: {count} of {count}"), "a decision about all")
        late = client.create(service(namespace, "late", address_pool="public"))
        wait(lambda: addresses_of(client.get(late)), "an address of ours")
        wait(lambda: all(condition_of(client.get(s)) for s in made(namespace)), "all conditions")
        found = shown(kube, namespace)
        assert found.pop("late") == ("192.0.2.1",)
        assert found == given

        controller.stop()
        for each in metallb.definitions(namespace):
            client.apply(each)
        for name, (each, pool_name, addresses) in services(namespace).items():
            assert annotation(client.get(each)) == pool_name, name
            metallb.write_addresses(client, each, pool_name, *addresses)
        peer = client.get(reference("metallb.io/v1beta2", "BGPPeer", "tor", namespace))
        assert peer["spec"]["peerAddress"] == "10.0.0.1"
        wait(lambda: judge.caught_up(kube), "the judge")
        unmoved(judge, "192.0.2.5:")


def made(namespace: str) -> list[Object]:
    """Return the Services that MetalLB gave addresses to."""
    return [row[0] for row in services(namespace).values()]


def annotation(found: Object) -> str:
    """Return the pool that a Service's address is from."""
    return str(found["metadata"]["annotations"][metallb.ALLOCATED])


def definition_of_peers() -> Object:
    """Return our definition of BGPPeer."""
    return next(
        each
        for each in read_definitions(CRDS)
        if each["metadata"]["name"] == PEERS["metadata"]["name"]
    )


def refused(kube: ApiServer, found: Object) -> bool:
    """Tell whether an object cannot be edited, for lack of a webhook's answer."""
    try:
        kube.client.patch(found, {"metadata": {"labels": {"edited": "yes"}}})
        kube.client.patch(found, {"metadata": {"labels": {"edited": None}}})
    except ApiException as error:
        return "failed calling webhook" in str(error.body)
    return False


LEGACY = """
address-pools:
- name: Public_1
  protocol: bgp
  addresses: [192.0.2.0/28]
- name: wire
  protocol: layer2
  addresses: [198.51.100.1-198.51.100.9]
  auto-assign: false
peers:
- {my-asn: 64512, peer-asn: 64513, peer-address: 10.0.0.1}
"""


def test_from_the_config_map(kube: ApiServer, namespace: str, start: Start, tmp_path: Path) -> None:
    """Services keep their addresses, by the ConfigMap itself and by what `convert` makes of it."""
    kube.client.install_crds(CRDS)
    config = {**reference("v1", "ConfigMap", "config", namespace), "data": {"config": LEGACY}}
    kube.client.create(config)
    given = {"one": ("192.0.2.9",), "two": ("198.51.100.4",)}
    asked = {"one": {}, "two": {"address_pool": "wire"}}
    for name, addresses in given.items():
        each = kube.client.create(annotated(service(namespace, name), **asked[name]))
        ingress = [{"ip": address} for address in addresses]
        status = {"status": {"loadBalancer": {"ingress": ingress}}}
        kube.client.patch(each, status, subresource="status")
    with Judge(kube.admin_kubeconfig) as judge:
        controller = start(kube, namespace)
        wait(lambda: controller.said("decided: 2 of 2"), "a decision by the ConfigMap")
        for each in converted(config, tmp_path):
            kube.client.create(each)
        # Nobody says which of two kinds is heard of first: the pools are to be known before that.
        wait(lambda: all_counted(kube, namespace), "the converted pools to be read")
        kube.client.delete(config)
        late = kube.client.create(service(namespace, "late", address_pool="public-1"))
        wait(lambda: addresses_of(kube.client.get(late)), "an address of a converted pool")
        wait(lambda: judge.caught_up(kube), "the judge")
        unmoved(judge)
    found = shown(kube, namespace)
    assert found == {**given, "late": ("192.0.2.0",)}


def all_counted(kube: ApiServer, namespace: str) -> bool:
    """Tell whether every pool has the controller's counters."""
    pools = kube.client.list("metallb.io/v1beta1", "IPAddressPool", namespace)["items"]
    return all("assignedIPv4" in pool.get("status", {}) for pool in pools)


def converted(config: Object, folder: Path) -> list[Object]:
    """Return what `exabgp-metallb convert` makes of a ConfigMap as kubectl shows it."""
    file = folder / "metallb-config.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "exabgp_metallb", "convert", "-f", str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made: list[Object] = yaml.safe_load(done.stdout)["items"]
    return made


def test_side_by_side_address_by_address(moving: ApiServer, namespace: str, start: Start) -> None:
    """With a class nothing of MetalLB's is touched, and one Service goes with its address."""
    kube, client = moving, moving.client
    ours = f"{namespace}-ours"
    client.create(reference("v1", "Namespace", ours))
    for each in configuration(namespace):
        client.create(each)
    given = settle(kube, namespace)
    conversion = client.get(PEERS)["spec"]["conversion"]
    client.create(metallb.webhooks(namespace))
    client.patch(PEERS, patches("crd bgppeers.metallb.io")[0])
    apply_definitions(kube)
    client.patch(PEERS, {"spec": {"conversion": conversion}})
    limited = client.get(metallb.WEBHOOKS)
    for each in limited["webhooks"]:
        each["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    client.replace(limited)
    spare = pool(ours, "spare", "192.0.2.128/28")
    wait(lambda: accepted(kube, spare), "our namespace to be left alone")
    with Judge(kube.admin_kubeconfig) as judge:
        start(kube, ours, "--lb-class", CLASS)
        late = client.create(with_spec(service(namespace, "late"), loadBalancerClass=CLASS))
        wait(lambda: addresses_of(client.get(late)) == ("192.0.2.128",), "an address of ours")

        # Address by address: the Service leaves MetalLB, its address changes pools, it comes to us.
        moved = reference("v1", "Service", "asked", namespace)
        leave, come = patches("service SERVICE")
        client.patch(moved, leave)
        assert addresses_of(client.get(moved)) == ()
        taken = pool(ours, "taken-over", "198.51.100.7/32", autoAssign=False)
        client.create(taken)
        client.patch(moved, come)
        wait(lambda: addresses_of(client.get(moved)) == given["asked"], "the same address")
        assert client.get(moved)["spec"]["loadBalancerClass"] == CLASS

        found = shown(kube, namespace)
        assert found.pop("late") == ("192.0.2.128",)
        assert found == given
        wait(lambda: judge.caught_up(kube), "the judge")
        unmoved(judge, "192.0.2.5:")
    for name, (each, _, _) in services(namespace).items():
        assert (name == "asked") is bool(condition_of(client.get(each)))
    client.delete(metallb.WEBHOOKS)


def accepted(kube: ApiServer, wanted: Object) -> bool:
    """Tell whether an object could be created, and leave it."""
    try:
        kube.client.create(wanted)
    except ApiException:
        return False
    return True
