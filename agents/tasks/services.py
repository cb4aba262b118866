"""What people do with tasks: submit, cancel, retry, let go on. Workers' verbs are in `attempts`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import ApiKey
from agents.definitions.cache_policy import asked_anew
from agents.tasks import endings, storage
from agents.tasks.attempts import (
    Renewed,
    append_events,
    claim,
    crash,
    fail,
    finish_cancelled,
    hand_back,
    renew,
    review,
    succeed,
    time_out,
    wait,
)
from agents.tasks.data import Failure
from agents.tasks.endings import queue_again
from agents.tasks.exceptions import IllegalTransition
from agents.tasks.models import TERMINAL, Priority, Status, Task, WaitingFor
from agents.tasks.queues import open_queues
from agents.tasks.submitting import HEAD_STARTS, announce, known_task, make_way, policy_of, stop, submit, submit_many
from agents.tasks.sweeping import TELL_AGAIN_SECONDS, sweep

__all__ = [
    "HEAD_STARTS", "Renewed", "announce", "append_events", "cancel", "claim", "crash", "fail", "finish_cancelled",
    "finish_review", "hand_back", "known_task", "make_way", "policy_of", "queue_again", "renew", "reserve_suspects",
    "resume", "retry", "review", "submit", "submit_many", "succeed", "sweep", "task_of", "time_out", "wait",
]  # fmt: skip

# One process runs them one after the other; more are left to other workers.
MOST_SUSPECTS = 4

AS_BEFORE: Any = object()
"""Stands for the input that the task had."""


def cancel(*, task: Task, actor: audit.Actor) -> Task:
    """Ends a task that does not run, and asks a running one to stop at its next step. Gives the row as it is then.

    Its children are cancelled by the sweeper's next round. Raises IllegalTransition when it has already ended.
    """
    with transaction.atomic():
        current = _locked(task)
        if current.status in TERMINAL:
            raise IllegalTransition(_("The task has already ended."))
        audit.record(verb="task.cancel", actor=actor, subject=current)
        stop(current)
    return current


def retry(
    *,
    task: Task,
    actor: audit.Actor,
    input: Any = AS_BEFORE,  # noqa: A002 (the word of the API)
    api_key: ApiKey | None = None,
) -> Task:
    """Submits what failed or was cancelled again, as a new task of the same owner, with the agent's current version and
    the same input, or another one.

    The old task stays as it is and the new one points at it. It is submitted by the caller's key, and without one by
    that of the old task, whose limits would not count otherwise. Raises IllegalTransition, InvalidInput, NoQuotaLeft.
    """
    if task.status not in (Status.FAILED, Status.CANCELLED):
        raise IllegalTransition(_("Only a task that failed or was cancelled can be retried."))
    with transaction.atomic():
        again = submit(
            owner=task.owner,
            agent=task.agent_version.agent,
            input=task.input if input is AS_BEFORE else input,
            priority=Priority(task.priority),
            max_attempts=task.max_attempts,
            limits=_limits_of(task),
            metadata=task.metadata,
            serial_key=task.serial_key,
            if_busy="queue",
            webhook_url=task.webhook_url,
            # The model's answer may be why it failed.
            cache=asked_anew(task.cache),
            retry_of=task,
            api_key=api_key or task.api_key,
            request_id=actor.request_id,
        ).task
        changes = {"new_task": str(again.pk), "new_input": input is not AS_BEFORE}
        audit.record(verb="task.retry", actor=actor, subject=task, changes=changes)
    return again


def resume(*, task: Task, value: Any, actor: audit.Actor) -> Task:
    """Lets a task that waits for a person go on; its agent is given `value` (JSON). Gives the row as it is then.

    Raises IllegalTransition for a task that does not wait, or waits for something else, such as an approval.
    """
    with transaction.atomic():
        current = _locked(task)
        if current.status != Status.WAITING or current.waiting_for != WaitingFor.INPUT:
            raise IllegalTransition(_("The task does not wait for an answer."))
        audit.record(verb="task.resume", actor=actor, subject=current)
        queue_again(current, resume_with=value, reason="resumed")
    return current


def finish_review(*, task: Task, actor: audit.Actor, decision: str, result: Any = None, reason: str = "") -> Task:
    """What a person decides about a task that needs review: `continue` from its last step, `succeed` with this result
    (JSON), or `fail` for this reason. Gives the row as it is then. Raises IllegalTransition.
    """
    with transaction.atomic():
        current = _locked(task)
        if current.status != Status.NEEDS_REVIEW:
            raise IllegalTransition(_("The task does not need a review."))
        audit.record(verb="task.review", actor=actor, subject=current, changes={"decision": decision})
        if decision == "continue":
            queue_again(current, resume_with=None, reason="reviewed")
        elif decision == "succeed":
            endings.finish(current, Status.SUCCEEDED, result=result)
        elif decision == "fail":
            said = reason or current.error_message or _("A person decided so.")
            endings.finish(current, Status.FAILED, failure=Failure("Reviewed", said))
        else:
            raise IllegalTransition(_("A review ends with continue, succeed or fail."))
    return current


def reserve_suspects(queues: Sequence[str]) -> int:
    """How many tasks of these queues have to run in a process of their own now, and are left to the caller: nobody else
    is told of them for a while.
    """
    now = storage.read_clock()
    before = now - timedelta(seconds=TELL_AGAIN_SECONDS)
    found = Task.objects.suspects(now, before).filter(queue__in=open_queues(queues))
    if not found.exists():
        return 0
    with transaction.atomic():
        reserved = [*found.select_for_update(skip_locked=True).values_list("pk", flat=True)[:MOST_SUSPECTS]]
        return Task.objects.filter(pk__in=reserved).update(told_at=now)


def _locked(task: Task) -> Task:
    # Its own row alone: the agent's would hold up everybody who submits to it.
    rows = Task.objects.select_for_update(of=("self",)).select_related("agent_version__agent")
    return rows.get(pk=task.pk)


def _limits_of(task: Task) -> dict[str, Any]:
    given = {
        "seconds": task.limit_seconds, "steps": task.limit_steps, "tokens": task.limit_tokens, "cost": task.limit_cost,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def task_of(task_id: uuid.UUID) -> Task:
    """The row with what pages and answers show of it. Raises Task.DoesNotExist."""
    return Task.objects.select_related("agent_version__agent", "owner", "api_key").get(pk=task_id)
