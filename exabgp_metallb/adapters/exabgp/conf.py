"""Sessions to the text of an exabgp.conf, and what ExaBGP says about such a text.

The text holds our process and one neighbor for each session; without sessions it holds the process
alone, which ExaBGP starts on as well. It depends on nothing but the sessions and the command line
of the process, so equal texts mean that no reload is needed.

What ExaBGP 5 has no setting for: the keepalive time (always a third of the hold time), the time
between connection attempts, sessions without an address. The first two are left out of the text
(`parsing.metallb.peers` warns of them), a session of the last kind is left out as a whole;
`unsupported` says why, for one session, and `refusals` for all of them together.

A router of another AS is one hop away unless ebgpMultiHop says otherwise: then our packets have a
TTL of 1, as FRR's in MetalLB, so that a session never goes round by way of other routers.

A peer whose ASN is external, whatever its number, becomes `peer-as auto`. ExaBGP 5.0.15 brings such
a session up, but writes the ASN as `None` into its JSON, and answers `show neighbor` with `json`,
`summary` or `extensive` with an error for as long as one is configured, whatever the state of its
session; `show neighbor configuration` and `show adj-rib out` work.

Quoting. ExaBGP's tokeniser undoes backslashes before it looks for quotes, and one kind of quote
inside the other ends the word; so no word can hold a quote, and one with a backslash doubles it.
Passwords that this would touch are written in base64.
"""

import base64
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from exabgp_metallb.errors import ExabgpError
from exabgp_metallb.values.addresses import Address, family_of
from exabgp_metallb.values.intent import DynamicAsn, Peer
from exabgp_metallb.values.sessions import Session

PROCESS = "exabgp-metallb"
"""The name of our process section, and of the process in each neighbor's api section."""

BGP_PORT = 179  # ExaBGP's default destination; RFC 4271 section 4.2
ONE_HOP = 1  # what FRR gives an eBGP session without ebgp-multihop; the kernel's own is 64
GRACEFUL_RESTART_SECONDS = (
    120  # what FRR asks for; RFC 4724 advises less than the hold time of OPEN
)
MAX_PASSWORD_BYTES = 80  # TCP_MD5SIG_MAXKEYLEN of Linux
VALIDATE_SECONDS = 30.0  # it takes 0.15 s; a machine that starts a hundred pods takes longer

_BARE = re.compile(r"[A-Za-z0-9_./:@%+=-]+")
_QUOTABLE = re.compile(r"[ !#-&(-~]*")  # printable ASCII without quotes
_PLAIN_PASSWORD = re.compile(r"[ !#-&(-\[\]-~]+")  # the same without the backslash
_DEVICE = re.compile(r"[A-Za-z0-9_.@=+-]{1,15}")  # IFNAMSIZ; the kernel takes more, people do not
_SECRET = re.compile(r"(md5-password|invalid syntax line \d+).*")  # to the end of the line

_API = f"""\
    api {{
        processes [ {PROCESS} ];
        neighbor-changes;
        receive {{
            parsed;
            notification;
        }}
        send {{
            parsed;
            update;
        }}
    }}"""


def render(sessions: Iterable[Session], *, run: Sequence[str]) -> str:
    """Return the configuration that holds these sessions; those with a refusal are left out.

    Args:
        sessions: in any order; the text has them by name of peer.
        run: the command line of our process, its program with an absolute path.

    Raises:
        ExabgpError: a word of the command line cannot be written in ExaBGP's grammar.
    """
    ordered = sorted(sessions, key=lambda session: session.peer.name)
    refused = refusals(ordered)
    neighbors = [_neighbor(s) for s in ordered if s.peer.name not in refused]
    return "\n".join((*_process(run), *(line for lines in neighbors for line in lines), ""))


def refusals(sessions: Iterable[Session]) -> Mapping[str, str]:
    """Return why ExaBGP cannot hold some of a node's sessions, by name of peer.

    Of several sessions with one address, which differ in their VRF, only the one whose peer is
    first by creationTimestamp and name can be held: the API picks neighbors by address.
    """
    refused: dict[str, str] = {}
    holders: dict[Address | None, str] = {}
    for session in sorted(sessions, key=lambda s: (s.peer.created, s.peer.name)):
        peer = session.peer
        why = unsupported(session)
        if why is None and peer.address in holders:
            other = holders[peer.address]
            why = f"spec.peerAddress: {peer.address} is already held by BGPPeer {other}: remove one"
        if why is None:
            holders[peer.address] = peer.name
        else:
            refused[peer.name] = why
    return refused


