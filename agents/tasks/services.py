"""Accepting tasks, and what people do with them: cancel, retry. Workers' verbs are in `attempts`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import ApiKey, User
from agents.definitions.models import Agent, AgentVersion
from agents.tasks import bus, hooks, inputs, measuring, storage, telling
from agents.tasks.attempts import (
    Renewed,
    append_events,
    claim,
    crash,
    fail,
    finish_cancelled,
    hand_back,
    renew,
    succeed,
    time_out,
)
from agents.tasks.data import Submitted
from agents.tasks.exceptions import IdempotencyConflict, IllegalTransition
from agents.tasks.models import TERMINAL, Priority, Status, Task, TaskEvent
from agents.tasks.sweeping import sweep
from telemetry.spans import current_trace_id, new_trace_id

__all__ = [
    "Renewed", "append_events", "cancel", "claim", "crash", "fail", "finish_cancelled", "hand_back", "renew", "retry",
    "submit", "succeed", "sweep", "time_out",
]  # fmt: skip

# How much earlier than it was accepted a task counts as having been: ageing without rewriting.
HEAD_STARTS = {
    Priority.LOW: timedelta(minutes=-10),
    Priority.NORMAL: timedelta(0),
    Priority.HIGH: timedelta(minutes=10),
    Priority.CRITICAL: timedelta(hours=1),
}


def submit(
    *,
    owner: User,
    agent: Agent,
    input: Any,  # noqa: A002 (the word of the API)
    queue: str = "",
    priority: Priority | str = Priority.NORMAL,
    not_before: datetime | None = None,
    max_attempts: int | None = None,
    limits: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    request_body_digest: str = "",
    api_key: ApiKey | None = None,
    serial_key: str | None = None,
    retry_of: Task | None = None,
    request_id: str = "",
    trace_id: str = "",
) -> Submitted:
    """Accepts a task in one short transaction; workers are told when it is committed.

    The same idempotency key of the same owner gives the task of the first time; with another request (by its digest,
    computed when none is given) it raises IdempotencyConflict. Raises InvalidInput.
    """
    version = _current_version(agent)
    asked = inputs.priority_of(priority)
    inputs.check_input(input)
    inputs.check_storable(dict(metadata or {}))
    inputs.check_idempotency_key(idempotency_key)
    spend = inputs.limits_of(version.limits, limits)
    now = timezone.now()
    task = Task(
        created_at=now,
        owner=owner,
        api_key=api_key,
        agent_version=version,
        input=input,
        metadata=dict(metadata or {}),
        idempotency_key=idempotency_key,
        request_digest=request_body_digest
        or inputs.digest_of(
            {
                "agent": agent.slug,
                "input": input,
                "priority": int(asked),
                "not_before": not_before,
                "max_attempts": max_attempts,
                "limits": limits,
                "metadata": metadata,
                "serial_key": serial_key,
            }
        ),
        retry_of=retry_of,
        queue=queue or agent.queue,
        priority=asked,
        runs_before=max(now, not_before or now) - HEAD_STARTS[asked],
        not_before=not_before,
        serial_key=serial_key,
        max_attempts=inputs.attempts_of(max_attempts),
        limit_seconds=spend.seconds,
        limit_steps=spend.steps,
        limit_tokens=spend.tokens,
        limit_cost=spend.cost,
        last_event=1,
        told_at=now,
        trace_id=trace_id or current_trace_id() or new_trace_id(),
        request_id=request_id,
    )
    return _accept(task)


def _current_version(agent: Agent) -> AgentVersion:
    version = agent.current_version
    if version is None:
        raise IllegalTransition(_("The agent has no version yet."))
    # Known already, so that no query asks for it when the answer is written.
    version.agent = agent
    return version


def _accept(task: Task) -> Submitted:
    first = TaskEvent(
        task=task,
        number=1,
        kind=TaskEvent.Kind.STATUS,
        data={"status": Status.QUEUED.value},
        created_at=task.created_at,
    )
    if storage.insert_task(task, first):
        task._state.adding = False
        transaction.on_commit(lambda: announce(task))
        transaction.on_commit(lambda: measuring.count_submitted(task.agent_version.agent.slug))
        return Submitted(task=task, created=True)
    known = (
        Task.objects.select_related("agent_version__agent")
        .filter(owner=task.owner, idempotency_key=task.idempotency_key)
        .get()
    )
    if known.request_digest != task.request_digest:
        raise IdempotencyConflict
    return Submitted(task=known, created=False)


def announce(task: Task) -> None:
    """Rings for a task that may run now; one that may not yet is found by the sweeper when its time has come."""
    if task.not_before and task.not_before > timezone.now():
        Task.objects.filter(pk=task.pk).update(told_at=None)
    elif not telling.tell(task.queue):
        Task.objects.filter(pk=task.pk, status=Status.QUEUED).update(told_at=None)


def cancel(*, task: Task, actor: audit.Actor) -> Task:
    """Ends a task that does not run, and asks a running one to stop at its next step. Gives the row as it is then.

    Raises IllegalTransition when it has already ended.
    """
    with transaction.atomic():
        # Its own row alone: the agent's would hold up everybody who submits to it.
        rows = Task.objects.select_for_update(of=("self",)).select_related("agent_version__agent")
        current = rows.get(pk=task.pk)
        if current.status in TERMINAL:
            raise IllegalTransition(_("The task has already ended."))
        audit.record(verb="task.cancel", actor=actor, subject=current)
        if current.status == Status.RUNNING:
            _ask_to_stop(current)
        else:
            _end_waiting(current)
    return current


def _ask_to_stop(task: Task) -> None:
    if task.cancel_requested_at is None:
        task.cancel_requested_at = timezone.now()
        task.save(update_fields=["cancel_requested_at"])


def _end_waiting(task: Task) -> None:
    """Nobody runs it, so nobody has to be asked. The row is locked."""
    now = timezone.now()
    task.status, task.finished_at, task.cancel_requested_at = Status.CANCELLED, now, now
    task.last_event += 1
    task.save(update_fields=["status", "finished_at", "cancel_requested_at", "last_event"])
    data = {"status": Status.CANCELLED.value}
    TaskEvent.objects.create(
        task=task, number=task.last_event, fence=task.fence, kind=TaskEvent.Kind.STATUS, data=data, created_at=now
    )
    if hooks.are_wanted(task.serial_key):
        hooks.run(hooks.Finished(task.pk, task.status, None, task.serial_key, task.agent_version_id))
    entry = bus.Entry(task.last_event, TaskEvent.Kind.STATUS, task.fence, now, data)
    transaction.on_commit(lambda: bus.publish(task.pk, [entry]))
    transaction.on_commit(lambda: measuring.count_finished(task.agent_version_id, task.status))


def retry(*, task: Task, actor: audit.Actor) -> Task:
    """Submits what failed or was cancelled again, as a new task of the same owner, with the agent's current version.

    The old task stays as it is and the new one points at it. Raises IllegalTransition.
    """
    if task.status not in (Status.FAILED, Status.CANCELLED):
        raise IllegalTransition(_("Only a task that failed or was cancelled can be retried."))
    agent = task.agent_version.agent
    with transaction.atomic():
        again = submit(
            owner=task.owner,
            agent=agent,
            input=task.input,
            priority=Priority(task.priority),
            max_attempts=task.max_attempts,
            limits=_limits_of(task),
            metadata=task.metadata,
            serial_key=task.serial_key,
            retry_of=task,
            request_id=actor.request_id,
        ).task
        audit.record(verb="task.retry", actor=actor, subject=task, changes={"new_task": str(again.pk)})
    return again


def _limits_of(task: Task) -> dict[str, Any]:
    given = {
        "seconds": task.limit_seconds, "steps": task.limit_steps, "tokens": task.limit_tokens, "cost": task.limit_cost,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def task_of(task_id: uuid.UUID) -> Task:
    """The row with what pages and answers show of it. Raises Task.DoesNotExist."""
    return Task.objects.select_related("agent_version__agent", "owner", "api_key").get(pk=task_id)
