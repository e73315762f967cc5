"""The edits of the demo: each fits the example's manifests, and what does not fit is told."""

import shutil
from pathlib import Path

import pytest

from exabgp_metallb.adapters.exabgp import conf
from exabgp_metallb.errors import ExabgpError, UsageError
from exabgp_metallb.programs.demo import router
from exabgp_metallb.programs.demo.command import MANIFESTS
from exabgp_metallb.programs.demo.expected import Neighbor
from exabgp_metallb.programs.demo.network import ROUTER_ADDRESS, network
from exabgp_metallb.programs.demo.steps import STEPS, Add, Replace, edit
from tests.unit.programs.test_demo_table import NODE_1, UP


def test_a_replacement_is_renamed_into_place(tmp_path: Path) -> None:
    """Every occurrence, and nothing is left beside the file."""
    file = tmp_path / "a.yaml"
    file.write_text("ready: true\nready: true\n")
    inode = file.stat().st_ino
    edit(tmp_path, Replace("a.yaml", "true", "false"))
    assert file.read_text() == "ready: false\nready: false\n"
    assert file.stat().st_ino != inode
    assert list(tmp_path.iterdir()) == [file]


def test_an_added_file_gets_its_name(tmp_path: Path) -> None:
    """Until then it is no manifest."""
    (tmp_path / "b.yaml.later").write_text("kind: Service\n")
    edit(tmp_path, Add("b.yaml"))
    assert [p.name for p in tmp_path.iterdir()] == ["b.yaml"]


@pytest.mark.parametrize("act", [Replace("a.yaml", "no such line", ""), Add("b.yaml")])
def test_an_edit_that_does_not_fit_is_told(tmp_path: Path, act: Replace | Add) -> None:
    """Nothing is changed."""
    (tmp_path / "a.yaml").write_text("ready: true\n")
    with pytest.raises(UsageError, match=r"the demo (edits|adds)"):
        edit(tmp_path, act)
    assert [p.name for p in tmp_path.iterdir()] == ["a.yaml"]


def test_every_step_changes_what_the_router_should_hold() -> None:
    """A step that changed nothing would be right before it began."""
    with network(MANIFESTS) as net:
        scenes = net.rehearse(STEPS)
        first, last = scenes[0].expected, scenes[-1].expected
    assert [scene.step for scene in scenes] == list(STEPS)
    assert [n.node for n in first.neighbors] == ["node-1", "node-2", "node-3"]
    assert {line.service for line in last.services} == {
        "default/mail",
        "default/shop",
        "default/wiki",
    }
    communities = {path.communities for path in first.routes.values()}
    assert communities == {("65535:65281",)}


def test_a_step_that_changes_nothing_is_refused() -> None:
    """The same edit of one file twice."""
    ready = next(step for step in STEPS if "ready again" in step.name)
    with network(MANIFESTS) as net, pytest.raises(UsageError, match="are not there"):
        net.rehearse([STEPS[0], ready])
    with network(MANIFESTS) as net, pytest.raises(UsageError, match="nothing changes when"):
        net.rehearse([STEPS[0], STEPS[0]])


def test_the_network_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when the manifests are no good."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with network(MANIFESTS) as net:
        assert net.manifests.is_relative_to(tmp_path)
    with pytest.raises(UsageError, match="no such folder"), network(tmp_path / "missing"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_session_to_the_router_is_told(tmp_path: Path) -> None:
    """The demo can make nothing of it."""
    for name in ("2-nodes.yaml", "3-mail.yaml"):
        shutil.copy(MANIFESTS / name, tmp_path)
    with pytest.raises(UsageError, match="write a BGPPeer"), network(tmp_path):
        pass


def test_the_peers_of_the_copy_have_the_routers_port() -> None:
    """The example's own is for readers."""
    with network(MANIFESTS) as net:
        text = (net.manifests / "1-bgp.yaml").read_text()
    ports = {line for line in text.splitlines() if "peerPort" in line}
    assert len(ports) == 1
    assert ports != {"  peerPort: 1790"}


def test_exabgp_takes_the_routers_configuration() -> None:
    """Read by its own parser."""
    neighbors = [Neighbor(f"node-{i}", ROUTER_ADDRESS + 10 + i, 64500, 64501) for i in (1, 2)]
    text = router.conf(ROUTER_ADDRESS, neighbors, ("/usr/bin/env", "true", "with a space"))
    conf.validate(text)
    assert text.count("passive true") == 2


def test_the_feed_takes_whole_lines_and_tells_of_the_end(tmp_path: Path) -> None:
    """A line may come in pieces; a router that is gone is no empty one."""
    feed = router.RouterFeed(tmp_path / "feed")
    assert not feed.wait(0)
    with (tmp_path / "feed").open("w") as writer:
        writer.write(UP[:50])
        writer.flush()
        assert not feed.wait(1)
        writer.write(UP[50:] + "\n")
        writer.flush()
        assert feed.wait(1)
        assert feed.table.up == {NODE_1}
    with pytest.raises(ExabgpError, match="ended"):
        feed.wait(1)
    feed.close()
