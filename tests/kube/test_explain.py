"""`explain` and a real kube-apiserver: what a person without rights on Secrets is told."""

import json
import subprocess
import sys

import pytest

from tests.kube.client import Object, reference
from tests.kube.controllers import CRDS, pool, service
from tests.kube.server import ApiServer

pytestmark = pytest.mark.kube

VIEWER = {
    "rules": [
        {
            "apiGroups": ["", "discovery.k8s.io", "metallb.io"],
            "resources": [
                *("services", "nodes", "namespaces", "configmaps", "endpointslices"),
                *("bfdprofiles", "bgpadvertisements", "bgppeers", "communities"),
                *("ipaddresspools", "l2advertisements"),
            ],
            "verbs": ["list", "watch"],
        }
    ]
}


def rights(kube: ApiServer, namespace: str) -> None:
    """Let an account of the namespace read everything but Secrets."""
    rbac = "rbac.authorization.k8s.io/v1"
    kube.client.create(reference("v1", "ServiceAccount", "viewer", namespace))
    name = f"viewer-{namespace}"
    kube.client.create({**reference(rbac, "ClusterRole", name), **VIEWER})
    subject = {"kind": "ServiceAccount", "name": "viewer", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding = reference(rbac, "ClusterRoleBinding", name)
    kube.client.create({**binding, "subjects": [subject], "roleRef": role})
    kube.wait_granted(namespace, "viewer", [{**reference(rbac, "ClusterRole", name), **VIEWER}])


def test_a_service_is_explained_from_the_cluster(kube: ApiServer, namespace: str) -> None:
    """A peer whose password lies in a Secret is a peer all the same."""
    kube.client.install_crds(CRDS)
    rights(kube, namespace)
    kube.client.create(reference("v1", "Node", namespace))
    kube.client.create(pool(namespace, "edge", "192.0.2.0/24"))
    spec: Object = {
        "myASN": 64512,
        "peerASN": 64513,
        "peerAddress": "198.51.100.1",
        "passwordSecret": {"name": "secret"},
        "nodeSelectors": [{"matchLabels": {"example.com/none": "yes"}}],
    }
    peer = {**reference("metallb.io/v1beta2", "BGPPeer", "tor", namespace), "spec": spec}
    peer = kube.client.create(peer)
    kube.client.create(reference("metallb.io/v1beta1", "BGPAdvertisement", "all", namespace))
    made = service(namespace, "web")
    made["spec"]["loadBalancerClass"] = f"example.com/{namespace}"
    kube.client.create(made)
    part = reference("discovery.k8s.io/v1", "EndpointSlice", "web-1", namespace)
    part["metadata"]["labels"] = {"kubernetes.io/service-name": "web"}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": namespace}
    kube.client.create({**part, "addressType": "IPv4", "endpoints": [endpoint]})
    kubeconfig = str(kube.service_account_kubeconfig(namespace, "viewer"))

    def explained() -> tuple[int, Object]:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "exabgp_metallb", "explain", f"{namespace}/web"),
                *("--kubeconfig", kubeconfig, "--namespace", namespace, "-o", "json"),
                *("--lb-class", f"example.com/{namespace}"),
            ],
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    code, document = explained()
    (verdict,) = [row for row in document["verdicts"] if row["node"] == namespace]
    assert (code, verdict["reason"]) == (1, "noSession")
    assert document["errors"] == []
    kube.client.patch(peer, {"spec": {"nodeSelectors": []}})
    code, document = explained()
    (verdict,) = [row for row in document["verdicts"] if row["node"] == namespace]
    assert (code, verdict["message"]) == (0, "192.0.2.0/32 to tor")
