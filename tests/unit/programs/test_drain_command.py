"""`exabgp-metallb drain` and `status`, as processes would call them."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result

from exabgp_metallb.adapters.control import ControlServer, Message
from exabgp_metallb.cli import commands
from exabgp_metallb.programs import drain_command
from exabgp_metallb.programs.options import SOCKET_NAME

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]
clusters: [{{name: lab, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: lab, user: {{token: t}}}}]
"""
DRAIN = {"phase": "worse", "goal": "drained", "forSeconds": 1, "askedBy": [], "drainSeconds": 5}
STATUS = {"node": "n", "exabgp": "5", "managed": True, "sessions": [], "drain": DRAIN}


def run(*words: str) -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(commands, words)


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Callable[[Message], list[Message]]]:
    """Return what lets a speaker answer every request so; it returns what will have been asked."""
    servers = []

    def start(answer: Message) -> list[Message]:
        asked: list[Message] = []

        def note(request: Message) -> Message:
            asked.append(request)
            return answer

        server = ControlServer(tmp_path / SOCKET_NAME, note)
        server.start()
        servers.append(server)
        return asked

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("words", "request_", "answer", "said"),
    [
        ((), {"do": "drain", "wait": False}, {"drain": DRAIN}, "to be drained\n"),
        (
            ("--seconds", "7", "--wait"),
            {"do": "drain", "wait": True, "seconds": 7.0},
            {"phase": "drained", "reached": True},
            "drained\n",
        ),
        (
            ("--undo", "--wait"),
            {"do": "undrain", "wait": True},
            {"phase": "serving", "reached": True},
            "serving\n",
        ),
    ],
)
def test_the_node_of_this_machine(
    words: tuple[str, ...],
    request_: Message,
    answer: Message,
    said: str,
    speaker: Callable[[Message], list[Message]],
    tmp_path: Path,
) -> None:
    """What is asked of its speaker, and what is said of the answer."""
    asked = speaker(answer)
    done = run("drain", "--local", "--state-dir", str(tmp_path), *words)
    assert (done.exit_code, done.output, asked) == (0, said, [request_])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "the speaker has been busy for 30 s"}, "busy for 30 s"),
        ({"phase": "serving", "reached": False}, "asked for meanwhile: the node is serving"),
    ],
)
def test_a_drain_that_does_not_come_to_pass(
    answer: Message, said: str, speaker: Callable[[Message], list[Message]], tmp_path: Path
) -> None:
    """Status 2 and why."""
    speaker(answer)
    done = run("drain", "--local", "--wait", "--state-dir", str(tmp_path))
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="neither"),
        pytest.param(("node1", "--local"), id="both"),
        pytest.param(("node1", "--undo", "--wait"), id="waiting for what nobody tells"),
        pytest.param(("node1", "--seconds", "3"), id="seconds of another machine"),
        pytest.param(("--local", "--seconds", "-1"), id="less than no time"),
    ],
)
def test_wrong_calls(words: tuple[str, ...]) -> None:
    """They are told before anything is asked."""
    done = run("drain", *words)
    assert done.exit_code == 2
    assert "Usage: " in done.output


@pytest.mark.parametrize("command", [("drain", "--local"), ("status",)])
def test_no_speaker(command: tuple[str, ...], tmp_path: Path) -> None:
    """Which socket was tried, and what to look at."""
    done = run(*command, "--state-dir", str(tmp_path))
    assert done.exit_code == 2
    assert f"{tmp_path}/{SOCKET_NAME}: No such file or directory: no speaker" in done.output


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_status_has_an_exit_code(
    healthy: bool,  # noqa: FBT001 -- a column
    code: int,
    form: str,
    speaker: Callable[[Message], list[Message]],
    tmp_path: Path,
) -> None:
    """For scripts; in all forms."""
    asked = speaker(STATUS | {"healthy": healthy, "problems": [] if healthy else ["x"]})
    done = run("status", "-o", form, "--state-dir", str(tmp_path))
    assert (done.exit_code, asked) == (code, [{"do": "status"}])
    if form == "json":
        assert json.loads(done.output)["healthy"] == healthy


