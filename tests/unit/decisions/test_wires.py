"""Which interfaces answer for an address, and in which words the others do not."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from exabgp_metallb.decisions.wires import Standing, Verdict, report, verdicts
from exabgp_metallb.values.interfaces import Interface
from exabgp_metallb.values.orders import SubnetRule

ETH0 = Interface(
    name="eth0",
    index=2,
    mac=bytes.fromhex("020000000001"),
    up=True,
    carrier=True,
    broadcast=True,
    addresses=tuple(map(ip_interface, ("10.0.0.1/24", "fd00::1/64", "fe80::1/64"))),
)
ETH1 = replace(
    ETH0,
    name="eth1",
    index=3,
    addresses=tuple(map(ip_interface, ("172.16.0.1/16", "fd01::1/64", "fe80::2/64"))),
)
V4, V6 = "10.0.0.9", "fd00::9"
ANSWERS = Verdict(Standing.ANSWERS)
WEAK = Verdict(Standing.WEAK, "no address in the subnet")


def not_(why: str) -> Verdict:
    """Return a refusal."""
    return Verdict(Standing.NOT, why)


def verdict(
    interface: Interface,
    address: str,
    rule: SubnetRule = SubnetRule.PREFER,
    named: frozenset[str] | None = None,
) -> Verdict:
    """Return the verdict on the only interface of a node."""
    return verdicts([interface], ip_address(address), rule=rule, named=named)[interface.index]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"loopback": True}, "loopback", id="loopback"),
        pytest.param({"up": False, "carrier": False}, "down", id="down"),
        pytest.param({"carrier": False}, "no carrier", id="no carrier"),
        pytest.param({"master": "bond"}, "bond member", id="bond member"),
        pytest.param({"master": "bridge"}, "bridge member", id="bridge member"),
        pytest.param({"master": "vrf"}, "vrf member", id="VRF member"),
        pytest.param({"mac": b""}, "not Ethernet", id="tunnel"),
        pytest.param({"noarp": True}, "ARP is off", id="NOARP"),
    ],
)
@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("rule", SubnetRule)
def test_unusable(changes: dict[str, object], why: str, address: str, rule: SubnetRule) -> None:
    """For no address of either family, by any rule; the report says the same."""
    interface = replace(ETH0, **changes)  # type: ignore[arg-type]  # each of its field's type
    assert verdict(interface, address, rule) == not_(why)
    assert report(interface).why == why
    assert not report(interface).usable


@pytest.mark.parametrize(
    ("changes", "address", "why"),
    [
        pytest.param({"broadcast": False}, V4, "no broadcast", id="no broadcast"),
        pytest.param(
            {"addresses": ETH0.addresses[1:]}, V4, "no IPv4 address", id="no IPv4 address"
        ),
        pytest.param(
            {"addresses": ETH0.addresses[:2]}, V6, "no link-local address", id="no link-local"
        ),
    ],
)
def test_unusable_for_one_family(changes: dict[str, object], address: str, why: str) -> None:
    """The other family is answered all the same, so the interface is usable."""
    interface = replace(ETH0, **changes)  # type: ignore[arg-type]  # each of its field's type
    assert verdict(interface, address) == not_(why)
    assert verdict(interface, V6 if address == V4 else V4) == ANSWERS
    assert report(interface).usable


def test_an_interface_without_addresses_is_not_usable() -> None:
    """The report names what is missing in each family."""
    assert report(replace(ETH0, addresses=())).why == "no IPv4 address, no link-local address"


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize(
    ("rule", "alone", "beside"),
    [
        (SubnetRule.PREFER, WEAK, not_("another interface is in the subnet")),
        (SubnetRule.REQUIRE, not_("no address in the subnet"), not_("no address in the subnet")),
        (SubnetRule.IGNORE, ANSWERS, ANSWERS),
    ],
)
def test_subnets(address: str, rule: SubnetRule, alone: Verdict, beside: Verdict) -> None:
    """An interface outside the subnet, alone and beside one that is in it."""
    assert verdict(ETH1, address, rule) == alone
    both = verdicts([ETH0, ETH1], ip_address(address), rule=rule, named=None)
    assert both == {2: ANSWERS, 3: beside}


def test_an_interface_in_the_subnet_that_is_down_outshines_nobody() -> None:
    """Then the others are weak, as on a node that has none there."""
    down = replace(ETH0, up=False)
    both = verdicts([down, ETH1], ip_address(V4), rule=SubnetRule.PREFER, named=None)
    assert both == {2: not_("down"), 3: WEAK}


def test_names() -> None:
    """Only what is named, also where another one were better."""
    both = verdicts([ETH0, ETH1], ip_address(V4), rule=SubnetRule.PREFER, named=frozenset({"eth1"}))
    assert both == {2: not_("not named by an advertisement"), 3: WEAK}


@pytest.mark.parametrize("own", ["10.0.0.9/24", "10.0.0.9/32"])
def test_own_addresses_are_the_kernels(own: str) -> None:
    """It answers for them by itself, whatever we do."""
    interface = replace(ETH0, addresses=(*ETH0.addresses, ip_interface(own)))
    assert verdict(interface, V4) == not_("the interface's own address: the kernel answers")


def test_an_address_of_another_interface_is_answered() -> None:
    """As kube-proxy in IPVS mode has them all on an interface that hears nothing."""
    dummy = replace(ETH1, name="kube-ipvs0", noarp=True, addresses=(ip_interface("10.0.0.9/32"),))
    both = verdicts([ETH0, dummy], ip_address(V4), rule=SubnetRule.PREFER, named=None)
    assert both == {2: ANSWERS, 3: not_("ARP is off")}


def test_a_subnet_of_one_address_holds_no_other() -> None:
    """A node with a /32 of its own, as some clouds give it, is in nobody's subnet."""
    alone = replace(ETH0, addresses=(ip_interface("10.0.0.1/32"),))
    assert verdict(alone, V4) == WEAK


@pytest.mark.parametrize(
    ("target", "asker"),
    [
        ("10.0.0.9", "10.0.0.1"),
        ("192.0.2.9", "10.0.0.1"),
        ("172.16.3.4", "172.16.0.1"),
        ("fd00::9", "fe80::1"),
    ],
)
def test_whom_a_question_comes_from(target: str, asker: str) -> None:
    """The address in the target's subnet, else the first; in IPv6 the link-local one."""
    both = replace(ETH0, addresses=(*ETH0.addresses, *ETH1.addresses))
    assert both.asker(ip_address(target).packed) == ip_address(asker).packed


@pytest.mark.parametrize("target", [V4, V6])
def test_nobody_to_ask(target: str) -> None:
    """An interface without an address of the family."""
    assert replace(ETH0, addresses=()).asker(ip_address(target).packed) is None
