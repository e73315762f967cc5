"""The node's programs against real routers: manifests in, routes and sessions at FRR, BIRD, GoBGP.

A node runs as units and containers run it: `exabgp-metallb run` on a host of its own.
"""

from ipaddress import ip_network

import pytest

from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.network import Host
from tests.integration.lab.router import NeighborConfig, Path, RouterFactory
from tests.integration.lab.waiting import wait_for
from tests.integration.manifests import (
    Manifests,
    advertisement,
    community,
    endpoint,
    node,
    on,
    peer,
    pool,
    secret,
    service,
    slice_of,
)
from tests.integration.rack import (
    NEAR,
    NODE1,
    NODE2,
    NODE_ASN,
    ROUTER_ASN,
    WEB,
    Start,
    before,
    config,
    ebgp,
    losses,
    nodes,
)

pytestmark = pytest.mark.netns


def test_routes_follow_the_pods(
    tor: Host, node1: Host, node2: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """Both traffic policies, scaling up and down, conditions of endpoints, the last one goes."""
    manifests.put(
        *nodes(node1, node2),
        ebgp("tor", tor),
        service("web", "192.0.2.1", policy="Cluster"),
        service("near", "192.0.2.2", policy="Local"),
        slice_of("web", "node1"),
        slice_of("near", "node1"),
    )
    held = router(tor, config(node1, node2))
    start(node1)
    start(node2)
    held.wait_next_hops({WEB: [NODE1, NODE2], NEAR: [NODE1]})

    steps = [
        (slice_of("near", "node1", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE1, NODE2]}),
        (slice_of("near", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE2]}),
        (slice_of("near", endpoint("node2", ready=False)), {WEB: [NODE1, NODE2]}),
        (
            slice_of("near", endpoint("node2", ready=False, serving=True, terminating=True)),
            {WEB: [NODE1, NODE2], NEAR: [NODE2]},
        ),
        (slice_of("near", endpoint("node1")), {WEB: [NODE1, NODE2], NEAR: [NODE1]}),
        (slice_of("web", endpoint("node1", ready=False, serving=False)), {NEAR: [NODE1]}),
        (slice_of("web", "node2"), {WEB: [NODE1, NODE2], NEAR: [NODE1]}),
    ]
    for change, expected in steps:
        manifests.put(change)
        held.wait_next_hops(expected)
    manifests.remove("Service", "web")
    held.wait_next_hops({NEAR: [NODE1]})
    assert held.establishments(node1.ipv4) == held.establishments(node2.ipv4) == 1