def unsupported(session: Session) -> str | None:
    """Return why ExaBGP cannot hold a session, field first; None when it can."""
    reasons = (check(session) for check in _CHECKS)
    return next((reason for reason in reasons if reason is not None), None)


def _check_address(session: Session) -> str | None:
    peer = session.peer
    if peer.address is None:
        return (
            f"spec.interface: ExaBGP has no unnumbered sessions (over {peer.interface}): "
            "write the router's address as spec.peerAddress; a link-local one goes with interface"
        )
    if peer.address.is_unspecified or peer.address.is_multicast:
        return f"spec.peerAddress: {peer.address} is no router's address: write a unicast address"
    if isinstance(peer.address, IPv6Address) and peer.address.scope_id is not None:
        return f"spec.peerAddress: write {peer.address} without the zone"
    if (
        peer.address.is_link_local
        and peer.interface is None
        and isinstance(peer.address, IPv6Address)
    ):
        return (
            f"spec.peerAddress: {peer.address} is on every link: write spec.interface too, or a "
            "global or unique local address"
        )
    return None


def _check_local_address(session: Session) -> str | None:
    local, address = session.local_address, session.peer.address
    if local is None or address is None:
        return None
    if family_of(local) is not family_of(address):
        return (
            f"spec.sourceAddress: {local} is {family_of(local)} and the peer's address {address} "
            f"is {family_of(address)}: write a source address of that family"
        )
    if isinstance(local, IPv6Address) and local.scope_id is not None:
        return f"spec.sourceAddress: write {local} without the zone"
    return None


def _check_router_id(session: Session) -> str | None:
    found = session.router_id
    if isinstance(found, IPv4Address) and not found.is_unspecified:
        return None
    return f"spec.routerID: {found} is no router id (RFC 6286): write an IPv4 address, not 0.0.0.0"


def _check_asns(session: Session) -> str | None:
    peer = session.peer
    if not 1 <= peer.speaking_asn < 2**32:
        return f"spec.myASN: {peer.speaking_asn} is no AS number: write 1 to 4294967295"
    if not isinstance(peer.peer_asn, DynamicAsn) and not 1 <= peer.peer_asn < 2**32:
        return f"spec.peerASN: {peer.peer_asn} is no AS number: write 1 to 4294967295"
    return None


def _check_port(session: Session) -> str | None:
    if 1 <= session.peer.port <= 65535:
        return None
    return f"spec.peerPort: {session.peer.port} is no TCP port: write 1 to 65535"


def _check_hold_time(session: Session) -> str | None:
    if session.hold_seconds == 0 or 3 <= session.hold_seconds <= 65535:
        return None
    return f"spec.holdTime: {session.hold_seconds} s: write 0s, or 3s to 65535s (RFC 4271 4.2)"


def _check_device(session: Session) -> str | None:
    device = _device(session.peer)
    if device is None or _DEVICE.fullmatch(device):
        return None
    field = "spec.vrf" if session.peer.interface is None else "spec.interface"
    return f"{field}: {device!a} is no name of a network device: write the name `ip link` shows"


def _check_password(session: Session) -> str | None:
    size = 0 if session.peer.password is None else len(_octets(session.peer.password.value))
    if size <= MAX_PASSWORD_BYTES:
        return None
    return f"spec.password: {size} bytes long: Linux takes at most {MAX_PASSWORD_BYTES}"


_CHECKS: tuple[Callable[[Session], str | None], ...] = (
    _check_address,
    _check_local_address,
    _check_router_id,
    _check_asns,
    _check_port,
    _check_hold_time,
    _check_device,
    _check_password,
)


def _device(peer: Peer) -> str | None:
    """Return what the session's socket is bound to; an interface lies in its VRF by itself."""
    return peer.vrf if peer.interface is None else peer.interface


def _process(run: Sequence[str]) -> Iterator[str]:
    yield "# Written by exabgp-metallb from BGPPeer resources; the next change overwrites it."
    yield f"process {PROCESS} {{"
    yield f"    run {' '.join(map(_word, run))};"
    yield "    encoder json;"
    yield "    respawn true;"
    yield "}"


