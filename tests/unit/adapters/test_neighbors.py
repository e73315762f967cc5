"""Neighbors read back: ExaBGP's own text of any configuration of ours, and somebody's own."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.exabgp.neighbors import (
    NEIGHBOR_CHANGES,
    SENT,
    ConfiguredNeighbor,
    parse_neighbors,
)
from exabgp_metallb.values.addresses import Family
from exabgp_metallb.values.intent import DynamicAsn, Password, Peer
from tests.unit.adapters.test_conf import EVERYTHING, PLAIN, RUN, peers, read, sessions

THEIRS = """\
neighbor 10.0.0.1 {
  description "tor a; with } signs";
  router-id 10.0.0.11;
  host-name None;
  local-address auto;
  source-interface None;
  local-as 64513;
  peer-as 64512;
  hold-time 9;
  manual-eor true;
  md5-password "neighbor 10.9.9.9 {";
  md5-base64 false;
  capability {
    graceful-restart 120;
  }
  family {
    ipv4 unicast;
    ipv6 unicast;
    ipv4 flow;
  }
  api {
    processes [ watch ];
    neighbor-changes;
  }
  api {
    processes [ announcer ];
    receive {
      update;
    }
    send {
      parsed;
      update;
    }
  }
}
neighbor fd00::1 {
  description "None";
  local-address fd00::11;
  local-as None;
  peer-as None;
  manual-eor false;
  family {
    ipv6 unicast;
  }
}"""


def test_somebody_s_own_neighbors_are_read() -> None:
    """What decisions need, whatever else is there; several api sections; dynamic numbers."""
    first, second = parse_neighbors(THEIRS.splitlines())
    assert replace(first, digest="") == ConfiguredNeighbor(
        address=ip_address("10.0.0.1"),
        description="tor a; with } signs",
        local_as=64513,
        peer_as=64512,
        families=frozenset(Family),
        processes=frozenset({"watch", "announcer"}),
        reports=frozenset({("watch", NEIGHBOR_CHANGES), ("announcer", SENT)}),
        manual_eor=True,
    )
    assert replace(second, digest="") == ConfiguredNeighbor(
        address=ip_address("fd00::1"),
        description="None",
        local_address=ip_address("fd00::11"),
        local_as=None,
        peer_as=None,
        families=frozenset({Family.IPV6}),
        processes=frozenset(),
        manual_eor=False,
    )


def test_a_neighbor_is_a_peer_named_by_its_address() -> None:
    """Sessions of somebody's own configuration are decided as ours are."""
    first, second = (neighbor.as_peer() for neighbor in parse_neighbors(THEIRS.splitlines()))
    assert (first.name, first.my_asn, first.peer_asn) == ("10.0.0.1", 64513, 64512)
    assert first.dual_stack
    assert first.graceful_restart
    assert (second.my_asn, second.peer_asn) == (0, DynamicAsn.EXTERNAL)
    assert second.source_address == ip_address("fd00::11")
    assert not second.is_internal


def test_no_password_is_kept() -> None:
    """Neither in the value nor in its text; a digest tells two of them apart."""
    one, *_ = parse_neighbors(THEIRS.splitlines())
    other, *_ = parse_neighbors(THEIRS.replace("10.9.9.9", "10.9.9.8").splitlines())
    assert "10.9.9.9" not in repr(one)
    assert one != other


@settings(suppress_health_check=[HealthCheck.too_slow])  # Unicode tables are made at first use
@example([replace(PLAIN, vrf="None")])
@given(st.lists(peers(), max_size=3, unique_by=lambda peer: peer.address))
def test_exabgp_shows_what_we_wrote(listed: list[Peer]) -> None:
    """So that a reload is known to have been carried out, and to have not."""
    text = conf.render(sessions(*listed), run=RUN)
    shown = [line for neighbor in read(text) for line in str(neighbor).splitlines()]
    assert set(parse_neighbors(shown)) == set(parse_neighbors(text.splitlines()))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(EVERYTHING, name="other"), id="name"),
        pytest.param(replace(EVERYTHING, hold_seconds=12), id="hold time"),
        pytest.param(replace(EVERYTHING, peer_asn=64515), id="AS of the peer"),
        pytest.param(replace(EVERYTHING, local_asn=64515), id="own AS"),
        pytest.param(replace(EVERYTHING, port=179), id="port"),
        pytest.param(replace(EVERYTHING, password=Password("other")), id="password"),
        pytest.param(replace(EVERYTHING, password=None), id="no password"),
        pytest.param(replace(EVERYTHING, graceful_restart=False), id="graceful restart"),
        pytest.param(replace(EVERYTHING, dual_stack=False), id="families"),
        pytest.param(replace(EVERYTHING, vrf="blue"), id="vrf"),
        pytest.param(replace(EVERYTHING, source_address=None), id="source address"),
        pytest.param(replace(EVERYTHING, router_id=None), id="router id"),
    ],
)
def test_any_change_of_a_session_shows(other: Peer) -> None:
    """Whatever is edited in a peer, the neighbor read back is another one."""

    def shown(*peers: Peer) -> set[ConfiguredNeighbor]:
        neighbors = read(conf.render(sessions(*peers), run=RUN))
        return set(parse_neighbors(line for n in neighbors for line in str(n).splitlines()))

    assert len(shown(EVERYTHING, PLAIN) & shown(other, PLAIN)) == 1


@pytest.mark.parametrize("text", ["", "process x {\n    run y;\n}\n", "neighbor 10.0.0.1 {"])
def test_where_no_neighbor_is_none_is_found(text: str) -> None:
    """Nor where one has no end."""
    assert parse_neighbors(text.splitlines()) == ()
