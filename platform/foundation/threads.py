"""Threads for the synchronous parts of requests: few, reused, and given back before a request waits.

Stock ASGI starts a thread for every request and keeps it to the end, so an open event stream costs a thread and what
is kept per thread (database connections, Redis connections, Celery producers) is made anew each time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

Args = ParamSpec("Args")
Result = TypeVar("Result")

IDLE_MOST = 32


class ThreadShelf:
    """Single threads that wait for their next request; at most IDLE_MOST of them."""

    def __init__(self) -> None:
        self._idle: deque[ThreadPoolExecutor] = deque()
        self._lock = threading.Lock()

    def take(self) -> ThreadPoolExecutor:
        """The thread that was used last, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="request")

    def put(self, thread: ThreadPoolExecutor) -> None:
        """Keeps it for the next request."""
        with self._lock:
            if len(self._idle) < IDLE_MOST:
                self._idle.append(thread)
                return
        _end(thread)

    def close(self) -> None:
        """Ends the idle threads."""
        with self._lock:
            threads, self._idle = self._idle, deque()
        for thread in threads:
            _end(thread)


def _end(thread: ThreadPoolExecutor) -> None:
    """It leaves nothing open."""
    thread.submit(close_connections)
    thread.shutdown(wait=False)


shelf = ThreadShelf()


class RequestThread(Executor):
    """The thread of one request: taken from the shelf when first needed, always the same until it is given back."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._last: Future[Any] | None = None

    @property
    def is_taken(self) -> bool:
        """Whether this request holds a thread now."""
        return self._thread is not None

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Runs the function on this request's thread."""
        if self._thread is None:
            self._thread = shelf.take()
        future = self._thread.submit(fn, *args, **kwargs)
        self._last = future
        return future

    def give_back(self) -> None:
        """Puts the thread back as soon as it has done its last piece of work."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._last is None or self._last.done():
            shelf.put(thread)
        else:
            self._last.add_done_callback(lambda _done: shelf.put(thread))


current: ContextVar[RequestThread | None] = ContextVar("request_thread", default=None)


def close_connections() -> None:
    """Closes this thread's database connections, except one in the middle of a transaction: for a thread that is not
    coming back, or after the database was away.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def release_connections() -> None:
    """Gives those back to their pools that have one, so that a wait does not hold them; SQLite's files stay open."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and connection.vendor == "postgresql" and not connection.in_atomic_block:
            connection.close()


async def in_thread(function: Callable[Args, Result], /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
    """One visit to a thread: runs the function, gives back the database's pooled connections and the thread."""

    def visit() -> Result:
        try:
            return function(*args, **kwargs)
        finally:
            release_connections()

    try:
        return await sync_to_async(visit, thread_sensitive=True)()
    finally:
        if (thread := current.get()) is not None:
            thread.give_back()
