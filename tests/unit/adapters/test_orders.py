"""Orders and reports between speaker and responder: as text, over the socket, on disk."""

import json
import os
import selectors
import socket
import stat
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.adapters import unix
from exabgp_metallb.adapters.layer2.document import Part, Received
from exabgp_metallb.adapters.layer2.orders import OrdersClient, OrdersFile, OrdersServer
from exabgp_metallb.adapters.layer2.orders_text import (
    orders_line,
    read_orders,
    read_report,
    report_line,
)
from exabgp_metallb.adapters.layer2.serials import MOST, Serials
from exabgp_metallb.errors import OrdersError, OrdersGapError
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import (
    AddressOrder,
    AddressReport,
    Failback,
    ForeignClaim,
    InterfaceReport,
    Orders,
    Report,
    Role,
    Slate,
    SubnetRule,
    by_address,
)
from tests.integration.lab.waiting import wait_for

SECONDS = 60.0

names = st.text(min_size=1, max_size=8)
addresses = st.ip_addresses()
slates = st.lists(st.lists(names, min_size=1, max_size=3).map(sorted).map(tuple), max_size=3).map(
    lambda tiers: Slate(tuple(tiers))
)
every_orders = st.builds(
    Orders,
    node=names,
    addresses=st.lists(
        st.builds(
            AddressOrder,
            address=addresses,
            slate=slates,
            by=st.none() | addresses,
            interfaces=st.none() | st.frozensets(names, max_size=3),
        ),
        max_size=4,
    ).map(by_address),
    subnet=st.sampled_from(SubnetRule),
    failback=st.sampled_from(Failback),
    refresh_seconds=st.none() | st.floats(min_value=1, max_value=1e6),
    draining=st.booleans(),
)
every_report = st.builds(
    Report,
    node=names,
    addresses=st.lists(
        st.builds(
            AddressReport,
            address=addresses,
            role=st.sampled_from(Role),
            interfaces=st.lists(names, max_size=2).map(tuple),
            why=names,
        ),
        max_size=3,
    ).map(by_address),
    interfaces=st.lists(
        st.builds(InterfaceReport, name=names, usable=st.booleans(), why=names), max_size=3
    ).map(tuple),
    foreign=st.lists(
        st.builds(ForeignClaim, address=addresses, mac=names, interface=names), max_size=3
    ).map(tuple),
)
NODES = Slate((("n1", "n2"),))


def orders(*texts: str, node: str = "n1") -> Orders:
    """Return orders for addresses."""
    return Orders(
        node=node,
        addresses=by_address(AddressOrder(address=ip_address(a), slate=NODES) for a in texts),
    )


def report(*texts: str) -> Report:
    """Return a report of addresses that are answered."""
    return Report(
        node="n1",
        addresses=by_address(
            AddressReport(address=ip_address(text), role=Role.OWNER) for text in texts
        ),
    )


@given(every_orders)
def test_orders_come_back_from_a_line(given_orders: Orders) -> None:
    """One line, whatever is in them."""
    line = orders_line(given_orders)
    assert line.count(b"\n") == 1
    assert read_orders(line) == Received(2, Part(), given_orders)


@given(every_report)
def test_a_report_comes_back_from_a_line(report: Report) -> None:
    """As orders do."""
    line = report_line(report)
    assert line.count(b"\n") == 1
    assert read_report(line) == Received(2, Part(), report)


@given(every_orders, every_orders, st.lists(addresses, max_size=2))
def test_what_is_different_makes_new_orders_of_the_last(
    last: Orders, newest: Orders, same: list[Address]
) -> None:
    """Also where more is told than differs."""
    before = read_orders(orders_line(last, Part(7)))
    touched = {*last.addresses, *newest.addresses, *same}
    received = read_orders(orders_line(newest, Part(9, 7, list(touched))), before)
    assert received.document == newest
    assert received.part.serial == 9
    assert received.part.addresses is not None
    assert set(received.part.addresses) == touched


