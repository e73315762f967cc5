"""The included mode: our process in somebody's own exabgp.conf, whose neighbors are as they are."""

import os
import shlex
import signal
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from exabgp_metallb.adapters.control import ask
from exabgp_metallb.adapters.exabgp.repair import REPAIR_SECONDS
from exabgp_metallb.programs.options import SOCKET_NAME
from exabgp_metallb.programs.start import LINGER_SECONDS
from tests.integration import failing_speaker
from tests.integration.lab.exabgp_host import ExaBgp
from tests.integration.lab.frr import FrrFactory
from tests.integration.lab.network import Lab
from tests.integration.lab.router import ROUTES_SECONDS
from tests.integration.manifests import (
    Manifests,
    advertisement,
    node,
    peer,
    pool,
    service,
    slice_of,
)
from tests.integration.nodes import clean_environment
from tests.integration.rack import NODE_ASN, config

pytestmark = pytest.mark.netns

ETC = Path(__file__).parents[2] / "etc" / "exabgp"
THEIRS, ALL, FIRST, SECOND = ("203.0.113.7/32", "192.0.2.1/32", "192.0.2.129/32", "192.0.2.193/32")
NODE = "10.0.0.11"
ANSWER_SECONDS = 60.0

PROCESS = f"""
process announcer {{
    run {shlex.quote(sys.executable)} -m exabgp_metallb speaker;
    encoder json;
    respawn true;
}}
"""

NEIGHBOR = """
neighbor {address} {{
    description "{description}";
    router-id {router_id};
    local-address {local};
    local-as 64513;
    peer-as 64512;
    hold-time 9;
    family {{ ipv4 unicast; }}
    static {{ route 203.0.113.7/32 next-hop 10.0.0.11 med 77; }}
    {api}
}}
"""
API = "api { processes [ announcer ]; neighbor-changes; send { parsed; update; } }"


def neighbor(
    address: str, description: str, *, router_id: str = NODE, local: str = NODE, api: str = API
) -> str:
    """Return a neighbor with one static route."""
    return NEIGHBOR.format(
        address=address, description=description, router_id=router_id, local=local, api=api
    )


def test_somebody_s_own_configuration_keeps_what_is_theirs(lab: Lab, frr: FrrFactory) -> None:
    """Routes by description and by address of a neighbor; restarts and reloads; a static route."""
    host = lab.host("node1", f"{NODE}/24")
    first_host, second_host = lab.host("tor1", "10.0.0.1/24"), lab.host("tor2", "10.0.0.2/24")
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(
        node("node1", NODE),
        peer("ignored", "10.0.0.99", asn=1, peer_asn=2),  # sessions are exabgp.conf's here
        pool("all", "192.0.2.0/26"),
        pool("first", "192.0.2.128/26"),
        pool("second", "192.0.2.192/26"),
        advertisement("all", ipAddressPools=["all"], communities=["65001:1"]),
        advertisement("first", ipAddressPools=["first"], peers=["tor-a"]),
        advertisement("second", ipAddressPools=["second"], peers=["10.0.0.2"]),
    )
    for name, address in (("a", "192.0.2.1"), ("b", "192.0.2.129"), ("c", "192.0.2.193")):
        manifests.put(service(name, address), slice_of(name, "node1"))
    tor1, tor2 = frr(first_host, config(host)), frr(second_host, config(host))
    settings = {
        "EXABGP_METALLB_NODE": "node1",
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
        "EXABGP_METALLB_STATE_DIR": str(lab.folder / "state"),
        "EXABGP_METALLB_PROCESS": "announcer",
    }
    exabgp = ExaBgp(
        host,
        PROCESS + neighbor("10.0.0.1", "tor-a") + neighbor("10.0.0.2", "tor-b", local="auto"),
        env=clean_environment(settings),
    )
    exabgp.start()
    at_first = {prefix: [NODE] for prefix in (THEIRS, ALL, FIRST)}
    at_second = {prefix: [NODE] for prefix in (THEIRS, ALL, SECOND)}
    tor1.wait_next_hops(at_first)
    tor2.wait_next_hops(at_second)
    marks = tor1.mark(), tor2.mark()

    # A new speaker finds theirs and ours in ExaBGP, and takes back ours alone.
    os.kill(exabgp.process_pid(), signal.SIGSTOP)
    manifests.put(slice_of("a"))
    exabgp.kill_process()
    tor1.wait_next_hops({THEIRS: [NODE], FIRST: [NODE]})
    tor2.wait_next_hops({THEIRS: [NODE], SECOND: [NODE]})
    assert [str(e.prefix) for e in tor1.withdrawals_seen(marks[0])] == [ALL]
    assert [str(e.prefix) for e in tor2.withdrawals_seen(marks[1])] == [ALL]

    # A reload of theirs makes another neighbor of tor2, and has ExaBGP forget its addresses.
    exabgp.write(
        PROCESS
        + neighbor("10.0.0.1", "tor-a")
        + neighbor("10.0.0.2", "tor-c", router_id="10.9.9.9", local="auto")
    )
    exabgp.reload()
    manifests.put(slice_of("a", "node1"))
    tor1.wait_next_hops(at_first)
    tor2.wait_next_hops(at_second)
    assert tor1.establishments(host.ipv4) == 1
    assert "Traceback" not in exabgp.log()


