"""Ismo Puustinen's article "Using MetalLB as Kubernetes load balancer with Ubiquiti EdgeRouter".

The article's network in namespaces, its ConfigMap letter for letter, and FRR with the commands that
it gives to the EdgeRouter. At the end the router's table is the one that the article prints.
"""

import json
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from tests.integration.lab.frr import FibHop, FrrFactory, FrrRouter
from tests.integration.lab.network import Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.router import Path as BgpPath
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import Node

pytestmark = pytest.mark.netns

EXAMPLE = Path(__file__).parents[2] / "etc" / "examples" / "edgerouter"
ASN = 64512
ZEBRA_SECONDS = 60.0  # it hears of the kernel's table later than that is so

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  namespace: metallb-system
  name: config
data:
  config: |
    peers:
    - peer-address: 192.168.1.1
      peer-asn: 64512
      my-asn: 64512
    address-pools:
    - name: default
      protocol: bgp
      addresses:
      - 192.168.1.224/27
"""

SHOW_IP_ROUTE_BGP = """\
B *> 192.168.1.224/32 [200/0] via 192.168.1.205, eth1, 00:00:04
B *> 192.168.1.225/32 [200/0] via 192.168.1.203, eth1, 00:08:04
  *> [200/0] via 192.168.1.201, eth1, 00:08:04
B *> 192.168.1.226/32 [200/0] via 192.168.1.205, eth1, 00:08:04
  *> [200/0] via 192.168.1.202, eth1, 00:08:04
  *> [200/0] via 192.168.1.201, eth1, 00:08:04
B *> 192.168.1.227/32 [200/0] via 192.168.1.205, eth1, 00:00:04
"""


def printed_table() -> dict[str, set[str]]:
    """Return the next hops of each prefix in the article's table."""
    table: dict[str, set[str]] = {}
    prefix = ""
    for line in SHOW_IP_ROUTE_BGP.splitlines():
        words = line.replace(",", "").split()
        if words[0] == "B":
            prefix = words[2]
        table.setdefault(prefix, set()).add(words[words.index("via") + 1])
    return table


def rib(router: FrrRouter) -> dict[str, set[tuple[str, str, int, int]]]:
    """Return zebra's routes from BGP: address and interface of each hop, distance and metric."""
    vtysh = ["vtysh", "--vty_socket", str(router.folder), "-d", "zebra"]
    shown = json.loads(router.host.run([*vtysh, "-c", "show ip route bgp json"]))
    return {
        prefix: {
            (hop["ip"], hop["interfaceName"], route["distance"], route["metric"])
            for route in routes
            for hop in route["nexthops"]
            if route.get("selected") and hop.get("active") and hop.get("fib")
        }
        for prefix, routes in shown.items()
    }


def test_the_router_gets_the_table_of_the_article(lab: Lab, frr: FrrFactory) -> None:
    """Pods on one, two, three and one nodes; externalTrafficPolicy Local; one AS on both sides."""
    assert (EXAMPLE / "1-config.yaml").read_text() == CONFIG_MAP
    master, *workers = [
        lab.host(f"pico-{number}", f"192.168.1.{number}/24") for number in range(200, 206)
    ]
    edge = lab.host("edge", "203.0.113.1/24", segment="wan")
    interface = edge.attach("192.168.1.1/24")
    assert interface == "eth1"
    neighbors = tuple(NeighborConfig(address=host.ipv4, asn=ASN) for host in workers)
    router = frr(
        edge,
        RouterConfig(
            asn=ASN,
            router_id=IPv4Address("192.168.1.1"),
            neighbors=neighbors,
            maximum_paths=32,
        ),
    )
    assert "maximum-paths ibgp 32" in router.vty("show running-config")
    for host in workers:
        Node(host, EXAMPLE).start()

    expected = printed_table()
    assert sum(map(len, expected.values())) == 7
    router.wait_established()
    router.wait_next_hops(expected)
    router.wait_fib(expected)
    wanted = {
        prefix: {(hop, interface, 200, 0) for hop in hops} for prefix, hops in expected.items()
    }
    wait_for(lambda: rib(router) == wanted, ZEBRA_SECONDS, lambda: f"{wanted}, not {rib(router)}")
    assert router.fib() == {
        ip_network(prefix): {FibHop(ip_address(hop), 1) for hop in hops}
        for prefix, hops in expected.items()
    }
    assert router.routes() == {
        ip_network(prefix): {BgpPath(next_hop=ip_address(hop), local_pref=100) for hop in hops}
        for prefix, hops in expected.items()
    }
    assert not any(master.ipv4 == path.next_hop for r in router.routes().values() for path in r)
