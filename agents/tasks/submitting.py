"""Accepting tasks: the checks, the row, and whom it waits for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiKey, User
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.policy import IfBusy, Policy
from agents.tasks import endings, inputs, measuring, metering, queues, storage, telling
from agents.tasks.data import Submitted
from agents.tasks.exceptions import IdempotencyConflict, IllegalTransition, InvalidInput, SerialKeyBusy
from agents.tasks.models import TERMINAL, IfDependencyFails, Priority, Status, Task, TaskDependency, TaskEvent
from telemetry.spans import current_trace_id, new_trace_id

# How much earlier than it was accepted a task counts as having been: ageing without rewriting.
HEAD_STARTS = {
    Priority.LOW: timedelta(minutes=-10),
    Priority.NORMAL: timedelta(0),
    Priority.HIGH: timedelta(minutes=10),
    Priority.CRITICAL: timedelta(hours=1),
}
MOST_DEPENDENCIES = 100
# How deep tasks may be nested: an agent that asks itself would go on for ever.
MOST_ANCESTORS = 8
MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for; see `submit`."""

    agent: Agent
    input: Any
    queue: str = ""
    priority: Priority | str = Priority.NORMAL
    not_before: datetime | None = None
    queue_seconds: int | None = None
    max_attempts: int | None = None
    limits: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    request_body_digest: str = ""
    serial_key: str | None = None
    if_busy: IfBusy | None = None
    depends_on: Sequence[uuid.UUID] = ()
    if_dependency_fails: str = IfDependencyFails.FAIL
    parent: Task | None = None
    webhook_url: str = ""
    retry_of: Task | None = None
    trace_id: str = ""


def submit(*, owner: User, api_key: ApiKey | None = None, request_id: str = "", **asked: Any) -> Submitted:
    """Accepts a task (a Request) in one short transaction; workers are told when it is committed.

    The same idempotency key of the same owner gives the task of the first time; with another request (by its digest,
    computed when none is given) it raises IdempotencyConflict. With `depends_on` it runs when these tasks have
    succeeded. With a `serial_key` it runs when no other task of that key does; `if_busy` says what happens to the other
    (None: what the agent's policy says). Raises InvalidInput, SerialKeyBusy, QueueFull, NoQuotaLeft, IllegalTransition.
    """
    request = Request(**asked)
    task = _task_of(request, owner, api_key, request_id)
    queues.check_room(task.queue)
    if_busy = request.if_busy or policy_of(request.agent).if_busy
    is_simple = not request.depends_on and request.parent is None
    if is_simple and (request.serial_key is None or if_busy == "queue"):
        return _accept(task)
    with transaction.atomic(), metering.together():
        if known := _known(task):
            return known
        if request.serial_key is not None:
            make_way(serial_key=request.serial_key, if_busy=if_busy)
        return _accept_with_ties(task, request)


def submit_many(
    *, owner: User, requests: Sequence[Mapping[str, Any]], api_key: ApiKey | None = None, request_id: str = ""
) -> list[Submitted]:
    """Accepts all of these requests (as for `submit`) or none. Raises what `submit` raises, and InvalidInput for none
    or too many.
    """
    if not 1 <= len(requests) <= MOST_AT_ONCE:
        raise InvalidInput(_("From 1 to %(most)d tasks can be submitted at once.") % {"most": MOST_AT_ONCE})
    with transaction.atomic(), metering.together():
        return [submit(owner=owner, api_key=api_key, request_id=request_id, **request) for request in requests]


def make_way(*, serial_key: str, if_busy: IfBusy) -> None:
    """Does with the unfinished tasks of this key what the policy says, before another one of it is submitted in the
    same transaction. One at a time for each key. Raises SerialKeyBusy.
    """
    if if_busy == "queue":
        return
    _lock_serial_key(serial_key)
    unfinished = Task.objects.filter(serial_key=serial_key).exclude(status__in=TERMINAL)
    if if_busy == "reject":
        if unfinished.exists():
            raise SerialKeyBusy
        return
    rows = unfinished.select_for_update(of=("self",)).select_related("agent_version__agent")
    for task in rows.order_by("created_at", "pk"):
        if if_busy == "rollback":
            task.is_rolled_back = True
            task.save(update_fields=["is_rolled_back"])
        stop(task)


