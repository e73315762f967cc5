"""Our CustomResourceDefinitions on a real kube-apiserver: what they take, refuse and fill in.

Whoever reads the rules of a schema and the rules of the parser should find the same ones; here both
judge the same specs. What one of them alone refuses is listed, with the reason (`crd_peer_cases`).
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.client.exceptions import ApiException, UnprocessableEntityException

from exabgp_metallb.parsing.objects import items, parse
from exabgp_metallb.parsing.text import documents
from exabgp_metallb.values.specs import Parsed
from tests.kube.client import Object, read_definitions, reference
from tests.kube.crd_cases import PEER, POOL, Case, Spec
from tests.kube.crd_peer_cases import ALONE, LATER, REFUSED, Later
from tests.kube.crd_strategies import SPECS
from tests.kube.server import ApiServer
from tests.strategies import json_values, places, with_value
from tests.unit.parsing.manifests import VALID, resource

pytestmark = pytest.mark.kube

ETC = Path(__file__).parents[2] / "etc"
CRDS = ETC / "kubernetes" / "crds"
SAMPLES = ETC / "examples" / "metallb-samples"
GUIDE = ETC / "examples" / "metallb-guide"
HOME = "metallb-system"
GROUP = "metallb.io"

OURS: list[tuple[str, Any]] = [
    (str(raw["kind"]), raw["spec"]) for raw in VALID if str(raw["apiVersion"]).startswith(GROUP)
]
SLOW = settings(
    deadline=None,  # an answer takes as long as the machine is busy
    max_examples=800,
    # The server is the same for all; a busy machine is slow.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def _definitions(_api_server: ApiServer) -> None:
    """Install our definitions, which outlive a test."""
    _api_server.client.install_crds(CRDS)


@pytest.fixture
def crds(kube: ApiServer, _definitions: None) -> ApiServer:
    """Return the server with our definitions installed."""
    return kube


@pytest.fixture
def home(crds: ApiServer) -> ApiServer:
    """Return the same with the install namespace."""
    crds.client.create(reference("v1", "Namespace", HOME))
    return crds


def refusal(crds: ApiServer, kind: str, spec: object) -> str:
    """Return what the API says against an object with this spec; "" where it would take it."""
    raw = resource(kind, spec, namespace="default")
    path = f"/apis/{raw['apiVersion']}/namespaces/default/{PLURALS[kind]}"
    try:
        crds.client.request("POST", path, query={"dryRun": "All"}, body=raw)
    except UnprocessableEntityException as error:
        return str(json.loads(error.body or "")["message"])
    return ""


PLURALS = {
    definition["spec"]["names"]["kind"]: definition["spec"]["names"]["plural"]
    for definition in read_definitions(CRDS)
}


def faults(kind: str, spec: object) -> list[str]:
    """Return what the parser says against an object with this spec."""
    found = parse(resource(kind, spec))
    assert found is not None
    return [fault.message for fault in found.faults]


def named(cases: Any) -> Any:  # noqa: ANN401 -- a table of any shape
    """Return a table with the name of each row as its test's."""
    return [pytest.param(c, id=getattr(c, "name", None) or c[0]) for c in cases]


# What the schema refuses, and what it says.


@pytest.mark.parametrize("case", named(REFUSED))
def test_a_rule_refuses_its_bad_object_and_takes_the_good_one(crds: ApiServer, case: Case) -> None:
    """The schema says what is wrong in a person's words, and the parser refuses the same."""
    said = refusal(crds, case.kind, case.bad)
    assert all(word in said for word in case.words), said
    assert faults(case.kind, case.bad)
    assert refusal(crds, case.kind, case.good) == ""
    assert faults(case.kind, case.good) == []


@pytest.mark.parametrize("later", named(LATER))
def test_the_parser_refuses_what_the_schema_cannot_see(crds: ApiServer, later: Later) -> None:
    """The list of exceptions is true: each still is one."""
    assert refusal(crds, later.kind, later.spec) == ""
    assert [m for m in faults(later.kind, later.spec) if re.search(later.told, m)]


