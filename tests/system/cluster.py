"""The whole system: control plane, nodes with kube-proxy and our programs, pods, a router, clients.

::

    client --- tor ===== lan ====== control      etcd, kube-apiserver, kube-controller-manager
    10.1.0.2   FRR  10.0.0.0/24 |
                                +-- node1        kube-proxy; exabgp-metallb run and responder
                                |     +-- web1   a pod: an HTTP server in 10.244.1.0/24
                                |     +-- controller1   a pod: exabgp-metallb controller,
                                |                       which else is a unit of the node
                                +-- node2, node3 the same; no pods of ours on the last node
                                +-- neighbor     a host on the nodes' own segment

Each address has an IPv6 twin. Kubelets and the pod network are the test's: it writes what a kubelet
says of node and pod, and lays static routes between the nodes.
"""

import base64
import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Host, Lab, LabError
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    advertisement,
    bfd_profile,
    l2_advertisement,
    node,
    peer,
    pool,
)
from tests.integration.nodes import PROGRAM
from tests.kube import build
from tests.kube.build import Program
from tests.kube.client import Object, reference
from tests.kube.controllers import addresses_of
from tests.kube.rendered import NAMESPACE, Container, containers, overlay
from tests.kube.server import ApiServer
from tests.system.agents import Agent, Agents, ContainerAgent, Pod
from tests.system.control_plane import ControlPlane, standing_on
from tests.system.units import Machine

SECONDS = 120.0
ROUTER_ASN, NODE_ASN = 64512, 64513
HOLD_SECONDS = 9
CLUSTER_CIDR = "10.244.0.0/16,fd00:244::/48"
POD_PORT = 8080
RULES = ("service-ips", "no-endpoint-services")  # maps in kube-proxy's table
CONTROLLERS = 2  # as the Deployment has it; of the units one is enough

POOLS = {
    "routed": ("192.0.2.0/24", "2001:db8:192::/120"),
    "bridged": ("10.0.0.100-10.0.0.119", "2001:db8:10::100-2001:db8:10::11f"),
    "both": ("10.0.0.200-10.0.0.219", "2001:db8:10::200-2001:db8:10::21f"),
}
"""By BGP alone, on layer 2 alone, in both modes; the last two are in the nodes' own subnets."""


PEERS = ("tor", "tor6")
NOTIFICATIONS = 512  # of a unit that nobody has read: systemd sets this too (core/main.c)
BFD = "watched"  # the profile of both ends


