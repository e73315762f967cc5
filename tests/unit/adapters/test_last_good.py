"""The last good objects on disk: what is written is read back, and nothing else is believed."""

import dataclasses
import json
import os
import stat
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.adapters.files.codec import Codecs
from exabgp_metallb.adapters.files.last_good import LastGood
from exabgp_metallb.errors import SourceError
from exabgp_metallb.values.addresses import AddressRange
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import Password, Peer
from exabgp_metallb.values.objects import ObjectName, Secret, Service, ServicePort
from exabgp_metallb.values.specs import LegacyConfig, Parsed, PeerSpec, Value


def _ranges(version: Literal[4, 6]) -> st.SearchStrategy[AddressRange]:
    ends = st.tuples(st.ip_addresses(v=version), st.ip_addresses(v=version))
    return ends.map(lambda pair: AddressRange(*sorted(pair, key=int)))


st.register_type_strategy(AddressRange, st.one_of(_ranges(4), _ranges(6)))  # both of one family

PLAIN_KINDS = tuple(kind for kind in get_args(Value) if kind is not LegacyConfig)
plain = st.builds(Parsed, value=st.one_of(st.none(), *map(st.from_type, PLAIN_KINDS)))
legacy = st.lists(plain, max_size=3).map(tuple).map(LegacyConfig)
values = {kind: st.from_type(kind) for kind in PLAIN_KINDS} | {LegacyConfig: legacy}
objects = st.builds(Parsed, value=st.one_of(st.none(), *values.values()))

WEB = Service(
    name=ObjectName("default", "web"),
    labels=frozenset({("app", "web"), ("tier", "front")}),
    ports=(ServicePort("TCP", 80),),
    cluster_ips=(ip_address("10.0.0.1"), ip_address("fd00::1")),
)
SERVICE = Parsed(ObjectRef("Service", "default", "web"), WEB)
ROUTER = Peer(name="router", my_asn=64512, peer_asn=64513, address=ip_address("192.0.2.1"))
BROKEN = Parsed(
    ObjectRef("Service", "default", "bad"),
    None,
    (Fault(ObjectRef("Service", "default", "bad"), "spec", "\u2028 snow \u2603"),),
)


def peer(
    name: str, *, password: str | None = None, password_secret: ObjectName | None = None
) -> Parsed:
    """Return a BGPPeer."""
    word = None if password is None else Password(password)
    spec = PeerSpec(dataclasses.replace(ROUTER, name=name, password=word), password_secret)
    return Parsed(ObjectRef("BGPPeer", "metallb-system", name), spec)


def without_password(value: Value | None) -> Value | None:
    """Return a value as the file has it."""
    match value:
        case PeerSpec(peer=peer):
            return dataclasses.replace(value, peer=dataclasses.replace(peer, password=None))
        case Secret():
            return value  # left out as a whole, which is not the codec's to do
        case LegacyConfig(objects=objects):
            return LegacyConfig(
                tuple(dataclasses.replace(o, value=without_password(o.value)) for o in objects)
            )
    return value


@pytest.fixture
def last_good(tmp_path: Path) -> LastGood:
    """Return one whose file does not exist yet."""
    return LastGood(tmp_path / "objects")


def load(last_good: LastGood) -> tuple[Parsed, ...]:
    """Return the objects on disk."""
    restored = last_good.load()
    assert restored
    return restored.objects


@given(objects)
def test_every_value_is_read_back(parsed: Parsed) -> None:
    """Whatever classes and hints values have, their codec follows, by way of real JSON."""
    codec = Codecs().of(Parsed)
    assert codec.encode
    assert codec.decode
    expected = dataclasses.replace(parsed, value=without_password(parsed.value))
    assert codec.decode(json.loads(json.dumps(codec.encode(parsed)))) == expected


@pytest.mark.parametrize("kind", values, ids=lambda kind: kind.__name__)
def test_every_kind_is_read_back(kind: type) -> None:
    """The property above, with each kind certain to have been there."""
    codec = Codecs().of(Value)
    encode, decode = codec.encode, codec.decode
    assert encode
    assert decode

    @settings(max_examples=10)
    @given(values[kind])
    def each(value: Value) -> None:
        assert decode(encode(value)) == without_password(value)

    each()


@pytest.mark.parametrize("text", ["0.0.0.0", "255.255.255.255", "::", "::1", "fe80::1%eth0"])
def test_addresses_keep_their_family_and_scope(text: str) -> None:
    """::1 and 0.0.0.1 are one number."""
    codec = Codecs().of(IPv4Address | IPv6Address | None)
    assert codec.encode
    assert codec.decode
    assert codec.decode(codec.encode(ip_address(text))) == ip_address(text)
    assert codec.encode(None) is codec.decode(None) is None


def test_a_hint_without_a_codec_is_an_error_from_the_start() -> None:
    """Not at the first object that has such a field."""
    with pytest.raises(TypeError, match="no codec for"):
        Codecs().of(dict[str, float])


def test_the_fingerprint_tells_shapes_apart() -> None:
    """A field more, or one of another type, makes another file."""
    shapes: list[Any] = [
        dataclasses.make_dataclass("Shape", fields, frozen=True, slots=True)
        for fields in ([("a", int)], [("a", str)], [("b", int)], [("a", int), ("b", int)])
    ]
    words = set()
    for shape in (*shapes, shapes[0]):
        codecs = Codecs()
        codecs.of(shape)
        words.add(codecs.fingerprint())
    assert len(words) == len(shapes)


