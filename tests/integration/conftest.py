"""Fixtures of the integration tests: a lab, the usual rack in it, and routers of every make."""

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.integration.lab.bird import BirdRouter
from tests.integration.lab.exabgp_host import ExaBgp, ExaBgpFactory
from tests.integration.lab.exabgp_router import ExaBgpRouter
from tests.integration.lab.frr import FrrFactory, FrrRouter
from tests.integration.lab.gobgp import GoBgpRouter
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.router import Router, RouterConfig, RouterFactory
from tests.integration.manifests import Manifests, advertisement, pool
from tests.integration.nodes import Node
from tests.integration.rack import NODE1, NODE2, Start
from tests.requirements import missing

R = TypeVar("R", bound=Router)

MAKES: dict[str, type[Router]] = {"frr": FrrRouter, "bird": BirdRouter, "gobgp": GoBgpRouter}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of all logs of the lab to the report of a failed test."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if isinstance(lab, Lab) and report.failed:
        report.sections.append(("logs of the lab", lab.report()))
    return report


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return an empty lab; all that runs in it ends with the test."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    _require("ip", "tcpdump", "sysctl")
    with Lab() as lab:
        yield lab


@pytest.fixture
def tor(lab: Lab) -> Host:
    """Return the host of the first router."""
    return lab.host("tor", "10.0.0.1/24", "fd00::1/64")


@pytest.fixture
def tor2(lab: Lab) -> Host:
    """Return the host of the second router."""
    return lab.host("tor2", "10.0.0.2/24", "fd00::2/64")


@pytest.fixture
def node1(lab: Lab) -> Host:
    """Return the first node's host."""
    return lab.host("node1", f"{NODE1}/24", "fd00::11/64")


@pytest.fixture
def node2(lab: Lab) -> Host:
    """Return the second node's host."""
    return lab.host("node2", f"{NODE2}/24", "fd00::12/64")


@pytest.fixture
def manifests(lab: Lab) -> Manifests:
    """Return a folder with a pool, and an advertisement of it to every peer."""
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(pool("public", "192.0.2.0/24", "fd01::/64"), advertisement())
    return manifests


@pytest.fixture
def start(manifests: Manifests) -> Start:
    """Return what starts a node that follows the folder."""

    def start(host: Host, **how: str) -> Node:
        started = Node(host, manifests.path, **how)
        started.start()
        return started

    return start


@pytest.fixture(params=MAKES)
def router(request: pytest.FixtureRequest) -> RouterFactory:
    """Return what starts a router on a host: FRR, BIRD and GoBGP, one after the other."""
    return _factory(MAKES[request.param])


@pytest.fixture(params=[*MAKES, "exabgp"])
def any_router(request: pytest.FixtureRequest) -> RouterFactory:
    """Return the same with one make more: an ExaBGP that receives."""
    return _factory(MAKES.get(request.param, ExaBgpRouter))


@pytest.fixture
def frr() -> FrrFactory:
    """Return what starts FRR on a host, where the kernel's routes are of interest."""
    return _factory(FrrRouter)


@pytest.fixture
def exabgp() -> ExaBgpFactory:
    """Return what starts a plain ExaBGP on a host with a configuration."""

    def start(host: Host, configuration: str) -> ExaBgp:
        exabgp = ExaBgp(host, configuration)
        exabgp.start()
        return exabgp

    return start


def _factory(make: type[R]) -> Callable[[Host, RouterConfig], R]:
    _require(*make.programs)

    def start(host: Host, config: RouterConfig) -> R:
        router = make(host, config)
        router.start()
        return router

    return start


def _require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            missing(f"{Path(program).name} is not installed: run tests/peers.sh as root")
