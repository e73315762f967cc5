"""A cluster that can be changed while a node follows it: in files, or in a kube-apiserver."""

import json
import multiprocessing
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tests.bench.api import api_server, fill, inside
from tests.bench.cluster import RawObject, advertisement, cluster, endpoint_slice
from tests.bench.scene import ASN, ROUTER, ApiNode, Scene
from tests.integration.nodes import Node
from tests.kube.client import Client
from tests.kube.server import ApiServer

NODES = 100
FILES_PER_SECOND = 1000
WRITERS = 2  # of the API; more only wait
WATCH_SECONDS = 50
SLICE_API = "discovery.k8s.io/v1"

Flip = tuple[int, bool]
"""The number of a Service, and whether its endpoints are to be ready."""


@dataclass(frozen=True, slots=True)
class Made:
    """A change that was made; times are seconds since the epoch."""

    begun: float  # before anything of it could be seen
    done: float
    version: str = ""  # of the object, where it has one


class Source(Protocol):
    """A cluster, and what can be done to it.

    Attributes:
        done: what `Made.done` is the time of.
    """

    done: str

    @property
    def node(self) -> Node:
        """The node that follows the cluster; not started."""

    def flip(self, number: int, *, ready: bool) -> Made:
        """Let the endpoints of a Service come or go."""

    def burst(self, flips: list[Flip]) -> list[multiprocessing.Process]:
        """Begin to do that to many, in processes of their own."""

    def advertise(self, community: str) -> None:
        """Give all routes another community."""

    def heard(self) -> Mapping[str, float]:
        """Return when a second client heard of each version; nothing where there is none."""


class Files:
    """A folder: one file with most of it, and one for each slice that is to be changed.

    Args:
        place: with the node.
        services: how many.
        apart: the numbers of those whose slices have files of their own.
    """

    done = "rename"

    def __init__(self, place: Scene, services: int, apart: Container[int]) -> None:
        self._folder = place.lab.folder / "manifests"
        self._folder.mkdir()
        self.node: Node = Node(place.node, self._folder)
        alone = [endpoint_slice(n, NODES) for n in range(services) if n in apart]
        for each in alone:
            self._write(each)
        names = {each["metadata"]["name"] for each in alone}
        others = [each for each in objects(services) if each["metadata"]["name"] not in names]
        tree = {"apiVersion": "v1", "kind": "List", "items": others}
        (self._folder / "all.json").write_text(json.dumps(tree))

    def flip(self, number: int, *, ready: bool) -> Made:
        """Rename a new file over that of a slice."""
        return self._write(endpoint_slice(number, NODES, ready=ready))

    def burst(self, flips: list[Flip]) -> list[multiprocessing.Process]:
        """Write one file after another, so many a second."""
        return [_started(self._flip_all, flips)]

    def advertise(self, community: str) -> None:
        """Write the advertisement to a file of its own, which comes after the big one."""
        self._write(advertisement(community))

    def heard(self) -> Mapping[str, float]:
        """Return nothing: the rename is what is heard of."""
        return {}

    def _flip_all(self, flips: list[Flip]) -> None:
        begun = time.monotonic()
        for count, (number, ready) in enumerate(flips):
            self.flip(number, ready=ready)
            time.sleep(max(0.0, begun + count / FILES_PER_SECOND - time.monotonic()))

    def _write(self, obj: RawObject) -> Made:
        name = f"{obj['kind']}-{obj['metadata']['name']}.json"
        aside = self._folder / f".{name}"
        aside.write_text(json.dumps(obj))
        begun = time.time()
        aside.rename(self._folder / name)
        return Made(begun, begun)


class Api:
    """A kube-apiserver, and a second client that watches what the node watches."""

    done = "answer to the PATCH"

    def __init__(self, place: Scene, server: ApiServer, services: int) -> None:
        fill(server, objects(services))
        self._kubeconfig = server.admin_kubeconfig
        self._client = server.client
        self._notes = place.lab.folder / "heard"
        self._notes.touch()
        self._watcher = _started(self._watch, server.client.list(SLICE_API, "EndpointSlice"))
        self.node: Node = ApiNode(place.node, self._kubeconfig)

    def flip(self, number: int, *, ready: bool) -> Made:
        """Patch a slice."""
        return self._patch(self._client, endpoint_slice(number, NODES, ready=ready), "endpoints")

    def burst(self, flips: list[Flip]) -> list[multiprocessing.Process]:
        """Patch slices as fast as the API takes it."""
        return [_started(self._flip_all, flips[n::WRITERS]) for n in range(WRITERS)]

    def advertise(self, community: str) -> None:
        """Patch the advertisement."""
        self._patch(self._client, advertisement(community), "spec")

    def heard(self) -> Mapping[str, float]:
        """Return what the second client has noted."""
        lines = self._notes.read_text().rpartition("\n")[0].splitlines()
        return {version: float(at) for version, at in map(str.split, lines)}

    def close(self) -> None:
        """End the second client."""
        self._watcher.terminate()
        self._watcher.join()

    def _flip_all(self, flips: list[Flip]) -> None:
        client = Client(self._kubeconfig)
        for number, ready in flips:
            self._patch(client, endpoint_slice(number, NODES, ready=ready), "endpoints")

    @staticmethod
    def _patch(client: Client, obj: RawObject, field: str) -> Made:
        begun = time.time()
        answer = client.patch(obj, {field: obj[field]})
        return Made(begun, time.time(), answer["metadata"]["resourceVersion"])

    def _watch(self, listed: RawObject) -> None:
        client, version = Client(self._kubeconfig), str(listed["metadata"]["resourceVersion"])
        with self._notes.open("a", buffering=1) as notes:
            while True:
                with client.watch(
                    SLICE_API,
                    "EndpointSlice",
                    resource_version=version,
                    timeout_seconds=WATCH_SECONDS,
                ) as events:
                    for event in events:
                        version = event["object"]["metadata"]["resourceVersion"]
                        notes.write(f"{version} {time.time():.6f}\n")


def _started(work: Callable[..., object], *arguments: object) -> multiprocessing.Process:
    process = multiprocessing.Process(target=work, args=arguments, daemon=True)  # ends with us
    process.start()
    return process


def objects(services: int) -> Iterator[RawObject]:
    """Yield the objects of the cluster."""
    return cluster(services=services, nodes=NODES, peer=str(ROUTER), asn=ASN)


@contextmanager
def files(place: Scene, services: int, apart: Container[int]) -> Iterator[Source]:
    """Make a folder of manifests."""
    yield Files(place, services, apart)


@contextmanager
def api(place: Scene, services: int, _apart: Container[int]) -> Iterator[Source]:
    """Run a kube-apiserver with the cluster, inside the namespace of the node."""
    with inside(place.node), api_server(place.lab.folder / "api") as server:
        source = Api(place, server, services)
        try:
            yield source
        finally:
            source.close()


SOURCES = {"manifests": files, "api": api}
