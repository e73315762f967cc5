"""Tables of plans: golden text of the guide's plan, and what a stranger's names do to them."""

import io
from pathlib import Path

import pytest

from exabgp_metallb.adapters.files.manifests import read
from exabgp_metallb.programs.decided import Question
from exabgp_metallb.programs.plan import plan_document
from exabgp_metallb.programs.plan_format import CheckDocument, FaultRow, NodePlan, PlanDocument
from exabgp_metallb.programs.plan_tables import check_text, plan_text

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "etc" / "examples" / "metallb-guide"
GOLDEN = ROOT / "tests" / "golden" / "plan"

HOSTILE = "\x1b]0;title\x07\x1b[31m[bold]\u202e\n"


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_golden_table() -> None:
    """The guide's plan at 80 columns, without colours."""
    objects, warnings = read([str(GUIDE)], io.BytesIO())
    text = plan_text(plan_document(objects, Question(), warnings), io.StringIO())
    assert text == (GOLDEN / "metallb-guide.txt").read_text()


def test_faults_come_last_with_field_and_remedy() -> None:
    """Errors stand below warnings, and each below its object."""
    warning = FaultRow(object="Node/a", field="", message="given twice: keep one")
    error = FaultRow(object="BGPPeer/ns/b", field="spec.myASN", message="0: write 1 or more")
    document = CheckDocument(valid=False, errors=[error, error], warnings=[warning])
    assert check_text(document, io.StringIO()).splitlines() == [
        "Warnings",
        "  Node/a",
        "    given twice: keep one",
        "",
        "Errors",
        "  BGPPeer/ns/b",
        "    spec.myASN: 0: write 1 or more",
        "    spec.myASN: 0: write 1 or more",
        "",
        "2 errors, 1 warning: what has errors is left out.",
    ]


def test_colours_are_for_terminals() -> None:
    """And for those that are asked for none, none."""
    document = CheckDocument(valid=True, errors=[], warnings=[])
    assert check_text(document, io.StringIO()) == "Valid.\n"
    assert "\x1b[" in check_text(document, Terminal())


def hostile_plan() -> PlanDocument:
    """Return a plan in which every text is out to do harm."""
    fault = FaultRow(object=HOSTILE, field=HOSTILE, message=HOSTILE)
    node: NodePlan = {
        "sessions": [
            {
                "peer": HOSTILE,
                "address": None,
                "port": 1,
                "localASN": 1,
                "peerASN": "external",
                "localAddress": None,
                "routerID": None,
                "holdTime": 90,
                "keepaliveTime": 30,
                "ebgpMultiHop": True,
                "password": True,
                "bfdProfile": HOSTILE,
                "gracefulRestart": True,
                "vrf": HOSTILE,
                "interface": HOSTILE,
            }
        ],
        "bgp": [
            {
                "peer": HOSTILE,
                "prefix": "10.0.0.0/8",
                "nextHop": "self",
                "localPref": 1,
                "communities": [],
                "largeCommunities": [],
                "services": [HOSTILE],
            }
        ],
        "l2": [],
        "refused": [{"service": HOSTILE, "protocol": "bgp", "reason": "x", "message": HOSTILE}],
    }
    return PlanDocument(
        valid=False,
        errors=[fault],
        warnings=[fault],
        services=[{"service": HOSTILE, "addresses": [], "pool": HOSTILE, "message": HOSTILE}],
        nodes={HOSTILE: node},
    )


def test_hostile_names_are_printed_as_text() -> None:
    """No control character gets through, and rich's markup stays text."""
    text = plan_text(hostile_plan(), io.StringIO())
    assert all(line.isprintable() for line in text.splitlines())
    assert "[bold]" in text


def test_many_nodes_are_counted() -> None:
    """A hundred names in a cell help nobody."""
    route = hostile_plan()["nodes"][HOSTILE]["bgp"][0] | {"services": ["a/b"]}
    node = NodePlan(sessions=[], bgp=[route], l2=[], refused=[])
    other = NodePlan(sessions=[], bgp=[], l2=[], refused=[])
    document = PlanDocument(
        valid=True,
        errors=[],
        warnings=[],
        services=[{"service": "a/b", "addresses": ["10.0.0.1"], "pool": "p", "message": None}],
        nodes={f"node-{number}": node for number in range(100)},
    )
    assert "all 100 nodes" in plan_text(document, io.StringIO())
    document["nodes"]["node-100"] = other
    assert "100 of 101 nodes" in plan_text(document, io.StringIO())
