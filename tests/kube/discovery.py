"""Where the API keeps the objects of each kind, by its own word (aggregated discovery)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

ROOTS = ("/api", "/apis")
MEDIA_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Kind = tuple[str, str]  # apiVersion and kind, as an object has them


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """The URL side of a kind."""

    group: str  # "" for the core group
    version: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """Group and version as objects write them: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """Return the path of one object, or of all of the kind when there is no name."""
        root = ["apis", self.group] if self.group else ["api"]
        within = ["namespaces", namespace] if self.namespaced and namespace else []
        words = [*root, self.version, *within, self.plural, name, subresource]
        return "/" + "/".join(quote(word) for word in words if word)


def resources(groups: Iterable[dict[str, Any]]) -> dict[Kind, Resource]:
    """Return what the items of an APIGroupDiscoveryList serve."""
    return {
        (resource.api_version, kind): resource
        for group in groups
        for version in group["versions"]
        for kind, resource in _of(group["metadata"].get("name", ""), version)
    }


def _of(group: str, version: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    for found in version.get("resources", ()):
        yield (
            found["responseKind"]["kind"],
            Resource(
                group=group,
                version=version["version"],
                plural=found["resource"],
                namespaced=found["scope"] == "Namespaced",
                verbs=frozenset(found["verbs"]),
            ),
        )
