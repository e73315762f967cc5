"""From manifests to the neighbor table of a client: speakers without ExaBGP, and responders."""

from functools import partial
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest

from exabgp_metallb.values.addresses import Address
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, Lab, tail
from tests.integration.lab.responder import SEEN_SECONDS, mac_of, resolve
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    l2_advertisement,
    node,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import PROGRAM, clean_environment

pytestmark = pytest.mark.netns

NODES = ("a", "b", "c")
ADDRESSES = (ip_address("10.9.0.100"), ip_address("2001:db8:9::100"))
BY_HASH = sorted(NODES, key=lambda name: sha256(f"{name}#{ADDRESSES[0]}".encode()).digest())


def start(host: Host, folder: Path) -> list[Daemon]:
    """Start a speaker and a responder; they meet in the state folder."""
    state = host.lab.folder / f"state-{host.name}"
    common = ("--node", host.name, "--state-dir", str(state))
    commands = {
        "speaker": ("speaker", "--without-exabgp", "--manifests", str(folder), *common),
        "responder": ("responder", *common),
    }
    daemons = [
        Daemon(
            host,
            [*PROGRAM, *words],
            output=host.lab.folder / f"{program}-{host.name}.log",
            env=clean_environment({}),
        )
        for program, words in commands.items()
    ]
    for daemon in daemons:
        daemon.start()
    return daemons


def web(policy: str) -> Object:
    """Return the Service."""
    return service("web", policy=policy, families=("IPv4", "IPv6"))


def resolves_to(client: Host, address: Address, mac: str) -> bool:
    """Tell whether a client's kernel finds an address at a MAC."""
    return resolve(client, address) == mac


def draining(name: str) -> Object:
    """Return a Node that somebody wants drained."""
    made = node(name)
    made["metadata"]["annotations"] = {"exabgp-metallb.io/drain": "true"}
    return made


def test_who_answers_follows_the_manifests(lab: Lab) -> None:
    """The first candidate, then who has the pods, then who is not drained; in both families."""
    for number, name in enumerate((*NODES, "client"), start=1):
        lab.host(name, f"10.9.0.{number}/24", f"2001:db8:9::{number}/64")
    macs = {name: mac_of(lab.hosts[name]) for name in NODES}
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        pool("p", *(f"{each}-{each}" for each in ADDRESSES)),
        l2_advertisement(interfaces=["eth0"]),
        web("Cluster"),
        slice_of("web", *NODES),
        *map(node, NODES),
    )
    logs = [d.output for name in NODES for d in start(lab.hosts[name], manifests.path)]

    client = lab.hosts["client"]

    def wait_answers(name: str) -> None:
        for address in ADDRESSES:
            answers = partial(resolves_to, client, address, macs[name])
            wait_for(answers, SEEN_SECONDS, lambda: f"not {name}\n{''.join(map(tail, logs))}")

    first, second, third = BY_HASH
    wait_answers(first)
    manifests.put(web("Local"), slice_of("web", second, third))
    wait_answers(second)
    manifests.put(draining(second))
    wait_answers(third)
    manifests.put(node(second), slice_of("web", first, second))
    wait_answers(first)