def test_a_drain_leaves_what_is_theirs(lab: Lab, frr: FrrFactory) -> None:
    """Also one that is to be followed by a stop: the sessions are not ours to close."""
    host, tor = lab.host("node1", f"{NODE}/24"), lab.host("tor", "10.0.0.1/24")
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(node("node1", NODE), pool("all", "192.0.2.0/26"), advertisement())
    manifests.put(service("a", "192.0.2.1"), slice_of("a", "node1"))
    state = lab.folder / "state"
    settings = {
        "EXABGP_METALLB_NODE": "node1",
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
        "EXABGP_METALLB_STATE_DIR": str(state),
        "EXABGP_METALLB_PROCESS": "announcer",
        "EXABGP_METALLB_DRAIN_SECONDS": "0",
    }
    exabgp = ExaBgp(host, PROCESS + neighbor("10.0.0.1", "tor"), env=clean_environment(settings))
    held = frr(tor, config(host))
    exabgp.start()
    held.wait_next_hops({THEIRS: [NODE], ALL: [NODE]})
    for act in ("drain", "stop"):
        assert ask(state / SOCKET_NAME, {"do": act}, seconds=ANSWER_SECONDS)["reached"] is True
        held.wait_next_hops({THEIRS: [NODE]})
    assert ask(state / SOCKET_NAME, {"do": "undrain"}, seconds=ANSWER_SECONDS)["reached"] is True
    held.wait_next_hops({THEIRS: [NODE], ALL: [NODE]})
    assert held.establishments(host.ipv4) == 1


# What is sent is not told: else another's change of our routes is noticed, and undone, at once.
SILENT_API = "api { processes [ announcer meddler ]; neighbor-changes; }"
MEDDLER = """
process meddler {{
    run /bin/sh {script};
    encoder text;
}}
"""


