"""Neighbors that are held down, in our own configuration and in somebody else's."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from exabgp_metallb.programs.held_down import HeldDown
from tests.unit.adapters.test_conf import PLAIN
from tests.unit.programs.test_managed import OTHER, Managed
from tests.unit.programs.told import Told

TOR = ip_address("198.51.100.1")
TEARDOWN = f"neighbor {TOR} teardown 10"


@pytest.fixture
def managed(tmp_path: Path) -> Managed:
    """Return a conversation about two neighbors, one of them with a session."""
    managed = Managed(tmp_path / "exabgp.conf", PLAIN, OTHER)
    managed.want(PLAIN, OTHER)
    come_up(managed)
    return managed


def come_up(managed: Managed, held_down: HeldDown | None = None) -> None:
    """Let the session come up."""
    for line in managed.far.up(str(TOR)):
        for notice in managed.dialogue.hear(line):
            if held_down is not None:
                held_down.noticed(notice)


def test_it_leaves_our_configuration_until_it_is_let_up(managed: Managed, told: Told) -> None:
    """First the session ends, then ExaBGP forgets the neighbor; reloads go on."""
    held_down = HeldDown(managed.dialogue, managed.managed)
    managed.far.heard.clear()
    for _ in range(2):
        held_down.hold_down(TOR, "BFD says so")
    managed.run()
    assert managed.far.heard[0] == TEARDOWN
    managed.check()
    managed.run()
    assert managed.far.neighbors == [OTHER.address]
    held_down.let_up(TOR)
    managed.check()
    managed.run()
    assert managed.far.neighbors == [TOR, OTHER.address]
    assert managed.far.heard.count(TEARDOWN) == 1
    assert told.count("held down: BFD says so") == 1


def test_in_somebody_else_s_each_session_is_torn_down(managed: Managed) -> None:
    """Until it is let up; the file is not ours to change."""
    held_down = HeldDown(managed.dialogue, None)
    held_down.hold_down(TOR, "BFD says so")
    managed.run()
    for _ in range(2):
        come_up(managed, held_down)
        managed.run()
    assert managed.far.heard.count(TEARDOWN) == 3
    assert not managed.far.established
    held_down.let_up(TOR)
    come_up(managed, held_down)
    managed.run()
    assert managed.far.established == {TOR}
    assert managed.reloads == 0
