"""What is in the image, and that each of its programs works with the least that it needs."""

import json
import os
import subprocess
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from exabgp_metallb import __version__
from tests.image.build import ROOT
from tests.image.container import Container, Image
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Host, Lab, tail
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    advertisement,
    bfd_profile,
    l2_advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)

SECONDS = 60.0
USER = (10001, 10001)
PINS = ROOT / "etc" / "image" / "requirements.txt"
COMPONENT = ROOT / "etc" / "kubernetes" / "components" / "bfd"
BFD = "/run/exabgp-metallb-bfd"
STATE, RUN, OBJECTS = "/var/lib/exabgp-metallb", "/run/exabgp-metallb", "/mnt"
SMALL_MIB = 420  # with a base of 205; Debian's own slim one has 75


def test_pins_hold_what_the_package_asks_for() -> None:
    """Each requirement of setup.cfg is pinned, by a version that it allows."""
    lines = PINS.read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    section = (ROOT / "setup.cfg").read_text().partition("install_requires =\n")[2]
    for line in section.partition("\n\n")[0].splitlines():
        wanted = Requirement(line.strip())
        pinned = {name.replace("_", "-"): each for name, each in pins.items()}
        assert wanted.specifier.contains(pinned[wanted.name.lower()]), line


class Machine:
    """A host of the lab that runs containers.

    Attributes:
        host: the host.
    """

    def __init__(self, host: Host, image: Image) -> None:
        self.host = host
        self._image = image
        self._folder = host.lab.folder / f"machine-{host.name}"
        self._folder.mkdir()

    def folder(self, name: str, user: tuple[int, int] = USER) -> Path:
        """Return a new folder of a user."""
        made = self._folder / name
        made.mkdir(mode=0o750)
        os.chown(made, *user)
        return made

    def container(self, *arguments: str, **settings: Any) -> Container:  # noqa: ANN401 -- its own
        """Return a container of the image; see Container for the settings."""
        environment = {"EXABGP_METALLB_NODE": self.host.name}
        return Container(
            image=self._image, arguments=arguments, environment=environment, **settings
        )

    def run(self, container: Container) -> subprocess.CompletedProcess[str]:
        """Run a container to its end."""
        argv = ["ip", "netns", "exec", self.host.namespace, *container.argv]
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, env=container.env, timeout=SECONDS
        )

    def start(self, name: str, container: Container) -> Daemon:
        """Start a container that goes on."""
        output = self._folder / f"{name}.log"
        daemon = Daemon(self.host, container.argv, output=output, env=container.env)
        daemon.start()
        return daemon

    def get(self, url: str) -> str:
        """Return what a port of this host answers; empty when it does not, or not by 200."""
        code = "import sys,urllib.request as u;print(u.urlopen(sys.argv[1],timeout=5).read())"
        done = subprocess.run(
            ["ip", "netns", "exec", self.host.namespace, "python3", "-c", code, url],
            check=False,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def wait_ready(self, port: int, daemon: Daemon) -> None:
        """Wait until a program says that it is ready."""
        url = f"http://127.0.0.1:{port}/readyz"

        def ready() -> str:
            daemon.check()
            return self.get(url)

        wait_for(ready, SECONDS, lambda: f"{url}\n{tail(daemon.output)}")


@pytest.fixture
def machine(lab: Lab, image: Image) -> Machine:
    """Return a node with containers."""
    return Machine(lab.host("node1", "10.0.0.11/24"), image)


@pytest.mark.netns
def test_what_is_in_the_image(image: Image) -> None:
    """A user with a name and no root, nothing that installs, no second BGP speaker."""
    assert image.user == USER
    assert image.settings["Entrypoint"] == ["exabgp-metallb"]
    accounts = (image.root / "etc" / "passwd").read_text().splitlines()
    assert any(line.startswith("exabgp-metallb:x:10001:10001:") for line in accounts)
    assert {path.name for path in (image.root / "usr/lib/frr").iterdir()} == {"bfdd", "zebra"}
    assert not [*image.root.glob("opt/exabgp-metallb/lib/python3.*/site-packages/pip")]
    assert not (image.root / "src").exists()
    kib = int(subprocess.check_output(["du", "-skx", str(image.root)]).split()[0])
    assert kib / 1024 < SMALL_MIB


@pytest.mark.netns
def test_commands_that_end(machine: Machine) -> None:
    """The version, and the check of an example, as the image's user."""
    told = machine.run(machine.container("--version", mounts={}))
    assert told.stdout == f"exabgp-metallb {__version__}\n", told.stderr
    example = ROOT / "etc" / "examples" / "metallb-guide"
    checked = machine.run(machine.container("check", "-f", OBJECTS, mounts={OBJECTS: example}))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Valid." in checked.stdout


@pytest.mark.netns
def test_run_as_the_images_user(machine: Machine, lab: Lab, frr: FrrFactory) -> None:
    """ExaBGP comes up and announces; on SIGTERM the node is drained, and the status is 0."""
    tor = lab.host("tor", "10.0.0.1/24")
    neighbor = NeighborConfig(address=machine.host.ipv4, asn=64512, families=("ipv4",))
    router = frr(
        tor, RouterConfig(asn=64513, router_id=IPv4Address("10.0.0.1"), neighbors=(neighbor,))
    )
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", machine.host.ipv4),
        pool("edge", "192.0.2.0/24"),
        peer("tor", tor.ipv4, asn=64512, peer_asn=64513),
        advertisement(),
        service("web", "192.0.2.10"),
        slice_of("web", "node1"),
    )
    state = machine.folder("state")
    mounts = {OBJECTS: manifests.path, STATE: state}
    arguments = ("run", "--manifests", OBJECTS, "--metrics", "127.0.0.1:7473")
    agent = machine.start("run", machine.container(*arguments, mounts=mounts))
    machine.wait_ready(7473, agent)
    router.wait_established(machine.host.ipv4)
    status = machine.run(machine.container("status", "-o", "json", mounts=mounts))
    document = json.loads(status.stdout)
    assert f"exabgp=={document['exabgp']}" in PINS.read_text().splitlines()
    wait_for(
        lambda: "192.0.2.10/32" in map(str, router.routes()),
        SECONDS,
        lambda: tail(agent.output),
    )
    agent.stop()
    assert "ready to end" in agent.output.read_text()
    owners = {path.stat().st_uid for path in state.iterdir()}  # while it runs, files come and go
    assert owners == {USER[0]}


