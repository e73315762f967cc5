"""What preflight sees on a machine, and that its tables are those of the manifests that we ship."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exabgp_metallb.adapters.kubernetes.reviews import Right
from exabgp_metallb.adapters.unix import listen
from exabgp_metallb.programs import preflight
from exabgp_metallb.programs.options import Options
from exabgp_metallb.programs.preflight import Check, Finding, Result, Role, machine_checks
from exabgp_metallb.programs.preflight_cluster import FIELDS, cluster_checks, rights
from exabgp_metallb.programs.run import LOCK_NAME

ETC = Path(__file__).parents[3] / "etc" / "kubernetes"


def options(state_dir: Path, **settings: Any) -> Options:  # noqa: ANN401 -- as Options names them
    """Return options of an agent."""
    usual = {"node": "node1", "namespace": "metallb-system", "lb_class": None, "manifests": None}
    rest = {"kubeconfig": None, "managed": True, "process": "exabgp-metallb"}
    return Options(**{**usual, **rest, "state_dir": state_dir, **settings})


def one(findings: Iterator[Finding]) -> Finding:
    """Return the only finding."""
    (finding,) = findings
    return finding


def error(findings: Iterator[Finding]) -> str:
    """Return what the only finding, an error, says, with its remedy."""
    finding = one(findings)
    assert finding.result is Result.ERROR
    assert finding.remedy
    return f"{finding.message}: {finding.remedy}"


@pytest.fixture
def busy() -> Iterator[int]:
    """Return a port that is listened on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> Iterator[int]:
    """Return a port that nobody listens on, and nobody can until the end of the test."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(("uid", "gid"), [(10001, 0), (0, 10001)])
def test_user_that_exabgp_refuses(
    uid: int, gid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a root is no user that ExaBGP can become."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: gid)
    assert f"user {uid} with group {gid}: give both" in error(preflight.user(options(tmp_path)))


def test_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as any number."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "getegid", lambda: 54321)
    assert one(preflight.user(options(tmp_path))).result is Result.OK


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "mount a volume"),
        (errno.EACCES, f"chown {os.geteuid()}:{os.getegid()}"),
        (errno.ENOSPC, "make room"),
        (errno.EIO, "set --state-dir"),
    ],
)
def test_state_that_cannot_be_written(
    number: int, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reason has its own remedy."""

    def refuse(**_settings: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    told = error(preflight.state(options(tmp_path)))
    assert f"{tmp_path}: {os.strerror(number)}: " in told
    assert remedy in told


def test_state_that_is_made(tmp_path: Path) -> None:
    """A folder that is missing is no fault, one that is a file is."""
    assert one(preflight.state(options(tmp_path / "a" / "b"))).result is Result.OK
    assert [*(tmp_path / "a" / "b").iterdir()] == []
    file = tmp_path / "file"
    file.touch()
    assert "set --state-dir" in error(preflight.state(options(file)))


def test_metrics(busy: int, tmp_path: Path) -> None:
    """A taken port is the sign of another agent; an address may be another machine's."""
    taken = preflight.metrics(options(tmp_path, metrics=("127.0.0.1", busy)))
    assert "another agent of this node" in error(taken)
    foreign = preflight.metrics(options(tmp_path, metrics=("192.0.2.1", 7473)))
    assert "this machine has no such address" in error(foreign)
    assert one(preflight.metrics(options(tmp_path, metrics=("::1", 0)))).result is Result.OK
    assert one(preflight.metrics(options(tmp_path))).result is Result.SKIPPED


def test_a_second_agent_by_its_lock(tmp_path: Path) -> None:
    """A lock file that nobody holds is what an agent leaves when it ends."""
    path = tmp_path / LOCK_NAME
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert str(path) in error(preflight.agents(options(tmp_path)))
    assert one(preflight.agents(options(tmp_path))).result is Result.OK


@pytest.mark.parametrize("name", ["speaker.sock", "orders.sock"])
def test_a_second_agent_by_its_socket(name: str, tmp_path: Path) -> None:
    """A socket that nobody listens at is what an agent leaves when it is killed."""
    with listen(tmp_path / name):
        assert str(tmp_path / name) in error(preflight.agents(options(tmp_path)))
    assert (tmp_path / name).exists()
    assert one(preflight.agents(options(tmp_path))).result is Result.OK


def test_metallbs_speaker(busy: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the way, unless the Services that are ours have a class."""
    monkeypatch.setattr(preflight, "MEMBERLIST_PORT", busy)
    assert "docs/migrating.md" in error(preflight.metallb(options(tmp_path)))
    ours = preflight.metallb(options(tmp_path, lb_class="example.com/lb"))
    assert one(ours).result is Result.OK


def test_a_port_that_a_connection_uses_is_not_listened_on(busy: int) -> None:
    """The kernel's table has both, by their state."""
    with socket.create_connection(("127.0.0.1", busy)) as stream:
        ports = preflight.listening(path.read_text() for path in preflight.TCP_TABLES)
        assert busy in ports
        assert stream.getsockname()[1] not in ports


def test_port_of_somebodys_own_exabgp(
    busy: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ExaBGP listens only where it is told to."""
    assert one(preflight.port(options(tmp_path))).result is Result.OK
    monkeypatch.setenv("exabgp_tcp_bind", "127.0.0.1")
    monkeypatch.setenv("exabgp_tcp_port", str(busy))
    assert "the other BGP speaker" in error(preflight.port(options(tmp_path)))
    monkeypatch.setenv("exabgp_tcp_port", "0")
    assert one(preflight.port(options(tmp_path))).result is Result.OK


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run preflight as a unit does."""
    words = [sys.executable, "-m", "exabgp_metallb", "preflight", *arguments]
    as_nobody = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
    if os.geteuid() == 0:
        words = [*as_nobody, *words]
    clean = {name: value for name, value in os.environ.items() if "EXABGP" not in name.upper()}
    return subprocess.run(words, check=False, capture_output=True, text=True, env=clean)


def test_no_capability(tmp_path: Path) -> None:
    """A responder without CAP_NET_RAW is not started; a person who asks for JSON gets it."""
    done = command("responder", "--state-dir", str(tmp_path), "-o", "json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    wrong = [each for each in document["findings"] if each["result"] == "error"]
    assert document["healthy"] is False
    assert [each["check"] for each in wrong] == ["capability"]
    assert "AmbientCapabilities=" in wrong[0]["remedy"]


def test_what_is_skipped_is_no_fault(tmp_path: Path) -> None:
    """Tables for people, with a verdict; a check that is not there is a wrong call."""
    arguments = ("responder", "--state-dir", str(tmp_path), "--skip")
    done = command(*arguments, "capability")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Ready.\n")
    wrong = command(*arguments, "capabilities")
    assert wrong.returncode == 2
    assert "write any of state, metrics, capability" in wrong.stderr


def test_without_a_cluster(tmp_path: Path) -> None:
    """Those who follow a folder need no API; who names a kubeconfig that is not there does."""
    agent = options(tmp_path, manifests=tmp_path)
    found = preflight.preflight(cluster_checks(Role.RUN), agent)
    assert {each["result"] for each in _findings(found)} == {"skipped"}
    assert found["healthy"] is True
    nowhere = options(tmp_path, kubeconfig=tmp_path / "missing")
    found = preflight.preflight(cluster_checks(Role.RUN), nowhere)
    assert [each["check"] for each in _findings(found) if each["result"] == "error"] == ["api"]


def test_an_api_that_is_away_does_not_stop_a_start(closed: int, tmp_path: Path) -> None:
    """A node that comes up while the API is down announces what is kept on its disk."""
    user: dict[str, Any] = {"name": "u", "user": {}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{closed}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [user],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    agent = options(tmp_path, kubeconfig=tmp_path / "kubeconfig")
    found = preflight.preflight(cluster_checks(Role.RUN), agent)
    api, *others = _findings(found)
    assert (api["check"], api["result"]) == ("api", "warning")
    assert "cannot be reached" in api["message"]
    assert {each["result"] for each in others} == {"skipped"}
    assert found["healthy"] is True


def _findings(document: Mapping[str, Any]) -> list[dict[str, str]]:
    return [*document["findings"]]


@pytest.mark.parametrize("role", Role)
def test_every_check_has_a_name_of_its_own(role: Role, tmp_path: Path) -> None:
    """So that each can be skipped; one that is skipped is not made."""
    checks: dict[str, Check] = {**machine_checks(role), **cluster_checks(role)}
    assert len(checks) == len(machine_checks(role)) + len(cluster_checks(role))
    found = preflight.preflight(checks, options(tmp_path / "never made"), skip=checks)
    assert {each["result"] for each in _findings(found)} == {"skipped"}
    assert not (tmp_path / "never made").exists()


@pytest.mark.parametrize("role", [Role.CONTROLLER, Role.RUN])
def test_rights_are_those_that_we_ship(role: Role) -> None:
    """Nothing that preflight asks for is missing from our rules, and nothing is in them besides."""
    name = "controller" if role is Role.CONTROLLER else "speaker"
    documents = yaml.safe_load_all((ETC / "rbac" / f"{name}.yaml").read_text())
    assert rights(role) == frozenset(
        Right(
            verb=verb,
            group=group,
            resource=resource,
            name=only,
            everywhere=document["kind"] == "ClusterRole",
        )
        for document in documents
        for rule in document.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for only in rule.get("resourceNames", [""])
    )


def test_fields_are_those_that_we_ship() -> None:
    """But for the insides of selectors and lists; BGPPeer's v1beta1 is the same as its v1beta2."""
    shipped = {}
    for path in sorted((ETC / "crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())
        if definition["kind"] != "CustomResourceDefinition":
            continue
        kind = definition["spec"]["names"]["kind"]
        for version in definition["spec"]["versions"]:
            schema = version["schema"]["openAPIV3Schema"]["properties"]
            found = [_fields(part, schema.get(part, {})) for part in ("spec", "status")]
            shipped[version["name"], kind] = set().union(*found)
    wanted = {key: {*words.split()} for key, words in FIELDS.items()}
    del shipped["v1beta1", "BGPPeer"]
    assert wanted == shipped


def _fields(prefix: str, schema: Mapping[str, Any]) -> set[str]:
    """Return the fields of a schema, and those of serviceAllocation, which has parts of its own."""
    found = {f"{prefix}.{name}" for name in schema.get("properties", {})}
    inner = schema.get("properties", {}).get("serviceAllocation")
    return found | (_fields(f"{prefix}.serviceAllocation", inner) if inner else set())


def test_capabilities_of_this_process() -> None:
    """The kernel's own word: nobody has capability 63, which is none."""
    assert preflight.lacking_capabilities({"none": 63}) == ("none",)
    assert preflight.lacking_capabilities({}) == ()
    if os.geteuid() == 0:
        assert preflight.lacking_capabilities({"CAP_CHOWN": 0}) == ()
