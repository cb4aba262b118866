"""Queues that are paused, full or unknown, and the policy of an agent for its tasks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.exceptions import InvalidAgent
from agents.definitions.policy import Policy
from agents.definitions.services import create_agent
from agents.tasks import queues, services
from agents.tasks.data import Failure
from agents.tasks.exceptions import InvalidInput, QueueFull
from agents.tasks.models import Task
from tests.tasks.conftest import QUEUE, Put, Take, take_any

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_paused_queue_starts_nothing_and_loses_nothing(put: Put, bells: list[str]) -> None:
    queues.change(name=QUEUE, is_paused=True, actor=SYSTEM)
    put()
    bells.clear()
    assert take_any() is None
    queues.change(name=QUEUE, is_paused=False, actor=SYSTEM)
    assert bells == [QUEUE]
    assert take_any() is not None


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(put: Put, take: Take) -> None:
    queues.change(name=QUEUE, most_waiting=2, actor=SYSTEM)
    put()
    put()
    with pytest.raises(QueueFull):
        put()
    assert Task.objects.count() == 2
    take()
    put()


@override_settings(QUEUE_MOST_WAITING=1)
def test_a_queue_without_a_row_has_the_bound_of_the_installation(put: Put) -> None:
    put()
    with pytest.raises(QueueFull):
        put()


def test_a_queue_far_from_its_bound_is_not_counted_for_every_task(put: Put, django_assert_num_queries: Any) -> None:
    queues.change(name=QUEUE, most_waiting=10_000, actor=SYSTEM)
    put()
    with django_assert_num_queries(0):
        queues.check_room(QUEUE)


def test_a_caller_may_choose_a_queue_that_exists(put: Put) -> None:
    assert put(queue="background").queue == "background"
    for known in ("background", QUEUE):
        queues.check_known(known)
    with pytest.raises(InvalidInput):
        queues.check_known("nobody")
    queues.change(name="nobody", actor=SYSTEM)
    queues.check_known("nobody")


def test_an_agent_says_how_its_tasks_are_tried_again(member: User) -> None:
    policy = {"max_attempts": 5, "first_pause": 100, "pause_factor": 3, "longest_pause": 500, "not_retry_on": ["Worse"]}
    agent = create_agent(slug="patient", queue=QUEUE, policy=policy)
    task = services.submit(owner=member, agent=agent, input="x").task
    assert task.max_attempts == 5
    assert services.submit(owner=member, agent=agent, input="x", max_attempts=2).task.max_attempts == 2
    held = take_any()
    assert held is not None
    assert services.fail(claim=held, failure=Failure("Busy", "Later.")) == "queued"
    again = Task.objects.get(pk=held.task_id)
    assert again.not_before is not None
    assert again.started_at is not None
    assert 45 < (again.not_before - again.started_at).total_seconds() < 105
    Task.objects.update(not_before=None)
    held = take_any()
    assert held is not None
    assert services.fail(claim=held, failure=Failure("Worse", "Never.", retryable=True)) == "failed"


def test_errors_that_are_named_are_tried_again_and_no_others() -> None:
    policy = Policy.of({"retry_on": ["TimeoutError"]})
    assert policy.retries("TimeoutError", retryable=False)
    assert not policy.retries("ValueError", retryable=True)
    assert Policy().retries("ValueError", retryable=True)
    assert not Policy.of({"not_retry_on": ["ValueError"]}).retries("ValueError", retryable=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0}, {"max_attempts": 2.5}, {"first_pause": True}, {"if_busy": "explode"}, {"unknown": 1},
        {"retry_on": "TimeoutError"}, {"queue_seconds": "10"}, {"on_changed_code": "maybe"},
    ],
)  # fmt: skip
def test_a_policy_that_says_nothing_sensible_is_refused(db: None, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidAgent) as refused:
        create_agent(slug="odd", policy=wrong)
    assert [*refused.value.errors] == ["policy"]
