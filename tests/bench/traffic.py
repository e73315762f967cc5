"""New TCP connections at a steady rate, and who answers them; both ends of the drain benchmark.

    python -m tests.bench.traffic serve ADDRESS PORT     answers each connection with a word
    python -m tests.bench.traffic connect ADDRESS PORT --rate 100 --seconds 10 [--open-ms 0]

A client that waits for nobody: when a connection is due it is begun, whatever became of the others.
"""

import asyncio
import json
import time
from collections.abc import Sequence

import click

WORD = b"here"
PATIENCE_SECONDS = 3.0  # the second SYN goes out after one, the third after three (RFC 6298)


@click.group()
def commands() -> None:
    """Either end."""


@commands.command()
@click.argument("address")
@click.argument("port", type=int)
def serve(address: str, port: int) -> None:
    """Answer what the client sends, each byte by a word."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1):
                writer.write(WORD)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, address, port, backlog=1024)
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(run())


@commands.command()
@click.argument("address")
@click.argument("port", type=int)
@click.option("--rate", type=int, default=100)
@click.option("--seconds", type=float, default=10.0)
@click.option("--open-ms", type=int, default=0)
def connect(address: str, port: int, rate: int, seconds: float, open_ms: int) -> None:
    """Print how long each connection took until its last answer; null for a lost one."""
    took = asyncio.run(_connect(address, port, rate, seconds, open_ms / 1000))
    print(json.dumps(took))


async def _connect(
    address: str, port: int, rate: int, seconds: float, open_seconds: float
) -> Sequence[float | None]:
    begin = time.monotonic()
    tasks = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(begin + number / rate - time.monotonic())
        tasks.append(asyncio.create_task(_one(address, port, open_seconds)))
    return await asyncio.gather(*tasks)


async def _one(address: str, port: int, open_seconds: float) -> float | None:
    begin = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS + open_seconds):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                await _ask(reader, writer)
                if open_seconds:
                    await asyncio.sleep(open_seconds)
                    await _ask(reader, writer)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError):
        return None
    return time.monotonic() - begin - open_seconds


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b".")
    await writer.drain()
    await reader.readexactly(len(WORD))


if __name__ == "__main__":
    commands()
