"""The part of a speaker that watches paths: what it asks bfdd, and what it has held down."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from exabgp_metallb.adapters.bfd.client import Away, BfddEvent, BfddListener, Reached, Refused
from exabgp_metallb.adapters.bfd.control import Told as ToldState
from exabgp_metallb.adapters.source import OnDeath
from exabgp_metallb.decisions.bfd import HOLD_SECONDS, Reach
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs import bfd_daemons
from exabgp_metallb.programs.bfd import (
    LOOK_SECONDS,
    PATIENCE_SECONDS,
    Bfd,
    Engine,
    Off,
    Others,
    Own,
)
from exabgp_metallb.programs.bfd_daemons import asked
from exabgp_metallb.programs.node_routes import NodeRoutes
from exabgp_metallb.programs.parts import Call
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.bfd import BfdKey, BfdSession, BfdState, BfdStatus, BfdVitals, Diagnostic
from tests.integration.manifests import Object, bfd_profile, node, peer
from tests.unit.programs.told import Told

TOR, TOR2 = ip_address("10.0.0.1"), ip_address("10.0.0.2")
OURS, OTHER = ip_address("10.0.0.11"), ip_address("10.0.0.12")
UP = BfdStatus(state=BfdState.UP)
DOWN = BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.CONTROL_EXPIRED)
CLOSED = BfdStatus(state=BfdState.DOWN, diagnostic=Diagnostic.NEIGHBOR_DOWN)

FAST = bfd_profile("fast", receiveInterval=100)


class FakeClient:
    """Notes what is wanted."""

    def __init__(self) -> None:
        self.started = False
        self.stopped = False
        self.wants: list[tuple[BfdSession, ...]] = []

    def start(self) -> None:
        """Note it."""
        self.started = True

    def want(self, sessions: tuple[BfdSession, ...]) -> None:
        """Note it."""
        self.wants.append(sessions)

    @property
    def wanted(self) -> tuple[BfdSession, ...]:
        """What was wanted last."""
        return self.wants[-1]

    def asked(self) -> list[tuple[Address, int]]:
        """Return neighbors and receive intervals of what was wanted last."""
        return [(session.key.peer, session.timers.receive_ms) for session in self.wanted]

    def stop(self) -> None:
        """Note it."""
        self.stopped = True


class Speaker:
    """The speaker around the part, as far as it matters."""

    def __init__(self, *objects: Object, engine: Engine | None = None) -> None:
        self.now = 100.0
        self.client = FakeClient()
        self.held: set[Address] = set()
        self.moves: list[str] = []
        self.ways = dict.fromkeys((TOR, TOR2, OTHER), Reach(OURS, on_link=True))
        self._objects = {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self.part = Bfd(
            self._post, self, engine or Others(), connect=self._connect, reach=self.ways.__getitem__
        )
        self.decide()

    def _connect(self, hear: BfddListener, died: OnDeath) -> FakeClient:
        self._hear, self.died = hear, died
        return self.client

    def _post(self, call: Call) -> None:
        call(self.now)

    def hold_down(self, neighbor: Address, why: str) -> None:
        """Note it."""
        self.moves.append(f"hold {neighbor}: {why}")
        self.held.add(neighbor)

    def let_up(self, neighbor: Address) -> None:
        """Note it."""
        self.moves.append(f"let {neighbor}")
        self.held.discard(neighbor)

    def decide(self, *objects: Object, without: tuple[str, str] | None = None) -> None:
        """Decide anew, with objects changed or one gone."""
        self._objects |= {(o["kind"], o["metadata"]["name"]): o for o in objects}
        self._objects.pop(without or ("", ""), None)
        inventory = Inventory()
        for each in self._objects.values():
            parsed = parse(each)
            assert parsed is not None
            inventory.put(parsed)
        routes = NodeRoutes(inventory, "node1")
        self.part.decided(routes, routes.refresh())
        self.turn()

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and a turn of the loop."""
        self.now += seconds
        self.part.act(self.now)

    def hear(self, *events: BfddEvent) -> None:
        """Hear of bfdd."""
        for event in events:
            self._hear(event)

    def tell(self, *statuses: BfdStatus, neighbor: Address = TOR) -> None:
        """Hear of a session of ours."""
        self.hear(*(ToldState(BfdKey(peer=neighbor, local=OURS), status) for status in statuses))


def watched(name: str, address: Address, profile: str | None = "fast", **spec: object) -> Object:
    """Return a BGPPeer."""
    if profile is not None:
        spec["bfdProfile"] = profile
    return peer(name, address, asn=64513, peer_asn=64512, **spec)


