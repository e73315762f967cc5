"""Layer 2 among real machines: who answers for an address when something goes wrong.

One segment for the whole file, of two switches: nodes a, b and a client on one, node c and a
stranger on the other. Each test has addresses of its own, one of each family, that nothing of an
earlier test is known of; all nodes are put right before it. The judges are arping, ndisc6 and the
client's own neighbor table.

A node that is not run for half a second is dead to the others, and another one owns its addresses
for a while: what a test waits for is where they end. To make that rare the nodes go before others.
"""

import itertools
import os
import signal
from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import (
    Failback,
    Orders,
    Role,
    SubnetRule,
    by_address,
)
from tests.integration import manifests as objects
from tests.integration.lab.daemon import Daemon
from tests.integration.lab.network import Host, Lab
from tests.integration.lab.responder import (
    SEEN_SECONDS,
    Responder,
    answers_duplicate_detection,
    mac_of,
    neighbor,
    resolve,
    who_answers,
)
from tests.integration.lab.waiting import wait_for
from tests.integration.nodes import PROGRAM, clean_environment
from tests.orders import in_order
from tests.requirements import missing

pytestmark = pytest.mark.netns

BEFORE_OTHERS = ("nice", "-n", "-15")
NODES = ("a", "b", "c")
ONLY_NET_RAW = ("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all")
NO_NET_RAW = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-all")

Addresses = tuple[Address, Address]


class Segment:
    """The machines."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._serials = itertools.count(1)
        places = {"a": "lan", "b": "lan", "client": "lan", "c": "far", "stranger": "far"}
        for number, (name, switch) in enumerate(places.items(), start=1):
            addresses = (f"10.9.0.{number}/24", f"2001:db8:9::{number}/64")
            lab.host(name, *addresses, segment=switch)
        lab.switch("link", "add", "trunk", "type", "veth", "peer", "name", "trunk-far")
        lab.switch("link", "set", "trunk", "master", "lan", "up")
        lab.switch("link", "set", "trunk-far", "master", "far", "up")
        self.nodes = {name: Responder(lab.hosts[name], wrapper=BEFORE_OTHERS) for name in NODES}
        self.macs = {name: mac_of(host) for name, host in lab.hosts.items()}
        for node in self.nodes.values():
            node.serve()
            node.start()

    @property
    def client(self) -> Host:
        """Who asks."""
        return self.lab.hosts["client"]

    def part(self) -> None:
        """Cut the switches apart."""
        self.lab.switch("link", "set", "trunk", "down")

    def join(self) -> None:
        """Make them one again."""
        self.lab.switch("link", "set", "trunk", "up")

    def fresh(self, net4: str = "10.9.0.", net6: str = "2001:db8:9::") -> Addresses:
        """Return addresses that nobody has heard of."""
        number = next(self._serials)
        return ip_address(f"{net4}{100 + number}"), ip_address(f"{net6}{100 + number}")

    def put_right(self) -> None:
        """Undo what the last test did."""
        self.join()
        for node in self.nodes.values():
            node.host.link_up()
            node.host.mend()
            node.hang_up()
            node.serve()
            node.start()
        for node in self.nodes.values():
            node.wait_report(lambda _report: True, "it is there")

    def order(
        self,
        addresses: Iterable[Address],
        *,
        only: str | None = None,
        candidates: tuple[str, ...] = NODES,
        **more: Any,  # noqa: ANN401 -- the fields of Orders
    ) -> None:
        """Give all nodes, or one, orders for these addresses."""
        orders = by_address(in_order(each, *candidates) for each in addresses)
        for node in self.nodes.values():
            if only in {None, node.name}:
                node.order(Orders(node=node.name, addresses=orders, **more))

    def begin(self) -> Addresses:
        """Have node a own two new addresses, and the client know it."""
        addresses = self.fresh()
        self.order(addresses)
        for address in addresses:
            self.nodes["a"].wait_role(address, Role.OWNER)
            for name in ("b", "c"):
                self.nodes[name].wait_role(address, Role.STANDBY)
            self.wait_resolves(self.client, address, "a")
        return addresses

    def wait_moved(self, addresses: Addresses, to: str) -> None:
        """Wait until the client's kernel has heard, unasked, that a node holds the addresses."""
        for address in addresses:
            self._wait_neighbor(address, to)

    def _wait_neighbor(self, address: Address, to: str) -> None:
        wait_for(
            lambda: neighbor(self.client, address) == self.macs[to],
            SEEN_SECONDS,
            lambda: f"{address}: {to}\n{self.lab.report()}",
        )

    def wait_resolves(self, host: Host, address: Address, to: str) -> None:
        """Wait until a host's kernel finds that a node holds an address."""
        wait_for(
            lambda: resolve(host, address) == self.macs[to],
            SEEN_SECONDS,
            lambda: f"{address}: {to}\n{self.lab.report()}",
        )

    def wait_sole(self, addresses: Addresses, owner: str) -> None:
        """Wait until one node answers, and no other."""
        for address in addresses:
            self.wait_answers(address, {self.macs[owner]})

    def wait_answers(self, address: Address, macs: set[str], interface: str = "eth0") -> None:
        """Wait until these answer the client for an address, and no others."""
        wait_for(
            lambda: who_answers(self.client, address, interface) == macs,
            SEEN_SECONDS,
            lambda: f"{address}: {macs}\n{self.lab.report()}",
        )


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Return one lab for all tests."""
    if os.geteuid() != 0:
        missing("network namespaces need root")
    for program in ("/usr/bin/arping", "/usr/bin/ndisc6"):
        if not Path(program).exists():
            missing(f"{program} is not installed: run tests/peers.sh as root")
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def machines(lab: Lab) -> Iterator[Segment]:
    """Return the machines of all tests."""
    machines = Segment(lab)
    yield machines
    for node in machines.nodes.values():
        node.hang_up()


@pytest.fixture
def segment(machines: Segment) -> Segment:
    """Return the machines, all of them right."""
    machines.put_right()
    return machines


def test_a_killed_owner_is_replaced_and_comes_back(segment: Segment) -> None:
    """SIGKILL: no word from it. The client's table changes by what the next one says."""
    addresses = segment.begin()
    told = partial(answers_duplicate_detection, segment.client, addresses[0])
    wait_for(told, SEEN_SECONDS, "an answer")
    segment.wait_sole(addresses, "a")
    segment.nodes["a"].daemon.kill()
    segment.wait_moved(addresses, "b")
    segment.wait_sole(addresses, "b")
    segment.nodes["a"].start()
    segment.wait_moved(addresses, "a")
    segment.wait_sole(addresses, "a")
    for address in addresses:
        segment.nodes["b"].wait_role(address, Role.STANDBY)


