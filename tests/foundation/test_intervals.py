"""Counting rows by intervals of time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Count
from django.utils import timezone

from accounts.models import User
from foundation.intervals import UtcDay, counts_between

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


def _joined(*minutes: int) -> None:
    for number, minute in enumerate(minutes):
        User.objects.create(
            username=f"person-{minute}-{number}", date_joined=NOON + timedelta(minutes=minute), is_staff=minute > 60
        )


def test_every_row_is_counted_in_the_interval_that_its_time_begins(django_assert_num_queries: Any) -> None:
    _joined(-1, 0, 59, 60, 119, 120, 179, 180)
    edges = [NOON + timedelta(hours=hour) for hour in range(4)]
    with django_assert_num_queries(1):
        found = counts_between("date_joined", edges, User.objects.all(), User.objects.filter(is_staff=True))
    assert found == [[2, 2, 2], [0, 1, 2]]


def test_an_interval_without_rows_counts_none() -> None:
    edges = [NOON + timedelta(hours=hour) for hour in range(3)]
    assert counts_between("date_joined", edges, User.objects.all()) == [[0, 0]]


def test_a_day_is_one_of_utc_wherever_one_is() -> None:
    # Midnight is twelve hours after noon.
    _joined(-720, 719, 720)
    with timezone.override("America/Sao_Paulo"):
        rows = User.objects.annotate(day=UtcDay("date_joined")).values_list("day").annotate(count=Count("pk"))
        found = dict(rows)
    assert found == {date(2026, 3, 29): 2, date(2026, 3, 30): 1}
