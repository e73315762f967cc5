"""The pipe to ExaBGP, on real pipes: it reads at all times, and writes all or says so."""

import os
import subprocess
import sys
from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exabgp_metallb.adapters.exabgp.pipe import READ_BYTES, Pipe
from exabgp_metallb.errors import ExabgpError

WAIT_SECONDS = 60.0


class Ends:
    """Both pipes, as ExaBGP holds them, and what the listener was given."""

    def __init__(self) -> None:
        self.stdin, self.to_us = os.pipe()
        self.from_us, self.stdout = os.pipe()
        self.heard: SimpleQueue[tuple[str, ...]] = SimpleQueue()
        self.pipe = Pipe(self.heard.put, self.stdin, self.stdout)
        self._open = {self.stdin, self.to_us, self.from_us, self.stdout}

    def close(self, *descriptors: int) -> None:
        """Close some, or all that are left."""
        for descriptor in descriptors or tuple(self._open):
            os.close(descriptor)
            self._open.discard(descriptor)

    def lines(self) -> list[str]:
        """Return every line up to the end of the pipe."""
        lines: list[str] = []
        while got := self.heard.get(timeout=WAIT_SECONDS):
            lines += got
        return lines


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Return a pair of pipes with a Pipe at our end, not yet started."""
    ends = Ends()
    yield ends
    ends.close()


@settings(max_examples=30)
@given(
    lines=st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=20)),
    cuts=st.lists(st.integers(1, 30)),
)
def test_lines_arrive_whole_however_they_are_cut(lines: list[str], cuts: list[int]) -> None:
    """A line may come in several pieces, and several lines in one; order and text stay."""
    ends = Ends()
    ends.pipe.start()
    data = "".join(f"{line}\n" for line in lines).encode()
    for cut in cuts:
        os.write(ends.to_us, data[:cut])
        data = data[cut:]
    os.write(ends.to_us, data)
    ends.close(ends.to_us)
    assert ends.lines() == lines
    ends.close()


def test_the_writer_never_waits_for_whoever_takes_the_lines(ends: Ends) -> None:
    """Many times what a pipe holds is read while nobody takes a line: ExaBGP would stand still."""
    ends.pipe.start()
    event = ('{"type": "update"}' + " " * 1000 + "\n").encode()
    count = 50 * READ_BYTES // len(event)

    def flood() -> None:
        for _ in range(count):
            os.write(ends.to_us, event)

    writer = Thread(target=flood, daemon=True)
    writer.start()
    writer.join(WAIT_SECONDS)
    assert not writer.is_alive()
    ends.close(ends.to_us)
    assert len(ends.lines()) == count


def test_the_end_is_told_once_and_half_a_line_is_none(ends: Ends) -> None:
    """An empty tuple, when ExaBGP closes the pipe; what it did not finish is not passed on."""
    ends.pipe.start()
    os.write(ends.to_us, b"done\nerr")
    ends.close(ends.to_us)
    assert ends.lines() == ["done"]
    assert ends.heard.empty()


def test_bytes_that_are_no_ascii_do_no_harm(ends: Ends) -> None:
    """A router's shutdown message may hold anything (RFC 9003)."""
    ends.pipe.start()
    os.write(ends.to_us, "böse\n".encode() + b"\xff\n")
    ends.close(ends.to_us)
    assert ends.lines() == ["b\ufffd\ufffdse", "\ufffd"]


def test_a_pipe_that_cannot_be_read_is_an_end(ends: Ends) -> None:
    """Such as one that was never there."""
    pipe = Pipe(ends.heard.put, stdin=ends.stdout, stdout=ends.stdout)  # write-only: EBADF
    pipe.start()
    assert ends.heard.get(timeout=WAIT_SECONDS) == ()


def test_a_full_pipe_takes_it_all_in_the_end(ends: Ends) -> None:
    """More than fits is written in several goes, and nothing of it is lost."""
    lines = [f"announce {number}" for number in range(20_000)]
    writer = Thread(target=ends.pipe.write, args=(lines,), daemon=True)
    writer.start()
    expected = "".join(f"{line}\n" for line in lines).encode()
    got = b""
    while len(got) < len(expected):
        got += os.read(ends.from_us, READ_BYTES)
    writer.join(WAIT_SECONDS)
    assert got == expected


def test_writing_to_nobody_is_an_error(ends: Ends) -> None:
    """ExaBGP has gone: the speaker ends by that, and not by a signal."""
    ends.close(ends.from_us)
    with pytest.raises(ExabgpError, match="does not read its API any more"):
        ends.pipe.write(["announce"])


ASIDE = """
import subprocess
from exabgp_metallb.adapters.exabgp.pipe import Pipe, set_aside
from queue import SimpleQueue

stdin, stdout = set_aside()
plugin = "import sys; print('exec plugin read:', sys.stdin.read())"
subprocess.run([sys.executable, "-c", plugin], check=True)
print("a stray print", flush=True)
heard = SimpleQueue()
pipe = Pipe(heard.put, stdin, stdout)
pipe.start()
pipe.write(["heard " + " ".join(heard.get())])
"""


def test_the_pipe_is_nobody_elses() -> None:
    """A program that we start reads nothing of it; what it and we print does not get into it."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys{ASIDE}"],
        input="done\n",
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "heard done\n"
    assert done.stderr == "exec plugin read: \na stray print\n"
