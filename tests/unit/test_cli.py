"""The command line as a process: exit codes, forms of output, and input that means harm."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exabgp_metallb import __version__
from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.cli import commands

EXAMPLES = Path(__file__).parents[2] / "etc" / "examples"
EDGEROUTER = str(EXAMPLES / "edgerouter")
GUIDE = str(EXAMPLES / "metallb-guide")
PROGRAM = [sys.executable, "-m", "exabgp_metallb"]

BAD_PEER = """
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: bad, namespace: metallb-system}
spec: {myASN: 0, peerASN: 64512, peerAddress: 198.51.100.1}
"""


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    """Run the program in this process."""
    return CliRunner().invoke(commands, arguments, input=stdin)


def call(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program as its users do."""
    return subprocess.run(
        [*PROGRAM, *arguments], input=stdin, capture_output=True, check=False, text=True
    )


def is_plain(text: str) -> bool:
    """Tell whether a text holds no control character but the end of lines."""
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("command", ["plan", "check"])
def test_valid_is_0(command: str) -> None:
    """A valid configuration."""
    done = call(command, "-f", EDGEROUTER)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Valid" in done.stdout


@pytest.mark.parametrize("command", ["plan", "check"])
@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_rejected_is_1(command: str, form: str) -> None:
    """An object at fault, whatever the form of the output."""
    done = call(command, "-f", "-", "-o", form, stdin=BAD_PEER)
    assert (done.returncode, done.stderr) == (1, "")
    assert "BGPPeer/metallb-system/bad" in done.stdout
    assert "spec.myASN" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["plan"], "Missing option '-f'", id="no file"),
        pytest.param(["plan", "-f", "/nowhere"], "/nowhere", id="no such file"),
        pytest.param(["plan", "-f", EDGEROUTER, "-o", "xml"], "'xml' is not one of", id="form"),
        pytest.param(["plan", "-f", EDGEROUTER, "--node", "pico-9"], "pico-9", id="node"),
        pytest.param(["plan", "-f", EDGEROUTER, "--down", "pico-9"], "pico-9", id="down"),
        pytest.param(["plan", "-f", EDGEROUTER, "--drain", "pico-9"], "pico-9", id="drain"),
        pytest.param(["render", "pico-9", "-f", EDGEROUTER], "pico-9", id="rendered node"),
        pytest.param(["render", "-f", EDGEROUTER], "Missing argument 'NODE'", id="no node"),
        pytest.param(["pplan"], "No such command", id="command"),
        pytest.param(["completion", "csh"], "'csh' is not one of", id="shell"),
    ],
)
def test_a_wrong_call_is_2(arguments: list[str], words: str) -> None:
    """With one message on standard error, and nothing on standard output."""
    done = call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_json_and_yaml_are_the_same_document() -> None:
    """Two forms of one plan."""
    as_json = run("plan", "-f", GUIDE, "-o", "json")
    as_yaml = run("plan", "-f", GUIDE, "-o", "yaml")
    assert json.loads(as_json.stdout) == yaml.safe_load(as_yaml.stdout)


def test_options_may_stand_in_the_environment() -> None:
    """Each common option has a twin."""
    twins = {"EXABGP_METALLB_NAMESPACE": "elsewhere", "EXABGP_METALLB_LB_CLASS": "example.com/x"}
    done = CliRunner(env=twins).invoke(commands, ["plan", "-f", GUIDE, "-o", "json"])
    document = json.loads(done.stdout)
    assert document["services"] == []
    assert document["nodes"]["node-1"]["sessions"] == []


def test_nodes_may_be_named_more_than_once() -> None:
    """Each of --node, --down and --drain."""
    pair = [
        "--down",
        "pico-201",
        "--down",
        "pico-202",
        "--drain",
        "pico-203",
        "--drain",
        "pico-205",
    ]
    done = run("plan", "-f", EDGEROUTER, "-o", "json", *pair)
    nodes = json.loads(done.stdout)["nodes"]
    assert [bool(node["sessions"]) for node in nodes.values()] == [False, False, True, True, True]
    drained = [
        route["communities"] for name in ("pico-203", "pico-205") for route in nodes[name]["bgp"]
    ]
    assert drained
    assert all(communities == ["65535:0"] for communities in drained)


def test_render_prints_what_exabgp_takes() -> None:
    """The text of `render` is a configuration."""
    done = run("render", "node-1", "-f", GUIDE, "--show-passwords")
    assert done.exit_code == 0
    conf.validate(done.stdout)
    assert 'md5-password "change-me"' in done.stdout


def test_render_hides_passwords() -> None:
    """Unless they are asked for."""
    done = run("render", "node-1", "-f", GUIDE)
    assert done.exit_code == 0
    assert "change-me" not in done.output
    assert 'md5-password "********"' in done.stdout


