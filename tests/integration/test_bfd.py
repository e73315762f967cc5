"""BFD between a node and a real FRR router: profiles on the wire, paths cut, bfdd killed.

The hold time is 90 s throughout, so whatever happens within seconds happened by BFD.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path as FilePath

import pytest

from tests.integration.conftest import _factory
from tests.integration.lab.frr_bfd import BfdRouter, BfdRouterFactory, bfd_peer
from tests.integration.lab.history import Address
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    bfd_profile,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import Node

pytestmark = pytest.mark.netns

ROUTER_ASN = 64512
NODE_ASN = 64513
HOLD_SECONDS = 90
SOON = 60.0  # less than the hold time, far more than BFD and a reload take
WEB = "192.0.2.1/32"

Start = Callable[..., Node]  # returns it started


@pytest.fixture
def tor(lab: Lab) -> Host:
    """Return the router's host."""
    return lab.host("tor", "10.0.0.1/24", "fd00::1/64")


@pytest.fixture
def host(lab: Lab) -> Host:
    """Return the node's host."""
    return lab.host("node1", "10.0.0.11/24", "fd00::11/64")


@pytest.fixture
def bfd_router() -> BfdRouterFactory:
    """Return what starts FRR with bfdd."""
    return _factory(BfdRouter)


@pytest.fixture
def manifests(lab: Lab, host: Host) -> Manifests:
    """Return a folder with one announced Service."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node(host.name, host.ipv4, host.ipv6),
        pool("public", "192.0.2.0/24"),
        advertisement(),
        service("web", "192.0.2.1"),
        slice_of("web", host.name),
    )
    return manifests


@pytest.fixture
def start(manifests: Manifests) -> Start:
    """Return what starts a node that follows the folder."""

    def start(host: Host, **how: str) -> Node:
        started = Node(host, manifests.path, **how)
        started.start()
        return started

    return start


def config(*addresses: Address, asn: int = NODE_ASN, multihop: int | None = None) -> RouterConfig:
    """Return a router that waits for the node."""
    neighbors = tuple(
        NeighborConfig(address=address, asn=asn, hold_seconds=HOLD_SECONDS, ebgp_multihop=multihop)
        for address in addresses
    )
    return RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=neighbors)


def watched(address: Address, profile: str = "fast", **spec: object) -> Object:
    """Return the BGPPeer of the router, watched with BFD."""
    fields = {"holdTime": f"{HOLD_SECONDS}s", "bfdProfile": profile} | spec
    return peer(f"tor-{address.version}", address, asn=NODE_ASN, peer_asn=ROUTER_ASN, **fields)


FAST = bfd_profile("fast", receiveInterval=100, transmitInterval=100)


def bfdd_pid(node: Node) -> int:
    """Return the id of the node's bfdd."""
    return int((node.state / "bfd" / "bfdd.pid").read_text())


