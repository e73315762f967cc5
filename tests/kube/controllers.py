"""Controllers as real processes before a real API, and a judge who watches what they do."""

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals
from typing import Self

import yaml
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.kube.client import Client, Object, reference
from tests.kube.process import Process
from tests.kube.server import ApiServer

ETC = Path(__file__).parents[2] / "etc" / "kubernetes"
CRDS, RBAC = ETC / "crds", ETC / "rbac"
LEASE_SECONDS = 60  # four times what a cluster has: who leads is not what most tests are about
SHORTEST_SECONDS = 3  # for those that wait for its end; any pause of the machine may end it, too
CALLERS = 6  # who create or delete at once


class OurProcess:
    """One of our programs, and what it says.

    Args:
        command: the word that follows exabgp-metallb.
        kubeconfig: whose rights it has.
        namespace: of the installation.
        log: what it says.
        options: more words.
    """

    def __init__(
        self, command: str, kubeconfig: Path, namespace: str, log: Path, *options: str
    ) -> None:
        self.log = log
        self._process = Process(Path(sys.executable), log)
        self._arguments = [
            *("-m", "exabgp_metallb", command, "--log-format", "json"),
            *("--kubeconfig", str(kubeconfig), "--namespace", namespace, *options),
        ]

    def start(self) -> None:
        """Begin a life."""
        self._process.start(self._arguments)

    def stop(self, how: Signals = Signals.SIGTERM) -> None:
        """End it."""
        self._process.stop(how)

    @property
    def pid(self) -> int | None:
        """The process id, None while there is none."""
        return self._process.pid

    def check(self) -> None:
        """Raise when it has ended by itself."""
        self._process.check()

    def lines(self) -> list[str]:
        """Return what it has said in all its lives, in whole lines: it may be writing one now."""
        if not self.log.exists():
            return []
        whole, _, _ = self.log.read_bytes().rpartition(b"\n")
        records = [json.loads(line) for line in whole.split(b"\n") if line[:1] == b"{"]
        return [str(record["record"]["message"]) for record in records]

    def said(self, words: str, *, since: int = 0) -> bool:
        """Tell whether a line holds these words, of those after so many."""
        return any(words in line for line in self.lines()[since:])


class ControllerProcess(OurProcess):
    """One replica."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path, *options: str) -> None:
        super().__init__("controller", kubeconfig, namespace, log, *options)


def rbac(
    namespace: str, *, of: str = "controller", without: tuple[str, str] | None = None
) -> list[Object]:
    """Return a program's ServiceAccount and rights, for another install namespace.

    Args:
        namespace: of the installation.
        of: controller or speaker.
        without: a verb and a resource; the rule that has them is left out.
    """
    text = (RBAC / f"{of}.yaml").read_text().replace("metallb-system", namespace)
    documents: list[Object] = list(yaml.safe_load_all(text))
    if without is not None:
        verb, resource = without
        for document in documents:
            for rule in [*document.get("rules", ())]:
                if verb in rule["verbs"] and resource in rule["resources"]:
                    document["rules"].remove(rule)
    return documents


def account(
    kube: ApiServer,
    namespace: str,
    *,
    of: str = "controller",
    without: tuple[str, str] | None = None,
) -> Path:
    """Create a program's ServiceAccount, and return its kubeconfig; see `rbac`."""
    documents = rbac(namespace, of=of, without=without)
    for document in documents:
        kube.client.apply(document)
    name = f"exabgp-metallb-{of}"
    kube.wait_granted(namespace, name, (each for each in documents if "rules" in each))
    return kube.service_account_kubeconfig(namespace, name)


def pool(namespace: str, name: str, *addresses: str, **spec: object) -> Object:
    """Return an IPAddressPool."""
    spec = {"addresses": [*addresses], **spec}
    return {**reference("metallb.io/v1beta1", "IPAddressPool", name, namespace), "spec": spec}


def service(namespace: str, name: str, **annotations: str) -> Object:
    """Return a Service of type LoadBalancer; annotations without their prefix, `_` for `-`."""
    made = reference("v1", "Service", name, namespace)
    texts = {f"metallb.io/{key.replace('_', '-')}": text for key, text in annotations.items()}
    made["metadata"]["annotations"] = texts
    spec = {
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": False,
        "ports": [{"port": 80}],
        "selector": {"app": name},
    }
    return {**made, "spec": spec}


def addresses_of(shown: Object) -> tuple[str, ...]:
    """Return the addresses that a Service shows."""
    ingress = shown.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    return tuple(entry.get("ip") or entry.get("hostname") or "" for entry in ingress)


def condition_of(shown: Object) -> Object:
    """Return our condition on a Service; empty without one."""
    found = shown.get("status", {}).get("conditions") or ()
    return next((c for c in found if c["type"] == "metallb.io/AddressAllocated"), {})


def events(kube: ApiServer, namespace: str, name: str | None = None) -> list[tuple[str, str]]:
    """Return reason and message of our Events on a Service, or on all.

    The API server writes some of its own, when it repairs what it keeps about cluster IPs.
    """
    return [
        (event["reason"], event["message"])
        for event in kube.client.list("v1", "Event", namespace)["items"]
        if name in (None, event["involvedObject"]["name"])
        and event["source"].get("component") == "metallb-controller"
    ]


