"""All resources together: names looked up, objects at odds refused, an Intent made of the rest.

What comes in is right by itself. It goes through three steps, and none of them looks back:

1. Names (`references`). Aliases become communities, Secrets passwords. What names
   something that does not exist (yet) waits; its last good version stands, if there was one.
2. Admission (`admission`). Pools, peers and advertisements are taken in by age, and one
   that is at odds with those that stand is refused.
3. Pools of advertisements. An advertisement is for those of its pools that stand. Names of pools
   and peers that nobody has are no fault, as in MetalLB, but each gets a warning.

One bad object refuses itself and no other. The outcome does not depend on the order of the input.
With n objects and ranges the cost is of the order n log n, plus the number of (selector, object)
pairs that match.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter

from exabgp_metallb.parsing.fields import shown
from exabgp_metallb.parsing.intent.admission import Admission
from exabgp_metallb.parsing.intent.nearest import Nearest
from exabgp_metallb.parsing.intent.references import Aliases, completed
from exabgp_metallb.parsing.intent.resources import Resolved, Specs, in_order
from exabgp_metallb.parsing.intent.scopes import Scopes
from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.intent import Intent
from exabgp_metallb.values.specs import PoolChoice

__all__ = ["Resolved", "Specs", "resolve"]

_BY_NAME = attrgetter("name")


def resolve(specs: Specs) -> Resolved:
    """Return the Intent of all resources together, without those that are at fault."""
    aliases = Aliases(specs)
    complete, waiting = completed(specs, aliases)
    specs = replace(
        specs,
        bgp_advertisements={**specs.bgp_advertisements, **complete.advertisements},
        bfd_profiles={**complete.bfd_profiles, **specs.bfd_profiles},
    )
    ads = [spec.advertisement for spec in complete.advertisements.values()]
    bgp, l2 = sorted(specs.bgp_advertisements.items()), sorted(specs.l2_advertisements.items())
    choices = [*(spec.choice for _, spec in bgp), *(spec.choice for _, spec in l2)]
    scopes = Scopes(specs.pools, choices)
    admission = Admission(specs, scopes)
    admission.admit([*specs.pools.values(), *complete.peers.values(), *ads])
    chosen = _Chosen(scopes, frozenset(admission.pools))
    intent = Intent(
        pools=tuple(sorted(admission.pools.values(), key=_BY_NAME)),
        peers=tuple(sorted(admission.peers.values(), key=_BY_NAME)),
        bgp_advertisements=tuple(
            replace(admission.advertisements[name], pools=chosen.pools(spec.choice))
            for name, spec in bgp
            if name in admission.advertisements
        ),
        l2_advertisements=tuple(
            replace(spec.advertisement, pools=chosen.pools(spec.choice)) for _, spec in l2
        ),
        bfd_profiles=tuple(sorted(specs.bfd_profiles.values(), key=_BY_NAME)),
    )
    faults = (*aliases.faults, *waiting, *admission.faults)
    return Resolved(intent, in_order(faults), in_order(_warnings(specs, intent)), complete)


class _Chosen:
    """The standing pools of each choice; equal sets are one object."""

    def __init__(self, scopes: Scopes, standing: frozenset[str]) -> None:
        self._scopes = scopes
        self._standing = standing
        self._found: dict[int, frozenset[str]] = {}

    def pools(self, choice: PoolChoice) -> frozenset[str]:
        """Return the names of the pools that a choice is for."""
        scope = self._scopes.of(choice)
        if scope.number not in self._found:
            self._found[scope.number] = scope.pools & self._standing
        return self._found[scope.number]


def _warnings(specs: Specs, intent: Intent) -> Iterator[Fault]:
    """Yield what advertisements name in vain."""
    pools = _Names(specs, "IPAddressPool", (pool.name for pool in intent.pools), specs.pools)
    peers = _Names(specs, "BGPPeer", (peer.name for peer in intent.peers), specs.peers)
    for ad in intent.bgp_advertisements:
        ref = specs.ref("BGPAdvertisement", ad.name)
        choice = specs.bgp_advertisements[ad.name].choice
        yield from _pool_warnings(ref, choice, ad.pools, pools)
        for peer in sorted(ad.peers - peers.standing):
            yield Fault(ref, "spec.peers", peers.missing(peer))
    for l2 in intent.l2_advertisements:
        ref = specs.ref("L2Advertisement", l2.name)
        yield from _pool_warnings(ref, specs.l2_advertisements[l2.name].choice, l2.pools, pools)


class _Names:
    """The objects of one kind, for what is said of those that are missing."""

    def __init__(
        self, specs: Specs, kind: str, standing: Iterable[str], existing: Iterable[str]
    ) -> None:
        self.standing = frozenset(standing)
        self._kind = kind
        broken = (ref.name for ref in specs.broken if ref.kind == kind)
        self._existing = frozenset(existing).union(broken)
        self._nearest = Nearest(self._existing)

    def missing(self, name: str) -> str:
        """Say why a name stands for nothing."""
        if name in self._existing:
            return f"{self._kind} {shown(name)} is left out for a fault of its own"
        return f"there is no {self._kind} {shown(name)} (yet){self._nearest.hint(name)}"


def _pool_warnings(
    ref: ObjectRef, choice: PoolChoice, chosen: frozenset[str], pools: _Names
) -> Iterator[Fault]:
    for index, name in enumerate(choice.names):
        if name not in pools.standing:
            yield Fault(ref, f"spec.ipAddressPools[{index}]", pools.missing(name))
    if chosen or (choice.names and not choice.selectors):
        return
    if choice.selectors:
        message = "the labels of no IPAddressPool match: it advertises nothing (yet)"
        yield Fault(ref, "spec.ipAddressPoolSelectors", message)
    else:
        yield Fault(ref, "", "there is no IPAddressPool (yet): it advertises nothing")
