"""Manifests read once and followed: in real folders, with the kernel's own word of changes."""

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exabgp_metallb.adapters.files import contents, inotify, manifests
from exabgp_metallb.adapters.files.manifests import ManifestFolder, read
from exabgp_metallb.adapters.files.tree import Tree
from exabgp_metallb.adapters.source import Away, Back, Event, Gone, Listed, Put
from exabgp_metallb.errors import SourceError
from exabgp_metallb.parsing.objects import KINDS
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.objects import Namespace
from exabgp_metallb.values.specs import Parsed
from tests.unit.adapters.ear import WITHIN_SECONDS, Ear

Follow = Callable[[Path], Ear]


def namespace(name: str, colour: str = "blue") -> str:
    """Return the smallest of manifests, with a label to tell its versions apart."""
    return (
        "apiVersion: v1\nkind: Namespace\n"
        f"metadata:\n  name: {name}\n  labels: {{colour: {colour}}}\n"
    )


def ref(name: str) -> ObjectRef:
    """Return the reference of a namespace."""
    return ObjectRef("Namespace", "", name)


def colour(parsed: Parsed) -> str:
    """Return which version of a namespace this is."""
    assert isinstance(parsed.value, Namespace)
    return dict(parsed.value.labels)["colour"]


def told(event: object) -> tuple[str, str]:
    """Return name and colour of an object that was put."""
    assert isinstance(event, Put), event
    return (event.object.ref.name, colour(event.object))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for manifests, with room beside it."""
    path = tmp_path / "manifests"
    path.mkdir()
    return path


class Clock:
    """Monotonic seconds, which can be held: however slow the test is, no time is over then."""

    def __init__(self) -> None:
        self._lost = 0.0
        self._held: float | None = None

    def __call__(self) -> float:
        """Return the time."""
        held = self._held
        return time.monotonic() - self._lost if held is None else held

    def hold(self) -> None:
        """Let no time pass."""
        self._held = self()

    def go_on(self) -> None:
        """Let time pass again."""
        self._lost = time.monotonic() - self()
        self._held = None


@pytest.fixture
def clock() -> Clock:
    """Return the clock of what is followed."""
    return Clock()


@pytest.fixture
def follow(clock: Clock) -> Iterator[Follow]:
    """Return a function that follows a folder and returns who hears of it."""
    sources = []

    def begin(path: Path) -> Ear:
        ear = Ear()
        sources.append(ManifestFolder(path, on_death=ear.death, now=clock))
        sources[-1].start(ear)
        return ear

    yield begin
    for source in sources:
        source.stop()


def listed(ear: Ear) -> dict[str, str]:
    """Return the colours of the namespaces that a source begins with."""
    event = ear.next()
    assert isinstance(event, Listed), event
    return {parsed.ref.name: colour(parsed) for parsed in event.objects}


def mend(path: Path, text: str) -> None:
    """Replace a file by a rename, as editors and rsync do."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(text)
    aside.rename(path)


# Reading once, for `plan`.


def test_a_folder_is_read_with_all_below_it_and_nothing_else(folder: Path) -> None:
    """Hidden files, other files and pipes are passed over; what is below counts."""
    (folder / "b").mkdir()
    (folder / "b" / "one.yml").write_text(namespace("one"))
    (folder / "a.yaml").write_text(f"{namespace('two')}---\n{namespace('three')}")
    (folder / "c.json").write_text('{"apiVersion": "v1", "kind": "List", "items": []}')
    (folder / ".hidden.yaml").write_text("{")
    (folder / "README.md").write_text("{")
    os.mkfifo(folder / "pipe.yaml")
    objects, warnings = read([str(folder)])
    assert [parsed.ref.name for parsed in objects] == ["one", "three", "two"]
    assert warnings == ()


def test_standard_input_is_read_where_it_is_named() -> None:
    """The name is a dash, as with kubectl."""
    objects, _ = read(["-"], io.BytesIO(namespace("one").encode()))
    assert [parsed.ref for parsed in objects] == [ref("one")]