def stop(task: Task) -> None:
    """Ends a task that does not run, and asks a running one to stop. The caller has locked its row."""
    if task.status != Status.RUNNING:
        endings.finish(task, Status.CANCELLED)
    elif task.cancel_requested_at is None:
        task.cancel_requested_at = timezone.now()
        task.save(update_fields=["cancel_requested_at"])


def known_task(*, owner: User, idempotency_key: str | None) -> Task | None:
    """The task that this key was used for, if it was."""
    if idempotency_key is None:
        return None
    found = Task.objects.select_related("agent_version__agent")
    return found.filter(owner=owner, idempotency_key=idempotency_key).first()


def _lock_serial_key(serial_key: str) -> None:
    """Until the end of the transaction. On SQLite a transaction is alone anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [serial_key])


def _task_of(request: Request, owner: User, api_key: ApiKey | None, request_id: str) -> Task:
    version, policy = _current_version(request.agent), policy_of(request.agent)
    priority = inputs.priority_of(request.priority)
    inputs.check_input(request.input)
    inputs.check_storable(dict(request.metadata or {}))
    inputs.check_cache_wishes(request.cache)
    inputs.check_idempotency_key(request.idempotency_key)
    inputs.check_webhook_url(request.webhook_url)
    attempts = request.max_attempts if request.max_attempts is not None else policy.max_attempts
    spend = inputs.limits_of(version.limits, request.limits)
    now = timezone.now()
    due = max(now, request.not_before or now)
    patience = request.queue_seconds or policy.queue_seconds
    return Task(
        created_at=now,
        owner=owner,
        api_key=api_key,
        agent=request.agent,
        agent_version=version,
        input=request.input,
        metadata=dict(request.metadata or {}),
        cache=dict(request.cache),
        idempotency_key=request.idempotency_key,
        request_digest=request.request_body_digest or _digest_of(request, priority),
        retry_of=request.retry_of,
        parent=request.parent,
        webhook_url=request.webhook_url,
        queue=request.queue or request.agent.queue,
        priority=priority,
        runs_before=due - HEAD_STARTS[priority],
        not_before=request.not_before,
        start_by=due + timedelta(seconds=patience) if patience else None,
        if_dependency_fails=request.if_dependency_fails,
        serial_key=request.serial_key,
        max_attempts=inputs.attempts_of(attempts),
        limit_seconds=spend.seconds,
        limit_steps=spend.steps,
        limit_tokens=spend.tokens,
        limit_cost=spend.cost,
        last_event=1,
        told_at=now,
        trace_id=request.trace_id or current_trace_id() or new_trace_id(),
        request_id=request_id,
    )


def _digest_of(request: Request, priority: Priority) -> str:
    # Without wishes as it was before there were any.
    wishes = {"cache": request.cache} if request.cache else {}
    return inputs.digest_of(
        {
            **wishes,
            "agent": request.agent.slug,
            "input": request.input,
            "queue": request.queue,
            "priority": int(priority),
            "not_before": request.not_before,
            "queue_seconds": request.queue_seconds,
            "max_attempts": request.max_attempts,
            "limits": request.limits,
            "metadata": request.metadata,
            "serial_key": request.serial_key,
            "depends_on": sorted(str(each) for each in request.depends_on),
            "parent": request.parent.pk if request.parent else None,
            "webhook_url": request.webhook_url,
        }
    )


def _current_version(agent: Agent) -> AgentVersion:
    version = agent.current_version
    if version is None:
        raise IllegalTransition(_("The agent has no version yet."))
    # Known already, so that no query asks for it when the answer is written.
    version.agent = agent
    return version


def policy_of(agent: Agent) -> Policy:
    """How the tasks of this agent are executed, by its current version."""
    return Policy.of(_current_version(agent).policy)


def _accept(task: Task) -> Submitted:
    shares = metering.shares_of(task)
    if not shares:
        return _insert(task)
    task.is_metered = any(share.reserved for share in shares)
    with transaction.atomic():
        submitted = _insert(task)
        if submitted.created:
            metering.reserve(task, shares)
    return submitted


def _insert(task: Task) -> Submitted:
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
        transaction.on_commit(lambda: measuring.count_submitted(task.agent.slug))
        return Submitted(task=task, created=True)
    known = _known(task)
    assert known is not None  # noqa: S101 (the key is there: that is why nothing was stored)
    return known


def _known(task: Task) -> Submitted | None:
    """The task that this one's idempotency key has made before. Raises IdempotencyConflict."""
    known = known_task(owner=task.owner, idempotency_key=task.idempotency_key)
    if known is None:
        return None
    if known.request_digest != task.request_digest:
        raise IdempotencyConflict
    return Submitted(task=known, created=False)


