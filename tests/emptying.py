"""How tests with transactions of their own leave the database: as it was after migrating.

Django empties all tables after each such test and writes permissions anew. That takes PostgreSQL a third of a second
however little there is, some thousand times a run. Here only tables in which there is something are emptied, and what
migrating wrote stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

WRITTEN_BY_MIGRATING = frozenset({"django_content_type", "auth_permission"})


def install(patched: pytest.MonkeyPatch, connection: BaseDatabaseWrapper) -> None:
    """From now on, in this process."""
    patched.setattr(type(connection.ops), "sql_flush", _sql_flush)
    patched.setattr("django.core.management.commands.flush.emit_post_migrate_signal", lambda *_args, **_options: None)


def _sql_flush(self: Any, _style: Any, tables: Sequence[str], **_options: Any) -> list[str]:
    """Foreign keys are looked at when it commits, so the order does not matter."""
    names = [self.quote_name(table) for table in tables if table not in WRITTEN_BY_MIGRATING]
    asked = " UNION ALL ".join(
        f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {name})"  # noqa: S608 (names of tables)
        for number, name in enumerate(names)
    )
    with self.connection.cursor() as cursor:
        cursor.execute(asked)
        return [f"DELETE FROM {names[number]}" for (number,) in cursor.fetchall()]  # noqa: S608
