"""The router of the demo: the port that it listens on."""

import errno
import socket

import pytest

from exabgp_metallb.programs.demo.network import ROUTER_ADDRESS
from exabgp_metallb.programs.demo.router import reserved_port


def test_nobody_takes_the_port_before_the_router_listens() -> None:
    """It starts a second later, and other programs are given free ports meanwhile."""
    with reserved_port(ROUTER_ADDRESS) as port:
        address = (str(ROUTER_ADDRESS), port)
        with socket.socket() as other, pytest.raises(OSError, match="in use") as refused:
            other.bind(address)
        assert refused.value.errno == errno.EADDRINUSE
        with socket.create_server(address), socket.create_connection(address):  # as ExaBGP does
            pass
