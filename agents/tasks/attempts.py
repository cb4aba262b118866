"""What a worker does with a task: claim it, keep it, log it, and end the attempt. Every write carries the fence."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from agents.definitions.policy import Policy
from agents.definitions.services import agent_version_data
from agents.tasks import bus, endings, hooks, measuring, slots, storage
from agents.tasks.data import NOTHING, Claim, Failure, Limits, NewEvent, Usage
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import TERMINAL, Attempt, Status, Task, TaskDependency, TaskEvent, WaitingFor
from agents.tasks.queues import open_queues
from agents.tasks.storage import End, Now, Plus, Wanted

# Two tasks of one serial key can be seen as free by two workers at once; the unique index lets one of them have it.
CLAIM_TRIES = 3
# Another side may ask for more patience than that, but not for ever.
LONGEST_RETRY_AFTER_SECONDS = 3600.0
LONGEST_TRACEBACK = 20_000
LONGEST_MESSAGE = 4_000
DEFAULT_POLICY = Policy()
# Columns of an unfinished task that one which ends does not have.
OF_THE_UNFINISHED = ("not_before", "told_at", "waiting_for", "waits_until", "is_suspect")


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a heartbeat learns: tasks that are no longer this worker's, and tasks that somebody wants cancelled."""

    lost: frozenset[uuid.UUID]
    cancelled: frozenset[uuid.UUID]


def claim(*, queues: Sequence[str], worker: str, celery_id: str = "", suspects: bool = False) -> Claim | None:
    """Takes the best claimable task of these queues for this worker; None when there is nothing to do.

    A task that may have killed its process is taken by whoever asks for `suspects`, and by nobody else.
    """
    wanted = Wanted(open_queues(queues), suspects)
    if not wanted.queues:
        return None
    for _try in range(CLAIM_TRIES):
        try:
            found = slots.claim(wanted=wanted, worker=worker, celery_id=celery_id)
        except IntegrityError:
            continue
        if found is None:
            return None
        taken = replace(_claim_of(found), is_alone=suspects)
        event = NewEvent(TaskEvent.Kind.STATUS, {"status": Status.RUNNING.value}, storage.read_time(found["now"]))
        _publish(taken.task_id, taken.fence, found["last_event"], [event])
        measuring.count_started(taken)
        return taken
    return None


def renew(claims: Sequence[Claim]) -> Renewed:
    """Extends the leases of these runs by LEASE_SECONDS, in one statement, never past their deadlines."""
    if not claims:
        return Renewed(frozenset(), frozenset())
    held = storage.renew([(each.task_id, each.fence) for each in claims], lease_seconds=settings.LEASE_SECONDS)
    return Renewed(
        lost=frozenset({each.task_id for each in claims} - {task_id for task_id, _ in held}),
        cancelled=frozenset(task_id for task_id, shall_stop in held if shall_stop),
    )


def append_events(claim: Claim, events: Sequence[NewEvent]) -> int:
    """Adds to the task's log; gives the last number. Raises LeaseLost, having written nothing."""
    last = storage.append_events(claim.task_id, claim.fence, _rows(events))
    if last is None:
        raise LeaseLost
    _publish(claim.task_id, claim.fence, last, events)
    return last


def succeed(*, claim: Claim, result: Any, usage: Usage = NOTHING, events: Sequence[NewEvent] = ()) -> None:
    """Ends the task with its result (JSON). Raises LeaseLost, having written nothing."""
    end = End(
        task={"status": Status.SUCCEEDED.value, "finished_at": Now(), "result": result, **_spent(usage)},
        attempt=_ended(Attempt.Outcome.SUCCEEDED, usage),
    )
    said = {"status": Status.SUCCEEDED.value, "result": result, "usage": usage_data(claim.spent + usage)}
    _end(claim, end, events, said)


def fail(*, claim: Claim, failure: Failure, usage: Usage = NOTHING, events: Sequence[NewEvent] = ()) -> str:
    """Ends the attempt: the task is tried again later, or has failed. Gives the task's status.

    A task that somebody wants cancelled is not tried again. Raises LeaseLost, having written nothing.
    """
    failures, policy = claim.failures + 1, policy_of(claim)
    attempt = _ended(Attempt.Outcome.FAILED, usage, failure)
    if failures < claim.max_attempts and policy.retries(failure.error_type, retryable=failure.retryable):
        pause = _pause(failure, failures + 1, policy)
        return _again(claim, failure, pause, attempt, usage, events, failures=Plus(1))
    return _failed(claim, failure, attempt, usage, events, failures=Plus(1))


