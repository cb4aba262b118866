"""For how many days a page looks back: what one may choose, and the axis below its chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.http import HttpRequest

from agents.tasks.usage import MOST_DAYS, USUAL_DAYS, Days

LENGTHS: Final = (7, USUAL_DAYS, MOST_DAYS)
LABELS: Final = 4


def length_of(request: HttpRequest) -> int:
    """What `?days=` asks for; the usual length for anything that cannot be chosen."""
    asked = request.GET.get("days", "")
    return int(asked) if asked in map(str, LENGTHS) else USUAL_DAYS


def days_of(length: int) -> Days:
    """So many days of UTC, today the last."""
    today = datetime.now(UTC).date()
    return Days.between(today - timedelta(days=length - 1), today)


def axis_of(days: Days) -> list[str]:
    """Some of the days, from left to right."""
    each = days.each()
    step = max(len(each) // LABELS, 1)
    return [f"{day:%m-%d}" for day in each[::step]][: LABELS + 1]