def test_what_somebody_else_did_to_our_routes_is_repaired(lab: Lab, frr: FrrFactory) -> None:
    """Another process of the same ExaBGP takes one back, changes one and adds one to our pool."""
    host = lab.host("node1", f"{NODE}/24")
    first_host, second_host = lab.host("tor1", "10.0.0.1/24"), lab.host("tor2", "10.0.0.2/24")
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(node("node1", NODE), pool("all", "192.0.2.0/24"), advertisement("all"))
    for name, address in (("a", "192.0.2.1"), ("b", "192.0.2.2")):
        manifests.put(service(name, address), slice_of(name, "node1"))
    go, script = lab.folder / "go", lab.folder / "meddle.sh"
    script.write_text(
        f"while [ ! -e {go} ]; do sleep 0.1; done\n"
        "echo neighbor 10.0.0.1 withdraw route 192.0.2.1/32\n"
        "echo neighbor 10.0.0.1 announce route 192.0.2.2/32 next-hop self med 9\n"
        "echo neighbor 10.0.0.1 announce route 192.0.2.9/32 next-hop self\n"
        "echo neighbor 10.0.0.1 announce route 198.51.100.9/32 next-hop self\n"
        "exec sleep 1000\n"
    )
    tor1, tor2 = frr(first_host, config(host)), frr(second_host, config(host))
    settings = {
        "EXABGP_METALLB_NODE": "node1",
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
        "EXABGP_METALLB_STATE_DIR": str(lab.folder / "state"),
        "EXABGP_METALLB_PROCESS": "announcer",
    }
    theirs = PROCESS + MEDDLER.format(script=script)
    theirs += neighbor("10.0.0.1", "tor1", api=SILENT_API) + neighbor("10.0.0.2", "tor2")
    exabgp = ExaBgp(host, theirs, env=clean_environment(settings))
    exabgp.start()
    ours = {prefix: [NODE] for prefix in (THEIRS, "192.0.2.1/32", "192.0.2.2/32")}
    tor1.wait_next_hops(ours)
    tor2.wait_next_hops(ours)

    go.touch()
    others = {"198.51.100.9/32": [NODE]}
    tor1.wait_next_hops({THEIRS: [NODE], "192.0.2.2/32": [NODE], "192.0.2.9/32": [NODE]} | others)
    exabgp.write(theirs.replace("tor2", "renamed"))
    exabgp.reload()
    tor2.restart()  # has us see the reload, and so compare everything before the minute is over
    tor1.wait_next_hops(ours | others, REPAIR_SECONDS + ROUTES_SECONDS)
    tor1.wait_routes(lambda routes: {p.med for p in routes[ip_network("192.0.2.2/32")]} == {None})
    told = "BGP neighbor 10.0.0.1: ExaBGP has lost 1 routes, holds 1 otherwise"
    exabgp.wait_log(told)
    assert exabgp.log().count("repaired") == 1
    assert tor1.establishments(host.ipv4) == 1


def test_a_configuration_without_us_is_told_of(lab: Lab) -> None:
    """No neighbor names our process: one message says what to write; ExaBGP goes on."""
    host = lab.host("node1", f"{NODE}/24")
    manifests = Manifests(lab.folder / "manifests")
    settings = {
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
        "EXABGP_METALLB_STATE_DIR": "/proc/nowhere",
        "EXABGP_METALLB_PROCESS": "announcer",
        "EXABGP_METALLB_METRICS": "192.0.2.99:1",
    }
    exabgp = ExaBgp(
        host, PROCESS + neighbor("10.0.0.1", "tor", api=""), env=clean_environment(settings)
    )
    exabgp.start()
    exabgp.wait_log("add `api { processes [ announcer ]; neighbor-changes;")
    exabgp.wait_log("/proc/nowhere")
    exabgp.wait_log("no metrics on 192.0.2.99:1")
    assert exabgp.alive


