"""The units on a machine of their own: rights, start, stop, and what brings them back."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.lab.history import Kind
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import bfd_profile, peer, service, slice_of
from tests.units.conftest import (
    NODE,
    NODE_ASN,
    ON_LINK,
    RESPONDER,
    ROUTER,
    ROUTER_ASN,
    SECONDS,
    SETTINGS,
    SPARE,
    SPEAKER,
    TARGET,
    WEB,
    Scene,
)
from tests.units.machine import PROGRAM

pytestmark = pytest.mark.netns

CONTROLLER, BFD = "exabgp-metallb-controller.service", "exabgp-metallb-bfd.service"
UNITS = (BFD, CONTROLLER, RESPONDER, SPEAKER)
PLACE = "/usr/local/lib/systemd/system"
MOST_EXPOSED = 25  # tenths: 2.5

CAP_NET_RAW = 1 << 13  # linux/capability.h

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
"""


@pytest.mark.parametrize("unit", [*UNITS, TARGET])
def test_systemd_has_nothing_to_say_of_a_unit(scene: Scene, unit: str) -> None:
    """Every line is known to it, and every program is there."""
    said = scene.machine.run("sh", "-c", f"systemd-analyze verify {PLACE}/{unit} 2>&1")
    assert said == ""


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_hardly_exposed(scene: Scene, unit: str) -> None:
    """By systemd's own reckoning; the command fails above the threshold."""
    words = ["--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", f"{PLACE}/{unit}"]
    assert "Overall exposure level" in scene.machine.run("systemd-analyze", "security", *words)


def test_the_node_serves(scene: Scene) -> None:
    """Both ways, and changes are followed; people are told how it is."""
    scene.wait_routes(WEB)
    scene.wait(scene.answers, f"an answer for {ON_LINK}")
    scene.manifests.put(service("spare", "192.0.2.2"), slice_of("spare", "node-1"))
    scene.wait_routes(WEB, SPARE)
    scene.manifests.remove("Service", "spare")
    scene.wait_routes(WEB)
    told = "1 of 1 sessions up, 1 addresses by BGP, 1 on layer 2"
    scene.wait(lambda: scene.machine.show(SPEAKER, "StatusText") == told, told)
    scene.wait(lambda: scene.machine.show(RESPONDER, "StatusText") == "owner of 1", "owner")
    scene.machine.run(PROGRAM, "status")
    scene.wait_said(SPEAKER, "Ready.\n")


PROGRAMS = ("run", "exabgp", "speaker", "responder")


def processes(scene: Scene) -> list[tuple[str, int]]:
    """Return the four programs, by a word of their command lines, with their process ids.

    A program is there twice for as long as its forerunner ends, or a child of it becomes another.
    """
    found: list[tuple[str, int]] = []
    for pid in scene.machine.pids(SPEAKER) | scene.machine.pids(RESPONDER):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "preflight" not in words:
                found += [(name, pid) for name in PROGRAMS if name in words]
    return found


def wait_processes(scene: Scene) -> dict[str, int]:
    """Wait until all four are there, once each, and return their process ids."""
    found: list[tuple[str, int]] = []

    def each_once() -> bool:
        found[:] = processes(scene)
        return sorted(name for name, _ in found) == sorted(PROGRAMS)

    scene.wait(each_once, "four processes")
    return dict(found)


