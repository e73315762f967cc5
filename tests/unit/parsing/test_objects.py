"""Any object at all: which are read, which passed over, and that nothing raises."""

import pytest
from hypothesis import given

from exabgp_metallb.parsing.objects import KINDS, items, parse, ref_of
from exabgp_metallb.values.faults import ObjectRef
from tests.strategies import json_values, mutated
from tests.unit.parsing.manifests import VALID, Raw, by_field, core, parsed, resource, value


def test_every_kind_is_among_the_valid_objects() -> None:
    """So that what is tested with them holds for all kinds."""
    assert {(raw["apiVersion"], raw["kind"]) for raw in VALID} == set(KINDS)


@pytest.mark.parametrize("raw", VALID, ids=[f"{raw['kind']}-{n}" for n, raw in enumerate(VALID)])
def test_valid_objects(raw: Raw) -> None:
    """Each is a value, without warnings but of a timer that ExaBGP does not have."""
    assert value(raw)
    without_effect = {"spec.connectTime"} if "connectTime" in str(raw) else set()
    assert {fault.field for fault in parsed(raw).warnings} == without_effect


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(core("Pod"), id="kind"),
        pytest.param({**core("Service"), "apiVersion": "serving.knative.dev/v1"}, id="group"),
        pytest.param(core("ConfigMap", metadata={"name": "other"}), id="config-map"),
        pytest.param(core("EndpointSlice"), id="slice-of-nobody"),
        pytest.param(resource("ServiceBGPStatus", None), id="status-of-metallb"),
        pytest.param({**resource("X", None), "apiVersion": "frrk8s.metallb.io/v1"}, id="frr-k8s"),
    ],
)
def test_what_is_passed_over(raw: Raw) -> None:
    """What the program does not use is neither value nor fault."""
    assert parse(raw) is None


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        pytest.param("words", "", "'words': write a mapping with apiVersion", id="text"),
        pytest.param(None, "", "null: write a mapping", id="null"),
        pytest.param([1], "", "a list: write a mapping", id="list"),
        pytest.param({"a": 1}, "", "no apiVersion and kind", id="no-object"),
        pytest.param({"apiVersion": "v1"}, "", "no apiVersion and kind", id="no-kind"),
        pytest.param({"apiVersion": [], "kind": {}}, "", "no apiVersion and kind", id="types"),
        pytest.param(
            {**resource("BGPPeer", {}), "apiVersion": "metallb.io/v1"},
            "apiVersion",
            "'metallb.io/v1': write metallb.io/v1beta1 or metallb.io/v1beta2",
            id="version-of-a-peer",
        ),
        pytest.param(
            {**core("EndpointSlice"), "apiVersion": "discovery.k8s.io/v1beta1"},
            "apiVersion",
            "write discovery.k8s.io/v1",
            id="version-of-a-slice",
        ),
        pytest.param(
            resource("AddressPool", {}), "kind", "'AddressPool': write IPAddressPool", id="old-kind"
        ),
        pytest.param(
            resource("IPAdressPool", {}), "kind", "'IPAdressPool': write IPAddressPool", id="typo"
        ),
        pytest.param(
            resource("Zebra", {}), "kind", "write BFDProfile, BGPAdvertisement,", id="no-such-kind"
        ),
    ],
)
def test_what_is_no_object_of_kubernetes(raw: object, field: str, words: str) -> None:
    """What is meant to be read and cannot be is a fault, not passed over in silence."""
    told = by_field(parsed(raw).faults)
    assert list(told) == [field]
    assert words in told[field]


@pytest.mark.parametrize(
    ("raw", "ref"),
    [
        pytest.param(core("Service"), ObjectRef("Service", "default", "it"), id="service"),
        pytest.param(
            {"kind": "Service", "metadata": {"name": "a"}},
            ObjectRef("Service", "default", "a"),
            id="service-without-namespace",
        ),
        pytest.param(
            {"kind": "BGPPeer", "metadata": {"name": "a"}},
            ObjectRef("BGPPeer", "home", "a"),
            id="resource-without-namespace",
        ),
        pytest.param(core("Node"), ObjectRef("Node", "", "it"), id="node"),
        pytest.param({}, ObjectRef("", "", ""), id="nothing"),
        pytest.param("text", ObjectRef("", "", ""), id="text"),
        pytest.param(
            {"kind": 5, "metadata": {"name": [], "namespace": {}}},
            ObjectRef("", "", ""),
            id="types",
        ),
        pytest.param(
            {"kind": "Node", "metadata": {"name": "a\nb"}},
            ObjectRef("Node", "", "a\\nb"),
            id="control-characters",
        ),
    ],
)
def test_how_messages_name_an_object(raw: object, ref: ObjectRef) -> None:
    """Whatever it looks like."""
    assert ref_of(raw, home="home") == ref


def test_the_home_of_a_resource() -> None:
    """A manifest that names no namespace means the install namespace, for its Secret too."""
    raw = resource("BGPPeer", {"passwordSecret": {"name": "s"}}, namespace=None)
    found = parse(raw, home="lb")
    assert found is not None
    assert found.ref.namespace == "lb"


def test_lists() -> None:
    """Lists are opened, inside lists too, and items get the kind that their list is of."""
    service, node = core("Service"), core("Node")
    bare = {key: part for key, part in node.items() if key not in ("apiVersion", "kind")}
    nodes = {"apiVersion": "v1", "kind": "NodeList", "items": [bare, 5]}
    everything = {"apiVersion": "v1", "kind": "List", "items": [service, nodes, None]}
    assert items(everything) == [service, node, 5, None]
    assert items(service) == [service]
    assert items("text") == ["text"]
    assert items({"kind": "List", "items": None}) == [{"kind": "List", "items": None}]
    assert items({"kind": "List", "items": []}) == []


@given(json_values)
def test_no_json_raises(raw: object) -> None:
    """Not as a document, nor as a part of one, nor as a list."""
    parse(raw)
    items(raw)
    items({"kind": "List", "items": raw})
    for api_version, kind in KINDS:
        whole = {"apiVersion": api_version, "kind": kind}
        parse({**whole, "metadata": raw, "spec": raw, "status": raw})
        parse({**whole, "metadata": {"name": "config"}, "data": raw, "endpoints": raw})


@given(mutated(VALID))
def test_no_slip_raises(raw: object) -> None:
    """A valid object with one place that is anything is a value or has faults, never both."""
    found = parse(raw)
    if found is None:
        return
    assert (found.value is None) == bool(found.faults)
    for fault in (*found.faults, *found.warnings):
        assert str(fault).isprintable()
        assert "s3cret" not in str(fault)
