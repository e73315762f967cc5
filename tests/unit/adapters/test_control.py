"""The control socket, on real sockets: one answer a request, whatever is written."""

import errno
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from exabgp_metallb.adapters.control import LONGEST_LINE, Answer, ControlServer, ask
from exabgp_metallb.errors import ControlError

WAIT_SECONDS = 60.0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return what starts a server and returns its path."""
    servers = []

    def start(answer: Answer, path: Path = tmp_path / "s") -> Path:
        server = ControlServer(path, answer)
        server.start()
        servers.append(server)
        return path

    yield start
    for server in servers:
        server.stop()


def test_a_request_has_its_answer(serve: Callable[..., Path]) -> None:
    """Nobody but owner and group may ask."""
    path = serve(lambda request: {"you": request})
    assert ask(path, {"do": "x"}, seconds=WAIT_SECONDS) == {"you": {"do": "x"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_connection_may_ask_again(serve: Callable[..., Path]) -> None:
    """One answer a line, in order; what is no object is told so, and is no end."""
    path = serve(lambda request: request)
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rwb") as file:
        stream.connect(str(path))
        for line in (b'{"a": 1}', b"[1]", b"\xff\xfe", b"", b"[" * 5000, b'{"b": 2}'):
            file.write(line + b"\n")
            file.flush()
        told = [file.readline() for _ in range(6)]
    assert told[0] == b'{"a": 1}\n'
    assert set(told[1:5]) == {b'{"error": "write one JSON object a line"}\n'}
    assert told[5] == b'{"b": 2}\n'


def test_a_line_without_end_is_not_kept(serve: Callable[..., Path]) -> None:
    """It is answered in pieces, so memory stays small."""
    path = serve(lambda request: request)
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rwb") as file:
        stream.connect(str(path))
        file.write(b"x" * LONGEST_LINE)
        file.flush()
        assert file.readline().startswith(b'{"error"')


def test_one_that_waits_holds_up_nobody(serve: Callable[..., Path]) -> None:
    """Each connection has a thread."""
    free = Event()

    def answer(request: object) -> dict[str, object]:
        if request == {"do": "wait"}:
            free.wait(WAIT_SECONDS)
        return {"free": free.is_set()}

    path = serve(answer)
    with socket.socket(socket.AF_UNIX) as stream, stream.makefile("rb") as file:
        stream.connect(str(path))
        stream.sendall(b'{"do": "wait"}\n')
        assert ask(path, {}, seconds=WAIT_SECONDS) == {"free": False}
        free.set()
        assert file.readline() == b'{"free": true}\n'


def test_what_an_earlier_one_left_is_in_nobodys_way(
    serve: Callable[..., Path], tmp_path: Path
) -> None:
    """A socket that nobody listens at, as a killed speaker leaves it."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    with pytest.raises(ControlError, match="Connection refused: no speaker listens there"):
        ask(tmp_path / "s", {}, seconds=WAIT_SECONDS)
    assert ask(serve(lambda _: {}), {}, seconds=WAIT_SECONDS) == {}


def test_a_path_may_be_long(serve: Callable[..., Path], tmp_path: Path) -> None:
    """Longer than what an address has room for."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = serve(lambda _: {"far": "away"}, folder / "s")
    assert ask(path, {}, seconds=WAIT_SECONDS) == {"far": "away"}


@pytest.mark.parametrize("path", ["nothing", "nowhere/s"])
def test_nobody_is_there(path: str, tmp_path: Path) -> None:
    """With what to look at."""
    with pytest.raises(ControlError, match="No such file or directory: no speaker listens there"):
        ask(tmp_path / path, {}, seconds=WAIT_SECONDS)


def test_an_answer_that_does_not_come(serve: Callable[..., Path]) -> None:
    """The one that asks waits no longer than it wants."""
    free = Event()

    def answer(_: object) -> dict[str, object]:
        free.wait(WAIT_SECONDS)
        return {}

    path = serve(answer)
    with pytest.raises(ControlError, match=r"does not answer within 0\.05 s"):
        ask(path, {}, seconds=0.05)
    free.set()


def test_a_speaker_that_ends(tmp_path: Path) -> None:
    """It takes the question with it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.settimeout(WAIT_SECONDS)

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        with pytest.raises(ControlError, match="hung up"):
            ask(tmp_path / "s", {}, seconds=WAIT_SECONDS)
        thread.join()


def test_one_who_may_not_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told who may."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ControlError, match="Permission denied: ask as root"):
        ask(tmp_path / "s", {}, seconds=WAIT_SECONDS)
