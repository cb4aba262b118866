"""Tasks that wait for others: dependencies, parents and children, deadlines in the queue, and the end of waiting."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.tasks import services, sweeping
from agents.tasks.data import Claim, Failure
from agents.tasks.exceptions import IllegalTransition, InvalidInput
from agents.tasks.models import Task, TaskDependency, WaitingFor
from tests.tasks.conftest import Put, Take, statuses, take_any
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

BROKEN = Failure("Broken", "It broke.", retryable=False)


def status_of(task: Task) -> str:
    return Task.objects.get(pk=task.pk).status


def test_a_task_runs_after_those_it_depends_on(put: Put, take: Take) -> None:
    first, second = put(), put()
    last = put(depends_on=[first.pk, second.pk], priority="critical")
    assert Task.objects.get(pk=last.pk).dependencies_left == 2
    for _task in range(2):
        held = take()
        assert held.task_id != last.pk
        services.succeed(claim=held, result="done")
    assert take().task_id == last.pk
    assert not TaskDependency.objects.exists()


def test_what_has_succeeded_before_is_not_waited_for(put: Put, take: Take) -> None:
    first = put()
    services.succeed(claim=take(), result=None)
    after = put(depends_on=[first.pk])
    assert Task.objects.get(pk=after.pk).dependencies_left == 0
    assert take().task_id == after.pk


@pytest.mark.parametrize(("choice", "expected"), [("fail", "failed"), ("skip", "cancelled")])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_a_dependency_that_does_not_succeed_ends_all_that_follow(
    put: Put, take: Take, choice: str, expected: str, when: str, how: str
) -> None:
    first = put()

    def end_first() -> None:
        if how == "cancelled":
            services.cancel(task=first, actor=SYSTEM)
        else:
            services.fail(claim=take(), failure=BROKEN)

    if when == "before":
        end_first()
    follower = put(depends_on=[first.pk], if_dependency_fails=choice)
    last = put(depends_on=[follower.pk], if_dependency_fails=choice)
    if when == "after":
        end_first()
    assert (status_of(follower), status_of(last)) == (expected, expected)
    assert statuses(last.pk) == ["queued", expected]
    assert take_any() is None
    assert Task.objects.get(pk=follower.pk).error_type == ("DependencyFailed" if choice == "fail" else "")


def test_a_long_chain_ends_without_a_deep_stack(put: Put, take: Take) -> None:
    before = put()
    first = before
    for _task in range(150):
        before = put(depends_on=[before.pk])
    services.cancel(task=first, actor=SYSTEM)
    assert Task.objects.filter(status="failed").count() == 150


def test_a_dependency_that_ends_at_the_same_moment_is_not_missed(put: Put, take: Take, member: User) -> None:
    firsts = [put() for _task in range(10)]
    held = [take() for _task in firsts]
    after: list[Task] = []

    def both(number: int) -> None:
        index, is_end = divmod(number, 2)
        if is_end:
            services.succeed(claim=held[index], result=None)
        else:
            after.append(put(depends_on=[held[index].task_id]))

    at_once(both, 20)
    assert len(after) == 10
    assert Task.objects.filter(status="queued", dependencies_left=0).count() == 10
    assert not TaskDependency.objects.exists()


@pytest.mark.parametrize(
    "bad", [{"depends_on": [uuid.uuid4()]}, {"depends_on": [uuid.uuid4() for _ in range(101)]}], ids=["unknown", "many"]
)
def test_wrong_dependencies_are_refused(put: Put, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        put(**bad)
    assert not Task.objects.exists()


def test_nobody_waits_for_what_they_may_not_see(put: Put, admin: User, agent: Agent) -> None:
    foreign = services.submit(owner=admin, agent=agent, input="x").task
    with pytest.raises(InvalidInput):
        put(depends_on=[foreign.pk])


def wait_for_children(claim: Claim, *children: Task) -> str:
    ids = [child.pk for child in children]
    return services.wait(claim=claim, waiting_for=WaitingFor.CHILDREN, children=ids)


def test_a_parent_goes_on_when_its_children_have_ended(put: Put, take: Take) -> None:
    parent = put()
    held = take()
    children = [put(parent=parent) for _child in range(2)]
    assert wait_for_children(held, *children) == "waiting"
    services.succeed(claim=take(), result="one")
    assert status_of(parent) == "waiting"
    services.fail(claim=take(), failure=BROKEN)
    again = take()
    assert (again.task_id, again.resume_with, again.failures) == (parent.pk, True, 0)
    assert statuses(parent.pk) == ["queued", "running", "waiting", "queued", "running"]


def test_children_that_have_ended_already_do_not_hold_their_parent_up(put: Put, take: Take) -> None:
    parent = put()
    held = take()
    child = put(parent=parent)
    services.succeed(claim=take(), result=None)
    wait_for_children(held, child)
    assert status_of(parent) == "queued"


def test_a_cancelled_child_lets_its_parent_go_on(put: Put, take: Take) -> None:
    parent = put()
    held = take()
    child = put(parent=parent)
    wait_for_children(held, child)
    services.cancel(task=child, actor=SYSTEM)
    assert status_of(parent) == "queued"


def test_a_cancelled_parent_takes_its_children_with_it(put: Put, take: Take) -> None:
    parent = put()
    held = take()
    running, queued = put(parent=parent), put(parent=parent)
    grandchild = put(parent=queued)
    take()
    wait_for_children(held, running, queued)
    services.cancel(task=parent, actor=SYSTEM)
    services.sweep()
    services.sweep()
    assert (status_of(parent), status_of(queued), status_of(grandchild)) == ("cancelled",) * 3
    assert Task.objects.get(pk=running.pk).cancel_requested_at is not None
    assert not TaskDependency.objects.filter(task=queued).exists()


def test_a_parent_that_has_ended_gets_no_more_children(put: Put) -> None:
    parent = put()
    services.cancel(task=parent, actor=SYSTEM)
    with pytest.raises(IllegalTransition):
        put(parent=parent)


def test_a_task_cannot_wait_for_its_parent_nor_be_nested_for_ever(put: Put) -> None:
    parent = put()
    with pytest.raises(InvalidInput):
        put(parent=parent, depends_on=[parent.pk])
    for _level in range(8):
        parent = put(parent=parent)
    with pytest.raises(InvalidInput):
        put(parent=parent)


def test_a_task_that_nobody_starts_in_time_fails(put: Put, take: Take) -> None:
    late, started = put(queue_seconds=60), put(queue_seconds=60, priority="high")
    held = take()
    assert held.task_id == started.pk
    services.fail(claim=held, failure=Failure("Busy", "Later."))
    Task.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    Task.objects.filter(pk=late.pk).update(start_by=timezone.now() - timedelta(seconds=1))
    assert take_any() is None
    assert services.sweep().late == 1
    task = Task.objects.get(pk=late.pk)
    assert (task.status, task.error_type) == ("failed", "QueueTimeLimitReached")
    assert status_of(started) == "queued"


def test_waiting_ends_when_nobody_comes(put: Put, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    task = put(serial_key="s")
    assert services.wait(claim=take(), waiting_for=WaitingFor.INPUT, seconds=60) == "waiting"
    assert services.sweep().expired == 0
    Task.objects.update(waits_until=timezone.now() - timedelta(seconds=1))
    assert services.sweep().expired == 1
    task.refresh_from_db()
    assert (task.status, task.error_type, task.waiting_for) == ("failed", "WaitExpired", "")


def test_a_room_above_may_decide_what_becomes_of_it(put: Put, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "_expiries", {})
    sweeping.on_expiry(
        WaitingFor.APPROVAL, lambda task: services.queue_again(task, resume_with="expired", reason="expired")
    )
    task = put()
    services.wait(claim=take(), waiting_for=WaitingFor.APPROVAL, seconds=-1)
    assert services.sweep().expired == 1
    assert status_of(task) == "queued"
    assert take().resume_with == "expired"


def test_an_answer_lets_a_task_go_on(put: Put, take: Take) -> None:
    task = put()
    with pytest.raises(IllegalTransition):
        services.resume(task=task, value=1, actor=SYSTEM)
    services.wait(claim=take(), waiting_for=WaitingFor.INPUT, data={"question": "How many?"})
    services.resume(task=task, value={"answer": [42]}, actor=SYSTEM)
    held = take()
    assert (held.resume_with, held.fence) == ({"answer": [42]}, 2)
    services.succeed(claim=held, result="done")
    assert statuses(task.pk) == ["queued", "running", "waiting", "queued", "running", "succeeded"]


def test_who_shall_be_cancelled_does_not_wait(put: Put, take: Take) -> None:
    task = put()
    held = take()
    services.cancel(task=task, actor=SYSTEM)
    assert services.wait(claim=held, waiting_for=WaitingFor.INPUT) == "cancelled"
    assert status_of(task) == "cancelled"


@pytest.mark.parametrize(
    ("decision", "expected"), [("continue", "queued"), ("succeed", "succeeded"), ("fail", "failed")]
)
def test_a_person_decides_about_a_task_that_needs_review(put: Put, take: Take, decision: str, expected: str) -> None:
    task = put()
    assert services.review(claim=take(), failure=Failure("Unsure", "Was it done?")) == "needs_review"
    current = services.finish_review(task=task, actor=SYSTEM, decision=decision, result={"text": "it was"})
    assert (current.status, status_of(task)) == (expected, expected)
    assert Task.objects.get().result == ({"text": "it was"} if decision == "succeed" else None)
    with pytest.raises(IllegalTransition):
        services.finish_review(task=task, actor=SYSTEM, decision=decision)


def test_many_are_accepted_together_or_not_at_all(put: Put, member: User, agent: Agent) -> None:
    wanted = [{"agent": agent, "input": f"{number}", "idempotency_key": f"k{number}"} for number in range(20)]
    submitted = services.submit_many(owner=member, requests=wanted)
    assert [each.created for each in submitted] == [True] * 20
    assert [each.created for each in services.submit_many(owner=member, requests=wanted)] == [False] * 20
    with pytest.raises(InvalidInput):
        services.submit_many(owner=member, requests=[{"agent": agent, "input": "a"}, {"agent": agent, "input": ""}])
    assert Task.objects.count() == 20
