"""A kube-apiserver and its etcd on loopback, which a test can take away and bring back.

etcd keeps its data in a folder and runs from `Etcd.start` to `Etcd.stop`. The kube-apiserver
before it can be stopped and started any number of times: same port, same keys, same objects. No
controller manager runs, so nothing makes default ServiceAccounts or EndpointSlices, and nothing
collects garbage; tests write what they need.

Two ways to a 410 Gone. Each kube-apiserver keeps the recent events of every kind in memory and so
hides what etcd forgot: `forget_history` compacts etcd and starts the server anew, as an upgrade of
a control plane does. Or the server is started with `uncached=["services"]`: their watches go
straight to etcd, and `Etcd.compact` alone makes old versions Gone while connections stay.
"""

import base64
import json
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from signal import SIGTERM, Signals

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.kube.certificates import Authority, TokenKey
from tests.kube.client import Client, Object, reference
from tests.kube.etcd import Etcd
from tests.kube.polling import wait_until
from tests.kube.process import LOOPBACK, Process, free_ports

ISSUER = "https://kubernetes.default.svc"
CLUSTER_IP_RANGES = "10.96.0.0/16,fd00:96::/112"  # both families, IPv4 first
READY_SECONDS = 60.0  # three seconds on an idle machine with two cores

# A token is good for this long after its `exp`: the default of the library that checks it
# (go-jose's jwt.DefaultLeeway), which Kubernetes does not change.
EXPIRY_LEEWAY_SECONDS = 60.0
# A token that was good is taken without a check for this long (TokenSuccessCacheTTL in
# Kubernetes' pkg/kubeapiserver/options/authentication.go).
TOKEN_CACHE_SECONDS = 10.0


