"""What a big cluster costs one node, one controller and the API that serves them.

    python -m tests.bench.scale node [--layer2 CANDIDATES] [--first] [--nodes 1000] ...
    python -m tests.bench.scale controller [--services 5000] ...

`node` and `controller` need root. One node runs here, in a lab with BIRD as its router, against a
real kube-apiserver with all objects of the cluster; a proxy between them counts requests, watch
events and bytes. What a thousand such nodes cost is multiplied, not measured.

Nodes are as big as a kubelet makes them, with fifty images. Each Service has two EndpointSlices:
one with three endpoints that are ready, one with three that are not. A change takes the readiness
of all endpoints of the first one away or gives it back, so each is a route that goes or comes.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exabgp_metallb.adapters.kubernetes import statuses
from exabgp_metallb.adapters.kubernetes.statuses import Author
from exabgp_metallb.programs.options import ORDERS_NAME
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.statuses import ServiceBgpStatus, StatusKind, StatusName
from tests.bench.api import api_server, fill, inside
from tests.bench.cluster import NAMESPACE, RawObject, cluster, endpoint_slice, node
from tests.bench.counting import CountingProxy, Counts
from tests.bench.figures import table
from tests.bench.memory import memory
from tests.bench.scene import ASN, ROUTER, ApiNode, Scene, scene
from tests.bench.sources import _started
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, clean_environment
from tests.kube.client import Client, Object
from tests.kube.controllers import ControllerProcess, account, addresses_of
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

IMAGES = 50  # of a Node: the kubelet's nodeStatusMaxImages
WRITERS = 2
TICKS = os.sysconf("SC_CLK_TCK")
KIB, MIB = 1024, 1024 * 1024
NODE_STATUS_SECONDS = 300.0  # the kubelet's nodeStatusReportFrequency
MULTIPLES = (10, 100, 1000)  # nodes
SERVED_SECONDS = 250.0
QUIET_SECONDS, LONGEST_SECONDS = 2.0, 20.0
HOST = "node-1"

Change = tuple[Object, Object, str]
"""An object, what becomes of it, and the subresource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How big, and for how long."""

    nodes: int
    services: int
    rate: float  # changes a second
    beats: float  # Node status updates a second
    seconds: float  # of each measurement
    calm: float  # seconds after the start
    rest: float  # seconds of the measurement at rest: a bookmark comes once a minute
    layer2: int = 0  # candidates for every address; 0: no layer 2


# The cluster.


def full_node(number: int) -> RawObject:
    """Return a Node as a kubelet and its cluster make it."""
    made = node(number, f"10.{number // 250}.0.{number % 250 + 1}")
    made["metadata"]["labels"] |= {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "bare-metal",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        "order": f"{number}",
    }
    capacity = {
        "cpu": "64",
        "ephemeral-storage": "459850824Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": "263856640Ki",
        "pods": "110",
    }
    image = "registry.example.com/some-team/some-image"
    made["status"] |= {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": conditions(0),
        "images": [
            {
                "names": [f"{image}-{count}@sha256:{count:064x}", f"{image}-{count}:v1.{count}.0"],
                "sizeBytes": 100_000_000 + count,
            }
            for count in range(IMAGES)
        ],
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": f"{number:036d}",
            "containerRuntimeVersion": "containerd://2.0.0",
            "kernelVersion": "6.1.0-20-amd64",
            "kubeProxyVersion": "",
            "kubeletVersion": "v1.34.0",
            "machineID": f"{number:032d}",
            "operatingSystem": "linux",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "systemUUID": f"{number:036d}",
        },
    }
    return made


def conditions(beat: int) -> list[RawObject]:
    """Return the conditions of a Node that is ready, at some heartbeat."""
    at = f"2026-01-01T{beat // 3600 % 24:02d}:{beat // 60 % 60:02d}:{beat % 60:02d}Z"
    return [
        {
            "type": kind,
            "status": "True" if kind == "Ready" else "False",
            "lastHeartbeatTime": at,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": f"KubeletHas{kind}",
            "message": f"kubelet has no {kind}" if kind != "Ready" else "kubelet is ready",
        }
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]


def objects(size: Size) -> Iterator[RawObject]:
    """Yield all objects of the cluster."""
    some = cluster(services=size.services, nodes=size.nodes, peer=str(ROUTER), asn=ASN)
    yield from (each for each in some if each["kind"] != "Node")
    yield from map(full_node, range(1, size.nodes + 1))
    for number in range(size.services):
        second = endpoint_slice(number, size.nodes, ready=False)
        second["metadata"]["name"] = f"service-{number}-y"
        yield second
    if size.layer2:
        names = [f"{number}" for number in range(1, size.layer2 + 1)]
        chosen = {"matchExpressions": [{"key": "order", "operator": "In", "values": names}]}
        yield {
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": "all", "namespace": NAMESPACE},
            "spec": {} if size.layer2 == size.nodes else {"nodeSelectors": [chosen]},
        }


def written(size: Size) -> Iterator[RawObject]:
    """Yield what the node wrote in an earlier life: a status object for each Service."""
    author = Author(node=HOST, namespace=NAMESPACE)
    for number in range(size.services):
        name = StatusName(StatusKind.SERVICE_BGP, ObjectName("default", f"service-{number}"))
        body = statuses.filling(author, name, ServiceBgpStatus(("router",))).body
        assert body is not None
        yield dict(body)


# Changes.


def flips(size: Size) -> list[Change]:
    """Return changes of endpoints: those of one second away, in the next second back."""
    block = max(1, int(size.rate))
    found: list[Change] = []
    for count in range(int(size.rate * size.seconds) // (2 * block) * (2 * block)):
        number = (count // (2 * block) * block + count % block) % size.services
        ready = count // block % 2 == 1
        changed = endpoint_slice(number, size.nodes, ready=ready)
        found.append((changed, {"endpoints": changed["endpoints"]}, ""))
    return found


def beats(size: Size) -> list[Change]:
    """Return Node status updates as kubelets send them when nothing has changed."""
    return [
        (
            node(count % size.nodes + 1, ""),
            {"status": {"conditions": conditions(count + 1)}},
            "status",
        )
        for count in range(int(size.beats * size.seconds))
    ]


def annotations(size: Size) -> list[Change]:
    """Return edits of Services that change nothing for anybody."""
    return [
        (
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"service-{count % size.services}", "namespace": "default"},
            },
            {"metadata": {"annotations": {"example.com/word": f"{count}"}}},
            "",
        )
        for count in range(int(size.rate * size.seconds))
    ]


def make(kubeconfig: Path, changes: Sequence[Change], rate: float) -> None:
    """Make changes, so many a second, by several writers at once; return when all are made."""
    parts = [changes[n::WRITERS] for n in range(WRITERS)]
    writers = [_started(_patch_all, kubeconfig, part, rate / WRITERS) for part in parts]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0


def _patch_all(kubeconfig: Path, changes: Sequence[Change], rate: float) -> None:
    client, begun = Client(kubeconfig), time.monotonic()
    for count, (obj, change, subresource) in enumerate(changes):
        time.sleep(max(0.0, begun + count / rate - time.monotonic()))
        client.patch(obj, change, subresource=subresource)


# Measurements.


@dataclass(frozen=True, slots=True)
class Measured:
    """What passed in some time, and the shares of a processor that programs used."""

    what: str
    seconds: float
    made: int
    counts: Counts
    cpu: tuple[float, ...]

    def row(self) -> list[str]:
        """Return the cells of a table; see `Programs.head`."""
        return [
            self.what,
            f"{self.seconds:.0f}",
            f"{self.made / self.seconds:.1f}",
            f"{self.counts.requests.total() / self.seconds:.2f}",
            f"{self.counts.events.total() / self.seconds:.2f}",
            f"{self.counts.octets() / self.seconds / KIB:.1f}",
            *(f"{100 * share:.1f} %" for share in self.cpu),
        ]

    def event_octets(self, resource: str) -> float:
        """Return how long an event of a resource is."""
        return self.counts.sent[resource] / self.counts.events[resource]


@dataclass(frozen=True, slots=True)
class Programs:
    """Whose processor time is measured, by name, and what counts their requests."""

    pids: Mapping[str, int]
    proxy: CountingProxy

    def head(self) -> list[str]:
        """Return the head of the rows of what was measured."""
        rates = ["requests/s", "events/s", "KiB/s"]
        return ["meanwhile", "seconds", "made/s", *rates, *(f"CPU {name}" for name in self.pids)]

    def during(self, what: str, work: Callable[[], object], made: int = 0) -> Measured:
        """Measure the time that some work takes."""
        before, cpu, begun = self.proxy.counts(), self._cpu(), time.monotonic()
        work()
        taken, after = time.monotonic() - begun, self._cpu()
        counts = self.proxy.counts().since(before)
        _print_counts(what, counts)
        shares = tuple((after[name] - cpu[name]) / taken for name in self.pids)
        return Measured(what, taken, made, counts, shares)

    def wait_quiet(self) -> None:
        """Wait until nothing passes for a moment: statuses are written more slowly than changed.

        Not for as long as it takes to write one for each of thousands of addresses taken over.
        """
        before, until = Counts(), time.monotonic() + LONGEST_SECONDS
        while (now := self.proxy.counts()) != before and time.monotonic() < until:
            before = now
            time.sleep(QUIET_SECONDS)

    def memory(self) -> str:
        """Return RSS, PSS and the highest RSS of each."""
        rows = [[name, *memory(pid)] for name, pid in self.pids.items()]
        return table(["program", "RSS", "PSS", "peak"], rows)

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS  # fields 14 and 15 of proc(5)


def _print_counts(what: str, counts: Counts) -> None:
    rows = [
        [resource, f"{events:,}", f"{counts.sent[resource] / KIB:,.0f} KiB"]
        for resource, events in counts.events.most_common()
        if counts.sent[resource]
    ]
    asked = ", ".join(
        f"{count} {verb} {resource}" for (verb, resource), count in counts.requests.most_common()
    )
    print(f"\n{what}: {asked or 'no request'}")
    if rows:
        print(table(["resource", "events", "bytes from the API"], rows), flush=True)


def load() -> str:
    """Return the load of the machine."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())


