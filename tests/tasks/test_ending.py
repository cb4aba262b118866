"""How attempts end: retries and their pauses, crashes, deadlines, cancels, and the retry that a person asks for."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.audit import Actor
from accounts.models import AuditEvent, User
from agents.definitions.models import Agent
from agents.definitions.services import publish_version
from agents.tasks import attempts, hooks, services
from agents.tasks.data import Claim, Failure, Usage
from agents.tasks.exceptions import IllegalTransition, LeaseLost
from agents.tasks.models import Attempt, Task, TaskEvent
from agents.tasks.services import claim
from tests.tasks.conftest import QUEUE, Put, Take, let_lease_expire, statuses, take_any
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db

BUSY = Failure("Busy", "Try later.", traceback="Traceback: where")


def actor_of(user: User) -> Actor:
    return Actor(user_id=user.pk, name=user.username, address="192.0.2.7", request_id="request-9")


def make_due(task_id: Any) -> None:
    """Its pause is over."""
    Task.objects.filter(pk=task_id).update(not_before=timezone.now() - timedelta(seconds=1))


def fail_next(take: Take, failure: Failure = BUSY) -> str:
    """One attempt that fails; the pause after it is over at once."""
    held = take()
    status = services.fail(claim=held, failure=failure)
    if status == "queued":
        make_due(held.task_id)
    return status


def pause_of(held: Claim) -> float:
    """Seconds from now until the task may run again."""
    not_before = Task.objects.get(pk=held.task_id).not_before
    if not_before is None:
        return 0
    return (not_before - timezone.now()).total_seconds()


def test_what_is_said_at_the_end_is_what_all_attempts_have_spent(put: Put, take: Take) -> None:
    task = put()
    services.fail(claim=take(), failure=BUSY, usage=Usage(10, 2, Decimal("0.5")))
    make_due(task.pk)
    held = take()
    assert held.spent == Usage(10, 2, Decimal("0.5"))
    services.succeed(claim=held, result="ok", usage=Usage(1, 1, Decimal("0.25")))
    task.refresh_from_db()
    assert (task.input_tokens, task.output_tokens, task.cost) == (11, 3, Decimal("0.75"))
    said = TaskEvent.objects.filter(task=task).latest("number").data["usage"]
    assert (said["input_tokens"], said["output_tokens"], Decimal(said["cost"])) == (11, 3, Decimal("0.75"))


@pytest.mark.parametrize(
    ("attempt", "least", "most"), [(2, 0.5, 1), (3, 1, 2), (4, 2, 4), (9, 64, 128), (11, 150, 300), (60, 150, 300)]
)
def test_a_pause_is_doubled_each_time_has_jitter_and_a_bound(attempt: int, least: float, most: float) -> None:
    pauses = [attempts.pause_before(attempt) for _ in range(200)]
    assert least <= min(pauses) <= max(pauses) <= most
    assert len({round(pause, 6) for pause in pauses}) > 100


def test_a_task_is_tried_as_often_as_it_may_fail_and_no_more(put: Put, take: Take) -> None:
    task = put(max_attempts=3)
    assert [fail_next(take) for _ in range(3)] == ["queued", "queued", "failed"]
    task.refresh_from_db()
    assert (task.status, task.failures, task.crashes, task.fence) == ("failed", 3, 0, 3)
    assert (task.error_type, task.error_message) == ("Busy", "Try later.")
    assert {*Attempt.objects.values_list("outcome", "error_type", "traceback")} == {
        ("failed", "Busy", "Traceback: where")
    }
    assert statuses(task.pk) == ["queued", "running", "queued", "running", "queued", "running", "failed"]


def test_between_attempts_a_task_waits(put: Put, take: Take) -> None:
    put()
    held = take()
    services.fail(claim=held, failure=BUSY)
    assert 0.3 < pause_of(held) <= 1
    task = Task.objects.get()
    assert (task.told_at, task.error_type, task.error_message) == (None, "", "")


def test_what_cannot_succeed_is_not_tried_again(put: Put, take: Take) -> None:
    put(max_attempts=3)
    assert fail_next(take, Failure("Broken", "It broke.", retryable=False)) == "failed"
    event = TaskEvent.objects.order_by("number").last()
    assert event is not None
    assert event.data["error"] == {"type": "Broken", "message": "It broke."}
    assert event.data["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost": "0.000000"}


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(42.0, 41, 42), (0.0, -1, 0), (1e12, 3599, 3600), (math.inf, 3599, 3600), (-5.0, 0.3, 1), (math.nan, 0.3, 1)],
)
def test_the_pause_that_the_other_side_asks_for_is_kept_within_reason(
    put: Put, take: Take, asked: float, least: float, most: float
) -> None:
    put()
    held = take()
    assert services.fail(claim=held, failure=Failure("Busy", "Later.", retry_after=asked)) == "queued"
    assert least <= pause_of(held) <= most


def test_long_and_dirty_messages_are_kept_as_far_as_a_row_goes(put: Put, take: Take) -> None:
    put()
    failure = Failure("T" * 500, "a\x00b" + "m" * 10_000, "first" + "\x00" * 9 + "t" * 30_000, retryable=False)
    fail_next(take, failure)
    attempt = Attempt.objects.get()
    assert (len(attempt.error_type), len(attempt.error_message)) == (100, attempts.LONGEST_MESSAGE)
    assert attempt.error_message.startswith("abm")
    assert attempt.traceback == "t" * attempts.LONGEST_TRACEBACK
    assert Task.objects.get().error_message == attempt.error_message


def test_crashes_are_counted_apart_and_only_those_of_a_process_of_its_own(put: Put, take: Take) -> None:
    task = put(max_attempts=2)
    ended = []
    for crashes, alone in enumerate([False, True, True]):
        held = claim(queues=[QUEUE], worker="tests", suspects=alone)
        assert held is not None
        let_lease_expire(task.pk)
        ended.append(services.crash(claim=held, crashes=max(0, crashes - 1)))
        if ended[-1] == "queued":
            make_due(task.pk)
            assert take_any() is None, "only who runs suspects alone may have it"
    task.refresh_from_db()
    assert ended == ["queued", "queued", "failed"]
    assert (task.crashes, task.failures, task.error_type) == (2, 0, "WorkerLost")
    assert [*Attempt.objects.values_list("outcome", flat=True)] == ["crashed"] * 3


def test_after_a_crash_beside_others_a_task_runs_again_at_once_and_then_as_before(put: Put, take: Take) -> None:
    put()
    held = take()
    let_lease_expire(held.task_id)
    services.crash(claim=held, crashes=0)
    assert pause_of(held) <= 0
    alone = claim(queues=[QUEUE], worker="tests", suspects=True)
    assert alone is not None
    assert (alone.fence, alone.is_alone) == (2, True)
    services.hand_back(claim=alone)
    assert Task.objects.get().is_suspect, "it has not shown yet what it does"
    again = claim(queues=[QUEUE], worker="tests", suspects=True)
    assert again is not None
    services.fail(claim=again, failure=Failure("Broken", "It broke."))
    task = Task.objects.get()
    assert (task.is_suspect, task.crashes, task.failures) == (False, 0, 1)


def test_a_worker_that_was_only_slow_has_not_crashed(put: Put, take: Take) -> None:
    put()
    held = take()
    let_lease_expire(held.task_id)
    services.renew([held])
    with pytest.raises(LeaseLost):
        services.crash(claim=held, crashes=0)
    assert Task.objects.get().status == "running"


def test_an_attempt_whose_time_is_over_counts_as_a_failure(put: Put, take: Take) -> None:
    task = put(max_attempts=2, limits={"seconds": 5})
    assert services.time_out(claim=take()) == "queued"
    make_due(task.pk)
    assert services.time_out(claim=take()) == "failed"
    task.refresh_from_db()
    assert (task.failures, task.error_type) == (2, "TimeLimitReached")
    assert "5 seconds" in task.error_message
    assert [*Attempt.objects.values_list("outcome", flat=True)] == ["timed_out"] * 2


def test_a_task_that_nobody_runs_is_cancelled_at_once(put: Put, member: User) -> None:
    task = put()
    gone = services.cancel(task=task, actor=actor_of(member))
    assert (gone.status, gone.last_event) == ("cancelled", 2)
    assert statuses(task.pk) == ["queued", "cancelled"]
    task.refresh_from_db()
    assert task.finished_at is not None
    event = AuditEvent.objects.get(verb="task.cancel")
    assert (event.actor_id, event.address, event.request_id) == (member.pk, "192.0.2.7", "request-9")
    assert event.subject_id == task.pk


@pytest.mark.parametrize("status", ["waiting", "needs_review"])
def test_a_task_that_waits_for_a_person_can_be_cancelled(put: Put, member: User, status: str) -> None:
    task = put()
    Task.objects.filter(pk=task.pk).update(status=status, waiting_for="input" if status == "waiting" else "")
    assert services.cancel(task=task, actor=actor_of(member)).status == "cancelled"


def test_a_running_task_is_asked_to_stop(put: Put, take: Take, member: User) -> None:
    task = put()
    held = take()
    assert services.renew([held]).cancelled == frozenset()
    asked = services.cancel(task=task, actor=actor_of(member))
    assert (asked.status, asked.is_terminal) == ("running", False)
    again = services.cancel(task=task, actor=actor_of(member))
    assert again.cancel_requested_at == asked.cancel_requested_at
    assert services.renew([held]).cancelled == {task.pk}
    services.finish_cancelled(claim=held)
    assert statuses(task.pk) == ["queued", "running", "cancelled"]


def test_a_result_that_comes_before_the_wish_is_heard_counts(put: Put, take: Take, member: User) -> None:
    task = put()
    held = take()
    services.cancel(task=task, actor=actor_of(member))
    services.succeed(claim=held, result={"text": "done"})
    task.refresh_from_db()
    assert (task.status, task.result) == ("succeeded", {"text": "done"})


def _crash(held: Claim) -> str:
    let_lease_expire(held.task_id)
    return services.crash(claim=held, crashes=0)


@pytest.mark.parametrize(
    ("end", "outcome", "counted"),
    [
        (lambda held: services.fail(claim=held, failure=BUSY), "failed", (1, 0)),
        (lambda held: services.time_out(claim=held), "timed_out", (1, 0)),
        (_crash, "crashed", (0, 0)),
        (lambda held: services.hand_back(claim=held), "handed_back", (0, 0)),
    ],
    ids=["fail", "time_out", "crash", "hand_back"],
)
def test_what_somebody_wants_cancelled_is_not_queued_again(
    put: Put, take: Take, member: User, end: Any, outcome: str, counted: tuple[int, int]
) -> None:
    task = put(serial_key="s")
    held = take()
    services.cancel(task=task, actor=actor_of(member))
    ended: list[hooks.Finished] = []
    hooks.on_finished(ended.append, wants=lambda ties: ties.serial_key is not None)
    assert end(held) in ("cancelled", None)
    task.refresh_from_db()
    assert (task.status, task.failures, task.crashes) == ("cancelled", *counted)
    assert statuses(task.pk) == ["queued", "running", "cancelled"]
    assert Attempt.objects.get().outcome == outcome
    assert [(each.task_id, each.status) for each in ended] == [(task.pk, "cancelled")]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_cannot_be_cancelled(put: Put, member: User, status: str) -> None:
    task = put()
    Task.objects.filter(pk=task.pk).update(status=status, finished_at=timezone.now())
    with pytest.raises(IllegalTransition):
        services.cancel(task=task, actor=actor_of(member))
    assert not AuditEvent.objects.filter(verb="task.cancel").exists()
    assert statuses(task.pk) == ["queued"]


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_cancel_at_once_one_does(put: Put, member: User) -> None:
    task = put()

    def cancel(_number: int) -> str:
        try:
            return services.cancel(task=task, actor=actor_of(member)).status
        except IllegalTransition:
            return "refused"

    assert sorted(at_once(cancel, 8)) == ["cancelled"] + ["refused"] * 7
    assert statuses(task.pk) == ["queued", "cancelled"]
    assert AuditEvent.objects.filter(verb="task.cancel").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_a_cancel_and_a_claim_at_the_same_moment_the_log_tells_one_story(put: Put, member: User) -> None:
    from tests.tasks.conftest import take_any

    for _round in range(10):
        task = put()

        def act(number: int, task: Task = task) -> object:
            return services.cancel(task=task, actor=actor_of(member)) if number else take_any()

        at_once(act, 2)
        task.refresh_from_db()
        assert task.cancel_requested_at is not None
        if task.status == "running":
            assert statuses(task.pk) == ["queued", "running"]
        else:
            assert (task.status, statuses(task.pk)) == ("cancelled", ["queued", "cancelled"])
        Task.objects.filter(pk=task.pk).delete()


def _end(task: Task, status: str) -> Task:
    Task.objects.filter(pk=task.pk).update(status=status, finished_at=timezone.now())
    task.refresh_from_db()
    return task


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_retry_is_a_new_task_that_points_at_the_old_one(
    put: Put, member: User, operator: User, agent: Agent, status: str
) -> None:
    old = _end(
        put(input={"a": 1}, priority="high", max_attempts=2, limits={"seconds": 7, "cost": "0.5"}, metadata={"m": 1},
            serial_key="s", idempotency_key="k"),
        status,
    )  # fmt: skip
    before = Task.objects.filter(pk=old.pk).values().get()
    new = services.retry(task=old, actor=actor_of(operator))
    assert new.pk != old.pk
    assert new.retry_of == old
    assert (new.owner, new.input, new.priority, new.max_attempts) == (member, {"a": 1}, 2, 2)
    new.refresh_from_db()
    assert (new.limit_seconds, str(new.limit_cost)[:3], new.metadata, new.serial_key) == (7, "0.5", {"m": 1}, "s")
    assert (new.status, new.request_id, new.idempotency_key) == ("queued", "request-9", None)
    assert Task.objects.filter(pk=old.pk).values().get() == before
    event = AuditEvent.objects.get(verb="task.retry")
    assert (event.actor_id, event.subject_id, event.changes["new_task"]) == (operator.pk, old.pk, str(new.pk))


def test_a_retry_runs_the_current_version_of_the_agent(put: Put, member: User, agent: Agent) -> None:
    old = _end(put(), "failed")
    version = publish_version(agent=agent, system_prompt=f"Be {uuid4()}.")
    task = Task.objects.select_related("agent_version__agent").get(pk=old.pk)
    assert services.retry(task=task, actor=actor_of(member)).agent_version_id == version.pk
    assert old.agent_version_id != version.pk


@pytest.mark.parametrize("status", ["queued", "running", "waiting", "needs_review", "succeeded"])
def test_only_what_failed_or_was_cancelled_can_be_retried(put: Put, member: User, status: str) -> None:
    task = put()
    task.status = status
    with pytest.raises(IllegalTransition):
        services.retry(task=task, actor=actor_of(member))
    assert Task.objects.count() == 1
    assert not AuditEvent.objects.filter(verb="task.retry").exists()