def _neighbor(session: Session) -> Iterator[str]:
    peer = session.peer
    yield ""
    yield f"neighbor {peer.address} {{"
    for setting in _settings(session):
        yield f"    {setting};"
    yield from _section("family", [f"ipv{f.value} unicast" for f in sorted(peer.families)])
    yield from _section("capability", _capabilities(peer))
    yield _API
    yield "}"


def _settings(session: Session) -> Iterator[str]:
    peer = session.peer
    yield f'description "{re.sub("[^A-Za-z0-9._-]", "_", peer.name)}"'
    yield f"router-id {session.router_id}"
    yield f"local-address {session.local_address or 'auto'}"
    yield f"local-as {peer.speaking_asn}"
    yield f"peer-as {_peer_as(peer)}"
    yield f"hold-time {session.hold_seconds}"
    if peer.port != BGP_PORT:
        yield f"connect {peer.port}"
    if not peer.is_internal and not peer.ebgp_multihop:
        yield f"outgoing-ttl {ONE_HOP}"
    if peer.password is not None and peer.password.value:
        yield from _password(peer.password.value)
    if (device := _device(peer)) is not None:
        yield f'source-interface "{device}"'
        # By this ExaBGP sees that the neighbor has changed, and by the device it does not. Without
        # a host-name it is never sent.
        yield f"domain-name device-{device.encode().hex()}"
    if peer.graceful_restart:
        yield "manual-eor true"  # the speaker sends End-of-RIB after its whole table
    yield "adj-rib-in false"
    yield "adj-rib-out true"


def _peer_as(peer: Peer) -> int | str:
    match peer.peer_asn:
        case DynamicAsn.INTERNAL:
            return peer.speaking_asn
        case DynamicAsn.EXTERNAL:
            return "auto"
        case number:
            return number


def _password(value: str) -> Iterator[str]:
    if _PLAIN_PASSWORD.fullmatch(value):
        yield f'md5-password "{value}"'
    else:
        yield f'md5-password "{base64.b64encode(_octets(value)).decode()}"'
        yield "md5-base64 true"


def _octets(password: str) -> bytes:
    return password.encode(errors="surrogateescape")


def _capabilities(peer: Peer) -> list[str]:
    # No `nexthop`: ExaBGP would send it empty, and FRR answers that with NOTIFICATION 2/0.
    restart = [f"graceful-restart {GRACEFUL_RESTART_SECONDS}"] if peer.graceful_restart else []
    return [*restart, "route-refresh enable", "extended-message enable"]


def _section(name: str, settings: Iterable[str]) -> Iterator[str]:
    yield f"    {name} {{"
    for setting in settings:
        yield f"        {setting};"
    yield "    }"


def _word(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    if not _QUOTABLE.fullmatch(word):
        raise ExabgpError(
            f"exabgp.conf cannot hold the word {word!a} of a command line: "
            "use a path of printable ASCII characters without quotes"
        )
    return '"' + word.replace("\\", "\\\\") + '"'


def validate(conf: str | Path) -> None:
    """Have ExaBGP's own parser read a configuration: a text, or the path of a file.

    A file that was cut off at the end of a section is valid to ExaBGP, so rename it into place.

    Raises:
        ExabgpError: ExaBGP refuses it; in ExaBGP's words, without passwords.
    """
    if isinstance(conf, Path):
        _validate(conf)
        return
    with tempfile.NamedTemporaryFile("w", prefix="exabgp-", suffix=".conf") as file:  # mode 0600
        file.write(conf)
        file.flush()
        _validate(Path(file.name))


def _validate(path: Path) -> None:
    command = [sys.executable, "-m", "exabgp", "validate", "-n", str(path)]
    quiet = {"exabgp_log_enable": "false"}  # its log goes to stdout; the verdict to stderr
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=os.environ | quiet,
            text=True,
            errors="replace",
            timeout=VALIDATE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExabgpError(f"ExaBGP's parser cannot be run: {error}") from error
    if done.returncode != 0:
        raise ExabgpError(f"ExaBGP refuses {path}: {_verdict(done.stderr)}")


def _verdict(stderr: str) -> str:
    """Return what ExaBGP wrote as one line, with passwords masked."""
    told = _SECRET.sub(r"\1 ********", stderr)
    lines = [line.strip() for line in told.removeprefix("error: ").splitlines()]
    return ": ".join(line.removesuffix(":") for line in lines if line) or "it does not say why"
