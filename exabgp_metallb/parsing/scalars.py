"""What a text inside an object may say: addresses, ranges, durations, names, safe words.

Every function returns the value or raises ValueError with what would be right; `fields` puts before
it where the text stands and what it is.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_network

from exabgp_metallb.values.addresses import Address, AddressRange

_RANGE_ADVICE = "write a CIDR or first-last range"
_LENGTH = re.compile(r"[0-9]{1,3}")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(?:\.{_DNS_LABEL.pattern})*")

# Go's time.ParseDuration: any number of amounts, each with a unit.
_DURATION = re.compile(r"[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+")
_AMOUNT = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # the micro sign
    "μs": 10**3,  # the Greek letter
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION_ADVICE = "write a duration such as 90s, 1m30s or 500ms"
_LONGEST_DURATION = 32  # letters; Go's int64 of nanoseconds ends at 2562047h47m16.854775807s

# What dev_valid_name of the kernel takes (net/core/dev.c), less what is no plain word in a
# configuration file.
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@%+=~^-]{1,15}")
MAX_PASSWORD = 80
"""TCP_MD5SIG_MAXKEYLEN of the kernel."""


def address(text: str) -> Address:
    """Return one address; an IPv4 one written inside an IPv6 one is IPv4, as in Go."""
    if "/" in text:
        raise ValueError("write the address without a prefix length")
    if "%" in text:
        raise ValueError("write the address without a zone")
    try:
        if ":" not in text:
            return IPv4Address(text)
        v6 = IPv6Address(text)
    except ValueError:
        raise ValueError("write an IPv4 or IPv6 address") from None
    return v6.ipv4_mapped or v6


def host(text: str) -> Address:
    """Return an address that one machine may have."""
    found = address(text)
    if found.is_multicast:
        raise ValueError("a multicast address: write the address of one machine")
    if found.is_unspecified or found == IPv4Address("255.255.255.255"):
        raise ValueError("not the address of one machine: write that")
    return found


def router_id(text: str) -> IPv4Address:
    """Return a BGP Identifier: 32 bits, not zero (RFC 6286 section 2.1)."""
    found = address(text)
    if not isinstance(found, IPv4Address):
        raise ValueError("a router ID has 32 bits: write it as an IPv4 address")  # noqa: TRY004 -- it is the text that is wrong
    if found.is_unspecified:
        raise ValueError("a router ID is not zero: write one of the node's IPv4 addresses")
    return found


def address_range(text: str) -> AddressRange:
    """Return a CIDR, its host bits masked off, or `first-last`; spaces do not count."""
    if "-" in text:
        first, _, last = text.partition("-")
        return _range(first.strip(), last.strip())
    start, _, length = (part.strip() for part in text.partition("/"))
    if not _LENGTH.fullmatch(length):  # ip_network takes netmasks too, which Go does not
        raise ValueError(_RANGE_ADVICE)
    try:
        base = address(start)
        network = ip_network((base, int(length)), strict=False)
    except ValueError:
        raise ValueError(_RANGE_ADVICE) from None
    if ":" in start and isinstance(base, IPv4Address):
        raise ValueError("write IPv4 addresses without ::ffff:")
    return AddressRange(network.network_address, network.broadcast_address)


def _range(first: str, last: str) -> AddressRange:
    try:
        ends = address(first), address(last)
    except ValueError:
        raise ValueError(f"{_RANGE_ADVICE}, both ends as whole addresses") from None
    try:
        return AddressRange(*ends)
    except ValueError as error:
        raise ValueError(f"{error}: {_RANGE_ADVICE}") from None


def nanoseconds(text: str) -> int:
    """Return a duration as Go's time.ParseDuration reads it; not negative."""
    if text in ("0", "+0", "-0"):
        return 0
    if len(text) > _LONGEST_DURATION or not _DURATION.fullmatch(text):
        raise ValueError(_DURATION_ADVICE)
    if text.startswith("-"):
        raise ValueError(f"negative: {_DURATION_ADVICE}")
    return sum(
        (int(whole or 0) * 10 ** len(part) + int(part or 0)) * _NANOSECONDS[unit] // 10 ** len(part)
        for whole, part, unit in _AMOUNT.findall(text)
    )


def seconds(text: str) -> int:
    """Return a duration cut to whole seconds."""
    return nanoseconds(text) // 10**9


def object_name(text: str) -> str:
    """Return a name that Kubernetes gives objects: an RFC 1123 subdomain."""
    if len(text) > 253 or not _DNS_SUBDOMAIN.fullmatch(text):
        raise ValueError("write a name of a-z, 0-9, '-' and '.', at most 253 letters")
    return text


def namespace_name(text: str) -> str:
    """Return a name that Kubernetes gives namespaces: an RFC 1123 label."""
    if not _DNS_LABEL.fullmatch(text):
        raise ValueError("write a name of a-z, 0-9 and '-', at most 63 letters")
    return text


def interface(text: str) -> str:
    """Return the name of a network interface or of a VRF's device."""
    if not _INTERFACE.fullmatch(text) or text in (".", ".."):
        raise ValueError(
            "write the name of a network interface: at most 15 letters, digits and _.:@%+=~^-"
        )
    return text


def md5_password(text: str) -> str:
    """Return a TCP MD5 password as people type them; errors never show it.

    One in a Secret may be any text, since what is generated may be.
    """
    if len(text) > MAX_PASSWORD:
        raise ValueError(f"write a password of at most {MAX_PASSWORD} letters")
    if text.endswith(("\n", "\r")):
        raise ValueError("write the password without the line break at its end (echo -n)")
    if not (text.isascii() and text.isprintable()):
        raise ValueError("write a password of ASCII letters, or put it into a Secret")
    return text
