"""The whole system: control plane, nodes with kube-proxy and our programs, pods, a router, clients.

::

    client --- tor ===== lan ====== control      etcd, kube-apiserver, kube-controller-manager
    10.1.0.2   FRR  10.0.0.0/24 |
                                +-- node1        kube-proxy; exabgp-metallb run and responder
                                |     +-- web1   a pod: an HTTP server in 10.244.1.0/24
                                |     +-- controller1   a pod: exabgp-metallb controller
                                +-- node2, node3 the same; no pods of ours on the last node
                                +-- neighbor     a host on the nodes' own segment

Each address has an IPv6 twin. Kubelets and the pod network are the test's: it writes what a kubelet
says of node and pod, and lays static routes between the nodes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from signal import SIGTERM

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Host, Lab, LabError
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import advertisement, l2_advertisement, node, peer, pool
from tests.integration.nodes import PROGRAM
from tests.kube import build
from tests.kube.build import Program
from tests.kube.client import Object, reference
from tests.kube.controllers import addresses_of
from tests.kube.rendered import NAMESPACE, Container, containers, overlay
from tests.kube.server import ApiServer
from tests.system.agents import Agent
from tests.system.control_plane import ControlPlane, standing_on

SECONDS = 120.0
ROUTER_ASN, NODE_ASN = 64512, 64513
HOLD_SECONDS = 9
CLUSTER_CIDR = "10.244.0.0/16,fd00:244::/48"
POD_PORT = 8080
RULES = ("service-ips", "no-endpoint-services")  # maps in kube-proxy's table
CONTROLLERS = 2  # as the Deployment has it

POOLS = {
    "routed": ("192.0.2.0/24", "2001:db8:192::/120"),
    "bridged": ("10.0.0.100-10.0.0.119", "2001:db8:10::100-2001:db8:10::11f"),
    "both": ("10.0.0.200-10.0.0.219", "2001:db8:10::200-2001:db8:10::21f"),
}
"""By BGP alone, on layer 2 alone, in both modes; the last two are in the nodes' own subnets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a cluster is made with.

    Attributes:
        nodes: how many; at least three have every kind of test make sense.
        drain_seconds: of `run`; by its default.
        proxy_seconds: the least time between two rounds of kube-proxy; by its default.
    """

    nodes: int = 3
    drain_seconds: float = 5.0
    proxy_seconds: float = 1.0


class Node:
    """One node: its host, kube-proxy, and our two containers on it."""

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self.number = number
        self.name = f"node{number}"
        host = cluster.lab.host(self.name, f"10.0.0.1{number}/24", f"2001:db8:10::1{number}/64")
        self.host = host
        host.attach(f"10.244.{number}.1/24", f"fd00:244:0:{number}::1/64", segment=self.segment)
        host.forward()
        by_default(host, "10.0.0.1", "2001:db8:10::1")
        self.proxy = self._kube_proxy(cluster)
        account = cluster.accounts["speaker"]
        env = {"EXABGP_METALLB_DRAIN_SECONDS": f"{cluster.settings.drain_seconds:g}"}
        self.speaker = Agent(host, cluster.containers["speaker"], account, env)
        self.responder = Agent(host, cluster.containers["responder"], None)

    @property
    def segment(self) -> str:
        """The bridge that its pods are on."""
        return f"pods{self.number}"

    @property
    def addresses(self) -> tuple[str, str]:
        """Its own, of both families."""
        return str(self.host.ipv4), str(self.host.ipv6)

    def is_entry(self, client: str) -> bool:
        """Tell whether a source address is one that its kube-proxy masquerades with."""
        return client in {str(each.ip) for each in self.host.addresses}

    def forwards(self, address: str) -> bool:
        """Tell whether kube-proxy's rules send what is for an address to a pod."""
        family = "ip6" if ":" in address else "ip"
        words = [["nft", "list", "map", family, "kube-proxy", name] for name in RULES]
        try:
            addresses, without = (self.host.run(each) for each in words)
        except LabError:
            return False  # it has not made its table yet
        entry = f"{address} . tcp . 80 "
        return entry in addresses and entry not in without

    def start(self) -> None:
        """Start kube-proxy and our programs."""
        for daemon in (self.proxy, self.speaker, self.responder):
            daemon.start()

    def wait_ready(self) -> None:
        """Wait for the readiness of our programs."""
        self.speaker.wait_ready()
        self.responder.wait_ready()

    def restart(self) -> None:
        """Replace our pod, as a rolling update does: the old one ends before the new one begins.

        A kubelet ends the containers of a pod at the same time.
        """
        self.responder.daemon.send(SIGTERM)
        self.speaker.stop()
        self.responder.stop()
        self.speaker.start()
        self.responder.start()
        self.wait_ready()

    def _kube_proxy(self, cluster: "Cluster") -> Daemon:
        """kube-proxy finds its node's addresses by the Node, and nothing else of ours."""
        folder = cluster.lab.folder
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "nftables": {"minSyncPeriod": f"{cluster.settings.proxy_seconds:g}s"},
            "hostnameOverride": self.name,
            "clientConnection": {"kubeconfig": str(cluster.proxy_kubeconfig)},
            "clusterCIDR": CLUSTER_CIDR,
            "conntrack": {"maxPerCore": 0, "min": 0},  # the machine's own limit is not ours to set
        }
        file = folder / f"kube-proxy-{self.name}.yaml"
        file.write_text(json.dumps(config))
        program = [str(build.find(Program.PROXY)), f"--config={file}"]
        return Daemon(self.host, program, output=folder / f"kube-proxy-{self.name}.log")


