"""A node whose processes are killed in the middle of a change, before an FRR; see bench.kills."""

import random

import pytest

from tests.bench.kills import KILLS, Theatre
from tests.integration.lab.network import Lab

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("frr")]  # which says if it is missing

SERVICES = 1000
ROUNDS = 2


@pytest.mark.parametrize("graceful", [True, False], ids=["graceful restart", "none"])
@pytest.mark.parametrize("name", KILLS)
def test_whatever_is_killed_the_table_becomes_right(name: str, graceful: bool, lab: Lab) -> None:  # noqa: FBT001 -- a parameter of pytest's
    """And with graceful restart, or where only the speaker died, no route that stays ever goes.

    ExaBGP may end with a speaker that dies while much is on its way to it: `exabgp_api_terminate`.
    """
    theatre = Theatre(lab, SERVICES, graceful=graceful)
    theatre.start()
    seed = random.randrange(2**32)  # noqa: S311 -- nothing is kept secret by it
    choice = random.Random(seed)  # noqa: S311 -- as above
    for _ in range(ROUNDS):
        seen = theatre.round(KILLS[name], choice)
        alone = name == "speaker" and "ExaBGP ended" not in theatre.node.log()
        if graceful or alone:
            assert (seen.withdrawn, seen.lost, seen.unrouted) == (0, 0, 0), f"seed {seed}"
        else:
            assert seen.withdrawn == 0, f"seed {seed}"
