"""The process of the router's ExaBGP: hands on every line that it is told.

Run as a module with the path of a named pipe. It ends with either side: ExaBGP closes our standard
input, or the demo its end of the pipe.
"""

import contextlib
import os
import sys

READ_BYTES = 65536  # the size of a Linux pipe; so a write of it or less is never torn apart


def forward(source: int, sink: int) -> None:
    """Copy bytes from one file descriptor to another until either ends."""
    while data := os.read(source, READ_BYTES):
        while data:
            data = data[os.write(sink, data) :]


def main(path: str) -> None:
    """Forward standard input to a named pipe."""
    sink = os.open(path, os.O_WRONLY)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        forward(0, sink)


if __name__ == "__main__":
    main(sys.argv[1])
