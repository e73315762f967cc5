"""Addresses without a cluster: what was given stays, also over a restart."""

import json
from pathlib import Path

import pytest

from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.standalone import Standalone
from exabgp_metallb.values.objects import ObjectName
from tests.integration.manifests import Object, pool, service
from tests.unit.programs.told import Told

OLD, NEW = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


class Folder:
    """Manifests that change, and the node that gives addresses to their Services."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects: dict[tuple[str, str], Object] = {}
        self.start()

    def start(self) -> None:
        """Begin as a new process that reads all of the folder at once."""
        self.inventory = Inventory()
        self.allocate = Standalone(self.path)
        self._put(*self.objects.values())
        if self.objects:
            self.decide()

    def put(self, *objects: Object) -> None:
        """Write manifests, and have them followed."""
        self.objects |= {(each["kind"], each["metadata"]["name"]): each for each in objects}
        self._put(*objects)
        self.decide()

    def remove(self, name: str) -> None:
        """Delete a Service's manifest."""
        parsed = parse(self.objects.pop(("Service", name)))
        assert parsed is not None
        self.inventory.gone(parsed.ref)
        self.decide()

    def decide(self) -> Changes:
        """Give addresses, as NodeRoutes does."""
        changes = self.inventory.take_changes()
        self.allocate(self.inventory, changes)
        return changes

    def addresses(self) -> dict[str, list[str]]:
        """Return what each Service shows."""
        services = self.inventory.snapshot().services
        return {name.name: [str(a) for a in s.ingress] for name, s in sorted(services.items())}

    def _put(self, *objects: Object) -> None:
        for each in objects:
            parsed = parse(each)
            assert parsed is not None
            self.inventory.put(parsed)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return a folder with a pool of four addresses."""
    folder = Folder(tmp_path / "leases.json")
    folder.put(pool("p", "192.0.2.0/30"))
    return folder


def test_who_was_there_first_keeps_its_address(folder: Folder) -> None:
    """Whatever its name and age: without the leases the younger one would lose its address."""
    folder.put(service("m", created=NEW))
    folder.put(service("a", created=OLD))
    expected = {"a": ["192.0.2.1"], "m": ["192.0.2.0"]}
    assert folder.addresses() == expected
    folder.start()
    assert folder.addresses() == expected
    folder.path.unlink()
    folder.start()
    assert folder.addresses() == {"a": ["192.0.2.0"], "m": ["192.0.2.1"]}


def test_an_address_that_is_given_back_is_given_on(folder: Folder, told: Told) -> None:
    """Who waits for one is told why, and gets it."""
    for number in range(5):
        folder.put(service(f"s{number}"))
    assert folder.addresses()["s4"] == []
    assert told.count("Service default/s4: no address: poolExhausted") == 1
    folder.remove("s1")
    assert folder.addresses()["s4"] == ["192.0.2.1"]
    assert "default/s1" not in json.loads(folder.path.read_text())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param("192.0.2.3", "192.0.2.3", id="free and in the pool"),
        pytest.param("192.0.2.1", "192.0.2.0", id="somebody else's"),
        pytest.param("203.0.113.1", "192.0.2.0", id="in no pool"),
    ],
)
@pytest.mark.parametrize("when", ["live", "over a restart"])
def test_a_status_counts_before_the_lease(
    status: str,
    expected: str,
    when: str,
    folder: Folder,
) -> None:
    """A manifest exported from a cluster says where the address is now; others keep theirs."""
    folder.put(service("web"), service("zzz"))
    assert folder.addresses() == {"web": ["192.0.2.0"], "zzz": ["192.0.2.1"]}
    if when == "over a restart":
        folder.objects["Service", "web"] = service("web", status)
        folder.start()
    else:
        folder.put(service("web", status))
    assert folder.addresses() == {"web": [expected], "zzz": ["192.0.2.1"]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"default/web": {}}',
        b'{"default/web": {"pool": "p", "addresses": ["x"]}}',
        b'{"web": {"pool": "p", "addresses": []}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_told_and_not_used(content: bytes, folder: Folder, told: Told) -> None:
    """Addresses are given anew, in order."""
    folder.put(service("web"))
    folder.path.write_bytes(content)
    folder.start()
    assert folder.addresses() == {"web": ["192.0.2.0"]}
    assert told.count("it is not used, addresses are given out anew") == 1


def test_leases_of_what_is_gone_are_forgotten(folder: Folder) -> None:
    """A Service that was removed while the node was down, and a pool that changed."""
    folder.put(service("web"), service("old"))
    del folder.objects["Service", "old"]
    folder.objects["IPAddressPool", "p"] = pool("p", "192.0.2.4/30")
    folder.start()
    assert folder.addresses() == {"web": ["192.0.2.4"]}
    assert json.loads(folder.path.read_text()).keys() == {"default/web"}


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path, told: Told) -> None:
    """Addresses are given all the same; that they will not be kept is told."""
    folder = Folder(tmp_path / "nowhere" / "leases.json")
    folder.put(pool("p", "192.0.2.0/30"), service("web"))
    assert folder.addresses() == {"web": ["192.0.2.0"]}
    assert told.count("leases are not kept over a restart") == 1


def test_the_file_is_private_and_written_only_for_news(folder: Folder) -> None:
    """An edit that moves no address leaves it alone."""
    folder.put(service("web"))
    assert folder.path.stat().st_mode & 0o777 == 0o600
    before = folder.path.stat().st_mtime_ns
    folder.put(service("web", labels={"app": "web"}))
    assert folder.inventory.services[ObjectName("default", "web")].labels
    assert folder.path.stat().st_mtime_ns == before
