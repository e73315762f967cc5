"""ExaBGP's process at its best: nothing but routes, 50 a line, two lines without an answer.

What a start is compared with: it reads no objects and decides nothing.

    bare_loop.py ROUTES     as the command of a process section
"""

import os
import sys
from collections.abc import Iterator

PREFIXES_PER_LINE = 50
LINES_IN_FLIGHT = 2
FIRST = (
    10 << 24 | 200 << 16
)  # the pool of tests.bench.cluster, which is not imported: it takes time


def lines(routes: int) -> Iterator[bytes]:
    """Yield the announcements of so many addresses from the first on."""
    for start in range(0, routes, PREFIXES_PER_LINE):
        numbers = range(FIRST + start, FIRST + min(start + PREFIXES_PER_LINE, routes))
        prefixes = " ".join(
            f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/32" for n in numbers
        )
        yield f"announce attributes next-hop self community [ 64512:1 ] nlri {prefixes}\n".encode()


def main() -> None:
    """Write all lines, and stay until ExaBGP ends."""
    waiting = lines(int(sys.argv[1]))
    free = LINES_IN_FLIGHT
    while True:
        for _ in range(free):
            os.write(1, next(waiting, b""))  # shorter than what a pipe takes at once
        answers = os.read(0, 65536)
        if not answers:
            return
        free = answers.count(b"done\n")


if __name__ == "__main__":
    main()