class Form(enum.Enum):
    """In which form our programs are deployed."""

    MANIFESTS = "manifests"
    UNITS = "units"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a cluster is made with.

    Attributes:
        nodes: how many; at least three have every kind of test make sense.
        proxy_seconds: the least time between two rounds of kube-proxy; by its default.
    """

    nodes: int = 3
    proxy_seconds: float = 1.0


class Node:
    """One node: its host, kube-proxy, and our programs on it.

    Attributes:
        agents: our programs; none before the cluster has them.
    """

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self.number = number
        self.name = f"node{number}"
        host = cluster.lab.host(self.name, f"10.0.0.1{number}/24", f"2001:db8:10::1{number}/64")
        self.host = host
        host.attach(f"10.244.{number}.1/24", f"fd00:244:0:{number}::1/64", segment=self.segment)
        host.forward()
        by_default(host, "10.0.0.1", "2001:db8:10::1")
        self.proxy = self._kube_proxy(cluster)
        self.agents: Agents[Agent] = Pod()

    @property
    def speaker(self) -> Agent:
        """Its `run`."""
        return self.agents.speaker

    @property
    def responder(self) -> Agent:
        """Its responder."""
        return self.agents.responder

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

    def restart(self) -> None:
        """Replace our programs: the old ones end before the new ones begin."""
        self.agents.stop()
        self.agents.start()
        self.agents.wait_ready()

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
        controllers: all of them.
        services: by name, the addresses of the Services that `serve` made.
    """

    def __init__(self, lab: Lab, plane: ControlPlane, settings: "Settings") -> None:
        self.lab = lab
        self.settings = settings
        self.plane = plane
        self.api: ApiServer = plane.api
        self.services: dict[str, tuple[str, ...]] = {}
        self.controllers: Sequence[Agent] = ()
        self.tor = lab.host("tor", "10.0.0.1/24", "2001:db8:10::1/64")
        self.tor.attach("10.1.0.1/24", "2001:db8:11::1/64", segment="clients")
        self.client = lab.host("client", "10.1.0.2/24", "2001:db8:11::2/64", segment="clients")
        by_default(self.client, "10.1.0.1", "2001:db8:11::1")
        self.neighbor = lab.host("neighbor", "10.0.0.50/24", "2001:db8:10::50/64")
        self.containers = self._install()
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
        self._configure()

    def start(self) -> None:
        """Start all that is not ours."""
        self.router.start()
        for each in self.nodes:
            each.proxy.start()

    def use(self, form: Form, *, drain_seconds: float = 5.0) -> None:
        """Have our programs in this form and in no other, and wait until they are ready.

        Args:
            form: how they are deployed.
            drain_seconds: of each `run`.
        """
        self._end_all()
        take = self._take_pods if form is Form.MANIFESTS else self._take_units
        pods = take({"EXABGP_METALLB_DRAIN_SECONDS": f"{drain_seconds:g}"})
        for each in self.nodes:
            each.agents.start()
        for agent in pods:
            agent.start()
        for each in self.nodes:
            each.agents.wait_ready()
        for agent in pods:
            agent.wait_ready()

    def watch(self, *, interval_ms: int) -> None:
        """Have the router and the nodes watch each other with BFD; three packets may miss."""
        intervals = {"receiveInterval": interval_ms, "transmitInterval": interval_ms}
        self.api.client.apply(bfd_profile(BFD, detectMultiplier=3, **intervals))
        words = (f"receive-interval {interval_ms}", f"transmit-interval {interval_ms}")
        self.router.bfd(f"profile {BFD}", "detect-multiplier 3", *words)
        for name in PEERS:
            there = reference("metallb.io/v1beta2", "BGPPeer", name, NAMESPACE)
            self.api.client.patch(there, {"spec": {"bfdProfile": BFD}})
        for neighbor in self.router.config.neighbors:
            self.router.watch(neighbor.address, BFD)
        for neighbor in self.router.config.neighbors:
            self.router.wait_bfd(neighbor.address)

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
        """Apply what we ship for either form, and return our containers by name."""
        objects = overlay("both")
        definitions = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        self.api.client.install_crds(definitions)
        more = [each for each in overlay("host-units") if each not in objects]
        for each in (*objects, *more):
            if each not in definitions:
                self.api.client.apply(each)
        return {each.name: each for each in containers(objects) if not each.init}

    def _take_pods(self, env: Mapping[str, str]) -> Sequence[ContainerAgent]:
        """Make our programs of the manifests, and return those that are no part of a node."""
        speaker, responder = self.containers["speaker"], self.containers["responder"]
        account = self.api.service_account_kubeconfig(NAMESPACE, "exabgp-metallb-speaker")
        for each in self.nodes:
            each.agents = Pod(
                ContainerAgent(each.host, speaker, account, env),
                ContainerAgent(each.host, responder, None),
            )
        made = [self._controller(each) for each in self.nodes[:CONTROLLERS]]
        self.controllers = made
        return made

    def _take_units(self, options: Mapping[str, str]) -> Sequence[ContainerAgent]:
        """Make our programs of the units, all of them of nodes."""
        account = self.api.service_account_kubeconfig(NAMESPACE, "exabgp-metallb-controller")
        credentials = {
            "exabgp-metallb-speaker.kubeconfig": self._lasting_kubeconfig("exabgp-metallb-speaker"),
            "exabgp-metallb-controller.kubeconfig": account,
        }
        machines = []
        for number, each in enumerate(self.nodes):
            controller = [] if number else ["controller"]
            machine = Machine(
                each.host,
                ["bfd", "speaker", "responder", *controller],
                options=options,
                credentials=credentials,
            )
            each.agents = machine
            machines.append(machine)
        self.controllers = [machines[0].agents["controller"]]
        return []

    def _lasting_kubeconfig(self, account: str) -> Path:
        """Return a kubeconfig of the token in a Secret, as docs/install-systemd.md has it made."""
        secret = reference("v1", "Secret", account, NAMESPACE)
        token = wait_for(
            lambda: self.api.client.get(secret).get("data", {}).get("token"),
            SECONDS,
            lambda: f"a token for {account}\n{self.lab.report()}",
        )
        return self.api.token_kubeconfig(base64.b64decode(token).decode())

    def _end_all(self) -> None:
        """End all of our programs at the same time."""
        every = {*self.controllers, *(agent for each in self.nodes for agent in each.agents)}
        for agent in every:
            agent.daemon.send(SIGTERM)
        for agent in every:
            agent.daemon.stop()

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

    def _controller(self, where: Node) -> ContainerAgent:
        name = f"controller{where.number}"
        host = self.lab.hosts.get(name) or self._pod_host(name, where, 5)
        account = self.api.service_account_kubeconfig(NAMESPACE, "exabgp-metallb-controller")
        return ContainerAgent(host, self.containers["controller"], account, {"HOSTNAME": host.name})

    def _configure(self) -> None:
        """Write what an administrator writes."""
        client = self.api.client
        for name, ranges in POOLS.items():
            client.create(pool(name, *ranges))
        client.create(advertisement("routed", ipAddressPools=["routed", "both"]))
        client.create(l2_advertisement("bridged", ipAddressPools=["bridged", "both"]))
        for name, address in zip(PEERS, (self.tor.ipv4, self.tor.ipv6), strict=True):
            spec: dict[str, object] = {
                "holdTime": f"{HOLD_SECONDS}s",
                "keepaliveTime": f"{HOLD_SECONDS // 3}s",
                "enableGracefulRestart": True,
            }
            client.create(peer(name, address, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec))


@contextmanager
def cluster(lab: Lab, settings: Settings | None = None) -> Iterator[Cluster]:
    """Build a cluster in an empty lab, and start it; the caller stands on its control plane.

    Our programs come with `use`.
    """
    control = lab.host("control", "10.0.0.5/24", "2001:db8:10::5/64")
    control.sysctl({"net.unix.max_dgram_qlen": NOTIFICATIONS})
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
