"""Programs that stand beside what is measured and note what they see."""

import json
import subprocess
import sys
from typing import Any

from tests.integration.lab.network import Host
from tests.integration.nodes import clean_environment


class Witness:
    """A module of this folder on a host, from when it says that it has begun.

    It runs before others: one that waits for a processor sees gaps that are none.
    """

    def __init__(self, host: Host, module: str, *words: str) -> None:
        self._child = host.popen(
            [*("nice", "-n", "-15"), sys.executable, "-m", module, *words],
            env=clean_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == b"begun\n"

    def told(self) -> list[list[Any]]:
        """End it, and return the rows of the JSON document that it prints then."""
        said, _ = self._child.communicate()
        rows: list[list[Any]] = json.loads(said)
        return rows
