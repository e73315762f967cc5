"""BFD between a node and a real FRR router: profiles on the wire, paths cut, bfdd killed.

The hold time is 90 s throughout, so whatever happens within seconds happened by BFD.
"""

import os
import signal
from functools import partial
from ipaddress import IPv4Address

import pytest

from tests.integration.conftest import _factory
from tests.integration.lab.frr_bfd import BfdRouter, BfdRouterFactory, bfd_peer
from tests.integration.lab.history import Address
from tests.integration.lab.network import Host
from tests.integration.lab.router import NeighborConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    bfd_profile,
    node,
    peer,
    service,
    slice_of,
)
from tests.integration.nodes import Node, has_ended
from tests.integration.rack import NODE1, NODE_ASN, ROUTER_ASN, WEB, Start, before, config, ebgp

pytestmark = pytest.mark.netns

HOLD_SECONDS = 90
SOON = 60.0  # less than the hold time, far more than BFD and a reload take
BFD_UP = "BFD session of BGP peer tor-4 (10.0.0.1): up"  # the router may know that earlier
FAST = bfd_profile("fast", receiveInterval=100, transmitInterval=100, detectMultiplier=20)


@pytest.fixture
def bfd_router() -> BfdRouterFactory:
    """Return what starts FRR with bfdd."""
    return _factory(BfdRouter)


