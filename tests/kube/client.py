"""The few verbs that tests use on the Kubernetes API: dicts in, dicts out, nothing modelled.

An object is the dict that the API itself speaks. Where one that exists is meant, any dict serves
that has its apiVersion, kind and metadata.name (and namespace): what `create` returned, or a
`reference`. Errors are the kubernetes package's ApiException, whose `status` is the HTTP code.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException, NotFoundException
from kubernetes.config import new_client_from_config

from tests.kube.discovery import MEDIA_TYPE, ROOTS, Kind, Resource, resources
from tests.kube.polling import wait_until

Object = dict[str, Any]

CONNECT_SECONDS = 60.0  # with the TLS handshake
SILENCE_SECONDS = 60.0  # a server that says nothing for so long is an error
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
APPLY_PATCH = "application/apply-patch+yaml"  # server-side apply; JSON is YAML
APPLY_QUERY = {"fieldManager": "tests", "force": "true"}

STARTING = (404, 429, 500, 503)  # what a server answers for a kind that it does not serve yet

LASTING = "default"
"""The namespace that outlives the tests; those that they make go with all that is in them."""


def reference(api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
    """Return just enough of an object to name it."""
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


class Client:
    """The API as one user sees it."""

    def __init__(self, kubeconfig: Path) -> None:
        """Speak as the current context of the kubeconfig says; nothing is sent yet."""
        self._api = new_client_from_config(config_file=str(kubeconfig), persist_config=False)
        self._resources: dict[Kind, Resource] = {}
        self._created: list[Object] = []

    def create(self, obj: Object) -> Object:
        """POST the object and return it as the API completed it."""
        resource, namespace, _ = self._locate(obj)
        answer = self.request("POST", resource.path(namespace), body=obj)
        return self._remember(answer, resource)

    def apply(self, obj: Object) -> Object:
        """Create the object or make it what is written, by server-side apply."""
        resource, namespace, name = self._locate(obj)
        return self._remember(self._apply(resource.path(namespace, name), obj), resource)

    def dry_run(self, obj: Object) -> Object:
        """Have the server do all of an apply but keep it; a field that it does not know is a 400.

        As `kubectl apply --server-side --dry-run=server --validate=strict`.
        """
        resource, namespace, name = self._locate(obj)
        query = {**APPLY_QUERY, "dryRun": "All", "fieldValidation": "Strict"}
        path = resource.path(namespace, name)
        return self.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)

    def replace(self, obj: Object, *, subresource: str = "") -> Object:
        """PUT a whole object; one with a resourceVersion must be the newest (else 409)."""
        resource, namespace, name = self._locate(obj)
        return self.request("PUT", resource.path(namespace, name, subresource), body=obj)

    def patch(self, obj: Object, change: Object, *, subresource: str = "") -> Object:
        """Merge `change` into the object: a list replaces the old one, None removes a field."""
        resource, namespace, name = self._locate(obj)
        path = resource.path(namespace, name, subresource)
        return self.request("PATCH", path, body=change, content_type=MERGE_PATCH)

    def delete(self, obj: Object) -> None:
        """DELETE the object; a namespace goes at once, with all that is in it.

        A CustomResourceDefinition is gone when this returns: what is applied before goes with it.
        """
        resource, namespace, name = self._locate(obj)
        answer = self.request("DELETE", resource.path(namespace, name))
        if resource.plural == "namespaces":
            # The rest is the namespace controller's work, and no such controller runs here.
            self._empty(name)
            answer["spec"]["finalizers"] = []
            self.request("PUT", resource.path(name=name, subresource="finalize"), body=answer)
        if resource.plural == "customresourcedefinitions":
            wait_until(partial(self._is_gone, obj), what=f"{name} to go")

    def get(self, obj: Object) -> Object:
        """GET the object as it is now."""
        resource, namespace, name = self._locate(obj)
        return self.request("GET", resource.path(namespace, name))

    def list(self, api_version: str, kind: str, namespace: str | None = None) -> Object:
        """GET the list: `items` and metadata.resourceVersion; None means all namespaces."""
        return self.request("GET", self._resource(api_version, kind).path(namespace))

    @contextmanager
    def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        timeout_seconds: int = 55,
    ) -> Iterator[Iterator[Object]]:
        """Watch a kind: the iterator yields events, and ends when the server ends the stream.

        Args:
            api_version: of the kind, like "v1".
            kind: what to watch.
            namespace: None means all of them.
            resource_version: the events after this one; "" begins with what exists, as ADDED.
            timeout_seconds: after this time, below SILENCE_SECONDS, the server ends the stream.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        response = self._send("GET", self._resource(api_version, kind).path(namespace), query=query)
        try:
            yield (json.loads(line) for line in response.response)
        finally:
            response.response.close()

    def install_crds(self, source: Path | Iterable[Object]) -> None:
        """Apply CustomResourceDefinitions and wait until the API serves all their versions.

        They outlive the test: `delete_created` leaves them.

        Args:
            source: the definitions, or a folder whose *.yaml files hold them (among others).
        """
        definitions = read_definitions(source) if isinstance(source, Path) else [*source]
        for definition in definitions:
            resource, _, name = self._locate(definition)
            self._apply(resource.path(name=name), definition)
        for definition in definitions:
            name = definition["metadata"]["name"]
            wait_until(partial(self._serves, definition), what=f"{name} to be served")

    def delete_created(self) -> None:
        """Delete what this client made and no namespace takes along, newest first."""
        while self._created:
            try:
                self.delete(self._created.pop())
            except NotFoundException:
                continue  # the test deleted it, or applied it twice

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = JSON,
    ) -> Object:
        """Send one request and return the JSON object of its answer.

        Raises:
            ApiException: the status was not 2xx.
        """
        headers = {"Content-Type": content_type}
        response = self._send(method, path, query=query, body=body, headers=headers)
        answer = json.loads(response.read())
        assert isinstance(answer, dict)
        return answer

    def text(self, path: str) -> str:
        """GET a path that answers in plain text, like /readyz or /metrics."""
        data: bytes = self._send("GET", path, headers={"Accept": "text/plain"}).read()
        return data.decode()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  the kubernetes package has no types
        """Send one request and return the package's response with its body unread."""
        method, url, sent, _, _ = self._api.param_serialize(
            method,
            path,
            query_params=[*(query or {}).items()],
            header_params={"Accept": JSON} | (headers or {}),
            auth_settings=["BearerToken"],
        )
        timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
        response = self._api.call_api(
            method, url, header_params=sent, body=body, _request_timeout=timeout
        )
        if not 200 <= response.status < 300:
            text = response.read().decode(errors="replace")
            raise ApiException.from_response(http_resp=response, body=text, data=None)
        return response

    def _apply(self, path: str, obj: Object) -> Object:
        query = APPLY_QUERY
        return self.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)

    def _remember(self, created: Object, resource: Resource) -> Object:
        if not resource.namespaced or created["metadata"].get("namespace") == LASTING:
            self._created.append(created)
        return created

    def _locate(self, obj: Object) -> tuple[Resource, str | None, str]:
        metadata = obj["metadata"]
        resource = self._resource(obj["apiVersion"], obj["kind"])
        return resource, metadata.get("namespace"), metadata.get("name", "")

    def _resource(self, api_version: str, kind: str) -> Resource:
        if (api_version, kind) not in self._resources:
            self._discover()
        return self._resources[api_version, kind]

    def _discover(self) -> None:
        answers = [self._send("GET", root, headers={"Accept": MEDIA_TYPE}) for root in ROOTS]
        self._resources = resources(
            group for answer in answers for group in json.loads(answer.read())["items"]
        )

    def _is_gone(self, obj: Object) -> bool:
        try:
            self.get(obj)
        except NotFoundException:
            return True
        return False

    def _empty(self, namespace: str) -> None:
        self._discover()
        for resource in self._resources.values():
            if resource.namespaced and "deletecollection" in resource.verbs:
                with suppress(NotFoundException):  # of a definition that is gone
                    self.request("DELETE", resource.path(namespace))

    def _serves(self, definition: Object) -> bool:
        """Tell whether each version of a CustomResourceDefinition is discovered and answers.

        For a moment the server may still convert by a webhook that is not in the definition any
        more, or refuse a kind whose storage it prepares.
        """
        spec = definition["spec"]
        served = [version["name"] for version in spec["versions"] if version["served"]]
        try:
            for version in served:
                self.list(f"{spec['group']}/{version}", spec["names"]["kind"])
        except KeyError:
            return False
        except ApiException as error:
            if error.status in STARTING:
                return False
            raise
        return True


def read_definitions(folder: Path) -> list[Object]:
    """Return the CustomResourceDefinitions in the folder's *.yaml files, in order of file name."""
    documents = (
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    )
    return [d for d in documents if d and d.get("kind") == "CustomResourceDefinition"]
