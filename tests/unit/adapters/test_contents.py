"""Files of JSON give what the same files of YAML give, object for object and in their order."""

import json

import pytest

from exabgp_metallb.adapters.files.contents import parse
from tests.unit.parsing.manifests import resource

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {}}
STRANGER = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
POOL = resource("IPAddressPool", {"addresses": ["192.0.2.0/24"]})
FAULTY = resource("IPAddressPool", {"addresses": ["x"]})
ITEM = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}}
NO_KIND = {"apiVersion": "v1", "metadata": {"name": "x"}}


def listed(*items: object, kind: str = "List") -> dict[str, object]:
    """Return a list as `kubectl get -o json` prints it."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": ""}, "items": items}


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(SERVICE, id="one"),
        pytest.param(listed(SERVICE, POOL, FAULTY, STRANGER), id="list"),
        pytest.param(listed(listed(SERVICE), POOL), id="list in a list"),
        pytest.param(listed(ITEM, ITEM, kind="ServiceList"), id="items without a kind"),
        pytest.param(listed(SERVICE, kind="ServiceList"), id="items with a kind"),
        pytest.param(listed(NO_KIND, 1, None, "x", [SERVICE]), id="no objects"),
        pytest.param(STRANGER | {"items": [SERVICE]}, id="objects in a stranger"),
        pytest.param(listed() | {"items": SERVICE}, id="items that are no list"),
    ],
)
def test_json_is_read_as_yaml_is(tree: object) -> None:
    """Though the former is parsed while it is read."""
    text = json.dumps(tree)
    as_yaml = parse(f"# yaml\n{text}".encode(), "file", home="metallb-system")
    assert parse(text.encode(), "file", home="metallb-system") == as_yaml
