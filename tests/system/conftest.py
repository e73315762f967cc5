"""The one cluster of these tests, built before the first of them."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import suppress

import pytest

from tests.integration.lab.frr_bfd import BfdRouter
from tests.integration.lab.network import Lab
from tests.kube import build
from tests.kube.build import Program, UnavailableError
from tests.requirements import missing
from tests.system.cluster import Cluster, Settings, cluster
from tests.system.scene import furnish


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build Kubernetes before the first test: that takes longer than any test may."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "system" not in used or session.config.option.collectonly or os.geteuid() != 0:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled(), suppress(UnavailableError):
        find_all()  # the fixture says what is missing


def find_all() -> None:
    """Find or build every program of Kubernetes that a cluster has.

    Raises:
        UnavailableError: one is nowhere and could not be built.
    """
    build.find_etcd()
    for program in Program:
        build.find(program)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of all logs of the cluster to the report of a failed test."""
    report = yield
    made = getattr(item, "funcargs", {}).get("system")
    if isinstance(made, Cluster) and report.when == "call" and report.failed:
        report.sections.append(("logs of the cluster", made.lab.report()))
    return report


@pytest.fixture(scope="module")
def system() -> Iterator[Cluster]:
    """Return a running cluster with pods and Services."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    for name in ("ip", "nft", "setpriv", *BfdRouter.programs):
        if shutil.which(name) is None:
            missing(f"{name} is not installed: run tests/peers.sh as root")
    try:
        find_all()
    except UnavailableError as error:
        missing(str(error))
    with Lab() as lab, cluster(lab, Settings(drain_seconds=0)) as made:
        furnish(made)
        yield made
