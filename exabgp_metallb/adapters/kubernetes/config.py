"""How to reach the Kubernetes API and who we are there: a kubeconfig file, or the pod's account.

The work is the kubernetes package's; this module checks first what it would trip over, so that each
mistake has one line that says what would be right. The package is imported when it is needed: it
costs some 30 MiB and a quarter of a second, and whoever reads manifests never needs it.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from exabgp_metallb.errors import SourceError

Configuration = Any
"""kubernetes.client.Configuration; the package ships no types."""

Load = Callable[[], Configuration]
"""Reads the configuration anew; raises SourceError."""


def in_cluster() -> Configuration:
    """Read the configuration of the pod's own ServiceAccount.

    Its token file is read again each minute, since the kubelet replaces it.

    Raises:
        SourceError: this is no pod, or one without a mounted token.
    """
    from kubernetes import client, config  # noqa: PLC0415 -- see the module's docstring

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise SourceError(
            f"the pod's own account: {error}: outside a pod give --kubeconfig or --manifests; "
            "in one, automountServiceAccountToken must not be false"
        ) from error
    return configuration


def kubeconfig(path: str | Path, *, context: str | None = None) -> Configuration:
    """Read a kubeconfig file.

    Args:
        path: of the file; `~` is the home.
        context: a name in it; None is its current-context.

    Raises:
        SourceError: the file cannot be read, or lacks something.
    """
    from kubernetes import client, config  # noqa: PLC0415 -- see the module's docstring

    path = Path(path).expanduser()
    content = _content(path)
    chosen = context or _current_context(path, content)
    configuration = client.Configuration()
    # The package lets whatever it trips over in the file's contents come out.
    faults = (config.ConfigException, OSError, ValueError, TypeError, AttributeError, KeyError)
    with _errors_logged() as said:
        try:
            config.load_kube_config(
                config_file=str(path),
                context=chosen,
                client_configuration=configuration,
                persist_config=False,  # a daemon writes into nobody's kubeconfig
            )
        except faults as error:
            raise SourceError(f"kubeconfig {path}: context {chosen!r}: {error}") from error
    if said:  # a credential plugin that fails is no error to the package: it goes on as anonymous
        raise SourceError(f"kubeconfig {path}: context {chosen!r}: {'; '.join(said)}")
    return configuration


def usual(path: Path | None) -> Load:
    """Return how a person's command reaches a cluster: by a file, as kubectl would, or as a pod.

    Args:
        path: of a kubeconfig; None takes the first file that kubectl would read.
    """
    if path is None:
        named = [word for word in os.environ.get("KUBECONFIG", "").split(os.pathsep) if word]
        paths = [Path(word) for word in named] or [Path.home() / ".kube" / "config"]
        path = next((each for each in paths if each.exists()), None)
    return in_cluster if path is None else partial(kubeconfig, path)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise SourceError(f"kubeconfig {path}: {error.strerror}: name a file to read") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceError(f"kubeconfig {path}: not YAML: {_place(error)}") from error
    if not isinstance(content, dict):
        raise SourceError(f"kubeconfig {path}: it holds no mapping: write a file of kind Config")
    return content


def _current_context(path: Path, content: dict[str, Any]) -> str:
    chosen = content.get("current-context")
    if not isinstance(chosen, str) or not chosen:
        raise SourceError(
            f"kubeconfig {path}: it has no current-context: "
            "choose one with `kubectl config use-context NAME`"
        )
    return chosen


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + str(getattr(error, "problem", None) or error)


@contextmanager
def _errors_logged() -> Iterator[list[str]]:
    """Collect what the kubernetes package logs as an error instead of raising it."""
    said: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.module == "kube_config":
                said.append(record.getMessage())

    root, collector = logging.getLogger(), Collector(level=logging.ERROR)
    root.addHandler(collector)
    try:
        yield said
    finally:
        root.removeHandler(collector)
