"""What a client sees of an address: a new TCP connection each ten milliseconds."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from exabgp_metallb.values.addresses import Address
from tests.bench.witness import Witness
from tests.integration.lab.network import Host


@dataclass(frozen=True, slots=True)
class Tick:
    """One connection: when it was begun, and what came in its way, "" if nothing."""

    at: float
    why: str


class Ticks(Witness):
    """`tests.bench.ticking` on a host."""

    def __init__(self, host: Host, address: Address, port: int) -> None:
        super().__init__(host, "tests.bench.ticking", str(address), str(port))

    def end(self) -> list[Tick]:
        """Return every tick, the last ones of which had the time to succeed."""
        return [Tick(at, why) for at, why in self.told()]


def gap_seconds(ticks: list[Tick]) -> float:
    """Return the longest time without a connection that succeeded."""
    good = [tick.at for tick in ticks if not tick.why]
    return max(later - earlier for earlier, later in pairwise(good))


def lost(ticks: list[Tick]) -> Counter[str]:
    """Return how many connections failed, by what came in their way."""
    return Counter(tick.why for tick in ticks if tick.why)
