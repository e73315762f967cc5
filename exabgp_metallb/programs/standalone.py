"""Addresses without a cluster: every node plays the controller for the manifests that it follows.

The decision is a function of the manifests and of the leases before, so nodes that saw the same
edits agree. The leases are kept in a file, for a restart must not move an address: a Service that
was there first keeps what it has, whatever was added to the folder since. Where a manifest shows a
status, as one does that was exported from a cluster, the address in it counts before the lease, as
it does in `plan`.
"""

import json
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from loguru import logger

from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.decisions.allocation.allocate import Allocator
from exabgp_metallb.parsing.inventory import Changes, Inventory
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease, Leases
from exabgp_metallb.values.objects import ObjectName, Service
from exabgp_metallb.values.outcome import LeaseChange, Outcome


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
        pools = snapshot.intent.pools
        changed = {name: inventory.services.get(name) for name in changes.services}
        held, self._held = self._held, {}
        known = held or self._allocator.leases  # the first time nothing else is known
        moved = [s.name for s in changed.values() if s and _status_counts(s, known, pools)]
        edits = [self._allocator.edit(dict.fromkeys(moved))] if moved else []
        held = {name: lease for name, lease in held.items() if name not in moved}
        edits.append(
            self._allocator.edit(changed, pools=pools, namespaces=snapshot.namespaces, held=held)
        )
        outcomes = {outcome.service: outcome for edit in edits for outcome in edit}
        for name, outcome in outcomes.items():
            inventory.set_addresses(name, outcome.lease.addresses if outcome.lease else ())
        self._tell(outcomes.values())
        if moved or any(o.change is not LeaseChange.KEPT for o in outcomes.values()):
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
        text = json.dumps(leases).replace("}, ", "},\n")  # `indent` would take ten times as long
        try:
            write_aside(self._path, text.encode(), mode=0o600)
        except OSError as error:
            logger.error("{}: {}: leases are not kept over a restart", self._path, error.strerror)


def _status_counts(service: Service, leases: Leases, pools: Iterable[Pool]) -> bool:
    """Tell whether a Service is to have the addresses of its status, and not those of its lease."""
    lease = leases.get(service.name)
    if lease is None or not service.ingress or set(service.ingress) == set(lease.addresses):
        return False
    taken = {a for name, other in leases.items() if name != service.name for a in other.addresses}
    of_one_pool = any(all(a in pool for a in service.ingress) for pool in pools)
    return of_one_pool and taken.isdisjoint(service.ingress)


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
