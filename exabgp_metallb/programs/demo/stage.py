"""Where the demo is seen: line by line, or as a screen that follows the router's table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exabgp_metallb.programs.demo import show
from exabgp_metallb.programs.demo.expected import Neighbor, ServiceLine
from exabgp_metallb.programs.demo.show import Played, Row
from exabgp_metallb.programs.demo.table import RouterTable

TITLE = "What the router holds: next hops, as it learned them from each node over BGP"
READING_SECONDS = 4.0  # for a person to see what a step did


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What there is to see.

    Attributes:
        services: as the manifests have them now.
        neighbors: of the router.
        table: the router's, live.
        before: its rows when the step began.
        log: the steps; the last one may be under way.
    """

    services: tuple[ServiceLine, ...]
    neighbors: tuple[Neighbor, ...]
    table: RouterTable
    before: tuple[Row, ...] = ()
    log: tuple[Played, ...] = ()

    def rows(self) -> tuple[Row, ...]:
        """Return the router's table as it is now."""
        return show.rows(self.services, self.neighbors, self.table.routes)


class Stage(Protocol):
    """Something to play on.

    Attributes:
        pause_seconds: between two steps.
    """

    pause_seconds: float

    def refresh(self, view: View) -> None:
        """Show what may have changed, in the middle of a step."""

    def played(self, view: View) -> None:
        """Show the end of a step: the last one of the log."""


class Lines:
    """A line for each step and one for each change that it made; no terminal needed."""

    pause_seconds = 0.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def refresh(self, view: View) -> None:
        """Show nothing: a line stays once it is written."""

    def played(self, view: View) -> None:
        """Print the step, and what it changed; after the first step, the whole table."""
        last, rows = view.log[-1], view.rows()
        self._console.print(show.log_line(last))
        if len(view.log) == 1:
            self._console.print(Text(), _table(view, rows), Text(), sep="\n")
            return
        for line in show.changes(view.before, rows):
            self._console.print(Text(f"{'':13}{line}"), soft_wrap=True)


class Screen:
    """The table and the log, always as they are now.

    Args:
        live: is drawn on.

    Attributes:
        footer: the last line.
    """

    pause_seconds = READING_SECONDS

    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown: object = None
        self.footer = "Ctrl-C ends the demo"

    def refresh(self, view: View) -> None:
        """Draw everything again, if anything of it differs, the size of the terminal included."""
        rows = view.rows()
        size = self._live.console.size
        showing = (rows, view.before, set(view.table.up), view.log, self.footer, size)
        if showing != self._shown:
            self._shown = showing
            screen = show.screen(TITLE, _table(view, rows), view.log, self.footer)
            self._live.update(screen, refresh=True)

    def played(self, view: View) -> None:
        """Draw everything again, if anything of it differs."""
        self.refresh(view)


def _table(view: View, rows: Iterable[Row]) -> Table:
    return show.router_table(rows, view.neighbors, view.table.up, view.before)
