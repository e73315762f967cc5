"""The socket between speaker and responder, both ends, and the orders on disk.

The speaker listens: who connects is sent the newest orders whole, then each time what is different.
The responder connects, again and again, and sends its report in the same way. Whichever is slow is
sent less: what is different is worked out when the last line has gone out, so it is once what has
changed meanwhile. Whichever cannot read a line keeps what it has, and hangs up when the next one
says a difference from that line: the next connection begins with all of it. Whichever is away
leaves the other as it is: the responder answers by its last orders, which it finds on disk after
its own restart.
"""

import errno
import os
import selectors
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread

from loguru import logger

from exabgp_metallb.adapters import unix
from exabgp_metallb.adapters.files.aside import write_aside
from exabgp_metallb.adapters.layer2.document import VERSION, Received
from exabgp_metallb.adapters.layer2.orders_text import (
    orders_line,
    read_orders,
    read_report,
    report_line,
)
from exabgp_metallb.adapters.layer2.serials import Serials
from exabgp_metallb.adapters.source import OnDeath, thread
from exabgp_metallb.errors import OrdersError, OrdersGapError
from exabgp_metallb.values.addresses import Address
from exabgp_metallb.values.orders import Orders, Report

LONGEST_LINE = 64 * 2**20  # orders of a hundred thousand addresses are 4 MB
READ_BYTES = 2**18
MODE = 0o600
FIRST_RETRY_SECONDS = 0.1  # a speaker that restarts is back within a second
LONGEST_RETRY_SECONDS = 2.0
STOP_SECONDS = 1.0  # a listener that hangs does not keep the speaker from ending
SAVE_SECONDS = 1.0  # between two writes to disk, each of which is whole

Compose = Callable[[int | None], tuple[int, bytes] | None]
"""Returns the serial of a document and a line that brings somebody to it, who has the one with the
given serial (None: none); None when that is the newest."""


