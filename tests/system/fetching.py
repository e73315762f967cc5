"""A client that fetches a page at a steady rate, as a program of its own.

    python -m tests.system.fetching RATE ADDRESS...

The addresses take turns, each with a connection of its own for every request. A client that waits
for nobody: when a request is due it is begun, whatever became of the others. It goes on until its
stdin closes, and prints a JSON document in a line for each request that is over: the address, when
it began (CLOCK_MONOTONIC), the seconds it took, the answer, and what went wrong.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from errno import errorcode
from itertools import cycle
from typing import Any

PORT = 80
PATIENCE_SECONDS = 3.0  # a lost SYN is sent again after one second and after three (RFC 6298)


async def fetch(address: str) -> None:
    """Fetch once, and print what became of it."""
    began = time.monotonic()
    told: dict[str, Any] = {"address": address, "began": began, "took": None}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            told |= await _answer(address)
            told["took"] = time.monotonic() - began
    except (OSError, EOFError, TimeoutError) as error:
        number = getattr(error, "errno", None)  # a timeout is an OSError without one
        told["error"] = errorcode.get(number or 0, type(error).__name__)
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


async def _answer(address: str) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection(address, PORT)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: system\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if not head.startswith(b"HTTP/1.1 200 ") or not body:
        raise EOFError
    return dict(json.loads(body))


async def run(rate: float, addresses: Sequence[str]) -> None:
    """Fetch until stdin closes, and wait for the last answers."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    begin, tasks = time.monotonic(), []
    for number, address in enumerate(cycle(addresses)):
        await asyncio.sleep(begin + number / rate - time.monotonic())
        if ended.is_set():
            break
        tasks.append(asyncio.create_task(fetch(address)))
    await asyncio.gather(*tasks)


if __name__ == "__main__":
    asyncio.run(run(float(sys.argv[1]), sys.argv[2:]))
