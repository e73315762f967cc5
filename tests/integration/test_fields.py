"""Every field of BGPPeer, as the wire has it.

One node holds a session for each field with one FRR, told apart by their addresses; a capture and a
dissector that is not ours say what was sent, and FRR that it is content. A router of another port,
and one that has nothing but a link-local address, is a BIRD.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from tests.integration.lab.bird import BirdRouter
from tests.integration.lab.capture import KEEPALIVE, Capture
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.history import Address
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.packets import (
    ASN_OF_32_BITS,
    GRACEFUL_RESTART,
    HOST_NAME,
    MULTIPROTOCOL,
    Open,
    Packet,
    opens,
    packets,
)
from tests.integration.lab.router import NeighborConfig, RouterConfig
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    advertisement,
    node,
    peer,
    pool,
    secret,
    service,
    slice_of,
)
from tests.integration.nodes import Node
from tests.integration.rack import NODE_ASN, ROUTER_ASN, before

pytestmark = pytest.mark.netns

OTHER_ASN = 64999
LONG_ASN = 4200000001
AS_TRANS = 23456  # RFC 6793 section 9

NODE4, NODE6 = "10.0.0.11", "fd00::11"
WEB4, WEB6 = "192.0.2.1/32", "fd99::1/128"
IPV4_UNICAST, IPV6_UNICAST = b"\0\1\0\1", b"\0\2\0\1"  # RFC 4760 section 8

ODD_PASSWORD = "a\"b'c\\d;#e"
SECRET_PASSWORD = "pässwörd"
HOLD_SECONDS, KEEPALIVES = 9, 5
CAPTURED_SECONDS = 60.0  # tcpdump may be behind the router
TTL, ONE_HOP = 64, 1  # net.ipv4.ip_default_ttl, and what keeps a packet on its segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A field, and what it does.

    Attributes:
        spec: more fields of the BGPPeer; None takes one away.
        asn: of the node, as the router is told.
        told: more for the router.
        seen: what must be true of the OPEN.
        hops: TTL of the node's packets.
        dual: IPv6 routes are expected too.
    """

    name: str
    spec: dict[str, object] = field(default_factory=dict)
    asn: int = NODE_ASN
    told: dict[str, object] = field(default_factory=dict)
    seen: Callable[[Open], bool] = lambda _: True
    hops: int = ONE_HOP
    signed: bool = False
    dual: bool = False


CASES = (
    Case(
        name="plain",
        seen=lambda o: (
            (o.asn, o.hold_seconds, str(o.router_id)) == (NODE_ASN, 9, NODE4)
            and o.capabilities[MULTIPROTOCOL] == [IPV4_UNICAST]
            and GRACEFUL_RESTART not in o.capabilities
        ),
    ),
    Case(name="no-timers", spec={"holdTime": None}, seen=lambda o: o.hold_seconds == 90),
    Case(name="hold-time", spec={"holdTime": "1m"}, seen=lambda o: o.hold_seconds == 60),
    Case(name="no-hold-time", spec={"holdTime": "0s"}, seen=lambda o: o.hold_seconds == 0),
    Case(
        name="keepalive-time",
        spec={"holdTime": None, "keepaliveTime": "5s"},
        seen=lambda o: o.hold_seconds == 15,
    ),
    Case(name="connect-time", spec={"connectTime": "5s"}),
    Case(
        name="router-id",
        spec={"routerID": "10.9.9.9"},
        seen=lambda o: o.router_id == IPv4Address("10.9.9.9"),
    ),
    Case(
        name="local-asn",
        spec={"localASN": OTHER_ASN},
        asn=OTHER_ASN,
        seen=lambda o: o.asn == OTHER_ASN,
    ),
    Case(
        name="asn-of-32-bits",
        spec={"myASN": LONG_ASN},
        asn=LONG_ASN,
        seen=lambda o: (
            o.asn == AS_TRANS and o.capabilities[ASN_OF_32_BITS] == [LONG_ASN.to_bytes(4, "big")]
        ),
    ),
    Case(
        name="internal",
        spec={"myASN": ROUTER_ASN, "peerASN": None, "dynamicASN": "internal"},
        asn=ROUTER_ASN,
        hops=TTL,
    ),
    Case(name="external", spec={"peerASN": None, "dynamicASN": "external"}),
    Case(name="multihop", spec={"ebgpMultiHop": True}, told={"ebgp_multihop": 5}, hops=TTL),
    Case(
        name="password",
        spec={"password": ODD_PASSWORD},
        told={"password": ODD_PASSWORD},
        signed=True,
    ),
    Case(
        name="password-secret",
        spec={"passwordSecret": {"name": "tor"}},
        told={"password": SECRET_PASSWORD},
        signed=True,
    ),
    Case(
        name="graceful-restart",
        spec={"enableGracefulRestart": True},
        told={"graceful_restart": True, "families": ("ipv4",)},
        seen=lambda o: (
            int.from_bytes(o.capabilities[GRACEFUL_RESTART][0][:2], "big") & 0xFFF == 120
        ),
    ),
    Case(
        name="dual-stack",
        spec={"dualStackAddressFamily": True},
        seen=lambda o: sorted(o.capabilities[MULTIPROTOCOL]) == [IPV4_UNICAST, IPV6_UNICAST],
        dual=True,
    ),
    Case(name="disable-mp", spec={"disableMP": True}),
)


