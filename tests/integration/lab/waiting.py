"""The one place where the lab sleeps: between two looks at the same condition."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02  # a look at a daemon costs 1 to 20 ms


def wait_for(
    predicate: Callable[[], T], timeout_seconds: float, message: str | Callable[[], str]
) -> T:
    """Return the first true value of `predicate`, looked at until the time is over.

    Args:
        predicate: asked at least once, and once more at the end.
        timeout_seconds: how long to go on asking.
        message: what was waited for; a callable is asked only on failure, so it can show a state.

    Raises:
        AssertionError: the time is over.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        late = time.monotonic() >= deadline
        if value := predicate():
            return value
        if late:
            text = message if isinstance(message, str) else message()
            raise AssertionError(f"not within {timeout_seconds:g} s: {text}")
        time.sleep(POLL_SECONDS)
