"""How much work a piece of our code does, counted so that every machine counts the same."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

PACKAGE = "exabgp_metallb"


def lines_run(work: Callable[[], object]) -> int:
    """Return how many lines of the package a call runs, each turn of a loop anew."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:  # noqa: ANN401 -- of itself
        nonlocal count
        count += event == "line"
        return trace if PACKAGE in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
