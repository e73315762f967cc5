"""Every manifest that we ship, rendered by kustomize's and Helm's own code and applied for real."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import click
import pytest

from exabgp_metallb import cli
from exabgp_metallb.programs.preflight import Role, machine_checks
from exabgp_metallb.programs.preflight_cluster import cluster_checks
from tests.kube import rendered
from tests.kube.client import Object, reference
from tests.kube.rendered import OVERLAYS, Container, RenderError, containers
from tests.kube.server import ApiServer

pytestmark = [pytest.mark.kube, pytest.mark.usefixtures("renderer")]

KEPT = {"helm.sh/resource-policy": "keep"}
FIELDS = {
    "spec.nodeName": "node1",
    "metadata.namespace": rendered.NAMESPACE,
    "status.hostIP": "192.0.2.1",
    "status.podIP": "2001:db8::1",
}
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
CAPABILITIES = {
    "responder": ["NET_RAW"],
    "bfdd": ["NET_BIND_SERVICE", "NET_RAW", "SETGID", "SETUID", "SYS_ADMIN"],
}
FORMS: dict[str, Mapping[str, Any]] = {
    "defaults": {},
    "bgp": {"speaker": {"layer2": {"enabled": False}}},
    "l2": {"speaker": {"bgp": {"enabled": False}}},
    "host-units": {"speaker": {"enabled": False}},
    "bfd": {"speaker": {"bfd": {"enabled": True}, "layer2": {"enabled": False}}},
    "podmonitor": {"prometheus": {"podMonitor": {"enabled": True}}},
    "everything else": {
        "imagePullSecrets": [{"name": "registry"}],
        "fullnameOverride": "lb",
        "loadBalancerClass": "example.com/lb",
        "image": {"repository": "registry.example/exabgp-metallb", "tag": "1.2.3"},
        "prometheus": {"scrapeAnnotations": True, "metricsPort": 9000},
        "networkpolicies": {"apiPort": 6443},
        "controller": {
            "replicas": 3,
            "logLevel": "debug",
            "logFormat": "json",
            "leaseSeconds": 30,
            "tolerations": [{"operator": "Exists"}],
            "labels": {"team": "network"},
            "podAnnotations": {"team": "network"},
            "nodeSelector": {"role": "infra"},
        },
        "speaker": {
            "logLevel": "warning",
            "drainSeconds": 30,
            "serviceBGPStatus": False,
            "ignoreExcludeLB": True,
            "skipPreflight": ["metallb", "bfd"],
            "tolerateMaster": False,
            "layer2": {"subnet": "require", "failback": "sticky"},
            "bfd": {"enabled": True},
            "image": {"tag": "1.2.4", "pullPolicy": "Always"},
            "serviceAccount": {"annotations": {"team": "network"}},
        },
    },
}


@pytest.fixture
def cluster(kube: ApiServer) -> Iterator[ApiServer]:
    """Return an API server, without our install namespace afterwards."""
    yield kube
    found = kube.client.list("v1", "Namespace")["items"]
    if any(each["metadata"]["name"] == rendered.NAMESPACE for each in found):
        kube.client.delete(reference("v1", "Namespace", rendered.NAMESPACE))


@cache
def of(name: str) -> list[Object]:
    """Return a rendering by its name in this module's tables."""
    return rendered.overlay(name) if name in OVERLAYS else rendered.helm(FORMS[name[5:]])


EVERY = [*OVERLAYS, *(f"helm {form}" for form in FORMS)]


@pytest.mark.parametrize("name", EVERY)
def test_the_api_takes_all_objects(name: str, cluster: ApiServer) -> None:
    """First as a dry run of the server, then for real; afterwards each is there.

    A field that it does not know is an error here, as with `kubectl --validate=strict`.
    """
    client = cluster.client
    client.apply(reference("v1", "Namespace", rendered.NAMESPACE))
    objects = of(name)
    objects = [each for each in objects if each["kind"] != "PodMonitor"]  # the Operator's own
    for each in objects:
        client.dry_run(each)
    for each in objects:
        if each["kind"] == "CustomResourceDefinition":
            client.install_crds([each])
        else:
            client.apply(each)
    assert all(client.get(each)["metadata"]["uid"] for each in objects)


@pytest.mark.parametrize(
    ("form", "parts"),
    [
        ("defaults", ["overlays/both"]),
        ("bgp", ["overlays/bgp"]),
        ("l2", ["overlays/l2"]),
        ("host-units", ["overlays/host-units"]),
        ("bfd", ["overlays/bgp", "components/bfd"]),
        ("podmonitor", ["overlays/both", "components/podmonitor"]),
    ],
)
def test_chart_and_kustomization_are_the_same(form: str, parts: list[str]) -> None:
    """Object by object, but for what Helm has its own way with.

    The namespace is that of the release, which Helm makes itself; the definitions are marked to
    stay when the release goes; a long-lived token is only asked for by who applies that overlay.
    """
    chart = {_name(each): each for each in rendered.helm(FORMS[form])}
    kustomization = {_name(each): each for each in rendered.together(*parts)}
    for name in ("Namespace metallb-system", "Secret exabgp-metallb-speaker"):
        kustomization.pop(name, None)
    for each in chart.values():
        if each["kind"] == "CustomResourceDefinition":
            assert each["metadata"].pop("annotations") == KEPT
    assert chart.keys() == kustomization.keys()
    for name, each in chart.items():
        assert _in_order(each) == _in_order(kustomization[name]), name


