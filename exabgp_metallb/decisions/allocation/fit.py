"""May this Service hold this address, and if not, why not and what would help."""

from exabgp_metallb.decisions.allocation.eligible import Eligibility, listed
from exabgp_metallb.decisions.allocation.ledger import Ledger
from exabgp_metallb.decisions.allocation.sharing import Holding, Terms
from exabgp_metallb.decisions.allocation.shelf import is_buggy
from exabgp_metallb.values.addresses import Address, Family, family_of
from exabgp_metallb.values.intent import Pool
from exabgp_metallb.values.objects import FamilyPolicy, Service
from exabgp_metallb.values.reasons import Reason, Refused

BOTH = (Family.IPV4, Family.IPV6)


def families_of(service: Service) -> tuple[Family, ...]:
    """Return the families of the Service's clusterIPs, the primary one first."""
    return tuple(dict.fromkeys(family_of(address) for address in service.cluster_ips))


def prefers_dual_stack(service: Service) -> bool:
    """Tell whether the Service takes one address where it cannot have one of each family."""
    dual = len(families_of(service)) == 2
    return dual and service.family_policy is FamilyPolicy.PREFER_DUAL_STACK


def spelled(families: tuple[Family, ...]) -> str:
    """Return families for a message: `IPv4 and IPv6`."""
    return " and ".join(str(family) for family in families)


def may_have_none(service: Service, eligibility: Eligibility) -> Refused | None:
    """Say why a Service can hold no address at all, whatever is free; None when it can."""
    if not eligibility.pools.by_name:
        text = "there are no addresses to give: create an IPAddressPool"
        return Refused(Reason.NO_POOLS, text)
    families = families_of(service)
    if not families:
        text = "the Service has no clusterIP, and its family decides the address's: give it one"
        return Refused(Reason.NO_CLUSTER_IP, text)
    if service.family_policy is FamilyPolicy.REQUIRE_DUAL_STACK and len(families) < 2:
        text = (
            f"ipFamilyPolicy is RequireDualStack and the only clusterIP is {spelled(families)}: "
            "give the Service one of each family, or ask for PreferDualStack"
        )
        return Refused(Reason.FAMILY_MISMATCH, text)
    return None


def unfit(
    service: Service, address: Address, terms: Terms, eligibility: Eligibility, ledger: Ledger
) -> Refused | None:
    """Say why a Service may not hold an address on these terms; None when it may.

    What the Service asks for, and how many Services its namespace has in the pool, is not looked
    at: those decide about getting an address, or about another address, and not about this one.
    """
    pool = eligibility.pools.pool_of(address)
    if pool is None:
        text = f"{address} is in no IPAddressPool: add it to one, or ask for another address"
        return Refused(Reason.ADDRESS_NOT_IN_POOL, text)
    if pool.avoid_buggy_ips and is_buggy(address):
        text = f'{address} is left out of pool "{pool.name}" by avoidBuggyIPs: ask for another'
        return Refused(Reason.ADDRESS_NOT_IN_POOL, text)
    barred = eligibility.objection(pool, service)
    if barred is not None:
        return Refused(barred.reason, f"{address}: {barred.message}")
    holding = ledger.holding(address)
    if holding is not None and not holding.admits(service.name, terms):
        return _in_use(service, address, terms, holding)
    return None


def _in_use(service: Service, address: Address, terms: Terms, holding: Holding) -> Refused:
    holders = listed([str(name) for name in holding.holders if name != service.name])
    why = holding.objection(service.name, terms)
    text = f"{address} is held by {holders}, {why}: ask for another address"
    return Refused(Reason.ADDRESS_IN_USE, text)


def over_quota(service: Service, pool: Pool, ledger: Ledger) -> Refused | None:
    """Say that the Service's namespace has all that it may have of a pool; None when it may more.

    The Service itself must hold nothing of the pool at this moment, or it would be counted twice.
    """
    most = pool.allocation.max_per_namespace if pool.allocation else None
    namespace = service.name.namespace
    if most is None or ledger.count(pool.name, namespace) < most:
        return None
    text = (
        f'pool "{pool.name}" serves at most {most} Services of one namespace and {namespace} has '
        "them: delete one, or raise serviceAllocation.maxPerNamespace"
    )
    return Refused(Reason.QUOTA_EXCEEDED, text)


def nothing_left(pool: Pool, families: tuple[Family, ...], ledger: Ledger) -> Refused:
    """Say that a pool has no address of any of these families for a Service it is open to.

    Like every text here it holds as long as the Service is refused, so none is written anew because
    of what other Services do meanwhile.
    """
    sizes = {family: ledger.capacity(pool.name, family) for family in families}
    parts = [_in_use_text(family, size) for family, size in sizes.items()]
    if any(sizes.values()):
        text = f'pool "{pool.name}" is exhausted: {" and ".join(parts)}'
        return Refused(Reason.POOL_EXHAUSTED, text)
    text = f'pool "{pool.name}" cannot serve this Service: {" and ".join(parts)}'
    return Refused(Reason.FAMILY_MISMATCH, text)


def _in_use_text(family: Family, size: int) -> str:
    if not size:
        return f"it has no {family} addresses"
    if size == 1:
        return f"its one {family} address is in use"
    return f"all {size} {family} addresses are in use"


def no_pair_left(pool: Pool, families: tuple[Family, ...], ledger: Ledger) -> Refused:
    """Say that a pool has not one free address of each of two families at once."""
    none = [family for family in families if not ledger.capacity(pool.name, family)]
    if none:
        return nothing_left(pool, tuple(none), ledger)
    sizes = " and ".join(f"{ledger.capacity(pool.name, each)} {each}" for each in families)
    text = f'pool "{pool.name}" is exhausted: of its {sizes} addresses no two are free for a pair'
    return Refused(Reason.POOL_EXHAUSTED, text)
