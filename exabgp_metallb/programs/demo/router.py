"""The router: an ExaBGP that listens on loopback and tells what it receives.

Its only process is `forward`, which hands ExaBGP's JSON lines to the demo over a named pipe.
"""

import os
import select
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exabgp_metallb.adapters.exabgp import conf as exabgp_conf
from exabgp_metallb.errors import ExabgpError
from exabgp_metallb.programs.demo.expected import Neighbor
from exabgp_metallb.programs.demo.table import RouterTable
from exabgp_metallb.values.addresses import Address

READ_BYTES = 65536

_NEIGHBOR = """
neighbor {neighbor.address} {{
    description "{neighbor.node}";
    router-id {router};
    local-address {router};
    local-as {neighbor.router_asn};
    peer-as {neighbor.asn};
    hold-time 90;
    passive true;
    adj-rib-in false;
    family {{
        ipv4 unicast;
        ipv6 unicast;
    }}
    api {{
        processes [ {process} ];
        neighbor-changes;
        receive {{
            parsed;
            update;
        }}
    }}
}}
"""


def conf(router: Address, neighbors: Iterable[Neighbor], run: Sequence[str]) -> str:
    """Return the router's exabgp.conf; its neighbors wait to be called."""
    sections = [
        _NEIGHBOR.format(neighbor=n, router=router, process=exabgp_conf.PROCESS) for n in neighbors
    ]
    return exabgp_conf.render((), run=run) + "".join(sections)


@contextmanager
def reserved_port(address: Address) -> Iterator[int]:
    """Give a TCP port that needs no privilege, and that nobody takes before the router listens.

    It stays bound here. Linux lets ExaBGP bind it as well, since both set SO_REUSEADDR and this end
    never listens: socket(7).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((str(address), 0))
        yield holder.getsockname()[1]


class RouterFeed:
    """The demo's end of the named pipe: reads lines and keeps the router's table.

    Args:
        path: of the pipe; it is made here.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._rest = b""
        self._opened = False
        self.table = RouterTable()

    def wait(self, seconds: float) -> bool:
        """Wait for news at most so long, take all of it, and tell whether the table differs.

        Raises:
            ExabgpError: the router is gone.
        """
        select.select([self._descriptor], [], [], max(0.0, seconds))
        changed = False
        while lines := self._lines():
            for line in lines:
                changed |= self.table.hear(line)
        return changed

    def _lines(self) -> list[str]:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return []  # the router is there and has nothing to say
        if not data:
            if self._opened:
                raise ExabgpError("the router's process has ended")
            return []
        self._opened = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("ascii", "replace") for line in lines]

    def close(self) -> None:
        """Close it; whoever writes to it then ends."""
        os.close(self._descriptor)


def command(conf_path: Path) -> list[str]:
    """Return what starts the router."""
    return [sys.executable, "-m", "exabgp", "server", str(conf_path)]