def test_render_tells_what_is_wrong_beside_the_text() -> None:
    """Standard output stays a configuration."""
    node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: a}\n"
    done = call("render", "a", "-f", "-", stdin=BAD_PEER + node)
    assert done.returncode == 1
    conf.validate(done.stdout)
    assert "spec.myASN" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The script of each shell calls the program."""
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_EXABGP_METALLB_COMPLETE" in done.stdout


def test_completion_completes() -> None:
    """As bash asks for it."""
    asked = {
        "_EXABGP_METALLB_COMPLETE": "bash_complete",
        "COMP_WORDS": "exabgp-metallb pl",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        PROGRAM, env=os.environ | asked, capture_output=True, check=False, text=True
    )
    assert done.stdout == "plain,plan\n"


def test_version_and_help() -> None:
    """Both end well."""
    assert call("--version").stdout == f"exabgp-metallb {__version__}\n"
    assert run("-h").exit_code == 0


def test_help_loads_nothing_that_it_does_not_need() -> None:
    """What makes a command slow to start is what it imports."""
    heavy = ("exabgp", "kubernetes", "loguru", "prometheus_client", "rich", "scapy", "yaml")
    code = (
        "import sys; from exabgp_metallb.cli import commands; "
        "commands(['--help'], standalone_mode=False); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stderr.strip() == "[]"


def terminal_output(columns: int, *arguments: str) -> str:
    """Return what the program writes to a terminal."""
    master, slave = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([*PROGRAM, *arguments], stdout=slave, env=environment) as process:
        os.close(slave)
        written = b""
        try:
            while chunk := os.read(master, 65536):
                written += chunk
        except OSError:  # Linux answers EIO when the other end is closed
            pass
        process.wait()
    os.close(master)
    return written.decode()


@pytest.mark.parametrize("columns", [80, 160])
def test_tables_fit_the_terminal(columns: int) -> None:
    """With colours there, and no line longer than the terminal is wide."""
    written = terminal_output(columns, "plan", "-f", GUIDE)
    assert "\x1b[1m" in written
    lines = re.sub(r"\x1b\[[0-9;]*m", "", written).splitlines()
    assert max(map(len, lines)) <= columns


def test_no_colours_in_a_pipe() -> None:
    """Nor anything else that is not text."""
    assert is_plain(call("plan", "-f", GUIDE).stdout)


def test_output_that_nobody_reads_is_no_error() -> None:
    """As in `plan ... | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, "plan", "-f", EDGEROUTER], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_closed_output_is_no_error() -> None:
    """As in `plan ... >&-`."""
    command = f"{sys.executable} -m exabgp_metallb plan -f {EDGEROUTER} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_output_to_a_full_disk_is_told() -> None:
    """Half a plan is not a plan."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "plan", "-f", EDGEROUTER], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"Error: standard output: No space left on device\n"


def test_ascii_terminals_get_escapes() -> None:
    """What the locale cannot print is printed all the same."""
    peer = BAD_PEER.replace("myASN", "zürich: 1, myASN")
    done = subprocess.run(
        [*PROGRAM, "check", "-f", "-"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        input=peer.encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"z\\xfcrich" in done.stdout


HOSTILE: dict[str, bytes] = {
    "binary": bytes(range(256)) * 40,
    "nul": b"\0",
    "UTF-16": "kind: Service".encode("utf-16"),
    "half a character": b"kind: \xc3",
    "tab": b"kind:\n\t- x",
    "unfinished": b"kind: {a: [",
    "deep lists": b"[" * 100_000,
    "deep maps": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep YAML": b"".join(b" " * n + b"a:\n" for n in range(2000)),
    "billion laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n".encode()
        for n in range(9)
    ),
    "circle": b"a: &a [*a]",
    "python tag": b"!!python/object/apply:os.system ['true']",
    "huge number": b"kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {ports: [{port: "
    + b"9" * 5000
    + b"}]}",
    "scalar": b"just text",
    "number": b"42",
    "list of scalars": b"[1, 2, three]",
    "null items": b"apiVersion: v1\nkind: List\nitems: null",
    "items of nothing": b"apiVersion: v1\nkind: List\nitems: [null, 7, [], {}]",
    "list in list": b'{"kind": "List", "apiVersion": "v1", "items": [' * 50 + b"]}" * 50,
    "kind is a map": b"apiVersion: v1\nkind: {a: b}",
    "metadata is a list": b"apiVersion: v1\nkind: Service\nmetadata: [1]",
    "name is a number": b"apiVersion: v1\nkind: Service\nmetadata: {name: 7}",
    "name with escapes": b'apiVersion: v1\nkind: Node\nmetadata: {name: "\\e[2J\\e]0;x\\a"}',
    "name with ends of lines": b'apiVersion: v1\nkind: Node\nmetadata: {name: "a\\nb"}',
    "name turned around": 'apiVersion: v1\nkind: Node\nmetadata: {name: "\u202eabc"}'.encode(),
    "spec is a word": b"apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\n"
    b"metadata: {name: a}\nspec: word",
    "legacy of garbage": b"apiVersion: v1\nkind: ConfigMap\n"
    b"metadata: {name: config, namespace: metallb-system}\ndata: {config: '{]'}",
    "legacy is a list": b"apiVersion: v1\nkind: ConfigMap\n"
    b"metadata: {name: config, namespace: metallb-system}\ndata: {config: '[1,2]'}",
}


@pytest.mark.parametrize("command", [["plan"], ["check"], ["plan", "-o", "yaml"]])
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files(tmp_path: Path, command: list[str], data: bytes) -> None:
    """Exit 0, 1 or 2 with a message that a terminal can take, and never an exception."""
    file = tmp_path / "hostile.yaml"
    file.write_bytes(data)
    judge(run(*command, "-f", str(file)))


def judge(done: Result) -> None:
    """Fail where a run ended by an exception or wrote what a terminal must not be sent."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.exit_code in (0, 1, 2)
    assert done.output
    assert is_plain(done.output)


words = st.sampled_from(
    [
        "apiVersion", "kind", "metadata", "name", "namespace", "labels", "spec", "status", "items",
        "addresses", "peerAddress", "myASN", "peerASN", "communities", "ipAddressPools",
        "nodeSelectors", "matchLabels", "matchExpressions", "serviceAllocation", "data", "config",
        "endpoints", "conditions", "type", "loadBalancer", "ingress", "ip", "clusterIP",
        "ports", "holdTime",
    ]
)  # fmt: skip
kinds = st.sampled_from(
    [
        ("v1", "Service"),
        ("v1", "Node"),
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("metallb.io/v1beta1", "IPAddressPool"),
        ("metallb.io/v1beta1", "L2Advertisement"),
        ("metallb.io/v1beta1", "BGPAdvertisement"),
        ("metallb.io/v1beta1", "Community"),
        ("metallb.io/v1beta1", "BFDProfile"),
        ("metallb.io/v1beta2", "BGPPeer"),
        ("metallb.io/v1beta1", "BGPPeer"),
    ]
)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | words | st.sampled_from(["10.0.0.0/24", "::/0", "1-2", "LoadBalancer"])
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def wrong_objects(draw: st.DrawFn) -> dict[str, object]:
    """Return something that says it is an object, with anything below it."""
    version, kind = draw(kinds)
    metadata = draw(
        trees | st.fixed_dictionaries({"name": st.text(max_size=5) | st.just("config")})
    )
    sections = draw(st.dictionaries(words, trees, max_size=3))
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **sections}


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(objects=st.lists(wrong_objects() | trees, min_size=1, max_size=4))
def test_objects_of_wrong_types(objects: list[object]) -> None:
    """Whatever is where something else should be is an error of that object."""
    judge(run("plan", "-f", "-", stdin=json.dumps({"kind": "List", "items": objects})))


@settings(deadline=None)
@given(data=st.binary(max_size=200))
@example(data=b"")
def test_any_bytes(data: bytes) -> None:
    """No bytes on standard input are answered with a traceback."""
    judge(run("check", "-f", "-", stdin=data))


def test_odd_file_names_are_printed_safely(tmp_path: Path) -> None:
    """Neither escape sequences nor bytes that are no text reach the terminal."""
    odd = os.fsencode(tmp_path) + b"/\x1b[2J\n\xff.yaml"
    Path(os.fsdecode(odd)).write_text("{")
    done = subprocess.run(
        [*PROGRAM, "plan", "-f", os.fsdecode(odd)], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"\\x1b[2J\\n" in done.stderr
    assert is_plain(done.stderr.decode("ascii"))


def test_a_folder_without_permission(tmp_path: Path) -> None:
    """Is input that cannot be read; root has to give its privilege to read anything away."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    rights = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    command = [*(rights if os.geteuid() == 0 else ()), *PROGRAM, "plan", "-f", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    closed.chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert "closed: Permission denied" in done.stderr


@pytest.mark.parametrize("kind", ["pipe in a folder", "device", "folder with a file's name"])
def test_what_is_no_manifest(tmp_path: Path, kind: str) -> None:
    """Nothing is waited for that nobody named."""
    place = tmp_path / "thing.yaml"
    if kind == "pipe in a folder":
        os.mkfifo(place)
        place = tmp_path
    elif kind == "device":
        place = Path("/dev/null")
    else:
        place.mkdir()
    done = call("plan", "-f", str(place))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_is_named_is_read() -> None:
    """As the shell's `plan -f <(kubectl get ...)` makes it."""
    command = f"{sys.executable} -m exabgp_metallb check -f <(cat {EDGEROUTER}/2-nodes.yaml)"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Valid.\n", b"")


def test_the_same_file_twice() -> None:
    """Every object in it stands, with a warning each."""
    file = str(EXAMPLES / "pfsense" / "2-cluster.yaml")
    done = run("plan", "-f", file, "-f", file, "-o", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 0
    assert len(document["warnings"]) == 3
