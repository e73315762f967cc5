"""exabgp.conf: golden texts, ExaBGP's own parser over generated peers, and what is left out."""

import base64
import string
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from exabgp.configuration.configuration import Configuration
from exabgp.environment import getenv
from exabgp.logger import log
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.decisions.sessions import session
from exabgp_metallb.errors import ExabgpError
from exabgp_metallb.values.intent import DynamicAsn, Password, Peer
from exabgp_metallb.values.objects import Node
from exabgp_metallb.values.sessions import Session

GOLDEN = Path(__file__).parents[2] / "golden" / "conf"
RUN = ("/usr/bin/env", "exabgp-metallb", "speaker")
NODE = Node(name="node-1", internal_ips=(IPv4Address("198.51.100.11"),))

PLAIN = Peer(name="router-1", my_asn=64512, peer_asn=64513, address=IPv4Address("198.51.100.1"))
EVERYTHING = Peer(
    name="router-2",
    my_asn=64512,
    peer_asn=4200000000,
    local_asn=64599,
    address=IPv6Address("2001:db8::1"),
    source_address=IPv6Address("2001:db8::11"),
    port=1790,
    hold_seconds=9,
    router_id=IPv4Address("10.0.0.1"),
    password=Password("secret; #1"),
    graceful_restart=True,
    vrf="red",
    dual_stack=True,
)
DYNAMIC = [
    replace(PLAIN, name="inside", peer_asn=DynamicAsn.INTERNAL),
    replace(
        PLAIN, name="outside", peer_asn=DynamicAsn.EXTERNAL, address=IPv4Address("198.51.100.2")
    ),
]


def sessions(*peers: Peer) -> list[Session]:
    """Return the peers as one node speaks to them."""
    return [session(peer, NODE) for peer in peers]


def read(text: str) -> list[dict[str, Any]]:
    """Return the neighbors that ExaBGP's own parser finds in a text; fails where it refuses."""
    env = getenv()
    env.log.enable = False
    log.init(env)
    configuration = Configuration([text], text=True)
    assert configuration.reload(), str(configuration.error)
    assert list(configuration.processes) == [conf.PROCESS]
    return list(configuration.neighbors.values())


@pytest.mark.parametrize(
    ("name", "peers"),
    [
        ("alone", []),
        ("plain", [PLAIN]),
        ("everything", [EVERYTHING, PLAIN]),
        ("dynamic-asn", DYNAMIC),
    ],
)
def test_golden_text(name: str, peers: list[Peer]) -> None:
    """The text is the one on file, and ExaBGP takes it."""
    text = conf.render(sessions(*peers), run=RUN)
    assert text == (GOLDEN / f"{name}.conf").read_text()
    conf.validate(text)


def test_order_of_sessions_does_not_matter() -> None:
    """Equal sessions give equal texts, so that no reload is asked for."""
    both = sessions(PLAIN, EVERYTHING)
    assert conf.render(both, run=RUN) == conf.render(both[::-1], run=RUN)


names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
asns = st.integers(1, 2**32 - 1)
v4 = st.ip_addresses(v=4, network="198.51.100.0/24")
v6 = st.ip_addresses(v=6, network="2001:db8::/64")
words = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\"'"))


@st.composite
def peers(draw: st.DrawFn) -> Peer:
    """Return any peer that ExaBGP can hold."""
    family = draw(st.sampled_from([v4, v6]))
    return Peer(
        name=draw(names),
        my_asn=draw(asns),
        peer_asn=draw(asns | st.sampled_from(DynamicAsn)),
        local_asn=draw(st.none() | asns),
        address=draw(family),
        source_address=draw(st.none() | family),
        port=draw(st.integers(1, 65535)),
        hold_seconds=draw(st.none() | st.just(0) | st.integers(3, 65535)),
        router_id=draw(st.none() | v4),
        password=draw(st.none() | st.builds(Password, st.text(min_size=1, max_size=20))),
        graceful_restart=draw(st.booleans()),
        ebgp_multihop=draw(st.booleans()),
        vrf=draw(st.none() | st.text(string.ascii_letters + "-._0", min_size=1, max_size=15)),
        dual_stack=draw(st.booleans()),
    )


@given(
    wanted=st.lists(peers(), max_size=4, unique_by=(lambda p: p.name, lambda p: p.address)),
    arguments=st.lists(words, max_size=3),
)
def test_exabgp_reads_back_what_was_meant(wanted: list[Peer], arguments: list[str]) -> None:
    """Every peer that is not refused arrives in ExaBGP with its settings."""
    held = sessions(*wanted)
    neighbors = read(conf.render(held, run=("/usr/bin/env", *arguments)))
    by_address = {ip_address(str(n["peer-address"])): n for n in neighbors}
    assert conf.refusals(held) == {}
    assert len(neighbors) == len(held)
    for one in held:
        assert one.peer.address is not None
        check(by_address[one.peer.address], one)


