"""Who may do what with a task, beyond seeing it (`Task.objects.visible_to`)."""

from __future__ import annotations

from accounts.models import User
from agents.tasks.models import Task

OPERATE = "agents_tasks.operate_task"


def may_operate(user: User, task: Task) -> bool:
    """Cancel and retry: its owner, and whoever may operate tasks."""
    return task.owner_id == user.pk or user.has_perm(OPERATE)
