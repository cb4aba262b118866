"""The scripted upstream as a test uses it: starts it, tells it what to do, asks what it has seen."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import uvloop

from tests.upstream.__main__ import serve
from tests.upstream.script import Behaviour, Counts, Heard, Script

ROOT = Path(__file__).resolve().parent.parent.parent
Count = Literal["requests", "in_flight", "most_in_flight", "completed", "abandoned", "faults"]


class Upstream:
    """A running upstream. `url` is what clients take as their base URL."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._at = urlsplit(address)
        self.url = f"{address}/v1"

    def script(
        self,
        named: Mapping[str, Behaviour | Iterable[Behaviour]] | None = None,
        /,
        *,
        seed: int = 0,
        **deployments: Behaviour | Iterable[Behaviour],
    ) -> None:
        """From now on deployments (models' names or API keys) behave like this; counts begin again.

        Names that are no Python names go in as a dictionary; `*` is every other.
        """
        self._ask("PUT", "/script", Script.of({**(named or {}), **deployments}, seed=seed).written())

    def reset(self) -> None:
        """Everything answers well, and nothing has been counted."""
        self._ask("POST", "/reset")

    def release(self) -> None:
        """What `holds_after` holds goes on."""
        self._ask("POST", "/release")

    def counts(self) -> dict[str, Counts]:
        """By deployment."""
        return {name: Counts(**each) for name, each in self._ask("GET", "/counts")["deployments"].items()}

    def of(self, deployment: str) -> Counts:
        """What one deployment has seen."""
        return self.counts().get(deployment, Counts())

    def connections(self) -> int:
        """How many have been opened to it for models since the script began."""
        return int(self._ask("GET", "/counts")["connections"])

    def requests(self) -> list[Heard]:
        """The latest ones, the oldest first."""
        return [Heard(**each) for each in self._ask("GET", "/requests")]

    def wait(self, deployment: str, count: Count, at_least: int, *, within: float = 10) -> None:
        """Until so many have been counted; fails after so many seconds."""
        query = urlencode({"deployment": deployment, "count": count, "at_least": at_least, "within": within})
        assert self._ask("GET", f"/wait?{query}", timeout=within + 5), f"not {at_least} {count} of {deployment}"

    def _ask(self, method: str, path: str, body: Any = None, *, timeout: float = 10) -> Any:
        connection = HTTPConnection(self._at.hostname or "", self._at.port, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            assert response.status == 200, text
            return json.loads(text)
        finally:
            connection.close()


@contextmanager
def process() -> Iterator[Upstream]:
    """An upstream in a process of its own; it takes no time from whom it is asked by."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.upstream", "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        address = child.stdout.readline().strip()
        assert address, "the upstream did not start"
        yield Upstream(address)
    finally:
        child.terminate()
        child.wait(timeout=10)
        child.stdout.close()


@contextmanager
def thread() -> Iterator[Upstream]:
    """An upstream in a thread of this process: it is there at once."""
    found: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []
    is_ready = threading.Event()

    async def serve_here() -> None:
        stop = asyncio.Event()

        def ready(port: int) -> None:
            found.append((port, asyncio.get_running_loop(), stop))
            is_ready.set()

        await serve(0, ready, stop)

    server = threading.Thread(target=lambda: uvloop.run(serve_here()), name="scripted-upstream")
    server.start()
    assert is_ready.wait(10), "the upstream did not start"
    port, loop, stop = found[0]
    try:
        yield Upstream(f"http://127.0.0.1:{port}")
    finally:
        loop.call_soon_threadsafe(stop.set)
        server.join(10)


@contextmanager
def closed_port() -> Iterator[str]:
    """A base URL where connections are refused."""
    # Bound and not listening: nobody else can take the port meanwhile.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}/v1"
