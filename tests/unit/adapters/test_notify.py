"""What systemd is told, over a real socket in its place."""

import socket
from pathlib import Path

import pytest

from exabgp_metallb.adapters import unix
from exabgp_metallb.adapters.notify import Notifier, Relay

FAR = Path("x" * 60) / ("y" * 60)
"""Longer than the address of a socket may be."""


@pytest.mark.parametrize("place", ["near", "far", "abstract"])
def test_a_datagram_reaches_the_supervisor(tmp_path: Path, place: str) -> None:
    """At a path of any length, and in the abstract namespace, which systemd uses at times."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.settimeout(60)
        if place == "abstract":
            supervisor.bind("")  # the kernel chooses: unix(7)
            address = "@" + supervisor.getsockname()[1:].decode()
        else:
            path = tmp_path / (FAR if place == "far" else Path("notify"))
            path.parent.mkdir(exist_ok=True, parents=True)
            address = str(path)
            with unix.short(path) as short:
                supervisor.bind(short)
        Notifier({"NOTIFY_SOCKET": address}).tell("READY=1", "STATUS=two of three")
        assert supervisor.recv(4096) == b"READY=1\nSTATUS=two of three"


def test_without_a_supervisor_nobody_is_told() -> None:
    """Nor is anything wrong."""
    notifier = Notifier({})
    assert not notifier
    notifier.tell("READY=1")


def test_a_supervisor_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    """Nor does one whose socket is full: a beat is not worth a wait."""
    path = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(path)})
    assert notifier
    notifier.tell("READY=1")
    relay = Relay(path)
    for _ in range(10_000):
        notifier.tell("WATCHDOG=1")
    told = relay.take()
    assert 0 < len(told) < 10_000
    relay.close()
    notifier.tell("WATCHDOG=1")


def test_a_relay_takes_what_those_below_tell(tmp_path: Path) -> None:
    """In order, and in place of a relay that was killed."""
    path = tmp_path / "notify"
    killed = Relay(path)
    relay = Relay(path)
    below = Notifier({"NOTIFY_SOCKET": str(path)})
    below.tell("READY=1")
    below.tell("WATCHDOG=1")
    assert relay.take() == [b"READY=1", b"WATCHDOG=1"]
    assert relay.take() == killed.take() == []
    relay.close()
    assert not path.exists()
    killed.close()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("60000000", 60.0), ("500000", 0.5), ("0", None), ("", None), ("-1", None), ("x", None)],
)
def test_the_time_that_the_watchdog_gives(written: str, seconds: float | None) -> None:
    """In seconds; None where it gives none."""
    assert Notifier({"WATCHDOG_USEC": written}).watchdog_seconds == seconds
