"""The status objects of a node (metallb.io/v1beta1), between values and requests.

Each object has a name that follows from what it is about, so nothing has to be remembered about it,
and MetalLB's labels. It is owned by the Node, so that the cluster removes it with the Node. Objects
of this node under other names are MetalLB's, or of Services that are gone: surplus.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from exabgp_metallb.adapters.kubernetes import writes
from exabgp_metallb.adapters.kubernetes.writes import Body, Reporter, Request
from exabgp_metallb.values.objects import NodeName, ObjectName
from exabgp_metallb.values.statuses import (
    ConfigurationVerdict,
    ServiceBgpStatus,
    ServiceL2Status,
    SessionState,
    Status,
    StatusKind,
    StatusName,
)

ROOT = "/apis/metallb.io/v1beta1"
PAGE = 500  # objects in one answer
LONGEST_LABEL = 63

_SERVICE_NAME = "metallb.io/service-name"
_SERVICE_NAMESPACE = "metallb.io/service-namespace"

_PLURALS = {
    StatusKind.SERVICE_BGP: "servicebgpstatuses",
    StatusKind.SERVICE_L2: "servicel2statuses",
    StatusKind.SESSION: "bgpsessionstates",
    StatusKind.CONFIGURATION: "configurationstates",
}
_PREFIXES = {
    StatusKind.SERVICE_BGP: "bgp",
    StatusKind.SERVICE_L2: "l2",
    StatusKind.SESSION: "session",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Whose status objects these are.

    Attributes:
        namespace: that they live in: the install namespace.
        uid: of the Node; "" while it is not known, and then they have no owner.
    """

    node: NodeName
    namespace: str
    uid: str = ""

    @property
    def reporter(self) -> Reporter:
        """Who the speaker is to a ConfigurationState."""
        labels = {"metallb.io/component-type": "speaker", "metallb.io/node-name": label(self.node)}
        return Reporter(f"speaker-{self.node}", labels, "configReconcilerValid")


def label(value: str) -> str:
    """Return a name as the value of a label, which is shorter than a name may be."""
    if len(value) <= LONGEST_LABEL:
        return value
    return f"{value[: LONGEST_LABEL - 9]}-{_digest(value)[:8]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def object_name(author: Author, name: StatusName) -> str:
    """Return the metadata.name of a status object."""
    if name.kind is StatusKind.CONFIGURATION:
        return author.reporter.name
    return f"{_PREFIXES[name.kind]}-{_digest(f'{author.node} {name.about}')[:20]}"


def listing(author: Author, kind: StatusKind, rest: str = "") -> Request:
    """Return the request for a page of this node's objects of a kind; see `found`.

    Args:
        author: the node.
        kind: of the objects.
        rest: what `more` said of the page before.
    """
    if kind is StatusKind.CONFIGURATION:
        selector = f"metallb.io/node-name={label(author.node)}"
    else:
        selector = f"metallb.io/node={label(author.node)}"
    return _list(author, kind, {"labelSelector": selector, "limit": str(PAGE)}, rest)


def of_others(author: Author, services: Collection[ObjectName]) -> Request:
    """Return the request for all nodes' ServiceL2Statuses of some Services; see `others`.

    The API server looks through all objects of the kind for each such request, however many it
    finds. Services of the same names in other namespaces are found as well.
    """
    names = ",".join(sorted({label(service.name) for service in services}))
    selector = f"{_SERVICE_NAME} in ({names})"
    return _list(author, StatusKind.SERVICE_L2, {"labelSelector": selector}, "")


def _list(author: Author, kind: StatusKind, query: dict[str, str], rest: str) -> Request:
    if rest:
        query = {**query, "continue": rest}
    return Request(method="GET", path=f"{_folder(author, kind)}?{urlencode(query)}")


def _folder(author: Author, kind: StatusKind) -> str:
    return f"{ROOT}/namespaces/{quote(author.namespace)}/{_PLURALS[kind]}"


def creation(author: Author, name: StatusName) -> Request:
    """Return the write that makes sure that an object is there."""
    return writes.applied(_path(author, name), _named(author, name))


def filling(author: Author, name: StatusName, status: Status) -> Request:
    """Return the write of an object's status."""
    body = _named(author, name) | {"status": _status(author, name, status)}
    return writes.applied(f"{_path(author, name)}/status", body)


def removal(author: Author, kind: StatusKind, called: str) -> Request:
    """Return the removal of an object by its metadata.name."""
    return Request(method="DELETE", path=f"{_folder(author, kind)}/{quote(called)}")


def _path(author: Author, name: StatusName) -> str:
    return f"{_folder(author, name.kind)}/{quote(object_name(author, name))}"


