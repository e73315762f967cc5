"""The speaker between a source in memory and ExaBGP at the far end of the pipe."""

import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from exabgp_metallb.adapters.exabgp.dialogue import Notice, SessionUp
from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Listener, OnDeath, Put
from exabgp_metallb.decisions.preconditions import EXCLUDE_LABEL
from exabgp_metallb.parsing.objects import KINDS, parse
from exabgp_metallb.programs import keeper
from exabgp_metallb.programs.health import SILENT_SECONDS
from exabgp_metallb.programs.known_objects import LATER_KIND
from exabgp_metallb.programs.node_routes import NodeRoutes, Touched
from exabgp_metallb.programs.parts import Neighbors, Part, Post
from exabgp_metallb.programs.speaker import Settings, Speaker
from exabgp_metallb.values.addresses import Prefix
from exabgp_metallb.values.specs import Parsed
from exabgp_metallb.values.vitals import SpeakerVitals
from tests.integration.manifests import (
    Object,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.unit.far_end import FarEnd, neighbor_text
from tests.unit.programs.told import Told

ALL_KINDS = frozenset(kind for _, kind in KINDS)
CLUSTER_KINDS = ALL_KINDS - {LATER_KIND}
TOR = ip_address("127.0.0.1")
ONE, TWO = ip_network("192.0.2.1/32"), ip_network("192.0.2.2/32")

BASIC = [
    node("node1", "10.0.0.11"),
    pool("p", "192.0.2.0/24"),
    advertisement(),
    service("one", "192.0.2.1"),
    service("two", "192.0.2.2"),
    slice_of("one", "node1"),
    slice_of("two", "node1"),
]


def parsed(objects: Iterable[Object]) -> tuple[Parsed, ...]:
    """Return objects as a source tells them."""
    found = [parse(each) for each in objects]
    return tuple(each for each in found if each is not None)


class Source:
    """A source of which the test says what it tells."""

    def __init__(self) -> None:
        self.followed: list[str] = []
        self.stopped = False
        self.tell: Listener = lambda _: None

    def start(self, listener: Listener) -> None:
        """Take the listener."""
        self.tell = listener

    def follow(self, kind: str) -> None:
        """Note that a kind was asked for."""
        self.followed.append(kind)

    def stop(self) -> None:
        """Note the end."""
        self.stopped = True


class FarPipe:
    """The pipe: lines to ExaBGP at its far end, its answers to the speaker."""

    def __init__(self, far: FarEnd, listener: Callable[[tuple[str, ...]], None]) -> None:
        self._far = far
        self.say = listener

    def start(self) -> None:
        """Begin to read."""

    def write(self, lines: Iterable[str]) -> None:
        """Carry out commands."""
        answers = self._far.answers(lines)
        if answers:
            self.say(tuple(answers))


class Stage:
    """A speaker of somebody's own exabgp.conf, where it stands, and what it says of itself."""

    def __init__(
        self,
        *,
        kinds: frozenset[str] = ALL_KINDS,
        conf: str = neighbor_text("127.0.0.1") + neighbor_text("127.0.0.2", description="other"),
        last_good: Path | None = None,
        held: Iterable[Prefix] = (),
        parts: Callable[[Post, Neighbors], Sequence[Part]] | None = None,
        drain_seconds: float = 0.0,
        ignore_exclude_label: bool = False,
    ) -> None:
        self.far = FarEnd(conf)
        self.far.ribs[TOR] = set(held)
        self.source = Source()
        self.vitals: list[SpeakerVitals] = []
        self.died: OnDeath
        self.speaker = Speaker(
            Settings(
                node="node1",
                kinds=kinds,
                drain_seconds=drain_seconds,
                ignore_exclude_label=ignore_exclude_label,
            ),
            source=self._source,
            connect=self._connect,
            last_good=None if last_good is None else LastGood(last_good),
            publish=self.vitals.append,
            parts=parts,
        )
        self.speaker._dialogue.begin()
        self.source.start(self.speaker._inbox.put)
        self.tell()

    def _source(self, on_death: OnDeath) -> Source:
        self.died = on_death
        return self.source

    def _connect(self, listener: Callable[[tuple[str, ...]], None]) -> FarPipe:
        self.pipe = FarPipe(self.far, listener)
        return self.pipe

    def tell(self, *events: Event) -> None:
        """Let the source tell of events, and the speaker act on them."""
        for event in events:
            self.source.tell(event)
        self.say(())

    def say(self, lines: Iterable[str]) -> None:
        """Let ExaBGP say something, and the speaker go on until nothing is left to hear."""
        self.pipe.say((*lines, ""))
        while not self.speaker._inbox.empty():
            self.speaker._turn()

    def listed(self, *objects: Object, kinds: frozenset[str] = ALL_KINDS) -> Listed:
        """Return a list of all objects of some kinds."""
        return Listed(kinds, tuple(p for p in parsed(objects) if p.ref.kind in kinds))

    def up(self, *addresses: str) -> None:
        """Establish sessions."""
        for address in addresses:
            self.say(self.far.up(address))

    def routes(self, neighbor: str = "127.0.0.1") -> set[Prefix]:
        """Return what ExaBGP holds for a neighbor."""
        return self.far.ribs.get(ip_address(neighbor), set())


def test_nothing_is_decided_before_all_is_known() -> None:
    """A kind that was not read yet is not an empty one: what ExaBGP holds stays."""
    stage = Stage(held=[ONE, TWO])
    stage.up("127.0.0.1")
    late = frozenset({"EndpointSlice"})
    stage.tell(stage.listed(*BASIC, kinds=ALL_KINDS - late))
    assert stage.routes() == {ONE, TWO}
    assert list(stage.vitals[-1].waiting_for) == ["EndpointSlice"]
    stage.tell(stage.listed(*BASIC[:-1], kinds=late))
    assert stage.routes() == {ONE}


@pytest.mark.parametrize("ignored", [True, False])
def test_a_node_with_the_label_that_excludes_it(ignored: bool) -> None:  # noqa: FBT001 -- a table
    """It announces where speakers are told not to mind."""
    stage = Stage(ignore_exclude_label=ignored)
    stage.up("127.0.0.1")
    stage.tell(stage.listed(*BASIC[1:], node("node1", "10.0.0.11", **{EXCLUDE_LABEL: ""})))
    assert stage.routes() == ({ONE, TWO} if ignored else set())


def test_ready_is_when_the_first_table_is_on_the_wire() -> None:
    """Not when it was decided; what changes later takes nothing back."""
    stage = Stage(held=[ONE, TWO])
    stage.up("127.0.0.1")
    stage.tell(stage.listed(*BASIC[:-1]))
    assert list(stage.vitals[-1].waiting_for) == ["routes on their way"]
    while not stage.speaker._dialogue.window.idle(time.monotonic()):
        stage.speaker._turn()
    stage.tell()
    assert list(stage.vitals[-1].waiting_for) == []
    stage.tell(Put(parsed([BASIC[-1]])[0]))
    assert list(stage.vitals[-1].waiting_for) == []


def test_an_exabgp_that_owes_an_answer_for_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node is not ready while it does, and for how long is told to whoever restarts it."""
    stage = Stage()
    stage.tell(stage.listed(*BASIC))
    assert stage.vitals[-1].silent_seconds == 0.0
    silent = SILENT_SECONDS + 1.0
    monkeypatch.setattr(stage.speaker._dialogue, "silence", lambda _: silent)
    stage.tell()
    assert list(stage.vitals[-1].waiting_for) == ["ExaBGP"]
    assert stage.vitals[-1].silent_seconds == silent
    monkeypatch.undo()
    stage.tell()
    assert not list(stage.vitals[-1].waiting_for)


def test_changes_are_followed() -> None:
    """A Service that is put and one that is gone; each neighbor hears of both."""
    stage = Stage()
    stage.up("127.0.0.1", "127.0.0.2")
    stage.tell(stage.listed(*BASIC[:4], BASIC[5]))
    assert stage.routes("127.0.0.1") == stage.routes("127.0.0.2") == {ONE}
    two, one = parsed(BASIC[4:5])[0], parsed(BASIC[3:4])[0]
    stage.tell(Put(two), Put(parsed(BASIC[6:7])[0]), Gone(one.ref))
    assert stage.routes("127.0.0.1") == stage.routes("127.0.0.2") == {TWO}
    assert stage.vitals[-1].sessions == {"127.0.0.1:179": True, "127.0.0.2:179": True}
    assert stage.vitals[-1].prefixes == {"127.0.0.1:179": 1, "127.0.0.2:179": 1}


def test_neighbors_are_named_by_address_or_description() -> None:
    """BGPPeers do not count: the sessions are exabgp.conf's."""
    stage = Stage()
    stage.up("127.0.0.1", "127.0.0.2")
    others = [
        pool("q", "198.51.100.0/24"),
        advertisement("q", ipAddressPools=["q"], peers=["other"]),
        advertisement(ipAddressPools=["p"], peers=["127.0.0.1"]),
        peer("other", "10.9.9.9", asn=1, peer_asn=2),
        service("inner", "198.51.100.1"),
        slice_of("inner", "node1"),
    ]
    stage.tell(stage.listed(*BASIC, *others))
    assert stage.routes("127.0.0.1") == {ONE, TWO}
    assert stage.routes("127.0.0.2") == {ip_network("198.51.100.1/32")}


def test_a_neighbor_of_a_later_reload_is_served(told: Told) -> None:
    """Nobody tells us of a reload; but the session comes up."""
    stage = Stage(conf=neighbor_text("127.0.0.1", process="other"))
    stage.tell(stage.listed(*BASIC))
    assert told.count("no neighbor in exabgp.conf names process exabgp-metallb") == 1
    stage.far.text = neighbor_text("127.0.0.1")
    stage.up("127.0.0.1")
    assert stage.routes() == {ONE, TWO}


def kept(path: Path, *objects: Object) -> Path:
    """Write a last good snapshot."""
    LastGood(path).save(parsed(objects))
    return path


def test_a_source_that_is_away_is_stood_in_for(tmp_path: Path, told: Told) -> None:
    """Until it can be read: then it is believed, in what went meanwhile too."""
    stage = Stage(last_good=kept(tmp_path / "last-good", *BASIC))
    stage.up("127.0.0.1")
    stage.tell(Away("/manifests", "/manifests: gone"))
    assert stage.routes() == {ONE, TWO}
    assert told.count("the last good snapshot stands in") == 1
    assert stage.vitals[-1].stale
    stage.tell(Back("/manifests"), stage.listed(*BASIC[:6]))
    assert stage.routes() == {ONE}
    assert not stage.vitals[-1].stale


def test_a_kind_that_may_not_be_read_is_stood_in_for(tmp_path: Path) -> None:
    """And only that one."""
    stage = Stage(last_good=kept(tmp_path / "last-good", *BASIC), kinds=CLUSTER_KINDS)
    stage.up("127.0.0.1")
    late = frozenset({"EndpointSlice"})
    stage.tell(stage.listed(*BASIC[:4], kinds=CLUSTER_KINDS - late))
    stage.tell(Away("EndpointSlice", "forbidden"))
    assert stage.routes() == {ONE}


def test_a_broken_file_is_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start; mended, its objects count, and what it does not hold any more goes."""
    monkeypatch.setattr(keeper, "READ_SECONDS", 0.0)
    stage = Stage(last_good=kept(tmp_path / "last-good", *BASIC))
    stage.up("127.0.0.1")
    broken = Away("/manifests/services.yaml", "broken")
    stage.tell(broken, stage.listed(*BASIC[:3], *BASIC[5:]))
    assert stage.routes() == {ONE, TWO}
    stage.tell(Back("/manifests/services.yaml"), Put(parsed(BASIC[3:4])[0]))
    stage.tell()
    assert stage.routes() == {ONE}


def test_a_folder_without_faults_is_believed_at_once(tmp_path: Path) -> None:
    """What is not in it was deleted while nobody looked."""
    stage = Stage(last_good=kept(tmp_path / "last-good", *BASIC), held=[ONE, TWO])
    stage.up("127.0.0.1")
    stage.tell(stage.listed(*BASIC[:6]))
    assert stage.routes() == {ONE}


NAMES_A_SECRET = peer("tor", "10.9.9.9", asn=1, peer_asn=2, passwordSecret={"name": "s"})


def test_secrets_are_followed_when_one_is_named() -> None:
    """And not before; the first decision waits for them."""
    stage = Stage(kinds=CLUSTER_KINDS)
    stage.up("127.0.0.1")
    stage.tell(stage.listed(*BASIC, NAMES_A_SECRET, kinds=CLUSTER_KINDS))
    assert stage.source.followed == [LATER_KIND]
    assert stage.routes() == set()
    stage.tell(stage.listed(kinds=frozenset({LATER_KIND})))
    assert stage.routes() == {ONE, TWO}
    assert stage.source.followed == [LATER_KIND]


def test_secrets_that_may_not_be_read_hold_nobody_else_up() -> None:
    """With nothing on disk to stand in, peers without a Secret go on."""
    stage = Stage(kinds=CLUSTER_KINDS)
    stage.up("127.0.0.1")
    stage.tell(stage.listed(*BASIC, NAMES_A_SECRET, kinds=CLUSTER_KINDS))
    stage.tell(Away(LATER_KIND, "forbidden"))
    assert stage.routes() == {ONE, TWO}


def test_no_secret_is_followed_where_none_is_named() -> None:
    """The right to read them is not needed then."""
    stage = Stage(kinds=CLUSTER_KINDS)
    stage.tell(stage.listed(*BASIC, kinds=CLUSTER_KINDS))
    assert stage.source.followed == []


class Recorder:
    """A part that notes what it is told."""

    def __init__(self, post: Post, neighbors: Neighbors) -> None:
        self.post = post
        self.neighbors = neighbors
        self.decisions: list[tuple[Prefix, ...]] = []
        self.notices: list[Notice] = []
        self.called: list[float] = []
        self.due: float | None = None
        self.turns = 0

    def decided(self, routes: NodeRoutes, touched: Touched) -> None:
        """Note what the router should hold, when anything changed."""
        if touched.everything or touched.urgent or touched.bulk:
            self.decisions.append(tuple(routes.wanted(TOR)))

    def noticed(self, notice: Notice, now: float) -> None:  # noqa: ARG002 -- the protocol's
        """Note what ExaBGP told."""
        self.notices.append(notice)

    def act(self, now: float) -> None:  # noqa: ARG002 -- the protocol's
        """Note that the loop turned."""
        self.turns += 1

    def deadline(self, now: float) -> float | None:  # noqa: ARG002 -- the protocol's
        """Return when it is due."""
        return self.due

    def status(self, now: float) -> dict[str, object]:
        """Return nothing of interest."""
        return {"asked": now}

    def stop(self) -> None:
        """End nothing."""


def test_parts_follow_decisions_and_sessions() -> None:
    """And what a thread of theirs posts is done in the speaker's."""
    recorders: list[Recorder] = []

    def parts(post: Post, neighbors: Neighbors) -> Sequence[Part]:
        recorders.append(Recorder(post, neighbors))
        return recorders

    stage = Stage(parts=parts)
    stage.up("127.0.0.1")
    (recorder,) = recorders
    stage.tell(stage.listed(*BASIC[:4], BASIC[5]))
    assert recorder.decisions == [(ONE,)]
    assert SessionUp(TOR) in recorder.notices
    recorder.post(recorder.called.append)
    stage.tell()
    assert len(recorder.called) == 1
    recorder.due = recorder.called[0]
    assert stage.speaker._patience(recorder.due) == 0.0


def test_it_ends_with_exabgp() -> None:
    """The source is stopped; `run` returns."""
    stage = Stage()
    stage.pipe.say(())
    stage.speaker.run()
    assert stage.source.stopped


def test_a_thread_that_died_ends_it() -> None:
    """By what it died of; the source is stopped."""
    stage = Stage()
    stage.died(RuntimeError("nobody foresaw this"))
    with pytest.raises(RuntimeError, match="nobody foresaw this"):
        stage.speaker.run()
    assert stage.source.stopped
