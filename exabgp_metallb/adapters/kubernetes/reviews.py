"""What the Kubernetes API says of itself and of us: our rights, and the definitions that it serves.

Nobody needs rights for these questions: Kubernetes' own roles system:basic-user and
system:discovery have them for every account.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.connection import Connection
from exabgp_metallb.adapters.kubernetes.writes import Body, Request, send

ANSWER_SECONDS = 30.0
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Right:
    """One verb on one resource, as RBAC knows it.

    Attributes:
        group: of the API; "" for the core group.
        resource: in the plural, with its subresource after a slash.
        name: of the only object; "" for all of them.
        everywhere: in all namespaces, and not in the install namespace alone.
    """

    verb: str
    resource: str
    group: str = ""
    name: str = ""
    everywhere: bool = False

    def __str__(self) -> str:
        """Return it as a person says it: `list services`, `get leases.coordination.k8s.io x`."""
        resource, _, subresource = self.resource.partition("/")
        qualified = f"{resource}.{self.group}" if self.group else resource
        words = (self.verb, f"{qualified}/{subresource}" if subresource else qualified, self.name)
        return " ".join(word for word in words if word)


def may(connection: Connection, right: Right, namespace: str) -> bool:
    """Tell whether we have a right (SelfSubjectAccessReview).

    Args:
        connection: to the API.
        right: what is asked about.
        namespace: the install namespace.

    Raises:
        ApiError: there is no answer.
    """
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": "" if right.everywhere else namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    request = Request(method="POST", path=ACCESS_REVIEWS, body=body)
    status = _mapping(send(connection, request, seconds=ANSWER_SECONDS).get("status"))
    return status.get("allowed") is True


def served_fields(connection: Connection, group: str, version: str) -> Mapping[str, frozenset[str]]:
    """Return the fields of each kind of a group, like `spec.addresses`; items of a list as itself.

    Raises:
        ApiError: there is no answer.
    """
    document = found(connection, f"/openapi/v3/apis/{group}/{version}")
    if document is None:
        return {}
    schemas = _mapping(_mapping(document.get("components")).get("schemas"))
    return {
        str(named["kind"]): frozenset(_fields(schema))
        for schema in map(_mapping, schemas.values())
        for named in schema.get("x-kubernetes-group-version-kind", ())
        if named.get("group") == group and named.get("version") == version
    }


def found(connection: Connection, path: str) -> Body | None:
    """GET an object; None where there is none.

    Raises:
        ApiError: there is no answer, or we may not see it.
    """
    try:
        return send(connection, Request(method="GET", path=path), seconds=ANSWER_SECONDS)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in _mapping(schema.get("properties")).items():
        path = f"{prefix}{name}"
        yield path
        yield from _fields(field, f"{path}.")
        yield from _fields(_mapping(field.get("items")), f"{path}.")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
