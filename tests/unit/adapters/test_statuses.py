"""Status objects: bodies as the API takes them, and read back as they were written."""

from urllib.parse import unquote_plus

import pytest

from exabgp_metallb.adapters.kubernetes import statuses
from exabgp_metallb.adapters.kubernetes.statuses import LONGEST_LABEL, Author, label
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.statuses import (
    ConfigurationVerdict,
    ServiceBgpStatus,
    ServiceL2Status,
    SessionState,
    Status,
    StatusKind,
    StatusName,
)

AUTHOR = Author(node="node1", namespace="metallb-system", uid="uid-of-node1")
WEB = ObjectName("default", "web")
SESSION = SessionState(
    address="192.0.2.1",
    vrf="red",
    established=True,
    since="2026-01-01T00:00:00Z",
    last_error="hold timer expired",
    bfd="Up",
)

EVERY: list[tuple[StatusName, Status]] = [
    (StatusName(StatusKind.SERVICE_BGP, WEB), ServiceBgpStatus(("one", "two"))),
    (StatusName(StatusKind.SERVICE_L2, WEB), ServiceL2Status(("eth0", "eth1"))),
    (StatusName(StatusKind.SERVICE_L2, WEB), ServiceL2Status(())),
    (StatusName(StatusKind.SESSION, ObjectName("metallb-system", "tor")), SESSION),
    (
        StatusName(StatusKind.CONFIGURATION, ObjectName("", "node1")),
        ConfigurationVerdict(("Pool a: bad", "Pool b: worse"), "2026-01-01T00:00:00Z"),
    ),
]


@pytest.mark.parametrize(("name", "status"), EVERY, ids=lambda each: getattr(each, "kind", ""))
def test_a_status_is_read_as_it_was_written(name: StatusName, status: Status) -> None:
    """So that a speaker that starts anew knows what is there."""
    body = statuses.filling(AUTHOR, name, status).body or {}
    page = statuses.found(AUTHOR, name.kind, {"items": [body], "metadata": {"continue": "x"}})
    assert page.statuses == {name: status}
    assert (page.surplus, page.more) == ((), "x")


@pytest.mark.parametrize("status", [None, {}, {"serviceName": "web"}, "text"])
def test_objects_of_others_are_surplus(status: object) -> None:
    """Made under another name, never filled in, or not to be read at all."""
    item = {"metadata": {"name": "bgp-x7k2p"}, "status": status}
    page = statuses.found(AUTHOR, StatusKind.SERVICE_BGP, {"items": [item]})
    assert (page.statuses, page.surplus, page.more) == ({}, ("bgp-x7k2p",), "")


def test_two_nodes_have_objects_of_their_own() -> None:
    """For one Service; and the other one's is told from those of Services with its name."""
    other = Author(node="node2", namespace="metallb-system")
    elsewhere = ObjectName("elsewhere", "web")
    bodies = [
        statuses.creation(author, StatusName(StatusKind.SERVICE_L2, service)).body or {}
        for author, service in ((AUTHOR, WEB), (other, WEB), (other, elsewhere))
    ]
    ours, theirs, third = (body["metadata"]["name"] for body in bodies)
    assert len({ours, theirs, third}) == 3
    assert list(statuses.others(AUTHOR, [WEB], {"items": bodies})) == [theirs]
    assert list(statuses.others(AUTHOR, [WEB, elsewhere], {"items": bodies})) == [theirs, third]
    assert "ownerReferences" not in bodies[1]["metadata"]  # the uid of its Node is not known


def test_a_look_for_others_names_all_services_at_once() -> None:
    """Each name once, as the value of a label is written."""
    services = [WEB, ObjectName("elsewhere", "web"), ObjectName("default", "x" * 100)]
    path = unquote_plus(statuses.of_others(AUTHOR, services).path)
    long = label("x" * 100)
    assert path.endswith(f"labelSelector=metallb.io/service-name in (web,{long})")


def test_a_long_name_is_no_longer_than_a_label_may_be() -> None:
    """And still differs from others that begin alike."""
    long = "node-" + "x" * 200
    assert len(label(long)) <= LONGEST_LABEL
    assert label(long) != label(long + "y")
    assert label("node1") == "node1"
