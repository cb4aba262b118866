"""Tasks that no worker has: how they end and how they go on. And what every end means for others.

Others are those who depend on the task, its parent when that waits for it, and the rooms above (`hooks`). They hear of
it in the same transaction. Rows are locked from a task towards those that wait for it, never the other way; those of
quotas last.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from agents.tasks import bus, hooks, measuring, metering, telling
from agents.tasks.data import Failure
from agents.tasks.hooks import Finished, Ties
from agents.tasks.models import TERMINAL, IfDependencyFails, Slot, Status, Task, TaskDependency, TaskEvent, WaitingFor

LONGEST_MESSAGE = 4_000


def ties_of(task: Task) -> Ties:
    """What of this task may matter to others."""
    return Ties(task.serial_key, task.webhook_url, task.owner_id, task.is_metered)


def finish(task: Task, status: Status, *, failure: Failure | None = None, result: Any = None) -> None:
    """Ends a task that nobody runs. The caller is in a transaction that has locked its row."""
    tell_others(_write_end(task, status, failure, result))


def queue_again(task: Task, *, resume_with: Any, reason: str) -> None:
    """Lets a task that waits, or was looked at by a person, go on. The caller has locked its row."""
    task.status, task.waiting_for, task.waits_until = Status.QUEUED, "", None
    task.resume_with, task.not_before, task.told_at = resume_with, None, None
    task.error_type, task.error_message, task.dependencies_left = "", "", 0
    fields = ["waiting_for", "waits_until", "resume_with", "not_before", "told_at"]
    _write(task, {"status": Status.QUEUED.value, "reason": reason}, timezone.now(), [
        *fields, "error_type", "error_message", "dependencies_left",
    ])  # fmt: skip
    transaction.on_commit(lambda: telling.tell(task.queue))


def tell_others(finished: Finished) -> None:
    """Everything that the end of a task brings about, and the ends that follow from it. In the transaction that ends
    the task.
    """
    endings, metered = deque([finished]), list[uuid.UUID]()
    while endings:
        ending = endings.popleft()
        hooks.run(ending)
        if ending.ties.is_metered:
            metered.append(ending.task_id)
        endings.extend(_release_dependents(ending.task_id, succeeded=ending.status == Status.SUCCEEDED))
    if metered:
        metering.settle(metered)


def free_slots(task_id: uuid.UUID, queue: str) -> None:
    """Gives back the places that the task had under concurrency limits, and wakes somebody for the next."""
    if Slot.objects.filter(task=task_id).update(task=None):
        transaction.on_commit(lambda: telling.tell(queue))


def dependency_failed(task: Task) -> Finished:
    """Ends a queued task one of whose dependencies has not succeeded, as it wishes. The caller has locked its row."""
    if task.if_dependency_fails == IfDependencyFails.SKIP:
        return _write_end(task, Status.CANCELLED, None, None)
    failure = Failure("DependencyFailed", _("A task that this one depends on did not succeed."))
    return _write_end(task, Status.FAILED, failure, None)


def _release_dependents(task_id: uuid.UUID, *, succeeded: bool) -> Iterable[Finished]:
    waiting = TaskDependency.objects.filter(on=task_id)
    ids = [*waiting.values_list("task", flat=True)]
    if not ids:
        return
    waiting.delete()
    rows = Task.objects.select_for_update(of=("self",)).select_related("agent_version__agent").order_by("pk")
    for task in rows.filter(pk__in=ids).exclude(status__in=TERMINAL):
        is_parent = task.status == Status.WAITING
        if not succeeded and not is_parent:
            TaskDependency.objects.filter(task=task).delete()
            yield dependency_failed(task)
        elif task.dependencies_left > 1:
            task.dependencies_left -= 1
            task.save(update_fields=["dependencies_left"])
        elif is_parent:
            if task.waiting_for == WaitingFor.CHILDREN:
                queue_again(task, resume_with=True, reason="children_ended")
        else:
            task.dependencies_left, task.told_at = 0, None
            task.save(update_fields=["dependencies_left", "told_at"])
            _ring(task)


def _ring(task: Task) -> None:
    transaction.on_commit(lambda: telling.tell(task.queue))


def _write_end(task: Task, status: Status, failure: Failure | None, result: Any) -> Finished:
    now = timezone.now()
    task.status, task.finished_at, task.waiting_for, task.waits_until = status, now, "", None
    said: dict[str, Any] = {"status": status.value}
    fields = ["finished_at", "waiting_for", "waits_until"]
    if status == Status.CANCELLED and task.cancel_requested_at is None:
        task.cancel_requested_at = now
        fields.append("cancel_requested_at")
    if failure is not None:
        task.error_type, task.error_message = failure.error_type[:100], failure.message[:LONGEST_MESSAGE]
        fields += ["error_type", "error_message"]
        said["error"] = {"type": task.error_type, "message": task.error_message}
    if status == Status.SUCCEEDED:
        task.result, task.error_type, task.error_message = result, "", ""
        fields += ["result", "error_type", "error_message"]
        said["result"] = result
    if task.input_tokens or task.output_tokens or task.cost:
        spent = {"input_tokens": task.input_tokens, "output_tokens": task.output_tokens}
        said["usage"] = {**spent, "cost": f"{task.cost:.6f}"}
    _write(task, said, now, fields)
    transaction.on_commit(lambda: measuring.count_finished(task.agent_version_id, status.value))
    return Finished(task.pk, status.value, result, task.agent_version_id, ties_of(task))


def _write(task: Task, said: dict[str, Any], now: datetime, fields: list[str]) -> None:
    task.last_event += 1
    task.save(update_fields=["status", "last_event", *fields])
    TaskEvent.objects.create(
        task=task, number=task.last_event, fence=task.fence, kind=TaskEvent.Kind.STATUS, data=said, created_at=now
    )
    entry = bus.Entry(task.last_event, TaskEvent.Kind.STATUS, task.fence, now, said)
    transaction.on_commit(lambda: bus.publish(task.pk, [entry]))