def test_a_hung_owner_is_replaced_and_does_not_fight_when_it_wakes(segment: Segment) -> None:
    """SIGSTOP: its kernel holds the questions that came meanwhile; it answers none of them."""
    addresses = segment.begin()
    segment.order(addresses, failback=Failback.STICKY)
    segment.nodes["a"].daemon.send(signal.SIGSTOP)
    segment.wait_moved(addresses, "b")
    segment.wait_sole(addresses, "b")  # these questions wait for the sleeper too
    segment.nodes["a"].daemon.send(signal.SIGCONT)
    for address in addresses:
        segment.nodes["a"].wait_role(address, Role.STANDBY)
        assert neighbor(segment.client, address) == segment.macs["b"]
    segment.wait_sole(addresses, "b")
    assert "was not run for a while" in segment.nodes["a"].log()


def test_a_cut_link_is_seen_by_all_and_leaves_one_owner_once_mended(segment: Segment) -> None:
    """The owner cannot know that it is alone; it stays, since it is the better one."""
    addresses = segment.begin()
    segment.nodes["a"].host.cut()
    segment.wait_moved(addresses, "b")
    segment.nodes["a"].host.mend()
    segment.wait_moved(addresses, "a")
    for address in addresses:
        segment.nodes["b"].wait_role(address, Role.STANDBY)
    segment.wait_sole(addresses, "a")


def test_an_owner_without_carrier_gives_up_and_says_so(segment: Segment) -> None:
    """It reports why, and takes the addresses back once it has been connected for a while."""
    addresses = segment.begin()
    node = segment.nodes["a"]
    node.host.link_down()
    segment.wait_moved(addresses, "b")
    for address in addresses:
        assert node.wait_role(address, Role.UNABLE).why == "eth0: no carrier"
    node.wait_report(
        lambda report: (
            [(each.name, each.why) for each in report.interfaces if not each.usable]
            == [("eth0", "no carrier"), ("lo", "loopback")]
        ),
        "no carrier",
    )
    node.host.link_up()
    segment.wait_moved(addresses, "a")
    segment.wait_sole(addresses, "a")


def test_a_node_that_is_told_to_end_hands_over_first(segment: Segment) -> None:
    """SIGTERM: it ends as soon as the next one has announced itself."""
    addresses = segment.begin()
    segment.nodes["a"].daemon.stop()
    for address in addresses:
        assert neighbor(segment.client, address) in {segment.macs["b"], segment.macs["c"]}
    segment.wait_moved(addresses, "b")
    segment.wait_sole(addresses, "b")


def test_a_drained_node_hands_over_and_gets_its_addresses_back(segment: Segment) -> None:
    """Its process stays."""
    addresses = segment.begin()
    segment.order(addresses, only="a", draining=True)
    segment.wait_moved(addresses, "b")
    segment.wait_sole(addresses, "b")
    segment.order(addresses, only="a")
    segment.wait_moved(addresses, "a")
    segment.wait_sole(addresses, "a")