def has_ended(pid: int) -> bool:
    """Tell whether a process is over, though nobody may have asked for its status yet."""
    try:
        stat = FilePath(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"  # field 3 of proc(5)


def held_by(node: Node, neighbor: Address, what: str = "") -> dict[str, object]:
    """Return what the node's bfdd shows of a neighbor."""
    return bfd_peer(node.state / "bfd" / "bfdd.vty", neighbor, what)


def wait_both_up(router: BfdRouter, host: Host, *addresses: Address) -> None:
    """Wait until BGP and BFD are up."""
    for address in addresses or (host.ipv4,):
        router.wait_established(address)
        router.wait_bfd(address)


def test_a_profile_is_what_the_router_hears(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """Each field, as the router's bfdd and the node's show it; an edit resets nothing."""
    spec: dict[str, object] = {
        "receiveInterval": 120,
        "transmitInterval": 130,
        "detectMultiplier": 4,
        "echoInterval": 80,
        "passiveMode": True,
        "minimumTtl": 250,
    }
    manifests.put(bfd_profile("fast", **spec), watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host)
    wait_both_up(router, host)

    def heard(**fields: object) -> bool:
        seen = router.bfd_peer(host.ipv4)
        return all(seen[f"remote-{name.replace('_', '-')}"] == v for name, v in fields.items())

    timers = {
        "receive_interval": 120,
        "transmit_interval": 130,
        "detect_multiplier": 4,
        "echo_receive_interval": 80,
    }
    wait_for(lambda: heard(**timers), SOON, lambda: str(router.bfd_peer(host.ipv4)))
    assert held_by(node, tor.ipv4)["passive-mode"] is True
    assert "minimum-ttl" not in held_by(node, tor.ipv4)  # of multihop sessions alone

    manifests.put(bfd_profile("fast", receiveInterval=200, detectMultiplier=5))
    timers = {"receive_interval": 200, "transmit_interval": 300, "detect_multiplier": 5}
    wait_for(lambda: heard(**timers), SOON, lambda: str(router.bfd_peer(host.ipv4)))
    assert held_by(node, tor.ipv4)["passive-mode"] is False
    assert held_by(node, tor.ipv4, "counters ")["session-down"] == 0
    assert router.establishments(host.ipv4) == 1


def test_echo_mode(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """Echo packets go out, and the router's forwarding plane returns them."""
    manifests.put(bfd_profile("fast", echoMode=True, echoInterval=60), watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host)
    wait_both_up(router, host)

    def echoes() -> bool:
        counters = held_by(node, tor.ipv4, "counters ")
        return int(str(counters["echo-packet-input"])) > 5

    wait_for(echoes, SOON, lambda: str(held_by(node, tor.ipv4, "counters ")))
    assert held_by(node, tor.ipv4)["echo-transmit-interval"] == 60
    assert router.establishments(host.ipv4) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_multihop_peer_has_a_multihop_session(
    tor: Host,
    host: Host,
    manifests: Manifests,
    bfd_router: BfdRouterFactory,
    start: Start,
    version: int,
) -> None:
    """With ebgpMultiHop, between addresses that are on no common link, in both families."""
    ours, theirs = ("10.9.0.11", "10.9.0.1") if version == 4 else ("fd09::11", "fd09::1")
    width = 32 if version == 4 else 128
    host.add_address(f"{ours}/{width}", "lo")
    tor.add_address(f"{theirs}/{width}", "lo")
    gateway = {4: (tor.ipv4, host.ipv4), 6: (tor.ipv6, host.ipv6)}[version]
    host.ip("route", "add", theirs, "via", str(gateway[0]), "src", ours)
    tor.ip("route", "add", ours, "via", str(gateway[1]), "src", theirs)
    near, far = host.addresses[-1].ip, tor.addresses[-1].ip
    profile = bfd_profile("fast", receiveInterval=100, minimumTtl=250)
    manifests.put(profile, watched(far, ebgpMultiHop=True, sourceAddress=ours))
    router = bfd_router(tor, config(near, multihop=8))
    source = f"neighbor {near} update-source {far}"
    router.vty("configure terminal", f"router bgp {ROUTER_ASN}", source)
    router.watch(near)
    node = start(host)
    wait_both_up(router, host, near)
    assert router.bfd_peer(near)["multihop"] is True
    assert held_by(node, far)["minimum-ttl"] == 250


def test_a_silent_cut_ends_bgp_until_the_path_is_back(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """Both ends keep their carrier; both sides' sessions end, and come back when it heals."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host)
    wait_both_up(router, host)
    router.wait_fib({WEB: [str(host.ipv4)]})

    mark = node.mark()
    host.cut()
    router.wait_fib({})
    node.wait_log("held down: BFD is down", since=mark)
    wait_for(lambda: f"neighbor {tor.ipv4}" not in node.conf, SOON, "left out of exabgp.conf")
    assert router.establishments(host.ipv4) == 1

    host.mend()
    wait_both_up(router, host)
    router.wait_fib({WEB: [str(host.ipv4)]})
    assert f"neighbor {tor.ipv4}" in node.conf


def test_bgp_is_held_down_while_only_bfd_fails(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """The router's bfdd is dead and its BGP would go on; it may again once BFD is back."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.bfd(f"peer {host.ipv4}")  # not by bgpd, which then would end the session itself
    node = start(host)
    wait_both_up(router, host)

    router.kill_bfdd()
    router.wait_down(host.ipv4)
    wait_for(lambda: f"neighbor {tor.ipv4}" not in node.conf, SOON, "left out of exabgp.conf")
    router.wait_down(host.ipv4)
    ups = router.establishments(host.ipv4)  # ExaBGP connects again until it has read its new file

    router.start_bfdd()
    router.bfd(f"peer {host.ipv4}")
    wait_both_up(router, host)
    assert router.establishments(host.ipv4) == ups + 1


def test_a_router_that_ends_bfd_in_order_keeps_its_session(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """AdminDown is no failure of the path (RFC 5882 section 3.2)."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.bfd(f"peer {host.ipv4}")
    node = start(host)
    wait_both_up(router, host)

    mark = node.mark()
    router.bfd(f"peer {host.ipv4}", "shutdown")
    node.wait_log("its BGP session stays", since=mark)
    router.bfd(f"peer {host.ipv4}", "no shutdown")
    router.wait_bfd(host.ipv4)
    assert router.established(host.ipv4)
    assert router.establishments(host.ipv4) == 1


def test_a_router_without_bfd_has_its_session(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """BGP does not wait for BFD that was never up; when it comes it counts."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    node = start(host)
    node.wait_log("bfdd answers")
    router.wait_established(host.ipv4)
    router.watch(host.ipv4)
    wait_both_up(router, host)
    host.cut()
    node.wait_log("held down: BFD is down")


def test_the_end_of_bfdd_is_no_failure_of_the_router(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """No session is touched; bfdd is started again and has its sessions again."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.bfd(f"peer {host.ipv4}")  # not by bgpd, for which our bfdd's end is ours
    node = start(host)
    wait_both_up(router, host)

    mark, pid = node.mark(), bfdd_pid(node)
    os.kill(pid, signal.SIGKILL)
    node.wait_log("nothing is known of BFD sessions", since=mark)
    node.wait_log("bfdd answers: it holds 1 BFD sessions", since=mark)
    node.wait_log("BFD session of BGP peer tor-4 (10.0.0.1): up", since=mark)
    assert bfdd_pid(node) != pid
    router.wait_bfd(host.ipv4)
    assert router.established(host.ipv4)
    assert router.establishments(host.ipv4) == 1
    assert "held down" not in node.log(mark)


def test_bfd_outlives_speaker_and_exabgp(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """The router's BFD session does not notice either of them; the new ones find it again."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.bfd(f"peer {host.ipv4}")
    node = start(host)
    wait_both_up(router, host)
    pid = bfdd_pid(node)

    for kill in (node.kill_speaker, node.kill_exabgp):
        mark = node.mark()
        kill()
        node.wait_log("BFD session of BGP peer tor-4 (10.0.0.1): up", since=mark)
    wait_both_up(router, host)
    assert bfdd_pid(node) == pid
    assert held_by(node, tor.ipv4, "counters ")["session-down"] == 0

    manifests.put(peer("tor-4", tor.ipv4, asn=NODE_ASN, peer_asn=ROUTER_ASN))
    wait_for(lambda: has_ended(pid), SOON, "bfdd ends, unused")
    node.stop()


def test_a_cut_ends_also_what_graceful_restart_would_keep(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """A router that would keep the routes of a node that restarts drops those of a dead one."""
    manifests.put(FAST, watched(tor.ipv4, enableGracefulRestart=True))
    settings = config(host.ipv4)
    helped = replace(settings.neighbors[0], graceful_restart=True)
    router = bfd_router(tor, replace(settings, neighbors=(helped,)))
    router.watch(host.ipv4)
    start(host)
    wait_both_up(router, host)
    router.wait_fib({WEB: [str(host.ipv4)]})
    host.cut()
    router.wait_fib({})
    host.mend()
    wait_both_up(router, host)
    router.wait_fib({WEB: [str(host.ipv4)]})


def test_the_bfdd_of_somebody_else(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """Its sockets are used, its other sessions are not touched, and it is not ours to start."""
    theirs = BfdRouter(host, config())
    theirs.start_bfdd()
    other = IPv4Address("10.0.0.77")
    theirs.bfd(f"peer {other}")
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host, options=f"--bfd {theirs.folder}")
    wait_both_up(router, host)
    theirs.wait_bfd(tor.ipv4)
    assert not (node.state / "bfd").exists()

    manifests.put(peer("tor-4", tor.ipv4, asn=NODE_ASN, peer_asn=ROUTER_ASN))
    wait_for(lambda: theirs.bfd_peer(tor.ipv4) == {}, SOON, "our session is taken away")
    assert theirs.bfd_peer(other)["status"] == "down"


def test_bfdd_ends_with_its_parent(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """In order with it; where the parent was killed, before the next one starts its own."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host)
    wait_both_up(router, host)
    left = bfdd_pid(node)
    node.kill()
    node.start()
    wait_for(lambda: bfdd_pid(node) != left, SOON, "another bfdd")
    assert has_ended(left)
    wait_both_up(router, host)
    last = bfdd_pid(node)
    assert node.stop() == 0
    assert has_ended(last)


def test_bfd_that_is_off_leaves_bgp_alone(
    tor: Host, host: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """It is said which profile and which peers go without."""
    manifests.put(FAST, watched(tor.ipv4))
    router = bfd_router(tor, config(host.ipv4))
    router.watch(host.ipv4)
    node = start(host, options="--bfd off")
    router.wait_established(host.ipv4)
    node.wait_log("BFDProfile fast: no BFD for BGPPeer tor-4: BFD is off on this node")
    assert not (node.state / "bfd").exists()
