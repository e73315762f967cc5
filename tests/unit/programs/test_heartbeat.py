"""A program's signs of life, as systemd gets them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exabgp_metallb.adapters.notify import Notifier, Relay
from exabgp_metallb.programs.heartbeat import (
    MORE,
    SECONDS,
    Heartbeat,
    controller_status,
    responder_status,
    speaker_status,
)
from exabgp_metallb.values.orders import Role
from exabgp_metallb.values.outcome import PoolUsage
from exabgp_metallb.values.vitals import (
    ControllerVitals,
    Layer2Vitals,
    ResponderVitals,
    SpeakerVitals,
)

WATCHDOG = 40.0
READY = SpeakerVitals(waiting_for=())
WAITING = SpeakerVitals(waiting_for=("Node", "Service"))
ALIVE = ["READY=1", "WATCHDOG=1"]


class Supervisor:
    """systemd, as far as it listens."""

    def __init__(self, path: Path, watchdog: float | None = WATCHDOG) -> None:
        self.relay = Relay(path)
        environment = {"NOTIFY_SOCKET": str(path)}
        if watchdog is not None:
            environment["WATCHDOG_USEC"] = f"{watchdog * 1e6:.0f}"
        self.heartbeat = Heartbeat(Notifier(environment))

    def heard(self, vitals: SpeakerVitals, at: float, *, silent_seconds: float = 0.0) -> list[str]:
        """Return what is told of a turn, line by line."""
        vitals = replace(vitals, turned_at=at)
        self.heartbeat.beat(vitals, speaker_status(vitals), silent_seconds=silent_seconds)
        return [line for told in self.relay.take() for line in told.decode().split("\n")]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Return one that gives a while between two beats."""
    supervisor = Supervisor(tmp_path / "notify")
    yield supervisor
    supervisor.relay.close()


def test_a_program_that_waits_asks_for_time(supervisor: Supervisor) -> None:
    """As long as it waits; a hang at the start asks for none."""
    assert supervisor.heard(WAITING, 1.0) == ["STATUS=waits for Node, Service", "WATCHDOG=1", MORE]
    assert supervisor.heard(WAITING, 2.0) == []
    assert supervisor.heard(WAITING, 1.0 + SECONDS) == ["WATCHDOG=1", MORE]


def test_ready_is_told_at_once_and_with_each_beat(supervisor: Supervisor) -> None:
    """Whatever it waits for later; one word that finds the supervisor's queue full is no loss."""
    supervisor.heard(WAITING, 0.5)
    assert supervisor.heard(READY, 1.0) == [
        "STATUS=0 of 0 sessions up, 0 addresses by BGP",
        *ALIVE,
    ]
    assert supervisor.heard(READY, 1.0 + SECONDS) == ALIVE
    told = supervisor.heard(WAITING, 2.0 + SECONDS)
    assert told == ["STATUS=waits for Node, Service"]
    assert supervisor.heard(WAITING, 1.0 + 2 * SECONDS) == ALIVE


def test_an_exabgp_that_hangs_has_all_restarted(supervisor: Supervisor) -> None:
    """Half of the time that is given after it should have answered, and not before."""
    supervisor.heard(READY, 1.0)
    assert supervisor.heard(READY, 1.0 + SECONDS, silent_seconds=WATCHDOG / 2) == ALIVE
    late = supervisor.heard(READY, 1.0 + 2 * SECONDS, silent_seconds=WATCHDOG / 2 + 1)
    assert late == ["WATCHDOG=trigger"]


def test_a_short_watchdog_hears_more_often(tmp_path: Path) -> None:
    """Four times within what it gives."""
    supervisor = Supervisor(tmp_path / "notify", watchdog=4.0)
    beats = [supervisor.heard(READY, 0.25 * n) for n in range(41)]
    assert sum("WATCHDOG=1" in lines for lines in beats) == 11
    supervisor.relay.close()


def test_without_a_watchdog_nothing_is_triggered(tmp_path: Path) -> None:
    """Type=notify alone."""
    supervisor = Supervisor(tmp_path / "notify", watchdog=None)
    supervisor.heard(READY, 1.0)
    assert supervisor.heard(READY, 9.0, silent_seconds=1e9) == ALIVE
    supervisor.relay.close()


def test_how_a_speaker_is() -> None:
    """Sessions, addresses, and what is wrong."""
    vitals = replace(
        READY,
        sessions={"10.0.0.1:179": True, "10.0.0.2:179": False},
        announced=(("a/one", "192.0.2.1"), ("a/two", "192.0.2.1"), ("a/two", "2001:db8::1")),
        layer2=Layer2Vitals(node="n", announced=(("a/one", "192.0.2.1"),)),
        draining=True,
        away=frozenset({"Service"}),
    )
    assert speaker_status(vitals) == (
        "1 of 2 sessions up, 2 addresses by BGP, 1 on layer 2, draining, Service is away"
    )


def test_how_a_controller_is() -> None:
    """It leads or another one does."""
    usage = PoolUsage(assigned_ipv4=3, assigned_ipv6=2, available_ipv4=9, available_ipv6=9)
    assert controller_status(ControllerVitals()) == "waits for start"
    assert controller_status(ControllerVitals(waiting_for=())) == "another replica leads"
    leads = ControllerVitals(waiting_for=(), leads=True, usage={"p": usage})
    assert controller_status(leads) == "leads, 5 addresses given"


def test_how_a_responder_is() -> None:
    """What it is for how many addresses."""
    assert responder_status(ResponderVitals()) == "waits for orders"
    idle = ResponderVitals(waiting_for=(), away=frozenset())
    assert responder_status(idle) == "no address"
    busy = replace(idle, roles={Role.STANDBY: 1, Role.OWNER: 2}, away=frozenset({"speaker"}))
    assert responder_status(busy) == "owner of 2, standby of 1, speaker is away"
