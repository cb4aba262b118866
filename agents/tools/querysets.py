from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

from agents.definitions.narrowing import narrowed
from agents.tasks.models import TERMINAL
from agents.tools.permissions import DECIDE, VIEW

if TYPE_CHECKING:
    from accounts.models import User
    from agents.tools.models import Approval  # noqa: F401 (in a string)


class ApprovalQuerySet(models.QuerySet["Approval"]):
    def visible_to(self, user: User) -> Self:
        """Those of a person's own tasks; everyone's for whoever may decide or view them. Within what their key is
        narrowed to.
        """
        own = self if user.has_perm(DECIDE) or user.has_perm(VIEW) else self.filter(task__owner=user)
        return narrowed(own, user, "task__agent")

    def pending(self) -> Self:
        """Those that somebody waits for: undecided, of tasks that have not ended."""
        return self.filter(state="pending").exclude(task__status__in=TERMINAL)
