"""An agent, and schedules that were due a while ago; the broker's bell is a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions import cache
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.schedules.models import Schedule, ScheduledRun
from agents.schedules.services import create_schedule
from agents.tasks import storage, telling

QUEUE = "schedule-tests"
MINUTE = timedelta(minutes=1)

Made = Callable[..., Schedule]


@pytest.fixture
def agent(db: None) -> Iterator[Agent]:
    cache.forget()
    yield create_agent(slug="helper", queue=QUEUE)
    cache.forget()


@pytest.fixture(autouse=True)
def bells(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues for which somebody rang, in this order."""
    rung: list[str] = []
    monkeypatch.setattr(telling, "_send", rung.append)
    monkeypatch.setattr(telling, "_quiet_until", 0.0)
    return rung


@pytest.fixture
def made(agent: Agent, member: User) -> Made:
    """Makes a schedule of the member's, every minute."""

    def make(**fields: Any) -> Schedule:
        usual: dict[str, Any] = {"name": f"schedule {Schedule.objects.count()}", "agent": "helper", "input": "hello"}
        when: dict[str, Any] = {} if {"cron", "every_seconds"} & fields.keys() else {"every_seconds": 60}
        given: dict[str, Any] = {"owner": member, "actor": SYSTEM} | usual | when | fields
        return create_schedule(**given)

    return make


def make_due(schedule: Schedule, *, ago: timedelta = timedelta(seconds=1)) -> datetime:
    """As if it had been made so long ago, and nobody had fired it since `ago`: gives the first due time."""
    due = storage.read_clock() - ago
    anchor = due - timedelta(seconds=schedule.every_seconds or 0)
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=due, created_at=anchor)
    return due


def outcomes(schedule: Schedule) -> list[tuple[str, int]]:
    """What came of its due times, and of how many, in their order."""
    return [*ScheduledRun.objects.filter(schedule=schedule).order_by("due_at").values_list("outcome", "times")]
