"""What a speaker tells a real kube-apiserver, under the ServiceAccount that we ship.

`exabgp-metallb run` on loopback, with ExaBGP and the speaker below it; the router is an ExaBGP that
waits to be called.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.statuses import (
    Author,
    creation,
    object_name,
    of_others,
    others,
)
from exabgp_metallb.adapters.kubernetes.writes import send
from exabgp_metallb.programs.status_writer import OTHERS_AT_ONCE
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.statuses import StatusKind, StatusName
from tests.kube.client import Object, reference
from tests.kube.controllers import CRDS, OurProcess, account, pool, service
from tests.kube.polling import wait_until
from tests.kube.process import LOOPBACK, Process, free_ports
from tests.kube.server import ApiServer

pytestmark = pytest.mark.kube

PATIENCE_SECONDS = 120.0
GROUP = "metallb.io/v1beta1"

ROUTER = """
neighbor {address} {{
    router-id 192.0.2.1;
    local-address {address};
    local-as 64513;
    peer-as 64512;
    passive true;
    family {{ ipv4 unicast; }}
}}
"""

Start = Callable[..., OurProcess]


class Router:
    """An ExaBGP that waits on a port of loopback for one speaker."""

    def __init__(self, folder: Path) -> None:
        self.port = free_ports(1)[0]
        self._conf = folder / "router.conf"
        self._conf.write_text(ROUTER.format(address=LOOPBACK))
        self._process = Process(Path("/usr/bin/env"), folder / "router.log")

    def start(self) -> None:
        """Begin to listen."""
        settings = {
            "exabgp_tcp_bind": LOOPBACK,
            "exabgp_tcp_port": str(self.port),
            "exabgp_api_cli": "false",
            "exabgp_daemon_user": "root" if os.geteuid() == 0 else os.environ.get("USER", ""),
        }
        words = [f"{name}={value}" for name, value in settings.items() if value]
        self._process.start([*words, sys.executable, "-m", "exabgp", "server", str(self._conf)])

    def stop(self) -> None:
        """End, and with it the session."""
        self._process.stop()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """Return a router that listens."""
    made = Router(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def start(kube: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the agent of the one node."""
    kube.client.install_crds(CRDS)
    started: list[OurProcess] = []

    def begin(*options: str, without: tuple[str, str] | None = None) -> OurProcess:
        whom = account(kube, namespace, of="speaker", without=without)
        agent = OurProcess(
            "run",
            whom,
            namespace,
            tmp_path / f"run-{len(started)}.log",
            *("--node", namespace, "--state-dir", str(tmp_path / "state")),
            *("--lb-class", f"example.com/{namespace}"),
            *options,
        )
        started.append(agent)
        agent.start()
        return agent

    yield begin
    for agent in started:
        agent.stop()
    for agent in started:
        assert "Traceback" not in agent.log.read_text()


def announced(kube: ApiServer, namespace: str, router: Router) -> Object:
    """Create a Node, a peer and a Service with an address and an endpoint; return the Service."""
    kube.client.create(reference("v1", "Node", namespace))
    kube.client.create(pool(namespace, "edge", "192.0.2.0/24"))
    spec: Object = {
        "myASN": 64512,
        "peerASN": 64513,
        "peerAddress": LOOPBACK,
        "peerPort": router.port,
        "routerID": "192.0.2.2",
    }
    kube.client.create(
        {**reference("metallb.io/v1beta2", "BGPPeer", "tor", namespace), "spec": spec}
    )
    kube.client.create(reference(GROUP, "BGPAdvertisement", "all", namespace))
    made = service(namespace, "web")
    made["spec"]["loadBalancerClass"] = f"example.com/{namespace}"
    made = kube.client.create(made)
    ingress = {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}
    kube.client.patch(made, {"status": ingress}, subresource="status")
    part = reference("discovery.k8s.io/v1", "EndpointSlice", "web-1", namespace)
    part["metadata"]["labels"] = {"kubernetes.io/service-name": "web"}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "nodeName": namespace}
    kube.client.create({**part, "addressType": "IPv4", "endpoints": [endpoint]})
    return made


def statuses(kube: ApiServer, namespace: str, kind: str) -> list[Object]:
    """Return the statuses of all objects of a kind; one that is just made has an empty one."""
    return [item.get("status", {}) for item in kube.client.list(GROUP, kind, namespace)["items"]]


