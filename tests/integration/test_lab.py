"""The lab itself: every driver tells the truth about a plain ExaBGP."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path as FilePath

import pytest

from tests.integration.lab.capture import OPEN, Capture, Update
from tests.integration.lab.exabgp_host import ExaBgp, ExaBgpFactory
from tests.integration.lab.frr import FibHop, FrrFactory
from tests.integration.lab.history import Event, Kind, Prefix
from tests.integration.lab.network import NAMESPACES, Host, Lab, LabError, remove_left_behind
from tests.integration.lab.router import NeighborConfig, Path, RouterConfig, RouterFactory
from tests.integration.lab.waiting import wait_for
from tests.integration.rack import NODE_ASN, ROUTER_ASN

pytestmark = pytest.mark.netns


def config(*neighbors: NeighborConfig, maximum_paths: int = 1) -> RouterConfig:
    """Return a router with these neighbors."""
    return RouterConfig(
        asn=ROUTER_ASN,
        router_id=IPv4Address("10.0.0.1"),
        neighbors=neighbors,
        maximum_paths=maximum_paths,
    )


def ebgp(node: Host) -> NeighborConfig:
    """Return a node in an AS of its own."""
    return NeighborConfig(address=node.ipv4, asn=NODE_ASN)


def ibgp(node: Host) -> NeighborConfig:
    """Return a node in the router's AS."""
    return NeighborConfig(address=node.ipv4, asn=ROUTER_ASN)


def exabgp_conf(node: Host, *routes: str, asn: int = NODE_ASN, more: str = "") -> str:
    """Return an exabgp.conf with one session, to the router, and static routes.

    Args:
        node: where it is for.
        routes: as in `route ...`, without the semicolon.
        asn: the node's.
        more: statements of the neighbor.
    """
    static = " ".join(f"route {route};" for route in routes)
    return f"""
neighbor 10.0.0.1 {{
    router-id {node.ipv4}; local-address {node.ipv4};
    local-as {asn}; peer-as {ROUTER_ASN}; hold-time 9;
    family {{ ipv4 unicast; ipv6 unicast; }}
    {more}
    static {{ {static} }}
}}
"""


class Voice:
    """Commands for an ExaBGP whose process is a `cat` of a named pipe."""

    def __init__(self, lab: Lab) -> None:
        path = lab.folder / "commands"
        os.mkfifo(path)
        self._pipe = path.open("r+b", buffering=0)  # held open: `cat` ends with its last writer
        self.process = f"process voice {{ run /bin/cat {path}; encoder text; }}\n"
        self.api = "api { processes [ voice ]; }"

    def say(self, *lines: str) -> None:
        """Have ExaBGP read these lines, 64 KiB at most before its process takes them."""
        self._pipe.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """Let go of the pipe."""
        self._pipe.close()


@pytest.fixture
def voice(lab: Lab) -> Iterator[Voice]:
    """Return a voice that no ExaBGP listens to yet."""
    with contextlib.closing(Voice(lab)) as voice:
        yield voice


