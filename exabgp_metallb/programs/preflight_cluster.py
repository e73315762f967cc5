"""What the Kubernetes API has to have for a program: rights, definitions, nobody in the way.

The definitions are looked at by the fields that the API serves: what it does not know it drops
without a word, so that an old definition would lose what somebody wrote.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.kinds import KINDS, METALLB
from exabgp_metallb.adapters.kubernetes.reviews import Right, found, may, served_fields
from exabgp_metallb.errors import SourceError
from exabgp_metallb.programs import tenure
from exabgp_metallb.programs.bfd_daemons import AUTO, Need, not_installed
from exabgp_metallb.programs.known_objects import LATER_KIND
from exabgp_metallb.programs.options import Options
from exabgp_metallb.programs.preflight import (
    Check,
    Finding,
    Findings,
    Result,
    Role,
    lacking_capabilities,
)
from exabgp_metallb.programs.start import CLUSTER_KINDS

WEBHOOKS = (
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"
    "metallb-webhook-configuration"
)
BFDD_CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_ADMIN": 21}
"""What bfdd insists on at its start (bfdd.c), by number in <linux/capability.h>."""

SHOWN = 5  # fields in one message; who lacks more lacks the whole definition

_STATES = ("bgpsessionstates", "configurationstates", "servicebgpstatuses", "servicel2statuses")


def rights(role: Role) -> frozenset[Right]:
    """Return what a program asks of the API; etc/kubernetes/rbac grants this and nothing else."""
    if role is Role.CONTROLLER:
        return _reads(tenure.KINDS) | _CONTROLLER_WRITES
    return _reads(CLUSTER_KINDS | {LATER_KIND}) | _SPEAKER_WRITES


def _reads(kinds: frozenset[str]) -> frozenset[Right]:
    return frozenset(
        Right(
            verb=verb,
            group=kind.group,
            resource=kind.plural,
            name=kind.field_selector.removeprefix("metadata.name="),
            everywhere=not kind.local,
        )
        for kind in (KINDS[name] for name in kinds)
        for verb in ("list", "watch")
    )


_EVENTS = Right(verb="create", resource="events", everywhere=True)
_LEASE = partial(Right, group="coordination.k8s.io", resource="leases")
_OWN_STATE = partial(Right, group=METALLB, name="controller")

_CONTROLLER_WRITES = frozenset(
    {
        _EVENTS,
        Right(verb="patch", resource="services/status", everywhere=True),
        Right(verb="patch", group=METALLB, resource="ipaddresspools/status"),
        *(_OWN_STATE(verb=v, resource="configurationstates") for v in ("create", "get", "patch")),
        _OWN_STATE(verb="patch", resource="configurationstates/status"),
        *(_LEASE(verb=verb, name="exabgp-metallb-controller") for verb in ("get", "update")),
        _LEASE(verb="create"),
    }
)
_SPEAKER_WRITES = frozenset(
    {
        _EVENTS,
        *(
            Right(verb=verb, group=METALLB, resource=plural)
            for plural in _STATES
            for verb in ("create", "delete", "list", "patch")
        ),
        *(Right(verb="patch", group=METALLB, resource=f"{plural}/status") for plural in _STATES),
    }
)

FIELDS = {
    ("v1beta1", "BFDProfile"): """spec.receiveInterval spec.transmitInterval spec.detectMultiplier
        spec.echoInterval spec.echoMode spec.passiveMode spec.minimumTtl""",
    ("v1beta1", "BGPAdvertisement"): """spec.ipAddressPools spec.ipAddressPoolSelectors
        spec.aggregationLength spec.aggregationLengthV6 spec.localPref spec.med spec.asPathPrepend
        spec.linkBandwidth spec.communities spec.nodeSelectors spec.peers spec.serviceSelectors""",
    ("v1beta2", "BGPPeer"): """spec.myASN spec.peerASN spec.dynamicASN spec.localASN
        spec.peerAddress spec.interface spec.sourceAddress spec.peerPort spec.holdTime
        spec.keepaliveTime spec.connectTime spec.routerID spec.nodeSelectors spec.password
        spec.passwordSecret spec.bfdProfile spec.enableGracefulRestart spec.ebgpMultiHop spec.vrf
        spec.disableMP spec.dualStackAddressFamily""",
    ("v1beta1", "BGPSessionState"): """status.node status.peer status.peerAddress status.vrf
        status.bgpStatus status.bfdStatus status.since status.lastError""",
    ("v1beta1", "Community"): "spec.communities",
    ("v1beta1", "ConfigurationState"): "status.result status.errorSummary status.conditions",
    ("v1beta1", "IPAddressPool"): """spec.addresses spec.autoAssign spec.avoidBuggyIPs
        spec.serviceAllocation spec.serviceAllocation.priority spec.serviceAllocation.namespaces
        spec.serviceAllocation.namespaceSelectors spec.serviceAllocation.serviceSelectors
        spec.serviceAllocation.maxPerNamespace status.assignedIPv4 status.assignedIPv6
        status.availableIPv4 status.availableIPv6""",
    ("v1beta1", "L2Advertisement"): """spec.ipAddressPools spec.ipAddressPoolSelectors
        spec.nodeSelectors spec.interfaces spec.serviceSelectors spec.preferredNodeSelectors""",
    ("v1beta1", "ServiceBGPStatus"): """status.node status.serviceName status.serviceNamespace
        status.peers""",
    ("v1beta1", "ServiceL2Status"): """status.node status.serviceName status.serviceNamespace
        status.interfaces""",
}
"""By version and kind, what this program reads and writes of our definitions."""


def cluster_checks(role: Role) -> dict[str, Check]:
    """Return the checks of the cluster that a command needs, by name; none with --manifests."""
    if role is Role.RESPONDER:
        return {}
    cluster = _Cluster(role)
    checks: dict[str, Callable[[Options, Connection], Findings]] = {
        "rights": cluster.rights,
        "definitions": cluster.definitions,
        "webhooks": cluster.webhooks,
    }
    if role is Role.RUN:
        checks["bfd"] = cluster.bfd
    return {"api": cluster.api, **{n: partial(cluster.ask, n, c) for n, c in checks.items()}}


class _Cluster:
    """The checks of one cluster, which share a connection."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._connection: Connection | None = None

    def api(self, options: Options) -> Findings:
        """Look whether the API can be reached, and knows who we are."""
        if options.manifests is not None:
            message = f"not needed: objects come from {options.manifests}"
            yield Finding(check="api", result=Result.SKIPPED, message=message)
            return
        file = options.kubeconfig
        load = config.in_cluster if file is None else partial(config.kubeconfig, file)
        try:
            connection = Connection(load, now=time.monotonic)
            may(connection, next(iter(rights(self._role))), options.namespace)
        except SourceError as error:
            yield _unanswered("api", error, "correct --kubeconfig, or the pod's account and token")
        else:
            self._connection = connection
            yield Finding(check="api", result=Result.OK, message=f"{connection.place} answers")

    def ask(
        self, name: str, check: Callable[[Options, Connection], Findings], options: Options
    ) -> Findings:
        """Make a check, if there is anybody to ask."""
        if self._connection is None:
            yield Finding(check=name, result=Result.SKIPPED, message="no API to ask")
            return
        try:
            yield from check(options, self._connection)
        except SourceError as error:
            yield _unanswered(name, error, f"correct that, or --skip {name}")

    def rights(self, options: Options, connection: Connection) -> Findings:
        """Look whether we may do all that the program does."""
        wanted = sorted(rights(self._role))
        lacking = [right for right in wanted if not may(connection, right, options.namespace)]
        account = "controller" if self._role is Role.CONTROLLER else "speaker"
        for right in lacking:
            where = "" if right.everywhere else f" in namespace {options.namespace}"
            yield Finding(
                check="rights",
                result=Result.ERROR,
                message=f"this account may not {right}{where}",
                remedy=f"apply etc/kubernetes/rbac/{account}.yaml, and use its ServiceAccount",
            )
        if not lacking:
            message = f"all {len(wanted)} are there"
            yield Finding(check="rights", result=Result.OK, message=message)

    def definitions(self, _options: Options, connection: Connection) -> Findings:
        """Look whether the API serves our definitions, with all of their fields."""
        faults = [*_outdated(connection)]
        yield from faults
        if not faults:
            message = f"{len(FIELDS)} kinds with all of their fields"
            yield Finding(check="definitions", result=Result.OK, message=message)

    def webhooks(self, _options: Options, connection: Connection) -> Findings:
        """Look whether MetalLB's webhooks are left behind, for whoever may see them."""
        try:
            left = found(connection, WEBHOOKS)
        except ApiError as error:
            message = f"not looked at: {error}"
            yield Finding(check="webhooks", result=Result.SKIPPED, message=message)
            return
        if left is None:
            yield Finding(check="webhooks", result=Result.OK, message="none of MetalLB's")
            return
        yield Finding(
            check="webhooks",
            result=Result.WARNING,
            message="MetalLB's webhooks are asked about each metallb.io object: without MetalLB "
            "nobody answers them, and the API refuses every change",
            remedy="when MetalLB is gone: kubectl delete validatingwebhookconfiguration "
            "metallb-webhook-configuration",
        )

    def bfd(self, options: Options, connection: Connection) -> Findings:
        """Look whether FRR's bfdd is there, if a BGPPeer has a BFDProfile."""
        if options.bfd != AUTO:
            message = "bfdd is not ours to start"
            yield Finding(check="bfd", result=Result.SKIPPED, message=message)
            return
        answer = found(connection, KINDS["BGPPeer"].path(options.namespace)) or {}
        specs = (peer.get("spec") or {} for peer in answer.get("items") or ())
        used = any(spec.get("bfdProfile") for spec in specs)
        faults = [*_bfd_faults()] if used else []
        for message, remedy in faults:
            yield Finding(
                check="bfd",
                result=Result.WARNING,
                message=f"a BGPPeer has a BFDProfile, and its session runs without BFD: {message}",
                remedy=remedy,
            )
        if not faults:
            message = "bfdd can be started" if used else "no BGPPeer has a BFDProfile"
            yield Finding(check="bfd", result=Result.OK, message=message)


