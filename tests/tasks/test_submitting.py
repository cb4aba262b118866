"""Accepting a task: what is refused, what is kept, and that the same request twice is one task."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import inputs
from agents.tasks.data import Limits
from agents.tasks.exceptions import IdempotencyConflict, IllegalTransition, InvalidInput
from agents.tasks.models import Priority, Task, TaskEvent
from agents.tasks.services import submit
from tests.tasks.conftest import QUEUE, Put
from tests.tasks.threads import at_once


def nested(depth: int) -> Any:
    """An object with so many objects within each other."""
    value: Any = {}
    for _ in range(depth):
        value = {"in": value}
    return value


MESSAGE = {"role": "user", "content": "hi"}

REFUSED = {
    "nothing": None,
    "a number": 7,
    "a list": ["hello"],
    "an empty string": "",
    "white space": " \n\t",
    "a NUL": "a\x00b",
    "a NUL in a value": {"text": "a\x00b"},
    "a NUL in a name": {"a\x00b": 1},
    "a NUL deep inside": {"list": [{"text": ["\x00"]}]},
    "half a surrogate pair": "\ud83d",
    "half a surrogate pair in a name": {"\udc00": 1},
    "NaN": {"number": math.nan},
    "infinity": {"number": [math.inf]},
    "minus infinity": {"number": -math.inf},
    "too deep": nested(inputs.DEEPEST + 1),
    "messages that are a string": {"messages": "hi"},
    "no message": {"messages": []},
    "a message that is a string": {"messages": ["hi"]},
    "a message without a role": {"messages": [{"content": "hi"}]},
    "a message of an unknown role": {"messages": [{"role": "tool", "content": "hi"}]},
    "a message of a role that is a list": {"messages": [{"role": ["user"], "content": "hi"}]},
    "a message without content": {"messages": [{"role": "user"}]},
    "one wrong message among right ones": {"messages": [MESSAGE, {"role": "user"}]},
}
ACCEPTED = {
    "a word": "hello",
    "letters of any script": "olá 世界 🐝",
    "an object": {"value": 1},
    "an empty object": {},
    "messages": {"messages": [{"role": "system", "content": "Be brief."}, MESSAGE]},
    "as deep as may be": nested(inputs.DEEPEST),
    "numbers": {"numbers": [0, -1, 1.5, 0.1, 2**63], "null": None, "true": True},
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_or_run_is_refused_and_leaves_nothing(put: Put, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        put(input=REFUSED[name])
    assert str(refused.value)
    assert not Task.objects.exists()
    assert not TaskEvent.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_is_kept_as_it_was(put: Put, name: str) -> None:
    put(input=ACCEPTED[name])
    assert Task.objects.get().input == ACCEPTED[name]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "options",
    [
        {"metadata": {"text": "\x00"}},
        {"metadata": nested(inputs.DEEPEST + 1)},
        {"metadata": {"number": math.nan}},
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 256},
        {"idempotency_key": "ключ"},
        {"idempotency_key": "a\nb"},
        {"max_attempts": 0},
        {"max_attempts": inputs.MOST_ATTEMPTS + 1},
        {"priority": "urgent"},
        {"priority": 9},
        {"limits": {"euros": 1}},
        {"limits": {"seconds": 0}},
        {"limits": {"seconds": -1}},
        {"limits": {"seconds": 1.5}},
        {"limits": {"seconds": "soon"}},
        {"limits": {"seconds": True}},
        {"limits": {"seconds": inputs.MOST["seconds"] + 1}},
        {"limits": {"tokens": math.inf}},
        {"limits": {"steps": [1]}},
        {"limits": {"cost": math.nan}},
        {"limits": {"cost": "1e999999999"}},
    ],
    ids=str,
)
def test_wrong_terms_are_refused_and_leave_nothing(put: Put, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        put(**options)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("of_agent", "asked", "expected"),
    [
        ({}, None, (600, 50, None, None)),
        ({}, {"seconds": 5}, (5, 50, None, None)),
        ({"seconds": 30}, None, (30, 50, None, None)),
        ({"seconds": 30}, {"seconds": 5}, (5, 50, None, None)),
        ({"seconds": 30}, {"seconds": 500}, (30, 50, None, None)),
        ({"tokens": 100, "steps": 5}, {"tokens": 10, "steps": 50}, (600, 5, 10, None)),
        ({"cost": "0.5"}, {"cost": 2}, (600, 50, None, Decimal("0.5"))),
        ({"cost": 2}, {"cost": "0.25"}, (600, 50, None, Decimal("0.25"))),
        ({"seconds": 30}, {"seconds": None}, (30, 50, None, None)),
        ({}, {"seconds": "7"}, (7, 50, None, None)),
    ],
    ids=str,
)
def test_a_task_may_spend_what_was_asked_for_and_never_more_than_its_agent(
    of_agent: dict[str, Any], asked: dict[str, Any] | None, expected: tuple[Any, ...], settings: Any
) -> None:
    settings.TASK_LIMIT_SECONDS, settings.TASK_LIMIT_STEPS = 600, 50
    assert inputs.limits_of(of_agent, asked) == Limits(*expected)


@pytest.mark.django_db
def test_an_accepted_task_has_its_row_and_one_event(put: Put, member: User, agent: Agent) -> None:
    task = put(input="hello", priority="high", metadata={"ticket": 7}, request_id="request-1", trace_id="ab" * 16)
    row = Task.objects.get()
    assert row.pk == task.pk
    assert (row.owner, row.agent_version, row.status) == (member, agent.current_version, "queued")
    assert (row.queue, row.priority, row.metadata) == (QUEUE, Priority.HIGH, {"ticket": 7})
    assert (row.request_id, row.trace_id, row.fence, row.last_event) == ("request-1", "ab" * 16, 0, 1)
    assert row.runs_before == row.created_at - timedelta(minutes=10)
    event = TaskEvent.objects.get()
    assert (event.number, event.fence, event.kind, event.data) == (1, 0, "status", {"status": "queued"})


@pytest.mark.django_db
def test_an_agent_without_a_version_takes_no_task(member: User) -> None:
    agent = create_agent(slug="bare", queue=QUEUE)
    agent.current_version = None
    with pytest.raises(IllegalTransition):
        submit(owner=member, agent=agent, input="hello")
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_the_same_request_under_the_same_key_is_the_same_task(put: Put) -> None:
    first = put(idempotency_key="k", input={"a": 1, "b": 2})
    assert put(idempotency_key="k", input={"b": 2, "a": 1}).pk == first.pk
    assert Task.objects.count() == 1
    assert TaskEvent.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other",
    [
        {"input": "other"},
        {"priority": "low"},
        {"metadata": {"a": 1}},
        {"max_attempts": 1},
        {"limits": {"seconds": 1}},
        {"not_before": timezone.now()},
        {"serial_key": "s"},
        {"request_body_digest": "d" * 64},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_request_under_the_same_key_is_a_conflict(put: Put, other: dict[str, Any]) -> None:
    put(idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        put(idempotency_key="k", **other)
    assert Task.objects.count() == 1
    assert TaskEvent.objects.count() == 1


@pytest.mark.django_db
def test_a_key_belongs_to_its_owner(put: Put, outsider: User) -> None:
    assert put(idempotency_key="k").pk != put(idempotency_key="k", owner=outsider, input="other").pk


@pytest.mark.django_db
def test_without_a_key_every_request_is_a_task(put: Put) -> None:
    assert put().pk != put().pk


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_equal_requests_at_once_one_makes_the_task(member: User, agent: Agent, bells: list[str]) -> None:
    def send(_number: int) -> tuple[Any, bool]:
        submitted = submit(owner=member, agent=agent, input="hello", idempotency_key="k")
        return submitted.task.pk, submitted.created

    found = at_once(send, 16)
    assert len({task_id for task_id, _ in found}) == 1
    assert sum(created for _, created in found) == 1
    assert Task.objects.count() == 1
    assert TaskEvent.objects.count() == 1
    assert bells == [QUEUE]


@pytest.mark.django_db(transaction=True)
def test_sixteen_requests_at_once_without_a_key_are_sixteen_tasks(member: User, agent: Agent) -> None:
    """The control of the test above: what makes them one is the key."""
    found = at_once(lambda _number: submit(owner=member, agent=agent, input="hello").created, 16)
    assert sum(found) == 16
    assert Task.objects.count() == 16


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_different_requests_at_once_under_one_key_fifteen_conflict(member: User, agent: Agent) -> None:
    def send(number: int) -> str:
        try:
            submit(owner=member, agent=agent, input=f"hello {number}", idempotency_key="k")
        except IdempotencyConflict:
            return "conflict"
        return "made"

    assert sorted(at_once(send, 16)) == ["conflict"] * 15 + ["made"]
    assert Task.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_of_a_task_that_was_not_committed(put: Put, bells: list[str]) -> None:
    with transaction.atomic():
        put()
        transaction.set_rollback(True)
    assert not Task.objects.exists()
    assert bells == []
    with transaction.atomic():
        put()
        assert bells == []
    assert bells == [QUEUE]
