"""Who gets which task, and in which order."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.audit import SYSTEM
from agents.tasks import storage
from agents.tasks.data import Failure
from agents.tasks.models import Attempt, Task, TaskEvent
from agents.tasks.services import append_events, cancel, claim, fail, hand_back, succeed
from tests.tasks.conftest import QUEUE, Put, Take, numbers, piece, statuses, take_any
from tests.tasks.threads import at_once


def order() -> list[str]:
    """The names of all tasks as idle workers get them."""
    found = []
    while held := take_any():
        found.append(held.input["name"])
    return found


@pytest.mark.django_db
def test_a_claim_is_the_task_with_its_terms(put: Put) -> None:
    task = put(
        input={"messages": [{"role": "user", "content": "olá"}]}, limits={"seconds": 9, "cost": "0.5", "tokens": 10},
        max_attempts=2, trace_id="ab" * 16, request_id="request-1", serial_key="s",
    )  # fmt: skip
    before = timezone.now()
    held = claim(queues=["elsewhere", QUEUE], worker="w-1", celery_id="c-1")
    assert held is not None
    attempt = Attempt.objects.get()
    assert (held.task_id, held.fence, held.attempt_id) == (task.pk, 1, attempt.pk)
    assert (held.agent_version_id, held.owner_id, held.queue) == (task.agent_version_id, task.owner_id, QUEUE)
    assert (held.input, held.serial_key, held.failures, held.max_attempts) == (task.input, "s", 0, 2)
    assert (held.trace_id, held.request_id) == ("ab" * 16, "request-1")
    assert (held.limits.seconds, held.limits.tokens, str(held.limits.cost)[:3]) == (9, 10, "0.5")
    assert timedelta(seconds=8) < held.run_deadline_at - before < timedelta(seconds=11)
    assert (attempt.worker, attempt.celery_id, attempt.fence, attempt.outcome) == ("w-1", "c-1", 1, "")
    row = Task.objects.get()
    assert (row.status, row.fence) == ("running", 1)
    assert row.started_at is not None
    assert statuses(task.pk) == ["queued", "running"]
    assert numbers(task.pk) == [1, 2]


@pytest.mark.django_db
def test_without_work_there_is_no_claim(put: Put) -> None:
    assert take_any() is None
    put()
    assert claim(queues=["elsewhere"], worker="tests") is None
    assert Attempt.objects.count() == 0


@pytest.mark.django_db
def test_a_task_is_claimed_in_the_order_of_acceptance(put: Put) -> None:
    for name in "abc":
        put(input={"name": name})
    assert order() == ["a", "b", "c"]


@pytest.mark.django_db
def test_a_priority_is_a_head_start(put: Put) -> None:
    for priority in ("low", "normal", "high", "critical"):
        put(input={"name": priority}, priority=priority)
    assert order() == ["critical", "high", "normal", "low"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("minutes", "first"), [(9, "high"), (11, "normal")], ids=["within the head start", "after the head start"]
)
def test_who_has_waited_longer_than_the_head_start_goes_first(put: Put, minutes: int, first: str) -> None:
    waiting = put(input={"name": "normal"})
    Task.objects.filter(pk=waiting.pk).update(runs_before=waiting.runs_before - timedelta(minutes=minutes))
    put(input={"name": "high"}, priority="high")
    assert order()[0] == first


@pytest.mark.django_db
def test_a_task_waits_for_its_time(put: Put) -> None:
    later = put(input={"name": "later"}, not_before=timezone.now() + timedelta(hours=1), priority="critical")
    put(input={"name": "now"}, not_before=timezone.now() - timedelta(hours=1), priority="low")
    assert order() == ["now"]
    Task.objects.filter(pk=later.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    assert order() == ["later"]


@pytest.mark.django_db
def test_a_serial_key_lets_the_oldest_go_first_whatever_the_priority(put: Put, take: Take) -> None:
    put(input={"name": "first"}, serial_key="s", priority="low")
    put(input={"name": "second"}, serial_key="s", priority="critical")
    put(input={"name": "of another"}, serial_key="t", priority="low")
    held = take()
    assert held.input["name"] == "first"
    assert order() == ["of another"]
    succeed(claim=held, result=None)
    assert order() == ["second"]


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["waiting", "needs_review"])
def test_a_task_that_waits_in_the_middle_holds_its_serial_key(put: Put, status: str) -> None:
    held = put(input={"name": "first"}, serial_key="s")
    Task.objects.filter(pk=held.pk).update(status=status, waiting_for="input" if status == "waiting" else "")
    put(input={"name": "second"}, serial_key="s")
    assert order() == []


@pytest.mark.django_db
def test_a_failed_attempt_keeps_its_place_in_the_line(put: Put, take: Take) -> None:
    put(input={"name": "first"}, serial_key="s")
    put(input={"name": "second"}, serial_key="s")
    held = take()
    assert fail(claim=held, failure=Failure("Busy", "Later.", retry_after=60)) == "queued"
    assert order() == []
    Task.objects.filter(pk=held.task_id).update(not_before=None)
    assert take().input["name"] == "first"


@pytest.mark.django_db
def test_a_cancelled_task_leaves_the_line(put: Put) -> None:
    first = put(input={"name": "first"}, serial_key="s")
    put(input={"name": "second"}, serial_key="s")
    cancel(task=first, actor=SYSTEM)
    assert order() == ["second"]


@pytest.mark.django_db
def test_the_database_itself_lets_only_one_task_of_a_serial_key_run(put: Put, take: Take) -> None:
    put(serial_key="s")
    second = put(serial_key="s")
    take()
    with pytest.raises(IntegrityError):
        Task.objects.filter(pk=second.pk).update(status="running", lease_expires_at=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_who_loses_the_race_for_a_serial_key_tries_again(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    lost: list[int] = []
    real = storage.claim

    def unlucky_at_first(**terms: Any) -> Any:
        if not lost:
            lost.append(1)
            raise IntegrityError
        return real(**terms)

    monkeypatch.setattr("agents.tasks.storage.claim", unlucky_at_first)
    assert take_any() is not None
    assert lost == [1]


@pytest.mark.django_db
def test_every_attempt_has_a_fence_of_its_own(put: Put, take: Take) -> None:
    put()
    for fence in (1, 2, 3):
        held = take()
        assert held.fence == fence
        hand_back(claim=held)
    assert [*Attempt.objects.values_list("fence", flat=True)] == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_eight_workers_share_a_hundred_tasks_without_one_twice(put: Put) -> None:
    tasks = {put(input={"number": number}).pk for number in range(100)}

    def work(_number: int) -> list[UUID]:
        mine = []
        while held := take_any():
            mine.append(held.task_id)
        return mine

    shares = at_once(work, 8)
    claimed = Counter(task_id for share in shares for task_id in share)
    # A worker may find the rest taken at that very moment: what it leaves the next one finds.
    while held := take_any():
        claimed[held.task_id] += 1
    assert set(claimed) == tasks
    assert set(claimed.values()) == {1}
    assert Attempt.objects.count() == 100
    assert {*Attempt.objects.values_list("fence", flat=True)} == {1}
    assert {*Task.objects.values_list("fence", "status", "last_event")} == {(1, "running", 2)}
    assert TaskEvent.objects.count() == 200


@pytest.mark.django_db(transaction=True)
def test_eight_workers_run_the_tasks_of_a_serial_key_one_after_the_other(put: Put) -> None:
    lines = {key: [put(serial_key=key).pk for _ in range(8)] for key in ("s", "t", "u")}
    all_tasks = {task_id for line in lines.values() for task_id in line}
    ended: list[UUID] = []

    def work(_number: int) -> int:
        most = 0
        while len(ended) < len(all_tasks):
            held = take_any()
            if held is None:
                continue
            beside = Task.objects.filter(status="running", serial_key=held.serial_key).count()
            most = max(most, beside)
            # Noted before it ends, when nobody else of the line can have been claimed yet.
            ended.append(held.task_id)
            succeed(claim=held, result=None)
        return most

    assert max(at_once(work, 8)) == 1
    assert sorted(ended) == sorted(all_tasks)
    for line in lines.values():
        assert [task_id for task_id in ended if task_id in line] == line
    assert {*Attempt.objects.values_list("fence", "outcome")} == {(1, "succeeded")}


@pytest.mark.django_db(transaction=True)
def test_eight_writers_number_the_log_without_holes(put: Put, take: Take) -> None:
    put()
    held = take()

    def write(number: int) -> list[int]:
        return [append_events(held, [piece(f"{number}-{n}-{k}") for k in range(3)]) for n in range(10)]

    last = at_once(write, 8)
    assert numbers(held.task_id) == [*range(1, 243)]
    assert Task.objects.get().last_event == 242
    assert sorted(number for each in last for number in each) == [*range(5, 243, 3)]
    texts = [data["text"] for data in TaskEvent.objects.filter(kind="message").values_list("data", flat=True)]
    # The pieces of one call stay together.
    for start in range(0, 240, 3):
        writer, call, _piece = texts[start].split("-")
        assert texts[start : start + 3] == [f"{writer}-{call}-{k}" for k in range(3)]


@pytest.mark.django_db
def test_a_claim_reads_the_heads_of_indexes_and_not_the_queue() -> None:
    """With `queue IN (…)` and one question about the serial key, 10,000 queued tasks made a claim take 160 ms."""
    explain = "EXPLAIN" if storage.is_postgresql() else "EXPLAIN QUERY PLAN"
    with transaction.atomic(), connection.cursor() as cursor:
        if storage.is_postgresql():
            # An empty table is read whole, whatever indexes there are.
            cursor.execute("SET LOCAL enable_seqscan = off")
        claimable, parameters = storage._claimable(storage.Wanted(("interactive", "background")))
        cursor.execute(f"{explain} {claimable}", parameters)
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert plan.count("tasks_claimable") >= 2
    assert plan.count("tasks_serial") >= 2
    assert "SCAN other" not in plan
    assert "Seq Scan" not in plan
