"""The decision for one Service: what it keeps, and what it gets.

Two steps, both pure. `staying` finds which of the current addresses the Service keeps; where that
is all it needs, nothing moves. `placing` gives it what is missing: an address of the second family
from the same pool, the addresses it asks for, or the first ones free or shareable.

It differs from MetalLB where that moves an address that may stay: of two addresses of which one is
lost, the other is kept if its pool can make the pair whole again or one is enough, and a Service
that turns from dual stack to single stack keeps its address of the family left.
"""

from dataclasses import dataclass

from exabgp_metallb.decisions.allocation.eligible import NAMES_SHOWN, Eligibility, listed
from exabgp_metallb.decisions.allocation.fit import (
    BOTH,
    families_of,
    no_pair_left,
    nothing_left,
    over_quota,
    prefers_dual_stack,
    spelled,
    unfit,
)
from exabgp_metallb.decisions.allocation.ledger import Ledger
from exabgp_metallb.decisions.allocation.sharing import Terms, terms_of
from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.lease import Lease
from exabgp_metallb.values.objects import Service
from exabgp_metallb.values.reasons import Reason, Refused

Need = frozenset[Family]
"""The families that must come from one pool at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What, if it changes, may give a Service an address (besides the Service and the pools).

    Attributes:
        pools: where an address may come free, by name.
        general: also any pool without serviceAllocation that gives addresses unasked.
        needs: what must come free there; one of them is enough.
        addresses: any change of who holds them on what terms.
        quotas: pools of which the Service's namespace has its fill.
    """

    pools: tuple[str, ...] = ()
    general: bool = False
    needs: tuple[Need, ...] = ()
    addresses: tuple[Address, ...] = ()
    quotas: tuple[str, ...] = ()


NO_WAIT = Wait()


@dataclass(frozen=True, slots=True)
class Stay:
    """The addresses that a Service keeps.

    Attributes:
        addresses: all of one pool; in the order asked for, else in that of the status.
        is_enough: the Service needs no other.
        lost: for each address that it does not keep, why.
    """

    addresses: tuple[Address, ...] = ()
    pool: Pool | None = None
    is_enough: bool = False
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Placing:
    """What a Service gets: a lease, or the reason why not; both when the lease lacks something."""

    lease: Lease | None
    refused: Refused | None = None
    wait: Wait = NO_WAIT


def staying(
    service: Service, current: tuple[Address, ...], eligibility: Eligibility, ledger: Ledger
) -> Stay:
    """Decide which of its current addresses a Service keeps.

    Whatever the ledger says that the Service itself holds does not stand in its way.
    """
    if not current:
        return Stay()
    terms = terms_of(service)
    kept: dict[Family, Address] = {}
    pool: Pool | None = None
    lost: list[str] = []
    for address in dict.fromkeys(current):
        refused = unfit(service, address, terms, eligibility, ledger)
        owner = eligibility.pools.pool_of(address)
        if refused is None and owner is not None:
            unwanted = _unwanted(service, address, owner) or _odd(address, owner, kept, pool)
        else:
            unwanted = refused.message if refused is not None else None
        if unwanted is None:
            kept[family_of(address)], pool = address, owner
        else:
            lost.append(unwanted)
    return _stay(service, tuple(kept.values()), pool, tuple(lost))


def _stay(
    service: Service, kept: tuple[Address, ...], pool: Pool | None, lost: tuple[str, ...]
) -> Stay:
    asked = _asked_for(service)
    is_enough = len(kept) == len(families_of(service))
    if asked:
        kept = tuple(address for address in asked if address in kept)
        is_enough = is_enough and len(kept) == len(asked)
    return Stay(kept, pool, is_enough, lost)


def _asked_for(service: Service) -> tuple[Address, ...]:
    """Return the addresses that a Service asks for, if its request can be read at all."""
    request = service.request
    return () if request.fault is not None else tuple(dict.fromkeys(request.addresses))


def _unwanted(service: Service, address: Address, owner: Pool) -> str | None:
    """Say why a Service does not want an address that it may hold; None when it does."""
    family, families = family_of(address), families_of(service)
    request, asked = service.request, _asked_for(service)
    if family not in families:
        return f"{address} is {family}, and the Service is {spelled(families)}"
    if request.pool is not None and request.pool != owner.name:
        return f'{address} is of pool "{owner.name}", and the Service asks for "{request.pool}"'
    if asked and address not in asked:
        return f"{address} is not what the Service asks for"
    return None


