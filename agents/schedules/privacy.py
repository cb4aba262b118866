"""What schedules keep of a person."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.privacy import Holding, delete, ids_of, register_holding, rows_of
from agents.schedules import services
from agents.schedules.models import Schedule, ScheduledRun


def _stop(user: User) -> int:
    """Nothing becomes due any more; what was submitted is for the tasks to stop."""
    for schedule in Schedule.objects.filter(owner=user, paused_at=None):
        services.pause_schedule(schedule=schedule, actor=SYSTEM)
    return 0


def register_holdings() -> None:
    """Called when the application starts."""
    register_holding(
        Holding(
            "schedules", _("schedules"), lambda user: rows_of(Schedule.objects.filter(owner=user)),
            lambda user: delete(Schedule.objects.filter(owner=user)), order=200, stop=_stop,
            things=lambda user: ids_of(Schedule.objects.filter(owner=user)),
        )
    )  # fmt: skip
    register_holding(
        Holding(
            "scheduled-runs", _("runs of schedules"),
            lambda user: rows_of(ScheduledRun.objects.filter(schedule__owner=user)),
            lambda user: delete(ScheduledRun.objects.filter(schedule__owner=user)), order=190,
        )
    )  # fmt: skip
