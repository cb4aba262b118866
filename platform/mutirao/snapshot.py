"""One moment of the database, to read from for as long as it takes, while the platform goes on writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections, transaction
from psycopg import IsolationLevel

ALIAS = "snapshot"


@contextmanager
def snapshot() -> Iterator[str]:
    """A database alias, of this thread, whose every query sees the same moment. It locks nobody out.

    On PostgreSQL a REPEATABLE READ transaction on a connection of its own. On SQLite a deferred one, whose first
    read fixes the moment: in WAL mode readers and the writer do not wait for each other. (SQLite's backup API would
    give the same, in a second copy of the file, and would start again whenever another process writes.)
    """
    wrapper = connection.copy(alias=ALIAS)
    options = wrapper.settings_dict["OPTIONS"]
    if connection.vendor == "sqlite":
        options.pop("transaction_mode", None)
    else:
        options.pop("pool", None)
        options["isolation_level"] = IsolationLevel.REPEATABLE_READ
    connections[ALIAS] = wrapper
    try:
        with transaction.atomic(using=ALIAS):
            yield ALIAS
    finally:
        wrapper.close()
        del connections[ALIAS]