@pytest.mark.parametrize("alone", named(ALONE))
def test_the_schema_has_limits_of_its_own(
    crds: ApiServer, alone: tuple[str, str, Spec, str]
) -> None:
    """They are the API server's; the parser needs none."""
    _, kind, spec, words = alone
    assert words in refusal(crds, kind, spec)
    assert faults(kind, spec) == []


def test_no_answer_shows_a_password(crds: ApiServer) -> None:
    """Answers end up in terminals and logs."""
    for password in ("hunter2é", "hunter2" * 20, "hunter2\n"):
        said = refusal(crds, "BGPPeer", PEER | {"password": password})
        assert "spec.password" in said
        assert "hunter2" not in said


def test_graceful_restart_cannot_change(home: ApiServer) -> None:
    """As in MetalLB; a field that was not there may come."""
    obj = home.client.create(resource("BGPPeer", PEER | {"enableGracefulRestart": True}))
    with pytest.raises(ApiException, match="it cannot change: delete the BGPPeer and create it"):
        home.client.patch(obj, {"spec": {"enableGracefulRestart": False}})


# Schema and parser agree.


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_schema_and_parser_agree_on_specs_that_are_nearly_right(crds: ApiServer, kind: str) -> None:
    """What the API refuses the parser refuses, and the other way round but for `LATER`."""

    @SLOW
    @given(SPECS[kind])
    def judge(spec: Spec) -> None:
        said, told = refusal(crds, kind, spec), faults(kind, spec)
        if said:
            assert told, f"only the API refuses {spec}: {said}"
        else:
            assert not unexcused(told), f"only the parser refuses {spec}: {told}"

    judge()


@st.composite
def broken(draw: st.DrawFn) -> tuple[str, object]:
    """A kind and a spec with one place in it replaced by anything."""
    kind, spec = draw(st.sampled_from(OURS))
    path = draw(st.sampled_from(places(spec)))
    return kind, with_value(spec, path, draw(json_values))


def test_the_parser_refuses_whatever_the_schema_refuses(crds: ApiServer) -> None:
    """Any JSON may stand where a spec has something else."""

    @SLOW
    @given(broken())
    def judge(found: tuple[str, object]) -> None:
        kind, spec = found
        said = refusal(crds, kind, spec)
        assert not said or faults(kind, spec), f"only the API refuses {spec}: {said}"

    judge()


def unexcused(told: list[str]) -> list[str]:
    """Return the faults that the schema should have seen."""
    return [m for m in told if not any(re.search(later.told, m) for later in LATER)]


def test_all_selectors_have_one_schema() -> None:
    """So that the cases for one of them are proof for all."""
    found: list[object] = []

    def collect(schema: object) -> None:
        if isinstance(schema, dict):
            if "matchLabels" in schema.get("properties", {}):
                found.append(schema)
            for child in schema.values():
                collect(child)

    for definition in read_definitions(CRDS):
        for version in definition["spec"]["versions"]:
            collect(version["schema"])
    assert len(found) == 11  # v1beta1 and v1beta2 of BGPPeer both count
    assert all(schema == found[0] for schema in found)


# What the API makes of objects.


def test_defaults_appear(home: ApiServer) -> None:
    """Those of MetalLB's definitions."""
    pool = home.client.create(resource("IPAddressPool", POOL))
    assert pool["spec"] == POOL | {"autoAssign": True, "avoidBuggyIPs": False}
    peer = home.client.create(resource("BGPPeer", PEER))
    defaults = {"peerPort": 179, "disableMP": False, "dualStackAddressFamily": False}
    assert peer["spec"] == PEER | defaults
    advertisement = home.client.create(resource("BGPAdvertisement", {}))
    assert advertisement["spec"] == {"aggregationLength": 32, "aggregationLengthV6": 128}


