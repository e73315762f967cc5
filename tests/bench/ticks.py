"""What a client sees of an address: a new TCP connection each ten milliseconds."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from exabgp_metallb.values.addresses import Address
from tests.integration.lab.network import Host
from tests.integration.nodes import clean_environment


@dataclass(frozen=True, slots=True)
class Tick:
    """One connection: when it was begun, and what came in its way, "" if nothing."""

    at: float
    why: str


class Ticks:
    """`tests.bench.ticking` on a host."""

    def __init__(self, host: Host, address: Address, port: int) -> None:
        where = (str(address), str(port))
        self._child = host.popen(
            # Before others: a client that waits for a processor sees gaps that are none.
            [*("nice", "-n", "-15"), sys.executable, "-m", "tests.bench.ticking", *where],
            env=clean_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == b"begun\n"

    def end(self) -> list[Tick]:
        """Return every tick, the last ones of which had the time to succeed."""
        said, _ = self._child.communicate()
        return [Tick(at, why) for at, why in json.loads(said)]


def gap_seconds(ticks: list[Tick]) -> float:
    """Return the longest time without a connection that succeeded."""
    good = [tick.at for tick in ticks if not tick.why]
    return max(later - earlier for earlier, later in pairwise(good))


def lost(ticks: list[Tick]) -> Counter[str]:
    """Return how many connections failed, by what came in their way."""
    return Counter(tick.why for tick in ticks if tick.why)
