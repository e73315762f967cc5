"""What a text inside an object may say."""

from collections.abc import Callable

import pytest

from exabgp_metallb.parsing import scalars


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="ipv4"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", id="ipv6"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="ipv4-inside-ipv6"),
        pytest.param("192.0.2.300", None, id="too-large"),
        pytest.param("192.0.2.010", None, id="leading-zero"),
        pytest.param("192.0.2", None, id="too-short"),
        pytest.param("192.0.2.1/24", None, id="prefix-length"),
        pytest.param("fe80::1%eth0", None, id="zone"),
        pytest.param(" 192.0.2.1", None, id="space"),
        pytest.param("router.example", None, id="name"),
        pytest.param("3221225985", None, id="number"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_address(text: str, result: str | None) -> None:
    """One address, as Go's net.ParseIP takes it, without a zone."""
    if result is None:
        with pytest.raises(ValueError, match="write"):
            scalars.address(text)
    else:
        assert str(scalars.address(text)) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("192.0.2.0/24", "192.0.2.0-192.0.2.255", id="cidr"),
        pytest.param("192.0.2.77/24", "192.0.2.0-192.0.2.255", id="host-bits"),
        pytest.param("192.0.2.1/32", "192.0.2.1-192.0.2.1", id="one"),
        pytest.param("2001:db8::/126", "2001:db8::-2001:db8::3", id="ipv6"),
        pytest.param("192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9", id="range"),
        pytest.param(" 192.0.2.1  - 192.0.2.9 ", "192.0.2.1-192.0.2.9", id="spaces"),
        pytest.param(" 192.0.2.0/24 ", "192.0.2.0-192.0.2.255", id="spaces-around-a-cidr"),
        pytest.param("0.0.0.0/0", "0.0.0.0-255.255.255.255", id="all"),
        pytest.param("192.0.2.0", None, id="bare-address"),
        pytest.param("192.0.2.0/33", None, id="too-long"),
        pytest.param("192.0.2.0/", None, id="no-length"),
        pytest.param("192.0.2.0/255.255.255.0", None, id="netmask"),
        pytest.param("10.0.0.300/32", None, id="bad-address"),
        pytest.param("192.0.2.1-9", None, id="short-range"),
        pytest.param("192.0.2.1-", None, id="open-range"),
        pytest.param("192.0.2.9-192.0.2.1", None, id="backwards"),
        pytest.param("192.0.2.1-2001:db8::1", None, id="two-families"),
        pytest.param("192.0.2.1-192.0.2.2-192.0.2.3", None, id="three-ends"),
        pytest.param("::ffff:192.0.2.0/120", None, id="ipv4-inside-ipv6"),
    ],
)
def test_address_range(text: str, result: str | None) -> None:
    """A CIDR, or first-last, as MetalLB takes them."""
    if result is None:
        with pytest.raises(ValueError, match="write"):
            scalars.address_range(text)
    else:
        assert str(scalars.address_range(text)) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("90s", 90 * 10**9, id="seconds"),
        pytest.param("1m30s", 90 * 10**9, id="minutes-and-seconds"),
        pytest.param("1h", 3600 * 10**9, id="hours"),
        pytest.param("500ms", 5 * 10**8, id="milliseconds"),
        pytest.param("1.5s", 15 * 10**8, id="fraction"),
        pytest.param(".5m", 30 * 10**9, id="fraction-alone"),
        pytest.param("1.s", 10**9, id="point-without-fraction"),
        pytest.param("2us3ns", 2003, id="micro-and-nano"),
        pytest.param("2µs", 2000, id="micro-sign"),
        pytest.param("2μs", 2000, id="greek-mu"),
        pytest.param("0", 0, id="zero-without-unit"),
        pytest.param("+3s", 3 * 10**9, id="plus"),
        pytest.param("90", None, id="no-unit"),
        pytest.param("90 s", None, id="space"),
        pytest.param("1d", None, id="days"),
        pytest.param("-3s", None, id="negative"),
        pytest.param("s", None, id="unit-alone"),
        pytest.param(".s", None, id="point-alone"),
        pytest.param("٣s", None, id="arabic-digits"),
        pytest.param("9" * 40 + "h", None, id="absurd"),
    ],
)
def test_nanoseconds(text: str, result: int | None) -> None:
    """A duration, as Go's time.ParseDuration takes it, and not negative."""
    if result is None:
        with pytest.raises(ValueError, match="write a duration"):
            scalars.nanoseconds(text)
    else:
        assert scalars.nanoseconds(text) == result


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        pytest.param(scalars.host, "224.0.0.5", "multicast", id="multicast"),
        pytest.param(scalars.host, "ff02::1", "multicast", id="multicast-v6"),
        pytest.param(scalars.host, "0.0.0.0", "one machine", id="unspecified"),
        pytest.param(scalars.host, "::", "one machine", id="unspecified-v6"),
        pytest.param(scalars.host, "255.255.255.255", "one machine", id="broadcast"),
        pytest.param(scalars.router_id, "2001:db8::1", "32 bits", id="router-id-v6"),
        pytest.param(scalars.router_id, "0.0.0.0", "not zero", id="router-id-zero"),
        pytest.param(scalars.interface, "eth0;eth1", "network interface", id="semicolon"),
        pytest.param(scalars.interface, "a/b", "network interface", id="slash"),
        pytest.param(scalars.interface, "eth 0", "network interface", id="space"),
        pytest.param(scalars.interface, "..", "network interface", id="dots"),
        pytest.param(scalars.interface, "sixteenletters16", "at most 15", id="long"),
        pytest.param(scalars.interface, "ethé", "network interface", id="non-ascii"),
        pytest.param(scalars.interface, "eth0\n", "network interface", id="line-break"),
        pytest.param(scalars.md5_password, "x" * 81, "at most 80", id="long-password"),
        pytest.param(scalars.md5_password, "pässword", "ASCII", id="non-ascii-password"),
        pytest.param(scalars.md5_password, "a\tb", "ASCII", id="tab"),
        pytest.param(scalars.md5_password, "secret\n", "line break", id="echo-without-n"),
        pytest.param(scalars.object_name, "Edge", "a-z", id="upper-case"),
        pytest.param(scalars.object_name, "a_b", "a-z", id="underscore"),
        pytest.param(scalars.object_name, "a..b", "a-z", id="two-dots"),
        pytest.param(scalars.object_name, "-a", "a-z", id="leading-dash"),
        pytest.param(scalars.object_name, "a." * 126 + "abc", "253", id="long-name"),
        pytest.param(scalars.namespace_name, "a.b", "63", id="dot-in-namespace"),
        pytest.param(scalars.namespace_name, "a" * 64, "63", id="long-namespace"),
    ],
)
def test_what_is_refused(read: Callable[[str], object], text: str, words: str) -> None:
    """Each refusal says why, and what would be right."""
    with pytest.raises(ValueError, match="write") as caught:
        read(text)
    assert words in str(caught.value)
    assert read is not scalars.md5_password or text not in str(caught.value)


@pytest.mark.parametrize("text", ["eth0", "eth0.100", "vlan@eth0", "br-1234", "a", "x" * 15])
def test_names_of_interfaces(text: str) -> None:
    """What Linux distributions name their interfaces."""
    assert scalars.interface(text) == text


@pytest.mark.parametrize("text", ["x" * 80, "it's", '"', "a\\b", "; #", " ~"])
def test_passwords(text: str) -> None:
    """Whatever a keyboard has; exabgp.conf is written so that it can hold them all."""
    assert scalars.md5_password(text) == text
