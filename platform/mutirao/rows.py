"""Rows as lines of JSON that any supported database can give and take.

Django's own serialisers cut times to milliseconds, which the order of tasks and events does not survive; they also
decrypt what is encrypted at rest. Here a line is the list of a row's values, and what a field encrypts stays as stored.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps.registry import Apps
from django.db import models
from django.db.models import ExpressionWrapper, F, QuerySet, Value

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `plain` is the field through which it is read and written.

    For fields that are not Django's own and change a value on its way from the database (encryption does), `plain` is
    the Django field they are stored as.
    """

    name: str
    plain: models.Field[Any, Any]
    is_raw: bool

    @classmethod
    def of(cls, field: models.Field[Any, Any]) -> Column:
        """The column of a field."""
        is_raw = hasattr(field, "from_db_value") and not type(field).__module__.startswith("django.")
        plain = getattr(models, field.get_internal_type())() if is_raw else field
        return cls(field.attname, plain, is_raw)

    def selected(self) -> Any:
        """What to select."""
        return ExpressionWrapper(F(self.name), output_field=self.plain) if self.is_raw else F(self.name)

    def stored(self, value: Any) -> Any:
        """What to give to a model, from a value out of a line."""
        if self.is_raw:
            return Value(self.plain.to_python(value), output_field=self.plain)
        if value is None and isinstance(self.plain, models.JSONField) and not self.plain.null:
            return Value(None, output_field=models.JSONField())
        # A foreign key's own conversion would ask its target; the target's is the same.
        target = self.plain.target_field if isinstance(self.plain, models.ForeignKey) else self.plain
        return target.to_python(value)


def columns_of(model: type[models.Model]) -> list[Column]:
    """Every column of the model's table."""
    return [Column.of(field) for field in model._meta.local_concrete_fields]


def tables(apps: Apps, labels: set[str]) -> list[type[models.Model]]:
    """Every table of these apps as a model, those between many and many included, by name."""
    found = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.app_label in labels
    ]
    return sorted(found, key=lambda model: model._meta.label_lower)


def read_lines(model: type[models.Model], *, using: str) -> Iterator[bytes]:
    """The rows of a table, a line each, in the order of their keys."""
    selected = [column.selected() for column in columns_of(model)]
    rows: QuerySet[models.Model, Any] = QuerySet(model, using=using).order_by("pk").values_list(*selected)
    for row in rows.iterator(chunk_size=CHUNK):
        yield json.dumps(row, ensure_ascii=False, default=_encode, separators=(",", ":")).encode() + b"\n"


def _encode(value: Any) -> Any:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(value)).decode()
    raise TypeError(f"A value of type {type(value).__name__} cannot be written.")


def write_lines(model: type[models.Model], lines: Iterable[bytes], *, names: Sequence[str], using: str) -> int:
    """Inserts rows from lines whose values are in the order of `names`; how many. The model is one of a migration
    state: its fields may be changed here, so that no moment of writing takes the place of a stored one.
    """
    known = {column.name: column for column in columns_of(model)}
    columns = [known[name] for name in names]
    for column in columns:
        if isinstance(column.plain, models.DateField):
            column.plain.auto_now = column.plain.auto_now_add = False
    rows: QuerySet[models.Model] = QuerySet(model, using=using)
    count = 0
    for chunk in _chunks(lines):
        made = [_row(model, columns, json.loads(line)) for line in chunk]
        count += len(rows.bulk_create(made, batch_size=CHUNK))
    return count


def _row(model: type[models.Model], columns: Sequence[Column], values: Sequence[Any]) -> models.Model:
    pairs = zip(columns, values, strict=True)
    return model(**{column.name: column.stored(value) for column, value in pairs})


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    for line in lines:
        chunk.append(line)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