class Cluster:
    """The cluster; `cluster()` makes one.

    Attributes:
        nodes: in order of their names.
        services: by name, the addresses of the Services that `serve` made.
    """

    def __init__(self, lab: Lab, plane: ControlPlane, settings: "Settings") -> None:
        self.lab = lab
        self.settings = settings
        self.plane = plane
        self.api: ApiServer = plane.api
        self.services: dict[str, tuple[str, ...]] = {}
        self.tor = lab.host("tor", "10.0.0.1/24", "2001:db8:10::1/64")
        self.tor.attach("10.1.0.1/24", "2001:db8:11::1/64", segment="clients")
        self.client = lab.host("client", "10.1.0.2/24", "2001:db8:11::2/64", segment="clients")
        by_default(self.client, "10.1.0.1", "2001:db8:11::1")
        self.neighbor = lab.host("neighbor", "10.0.0.50/24", "2001:db8:10::50/64")
        self.containers = self._install()
        self.accounts = {
            name: self.api.service_account_kubeconfig(NAMESPACE, f"exabgp-metallb-{name}")
            for name in ("controller", "speaker")
        }
        self.proxy_kubeconfig = self.api.client_kubeconfig("system:kube-proxy")
        self.nodes = [Node(self, number) for number in range(1, settings.nodes + 1)]
        for each in self.nodes:
            self._join(each)
        neighbors = [
            NeighborConfig(
                address=address.ip,
                asn=NODE_ASN,
                families=("ipv4",) if address.version == 4 else ("ipv6",),
                hold_seconds=HOLD_SECONDS,
                graceful_restart=True,
            )
            for each in self.nodes
            for address in each.host.addresses[:2]
        ]
        config = RouterConfig(
            asn=ROUTER_ASN,
            router_id=self.tor.ipv4,
            neighbors=tuple(neighbors),
            maximum_paths=16,
        )
        self.router = BfdRouter(self.tor, config)
        self.controllers = [self._controller(each) for each in self.nodes[:CONTROLLERS]]
        self._configure()

    def start(self) -> None:
        """Start all of it, and wait until the nodes are ready."""
        self.router.start()
        for controller in self.controllers:
            controller.start()
        for each in self.nodes:
            each.start()
        for each in self.nodes:
            each.wait_ready()
        for controller in self.controllers:
            controller.wait_ready()

    def run_pod(self, name: str, where: Node, number: int = 10, **labels: str) -> Host:
        """Run an HTTP server in a pod, and say what a kubelet says of it."""
        host = self._pod_host(name, where, number)
        output = self.lab.folder / f"{name}.log"
        words = [PROGRAM[0], "-m", "tests.system.pod", name, str(POD_PORT)]
        Daemon(host, words, output=output).start()
        wait_for(lambda: "ready" in output.read_text(), SECONDS, f"pod {name}")
        pod = reference("v1", "Pod", name, "default")
        pod["metadata"]["labels"] = labels
        container = {"name": "http", "image": "none", "ports": [{"containerPort": POD_PORT}]}
        pod["spec"] = {"nodeName": where.name, "containers": [container]}
        made = self.api.client.create(pod)
        addresses = [{"ip": str(each.ip)} for each in host.addresses]
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        status = {
            "phase": "Running",
            "podIP": addresses[0]["ip"],
            "podIPs": addresses,
            "hostIPs": [{"ip": each} for each in where.addresses],
            "hostIP": where.addresses[0],
            "conditions": conditions,
        }
        self.api.client.patch(made, {"status": status}, subresource="status")
        return host

    def serve(self, name: str, *, pool: str, policy: str, app: str) -> tuple[str, ...]:
        """Make a Service, wait for its addresses, and return them."""
        self.api.client.create(load_balancer(name, pool=pool, policy=policy, app=app))
        self.services[name] = wait_for(
            lambda: addresses_of(self.api.client.get(reference("v1", "Service", name, "default"))),
            SECONDS,
            lambda: f"addresses for {name}\n{self.lab.report()}",
        )
        return self.services[name]

    def wait_forwarding(self, name: str, nodes: Iterable[Node]) -> None:
        """Wait until these nodes send what is for a Service to its pods."""
        for each in nodes:
            for address in self.services[name]:
                wait_for(
                    partial(each.forwards, address),
                    SECONDS,
                    lambda: f"kube-proxy knows {name}\n{self.lab.report()}",
                )

    def wait_routes(self, routes: Mapping[str, Iterable[Node]]) -> None:
        """Wait until the router's kernel sends what is for a Service to these nodes, by name."""
        wanted = {
            address: {hop for each in nodes for hop in each.addresses if same(hop, address)}
            for name, nodes in routes.items()
            for address in self.services[name]
        }

        def hops() -> dict[str, set[str]]:
            fib = self.router.fib()
            found = {
                str(prefix.network_address): {str(h.address) for h in hops}
                for prefix, hops in fib.items()
            }
            return {address: found.get(address, set()) for address in wanted}

        wait_for(
            lambda: hops() == wanted,
            SECONDS,
            lambda: f"{wanted}; there are {hops()}\n{self.lab.report()}",
        )

    def _install(self) -> dict[str, Container]:
        """Apply what we ship, and return our containers by name."""
        objects = overlay("both")
        definitions = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        self.api.client.install_crds(definitions)
        for each in objects:
            if each not in definitions:
                self.api.client.apply(each)
        return {each.name: each for each in containers(objects) if not each.init}

    def _join(self, new: Node) -> None:
        """Have the others know a node, and the way to its pods."""
        self.api.client.create(node(new.name, *new.addresses))
        made = reference("v1", "Node", new.name)
        conditions = [{"type": "Ready", "status": "True"}]
        addresses = [{"type": "InternalIP", "address": each} for each in new.addresses]
        status = {"conditions": conditions, "addresses": addresses}
        self.api.client.patch(made, {"status": status}, subresource="status")
        control = self.lab.hosts["control"]
        for host in (control, *(each.host for each in self.nodes if each is not new)):
            host.ip("route", "add", f"10.244.{new.number}.0/24", "via", new.addresses[0])
            host.ip("-6", "route", "add", f"fd00:244:0:{new.number}::/64", "via", new.addresses[1])

    def _pod_host(self, name: str, where: Node, number: int) -> Host:
        prefix, prefix6 = f"10.244.{where.number}.", f"fd00:244:0:{where.number}::"
        host = self.lab.host(
            name, f"{prefix}{number}/24", f"{prefix6}{number:x}/64", segment=where.segment
        )
        by_default(host, f"{prefix}1", f"{prefix6}1")
        return host

    def _controller(self, where: Node) -> Agent:
        host = self._pod_host(f"controller{where.number}", where, 5)
        env = {"HOSTNAME": host.name}
        return Agent(host, self.containers["controller"], self.accounts["controller"], env)

    def _configure(self) -> None:
        """Write what an administrator writes."""
        client = self.api.client
        for name, ranges in POOLS.items():
            client.create(pool(name, *ranges))
        client.create(advertisement("routed", ipAddressPools=["routed", "both"]))
        client.create(l2_advertisement("bridged", ipAddressPools=["bridged", "both"]))
        for name, address in (("tor", self.tor.ipv4), ("tor6", self.tor.ipv6)):
            spec: dict[str, object] = {
                "holdTime": f"{HOLD_SECONDS}s",
                "keepaliveTime": f"{HOLD_SECONDS // 3}s",
                "enableGracefulRestart": True,
            }
            client.create(peer(name, address, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec))


