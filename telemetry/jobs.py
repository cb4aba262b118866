"""Celery jobs keep the ids of what sent them; the job's own id is not a task's."""

from __future__ import annotations

from typing import Any

import structlog
from django_structlog.celery.signals import bind_extra_task_metadata, modify_context_before_task_publish

from telemetry.context import ids


def _take_along(context: dict[str, Any], **_signal: Any) -> None:
    """Only ids travel: a message may lie at the broker for long, and be read there."""
    known = ids()
    context.clear()
    context.update(known)


def _name_the_job(task: Any, **_signal: Any) -> None:
    """django-structlog calls the id of Celery's message `task_id`, which here is the id of a task."""
    carried = getattr(task.request, "__django_structlog__", None) or {}
    structlog.contextvars.unbind_contextvars("task_id")
    structlog.contextvars.bind_contextvars(job_id=task.request.id)
    if carried.get("task_id"):
        structlog.contextvars.bind_contextvars(task_id=carried["task_id"])


def connect() -> None:
    """Listens to django-structlog."""
    modify_context_before_task_publish.connect(_take_along, dispatch_uid="telemetry.jobs")
    bind_extra_task_metadata.connect(_name_the_job, dispatch_uid="telemetry.jobs")
