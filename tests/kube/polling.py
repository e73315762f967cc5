"""The one place where these tests sleep: between two looks at something that takes its time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.25


class TooLateError(Exception):
    """What a test waited for did not happen in its time."""


def wait_until(condition: Callable[[], T], *, what: str, within_seconds: float = 60.0) -> T:
    """Return the first true value of `condition`, which is called again and again.

    Args:
        condition: what to look at; whatever it raises ends the wait.
        what: completes "waited for ..." in the error.
        within_seconds: how long to go on; the condition is looked at once more at the end.

    Raises:
        TooLateError: the condition never held; the message shows its last value.
    """
    deadline = time.monotonic() + within_seconds
    pause_seconds = FIRST_PAUSE_SECONDS
    while not (value := condition()):
        left_seconds = deadline - time.monotonic()
        if left_seconds <= 0:
            message = f"waited {within_seconds:g} s for {what}; the last look gave {value!r}"
            raise TooLateError(message)
        time.sleep(min(pause_seconds, left_seconds))
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
    return value
