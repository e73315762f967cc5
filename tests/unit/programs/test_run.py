"""The parent of ExaBGP, with a real ExaBGP below it, which needs neither root nor a router."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from threading import Event
from types import MappingProxyType, SimpleNamespace

import pytest

from exabgp_metallb.adapters.control import Answer, ControlServer, Message
from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.adapters.notify import Relay
from exabgp_metallb.errors import UsageError
from exabgp_metallb.programs import run
from exabgp_metallb.programs.options import SOCKET_NAME
from exabgp_metallb.programs.run import (
    EXABGP_ENVIRONMENT,
    LOOKS,
    SPEAKER_COMMAND,
    STARTS,
    Supervisor,
    environment,
    refuse_user,
)
from tests.integration.lab.waiting import wait_for
from tests.unit.adapters.test_conf import PLAIN, sessions
from tests.unit.programs.told import Told

WAIT_SECONDS = 60.0
ALONE = conf.render((), run=SPEAKER_COMMAND)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give pytest its own signal handlers back."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def supervisor(path: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Supervisor:
    """Return a parent whose speaker is nowhere."""
    return Supervisor(path, environment, control=path.parent / "none", drain_seconds=0.0)


def test_the_environment_of_exabgp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our settings go before what is inherited, and the speaker's options before all."""
    monkeypatch.setenv("exabgp_api_ack", "false")
    monkeypatch.setenv("EXABGP_METALLB_NODE", "shell")
    given = environment({"EXABGP_METALLB_NODE": "mine"})
    assert given["exabgp_api_ack"] == "true"
    assert given["EXABGP_METALLB_NODE"] == "mine"
    assert given["PATH"] == os.environ["PATH"]
    assert given["exabgp_daemon_user"]
    bare = environment({}, inherited={"LANG": "C"})
    assert bare.keys() == {"LANG", "exabgp_daemon_user", *EXABGP_ENVIRONMENT}


OTHERS = ALONE.replace("process exabgp-metallb", "process other")


@pytest.mark.parametrize("before", [None, "", "neighbor nonsense {", "\udcff", OTHERS])
def test_exabgp_starts_on_a_file_that_it_can_read(before: str | None, tmp_path: Path) -> None:
    """None yet, an empty one, a broken one, somebody else's: our process alone, private."""
    path = tmp_path / "exabgp.conf"
    if before is not None:
        path.write_text(before, errors="surrogateescape")
    supervisor(path)._prepare()
    assert path.read_text() == ALONE
    assert path.stat().st_mode & 0o777 == 0o600


def test_exabgp_starts_on_the_sessions_of_before(tmp_path: Path) -> None:
    """So that a graceful restart finds its neighbors at once."""
    path = tmp_path / "exabgp.conf"
    text = conf.render(sessions(PLAIN), run=SPEAKER_COMMAND)
    path.write_text(text)
    supervisor(path)._prepare()
    assert path.read_text() == text


def test_an_exabgp_that_cannot_be_kept_alive_is_given_up(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few starts, with status 1: the supervisor above may know better."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert supervisor(tmp_path / "state" / "exabgp.conf", dict(os.environ)).run() == 1
    assert told.count("ExaBGP ended with status 1: it is started again") == STARTS
    assert told.count("giving up") == 1


def test_an_exabgp_without_its_process_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A foreign exabgp.conf took it away; the next ExaBGP starts on ours."""
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.01)
    with subprocess.Popen(["sleep", "600"]) as child:
        supervisor(tmp_path / "c")._wait(child)
        assert child.wait(WAIT_SECONDS) == -signal.SIGTERM


def test_an_exabgp_with_its_process_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked at; here it is killed in the end."""
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.01)
    looks = count()

    def look(pid: int) -> bool:
        if next(looks) == 2 * LOOKS:
            os.killpg(pid, signal.SIGKILL)
        return has_children(pid)

    has_children = run._has_children
    monkeypatch.setattr(run, "_has_children", look)
    command = ["sh", "-c", "sleep 600 & echo; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it has its process
        supervisor(tmp_path / "c")._wait(child)
        assert child.wait(WAIT_SECONDS) == -signal.SIGKILL


class Family:
    """`exabgp-metallb run` as a process, and what is below it."""

    def __init__(self, folder: Path, log: Path) -> None:
        words = ["--node", "n", "--manifests", str(folder), "--state-dir", str(folder / "state")]
        words += ["--drain-seconds", "3600"]
        with log.open("wb") as output:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "exabgp_metallb", "run", *words],
                stdout=output,
                stderr=output,
                env={k: v for k, v in os.environ.items() if "exabgp" not in k.lower()},
            )
        self.log = log
        self.control = folder / "state" / SOCKET_NAME

    def below(self) -> list[int]:
        """Return the ids of ExaBGP and of the speaker, once both are there."""
        self.wait(lambda: "speaker of node n starts" in self.log.read_text())
        exabgp = children(self.parent.pid)
        return [*exabgp, *(child for pid in exabgp for child in children(pid))]

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        wait_for(condition, WAIT_SECONDS, self.log.read_text)