def test_two_switches_that_are_joined_again_have_one_owner(segment: Segment) -> None:
    """Node c owns on its side of the cut."""
    addresses = segment.begin()
    segment.part()
    for address in addresses:
        segment.nodes["c"].wait_role(address, Role.OWNER)
        segment.nodes["a"].wait_role(address, Role.OWNER)
    segment.wait_resolves(segment.lab.hosts["stranger"], addresses[0], "c")
    segment.join()
    for address in addresses:
        segment.nodes["c"].wait_role(address, Role.STANDBY)
    segment.wait_sole(addresses, "a")
    wait_for(
        lambda: neighbor(segment.lab.hosts["stranger"], addresses[0]) == segment.macs["a"],
        SEEN_SECONDS,
        "the stranger is told",
    )


def test_interfaces_come_late_change_names_and_addresses(segment: Segment) -> None:
    """Each change is followed at once; an address that no wire leads to is told of."""
    node, client = segment.nodes["b"], segment.client
    addresses = segment.fresh("10.77.0.", "2001:db8:77::")
    segment.order(addresses, subnet=SubnetRule.REQUIRE)
    for address in addresses:
        assert node.wait_role(address, Role.UNABLE).why == "eth0: no address in the subnet"
    port = client.attach("10.77.0.9/24", "2001:db8:77::9/64", segment="late")
    name = node.host.attach("10.77.0.2/24", "2001:db8:77::2/64", segment="late")
    mac = mac_of(node.host, name)
    for address in addresses:
        assert node.wait_role(address, Role.OWNER).interfaces == (name,)
        segment.wait_answers(address, {mac}, port)
    node.host.ip("link", "set", name, "down")
    node.host.ip("link", "set", name, "name", "uplink0")
    node.host.ip("link", "set", "uplink0", "up")
    node.host.ip("address", "replace", "2001:db8:77::2/64", "dev", "uplink0", "nodad")
    for address in addresses:
        node.wait_interfaces(address, "uplink0")
        segment.wait_answers(address, {mac}, port)
    for old in ("10.77.0.2/24", "2001:db8:77::2/64"):
        node.host.ip("address", "delete", old, "dev", "uplink0")
    for address in addresses:
        node.wait_role(address, Role.UNABLE)
    for new in ("10.77.0.3/24", "2001:db8:77::3/64"):
        node.host.add_address(new, "uplink0")
    for address in addresses:
        node.wait_role(address, Role.OWNER)
        segment.wait_answers(address, {mac}, port)


def test_only_the_right_interfaces_answer(segment: Segment) -> None:
    """A second card without addresses, a bridge and its member, a macvlan."""
    host = segment.nodes["c"].host
    second = host.attach(segment="far")
    member = host.attach(segment="elsewhere")
    port = segment.client.attach("10.78.0.9/24", "2001:db8:78::9/64", segment="elsewhere")
    host.ip("link", "add", "br0", "type", "bridge")
    host.ip("link", "set", member, "master", "br0")
    host.ip("link", "set", "br0", "up")
    host.ip("link", "add", "link", "eth0", "name", "mac0", "type", "macvlan", "mode", "bridge")
    host.ip("link", "set", "mac0", "up")
    for name, net in (("br0", "78"), ("mac0", "79")):
        host.add_address(f"10.{net}.0.1/24", name)
        host.add_address(f"2001:db8:{net}::1/64", name)
    node = segment.nodes["c"]
    plain = segment.fresh()
    bridged = segment.fresh("10.78.0.", "2001:db8:78::")
    light = segment.fresh("10.79.0.", "2001:db8:79::")
    segment.order((*plain, *bridged, *light), candidates=("c",), only="c")
    for addresses, name in ((plain, "eth0"), (bridged, "br0"), (light, "mac0")):
        for address in addresses:
            assert node.wait_role(address, Role.OWNER).interfaces == (name,)
    report = node.wait_report(
        lambda report: any(each.why == "bridge member" for each in report.interfaces), "verdicts"
    )
    why = {each.name: each.why for each in report.interfaces}
    assert why[member] == "bridge member"
    assert why["eth0"] == why["br0"] == why["mac0"] == ""
    assert "IPv4 address" in why[second] or why[second] == ""  # it has a link-local address
    for address in plain:
        segment.wait_answers(address, {mac_of(host)})
    for address in bridged:
        segment.wait_answers(address, {mac_of(host, "br0")}, port)
    for address in light:  # from outside its subnet, but on its segment
        segment.wait_answers(address, {mac_of(host, "mac0")})