def test_objects_of_ours_without_a_namespace_are_in_the_one_we_are_installed_in() -> None:
    """As `kubectl apply -n` would put them there."""
    text = b"{apiVersion: metallb.io/v1beta1, kind: Community, metadata: {name: c}, spec: {}}"
    objects, _ = read(["-"], io.BytesIO(text), namespace="lb")
    assert objects[0].ref == ObjectRef("Community", "lb", "c")


def test_of_the_same_object_the_last_in_name_order_counts(folder: Path) -> None:
    """Folders and files of one level are in one order; the warning names both files."""
    (folder / "a.yaml").write_text(namespace("one", "red"))
    (folder / "a").mkdir()
    (folder / "a" / "z.yaml").write_text(namespace("one", "green"))
    objects, warnings = read([str(folder)])
    assert [colour(parsed) for parsed in objects] == ["red"]
    (warning,) = warnings
    assert warning.object == ref("one")
    assert f"in {folder}/a/z.yaml and {folder}/a.yaml: the last one counts" in warning.message


def test_an_object_twice_in_one_file_is_warned_of() -> None:
    """The warning names the file once."""
    text = f"{namespace('one', 'red')}---\n{namespace('one', 'green')}"
    objects, (warning,) = read(["-"], io.BytesIO(text.encode()))
    assert [colour(parsed) for parsed in objects] == ["green"]
    assert "in standard input" in warning.message