@pytest.mark.netns
def test_bfdd_beside_the_speaker(machine: Machine, lab: Lab) -> None:
    """As etc/kubernetes/components/bfd has it: bfdd is root with what FRR insists on."""
    tor = lab.host("tor", "10.0.0.1/24")
    neighbor = NeighborConfig(address=machine.host.ipv4, asn=64512, families=("ipv4",))
    config = RouterConfig(asn=64513, router_id=IPv4Address("10.0.0.1"), neighbors=(neighbor,))
    router = BfdRouter(tor, config)
    router.start()
    router.watch(machine.host.ipv4)
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", machine.host.ipv4),
        bfd_profile("fast", receiveInterval=100, transmitInterval=100),
        peer("tor", tor.ipv4, asn=64512, peer_asn=64513, bfdProfile="fast"),
    )
    sockets = machine.folder("bfd")
    sockets.chmod(0o777)  # as that of an emptyDir
    mounts = {OBJECTS: manifests.path, STATE: machine.folder("state"), BFD: sockets}
    agent = machine.start(
        "run",
        machine.container("run", "--manifests", OBJECTS, "--bfd", BFD, mounts=mounts, groups=[901]),
    )
    bfdd = machine.start("bfdd", _bfdd(machine, {BFD: sockets}))
    router.wait_bfd(machine.host.ipv4)
    router.wait_established(machine.host.ipv4)
    bfdd.check()
    agent.check()


