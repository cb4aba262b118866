"""An agent to submit to, somebody who submits and somebody who works; the broker's bell is a list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from accounts import ledger
from accounts.audit import SYSTEM
from accounts.limits import create_quota
from accounts.models import Quota, User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import bus, hooks, telling
from agents.tasks.data import Claim, NewEvent, Usage
from agents.tasks.exceptions import NoQuotaLeft
from agents.tasks.models import Task, TaskEvent
from agents.tasks.services import claim, submit

QUEUE = "tasks-tests"

Put = Callable[..., Task]
Take = Callable[[], Claim]
MakeQuota = Callable[..., Quota]
# A task of a fixed price.
CENTS_5 = {"cost": "0.05"}


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="helper", queue=QUEUE)


@pytest.fixture
def put(agent: Agent, member: User) -> Put:
    """Submits a task of the member's."""
    usual: dict[str, Any] = {"owner": member, "agent": agent, "input": "hello"}
    return lambda **options: submit(**(usual | options)).task


@pytest.fixture
def quota(member: User, settings: Any) -> MakeQuota:
    """Makes quotas, of the member unless said otherwise, 1.00 a month. Nothing about them is remembered."""
    settings.TASK_SETTINGS_CACHE_SECONDS = 0
    ledger.forget()

    def make(**options: Any) -> Quota:
        usual: dict[str, Any] = {"subject": "user:member", "unit": "cost", "period": "month", "amount": Decimal("1.00")}
        if options.get("unit") == "unfinished":
            usual["period"] = ""
        return create_quota(actor=SYSTEM, **(usual | options))

    return make


def stands(quota: Quota) -> tuple[Any, Any]:
    """Spent and reserved, in all periods."""
    found = quota.periods.aggregate(spent=Sum("spent"), reserved=Sum("reserved"))
    return Decimal(found["spent"] or 0), Decimal(found["reserved"] or 0)


def spend(cost: str = "0", tokens: int = 0) -> Usage:
    return Usage(input_tokens=tokens, output_tokens=0, cost=Decimal(cost))


def accepted(put: Put, **options: Any) -> bool:
    try:
        put(**options)
    except NoQuotaLeft:
        return False
    return True


def take_any() -> Claim | None:
    """What a worker does when it is idle."""
    return claim(queues=[QUEUE], worker="tests", celery_id="celery-1")


@pytest.fixture
def take() -> Take:
    """Claims the next task, which has to be there."""

    def next_one() -> Claim:
        found = take_any()
        assert found is not None
        return found

    return next_one


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues for which somebody rang, in this order."""
    rung: list[str] = []
    monkeypatch.setattr(telling, "_send", rung.append)
    return rung


@pytest.fixture(autouse=True)
def _quiet_world(bells: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else's hooks, and no silence left over from another test's failure."""
    monkeypatch.setattr(hooks, "_hooks", [])
    monkeypatch.setattr(telling, "_quiet_until", 0.0)
    monkeypatch.setattr(bus, "_quiet_until", 0.0)


def piece(text: str = "piece") -> NewEvent:
    """A piece of a message."""
    return NewEvent(TaskEvent.Kind.MESSAGE, {"text": text}, datetime.now(UTC))


def raise_fence(task_id: Any) -> None:
    """What a sweeper and the next worker do while the first one is away: the task runs under a newer fence."""
    task = Task.objects.get(pk=task_id)
    Task.objects.filter(pk=task_id).update(fence=task.fence + 1)


def let_lease_expire(task_id: Any, *, seconds: float = 1) -> None:
    """As if its worker had not renewed the lease for long enough."""
    Task.objects.filter(pk=task_id).update(lease_expires_at=timezone.now() - timedelta(seconds=seconds))


def statuses(task_id: Any) -> list[str]:
    """The states it has gone through, as its log has them."""
    events = TaskEvent.objects.filter(task_id=task_id, kind="status").order_by("number")
    return [event.data["status"] for event in events]


def numbers(task_id: Any) -> list[int]:
    """The numbers in its log."""
    return [*TaskEvent.objects.filter(task_id=task_id).order_by("number").values_list("number", flat=True)]


def snapshot(task_id: Any) -> tuple[Any, ...]:
    """Every stored value of a task, its attempts and its log."""
    with connection.cursor() as cursor:
        found = []
        name = task_id if connection.vendor == "postgresql" else task_id.hex
        for table, column in (("task", "id"), ("attempt", "task_id"), ("taskevent", "task_id")):
            cursor.execute(f"SELECT * FROM agents_tasks_{table} WHERE {column} = %s ORDER BY id", [name])  # noqa: S608
            found.append(tuple(cursor.fetchall()))
    return tuple(found)
