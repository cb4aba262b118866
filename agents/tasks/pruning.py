"""Tasks that ended long ago."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from agents.tasks.models import TERMINAL, Task
from foundation.pruning import Rule, register_rule


def old_tasks(moment: datetime) -> QuerySet[Task]:
    """Those that ended before the moment; a task that waits or runs is never old."""
    # Made before it ended: `created_at` has the index that `finished_at` lacks.
    ended = Task.objects.filter(status__in=TERMINAL, finished_at__lt=moment, created_at__lt=moment)
    return ended.order_by("created_at", "id")


def old_results(moment: datetime) -> QuerySet[TaskResult]:
    """Celery's own rows."""
    return TaskResult.objects.filter(date_done__lt=moment).order_by("pk")


def register_rules() -> None:
    """Called when the application starts."""
    register_rule(Rule("tasks", _("tasks that have ended"), old_tasks, "KEEP_TASKS_DAYS"))
    register_rule(Rule("celery-results", _("Celery results"), old_results, "KEEP_CELERY_RESULTS_DAYS"))