class Lines:
    """One end of a connection: lines in both directions; never blocks.

    Args:
        stream: the connection.
        compose: makes what is to be sent.
    """

    def __init__(self, stream: socket.socket, compose: Compose) -> None:
        stream.settimeout(0)
        self.stream = stream
        self._compose = compose
        self._received = bytearray()
        self._searched = 0
        self._going = memoryview(b"")
        self._sent: int | None = None  # the serial of the document that the other end gets to
        self._news = False

    @property
    def writes(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._going) or self._news

    def say(self) -> None:
        """Let the other end know what is new, as soon as it takes that."""
        self._news = True

    def send(self) -> None:
        """Send what the other end takes now.

        Raises:
            OSError: it is gone.
        """
        while self.writes:
            if not self._going:
                self._news = False
                made = self._compose(self._sent)
                if made is None:
                    return
                self._sent, line = made
                self._going = memoryview(line)
            try:
                self._going = self._going[self.stream.send(self._going) :]
            except BlockingIOError:
                return

    def read(self) -> Iterator[bytes]:
        """Yield the lines that have come.

        Raises:
            EOFError: the other end is gone.
            OSError: the same, less politely.
            OrdersError: there is no end to its line.
        """
        try:
            data = self.stream.recv(READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        self._received += data
        while (end := self._received.find(b"\n", self._searched)) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._searched = 0
            yield line
        self._searched = len(self._received)
        if self._searched > LONGEST_LINE:
            raise OrdersError(f"a line of more than {LONGEST_LINE} bytes")


class OrdersServer:
    """The speaker's end; runs in a thread of its own.

    Args:
        path: of the socket; what is left of an earlier one is removed.
        listener: is called in that thread with each report and the addresses that may be different
            in it (None: any), and with None for a report when the last responder is gone.
        on_death: is told when the thread dies.
        group: whose members may connect, beside root and the user that runs this; None: nobody
            else.

    Raises:
        OSError: there can be no socket at this path.
    """

    def __init__(
        self,
        path: Path,
        listener: Callable[[Report | None, Collection[Address] | None], None],
        *,
        on_death: OnDeath,
        group: int | None = None,
    ) -> None:
        self._path = path
        self._tell = listener
        self._group = group
        self._lock = Lock()
        self._orders: Orders | None = None
        self._serials = Serials()
        self._stopping = False
        self._listening = unix.listen(path, group=group)
        self._wakes, self._wake = socket.socketpair()
        self._wakes.settimeout(0)
        self._wake.settimeout(0)
        self._listening.settimeout(0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wakes, selectors.EVENT_READ, self._woken)
        self._connections: dict[Lines, Received[Report] | None] = {}  # with what it said last
        self._thread = thread(self._run, name="orders", on_death=on_death)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def send(self, orders: Orders, touched: Collection[Address] | None = None) -> None:
        """Let these be the orders from now on; never blocks.

        Args:
            orders: all of them.
            touched: the addresses that may be different from before; None: any.
        """
        with self._lock:
            self._orders = orders
            self._serials.note(touched)
        self._rouse()

    def stop(self) -> None:
        """Close every connection; the responders go on by their last orders."""
        self._stopping = True
        self._rouse()
        if self._thread.is_alive():
            self._thread.join(timeout=STOP_SECONDS)

    def _rouse(self) -> None:
        with suppress(BlockingIOError, OSError):  # it is awake already, or over
            self._wake.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._stopping:
                for key, events in self._selector.select():
                    key.data(events)
            for lines in list(self._connections):
                self._close(lines, "the speaker ends")
        finally:
            for lines in self._connections:
                lines.stream.close()
            for each in (self._selector, self._listening, self._wakes, self._wake):
                each.close()

    def _woken(self, _events: int) -> None:
        with suppress(BlockingIOError):
            self._wakes.recv(4096)
        for lines in list(self._connections):
            self._say(lines)

    def _compose(self, serial: int | None) -> tuple[int, bytes] | None:
        with self._lock:
            orders, part = self._orders, self._serials.part(serial)
        return None if orders is None or part is None else (part.serial, orders_line(orders, part))

    def _accept(self, _events: int) -> None:
        try:
            stream, _ = self._listening.accept()
        except OSError as error:  # it went again, or there are no file descriptors
            logger.warning("{}: {}: a responder could not be let in", self._path, error.strerror)
            return
        peer = unix.peer_of(stream)
        if peer.uid not in {0, os.geteuid()} and self._group not in peer.groups:
            logger.warning(
                "{}: process {} of user {} was turned away: run the responder as this user or as "
                "root, or in the group of --orders-group",
                self._path,
                peer.pid,
                peer.uid,
            )
            stream.close()
            return
        lines = Lines(stream, self._compose)
        self._connections[lines] = None
        self._selector.register(stream, selectors.EVENT_READ, self._serve(lines))
        logger.info("the responder is here", pid=peer.pid)
        self._say(lines)

    def _serve(self, lines: Lines) -> Callable[[int], None]:
        def ready(events: int) -> None:
            try:
                if events & selectors.EVENT_READ:
                    for line in lines.read():
                        self._heard(lines, line)
                lines.send()
            except (EOFError, OSError):
                self._close(
                    lines, "the responder is gone; it answers by its last orders if it lives"
                )
            except OrdersError as error:
                self._close(lines, f"the responder is cut off: {error}")
            else:
                self._want(lines)

        return ready

    def _heard(self, lines: Lines, line: bytes) -> None:
        last = self._connections[lines]
        self._connections[lines] = None
        try:
            received = self._connections[lines] = read_report(line, last)
        except OrdersGapError:
            raise
        except OrdersError as error:
            logger.warning("a report of the responder is ignored: {}", error)
            return
        if received.version not in {VERSION, None if last is None else last.version}:
            logger.warning("the responder {}", other_version(received.version))
        self._tell(received.document, received.part.addresses)

    def _say(self, lines: Lines) -> None:
        lines.say()
        try:
            lines.send()
        except OSError:
            return  # reading says so next
        self._want(lines)

    def _want(self, lines: Lines) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if lines.writes else 0)
        self._selector.modify(lines.stream, events, self._serve(lines))

    def _close(self, lines: Lines, why: str) -> None:
        self._selector.unregister(lines.stream)
        lines.stream.close()
        del self._connections[lines]
        logger.info("{}", why)
        if not self._connections:
            self._tell(None, None)


