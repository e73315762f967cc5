"""A cluster's objects, read once, for a command that answers and ends."""

import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from exabgp_metallb.adapters.kubernetes import api, config
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.watch import Pace
from exabgp_metallb.parsing.intent.references import BASIC_AUTH
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import Secret
from exabgp_metallb.values.specs import Parsed, PeerSpec


def read_cluster(kubeconfig: Path | None, namespace: str) -> tuple[Parsed, ...]:
    """Return all objects that decisions are taken from; passwords are not read.

    Args:
        kubeconfig: None takes what kubectl would, else the pod's account.
        namespace: the install namespace.

    Raises:
        SourceError: the cluster cannot be reached as configured, or a kind not be read.
    """
    connection = Connection(config.usual(kubeconfig), now=time.monotonic)
    pace = Pace(uniform=random.uniform)
    objects = api.read(connection, namespace=namespace, pace=pace)
    return (*objects, *_secrets(objects))


def _secrets(objects: Iterable[Parsed]) -> Iterator[Parsed]:
    """Yield a stand-in for each Secret that a peer names: no decision depends on what is in it."""
    specs = (parsed.value for parsed in objects)
    named = {spec.password_secret for spec in specs if isinstance(spec, PeerSpec)}
    for name in sorted(each for each in named if each is not None):
        ref = ObjectRef("Secret", name.namespace, name.name)
        yield Parsed(ref, Secret(name, BASIC_AUTH, "not read"))