def _bfdd(machine: Machine, mounts: dict[str, Path]) -> Container:
    """Return the container of the component, as it is written there."""
    patch = yaml.safe_load((COMPONENT / "bfdd.yaml").read_text())
    (found,) = (
        each for each in patch["spec"]["template"]["spec"]["containers"] if each["name"] == "bfdd"
    )
    return machine.container(
        *found["args"],
        entrypoint=found["command"],
        folder=found["workingDir"],
        mounts=mounts,
        user=(found["securityContext"]["runAsUser"], USER[1]),
        capabilities=[each.lower() for each in found["securityContext"]["capabilities"]["add"]],
    )


@pytest.mark.netns
def test_speaker_and_responder_share_a_socket(machine: Machine, lab: Lab) -> None:
    """Layer 2 as in a pod: the responder is root with one capability, and in the user's group."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", machine.host.ipv4),
        pool("edge", "10.0.0.100/32"),
        l2_advertisement(),
        service("web", "10.0.0.100"),
        slice_of("web", "node1"),
    )
    orders = machine.folder("orders")
    inside = ("--orders", f"{RUN}/orders.sock", "--metrics")
    speaker = machine.start(
        "speaker",
        machine.container(
            *("speaker", "--without-exabgp", "--manifests", OBJECTS, *inside, "127.0.0.1:7473"),
            mounts={OBJECTS: manifests.path, STATE: machine.folder("state"), RUN: orders},
        ),
    )
    responder = machine.start(
        "responder",
        machine.container(
            *("responder", *inside, "127.0.0.1:7474"),
            mounts={STATE: machine.folder("responder-state", (0, 0)), RUN: orders},
            user=(0, USER[1]),
            capabilities=("net_raw",),
        ),
    )
    machine.wait_ready(7473, speaker)
    machine.wait_ready(7474, responder)
    client = lab.host("client", "10.0.0.50/24")

    def answered() -> str:
        subprocess.run(
            ["ip", "netns", "exec", client.namespace, "ping", "-c1", "-W1", "10.0.0.100"],
            check=False,
            capture_output=True,
        )
        return "lladdr" if "lladdr" in client.ip("neighbor", "show", "10.0.0.100") else ""

    wait_for(answered, SECONDS, lambda: tail(responder.output))


@pytest.mark.netns
def test_a_responder_without_the_capability(machine: Machine) -> None:
    """It ends at once, says what it lacks, and preflight says so before."""
    mounts = {STATE: machine.folder("state", (0, 0))}
    ended = machine.run(machine.container("responder", mounts=mounts, user=(0, USER[1])))
    assert ended.returncode == 2
    assert "CAP_NET_RAW" in ended.stderr
    looked = machine.run(
        machine.container("preflight", "responder", mounts=mounts, user=(0, USER[1]))
    )
    assert looked.returncode == 1
    assert "grant CAP_NET_RAW" in looked.stdout


@pytest.mark.netns
@pytest.mark.parametrize(
    ("user", "folder", "told"),
    [
        ((10001, 0), "state", "ExaBGP does not run as user 10001 with group 0"),
        (USER, None, "/var/lib/exabgp-metallb: Read-only file system"),
        ((10002, 10002), "state", "/var/lib/exabgp-metallb: Permission denied"),
    ],
)
def test_what_preflight_sees_of_a_container(
    user: tuple[int, int],
    folder: str | None,
    told: str,
    machine: Machine,
) -> None:
    """A wrong user, a root that can only be read, somebody else's folder: each by its name."""
    mounts = {STATE: machine.folder(folder)} if folder else {}
    skipped = ("--skip", "api", "--skip", "metallb")
    done = machine.run(machine.container("preflight", "run", *skipped, mounts=mounts, user=user))
    assert done.returncode == 1, done.stderr
    assert told in done.stdout
