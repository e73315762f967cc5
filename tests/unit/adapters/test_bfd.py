"""What is said to bfdd and what it says: bytes, configuration, and a client that finds it again."""

import queue
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.adapters.bfd import configuration
from exabgp_metallb.adapters.bfd.client import (
    Away,
    BfddClient,
    BfddEvent,
    Reached,
    Refused,
)
from exabgp_metallb.adapters.bfd.configuration import Held, profile_name
from exabgp_metallb.adapters.bfd.control import NOTIFY, RESPONSE, Decoder, Message, Told, told
from exabgp_metallb.adapters.bfd.control import encode as encoded
from exabgp_metallb.adapters.bfd.reach import connected_v4, connected_v6
from exabgp_metallb.decisions.bfd import timers
from exabgp_metallb.errors import BfddError
from exabgp_metallb.values.bfd import BfdKey, BfdSession, BfdState, BfdStatus, Diagnostic
from exabgp_metallb.values.intent import BfdProfile
from tests.unit.adapters.bfdd import Bfdd

ROUTER, OURS = ip_address("10.9.0.2"), ip_address("10.9.0.1")
KEY = BfdKey(peer=ROUTER, local=OURS)
FAR = BfdKey(peer=ip_address("fd09::2"), local=ip_address("fd09::1"), multihop=True, vrf="blue")

UP = (
    b'{"op":"status","ipv6":false,"multihop":false,"peer-address":"10.9.0.2","local-address":'
    b'"10.9.0.1","id":1495933643,"remote-id":1495933643,"state":"up","uptime":0,"diagnostics":0,'
    b'"remote-diagnostics":3}'
)  # as bfdd 8.4.4 sent it


FAR_DOWN = (
    b'{"op":"status","multihop":true,"peer-address":"fd09::2","local-address":"fd09::1",'
    b'"vrf-name":"blue","state":"down","downtime":3,"diagnostics":1}'
)
SHUT_DOWN = (
    b'{"op":"status","multihop":false,"peer-address":"10.9.0.2","vrf-name":"default",'
    b'"state":"adm-down","diagnostics":31}\0'
)


def session(key: BfdKey, name: str = "fast", **spec: Any) -> BfdSession:  # noqa: ANN401 -- BfdProfile's own
    """Return a session of a profile."""
    return BfdSession(key=key, profile=name, timers=timers(BfdProfile(name=name, **spec)))


# The control socket.


messages = st.builds(Message, st.integers(0, 255), st.binary(max_size=40))


@given(st.lists(messages, max_size=5), st.data())
def test_messages_survive_any_cut(sent: list[Message], data: st.DataObject) -> None:
    """However the stream is cut, the same messages come out."""
    stream = b"".join(encoded(message, number=7) for message in sent)
    decoder = Decoder()
    heard: list[Message] = []
    while stream:
        length = data.draw(st.integers(1, len(stream)))
        heard += decoder.feed(stream[:length])
        stream = stream[length:]
    assert heard == sent


@pytest.mark.parametrize("stream", [b"\0\0\0\2\0\1\4\2xx", b"\xff\xff\xff\xff\0\1\4\1"])
def test_another_protocol_is_refused(stream: bytes) -> None:
    """A version that we do not know, a length that cannot be."""
    with pytest.raises(BfddError):
        list(Decoder().feed(stream))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (UP, Told(KEY, BfdStatus(state=BfdState.UP, remote_diagnostic=Diagnostic.NEIGHBOR_DOWN))),
        (
            FAR_DOWN,
            Told(FAR, BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.CONTROL_EXPIRED)),
        ),
        (
            SHUT_DOWN,
            Told(BfdKey(peer=ROUTER), BfdStatus(state=BfdState.ADMIN_DOWN)),
        ),
        (
            b'{"op":"delete","multihop":false,"peer-address":"10.9.0.2"}',
            Told(BfdKey(peer=ROUTER), None),
        ),
        (b'{"op":"add","multihop":false,"peer-address":"10.9.0.2"}', None),
    ],
)
def test_what_bfdd_tells(body: bytes, expected: Told | None) -> None:
    """States, with numbers as diagnostics; a reserved one says nothing."""
    assert told(Message(NOTIFY, body)) == expected


