"""What preflight finds in a real cluster, by the ServiceAccounts that we ship."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exabgp_metallb.programs import bfd_daemons, preflight_cluster
from exabgp_metallb.programs.options import Options
from exabgp_metallb.programs.preflight import Role, preflight
from exabgp_metallb.programs.preflight_cluster import cluster_checks
from tests.kube.client import Object, read_definitions, reference
from tests.kube.controllers import CRDS, account
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

pytestmark = pytest.mark.kube

WEBHOOKS = "metallb-webhook-configuration"


class Preflight:
    """The command, as an account of one namespace."""

    def __init__(self, role: str, kubeconfig: Path, namespace: str, state: Path) -> None:
        self._words = [sys.executable, "-m", "exabgp_metallb", "preflight", role, "-o", "json"]
        self._words += ["--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self._words += ["--state-dir", str(state), "--skip", "metallb"] * (role != "controller")
        self.status = -1

    def run(self) -> dict[str, list[dict[str, str]]]:
        """Return the findings by check."""
        env = {name: each for name, each in os.environ.items() if "EXABGP" not in name.upper()}
        done = subprocess.run(self._words, check=False, capture_output=True, text=True, env=env)
        self.status = done.returncode
        assert done.stdout, done.stderr
        document: Any = json.loads(done.stdout)
        assert document["healthy"] == (self.status == 0)
        found: dict[str, list[dict[str, str]]] = {}
        for each in document["findings"]:
            found.setdefault(each["check"], []).append(each)
        return found

    def errors(self) -> dict[str, str]:
        """Return the errors, one of each check, with its remedy."""
        found = self.run()
        return {
            check: f"{each['message']}: {each['remedy']}"
            for check, those in found.items()
            for each in those
            if each["result"] == "error"
        }


def published(command: Preflight) -> None:
    """Wait until nothing is at fault: schemas are published a moment after they are in force."""
    wait_until(lambda: command.errors() == {}, what="no errors")


@pytest.mark.parametrize(("role", "of"), [("controller", "controller"), ("run", "speaker")])
def test_a_cluster_that_has_everything(
    role: str, of: str, kube: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """The rights that we ship are enough for preflight itself, too."""
    kube.client.install_crds(CRDS)
    command = Preflight(role, account(kube, namespace, of=of), namespace, tmp_path)
    published(command)
    assert command.status == 0


@pytest.mark.parametrize(
    ("role", "of", "without", "told"),
    [
        ("run", "speaker", ("watch", "endpointslices"), "watch endpointslices.discovery.k8s.io"),
        ("run", "speaker", ("list", "bgppeers"), "watch l2advertisements.metallb.io in namespace"),
        ("controller", "controller", ("patch", "services/status"), "patch services/status"),
        (
            "controller",
            "controller",
            ("update", "leases"),
            "update leases.coordination.k8s.io exabgp-metallb-controller in namespace",
        ),
    ],
)
def test_a_missing_right(
    role: str,
    of: str,
    without: tuple[str, str],
    told: str,
    kube: ApiServer,
    namespace: str,
    tmp_path: Path,
) -> None:
    """Each is named as RBAC names it, with the file that grants it."""
    kube.client.install_crds(CRDS)
    whom = account(kube, namespace, of=of, without=without)
    command = Preflight(role, whom, namespace, tmp_path)
    found = [each for each in command.run()["rights"] if told in each["message"]]
    assert command.status == 1
    assert found
    assert f"etc/kubernetes/rbac/{of}.yaml" in found[0]["remedy"]


@pytest.fixture
def definitions(kube: ApiServer, namespace: str, tmp_path: Path) -> Iterator[dict[str, Object]]:
    """Return our definitions by kind, which are as they were afterwards."""
    kube.client.install_crds(CRDS)
    yield {each["spec"]["names"]["kind"]: each for each in read_definitions(CRDS)}
    kube.client.install_crds(CRDS)
    published(Preflight("run", account(kube, namespace, of="speaker"), namespace, tmp_path))


def test_an_old_definition(
    definitions: dict[str, Object], kube: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """MetalLB's own BGPAdvertisement lacks three fields, which the API would drop unsaid."""
    old = definitions["BGPAdvertisement"]
    fields = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for name in ("med", "asPathPrepend", "linkBandwidth"):
        del fields["properties"][name]
    fields.pop("x-kubernetes-validations", None)
    kube.client.install_crds([old])
    command = Preflight("run", account(kube, namespace, of="speaker"), namespace, tmp_path)

    def told() -> bool:  # the schemas are published a moment after the definition is taken
        return "definitions" in command.errors()

    wait_until(told, what="the old schema to be found", within_seconds=60)
    message = command.errors()["definitions"]
    assert command.status == 1
    assert "BGPAdvertisement is an old one" in message
    assert "drops spec.med, spec.asPathPrepend, spec.linkBandwidth: " in message
    assert "kubectl apply --server-side --force-conflicts -k etc/kubernetes/crds" in message


