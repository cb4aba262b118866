"""Counting rows by intervals of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Value


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
