"""Our programs as the manifests have a kubelet start them; the verbs of every form of them.

Command, environment, capabilities, probe and preStop of a container are those that kustomize
renders from etc/kubernetes/overlays/both. What differs: the programs come from this checkout, run
as root without capabilities, and read the token from a kubeconfig; state and sockets are in the
lab's folder.
"""

import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from signal import SIGTERM
from typing import Generic, Protocol, TypeVar

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, tail
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, clean_environment
from tests.kube.rendered import ENTRYPOINT, NAMESPACE, Container

READY_SECONDS = 120.0
PROBE_SECONDS = 5.0
PORTS = {"controller": 7472, "speaker": 7473, "responder": 7474}
STATE, SOCKETS = "/var/lib/exabgp-metallb", "/run/exabgp-metallb"  # where containers have them


class Agent(Protocol):
    """One program of ours."""

    daemon: Daemon

    def start(self) -> None:
        """Start it; it is not ready yet."""

    def stop(self) -> None:
        """End it as those do who want it gone."""

    def upgrade(self) -> None:
        """Restart it in place, and wait until it is ready."""

    def wait_ready(self) -> None:
        """Wait until it is ready."""


A_co = TypeVar("A_co", bound=Agent, covariant=True)


class Agents(ABC, Generic[A_co]):
    """Our programs on one node.

    Args:
        agents: by name, in the order of their start.
    """

    def __init__(self, agents: Mapping[str, A_co]) -> None:
        self.agents = agents

    def __iter__(self) -> Iterator[A_co]:
        """Yield all."""
        yield from self.agents.values()

    @property
    def speaker(self) -> A_co:
        """ExaBGP and the speaker."""
        return self.agents["speaker"]

    @property
    def responder(self) -> A_co:
        """The responder."""
        return self.agents["responder"]

    def start(self) -> None:
        """Start all; they are not ready yet."""
        for each in self:
            each.start()

    @abstractmethod
    def stop(self) -> None:
        """End all."""

    def wait_ready(self) -> None:
        """Wait until all are ready."""
        for each in self:
            each.wait_ready()


class ContainerAgent:
    """One container of ours on a host.

    Args:
        host: where it runs; a node for those with hostNetwork, else a pod.
        container: what it runs.
        kubeconfig: of its ServiceAccount; None for the one that has none.
        env: more of the environment, over the manifest's.
    """

    def __init__(
        self,
        host: Host,
        container: Container,
        kubeconfig: Path | None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.container = container
        folder = host.lab.folder / f"{container.name}-{host.name}"
        sockets = host.lab.folder / f"sockets-{host.name}"
        for each in (folder, sockets):
            each.mkdir(exist_ok=True)
        ours = {
            name: value.replace(SOCKETS, str(sockets)) for name, value in self._manifest().items()
        }
        ours["EXABGP_METALLB_STATE_DIR"] = str(folder)
        if kubeconfig is not None:
            ours["EXABGP_METALLB_KUBECONFIG"] = str(kubeconfig)
        self._env = clean_environment(ours | dict(env or {}))
        self.daemon = Daemon(
            host,
            [*self._confined(), *self._words(container.command)],
            output=host.lab.folder / f"{container.name}-{host.name}.log",
            env=self._env,
        )

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.daemon.start()

    def stop(self) -> None:
        """End it as a kubelet does: preStop, then SIGTERM."""
        if self.container.stop:
            self.run(*self._words(self.container.stop))
        self.daemon.stop()

    def upgrade(self) -> None:
        """End it by SIGTERM alone, start it, and wait until it is ready."""
        self.daemon.stop()
        self.start()
        self.wait_ready()

    def run(self, *words: str) -> None:
        """Run a command beside it to its end, as `kubectl exec` does."""
        env = [f"{name}={value}" for name, value in self._env.items() if "EXABGP" in name]
        self.host.run(["env", *env, *words], READY_SECONDS)

    def ready(self) -> bool:
        """Ask the readiness probe."""
        address = self._fields()["status.hostIP"]
        path = self.container.probes["readinessProbe"]["httpGet"]["path"]
        url = f"http://{address}:{PORTS[self.container.name]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except OSError:  # nobody listens yet
            return False

    def wait_ready(self) -> None:
        """Wait until it is ready."""

        def look() -> bool:
            self.daemon.check()
            return self.ready()

        wait_for(look, READY_SECONDS, lambda: f"ready\n{tail(self.daemon.output)}")

    def _words(self, command: tuple[str, ...]) -> list[str]:
        assert command[0] == ENTRYPOINT
        return [*PROGRAM, *command[1:]]

    def _confined(self) -> list[str]:
        """Return what takes the capabilities away that its container has not."""
        capabilities = self.container.security["capabilities"]
        assert capabilities["drop"] == ["ALL"]
        kept = "".join(f",+{name.lower()}" for name in capabilities.get("add", ()))
        return ["setpriv", "--no-new-privs", f"--bounding-set=-all{kept}", "--inh-caps=-all", "--"]

    def _manifest(self) -> dict[str, str]:
        return self.container.environment(self._fields())

    def _fields(self) -> dict[str, str]:
        address = str(self.host.ipv4)
        return {
            "metadata.namespace": NAMESPACE,
            "spec.nodeName": self.host.name,
            "status.hostIP": address,
            "status.podIP": address,
        }


class Pod(Agents[ContainerAgent]):
    """The containers of a node's pod; one without any is the pod of a node that has none."""

    def __init__(self, *containers: ContainerAgent) -> None:
        super().__init__({each.container.name: each for each in containers})

    def stop(self) -> None:
        """End all; a kubelet ends the containers of a pod at the same time."""
        self.responder.daemon.send(SIGTERM)
        for each in self:
            each.stop()