def test_objects_are_read_back_in_order(last_good: LastGood) -> None:
    """Faults and warnings among them."""
    last_good.save([BROKEN, SERVICE])
    assert load(last_good) == (BROKEN, SERVICE)
    last_good.save([])
    assert load(last_good) == ()


def test_many_objects_are_read_back(last_good: LastGood) -> None:
    """More than are written at once."""
    many = tuple(
        dataclasses.replace(SERVICE, ref=ObjectRef("Service", "default", f"web-{number}"))
        for number in range(1234)
    )
    last_good.save(iter(many))
    assert load(last_good) == many


def test_nothing_on_disk_is_none(last_good: LastGood) -> None:
    """The first start on a node."""
    assert last_good.load() is None


def test_no_secret_is_written(last_good: LastGood, tmp_path: Path) -> None:
    """Whoever restores the objects knows which peers lack their password."""
    secret = ObjectName("metallb-system", "md5")
    legacy = Parsed(
        ObjectRef("ConfigMap", "metallb-system", "config"),
        LegacyConfig((peer("legacy", password="hidden"), SERVICE)),
    )
    last_good.save(
        [
            peer("plain"),
            peer("inline", password="hidden"),
            peer("by-name", password_secret=secret),
            legacy,
            Parsed(
                ObjectRef("Secret", "metallb-system", "md5"),
                Secret(secret, "kubernetes.io/basic-auth", "hidden"),
            ),
        ]
    )
    assert "hidden" not in (tmp_path / "objects").read_text()
    restored = last_good.load()
    assert restored
    assert [parsed.ref.name for parsed in restored.objects] == [
        "plain",
        "inline",
        "by-name",
        "config",
    ]
    assert restored.objects[1] == peer("inline")
    assert {ref.name for ref in restored.without_password} == {"inline", "by-name", "legacy"}


def test_only_its_owner_may_read_the_file(last_good: LastGood, tmp_path: Path) -> None:
    """Whatever the umask, and from the first byte."""
    before = os.umask(0)
    try:
        last_good.save([SERVICE])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "objects").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_old_file(last_good: LastGood, tmp_path: Path) -> None:
    """A disk may be full in the middle; the next write tidies up what is left."""

    def fails() -> Any:  # noqa: ANN401 -- an iterator of objects
        yield SERVICE
        raise OSError(28, "No space left on device")

    last_good.save([BROKEN])
    with pytest.raises(SourceError, match=r"objects: No space left on device: the old one stays"):
        last_good.save(fails())
    assert load(last_good) == (BROKEN,)
    last_good.save([SERVICE])
    assert load(last_good) == (SERVICE,)
    assert [path.name for path in tmp_path.iterdir()] == ["objects"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """On writing; on reading there is just nothing."""
    last_good = LastGood(tmp_path / "nowhere" / "objects")
    with pytest.raises(SourceError, match=r"nowhere/objects: No such file or directory"):
        last_good.save([])
    assert last_good.load() is None


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "emptied": (lambda _content: b"", "no file of ours"),
    "another file": (lambda _content: b"hello\nworld\n", "no file of ours"),
    "another release": (
        lambda content: content.replace(content[:70].split(b'"')[3], b"0" * 16),
        "another release wrote it",
    ),
    "cut in a line": (lambda content: content[:-100], "damaged"),
    "cut behind the header": (lambda content: content[: content.index(b"\n") + 1], "damaged"),
    "cut before the last line": (
        lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
        "damaged",
    ),
    "cut before the last byte": (lambda content: content[:-1], "damaged"),
    "a line too few": (lambda content: b"".join(content.partition(b'[["Serv')[::2]), "damaged"),
    "a word changed": (lambda content: content.replace(b"web", b"wob", 1), "damaged"),
    "no text": (lambda content: content.replace(b"web", b"\xff\xfe\x00", 1), "damaged"),
    "another type": (lambda content: content.replace(b'"TCP"', b"[[1]]", 1), "damaged"),
    "too deep": (lambda content: content.replace(b'"TCP"', b"[" * 10**5, 1), "damaged"),
}


@pytest.mark.parametrize(("damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_whole_is_not_used(
    last_good: LastGood, tmp_path: Path, damage: Callable[[bytes], bytes], words: str
) -> None:
    """A clear message, and no objects that nobody wrote."""
    last_good.save([SERVICE, BROKEN])
    path = tmp_path / "objects"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError, match=words) as caught:
        last_good.load()
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("it is not used")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Return a file and what was saved into it."""
    path = tmp_path_factory.mktemp("saved") / "objects"
    LastGood(path).save([SERVICE, peer("by-name", password_secret=ObjectName("a", "b"))])
    return path, path.read_bytes()


@settings(max_examples=300)
@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_bit_may_differ(saved: tuple[Path, bytes], place: int, bit: int) -> None:
    """One bit turned anywhere is found, whatever it does to what is read."""
    path, whole = saved
    content = bytearray(whole)
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(SourceError):
        LastGood(path).load()
