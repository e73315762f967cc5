"""Settings for all tests."""

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # ships no types

# ExaBGP looks for a file of settings beside the program that imports it. To pytest-xdist's workers
# that would be our own etc/exabgp/exabgp.env, which is systemd's.
os.environ["EXABGP_ENVFILE"] = os.devnull

TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""An example takes as long as the machine is busy."""

settings.register_profile("people", TIMELESS)
settings.register_profile("ci", TIMELESS, derandomize=True)
"""The same examples at each run: what fails in CI is the change, and not the luck of that day. New
examples are found where people develop."""

settings.load_profile("ci" if os.environ.get("CI") == "true" else "people")


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """What a process of pytest-xdist takes at a time: a file of the lab's tests, or all others.

    One kube-apiserver, one tree for systemd and a few ports on loopback serve all that is not in
    the lab, one test after the other. The lab's tests mostly wait for timers.
    """

    def _split_scope(self, nodeid: str) -> str:
        path, _, _ = nodeid.partition("::")
        return path if path.startswith("tests/integration/") else "others"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Shares:
    """Share the tests out."""
    return Shares(config, log)
