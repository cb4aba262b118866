"""Who may do what with a schedule, beyond seeing it (`Schedule.objects.visible_to`).

A schedule runs with the rights and the budget of its owner. So what it runs is the owner's to say, and whoever may
change the schedules of everybody can give rights to anybody anyway.
"""

from __future__ import annotations

from accounts.models import User
from agents.schedules.models import Schedule

OPERATE = "agents_schedules.operate_schedule"
CHANGE = "agents_schedules.change_schedule"
DELETE = "agents_schedules.delete_schedule"


def may_operate(user: User, schedule: Schedule) -> bool:
    """Pause, resume and run now: its owner, and whoever may operate schedules."""
    return schedule.owner_id == user.pk or user.has_perm(OPERATE)


def may_change(user: User, schedule: Schedule) -> bool:
    """Say what it runs, and when."""
    return schedule.owner_id == user.pk or user.has_perm(CHANGE)


def may_delete(user: User, schedule: Schedule) -> bool:
    """Its owner, and whoever may delete schedules."""
    return schedule.owner_id == user.pk or user.has_perm(DELETE)