def told(kube: ApiServer, namespace: str, kind: str) -> bool:
    """Tell whether there are objects of a kind, and each has its status."""
    found = statuses(kube, namespace, kind)
    return bool(found) and all(found)


def events(kube: ApiServer, namespace: str) -> list[tuple[str, str]]:
    """Return kind and reason of each Event that speakers wrote."""
    return [
        (event["involvedObject"]["kind"], event["reason"])
        for event in kube.client.list("v1", "Event", namespace)["items"]
        if event["source"].get("component") == "metallb-speaker"
    ]


def established(kube: ApiServer, namespace: str) -> list[Object]:
    """Return the sessions that are established."""
    sessions = statuses(kube, namespace, "BGPSessionState")
    return [each for each in sessions if each.get("bgpStatus") == "Established"]


def test_a_node_tells_what_it_does(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """What it announces, how its session stands and why it fell, and that nothing is at fault."""
    made = announced(kube, namespace, router)
    agent = start()
    wait_until(
        lambda: established(kube, namespace) and told(kube, namespace, "ServiceBGPStatus"),
        what=f"the statuses: {agent.log}",
        within_seconds=PATIENCE_SECONDS,
    )
    about = {"node": namespace, "serviceName": "web", "serviceNamespace": namespace}
    (item,) = kube.client.list(GROUP, "ServiceBGPStatus", namespace)["items"]
    assert item["status"] == {**about, "peers": ["tor"]}
    assert item["metadata"]["labels"]["metallb.io/node"] == namespace
    assert [(o["kind"], o["name"]) for o in item["metadata"]["ownerReferences"]] == [
        ("Node", namespace)
    ]
    (session,) = established(kube, namespace)
    assert (session["peer"], session["peerAddress"], session["bfdStatus"]) == (
        "tor",
        LOOPBACK,
        "N/A",
    )
    wait_until(lambda: told(kube, namespace, "ConfigurationState"), what="the verdict")
    (verdict,) = statuses(kube, namespace, "ConfigurationState")
    assert verdict["result"] == "Valid"
    wait_until(
        lambda: ("Service", "nodeAssigned") in events(kube, namespace),
        what="the Event on the Service",
    )
    router.stop()
    wait_until(
        lambda: not established(kube, namespace),
        what="the end of the session",
        within_seconds=PATIENCE_SECONDS,
    )
    (session,) = statuses(kube, namespace, "BGPSessionState")
    assert session["lastError"]
    kube.client.delete(made)
    wait_until(
        lambda: not statuses(kube, namespace, "ServiceBGPStatus"),
        what="the end of the status",
        within_seconds=PATIENCE_SECONDS,
    )
    assert events(kube, namespace).count(("Service", "nodeAssigned")) == 1


def test_a_node_is_drained_by_its_annotation(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """`drain --wait` writes it and sees the end; `--undo` has the Service announced again."""
    announced(kube, namespace, router)
    start()

    def announces() -> bool:
        return bool(statuses(kube, namespace, "ServiceBGPStatus"))

    def drain(*words: str) -> str:
        cluster = ["--kubeconfig", str(kube.admin_kubeconfig), "--namespace", namespace]
        command = [sys.executable, "-m", "exabgp_metallb", "drain", namespace, *cluster, *words]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    wait_until(
        lambda: announces() and established(kube, namespace),
        what="the announcement, and the session",
        within_seconds=PATIENCE_SECONDS,
    )
    assert drain("--wait") == f"node {namespace}: drained\n"
    assert not announces()
    assert len(established(kube, namespace)) == 1
    assert drain("--undo") == f"node {namespace}: not drained any more\n"
    wait_until(announces, what="the announcement anew", within_seconds=PATIENCE_SECONDS)


def test_a_restart_writes_nothing_anew_and_removes_what_nobody_wants(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """Its own objects are known again; what MetalLB's speaker of this node left is removed."""
    announced(kube, namespace, router)
    agent = start()
    wait_until(
        lambda: (
            statuses(kube, namespace, "ServiceBGPStatus")
            and ("Service", "nodeAssigned") in events(kube, namespace)
        ),
        what="the status",
        within_seconds=PATIENCE_SECONDS,
    )
    (before,) = kube.client.list(GROUP, "ServiceBGPStatus", namespace)["items"]
    agent.stop()
    left = reference(GROUP, "ServiceBGPStatus", "bgp-x7k2p", namespace)
    left["metadata"]["labels"] = {"metallb.io/node": namespace}
    kube.client.create(left)
    start()
    wait_until(
        lambda: len(statuses(kube, namespace, "ServiceBGPStatus")) == 1,
        what="the end of the one that was left",
        within_seconds=PATIENCE_SECONDS,
    )
    (after,) = kube.client.list(GROUP, "ServiceBGPStatus", namespace)["items"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert events(kube, namespace).count(("Service", "nodeAssigned")) == 1


def test_a_node_that_is_to_write_none_removes_those_of_its_services(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """By the rights that we ship; its sessions are told as ever."""
    announced(kube, namespace, router)
    agent = start()
    wait_until(
        lambda: statuses(kube, namespace, "ServiceBGPStatus"),
        what="the status",
        within_seconds=PATIENCE_SECONDS,
    )
    agent.stop()
    start("--service-bgp-status", "off")
    wait_until(
        lambda: not statuses(kube, namespace, "ServiceBGPStatus") and established(kube, namespace),
        what="the end of the status, and the session",
        within_seconds=PATIENCE_SECONDS,
    )


def test_what_old_owners_left_of_many_services_is_found_at_once(
    kube: ApiServer, namespace: str
) -> None:
    """By the selector that the API has, under the rights that we ship; nothing of others."""
    kube.client.install_crds(CRDS)
    load = partial(config.kubeconfig, account(kube, namespace, of="speaker"))
    connection = Connection(load, now=time.monotonic)
    ours, other = (Author(node=each, namespace=namespace) for each in ("ours", "other"))
    asked = [ObjectName("default", f"web-{number}") for number in range(OTHERS_AT_ONCE - 1)]
    asked.append(ObjectName("default", "x" * 63))
    not_asked = [ObjectName("elsewhere", "web-1"), ObjectName("default", "shop")]
    for author, services in ((ours, asked[:2]), (other, (*asked[1:3], asked[-1], *not_asked))):
        for service_name in services:
            name = StatusName(StatusKind.SERVICE_L2, service_name)
            send(connection, creation(author, name), seconds=60.0)
    found = send(connection, of_others(ours, asked), seconds=60.0)
    connection.close()
    of_other = (StatusName(StatusKind.SERVICE_L2, each) for each in (*asked[1:3], asked[-1]))
    assert {*others(ours, asked, found)} == {object_name(other, each) for each in of_other}


def test_a_right_that_lacks_is_named_and_costs_no_route(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """The session stands and the route is there; the log has what to grant."""
    announced(kube, namespace, router)
    agent = start(without=("patch", "servicebgpstatuses"))
    wait_until(
        lambda: agent.said("grant patch on servicebgpstatuses of metallb.io to "),
        what="the refusal",
        within_seconds=PATIENCE_SECONDS,
    )
    wait_until(
        lambda: agent.said(f"tor ({LOOPBACK}): up") and agent.said("1 sessions, 1 routes, "),
        what="the session and its route",
        within_seconds=PATIENCE_SECONDS,
    )


def test_a_fault_is_in_the_verdict(
    kube: ApiServer, namespace: str, start: Start, router: Router
) -> None:
    """And leaves it when it is mended."""
    announced(kube, namespace, router)
    bad = kube.client.create(
        {
            **reference(GROUP, "BGPAdvertisement", "bad", namespace),
            "spec": {"communities": ["nobody-knows-this-alias"]},
        }
    )
    start()

    def verdicts() -> list[tuple[str, str]]:
        found = statuses(kube, namespace, "ConfigurationState")
        return [(each.get("result", ""), each.get("errorSummary", "")) for each in found]

    wait_until(
        lambda: [result for result, _ in verdicts()] == ["Invalid"],
        what="the fault",
        within_seconds=PATIENCE_SECONDS,
    )
    ((_, why),) = verdicts()
    assert "nobody-knows-this-alias" in why
    assert "BGPAdvertisement" in json.dumps(why)
    kube.client.delete(bad)
    wait_until(
        lambda: verdicts() == [("Valid", "")],
        what="the end of the fault",
        within_seconds=PATIENCE_SECONDS,
    )
