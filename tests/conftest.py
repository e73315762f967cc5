"""Settings for all tests."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import settings

LAB = Path(__file__).parent / "integration"

# ExaBGP looks for a file of settings beside the program that imports it. To pytest-xdist's workers
# that would be our own etc/exabgp/exabgp.env, which is systemd's.
os.environ["EXABGP_ENVFILE"] = os.devnull

settings.register_profile("ci", derandomize=True)
"""The same examples at each run: what fails in CI is the change, and not the luck of that day. New
examples are found where people develop."""

if os.environ.get("CI") == "true":
    settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Make two groups for `--dist loadgroup`, each of half the time: the lab's tests, and others.

    Two processes, and no more: one kube-apiserver, one tree for systemd and a few ports on loopback
    serve all that is not in the lab, one test after the other.
    """
    for item in items:
        group = "lab" if LAB in item.path.parents else "others"
        item.add_marker(pytest.mark.xdist_group(group))
