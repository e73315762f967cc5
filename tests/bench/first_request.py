"""From the creation of a Service with ready pods to the first page that a client gets.

    python -m tests.bench.first_request [--runs 5] [--policy Cluster]               needs root

The system is the one of tests/system. The address is chosen beforehand, so that the client can ask
for it all the while, 200 times a second, from before the Service is created. The time begins with
the request to the API, as `kubectl apply` sends it, and ends with the whole answer: allocation,
EndpointSlices, kube-proxy's rules and the route are in it. kube-proxy leaves a second between two
rounds, the first of which the Service without its address begins; --proxy-seconds changes that.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from ipaddress import ip_network

from tests.bench.figures import percentile, table
from tests.integration.lab.network import Lab
from tests.integration.lab.waiting import wait_for
from tests.kube.client import reference
from tests.kube.controllers import addresses_of
from tests.system.cluster import POOLS, Cluster, Form, Settings, cluster, load_balancer
from tests.system.fetches import Fetches
from tests.system.scene import APP, furnish

SECONDS = 60.0
RATE = 200.0
STAGES = ("the Service shows its address", "the router has the route", "the client has a page")
FIRST = 100  # of the addresses of the pool that are asked for
PAUSE_SECONDS = 1.5  # so that kube-proxy has ended its rounds for the last one


class Stages:
    """When each part of the way was there, in monotonic seconds; None: not yet."""

    def __init__(self, place: Cluster, name: str, address: str) -> None:
        self._place = place
        self._service = reference("v1", "Service", name, "default")
        self._address = address
        self.given: float | None = None
        self.routed: float | None = None

    def look(self) -> None:
        """Look at what has not been seen yet: the Service's status, the router's kernel."""
        if self.given is None and addresses_of(self._place.api.client.get(self._service)):
            self.given = time.monotonic()
        if self.routed is None and self._place.tor.ip("route", "show", self._address):
            self.routed = time.monotonic()

    def all_seen(self) -> bool:
        """Tell whether both are there."""
        self.look()
        return self.given is not None and self.routed is not None


def measure(place: Cluster, number: int, policy: str) -> Sequence[float]:
    """Return the seconds of one run: to the address, to the route, to the first page."""
    name, address = f"first-{number}", str(ip_network(POOLS["routed"][0])[FIRST + number])
    service = load_balancer(name, pool="routed", policy=policy, app=APP)
    service["metadata"]["annotations"] = {"metallb.io/loadBalancerIPs": address}
    service["spec"]["ipFamilyPolicy"] = "SingleStack"
    time.sleep(PAUSE_SECONDS)
    with Fetches(place.client, [address], rate=RATE) as fetches:
        assert len(fetches.lost) == len(fetches.all)
        stages = Stages(place, name, address)
        began = time.monotonic()
        place.api.client.create(service)
        wait_for(stages.all_seen, SECONDS, place.lab.report)
        wait_for(lambda: len(fetches.lost) < len(fetches.all), SECONDS, place.lab.report)
    place.api.client.delete(reference("v1", "Service", name, "default"))
    wait_for(lambda: ip_network(address) not in place.router.fib(), SECONDS, "the end of the route")
    first = min(each.began + each.took for each in fetches.all if each.took is not None)
    assert stages.given is not None
    assert stages.routed is not None
    return [at - began for at in (stages.given, stages.routed, first)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--policy", choices=["Cluster", "Local"], default="Cluster")
    parser.add_argument("--proxy-seconds", type=float, default=Settings().proxy_seconds)
    arguments = parser.parse_args()
    settings = Settings(proxy_seconds=arguments.proxy_seconds)
    with Lab() as lab, cluster(lab, settings) as place:
        place.use(Form.MANIFESTS)
        furnish(place)
        runs = []
        for number in range(arguments.runs):
            runs.append(measure(place, number, arguments.policy))
            print(" ".join(f"{each:.3f}" for each in runs[-1]), flush=True)
    rows = []
    for stage, seconds in zip(STAGES, zip(*runs, strict=True), strict=True):
        figures = (statistics.median(seconds), percentile(seconds, 95), max(seconds))
        rows.append([stage, str(len(seconds)), *(f"{figure:.2f} s" for figure in figures)])
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"\n{table(['until', 'runs', 'median', 'p95', 'worst'], rows)}")
    print(f"\nload of the machine at the end: {load}")


if __name__ == "__main__":
    main()
