"""An agent, tasks in every state, and people who look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions import cache
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services as tasks
from agents.tasks.data import Failure
from agents.tasks.models import Task

Made = Callable[..., Task]


@pytest.fixture
def agent(db: None) -> Iterator[Agent]:
    """An agent that nobody runs unless a test does."""
    cache.forget()
    yield create_agent(slug="echo", name="Echo", description="Repeats what it hears.", model="scripted:echo")
    cache.forget()


@pytest.fixture
def made(agent: Agent) -> Made:
    """Makes a task of somebody in this state: queued, running, succeeded, failed or cancelled."""

    def make(owner: User, status: str = "queued", text: str = "hello") -> Task:
        task = tasks.submit(owner=owner, agent=agent, input=text, queue=f"q-{status}").task
        if status == "cancelled":
            tasks.cancel(task=task, actor=SYSTEM)
        elif status != "queued":
            _run(task, status)
        task.refresh_from_db()
        return task

    return make


def _run(task: Task, status: str) -> None:
    claim = tasks.claim(queues=[task.queue], worker="test")
    assert claim is not None
    if status == "succeeded":
        tasks.succeed(claim=claim, result={"text": "It <b>worked</b>."})
    if status == "failed":
        failure = Failure("Broken", "It broke for a reason.", traceback="Traceback: secret place", retryable=False)
        tasks.fail(claim=claim, failure=failure)