def routers_address(number: int) -> IPv4Address:
    """Return where the router has the session of a case."""
    return IPv4Address(f"10.0.0.{100 + number}")


def nodes_address(number: int) -> IPv4Address:
    """Return where the node has it."""
    return IPv4Address(f"10.0.0.{200 + number}")


@pytest.fixture
def worker(lab: Lab) -> Host:
    """Return the node's host."""
    return lab.host("node1", f"{NODE4}/24", f"{NODE6}/64")


@pytest.fixture
def manifests(lab: Lab) -> Manifests:
    """Return a folder with a node and one Service with an address of each family."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", NODE4, NODE6),
        pool("public", "192.0.2.0/24", "fd99::/64"),
        advertisement(),
        service("web", "192.0.2.1", "fd99::1", families=["IPv4", "IPv6"]),
        slice_of("web", "node1"),
    )
    return manifests


def put_peer(manifests: Manifests, name: str, address: object, **spec: object) -> None:
    """Write a BGPPeer; a field that is None is left out."""
    made = peer(name, address, asn=NODE_ASN, peer_asn=ROUTER_ASN)
    made["spec"] = {k: v for k, v in (made["spec"] | spec).items() if v is not None}
    manifests.put(made)


def test_every_field_on_the_wire(
    tor: Host, worker: Host, manifests: Manifests, frr: FrrFactory
) -> None:
    """Each session comes up and carries the route; OPEN, TTL and digest are as the field says."""
    manifests.put(secret("tor", SECRET_PASSWORD))
    neighbors = []
    for number, case in enumerate(CASES):
        tor.add_address(f"{routers_address(number)}/24")
        worker.add_address(f"{nodes_address(number)}/24")
        source = str(nodes_address(number))
        put_peer(manifests, case.name, routers_address(number), sourceAddress=source, **case.spec)
        told = NeighborConfig(address=nodes_address(number), asn=case.asn, **case.told)  # type: ignore[arg-type]  # its fields
        neighbors.append(told)
    with Capture(tor) as capture:
        router = frr(tor, before(*neighbors))
        Node(worker, manifests.path).start()
        router.wait_established()
        router.wait_next_hops(
            {
                WEB4: [str(nodes_address(number)) for number in range(len(CASES))],
                WEB6: [NODE6],
            }
        )
        for number, case in enumerate(CASES):
            wait_open(capture, nodes_address(number), case.name)
        heard = list(packets(capture))
        for number, case in enumerate(CASES):
            check(case, nodes_address(number), capture, heard)


def wait_open(capture: Capture, source: Address, what: str) -> None:
    """Wait until an OPEN of an address was captured."""
    wait_for(lambda: opens(capture, source), CAPTURED_SECONDS, f"an OPEN: {what}")


def check(case: Case, source: IPv4Address, capture: Capture, heard: list[Packet]) -> None:
    """Hold what was captured of one session against its case."""
    sent = [packet for packet in heard if packet.source == source]
    assert sent, case.name
    assert {packet.hops for packet in sent} == {case.hops}, case.name
    assert {packet.signed for packet in sent} == {case.signed}, case.name
    *_, told = opens(capture, source)
    assert case.seen(told), f"{case.name}: {told}"


def test_keepalives_come_each_third_of_the_hold_time(
    tor: Host, worker: Host, manifests: Manifests, frr: FrrFactory
) -> None:
    """Whatever keepaliveTime says beside it, as its warning tells."""
    put_peer(
        manifests, "tor", tor.ipv4, holdTime=f"{HOLD_SECONDS}s", keepaliveTime=f"{HOLD_SECONDS}s"
    )
    neighbor = NeighborConfig(address=worker.ipv4, asn=NODE_ASN)
    with Capture(tor) as capture:
        router = frr(tor, before(neighbor))
        Node(worker, manifests.path).start()
        router.wait_established()

        def times() -> list[float]:
            told = capture.messages()
            return [m.at_seconds for m in told if m.type == KEEPALIVE and m.source == worker.ipv4]

        heard = wait_for(
            lambda: found if len(found := times()) >= KEEPALIVES else [], 60, "a few KEEPALIVEs"
        )
        first, *_, last = heard[1:]  # the one before answers the OPEN
        between = (last - first) / (len(heard) - 2)
    assert HOLD_SECONDS / 3 / 2 < between < HOLD_SECONDS / 3 * 2


def test_as_path_and_families_are_those_of_the_session(
    tor: Host, worker: Host, manifests: Manifests, frr: FrrFactory
) -> None:
    """A localASN stands in the AS path; a session of one family has no routes of the other."""
    put_peer(manifests, "tor", tor.ipv4, localASN=OTHER_ASN)
    router = frr(
        tor,
        RouterConfig(
            asn=ROUTER_ASN,
            router_id=IPv4Address("10.0.0.1"),
            neighbors=(NeighborConfig(address=worker.ipv4, asn=OTHER_ASN),),
        ),
    )
    Node(worker, manifests.path).start()
    router.wait_next_hops({WEB4: [NODE4]})
    ((path,),) = router.routes().values()
    assert path.as_path == (OTHER_ASN,)


def bird(host: Host, neighbor: NeighborConfig, port: int = 179) -> BirdRouter:
    """Start a BIRD."""
    config = RouterConfig(
        asn=ROUTER_ASN, router_id=IPv4Address("10.0.0.1"), neighbors=(neighbor,), port=port
    )
    router = BirdRouter(host, config)
    router.start()
    return router


def test_a_router_may_listen_on_another_port(tor: Host, worker: Host, manifests: Manifests) -> None:
    """The one of peerPort, also above MetalLB's limit of 16384."""
    put_peer(manifests, "tor", tor.ipv4, peerPort=50179)
    with Capture(tor, port=50179) as capture:
        router = bird(tor, NeighborConfig(address=worker.ipv4, asn=NODE_ASN), port=50179)
        Node(worker, manifests.path).start()
        router.wait_next_hops({WEB4: [NODE4]})
        wait_open(capture, worker.ipv4, "on another port")
        assert {p.port for p in packets(capture) if p.source == worker.ipv4} == {50179}


