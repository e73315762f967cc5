"""MetalLB's ConfigMap as resources: that they mean the same, and what cannot be converted."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from exabgp_metallb.cli import commands
from exabgp_metallb.errors import ParseError, UsageError
from exabgp_metallb.parsing.inventory import Inventory
from exabgp_metallb.parsing.objects import KINDS, parse
from exabgp_metallb.programs.convert import converted
from exabgp_metallb.values.intent import Intent

CONFIG = """
peers:
- my-asn: 64512
  peer-asn: 64513
  peer-address: 10.0.0.1
  hold-time: 30s
  node-selectors:
  - match-labels: {rack: "1"}
bgp-communities:
  no-advertise: 65535:65282
address-pools:
- name: default
  protocol: bgp
  addresses: [192.0.2.0/24]
  bgp-advertisements:
  - aggregation-length: 32
    localpref: 100
    communities: [no-advertise]
- name: On_The_Wire
  protocol: layer2
  addresses: [198.51.100.10-198.51.100.20]
"""

CONFIG_MAP: dict[str, object] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "config", "namespace": "metallb-system"},
    "data": {"config": CONFIG},
}


def intent(documents: list[object]) -> Intent:
    """Return what objects ask for; none may be at fault."""
    inventory = Inventory()
    found = [parsed for raw in documents if (parsed := parse(raw)) is not None]
    inventory.listed(frozenset(kind for _, kind in KINDS), found)
    assert inventory.faults == ()
    return inventory.snapshot().intent


def test_the_resources_mean_what_the_config_map_means() -> None:
    """To the very decision: a cluster may go from one to the other at any time."""
    made: list[object] = [*converted([CONFIG_MAP], namespace="metallb-system")]
    assert intent(made) == intent([CONFIG_MAP])
    assert len(intent(made).pools) == 2


def test_the_bare_text_will_do() -> None:
    """As MetalLB's own converter takes it with -only-data; the namespace is the one given."""
    made = converted([yaml.safe_load(CONFIG)], namespace="lb")
    assert {str(raw["metadata"]["namespace"]) for raw in made} == {"lb"}  # type: ignore[index]
    assert len(made) == len(converted([CONFIG_MAP], namespace="lb"))


def test_lists_are_opened_and_other_objects_passed_over() -> None:
    """`kubectl get configmap -A -o yaml` will do."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}
    whole = {"apiVersion": "v1", "kind": "List", "items": [other, CONFIG_MAP, "text"]}
    assert converted([whole], namespace="x") == converted([CONFIG_MAP], namespace="x")


@pytest.mark.parametrize("documents", [[], [{"kind": "Service"}], [None], [{"data": {}}]])
def test_nothing_to_convert_is_said(documents: list[object]) -> None:
    """With what would be right."""
    with pytest.raises(UsageError, match="give MetalLB's ConfigMap"):
        converted(documents, namespace="metallb-system")


def test_text_that_is_no_configuration_is_refused() -> None:
    """By the name of the ConfigMap and its key."""
    with pytest.raises(ParseError, match=r"ConfigMap/metallb-system/config: data\.config"):
        converted([CONFIG_MAP | {"data": {"config": "- a\n- b\n"}}], namespace="x")


def test_the_command_prints_what_kubectl_takes(tmp_path: Path) -> None:
    """In YAML, and in JSON; the exit code is that of `check` on it."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG_MAP))
    printed = CliRunner().invoke(commands, ["convert", "-f", str(path)])
    assert printed.exit_code == 0, printed.output
    as_json = CliRunner().invoke(commands, ["convert", "-f", str(path), "-o", "json"])
    assert yaml.safe_load(printed.stdout) == json.loads(as_json.stdout)
    kinds = [item["kind"] for item in json.loads(as_json.stdout)["items"]]
    assert kinds == [
        "BGPPeer",
        "IPAddressPool",
        "IPAddressPool",
        "BGPAdvertisement",
        "L2Advertisement",
        "Community",
    ]


def test_what_was_wrong_before_is_printed_and_told(tmp_path: Path) -> None:
    """Nothing is lost, and nobody applies it unseen."""
    path = tmp_path / "config.yaml"
    wrong = CONFIG.replace("192.0.2.0/24", "192.0.2.0/240")
    path.write_text(yaml.safe_dump(CONFIG_MAP | {"data": {"config": wrong}}))
    printed = CliRunner().invoke(commands, ["convert", "-f", str(path)])
    assert printed.exit_code == 1
    assert "192.0.2.0/240" in printed.stdout
    assert "IPAddressPool/metallb-system/default" in printed.stderr