def test_a_difference_from_what_did_not_come_is_a_gap() -> None:
    """Only all of it helps then."""
    line = orders_line(orders("10.0.0.1"), Part(9, 7, [ip_address("10.0.0.1")]))
    for last in (None, read_orders(orders_line(orders(), Part(8)))):
        with pytest.raises(OrdersGapError):
            read_orders(line, last)


def test_a_thousand_addresses_have_their_candidates_once() -> None:
    """What grows is the number of addresses; and the slate is one object, however often it came."""
    many = [f"10.0.{n // 256}.{n % 256}" for n in range(1000)]
    slate = Slate((tuple(f"node-{n}" for n in range(1000)),))
    wanted = Orders(
        node="n1",
        addresses=by_address(AddressOrder(address=ip_address(a), slate=slate) for a in many),
    )
    line = orders_line(wanted)
    assert len(line) < 64 * 1024
    found = [read_orders(line).document.addresses for _ in range(2)]
    assert len({id(order.slate) for each in found for order in each.values()}) == 1


def test_documents_of_version_1_are_read() -> None:
    """A speaker of the release before, a responder of it, and what that kept on its disk."""
    address = {"address": "10.0.0.1", "candidates": [1, 0], "interfaces": ["eth0"]}
    fields = {"node": "n1", "nodes": ["n1", "n2"], "addresses": [address], "draining": True}
    line = json.dumps({"version": 1, "orders": fields}).encode()
    order = AddressOrder(
        address=ip_address("10.0.0.1"),
        slate=Slate((("n2",), ("n1",))),
        interfaces=frozenset({"eth0"}),
    )
    wanted = Orders(node="n1", addresses=by_address([order]), draining=True)
    assert read_orders(line) == Received(1, Part(), wanted)
    address = {"address": "10.0.0.1", "role": "owner", "interfaces": ["eth0"], "why": ""}
    fields = {"node": "n1", "addresses": [address], "counters": [["requests", "", 7]]}
    line = json.dumps({"version": 1, "report": fields}).encode()
    there = AddressReport(address=order.address, role=Role.OWNER, interfaces=("eth0",))
    assert read_report(line) == Received(
        1, Part(), Report(node="n1", addresses=by_address([there]))
    )


@given(every_orders)
def test_readers_of_version_1_keep_what_they_have(given_orders: Orders) -> None:
    """They take a list of addresses; of none at all they would give up everything."""
    for part in (Part(7), Part(9, 7, list(given_orders.addresses)), Part(9, 7, [])):
        document = json.loads(orders_line(given_orders, part))
        assert isinstance(document["orders"]["addresses"], dict)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addresses": [{"address": "10.0.0.300"}]}, "document.orders.addresses[0].address: "),
        ({"addresses": {"x": []}}, "document.orders.addresses.x: 'x': an address was expected"),
        ({"addresses": 7}, "document.orders.addresses: 7: an object was expected"),
        ({"addresses": [7]}, "document.orders.addresses[0]: 7: an object was expected"),
        ({"addresses": {"::1": [0]}}, "document.orders.addresses.::1: [0]: a list of 3 was"),
        (
            {"slates": [[]], "addresses": {"::1": [1, None, None]}},
            "addresses.::1[0]: 1: a number below 1 was expected",
        ),
        (
            {"nodes": ["n1"], "slates": [[[0, 1]]], "addresses": {}},
            "slates[0][0][1]: 1: a number below 1 was expected",
        ),
        ({"node": None}, "document.orders.node: None: a text was expected"),
        ({"draining": "yes"}, "document.orders.draining: 'yes': true or false was expected"),
        ({"refresh_seconds": 0}, "refresh_seconds: 0: a number above 0 was expected"),
        ({"refresh_seconds": True}, "refresh_seconds: True: a number above 0 was expected"),
        (
            {"nodes": ["n1"], "addresses": [{"address": "10.0.0.1", "candidates": [1]}]},
            "candidates[0]: 1: a number below 1 was expected",
        ),
        (
            {"addresses": [{"address": "10.0.0.1", "candidates": [-1]}]},
            "candidates[0]: -1: a whole number was expected",
        ),
    ],
)
def test_wrong_orders_are_told_with_their_place(change: dict[str, object], message: str) -> None:
    """The responder's log is where somebody looks for it."""
    line = json.dumps({"version": 1, "orders": {"node": "n1"} | change}).encode()
    with pytest.raises(OrdersError) as caught:
        read_orders(line)
    assert message in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"\xff", b'{"version": 1}', b"[" * 99999])
