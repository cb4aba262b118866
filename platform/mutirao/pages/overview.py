"""What runs, what failed and why, and what today has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.db.models import Count, F, Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import localtime, now
from django.views.decorators.http import require_safe

from accounts.models import User
from agents.tasks.models import Status, Task
from agents.worker.models import WorkerProcess
from foundation.intervals import counts_between
from mutirao.pages.charts import Bar, bars

HOURS = 24
MOST_ROWS = 6


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours in numbers; `counts` by status."""

    counts: dict[str, int]
    tokens: int
    cost: Decimal
    hours: list[Bar]

    @property
    def total(self) -> int:
        """How many tasks."""
        return sum(self.counts.values())


@login_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The first page. One's own tasks, or everyone's for whoever may view tasks."""
    user = cast("User", request.user)
    tasks = Task.objects.visible_to(user)
    sees_all = user.has_perm("agents_tasks.view_task")
    day = day_of(tasks)
    context: dict[str, Any] = {
        "day": day,
        "chart": bars(day.hours),
        "running": _latest(tasks.filter(status__in=[Status.RUNNING, Status.WAITING, Status.NEEDS_REVIEW])),
        "failures": failures_of(tasks),
        "queued": tasks.filter(status=Status.QUEUED).count(),
        "sees_all": sees_all,
        "workers": WorkerProcess.objects.alive().count() if sees_all else None,
    }
    return render(request, "mutirao/overview.html", context)


def day_of(tasks: QuerySet[Task]) -> Day:
    """What was accepted in the last 24 hours, by status and by hour, and what it spent. Indexes alone answer all but
    the last question.
    """
    this_hour = localtime().replace(minute=0, second=0, microsecond=0)
    edges = [this_hour - timedelta(hours=HOURS - 1 - number) for number in range(HOURS + 1)]
    lately = tasks.filter(created_at__gte=edges[0]).order_by()
    # Every status, said aloud: that leads SQLite to the index of status and time.
    by_status = lately.filter(status__in=Status.values).values_list("status").annotate(count=Count("pk"))
    spent = lately.aggregate(tokens=Sum(F("input_tokens") + F("output_tokens")), cost=Sum("cost"))
    totals, failed = counts_between("created_at", edges, tasks, tasks.filter(status=Status.FAILED))
    return Day(
        counts=dict(by_status),
        tokens=spent["tokens"] or 0,
        cost=spent["cost"] or Decimal(0),
        hours=[Bar(f"{at:%H:%M}", total, bad) for at, total, bad in zip(edges, totals, failed, strict=False)],
    )


def failures_of(tasks: QuerySet[Task]) -> list[dict[str, Any]]:
    """The errors of the last 24 hours, the most frequent first: agent, error, how many, the latest task."""
    failed = tasks.filter(status=Status.FAILED, created_at__gte=now() - timedelta(hours=HOURS)).order_by()
    groups = (
        failed.values("error_type", slug=F("agent__slug"))
        .annotate(count=Count("pk"), last=Max("created_at"))
        .order_by("-count", "-last")[:MOST_ROWS]
    )
    return [{**group, "task": _last_of(failed, group)} for group in groups]


def _last_of(failed: QuerySet[Task], group: Mapping[str, Any]) -> Task | None:
    alike = failed.filter(error_type=group["error_type"], agent__slug=group["slug"])
    return alike.order_by("-created_at", "-id").first()


def _latest(tasks: QuerySet[Task]) -> list[Task]:
    return [*tasks.select_related("agent_version__agent", "owner").order_by("-created_at", "-id")[:MOST_ROWS]]