def create_all(kubeconfig: Path, objects: list[Object]) -> None:
    """Create objects as fast as the API takes them."""
    clients = threading.local()

    def create(obj: Object) -> None:
        if not hasattr(clients, "client"):
            clients.client = Client(kubeconfig)
        clients.client.create(obj)

    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(create, objects))


class Judge:
    """Watches every Service in the cluster, and notes what must never be.

    The events of a kind come in the order in which the cluster has changed, so what is kept here
    was true at some moment after each of them. After a restart of the server, which forgets old
    events, everything is read again; what changed unseen is not judged.

    Attributes:
        shown: by uid, the Service as it was last.
        doubles: moments at which two Services showed one address.
        moves: changes of addresses that nobody asked for.
        events: how many changes were seen.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._client = Client(kubeconfig)
        self._version = ""
        self.shown: dict[str, Object] = {}
        self._holders: dict[str, set[str]] = {}  # uids by address
        self._asked: set[str] = set()  # uids whose owners asked since the address changed last
        self.doubles: list[str] = []
        self.moves: list[str] = []
        self.events = 0
        self.errors: list[BaseException] = []
        self._read()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(120.0)

    def verdict(self) -> None:
        """Assert that nothing was seen that must never be."""
        assert self.errors == [], self.errors
        assert self.doubles == [], "\n".join(self.doubles)
        assert self.moves == [], "\n".join(self.moves)

    def given(self) -> dict[str, str]:
        """Return which Service shows which address, for those with addresses."""
        return {
            shown["metadata"]["name"]: addresses_of(shown)[0]
            for shown in [*self.shown.values()]
            if addresses_of(shown)
        }

    def caught_up(self, kube: ApiServer) -> bool:
        """Tell whether all has been seen that is in the cluster now."""
        items = kube.client.list("v1", "Service")["items"]
        versions = {i["metadata"]["uid"]: i["metadata"]["resourceVersion"] for i in items}
        seen = {uid: s["metadata"]["resourceVersion"] for uid, s in [*self.shown.items()]}
        return versions == seen

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watch()
            except (ApiException, HTTPError, OSError, json.JSONDecodeError):
                self._stopping.wait(0.1)  # the server is away
            except Exception as error:
                self.errors.append(error)
                raise

    def _watch(self) -> None:
        watch = self._client.watch(
            "v1", "Service", resource_version=self._version, timeout_seconds=5
        )
        with watch as stream:
            for event in stream:
                found = event["object"]
                if event["type"] == "ERROR":
                    self._read()
                    return
                self._version = found["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self._drop(found)
                elif event["type"] != "BOOKMARK":
                    self.events += 1
                    self._take(found)

    def _read(self) -> None:
        """Take everything as it is now."""
        listed = self._client.list("v1", "Service")
        for gone in [*self.shown.values()]:
            self._drop(gone)
        for item in listed["items"]:
            self._take(item)
        self._version = listed["metadata"]["resourceVersion"]

    def _drop(self, gone: Object) -> None:
        uid = gone["metadata"]["uid"]
        for address in addresses_of(self.shown.pop(uid, {})):
            self._holders[address].discard(uid)

    def _take(self, found: Object) -> None:
        uid = found["metadata"]["uid"]
        before = self.shown.get(uid)
        if before is not None:
            self._drop(before)
            if addresses_of(before) not in ((), addresses_of(found)):
                if uid not in self._asked and not asks(found):
                    self.moves.append(told(before, found))
                self._asked.discard(uid)
        if asks(found):
            self._asked.add(uid)  # also when it is taken back: the answer may be on its way
        self.shown[uid] = found
        for address in addresses_of(found):
            holders = self._holders.setdefault(address, set())
            holders.add(uid)
            if len(holders) > 1:
                names = sorted(self.shown[each]["metadata"]["name"] for each in holders)
                self.doubles.append(f"{address}: {' and '.join(names)}")


def asks(found: Object) -> bool:
    """Tell whether the owner of a Service asks for another address than it shows, or for none."""
    if found["spec"]["type"] != "LoadBalancer":
        return True
    wanted = (found["metadata"].get("annotations") or {}).get("metallb.io/loadBalancerIPs")
    return wanted is not None and (wanted,) != addresses_of(found)


def told(before: Object, after: Object) -> str:
    """Return a line about a move."""
    name = after["metadata"]["name"]
    return f"{name}: {addresses_of(before)} to {addresses_of(after)}: {condition_of(after)}"


def leader(kube: ApiServer, namespace: str) -> str:
    """Return the identity of the leader; "" for none."""
    lease = reference("coordination.k8s.io/v1", "Lease", "exabgp-metallb-controller", namespace)
    try:
        holder = kube.client.get(lease)["spec"].get("holderIdentity")
    except ApiException:
        return ""
    return str(holder or "")


def is_long() -> bool:
    """Tell whether the long form of the tests is wanted: EXABGP_METALLB_LONG=1."""
    return os.environ.get("EXABGP_METALLB_LONG", "") not in ("", "0")