@pytest.mark.parametrize("definition", read_definitions(CRDS), ids=lambda d: d["metadata"]["name"])
def test_status_is_a_subresource(home: ApiServer, definition: Object) -> None:
    """Whoever may write a resource may not write its status, nor the other way round."""
    kind = definition["spec"]["names"]["kind"]
    spec = next((spec for k, spec in OURS if k == kind), None)
    obj = home.client.create({**resource(kind, spec), "status": STATUS.get(kind, {})})
    assert "status" not in obj
    written = home.client.patch(
        obj,
        {"status": STATUS.get(kind, {}), "spec": {"unheard": "of"}},
        subresource="status",
    )
    assert written.get("spec") == obj.get("spec")
    assert written.get("status", {}) == STATUS.get(kind, {})


STATUS: dict[str, dict[str, object]] = {
    "IPAddressPool": {
        "assignedIPv4": 1,
        "assignedIPv6": 0,
        "availableIPv4": 255,
        "availableIPv6": 2**63 - 1,
    },
    "ServiceL2Status": {"node": "a", "serviceName": "web", "interfaces": [{"name": "eth0"}]},
    "ServiceBGPStatus": {"node": "a", "serviceName": "web", "peers": ["router-1"]},
    "BGPSessionState": {"node": "a", "peer": "router-1", "bgpStatus": "Established"},
    "ConfigurationState": {"result": "Valid", "errorSummary": ""},
}
"""A status for each kind that has something to report."""


@pytest.mark.parametrize("kind", ["ServiceL2Status", "ServiceBGPStatus", "BGPSessionState"])
def test_what_a_status_is_about_cannot_change(home: ApiServer, kind: str) -> None:
    """As in MetalLB: it is deleted and made anew."""
    obj = home.client.create(resource(kind, None))
    home.client.patch(obj, {"status": STATUS[kind]}, subresource="status")
    with pytest.raises(ApiException, match=r"status\.node.*it cannot change"):
        home.client.patch(obj, {"status": {"node": "b"}}, subresource="status")


def test_both_versions_of_a_peer_hold_the_same(home: ApiServer) -> None:
    """What is written as one is read as the other without loss, and the old one is told so."""
    spec: Spec = next(spec for kind, spec in OURS if kind == "BGPPeer")
    for wrote, reads in (("v1beta1", "v1beta2"), ("v1beta2", "v1beta1")):
        raw = {**resource("BGPPeer", spec, name=wrote), "apiVersion": f"{GROUP}/{wrote}"}
        home.client.create(raw)
        read = home.client.get(reference(f"{GROUP}/{reads}", "BGPPeer", wrote, HOME))
        assert read["spec"] == spec | {"disableMP": False}
        assert meaning(read) == meaning({**raw, "apiVersion": f"{GROUP}/{reads}"})


# MetalLB's own manifests.


def objects(folder: Path) -> list[Object]:
    """Return the objects in the folder, read as the program reads them."""
    return [
        obj
        for path in sorted(folder.glob("*.yaml"))
        for document in documents(path.read_text())
        for obj in items(document)
        if isinstance(obj, dict)
    ]


def meaning(obj: Object) -> Parsed:
    """Return what the program understands of an object, less what only the API can say."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "creationTimestamp"}
    found = parse({**obj, "metadata": metadata})
    assert found is not None
    return replace(found, version="", uid="")


@pytest.mark.parametrize("folder", [SAMPLES, GUIDE], ids=lambda folder: folder.name)
def test_manifests_apply_and_mean_the_same(home: ApiServer, folder: Path) -> None:
    """What the API gives back is to the program what the file is, and applies a second time."""
    for obj in objects(folder):
        applied = home.client.apply(obj)
        if not obj["apiVersion"].startswith(GROUP):
            continue
        assert meaning(applied) == meaning(obj)
        assert home.client.apply(obj)["metadata"]["generation"] == 1


def test_the_kustomization_names_every_definition() -> None:
    """A file that it forgets is not installed."""
    (kustomization,) = documents((CRDS / "kustomization.yaml").read_text())
    assert isinstance(kustomization, dict)
    there = {path.name for path in CRDS.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there
