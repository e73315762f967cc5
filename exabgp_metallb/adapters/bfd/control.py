"""The protocol of bfdd's control socket (FRR: bfdd/bfdctl.h, control.c): bytes <-> values.

A message is a header in network order (length of the body, id, type, version) and a JSON body. We
send one, "notify me of everything"; bfdd then tells every session that it has, and from there each
change of a state within a millisecond.

The socket can add sessions too, but takes neither passive mode nor minimum TTL, and what it adds is
not in bfdd's configuration. So sessions go over the vty socket: see `configuration`.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from exabgp_metallb.errors import BfddError
from exabgp_metallb.values.bfd import BfdKey, BfdState, BfdStatus, Diagnostic

HEADER = struct.Struct("!IHBB")
VERSION = 1
RESPONSE, NOTIFY = 1, 4  # enum bc_msg_type
EVERYTHING = b"\xff" * 8  # BCM_NOTIFY_ALL
LONGEST = 64 * 1024  # octets of a body; bfdd's are below 1 KiB
DEFAULT_VRF = "default"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, either way."""

    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """The state of a session; None: it is gone."""

    key: BfdKey
    status: BfdStatus | None


def encode(message: Message, *, number: int) -> bytes:
    """Return a message as bytes; the answer to it has the same number."""
    return HEADER.pack(len(message.body), number, message.kind, VERSION) + message.body


SUBSCRIBE = encode(Message(NOTIFY, EVERYTHING), number=1)


class Decoder:
    """Takes bytes as they come, and returns the messages that are whole."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete.

        Raises:
            BfddError: this is not bfdd's protocol.
        """
        self._rest += data
        while len(self._rest) >= HEADER.size:
            length, _, kind, version = HEADER.unpack_from(self._rest)
            if version != VERSION or length > LONGEST:
                raise BfddError(f"version {version} and length {length}: no message of bfdd")
            end = HEADER.size + length
            if len(self._rest) < end:
                return
            body, self._rest = self._rest[HEADER.size : end], self._rest[end:]
            yield Message(kind, body)


def told(message: Message) -> Told | None:
    """Return what a message tells of a session; None: nothing that matters here.

    Raises:
        BfddError: bfdd refused to notify, or the body cannot be read.
    """
    tree = _object(message.body)
    if message.kind == RESPONSE and tree.get("status") != "ok":
        raise BfddError(f"bfdd refuses to tell of its sessions: {tree.get('error')}")
    if message.kind != NOTIFY or tree.get("op") not in ("status", "delete"):
        return None
    try:
        key = _key(tree)
        return Told(key, None if tree["op"] == "delete" else _status(tree))
    except (KeyError, ValueError) as error:
        raise BfddError(f"bfdd told what cannot be read: {message.body!r}") from error


def _object(body: bytes) -> Mapping[str, object]:
    try:
        tree = json.loads(body.rstrip(b"\0"))
    except ValueError as error:
        raise BfddError(f"bfdd told no JSON: {body!r}") from error
    if not isinstance(tree, dict):
        raise BfddError(f"bfdd told no JSON object: {body!r}")
    return tree


def _key(tree: Mapping[str, object]) -> BfdKey:
    local, vrf = tree.get("local-address"), tree.get("vrf-name")
    return BfdKey(
        peer=ip_address(str(tree["peer-address"])),
        local=None if local is None else ip_address(str(local)),
        multihop=bool(tree.get("multihop")),
        vrf=None if vrf in (None, DEFAULT_VRF) else str(vrf),
    )


def _status(tree: Mapping[str, object]) -> BfdStatus:
    return BfdStatus(
        state=BfdState(str(tree["state"])),
        diagnostic=_diagnostic(tree.get("diagnostics")),
        remote_diagnostic=_diagnostic(tree.get("remote-diagnostics")),
    )


def _diagnostic(number: object) -> Diagnostic:
    """Return a diagnostic; those above 8 are reserved (RFC 5880 section 4.1) and say nothing."""
    if isinstance(number, int) and number in Diagnostic.__members__.values():
        return Diagnostic(number)
    return Diagnostic.NONE
