"""Fixtures: the image, and the lab's hosts to start it on."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.image import build
from tests.image.build import UnavailableError
from tests.image.container import Image
from tests.integration.conftest import exabgp, frr, lab
from tests.kube.conftest import _api_server, kube, renderer
from tests.requirements import missing

__all__ = ["_api_server", "exabgp", "frr", "kube", "lab", "renderer"]  # theirs that are ours too


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test: a build from nothing takes longer than any test may."""
    wanted = any("image" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            build.build()
        except UnavailableError:
            return  # the fixture finds the same and says so for each test


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """Return the image of the tree as it is, as a folder."""
    with ExitStack() as stack:
        try:
            root, settings = stack.enter_context(build.mounted())
        except UnavailableError as error:
            missing(str(error))
        yield Image(Path(root), settings)