def time_out(*, claim: Claim, usage: Usage = NOTHING) -> str:
    """Ends an attempt whose time is over, like a failure of its own kind. Raises LeaseLost."""
    failure = Failure("TimeLimitReached", f"The task may run for {claim.limits.seconds} seconds, which are over.")
    attempt = _ended(Attempt.Outcome.TIMED_OUT, usage, failure)
    if claim.failures + 1 < claim.max_attempts:
        pause = pause_before(claim.failures + 2, policy_of(claim))
        return _again(claim, failure, pause, attempt, usage, (), failures=Plus(1))
    return _failed(claim, failure, attempt, usage, (), failures=Plus(1))


def crash(*, claim: Claim, crashes: int, usage: Usage = NOTHING) -> str:
    """Ends an attempt whose worker is gone. The task runs next in a process of its own. `usage` is what is on record of
    it elsewhere.

    It is blamed when it had one already: as often as it may be attempted, then it has failed. What ran beside others
    is not. Crashes are counted apart from attempts that failed. Raises LeaseLost, having written nothing; also when
    the lease has been renewed: the worker was only slow.
    """
    failure = Failure("WorkerLost", "The worker that ran this attempt stopped answering.")
    attempt = _ended(Attempt.Outcome.CRASHED, usage, failure)
    gone = (storage.lease_is_over(),)
    if not claim.is_alone:
        return _again(claim, failure, 0.0, attempt, usage, (), only_if=gone, is_suspect=True)
    if crashes + 1 < claim.max_attempts:
        pause = pause_before(crashes + 2, policy_of(claim))
        return _again(claim, failure, pause, attempt, usage, (), only_if=gone, is_suspect=True, crashes=Plus(1))
    return _failed(claim, failure, attempt, usage, (), only_if=gone, crashes=Plus(1))


def finish_cancelled(*, claim: Claim, usage: Usage = NOTHING, events: Sequence[NewEvent] = ()) -> None:
    """Ends the task because somebody asked for it. Raises LeaseLost, having written nothing."""
    end = End(
        task={"status": Status.CANCELLED.value, "finished_at": Now(), **_spent(usage)},
        attempt=_ended(Attempt.Outcome.CANCELLED, usage),
    )
    _end(claim, end, events, {"status": Status.CANCELLED.value, "usage": usage_data(claim.spent + usage)})


def hand_back(*, claim: Claim, usage: Usage = NOTHING, events: Sequence[NewEvent] = ()) -> None:
    """Gives the task back unfinished, for another worker to continue at once. Raises LeaseLost.

    A task that somebody wants cancelled ends here instead.
    """
    attempt = _ended(Attempt.Outcome.HANDED_BACK, usage)
    # Whether it does what it is suspected of has not been seen yet.
    back = {"status": Status.QUEUED.value, "not_before": None, "told_at": None, "is_suspect": claim.is_alone}
    end = End(task={**back, **_spent(usage)}, attempt=attempt)
    _end_unless_cancelled(claim, end, events, {"status": Status.QUEUED.value, "reason": "handed_back"}, usage)


def wait(
    *,
    claim: Claim,
    waiting_for: WaitingFor,
    seconds: float | None = None,
    children: Sequence[uuid.UUID] = (),
    data: Mapping[str, Any] | None = None,
    usage: Usage = NOTHING,
    events: Sequence[NewEvent] = (),
) -> str:
    """Ends the attempt; the task waits, holding no worker, until somebody lets it go on or `seconds` are over.

    For children: until all of these have ended, which may be at once. `data` is told with the event. Gives the task's
    status. A task that somebody wants cancelled ends here instead. Raises LeaseLost, having written nothing.
    """
    waits = {"status": Status.WAITING.value, "waiting_for": waiting_for.value, "resume_with": None}
    end = End(
        task={**waits, "waits_until": None if seconds is None else Now(seconds), **_spent(usage)},
        attempt=_ended(Attempt.Outcome.WAITING, usage),
    )
    said = {"status": Status.WAITING.value, "waiting_for": waiting_for.value, **(data or {})}
    with transaction.atomic():
        status = _end_unless_cancelled(claim, end, events, said, usage)
        if status == Status.WAITING and waiting_for == WaitingFor.CHILDREN:
            _wait_for(claim.task_id, children)
    return status


def _wait_for(task_id: uuid.UUID, children: Sequence[uuid.UUID]) -> None:
    """The task's row is locked by the statement that has ended its attempt; a child that ends looks for it only when
    it finds what is written here.
    """
    rows = Task.objects.select_for_update(of=("self",)).filter(pk__in=children, parent=task_id).order_by("pk")
    left = [child.pk for child in rows.exclude(status__in=TERMINAL)]
    Task.objects.filter(pk__in=left).update(has_dependents=True)
    TaskDependency.objects.bulk_create(TaskDependency(task_id=task_id, on_id=child) for child in left)
    parent = Task.objects.get(pk=task_id)
    if not left:
        endings.queue_again(parent, resume_with=True, reason="children_ended")
    else:
        Task.objects.filter(pk=task_id).update(dependencies_left=len(left))


