"""From options to a speaker: what is wrong with a machine is told, and waited for."""

import math
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread, current_thread

import pytest
from exabgp.reactor.api.processes import Processes

from exabgp_metallb.adapters.exabgp.pipe import Pipe
from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.source import Away, Back
from exabgp_metallb.adapters.source import Event as SourceEvent
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs import start
from exabgp_metallb.programs.options import Options
from tests.unit.programs.told import Told

WAIT_SECONDS = 60.0

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: lab, user: {token: t}}]
"""


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., Options]:
    """Return what makes options, with some of them given."""

    def make(**given: object) -> Options:
        usual: dict[str, object] = {
            "node": "node1",
            "namespace": "metallb-system",
            "lb_class": None,
            "manifests": None,
            "kubeconfig": tmp_path / "kubeconfig",
            "state_dir": tmp_path / "state",
            "managed": False,
            "process": "p",
        }
        return Options(**(usual | given))  # type: ignore[arg-type]

    return make


def test_a_wrong_kubeconfig_is_told_once_and_waited_for(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, then nonsense, then good: the speaker must not die of any of them."""
    monkeypatch.setattr(start, "RETRY_SECONDS", 0.01)
    given = options()
    assert given.kubeconfig is not None
    heard: SimpleQueue[SourceEvent | BaseException] = SimpleQueue()
    source = start.ClusterSource(given, heard.put)
    source.start(heard.put)
    first = heard.get(timeout=WAIT_SECONDS)
    write_aside(given.kubeconfig, b"nonsense: [", mode=0o600)
    second = heard.get(timeout=WAIT_SECONDS)
    write_aside(given.kubeconfig, KUBECONFIG.encode(), mode=0o600)
    third = heard.get(timeout=WAIT_SECONDS)
    source.follow("Secret")
    source.stop()
    assert isinstance(first, Away)
    assert isinstance(second, Away)
    assert str(given.kubeconfig) in first.message
    assert first.message != second.message
    assert third == Back(start.CLUSTER)


def test_a_source_that_is_stopped_while_it_connects_watches_nothing(
    options: Callable[..., Options],
) -> None:
    """Its threads would go on for as long as the process."""
    given = options()
    assert given.kubeconfig is not None
    given.kubeconfig.write_text(KUBECONFIG)
    connecting: SimpleQueue[Thread] = SimpleQueue()
    stopped = Event()

    def connected(_: Connection) -> None:
        connecting.put(current_thread())
        stopped.wait(WAIT_SECONDS)

    source = start.ClusterSource(given, lambda _: None, [connected])
    source.start(lambda _: None)
    thread = connecting.get(timeout=WAIT_SECONDS)
    source.stop()
    stopped.set()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert source._source is None


def test_a_pod_without_an_account_is_told(options: Callable[..., Options]) -> None:
    """Neither a kubeconfig nor a cluster around us."""
    heard: SimpleQueue[SourceEvent | BaseException] = SimpleQueue()
    source = start.ClusterSource(options(kubeconfig=None), heard.put)
    source.start(heard.put)
    told = heard.get(timeout=WAIT_SECONDS)
    source.stop()
    assert isinstance(told, Away)
    assert told.what == start.CLUSTER


def test_nothing_on_this_machine_stops_a_speaker(
    options: Callable[..., Options], tmp_path: Path, told: Told
) -> None:
    """A state directory that cannot be made, an address for metrics that is not ours."""
    (tmp_path / "file").write_text("")
    given = options(state_dir=tmp_path / "file" / "x", metrics=("192.0.2.1", 1))
    start.speaker(given, Pipe)
    assert told.count("nothing is kept over a restart; set --state-dir") == 1
    assert told.count("no metrics on 192.0.2.1:1") == 1


@pytest.mark.parametrize(
    ("wrong", "told_of"),
    [
        ({"orders": Path("/dev/null/orders.sock")}, "/dev/null/orders.sock: Not a directory"),
        ({"orders_group": "no such group"}, "--orders-group: no group is named 'no such group'"),
    ],
)
def test_orders_that_cannot_be_given(
    options: Callable[..., Options], told: Told, wrong: dict[str, object], told_of: str
) -> None:
    """BGP goes on without; where there is nothing else to do the call was wrong."""
    start.speaker(options(**wrong), Pipe)
    assert told.count(told_of) == 1
    with pytest.raises(UsageError, match=re.escape(told_of)):
        start.run_speaker(options(**wrong, without_exabgp=True))


def test_what_nobody_foresaw_is_told_and_waited_out(
    options: Callable[..., Options], monkeypatch: pytest.MonkeyPatch, told: Told
) -> None:
    """Status 1, with a traceback, and not at once."""
    lingered = []

    def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(start, "speaker", broken)
    monkeypatch.setattr(start, "linger", lambda _: lingered.append(True))
    monkeypatch.setattr(start, "set_aside", lambda: (0, 1))
    assert start.run_speaker(options()) == 1
    assert lingered == [True]
    assert told.count("nobody foresaw this") == 1


def test_exabgp_endures_a_speaker_that_dies_of_the_same_each_time() -> None:
    """By ExaBGP's own count, however its windows lie; and one is killed in each besides."""
    limit = Processes()
    window = (~limit.respawn_timemask & 0xFFFFFF) + 1
    deaths = math.ceil(window / start.LINGER_SECONDS)
    assert deaths + 1 <= limit.respawn_number
    assert deaths < 5


def test_waiting_ends_with_exabgp(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it writes meanwhile is read, however much that is."""
    monkeypatch.setattr(start, "LINGER_SECONDS", 3600.0)  # longer than any test may take
    stdin, theirs = os.pipe()
    os.write(theirs, b"done\n" * 1000)
    os.close(theirs)
    start.linger(partial(Pipe, stdin=stdin))
    assert os.read(stdin, 1) == b""
    os.close(stdin)