BASIC = (node("node1", OURS), FAST, watched("tor", TOR), watched("tor2", TOR2))


@pytest.fixture
def speaker() -> Speaker:
    """Return a speaker with two watched peers, whose BFD sessions are up."""
    speaker = Speaker(*BASIC)
    speaker.hear(Reached())
    for neighbor in (TOR, TOR2):
        speaker.tell(UP, neighbor=neighbor)
    return speaker


def test_sessions_follow_the_objects(speaker: Speaker) -> None:
    """Peers come and go, profiles change, and nothing is asked twice."""
    assert speaker.client.started
    assert speaker.client.asked() == [(TOR, 100), (TOR2, 100)]
    speaker.decide(peer("other", "10.0.0.3", asn=1, peer_asn=2))
    assert len(speaker.client.wants) == 1
    speaker.decide(bfd_profile("fast", receiveInterval=200))
    assert speaker.client.asked() == [(TOR, 200), (TOR2, 200)]
    speaker.decide(watched("tor2", TOR2, None))
    assert speaker.client.asked() == [(TOR, 200)]
    speaker.decide(without=("BGPPeer", "tor"))
    assert speaker.client.asked() == []
    assert not speaker.moves


def test_a_node_without_bfd_asks_nobody() -> None:
    """No thread, no socket, no word."""
    speaker = Speaker(node("node1", OURS), watched("tor", TOR, None))
    assert not speaker.client.started
    assert speaker.part.status(speaker.now) == {}
    assert speaker.part.deadline(speaker.now) is None
    speaker.part.stop()
    assert not speaker.client.stopped


def test_a_fall_holds_until_bfd_is_up(speaker: Speaker, told: Told) -> None:
    """That neighbor alone, once."""
    speaker.tell(DOWN, DOWN)
    speaker.turn()
    assert speaker.moves == ["hold 10.0.0.1: BFD is down, until BFD is up again, for at most 60 s"]
    speaker.tell(BfdStatus(state=BfdState.INIT), UP)
    speaker.turn()
    assert speaker.moves[1:] == ["let 10.0.0.1"]
    assert told.count("tor (10.0.0.1): down: control detection time expired") == 1
    assert told.count("tor (10.0.0.1): up") == 1


def test_a_hold_ends_after_a_minute(speaker: Speaker, told: Told) -> None:
    """And does not begin again before BFD was up."""
    speaker.tell(DOWN)
    speaker.turn(HOLD_SECONDS - 1.0)
    assert speaker.held == {TOR}
    assert speaker.part.deadline(speaker.now) == speaker.now + 1.0
    speaker.turn(1.0)
    assert speaker.moves[1:] == ["let 10.0.0.1"]
    assert told.count("BGP may try by itself") == 1
    speaker.tell(BfdStatus(state=BfdState.INIT), DOWN)
    speaker.turn(1.0)
    assert not speaker.held
    speaker.tell(UP, DOWN)
    assert speaker.held == {TOR}


def test_the_end_of_bfdd_is_nobodys_failure(speaker: Speaker, told: Told) -> None:
    """What was held is let up, since nothing is known; new sessions begin from nothing."""
    speaker.tell(DOWN)
    speaker.hear(Away("bfdd has closed its control socket"))
    speaker.turn()
    speaker.hear(Away("bfdd.sock: Connection refused"))
    speaker.turn()
    assert not speaker.held
    assert told.count("nothing is known") == 1
    assert told.count("nothing is known of BFD sessions: bfdd has closed") == 1
    assert speaker.part.state(TOR) == "Unknown"
    speaker.hear(Reached())
    speaker.tell(DOWN)
    assert not speaker.held
    speaker.tell(UP, DOWN)
    assert speaker.held == {TOR}


def test_a_bfdd_that_is_being_started_is_given_a_while(told: Told) -> None:
    """Its absence is told only when it lasts; any later one at once."""
    speaker = Speaker(*BASIC)
    speaker.hear(Away("bfdd.sock: No such file or directory"))
    speaker.turn(PATIENCE_SECONDS / 2)
    assert told.count("nothing is known") == 0
    speaker.turn(PATIENCE_SECONDS / 2)
    assert told.count("nothing is known") == 1
    assert speaker.part.status(speaker.now)["bfd"]["problem"].startswith("bfdd.sock")  # type: ignore[index] # a status is a tree
    speaker.hear(Reached())
    assert told.count("bfdd answers: it holds 2 BFD sessions") == 1


