"""Who has spent what: sums over the tasks that were accepted in some days of UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Max, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _

from accounts.models import User
from agents.tasks.exceptions import InvalidInput
from agents.tasks.models import Task

MOST_DAYS = 92
USUAL_DAYS = 30
MOST_ROWS = 200
SEES_ALL = ("agents_tasks.view_task", "accounts.view_quota")


@dataclass(frozen=True, slots=True)
class Days:
    """Days of UTC, the last one included; at most MOST_DAYS."""

    since: date
    until: date

    @classmethod
    def between(cls, since: date | None, until: date | None) -> Days:
        """These days; where nothing is said, USUAL_DAYS up to today. Raises InvalidInput."""
        last = until or datetime.now(UTC).date()
        try:
            first = since or last - timedelta(days=USUAL_DAYS - 1)
            last + timedelta(days=1)
        except OverflowError as error:
            raise InvalidInput(_("There is no such day.")) from error
        if not 0 <= (last - first).days < MOST_DAYS:
            raise InvalidInput(_("From 1 to %(most)d days can be summed up.") % {"most": MOST_DAYS})
        return cls(first, last)

    @property
    def begins_at(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.since, time(), UTC)

    @property
    def ends_at(self) -> datetime:
        """The first moment that is not in it any more."""
        return datetime.combine(self.until + timedelta(days=1), time(), UTC)

    def each(self) -> list[date]:
        """Every day."""
        return [self.since + timedelta(days=number) for number in range((self.until - self.since).days + 1)]


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent for one `key`: a day, a name; empty for what has none. `count` is of tasks, or of model calls."""

    key: str
    label: str
    count: int
    input_tokens: int
    output_tokens: int
    cost: Decimal

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.input_tokens + self.output_tokens


SUMS: Mapping[str, Any] = {
    "count": Count("pk"), "read": Sum("input_tokens"), "written": Sum("output_tokens"), "money": Sum("cost"),
}  # fmt: skip


def sees_all(user: User) -> bool:
    """Whether everybody's spending is theirs to see."""
    return any(user.has_perm(permission) for permission in SEES_ALL)


def tasks_of(user: User, days: Days, *, mine: bool = False) -> QuerySet[Task]:
    """The tasks that were accepted in these days: one's own, or everybody's for whoever may see them. Found by the
    index of their time, alone or of their owner.
    """
    rows = Task.objects.filter(created_at__gte=days.begins_at, created_at__lt=days.ends_at).order_by()
    return rows if sees_all(user) and not mine else rows.filter(owner=user)


# A user of several roles counts in each; keys that follow each other by rotation are one.
KEYS: Mapping[str, tuple[Any, Any]] = {
    "day": (TruncDate("created_at", tzinfo=UTC), None),
    "user": (F("owner__username"), None),
    "role": (F("owner__groups__name"), None),
    "agent": (F("agent__slug"), Max("agent__name")),
    "key": (F("api_key__lineage"), Max("api_key__name")),
}


def spending_of(tasks: QuerySet[Task], by: str) -> list[Spending]:
    """Sums by one of KEYS: days in their order, all else the dearest first, at most MOST_ROWS."""
    key, label = KEYS[by]
    rows = tasks.annotate(key=key).values("key").annotate(**SUMS, **({"label": label} if label else {}))
    ordered = rows.order_by("key") if by == "day" else rows.order_by(F("money").desc(), F("count").desc(), "key")
    return [spending(row) for row in ordered[:MOST_ROWS]]


def spending(row: Mapping[str, Any]) -> Spending:
    """From a row with SUMS, a `key` and perhaps a `label`."""
    key = "" if row["key"] is None else str(row["key"])
    return Spending(
        key=key, label=str(row.get("label") or key), count=row["count"], input_tokens=row["read"] or 0,
        output_tokens=row["written"] or 0, cost=row["money"] or Decimal(0),
    )  # fmt: skip