def children(pid: int) -> list[int]:
    """Return the ids of a process' children."""
    return [int(w) for w in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Return what listens in systemd's place to all that is started from now on."""
    relay = Relay(tmp_path / "systemd")
    monkeypatch.setenv("NOTIFY_SOCKET", str(relay.path))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    yield relay
    relay.close()


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    """Return a parent that follows an empty folder."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    family = Family(folder, tmp_path / "log")
    yield family
    family.parent.kill()
    family.parent.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_and_takes_all_with_it(number: signal.Signals, family: Family) -> None:
    """In an orderly way, with status 0, and at once: there is no router to be given its time."""
    below = family.below()
    family.wait(family.control.exists)
    family.parent.send_signal(number)
    assert family.parent.wait(WAIT_SECONDS) == 0
    family.wait(lambda: not any(map(is_alive, below)))
    assert "Traceback" not in family.log.read_text()


def test_systemd_hears_of_all_three(systemd: Relay, family: Family) -> None:
    """When a speaker is ready, the second one too, that it lives, and of the end."""
    heard: list[bytes] = []

    def hears(word: bytes) -> bool:
        heard.extend(line for told in systemd.take() for line in told.split(b"\n"))
        return word in heard

    exabgp, speaker = family.below()
    family.wait(lambda: hears(b"READY=1"))
    heard.clear()
    family.wait(lambda: hears(b"WATCHDOG=1"))
    os.kill(speaker, signal.SIGKILL)  # ExaBGP starts another one, and asks nobody
    family.wait(lambda: {*children(exabgp)} - {speaker})
    systemd.take()  # what the first one told
    heard.clear()
    family.wait(lambda: hears(b"READY=1"))
    below = (exabgp, speaker, *children(exabgp))
    family.parent.terminate()
    family.wait(lambda: hears(b"STOPPING=1"))
    assert family.parent.wait(WAIT_SECONDS) == 0
    family.wait(lambda: not any(map(is_alive, below)))


def test_nothing_outlives_it(family: Family) -> None:
    """Killed, it cannot end ExaBGP; the kernel does."""
    below = family.below()
    family.parent.kill()
    family.wait(lambda: not any(map(is_alive, below)))


def test_a_second_one_does_not_start(family: Family, tmp_path: Path, told: Told) -> None:
    """Two would fight for the sessions of one node; the first is not disturbed."""
    below = family.below()
    state = tmp_path / "manifests" / "state"
    assert supervisor(state / "exabgp.conf").run() == 1
    assert told.count(f"{state}: another `exabgp-metallb run` uses it") == 1
    assert all(map(is_alive, below))


def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """With what to do; no traceback."""
    words = ["run", "--manifests", str(tmp_path), "--state-dir", "/proc/nowhere"]
    done = subprocess.run(
        [sys.executable, "-m", "exabgp_metallb", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Error: /proc/nowhere: No such file or directory: set --state-dir to a folder of ours\n"
    )


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """Return a child in ExaBGP's place."""
    child = subprocess.Popen(["sleep", "600"])
    yield child
    child.kill()
    child.wait()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Callable[[Answer], Supervisor]]:
    """Return what makes a parent whose speaker answers so."""
    servers: list[ControlServer] = []

    def start(answer: Answer) -> Supervisor:
        server = ControlServer(tmp_path / "s", answer)
        server.start()
        servers.append(server)
        return Supervisor(tmp_path / "c", {}, control=tmp_path / "s", drain_seconds=7.0)

    yield start
    for server in servers:
        server.stop()