def tell(programs: Programs, found: Sequence[Measured]) -> None:
    """Print what was measured."""
    print(f"\n{table(programs.head(), [each.row() for each in found])}")
    print(f"\n{programs.memory()}\n\nload {load()}")


def multiplied(
    size: Size, start: Counts, rest: Measured, endpoints: Measured, reports: Measured
) -> str:
    """Return what this many nodes cost the API, from what one of them does in this cluster.

    The rows have as many Nodes as nodes; Services stay as many as they are.
    """
    report, change = reports.event_octets("nodes"), endpoints.event_octets("endpointslices")
    lists = start.octets() - start.sent["nodes"]
    reads_all = reports.counts.events["nodes"] > reports.made / 2
    rows = []
    for nodes in MULTIPLES:
        seen = nodes * (nodes if reads_all else 1) / NODE_STATUS_SECONDS
        of_nodes = start.sent["nodes"] * (nodes / size.nodes if reads_all else 1)
        at_start = nodes * (lists + of_nodes)
        changes = nodes * size.rate
        rows.append(
            [
                f"{nodes:,}",
                f"{nodes * start.requests.total():,}",
                f"{at_start / MIB:,.0f} MiB",
                f"{nodes * rest.counts.requests.total() / rest.seconds:,.1f}",
                f"{nodes * rest.counts.events.total() / rest.seconds:,.1f}",
                f"{seen:,.1f}",
                f"{seen * report / MIB:,.2f} MiB/s",
                f"{changes:,.0f}",
                f"{changes * change / MIB:,.2f} MiB/s",
                f"{nodes * size.services:,}",
            ]
        )
    head = [
        *("nodes", "requests, all start", "bytes, all start", "requests/s at rest"),
        *("events/s at rest", "events/s of Node reports", "bytes of them"),
        *(f"events/s of {size.rate:.0f} changes", "bytes of them", "status objects"),
    ]
    told = f"{report / KIB:.1f} KiB a Node report, {change / KIB:.2f} KiB a change of a slice"
    return f"{told}; multiplied:\n{table(head, rows)}"


