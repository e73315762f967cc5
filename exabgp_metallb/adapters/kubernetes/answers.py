"""What the Kubernetes API's answers mean: bytes in, values or an error with advice out.

Two shapes of answer are read here, both JSON and neither ever made into a model:

- a page of a list: `{"metadata": {"resourceVersion", "continue"}, "items": [...]}`, whose items of
  built-in kinds name neither their kind nor their apiVersion;
- a watch: one object a line, `{"type": "ADDED", "object": {...}}`.

See https://kubernetes.io/docs/reference/using-api/api-concepts/ (Efficient detection of changes).
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from exabgp_metallb.adapters.kubernetes.kinds import Kind
from exabgp_metallb.errors import SourceError

Raw = dict[str, Any]

INITIAL_EVENTS_END = "k8s.io/initial-events-end"  # annotation of the bookmark that ends a list
LONGEST_TEXT = 300  # characters of an answer that is not Kubernetes' own, such as a proxy's page


class ApiError(SourceError):
    """The API did not give what was asked for.

    Attributes:
        status: the HTTP status; None when there was no answer, or one that cannot be read.
        retry_after_seconds: how long the server asks to be left alone.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_expired(self) -> bool:
        """Tell whether what we know is too old to go on from: list again (410 Gone)."""
        return self.status == HTTPStatus.GONE

    @property
    def may_be_outage(self) -> bool:
        """Tell whether the server may be away as a whole; a refusal is about what was asked."""
        if self.status is None or self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return True
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class LostError(ApiError):
    """The connection broke while an answer was read."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: list[Raw]  # with kind and apiVersion; whoever reads them may empty the list
    version: str  # resourceVersion of the whole list, the same on each of its pages
    rest: str  # the token that asks for the next page; "" on the last one


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    type: str  # ADDED, MODIFIED, DELETED or BOOKMARK
    object: Raw
    version: str  # where a later watch may go on; "" when the event does not say

    @property
    def ends_list(self) -> bool:
        """Tell whether all objects of a streamed list have been sent."""
        annotations = _mapping(_mapping(self.object.get("metadata")).get("annotations"))
        return self.type == "BOOKMARK" and annotations.get(INITIAL_EVENTS_END) == "true"


def page(kind: Kind, body: bytes) -> Page:
    """Read a page of a list.

    Raises:
        ApiError: this is no list; a proxy's page, for one.
    """
    answer = _object(f"list {kind.plural}", body)
    metadata, items = _mapping(answer.get("metadata")), answer.get("items")
    # An empty list may be null, as Go writes an empty slice.
    found = [item for item in (items or []) if isinstance(item, dict)]
    if "items" not in answer or not metadata.get("resourceVersion"):
        raise _unreadable(f"list {kind.plural}", body)
    for item in found:
        item.setdefault("kind", kind.name)
        item.setdefault("apiVersion", kind.api_version)
    return Page(found, str(metadata["resourceVersion"]), str(metadata.get("continue") or ""))


def watch_event(kind: Kind, line: bytes) -> WatchEvent:
    """Read a line of a watch.

    Raises:
        ApiError: the line cannot be read, or it is the server's ERROR event.
    """
    answer = _object(f"watch {kind.plural}", line)
    sort, found = answer.get("type"), answer.get("object")
    if not isinstance(sort, str) or not isinstance(found, dict):
        raise _unreadable(f"watch {kind.plural}", line)
    if sort == "ERROR":
        code = found.get("code")
        raise refusal(kind, "watch", code if isinstance(code, int) else 500, _text(found))
    version = _mapping(found.get("metadata")).get("resourceVersion")
    return WatchEvent(sort, found, str(version or ""))


def refusal(
    kind: Kind, verb: str, status: int, text: str, *, retry_after_seconds: float = 0.0
) -> ApiError:
    """Return the error for an answer other than 200, with what would be right.

    Args:
        kind: what was asked for.
        verb: `list` or `watch`, as RBAC knows them.
        status: the HTTP status, or the code of an ERROR event.
        text: what the server said; see `status_text`.
        retry_after_seconds: from the header Retry-After.
    """
    advice = _ADVICE.get(status, _any_refusal)(kind, status, text)
    message = f"{verb} {kind.plural}: {advice}"
    return ApiError(message, status=status, retry_after_seconds=retry_after_seconds)


def status_text(body: bytes) -> str:
    """Return the words of an error's body: the message of a Status object, else its beginning."""
    try:
        return _text(_object("", body))
    except ApiError:
        return " ".join(body[:LONGEST_TEXT].decode(errors="replace").split())


def _forbidden(kind: Kind, _status: int, text: str) -> str:
    reason = text.removeprefix(f"{kind.resource} is forbidden: ")
    user = re.search(r'User "([^"]+)"', text)
    by = "a Role in the install namespace" if kind.local else "a ClusterRole"
    whom = user[1] if user else "the account that is used"
    return f"forbidden: {reason}: grant list and watch on {kind.resource} by {by} to {whom}"


def _unauthorized(_kind: Kind, _status: int, text: str) -> str:
    return f"the API does not know who asks ({text}): renew the token or the client certificate"


def _not_found(kind: Kind, _status: int, _text: str) -> str:
    if kind.is_custom:
        return (
            f"the CRD {kind.resource} is not installed, or does not serve {kind.version}: "
            "install this program's CRDs"
        )
    return (
        f"the API does not serve {kind.api_version}: Kubernetes 1.21 or later is needed, "
        "and the server's own address"
    )


def _any_refusal(_kind: Kind, status: int, text: str) -> str:
    return f"the API answers {status}{f': {text}' if text else ''}"


_ADVICE: dict[int, Callable[[Kind, int, str], str]] = {
    HTTPStatus.UNAUTHORIZED: _unauthorized,
    HTTPStatus.FORBIDDEN: _forbidden,
    HTTPStatus.NOT_FOUND: _not_found,
}


def _object(what: str, body: bytes) -> Raw:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise _unreadable(what, body) from error
    if not isinstance(answer, dict):
        raise _unreadable(what, body)
    return answer


def _unreadable(what: str, body: bytes) -> ApiError:
    begin = " ".join(body[:LONGEST_TEXT].decode(errors="replace").split())
    return ApiError(
        f"{what}: the answer is not Kubernetes' JSON: {begin!r}: is a proxy between, "
        "or another server at this address?"
    )


def _mapping(value: object) -> Raw:
    return value if isinstance(value, dict) else {}


def _text(status: Raw) -> str:
    return str(status.get("message") or status.get("reason") or "")
