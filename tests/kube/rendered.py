"""The manifests that we ship, as kustomize and Helm render them, and what their containers run."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.kube import build
from tests.kube.build import Program
from tests.kube.client import Object

KUBERNETES = Path(__file__).parents[2] / "etc" / "kubernetes"
CHART = KUBERNETES / "chart"
OVERLAYS = ("bgp", "both", "host-units", "l2")
RELEASE = "exabgp-metallb"
NAMESPACE = "metallb-system"
ENTRYPOINT = "exabgp-metallb"  # of the image; tests/image holds it against the Dockerfile


class RenderError(Exception):
    """Kustomize or Helm refused; the message is theirs."""


@cache
def program() -> Path:
    """Return the renderer, built if it must be.

    Raises:
        UnavailableError: it cannot be built.
    """
    return build.find(Program.RENDER)


def kustomize(folder: Path) -> list[Object]:
    """Return the objects of a kustomization."""
    return _render("kustomize", str(folder))


def overlay(name: str) -> list[Object]:
    """Return the objects of one of our overlays."""
    return kustomize(KUBERNETES / "overlays" / name)


def together(*parts: str) -> list[Object]:
    """Return the objects of an overlay with components, each by its folder in etc/kubernetes."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        paths = {part: os.path.relpath(KUBERNETES / part, here) for part in parts}
        components = [path for part, path in paths.items() if part.startswith("components/")]
        resources = [path for path in paths.values() if path not in components]
        text = yaml.safe_dump({"resources": resources, "components": components})
        (here / "kustomization.yaml").write_text(text)
        return kustomize(here)


def helm(values: Mapping[str, Any] | None = None, *, namespace: str = NAMESPACE) -> list[Object]:
    """Return the objects of our chart."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(values or {}), file)
        file.flush()
        return _render("helm", str(CHART), RELEASE, namespace, file.name)


def _render(*arguments: str) -> list[Object]:
    done = subprocess.run([program(), *arguments], check=False, capture_output=True)
    if done.returncode != 0:
        raise RenderError(done.stderr.decode())
    return [each for each in yaml.safe_load_all(done.stdout) if each is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a container runs.

    Attributes:
        workload: kind and name of what its pods are made by: `DaemonSet/exabgp-metallb-speaker`.
        name: its own.
        init: it runs before the others.
        command: with the image's entrypoint.
        env: as the kubelet would set it, but for fields of pod and node, which `environment` takes.
        fields: variables that come from a field of the pod, with its path.
        mounts: by path, the name of the volume.
        security: its securityContext over the pod's.
        stop: what the kubelet runs before SIGTERM; empty for nothing.
    """

    workload: str
    name: str
    init: bool
    command: tuple[str, ...]
    env: Mapping[str, str]
    fields: Mapping[str, str]
    mounts: Mapping[str, str]
    security: Mapping[str, Any]
    stop: tuple[str, ...] = ()
    probes: Mapping[str, Any] = field(default_factory=dict)

    def environment(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Return its environment on one node.

        Args:
            fields: what each of `fields` is: `spec.nodeName`, `status.hostIP` and so on.
        """
        known = {name: fields[path] for name, path in self.fields.items()}
        return {**known, **{name: _expanded(value, known) for name, value in self.env.items()}}


def _expanded(value: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` as the kubelet does: what it does not know stays."""
    return re.sub(r"\$\((\w+)\)", lambda found: known.get(found[1], found[0]), value)


def containers(objects: Sequence[Object]) -> Iterator[Container]:
    """Yield the containers of all workloads, each pod's in the order of their start."""
    for each in objects:
        if each["kind"] not in ("DaemonSet", "Deployment"):
            continue
        pod = each["spec"]["template"]["spec"]
        workload = f"{each['kind']}/{each['metadata']['name']}"
        for init, those in ((True, pod.get("initContainers", ())), (False, pod["containers"])):
            for container in those:
                yield _container(workload, pod, container, init=init)


def _container(workload: str, pod: Object, container: Object, *, init: bool) -> Container:
    variables = container.get("env", ())
    lifecycle = container.get("lifecycle", {})
    return Container(
        workload=workload,
        name=container["name"],
        init=init,
        command=(*container.get("command", (ENTRYPOINT,)), *container.get("args", ())),
        env={each["name"]: each["value"] for each in variables if "value" in each},
        fields={
            each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"]
            for each in variables
            if "valueFrom" in each
        },
        mounts={each["mountPath"]: each["name"] for each in container.get("volumeMounts", ())},
        security={**pod.get("securityContext", {}), **container.get("securityContext", {})},
        stop=tuple(lifecycle.get("preStop", {}).get("exec", {}).get("command", ())),
        probes={name: container[name] for name in container if name.endswith("Probe")},
    )
