"""Fires what is due. Runs in every worker, at any time, side by side.

Exactly once: a due time's row (unique), its task (under an idempotency key) and the next due time are written in one
transaction that holds the schedule's row. Whoever comes second finds the row locked, or not due any more.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.exceptions import AccountError
from agents.definitions.exceptions import UnknownAgent
from agents.definitions.services import get_usable_agent
from agents.schedules import measuring
from agents.schedules.exceptions import Refused
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.planning import plan
from agents.tasks import storage
from agents.tasks.exceptions import TaskError
from agents.tasks.models import TERMINAL, Priority, Task
from agents.tasks.services import submit

logger = structlog.get_logger(__name__)

Outcome = ScheduledRun.Outcome
AT_ONCE = 100
# So that a tick comes to an end, whatever is due.
MOST_ROUNDS = 50


def tick() -> Counter[str]:
    """Fires every schedule whose time has come; what came of how many due times. One cheap query when none has."""
    outcomes: Counter[str] = Counter()
    broken: set[uuid.UUID] = set()
    for _round in range(MOST_ROUNDS):
        due = [*Schedule.objects.due().exclude(pk__in=broken).values_list("pk", flat=True)[:AT_ONCE]]
        done = [_fire_carefully(pk, outcomes, broken) for pk in due]
        if not any(done):
            break
    return outcomes


def _fire_carefully(pk: uuid.UUID, outcomes: Counter[str], broken: set[uuid.UUID]) -> bool:
    """Whether this call fired it. What is wrong with one schedule is no reason to leave the others."""
    try:
        runs = fire(pk)
    except Exception as error:
        logger.exception("schedule_not_fired", schedule_id=str(pk))
        broken.add(pk)
        Schedule.objects.filter(pk=pk).update(last_error=type(error).__name__)
        return False
    for run in runs:
        outcomes[run.outcome] += run.times
    return bool(runs)


def fire(pk: uuid.UUID) -> list[ScheduledRun]:
    """What came of the schedule's due times; nothing when another worker has it, or it is not due any more."""
    with transaction.atomic():
        rows = Schedule.objects.due().select_for_update(skip_locked=True, of=("self",))
        schedule = rows.select_related("owner", "agent").filter(pk=pk).first()
        if schedule is None or schedule.next_run_at is None:
            return []
        now = storage.read_clock()
        what = plan(schedule.timing, first=schedule.next_run_at, now=now, if_missed=schedule.if_missed)
        runs = [*_skip(schedule, what.skipped, now), *(_run(schedule, due, now) for due in what.run)]
        ScheduledRun.objects.bulk_create(runs)
        schedule.next_run_at = what.next_run_at
        _note(schedule, runs, now)
    measuring.count(schedule, runs)
    return runs


def _skip(schedule: Schedule, due: Sequence[datetime], now: datetime) -> Iterator[ScheduledRun]:
    """One row for all of them: after an outage there may be very many."""
    if due:
        yield ScheduledRun(
            schedule=schedule, created_at=now, due_at=due[0], last_due_at=due[-1], times=len(due),
            outcome=Outcome.SKIPPED_MISSED,
        )  # fmt: skip


def _run(schedule: Schedule, due: datetime, now: datetime) -> ScheduledRun:
    run = ScheduledRun(schedule=schedule, created_at=now, due_at=due, last_due_at=due, outcome=Outcome.FIRED)
    if not may_begin(schedule):
        run.outcome = Outcome.SKIPPED_OVERLAP
        return run
    try:
        run.task = submit_for(schedule, due=due, idempotency_key=_key(schedule, due))
    except Refused as error:
        run.outcome, run.reason = Outcome.REFUSED, str(error)[:500]
        logger.warning("schedule_refused", schedule_id=str(schedule.pk), reason=run.reason)
    return run


def _key(schedule: Schedule, due: datetime) -> str:
    return f"schedule:{schedule.pk}:{due.astimezone(UTC).isoformat()}"


def _note(schedule: Schedule, runs: Sequence[ScheduledRun], now: datetime) -> None:
    """What the schedule's own row says of its latest run."""
    last = runs[-1]
    if last.outcome == Outcome.FIRED:
        schedule.last_run_at, schedule.last_error = now, ""
    elif last.outcome == Outcome.REFUSED:
        schedule.last_error = last.reason
    schedule.save(update_fields=["next_run_at", "last_run_at", "last_error"])


def may_begin(schedule: Schedule) -> bool:
    """Whether the overlap policy lets another run begin. Call it with the schedule's row locked."""
    if schedule.if_overlapping != Schedule.Overlap.SKIP:
        return True
    # By its serial key, which retries carry on; `tasks_serial` and `tasks_queued_of_serial` answer it.
    return not Task.objects.filter(serial_key=schedule.serial_key).exclude(status__in=TERMINAL).exists()


def submit_for(schedule: Schedule, *, due: datetime, idempotency_key: str | None = None) -> Task:
    """Submits the schedule's task for its owner, with what the owner may do now. Raises Refused, with nothing left."""
    owner, slug = schedule.owner, schedule.agent.slug
    if not owner.is_active:
        raise Refused(_("“%(owner)s” is not active any more.") % {"owner": owner})
    try:
        # A savepoint, so that a refusal leaves nothing in the transaction that records it.
        with transaction.atomic():
            return submit(
                owner=owner,
                agent=get_usable_agent(slug=slug, user=owner),
                input=schedule.input,
                queue=schedule.queue,
                priority=Priority(schedule.priority),
                metadata={"schedule": str(schedule.pk), "due_at": due.isoformat(), **schedule.metadata},
                serial_key=schedule.serial_key,
                if_busy="queue",
                idempotency_key=idempotency_key,
            ).task
    except UnknownAgent as error:
        sentence = _("The agent “%(slug)s” is disabled, or “%(owner)s” may not use it any more.")
        raise Refused(sentence % {"slug": slug, "owner": owner}) from error
    except (TaskError, AccountError) as error:
        raise Refused(str(error)) from error
