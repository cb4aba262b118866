from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from accounts.models import User
    from agents.tasks.models import Task


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> Self:
        """A person's own tasks; everyone's for whoever may view tasks."""
        if user.has_perm("agents_tasks.view_task"):
            return self
        return self.filter(owner=user)
