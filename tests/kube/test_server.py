"""The kube-apiserver of the tests is a real one, and can be made to fail as real ones do."""

import ipaddress
from itertools import count
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import pytest
from kubernetes.client.exceptions import (
    ApiException,
    ForbiddenException,
    NotFoundException,
    UnauthorizedException,
)
from urllib3.exceptions import HTTPError

from tests.kube.build import Program, from_assets, kubernetes_version
from tests.kube.client import Client, Object, reference
from tests.kube.polling import wait_until
from tests.kube.server import CLUSTER_IP_RANGES, TOKEN_CACHE_SECONDS, ApiServer

pytestmark = pytest.mark.kube

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.test.example"},
    "spec": {
        "group": "test.example",
        "names": {"kind": "Widget", "plural": "widgets"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {"size": {"type": "integer", "maximum": 9}},
                            }
                        },
                    }
                },
            }
        ],
    },
}


def service(namespace: str, name: str = "web") -> Object:
    """Return a Service of type LoadBalancer that wants both families."""
    return {
        **reference("v1", "Service", name, namespace),
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"port": 80}],
            "selector": {"app": name},
        },
    }


def service_account(kube: ApiServer, namespace: str, *, may_list: str) -> Client:
    """Return the API as seen by a new ServiceAccount that may list one kind of core resource."""
    make_account(kube, namespace)
    role = {
        **reference("rbac.authorization.k8s.io/v1", "Role", "reader", namespace),
        "rules": [{"apiGroups": [""], "resources": [may_list], "verbs": ["list", "watch"]}],
    }
    binding = {
        **reference("rbac.authorization.k8s.io/v1", "RoleBinding", "reader", namespace),
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
    }
    kube.client.create(role)
    kube.client.create(binding)
    kube.wait_granted(namespace, "reader", [role])
    return Client(kube.service_account_kubeconfig(namespace, "reader"))


def make_account(kube: ApiServer, namespace: str) -> None:
    """Make a ServiceAccount named reader, with no rights beyond anyone's."""
    kube.client.create(reference("v1", "ServiceAccount", "reader", namespace))


def refused(client: Client, namespace: str) -> bool:
    """Tell whether the API does not know the client's token (401) rather than its rights (403)."""
    try:
        client.list("v1", "Service", namespace)
    except UnauthorizedException:
        return True
    except ForbiddenException:
        return False
    return False


def test_the_version_is_the_one_that_go_mod_pins(kube: ApiServer) -> None:
    """A server that reports v0.0.0-master would make clients guess."""
    version = kube.client.request("GET", "/version")["gitVersion"]
    if from_assets(Program.APISERVER):
        assert version.startswith("v1.")
    else:
        assert version == kubernetes_version()


def test_a_service_lives_and_dies(kube: ApiServer, namespace: str) -> None:
    """The real registry allocates cluster addresses and node ports, and checks what it gets."""
    created = kube.client.create(service(namespace))
    ranges = [ipaddress.ip_network(text) for text in CLUSTER_IP_RANGES.split(",")]
    addresses = [ipaddress.ip_address(text) for text in created["spec"]["clusterIPs"]]
    assert all(a in r for a, r in zip(addresses, ranges, strict=True))
    assert created["spec"]["ports"][0]["nodePort"]

    kube.client.patch(created, {"metadata": {"labels": {"tier": "front"}}})
    changed = kube.client.get(created)
    assert changed["metadata"]["labels"] == {"tier": "front"}
    with pytest.raises(ApiException, match="the object has been modified") as conflict:
        kube.client.replace(created)
    assert conflict.value.status == 409

    kube.client.delete(created)
    with pytest.raises(NotFoundException):
        kube.client.get(created)