def test_a_missing_definition(
    definitions: dict[str, Object], kube: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """It is named with its version."""
    kube.client.delete(definitions["BGPSessionState"])
    command = Preflight("run", account(kube, namespace, of="speaker"), namespace, tmp_path)
    told = "BGPSessionState of metallb.io/v1beta1 is not installed: "
    wait_until(
        lambda: command.errors().get("definitions", "").startswith(told),
        what="the missing definition to be found",
        within_seconds=60,
    )


def test_webhooks_that_metallb_left(kube: ApiServer, namespace: str, tmp_path: Path) -> None:
    """Who may see them is warned; our own accounts may not, and say so."""
    kube.client.install_crds(CRDS)
    kube.client.create(
        {
            **reference(
                "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", WEBHOOKS
            ),
            "webhooks": [],
        }
    )
    admin = Preflight("controller", kube.admin_kubeconfig, namespace, tmp_path)
    (seen,) = admin.run()["webhooks"]
    assert seen["result"] == "warning"
    assert f"kubectl delete validatingwebhookconfiguration {WEBHOOKS}" in seen["remedy"]
    assert admin.status == 0
    ours = Preflight("controller", account(kube, namespace), namespace, tmp_path)
    (unseen,) = ours.run()["webhooks"]
    assert unseen["result"] == "skipped"


def test_bfd_without_bfdd(
    kube: ApiServer, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node can go on without BFD, and has to be told that it does."""
    kube.client.install_crds(CRDS)
    peer = reference("metallb.io/v1beta2", "BGPPeer", "tor", namespace)
    spec = {"myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "bfdProfile": "fast"}
    kube.client.create({**peer, "spec": spec})
    monkeypatch.setattr(bfd_daemons, "PROGRAMS", tmp_path)
    monkeypatch.setattr(preflight_cluster, "lacking_capabilities", tuple)  # all of them
    options = Options(
        node="node1",
        namespace=namespace,
        lb_class=None,
        manifests=None,
        kubeconfig=account(kube, namespace, of="speaker"),
        state_dir=tmp_path,
        managed=True,
        process="",
    )
    document: Any = preflight(cluster_checks(Role.RUN), options)
    told = [each["message"] for each in document["findings"] if each["check"] == "bfd"]
    assert document["healthy"] is True
    assert [message.partition("without BFD: ")[2] for message in told] == [
        f"{tmp_path}/zebra is not installed",
        f"{tmp_path}/bfdd is not installed",
        "bfdd does not start without CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_ADMIN",
    ]


def test_a_token_that_nobody_knows(kube: ApiServer, namespace: str, tmp_path: Path) -> None:
    """It is an error, and not the API's absence."""
    kubeconfig = kube.token_kubeconfig("nobody's")
    command = Preflight("run", kubeconfig, namespace, tmp_path)
    assert "401" in command.errors()["api"]
    assert command.status == 1
