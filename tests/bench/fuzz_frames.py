"""A million frames for the decoder: random ones, and valid ones made worse.

    python -m tests.bench.fuzz_frames [--frames 1000000] [--seed 1]

Nothing may raise, and what is answered must be what scapy, reading the same frame by itself, finds
to be a question for us. Of the frames that are not answered scapy judges each fortieth as well.
Ends with status 1 at the first wrong answer, and shows it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address

from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6, in6_chksum
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from exabgp_metallb.adapters.layer2.frames import Forms, decode
from exabgp_metallb.decisions.answer import announcements, answer, asked
from exabgp_metallb.values.l2 import (
    Claim,
    Drop,
    Tag,
    TagState,
    group_mac,
    mac_text,
    node_hash,
    solicited_node_group,
)
from tests.bench.figures import table

OURS, THEIRS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
OWNED = frozenset(ip_address(each).packed for each in ("10.0.0.9", "10.0.0.10", "fd00::9"))
JUDGED = 40  # one of so many frames that were not answered
ND_CHECKSUM_AT = 56


@dataclass(frozen=True, slots=True)
class Answer:
    """To whom an answer goes, and about what."""

    mac: str
    asker: str
    held: str


class WrongAnswerError(Exception):
    """The frame, and what scapy and we make of it."""


def main() -> None:
    """Run, and print how often each outcome was."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begun = time.perf_counter()
    try:
        outcomes = run(options.frames, options.seed)
    except WrongAnswerError as error:
        sys.exit(str(error))
    print(table(["outcome", "frames"], [[word, f"{n:,}"] for word, n in outcomes.most_common()]))
    print(f"{options.frames:,} frames, no wrong answer, {time.perf_counter() - begun:.0f} s")


def run(frames: int, seed: int) -> Counter[str]:
    """Return how often each outcome was."""
    dice = random.Random(seed)  # noqa: S311 -- no secret
    forms = Forms(OURS, Tag(TagState.OWNER, node_hash("node")))
    bases = [bytes(packet) for packet in questions()] + [bytes(each) for each in statements()]
    outcomes: Counter[str] = Counter()
    for number in range(frames):
        frame = one(dice, bases)
        word, found = judge(frame, forms)
        outcomes[word] += 1
        if found is not None or number % JUDGED == 0:
            wanted = expected(frame)
            if found != wanted:
                raise WrongAnswerError(f"{frame.hex()}: {word}: {found}, scapy: {wanted}")
    return outcomes


def judge(frame: bytes, forms: Forms) -> tuple[str, Answer | None]:
    """Return what we make of a frame, and the answer as scapy reads it from what we would send."""
    heard = decode(frame)
    if isinstance(heard, Drop):
        return heard.reason, None
    if isinstance(heard, Claim):
        return "claim", None
    reply = answer(heard, OWNED, OURS)
    if isinstance(reply, Drop):
        return reply.reason, None
    sent = Ether(forms.encode(reply))
    if ARP in sent:
        said = sent[ARP]
        return "answered (ARP)", Answer(said.hwdst, said.pdst, said.psrc)
    return "answered (ND)", Answer(sent.dst, sent[IPv6].dst, sent[IPv6].payload.tgt)


def expected(frame: bytes) -> Answer | None:
    """Return the answer that is due by what scapy reads in a frame."""
    if len(frame) < 14:
        return None
    packet = Ether(frame)
    if Ether not in packet or packet.src == mac_text(OURS) or int(packet.src[:2], 16) & 1:
        return None
    if ARP in packet and packet.type == 0x0806 and len(frame) >= 42:
        return expected_arp(packet)
    if IPv6 in packet and packet.type == 0x86DD and len(frame) >= 78:
        return expected_nd(packet, frame)
    return None


def expected_arp(packet: Packet) -> Answer | None:
    """Return the reply to an ARP request."""
    said = packet[ARP]
    kind = (said.hwtype, said.ptype, said.hwlen, said.plen, said.op)
    if kind != (1, 0x0800, 6, 4, 1) or not is_host(said.hwsrc) or said.hwsrc == mac_text(OURS):
        return None
    if packet.dst not in {mac_text(OURS), "ff:ff:ff:ff:ff:ff"} or said.psrc == said.pdst:
        return None
    asker = ip_address(said.psrc)
    if asker.is_loopback or int(asker) >> 29 == 7 or ip_address(said.pdst).packed not in OWNED:
        return None
    return Answer(said.hwsrc, said.psrc, said.pdst)


def expected_nd(packet: Packet, frame: bytes) -> Answer | None:
    """Return the advertisement that a solicitation is answered with."""
    ip = packet[IPv6]
    end = 54 + ip.plen
    body = frame[54:end]
    if (ip.version, ip.nh, ip.hlim, body[:2]) != (6, 58, 255, b"\x87\0") or len(frame) < end:
        return None
    head = IPv6(src=ip.src, dst=ip.dst)
    zeroed = body[:2] + bytes(2) + body[4:]
    checksum = in6_chksum(58, head, zeroed)  # type: ignore[no-untyped-call]  # scapy's
    macs = source_macs(body[24:])
    if ip.plen < 24 or checksum not in sums(body) or macs is None:
        return None
    target = ip_address(body[8:24])
    group = solicited_node_group(target.packed)
    receiver = ip_address(ip.dst).packed
    destinations = {mac_text(OURS), mac_text(group_mac(group))}
    if target.packed not in OWNED or receiver not in {group, target.packed}:
        return None
    if packet.dst not in destinations or ip_address(ip.src).is_multicast or OURS in macs[:1]:
        return None
    if ip_address(ip.src).is_unspecified:
        probe = not macs and receiver == group
        return Answer("33:33:00:00:00:01", "ff02::1", str(target)) if probe else None
    return Answer(mac_text(macs[0]) if macs else packet.src, ip.src, str(target))