def test_status_is_a_door_of_its_own(kube: ApiServer, namespace: str) -> None:
    """Only the status subresource writes status, and it writes nothing else."""
    created = kube.client.create(service(namespace))
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}

    assert kube.client.patch(created, ingress)["status"] == {"loadBalancer": {}}

    both = {**ingress, "spec": {"selector": {"app": "other"}}}
    written = kube.client.patch(created, both, subresource="status")
    assert written["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"
    assert written["spec"]["selector"] == {"app": "web"}


def test_apply_makes_and_changes(kube: ApiServer, namespace: str) -> None:
    """The same call creates an object and changes it."""
    config = {**reference("v1", "ConfigMap", "config", namespace), "data": {"config": "one"}}
    kube.client.apply(config)
    kube.client.apply({**config, "data": {"config": "two"}})
    assert kube.client.get(config)["data"] == {"config": "two"}


def test_rbac_names_the_verb_and_the_kind_that_it_forbids(kube: ApiServer, namespace: str) -> None:
    """A right to one kind is a right to that kind only."""
    client = service_account(kube, namespace, may_list="services")
    assert client.list("v1", "Service", namespace)["items"] == []
    with pytest.raises(ForbiddenException, match='cannot list resource \\\\"secrets\\\\"'):
        client.list("v1", "Secret", namespace)


def test_a_token_that_runs_out_gives_401(kube: ApiServer, namespace: str, tmp_path: Path) -> None:
    """A client is turned away when its token expires; a new one in the file lets it in again."""
    make_account(kube, namespace)
    token_file = tmp_path / "token"
    token_file.write_text(kube.expiring_token(namespace, "reader", accepted_seconds=15))
    kubeconfig = kube.token_file_kubeconfig(token_file)
    client = Client(kubeconfig)

    assert not refused(client, namespace)
    wait_until(
        lambda: refused(client, namespace),
        what="the token to expire",
        within_seconds=TOKEN_CACHE_SECONDS + 60,
    )

    token_file.write_text(kube.token(namespace, "reader", lifetime_seconds=600))
    assert not refused(Client(kubeconfig), namespace)


def test_a_token_that_ran_out_is_refused_at_once(kube: ApiServer, namespace: str) -> None:
    """Without an earlier use no cache stands between a token and its end."""
    make_account(kube, namespace)
    token = kube.expiring_token(namespace, "reader", accepted_seconds=-2)
    assert refused(Client(kube.token_kubeconfig(token)), namespace)


def test_a_watch_tells_what_happens(kube: ApiServer, namespace: str) -> None:
    """Events arrive in order, each with the object as it is then."""
    version = kube.client.list("v1", "Service", namespace)["metadata"]["resourceVersion"]
    with kube.client.watch("v1", "Service", namespace, resource_version=version) as events:
        created = kube.client.create(service(namespace))
        kube.client.patch(created, {"metadata": {"labels": {"tier": "front"}}})
        kube.client.delete(created)
        seen = [next(events) for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[1]["object"]["metadata"]["labels"] == {"tier": "front"}


def test_a_watch_without_a_version_begins_with_what_exists(kube: ApiServer, namespace: str) -> None:
    """An old etcd must not turn this into an error (see `ApiServer`'s feature gates)."""
    kube.client.create(service(namespace))
    with kube.client.watch("v1", "Service", namespace) as events:
        first = next(events)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "web")


def test_a_watch_gets_a_bookmark(kube: ApiServer, namespace: str) -> None:
    """Two seconds before it ends a watch, the server says how far the client has come."""
    numbers = count()

    def told() -> list[str]:
        version = kube.client.list("v1", "Service", namespace)["metadata"]["resourceVersion"]
        with kube.client.watch(
            "v1", "Service", namespace, resource_version=version, timeout_seconds=5
        ) as events:
            kube.client.create(service(namespace, f"web-{next(numbers)}"))
            return [event["type"] for event in events]

    # A server that is kept from its work for those two seconds has no time for it.
    wait_until(lambda: told()[:2] == ["ADDED", "BOOKMARK"], what="a bookmark")


def test_an_old_version_is_gone_after_history_is_forgotten(kube: ApiServer, namespace: str) -> None:
    """As after an upgrade of the control plane: connections break, then 410."""
    created = kube.client.create(service(namespace))
    kube.forget_history()
    assert gone(kube, created)
    assert kube.client.get(created) == created


def test_an_old_version_is_gone_after_compaction_alone(kube: ApiServer, namespace: str) -> None:
    """Without the watch cache the server lives on and knows no more than etcd does."""
    kube.restart(uncached=["services"])
    created = kube.client.create(service(namespace))
    kube.client.create(service(namespace, "other"))
    assert not gone(kube, created)
    kube.etcd.compact()
    assert gone(kube, created)


def gone(kube: ApiServer, obj: Object) -> bool:
    """Tell whether a watch from the object's version is refused with 410 Gone."""
    version = obj["metadata"]["resourceVersion"]
    namespace = obj["metadata"]["namespace"]
    with kube.client.watch("v1", "Service", namespace, resource_version=version) as events:
        first = next(events, None)
    return first is not None and (first["type"], first["object"].get("code")) == ("ERROR", 410)


@pytest.mark.parametrize("how", [SIGTERM, SIGKILL], ids=["stopped", "killed"])
def test_the_server_goes_away_and_comes_back(kube: ApiServer, namespace: str, how: Signals) -> None:
    """Nobody answers in between; afterwards the same port has the same objects."""
    created = kube.client.create(service(namespace))
    with kube.client.watch("v1", "Service", namespace, resource_version="0") as events:
        next(events)
        kube.stop(how)
        with pytest.raises(HTTPError):
            kube.client.get(created)
    kube.start()
    assert kube.client.get(created) == created


def test_custom_resources_are_served_and_checked(kube: ApiServer, namespace: str) -> None:
    """A definition's schema guards its objects from the moment that install_crds returns."""
    kube.client.install_crds([WIDGETS])
    widget = reference("test.example/v1", "Widget", "small", namespace)
    kube.client.create({**widget, "spec": {"size": 9}})
    with pytest.raises(ApiException, match="should be less than or equal to 9"):
        kube.client.patch(widget, {"spec": {"size": 10}})


def test_nothing_is_left_of_a_test(kube: ApiServer, namespace: str) -> None:
    """Cluster-wide objects and namespaces go, with what is in them."""
    node = kube.client.create(reference("v1", "Node", "node-1"))
    created = kube.client.create(service(namespace))
    kube.client.delete_created()
    for obj in (node, created, reference("v1", "Namespace", namespace)):
        with pytest.raises(NotFoundException):
            kube.client.get(obj)
