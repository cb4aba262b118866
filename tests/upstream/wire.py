"""HTTP/1.1 for the scripted upstream: as little as it takes, so that the upstream is never what is measured."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import httptools

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
PHRASES = {status.value: status.phrase for status in HTTPStatus} | {529: "Site Overloaded"}


@dataclass(slots=True)
class Request:
    """What a client asks."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]


Handler = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client's connection: reads a request, has it handled, reads the next. A client that leaves cancels the
    handler.
    """

    def __init__(self, handle: Handler, opened: Callable[[Connection], None], closed: Callable[[Connection], None]):
        self._handle = handle
        self._opened, self._closed = opened, closed
        self.requests = 0
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._waiting: list[Request] = []
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    # What asyncio tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are transports without being asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self._closed(self)

    # What the parser tells.

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._request.body += body

    def on_message_complete(self) -> None:
        self.requests += 1
        self._request.method = self._parser.get_method().decode()
        self._waiting.append(self._request)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._handle(self._waiting.pop(0), self)
        except Exception:
            # A test that made it fail is to see why, and not to wait.
            self.answer(500, traceback.format_exc().encode(), {"content-type": "text/plain"})
            raise
        finally:
            self._task = None

    # What handlers say.

    def answer(self, status: int, body: bytes, headers: Mapping[str, str], *, announced: int | None = None) -> None:
        """All of it; with a Content-Length of its own if one is `announced`."""
        length = {"content-length": str(len(body) if announced is None else announced)}
        self.write(_head(status, {**headers, **length}) + body)

    def answer_json(self, status: int, data: Any) -> None:
        """All of it."""
        self.answer(status, json.dumps(data).encode(), {"content-type": JSON})

    def begin(self, headers: Mapping[str, str]) -> None:
        """A stream."""
        self.write(_head(200, {**headers, "content-type": EVENTS, "transfer-encoding": "chunked"}))

    def send(self, data: bytes) -> None:
        """A part of the stream."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The stream is over."""
        self.write(b"0\r\n\r\n")

    def write(self, data: bytes) -> None:
        """As it is."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Once everything has been sent."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """RST, not FIN."""
        if self._transport is None:
            return
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'Unknown')}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
