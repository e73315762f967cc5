"""A kube-apiserver for the benchmarks: on the loopback of a lab's host, and filled with a cluster.

The node reaches the API over its own loopback, so the server, and whoever else speaks to it, is
started `inside` the node's network namespace.

Kubernetes' own objects, and what a node wrote before, are put straight into etcd, as JSON, which
the server reads as well as its protobuf: ten thousand Services take seconds and not minutes. A
Service comes with the IPAddress that the server would have made for it, or its repair loop would
make ten thousand meanwhile.
"""

import base64
import ctypes
import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from tests.bench.cluster import NAMESPACE, RawObject
from tests.integration.lab.network import NAMESPACES, Host
from tests.kube import build
from tests.kube.client import reference
from tests.kube.etcd import Etcd
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

CRDS = Path(__file__).parents[2] / "etc" / "kubernetes" / "crds"
CLONE_NEWNET = 0x40000000  # sched.h
ADDRESS_LABELS = {
    "ipaddress.kubernetes.io/ip-family": "IPv4",
    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
}
FOLDERS = {  # of kinds in etcd
    "Service": "services/specs",
    "EndpointSlice": "endpointslices",
    "IPAddress": "ipaddresses",
    "Node": "minions",
    "ServiceBGPStatus": "metallb.io/servicebgpstatuses",
}
PUTS_AT_ONCE = 64  # etcd's limits are 128 and 1.5 MiB, and a Node may have 12 KiB
FILL_SECONDS = 60.0


@contextmanager
def inside(host: Host) -> Iterator[None]:
    """Be in the network namespace of a host, with all that is started meanwhile.

    Leave it before the lab ends, which kills whoever is there.
    """
    with ExitStack() as files:
        home = files.enter_context(Path("/proc/thread-self/ns/net").open())
        there = files.enter_context((NAMESPACES / host.namespace).open())
        _enter(there)
        try:
            yield
        finally:
            _enter(home)


def _enter(namespace: IO[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is of Python 3.12
    if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns to {namespace.name}")


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run etcd and a kube-apiserver with our CRDs; finds or builds it as the tests do."""
    folder.mkdir()
    etcd = Etcd(build.find_etcd(), folder)
    server = ApiServer(build.find(build.Program.APISERVER), etcd, folder)
    try:
        etcd.start()
        server.start()
        server.client.install_crds(CRDS)
        server.client.create(reference("v1", "Namespace", NAMESPACE))
        yield server
    finally:
        server.stop()
        etcd.stop()


def fill(server: ApiServer, objects: Iterable[RawObject]) -> None:
    """Give the cluster its objects, and wait until the API serves them."""
    everything = list(objects)
    ours = [each for each in everything if each["kind"] not in FOLDERS]
    theirs = [each for each in everything if each["kind"] in FOLDERS]
    addresses = [_address(each) for each in theirs if each["kind"] == "Service"]
    _store(server.etcd, [*addresses, *theirs])
    for each in ours:
        server.client.create(each)
    slices = sum(each["kind"] == "EndpointSlice" for each in theirs)
    wait_until(
        lambda: count(server, "discovery.k8s.io/v1", "endpointslices") >= slices,
        what=f"{slices} EndpointSlices",
        within_seconds=FILL_SECONDS,
    )


def count(server: ApiServer, group: str, plural: str) -> int:
    """Return how many objects of a kind the API serves."""
    listed = server.client.request("GET", f"/apis/{group}/{plural}", query={"limit": "1"})
    return len(listed["items"]) + int(listed["metadata"].get("remainingItemCount", 0))


def _address(service: RawObject) -> RawObject:
    name = service["metadata"]["name"]
    parent = {"resource": "services", "namespace": "default", "name": name}
    address = reference("networking.k8s.io/v1", "IPAddress", service["spec"]["clusterIP"])
    address["metadata"]["labels"] = ADDRESS_LABELS
    return address | {"spec": {"parentRef": parent}}


def _store(etcd: Etcd, objects: Iterable[RawObject]) -> None:
    waiting = iter(objects)
    while batch := list(islice(waiting, PUTS_AT_ONCE)):
        puts = [{"requestPut": _put(each)} for each in batch]
        etcd._call("/v3/kv/txn", {"success": puts})


def _put(obj: RawObject) -> dict[str, str]:
    metadata = {
        "uid": str(uuid.uuid4()),
        "creationTimestamp": "2026-01-01T00:00:00Z",
        **obj["metadata"],
    }
    path = (FOLDERS[obj["kind"]], metadata.get("namespace"), metadata["name"])
    key = "/".join(("/registry", *filter(None, path)))
    return {"key": _base64(key), "value": _base64(json.dumps(obj | {"metadata": metadata}))}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
