"""The sweeper heals what is abandoned, once, and leaves alone what is alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.audit import SYSTEM
from agents.tasks import services, sweeping
from agents.tasks.data import Failure, Swept
from agents.tasks.models import Attempt, Task, TaskEvent
from tests.tasks.conftest import QUEUE, Put, Take, let_lease_expire, snapshot, statuses
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=5)


def is_over(task_id: Any) -> None:
    """Its time was over long ago, and so is its lease."""
    then = timezone.now() - LONG_AGO
    Task.objects.filter(pk=task_id).update(run_deadline_at=then, lease_expires_at=then)


def test_exactly_what_is_abandoned_is_healed(put: Put, take: Take) -> None:
    ids = {}
    for name in ("crashed", "overdue", "cancelled", "alive", "alive and asked to stop"):
        put(input={"name": name}, max_attempts=2)
        held = take()
        ids[name] = held.task_id
        if name.startswith(("cancelled", "alive and")):
            services.cancel(task=Task.objects.get(pk=held.task_id), actor=SYSTEM)
    ids["queued"] = put().pk
    let_lease_expire(ids["crashed"])
    is_over(ids["overdue"])
    let_lease_expire(ids["cancelled"])
    untouched = {name: snapshot(ids[name]) for name in ("alive", "alive and asked to stop", "queued")}

    swept = services.sweep()

    assert (swept.crashed, swept.overdue, swept.cancelled) == (1, 1, 1)
    assert {name: snapshot(ids[name]) for name in untouched} == untouched
    outcomes = {name: Attempt.objects.get(task_id=ids[name]).outcome for name in ("crashed", "overdue", "cancelled")}
    assert outcomes == {"crashed": "crashed", "overdue": "timed_out", "cancelled": "cancelled"}
    assert {name: statuses(ids[name])[-1] for name in outcomes} == {
        "crashed": "queued",
        "overdue": "queued",
        "cancelled": "cancelled",
    }
    assert Attempt.objects.filter(ended_at=None).count() == 2


def test_a_second_round_finds_nothing(put: Put, take: Take) -> None:
    put()
    let_lease_expire(take().task_id)
    assert services.sweep() == Swept(crashed=1)
    assert services.sweep() == Swept()


def test_the_crash_that_is_one_too_many_ends_the_task(put: Put, take: Take) -> None:
    task = put(max_attempts=1)
    let_lease_expire(take().task_id)
    assert services.sweep().crashed == 1
    assert services.claim(queues=[QUEUE], worker="alone", suspects=True)
    let_lease_expire(task.pk)
    assert services.sweep().crashed == 1
    task.refresh_from_db()
    assert (task.status, task.crashes, task.failures, task.error_type) == ("failed", 1, 0, "WorkerLost")


def test_a_worker_has_the_last_moments_of_a_run_to_itself(put: Put, take: Take) -> None:
    put(limits={"seconds": 5})
    held = take()
    a_moment_ago = timezone.now() - timedelta(seconds=1)
    Task.objects.update(run_deadline_at=a_moment_ago, lease_expires_at=a_moment_ago)
    assert services.sweep() == Swept()
    assert Task.objects.get().status == "running"
    assert services.time_out(claim=held) == "queued"
    assert statuses(held.task_id) == ["queued", "running", "queued"]


def test_a_sweeper_whose_clock_is_ahead_ends_nothing_that_is_alive(
    put: Put, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no clock but the process's")
    put()
    held = take()
    monkeypatch.setattr(timezone, "now", lambda: datetime.now(UTC) + timedelta(hours=1))
    assert services.sweep().crashed == 0
    assert Task.objects.get(pk=held.task_id).status == "running"


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_heal_once(put: Put, take: Take) -> None:
    for _task in range(10):
        put()
        let_lease_expire(take().task_id)
    swept = at_once(lambda _number: services.sweep(), 2)
    assert sum(each.crashed for each in swept) == 10
    assert {*Task.objects.values_list("status", "crashes", "last_event")} == {("queued", 0, 3)}
    assert TaskEvent.objects.count() == 30
    assert {*Attempt.objects.values_list("outcome", flat=True)} == {"crashed"}


def test_what_nobody_was_told_of_is_told_once(put: Put, bells: list[str]) -> None:
    for _task in range(3):
        put()
    Task.objects.update(told_at=None)
    bells.clear()
    assert services.sweep() == Swept(told=3, queues_told=(QUEUE,))
    assert services.sweep() == Swept()
    assert bells == [QUEUE] * 3


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_tell_once(put: Put, bells: list[str]) -> None:
    for _task in range(5):
        put()
    Task.objects.update(told_at=None)
    bells.clear()
    swept = at_once(lambda _number: services.sweep(), 2)
    assert sum(each.told for each in swept) == 5
    assert bells == [QUEUE] * 5


def test_a_bell_that_must_be_lost_is_rung_again(put: Put, bells: list[str]) -> None:
    put()
    assert services.sweep().told == 0
    Task.objects.update(told_at=timezone.now() - timedelta(seconds=sweeping.TELL_AGAIN_SECONDS + 1))
    bells.clear()
    assert services.sweep().told == 1
    assert bells == [QUEUE]


def test_a_long_queue_does_not_ring_without_end(put: Put, bells: list[str]) -> None:
    for _task in range(sweeping.MOST_BELLS + 4):
        put()
    Task.objects.update(told_at=None)
    bells.clear()
    assert services.sweep().told == sweeping.MOST_BELLS
    assert len(bells) == sweeping.MOST_BELLS
    assert not Task.objects.filter(told_at=None).exists()


def test_what_may_not_run_yet_is_told_when_its_time_has_come(
    put: Put, bells: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        task = put(not_before=timezone.now() + timedelta(hours=1))
    assert services.sweep() == Swept()
    assert bells == []
    Task.objects.filter(pk=task.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert services.sweep().told == 1
    assert bells == [QUEUE]


def test_a_failed_attempt_is_told_after_its_pause(put: Put, take: Take, bells: list[str]) -> None:
    put()
    held = take()
    services.fail(claim=held, failure=Failure("Busy", "Later.", retry_after=100))
    bells.clear()
    assert services.sweep() == Swept()
    Task.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    assert services.sweep().told == 1


def test_a_task_that_was_handed_back_is_told_at_once(put: Put, take: Take, bells: list[str]) -> None:
    put()
    services.hand_back(claim=take())
    bells.clear()
    assert services.sweep().told == 1
    assert bells == [QUEUE]


def test_what_runs_or_has_ended_is_not_told(put: Put, take: Take, bells: list[str]) -> None:
    put()
    put()
    take()
    services.succeed(claim=take(), result=None)
    Task.objects.update(told_at=None)
    bells.clear()
    assert services.sweep() == Swept()
    assert bells == []


def test_an_idle_round_is_few_statements(db: None, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10):
        assert services.sweep() == Swept()