# One node.


def of_node(size: Size, *, first: bool) -> None:
    """Print the figures of a node."""
    with scene() as place, inside(place.node), api_server(place.lab.folder / "api") as server:
        fill(server, [*objects(size), *(() if first else written(size))])
        proxy = CountingProxy(account(server, NAMESPACE, of="speaker"))
        agent = ApiNode(place.node, proxy.kubeconfig)
        answering = responder(place, agent) if size.layer2 else None
        arrivals, begun = place.arrivals(), time.time()
        if answering:
            answering.start()
        agent.start()
        arrivals.wait(size.services)
        print(f"load {load()}; since the start of `run`: ", end="")
        assert arrivals.first is not None
        assert arrivals.last is not None
        print(f"first route {arrivals.first - begun:.2f} s, last {arrivals.last - begun:.2f} s")
        used = cpu_seconds(agent.speaker_pid())
        print(f"processor time of the speaker until then: {used:.1f} s")
        pids = {"speaker": agent.speaker_pid(), "ExaBGP": agent.exabgp_pid(), "run": agent._run.pid}
        if answering:
            pids["responder"] = answering.pid
            wait_for(lambda: ordered(agent) > 0, SERVED_SECONDS, "orders that the responder keeps")
            print(
                f"orders in JSON: {ordered(agent) / KIB:,.0f} KiB after {time.time() - begun:.1f} s"
            )
        start = proxy.counts()
        _print_counts("start", start)
        programs = Programs(pids | {"API server": server._process.pid or 0}, proxy)
        programs.during("first seconds", partial(time.sleep, size.calm))
        found = [programs.during("at rest", partial(time.sleep, size.rest))]
        if not first:
            found += under_change(programs, server, size)
        tell(programs, found)
        if not first and not size.layer2:
            print(f"\n{multiplied(size, start, *found)}")
        agent.stop()
        if answering:
            answering.stop()