def test_each_process_has_the_least_rights(scene: Scene) -> None:
    """The responder has CAP_NET_RAW and nothing else, all others nothing; nobody is root."""
    for name, pid in wait_processes(scene).items():
        status = Path(f"/proc/{pid}/status").read_text()
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        sets = {told[f"Cap{each}"] for each in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
        wanted = CAP_NET_RAW if name == "responder" else 0
        assert sets == {f"{wanted:016x}"}, name
        assert told["NoNewPrivs"] == "1"
        assert told["Seccomp"] == "2"
        assert "0" not in told["Uid"].split(), name
    assert scene.machine.show(SPEAKER, "User") == "exabgp-metallb"
    assert scene.machine.show(RESPONDER, "User") == "exabgp-metallb-responder"


@pytest.mark.parametrize("victim", PROGRAMS)
def test_what_is_killed_comes_back(scene: Scene, victim: str) -> None:
    """And serves again; the other unit does not notice."""
    before = wait_processes(scene)
    others = {"responder"} if victim != "responder" else {"run", "exabgp", "speaker"}
    os.kill(before[victim], signal.SIGKILL)
    came_back(scene, victim, before[victim], WEB)
    after = wait_processes(scene)
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


@pytest.mark.parametrize("victims", [("run", "responder"), ("exabgp",), ("speaker",)])
def test_the_watchdog_ends_what_is_stopped(scene: Scene, victims: tuple[str, ...]) -> None:
    """A process that hangs is no process: it comes back as if it had been killed."""
    before = wait_processes(scene)
    for victim in victims:
        os.kill(before[victim], signal.SIGSTOP)
    if "exabgp" in victims:  # which is found out when it owes an answer
        scene.manifests.put(service("spare", "192.0.2.2"), slice_of("spare", "node-1"))
        came_back(scene, "exabgp", before["exabgp"], WEB, SPARE)
        scene.manifests.remove("Service", "spare")
    for victim in victims:
        came_back(scene, victim, before[victim], WEB)
        scene.wait_said(RESPONDER if victim == "responder" else SPEAKER, "Watchdog")


def came_back(scene: Scene, victim: str, pid: int, *prefixes: str) -> None:
    """Wait until there is another one in its place, and the node serves as it should."""
    scene.wait(lambda: wait_processes(scene)[victim] != pid, f"another {victim}")
    unit = RESPONDER if victim == "responder" else SPEAKER
    scene.wait(lambda: scene.machine.show(unit, "SubState") == "running", f"{unit} is ready")
    scene.wait_routes(*prefixes)
    scene.wait(scene.answers, f"an answer for {ON_LINK}")


def test_a_stop_drains(scene: Scene) -> None:
    """The router has the route as its last choice, then no more; then the session ends."""
    scene.wait_routes(WEB)
    mark = scene.router.mark()
    scene.machine.run("systemctl", "stop", TARGET, seconds=SECONDS)
    assert scene.machine.show(SPEAKER, "Result") == "success"
    assert scene.machine.show(SPEAKER, "ExecMainStatus") == "0"
    assert scene.machine.show(RESPONDER, "Result") == "success"
    kinds: list[Kind] = []

    def is_down() -> bool:
        kinds[:] = [event.kind for event in scene.router.events_since(mark)]
        return Kind.SESSION_DOWN in kinds

    scene.wait(is_down, "the session is down")
    assert kinds.index(Kind.WITHDRAWN) < kinds.index(Kind.SESSION_DOWN)
    assert Kind.ANNOUNCED in kinds[: kinds.index(Kind.WITHDRAWN)]
    scene.machine.run("systemctl", "start", TARGET)
    scene.wait_routes(WEB)


def test_bfd_has_a_unit_of_its_own(scene: Scene) -> None:
    """The speaker, which has no capability, asks FRR's bfdd, which has three."""
    scene.machine.run("systemctl", "start", BFD)
    scene.router.watch(scene.router.config.neighbors[0].address)
    scene.manifests.put(
        bfd_profile("fast", receiveInterval=300, transmitInterval=300),
        peer(
            "tor",
            ROUTER,
            asn=NODE_ASN,
            peer_asn=ROUTER_ASN,
            enableGracefulRestart=True,
            bfdProfile="fast",
        ),
    )
    scene.router.wait_bfd(scene.router.config.neighbors[0].address)
    scene.manifests.put(
        peer("tor", ROUTER, asn=NODE_ASN, peer_asn=ROUTER_ASN, enableGracefulRestart=True)
    )
    scene.wait_routes(WEB)
    scene.machine.run("systemctl", "stop", BFD)


def test_the_controller_gets_its_kubeconfig_as_a_credential(scene: Scene) -> None:
    """It goes on trying a cluster that is away, as a user that is there no longer than it."""
    machine = scene.machine
    machine.write("/etc/credstore/exabgp-metallb-controller.kubeconfig", KUBECONFIG)
    machine.run("systemctl", "start", CONTROLLER)
    pid = machine.main_pid(CONTROLLER)
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    credentials = f"/run/credentials/{CONTROLLER}"
    assert f"CREDENTIALS_DIRECTORY={credentials}" in environment
    assert machine.show(CONTROLLER, "StatusText") == "another replica leads"
    assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    machine.run("systemctl", "stop", CONTROLLER)
    assert machine.show(CONTROLLER, "Result") == "success"
    assert "exabgp-metallb-controller" not in machine.run("getent", "passwd")


def test_installing_again_changes_nothing(scene: Scene) -> None:
    """As after an upgrade without news: what runs goes on, and edited settings stay."""
    before = wait_processes(scene)
    text = scene.machine.path(SETTINGS).read_text()
    told = scene.machine.run(PROGRAM, "install-units").partition("Next:")[0].splitlines()
    assert f"{SETTINGS}: left alone: it is edited" in told
    assert sum(line.endswith(": as it was") for line in told) == len(told) - 1 == len(UNITS) + 3
    assert scene.machine.path(SETTINGS).read_text() == text
    assert wait_processes(scene) == before


def test_uninstall_leaves_nothing_of_ours(scene: Scene) -> None:
    """But what somebody has made: users, state, manifests, and settings that were edited."""
    machine = scene.machine
    told = machine.run(PROGRAM, "install-units", "--uninstall")
    assert f"{SETTINGS}: left alone: it is edited" in told
    assert "exabgp-metallb" not in machine.run("systemctl", "list-unit-files", "--no-pager")
    places = ["/etc", "/usr/local", "/usr/lib", "/lib", "/run"]
    find = ["find", *places, "-xdev", "-name", "exabgp-metallb*", "-not", "-path", "*.d/shorter*"]
    left = set(machine.run(*find).split())
    overrides = {f"/run/systemd/system/{unit}.d" for unit in (SPEAKER, RESPONDER)}
    assert left <= {"/etc/exabgp-metallb", SETTINGS, *overrides} | {
        "/etc/credstore/exabgp-metallb-controller.kubeconfig"
    }
    wait_for(lambda: scene.router.routes() == {}, SECONDS, "no route is left")
    assert NODE not in machine.run("sh", "-c", "ss -Htn state established || true")
