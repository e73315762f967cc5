"""The one cluster of these tests, built before the first of them.

Each module has our programs in one form. What takes longest, the control plane, kube-proxy and the
pods, is there once for all.
"""

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
from tests.system.cluster import Cluster, cluster
from tests.system.scene import furnish, wait_all_serve

PROGRAMS = ("ip", "nft", "setpriv", "unshare", "systemd-sysusers", "systemd-tmpfiles")


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


@pytest.fixture(scope="package")
def built() -> Iterator[Cluster]:
    """Return a cluster without our programs."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    for name in (*PROGRAMS, *BfdRouter.programs):
        if shutil.which(name) is None:
            missing(f"{name} is not installed: run tests/peers.sh as root")
    try:
        find_all()
    except UnavailableError as error:
        missing(str(error))
    with Lab() as lab, cluster(lab) as made:
        yield made


@pytest.fixture(scope="module")
def system(built: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """Return it with pods, Services, and our programs by the module's FORM and DRAIN_SECONDS."""
    built.use(request.module.FORM, drain_seconds=request.module.DRAIN_SECONDS)
    if not built.services:
        furnish(built)
    wait_all_serve(built)
    return built