def under_change(programs: Programs, server: ApiServer, size: Size) -> Iterator[Measured]:
    """Measure a node while the cluster changes."""
    sorts = {"endpoints change": (flips, size.rate), "Nodes report": (beats, size.beats)}
    for what, (changes, rate) in sorts.items():
        some = changes(size)
        work = partial(make, server.admin_kubeconfig, some, rate)
        yield programs.during(what, work, len(some))
        programs.wait_quiet()


def responder(place: Scene, agent: ApiNode) -> Daemon:
    """Return the responder of the node, not started."""
    words = ["--node", agent.name, "--orders", str(agent.state / ORDERS_NAME)]
    words += ["--state-dir", str(agent.state.with_name("responder"))]
    agent.state.with_name("responder").mkdir()
    return Daemon(
        place.node,
        [*PROGRAM, "responder", *words],
        output=place.lab.folder / "responder.log",
        env=clean_environment({}),
    )


def ordered(agent: ApiNode) -> int:
    """Return the size of the orders that the responder keeps on its disk; 0: none yet."""
    folder = agent.state.with_name("responder")
    return sum(each.stat().st_size for each in folder.iterdir() if not each.name.startswith("."))


# One controller.


def of_controller(size: Size) -> None:
    """Print the figures of a controller that gives all Services their addresses."""
    with scene() as place, inside(place.node), api_server(place.lab.folder / "api") as server:
        everything = list(objects(size))
        for each in everything:
            if each["kind"] == "Service":
                del each["status"]
        fill(server, everything)
        proxy = CountingProxy(account(server, NAMESPACE))
        folder = place.lab.folder
        replica = ControllerProcess(proxy.kubeconfig, NAMESPACE, folder / "first.log")
        begun = time.monotonic()
        replica.start()
        wait_until(
            lambda: proxy.counts().requests["patch", "services/status"] >= size.services,
            what="a write for each Service",
            within_seconds=SERVED_SECONDS,
        )
        print(f"load {load()}; all addresses sent {time.monotonic() - begun:.1f} s after the start")
        assert replica.pid
        print(f"processor time of the controller: {cpu_seconds(replica.pid):.1f} s")
        _print_counts("start", proxy.counts())
        wait_until(partial(all_shown, server), what="all addresses", within_seconds=60.0)
        replica.stop()
        again = ControllerProcess(proxy.kubeconfig, NAMESPACE, folder / "again.log")
        begun = time.monotonic()
        again.start()
        wait_until(lambda: again.said("decided: "), what="a decision", within_seconds=60.0)
        print(f"load {load()}; restarted, decided after {time.monotonic() - begun:.1f} s")
        assert again.pid
        programs = Programs(
            {"controller": again.pid, "API server": server._process.pid or 0}, proxy
        )
        programs.during("first seconds", partial(time.sleep, size.calm))
        found = [programs.during("at rest", partial(time.sleep, size.rest))]
        sorts = {"Services change": (annotations, size.rate), "Nodes report": (beats, size.beats)}
        for what, (changes, rate) in sorts.items():
            some = changes(size)
            work = partial(make, server.admin_kubeconfig, some, rate)
            found.append(programs.during(what, work, len(some)))
        tell(programs, found)
        again.stop()


def all_shown(server: ApiServer) -> bool:
    """Tell whether every Service of type LoadBalancer shows an address; Kubernetes' own is none."""
    services = server.client.list("v1", "Service", "default")["items"]
    return all(addresses_of(each) for each in services if each["spec"]["type"] == "LoadBalancer")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("node", "controller"))
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=50.0, help="changes a second")
    parser.add_argument("--beats", type=float, default=20.0, help="Node reports a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--calm", type=float, default=10.0, help="seconds after the start")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds of the one at rest")
    parser.add_argument("--layer2", type=int, default=0, help="candidates for each address")
    parser.add_argument("--first", action="store_true", help="no status was written before")
    arguments = vars(parser.parse_args())
    what, first = arguments.pop("what"), arguments.pop("first")
    size = Size(**arguments)
    if what == "node":
        of_node(size, first=first)
    else:
        of_controller(size)


if __name__ == "__main__":
    main()