def test_the_node_is_drained_before_exabgp_ends(
    control: Callable[[Answer], Supervisor], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """For as long as the options say, and ExaBGP runs until that is done."""
    asked: list[tuple[Message, int | None]] = []

    def answer(request: Message) -> Message:
        asked.append((request, sleeper.poll()))
        return {"phase": "closed", "reached": True}

    control(answer)._drain(sleeper)
    assert sleeper.wait(WAIT_SECONDS) == -signal.SIGTERM
    assert asked == [({"do": "status"}, None), ({"do": "stop", "seconds": 7.0}, None)]


def test_a_speaker_that_hangs_holds_up_no_end(
    control: Callable[[Answer], Supervisor],
    sleeper: "subprocess.Popen[bytes]",
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is waited for as long as a busy one may take."""
    monkeypatch.setattr(run, "ALIVE_SECONDS", 0.05)
    free = Event()

    def answer(_: Message) -> Message:
        free.wait(WAIT_SECONDS)
        return {}

    control(answer)._drain(sleeper)
    free.set()
    assert sleeper.wait(WAIT_SECONDS) == -signal.SIGTERM
    assert told.count("does not answer within 0.05 s: ending without a drain") == 1


def test_a_speaker_that_is_gone_holds_up_no_end(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path, told: Told
) -> None:
    """As after a crash."""
    supervisor(tmp_path / "c")._drain(sleeper)
    assert sleeper.wait(WAIT_SECONDS) == -signal.SIGTERM
    assert told.count("no speaker listens there") == 1


def test_a_drain_that_somebody_takes_back_ends_all_the_same(
    control: Callable[[Answer], Supervisor], sleeper: "subprocess.Popen[bytes]", told: Told
) -> None:
    """The unit is to stop; it is said."""
    control(lambda _: {"phase": "serving", "reached": False})._drain(sleeper)
    assert sleeper.wait(WAIT_SECONDS) == -signal.SIGTERM
    assert told.count("the speaker did not drain") == 1


def test_a_second_signal_ends_it_at_once(
    control: Callable[[Answer], Supervisor], sleeper: "subprocess.Popen[bytes]"
) -> None:
    """Whoever does not want to wait."""
    free, begun = Event(), Event()

    def answer(request: Message) -> Message:
        if request["do"] == "stop":
            begun.set()
            free.wait(WAIT_SECONDS)
        return {"reached": True}

    parent = control(answer)
    parent._child = sleeper
    parent._stop(signal.SIGTERM, None)
    assert begun.wait(WAIT_SECONDS)
    assert sleeper.poll() is None
    parent._stop(signal.SIGTERM, None)
    assert sleeper.wait(WAIT_SECONDS) == -signal.SIGTERM
    free.set()


ENTRIES = {0: 0, 1000: 1000, 500: 0}  # passwd: group by user


@pytest.mark.parametrize(
    ("uid", "gid", "runs"),
    [
        pytest.param(0, 0, True, id="root"),
        pytest.param(1000, 1000, True, id="somebody"),
        pytest.param(65534, 65534, True, id="nobody, with a name or not"),
        pytest.param(4711, 1000, True, id="without a name"),
        pytest.param(4711, 0, False, id="docker run --user 4711"),
        pytest.param(500, 0, True, id="a user of group 0"),
        pytest.param(1000, 0, False, id="a group that is not the user's"),
        pytest.param(0, 1000, False, id="root of another group"),
    ],
)
def test_users_as_whom_exabgp_would_not_run(
    uid: int,
    gid: int,
    runs: bool,  # noqa: FBT001 -- a column
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are told what would be right, and ExaBGP does not end again and again."""

    def getpwuid(number: int) -> SimpleNamespace:
        return SimpleNamespace(pw_gid=ENTRIES[number])

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    if runs:
        refuse_user(uid, gid)
        return
    with pytest.raises(UsageError, match="runAsUser and runAsGroup 65534"):
        refuse_user(uid, gid)


def test_exabgp_gives_no_advice(family: Family) -> None:
    """Its settings come in the environment; it would ask for a file of them at each start."""
    family.below()
    assert "environment file missing" not in family.log.read_text()
