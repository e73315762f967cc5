"""Addresses and prefixes: what the shortcuts return is what the long way would."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from exabgp_metallb.values.addresses import Address, Family, covering_prefix, family_of


@given(address=st.ip_addresses(), data=st.data())
def test_the_covering_prefix_is_the_one_of_the_standard_library(
    address: Address, data: st.DataObject
) -> None:
    """Of every length, of both families."""
    length = data.draw(st.integers(0, address.max_prefixlen))
    assert covering_prefix(address, length) == ip_network((address, length), strict=False)


@given(address=st.ip_addresses())
def test_the_family_is_the_one_of_the_version(address: Address) -> None:
    """Of addresses and of prefixes."""
    assert family_of(address) is family_of(ip_network(address)) is Family(address.version)
