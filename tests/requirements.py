"""What a test may do when something that it needs is not on the machine."""

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """End the test: skip it with the reason, or fail it where CI=true says nothing may miss."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
