"""A unit file as systemd reads it: systemd.syntax(7), as far as ours go.

A line that a test neither obeys nor knows to be systemd's alone is an error here, so that no unit
says something which nobody tries.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

OBEYED = frozenset(
    {
        "After",
        "AmbientCapabilities",
        "CapabilityBoundingSet",
        "DynamicUser",
        "Environment",
        "EnvironmentFile",
        "ExecStart",
        "ExecStartPre",
        "Group",
        "KillMode",
        "LoadCredential",
        "NoNewPrivileges",
        "RuntimeDirectory",
        "RuntimeDirectoryMode",
        "StateDirectory",
        "StateDirectoryMode",
        "SupplementaryGroups",
        "Type",
        "UMask",
        "User",
        "WatchdogSec",
        "WorkingDirectory",
    }
)
SYSTEMDS = re.compile(
    r"Description|Condition\w+|PartOf|WantedBy|StartLimit\w+|Restart|RestartSec|Timeout\w+"
    r"|WatchdogSignal|ReadWritePaths|DevicePolicy|LockPersonality|MemoryDenyWriteExecute|RemoveIPC"
    r"|(IPAddress|Private|Proc|Protect|Restrict|SystemCall)[A-Z]\w+"
)
"""What takes a real systemd: when units start and end by themselves, and the sandbox. tests/units
boots one."""

_ASSIGNMENT = re.compile(r"(\w+)=(.*)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class UnitFile:
    """One unit.

    Attributes:
        name: with its suffix.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._values: dict[str, list[str]] = {}
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if (found := _ASSIGNMENT.fullmatch(line)) is None:
                assert not line or line[0] in "#[", f"{path}: {line}"
                continue
            key, value = found[1], found[2].strip()
            assert key in OBEYED or SYSTEMDS.fullmatch(key), f"{path}: {key}= is new to this test"
            assert "%" not in value, f"{path}: specifiers are new to this test: {line}"
            self._values.setdefault(key, []).append(value)

    def get(self, key: str, default: str = "") -> str:
        """Return the last value of a key."""
        return self._values.get(key, [default])[-1]

    def has(self, key: str) -> bool:
        """Tell whether it is set, be it to nothing."""
        return key in self._values

    def words(self, key: str) -> list[str]:
        """Return the words of all lines of a key, quotes taken away."""
        return [word for line in self._values.get(key, ()) for word in shlex.split(line)]

    def commands(self, key: str, environment: Mapping[str, str]) -> Iterator[list[str]]:
        """Yield the words of each command of a key; `-` may come before the first one."""
        for line in self._values.get(key, ()):
            words = shlex.split(line)
            yield [_VARIABLE.sub(lambda found: environment[found[1]], word) for word in words]


def settings(path: Path) -> dict[str, str]:
    """Read an environment file: systemd.exec(5)."""
    lines = [line for line in path.read_text().splitlines() if line and line[0] not in "#;"]
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))
