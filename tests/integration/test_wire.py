"""Layer 2 on real interfaces: arping, ndisc6 and the kernel's neighbour table as judges."""

import ipaddress
import re
import shutil
import signal
import sys

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from exabgp_metallb.values.l2 import group_mac, mac_text, solicited_node_group
from tests.integration.lab.answering import SEEN_SECONDS, Answering
from tests.integration.lab.exchange import exchange, receiver
from tests.integration.lab.network import Host, Lab, LabError, command
from tests.integration.lab.waiting import wait_for
from tests.requirements import missing

pytestmark = pytest.mark.netns

V4, V6 = "10.0.0.9", "fd00::9"
FAR4, FAR6 = "10.1.0.9", "fd01::9"  # in the subnets of the second segment
BOTH = pytest.mark.parametrize("address", [V4, V6])
NEAR_AND_FAR = pytest.mark.parametrize(("address", "far"), [(V4, FAR4), (V6, FAR6)])
FIRST = ("10.0.0.{}/24", "fd00::{}/64")
SECOND = ("10.1.0.{}/24", "fd01::{}/64")
THEIRS = "02:00:00:00:00:07"
ONLY_NET_RAW = ("setpriv", "--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw")
NO_CAPABILITY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
CAP_NET_RAW = 1 << 13  # linux/capability.h
QUESTIONS = 60  # by the kernel of a client, one a second, before it gives a neighbour up


