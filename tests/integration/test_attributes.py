"""Attributes beyond MetalLB's, as routers hold them: MED, prepended paths, link bandwidth."""

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_network

import pytest

from tests.integration.lab.frr import FrrFactory, FrrRouter
from tests.integration.lab.history import Kind
from tests.integration.lab.network import Host
from tests.integration.lab.router import Path, RouterFactory
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import Manifests, advertisement, node, peer, service, slice_of
from tests.integration.rack import NODE1, NODE2, NODE_ASN, ROUTER_ASN, WEB, Start, config, ebgp

pytestmark = pytest.mark.netns

LONG_ASN = 4_200_000_001
ALL = "192.0.2.0/24"

WEIGHTS_SECONDS = 60.0

asns = pytest.mark.parametrize(
    "asn", [ROUTER_ASN, NODE_ASN, LONG_ASN], ids=["ibgp", "ebgp", "ebgp-32-bits"]
)


@asns
def test_routers_hold_med_and_prepended_paths(
    asn: int, tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """A MED on every session, 0 too; as many copies of our AS as asked, and none on iBGP."""
    manifests.put(
        node(node1.name, node1.ipv4, node1.ipv6),
        peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN, dualStackAddressFamily=True),
        advertisement(med=2**32 - 1, asPathPrepend=2),
        service("web", "192.0.2.1", "fd01::1", families=["IPv4", "IPv6"]),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, asn=asn))
    start(node1)
    internal = asn == ROUTER_ASN

    def wait(med: int | None, copies: int) -> None:
        path = Path(
            next_hop=node1.ipv4,
            as_path=() if internal else (asn,) * copies,
            med=med,
            local_pref=100 if internal else None,
        )
        held.wait_routes(
            {
                ip_network(WEB): frozenset({path}),
                ip_network("fd01::1/128"): frozenset({replace(path, next_hop=node1.ipv6)}),
            }
        )

    wait(2**32 - 1, 3)
    mark = held.mark()
    steps = [
        ({"med": 0, "asPathPrepend": 1}, (0, 2)),
        ({"asPathPrepend": 10}, (None, 11)),
        ({}, (None, 1)),
        ({"med": 7}, (7, 1)),
    ]
    for spec, now in steps:
        manifests.put(advertisement("all", **spec))
        wait(*now)
    assert held.withdrawals_seen(mark) == []
    assert held.establishments(node1.ipv4) == 1


def test_a_new_speaker_finds_them_as_they_are(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """ExaBGP shows all of them as they were asked for, so nothing is announced again."""
    manifests.put(
        node(node1.name, node1.ipv4),
        ebgp("tor", tor),
        advertisement(med=5, asPathPrepend=2, linkBandwidth="endpoints"),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    mark = held.mark()
    running.kill_speaker()
    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    held.wait_next_hops({WEB: [NODE1], "192.0.2.2/32": [NODE1]})
    events = [event for event in held.events_since(mark) if event.kind is not Kind.END_OF_RIB]
    told = [(event.kind, event.prefix) for event in events]
    assert told == [(Kind.ANNOUNCED, ip_network("192.0.2.2/32"))]


@asns
def test_a_router_shares_by_endpoint(
    asn: int,
    tor: Host,
    node1: Host,
    node2: Host,
    manifests: Manifests,
    frr: FrrFactory,
    start: Start,
) -> None:
    """Weights of the kernel's next hops follow scaling, down to none under policy Cluster."""
    manifests.put(
        *(node(host.name, host.ipv4) for host in (node1, node2)),
        peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN),
        advertisement(linkBandwidth="endpoints"),
        service("web", "192.0.2.1"),
        slice_of("web", "node1", "node1", "node2"),
    )
    held = frr(tor, config(node1, node2, asn=asn))
    start(node1)
    start(node2)
    wait_share(held, WEB, Fraction(2, 1))
    sender = asn if asn < 2**16 else 23456
    assert told(held, WEB) == [f"LB:{sender}:125000", f"LB:{sender}:250000"]

    mark = held.mark()
    manifests.put(slice_of("web", "node1", "node1", "node2", "node2", "node2"))
    wait_share(held, WEB, Fraction(2, 3))
    manifests.put(slice_of("web", "node1", "node2"))
    wait_share(held, WEB, Fraction(1, 1))
    manifests.put(slice_of("web", "node1"))
    wait_share(held, WEB, Fraction(99, 1))  # FRR's weights are parts of 100, and at least 1
    assert told(held, WEB) == [f"LB:{sender}:1250", f"LB:{sender}:125000"]
    manifests.put(advertisement())
    wait_for(lambda: told(held, WEB) == [], WEIGHTS_SECONDS, "no link bandwidth")
    wait_share(held, WEB, Fraction(1, 1))
    assert held.fib_deletions(mark) == []
    assert held.withdrawals_seen(mark) == []


def test_services_of_one_prefix_are_added_up(
    tor: Host, node1: Host, node2: Host, manifests: Manifests, frr: FrrFactory, start: Start
) -> None:
    """Of an aggregate the router sees the endpoints of all Services below it."""
    manifests.put(
        *(node(host.name, host.ipv4) for host in (node1, node2)),
        ebgp("tor", tor),
        advertisement(linkBandwidth="endpoints", aggregationLength=24),
        service("web", "192.0.2.1"),
        slice_of("web", "node1", "node1", "node2"),
        service("db", "192.0.2.2"),
        slice_of("db", "node1"),
    )
    held = frr(tor, config(node1, node2))
    start(node1)
    start(node2)
    wait_share(held, ALL, Fraction(3, 1))
    manifests.remove("Service", "web")
    wait_share(held, ALL, Fraction(99, 1))
    manifests.put(slice_of("db", "node1", "node2", "node2", "node2"))
    wait_share(held, ALL, Fraction(1, 3))


def wait_share(held: FrrRouter, prefix: str, wanted: Fraction) -> None:
    """Wait until the kernel sends to the first node so many times what it sends to the second."""
    network = ip_network(prefix)

    def share() -> Fraction | None:
        weights = {str(hop.address): hop.weight for hop in held.fib().get(network, ())}
        if set(weights) != {NODE1, NODE2}:
            return None
        return Fraction(weights[NODE1], weights[NODE2])

    wait_for(lambda: share() == wanted, WEIGHTS_SECONDS, lambda: f"{wanted}, not {held.fib()}")


def told(held: FrrRouter, prefix: str) -> list[str]:
    """Return the link bandwidths that the router holds, without the words for people."""
    paths = held.show(f"bgp ipv4 unicast {prefix} json").get("paths", ())
    texts = [path["extendedCommunity"]["string"] for path in paths if "extendedCommunity" in path]
    return sorted((text.split()[0] for text in texts), key=lambda text: int(text.split(":")[2]))