@contextmanager
def cluster(lab: Lab, settings: Settings | None = None) -> Iterator[Cluster]:
    """Build a cluster in an empty lab, and start it; the caller stands on its control plane."""
    control = lab.host("control", "10.0.0.5/24", "2001:db8:10::5/64")
    with standing_on(control):
        plane = ControlPlane(control)
        try:
            yield _started(lab, plane, Settings() if settings is None else settings)
        finally:
            plane.stop()


def _started(lab: Lab, plane: ControlPlane, settings: Settings) -> Cluster:
    try:
        plane.start()
        made = Cluster(lab, plane, settings)
        made.start()
    except Exception as error:
        error.add_note(lab.report())
        raise
    return made


def load_balancer(name: str, *, pool: str, policy: str, app: str) -> Object:
    """Return a Service of both families."""
    made = reference("v1", "Service", name, "default")
    made["metadata"]["annotations"] = {"metallb.io/address-pool": pool}
    made["spec"] = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": policy,
        "allocateLoadBalancerNodePorts": False,
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"port": 80, "targetPort": POD_PORT}],
        "selector": {"app": app},
    }
    return made


def by_default(host: Host, gateway: str, gateway6: str) -> None:
    """Give a host its default routes."""
    host.ip("route", "add", "default", "via", gateway)
    host.ip("-6", "route", "add", "default", "via", gateway6)


def same(one: str, other: str) -> bool:
    """Tell whether two addresses are of one family."""
    return (":" in one) == (":" in other)
