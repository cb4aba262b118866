"""What came of due times long ago. Nothing is fired again for it: the next due time only ever moves forward."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from agents.schedules.models import ScheduledRun
from foundation.pruning import Rule, register_rule


def old_runs(moment: datetime) -> QuerySet[ScheduledRun]:
    """Those of before the moment; their tasks have a rule of their own."""
    return ScheduledRun.objects.filter(created_at__lt=moment).order_by("created_at", "id")


def register_rules() -> None:
    """Called when the application starts. They are kept as long as the tasks they speak of."""
    register_rule(Rule("scheduled-runs", _("runs of schedules"), old_runs, "KEEP_TASKS_DAYS"))