def test_all_attributes_of_an_ebgp_neighbor_are_read(
    tor: Host, node1: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """Communities, large communities, MED and both families arrive; a local-pref does not."""
    communities = "community [65001:2 65001:1 65535:0 no-export]"
    large = "large-community [65001:2:3 65001:2:4]"
    routes = (
        f"10.1.1.1/32 next-hop self med 7 {communities} {large}",
        f"10.1.2.0/24 next-hop 10.0.0.99 as-path [{NODE_ASN} 65009]",  # ExaBGP adds none to it
        "fd01::1/128 next-hop fd00::11 med 0",
    )
    peer = router(tor, config(ebgp(node1)))
    exabgp(node1, exabgp_conf(node1, *routes))
    peer.wait_established()
    peer.wait_routes(
        {
            ip_network("10.1.1.1/32"): frozenset(
                {
                    Path(
                        next_hop=node1.ipv4,
                        as_path=(NODE_ASN,),
                        med=7,
                        communities=("65001:1", "65001:2", "65535:0", "65535:65281"),
                        large_communities=("65001:2:3", "65001:2:4"),
                    )
                }
            ),
            ip_network("10.1.2.0/24"): frozenset(
                {Path(next_hop=ip_address("10.0.0.99"), as_path=(NODE_ASN, 65009))}
            ),
            ip_network("fd01::1/128"): frozenset(
                {Path(next_hop=node1.ipv6, as_path=(NODE_ASN,), med=0)}
            ),
        }
    )
    assert peer.received(node1.ipv4) == 3
    assert peer.establishments(node1.ipv4) == 1


def test_every_ibgp_path_of_a_prefix_is_listed(
    tor: Host, node1: Host, node2: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """A worse local-pref does not hide the other node's path."""
    peer = router(tor, config(ibgp(node1), ibgp(node2)))
    for node, preference in ((node1, 200), (node2, 50)):
        routes = [
            f"10.1.1.1/32 next-hop self local-preference {preference}",
            f"fd01::1/128 next-hop {node.ipv6}",
        ]
        exabgp(node, exabgp_conf(node, *routes, asn=ROUTER_ASN))
    peer.wait_routes(
        {
            ip_network("10.1.1.1/32"): frozenset(
                {
                    Path(next_hop=node1.ipv4, local_pref=200),
                    Path(next_hop=node2.ipv4, local_pref=50),
                }
            ),
            ip_network("fd01::1/128"): frozenset(
                {
                    Path(next_hop=node1.ipv6, local_pref=100),
                    Path(next_hop=node2.ipv6, local_pref=100),
                }
            ),
        }
    )


def test_a_withdrawal_is_seen_and_a_changed_route_is_none(
    tor: Host, node1: Host, router: RouterFactory, exabgp: ExaBgpFactory, voice: Voice
) -> None:
    """Only the prefix that was withdrawn counts as lost; the session stays up."""
    routes = [
        "10.1.1.1/32 next-hop self",
        "10.1.1.2/32 next-hop self",
        "fd01::1/128 next-hop fd00::11",
        "fd01::2/128 next-hop fd00::11",
    ]
    peer = router(tor, config(ebgp(node1)))
    exabgp(node1, voice.process + exabgp_conf(node1, *routes, more=voice.api))
    peer.wait_routes(lambda routes: len(routes) == 4)
    mark = peer.mark()

    voice.say("announce route 10.1.1.1/32 next-hop self med 9")
    peer.wait_routes(lambda routes: {p.med for p in routes[ip_network("10.1.1.1/32")]} == {9})
    assert peer.withdrawals_seen(mark) == []

    voice.say(
        "withdraw route 10.1.1.2/32 next-hop self",
        "withdraw route fd01::2/128 next-hop fd00::11",
    )
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"], "fd01::1/128": ["fd00::11"]})
    assert sorted(peer.withdrawals_seen(mark), key=str) == [
        Event(Kind.WITHDRAWN, node1.ipv4, ip_network(prefix))
        for prefix in ("10.1.1.2/32", "fd01::2/128")
    ]
    assert peer.establishments(node1.ipv4) == 1


def test_routes_lost_with_their_session_count_as_withdrawn(
    tor: Host, node1: Host, node2: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """A node that dies takes its routes along and leaves the other node's."""
    peer = router(tor, config(ebgp(node1), ebgp(node2)))
    dying = exabgp(node1, exabgp_conf(node1, "10.1.1.1/32 next-hop self"))
    exabgp(node2, exabgp_conf(node2, "10.1.1.1/32 next-hop self"))
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11", "10.0.0.12"]})
    mark = peer.mark()

    dying.kill()
    peer.wait_down(node1.ipv4)
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.12"]})
    assert peer.withdrawals_seen(mark) == [
        Event(Kind.WITHDRAWN, node1.ipv4, ip_network("10.1.1.1/32"))
    ]


def test_a_graceful_restart_loses_only_what_does_not_come_back(
    tor: Host, node1: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """The helper keeps stale routes and drops those that End-of-RIB leaves behind."""
    graceful = "capability { graceful-restart 120; }"
    kept, gone = "10.1.1.1/32 next-hop self", "10.1.1.2/32 next-hop self"
    neighbor = NeighborConfig(address=node1.ipv4, asn=NODE_ASN, graceful_restart=True)
    peer = router(tor, config(neighbor))
    speaker = exabgp(node1, exabgp_conf(node1, kept, gone, more=graceful))
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"], "10.1.1.2/32": ["10.0.0.11"]})
    peer.wait_end_of_rib(node1.ipv4)
    mark = peer.mark()

    speaker.kill()
    peer.wait_down(node1.ipv4)
    assert len(peer.routes()) == 2
    assert peer.withdrawals_seen(mark) == []

    speaker.write(exabgp_conf(node1, kept, more=graceful))
    speaker.start()
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})
    assert peer.withdrawals_seen(mark) == [
        Event(Kind.WITHDRAWN, node1.ipv4, ip_network("10.1.1.2/32"))
    ]
    assert peer.establishments(node1.ipv4) == 2


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_router_gets_its_routes_back_after_a_restart(
    end: str, tor: Host, node1: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """Whether it said goodbye or crashed."""
    peer = router(tor, config(ebgp(node1)))
    exabgp(node1, exabgp_conf(node1, "10.1.1.1/32 next-hop self"))
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})
    getattr(peer, end)()
    peer.start()
    peer.wait_established()
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})
    assert peer.establishments(node1.ipv4) == 2


