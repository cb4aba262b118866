"""Database connections in threads that are not Django's.

LangGraph saves checkpoints, and runs parallel nodes, in threads of its own. Django gives every thread a
connection and closes it at the end of a request, which such a thread never has: left alone, each would take a
connection out of the pool for ever. This module is the one place that deals with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

_idle: list[BaseDatabaseWrapper] = []
_idle_lock = threading.Lock()
MOST_IDLE = 16


@contextmanager
def borrowed_connection() -> Iterator[BaseDatabaseWrapper]:
    """A connection for one burst of statements, whichever thread asks; outside any transaction of that
    thread.

    On PostgreSQL it goes back to the pool at the end. On SQLite it stays open, for the next burst: opening a
    file costs more than the burst itself. The wrapper is kept in both cases, because making one per thread
    costs as much.
    """
    with _idle_lock:
        wrapper = _idle.pop() if _idle else _new_wrapper()
    try:
        yield wrapper
    except BaseException:
        wrapper.close()
        raise
    finally:
        if _is_pooled(wrapper):
            wrapper.close()
        with _idle_lock:
            keep = len(_idle) < MOST_IDLE
            if keep:
                _idle.append(wrapper)
        if not keep:
            wrapper.close()


@contextmanager
def lent_connection() -> Iterator[None]:
    """The same for whatever this thread asks until the end: for a thread that lives no longer than a run."""
    with borrowed_connection() as wrapper:
        connections[DEFAULT_DB_ALIAS] = wrapper
        try:
            yield
        finally:
            del connections[DEFAULT_DB_ALIAS]


def close_borrowed() -> None:
    """Closes what is idle (before a test database goes, or a process forks)."""
    with _idle_lock:
        while _idle:
            _idle.pop().close()


def _new_wrapper() -> BaseDatabaseWrapper:
    wrapper = connections.create_connection(DEFAULT_DB_ALIAS)
    wrapper.inc_thread_sharing()
    return wrapper


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql"