class ApiServer:
    """One kube-apiserver with RBAC, ServiceAccount tokens and both address families.

    Attributes:
        etcd: where its objects are; it must run while the server does.
        url: where it listens, the same through every restart.
        client: the API as a member of system:masters.
        admin_kubeconfig: the same for a program.
        uncached: the resources that the last `start` named.
    """

    def __init__(
        self, program: Path, etcd: Etcd, directory: Path, *, address: str = LOOPBACK
    ) -> None:
        """Make keys and choose a port; all files go to the directory, which must exist.

        Args:
            program: the kube-apiserver.
            etcd: where its objects will be.
            directory: for keys, kubeconfigs and logs.
            address: where it listens.
        """
        self.etcd = etcd
        self.uncached: tuple[str, ...] = ()
        self._directory = directory
        self._process = Process(program, directory / "kube-apiserver.log")
        (self._port,) = free_ports(1)
        self._address = address
        self.url = f"https://{address}:{self._port}"
        self._authority = Authority()
        self._token_key = TokenKey()
        self._write_keys()
        self.admin_kubeconfig = self.client_kubeconfig("admin", "system:masters")
        self.client = Client(self.admin_kubeconfig)

    def start(self, *, uncached: Iterable[str] = ()) -> None:
        """Start the server on the port it always has, and wait until it is ready.

        Args:
            uncached: built-in resources, like "services" or "endpointslices.discovery.k8s.io",
                whose watches go straight to etcd (see the module's docstring).
        """
        self.uncached = tuple(uncached)
        self._process.start(self._arguments())
        self.wait_ready()

    def stop(self, how: Signals = SIGTERM) -> None:
        """Take the server away; etcd stays. SIGTERM ends watches in order, SIGKILL is a crash."""
        self._process.stop(how)

    def wait_ready(self) -> None:
        """Wait until /readyz says so: roles are there, caches are filled."""
        wait_until(self._ready, what="kube-apiserver to be ready", within_seconds=READY_SECONDS)

    def restart(self, *, uncached: Iterable[str] = ()) -> None:
        """Stop and start."""
        self.stop()
        self.start(uncached=uncached)

    def forget_history(self) -> None:
        """Make every resourceVersion that anyone holds too old: 410 Gone for its watches."""
        self.stop()
        self.etcd.compact()
        self.start()

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process.pid is not None

    def wait_granted(self, namespace: str, name: str, roles: Iterable[Object]) -> None:
        """Wait until a ServiceAccount has what bound roles grant: RBAC hears of them a bit later.

        Args:
            namespace: of the ServiceAccount.
            name: of the ServiceAccount.
            roles: Roles and ClusterRoles; one thing that each of their rules grants is asked for.
        """
        user = f"system:serviceaccount:{namespace}:{name}"
        for role in roles:
            for rule in role["rules"]:
                granted = partial(self._granted, user, role["metadata"].get("namespace", ""), rule)
                wait_until(granted, what=f"the rights of {user}")

    def _granted(self, user: str, namespace: str, rule: Object) -> bool:
        resource, _, subresource = rule["resources"][0].partition("/")
        asked = {
            "group": rule["apiGroups"][0],
            "resource": resource,
            "subresource": subresource,
            "name": rule.get("resourceNames", [""])[0],
            "namespace": namespace,
            "verb": rule["verbs"][0],
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": asked},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.client.request("POST", path, body=review)["status"]["allowed"])

    def token(self, namespace: str, name: str, *, lifetime_seconds: int = 3600) -> str:
        """Return a bound token of a ServiceAccount from the TokenRequest API.

        Args:
            namespace: of the ServiceAccount, which must exist.
            name: of the ServiceAccount.
            lifetime_seconds: 600 at least, which the API insists on.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lifetime_seconds},
        }
        answer = self.client.request("POST", path, body=request)
        return str(answer["status"]["token"])

    def expiring_token(self, namespace: str, name: str, *, accepted_seconds: float) -> str:
        """Return a token as the API issues it, but with little of its life left.

        It is refused `accepted_seconds` from now, give or take a second, or TOKEN_CACHE_SECONDS
        later when it was used in between.

        Args:
            namespace: of the ServiceAccount, which must exist.
            name: of the ServiceAccount.
            accepted_seconds: how long the server takes it from now on; may be negative.
        """
        account = self.client.get(reference("v1", "ServiceAccount", name, namespace))
        expires = int(time.time() + accepted_seconds - EXPIRY_LEEWAY_SECONDS)
        issued = expires - 3600
        return self._token_key.sign(
            {
                "iss": ISSUER,
                "aud": [ISSUER],
                "sub": f"system:serviceaccount:{namespace}:{name}",
                "iat": issued,
                "nbf": issued,
                "exp": expires,
                "kubernetes.io": {
                    "namespace": namespace,
                    "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]},
                },
            }
        )

    def client_kubeconfig(self, user: str, group: str = "") -> Path:
        """Write a kubeconfig of a user with a certificate, and return its path."""
        pair = self._authority.client(user, group)
        certificate, key = (base64.b64encode(pem).decode() for pem in (pair.certificate, pair.key))
        data = {"client-certificate-data": certificate, "client-key-data": key}
        return self._write_kubeconfig(user.replace(":", "-"), data)

    def token_kubeconfig(self, token: str) -> Path:
        """Write a kubeconfig that holds the token, and return its path."""
        return self._write_kubeconfig("token", {"token": token})

    def token_file_kubeconfig(self, token_file: Path) -> Path:
        """Write a kubeconfig whose `tokenFile` is read again and again, and return its path."""
        return self._write_kubeconfig("token-file", {"tokenFile": str(token_file)})

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig that speaks as the ServiceAccount for an hour, and return its path."""
        return self.token_kubeconfig(self.token(namespace, name))

    def log_tail(self) -> str:
        """Return the last lines that the server wrote."""
        return self._process.log_tail()

    def _ready(self) -> bool:
        self._process.check()
        try:
            return self.client.text("/readyz") == "ok"
        except (ApiException, HTTPError):
            return False

    def _arguments(self) -> Sequence[str]:
        keys = self._directory
        sizes = ",".join(f"{resource}#0" for resource in self.uncached)
        return [
            f"--bind-address={self._address}",
            f"--advertise-address={self._address}",
            f"--secure-port={self._port}",
            f"--cert-dir={keys}",
            f"--tls-cert-file={keys / 'server.crt'}",
            f"--tls-private-key-file={keys / 'server.key'}",
            f"--client-ca-file={keys / 'authority.crt'}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={keys / 'token.key'}",
            f"--service-account-signing-key-file={keys / 'token.key'}",
            f"--service-cluster-ip-range={CLUSTER_IP_RANGES}",
            f"--etcd-servers={self.etcd.url}",
            f"--feature-gates={self._feature_gates()}",
            f"--watch-cache-sizes={sizes}",
            "--etcd-compaction-interval=0",  # only `Etcd.compact` forgets
            "--authorization-mode=RBAC",
            "--shutdown-watch-termination-grace-period=1s",  # else SIGTERM waits for open watches
            "--endpoint-reconciler-type=none",  # it may not publish a loopback address
            "--disable-admission-plugins=ServiceAccount",  # it wants a controller's accounts
        ]

    def _feature_gates(self) -> str:
        """Leave streaming lists out where etcd cannot carry them.

        With the gate on, kube-apiserver makes every watch that starts without a resourceVersion a
        streaming list, and answers it with an error when etcd is too old for that.
        """
        return "" if self.etcd.supports_progress_requests() else "WatchList=false"

    def _write_keys(self) -> None:
        server = self._authority.server([self._address, "localhost", "kubernetes.default.svc"])
        contents = {
            "authority.crt": self._authority.certificate,
            "server.crt": server.certificate,
            "server.key": server.key,
            "token.key": self._token_key.pem,
        }
        for name, content in contents.items():
            (self._directory / name).write_bytes(content)

    def _write_kubeconfig(self, kind: str, user: dict[str, str]) -> Path:
        authority = base64.b64encode(self._authority.certificate).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        number = len(list(self._directory.glob("*.kubeconfig")))
        path = self._directory / f"{number}-{kind}.kubeconfig"
        path.write_text(json.dumps(config))  # JSON is YAML
        path.chmod(0o600)
        return path
