"""Cursors for the few statements that every request runs.

Django's own cursors put the values into the text, so PostgreSQL plans every statement anew; of the hot path's, planning
takes longer than running. A cursor that sends values apart lets psycopg prepare a statement once per connection
(`prepare_threshold` in the settings says after how many times).
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper


def hot_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """A cursor of this connection, to be used in a `with`. Values whose type the statement does not say need a cast."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    # Not there without psycopg, which only PostgreSQL needs.
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    with connection.wrap_database_errors:
        # What `connection.cursor()` does, with another class of cursor: errors, query log and thread checks stay.
        cursor = ServerBindingCursor(connection.connection)  # type: ignore[call-arg]
        prepared: CursorWrapper = connection._prepare_cursor(cursor)  # type: ignore[attr-defined]  # noqa: SLF001
        return prepared
