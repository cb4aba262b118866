"""What is kept of a person: holdings that the rooms register in AppConfig.ready, each exported and erased on demand.

What accounting needs stays when a person is erased: who (an id without a name), which agent, when, how much.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import BinaryField, Model, QuerySet

from accounts.models import User
from foundation.encryption import EncryptedTextField
from foundation.pruning import delete_in_batches

BATCH = 200


def _nothing(_user: User) -> Iterable[uuid.UUID]:
    return ()


def _nothing_runs(_user: User) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Holding:
    """Rows of one kind about a person.

    `export` gives them as JSON objects without secrets, `erase` deletes or blanks them and says how many there were; it
    can be called again after a crash at any moment. Lower `order` is erased first. `stop` lets nothing more come of
    them, and says how many still run. `things` are the ids of rows that audit events may be about.
    """

    name: str
    label: Any
    export: Callable[[User], Iterator[Mapping[str, Any]]]
    erase: Callable[[User], int]
    order: int = 100
    stop: Callable[[User], int] = _nothing_runs
    things: Callable[[User], Iterable[uuid.UUID]] = _nothing


_holdings: dict[str, Holding] = {}


def register_holding(holding: Holding) -> None:
    """Makes a holding known, in AppConfig.ready."""
    _holdings[holding.name] = holding


def holdings() -> list[Holding]:
    """Every holding, in the order of erasing."""
    return sorted(_holdings.values(), key=lambda holding: (holding.order, holding.name))


def rows_of(rows: QuerySet[Any], *, without: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """The rows as JSON objects of their columns, in batches; never what is encrypted, bytes as hexadecimal."""
    left_out = {*without}
    fields = [
        field
        for field in rows.model._meta.concrete_fields
        if field.name not in left_out and not isinstance(field, EncryptedTextField)
    ]
    names = [field.attname for field in fields]
    binary = [field.attname for field in fields if isinstance(field, BinaryField)]
    for batch in batches_of(rows):
        for row in rows.order_by("pk").filter(pk__in=batch).values(*names):
            yield {**row, **{name: bytes(row[name]).hex() for name in binary}}


def blank(rows: QuerySet[Any], **values: Any) -> int:
    """Writes these values over the rows, a batch in a transaction; how many rows there are."""
    total = 0
    for batch in batches_of(rows):
        with transaction.atomic():
            total += rows.order_by().filter(pk__in=batch).update(**values)
    return total


def delete(rows: QuerySet[Any]) -> int:
    """Deletes the rows and what hangs on them, a batch in a transaction; how many."""
    return sum(delete_in_batches(rows.order_by("pk")))


def ids_of(rows: QuerySet[Any]) -> Iterator[uuid.UUID]:
    """The ids of the rows, in batches."""
    for batch in batches_of(rows):
        yield from batch


def batches_of(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """The ids of the rows in their order, a batch at a time. No statement is open in between."""
    ordered: QuerySet[Model] = rows.order_by("pk")
    batch = [*ordered.values_list("pk", flat=True)[:BATCH]]
    while batch:
        yield batch
        batch = [*ordered.filter(pk__gt=batch[-1]).values_list("pk", flat=True)[:BATCH]]
