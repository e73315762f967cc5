"""Frames as they are, sent from a host's eth0, and the answers that come for them.

    python -m tests.integration.lab.exchange FRAME ...

Prints every answer by ARP or neighbor discovery, in hexadecimal, until one comes for the sender of
the last frame: whoever answers in order has by then answered, or not, for all of them.
"""

import select
import socket
import sys
from collections.abc import Sequence

from tests.integration.lab.network import Host

INTERFACE = "eth0"
ANSWER_SECONDS = 60.0
EVERYTHING = 0x0003  # linux/if_ether.h: ETH_P_ALL
ARP, IPV6 = b"\x08\x06", b"\x86\xdd"


def exchange(host: Host, *frames: bytes) -> list[bytes]:
    """Send frames from a host and return the answers; the last frame must be answered.

    The sender's address of every frame is to be another one, so that answers can be told apart.
    """
    words = [frame.hex() for frame in frames]
    printed = host.run([sys.executable, "-m", __name__, *words], ANSWER_SECONDS * 2)
    return [bytes.fromhex(line) for line in printed.splitlines()]


def asker(frame: bytes) -> bytes:
    """Return the address that a question comes from."""
    kind, at = (frame[12:14], 0) if frame[12:14] != b"\x81\x00" else (frame[16:18], 4)
    return frame[at + 28 : at + 32] if kind == ARP else frame[at + 22 : at + 38]


def receiver(frame: bytes) -> bytes:
    """Return the address that an answer goes to; nothing of a frame that is none."""
    if frame[12:14] == ARP and frame[20:22] == b"\0\2":
        return frame[38:42]
    if frame[12:14] == IPV6 and frame[20] == 58 and frame[54] == 136:
        return frame[38:54]
    return b""


def main(words: Sequence[str]) -> None:
    """Send and print."""
    frames = [bytes.fromhex(word) for word in words]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING)) as sock:
        sock.bind((INTERFACE, EVERYTHING))
        for frame in frames:
            sock.send(frame)
        while select.select([sock], [], [], ANSWER_SECONDS)[0]:
            frame, where = sock.recvfrom(2048)
            if where[2] == socket.PACKET_OUTGOING or not receiver(frame):
                continue
            sys.stdout.write(f"{frame.hex()}\n")
            if receiver(frame) == asker(frames[-1]):
                return
    sys.exit("no answer to the last frame")


if __name__ == "__main__":
    main(sys.argv[1:])