def _accept_with_ties(task: Task, request: Request) -> Submitted:
    """Accepts a task that waits for others or belongs to one. Their rows are locked, so none ends meanwhile."""
    if request.parent is not None:
        _check_parent(request.parent)
    others = _dependencies(task, request)
    waits_for = [other for other in others if other.status not in TERMINAL]
    task.dependencies_left = len(waits_for)
    submitted = _accept(task)
    if not submitted.created:
        return submitted
    Task.objects.filter(pk__in=[other.pk for other in waits_for]).update(has_dependents=True)
    TaskDependency.objects.bulk_create(TaskDependency(task=task, on=other) for other in waits_for)
    if any(other.status in TERMINAL and other.status != Status.SUCCEEDED for other in others):
        TaskDependency.objects.filter(task=task).delete()
        endings.tell_others(endings.dependency_failed(task))
    return submitted


def _dependencies(task: Task, request: Request) -> list[Task]:
    wanted = set(request.depends_on)
    if len(wanted) > MOST_DEPENDENCIES:
        raise InvalidInput(_("A task may depend on at most %(most)d others.") % {"most": MOST_DEPENDENCIES})
    if request.parent is not None and request.parent.pk in wanted:
        raise InvalidInput(_("A task cannot wait for its own parent."))
    visible = Task.objects.visible_to(task.owner).filter(pk__in=wanted)
    found = [*visible.select_for_update(of=("self",)).only("status").order_by("pk")] if wanted else []
    if missing := wanted - {each.pk for each in found}:
        raise InvalidInput(_("There is no task “%(id)s”.") % {"id": sorted(map(str, missing))[0]})
    return found


def _check_parent(parent: Task) -> None:
    """Raises IllegalTransition for a parent that has ended or is to end, InvalidInput for too deep a nesting."""
    current = Task.objects.select_for_update(of=("self",)).only("status", "cancel_requested_at", "parent_id")
    row = current.get(pk=parent.pk)
    if row.status in TERMINAL or row.cancel_requested_at is not None:
        raise IllegalTransition(_("The parent task has ended, or is about to."))
    above, depth = row.parent_id, 1
    while above is not None:
        depth += 1
        if depth > MOST_ANCESTORS:
            raise InvalidInput(_("Tasks may be nested %(most)d deep.") % {"most": MOST_ANCESTORS})
        above = Task.objects.filter(pk=above).values_list("parent_id", flat=True).first()


def announce(task: Task) -> None:
    """Rings for a task that may run now; one that may not yet is found by the sweeper when its time has come."""
    if task.dependencies_left:
        return
    if task.not_before and task.not_before > timezone.now():
        Task.objects.filter(pk=task.pk).update(told_at=None)
    elif not telling.tell(task.queue):
        Task.objects.filter(pk=task.pk, status=Status.QUEUED).update(told_at=None)
