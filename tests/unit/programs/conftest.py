"""Fixtures of the programs' tests."""

from collections.abc import Iterator

import pytest

from tests.unit.programs.told import Told


@pytest.fixture
def told() -> Iterator[Told]:
    """Return what is logged from here on."""
    told = Told()
    yield told
    told.close()
