"""Heals what was left behind. Runs in every worker, at any time, side by side: every change is guarded."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from agents.tasks import attempts, endings, measuring, metering, slots, storage, telling
from agents.tasks.data import Claim, Failure, Limits, Swept, Usage
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Attempt, Status, Task, WaitingFor
from agents.tasks.submitting import stop

AT_ONCE = 100
# A bell for queued work is rung again after so long; who was told and is only busy need not hear it all the time.
TELL_AGAIN_SECONDS = 10
# More bells than this wake threads that find nothing: whoever is awake goes on until nothing is claimable.
MOST_BELLS = 16


def sweep() -> Swept:
    """One round: attempts without a living worker end, and queued work that nobody heard of is announced."""
    # The clock that the leases were written by: a worker whose own is ahead would end what is alive.
    now = storage.read_clock()
    outcomes = Counter(_heal(task, now) for task in Task.objects.abandoned(now)[:AT_ONCE])
    late = _each(Task.objects.too_late(now), _end_late)
    expired = _each(Task.objects.waited_enough(now), _expire)
    orphans = _each(Task.objects.orphans(), stop)
    freed = slots.free_what_nobody_holds() if slots.exist() else 0
    released = metering.release_abandoned()
    told = _tell_again(now)
    return Swept(
        crashed=outcomes["crashed"],
        overdue=outcomes["overdue"],
        cancelled=outcomes["cancelled"] + orphans,
        late=late,
        expired=expired,
        slots_freed=freed,
        reservations_freed=released,
        told=sum(told.values()),
        queues_told=tuple(sorted(told)),
    )


def _heal(task: Task, now: datetime) -> str:
    """Ends the attempt that nobody runs any more."""
    claim = _claim_of(task)
    usage = metering.on_record(claim.task_id, claim.fence)
    try:
        if task.cancel_requested_at is not None:
            attempts.finish_cancelled(claim=claim, usage=usage)
            return "cancelled"
        if claim.run_deadline_at <= now:
            attempts.time_out(claim=claim, usage=usage)
            return "overdue"
        attempts.crash(claim=claim, crashes=task.crashes, usage=usage)
    except LeaseLost:
        return "alive"
    _tell(claim)
    return "crashed"


Change = Callable[[Task], None]

# What becomes of a task for whom nobody came in time; by what it has waited for. Rooms above may say more.
_expiries: dict[WaitingFor, Change] = {}


def on_expiry(waiting_for: WaitingFor, change: Change) -> None:
    """`change` decides about tasks that have waited for this in vain, their rows locked, instead of failing them."""
    _expiries[waiting_for] = change


def _each(found: QuerySet[Task], change: Change) -> int:
    """Changes each of these tasks in a transaction of its own, unless somebody else has meanwhile."""
    return sum(_change_one(found, pk, change) for pk in [*found.values_list("pk", flat=True)[:AT_ONCE]])


def _change_one(found: QuerySet[Task], pk: uuid.UUID, change: Change) -> bool:
    rows = found.select_for_update(of=("self",), skip_locked=True).select_related("agent_version__agent")
    with transaction.atomic():
        task = rows.filter(pk=pk).first()
        if task is not None:
            change(task)
    return task is not None


def _end_late(task: Task) -> None:
    failure = Failure("QueueTimeLimitReached", _("No worker has started the task in the time that it could wait."))
    endings.finish(task, Status.FAILED, failure=failure)


def _expire(task: Task) -> None:
    """Nobody came in time."""
    if change := _expiries.get(WaitingFor(task.waiting_for)):
        change(task)
    else:
        failure = Failure("WaitExpired", _("What the task was waiting for did not come in time."))
        endings.finish(task, Status.FAILED, failure=failure)


def _tell(claim: Claim) -> None:
    """What the worker would have told, had it lived."""
    begun = Attempt.objects.filter(task=claim.task_id, fence=claim.fence).values_list("started_at", flat=True).first()
    if begun is not None:
        measuring.tell_of_lost_attempt(claim, begun)


def _tell_again(now: datetime) -> Counter[str]:
    """Rings for due tasks that were never announced, or so long ago that the bell must be lost."""
    before = now - timedelta(seconds=TELL_AGAIN_SECONDS)
    with transaction.atomic():
        # Skipping what another sweeper has locked: it is ringing for those.
        silent = Task.objects.unannounced(now, before).select_for_update(skip_locked=True)
        found = [*silent.values_list("pk", "queue")[:AT_ONCE]] if _exists(now, before) else []
        Task.objects.filter(pk__in=[pk for pk, _queue in found]).update(told_at=now)
    queues = Counter(queue for _pk, queue in found)
    rung: Counter[str] = Counter()
    for queue, count in queues.items():
        rung[queue] = sum(telling.tell(queue) for _bell in range(min(count, MOST_BELLS)))
    return +rung


def _exists(now: datetime, before: datetime) -> bool:
    return Task.objects.unannounced(now, before).exists()


def _claim_of(task: Task) -> Claim:
    """The claim of the attempt that was left behind."""
    assert task.run_deadline_at is not None  # noqa: S101 (a running task has one)
    attempt = Attempt.objects.filter(task=task, fence=task.fence).values_list("pk", flat=True).first()
    return Claim(
        task_id=task.pk,
        fence=task.fence,
        attempt_id=attempt or 0,
        agent_version_id=task.agent_version_id,
        owner_id=task.owner_id,
        queue=task.queue,
        input=task.input,
        serial_key=task.serial_key,
        limits=Limits(task.limit_seconds, task.limit_steps, task.limit_tokens, task.limit_cost),
        run_deadline_at=task.run_deadline_at,
        failures=task.failures,
        max_attempts=task.max_attempts,
        trace_id=task.trace_id,
        request_id=task.request_id,
        spent=Usage(task.input_tokens, task.output_tokens, task.cost),
        webhook_url=task.webhook_url,
        resume_with=task.resume_with,
        holds_slots=task.slots.exists(),
        is_metered=task.is_metered,
        is_alone=task.is_suspect,
    )