def test_a_stranger_with_the_same_address_is_reported(segment: Segment) -> None:
    """The node answers all the same, since it is ordered to."""
    stranger = segment.lab.hosts["stranger"]
    addresses = segment.fresh()
    for address in addresses:
        stranger.add_address(f"{address}/{24 if address.version == 4 else 64}")
    segment.order(addresses)
    for address in addresses:
        segment.nodes["a"].wait_role(address, Role.OWNER)
        claim = segment.nodes["a"].wait_foreign(address)
        assert (claim.mac, claim.interface) == (segment.macs["stranger"], "eth0")
        segment.wait_answers(address, {segment.macs["a"], segment.macs["stranger"]})
        segment.nodes["a"].wait_log(f"{address}: {claim.mac} on eth0 answers for it too")
    for address in addresses:
        length = 24 if address.version == 4 else 64
        stranger.ip("address", "delete", f"{address}/{length}", "dev", "eth0")


def test_nodes_go_on_by_their_last_orders_while_speakers_are_away(segment: Segment) -> None:
    """They answer, take over, and after a restart find the orders on disk."""
    addresses = segment.begin()
    marks = {name: len(node.log()) for name, node in segment.nodes.items()}
    for node in segment.nodes.values():
        node.wait_saved(addresses[0])
        node.hang_up()
    for name, node in segment.nodes.items():
        node.wait_log("the speaker is gone; the last ones stand", since=marks[name])
    segment.wait_sole(addresses, "a")
    segment.nodes["a"].daemon.kill()
    segment.wait_moved(addresses, "b")
    segment.nodes["a"].start()
    segment.wait_moved(addresses, "a")
    segment.wait_sole(addresses, "a")
    assert "begun by the orders on disk" in segment.nodes["a"].log()


def test_one_capability_is_enough(segment: Segment) -> None:
    """CAP_NET_RAW, and no other."""
    host = segment.lab.host("d", "10.9.0.20/24", "2001:db8:9::20/64")
    node = Responder(host, wrapper=ONLY_NET_RAW)
    node.serve()
    node.start()
    addresses = segment.fresh()
    orders = by_address(in_order(each, "d") for each in addresses)
    node.order(Orders(node="d", addresses=orders))
    for address in addresses:
        node.wait_role(address, Role.OWNER)
        segment.wait_answers(address, {mac_of(host)})
    node.daemon.stop()
    node.hang_up()


def test_without_the_capability_it_says_what_to_do(segment: Segment) -> None:
    """And ends with status 2."""
    node = Responder(segment.lab.host("e"), wrapper=NO_NET_RAW)
    node.daemon.start()
    wait_for(lambda: not node.daemon.alive, SEEN_SECONDS, "its end")
    assert node.daemon._child is not None
    assert node.daemon._child.returncode == 2
    assert "give this process CAP_NET_RAW" in node.log()


def test_from_manifests_to_answers(segment: Segment) -> None:
    """Two nodes' speakers elect the same one; a preference moves the addresses to the other."""
    lab = segment.lab
    manifests = objects.Manifests(lab.folder / "manifests")
    manifests.put(objects.node("m"), objects.node("n"), objects.l2_advertisement())
    manifests.put(objects.pool("lan", "10.9.0.200/32", "2001:db8:9::200/128"))
    manifests.put(objects.service("web", families=("IPv4", "IPv6")))
    manifests.put(objects.slice_of("web", "m", "n"))
    addresses = (ip_address("10.9.0.200"), ip_address("2001:db8:9::200"))
    responders = {}
    for number, name in enumerate(("m", "n"), start=30):
        host = lab.host(name, f"10.9.0.{number}/24", f"2001:db8:9::{number}/64")
        responders[name] = responder = Responder(host)
        speaker = [*PROGRAM, "speaker", "--without-exabgp", "--node", name]
        speaker += ["--orders", str(responder.socket), "--manifests", str(manifests.path)]
        speaker += ["--state-dir", str(lab.folder / f"speaker-{name}")]
        output = lab.folder / f"speaker-{name}.log"
        Daemon(host, speaker, output=output, env=clean_environment({})).start()
        responder.daemon.start()
    macs = {name: mac_of(responder.host) for name, responder in responders.items()}

    def answering() -> list[set[str]]:
        return [who_answers(segment.client, address) for address in addresses]

    def one_answers(name: str) -> bool:
        return answering() == [{macs[name]}, {macs[name]}]

    winner = wait_for(lambda: next(filter(one_answers, macs), None), SEEN_SECONDS, lab.report)
    loser = "n" if winner == "m" else "m"
    preference = {"weight": 10, "preference": objects.on(loser)[0]}
    manifests.put(objects.l2_advertisement(preferredNodeSelectors=[preference]))
    wait_for(lambda: one_answers(loser), SEEN_SECONDS, lab.report)
    manifests.remove("Service", "web")
    wait_for(lambda: answering() == [set(), set()], SEEN_SECONDS, lab.report)
