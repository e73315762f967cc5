"""People at work: Services created, changed and deleted in an order that a seed gives."""

import random
import threading
from pathlib import Path

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.kube.client import Client, Object, reference
from tests.kube.controllers import service

REQUEST = "metallb.io/loadBalancerIPs"


class Churn:
    """Does one thing after the other to the Services of a namespace, in a thread, until stopped.

    Args:
        kubeconfig: of somebody who may.
        namespace: of the Services.
        names: what they are called.
        addresses: what their owners ask for now and then.
        seed: gives the order.
    """

    def __init__(
        self, kubeconfig: Path, namespace: str, names: list[str], addresses: list[str], seed: int
    ) -> None:
        self.done = 0
        self.errors: list[BaseException] = []
        self._client = Client(kubeconfig)
        self._namespace = namespace
        self._names = names
        self._addresses = addresses
        self._random = random.Random(seed)  # noqa: S311 -- chance that can be repeated
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was begun is done."""
        self._stopping.set()
        self._thread.join(120.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._act()
                self.done += 1
            except (ApiException, HTTPError):
                continue  # it is there already, or not there; or the server is away
            except Exception as error:
                self.errors.append(error)
                raise

    def _act(self) -> None:
        name = self._random.choice(self._names)
        named = reference("v1", "Service", name, self._namespace)
        act = self._random.choices(
            (self._create, self._delete, self._annotate, self._ask, self._change_type),
            weights=(10, 5, 3, 2, 2),
        )[0]
        act(named)

    def _create(self, named: Object) -> None:
        self._client.create(service(self._namespace, named["metadata"]["name"]))

    def _delete(self, named: Object) -> None:
        self._client.delete(named)

    def _annotate(self, named: Object) -> None:
        word = str(self._random.random())
        self._client.patch(named, {"metadata": {"annotations": {"example.com/word": word}}})

    def _ask(self, named: Object) -> None:
        address = self._random.choice((None, *self._addresses))
        self._client.patch(named, {"metadata": {"annotations": {REQUEST: address}}})

    def _change_type(self, named: Object) -> None:
        sort = self._random.choice(("ClusterIP", "LoadBalancer"))
        ports = None if sort == "ClusterIP" else False
        spec = {"type": sort, "allocateLoadBalancerNodePorts": ports}
        self._client.patch(named, {"spec": spec})