@pytest.fixture(autouse=True)
def _judges() -> None:
    for program in ("arping", "ndisc6", "setpriv"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed: run tests/peers.sh as root")


@pytest.fixture
def node(lab: Lab) -> Host:
    """Return the host that answers."""
    return lab.host("node", *(each.format(1) for each in FIRST))


@pytest.fixture
def client(lab: Lab) -> Host:
    """Return the host that asks."""
    return lab.host("client", *(each.format(2) for each in FIRST))


@pytest.fixture
def far_client(lab: Lab) -> Host:
    """Return a host on the second segment."""
    return lab.host("far", *(each.format(2) for each in SECOND), segment="second")


def is_ipv4(address: str) -> bool:
    """Tell the family."""
    return ipaddress.ip_address(address).version == 4


def mac_of(host: Host, interface: str = "eth0") -> str:
    """Return an interface's MAC."""
    return host.run(["cat", f"/sys/class/net/{interface}/address"]).strip()


def found(client: Host, address: str) -> str | None:
    """Return the MAC that arping or ndisc6 gets for an address; asked a second long."""
    if is_ipv4(address):
        argv = ["arping", "-c", "1", "-w", "1", "-I", "eth0", address]
    else:
        argv = ["ndisc6", "-1", "-q", "-r", "1", "-w", "1000", address, "eth0"]
    try:
        said = client.run(argv)
    except LabError:
        return None
    mac = re.search(r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}", said)
    assert mac, said
    return mac[0].lower()


def first_found(client: Host, address: str) -> str:
    """Return the first MAC that a client gets, however long that takes."""
    mac = wait_for(lambda: found(client, address), SEEN_SECONDS, f"an answer for {address}")
    assert mac
    return mac


def wait_found(client: Host, address: str, mac: str) -> None:
    """Wait until this MAC is what a client gets."""
    wait_for(lambda: found(client, address) == mac, SEEN_SECONDS, f"{address} at {mac}")


def neighbour(client: Host, address: str) -> str:
    """Return what the kernel of a client knows about an address."""
    return client.ip("neigh", "show", address, "dev", "eth0")


@BOTH
def test_hosts_find_the_address(node: Host, client: Host, address: str) -> None:
    """By arping and ndisc6, and the kernel by itself when it has something to send."""
    Answering(node, V4, V6)
    assert first_found(client, address) == mac_of(node)

    def reachable() -> bool:
        with pytest.raises(LabError):  # nobody answers the echo request
            client.run(["ping", "-c", "1", "-W", "0.1", address])
        return f"lladdr {mac_of(node)} REACHABLE" in neighbour(client, address)

    wait_for(reachable, SEEN_SECONDS, lambda: neighbour(client, address))


@BOTH
def test_the_kernel_confirms_a_neighbour_by_unicast(node: Host, client: Host, address: str) -> None:
    """Neighbour unreachability detection asks the one that it knows, and no other."""
    Answering(node, V4, V6)
    family = "ipv4" if is_ipv4(address) else "ipv6"
    client.sysctl({f"net.{family}.neigh.eth0.ucast_solicit": QUESTIONS})
    entry = [address, "lladdr", mac_of(node), "dev", "eth0", "nud", "probe"]
    client.ip("neigh", "replace", *entry)
    wait_for(lambda: "REACHABLE" in neighbour(client, address), SEEN_SECONDS, "confirmed")


@pytest.mark.parametrize("address", ["10.0.0.8", "fd00::8", "fd00::1:9"])
def test_nothing_else_is_answered(node: Host, client: Host, address: str) -> None:
    """Not even an address of the same solicited-node group; the reason is counted."""
    answering = Answering(node, V4, V6)
    assert found(client, address) is None
    if address != "fd00::8":  # whose group nobody joined
        wait_for(
            lambda: answering.counters().get(("layer2_dropped_frames", "not_ours")),
            SEEN_SECONDS,
            "a dropped frame",
        )
    assert ("layer2_responses_sent", address) not in answering.counters()


def test_an_ipv4_address_in_use_is_defended(node: Host, client: Host) -> None:
    """Arping probes as a host does that is about to take the address (RFC 5227)."""
    Answering(node, V4)
    with pytest.raises(LabError, match=f"(?i){mac_of(node)}"):
        client.run(["arping", "-D", "-c", "60", "-w", "60", "-I", "eth0", V4], 2 * SEEN_SECONDS)
    client.run(["arping", "-D", "-c", "1", "-w", "1", "-I", "eth0", "10.0.0.8"])


def test_an_ipv6_address_in_use_is_defended(node: Host, client: Host) -> None:
    """The kernel of another host gives up its own after duplicate address detection."""
    Answering(node, V6)
    client.sysctl({"net.ipv6.conf.eth0.accept_dad": 1, "net.ipv6.conf.eth0.dad_transmits": 5})
    for address in (V6, "fd00::8"):
        client.ip("address", "add", f"{address}/64", "dev", "eth0")

    def shown() -> list[str]:
        lines = client.ip("-o", "-6", "address", "show", "dev", "eth0").splitlines()
        return [line for line in lines if "fd00::9/" in line or "fd00::8/" in line]

    wait_for(
        lambda: all(" tentative" not in each or "dadfailed" in each for each in shown()),
        SEEN_SECONDS,
        lambda: "\n".join(shown()),
    )
    assert ["dadfailed" in each for each in shown() if "fd00::9/" in each] == [True]
    assert ["dadfailed" in each for each in shown() if "fd00::8/" in each] == [False]


def arp(number: int, *, tag: Packet | None = None) -> bytes:
    """Return a request from a host of this number."""
    frame = Ether(dst="ff:ff:ff:ff:ff:ff", src=THEIRS)
    frame = frame / tag if tag else frame
    return bytes(frame / ARP(op=1, hwsrc=THEIRS, psrc=f"10.0.0.{number}", pdst=V4))


def solicitation(
    number: int,
    *between: Packet,
    tag: Packet | None = None,
    hop_limit: int = 255,
    checksum: int | None = None,
    with_mac: bool = True,
) -> bytes:
    """Return a solicitation from a host of this number."""
    group = solicited_node_group(ipaddress.ip_address(V6).packed)
    frame = Ether(dst=mac_text(group_mac(group)), src=THEIRS)
    frame = frame / tag if tag else frame
    frame /= IPv6(src=f"fd00::{number}", dst=str(ipaddress.IPv6Address(group)), hlim=hop_limit)
    for each in between:
        frame /= each
    frame /= ICMPv6ND_NS(tgt=V6, cksum=checksum)
    return bytes(frame / ICMPv6NDOptSrcLLAddr(lladdr=THEIRS) if with_mac else frame)


def test_what_is_not_answered(node: Host, client: Host) -> None:
    """Tagged for a VLAN, come through a router, with a wrong sum, or below another header."""
    answering = Answering(node, V4, V6)
    bad = [
        arp(20, tag=Dot1Q(vlan=5)),
        solicitation(20, tag=Dot1Q(vlan=5)),
        solicitation(21, hop_limit=64),
        solicitation(22, checksum=0x1234),
        solicitation(23, IPv6ExtHdrHopByHop()),
    ]
    answers = exchange(client, *bad, arp(99)) + exchange(client, solicitation(98))
    askers = [str(ipaddress.ip_address(receiver(each))) for each in answers]
    assert askers == ["10.0.0.99", "fd00::98"]
    counted = answering.counters()
    assert counted["layer2_dropped_frames", "hop_limit"] == 1
    assert counted["layer2_dropped_frames", "checksum"] == 1


def test_what_is_answered(node: Host, client: Host) -> None:
    """With a priority and no VLAN, and without the asker's MAC in an option."""
    Answering(node, V4, V6)
    priority = Dot1Q(vlan=0, prio=5)
    frames = (
        [arp(20, tag=priority), arp(21)],
        [
            solicitation(20, tag=priority),
            solicitation(21, with_mac=False),
            solicitation(22),
        ],
    )
    for each in frames:
        answers = exchange(client, *each)
        assert len(answers) == len(each)
        assert {answer[:6] for answer in answers} == {bytes.fromhex(THEIRS.replace(":", ""))}
        assert {mac_text(answer[6:12]) for answer in answers} == {mac_of(node)}


CLAIMS = {
    "gratuitous request": (V4, ARP(op=1, hwsrc=THEIRS, psrc=V4, pdst=V4)),
    "gratuitous reply": (V4, ARP(op=2, hwsrc=THEIRS, psrc=V4, pdst=V4)),
    "a question from there": (V4, ARP(op=1, hwsrc=THEIRS, psrc=V4, pdst="10.0.0.77")),
    "unsolicited advertisement": (
        V6,
        IPv6(src=V6, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=V6, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=THEIRS),
    ),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_claims_of_others_are_heard(node: Host, client: Host, kind: str) -> None:
    """With the MAC that they name."""
    answering = Answering(node, V4, V6)
    address, claim = CLAIMS[kind]
    to = "33:33:00:00:00:01" if address == V6 else "ff:ff:ff:ff:ff:ff"
    exchange(client, bytes(Ether(dst=to, src=THEIRS) / claim), arp(99))
    heard = answering.wait(lambda event: event.get("heard") == "Claim")
    assert (heard["address"], heard["mac"], heard["tag"]) == (address, THEIRS, "")


@BOTH
def test_candidates_know_each_other(lab: Lab, node: Host, address: str) -> None:
    """A probe of one is answered by the other, to all and to one; each sees the other's state."""
    other = lab.host("other", *(each.format(3) for each in FIRST))
    owner = Answering(node, V4, V6)
    standby = Answering(other, V4, V6, options=["--silent"])
    for number, words in enumerate((address, f"{address} {mac_of(node)}"), start=1):
        standby.say(f"probe {words}")
        answer = standby.wait_heard(number)
        assert (answer["heard"], answer["address"]) == ("Claim", address)
        assert (answer["mac"], answer["tag"]) == (mac_of(node), "OWNER")
    asked = owner.wait(lambda event: "heard" in event)
    assert (asked["heard"], asked["tag"]) in {
        ("ArpRequest", "STANDBY"),
        ("NeighborSolicitation", "STANDBY"),
    }


@BOTH
def test_an_announcement_moves_the_address(
    lab: Lab, node: Host, client: Host, address: str
) -> None:
    """The client's kernel believes the new owner at once, and the old one hears it."""
    other = lab.host("other", *(each.format(3) for each in FIRST))
    old = Answering(node, V4, V6)
    new = Answering(other, V4, V6, options=["--silent"])
    assert first_found(client, address) == mac_of(node)
    entry = [address, "lladdr", mac_of(node), "dev", "eth0", "nud", "reachable"]
    client.ip("neigh", "replace", *entry)
    old.say(f"silence {address}")
    old.wait(lambda event: event.get("done") == f"silence {address}")
    new.say(f"announce {address}")
    wait_for(lambda: mac_of(other) in neighbour(client, address), SEEN_SECONDS, "moved")
    claim = old.wait(lambda event: event.get("heard") == "Claim")
    assert (claim["address"], claim["mac"], claim["tag"]) == (address, mac_of(other), "OWNER")
    counted = new.counters()
    assert counted["layer2_gratuitous_sent", address] == (2 if is_ipv4(address) else 1)


@NEAR_AND_FAR
def test_an_interface_that_comes_late(node: Host, far_client: Host, address: str, far: str) -> None:
    """It answers as soon as it is there, and the one that was the stopgap does not."""
    answering = Answering(node, address, far)
    answering.wait_verdict(far, "eth0", "weak: no address in the subnet")
    node.attach(*(each.format(1) for each in SECOND), segment="second")
    answering.wait_verdict(far, "eth1", "answers")
    answering.wait_verdict(far, "eth0", "not: another interface is in the subnet")
    answering.wait_verdict(address, "eth1", "not: another interface is in the subnet")
    assert first_found(far_client, far) == mac_of(node, "eth1")
    assert found(far_client, address) is None


@BOTH
def test_an_interface_without_an_address(node: Host, far_client: Host, address: str) -> None:
    """It does not answer, whatever it is asked."""
    answering = Answering(node, address, options=["--subnet", "ignore"])
    node.attach(segment="second")
    node.ip("-6", "address", "flush", "dev", "eth1")
    why = "no IPv4 address" if is_ipv4(address) else "no link-local address"
    answering.wait_verdict(address, "eth1", f"not: {why}")
    assert found(far_client, address) is None


@BOTH
def test_an_interface_that_is_renamed(node: Host, client: Host, address: str) -> None:
    """The advertisement's name counts: what it names comes and goes with it."""
    answering = Answering(node, V4, V6, options=["--interface", "lan0"])
    answering.wait_verdict(address, "eth0", "not: not named by an advertisement")
    rename(node, "eth0", "lan0", *(each.format(1) for each in FIRST))
    answering.wait_verdict(address, "lan0", "answers")
    assert first_found(client, address) == mac_of(node, "lan0")
    rename(node, "lan0", "eth0", *(each.format(1) for each in FIRST))
    answering.wait_verdict(address, "eth0", "not: not named by an advertisement")
    assert found(client, address) is None


def rename(host: Host, old: str, new: str, *addresses: str) -> None:
    """Rename an interface, which loses its IPv6 addresses while it is down for that."""
    host.ip("link", "set", old, "down")
    host.ip("link", "set", old, "name", new)
    host.ip("link", "set", new, "up")
    for each in addresses:
        if ":" in each:
            host.ip("address", "replace", each, "dev", new, "nodad")


@BOTH
def test_an_interface_that_is_readdressed(node: Host, client: Host, address: str) -> None:
    """In another subnet it is a weak one, or none by another rule."""
    index = 0 if is_ipv4(address) else 1
    answering = Answering(node, V4, V6, options=["--subnet", "require"])
    answering.wait_verdict(address, "eth0", "answers")
    node.add_address(SECOND[index].format(1))
    node.ip("address", "delete", FIRST[index].format(1), "dev", "eth0")
    answering.wait_verdict(address, "eth0", "not: no address in the subnet")
    assert found(client, address) is None
    node.add_address(FIRST[index].format(5))
    answering.wait_verdict(address, "eth0", "answers")
    wait_found(client, address, mac_of(node))


@BOTH
def test_a_mac_that_changes(node: Host, client: Host, address: str) -> None:
    """The next answer names the new one."""
    answering = Answering(node, V4, V6)
    assert first_found(client, address) == mac_of(node)
    node.ip("link", "set", "eth0", "address", "02:aa:bb:cc:dd:01")
    wait_found(client, address, "02:aa:bb:cc:dd:01")
    assert answering.counters()["layer2_responses_sent", address] >= 2


@BOTH
def test_a_bridge_member(node: Host, client: Host, address: str) -> None:
    """The bridge answers for it, with its own MAC."""
    answering = Answering(node, V4, V6)
    node.ip("link", "add", "br0", "address", "02:aa:bb:cc:dd:02", "type", "bridge")
    node.ip("link", "set", "eth0", "master", "br0")
    answering.wait_verdict(address, "eth0", "not: bridge member")
    assert found(client, address) is None
    node.ip("address", "flush", "dev", "eth0")
    node.ip("link", "set", "br0", "up")
    for each in FIRST:
        node.add_address(each.format(1), "br0")
    answering.wait_verdict(address, "br0", "answers")
    wait_found(client, address, "02:aa:bb:cc:dd:02")
    node.ip("link", "set", "eth0", "nomaster")
    answering.wait_verdict(address, "br0", "not: no carrier")


@BOTH
def test_a_macvlan(node: Host, client: Host, address: str) -> None:
    """It answers with its own MAC; the interface below has no address any more."""
    answering = Answering(node, V4, V6)
    node.ip("address", "flush", "dev", "eth0")
    link = ["link", "eth0", "name", "mac0", "address", "02:aa:bb:cc:dd:03", "type", "macvlan"]
    node.ip("link", "add", *link, "mode", "bridge")
    node.ip("link", "set", "mac0", "up")
    for each in FIRST:
        node.add_address(each.format(1), "mac0")
    answering.wait_verdict(address, "mac0", "answers")
    wait_found(client, address, "02:aa:bb:cc:dd:03")


@BOTH
def test_a_cable_that_is_pulled(node: Host, client: Host, address: str) -> None:
    """It does not answer without carrier, and does again when that is back."""
    answering = Answering(node, V4, V6)
    node.link_down()
    answering.wait_verdict(address, "eth0", "not: no carrier")
    node.link_up()
    answering.wait_verdict(address, "eth0", "answers")
    wait_found(client, address, mac_of(node))


@NEAR_AND_FAR
def test_an_interface_that_goes_while_it_is_asked(
    node: Host, client: Host, far_client: Host, address: str, far: str
) -> None:
    """The others go on, and the same index may come again as another interface."""
    node.attach(*(each.format(1) for each in SECOND), segment="second")
    answering = Answering(node, address, far)
    own = far_client.ipv4 if is_ipv4(far) else far_client.ipv6
    flood = [sys.executable, "-m", "tests.bench.asking", str(own), mac_of(far_client)]
    far_client.popen([*flood, "--first", far, "--window", "32", "--seconds", "60"])
    wait_for(
        lambda: answering.counters().get(("layer2_responses_sent", far), 0) > 100,
        SEEN_SECONDS,
        "a flood of questions",
    )
    node.ip("link", "delete", "eth1")
    wait_for(
        lambda: "eth1" not in answering.events()[-1].get("interfaces", {"eth1": ""}),
        SEEN_SECONDS,
        "the interface has gone",
    )
    assert first_found(client, address) == mac_of(node)


def test_its_own_address_is_left_to_the_kernel(node: Host, client: Host) -> None:
    """One answer and not two; the verdict says why."""
    answering = Answering(node, V4, V6)
    node.add_address(f"{V4}/24")
    why = "not: the interface's own address: the kernel answers"
    answering.wait_verdict(V4, "eth0", why)
    answers = exchange(client, arp(20), arp(21))
    assert [receiver(each)[3] for each in answers] == [20, 21]
    assert ("layer2_responses_sent", V4) not in answering.counters()


def test_net_raw_is_enough(node: Host, client: Host) -> None:
    """No other capability is there, in no set; interfaces that come late are answered on too."""
    answering = Answering(node, V4, V6, wrapper=ONLY_NET_RAW)
    held = re.findall(r"Cap(?:Eff|Prm|Bnd):\t(\w+)", capabilities(node, answering.pid))
    assert {int(each, 16) for each in held} == {CAP_NET_RAW}
    assert first_found(client, V4) == mac_of(node)
    assert first_found(client, V6) == mac_of(node)
    node.ip("link", "set", "eth0", "address", "02:aa:bb:cc:dd:04")
    wait_found(client, V4, "02:aa:bb:cc:dd:04")
    wait_found(client, V6, "02:aa:bb:cc:dd:04")


def capabilities(host: Host, pid: int) -> str:
    """Return what the kernel says of a process."""
    return host.run(["cat", f"/proc/{pid}/status"])


def test_without_net_raw_it_says_so(node: Host) -> None:
    """And not that some call was not permitted."""
    program = [sys.executable, "-m", "tests.integration.lab.answering", "--node", "node", V4]
    with pytest.raises(LabError, match=r"WireError: .* give this process CAP_NET_RAW"):
        node.run([*NO_CAPABILITY, *program])


def test_events_that_the_kernel_had_to_drop(lab: Lab, node: Host, client: Host) -> None:
    """A process that slept for long asks for everything again, and is right then."""
    answering = Answering(node, V4, V6)
    answering.send(signal.SIGSTOP)
    batch = lab.folder / "batch"
    lines = [f"address add 10.7.{n // 250}.{n % 250}/32 dev lo" for n in range(3000)]
    batch.write_text("\n".join([*lines, f"address delete {FIRST[0].format(1)} dev eth0"]) + "\n")
    command(["ip", "-n", node.namespace, "-batch", str(batch)])
    answering.send(signal.SIGCONT)
    answering.wait_verdict(V4, "eth0", "not: no IPv4 address")
    assert answering.counters()["layer2_interface_resyncs", ""] >= 1
    assert first_found(client, V6) == mac_of(node)


@BOTH
def test_a_send_queue_that_is_full(node: Host, client: Host, address: str) -> None:
    """What does not go out is counted, and the rest goes on when there is room again."""
    answering = Answering(node, V4, V6)
    shape = ["root", "tbf", "rate", "8bit", "burst", "1540", "limit", "1600"]
    node.run(["tc", "qdisc", "add", "dev", "eth0", *shape])

    def refused() -> int:
        for _ in range(50):
            answering.say(f"announce {address}")
        return answering.counters().get(("layer2_socket_errors", "ENOBUFS"), 0)

    wait_for(refused, SEEN_SECONDS, "a full queue")
    node.run(["tc", "qdisc", "delete", "dev", "eth0", "root"])
    wait_found(client, address, mac_of(node))