def _named(author: Author, name: StatusName) -> Body:
    metadata: Body = {
        "name": object_name(author, name),
        "namespace": author.namespace,
        "labels": _labels(author, name),
    }
    if author.uid:
        owner = {"apiVersion": "v1", "kind": "Node", "name": author.node, "uid": author.uid}
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": "metallb.io/v1beta1", "kind": str(name.kind), "metadata": metadata}


def _labels(author: Author, name: StatusName) -> Mapping[str, str]:
    if name.kind is StatusKind.CONFIGURATION:
        return author.reporter.labels
    node = {"metallb.io/node": label(author.node)}
    if name.kind is StatusKind.SESSION:
        return node | {"metallb.io/peer": label(name.about.name)}
    return node | _labels_of(name.about)


def _labels_of(service: ObjectName) -> dict[str, str]:
    return {_SERVICE_NAME: label(service.name), _SERVICE_NAMESPACE: label(service.namespace)}


def _status(author: Author, name: StatusName, status: Status) -> Body:
    service = {
        "node": author.node,
        "serviceName": name.about.name,
        "serviceNamespace": name.about.namespace,
    }
    match status:
        case ServiceBgpStatus(peers):
            return {**service, "peers": list(peers)}
        case ServiceL2Status(interfaces):
            return {**service, "interfaces": [{"name": each} for each in interfaces]}
        case SessionState():
            return {
                "node": author.node,
                "peer": name.about.name,
                "peerAddress": status.address,
                "vrf": status.vrf,
                "bgpStatus": "Established" if status.established else "Down",
                "bfdStatus": status.bfd,
                **({"since": status.since} if status.since else {}),
                "lastError": status.last_error,
            }
        case ConfigurationVerdict():
            writing = writes.configuration_state(author.namespace, author.reporter, status)[1]
            body: Body = (writing.body or {})["status"]
            return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a page of this node's objects says.

    Attributes:
        statuses: of objects that have the name that we would give them.
        surplus: names of all others.
        more: what `listing` needs for the next page; "" when this was the last.
    """

    statuses: Mapping[StatusName, Status] = field(default_factory=dict)
    surplus: tuple[str, ...] = ()
    more: str = ""


def found(author: Author, kind: StatusKind, body: Body) -> Found:
    """Read an answer to `listing`."""
    statuses: dict[StatusName, Status] = {}
    surplus: list[str] = []
    for item in body.get("items") or ():
        called = str(_mapping(item.get("metadata")).get("name", ""))
        name = _name_of(author, kind, _mapping(item.get("status")))
        if name is None or object_name(author, name) != called:
            surplus.append(called)
            continue
        status = _value(author, kind, item)
        if status is not None:
            statuses[name] = status
    more = str(_mapping(body.get("metadata")).get("continue") or "")
    return Found(statuses=statuses, surplus=tuple(surplus), more=more)


def others(author: Author, services: Collection[ObjectName], body: Body) -> Iterator[str]:
    """Yield the names of other nodes' objects of the Services in an answer to `of_others`."""
    kind = StatusKind.SERVICE_L2
    ours = {object_name(author, StatusName(kind, service)) for service in services}
    asked = [_labels_of(service).items() for service in services]
    for item in body.get("items") or ():
        metadata = _mapping(item.get("metadata"))
        called, labels = str(metadata.get("name", "")), _mapping(metadata.get("labels"))
        if called not in ours and any(each <= labels.items() for each in asked):
            yield called


def _name_of(author: Author, kind: StatusKind, status: Mapping[str, Any]) -> StatusName | None:
    if kind is StatusKind.CONFIGURATION:
        return StatusName(kind, ObjectName("", author.node))
    if kind is StatusKind.SESSION:
        peer = status.get("peer")
        return StatusName(kind, ObjectName(author.namespace, str(peer))) if peer else None
    namespace, service = status.get("serviceNamespace"), status.get("serviceName")
    if not namespace or not service:
        return None
    return StatusName(kind, ObjectName(str(namespace), str(service)))


def _value(author: Author, kind: StatusKind, item: Body) -> Status | None:
    status = _mapping(item.get("status"))
    match kind:
        case StatusKind.SERVICE_BGP:
            return ServiceBgpStatus(tuple(map(str, status.get("peers") or ())))
        case StatusKind.SERVICE_L2:
            rows = status.get("interfaces") or ()
            return ServiceL2Status(tuple(str(_mapping(row).get("name")) for row in rows))
        case StatusKind.SESSION:
            return SessionState(
                address=str(status.get("peerAddress", "")),
                vrf=str(status.get("vrf", "")),
                established=status.get("bgpStatus") == "Established",
                since=str(status.get("since", "")),
                last_error=str(status.get("lastError", "")),
                bfd=str(status.get("bfdStatus", "")),
            )
        case StatusKind.CONFIGURATION:
            return writes.state_of(item, author.reporter)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
