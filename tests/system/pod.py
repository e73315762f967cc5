"""What runs in a pod: an HTTP server that tells who it is and whom it sees.

`python -m tests.system.pod NAME PORT`
"""

import asyncio
import json
import sys


async def serve(name: str, port: int) -> None:
    """Answer every request on both families."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            client = writer.get_extra_info("peername")[0].removeprefix("::ffff:")
            body = json.dumps({"pod": name, "client": client}).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        writer.close()

    servers = [await asyncio.start_server(answer, where, port) for where in ("0.0.0.0", "::")]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