def sums(body: bytes) -> set[int]:
    """Return the checksum of a packet, in both ways to write zero (RFC 1071)."""
    said = int.from_bytes(body[2:4], "big")
    return {0, 0xFFFF} if said in {0, 0xFFFF} else {said}


def source_macs(options: bytes) -> list[bytes] | None:
    """Return the asker's MACs from its options; None if any option is not valid."""
    found = []
    while options:
        length = options[1] * 8 if len(options) > 1 else 0
        if not length or length > len(options):
            return None
        if options[0] in {1, 2} and (length != 8 or not is_host(mac_text(options[2:8]))):
            return None
        if options[0] == 1:
            found.append(options[2:8])
        options = options[length:]
    return found


def is_host(mac: str) -> bool:
    """Tell whether a MAC can be one interface's."""
    return not int(mac[:2], 16) & 1 and mac != "00:00:00:00:00:00"


def questions() -> list[Packet]:
    """Return what hosts ask."""
    group = solicited_node_group(ip_address("fd00::9").packed)
    to_group = Ether(dst=mac_text(group_mac(group)), src=mac_text(THEIRS))

    def ip(src: str) -> Packet:
        return IPv6(src=src, dst=str(ip_address(group)), hlim=255)

    option = ICMPv6NDOptSrcLLAddr(lladdr=mac_text(THEIRS))
    ask = ICMPv6ND_NS(tgt="fd00::9")
    to_all = Ether(dst="ff:ff:ff:ff:ff:ff", src=mac_text(THEIRS))
    arp = ARP(op=1, hwsrc=mac_text(THEIRS), psrc="10.0.0.2", pdst="10.0.0.9")
    return [
        to_all / arp,
        to_all / ARP(op=1, hwsrc=mac_text(THEIRS), psrc="0.0.0.0", pdst="10.0.0.10"),
        to_all / Dot1Q(vlan=5) / arp,
        to_group / ip("fe80::2") / ask / option,
        to_group / ip("fe80::2") / ask,
        to_group / ip("::") / ask,
        to_group / ip("fe80::2") / ask / option / option,
    ]


def statements() -> list[bytes]:
    """Return what other nodes send."""
    forms = Forms(THEIRS, Tag(TagState.STANDBY, node_hash("other")))
    found = []
    for held, sender in (("10.0.0.9", "10.0.0.3"), ("fd00::9", "fe80::3")):
        packed = ip_address(held).packed
        messages = [*announcements(packed, THEIRS, TagState.STANDBY)]
        for at in (None, OURS):
            request = asked(packed, ip_address(sender).packed, THEIRS, at)
            assert request is not None
            messages.append(request)
        found += [forms.encode(message) for message in messages]
    return found


def one(dice: random.Random, bases: list[bytes]) -> bytes:
    """Return a frame: every tenth random, the others valid ones with faults."""
    if dice.random() < 0.1:
        head = dice.randbytes(12) + dice.choice((b"\x08\x06", b"\x86\xdd", dice.randbytes(2)))
        return (head + dice.randbytes(dice.randrange(100)))[: dice.randrange(115)]
    frame = bytearray(dice.choice(bases))
    for _ in range(dice.choice((0, 1, 1, 2, 4))):
        dice.choice(FAULTS)(dice, frame, bases)
    if len(frame) > ND_CHECKSUM_AT + 2 and frame[12:14] == b"\x86\xdd" and dice.random() < 0.7:
        put_checksum(frame)  # else most of them would not come past it
    return bytes(frame)


def flip(dice: random.Random, frame: bytearray, _bases: list[bytes]) -> None:
    """Turn one bit."""
    if frame:
        frame[dice.randrange(len(frame))] ^= 1 << dice.randrange(8)


def replace_byte(dice: random.Random, frame: bytearray, _bases: list[bytes]) -> None:
    """Put another byte, often one at an edge."""
    if frame:
        frame[dice.randrange(len(frame))] = dice.choice((0, 1, 127, 255, dice.randrange(256)))


def cut(dice: random.Random, frame: bytearray, _bases: list[bytes]) -> None:
    """End the frame early."""
    del frame[dice.randrange(len(frame) + 1) :]


def pad(dice: random.Random, frame: bytearray, _bases: list[bytes]) -> None:
    """Go on after the packet."""
    frame += dice.randbytes(dice.randrange(1, 30))


def splice(dice: random.Random, frame: bytearray, bases: list[bytes]) -> None:
    """Put a part of another frame in its place."""
    other = dice.choice(bases)
    start = dice.randrange(len(other))
    end = dice.randrange(start, len(other))
    frame[start:end] = other[start:end]


FAULTS = (flip, replace_byte, cut, pad, splice)


def put_checksum(frame: bytearray) -> None:
    """Make the checksum right for the length that the header gives."""
    end = min(54 + (frame[18] << 8 | frame[19]), len(frame))
    body = bytes(frame[54:end])
    if len(body) < 4:
        return
    total = int.from_bytes(frame[22:54], "big") + len(body) + 58
    body = body[:2] + bytes(2) + body[4:]
    total += int.from_bytes(body + bytes(len(body) % 2), "big")
    frame[ND_CHECKSUM_AT : ND_CHECKSUM_AT + 2] = (-total % 0xFFFF).to_bytes(2, "big")


if __name__ == "__main__":
    main()