def test_a_password_lets_in_only_who_knows_it(
    tor: Host, node1: Host, node2: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """TCP MD5: one node with the router's password, one with another."""
    neighbors = [
        NeighborConfig(address=node.ipv4, asn=NODE_ASN, password="s3cret")
        for node in (node1, node2)
    ]
    peer = router(tor, config(*neighbors))
    exabgp(node2, exabgp_conf(node2, more='md5-password "wrong";'))
    exabgp(node1, exabgp_conf(node1, "10.1.1.1/32 next-hop self", more='md5-password "s3cret";'))
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})
    assert not peer.established(node2.ipv4)


def test_an_ipv6_session_carries_both_families(
    tor: Host, node1: Host, router: RouterFactory, exabgp: ExaBgpFactory
) -> None:
    """A neighbor may be an IPv6 address."""
    conf = exabgp_conf(node1, "10.1.1.1/32 next-hop 10.0.0.11", "fd01::1/128 next-hop self")
    conf = conf.replace("neighbor 10.0.0.1 ", f"neighbor {tor.ipv6} ")
    conf = conf.replace("local-address 10.0.0.11", f"local-address {node1.ipv6}")
    peer = router(tor, config(NeighborConfig(address=node1.ipv6, asn=NODE_ASN)))
    exabgp(node1, conf)
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"], "fd01::1/128": ["fd00::11"]})
    assert peer.establishments(node1.ipv6) == 1


def test_a_router_may_be_the_one_that_connects(
    tor: Host, node1: Host, router: RouterFactory
) -> None:
    """An active router, and a TTL for a neighbor that may be further away."""
    conf = exabgp_conf(node1, "10.1.1.1/32 next-hop self", more="passive true;")
    ExaBgp(node1, conf, env={"exabgp_tcp_bind": "10.0.0.11", "exabgp_tcp_port": "179"}).start()
    neighbor = NeighborConfig(address=node1.ipv4, asn=NODE_ASN, passive=False, ebgp_multihop=2)
    peer = router(tor, config(neighbor))
    peer.wait_established()
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})


@pytest.mark.parametrize("asn", [ROUTER_ASN, NODE_ASN], ids=["ibgp", "ebgp"])
def test_frr_spreads_over_two_nodes_in_the_kernel(
    asn: int, lab: Lab, tor: Host, frr: FrrFactory, exabgp: ExaBgpFactory
) -> None:
    """Both families, equal weights; a node that goes leaves a changed route, no deletion."""
    node1, node2 = (lab.host(f"n{i}", f"10.0.0.1{i}/24", f"fd00::1{i}/64") for i in (1, 2))
    neighbors = [NeighborConfig(address=node.ipv4, asn=asn) for node in (node1, node2)]
    peer = frr(tor, config(*neighbors, maximum_paths=4))
    first, _ = (
        exabgp(
            node,
            exabgp_conf(
                node,
                "10.1.1.1/32 next-hop self",
                f"fd01::1/128 next-hop {node.ipv6}",
                asn=asn,
            ),
        )
        for node in (node1, node2)
    )
    peer.wait_fib(
        {"10.1.1.1/32": ["10.0.0.11", "10.0.0.12"], "fd01::1/128": ["fd00::11", "fd00::12"]}
    )
    assert peer.fib()[ip_network("10.1.1.1/32")] == {FibHop(node1.ipv4, 1), FibHop(node2.ipv4, 1)}
    mark = peer.mark()
    first.stop()
    peer.wait_fib({"10.1.1.1/32": ["10.0.0.12"], "fd01::1/128": ["fd00::12"]})
    assert ip_network("10.1.1.1/32") not in peer.fib_deletions(mark)


