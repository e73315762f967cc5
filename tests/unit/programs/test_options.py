"""Options survive the way through ExaBGP's environment."""

import socket
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb import cli
from exabgp_metallb.cli.daemons import node_of
from exabgp_metallb.programs.options import Options, credential, default_state_dir, written

words = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,10}", fullmatch=True)
paths = st.builds(lambda name: Path("/srv") / name, words)
hosts = st.ip_addresses().map(str) | words


def speaker_options(environment: dict[str, str]) -> dict[str, object]:
    """Return what the command `speaker` takes from an environment, without other arguments."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        command = cli.commands.commands["speaker"]
        return command.make_context("speaker", [], parent=None).params


@given(
    st.builds(
        Options,
        node=words,
        namespace=words,
        lb_class=st.none() | words,
        manifests=st.none() | paths,
        kubeconfig=st.none() | paths,
        state_dir=paths,
        managed=st.booleans(),
        process=words,
        metrics=st.none() | st.tuples(hosts, st.integers(0, 65535)),
        drain_seconds=st.floats(0, 3600),
        bfd=st.sampled_from(["auto", "off", "/run/frr"]),
        ignore_exclude_lb=st.booleans(),
        service_bgp_status=st.sampled_from(["on", "off"]),
        log_level=st.sampled_from(["debug", "info", "warning", "error"]),
        log_format=st.sampled_from(["text", "json"]),
    )
)
def test_what_run_hands_on_is_what_the_speaker_takes(options: Options) -> None:
    """Every option has its twin, and none that is absent is taken from the user's shell."""
    assert Options(**speaker_options(options.environment())) == options  # type: ignore[arg-type]


def test_an_inherited_option_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig in the shell would stand beside the manifests of the command line."""
    monkeypatch.setenv("EXABGP_METALLB_KUBECONFIG", "/home/me/.kube/config")
    options = Options(
        node="n",
        namespace="s",
        lb_class=None,
        manifests=Path("relative"),
        kubeconfig=None,
        state_dir=Path("state"),
        managed=True,
        process="p",
    )
    taken = speaker_options(options.environment())
    assert taken["kubeconfig"] is None
    assert taken["manifests"] == Path.cwd() / "relative"


def test_defaults_suit_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's name, the API, and somebody else's exabgp.conf."""
    monkeypatch.delenv("EXABGP_METALLB_NODE", raising=False)
    taken = speaker_options({})
    assert taken["node"] == socket.gethostname()
    assert (taken["manifests"], taken["kubeconfig"], taken["managed"]) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7472", ("127.0.0.1", 7472)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:1", ("localhost", 1)),
        ("", None),
    ],
)
def test_metrics_addresses(text: str, expected: tuple[str, int] | None) -> None:
    """As they are written, so they are read."""
    assert speaker_options({"EXABGP_METALLB_METRICS": text})["metrics"] == expected
    assert expected is None or written(expected) == text


def test_brackets_around_any_address() -> None:
    """A manifest puts them around the node's address, of whichever family that is."""
    given = speaker_options({"EXABGP_METALLB_METRICS": "[192.0.2.1]:7473"})
    assert given["metrics"] == ("192.0.2.1", 7473)


@pytest.mark.parametrize("text", ["7472", ":7472", "::1:7472", "[::1]", "[]:1", "a:65536"])
def test_bad_metrics_addresses(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is refused with an example; below ExaBGP not at once, which is not tried here."""
    monkeypatch.setenv("EXABGP_METALLB_METRICS", text)
    with pytest.raises(click.UsageError, match=r"write ADDR:PORT, such as 127\.0\.0\.1:7472"):
        cli.commands.commands["run"].make_context("run", [])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"STATE_DIRECTORY": "/run/a:/run/b"}, "/run/a", id="systemd"),
        pytest.param(
            {"XDG_STATE_HOME": "/home/me/state"}, "/home/me/state/exabgp-metallb", id="xdg"
        ),
        pytest.param({"HOME": "/home/me"}, "/home/me/.local/state/exabgp-metallb", id="home"),
    ],
)
def test_state_directories(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit's own, else the user's."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert default_state_dir() == Path(expected)


def test_the_state_directory_of_nobody_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that systemd has made up, and no environment: preflight asks for it all the same."""
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    unknown = 61184  # the first of those that systemd gives out: systemd.exec(5)
    for name in ("geteuid", "getuid"):
        monkeypatch.setattr(f"os.{name}", lambda: unknown)
    assert default_state_dir() == Path("/.local/state/exabgp-metallb")


def test_the_state_directory_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_state_dir() == Path("/var/lib/exabgp-metallb")


def test_the_kubeconfig_of_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd's credential, where it has given one; not where a folder is followed."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert credential("kubeconfig") is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credential("kubeconfig") is None
    path = tmp_path / "kubeconfig"
    path.touch()
    given = speaker_options({"EXABGP_METALLB_STATE_DIR": str(tmp_path)})
    assert node_of(**given).kubeconfig == path
    given = speaker_options({"EXABGP_METALLB_MANIFESTS": str(tmp_path)})
    assert node_of(**given).kubeconfig is None
    given = speaker_options({"EXABGP_METALLB_KUBECONFIG": "/other"})
    assert node_of(**given).kubeconfig == Path("/other")
