"""Peers and objects that are wrong: a word that names object and field, and the rest untouched.

Every test has one good router beside what is bad. Its session comes up once, loses nothing, and
takes changes while the bad one is at its worst.
"""

import contextlib
import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.integration.lab.bad_router import BadRouter
from tests.integration.lab.frr import FrrFactory, FrrRouter
from tests.integration.lab.network import Host, Lab, command
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    Object,
    advertisement,
    community,
    node,
    peer,
    pool,
    secret,
    service,
    slice_of,
)
from tests.integration.nodes import Node
from tests.integration.rack import NODE1, NODE_ASN, ROUTER_ASN, WEB, before

pytestmark = pytest.mark.netns

MORE = "192.0.2.2/32"

FLAT = 1.25  # with `adj-rib-in true` the flood makes ExaBGP 2.7 times as large
ENOUGH = 20  # lines about one kind of failure, of routers that fail ten times a second
FLOOD_SECONDS = 120.0
TEN_THOUSAND = 10_000
DISK = 256 * 1024  # bytes; all that the node keeps there is a few pages


@pytest.fixture
def bad(lab: Lab) -> Host:
    """Return a host for bad ones."""
    return lab.host("bad", "10.0.0.60/24")


@pytest.fixture
def worker(lab: Lab) -> Host:
    """Return the node's host."""
    return lab.host("node1", f"{NODE1}/24", "fd00::11/64")


