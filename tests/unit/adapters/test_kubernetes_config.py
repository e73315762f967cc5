"""The way to the API: each mistake in a kubeconfig has a line that says what would be right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exabgp_metallb.adapters.kubernetes import config
from exabgp_metallb.errors import SourceError

Config = dict[str, Any]

GOOD: Config = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
    "users": [{"name": "u", "user": {"token": "word"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def token(configuration: Any) -> str:  # noqa: ANN401 -- the kubernetes package has no types
    """Return what a request carries."""
    return str(configuration.auth_settings()["BearerToken"]["value"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a path for a kubeconfig."""
    return tmp_path / "kubeconfig"


def test_a_kubeconfig_is_read(path: Path) -> None:
    """Address and token of its current context."""
    path.write_text(json.dumps(GOOD))
    configuration = config.kubeconfig(path)
    assert configuration.host == "https://192.0.2.1:6443"
    assert token(configuration) == "Bearer word"


def test_another_context_may_be_chosen(path: Path) -> None:
    """And then the file needs no current one."""
    other = {"name": "y", "context": {"cluster": "c", "user": "u"}}
    path.write_text(json.dumps(GOOD | {"contexts": [other], "current-context": ""}))
    assert token(config.kubeconfig(path, context="y")) == "Bearer word"


def test_a_credential_plugin_is_run(path: Path, tmp_path: Path) -> None:
    """Its token counts."""
    plugin = tmp_path / "plugin"
    plugin.write_text(
        "#!/bin/sh\necho '"
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "from-plugin"}}'
        "'\n"
    )
    plugin.chmod(0o700)
    path.write_text(json.dumps(GOOD | {"users": [user(str(plugin))]}))
    assert token(config.kubeconfig(path)) == "Bearer from-plugin"


def user(plugin: str) -> Config:
    """Return a user that a plugin speaks for."""
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "args": []}
    return {"name": "u", "user": {"exec": run}}


def changed(**parts: object) -> Callable[[Path], object]:
    """Return a function that writes a kubeconfig with other parts."""
    text = json.dumps(GOOD | parts)
    return lambda path: path.write_text(text)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: path, "No such file or directory: name a file to read"),
    "a folder": (lambda path: path.mkdir(), "Is a directory: name a file to read"),
    "not YAML": (lambda path: path.write_text("a: b\n c: [\n"), "not YAML: line 2, column "),
    "no text": (lambda path: path.write_bytes(b"a: \xff"), "not YAML: "),
    "empty": (lambda path: path.write_text(""), "it holds no mapping: write a file of kind Config"),
    "a list": (lambda path: path.write_text("[]"), "it holds no mapping"),
    "too deep": (lambda path: path.write_text("[" * 10_000), "not YAML: "),
    "no current context": (changed(**{"current-context": None}), "no current-context: choose one"),
    "unknown context": (changed(**{"current-context": "z"}), "context 'z': "),
    "no contexts": (changed(contexts=None), "context 'x': "),
    "no cluster": (changed(clusters=[]), "context 'x': "),
    "clusters of another type": (changed(clusters=7), "context 'x': "),
    "no authority": (
        changed(
            clusters=[
                {
                    "name": "c",
                    "cluster": {"server": "https://h", "certificate-authority": "/nowhere/ca"},
                }
            ]
        ),
        "File does not exist: /nowhere/ca",
    ),
    "no token file": (changed(users=[{"name": "u", "user": {"tokenFile": "/nowhere"}}]), "nowhere"),
    "no plugin": (changed(users=[user("/nowhere/plugin")]), "/nowhere/plugin"),
    "a plugin that fails": (changed(users=[user("false")]), "exec: process returned 1"),
    "a plugin that says nothing": (changed(users=[user("true")]), "exec: failed to decode"),
}


@pytest.mark.parametrize(("write", "words"), CASES.values(), ids=CASES)
def test_a_mistake_is_named(path: Path, write: Callable[[Path], object], words: str) -> None:
    """The file comes first, then what is wrong."""
    write(path)
    with pytest.raises(SourceError) as caught:
        config.kubeconfig(path)
    assert str(caught.value).startswith(f"kubeconfig {path}: ")
    assert words in str(caught.value)


def test_a_pod_speaks_as_its_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Address from the environment, token and authority from the mounted files."""
    (tmp_path / "token").write_text("of-the-pod")
    (tmp_path / "ca.crt").write_text("authority")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for name, file in (("TOKEN", "token"), ("CERT", "ca.crt")):
        constant = f"kubernetes.config.incluster_config.SERVICE_{name}_FILENAME"
        monkeypatch.setattr(constant, str(tmp_path / file))
    configuration = config.in_cluster()
    assert configuration.host == "https://[fd00::1]:443"
    assert token(configuration) == "bearer of-the-pod"


def test_outside_a_pod_there_is_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to give instead."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SourceError, match="outside a pod give --kubeconfig or --manifests"):
        config.in_cluster()
