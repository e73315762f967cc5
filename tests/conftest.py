"""Settings for all tests."""

import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # ships no types

# ExaBGP looks for a file of settings beside the program that imports it. To pytest-xdist's workers
# that would be our own etc/exabgp/exabgp.env, which is systemd's.
os.environ["EXABGP_ENVFILE"] = os.devnull

settings.register_profile("ci", derandomize=True)
"""The same examples at each run: what fails in CI is the change, and not the luck of that day. New
examples are found where people develop."""

if os.environ.get("CI") == "true":
    settings.load_profile("ci")


class Halves(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """Two processes for pytest-xdist, each for half of the time: the lab's tests, and all others.

    Two, and no more: one kube-apiserver, one tree for systemd and a few ports on loopback serve all
    that is not in the lab, one test after the other.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "lab" if nodeid.startswith("tests/integration/") else "others"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Halves:
    """Share the tests out by halves."""
    return Halves(config, log)
