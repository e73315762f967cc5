"""The whole system, with our programs as the systemd units of hosts, and BFD by the fourth unit.

All else is as in test_manifests. tests/units has the units under a real systemd.
"""

import time
from pathlib import Path

import pytest

from tests.integration.lab.history import Kind
from tests.system.cluster import Cluster, Form
from tests.system.fetches import Fetches
from tests.system.losing import lose
from tests.system.reaching import WAYS
from tests.system.scene import wait_all_serve
from tests.system.units import Machine

pytestmark = [pytest.mark.netns, pytest.mark.kube]

FORM = Form.UNITS
DRAIN_SECONDS = 1.0
ENOUGH = 30  # requests
BFD_INTERVAL_MS = 800  # three of them are far less than the hold time, and far more than a load is
CAP_NET_RAW = 1 << 13  # linux/capability.h


@pytest.fixture(scope="module")
def watched(system: Cluster) -> Cluster:
    """Return the cluster with BFD between the router and every node."""
    system.watch(interval_ms=BFD_INTERVAL_MS)
    return system


@pytest.mark.parametrize("way", WAYS)
def test_clients_reach_pods(system: Cluster, way: str) -> None:
    """Both modes, both policies, both families."""
    WAYS[way](system)


@pytest.mark.parametrize("name", ["speaker", "responder", "controller"])
def test_each_unit_has_its_user_and_rights(system: Cluster, name: str) -> None:
    """Nobody is root, the responder alone has a capability; what is checked at a start is well."""
    wanted = CAP_NET_RAW if name == "responder" else 0
    machines = [node.agents for node in system.nodes if isinstance(node.agents, Machine)]
    units = [each.agents[name] for each in machines if name in each.agents]
    assert units
    for unit in units:
        status = Path(f"/proc/{unit.daemon.pid}/status").read_text()
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert {told[f"Cap{each}"] for each in ("Prm", "Eff", "Bnd", "Amb")} == {f"{wanted:016x}"}
        assert "0" not in told["Uid"].split()
        assert "ExecStartPre: status" not in unit.daemon.output.read_text()


def test_a_restart_drains_first(system: Cluster) -> None:
    """All units of a node, as one restarts their target: routes go before the sessions do.

    Requests that are open while a next hop goes may be of those that the router's hash moves.
    """
    node = system.nodes[1]
    names = ("routed", "routed-local", "both")
    mark = system.router.mark()
    with Fetches(system.client, [each for name in names for each in system.services[name]]) as seen:
        node.restart()
        wait_all_serve(system)
        settled = time.monotonic()
        seen.wait(ENOUGH)
    assert {each.error for each in seen.lost} <= {"ECONNRESET"}, seen.told()
    assert [each for each in seen.lost if each.began > settled] == []
    for address in (node.host.ipv4, node.host.ipv6):
        kinds = [each.kind for each in system.router.events_since(mark) if each.neighbor == address]
        assert Kind.ANNOUNCED in kinds[: kinds.index(Kind.WITHDRAWN)]  # as the last choice
        assert kinds.index(Kind.WITHDRAWN) < kinds.index(Kind.SESSION_DOWN)


@pytest.mark.parametrize(("number", "name"), [(-1, "routed"), (0, "routed-local")])
def test_a_lost_node_costs_the_time_of_bfd(watched: Cluster, number: int, name: str) -> None:
    """And no more, with Cluster and with Local.

    With Cluster it is a node without a pod: those of a lost node are Kubernetes' to find out.
    """
    assert lose(watched, watched.nodes[number], [name]) == {"Cease/BFD Down"}