def test_frr_weighs_by_link_bandwidth(
    tor: Host, node1: Host, node2: Host, frr: FrrFactory, exabgp: ExaBgpFactory
) -> None:
    """The link-bandwidth extended community becomes the kernel's weights; the end is noticed."""
    peer = frr(tor, config(ibgp(node1), ibgp(node2), maximum_paths=4))
    speakers = []
    for node, bandwidth in ((node1, 2000), (node2, 1000)):
        community = f"extended-community [ bandwidth:{ROUTER_ASN}:{bandwidth} ]"
        route = f"10.1.1.1/32 next-hop self {community}"
        speakers.append(exabgp(node, exabgp_conf(node, route, asn=ROUTER_ASN)))
    peer.wait_fib({"10.1.1.1/32": ["10.0.0.11", "10.0.0.12"]})

    def weighed() -> bool:
        weights = {hop.address: hop.weight for hop in peer.fib()[ip_network("10.1.1.1/32")]}
        return bool(weights[node1.ipv4] == pytest.approx(2 * weights[node2.ipv4], rel=0.05))

    wait_for(weighed, 60, lambda: f"twice the weight, not {peer.fib()}")

    mark = peer.mark()
    for speaker in speakers:
        speaker.stop()
    peer.wait_fib({})
    wait_for(lambda: peer.fib_deletions(mark) == [ip_network("10.1.1.1/32")], 60, "a deletion")


def test_frr_takes_commands_while_it_runs(tor: Host, node1: Host, frr: FrrFactory) -> None:
    """A test may configure what RouterConfig has no word for; a refusal is an error."""
    peer = frr(tor, config(ebgp(node1)))
    peer.vty("configure terminal", f"router bgp {ROUTER_ASN}", "bgp graceful-shutdown")
    assert "bgp graceful-shutdown" in peer.vty("show running-config")
    with pytest.raises(LabError, match="Unknown command"):
        peer.vty("show me the money")


def test_the_wire_shows_every_update_and_its_time(
    tor: Host, node1: Host, frr: FrrFactory, exabgp: ExaBgpFactory, voice: Voice
) -> None:
    """Messages that span segments are put together; a withdrawal carries the packet's time."""
    prefixes = {ip_network(f"10.2.{n // 256}.{n % 256}/32") for n in range(2000)}
    with Capture(tor) as capture:
        peer = frr(tor, config(ebgp(node1)))
        exabgp(node1, voice.process + exabgp_conf(node1, more=voice.api))
        peer.wait_established()
        voice.say(
            "announce attributes next-hop self med 5 nlri " + " ".join(map(str, prefixes)),
            "announce route fd01::1/128 next-hop fd00::11",
        )
        capture.wait_update(announced=ip_network("fd01::1/128"))
        begin_seconds = time.time()
        voice.say("withdraw route fd01::1/128 next-hop fd00::11")
        update = capture.wait_update(
            withdrawn=ip_network("fd01::1/128"), after_seconds=begin_seconds
        )
        assert begin_seconds < update.at_seconds < time.time()
        wait_for(lambda: peer.received(node1.ipv4) == 2000, 60, "2000 routes")

        def from_node() -> list[Update]:
            return [update for update in capture.updates() if update.source == node1.ipv4]

        def seen() -> set[Prefix]:
            return {p for update in from_node() for p in update.announced}

        wait_for(lambda: seen() == prefixes | {ip_network("fd01::1/128")}, 60, "all of them")
    assert [p for update in from_node() for p in update.withdrawn] == [ip_network("fd01::1/128")]
    assert sum(message.type == OPEN for message in capture.messages()) == 2


