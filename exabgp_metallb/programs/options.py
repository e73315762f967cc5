"""How the node's programs are called: what the command line and the environment say.

`run` does not start the speaker itself, ExaBGP does, and its configuration file holds no settings
of ours. So `run` hands its options on as the environment variables that are their twins.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from exabgp_metallb.values.objects import NodeName
from exabgp_metallb.values.orders import Failback, SubnetRule

CONF_NAME = "exabgp.conf"
KUBECONFIG_CREDENTIAL = "kubeconfig"
LAST_GOOD_NAME = "last-good.jsonl"
LEASES_NAME = "leases.json"
ORDERS_NAME = "orders.sock"
SOCKET_NAME = "speaker.sock"
PREFIX = "EXABGP_METALLB_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options that `run` and `speaker` share.

    Attributes:
        node: our name among the Nodes.
        namespace: where metallb.io resources and the legacy ConfigMap live.
        lb_class: spec.loadBalancerClass of the Services that are ours; None: those without.
        manifests: a folder or file of manifests to follow; None reads the Kubernetes API.
        kubeconfig: None takes the pod's own account.
        state_dir: the rendered exabgp.conf and the last good snapshot.
        managed: we render exabgp.conf; otherwise it is somebody else's and holds our process.
        process: our name in the process sections of somebody else's exabgp.conf.
        metrics: where to serve metrics and health; None serves none.
        drain_seconds: that routers are given to turn to other nodes before the node stops; 0: it
            stops as if it crashed.
        bfd: "auto": `run` starts FRR's bfdd when a BFDProfile is used; "off"; or the folder of the
            sockets of a bfdd that somebody else runs.
        orders: where the responder gets its orders; None: in the state folder.
        orders_group: whose members may be the responder, beside root and our own user.
        l2_subnet: see `values.orders`; as the next two.
        l2_failback: what an owner does when a better candidate is back.
        l2_refresh: seconds between gratuitous announcements at rest; None: none.
        ignore_exclude_lb: a Node with the label exclude-from-external-load-balancers announces as
            any other.
        service_bgp_status: "on", or "off": this node writes no ServiceBGPStatus.
        without_exabgp: there is no ExaBGP, and layer 2 is all that is done.
        log_level: debug, info, warning or error.
        log_format: text or json.
    """

    node: NodeName
    namespace: str
    lb_class: str | None
    manifests: Path | None
    kubeconfig: Path | None
    state_dir: Path
    managed: bool
    process: str
    metrics: tuple[str, int] | None = None
    drain_seconds: float = 5.0
    bfd: str = "auto"
    orders: Path | None = None
    orders_group: str | None = None
    l2_subnet: SubnetRule = SubnetRule.PREFER
    l2_failback: Failback = Failback.AUTO
    l2_refresh: float | None = None
    ignore_exclude_lb: bool = False
    service_bgp_status: str = "on"
    without_exabgp: bool = False
    log_level: str = "info"
    log_format: str = "text"

    @property
    def conf(self) -> Path:
        """The exabgp.conf of the managed mode."""
        return self.state_dir / CONF_NAME

    @property
    def last_good(self) -> Path:
        """The last good snapshot."""
        return self.state_dir / LAST_GOOD_NAME

    @property
    def leases(self) -> Path:
        """The addresses given to Services where there is no cluster to keep them."""
        return self.state_dir / LEASES_NAME

    @property
    def socket(self) -> Path:
        """The control socket of the speaker."""
        return self.state_dir / SOCKET_NAME

    @property
    def orders_socket(self) -> Path:
        """Where the responder gets its orders."""
        return self.orders or self.state_dir / ORDERS_NAME

    def environment(self) -> dict[str, str]:
        """Return the variables that give these options to the speaker below `run`.

        An option that is not given is an empty one, so that nothing inherited takes its place.
        """
        metrics = None if self.metrics is None else written(self.metrics)
        options = {
            "node": self.node,
            "namespace": self.namespace,
            "lb_class": self.lb_class,
            "manifests": self.manifests and self.manifests.absolute(),
            "kubeconfig": self.kubeconfig and self.kubeconfig.absolute(),
            "state_dir": self.state_dir.absolute(),
            "process": self.process,
            "managed": str(self.managed).lower(),
            "metrics": metrics,
            "drain_seconds": self.drain_seconds,
            "bfd": self.bfd,
            "orders": self.orders and self.orders.absolute(),
            "orders_group": self.orders_group,
            "l2_subnet": self.l2_subnet,
            "l2_failback": self.l2_failback,
            "l2_refresh": self.l2_refresh,
            "ignore_exclude_lb": str(self.ignore_exclude_lb).lower(),
            "service_bgp_status": self.service_bgp_status,
            "log_level": self.log_level,
            "log_format": self.log_format,
        }
        return {f"{PREFIX}{k.upper()}": "" if v is None else str(v) for k, v in options.items()}


def written(address: tuple[str, int]) -> str:
    """Return a host and port as a person writes them."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def default_state_dir() -> Path:
    """Return systemd's StateDirectory=, /var/lib for root, else the user's own state folder.

    XDG Base Directory Specification: $XDG_STATE_HOME, by default ~/.local/state.
    """
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/exabgp-metallb")
    home = os.environ.get("XDG_STATE_HOME") or _home() / ".local" / "state"
    return Path(home) / "exabgp-metallb"


def _home() -> Path:
    """Return the user's home; that of one whom no database knows, as of DynamicUser=, is /."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def credential(name: str) -> Path | None:
    """Return systemd's credential of a name, None where it has given us none: systemd.exec(5)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / name
    return path if folder and path.exists() else None