def _odd(
    address: Address, owner: Pool, kept: dict[Family, Address], pool: Pool | None
) -> str | None:
    """Say why an address makes no pair with those kept before it; None when it does."""
    family = family_of(address)
    if family in kept:
        return f"{address} is a second {family} address next to {kept[family]}"
    if pool is not None and pool.name != owner.name:
        before = ", ".join(str(each) for each in kept.values())
        return f'{address} is of pool "{owner.name}", and {before} of "{pool.name}"'
    return None


def keeping(service: Service, stay: Stay) -> Placing | None:
    """Return the lease of a Service that needs no more than it keeps; None when it needs more."""
    if not stay.is_enough or stay.pool is None:
        return None
    return Placing(lease_of(service, stay.addresses, stay.pool), _fault(service))


def _fault(service: Service) -> Refused | None:
    fault = service.request.fault
    return None if fault is None else Refused(Reason.BAD_REQUEST, fault)


def placing(service: Service, stay: Stay, eligibility: Eligibility, ledger: Ledger) -> Placing:
    """Decide what a Service gets where what it keeps is not enough. It holds nothing meanwhile."""
    fault = _fault(service)
    if fault is not None:
        if stay.pool is None or not prefers_dual_stack(service):
            return Placing(None, fault)
        return Placing(lease_of(service, stay.addresses, stay.pool), fault)
    if service.request.addresses:
        return _asked(service, eligibility, ledger)
    if stay.addresses and stay.pool is not None:
        partial = _completed(service, stay.addresses, stay.pool, ledger)
        if partial.lease is not None:
            return partial
    return _fresh(service, eligibility, ledger)


def lease_of(service: Service, addresses: tuple[Address, ...], pool: Pool) -> Lease:
    """Return the lease of addresses on the Service's terms."""
    terms = terms_of(service)
    return Lease(
        addresses=addresses,
        pool=pool.name,
        ports=terms.ports,
        sharing_key=terms.key,
        backend=terms.backend,
    )


def _asked(service: Service, eligibility: Eligibility, ledger: Ledger) -> Placing:
    """Give a Service exactly the addresses that it asks for, in its order."""
    asked = _asked_for(service)
    refused = _asked_wrongly(service, asked, eligibility)
    if refused is not None:
        return Placing(None, refused)
    terms = terms_of(service)
    wait = Wait(addresses=asked)
    for address in asked:
        refused = unfit(service, address, terms, eligibility, ledger)
        if refused is not None:
            return Placing(None, refused, wait)
    pool = eligibility.pools.pool_of(asked[0])
    assert pool is not None  # noqa: S101 -- an address of no pool is unfit
    refused = over_quota(service, pool, ledger)
    if refused is not None:
        return Placing(None, refused, Wait(addresses=asked, quotas=(pool.name,)))
    return Placing(lease_of(service, asked, pool))


def _asked_wrongly(
    service: Service, asked: tuple[Address, ...], eligibility: Eligibility
) -> Refused | None:
    """Say why the addresses asked for cannot be given together to such a Service."""
    request = service.request
    wanted = families_of(service)
    text = ", ".join(str(address) for address in asked)
    families = [family_of(address) for address in asked]
    if sorted(families) != sorted(wanted):
        each = "one address" if len(wanted) == 1 else "one address of each family"
        return Refused(
            Reason.FAMILY_MISMATCH,
            f"{text} cannot serve a Service that is {spelled(wanted)}: ask for {each}",
        )
    owners = [eligibility.pools.pool_of(address) for address in asked]
    names = list(dict.fromkeys(owner.name for owner in owners if owner is not None))
    if len(names) > 1:
        return Refused(
            Reason.BAD_REQUEST,
            f"{text} are of different pools ({', '.join(names)}): ask for addresses of one pool",
        )
    if request.pool is not None and names and names[0] != request.pool:
        return Refused(
            Reason.ADDRESS_NOT_IN_POOL,
            f'{text}: of pool "{names[0]}", and the Service asks for pool "{request.pool}" too: '
            "ask for one of the two, or for both alike",
        )
    return None