def _bfd_faults() -> Iterator[tuple[str, str]]:
    """Yield why FRR's daemons cannot be started, with the remedy."""
    for program in not_installed(Need.ZEBRA_TOO):
        yield f"{program} is not installed", "install Debian's package frr, or set --bfd"
    if lacking := lacking_capabilities(BFDD_CAPABILITIES):
        remedy = (
            "run it by itself, and name the folder of its sockets by --bfd: "
            "etc/kubernetes/components/bfd, or speaker.bfd.enabled of the chart, or the unit "
            "exabgp-metallb-bfd"
        )
        yield f"bfdd does not start without {', '.join(lacking)}", remedy


def _unanswered(check: str, error: SourceError, remedy: str) -> Finding:
    """Return the finding for an API that did not do as asked.

    One that is away is only a warning: a node that starts while it is has to announce what it knows
    from before.
    """
    away = isinstance(error, ApiError) and error.status is None
    return Finding(
        check=check,
        result=Result.WARNING if away else Result.ERROR,
        message=str(error),
        remedy="start all the same: what is kept on disk stands in" if away else remedy,
    )


def _outdated(connection: Connection) -> Iterator[Finding]:
    remedy = "kubectl apply --server-side --force-conflicts -k etc/kubernetes/crds"
    versions = {version for version, _ in FIELDS}
    served = {version: served_fields(connection, METALLB, version) for version in versions}
    for (version, kind), words in FIELDS.items():
        fields = served[version].get(kind)
        lacking = () if fields is None else tuple(w for w in words.split() if w not in fields)
        if fields is None:
            message = f"{kind} of {METALLB}/{version} is not installed"
        elif lacking:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            message = (
                f"the definition of {kind} is an old one, or another program's: it drops "
                f"{', '.join(lacking[:SHOWN])}{more}"
            )
        else:
            continue
        yield Finding(check="definitions", result=Result.ERROR, message=message, remedy=remedy)