def test_of_mistakes_without_a_name_each_one_stands() -> None:
    """They have one reference, which is nobody's, and do not hide each other."""
    objects, warnings = read(["-"], io.BytesIO(b"- 1\n---\nhello\n"))
    assert [len(parsed.faults) for parsed in objects] == [2]
    assert warnings == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: b\nc: [\n", "line 3, column 1"),
        (b'{"a": 1,\n "b": [}', "line 2"),
        (b"a: b\nc: \xff\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    folder: Path, content: bytes, words: str
) -> None:
    """File and line come first, then what is wrong."""
    (folder / "bad.yaml").write_bytes(content)
    with pytest.raises(SourceError, match=f"{folder}/bad.yaml: ") as caught:
        read([str(folder)])
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    """The message says what to give instead."""
    with pytest.raises(SourceError, match=r"nowhere\.yaml: No such file or directory: name a"):
        read([str(folder / "nowhere.yaml")])


def test_a_link_that_leads_nowhere_is_an_error(folder: Path) -> None:
    """A plan must not be made without what somebody meant to be in it."""
    (folder / "link.yaml").symlink_to("nowhere")
    with pytest.raises(SourceError, match=r"link\.yaml: No such file or directory"):
        read([str(folder)])


def test_folders_that_hold_themselves_are_read_once(folder: Path) -> None:
    """Links may make circles."""
    (folder / "a.yaml").write_text(namespace("one"))
    (folder / "circle").symlink_to(folder)
    objects, warnings = read([str(folder)])
    assert len(objects) == 1
    assert warnings == ()


# A folder followed: what changes is told, and nothing else.


def test_it_begins_with_all_objects_of_all_kinds(folder: Path, follow: Follow) -> None:
    """One list for all kinds: a folder is read as a whole."""
    (folder / "a.yaml").write_text(namespace("one"))
    event = follow(folder).next()
    assert isinstance(event, Listed)
    assert event.kinds == {kind for _, kind in KINDS}
    assert [parsed.ref for parsed in event.objects] == [ref("one")]


def test_a_file_that_is_written_is_told(folder: Path, follow: Follow) -> None:
    """New files and new contents, when the writer closes the file."""
    ear = follow(folder)
    assert listed(ear) == {}
    (folder / "a.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")
    (folder / "a.yaml").write_text(namespace("one", "red"))
    assert told(ear.next()) == ("one", "red")


def test_a_file_that_is_moved_into_place_is_told(folder: Path, follow: Follow) -> None:
    """Editors and rsync replace a file by a rename."""
    (folder / "a.yaml").write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    mend(folder / "a.yaml", namespace("one", "red"))
    assert told(ear.next()) == ("one", "red")


def test_a_file_that_is_deleted_takes_its_objects_along(folder: Path, follow: Follow) -> None:
    """Each object is told by itself."""
    (folder / "a.yaml").write_text(f"{namespace('one')}---\n{namespace('two')}")
    ear = follow(folder)
    listed(ear)
    (folder / "a.yaml").unlink()
    assert ear.take(2) == [Gone(ref("one")), Gone(ref("two"))]


def test_only_what_differs_is_told(folder: Path, follow: Follow) -> None:
    """Objects of an edited file that are as they were are no event."""
    (folder / "a.yaml").write_text(f"{namespace('one')}---\n{namespace('two')}")
    ear = follow(folder)
    listed(ear)
    (folder / "a.yaml").write_text(
        f"{namespace('one')}---\n# a comment\n{namespace('two', 'red')}---\n{namespace('three')}"
    )
    assert [told(event) for event in ear.take(2)] == [("three", "blue"), ("two", "red")]
    (folder / "a.yaml").write_text(namespace("two", "red"))
    assert ear.take(2) == [Gone(ref("one")), Gone(ref("three"))]


def test_only_the_file_that_changed_is_parsed(
    folder: Path, follow: Follow, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a look at everything nor the same bytes again cost a parse."""
    parsed: list[str] = []

    def parse(data: bytes, place: str, *, home: str) -> list[Parsed]:
        parsed.append(Path(place).name)
        return contents.parse(data, place, home=home)

    for number in range(100):
        (folder / f"{number:02}.yaml").write_text(namespace(f"n-{number}"))
    monkeypatch.setattr(manifests, "parse", parse)
    ear = follow(folder)
    assert len(listed(ear)) == len(parsed) == 100
    clock.hold()
    (folder / "07.yaml").write_text(namespace("n-7"))  # as it was
    (folder / "sub").mkdir()  # makes it look at everything
    (folder / "50.yaml").write_text(namespace("n-50", "red"))
    assert told(ear.next()) == ("n-50", "red")
    assert parsed[100:] == ["50.yaml"]


def test_a_file_in_the_making_is_left_alone(folder: Path, follow: Follow, clock: Clock) -> None:
    """A writer that takes its time makes nothing go, whatever happens beside it."""
    (folder / "a.yaml").write_text(f"{namespace('one')}---\n{namespace('two')}")
    ear = follow(folder)
    listed(ear)
    clock.hold()
    with (folder / "a.yaml").open("w") as file:
        file.write(namespace("one", "red"))
        file.flush()
        (folder / "sub").mkdir()  # makes it look at everything
        (folder / "b.yaml").write_text(namespace("three"))
        assert told(ear.next()) == ("three", "blue")
        file.write(f"---\n{namespace('two')}")
    assert told(ear.next()) == ("one", "red")
    assert ear.is_quiet


def test_writers_in_quick_succession_make_nothing_go(
    folder: Path, follow: Follow, clock: Clock
) -> None:
    """What one writer has finished may be half overwritten by the next when it is read."""
    whole = "---\n".join(namespace(f"n-{number}") for number in range(50))
    (folder / "a.yaml").write_text(whole)
    ear = follow(folder)
    listed(ear)
    clock.hold()
    for _ in range(100):
        with (folder / "a.yaml").open("w", buffering=64) as file:
            file.write(whole[: len(whole) // 2])
            file.write(whole[len(whole) // 2 :])
    (folder / "b.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")


def test_a_file_that_is_taken_away_and_written_anew_was_never_gone(
    folder: Path, follow: Follow, clock: Clock
) -> None:
    """This is how git and vim write."""
    (folder / "a.yaml").write_text(f"{namespace('one')}---\n{namespace('two')}")
    ear = follow(folder)
    listed(ear)
    clock.hold()
    (folder / "a.yaml").unlink()  # git and vim
    (folder / "a.yaml").write_text(f"{namespace('one')}---\n{namespace('two', 'red')}")
    assert told(ear.next()) == ("two", "red")
    (folder / "b.yaml").write_text(namespace("three"))
    assert told(ear.next()) == ("three", "blue")
    clock.go_on()
    (folder / "b.yaml").unlink()
    assert ear.next() == Gone(ref("three"))  # what went before it would be gone by now
    assert ear.is_quiet


def test_a_file_that_is_renamed_changes_nothing(folder: Path, follow: Follow, clock: Clock) -> None:
    """What it gave is not gone in between, and not there twice."""
    (folder / "a.yaml").write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    clock.hold()
    (folder / "a.yaml").rename(folder / "b.yaml")
    (folder / "b.yaml").rename(folder / "c.json")  # JSON is YAML, and this the other way round
    (folder / "c.json").rename(folder / "c.yaml")
    (folder / "z.yaml").write_text(namespace("two"))
    assert told(ear.next()) == ("two", "blue")
    clock.go_on()
    (folder / "z.yaml").unlink()
    assert ear.next() == Gone(ref("two"))  # what went before it would be gone by now
    assert ear.is_quiet


def test_an_object_in_two_files_is_told_from_the_last_in_name_order(
    folder: Path, follow: Follow
) -> None:
    """Folders and files of one level are in one order; the warning names both files."""
    (folder / "a.yaml").write_text(namespace("one", "red"))
    ear = follow(folder)
    listed(ear)
    (folder / "b.yaml").write_text(namespace("one", "green"))
    event = ear.next()
    assert told(event) == ("one", "green")
    assert isinstance(event, Put)
    assert "the last one counts" in event.object.warnings[0].message
    (folder / "b.yaml").unlink()
    event = ear.next()
    assert told(event) == ("one", "red")
    assert isinstance(event, Put)
    assert event.object.warnings == ()


def test_folders_come_move_and_go(folder: Path, follow: Follow) -> None:
    """What is in them comes and goes with them."""
    ear = follow(folder)
    listed(ear)
    (folder / "x" / "y").mkdir(parents=True)
    (folder / "x" / "y" / "a.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")
    (folder / "x").rename(folder / "z")
    mend(folder / "z" / "y" / "a.yaml", namespace("one", "red"))
    assert told(ear.next()) == ("one", "red")
    (folder / "z" / "y").rename(folder.parent / "elsewhere")
    assert ear.next() == Gone(ref("one"))
    (folder.parent / "elsewhere").rename(folder / "again")
    assert told(ear.next()) == ("one", "red")


def test_a_folder_behind_a_link_is_followed(folder: Path, follow: Follow) -> None:
    """Its files change where no watched folder is."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    ear = follow(folder)
    listed(ear)
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "a.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")
    (folder / "link").unlink()
    assert ear.next() == Gone(ref("one"))


def test_a_mounted_configmap_is_replaced_as_a_whole(folder: Path, follow: Follow) -> None:
    """The kubelet swaps a hidden link; the files we read are links through it."""

    def write(version: str, colour: str) -> None:
        """Do as the kubelet (pkg/volume/util/atomic_writer.go)."""
        (folder / version).mkdir()
        (folder / version / "a.yaml").write_text(namespace("one", colour))
        (folder / version / "b.yaml").write_text(namespace("two", colour))
        (folder / "..data_tmp").symlink_to(version)
        (folder / "..data_tmp").rename(folder / "..data")

    write("..2026_1", "blue")
    for name in ("a.yaml", "b.yaml"):
        (folder / name).symlink_to(f"..data/{name}")
    ear = follow(folder)
    assert listed(ear) == {"one": "blue", "two": "blue"}
    write("..2026_2", "red")
    assert [told(event) for event in ear.take(2)] == [("one", "red"), ("two", "red")]


def test_a_single_file_can_be_followed(
    folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its name; what lies beside it does not count, and nothing goes when it goes."""
    monkeypatch.setattr(manifests, "GONE_SECONDS", 0.0)
    path = folder / "all.txt"
    path.write_text(namespace("one"))
    ear = follow(path)
    assert listed(ear) == {"one": "blue"}
    (folder / "other.yaml").write_text(namespace("two"))
    path.write_text(namespace("one", "red"))
    assert told(ear.next()) == ("one", "red")
    mend(path, namespace("one", "green"))
    assert told(ear.next()) == ("one", "green")
    path.unlink()
    assert ear.next() == Away(
        str(path), f"{path}: No such file or directory: name a folder or file to read"
    )
    path.write_text(namespace("one", "green"))
    assert ear.next() == Back(str(path))
    path.write_text(namespace("one", "blue"))
    assert told(ear.next()) == ("one", "blue")


def test_without_the_kernels_word_it_looks_by_itself(
    folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of inotify are small on some machines."""

    def no_more() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify, "INotify", no_more)
    monkeypatch.setattr(manifests, "BLIND_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(manifests, "SETTLE_SECONDS", 0.05)
    ear = follow(folder)
    listed(ear)
    (folder / "a.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")
    (folder / "a.yaml").unlink()
    assert ear.next() == Gone(ref("one"))


def test_a_slow_look_finds_what_the_kernel_did_not_tell(
    folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to a file in a folder that nobody watches."""
    target = folder.parent / "target.yaml"
    target.write_text(namespace("one"))
    (folder / "link.yaml").symlink_to(target)
    monkeypatch.setattr(manifests, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(manifests, "SETTLE_SECONDS", 0.05)
    ear = follow(folder)
    listed(ear)
    mend(target, namespace("one", "red"))  # in a folder that nobody watches
    assert told(ear.next()) == ("one", "red")


# What cannot be read keeps what it gave, and says so once.


def test_a_broken_file_keeps_what_it_gave(folder: Path, follow: Follow) -> None:
    """It is said once, with the line; and again when it is mended."""
    path = folder / "a.yaml"
    path.write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    path.write_text("kind: [")
    event = ear.next()
    assert isinstance(event, Away)
    assert event.what == str(path)
    assert event.message.startswith(f"{path}: line ")
    assert event.message.endswith("what it held before stands")
    path.write_text("kind: [")  # nothing new
    path.write_text(namespace("one", "red"))
    assert ear.next() == Back(str(path))
    assert told(ear.next()) == ("one", "red")


def test_a_file_that_is_broken_from_the_start_is_told_before_the_list(
    folder: Path, follow: Follow
) -> None:
    """The list lacks what the file holds, and whoever hears it knows."""
    (folder / "a.yaml").write_text("kind: [")
    (folder / "b.yaml").write_text(namespace("one"))
    ear = follow(folder)
    assert isinstance(ear.next(), Away)
    assert listed(ear) == {"one": "blue"}


def test_a_broken_file_that_is_deleted_is_forgotten(folder: Path, follow: Follow) -> None:
    """Then its objects go."""
    path = folder / "a.yaml"
    path.write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    path.write_text("kind: [")
    assert isinstance(ear.next(), Away)
    path.unlink()
    assert ear.take(2) == [Back(str(path)), Gone(ref("one"))]


def test_an_empty_file_keeps_what_it_gave(folder: Path, follow: Follow) -> None:
    """A full disk leaves empty files; a comment says that it is meant."""
    path = folder / "a.yaml"
    path.write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    path.write_text("\n")  # a disk that is full leaves this
    event = ear.next()
    assert isinstance(event, Away)
    assert "it is empty" in event.message
    path.write_text("# nothing\n")  # this is meant
    assert ear.take(2) == [Back(str(path)), Gone(ref("one"))]


def test_an_unreadable_file_keeps_what_it_gave(folder: Path, follow: Follow) -> None:
    """The others go on."""
    path = folder / "a.yaml"
    path.write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "sub").mkdir()  # makes it look at everything
    event = ear.next()
    assert isinstance(event, Away)
    assert event.what == str(folder / "loop.yaml")
    mend(path, namespace("one", "red"))
    assert told(ear.next()) == ("one", "red")
    (folder / "loop.yaml").unlink()
    (folder / "sub").rmdir()
    assert ear.next() == Back(str(folder / "loop.yaml"))


def test_a_folder_that_vanishes_keeps_what_it_gave(folder: Path, follow: Follow) -> None:
    """One that takes its place by a rename is read at once."""
    (folder / "a.yaml").write_text(namespace("one"))
    (folder / "b.yaml").write_text(namespace("two"))
    ear = follow(folder)
    listed(ear)
    folder.rename(folder.parent / "old")
    event = ear.next()
    assert isinstance(event, Away)
    assert event.what == str(folder)
    new = folder.parent / "new"
    new.mkdir()
    (new / "b.yaml").write_text(namespace("two", "red"))
    new.rename(folder)
    assert ear.next() == Back(str(folder))
    assert told(ear.next()) == ("two", "red")
    assert ear.next() == Gone(ref("one"))


def test_a_folder_that_comes_later_is_listed_then(
    folder: Path, follow: Follow, clock: Clock
) -> None:
    """A speaker may start before its folder is mounted."""
    folder.rmdir()
    ear = follow(folder)
    assert isinstance(ear.next(), Away)
    clock.hold()
    new = folder.parent / "new"
    new.mkdir()
    (new / "a.yaml").write_text(namespace("one"))
    new.rename(folder)
    assert ear.next() == Back(str(folder))
    assert listed(ear) == {"one": "blue"}


def test_a_folder_that_is_emptied_is_empty(folder: Path, follow: Follow) -> None:
    """It can be read, so what it says is true."""
    (folder / "a.yaml").write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    (folder / "a.yaml").unlink()
    assert ear.next() == Gone(ref("one"))


def test_a_folder_from_which_a_disk_was_taken_is_not(
    folder: Path, follow: Follow, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty mount point is no word of anybody's."""
    (folder / "a.yaml").write_text(namespace("one"))
    ear = follow(folder)
    listed(ear)
    clock.hold()

    class Elsewhere(Tree):
        def __init__(self, root: str, on_folder: Callable[[str], None]) -> None:
            super().__init__(root, on_folder)
            self.device += 1

    monkeypatch.setattr(manifests, "Tree", Elsewhere)
    (folder / "a.yaml").rename(folder.parent / "a.yaml")
    (folder / "sub").mkdir()  # makes it look at everything
    event = ear.next()
    assert isinstance(event, Away)
    assert "another file system" in event.message


# A source's thread ends when it is told to, and not in silence.


def test_a_listener_that_raises_is_a_death(folder: Path) -> None:
    """Nothing is lost in silence."""
    ear = Ear()

    def fail(_event: object) -> None:
        raise ZeroDivisionError

    source = ManifestFolder(folder, on_death=ear.death, now=time.monotonic)
    source.start(fail)
    assert isinstance(ear.last_words(), ZeroDivisionError)
    source.stop()


def test_after_stop_nothing_is_told(folder: Path) -> None:
    """The thread has ended."""
    ear = Ear()
    source = ManifestFolder(folder, on_death=ear.death, now=time.monotonic)
    source.start(ear)
    listed(ear)
    source.stop()
    (folder / "a.yaml").write_text(namespace("one"))
    source._thread.join(WITHIN_SECONDS)
    assert not source._thread.is_alive()
    assert ear.is_quiet


def test_a_thread_that_ends_late_leaves_nothing_open(folder: Path) -> None:
    """It is not waited for; and to stop twice does no harm."""
    ear = Ear()
    free = threading.Event()

    def hold(event: Event) -> None:
        ear(event)
        free.wait(WITHIN_SECONDS)

    source = ManifestFolder(folder, on_death=ear.death, now=time.monotonic)
    source.start(hold)
    listed(ear)
    source.stop()
    assert source._thread.is_alive()
    free.set()
    source._thread.join(WITHIN_SECONDS)
    assert source._watches._inotify is not None
    assert source._watches._inotify.closed
    source.stop()


def test_ten_thousand_objects_in_one_file_or_as_many(folder: Path, follow: Follow) -> None:
    """One file's change costs that file: an edit of a small one is told while a big one stands."""
    names = [f"n-{number}" for number in range(10_000)]
    items = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"colour": "x"}},
        }
        for name in names
    ]
    big = folder / "all.json"
    big.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    ear = follow(folder)
    assert len(listed(ear)) == 10_000
    (folder / "small.yaml").write_text(namespace("one"))
    assert told(ear.next()) == ("one", "blue")
    items[7]["metadata"] = {"name": "n-7", "labels": {"colour": "red"}}
    mend(big, json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    assert told(ear.next()) == ("n-7", "red")
    assert ear.is_quiet