def review(*, claim: Claim, failure: Failure, usage: Usage = NOTHING, events: Sequence[NewEvent] = ()) -> str:
    """Ends the attempt; a person has to decide what becomes of the task, for this reason. Gives the task's status.

    A task that somebody wants cancelled ends here instead. Raises LeaseLost, having written nothing.
    """
    reason = {"error_type": failure.error_type[:100], "error_message": _text(failure.message, LONGEST_MESSAGE)}
    end = End(
        task={"status": Status.NEEDS_REVIEW.value, "resume_with": None, **reason, **_spent(usage)},
        attempt=_ended(Attempt.Outcome.NEEDS_REVIEW, usage, failure),
    )
    said = {"status": Status.NEEDS_REVIEW.value, "error": error_data(failure)}
    return _end_unless_cancelled(claim, end, events, said, usage)


def policy_of(claim: Claim) -> Policy:
    """How the tasks of its agent are executed."""
    return Policy.of(agent_version_data(claim.agent_version_id).policy)


def pause_before(attempt: int, policy: Policy = DEFAULT_POLICY) -> float:
    """Seconds before this attempt (the second is the first one that waits): longer each time, half of it by chance."""
    whole = min(policy.first_pause * policy.pause_factor ** (attempt - 2), policy.longest_pause)
    return whole / 2 + random.random() * whole / 2  # noqa: S311 (jitter)


def _pause(failure: Failure, attempt: int, policy: Policy) -> float:
    """What the other side asks for, within reason; else the usual pause before this attempt."""
    asked = failure.retry_after
    # Written so that NaN is no wish either.
    if asked is None or not asked >= 0:
        return pause_before(attempt, policy)
    return min(asked, LONGEST_RETRY_AFTER_SECONDS)


def usage_data(usage: Usage) -> dict[str, Any]:
    """As it stands in events and answers."""
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost": f"{usage.cost:.6f}"}


def _again(
    claim: Claim,
    failure: Failure,
    pause: float,
    attempt: dict[str, Any],
    usage: Usage,
    events: Sequence[NewEvent],
    only_if: tuple[str, ...] = (),
    **changes: Any,
) -> str:
    # Without a pause it is due in the very round of the sweeper that has ended the attempt.
    not_before = Now(pause) if pause else None
    queued = {"status": Status.QUEUED.value, "not_before": not_before, "told_at": None, "is_suspect": False}
    end = End(
        task={**queued, **changes, **_spent(usage)},
        attempt=attempt,
        only_if=only_if,
    )
    at = (datetime.now(UTC) + timedelta(seconds=pause)).isoformat()
    said = {"status": Status.QUEUED.value, "error": error_data(failure), "not_before": at}
    return _end_unless_cancelled(claim, end, events, said, usage)


def _end_unless_cancelled(
    claim: Claim, end: End, events: Sequence[NewEvent], said: dict[str, Any], usage: Usage
) -> str:
    """Leaves the task unfinished; ends it when somebody wants that: nobody would hear of the wish otherwise."""
    try:
        _end(claim, replace(end, only_if=(*end.only_if, storage.NOT_CANCELLED)), events, said)
    except LeaseLost:
        kept = {name: value for name, value in end.task.items() if name not in OF_THE_UNFINISHED}
        cancelled = End(
            task=kept | {"status": Status.CANCELLED.value, "finished_at": Now()},
            attempt=end.attempt,
            only_if=(*end.only_if, storage.CANCELLED),
        )
        _end(claim, cancelled, events, {"status": Status.CANCELLED.value, "usage": usage_data(claim.spent + usage)})
        return Status.CANCELLED.value
    return str(end.task["status"])


def _failed(
    claim: Claim,
    failure: Failure,
    attempt: dict[str, Any],
    usage: Usage,
    events: Sequence[NewEvent],
    only_if: tuple[str, ...] = (),
    **counts: Plus,
) -> str:
    end = End(
        task={
            "status": Status.FAILED.value,
            "finished_at": Now(),
            "error_type": failure.error_type[:100],
            "error_message": _text(failure.message, LONGEST_MESSAGE),
            **counts,
            **_spent(usage),
        },
        attempt=attempt,
        only_if=only_if,
    )
    said = {"status": Status.FAILED.value, "error": error_data(failure), "usage": usage_data(claim.spent + usage)}
    _end(claim, end, events, said)
    return Status.FAILED.value