def test_an_answer_tells_nothing_but_a_refusal() -> None:
    """The only thing that is asked is to be told."""
    assert told(Message(RESPONSE, b'{"status":"ok"}')) is None
    with pytest.raises(BfddError, match="no such thing"):
        told(Message(RESPONSE, b'{"status":"error","error":"no such thing"}'))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"op":"status"}',
        b'{"op":"status","peer-address":"x","state":"up"}',
        b'{"op":"status","peer-address":"10.9.0.2","state":"asleep"}',
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    """With the one exception that the client answers for."""
    with pytest.raises(BfddError):
        told(Message(NOTIFY, body))


# The configuration.


RUNNING = """\
Building configuration...

Current configuration:
!
frr version 8.4.4
!
bfd
 profile exabgp-metallb-fast
  detect-multiplier 4
  transmit-interval 110
 exit
 !
 profile other
 exit
 !
 peer 10.9.0.2 local-address 10.9.0.1
  profile exabgp-metallb-fast
 exit
 !
 peer fd09::2 multihop local-address fd09::1 vrf blue
  profile exabgp-metallb-fast
 exit
 !
 peer 10.9.0.3 local-address 10.9.0.1
  profile other
 exit
 !
 peer 10.9.0.4 interface eth0
  profile exabgp-metallb-fast
 exit
 !
 peer 10.9.0.5
 exit
 !
exit
!
end
"""


def test_what_is_ours_is_known_by_its_profile() -> None:
    """A bfdd may have sessions of others, which nobody touches."""
    held = configuration.parse(RUNNING)
    assert held == Held(frozenset({"exabgp-metallb-fast"}), frozenset({KEY, FAR}))
    assert configuration.parse("") == Held()


def test_commands_make_it_what_is_wanted() -> None:
    """What is not wanted goes, every field is said, what is used by none goes last."""
    held = configuration.parse(RUNNING)
    wanted = [session(KEY, "slow", receive_ms=1000, minimum_ttl=9)]
    assert list(configuration.commands(held, wanted)) == [
        ("no peer fd09::2 multihop local-address fd09::1 vrf blue",),
        (
            "profile exabgp-metallb-slow",
            "detect-multiplier 3",
            "receive-interval 1000",
            "transmit-interval 300",
            "echo transmit-interval 50",
            "echo receive-interval 50",
            "minimum-ttl 9",
            "no passive-mode",
            "no echo-mode",
            "exit",
        ),
        ("peer 10.9.0.2 local-address 10.9.0.1", "profile exabgp-metallb-slow", "exit"),
        ("no profile exabgp-metallb-fast",),
    ]


def test_a_long_name_is_cut_and_stays_itself() -> None:
    """Bfdd takes 63 characters; two long names that begin alike are two profiles."""
    one, other = profile_name("a" * 100), profile_name("a" * 101)
    assert len(one) == len(other) == 63
    assert one != other
    assert profile_name("fast") == "exabgp-metallb-fast"


# The routing table.


def test_subnets_of_interfaces() -> None:
    """Neither default routes nor those by a gateway, nor what lo has."""
    v4 = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
        "eth0\t0003000A\t010200C0\t0003\t0\t0\t0\t00FFFFFF\n"
        "*\t0004000A\t00000000\t0201\t0\t0\t0\t00FFFFFF\n"
    )
    assert list(connected_v4(v4)) == [ip_network("192.0.2.0/24")]
    none = "0" * 32
    v6 = (
        f"fd{none[2:]} 40 {none} 00 {none} 00000100 00000001 00000000 00000001     eth0\n"
        f"{none} 00 {none} 00 fd{none[3:]}1 00000400 00000002 00000000 00000003     eth0\n"
        f"{none[1:]}1 80 {none} 00 {none} 00000000 00000002 00000000 80200001       lo\n"
    )
    assert list(connected_v6(v6)) == [ip_network("fd00::/64")]


# The client.


