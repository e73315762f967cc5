"""How fast Services get addresses, next to what the API can do; what the decision itself costs.

    python -m tests.bench.controller [--services 2000]

The API is a real kube-apiserver with etcd, on the same machine as the controller and as those who
create, so all of them share its processors.
"""

import argparse
import gc
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import ObjectName, Service, ServicePort
from tests.bench.figures import table
from tests.kube import build
from tests.kube.build import Program
from tests.kube.client import Client, Object, reference
from tests.kube.controllers import (
    CALLERS,
    CRDS,
    ControllerProcess,
    Judge,
    account,
    create_all,
    pool,
    service,
)
from tests.kube.etcd import Etcd
from tests.kube.polling import wait_until
from tests.kube.server import ApiServer

NAMESPACE = "bench"
SIZES = (1_000, 10_000, 65_536)
CHURN = 1_000  # Services that go and come, one at a time
KIB_PER_MIB = 1024


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--decision", type=int, help="print the cost of one size as JSON")
    arguments = parser.parse_args()
    if arguments.decision is not None:
        print(json.dumps(decision(arguments.decision)))
        return
    rows = [decision_row(size) for size in SIZES]
    head = ("leases", "from nothing", "after a restart", "one goes, one comes", "memory")
    print(table(head, rows))
    print()
    with tempfile.TemporaryDirectory() as folder, api(Path(folder)) as kube:
        print(table(("what", "Services", "seconds", "a second"), rates(kube, arguments.services)))


# The decision.


def decision_row(size: int) -> list[str]:
    """Return the cells of one size, measured in a process of its own."""
    program = [sys.executable, "-m", "tests.bench.controller", "--decision", str(size)]
    output = subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout
    found = json.loads(output)
    return [
        f"{size:,}",
        f"{found['fill']:.2f} s ({found['fill'] / size * 1e6:.0f} us each)",
        f"{found['restart']:.2f} s",
        f"{found['churn'] / CHURN * 1e6:.0f} us",
        f"{found['memory'] / KIB_PER_MIB:.0f} MiB",
    ]


def decision(size: int) -> dict[str, float]:
    """Return seconds, and KiB for the decision without the Services themselves."""
    services = {name: wanting(name) for name in names(size)}
    gc.collect()
    before = peak()
    allocator = Allocator([wide()], {})
    fill = seconds(lambda: allocator.edit(services))
    memory = peak() - before
    shown = {
        name: wanting(name, *allocator.leases[name].addresses) for name in services
    }  # as their statuses have it
    restart = seconds(lambda: Allocator([wide()], {}).edit(shown))
    gone = list(services)[:: max(1, size // CHURN)][:CHURN]
    churn = seconds(lambda: go_and_come(allocator, gone))
    return {"fill": fill, "memory": memory, "restart": restart, "churn": churn}


def wide() -> Pool:
    """Return a pool of 65,536 addresses."""
    return Pool(
        name="wide", ranges=(AddressRange(ip_address("10.0.0.0"), ip_address("10.0.255.255")),)
    )


def names(count: int) -> Iterator[ObjectName]:
    """Yield names in twenty namespaces."""
    return (ObjectName(f"ns-{number % 20}", f"web-{number}") for number in range(count))


def wanting(name: ObjectName, *addresses: object) -> Service:
    """Return a Service of type LoadBalancer."""
    return Service(
        name=name,
        created="2024-01-01T00:00:00Z",
        is_load_balancer=True,
        cluster_ips=(ip_address("10.96.0.1"),),
        ports=(ServicePort(protocol="TCP", port=80),),
        ingress=tuple(ip_address(str(address)) for address in addresses),
        allocated_pool="wide" if addresses else None,
    )


def go_and_come(allocator: Allocator, gone: Iterable[ObjectName]) -> None:
    """Delete Services, and create each again under its name."""
    for name in gone:
        allocator.converge(name, None)
        allocator.converge(name, wanting(name))


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak() -> float:
    """Return the most memory that this process ever had, in KiB."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


# The whole way.


@contextmanager
def api(folder: Path) -> Iterator[ApiServer]:
    """Run a kube-apiserver with our kinds and an install namespace."""
    etcd = Etcd(build.find_etcd(), folder)
    server = ApiServer(build.find(Program.APISERVER), etcd, folder)
    try:
        etcd.start()
        server.start()
        server.client.create(reference("v1", "Namespace", NAMESPACE))
        server.client.install_crds(CRDS)
        yield server
    finally:
        server.stop()
        etcd.stop()


def rates(kube: ApiServer, count: int) -> list[list[str]]:
    """Return the rows: what the API does by itself, and with the controller at work."""
    raw = [service(NAMESPACE, f"raw-{number}") for number in range(count)]
    for each in raw:
        each["spec"]["loadBalancerClass"] = "example.com/nobody"
    rows = [row("create, nobody watches", count, seconds(lambda: created(kube, raw)))]
    rows.append(row("patch their statuses", count, seconds(lambda: patched(kube, raw))))
    kube.client.create(pool(NAMESPACE, "wide", "10.0.0.0/16"))
    log = Path(tempfile.mkdtemp()) / "controller.log"
    replica = ControllerProcess(account(kube, NAMESPACE), NAMESPACE, log)
    with Judge(kube.admin_kubeconfig) as judge:
        replica.start()
        wait_until(lambda: replica.said("decided: "), what="the controller", within_seconds=60)
        burst = [service(NAMESPACE, f"web-{number}") for number in range(count)]
        begun = time.perf_counter()
        created(kube, burst)
        creating = time.perf_counter() - begun
        ours = {f"web-{number}" for number in range(count)}
        wait_until(lambda: ours <= judge.given().keys(), what="addresses", within_seconds=600)
        rows.append(row("create, the controller at work", count, creating))
        rows.append(row("from the first to the last address", count, time.perf_counter() - begun))
    judge.verdict()
    replica.stop()
    return rows


def created(kube: ApiServer, objects: list[Object]) -> None:
    """Create objects by as many callers as the controller has writers, or nearly."""
    create_all(kube.admin_kubeconfig, objects)


def patched(kube: ApiServer, objects: list[Object]) -> None:
    """Patch statuses in the same way."""
    clients = threading.local()

    def patch(obj: Object) -> None:
        if not hasattr(clients, "client"):
            clients.client = Client(kube.admin_kubeconfig)
        number = int(obj["metadata"]["name"].rpartition("-")[2])
        address = str(ip_address("198.18.0.0") + number)
        status = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        clients.client.patch(obj, {"status": status}, subresource="status")

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(patch, objects))


def row(what: str, count: int, taken: float) -> list[str]:
    """Return the cells of a rate."""
    return [what, f"{count:,}", f"{taken:.1f}", f"{count / taken:.0f}"]


if __name__ == "__main__":
    main()