@pytest.fixture
def manifests(lab: Lab) -> Manifests:
    """Return a folder with a good peer and a Service."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", NODE1, "fd00::11"),
        pool("public", "192.0.2.0/24"),
        advertisement(),
        ebgp("good", "10.0.0.1"),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    return manifests


@pytest.fixture
def good(tor: Host, worker: Host, frr: FrrFactory) -> FrrRouter:
    """Return the good router."""
    neighbor = NeighborConfig(address=worker.ipv4, asn=NODE_ASN)
    return frr(tor, before(neighbor))


def ebgp(name: str, address: str, **spec: object) -> Object:
    """Return a BGPPeer."""
    return peer(name, address, asn=NODE_ASN, peer_asn=ROUTER_ASN, **spec)


def started(worker: Host, manifests: Manifests) -> Node:
    """Start the node."""
    running = Node(worker, manifests.path)
    running.start()
    return running


def assert_untouched(good: FrrRouter, manifests: Manifests, mark: int = 0) -> None:
    """Make a change and see it arrive, over the first session, with nothing lost."""
    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    good.wait_next_hops({WEB: [NODE1], MORE: [NODE1]})
    assert good.withdrawals_seen(mark) == []
    assert good.establishments(IPv4Address(NODE1)) == 1


ROUTERS = (
    ("reset", "no session yet"),
    ("chatter", "no session yet"),
    ("mute", "no session yet"),
    ("garbage", "down: notification received (200,77)"),
    ("shutdown", "down: notification received (6,2): administratively shut down"),
)


def test_routers_that_misbehave(
    bad: Host, worker: Host, manifests: Manifests, good: FrrRouter
) -> None:
    """Silent ones, ones that reset, speak SSH or send garbage: each is told of by its name."""
    for number, (behaviour, _) in enumerate(ROUTERS):
        address = f"10.0.0.{61 + number}"
        bad.add_address(f"{address}/24")
        router = BadRouter(bad, behaviour, IPv4Address(address), ROUTER_ASN)
        router.start()
        router.go()
        manifests.put(ebgp(behaviour, address, holdTime="3s"))
    manifests.put(ebgp("nobody", "10.0.0.250"))  # no such host: no packet is ever answered
    running = started(worker, manifests)
    good.wait_next_hops({WEB: [NODE1]})
    processes = (running.exabgp_pid(), running.speaker_pid())
    for number, (behaviour, words) in enumerate(ROUTERS):
        running.wait_log(f"BGP peer {behaviour} (10.0.0.{61 + number}): {words}")
    running.wait_log("BGP peer nobody (10.0.0.250): no session yet")
    assert_untouched(good, manifests)
    assert (running.exabgp_pid(), running.speaker_pid()) == processes
    for _, words in ROUTERS:
        assert running.log().count(words) < ENOUGH, words


def rss_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def test_a_flood_of_routes_is_taken_and_not_kept(
    bad: Host, worker: Host, manifests: Manifests, good: FrrRouter
) -> None:
    """A hundred thousand routes leave both processes as large as they were."""
    router = BadRouter(bad, "flood", bad.ipv4, ROUTER_ASN)
    router.start()
    manifests.put(ebgp("flood", "10.0.0.60"))
    running = started(worker, manifests)
    good.wait_next_hops({WEB: [NODE1]})
    router.wait_said("established")
    processes = (running.exabgp_pid(), running.speaker_pid())
    before = [rss_kib(pid) for pid in processes]
    router.go()
    router.wait_said("flooded", FLOOD_SECONDS)
    wait_for(lambda: unread(worker) == 0, FLOOD_SECONDS, "all of the flood is read")
    assert_untouched(good, manifests)
    after = [rss_kib(pid) for pid in processes]
    assert [running.exabgp_pid(), running.speaker_pid()] == [*processes]
    assert all(now < then * FLAT for then, now in zip(before, after, strict=True)), (before, after)
    assert worker.ip("route", "show", "20.0.0.0/8").strip() == ""


def unread(host: Host) -> int:
    """Return the bytes that wait in the sockets of a host."""
    rows = host.run(["ss", "-Htn", "state", "established"]).splitlines()
    return sum(int(row.split()[0]) for row in rows)


SECRETS = [
    pytest.param(None, "does not exist (yet)", id="missing"),
    pytest.param({"type": "Opaque"}, "is of type 'Opaque'", id="another type"),
    pytest.param({"stringData": {}}, "has nothing under the key `password`", id="empty"),
    pytest.param({"stringData": {"password": "ü" * 41}}, "of 82 bytes", id="too long"),
]


@pytest.mark.parametrize(("change", "words"), SECRETS)
def test_a_live_peer_keeps_its_password(
    change: dict[str, object] | None,
    words: str,
    tor: Host,
    worker: Host,
    manifests: Manifests,
    frr: FrrFactory,
) -> None:
    """It goes on with the last good Secret, and follows as soon as there is a good one again."""
    first, second = "schlüssel", "o'ther\"key\\"
    manifests.put(ebgp("good", "10.0.0.1", passwordSecret={"name": "key"}), secret("key", first))
    neighbor = NeighborConfig(address=worker.ipv4, asn=NODE_ASN, password=first)
    router = frr(tor, before(neighbor))
    running = started(worker, manifests)
    router.wait_next_hops({WEB: [NODE1]})
    if change is None:
        manifests.put(ebgp("good", "10.0.0.1", passwordSecret={"name": "other"}))
    else:
        manifests.put(secret("key", first) | change)
    running.wait_log("BGPPeer/metallb-system/good: spec.passwordSecret: Secret")
    running.wait_log(words)
    assert_untouched(router, manifests)
    assert first not in running.log()

    name = "other" if change is None else "key"
    router.vty(
        "configure terminal", f"router bgp {ROUTER_ASN}", f"neighbor {NODE1} password {second}"
    )
    manifests.put(secret(name, second))
    wait_for(lambda: router.establishments(worker.ipv4) == 2, 60, "a session with the new password")
    router.wait_next_hops({WEB: [NODE1], MORE: [NODE1]})


def test_objects_that_cannot_be(worker: Host, manifests: Manifests, good: FrrRouter) -> None:
    """An address twice, devices and addresses that are not there, ten thousand communities."""
    many = {f"c{number}": f"{number >> 8}:{number & 255}" for number in range(TEN_THOUSAND)}
    running = started(worker, manifests)
    good.wait_next_hops({WEB: [NODE1]})
    mark = good.mark()
    manifests.put(
        ebgp("twin", "10.0.0.1", holdTime="30s"),
        ebgp("red", "10.0.0.71", vrf="red"),
        ebgp("nowhere", "fe80::1", interface="eth9"),
        ebgp("stranger", "10.0.0.72", sourceAddress="10.0.0.99"),
        ebgp("unnumbered", "", interface="eth0"),
        community("many", **many),
        advertisement("loud", communities=list(many)),
        advertisement("all", communities=list(many.values())),
    )
    for words in (
        "BGPPeer/metallb-system/twin: spec.peerAddress: address 10.0.0.1 is that of BGPPeer good",
        "BGPPeer red: spec.vrf: this node has no network device 'red'",
        "BGPPeer nowhere: spec.interface: this node has no network device 'eth9'",
        "BGPPeer stranger: spec.sourceAddress: this node has no address 10.0.0.99",
        "BGPPeer unnumbered: spec.interface: ExaBGP has no unnumbered sessions",
        "BGPAdvertisement/metallb-system/loud: spec.communities: 10000 communities",
        "BGPAdvertisement/metallb-system/all: spec.communities: 10000 communities",
    ):
        running.wait_log(words)
    assert_untouched(good, manifests, mark)


def test_a_device_may_come_later(
    lab: Lab, worker: Host, manifests: Manifests, good: FrrRouter, frr: FrrFactory
) -> None:
    """The session comes up with it, of itself."""
    tor2 = lab.host("tor2", "10.4.0.1/24", segment="aside")
    late = IPv4Address("10.4.0.11")
    manifests.put(ebgp("late", "10.4.0.1", vrf="eth1"))
    second = frr(
        tor2,
        RouterConfig(
            asn=ROUTER_ASN,
            router_id=IPv4Address("10.4.0.1"),
            neighbors=(NeighborConfig(address=late, asn=NODE_ASN),),
        ),
    )
    running = started(worker, manifests)
    running.wait_log("BGPPeer late: spec.vrf: this node has no network device 'eth1'")
    good.wait_next_hops({WEB: [NODE1]})
    assert worker.attach(f"{late}/24", segment="aside") == "eth1"
    second.wait_next_hops({WEB: [str(late)]})
    assert_untouched(good, manifests)


def test_a_file_that_somebody_edits_is_made_right(
    worker: Host, manifests: Manifests, good: FrrRouter
) -> None:
    """The next change writes it anew, and so does the next speaker; no session is reset."""
    running = started(worker, manifests)
    good.wait_next_hops({WEB: [NODE1]})
    rendered = running.conf
    conf = running.state / "exabgp.conf"
    conf.write_text(rendered.replace("10.0.0.1 {", "10.0.0.2 {") + "# mine\n")
    manifests.put(ebgp("more", "10.0.0.71"))
    wait_for(
        lambda: "10.0.0.71" in running.conf and "# mine" not in running.conf, 60, "our own file"
    )
    running.wait_log("ExaBGP holds 2 neighbors")  # else it might read what comes now
    mark = running.mark()
    conf.write_text("neighbor {")
    running.kill_speaker()
    running.wait_log("ExaBGP holds 2 neighbors", since=mark)
    wait_for(lambda: "neighbor 10.0.0.71 {" in running.conf, 60, "our own file again")
    assert_untouched(good, manifests)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Have a folder on a disk of its own."""
    folder.mkdir()
    command(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)])
    try:
        yield
    finally:
        command(["umount", "--lazy", str(folder)])


def fill(folder: Path) -> Path:
    """Write until there is no room, and return the file."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
    return filler


def test_a_full_disk_leaves_the_old_sessions(
    worker: Host, manifests: Manifests, good: FrrRouter
) -> None:
    """It is told with the file that cannot be written, and made up for when there is room."""
    running = Node(worker, manifests.path)
    with small_disk(running.state):
        running.start()
        good.wait_next_hops({WEB: [NODE1]})
        running.wait_file("exabgp.conf", "10.0.0.1 {")
        running.wait_file("last-good.jsonl", "BGPPeer")  # no old file goes when the disk is full
        rendered, filler = running.conf, fill(running.state)
        manifests.put(ebgp("new", "10.0.0.71"))
        running.wait_log("exabgp.conf: cannot be written: [Errno 28] No space left on device")
        assert running.conf == rendered
        assert_untouched(good, manifests)
        filler.unlink()
        manifests.put(ebgp("new", "10.0.0.72"))
        running.wait_log("ExaBGP holds 2 neighbors")
        assert "neighbor 10.0.0.72 {" in running.conf
        assert_untouched(good, manifests)
        running.stop()
