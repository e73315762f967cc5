"""Addresses without a cluster: every node plays the controller for the manifests that it follows.

The decision is a function of the manifests and of the leases before, so nodes that saw the same
edits agree. The leases are kept in a file, for a restart must not move an address: a Service that
was there first keeps what it has, whatever was added to the folder since.
"""

import json
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from loguru import logger

from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.decisions.allocate import Allocator
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.outcome import Outcome


class Standalone:
    """Gives addresses to the Services of an inventory.

    Args:
        path: of the file that keeps the leases.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._allocator = Allocator((), {})
        self._held = _read(path)

    def __call__(self, inventory: Inventory, changes: Changes) -> None:
        """Take what changed, and fill in the addresses that follow from it."""
        snapshot = inventory.snapshot()
        held, self._held = self._held, {}
        outcomes = self._allocator.edit(
            {name: inventory.services.get(name) for name in changes.services},
            pools=snapshot.intent.pools,
            namespaces=snapshot.namespaces,
            held=held,
        )
        for outcome in outcomes:
            lease = outcome.lease
            inventory.set_addresses(outcome.service, () if lease is None else lease.addresses)
        self._tell(outcomes)
        if outcomes:
            self._write()

    @staticmethod
    def _tell(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.refused is not None:
                why = f"{outcome.refused.reason}: {outcome.refused.message}"
                logger.warning("Service {}: no address: {}", outcome.service, why)

    def _write(self) -> None:
        leases = {
            str(name): {"pool": lease.pool, "addresses": [str(a) for a in lease.addresses]}
            for name, lease in sorted(self._allocator.leases.items())
        }
        try:
            write_aside(self._path, json.dumps(leases, indent=1).encode(), mode=0o600)
        except OSError as error:
            logger.error("{}: {}: leases are not kept over a restart", self._path, error.strerror)


def _read(path: Path) -> Leases:
    try:
        tree = json.loads(path.read_bytes())
        return {
            ObjectName(*name.split("/", 1)): Lease(
                addresses=tuple(ip_address(a) for a in lease["addresses"]), pool=lease["pool"]
            )
            for name, lease in tree.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.error("{}: {}: it is not used, addresses are given out anew", path, error)
        return {}