def test_nonsense_is_no_orders(line: bytes) -> None:
    """Nor a report."""
    with pytest.raises(OrdersError):
        read_orders(line)
    with pytest.raises(OrdersError):
        read_report(line)


def test_newer_and_older_sides_are_understood() -> None:
    """What is not known is ignored, what is not there has its default."""
    newer = {
        "version": 9,
        "mood": "good",
        "orders": {"node": "n1", "colour": "red", "subnet": "perhaps", "failback": "sticky"},
    }
    received = read_orders(json.dumps(newer).encode())
    assert received.version == 9
    assert received.document == Orders(node="n1", failback=Failback.STICKY)


class Speaker:
    """The speaker's end, and what it was told."""

    def __init__(self, path: Path) -> None:
        self.told: SimpleQueue[Report | None] = SimpleQueue()
        self.deaths: SimpleQueue[BaseException] = SimpleQueue()
        self.server = OrdersServer(path, self._hear, on_death=self.deaths.put)
        self.server.start()

    def _hear(self, report: Report | None, _touched: object) -> None:
        self.told.put(report)


class Listener:
    """The responder's end, driven by the test's own loop."""

    def __init__(self, path: Path) -> None:
        self.selector = selectors.DefaultSelector()
        self.heard: list[Orders] = []
        self.client = OrdersClient(
            path, self.selector, lambda found, _touched: self.heard.append(found)
        )

    def turn(self) -> None:
        """Do as `programs.responder` does."""
        self.client.act(time.monotonic())
        if not self.selector.get_map():
            return
        for key, _ in self.selector.select(0.01):
            key.data()

    def wait_connected(self) -> None:
        """Turn until there is a connection."""
        wait_for(lambda: not self.alone(), SECONDS, "a connection")

    def alone(self) -> bool:
        """Turn, and tell whether the speaker is gone."""
        self.turn()
        return not self.client.connected

    def wait(self, wanted: Orders) -> None:
        """Turn until these are the newest orders."""

        def there() -> bool:
            self.turn()
            return self.heard[-1:] == [wanted]

        wait_for(there, SECONDS, lambda: f"{wanted}; {self.heard}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path longer than a socket's address."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    return folder / "orders.sock"


@pytest.fixture
def speaker(path: Path) -> Iterator[Speaker]:
    """Return a speaker that serves."""
    speaker = Speaker(path)
    yield speaker
    speaker.server.stop()


def test_who_connects_is_sent_the_newest_and_each_newer_one(speaker: Speaker, path: Path) -> None:
    """Also a second responder."""
    speaker.server.send(orders("10.0.0.1"))
    speaker.server.send(orders("10.0.0.2"))
    one, two = Listener(path), Listener(path)
    one.wait(orders("10.0.0.2"))
    two.wait(orders("10.0.0.2"))
    speaker.server.send(orders("10.0.0.3"))
    one.wait(orders("10.0.0.3"))
    two.wait(orders("10.0.0.3"))
    one.client.close()
    two.client.close()


def test_reports_reach_the_speaker_and_its_end_does(speaker: Speaker, path: Path) -> None:
    """The last one that was not sent, first."""
    listener = Listener(path)
    listener.client.report(report("10.0.0.7"))
    newest = report("10.0.0.8")
    listener.client.report(newest)
    speaker.server.send(orders("10.0.0.1"))
    listener.wait(orders("10.0.0.1"))
    assert speaker.told.get(timeout=SECONDS) == newest
    listener.client.close()
    assert speaker.told.get(timeout=SECONDS) is None


def test_a_responder_outlives_its_speaker(path: Path) -> None:
    """It comes back by itself, with its report."""
    listener = Listener(path)
    listener.turn()
    assert not listener.client.connected
    said = report("10.0.0.7")
    listener.client.report(said)
    for text in ("10.0.0.1", "10.0.0.2"):
        speaker = Speaker(path)
        speaker.server.send(orders(text))
        listener.wait(orders(text))
        assert speaker.told.get(timeout=SECONDS) == said
        speaker.server.stop()
        wait_for(listener.alone, SECONDS, "its end")
    assert listener.heard[-1] == orders("10.0.0.2")


changed_texts = st.lists(st.sets(st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"])), max_size=8)


@settings(max_examples=30, deadline=None)
@given(changed_texts, st.data())
def test_both_ends_come_to_the_newest_by_differences(
    versions: list[set[str]], data: st.DataObject
) -> None:
    """At whatever pace lines are sent, and over new connections."""
    serials, newest = Serials(), orders()
    serials.note(None)
    received: Received[Orders] | None = None
    for texts in [*versions, {"10.0.0.9"}]:
        before, newest = newest, orders(*texts)
        serials.note({*before.addresses} ^ {*newest.addresses})
        if data.draw(st.booleans()):
            received = None if data.draw(st.integers(0, 4)) == 0 else received
            part = serials.part(None if received is None else received.part.serial)
            assert part is not None
            received = read_orders(orders_line(newest, part), received)
            assert received.document == newest
            assert serials.part(received.part.serial) is None


def test_who_lacks_too_much_is_told_everything() -> None:
    """What changed is not remembered for ever."""
    serials = Serials()
    first = serials.serial
    serials.note([ip_address("10.0.0.1")])
    known = serials.part(first)
    assert known is not None
    assert known == Part(1, 0, [ip_address("10.0.0.1")])
    serials.note([ip_address(n) for n in range(MOST)])
    assert serials.part(first) == serials.part(1) == Part(2)
    assert serials.part(2) is None


def test_one_change_of_many_addresses_is_a_short_line(speaker: Speaker, path: Path) -> None:
    """To who has the rest."""
    many = [f"10.0.{n // 256}.{n % 256}" for n in range(5000)]
    speaker.server.send(orders(*many))
    with socket.socket(socket.AF_UNIX) as stream:
        with unix.short(path) as address:
            stream.connect(address)
        stream.settimeout(SECONDS)
        with stream.makefile("rb") as file:
            whole = read_orders(file.readline())
            speaker.server.send(orders(*many, "192.0.2.1"), [ip_address("192.0.2.1")])
            line = file.readline()
    assert len(line) < 1000
    assert read_orders(line, whole).document == orders(*many, "192.0.2.1")


def test_a_line_that_cannot_be_read_costs_the_responder_nothing(path: Path) -> None:
    """Its orders stand; it hangs up at the difference from that line, and is told all of it."""
    listener = Listener(path)
    first = orders_line(orders("10.0.0.1"), Part(1))
    broken = b'{"version": 9, "serial": 2, "orders": {"node": "n1", "addresses": 7}}\n'
    lines = [first, broken, orders_line(orders("10.0.0.2"), Part(3, 2, []))]
    with unix.listen(path) as server:
        server.settimeout(SECONDS)
        listener.turn()
        stream, _ = server.accept()
        with stream:
            stream.sendall(b"".join(lines))
            wait_for(listener.alone, SECONDS, "its end")
        assert listener.heard == [orders("10.0.0.1")]
        listener.wait_connected()
        stream, _ = server.accept()
        with stream:
            stream.sendall(orders_line(orders("10.0.0.2"), Part(3)))
            listener.wait(orders("10.0.0.2"))
    listener.client.close()


def test_a_gap_in_reports_ends_the_connection(speaker: Speaker, path: Path) -> None:
    """The responder connects again, and tells all of it."""
    with socket.socket(socket.AF_UNIX) as stream:
        with unix.short(path) as address:
            stream.connect(address)
        stream.settimeout(SECONDS)
        stream.sendall(report_line(report("10.0.0.1"), Part(4, 3, [])))
        assert stream.recv(1) == b""
    assert speaker.told.get(timeout=SECONDS) is None


def test_a_responder_that_reads_nothing_blocks_nobody(speaker: Speaker, path: Path) -> None:
    """It is sent whole orders in the end, and not all that it has missed."""
    many = [f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(10_000)]
    speaker.server.send(orders(*many))
    with socket.socket(socket.AF_UNIX) as hung:
        with unix.short(path) as address:
            hung.connect(address)
        for number in range(50):
            speaker.server.send(orders(*many, f"192.0.2.{number}"))
        other = Listener(path)
        other.wait(orders(*many, "192.0.2.49"))
        hung.settimeout(SECONDS)
        with hung.makefile("rb") as file:
            lines, last = 1, read_orders(file.readline())
            while last.document != orders(*many, "192.0.2.49"):
                lines, last = lines + 1, read_orders(file.readline(), last)
        assert lines < 10
        other.client.close()


def test_nonsense_from_a_responder_is_survived(speaker: Speaker, path: Path) -> None:
    """What it says next counts."""
    with socket.socket(socket.AF_UNIX) as stream:
        with unix.short(path) as address:
            stream.connect(address)
        stream.sendall(b"hello\n{}\n" + report_line(Report(node="n1")))
        assert speaker.told.get(timeout=SECONDS) == Report(node="n1")


def test_the_socket_is_for_owner_and_group(speaker: Speaker, path: Path) -> None:
    """And what an earlier speaker left is taken over."""
    speaker.server.stop()
    assert path.exists()
    other = Speaker(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    other.server.stop()


def test_a_thread_that_dies_is_told_of(path: Path) -> None:
    """Nobody would notice it else: the responders go on by their last orders."""

    def fails(_report: Report | None, _touched: object) -> None:
        raise RuntimeError("nobody foresaw this")

    deaths: SimpleQueue[BaseException] = SimpleQueue()
    server = OrdersServer(path, fails, on_death=deaths.put)
    server.start()
    listener = Listener(path)
    listener.client.report(Report(node="n1"))

    def dead() -> bool:
        listener.turn()
        return not deaths.empty()

    wait_for(dead, SECONDS, "the death")
    listener.client.close()
    assert str(deaths.get()) == "nobody foresaw this"


@pytest.mark.parametrize(("group", "taken"), [(None, False), (4711, True)])
def test_strangers_are_turned_away(path: Path, group: int | None, *, taken: bool) -> None:
    """Another user is let in by the group alone; the mode of the file is not all that protects."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    told: SimpleQueue[Report | None] = SimpleQueue()
    deaths: SimpleQueue[BaseException] = SimpleQueue()
    server = OrdersServer(
        path, lambda found, _touched: told.put(found), on_death=deaths.put, group=group
    )
    server.start()
    server.send(orders("10.0.0.1"))
    path.chmod(0o666)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with socket.socket(socket.AF_UNIX) as stream, unix.short(path) as address:
                os.setgroups([4711])
                os.setgid(65534)
                os.setuid(65534)
                stream.connect(address)
                os.write(writes, stream.recv(1) or b"closed")
        finally:
            os._exit(0)  # whatever happened: the other tests are the parent's
    os.close(writes)
    said = os.read(reads, 100)
    os.close(reads)
    os.waitpid(child, 0)
    assert said == (b"{" if taken else b"closed")
    server.stop()


def test_orders_on_disk_come_back(tmp_path: Path) -> None:
    """The newest of them; and nonsense is none."""
    file = OrdersFile(tmp_path / "orders.json")
    assert file.read() is None
    for number in range(20):
        file.write(orders(f"10.0.0.{number}"))
    file.close()
    file._thread.join(SECONDS)  # a slow disk is not waited for
    again = OrdersFile(tmp_path / "orders.json")
    assert again.read() == orders("10.0.0.19")
    (tmp_path / "orders.json").write_bytes(b'{"version": 1, "ord')
    assert again.read() is None
    again.close()


def test_a_disk_that_takes_nothing_is_survived(tmp_path: Path) -> None:
    """The responder answers all the same."""
    file = OrdersFile(tmp_path / "missing" / "orders.json")
    file.write(orders("10.0.0.1"))
    file.close()
    assert file.read() is None
