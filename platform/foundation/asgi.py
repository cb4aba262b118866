"""Django's ASGI handler with what an API needs: bounded bodies, reused threads, problems instead of plain text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from io import BytesIO
from typing import IO, Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from foundation import problems, threads
from foundation.models import new_id

Message = dict[str, Any]
Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]

API = "/api/"


class BodyIsTooLarge(Exception):
    """The body is larger than this server accepts."""


class Handler(ASGIHandler):
    """Serves HTTP. `on_start` and `on_stop` run at the beginning and the end of the server's event loop."""

    def __init__(self, *, on_start: Hook | None = None, on_stop: Hook | None = None) -> None:
        super().__init__()
        self._on_start = on_start
        self._on_stop = on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        thread = threads.RequestThread()
        token = threads.current.set(thread)
        try:
            async with ThreadSensitiveContext(executor=thread):
                await self.handle(scope, receive, send)
        finally:
            threads.current.reset(token)
            thread.give_back()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Like Django's, without its visits to a thread for signals when none is held."""
        try:
            body = await self._body(scope, receive)
        except RequestAborted:
            return
        except BodyIsTooLarge as error:
            await _refuse(send, status=413, detail=str(error.__doc__), code="body-too-large")
            return
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            request = self.request_class(scope, body)
        except UnicodeDecodeError:
            await _refuse(send, status=400, detail="The address is not valid UTF-8.", code="bad-request")
            return
        with body:
            await self._serve(request, receive, send)

    async def _serve(self, request: HttpRequest, receive: Receive, send: Send) -> None:
        answering = asyncio.ensure_future(self._answer(request, send))
        watching = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, answering):
                if not task.done():
                    task.cancel()
            results = await asyncio.gather(watching, answering, return_exceptions=True)
        error = results[1]
        if isinstance(error, Exception) and not isinstance(error, RequestAborted):
            raise error

    async def _answer(self, request: HttpRequest, send: Send) -> None:
        response: HttpResponseBase | None = None
        try:
            response = await self.run_get_response(request)
            await self.send_response(response, send)
        finally:
            await _close(response)

    async def _body(self, scope: Scope, receive: Receive) -> IO[bytes]:
        """The body in memory; for the API, no more of it than is allowed, whatever Content-Length says."""
        if not scope["path"].startswith(API):
            body: IO[bytes] = await self.read_body(receive)
            return body
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > limit:
                raise BodyIsTooLarge
            if not message.get("more_body", False):
                return BytesIO(b"".join(pieces))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._on_start is not None:
            await self._on_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._on_stop is not None:
            await self._on_stop()
        threads.shelf.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _close(response: HttpResponseBase | None) -> None:
    """Ends the request: on its thread, where its database connections are, when it still holds one."""
    thread = threads.current.get()
    finish = response.close if response is not None else _finished
    if thread is not None and thread.is_taken:
        await asyncio.shield(sync_to_async(finish, thread_sensitive=True)())
    else:
        finish()


def _finished() -> None:
    signals.request_finished.send(sender=Handler)


async def _refuse(send: Send, *, status: int, detail: str, code: str) -> None:
    """Answers before there is a request."""
    request_id = str(new_id())
    body = json.dumps(problems.document(status=status, detail=detail, code=code, request_id=request_id)).encode()
    headers = [
        (b"content-type", problems.CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