@pytest.mark.parametrize("source", [None, "fe80::11"], ids=["any source", "a source"])
def test_a_router_may_have_nothing_but_a_link_local_address(
    source: str | None, tor: Host, worker: Host, manifests: Manifests
) -> None:
    """With its interface; ours is the next hop of IPv6, and the node's own that of IPv4."""
    tor.add_address("fe80::1/64")
    link = "fe80::11" if source else own_link_local(worker)
    if source:
        worker.add_address(f"{source}/64")
    put_peer(
        manifests,
        "tor",
        "fe80::1",
        interface="eth0",
        sourceAddress=source,
        dualStackAddressFamily=True,
    )
    router = bird(tor, NeighborConfig(address=IPv6Address(f"{link}%eth0"), asn=NODE_ASN))
    running = Node(worker, manifests.path)
    with Capture(tor) as capture:
        running.start()
        router.wait_next_hops({WEB4: [NODE4], WEB6: [link]})
        wait_open(capture, IPv6Address(link), "from the link-local address")
        sent = {p.hops for p in packets(capture) if p.source == IPv6Address(link)}
        assert sent == {ONE_HOP}
    put_peer(manifests, "dead", "10.0.0.99")  # a reload
    running.wait_log("ExaBGP holds 2 neighbors")
    manifests.put(service("more", "fd99::2", families=["IPv6"]), slice_of("more", "node1"))
    router.wait_next_hops({WEB4: [NODE4], WEB6: [link], "fd99::2/128": [link]})
    assert router.establishments(router.config.neighbors[0].address) == 1


