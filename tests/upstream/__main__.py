"""`python -m tests.upstream --port 0`: serves until it is told to stop; its first line is its address."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable

import uvloop

from tests.upstream.serving import Upstream

BACKLOG = 1024


async def serve(port: int, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    """Until `stop`; tells the port once connections are accepted."""
    upstream = Upstream()
    server = await asyncio.get_running_loop().create_server(upstream.connection, "127.0.0.1", port, backlog=BACKLOG)
    ready(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()
    upstream.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    port = parser.parse_args().port
    uvloop.run(_until_told(port))


async def _until_told(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(port, _say, stop)


def _say(port: int) -> None:
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