def check(neighbor: dict[str, Any], held: Session) -> None:
    """Compare a neighbor of ExaBGP with the session that it should be."""
    peer = held.peer
    external = peer.peer_asn is DynamicAsn.EXTERNAL
    internal = peer.peer_asn is DynamicAsn.INTERNAL
    assert neighbor["description"] == peer.name
    assert neighbor["local-as"] == peer.speaking_asn
    assert neighbor["peer-as"] == (
        None if external else peer.speaking_asn if internal else peer.peer_asn
    )
    assert str(neighbor["router-id"]) == str(held.router_id)
    local = neighbor["local-address"]
    assert (None if local is None else ip_address(str(local))) == held.local_address
    one_hop = not peer.is_internal and not peer.ebgp_multihop
    assert neighbor["outgoing-ttl"] == (1 if one_hop else None)
    assert neighbor["connect"] == (0 if peer.port == 179 else peer.port)
    assert neighbor["hold-time"] == held.hold_seconds
    assert neighbor["source-interface"] == peer.vrf
    assert password_of(neighbor) == (peer.password and peer.password.value.encode())
    assert neighbor["manual-eor"] is peer.graceful_restart
    assert neighbor["capability"]["graceful-restart"] == (120 if peer.graceful_restart else False)
    assert neighbor["capability"]["nexthop"] is None
    assert neighbor["capability"]["route-refresh"]
    assert not neighbor["adj-rib-in"]
    assert neighbor["adj-rib-out"]


def password_of(neighbor: dict[str, Any]) -> bytes | None:
    """Return the key that ExaBGP would give to the kernel."""
    written = neighbor["md5-password"]
    if written is None:
        return None
    return base64.b64decode(written) if neighbor["md5-base64"] else written.encode("ascii")


def test_api_section_asks_for_what_the_speaker_reads() -> None:
    """States, notifications received and updates sent; no routes of the peer."""
    api = read(conf.render(sessions(PLAIN), run=RUN))[0].api  # type: ignore[attr-defined]  # a dict with attributes
    wanted = {key for key, processes in api.items() if processes}
    assert wanted == {
        "processes",
        "neighbor-changes",
        "receive-parsed",
        "receive-notification",
        "send-parsed",
        "send-update",
    }


def test_arguments_of_the_process_arrive_word_for_word() -> None:
    """Spaces, comment signs, ends of statements and backslashes are part of a word."""
    arguments = ["a b", "", "#;{}", "[x,y]", "back\\slash\\n"]
    text = conf.render([], run=("/usr/bin/env", *arguments))
    configuration = Configuration([text], text=True)
    assert configuration.reload()
    assert configuration.processes[conf.PROCESS]["run"] == ["/usr/bin/env", *arguments]


@pytest.mark.parametrize("word", ['with"quote', "with'quote", "new\nline", "é"])
def test_a_word_that_the_grammar_cannot_hold_is_refused(word: str) -> None:
    """Rather no configuration than another command."""
    with pytest.raises(ExabgpError, match="command line"):
        conf.render([], run=("/usr/bin/env", word))


@pytest.mark.parametrize(
    ("peer", "field"),
    [
        pytest.param(replace(PLAIN, address=None, interface="eth0"), "interface", id="unnumbered"),
        pytest.param(replace(PLAIN, address=ip_address("0.0.0.0")), "peerAddress", id="no address"),
        pytest.param(replace(PLAIN, address=ip_address("ff02::1")), "peerAddress", id="multicast"),
        pytest.param(replace(PLAIN, address=ip_address("fe80::1%eth0")), "peerAddress", id="zone"),
        pytest.param(replace(PLAIN, address=ip_address("fe80::1")), "peerAddress", id="link-local"),
        pytest.param(
            replace(PLAIN, source_address=ip_address("2001:db8::1")),
            "sourceAddress",
            id="source of the other family",
        ),
        pytest.param(
            replace(
                PLAIN,
                address=ip_address("2001:db8::2"),
                source_address=ip_address("fe80::1%eth0"),
            ),
            "sourceAddress",
            id="source with a zone",
        ),
        pytest.param(replace(PLAIN, router_id=ip_address("::1")), "routerID", id="IPv6 router id"),
        pytest.param(replace(PLAIN, router_id=ip_address("0.0.0.0")), "routerID", id="router id 0"),
        pytest.param(replace(PLAIN, my_asn=0), "myASN", id="own ASN 0"),
        pytest.param(replace(PLAIN, peer_asn=2**32), "peerASN", id="ASN of 33 bits"),
        pytest.param(replace(PLAIN, port=0), "peerPort", id="port 0"),
        pytest.param(replace(PLAIN, port=65536), "peerPort", id="port of 17 bits"),
        pytest.param(replace(PLAIN, hold_seconds=2), "holdTime", id="hold time 2"),
        pytest.param(replace(PLAIN, hold_seconds=65536), "holdTime", id="hold time of 17 bits"),
        pytest.param(replace(PLAIN, vrf='a";'), "vrf", id="quote in VRF"),
        pytest.param(replace(PLAIN, vrf="x" * 16), "vrf", id="VRF of 16 characters"),
        pytest.param(replace(PLAIN, interface="a/b"), "interface", id="slash in interface"),
        pytest.param(replace(PLAIN, password=Password("x" * 81)), "password", id="password of 81"),
    ],
)
def test_what_exabgp_cannot_hold_is_left_out_with_a_reason(peer: Peer, field: str) -> None:
    """The reason starts with the field; the other sessions stand."""
    other = replace(EVERYTHING, name="other")
    held = sessions(peer, other)
    reason = conf.unsupported(held[0])
    assert reason is not None
    assert reason.startswith(f"spec.{field}: ")
    assert conf.refusals(held) == {peer.name: reason}
    assert conf.render(held, run=RUN) == conf.render(held[1:], run=RUN)