def test_a_neighbor_that_closes_is_no_failure(speaker: Speaker, told: Told) -> None:
    """RFC 5882 section 3.2."""
    speaker.tell(CLOSED)
    assert not speaker.held
    assert told.count("ended: neighbor signaled session down (no diagnostic)") == 1
    assert speaker.part.state(TOR) == "Down"


def test_a_peer_without_bfd_is_not_held(speaker: Speaker) -> None:
    """Neither one that is gone nor one that wants no BFD any more."""
    speaker.tell(DOWN)
    speaker.tell(DOWN, neighbor=TOR2)
    assert speaker.held == {TOR, TOR2}
    speaker.decide(watched("tor", TOR, None), without=("BGPPeer", "tor2"))
    assert not speaker.held


def test_a_path_is_watched_from_where_it_was(speaker: Speaker) -> None:
    """A route that goes with the path makes no other session of it; a new one may."""
    speaker.ways[TOR] = Reach(None, on_link=False)
    speaker.tell(DOWN)
    speaker.decide(watched("tor2", TOR2, None))
    assert [s.key.local for s in speaker.client.wanted] == [OURS]
    assert speaker.held == {TOR}
    speaker.tell(UP)
    speaker.tell(CLOSED)
    speaker.ways[TOR] = Reach(OTHER, on_link=True)
    speaker.turn(LOOK_SECONDS)
    assert [s.key.local for s in speaker.client.wanted] == [OTHER]


def test_sessions_of_others_do_not_count(speaker: Speaker) -> None:
    """A bfdd that somebody else uses tells of all that it has."""
    for key in (BfdKey(peer=TOR), BfdKey(peer=TOR, local=OURS, multihop=True), BfdKey(peer=OTHER)):
        speaker.hear(ToldState(key, UP), ToldState(key, DOWN))
    assert not speaker.held


def test_what_bfdd_refuses_is_told(speaker: Speaker, told: Told) -> None:
    """In its words."""
    speaker.hear(Refused("minimum-ttl 9: % Unknown command"))
    assert told.count("refuses a part of its configuration: minimum-ttl 9: % Unknown") == 1


def test_a_thread_that_dies_ends_the_speaker(speaker: Speaker) -> None:
    """What nobody foresaw is not passed over."""
    with pytest.raises(ZeroDivisionError):
        speaker.died(ZeroDivisionError())


def test_status(speaker: Speaker) -> None:
    """What a person may want to know."""
    speaker.tell(DOWN)
    status = speaker.part.status(speaker.now)
    common = {"profile": "fast", "multihop": False}
    assert status == {
        "bfd": {
            "problem": None,
            "sessions": [
                {"neighbor": "10.0.0.1", "peer": "tor", "state": "Down", "holdsDown": True}
                | common,
                {"neighbor": "10.0.0.2", "peer": "tor2", "state": "Up", "holdsDown": False}
                | common,
            ],
        }
    }
    assert speaker.part.state(OTHER) == "N/A"
    assert speaker.part.vitals() == BfdVitals(
        sessions={"10.0.0.1": False, "10.0.0.2": True}, falls={"10.0.0.1": 1, "10.0.0.2": 0}
    )
    speaker.hear(Away("gone"))
    assert not speaker.part.vitals().reached


def test_bfd_that_is_off_names_who_goes_without(told: Told) -> None:
    """Once, whatever else changes."""
    speaker = Speaker(*BASIC, bfd_profile("slow"), watched("far", OTHER, "slow"), engine=Off())
    speaker.decide(watched("tor", TOR, holdTime="30s"))
    assert not speaker.client.started
    off = "BFD is off on this node (--bfd off); BGP goes on without it"
    assert told.count(f"BFDProfile fast: no BFD for BGPPeer tor, BGPPeer tor2: {off}") == 1
    assert told.count(f"BFDProfile slow: no BFD for BGPPeer far: {off}") == 1


def test_our_own_bfdd_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """The parent is told by a note; where FRR is not installed, people are."""
    programs = tmp_path / "frr"
    programs.mkdir()
    monkeypatch.setattr(bfd_daemons, "PROGRAMS", programs)
    speaker = Speaker(*BASIC, engine=Own(tmp_path))
    assert asked(tmp_path).value == ""
    words = f"no BFD for BGPPeer tor, BGPPeer tor2: {programs}/bfdd is not installed on this node"
    assert told.count(words) == 1
    (programs / "bfdd").touch(mode=0o755)
    speaker.turn(LOOK_SECONDS)
    assert asked(tmp_path).value == "bfdd"
    assert len(speaker.client.wanted) == 2
    speaker.decide(watched("tor", TOR, None))
    speaker.decide(watched("tor2", TOR2, None))
    assert asked(tmp_path).value == ""
