"""Counting rows by intervals of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Value
from django.db.models.functions import TruncDate


class UtcDay(TruncDate):
    """The day of UTC of a time, for grouping by it over more days than `counts_between` is for: PostgreSQL plans a
    statement of hundreds of ranges longer than it reads the rows.
    """

    def __init__(self, field: str) -> None:
        super().__init__(field, tzinfo=UTC)

    def as_sqlite(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, Any]:
        """The text of a time, which is of UTC there, begins with its day: no call of Python for every row."""
        sql, parameters = compiler.compile(self.lhs)
        return f"SUBSTR({sql}, 1, 10)", parameters


def counts_between(field: str, edges: Sequence[datetime], *groups: QuerySet[Any]) -> list[list[int]]:
    """For each group, how many of its rows have their time in each interval: from one edge to before the next, so one
    number less than there are edges.

    One statement that counts range by range, which indexes can answer alone. Grouping by Django's `TruncHour` would
    call a Python function for every row on SQLite, and sort them all.
    """
    ranges = [*pairwise(edges)]
    counts = [
        rows.filter(**{f"{field}__gte": start, f"{field}__lt": end})
        .order_by()
        .annotate(place=Value(group * len(ranges) + number, output_field=IntegerField()))
        .values("place")
        .annotate(count=Count("*"))
        for group, rows in enumerate(groups)
        for number, (start, end) in enumerate(ranges)
    ]
    found = {row["place"]: row["count"] for row in counts[0].union(*counts[1:], all=True)}
    return [
        [found.get(group * len(ranges) + number, 0) for number in range(len(ranges))] for group in range(len(groups))
    ]
