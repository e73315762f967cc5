"""The pods of the overlay `both`, from the image, as the kubelet would start them.

Before a real API server, with the arguments, environment, users, capabilities, mounts and tokens of
the manifests, one container after the other. Only the ports are others, so that two test runs can
share a machine; nothing is announced on the machine's own network, since there is no Service.
"""

import base64
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.image.container import Container, Image
from tests.kube import rendered
from tests.kube.client import reference
from tests.kube.polling import wait_until
from tests.kube.process import LOOPBACK, free_ports
from tests.kube.rendered import NAMESPACE, containers
from tests.kube.server import ApiServer

pytestmark = [pytest.mark.netns, pytest.mark.kube, pytest.mark.usefixtures("renderer")]

SECONDS = 60.0
FIELDS = {
    "spec.nodeName": "node1",
    "metadata.namespace": NAMESPACE,
    "status.hostIP": LOOPBACK,
    "status.podIP": LOOPBACK,
}


class Pod:
    """One pod of a workload: its volumes are folders, and its containers share this machine."""

    def __init__(self, folder: Path, image: Image, api: ApiServer, account: str) -> None:
        self._folder = folder
        self._image = image
        self._address = urlsplit(api.url)
        token = folder / "token"
        token.mkdir(parents=True)
        kubeconfig = yaml.safe_load(api.admin_kubeconfig.read_text())
        authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
        contents = {
            "token": api.token(NAMESPACE, account).encode(),
            "ca.crt": base64.b64decode(authority),
            "namespace": NAMESPACE.encode(),
        }
        for name, content in contents.items():
            (token / name).write_bytes(content)
            (token / name).chmod(0o440)
            os.chown(token / name, 0, 10001)  # fsGroup

    def container(self, found: rendered.Container, port: int) -> Container:
        """Return a container of the pod, with its metrics at another port."""
        for volume in found.mounts.values():
            if not (self._folder / volume).exists():
                (self._folder / volume).mkdir()
                (self._folder / volume).chmod(0o777)  # as that of an emptyDir
        security = found.security
        environment = {
            "KUBERNETES_SERVICE_HOST": LOOPBACK,
            "KUBERNETES_SERVICE_PORT": str(self._address.port),
            **found.environment(FIELDS),
        }
        if "EXABGP_METALLB_METRICS" in environment:
            environment["EXABGP_METALLB_METRICS"] = f"{LOOPBACK}:{port}"
        return Container(
            image=self._image,
            entrypoint=(),
            arguments=found.command,
            user=(security["runAsUser"], security["runAsGroup"]),
            groups=[security["fsGroup"]],
            capabilities=[name.lower() for name in security["capabilities"].get("add", ())],
            mounts={inside: self._folder / name for inside, name in found.mounts.items()},
            environment=environment,
        )


def run(container: Container) -> str:
    """Run a container to its end, which is a good one, and return what it said."""
    done = subprocess.run(
        container.argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=container.env,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@contextmanager
def running(container: Container, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a container while the body runs; then it is ended, and that has to be a good end."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            container.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=container.env,
        )
    try:
        yield child
        child.terminate()
        assert child.wait(SECONDS) == 0, log.read_text()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def ready(port: int, child: "subprocess.Popen[bytes]", log: Path) -> bool:
    """Tell whether the readiness probe would succeed."""
    assert child.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:  # nobody listens yet
        return False


@pytest.fixture
def cluster(kube: ApiServer) -> Iterator[ApiServer]:
    """Return an API server that has the objects of the overlay, and one Node."""
    for each in rendered.overlay("both"):
        if each["kind"] == "CustomResourceDefinition":
            kube.client.install_crds([each])
        else:
            kube.client.apply(each)
    kube.client.create(reference("v1", "Node", FIELDS["spec.nodeName"]))
    yield kube
    kube.client.delete(reference("v1", "Namespace", NAMESPACE))


@pytest.mark.parametrize(
    "workload", ["Deployment/exabgp-metallb-controller", "DaemonSet/exabgp-metallb-speaker"]
)
def test_a_pod_from_its_start_to_its_end(
    workload: str, cluster: ApiServer, image: Image, tmp_path: Path
) -> None:
    """Preflight finds nothing, all containers are ready together, the hook and SIGTERM end well."""
    pod = Pod(tmp_path / "pod", image, cluster, workload.partition("/")[2])
    found = [each for each in containers(rendered.overlay("both")) if each.workload == workload]
    first, *others = found
    assert first.init
    told = run(pod.container(first, free_ports(1)[0]))
    assert told.endswith("Ready.\n")
    with ExitStack() as stack:
        for each in others:
            port = free_ports(1)[0]
            log = tmp_path / f"{each.name}.log"
            container = pod.container(each, port)
            child = stack.enter_context(running(container, log))
            is_ready = partial(ready, port, child, log)
            wait_until(is_ready, what=f"{each.name} to be ready", within_seconds=SECONDS)
            if each.stop:
                stack.callback(run, replace(container, arguments=each.stop))
