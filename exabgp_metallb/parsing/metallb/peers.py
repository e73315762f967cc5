"""BGPPeer (metallb.io/v1beta2 and v1beta1)."""

from exabgp_metallb.parsing.fields import Fields
from exabgp_metallb.parsing.metadata import created
from exabgp_metallb.parsing.scalars import (
    host,
    interface,
    md5_password,
    nanoseconds,
    object_name,
    router_id,
    seconds,
)
from exabgp_metallb.parsing.selectors import selectors
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.intent import DynamicAsn, Password, Peer
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.specs import PeerSpec

MAX_ASN = 2**32 - 1  # RFC 6793
MAX_PORT = 2**16 - 1  # MetalLB's schema ends at 16384, for no reason that is known
DEFAULT_PORT = 179
MAX_SECONDS = 2**16 - 1  # Hold Time of an OPEN (RFC 4271 section 4.2), and connectTime by CEL


def peer(root: Fields) -> PeerSpec:
    """Read a BGPPeer of metallb.io/v1beta2 or v1beta1, which has the same fields here.

    Our CRD keeps those of v1beta2 in both versions, so they count in both. v1beta1 without timers
    gets the defaults (MetalLB's conversion makes them zero: no keepalives), and its way to say 179,
    a port of 0, is good in both.
    """
    spec = root.child("spec")
    my_asn, peer_asn = _asns(spec)
    address, device = _address(spec)
    hold, keepalive = _timers(spec)
    password, password_secret = _password(spec, root.report.ref.namespace)
    return PeerSpec(
        Peer(
            name=root.report.ref.name,
            created=created(root.child("metadata")),
            my_asn=my_asn,
            peer_asn=peer_asn,
            local_asn=spec.integer("localASN", 1, MAX_ASN),
            address=address,
            interface=device,
            source_address=_source_address(spec, address),
            port=spec.integer("peerPort", 0, MAX_PORT) or DEFAULT_PORT,
            hold_seconds=hold,
            keepalive_seconds=keepalive,
            connect_seconds=_connect_time(spec),
            router_id=spec.parsed("routerID", router_id),
            node_selectors=selectors(spec, "nodeSelectors"),
            password=password,
            bfd_profile=spec.text("bfdProfile"),
            graceful_restart=spec.flag("enableGracefulRestart"),
            ebgp_multihop=_multihop(spec, my_asn, peer_asn),
            vrf=spec.parsed("vrf", interface),
            disable_mp=_disable_mp(spec),
            dual_stack=spec.flag("dualStackAddressFamily"),
        ),
        password_secret,
    )


def _asns(spec: Fields) -> tuple[int, int | DynamicAsn]:
    """Return our ASN and the peer's; a peerASN of zero is an unset one, as in MetalLB."""
    spec.require("myASN")
    mine = spec.integer("myASN", 1, MAX_ASN) or 0
    fixed = spec.integer("peerASN", 0, MAX_ASN)
    dynamic = spec.parsed("dynamicASN", _dynamic_asn)
    if fixed and dynamic:
        spec.refuse("dynamicASN", "peerASN is set too: remove one of them")
    if not spec.get("dynamicASN"):
        spec.require("peerASN", advice="write peerASN, or dynamicASN")
        if fixed == 0:
            spec.refuse("peerASN", f"write a whole number from 1 to {MAX_ASN}, or dynamicASN")
    return mine, fixed or dynamic or 0


def _dynamic_asn(text: str) -> DynamicAsn:
    try:
        return DynamicAsn(text)
    except ValueError:
        raise ValueError("write internal or external") from None


def _address(spec: Fields) -> tuple[Address | None, str | None]:
    """Return the peer's address, or the interface of an unnumbered peer.

    A link-local address says nothing without its interface, so there both may stand.
    """
    address = spec.parsed("peerAddress", host)
    device = spec.parsed("interface", interface)
    if address and device and not address.is_link_local:
        spec.refuse("interface", "peerAddress is set too: remove one of them")
    if not spec.get("interface"):
        spec.require("peerAddress", advice="write it, or interface for an unnumbered peer")
    return address, device


def _source_address(spec: Fields, address: Address | None) -> Address | None:
    source = spec.parsed("sourceAddress", host)
    if source and address and source.version != address.version:
        spec.refuse("sourceAddress", f"write an {family_of(address)} address, as peerAddress is")
    return source


def _timers(spec: Fields) -> tuple[int | None, int | None]:
    hold = spec.parsed("holdTime", _hold_seconds)
    keepalive = spec.parsed("keepaliveTime", seconds)
    if keepalive is not None and hold is not None and keepalive > hold:
        spec.refuse("keepaliveTime", f"longer than holdTime, {hold} s: write a third of that")
    if keepalive is not None and hold is None and keepalive * 3 > MAX_SECONDS:
        spec.refuse("keepaliveTime", f"write at most {MAX_SECONDS // 3}s")
    if keepalive is not None and hold is not None and keepalive != hold // 3:
        spec.warn(
            "keepaliveTime",
            f"no effect: ExaBGP sends KEEPALIVEs each third of holdTime, here {hold // 3} s: leave "
            "it out, or make holdTime three times as long",
        )
    return hold, keepalive


def _hold_seconds(text: str) -> int:
    """Return a Hold Time: none, or at least three seconds (RFC 4271 section 4.2)."""
    found = seconds(text)
    if found != 0 and not 3 <= found <= MAX_SECONDS:
        raise ValueError(f"write 0s, or 3s to {MAX_SECONDS}s")
    return found


def _connect_time(spec: Fields) -> int | None:
    found = spec.parsed("connectTime", _connect_seconds)
    if found is not None:
        spec.warn(
            "connectTime",
            "no effect: ExaBGP tries again at once, then after waits that grow to 60 s: leave it "
            "out",
        )
    return found


def _connect_seconds(text: str) -> int:
    found, rest = divmod(nanoseconds(text), 10**9)
    if rest or not 1 <= found <= MAX_SECONDS:
        raise ValueError(f"write whole seconds, 1s to {MAX_SECONDS}s")
    return found


def _password(spec: Fields, namespace: str) -> tuple[Password | None, ObjectName | None]:
    """Return the password, or the Secret that holds it: one in the peer's own namespace."""
    password = spec.secret("password", md5_password)
    fields = spec.child("passwordSecret")
    name = fields.parsed("name", object_name)
    if fields.text("namespace") not in (None, namespace):
        fields.warn("namespace", f"ignored: the Secret is read in {namespace}")
    if spec.get("password") and fields.get("name"):
        spec.fault("passwordSecret", "password is set too: remove one of them")
    return Password(password) if password else None, ObjectName(namespace, name) if name else None


def _multihop(spec: Fields, my_asn: int, peer_asn: int | DynamicAsn) -> bool:
    multihop = spec.flag("ebgpMultiHop")
    if multihop and my_asn and peer_asn == my_asn:
        spec.refuse("ebgpMultiHop", "peerASN equals myASN (iBGP): remove it, or mend the ASNs")
    return multihop


def _disable_mp(spec: Fields) -> bool:
    disable = spec.flag("disableMP")
    if disable:
        spec.warn("disableMP", "deprecated: a session carries its own family by default")
    return disable
