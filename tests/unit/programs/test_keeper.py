"""The last good objects: when they are written, and how they stand in at a start."""

import shutil
from pathlib import Path

import pytest

from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.adapters.source import Listed
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.keeper import (
    READ_SECONDS,
    RETRY_SECONDS,
    SAVE_SECONDS,
    Keeper,
    StandIns,
)
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed, PeerSpec
from tests.integration.manifests import Object, peer, pool, secret, service, slice_of
from tests.unit.programs.told import Told


def parsed(*objects: Object) -> list[Parsed]:
    """Return objects as a source tells them."""
    found = [parse(each) for each in objects]
    return [each for each in found if each is not None]


class Kept:
    """A keeper, what it keeps, and its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = parsed(service("web"))
        self.keeper = Keeper(LastGood(path), lambda: self.objects)

    def act(self, now: float) -> None:
        """Let it act, and wait for its thread."""
        self.keeper.act(now)
        if self.keeper._saver is not None:
            self.keeper._saver.join()

    def names(self) -> list[str]:
        """Return what a new process would find."""
        return sorted(p.ref.name for p in Keeper(LastGood(self.path), list).restore())


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Return a keeper of one Service."""
    folder = tmp_path / "state"
    folder.mkdir()
    return Kept(folder / "last-good.jsonl")


def test_changes_are_written_and_nothing_else(kept: Kept) -> None:
    """The first at once, the next a while later, all of them together."""
    kept.act(0.0)
    assert not kept.path.exists()
    kept.keeper.changed()
    kept.act(1.0)
    assert kept.names() == ["web"]
    for number in range(3):
        kept.objects += parsed(service(f"s{number}"))
        kept.keeper.changed()
        kept.act(2.0)
    assert kept.names() == ["web"]
    kept.act(1.0 + SAVE_SECONDS)
    assert kept.names() == ["s0", "s1", "s2", "web"]


def test_a_disk_that_fails_is_told_once_and_tried_again(kept: Kept, told: Told) -> None:
    """Although nothing changes any more."""
    shutil.rmtree(kept.path.parent)
    kept.keeper.changed()
    kept.act(0.0)
    kept.keeper.changed()
    kept.act(SAVE_SECONDS)
    assert told.count(str(kept.path)) == 1
    kept.path.parent.mkdir()
    kept.act(SAVE_SECONDS + RETRY_SECONDS)
    assert kept.names() == ["web"]


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\xff" * 100])
def test_a_damaged_file_is_told_and_nothing(content: bytes, kept: Kept, told: Told) -> None:
    """An empty file is as good as none, and says so."""
    kept.path.write_bytes(content)
    assert kept.keeper.restore() == ()
    assert told.count("not used") == 1


def test_no_file_is_nothing(kept: Kept, told: Told) -> None:
    """The first start of all."""
    assert kept.keeper.restore() == ()
    assert told.lines == []


def test_a_peer_comes_back_without_its_secret(kept: Kept) -> None:
    """Which is not kept: its session is configured already, and routes need no password."""
    spec = {"passwordSecret": {"name": "s"}}
    kept.objects = parsed(
        peer("tor", "10.0.0.1", asn=1, peer_asn=2, **spec), secret("s", "hush"), pool("p", "::/64")
    )
    kept.keeper.changed()
    kept.act(0.0)
    assert b"hush" not in kept.path.read_bytes()
    found = {p.ref.kind: p.value for p in kept.keeper.restore()}
    assert found.keys() == {"BGPPeer", "IPAddressPool"}
    assert isinstance(found["BGPPeer"], PeerSpec)
    assert found["BGPPeer"].password_secret is None


@pytest.fixture
def gone() -> list[ObjectRef]:
    """Return what had to go."""
    return []


def refs(objects: list[Parsed]) -> list[ObjectRef]:
    """Return the names of objects."""
    return [p.ref for p in objects]


def test_kept_objects_stand_beside_a_list_until_all_is_read(gone: list[ObjectRef]) -> None:
    """Those of listed kinds that are not in it; then those go that nobody has told of."""
    listed = parsed(service("there"))
    kept = parsed(service("there", "192.0.2.1"), service("a"), service("b"), slice_of("a"))
    stand_ins = StandIns(gone.append)
    both = stand_ins.beside(Listed(frozenset({"Service"}), tuple(listed)), kept)
    assert both.objects == (*listed, *kept[1:3])
    stand_ins.told(kept[1].ref)
    assert not stand_ins.act(100.0)
    stand_ins.all_read(100.0)
    assert not stand_ins.act(100.0)
    assert gone == []
    assert stand_ins.act(100.0 + READ_SECONDS)
    assert gone == refs(kept[2:3])
    assert not stand_ins.active
    assert not stand_ins.act(200.0)


def test_they_stay_while_something_is_away_again(gone: list[ObjectRef]) -> None:
    """Another file was broken before they went."""
    stand_ins = StandIns(gone.append)
    stand_ins.beside(Listed(frozenset({"Service"}), ()), parsed(service("a")))
    stand_ins.all_read(0.0)
    stand_ins.away_again()
    assert not stand_ins.act(10 * READ_SECONDS)
    assert stand_ins.active


def test_without_a_start_there_is_no_end(gone: list[ObjectRef]) -> None:
    """Nothing was away, so nothing stands in."""
    stand_ins = StandIns(gone.append)
    stand_ins.all_read(0.0)
    assert not stand_ins.act(10 * READ_SECONDS)