class Ear:
    """Hears a client, and the death of its thread."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[BfddEvent | BaseException] = queue.SimpleQueue()
        self.hear = self._heard.put

    def next(self) -> BfddEvent:
        """Return what comes next."""
        event = self._heard.get(timeout=60)
        if isinstance(event, BaseException):
            raise event
        return event


@pytest.fixture
def ear() -> Ear:
    """Return who listens."""
    return Ear()


@pytest.fixture
def client(tmp_path: Path, ear: Ear) -> Iterator[BfddClient]:
    """Return a client that has begun and wants nothing."""
    client = BfddClient(tmp_path, ear.hear, ear.hear)
    client.start()
    yield client
    client.stop()


def test_sessions_are_wanted_and_told(tmp_path: Path, client: BfddClient, ear: Ear) -> None:
    """They are configured, followed, and taken away again."""
    bfdd = Bfdd(tmp_path)
    client.want([session(KEY), session(FAR)])
    assert ear.next() == Reached()
    bfdd.wait("10.9.0.2 local-address 10.9.0.1", "fd09::2 multihop local-address fd09::1 vrf blue")
    bfdd.tell(
        **{"op": "status", "peer-address": "10.9.0.2", "local-address": "10.9.0.1"}, state="up"
    )
    assert ear.next() == Told(KEY, BfdStatus(state=BfdState.UP))
    client.want([session(KEY)])
    bfdd.wait("10.9.0.2 local-address 10.9.0.1")
    client.want([])
    bfdd.wait(profiles=())
    bfdd.end()


def test_a_bfdd_that_comes_again_gets_all_sessions(
    tmp_path: Path, client: BfddClient, ear: Ear
) -> None:
    """Its absence is told once, and so is its return."""
    client.want([session(KEY)])
    away = ear.next()
    assert isinstance(away, Away)
    assert "bfdd.sock: No such file" in away.why
    for _ in range(2):
        bfdd = Bfdd(tmp_path)
        while (event := ear.next()) != Reached():  # other words for the same absence
            assert isinstance(event, Away)
            assert event != away
            away = event
        bfdd.wait("10.9.0.2 local-address 10.9.0.1")
        bfdd.end()
        away = ear.next()
        assert isinstance(away, Away)


def test_sessions_of_before_are_tidied_up(tmp_path: Path, client: BfddClient, ear: Ear) -> None:
    """A bfdd that outlived us has sessions that nobody wants any more, and some of others."""
    bfdd = Bfdd(tmp_path)
    bfdd.profiles = {"exabgp-metallb-old": [], "others": []}
    bfdd.peers = {"10.9.0.7": "exabgp-metallb-old", "10.9.0.8": "others", "10.9.0.9": ""}
    client.want([session(KEY)])
    assert ear.next() == Reached()
    names = ("exabgp-metallb-fast", "others")
    bfdd.wait("10.9.0.2 local-address 10.9.0.1", "10.9.0.8", "10.9.0.9", profiles=names)
    bfdd.end()


def test_a_session_that_somebody_removed_comes_back(
    tmp_path: Path, client: BfddClient, ear: Ear
) -> None:
    """Bfdd calls that PATH_DOWN."""
    bfdd = Bfdd(tmp_path)
    client.want([session(KEY)])
    assert ear.next() == Reached()
    bfdd.wait("10.9.0.2 local-address 10.9.0.1")
    bfdd.peers.clear()
    key = {"peer-address": "10.9.0.2", "local-address": "10.9.0.1"}
    bfdd.tell(op="status", state="down", diagnostics=5, **key)
    bfdd.wait("10.9.0.2 local-address 10.9.0.1")
    bfdd.end()


def test_what_bfdd_refuses_does_not_stop_the_rest(
    tmp_path: Path, client: BfddClient, ear: Ear
) -> None:
    """It is told with bfdd's words."""
    bfdd = Bfdd(tmp_path, refused="peer 10.9.0.2")
    client.want([session(KEY), session(FAR)])
    assert ear.next() == Reached()
    refused = ear.next()
    assert isinstance(refused, Refused)
    assert refused.why == "peer 10.9.0.2 local-address 10.9.0.1: % Unknown command"
    bfdd.wait("fd09::2 multihop local-address fd09::1 vrf blue")
    bfdd.end()