def test_selectors_follow_the_labels_of_nodes(
    tor: Host, node1: Host, node2: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """An advertisement's selectors say who announces, a peer's who has a session."""
    edge, rack_a = [{"matchLabels": {"tier": "edge"}}], [{"matchLabels": {"rack": "a"}}]
    manifests.put(
        node("node1", node1.ipv4, tier="edge", rack="a"),
        node("node2", node2.ipv4, tier="edge", rack="b"),
        ebgp("tor", tor, nodeSelectors=edge),
        advertisement(nodeSelectors=rack_a),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, node2))
    start(node1)
    second = start(node2)
    held.wait_established()
    held.wait_next_hops({WEB: [NODE1]})

    manifests.put(node("node2", node2.ipv4, tier="edge", rack="a"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    manifests.put(node("node2", node2.ipv4, rack="a"))
    held.wait_next_hops({WEB: [NODE1]})
    held.wait_down(node2.ipv4)
    assert "neighbor " not in second.conf
    manifests.put(node("node2", node2.ipv4, tier="edge", rack="a"))
    held.wait_next_hops({WEB: [NODE1, NODE2]})
    assert held.establishments(node1.ipv4) == 1


@pytest.mark.parametrize("asn", [ROUTER_ASN, NODE_ASN], ids=["ibgp", "ebgp"])
def test_routes_carry_what_the_advertisements_ask(
    asn: int, tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """Communities by alias and number, large ones, aggregation; local-pref to iBGP peers only."""
    aggregate = {"aggregationLength": 26, "aggregationLengthV6": 64}
    manifests.put(
        *nodes(node1),
        peer("tor", tor.ipv4, asn=asn, peer_asn=ROUTER_ASN),
        community("names", blue="65001:1"),
        advertisement("all", localPref=200, communities=["blue", "65001:2", "large:65001:2:3"]),
        advertisement("aggregate", **aggregate, communities=["large:65001:2:4"]),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, asn=asn))
    start(node1)
    internal = asn == ROUTER_ASN
    as_path = () if internal else (NODE_ASN,)
    held.wait_routes(
        {
            ip_network(WEB): frozenset(
                {
                    Path(
                        next_hop=node1.ipv4,
                        as_path=as_path,
                        local_pref=200 if internal else None,
                        communities=("65001:1", "65001:2"),
                        large_communities=("65001:2:3",),
                    )
                }
            ),
            ip_network("192.0.2.0/26"): frozenset(
                {
                    Path(
                        next_hop=node1.ipv4,
                        as_path=as_path,
                        local_pref=100 if internal else None,  # the default, RFC 4271 section 5.1.5
                        large_communities=("65001:2:4",),
                    )
                }
            ),
        }
    )
    mark = held.mark()
    manifests.put(advertisement("aggregate", **aggregate, communities=["65001:9"]))
    held.wait_routes(
        lambda routes: {p.communities for p in routes[ip_network("192.0.2.0/26")]} == {("65001:9",)}
    )
    assert losses(held, mark) == []


def test_an_ipv6_session_carries_both_families(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """IPv4 routes on it have the node's own IPv4 address as next hop."""
    manifests.put(
        *nodes(node1),
        peer("tor", tor.ipv6, asn=NODE_ASN, peer_asn=ROUTER_ASN, dualStackAddressFamily=True),
        service("both", "192.0.2.1", "fd01::1", families=["IPv4", "IPv6"]),
        service("six", "fd01::2", families=["IPv6"]),
        slice_of("both", "node1"),
        slice_of("six", "node1"),
    )
    neighbor = NeighborConfig(address=node1.ipv6, asn=NODE_ASN)
    held = router(tor, before(neighbor))
    start(node1)
    six = {"fd01::1/128": ["fd00::11"], "fd01::2/128": ["fd00::11"]}
    held.wait_next_hops({WEB: [NODE1], **six})
    manifests.put(slice_of("both"))
    held.wait_next_hops({"fd01::2/128": ["fd00::11"]})


def test_an_advertisement_may_be_for_some_peers(
    tor: Host, tor2: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """Two routers, and lists of peers that change."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        ebgp("tor2", tor2),
        pool("private", "198.51.100.0/24"),
        advertisement("all", ipAddressPools=["public"]),
        advertisement("private", ipAddressPools=["private"], peers=["tor2"]),
        service("web", "192.0.2.1"),
        service("inner", "198.51.100.1"),
        slice_of("web", "node1"),
        slice_of("inner", "node1"),
    )
    first, second = router(tor, config(node1)), router(tor2, config(node1))
    start(node1)
    second.wait_next_hops({WEB: [NODE1], "198.51.100.1/32": [NODE1]})
    first.wait_next_hops({WEB: [NODE1]})

    manifests.put(advertisement("private", ipAddressPools=["private"], peers=["tor"]))
    first.wait_next_hops({WEB: [NODE1], "198.51.100.1/32": [NODE1]})
    second.wait_next_hops({WEB: [NODE1]})


def test_a_peer_may_have_any_other_as(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """The peer has dynamicASN external; over a restart of the speaker and a reload."""
    dynamic = ebgp("tor", tor, dynamicASN="external")
    del dynamic["spec"]["peerASN"]
    manifests.put(*nodes(node1), dynamic, service("web", "192.0.2.1"), slice_of("web", "node1"))
    held = router(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    running.kill_speaker()
    manifests.put(service("near", "192.0.2.2"), slice_of("near", "node1"))
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    manifests.put(peer("dead", "10.0.0.99", asn=1, peer_asn=2))
    running.wait_log("ExaBGP holds 2 neighbors")
    manifests.put(slice_of("web"))
    held.wait_next_hops({NEAR: [NODE1]})
    assert held.establishments(node1.ipv4) == 1


def test_peers_change_while_others_keep_their_sessions(
    tor: Host, tor2: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """One is added, edited and removed, beside one that stands and one that never answers."""
    manifests.put(
        *nodes(node1), ebgp("tor", tor), service("web", "192.0.2.1"), slice_of("web", "node1")
    )
    manifests.put(peer("dead", "10.0.0.99", asn=NODE_ASN, peer_asn=ROUTER_ASN))
    first, second = router(tor, config(node1)), router(tor2, config(node1))
    running = start(node1)
    first.wait_next_hops({WEB: [NODE1]})
    mark = first.mark()

    manifests.put(ebgp("tor2", tor2))
    second.wait_next_hops({WEB: [NODE1]})
    manifests.put(ebgp("tor2", tor2, holdTime="12s"))
    wait_for(lambda: second.establishments(node1.ipv4) == 2, 60, "a session with another hold time")
    second.wait_next_hops({WEB: [NODE1]})
    assert "hold-time 12;" in running.conf
    manifests.remove("BGPPeer", "tor2")
    second.wait_down(node1.ipv4)
    second.wait_next_hops({})

    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    first.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    assert losses(first, mark) == []
    assert first.establishments(node1.ipv4) == 1


def test_a_password_comes_from_a_secret(
    tor: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """The session waits for it, and nobody else may read it."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor, passwordSecret={"name": "tor"}),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1, password="s3cret-word"))
    running = start(node1)
    running.wait_log("passwordSecret")
    manifests.put(secret("tor", "s3cret-word"))
    held.wait_next_hops({WEB: [NODE1]})
    assert "s3cret-word" in running.conf
    assert (running.state / "exabgp.conf").stat().st_mode & 0o777 == 0o600
    assert "s3cret-word" not in running.log()
    running.wait_file("last-good.jsonl", "BGPPeer")
    assert "s3cret-word" not in (running.state / "last-good.jsonl").read_text()


def test_a_bad_peer_harms_no_other(
    tor: Host, tor2: Host, node1: Host, manifests: Manifests, router: RouterFactory, start: Start
) -> None:
    """One that speaks another AS, and one where nobody listens: one message each."""
    manifests.put(
        *nodes(node1),
        ebgp("good", tor),
        peer("stranger", tor2.ipv4, asn=64999, peer_asn=ROUTER_ASN),
        peer("deaf", node1.lab.host("deaf", "10.0.0.3/24").ipv4, asn=NODE_ASN, peer_asn=1),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = router(tor, config(node1))
    router(tor2, config(node1))
    running = start(node1)
    held.wait_next_hops({WEB: [NODE1]})
    running.wait_log("BGP peer stranger (10.0.0.2): no session")
    running.wait_log("BGP peer deaf (10.0.0.3): no session")
    manifests.put(service("more", "192.0.2.2"), slice_of("more", "node1"))
    held.wait_next_hops({WEB: [NODE1], NEAR: [NODE1]})
    told = [line for line in running.log().splitlines() if "no session" in line]
    assert sum("BGP peer deaf" in line for line in told) == 1
    strange = [line for line in told if "BGP peer stranger" in line]
    assert len(strange) == 1
    assert "wrong ASN" in strange[0]
    assert held.establishments(node1.ipv4) == 1


def test_a_node_that_is_not_there_announces_what_needs_no_node(
    tor: Host, node1: Host, manifests: Manifests, frr: FrrFactory, start: Start
) -> None:
    """A name that no Node has: told once, with the names there are; no selector matches."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        ebgp("elsewhere", node1, nodeSelectors=on("node1")),
        service("web", "192.0.2.1"),
        slice_of("web", "node1"),
    )
    held = frr(tor, config(node1))
    running = start(node1, name="typo")
    held.wait_next_hops({WEB: [NODE1]})
    manifests.put(slice_of("web"))
    held.wait_next_hops({})
    assert running.log().count("no Node is named typo") == 1
    assert "there are: node1" in running.log()
    assert running.conf.count("neighbor 10.") == 1


def test_addresses_given_without_a_cluster_stay(
    tor: Host, node1: Host, manifests: Manifests, frr: FrrFactory, start: Start
) -> None:
    """A Service that would have been served first gets what is left, and no restart changes it."""
    manifests.put(
        *nodes(node1),
        ebgp("tor", tor),
        pool("public", "192.0.2.4/31"),
        service("m", created="2026-02-01T00:00:00Z"),
        slice_of("m", "node1"),
    )
    held = frr(tor, config(node1))
    running = start(node1)
    held.wait_next_hops({"192.0.2.4/32": [NODE1]})
    both = {"192.0.2.4/32": [NODE1], "192.0.2.5/32": [NODE1]}
    manifests.put(service("a", created="2026-01-01T00:00:00Z"), slice_of("a", "node1"))
    held.wait_next_hops(both)
    leases = {"default/a": ["192.0.2.5"], "default/m": ["192.0.2.4"]}
    assert running.leases == leases

    running.stop()
    held.wait_next_hops({})
    running.start()
    held.wait_next_hops(both)
    assert running.leases == leases
    manifests.put(service("b"), slice_of("b", "node1"))
    running.wait_log("Service default/b: no address: poolExhausted")
    manifests.remove("Service", "m")
    held.wait_next_hops(both)
    wait_for(lambda: running.leases.get("default/b") == ["192.0.2.4"], 60, "b has what m left")