def _name(each: Object) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def _in_order(value: Any) -> Any:  # noqa: ANN401 -- whatever YAML holds
    """Return a value whose lists of named things are in order of their names."""
    if isinstance(value, dict):
        return {key: _in_order(each) for key, each in value.items()}
    if not isinstance(value, list):
        return value
    items = [_in_order(each) for each in value]
    named = all(isinstance(each, dict) and "name" in each for each in items)
    return sorted(items, key=lambda each: str(each["name"])) if named else items


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"speaker": {"tolerateMasters": True}}, "tolerateMasters"),
        ({"loadbalancerClass": "a/b"}, "loadbalancerClass"),
        ({"prometheus": {"podMonitor": {"enable": True}}}, "enable"),
        ({"controller": {"image": {"repo": "x"}}}, "repo"),
        ({"speaker": {"logLevel": "warn"}}, "logLevel"),
        ({"speaker": {"frr": {"enabled": True}}}, "frr"),
        ({"speaker": {"bgp": {"enabled": False}, "layer2": {"enabled": False}}}, "speaker.bgp"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: Mapping[str, Any], named: str) -> None:
    """A misspelt value would otherwise be left out without a word."""
    with pytest.raises(RenderError, match=named):
        rendered.helm(values)


def every_container() -> Iterator[tuple[str, Container]]:
    """Yield the containers of all renderings, with the rendering's name."""
    for name in EVERY:
        for container in containers(of(name)):
            yield name, container


def test_our_commands_take_what_containers_are_given() -> None:
    """Arguments and environment of each container are read by the command that it runs."""
    seen = set()
    for name, container in every_container():
        if container.name == "bfdd":  # tests/image starts it
            continue
        entrypoint, command, *arguments = container.command
        seen.add((command, *arguments))
        context = f"{name}: {container.workload} {container.name}"
        assert entrypoint == rendered.ENTRYPOINT, context
        given = container.environment(FIELDS)
        ours = cli.commands.commands[command]
        known = {each.envvar for each in ours.params if isinstance(each, click.Option)}
        unknown = {e for e in given if e.startswith("EXABGP_METALLB_")} - known
        if not container.init:  # preflight is given what the agent is, whatever that needs
            assert not unknown, context
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in given.items():
                patch.setenv(variable, value)
            parsed = ours.make_context(command, [*arguments]).params
        if "EXABGP_METALLB_SKIP" in given:
            assert parsed["skip"] == ("metallb", "bfd"), context
        if command == "run":
            settings = ("off", True) if name == "helm everything else" else ("on", False)
            assert (parsed["service_bgp_status"], parsed["ignore_exclude_lb"]) == settings, context
        if "metrics" in parsed and "EXABGP_METALLB_METRICS" in given:
            assert parsed["metrics"][0] in (FIELDS["status.hostIP"], FIELDS["status.podIP"])
            assert parsed["namespace" if "namespace" in parsed else "node"], context
        if container.stop:
            _, command, *arguments = container.stop
            cli.commands.commands[command].make_context(command, arguments)
    assert ("run",) in seen
    assert ("speaker", "--without-exabgp") in seen
    assert ("preflight", "controller") in seen


def test_each_container_has_the_least_that_it_needs() -> None:
    """No root where no capability is, no token where one is, and volumes alone can be written."""
    for name, container in every_container():
        context = f"{name}: {container.workload} {container.name}"
        security = container.security
        assert security["allowPrivilegeEscalation"] is False, context
        assert security["readOnlyRootFilesystem"] is True, context
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, context
        added = security["capabilities"].get("add", [])
        assert security["capabilities"]["drop"] == ["ALL"], context
        assert security["runAsGroup"] == 10001, context
        if container.name in CAPABILITIES:
            assert (added, security["runAsUser"]) == (CAPABILITIES[container.name], 0), context
            assert TOKEN not in container.mounts, context
        else:
            assert (added, security["runAsUser"], security["runAsNonRoot"]) == ([], 10001, True)
            assert container.mounts[TOKEN] == "token", context


def test_pods_have_time_to_drain() -> None:
    """The kubelet waits longer than a drain can take, and than ExaBGP takes to end after it."""
    from exabgp_metallb.decisions.drain import longest  # noqa: PLC0415 -- for this test alone
    from exabgp_metallb.programs.run import (  # noqa: PLC0415 -- as above
        ALIVE_SECONDS,
        MARGIN_SECONDS,
        STOP_SECONDS,
    )

    for name in EVERY:
        for each in of(name):
            if each["kind"] != "DaemonSet":
                continue
            pod = each["spec"]["template"]["spec"]
            (speaker,) = (c for c in containers([each]) if c.name == "speaker")
            seconds = float(speaker.env.get("EXABGP_METALLB_DRAIN_SECONDS", "5"))
            # The drain of preStop, and a stop that has nothing left to drain.
            needed = longest(seconds) + ALIVE_SECONDS + MARGIN_SECONDS + STOP_SECONDS
            assert pod["terminationGracePeriodSeconds"] >= needed, name


def test_the_checks_that_the_chart_can_skip() -> None:
    """They are those of preflight for the commands of the agent."""
    schema = json.loads((rendered.CHART / "values.schema.json").read_text())
    items = schema["properties"]["speaker"]["properties"]["skipPreflight"]["items"]
    roles = (Role.RUN, Role.SPEAKER)
    assert {*items["enum"]} == {c for r in roles for c in (*machine_checks(r), *cluster_checks(r))}
