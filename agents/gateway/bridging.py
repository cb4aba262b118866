"""Asynchronous calls: each in one thread, from a pool of our own (asyncio's default has a handful)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final, TypeVar

import structlog
from django.conf import settings

from agents.gateway.exceptions import ModelTimeout
from agents.gateway.guarding import Leaving
from foundation.seldom import Seldom
from foundation.threads import close_connections

logger = structlog.get_logger(__name__)

Piece = TypeVar("Piece")
Given = TypeVar("Given")
# Who has no thread by then looks at the time.
PROMPT_SECONDS: Final = 0.2
_END: Final = object()
_lock = threading.Lock()
_pools: dict[str, ThreadPoolExecutor] = {}
_is_news = Seldom(seconds=60)


def _pool(name: str, threads: int) -> ThreadPoolExecutor:
    with _lock:
        if name not in _pools:
            _pools[name] = ThreadPoolExecutor(threads, thread_name_prefix=name)
        return _pools[name]


def is_in_loop() -> bool:
    """Whether this is an event loop's thread, which may not wait for anything."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def in_thread(
    start: Callable[[], Generator[Piece, None, None]],
    leaving: Leaving,
    *,
    ends: Callable[[], float],
    missed: Callable[[ModelTimeout], None],
) -> AsyncGenerator[Piece, None]:
    """The pieces, as they come. A reader that leaves, or is cancelled, ends them within moments. `ends` says at which
    moment of `time.monotonic()` the call is over; when no thread was free until then, `missed` is told, and
    ModelTimeout raised. Both may ask the database.
    """
    loop = asyncio.get_running_loop()
    handed: asyncio.Queue[Any] = asyncio.Queue()

    def hand(given: Any) -> None:
        try:
            loop.call_soon_threadsafe(handed.put_nowait, given)
        except RuntimeError:  # the loop is closed
            leaving.leave()

    pool = _pool("model-call", settings.MODEL_ASYNC_THREADS)
    future = pool.submit(contextvars.copy_context().run, _work, start, hand)
    try:
        given = await _first(handed, future, ends)
        if given is None:
            error = ModelTimeout()
            await _aside(lambda: missed(error))
            raise error
        while given is not _END:
            if isinstance(given, _Raised):
                raise given.error
            yield given
            given = await handed.get()
    finally:
        leaving.leave()
        future.cancel()


async def _first(handed: asyncio.Queue[Any], future: Future[None], ends: Callable[[], float]) -> Any:
    """What comes first; None when no thread was free in time. A call that has one sees to its end by itself."""
    given = await _within(PROMPT_SECONDS, handed)
    if given is None and not future.running():
        given = await _within(await _aside(ends) - time.monotonic(), handed)
        if given is None and future.cancel():
            if _is_news.is_news():
                logger.warning("no_thread_for_model_call", threads=settings.MODEL_ASYNC_THREADS)
            return None
    return await handed.get() if given is None else given


async def _within(seconds: float, handed: asyncio.Queue[Any]) -> Any:
    """What comes in this time, or None."""
    try:
        async with asyncio.timeout(seconds):
            return await handed.get()
    except TimeoutError:
        return None


async def _aside(act: Callable[[], Given]) -> Given:
    """In a thread of its own: all of the calls' are taken."""

    def done() -> Given:
        try:
            return act()
        finally:
            close_connections()

    pool = _pool("model-call-end", 1)
    return await asyncio.get_running_loop().run_in_executor(pool, contextvars.copy_context().run, done)


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _work(start: Callable[[], Generator[Any, None, None]], hand: Callable[[Any], None]) -> None:
    try:
        with closing(start()) as pieces:
            for piece in pieces:
                hand(piece)
    except BaseException as error:
        hand(_Raised(error))
    else:
        hand(_END)
    finally:
        close_connections()
