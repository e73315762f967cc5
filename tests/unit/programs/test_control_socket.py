"""What a running speaker answers at its control socket."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from exabgp_metallb.adapters.control import Message, ask
from exabgp_metallb.programs.control_socket import ControlSocket
from tests.integration.lab.waiting import wait_for
from tests.unit.programs.test_drain import Draining
from tests.unit.programs.test_speaker import ONE, TWO
from tests.unit.programs.told import Told

WAIT_SECONDS = 60.0


class Asked(Draining):
    """A speaker whose thread runs."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            self.speaker._turn()

    def stop(self) -> None:
        """End the thread."""

        def end(_: float) -> None:
            self._stopped = True

        self.speaker.post(end)
        self._thread.join()


@pytest.fixture
def stage() -> Iterator[Asked]:
    """Return a speaker that runs."""
    stage = Asked()
    yield stage
    stage.stop()


@pytest.fixture
def path(stage: Asked, tmp_path: Path) -> Iterator[Path]:
    """Return the path of its control socket."""
    control = ControlSocket(tmp_path / "s", stage.speaker)
    control.start()
    yield tmp_path / "s"
    control.stop()


def request(path: Path, do: object, **more: object) -> Message:
    """Ask."""
    return ask(path, {"do": do, **more}, seconds=WAIT_SECONDS)


def phase(path: Path) -> object:
    """Return how far the drain is, in the words of the speaker's own thread."""
    drain = request(path, "status")["drain"]
    assert isinstance(drain, dict)
    return drain["phase"]


def test_status(path: Path) -> None:
    """The sessions, their routes, and what is wrong."""
    told = request(path, "status")
    assert told["node"] == "node1"
    assert told["exabgp"] == "5.0.15"
    assert told["healthy"] is False
    assert told["problems"] == ["BGP peer 127.0.0.2 (127.0.0.2): no session yet"]
    sessions = told["sessions"]
    assert isinstance(sessions, list)
    assert [(s["state"], s["routesWanted"], s["routesHeld"]) for s in sessions] == [
        ("up", 2, 2),
        ("down", 2, 0),
    ]
    assert isinstance(told["drain"], dict)


def test_a_drain_and_its_end(path: Path, stage: Asked) -> None:
    """Each answer comes when it is done."""
    assert request(path, "drain", seconds=0) == {"phase": "drained", "reached": True}
    assert stage.routes() == set()
    assert request(path, "undrain") == {"phase": "serving", "reached": True}
    wait_for(lambda: stage.routes() == {ONE, TWO}, WAIT_SECONDS, "the routes of before")


def test_a_drain_that_nobody_waits_for(path: Path) -> None:
    """The answer says how far it is."""
    told = request(path, "drain", wait=False)["drain"]
    assert isinstance(told, dict)
    assert told["goal"] == "drained"


def test_a_stop_that_is_taken_back(path: Path) -> None:
    """Who waited for it hears that it did not come to pass."""
    told: list[Message] = []
    waits = Thread(target=lambda: told.append(request(path, "stop")))
    waits.start()
    wait_for(lambda: phase(path) == "worse", WAIT_SECONDS, "a drain")
    assert request(path, "undrain") == {"phase": "serving", "reached": True}
    waits.join()
    assert told == [{"phase": "worse", "reached": False}]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"do": "dance"}, "unknown `do`: write status, drain, undrain, stop"),
        ({}, "unknown `do`: write status, drain, undrain, stop"),
        ({"do": ["drain"]}, "unknown `do`: write status, drain, undrain, stop"),
        ({"do": "drain", "seconds": -1}, "`seconds`: write a number from 0 to 86400"),
        ({"do": "drain", "seconds": "1"}, "`seconds`: write a number from 0 to 86400"),
        ({"do": "drain", "seconds": True}, "`seconds`: write a number from 0 to 86400"),
        ({"do": "stop", "seconds": float("nan")}, "`seconds`: write a number from 0 to 86400"),
        ({"do": "stop", "seconds": 10**400}, "`seconds`: write a number from 0 to 86400"),
    ],
)
def test_wrong_requests(asked: Message, error: str, path: Path) -> None:
    """They say what would be right, and change nothing."""
    assert ask(path, asked, seconds=WAIT_SECONDS) == {"error": error}
    assert phase(path) == "serving"


def test_a_socket_that_cannot_be_made(tmp_path: Path, told: Told) -> None:
    """It is told, and the speaker goes on."""
    control = ControlSocket(tmp_path / "no" / "s", Draining().speaker)
    control.start()
    control.stop()
    assert told.count("no `status`, and no drain before the end; set --state-dir") == 1