def test_the_shipped_files_work_as_they_are(lab: Lab, frr: FrrFactory) -> None:
    """With addresses and folders of the lab; also where ExaBGP's acknowledgements are off."""
    host, tor = lab.host("node1", f"{NODE}/24"), lab.host("tor", "10.0.0.1/24")
    manifests = Manifests(lab.folder / "manifests")
    manifests.put(node("node1", NODE), pool("all", "192.0.2.0/26"), advertisement())
    manifests.put(service("a", "192.0.2.1"), slice_of("a", "node1"))
    stanza = (ETC / "included.conf").read_text()
    for shipped, here in (
        ("/usr/bin/env exabgp-metallb", f"{shlex.quote(sys.executable)} -m exabgp_metallb"),
        ("192.0.2.11", NODE),
        ("192.0.2.1 {", "10.0.0.1 {"),
        ("local-as 64512", f"local-as {NODE_ASN}"),
    ):
        assert shipped in stanza
        stanza = stanza.replace(shipped, here)
    lines = [
        line for line in (ETC / "exabgp.env").read_text().splitlines() if line and line[0] != "#"
    ]
    env = dict(line.split("=", 1) for line in lines) | {
        "exabgp_api_ack": "false",
        "exabgp_daemon_user": "root",
        "EXABGP_METALLB_STATE_DIR": str(lab.folder / "state"),
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
    }
    del env["EXABGP_METALLB_KUBECONFIG"]
    held = frr(tor, config(host))
    exabgp = ExaBgp(host, stanza, env=clean_environment(env))
    exabgp.start()
    held.wait_next_hops({ALL: [NODE]})
    status = ask(lab.folder / "state" / SOCKET_NAME, {"do": "status"}, seconds=ANSWER_SECONDS)
    assert status["healthy"] is True
    assert status["managed"] is False


@pytest.mark.parametrize(
    ("right", "wrong", "remedy"),
    [
        pytest.param("neighbor-changes;", "", "add `neighbor-changes;`", id="no neighbor-changes"),
        pytest.param(
            "send { parsed; update; }", "", "add `send { parsed; update; }`", id="no send"
        ),
        pytest.param("encoder json;", "encoder text;", "write `encoder json;`", id="encoder text"),
    ],
)
def test_a_wrong_stanza_is_named_with_its_remedy(
    lab: Lab, right: str, wrong: str, remedy: str
) -> None:
    """Before any session: nobody listens at the router's address."""
    host = lab.host("node1", f"{NODE}/24")
    lab.host("tor", "10.0.0.1/24")
    manifests = Manifests(lab.folder / "manifests")
    settings = {
        "EXABGP_METALLB_MANIFESTS": str(manifests.path),
        "EXABGP_METALLB_STATE_DIR": str(lab.folder / "state"),
        "EXABGP_METALLB_PROCESS": "announcer",
    }
    stanza = PROCESS + neighbor("10.0.0.1", "tor")
    assert right in stanza
    exabgp = ExaBgp(host, stanza.replace(right, wrong), env=clean_environment(settings))
    exabgp.start()
    exabgp.wait_log(remedy, timeout=ANSWER_SECONDS)
    assert exabgp.alive


def test_a_wrong_option_does_not_end_exabgp(lab: Lab) -> None:
    """The speaker waits before it ends, so that ExaBGP does not find it dead too often."""
    host = lab.host("node1", f"{NODE}/24")
    settings = {"EXABGP_METALLB_METRICS": "nonsense"}
    exabgp = ExaBgp(host, PROCESS + neighbor("10.0.0.1", "tor"), env=clean_environment(settings))
    exabgp.start()
    exabgp.wait_log("write ADDR:PORT")
    first = exabgp.process_pid()
    os.kill(first, 0)
    exabgp.stop()
    assert exabgp.log().count("write ADDR:PORT") == 1


def test_a_speaker_that_always_fails_does_not_end_exabgp(lab: Lab, frr: FrrFactory) -> None:
    """It waits before each death and reads on, so the sessions and others' routes stay."""
    host = lab.host("node1", f"{NODE}/24")
    tor = frr(lab.host("tor1", "10.0.0.1/24"), config(host))
    settings = {
        "EXABGP_METALLB_MANIFESTS": str(lab.folder),
        "EXABGP_METALLB_STATE_DIR": str(lab.folder / "state"),
    }
    process = PROCESS.replace("-m exabgp_metallb", shlex.quote(failing_speaker.__file__))
    exabgp = ExaBgp(host, process + neighbor("10.0.0.1", "tor"), env=clean_environment(settings))
    exabgp.start()
    tor.wait_next_hops({THEIRS: [NODE]})
    for deaths in (1, 2):
        exabgp.wait_log("an injected defect", count=deaths, timeout=3 * LINGER_SECONDS)
    assert exabgp.alive
    assert tor.establishments(host.ipv4) == 1
