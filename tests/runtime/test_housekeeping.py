"""Checkpoints go when their task has ended, and not before."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from agents.runtime.control import RunControl
from agents.runtime.execution import execute
from agents.runtime.housekeeping import forget, forget_finished
from agents.runtime.models import Checkpoint, CheckpointWrite
from agents.tasks.models import Task
from tests.runtime.conftest import Desk
from tests.runtime.test_execution import agent, line

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def claims(desk: Desk) -> list[Any]:
    definition = agent("keeper", line(("a", lambda _state: {"trail": ["x"]})))
    claims = [desk.claim(definition, {"trail": []}) for _ in range(3)]
    for claim in claims:
        execute(claim, RunControl())
    return claims


def threads() -> set[str]:
    assert set(CheckpointWrite.objects.values_list("thread_id")) == set(Checkpoint.objects.values_list("thread_id"))
    return {*Checkpoint.objects.values_list("thread_id", flat=True)}


def test_those_of_ended_and_deleted_tasks_go_and_those_of_running_ones_stay(claims: list[Any]) -> None:
    ended, deleted, running = (claim.task_id for claim in claims)
    Task.objects.filter(pk=ended).update(status="failed", lease_expires_at=None, finished_at=timezone.now())
    Task.objects.filter(pk=deleted).delete()
    assert len(threads()) == 3

    assert forget_finished() == 2
    assert threads() == {str(running)}
    assert forget_finished() == 0


def test_threads_of_other_makers_are_left_alone() -> None:
    Checkpoint.objects.create(thread_id="notebook", checkpoint_id="1", encoding="null", state=b"")

    assert forget_finished() == 0
    assert Checkpoint.objects.count() == 1


def test_one_task_can_be_made_to_begin_anew(claims: list[Any]) -> None:
    forget(task_ids=[claims[0].task_id, uuid.uuid4()])

    assert threads() == {str(claim.task_id) for claim in claims[1:]}
