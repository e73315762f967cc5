"""The demo as a command: where it is shown, and how it ends."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from exabgp_metallb.errors import Error, ExabgpError
from exabgp_metallb.programs.demo.network import Network, Scene, network
from exabgp_metallb.programs.demo.play import Player, Stopped, WrongTableError, signals
from exabgp_metallb.programs.demo.stage import Lines, Screen
from exabgp_metallb.programs.demo.steps import STEPS
from exabgp_metallb.programs.terminal import clean, width

MANIFESTS = Path(__file__).parents[3] / "etc" / "examples" / "demo"
"""Where they are in the source tree, which an editable install runs from."""

RIGHT, WRONG = 0, 1
BY_SIGNAL = 128  # plus its number: what a shell says of a program that a signal ended


def run(manifests: Path | None = None, *, once: bool = False, seconds: float | None = None) -> int:
    """Play the demo and return the exit status.

    Args:
        manifests: the folder to copy; None takes the one of the source tree.
        once: print lines and end after the last step, as is done without a terminal.
        seconds: how long to stay after the last step; None stays until Ctrl-C.

    Returns:
        0 if the router's table was right after every step, 1 if not, 128 and the signal's number
        if one came before the last step was over.

    Raises:
        SourceError: the manifests cannot be read.
        UsageError: no demo can be made of them.
    """
    console = Console(width=_width(), highlight=False, markup=False, emoji=False)
    live = not once and sys.stdout.isatty() and not console.is_dumb_terminal
    with signals() as heard, network(manifests or MANIFESTS) as net:
        scenes = net.rehearse(STEPS)
        try:
            if live:
                _on_screen(console, Player(net, heard), scenes, seconds)
            else:
                Player(net, heard).play(scenes, Lines(console))
        except Stopped as stopped:
            return BY_SIGNAL + stopped.number
        except (WrongTableError, ExabgpError) as error:
            _print(console, _failure(net, error))
            return WRONG
    _print(console, [f"The router's table was right after each of the {len(scenes)} steps."])
    return RIGHT


def _width() -> int | None:
    """Return a width for what is no terminal; None leaves a terminal to its own, as it changes."""
    return None if sys.stdout.isatty() else width(sys.stdout)


def _on_screen(
    console: Console, player: Player, scenes: Sequence[Scene], seconds: float | None
) -> None:
    with Live(console=console, auto_refresh=False) as live:
        screen = Screen(live)
        player.play(scenes, screen)
        screen.footer = f"edit {player.manifests}/*.yaml and watch; Ctrl-C ends"
        with suppress(Stopped):
            player.linger(screen, seconds)
        screen.footer = ""
        player.show(screen)


def _failure(net: Network, error: Error) -> Iterator[str]:
    yield "The demo has failed:"
    yield from (f"  {line}" for line in str(error).splitlines())
    for name, lines in net.tails():
        yield f"The log of {name} ends:"
        yield from (f"  {clean(line)}" for line in lines)


def _print(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
