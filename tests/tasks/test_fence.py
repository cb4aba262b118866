"""Every write of an attempt is guarded: once the fence was raised it writes nothing, at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from agents.tasks import services
from agents.tasks.data import Claim, Failure, Usage
from agents.tasks.exceptions import LeaseLost
from agents.tasks.models import Attempt, Task
from tests.tasks.conftest import Put, Take, numbers, piece, raise_fence, snapshot, statuses

pytestmark = pytest.mark.django_db

SPENT = Usage(input_tokens=7, output_tokens=3, cost=Decimal("0.25"))
FINAL = Failure("Broken", "It broke.", retryable=False)
PASSING = Failure("Busy", "Try later.", retryable=True)

Write = Callable[[Claim], object]


def _crash(held: Claim) -> None:
    """A crash is noticed by the lease that is over; a task that does not run has none."""
    now = timezone.now()
    running = Task.objects.filter(pk=held.task_id, status="running", lease_expires_at__gt=now)
    running.update(lease_expires_at=now - timedelta(seconds=1))
    services.crash(claim=held, crashes=0)


# How a run's worker may write, and the status of the task and the outcome of the attempt afterwards.
WRITES: dict[str, tuple[Write, str, str]] = {
    "append_events": (lambda held: services.append_events(held, [piece()]), "running", ""),
    "succeed": (
        lambda held: services.succeed(claim=held, result={"text": "x"}, usage=SPENT, events=[piece()]),
        "succeeded",
        "succeeded",
    ),
    "fail_for_good": (
        lambda held: services.fail(claim=held, failure=FINAL, usage=SPENT, events=[piece()]),
        "failed",
        "failed",
    ),
    "fail_for_now": (lambda held: services.fail(claim=held, failure=PASSING, usage=SPENT), "queued", "failed"),
    "finish_cancelled": (lambda held: services.finish_cancelled(claim=held, usage=SPENT), "cancelled", "cancelled"),
    "hand_back": (lambda held: services.hand_back(claim=held, usage=SPENT), "queued", "handed_back"),
    "crash": (_crash, "queued", "crashed"),
    "time_out": (lambda held: services.time_out(claim=held, usage=SPENT), "queued", "timed_out"),
}


def _gone_from_running(task_id: Any) -> None:
    Task.objects.filter(pk=task_id).update(status="queued", lease_expires_at=None)


def _ended_by_another(task_id: Any) -> None:
    Task.objects.filter(pk=task_id).update(status="failed", lease_expires_at=None, finished_at=timezone.now())


@pytest.mark.parametrize("lose", [raise_fence, _gone_from_running, _ended_by_another])
@pytest.mark.parametrize("name", WRITES)
def test_who_lost_the_lease_writes_nothing(put: Put, take: Take, name: str, lose: Callable[[Any], None]) -> None:
    put()
    held = take()
    lose(held.task_id)
    # Also when the lease of the attempt that came after is over.
    Task.objects.filter(pk=held.task_id, status="running").update(lease_expires_at=timezone.now() - timedelta(hours=1))
    before = snapshot(held.task_id)
    with pytest.raises(LeaseLost):
        WRITES[name][0](held)
    assert snapshot(held.task_id) == before


@pytest.mark.parametrize("name", WRITES)
def test_who_holds_the_lease_writes(put: Put, take: Take, name: str) -> None:
    put()
    held = take()
    write, status, outcome = WRITES[name]
    write(held)
    task = Task.objects.get(pk=held.task_id)
    attempt = Attempt.objects.get(task=task)
    assert (task.status, attempt.outcome) == (status, outcome)
    assert (attempt.ended_at is not None) == (outcome != "")
    assert (task.finished_at is not None) == (status in ("succeeded", "failed", "cancelled"))
    assert numbers(task.pk) == [*range(1, task.last_event + 1)]
    assert statuses(task.pk)[-1] == status


@pytest.mark.parametrize("name", [name for name in WRITES if name not in ("append_events", "crash")])
def test_what_was_spent_is_on_the_task_and_on_the_attempt(put: Put, take: Take, name: str) -> None:
    put()
    held = take()
    WRITES[name][0](held)
    for row in (Task.objects.get(pk=held.task_id), Attempt.objects.get(task_id=held.task_id)):
        assert (row.input_tokens, row.output_tokens, row.cost) == (7, 3, Decimal("0.25"))


def test_what_attempts_spend_adds_up(put: Put, take: Take) -> None:
    put()
    services.hand_back(claim=take(), usage=SPENT)
    services.succeed(claim=take(), result=None, usage=SPENT)
    task = Task.objects.get()
    assert (task.input_tokens, task.output_tokens, task.cost) == (14, 6, Decimal("0.50"))
    assert [*Attempt.objects.values_list("fence", "input_tokens")] == [(1, 7), (2, 7)]


@pytest.mark.parametrize("name", [name for name in WRITES if name != "append_events"])
def test_an_attempt_ends_once(put: Put, take: Take, name: str) -> None:
    put()
    held = take()
    WRITES[name][0](held)
    before = snapshot(held.task_id)
    for write, _status, _outcome in WRITES.values():
        with pytest.raises(LeaseLost):
            write(held)
    assert snapshot(held.task_id) == before


def test_a_heartbeat_learns_which_tasks_are_lost_and_extends_only_the_others(put: Put, take: Take) -> None:
    put()
    put()
    kept, lost = take(), take()
    raise_fence(lost.task_id)
    before = snapshot(lost.task_id)
    lease = Task.objects.get(pk=kept.task_id).lease_expires_at
    renewed = services.renew([kept, lost])
    assert (renewed.lost, renewed.cancelled) == (frozenset({lost.task_id}), frozenset())
    assert snapshot(lost.task_id) == before
    extended = Task.objects.get(pk=kept.task_id).lease_expires_at
    assert lease is not None
    assert extended is not None
    assert extended >= lease


def test_a_heartbeat_of_nothing_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert services.renew([]).lost == frozenset()


def test_a_lease_never_goes_past_the_deadline_of_the_run(put: Put, take: Take) -> None:
    put(limits={"seconds": 5})
    held = take()
    services.renew([held])
    task = Task.objects.get()
    assert task.run_deadline_at is not None
    assert task.lease_expires_at is not None
    assert abs((task.lease_expires_at - task.run_deadline_at).total_seconds()) < 0.01
    assert abs((task.run_deadline_at - held.run_deadline_at).total_seconds()) < 0.01
