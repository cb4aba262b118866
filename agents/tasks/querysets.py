from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.narrowing import narrowed

if TYPE_CHECKING:
    from agents.tasks.models import Task  # noqa: F401 (in a string)

# Longer than a worker's patience with a run whose time is over.
LAST_MOMENTS = timedelta(seconds=10)
# No name of a task is longer.
LONGEST_NAME = 255


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> Self:
        """A person's own tasks; everyone's for whoever may view tasks. Within what their key is narrowed to."""
        own = self if user.has_perm("agents_tasks.view_task") else self.filter(owner=user)
        return narrowed(own, user)

    def parts_of(self, task_id: uuid.UUID) -> list[uuid.UUID]:
        """The tasks that this one has given away, and those that they have; a query for each level."""
        found: list[uuid.UUID] = []
        level = [task_id]
        while level:
            level = [*self.filter(parent__in=level).values_list("pk", flat=True)]
            found += level
        return found

    def of_agent(self, slug: str) -> Self:
        """Tasks of the agent of this slug. Looked up first: with a join the database would not know whether these are
        many or few, and might read all tasks to find the few.
        """
        agent = Agent.objects.filter(slug=slug).values_list("pk", flat=True).first()
        return self.none() if agent is None else self.filter(agent=agent)

    def named(self, text: str) -> Self:
        """Tasks with exactly this id, request id, trace or idempotency key, or of this owner or agent. A part of a
        name would read the whole table; each of these has an index.
        """
        text = text.strip()
        if not text or len(text) > LONGEST_NAME or "\x00" in text:
            return self.none()
        wanted = Q(request_id=text) | Q(trace_id=text) | Q(idempotency_key=text)
        try:
            wanted |= Q(pk=uuid.UUID(text))
        except ValueError:
            # Only what is no id can be the name of a person or an agent; see `of_agent`.
            wanted |= Q(owner__in=_ids(User.objects.filter(username=text)))
            wanted |= Q(agent__in=_ids(Agent.objects.filter(slug=text)))
        return self.filter(wanted)

    def due(self, now: datetime) -> Self:
        """Queued tasks whose time has come."""
        return self.filter(Q(not_before=None) | Q(not_before__lte=now), status="queued", dependencies_left=0)

    def suspects(self, now: datetime, before: datetime) -> Self:
        """Due tasks that run in a process of their own and are not left to anybody since `before`."""
        free = Q(told_at=None) | Q(told_at__lt=before) | Q(told_at__lt=F("not_before"))
        return self.due(now).filter(free, is_suspect=True).order_by("runs_before", "id")

    def too_late(self, now: datetime) -> Self:
        """Queued tasks that should have been started by now."""
        return self.filter(status="queued", start_by__lt=now).order_by("start_by")

    def waited_enough(self, now: datetime) -> Self:
        """Waiting tasks for whom nobody came in time."""
        return self.filter(status="waiting", waits_until__lt=now).order_by("waits_until")

    def orphans(self) -> Self:
        """Unfinished children of tasks that have failed or were cancelled, less those that were asked to stop."""
        unfinished = self.filter(parent__isnull=False).exclude(status__in=("succeeded", "failed", "cancelled"))
        return unfinished.filter(parent__status__in=("failed", "cancelled"), cancel_requested_at=None)

    def unannounced(self, now: datetime, before: datetime) -> Self:
        """Due tasks that no worker has been told of since they may run, or not since `before`; less those that run
        alone, for which workers look themselves.
        """
        never = Q(told_at=None) | Q(told_at__lt=F("not_before"))
        return self.due(now).filter(never | Q(told_at__lt=before), is_suspect=False).order_by("runs_before", "id")

    def abandoned(self, now: datetime) -> Self:
        """Running tasks whose lease is over. Past the run's own deadline no worker can renew it, so there a living
        one gets LAST_MOMENTS to end the attempt itself.
        """
        in_time = Q(run_deadline_at__gt=now) | Q(run_deadline_at__lt=now - LAST_MOMENTS)
        return self.filter(in_time, status="running", lease_expires_at__lt=now).order_by("lease_expires_at")


def _ids(rows: models.QuerySet[User] | models.QuerySet[Agent]) -> list[uuid.UUID]:
    return [*rows.values_list("pk", flat=True)]
