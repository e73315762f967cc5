"""What a client sees of some addresses while something happens."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tests.integration.lab.network import Host
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import clean_environment

SECONDS = 60.0
RATE = 50.0  # requests a second, over all addresses
DELAYED_SECONDS = 0.5  # a lost packet costs a fifth of that at least, a lost SYN a whole second


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One request.

    Attributes:
        address: that was asked.
        began: when, in monotonic seconds.
        took: seconds until the whole answer; None for a lost one.
        pod: who answered.
        client: the source address that it saw.
        error: what went wrong.
    """

    address: str
    began: float
    took: float | None
    pod: str = ""
    client: str = ""
    error: str = ""


class Fetches:
    """`tests.system.fetching` on a host, from `with` to the end of its body.

    Attributes:
        all: every request that is over; all of them once the body has ended.
    """

    def __init__(self, host: Host, addresses: Iterable[str], *, rate: float = RATE) -> None:
        self._host = host
        self._words = [str(rate), *addresses]
        self.all: list[Fetch] = []
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._child = self._host.popen(
            [sys.executable, "-m", "tests.system.fetching", *self._words],
            env=clean_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader.start()
        self.wait(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._reader.join()
        self._child.wait()

    def wait(self, count: int) -> None:
        """Wait until so many more requests are over, whatever became of them."""
        wanted = len(self.all) + count
        wait_for(lambda: len(self.all) >= wanted, SECONDS, f"{count} requests")

    @property
    def lost(self) -> list[Fetch]:
        """Those without an answer."""
        return [each for each in self.all if each.took is None]

    @property
    def delayed(self) -> list[Fetch]:
        """Those whose answer came late."""
        return [each for each in self.all if each.took is not None and each.took >= DELAYED_SECONDS]

    def span_seconds(self) -> float:
        """Return the seconds from the first lost request to the last; 0 without one."""
        lost = [each.began for each in self.lost]
        return max(lost) - min(lost) if lost else 0.0

    def told(self) -> str:
        """Say what was lost where, for a person."""
        what = Counter((each.address, each.error) for each in self.lost)
        return ", ".join(f"{n} {error} of {where}" for (where, error), n in sorted(what.items()))

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self.all.append(Fetch(**json.loads(line)))
