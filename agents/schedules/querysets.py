from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from agents.definitions.narrowing import narrowed

if TYPE_CHECKING:
    from accounts.models import User
    from agents.schedules.models import Schedule, ScheduledRun  # noqa: F401 (in a string)


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def visible_to(self, user: User) -> Self:
        """A person's own schedules; everyone's for whoever may view schedules. Within what their key is narrowed to."""
        own = self if user.has_perm("agents_schedules.view_schedule") else self.filter(owner=user)
        return narrowed(own, user)

    def due(self) -> Self:
        """Those whose time has come by the database's clock, the one that waits longest first."""
        return self.filter(next_run_at__lte=Now()).order_by("next_run_at", "id")

    def with_last_run(self) -> Self:
        """With `last_outcome` and `last_reason`: what came of its latest due time or run by hand."""
        runs: Any = self.model._meta.get_field("runs").related_model
        latest = runs.objects.filter(schedule=OuterRef("pk")).order_by("-created_at", "-id")
        return self.annotate(
            last_outcome=Subquery(latest.values("outcome")[:1]), last_reason=Subquery(latest.values("reason")[:1])
        )