def _completed(service: Service, kept: tuple[Address, ...], pool: Pool, ledger: Ledger) -> Placing:
    """Add the second family to an address of a dual-stack Service, from the same pool."""
    missing = next(f for f in families_of(service) if f not in [family_of(a) for a in kept])
    added = ledger.lowest(pool.name, missing, terms_of(service))
    if added is not None:
        return Placing(lease_of(service, (*kept, added), pool))
    refused = nothing_left(pool, (missing,), ledger)
    if not prefers_dual_stack(service):
        return Placing(None, refused)
    wait = Wait(pools=(pool.name,), needs=(frozenset({missing}),))
    return Placing(lease_of(service, kept, pool), refused, wait)


def _fresh(service: Service, eligibility: Eligibility, ledger: Ledger) -> Placing:
    """Give a Service the first addresses that it can have."""
    pools = _candidates(service, eligibility)
    if isinstance(pools, Refused):
        return Placing(None, pools)
    terms = terms_of(service)
    full = {pool.name: r for pool in pools if (r := over_quota(service, pool, ledger)) is not None}
    open_pools = [pool for pool in pools if pool.name not in full]
    needs = _needs(service)
    for need in needs:
        for pool in open_pools:
            found = _lowest(pool, need, terms, ledger)
            if found is None:
                continue
            if len(need) < len(families_of(service)):
                return _completed(service, found, pool, ledger)
            return Placing(lease_of(service, found, pool))
    unasked = service.request.pool is None
    wait = Wait(
        pools=tuple(p.name for p in open_pools if not unasked or p.allocation is not None),
        general=unasked,
        needs=tuple(frozenset(need) for need in needs),
        quotas=tuple(full),
    )
    return Placing(None, _refusal(service, pools, full, ledger), wait)


def _needs(service: Service) -> list[tuple[Family, ...]]:
    """Return what one pool must be able to give, in order of preference."""
    families = families_of(service)
    if len(families) == 1:
        return [families]
    if prefers_dual_stack(service):
        return [BOTH, *((family,) for family in families)]
    return [BOTH]


def _lowest(
    pool: Pool, need: tuple[Family, ...], terms: Terms, ledger: Ledger
) -> tuple[Address, ...] | None:
    found = []
    for family in need:
        address = ledger.lowest(pool.name, family, terms)
        if address is None:
            return None
        found.append(address)
    return tuple(found)


def _candidates(service: Service, eligibility: Eligibility) -> tuple[Pool, ...] | Refused:
    """Return the pools that a Service may be given addresses from, in the order to be tried."""
    asked = service.request.pool
    by_name = eligibility.pools.by_name
    if asked is None:
        pools = (*eligibility.pinned(service), *eligibility.general)
        return pools or Refused(
            Reason.POOL_NOT_ALLOWED,
            "no pool gives addresses to this Service unasked (autoAssign is off, or their "
            f"serviceAllocation is for others): {listed(by_name)}; name a pool in the "
            "annotation metallb.io/address-pool",
        )
    if asked not in by_name:
        text = f'there is no pool "{asked}": create it, or ask for one of {listed(by_name)}'
        return Refused(Reason.UNKNOWN_POOL, text)
    return eligibility.objection(by_name[asked], service) or (by_name[asked],)


_WORST_FIRST = (Reason.POOL_EXHAUSTED, Reason.QUOTA_EXCEEDED, Reason.FAMILY_MISMATCH)


def _refusal(
    service: Service, pools: tuple[Pool, ...], full: dict[str, Refused], ledger: Ledger
) -> Refused:
    """Say of each pool tried why it has nothing, and what would help."""
    families = tuple(sorted(families_of(service)))
    both = len(families) == 2 and not prefers_dual_stack(service)
    why_none = no_pair_left if both else nothing_left
    each = []
    for pool in pools:
        refused = why_none(pool, families, ledger)
        has_family = refused.reason is not Reason.FAMILY_MISMATCH
        each.append(full.get(pool.name, refused) if has_family else refused)
    reasons = {refused.reason for refused in each}
    reason = next(reason for reason in _WORST_FIRST if reason in reasons)
    helps = {
        Reason.POOL_EXHAUSTED: ": delete a Service that has one, or add addresses to a pool",
        Reason.QUOTA_EXCEEDED: "",
        Reason.FAMILY_MISMATCH: f": add {spelled(families)} addresses to a pool",
    }
    return Refused(reason, _joined([refused.message for refused in each]) + helps[reason])


def _joined(texts: list[str]) -> str:
    rest = len(texts) - NAMES_SHOWN
    more = f"; and {rest} pools more" if rest > 0 else ""
    return "; ".join(texts[:NAMES_SHOWN]) + more
