"""Concurrency limits: no more tasks of an agent, a user or a key run at a time than there are slots."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import ApiKey, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services, slots
from agents.tasks.data import Claim, Failure
from agents.tasks.models import ConcurrencyLimit, Slot, Task, WaitingFor
from tests.tasks.conftest import QUEUE, Put, Take, let_lease_expire, take_any
from tests.tasks.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def key(member: User) -> ApiKey:
    return issue_api_key(owner=member, name="k", scopes=["tasks:write"], actor=SYSTEM).row


def taken() -> int:
    return Slot.objects.filter(task__isnull=False).count()


@pytest.mark.parametrize("subject", ["agent", "owner", "api_key"])
def test_no_more_than_there_are_slots_run(put: Put, take: Take, member: User, key: ApiKey, subject: str) -> None:
    subjects: dict[str, Any] = {"agent": Agent.objects.get(), "owner": member, "api_key": key}
    slots.set_limit(most_running=2, actor=SYSTEM, **{subject: subjects[subject]})
    for _task in range(5):
        put(api_key=key)
    first, second = take(), take()
    assert (take_any(), taken()) == (None, 2)
    services.succeed(claim=first, result=None)
    third = take()
    assert (take_any(), taken()) == (None, 2)
    services.fail(claim=second, failure=Failure("Busy", "Later."))
    fourth = take()
    services.hand_back(claim=fourth)
    fourth = take()
    services.wait(claim=fourth, waiting_for=WaitingFor.INPUT)
    assert take_any() is not None
    services.succeed(claim=third, result=None)
    assert taken() == 1


def test_a_full_limit_holds_up_nobody_else(put: Put, take: Take, admin: User, agent: Agent, member: User) -> None:
    slots.set_limit(most_running=1, actor=SYSTEM, owner=member)
    for _task in range(3):
        put(priority="high")
    other = services.submit(owner=admin, agent=agent, input="x").task
    assert take().owner_id == member.pk
    assert take().task_id == other.pk
    assert take_any() is None


def test_a_task_needs_a_slot_of_every_limit(put: Put, take: Take, member: User, agent: Agent) -> None:
    slots.set_limit(most_running=3, actor=SYSTEM, owner=member)
    slots.set_limit(most_running=1, actor=SYSTEM, agent=agent)
    other = create_agent(slug="other", queue=QUEUE)
    put()
    put()
    put(agent=other)
    put(agent=other)
    assert {take().task_id for _task in range(3)} == set(
        Task.objects.filter(status="running").values_list("pk", flat=True)
    )
    assert (take_any(), taken()) == (None, 4)


def test_many_workers_at_once_never_pass_the_limit(put: Put, agent: Agent) -> None:
    slots.set_limit(most_running=3, actor=SYSTEM, agent=agent)
    for _task in range(24):
        put()
    most: list[int] = []

    def work(_number: int) -> int:
        done = 0
        while (held := take_any()) is not None:
            most.append(Task.objects.filter(status="running").count())
            services.succeed(claim=held, result=None)
            done += 1
        return done

    done = sum(at_once(work, 8))
    while (held := take_any()) is not None:
        services.succeed(claim=held, result=None)
        done += 1
    assert (done, taken()) == (24, 0)
    assert max(most) <= 3


def test_a_limit_that_is_made_while_nobody_looks_counts_at_once(put: Put, take: Take, agent: Agent) -> None:
    """Another process has made it: this one still remembers that there is none."""
    assert not slots.exist()
    limit = ConcurrencyLimit.objects.create(agent=agent, most_running=1)
    slots.fit_slots(limit)
    put()
    put()
    assert take_any() is None, "what is not known to be free is not claimed"
    slots.exist.forget()
    take()
    assert take_any() is None


def test_what_a_dead_worker_held_is_free_again(put: Put, take: Take, agent: Agent) -> None:
    slots.set_limit(most_running=1, actor=SYSTEM, agent=agent)
    put()
    put()
    held = take()
    let_lease_expire(held.task_id)
    services.sweep()
    assert taken() == 0
    assert take().task_id != held.task_id
    Task.objects.filter(status="running").delete()
    assert taken() == 0


def test_a_slot_that_was_left_taken_is_found(put: Put, agent: Agent) -> None:
    slots.set_limit(most_running=1, actor=SYSTEM, agent=agent)
    Slot.objects.update(task=put())
    assert services.sweep().slots_freed == 1


def test_limits_grow_shrink_and_go(put: Put, take: Take, agent: Agent) -> None:
    limit = slots.set_limit(most_running=3, actor=SYSTEM, agent=agent)
    for _task in range(4):
        put()
    held = [take() for _task in range(3)]
    assert slots.set_limit(most_running=1, actor=SYSTEM, agent=agent) == limit
    for claim in held[1:]:
        services.succeed(claim=claim, result=None)
    assert take_any() is None
    slots.remove_limit(limit=limit, actor=SYSTEM)
    services.succeed(claim=held[0], result=None)
    assert isinstance(take(), Claim)
    assert Slot.objects.count() == 0


def test_a_limit_is_of_one_subject(agent: Agent, member: User) -> None:
    for wrong in ({}, {"agent": agent, "owner": member}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ConcurrencyLimit.objects.create(most_running=1, **wrong)
