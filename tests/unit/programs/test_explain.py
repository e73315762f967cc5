"""Why a Service is announced or is not: one case for each answer that a person may need."""

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner

from exabgp_metallb.cli import commands
from exabgp_metallb.decisions.preconditions import EXCLUDE_LABEL
from exabgp_metallb.errors import UsageError
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.decided import Question
from exabgp_metallb.programs.explain import Explanation, explain
from exabgp_metallb.values.objects import ObjectName
from tests.integration.manifests import (
    Object,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)

WEB = ObjectName("default", "web")
NODES = [node("node1", "10.0.0.11"), node("node2", "10.0.0.12")]
PEER = peer("tor", "10.0.0.1", asn=64512, peer_asn=64513)
POOL = pool("p", "192.0.2.0/24")
L2 = {**advertisement("l2"), "kind": "L2Advertisement"}


def explained(*objects: Object, question: Question | None = None) -> Explanation:
    """Explain the Service web."""
    found = [parsed for raw in objects if (parsed := parse(raw)) is not None]
    return explain(found, WEB, question or Question())


def verdicts(document: Explanation) -> list[tuple[str, str, str | None]]:
    """Return node, protocol and reason of each verdict."""
    return [(row["node"], row["protocol"], row["reason"]) for row in document["verdicts"]]


def test_what_each_node_does() -> None:
    """Who announces what to whom, and the first rule that stopped the others."""
    document = explained(
        *NODES,
        POOL,
        PEER,
        advertisement(),
        L2,
        service("web", policy="Local"),
        slice_of("web", "node2"),
    )
    assert document["announced"]
    assert (document["addresses"], document["pool"]) == (["192.0.2.0"], "p")
    assert verdicts(document) == [
        ("node1", "bgp", "noLocalEndpoints"),
        ("node1", "l2", "noLocalEndpoints"),
        ("node2", "bgp", None),
        ("node2", "l2", None),
    ]
    messages = [row["message"] for row in document["verdicts"] if row["announces"]]
    assert messages == ["192.0.2.0/32 to tor", "answers for 192.0.2.0"]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        pytest.param([], "create an IPAddressPool", id="no pool"),
        pytest.param([POOL, *NODES], "no BGPAdvertisement and no L2Advertisement", id="no ad"),
        pytest.param([POOL, advertisement()], "there is no Node", id="no node"),
        pytest.param([POOL, advertisement(), *NODES], "no BGPPeer selects", id="no peer"),
        pytest.param([POOL, L2, *NODES], "no endpoint", id="no endpoint"),
    ],
)
def test_what_stops_it_everywhere(objects: Iterable[Object], said: str) -> None:
    """In one line, with what would help."""
    slices = [] if said == "no endpoint" else [slice_of("web", "node1")]
    document = explained(*objects, service("web"), *slices)
    assert not document["announced"]
    assert said in (document["message"] or "")


def test_a_service_of_somebody_else() -> None:
    """By its class, or because it asks for no load balancer."""
    classed = service("web")
    classed["spec"]["loadBalancerClass"] = "example.com/other"
    message = explained(POOL, classed)["message"] or ""
    assert "example.com/other" in message
    assert "somebody else's" in message
    ours = explained(POOL, classed, question=Question(lb_class="example.com/other"))
    assert ours["addresses"] == ["192.0.2.0"]
    inner = service("web")
    inner["spec"]["type"] = "ClusterIP"
    assert "not LoadBalancer" in (explained(POOL, inner)["message"] or "")


def test_objects_at_fault_are_named() -> None:
    """What they ask for is not done, so they may be why."""
    bad = pool("p", "192.0.2.0/240")
    document = explained(bad, *NODES, service("web"))
    assert any("IPAddressPool/metallb-system/p" in error for error in document["errors"])


def test_a_service_that_is_not_there() -> None:
    """The call is wrong."""
    with pytest.raises(UsageError, match="no Service is named default/web"):
        explained(POOL)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        pytest.param("default/web", 0, "Announced.", id="announced"),
        pytest.param("web", 0, "Announced.", id="default-namespace"),
        pytest.param("default/db", 1, "Not announced: ", id="not"),
        pytest.param("default/none", 2, "no Service is named default/none", id="unknown"),
    ],
)
def test_the_command(name: str, code: int, said: str, tmp_path: Path) -> None:
    """Tables for people, JSON for programs, and an exit code for scripts."""
    objects = [*NODES, POOL, PEER, advertisement(), service("web"), service("db")]
    objects.append(slice_of("web", "node1"))
    for number, raw in enumerate(objects):
        (tmp_path / f"{number}.json").write_text(json.dumps(raw))
    done = CliRunner().invoke(commands, ["explain", name, "-f", str(tmp_path)])
    assert done.exit_code == code, done.output
    assert said in done.output
    if code < 2:
        words = ["explain", name, "-f", str(tmp_path), "-o", "json"]
        assert json.loads(CliRunner().invoke(commands, words).stdout)["announced"] is (code == 0)


@pytest.mark.parametrize("command", [("explain", "default/web"), ("plan",)])
def test_nodes_that_are_excluded_by_their_label(command: tuple[str, ...], tmp_path: Path) -> None:
    """They announce by neither protocol, and by both where speakers are told not to mind."""
    nodes = [node(name, **{EXCLUDE_LABEL: ""}) for name in ("node1", "node2")]
    objects = [*nodes, POOL, PEER, advertisement(), L2, service("web"), slice_of("web", "node1")]
    (tmp_path / "all.json").write_text(json.dumps({"kind": "List", "items": objects}))
    words = [*command, "-f", str(tmp_path), "-o", "json"]
    excluded = CliRunner().invoke(commands, words).stdout
    assert "nodeLabeledExcludeBalancers" in excluded
    ignored = CliRunner().invoke(commands, [*words, "--ignore-exclude-lb"])
    assert (ignored.exit_code, "nodeLabeledExcludeBalancers" in ignored.stdout) == (0, False)
    by_environment = {"EXABGP_METALLB_IGNORE_EXCLUDE_LB": "true"}
    assert CliRunner(env=by_environment).invoke(commands, words).stdout == ignored.stdout