def test_a_status_that_the_speaker_cannot_tell(
    speaker: Callable[[Message], list[Message]], tmp_path: Path
) -> None:
    """It is busy: nobody knows whether all is well."""
    speaker({"error": "the speaker has been busy for 30 s"})
    done = run("status", "--state-dir", str(tmp_path))
    assert (done.exit_code, done.output) == (2, "Error: the speaker has been busy for 30 s\n")


class Api(ThreadingHTTPServer):
    """A Kubernetes API that takes one kind of request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, str, object]] = []
        self.status = 200
        self.told = {"servicebgpstatuses": 2, "servicel2statuses": 1}  # how often there are any


class _Handler(BaseHTTPRequestHandler):
    def do_PATCH(self) -> None:
        """Take a write."""
        api = self.server
        assert isinstance(api, Api)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = str(self.headers["Content-Type"])
        api.asked.append((self.path, kind, str(self.headers["Authorization"]), body))
        answer = json.dumps({"kind": "Status", "message": "they said no"}).encode()
        self.send_response(api.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        """List the status objects of a node."""
        api = self.server
        assert isinstance(api, Api)
        path, _, query = self.path.partition("?")
        assert "labelSelector=metallb.io%2Fnode%3Dnode1" in query
        kind = path.removeprefix("/apis/metallb.io/v1beta1/namespaces/metallb-system/")
        left = min(1, api.told[kind])
        api.told[kind] -= left
        answer = json.dumps({"items": [{}] * left}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        """Stay quiet."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """Return an API, and have a kubeconfig for it."""
    with Api() as api:
        Thread(target=api.serve_forever).start()
        (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(port=api.server_port))
        yield api
        api.shutdown()


@pytest.mark.parametrize(("words", "value"), [((), "true"), (("--undo",), None)])
def test_a_node_of_a_cluster(
    words: tuple[str, ...],
    value: str | None,
    api: Api,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The annotation alone is written, by the user's own rights; KUBECONFIG is read as usual."""
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{tmp_path / 'kubeconfig'}")
    done = run("drain", "node1", *words)
    assert done.exit_code == 0, done.output
    body = {"metadata": {"annotations": {"exabgp-metallb.io/drain": value}}}
    merge = "application/merge-patch+json"
    assert api.asked == [("/api/v1/nodes/node1", merge, "Bearer t", body)]


def test_a_node_of_a_cluster_is_waited_for(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has taken back all that it told of the Services that it announces."""
    monkeypatch.setattr(drain_command, "LOOK_SECONDS", 0.0)
    done = run("drain", "node1", "--wait", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert (done.exit_code, done.output) == (0, "node node1: drained\n")
    assert set(api.told.values()) == {0}


def test_a_node_that_tells_of_no_service(api: Api, tmp_path: Path) -> None:
    """Whether it announces none, or was told to write no such objects, is not known here."""
    api.told = dict.fromkeys(api.told, 0)
    done = run("drain", "node1", "--wait", "--kubeconfig", str(tmp_path / "kubeconfig"))
    said = "node node1: to be drained; no status object says that it announces a Service\n"
    assert (done.exit_code, done.output) == (0, said)
    assert len(api.asked) == 1


def test_a_node_that_does_not_drain(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for for ever."""
    api.told = dict.fromkeys(api.told, 2)
    monkeypatch.setattr(drain_command, "LONGEST_WAIT_SECONDS", 0.0)
    done = run("drain", "node1", "--wait", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert done.exit_code == 2
    told = "node node1 still has 1 ServiceBGPStatus objects and 1 ServiceL2Status objects"
    assert told in done.output


@pytest.mark.parametrize(
    ("status", "said"), [(404, "no Node is named node1"), (403, "they said no")]
)
def test_a_cluster_that_refuses(status: int, said: str, api: Api, tmp_path: Path) -> None:
    """Status 2 and why."""
    api.status = status
    done = run("drain", "node1", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert done.exit_code == 2
    assert said in done.output