class OrdersClient:
    """The responder's end; for one thread, which serves the selector and calls `act`.

    Args:
        path: of the speaker's socket.
        selector: whose readable descriptors the caller serves: each key's data is to be called.
        listener: is called with new orders, and with the addresses that may be different in them;
            None: any.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        listener: Callable[[Orders, Collection[Address] | None], None],
    ) -> None:
        self._path = path
        self._selector = selector
        self._listener = listener
        self._lines: Lines | None = None
        self._report: Report | None = None
        self._serials = Serials()
        self._last: Received[Orders] | None = None  # of this connection
        self._retry_at = 0.0
        self._pause = FIRST_RETRY_SECONDS
        self._told = ""  # why there is no speaker
        self._version = VERSION

    @property
    def connected(self) -> bool:
        """Whether there is a speaker."""
        return self._lines is not None

    def act(self, now: float) -> None:
        """Connect, if that is due."""
        if self._lines is None and now >= self._retry_at:
            self._pause = min(self._pause * 2, LONGEST_RETRY_SECONDS)
            self._retry_at = now + self._pause
            self._connect()

    def deadline(self) -> float | None:
        """Return when `act` must be called; None: no need."""
        return None if self.connected else self._retry_at

    def report(self, report: Report, touched: Collection[Address] | None = None) -> None:
        """Let the speaker know, now or when there is one; never blocks.

        Args:
            report: all of it.
            touched: the addresses that may be different from before; None: any.
        """
        self._report = report
        self._serials.note(touched)
        if self._lines is not None:
            self._lines.say()
            self._exchange(reading=False)

    def close(self) -> None:
        """Hang up."""
        if self._lines is not None:
            self._hang_up("")

    def _connect(self) -> None:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(0)
        try:
            with unix.short(self._path) as address:
                stream.connect(address)
        except OSError as error:
            stream.close()
            self._tell(f"{self._path}: {_why(error)}")
            return
        self._lines, self._last = Lines(stream, self._compose), None
        self._selector.register(stream, selectors.EVENT_READ, self._exchange)
        self._lines.say()
        self._exchange(reading=False)

    def _compose(self, serial: int | None) -> tuple[int, bytes] | None:
        part = self._serials.part(serial)
        if self._report is None or part is None:
            return None
        return part.serial, report_line(self._report, part)

    def _exchange(self, *, reading: bool = True) -> None:
        assert self._lines is not None  # noqa: S101 -- it is registered while it is there
        try:
            for line in self._lines.read() if reading else ():
                self._ordered(line)
            self._lines.send()
        except (EOFError, OSError):
            self._hang_up(f"{self._path}: the speaker is gone")
        except OrdersError as error:
            self._hang_up(f"{self._path}: {error}")
        else:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._lines.writes else 0)
            self._selector.modify(self._lines.stream, events, self._exchange)

    def _ordered(self, line: bytes) -> None:
        last, self._last = self._last, None
        try:
            received = self._last = read_orders(line, last)
        except OrdersGapError:
            raise
        except OrdersError as error:
            logger.error("orders are ignored, the last ones stand: {}", error)
            return
        if received.version != self._version:
            self._version = received.version
            logger.warning("the speaker {}", other_version(received.version))
        self._pause = FIRST_RETRY_SECONDS  # not before: it may turn us away each time
        self._tell("")
        self._listener(received.document, received.part.addresses)

    def _hang_up(self, why: str) -> None:
        assert self._lines is not None  # noqa: S101 -- asked by the callers
        self._selector.unregister(self._lines.stream)
        self._lines.stream.close()
        self._lines = None
        self._tell(why)

    def _tell(self, why: str) -> None:
        """Log a change, and not each of a thousand tries."""
        if why == self._told:
            return
        if why:
            logger.warning("no new orders: {}; the last ones stand", why)
        else:
            logger.info("the speaker is here")
        self._told = why


class OrdersFile:
    """The last orders on disk, written by a thread of its own: a slow disk delays no answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[Orders | None] = SimpleQueue()
        self._ending = Event()
        self._told = ""  # why it could not be written
        self._thread = Thread(target=self._run, name="orders-file", daemon=True)
        self._thread.start()

    def read(self) -> Orders | None:
        """Return the orders of an earlier process, None when there are none that can be read."""
        try:
            return read_orders(self._path.read_bytes()).document
        except FileNotFoundError:
            return None
        except (OSError, OrdersError) as error:
            logger.warning("{}: {}: begun without", self._path, error)
            return None

    def write(self, orders: Orders) -> None:
        """Keep these orders, soon."""
        self._queue.put(orders)

    def close(self) -> None:
        """Write what waits."""
        self._ending.set()
        self._queue.put(None)
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._queue.get()]
            while not self._queue.empty():
                waiting.append(self._queue.get())
            ended = any(each is None for each in waiting)
            newest = next((each for each in reversed(waiting) if each is not None), None)
            if newest is not None:
                self._save(newest)
                self._ending.wait(SAVE_SECONDS)

    def _save(self, orders: Orders) -> None:
        try:
            write_aside(self._path, orders_line(orders), mode=MODE)
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._told:
                logger.error("{}: {}: a restart begins without orders", self._path, why)
            self._told = why


def other_version(version: int) -> str:
    """Return what to say of somebody who speaks another version."""
    side = "newer" if version > VERSION else "older"
    return f"is of a{'n' * (side == 'older')} {side} release (protocol {version}, ours {VERSION})"


def _why(error: OSError) -> str:
    known = {
        errno.ENOENT: "no speaker has been here",
        errno.ECONNREFUSED: "no speaker listens",
        errno.EACCES: "this user may not ask the speaker",
        errno.EAGAIN: "the speaker lets nobody in",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
