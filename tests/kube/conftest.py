"""Fixtures: one kube-apiserver for the whole run, handed out ready and tidy to each test."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.kube import build
from tests.kube.build import Program, UnavailableError
from tests.kube.etcd import Etcd
from tests.kube.server import ApiServer
from tests.requirements import missing

_numbers = count(1)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what is needed before the first test: a build takes longer than any test may."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    # The fixtures find what is missing here, and say so for each test.
    with capture.global_and_fixture_disabled(), suppress(UnavailableError):
        if "kube" in used:
            build.find_etcd()  # first: without it nothing is worth a build
            build.find(Program.APISERVER)
        if "renderer" in used:
            build.find(Program.RENDER)


@pytest.fixture(scope="session")
def _api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Run etcd and one kube-apiserver."""
    try:
        etcd_program, program = build.find_etcd(), build.find(Program.APISERVER)
    except UnavailableError as error:
        missing(str(error))
    directory = tmp_path_factory.mktemp("kube")
    etcd = Etcd(etcd_program, directory)
    server = ApiServer(program, etcd, directory)
    try:
        etcd.start()
        server.start()
        yield server
    finally:
        server.stop()
        etcd.stop()


@pytest.fixture(scope="session")
def renderer() -> Path:
    """Return the program that renders kustomizations and charts."""
    try:
        return build.find(Program.RENDER)
    except UnavailableError as error:
        missing(str(error))


@pytest.fixture
def kube(_api_server: ApiServer) -> Iterator[ApiServer]:
    """Return the running server; what the test made through its client is gone afterwards."""
    yield _api_server
    if not _api_server.running or _api_server.uncached:
        _api_server.restart()
    _api_server.client.delete_created()


@pytest.fixture
def namespace(kube: ApiServer) -> str:
    """Return the name of a new, empty namespace."""
    name = f"test-{next(_numbers)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    kube.client.create(body)
    return name
