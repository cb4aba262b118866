"""An agent, a conversation with it, and a worker that needs no model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.memory.models import Conversation
from agents.memory.services import start_conversation
from agents.tasks.data import NOTHING, Claim, Failure
from agents.tasks.services import claim, fail, succeed

QUEUE = "memory-tests"

Work = Callable[..., Claim | None]


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="companion", queue=QUEUE)


@pytest.fixture
def conversation(agent: Agent, member: User) -> Conversation:
    return start_conversation(owner=member, agent=agent)


@pytest.fixture
def take() -> Callable[[], Claim | None]:
    """Claims the next task, as a worker does."""
    return lambda: claim(queues=[QUEUE], worker="tests")


@pytest.fixture
def answer() -> Callable[[Claim, Any], None]:
    """Finishes a claimed task with a result; with a text as `{"text": …}`."""

    def finish(claimed: Claim, result: Any) -> None:
        succeed(claim=claimed, result={"text": result} if isinstance(result, str) else result, usage=NOTHING)

    return finish


@pytest.fixture
def give_up() -> Callable[[Claim], None]:
    """Fails a claimed task for good."""

    def finish(claimed: Claim) -> None:
        fail(claim=claimed, failure=Failure("Broken", "It broke.", retryable=False), usage=NOTHING)

    return finish