def test_a_link_local_peer_with_an_interface_is_held() -> None:
    """The interface is what ExaBGP binds to."""
    peer = replace(PLAIN, address=ip_address("fe80::1"), interface="eth0")
    assert read(conf.render(sessions(peer), run=RUN))[0]["source-interface"] == "eth0"


def test_another_device_is_another_neighbor() -> None:
    """ExaBGP would go on with the old socket otherwise."""
    red, blue, none = (
        read(conf.render(sessions(replace(PLAIN, vrf=vrf)), run=RUN))[0]
        for vrf in ("red", "blue", None)
    )
    assert red != blue
    assert red != none
    assert red == read(conf.render(sessions(replace(PLAIN, vrf="red")), run=RUN))[0]
    assert red["host-name"] is None


def test_an_interface_goes_before_its_vrf() -> None:
    """It lies in the VRF by itself, and a link-local address needs it."""
    peer = replace(PLAIN, address=ip_address("fe80::1"), interface="eth0", vrf="red")
    assert read(conf.render(sessions(peer), run=RUN))[0]["source-interface"] == "eth0"


@pytest.mark.parametrize(
    ("peer", "ttl"),
    [
        pytest.param(PLAIN, 1, id="another AS, one hop"),
        pytest.param(replace(PLAIN, ebgp_multihop=True), None, id="another AS, more hops"),
        pytest.param(replace(PLAIN, peer_asn=64512), None, id="our AS"),
        pytest.param(replace(PLAIN, local_asn=64513), None, id="the AS that we speak as"),
        pytest.param(DYNAMIC[0], None, id="internal"),
        pytest.param(DYNAMIC[1], 1, id="external"),
    ],
)
def test_packets_to_another_as_reach_one_hop(peer: Peer, ttl: int | None) -> None:
    """The kernel's own TTL reaches further, and is left where the router is further away."""
    assert read(conf.render(sessions(peer), run=RUN))[0]["outgoing-ttl"] == ttl


def test_one_address_is_held_once() -> None:
    """In two VRFs it could be held twice, but the API could not tell the two apart."""
    older = replace(PLAIN, name="b", created="2024-01-01T00:00:00Z", vrf="red")
    younger = replace(PLAIN, name="a", created="2025-01-01T00:00:00Z", vrf="blue")
    refused = conf.refusals(sessions(younger, older))
    assert list(refused) == ["a"]
    assert "BGPPeer b" in refused["a"]
    assert len(read(conf.render(sessions(younger, older), run=RUN))) == 1


def test_validate_tells_exabgps_words(tmp_path: Path) -> None:
    """What ExaBGP finds wrong is passed on in one line."""
    file = tmp_path / "exabgp.conf"
    file.write_text(conf.render(sessions(PLAIN), run=RUN).replace("hold-time 90", "hold-time 2"))
    with pytest.raises(ExabgpError, match="hold-time 2 ;: holdtime must be zero or at least 3"):
        conf.validate(file)


@pytest.mark.parametrize("line", ['md5-password "se cret" 2 } ;', 'md5-password "se cret'])
def test_validate_never_tells_a_password(line: str) -> None:
    """ExaBGP prints the line that it refuses."""
    text = conf.render(sessions(PLAIN), run=RUN).replace("hold-time 90;", line)
    with pytest.raises(ExabgpError) as caught:
        conf.validate(text)
    assert "cret" not in str(caught.value)


def test_validate_of_no_file(tmp_path: Path) -> None:
    """A file that is not there is refused, in ExaBGP's words."""
    with pytest.raises(ExabgpError, match="file not found"):
        conf.validate(tmp_path / "none.conf")
