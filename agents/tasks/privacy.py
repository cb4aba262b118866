"""What tasks keep of a person. Erased tasks stay as rows: agent, times, status, tokens and cost, and the owner's id."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_celery_results.models import TaskResult

from accounts.audit import SYSTEM
from accounts.models import User
from accounts.privacy import Holding, batches_of, blank, delete, ids_of, register_holding, rows_of
from agents.tasks import services
from agents.tasks.exceptions import IllegalTransition
from agents.tasks.models import TERMINAL, Attempt, Task, TaskEvent
from telemetry.models import Span

Rows = Iterator[Mapping[str, Any]]

ERASED: dict[str, Any] = {
    "input": "", "metadata": {}, "result": None, "resume_with": None, "error_message": "", "idempotency_key": None,
    "request_digest": "", "request_id": "", "webhook_url": "", "serial_key": None,
}  # fmt: skip


def tasks_of(user: User) -> QuerySet[Task]:
    """The person's tasks."""
    return Task.objects.filter(owner=user)


def task_ids(user: User) -> Iterator[list[uuid.UUID]]:
    """The ids of the person's tasks, a batch at a time."""
    return batches_of(tasks_of(user))


def _stop(user: User) -> int:
    """Cancels what has not ended; how many still run."""
    unfinished = tasks_of(user).exclude(status__in=TERMINAL)
    for task in unfinished.filter(cancel_requested_at=None):
        try:
            services.cancel(task=task, actor=SYSTEM)
        except IllegalTransition:  # it has just ended
            continue
    return unfinished.count()


def _erase(user: User) -> int:
    """A null in a JSON column is SQL's, as for a task without a result."""
    return blank(tasks_of(user), **ERASED)


def _attempts(user: User) -> QuerySet[Attempt]:
    return Attempt.objects.filter(task__owner=user)


def _erase_attempts(user: User) -> int:
    return blank(_attempts(user), error_message="", traceback="")


def _erase_events(user: User) -> int:
    """The log keeps its numbers, kinds and times; of states, which they were."""
    return sum(_erase_events_of(ids) for ids in task_ids(user))


@transaction.atomic
def _erase_events_of(ids: list[uuid.UUID]) -> int:
    events = TaskEvent.objects.filter(task__in=ids)
    states = [*events.filter(kind=TaskEvent.Kind.STATUS).only("pk", "data")]
    for event in states:
        event.data = {"status": event.data["status"]} if "status" in event.data else {}
    count = events.exclude(kind=TaskEvent.Kind.STATUS).update(data={})
    return count + TaskEvent.objects.bulk_update(states, ["data"], batch_size=100)


def _celery_results(user: User) -> Iterator[QuerySet[TaskResult]]:
    for ids in task_ids(user):
        attempts = Attempt.objects.filter(task__in=ids).exclude(celery_id="")
        yield TaskResult.objects.filter(task_id__in=[*attempts.values_list("celery_id", flat=True)])


def _spans(user: User) -> Iterator[QuerySet[Span]]:
    """Of their tasks, and of the requests that these came with."""
    for ids in task_ids(user):
        traces = Task.objects.filter(pk__in=ids).exclude(trace_id="").values_list("trace_id", flat=True)
        yield Span.objects.filter(trace_id__in=[*traces])
        yield Span.objects.filter(task_id__in=ids)


def _rows(parts: Iterator[QuerySet[Any]]) -> Rows:
    for part in parts:
        yield from rows_of(part)


def register_holdings() -> None:
    """Called when the application starts. What hangs on tasks goes before what finds it does."""
    for holding in (
        Holding(
            "tasks", _("tasks"), lambda user: rows_of(tasks_of(user)), _erase, order=500, stop=_stop,
            things=lambda user: ids_of(tasks_of(user)),
        ),
        Holding("attempts", _("attempts"), lambda user: rows_of(_attempts(user)), _erase_attempts, order=450),
        Holding(
            "task-events", _("events of tasks"), lambda user: rows_of(TaskEvent.objects.filter(task__owner=user)),
            _erase_events, order=450,
        ),
        Holding(
            "celery-results", _("Celery results"), lambda user: _rows(_celery_results(user)),
            lambda user: sum(map(delete, _celery_results(user))), order=440,
        ),
        Holding(
            "spans", _("spans"), lambda user: _rows(_spans(user)), lambda user: sum(map(delete, _spans(user))),
            order=440,
        ),
    ):  # fmt: skip
        register_holding(holding)