def error_data(failure: Failure) -> dict[str, str]:
    """As it stands in events and answers: without the traceback."""
    return {"type": failure.error_type[:100], "message": _text(failure.message, LONGEST_MESSAGE)}


def _end(claim: Claim, end: End, events: Sequence[NewEvent], said: dict[str, Any]) -> None:
    last_event = NewEvent(TaskEvent.Kind.STATUS, said, datetime.now(UTC))
    written = [*events, last_event]
    found = _end_quickly(claim, end, written)
    if found is None:
        with transaction.atomic():
            found = storage.end_attempt(claim.task_id, claim.fence, end, _rows(written))
            if found is None:
                raise LeaseLost
            _tell_others(claim, end, said)
    last, at = found
    # Whoever waits builds the finished task from this event: its time is the row's.
    _publish(claim.task_id, claim.fence, last, [*events, replace(last_event, at=at)])
    if end.task.get("finished_at"):
        transaction.on_commit(lambda: measuring.count_finished(claim.agent_version_id, said["status"]))


def _end_quickly(claim: Claim, end: End, events: Sequence[NewEvent]) -> tuple[int, datetime] | None:
    """One statement, for a task whose end concerns nobody else: most. None when it does, or the lease is lost."""
    if claim.holds_slots:
        return None
    if end.task.get("finished_at"):
        if claim.is_metered or hooks.are_wanted(claim.ties):
            return None
        end = replace(end, only_if=(*end.only_if, storage.NO_DEPENDENTS))
    return storage.end_attempt(claim.task_id, claim.fence, end, _rows(events))


def _tell_others(claim: Claim, end: End, said: dict[str, Any]) -> None:
    if claim.holds_slots:
        endings.free_slots(claim.task_id, claim.queue)
    if end.task.get("finished_at"):
        finished = hooks.Finished(claim.task_id, said["status"], said.get("result"), claim.agent_version_id, claim.ties)
        endings.tell_others(finished)


def _spent(usage: Usage) -> dict[str, Plus]:
    if usage == NOTHING:
        return {}
    return {name: Plus(amount) for name, amount in asdict(usage).items()}


def _ended(outcome: Attempt.Outcome, usage: Usage, failure: Failure | None = None) -> dict[str, Any]:
    ended = {"ended_at": Now(), "outcome": outcome.value, **asdict(usage)}
    if failure is not None:
        ended |= {
            "error_type": failure.error_type[:100],
            "error_message": _text(failure.message, LONGEST_MESSAGE),
            # The end of a traceback says where.
            "traceback": failure.traceback.replace("\x00", "")[-LONGEST_TRACEBACK:],
        }
    return ended


def _text(text: str, most: int) -> str:
    return text.replace("\x00", "")[:most]


def _rows(events: Sequence[NewEvent]) -> list[storage.NewRow]:
    return [(str(event.kind), json.dumps(event.data), event.at) for event in events]


def _publish(task_id: uuid.UUID, fence: int, last: int, events: Sequence[NewEvent]) -> None:
    first = last - len(events) + 1
    entries = [bus.Entry(first + n, str(event.kind), fence, event.at, event.data) for n, event in enumerate(events)]
    transaction.on_commit(lambda: bus.publish(task_id, entries))


def _claim_of(found: dict[str, Any]) -> Claim:
    limits = Limits(
        seconds=found["limit_seconds"],
        steps=found["limit_steps"],
        tokens=found["limit_tokens"],
        cost=None if found["limit_cost"] is None else Decimal(str(found["limit_cost"])),
    )
    return Claim(
        task_id=_uuid(found["id"]),
        fence=found["fence"],
        attempt_id=found["attempt_id"],
        agent_version_id=_uuid(found["agent_version_id"]),
        owner_id=_uuid(found["owner_id"]),
        queue=found["queue"],
        input=storage.read_json(found["input"]),
        serial_key=found["serial_key"],
        limits=limits,
        run_deadline_at=storage.read_time(found["run_deadline_at"]),
        failures=found["failures"],
        max_attempts=found["max_attempts"],
        trace_id=found["trace_id"],
        request_id=found["request_id"],
        spent=Usage(found["input_tokens"], found["output_tokens"], Decimal(str(found["cost"]))),
        webhook_url=found["webhook_url"],
        resume_with=storage.read_json(found["resume_with"]),
        holds_slots=found.get("holds_slots", False),
        is_metered=bool(found["is_metered"]),
        cache=storage.read_json(found["cache"]) or {},
    )


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
