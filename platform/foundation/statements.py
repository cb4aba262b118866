"""The few statements that every request runs: cursors that have them planned once, and reads that are made once.

Django's own cursors put the values into the text, so PostgreSQL plans every statement anew; of the hot path's, planning
takes longer than running. A cursor that sends values apart lets psycopg prepare a statement once per connection
(`prepare_threshold` in the settings says after how many times).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Model
from django.db.models.expressions import Col

# A column's place, what is made of its values, and the column.
Conversion = tuple[int, list[Any], Col]


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


class Selection:
    """Columns of one table by a condition in SQL: for lookups of which the ORM takes longer to make the statement than
    the database to answer it. In the condition `{name}` is a column and `%s` a value.
    """

    def __init__(self, model: type[Model], columns: Sequence[str], condition: str) -> None:
        self._model, self._columns, self._condition = model, columns, condition
        # By kind of database.
        self._made: dict[str, tuple[str, list[Conversion]]] = {}

    def rows(self, *values: str | UUID | datetime) -> list[list[Any]]:
        """What the ORM's `values_list` would give, in no order."""
        if connection.vendor not in self._made:
            self._made[connection.vendor] = self._statement(), [*self._conversions()]
        statement, conversions = self._made[connection.vendor]
        with hot_cursor(connection) as cursor:
            cursor.execute(statement, [_given(value) for value in values])
            found = [[*row] for row in cursor.fetchall()]
        for place, converters, column in conversions:
            for row in found:
                for convert in converters:
                    row[place] = convert(row[place], column, connection)
        return found

    def _fields(self) -> dict[str, Any]:
        return {field.attname: field for field in self._model._meta.concrete_fields}

    def _statement(self) -> str:
        names = {name: f'"{field.column}"' for name, field in self._fields().items()}
        columns = ", ".join(names[name] for name in self._columns)
        table, condition = self._model._meta.db_table, self._condition.format_map(names)
        return f'SELECT {columns} FROM "{table}" WHERE {condition}'  # noqa: S608 (names of our own)

    def _conversions(self) -> Iterator[Conversion]:
        fields = self._fields()
        for place, name in enumerate(self._columns):
            column = Col(self._model._meta.db_table, fields[name])
            converters = [*connection.ops.get_db_converters(column), *column.get_db_converters(connection)]
            if converters:
                yield place, converters, column


def _given(value: str | UUID | datetime) -> Any:
    """As this database takes it."""
    if isinstance(value, UUID):
        return value if connection.features.has_native_uuid_field else value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
