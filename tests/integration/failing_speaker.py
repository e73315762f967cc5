"""A speaker with a defect of ours: its source dies as soon as it is started. ExaBGP's process."""

from pathlib import Path

from exabgp_metallb.adapters.source import Listener, OnDeath
from exabgp_metallb.cli import main
from exabgp_metallb.programs import start


class Failing:
    """The source."""

    def __init__(self, _path: Path, _namespace: str, on_death: OnDeath) -> None:
        self._on_death = on_death

    def start(self, _listener: Listener) -> None:
        """Die."""
        self._on_death(RuntimeError("an injected defect"))

    def follow(self, kind: str) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


if __name__ == "__main__":
    start.FolderSource = Failing  # type: ignore[assignment,misc]  # it is what fails
    main()