def test_exabgp_is_reloaded_and_its_process_replaced(
    tor: Host, node1: Host, frr: FrrFactory, exabgp: ExaBgpFactory, voice: Voice
) -> None:
    """A reload brings a new static route; a killed process is started again, routes kept."""
    peer = frr(tor, config(ebgp(node1)))
    first = "10.1.1.1/32 next-hop self"
    speaker = exabgp(node1, voice.process + exabgp_conf(node1, first, more=voice.api))
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]})
    mark = peer.mark()
    old = speaker.process_pid()
    assert speaker.kill_process() != old
    second = "10.1.1.2/32 next-hop self"
    speaker.write(voice.process + exabgp_conf(node1, first, second, more=voice.api))
    speaker.reload()
    peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"], "10.1.1.2/32": ["10.0.0.11"]})
    assert peer.withdrawals_seen(mark) == []
    assert peer.establishments(node1.ipv4) == 1
    speaker.wait_log("loaded new configuration successfully")


def test_a_pulled_cable_loses_carrier_and_a_cut_one_does_not(node1: Host, node2: Host) -> None:
    """Both lose every packet, and both can be undone."""

    def reaches(address: str) -> bool:
        try:
            node1.run(["ping", "-n", "-c", "1", "-W", "0.2", address])
        except LabError:
            return False
        return True

    for address in ("10.0.0.12", "fd00::12"):
        wait_for(lambda: reaches(address), 60, address)  # noqa: B023 -- used up at once
    node2.link_down()
    wait_for(lambda: "NO-CARRIER" in node2.ip("link", "show", "eth0"), 60, "no carrier")
    assert "fd00::12" in node2.ip("address", "show", "eth0")
    assert not reaches("10.0.0.12")
    node2.link_up()
    wait_for(lambda: reaches("10.0.0.12"), 60, "the cable is back")
    node2.cut()
    assert "NO-CARRIER" not in node2.ip("link", "show", "eth0")
    assert not reaches("10.0.0.12")
    node2.mend()
    wait_for(lambda: reaches("fd00::12"), 60, "the cable is mended")


def test_a_killed_run_is_cleared_away_and_a_living_one_kept(lab: Lab) -> None:
    """A process that dies without closing its lab leaves nothing once the next one starts.

    Which may be one of another run, as soon as the process is dead.
    """
    dying = (
        "import os, sys\n"
        "from tests.integration.lab.network import Lab\n"
        "lab = Lab().__enter__()\n"
        "host = lab.host('orphan', '10.0.0.1/24')\n"
        "host.popen(['sleep', '60'])\n"
        "print(host.namespace, lab.folder, flush=True)\n"
        "sys.stdin.read()\n"
        "os._exit(1)\n"
    )
    root = FilePath(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", dying],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        namespace, folder = process.stdout.readline().split()
        remove_left_behind()
        assert (NAMESPACES / namespace).exists()
    living = lab.host("living", "10.0.0.1/24")

    remove_left_behind()
    assert not (NAMESPACES / namespace).exists()
    assert not FilePath(folder).exists()
    assert (NAMESPACES / living.namespace).exists()


def test_a_program_that_ended_by_itself_is_shown_with_its_words(node1: Host) -> None:
    """Asking for its pid raises an error with the end of its output."""
    speaker = ExaBgp(node1, "nonsense { }")
    speaker.start()
    wait_for(lambda: not speaker.alive, 60, "ExaBGP refuses its file")
    with pytest.raises(LabError, match="nonsense"):
        _ = speaker.pid


def test_the_difference_is_told(tor: Host, node1: Host, frr: FrrFactory) -> None:
    """A table that does not come names the routes that are missing."""
    peer = frr(tor, config(ebgp(node1)))
    with pytest.raises(AssertionError, match=r"missing 10\.1\.1\.1/32 via 10\.0\.0\.11"):
        peer.wait_next_hops({"10.1.1.1/32": ["10.0.0.11"]}, timeout=0)