def test_another_device_is_another_session(
    tor: Host, worker: Host, manifests: Manifests, frr: FrrFactory
) -> None:
    """A session moves with its `vrf`, here a plain device, and ends where the device has no way."""
    worker.attach("10.4.0.11/24", segment="aside")
    put_peer(manifests, "tor", tor.ipv4, vrf="eth0")
    neighbor = NeighborConfig(address=worker.ipv4, asn=NODE_ASN)
    with Capture(tor) as capture:
        router = frr(tor, before(neighbor))
        running = Node(worker, manifests.path)
        running.start()
        router.wait_next_hops({WEB4: [NODE4]})
        put_peer(manifests, "tor", tor.ipv4, vrf="eth1")
        router.wait_down(worker.ipv4)
        put_peer(manifests, "tor", tor.ipv4)
        router.wait_next_hops({WEB4: [NODE4]})
        wait_for(lambda: len(opens(capture, worker.ipv4)) >= 2, CAPTURED_SECONDS, "two OPENs")
        for told in opens(capture, worker.ipv4):
            assert HOST_NAME not in told.capabilities


def own_link_local(host: Host) -> str:
    """Return the link-local address that the kernel gave eth0."""
    words = ["-6", "-oneline", "address", "show", "dev", "eth0", "scope", "link"]
    shown = wait_for(lambda: host.ip(*words), 60, "a link-local address")
    return shown.split()[3].partition("/")[0]


def test_without_ebgp_multihop_no_packet_goes_further_than_one_hop(
    lab: Lab, tor: Host, worker: Host, manifests: Manifests, frr: FrrFactory
) -> None:
    """A router behind another one hears nothing until the field is set."""
    tor.forward()
    far = lab.host("far", "10.3.0.2/24", segment="far")
    tor.attach("10.3.0.1/24", segment="far")
    worker.ip("route", "add", "10.3.0.0/24", "via", "10.0.0.1")
    far.ip("route", "add", "10.0.0.0/24", "via", "10.3.0.1")
    neighbor = NeighborConfig(address=worker.ipv4, asn=NODE_ASN, ebgp_multihop=2)
    router = frr(
        far,
        RouterConfig(asn=ROUTER_ASN, router_id=IPv4Address("10.3.0.2"), neighbors=(neighbor,)),
    )
    put_peer(manifests, "far", far.ipv4)
    with Capture(tor) as near, Capture(far) as behind:
        running = Node(worker, manifests.path)
        running.start()
        wait_for(
            lambda: [p for p in packets(near) if p.destination == far.ipv4],
            CAPTURED_SECONDS,
            "a first attempt",
        )
        running.wait_log("BGP peer far (10.3.0.2): no session yet")
        running.wait_log("ebgpMultiHop")
        assert list(packets(behind)) == []
        put_peer(manifests, "far", far.ipv4, ebgpMultiHop=True)
        router.wait_next_hops({WEB4: [NODE4]})
        wait_open(behind, ip_address(NODE4), "of a session over two hops")
        assert {p.hops for p in packets(behind) if p.source == ip_address(NODE4)} == {TTL - 1}