@pytest.fixture
def manifests(manifests: Manifests) -> Manifests:
    """Return the folder with one announced Service, and a profile."""
    manifests.put(
        FAST,
        node("node1", NODE1, "fd00::11"),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    return manifests


@pytest.fixture
def router(tor: Host, node1: Host, manifests: Manifests, bfd_router: BfdRouterFactory) -> BfdRouter:
    """Return a router that the node is to watch; it does not watch the node yet."""
    manifests.put(watched(tor.ipv4))
    return bfd_router(tor, config(node1, hold_seconds=HOLD_SECONDS))


def watched(address: Address, profile: str = "fast", **spec: object) -> Object:
    """Return the BGPPeer of the router, watched with BFD."""
    fields = {"holdTime": f"{HOLD_SECONDS}s", "bfdProfile": profile} | spec
    return peer(f"tor-{address.version}", address, asn=NODE_ASN, peer_asn=ROUTER_ASN, **fields)


def bfdd_pid(node: Node) -> int:
    """Return the id of the node's bfdd."""
    path = node.state / "bfd" / "bfdd.pid"  # made first, written then
    return int(wait_for(lambda: path.exists() and path.read_text(), SOON, f"a pid in {path}"))


def held_by(node: Node, neighbor: Address, what: str = "") -> dict[str, object]:
    """Return what the node's bfdd shows of a neighbor."""
    return bfd_peer(node.state / "bfd" / "bfdd.vty", neighbor, what)


def wait_both_up(router: BfdRouter, host: Host, *addresses: Address) -> None:
    """Wait until BGP and BFD are up."""
    for address in addresses or (host.ipv4,):
        router.wait_established(address)
        router.wait_bfd(address)


def downs(node: Node, address: Address) -> int:
    """Return how often the node's session, which is up, was not; FRR counts its attempts, too."""
    wait_for(lambda: held_by(node, address)["status"] == "up", SOON, lambda: str(address))
    count = held_by(node, address, "counters ")["session-down"]
    assert isinstance(count, int)
    return count


def test_a_profile_is_what_the_router_hears(
    router: BfdRouter, node1: Host, tor: Host, manifests: Manifests, start: Start
) -> None:
    """Each field, as the router's bfdd and the node's show it; an edit resets nothing.

    By seconds without a packet, so that a busy machine is no failure of the path.
    """
    spec: dict[str, object] = {
        "receiveInterval": 320,
        "transmitInterval": 330,
        "detectMultiplier": 20,
        "echoInterval": 80,
        "passiveMode": True,
        "minimumTtl": 250,
    }
    manifests.put(bfd_profile("fast", **spec))
    router.watch(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)
    before = downs(node, tor.ipv4)

    def heard(**fields: object) -> bool:
        seen = router.bfd_peer(node1.ipv4)
        return all(seen[f"remote-{name.replace('_', '-')}"] == v for name, v in fields.items())

    def wait_passive(*, wanted: bool) -> None:  # bfdd is told after it was told of the timers
        seen = partial(held_by, node, tor.ipv4)
        wait_for(lambda: seen()["passive-mode"] is wanted, SOON, lambda: str(seen()))

    timers = {
        "receive_interval": 320,
        "transmit_interval": 330,
        "detect_multiplier": 20,
        "echo_receive_interval": 80,
    }
    wait_for(lambda: heard(**timers), SOON, lambda: str(router.bfd_peer(node1.ipv4)))
    wait_passive(wanted=True)
    assert "minimum-ttl" not in held_by(node, tor.ipv4)  # of multihop sessions alone

    manifests.put(bfd_profile("fast", receiveInterval=400, detectMultiplier=25))
    timers = {"receive_interval": 400, "transmit_interval": 300, "detect_multiplier": 25}
    wait_for(lambda: heard(**timers), SOON, lambda: str(router.bfd_peer(node1.ipv4)))
    wait_passive(wanted=False)
    assert downs(node, tor.ipv4) == before
    assert router.establishments(node1.ipv4) == 1


def test_echo_mode(
    router: BfdRouter, node1: Host, tor: Host, manifests: Manifests, start: Start
) -> None:
    """Echo packets go out, and the router's forwarding plane returns them."""
    # Six seconds without an echo: a busy machine is no failure of the path.
    manifests.put(bfd_profile("fast", echoMode=True, echoInterval=60, detectMultiplier=100))
    router.watch(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)

    def echoes() -> bool:
        counters = held_by(node, tor.ipv4, "counters ")
        return int(str(counters["echo-packet-input"])) > 5

    wait_for(echoes, SOON, lambda: str(held_by(node, tor.ipv4, "counters ")))
    assert held_by(node, tor.ipv4)["echo-transmit-interval"] == 60
    assert router.establishments(node1.ipv4) == 1


@pytest.mark.parametrize("version", [4, 6])
def test_a_multihop_peer_has_a_multihop_session(
    tor: Host,
    node1: Host,
    manifests: Manifests,
    bfd_router: BfdRouterFactory,
    start: Start,
    version: int,
) -> None:
    """With ebgpMultiHop, between addresses that are on no common link, in both families."""
    ours, theirs = ("10.9.0.11", "10.9.0.1") if version == 4 else ("fd09::11", "fd09::1")
    width = 32 if version == 4 else 128
    node1.add_address(f"{ours}/{width}", "lo")
    tor.add_address(f"{theirs}/{width}", "lo")
    gateway = {4: (tor.ipv4, node1.ipv4), 6: (tor.ipv6, node1.ipv6)}[version]
    node1.ip("route", "add", theirs, "via", str(gateway[0]), "src", ours)
    tor.ip("route", "add", ours, "via", str(gateway[1]), "src", theirs)
    near, far = node1.addresses[-1].ip, tor.addresses[-1].ip
    profile = bfd_profile("fast", receiveInterval=100, detectMultiplier=20, minimumTtl=250)
    manifests.put(profile, watched(far, ebgpMultiHop=True, sourceAddress=ours))
    neighbor = NeighborConfig(
        address=near, asn=NODE_ASN, hold_seconds=HOLD_SECONDS, ebgp_multihop=8
    )
    router = bfd_router(tor, before(neighbor))
    source = f"neighbor {near} update-source {far}"
    router.vty("configure terminal", f"router bgp {ROUTER_ASN}", source)
    router.watch(near)
    node = start(node1)
    wait_both_up(router, node1, near)
    assert router.bfd_peer(near)["multihop"] is True
    assert held_by(node, far)["minimum-ttl"] == 250


def test_a_silent_cut_ends_bgp_until_the_path_is_back(
    router: BfdRouter, node1: Host, tor: Host, start: Start
) -> None:
    """Both ends keep their carrier; both sides' sessions end, and come back when it heals."""
    router.watch(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)
    router.wait_fib({WEB: [str(node1.ipv4)]})

    node.wait_log(BFD_UP)
    mark = node.mark()
    node1.cut()
    router.wait_fib({})
    node.wait_log("held down: BFD is down", since=mark)
    wait_for(lambda: f"neighbor {tor.ipv4}" not in node.conf, SOON, "left out of exabgp.conf")
    assert router.establishments(node1.ipv4) == 1

    node1.mend()
    wait_both_up(router, node1)
    router.wait_fib({WEB: [str(node1.ipv4)]})
    assert f"neighbor {tor.ipv4}" in node.conf


def test_bgp_is_held_down_while_only_bfd_fails(
    router: BfdRouter, node1: Host, tor: Host, start: Start
) -> None:
    """The router's bfdd is dead and its BGP would go on; it may again once BFD is back."""
    router.watch_apart(node1.ipv4)  # not by bgpd, which then would end the session itself
    node = start(node1)
    wait_both_up(router, node1)

    node.wait_log(BFD_UP)
    mark = node.mark()
    router.kill_bfdd()
    router.wait_down(node1.ipv4)
    node.wait_log("ExaBGP holds 0 neighbors", since=mark)  # it connects again until then
    assert f"neighbor {tor.ipv4}" not in node.conf
    router.wait_down(node1.ipv4)
    ups = router.establishments(node1.ipv4)

    router.start_bfdd()
    router.watch_apart(node1.ipv4)
    wait_both_up(router, node1)
    assert router.establishments(node1.ipv4) == ups + 1


def test_a_router_that_ends_bfd_in_order_keeps_its_session(
    router: BfdRouter, node1: Host, start: Start
) -> None:
    """AdminDown is no failure of the path (RFC 5882 section 3.2)."""
    router.watch_apart(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)

    node.wait_log(BFD_UP)
    mark = node.mark()
    router.bfd(f"peer {node1.ipv4}", "shutdown")
    node.wait_log("its BGP session stays", since=mark)
    router.bfd(f"peer {node1.ipv4}", "no shutdown")
    router.wait_bfd(node1.ipv4)
    assert router.established(node1.ipv4)
    assert router.establishments(node1.ipv4) == 1


def test_a_router_without_bfd_has_its_session(router: BfdRouter, node1: Host, start: Start) -> None:
    """BGP does not wait for BFD that was never up; when it comes it counts."""
    node = start(node1)
    node.wait_log("bfdd answers")
    router.wait_established(node1.ipv4)
    router.watch(node1.ipv4)
    wait_both_up(router, node1)
    node.wait_log(BFD_UP)  # what was never up cannot fail
    node1.cut()
    node.wait_log("held down: BFD is down")


def test_the_end_of_bfdd_is_no_failure_of_the_router(
    router: BfdRouter, node1: Host, start: Start
) -> None:
    """No session is touched; bfdd is started again and has its sessions again."""
    router.watch_apart(node1.ipv4)  # not by bgpd, for which our bfdd's end is ours
    node = start(node1)
    wait_both_up(router, node1)

    node.wait_log(BFD_UP)
    mark, pid = node.mark(), bfdd_pid(node)
    os.kill(pid, signal.SIGKILL)
    node.wait_log("nothing is known of BFD sessions", since=mark)
    node.wait_log("bfdd answers: it holds 1 BFD sessions", since=mark)
    node.wait_log(BFD_UP, since=mark)
    assert bfdd_pid(node) != pid
    router.wait_bfd(node1.ipv4)
    assert router.established(node1.ipv4)
    assert router.establishments(node1.ipv4) == 1
    assert "held down" not in node.log(mark)


def test_bfd_outlives_speaker_and_exabgp(
    router: BfdRouter, node1: Host, tor: Host, manifests: Manifests, start: Start
) -> None:
    """The router's BFD session does not notice either of them; the new ones find it again."""
    router.watch_apart(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)
    pid, before = bfdd_pid(node), downs(node, tor.ipv4)

    for kill in (node.kill_speaker, node.kill_exabgp):
        mark = node.mark()
        kill()
        node.wait_log(BFD_UP, since=mark)
    wait_both_up(router, node1)
    assert bfdd_pid(node) == pid
    assert downs(node, tor.ipv4) == before

    manifests.put(ebgp("tor-4", tor))
    wait_for(lambda: has_ended(pid), SOON, "bfdd ends, unused")
    node.stop()


def test_a_cut_ends_also_what_graceful_restart_would_keep(
    tor: Host, node1: Host, manifests: Manifests, bfd_router: BfdRouterFactory, start: Start
) -> None:
    """A router that would keep the routes of a node that restarts drops those of a dead one."""
    manifests.put(watched(tor.ipv4, enableGracefulRestart=True))
    router = bfd_router(tor, config(node1, hold_seconds=HOLD_SECONDS, graceful_restart=True))
    router.watch(node1.ipv4)
    start(node1)
    wait_both_up(router, node1)
    router.wait_fib({WEB: [str(node1.ipv4)]})
    node1.cut()
    router.wait_fib({})
    node1.mend()
    wait_both_up(router, node1)
    router.wait_fib({WEB: [str(node1.ipv4)]})


def test_the_bfdd_of_somebody_else(
    router: BfdRouter, node1: Host, tor: Host, manifests: Manifests, start: Start
) -> None:
    """Its sockets are used, its other sessions are not touched, and it is not ours to start."""
    theirs = BfdRouter(node1, before())
    theirs.start_bfdd()
    other = IPv4Address("10.0.0.77")
    theirs.bfd(f"peer {other}")
    router.watch(node1.ipv4)
    node = start(node1, options=f"--bfd {theirs.folder}")
    wait_both_up(router, node1)
    theirs.wait_bfd(tor.ipv4)
    assert not (node.state / "bfd").exists()

    manifests.put(ebgp("tor-4", tor))
    wait_for(lambda: theirs.bfd_peer(tor.ipv4) == {}, SOON, "our session is taken away")
    assert theirs.bfd_peer(other)["status"] == "down"


def test_bfdd_ends_with_its_parent(router: BfdRouter, node1: Host, start: Start) -> None:
    """In order with it; where the parent was killed, before the next one starts its own."""
    router.watch(node1.ipv4)
    node = start(node1)
    wait_both_up(router, node1)
    left = bfdd_pid(node)
    node.kill()
    node.start()
    wait_for(lambda: bfdd_pid(node) != left, SOON, "another bfdd")
    assert has_ended(left)
    wait_both_up(router, node1)
    last = bfdd_pid(node)
    assert node.stop() == 0
    assert has_ended(last)


def test_bfd_that_is_off_leaves_bgp_alone(router: BfdRouter, node1: Host, start: Start) -> None:
    """It is said which profile and which peers go without."""
    router.watch(node1.ipv4)
    node = start(node1, options="--bfd off")
    router.wait_established(node1.ipv4)
    node.wait_log("BFDProfile fast: no BFD for BGPPeer tor-4: BFD is off on this node")
    assert not (node.state / "bfd").exists()
