"""etcd, kube-apiserver and kube-controller-manager on a host of the lab.

The test stands on that host too (`standing_on`), so that it reaches the API as kubectl does there,
and nothing of it is in the namespace of this machine.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import NAMESPACES, Host
from tests.kube import build
from tests.kube.build import Program
from tests.kube.etcd import Etcd
from tests.kube.server import ApiServer

HERE = Path("/proc/thread-self/ns/net")
CLONE_NEWNET = 0x40000000  # linux/sched.h

CONTROLLERS = ("endpointslice-controller", "serviceaccount-token-controller")
"""Kubelets are played by the test, which says how each pod is; the others would judge them by their
heartbeats, or clean up what is gone with the lab."""


@contextmanager
def standing_on(host: Host) -> Iterator[None]:
    """Have this thread, and what it starts, on a host's network; be away before the lab ends."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    with HERE.open() as home, (NAMESPACES / host.namespace).open() as there:
        enter(there.fileno())
        try:
            yield
        finally:
            enter(home.fileno())


class ControlPlane:
    """The control plane; its three programs are ended with the body of `with`."""

    def __init__(self, host: Host) -> None:
        """Find the programs, or build them, and make keys; call it while standing on the host."""
        folder = host.lab.folder / "control-plane"
        folder.mkdir()
        self.etcd = Etcd(build.find_etcd(), folder)
        program = build.find(Program.APISERVER)
        self.api = ApiServer(program, self.etcd, folder, address=str(host.ipv4))
        kubeconfig = self.api.client_kubeconfig("system:kube-controller-manager")
        self._manager = Daemon(
            host, self._arguments(kubeconfig, folder), output=folder / "manager.log"
        )

    def start(self) -> None:
        """Start all three."""
        self.etcd.start()
        self.api.start()
        self._manager.start()

    def stop(self) -> None:
        """End all three; nothing is kept, so the API server need not wait for its clients."""
        self._manager.stop()
        self.api.stop(SIGKILL)
        self.etcd.stop()

    def _arguments(self, kubeconfig: Path, keys: Path) -> list[str]:
        return [
            str(build.find(Program.CONTROLLER_MANAGER)),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials=true",  # each controller has its own RBAC
            f"--service-account-private-key-file={keys / 'token.key'}",
            f"--root-ca-file={keys / 'authority.crt'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
        ]
