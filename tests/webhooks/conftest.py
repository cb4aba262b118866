"""A receiver that answers as it is told to, an agent, and tasks that end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.models import User
from agents.definitions.models import Agent
from agents.definitions.services import create_agent
from agents.tasks import services as tasks
from agents.tasks import telling
from agents.tasks.data import Claim, Failure
from agents.tasks.models import Task
from agents.webhooks import outbox, sending, services
from agents.webhooks.models import Delivery, Endpoint
from agents.webhooks.services import IssuedSecret, Wishes
from tests.webhooks.inbox import Inbox

QUEUE = "webhooks-tests"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _here(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine may be told; nobody remembers the owners of other tests; the broker's bell is silent."""
    settings.EGRESS_ALLOWED_HOSTS, settings.EGRESS_ALLOW_HTTP = ["127.0.0.1"], True
    monkeypatch.setattr(telling, "_send", lambda queue: None)
    monkeypatch.setattr(outbox, "_wakers", [])
    outbox.owners_with_endpoints.forget()
    yield
    outbox.owners_with_endpoints.forget()


@pytest.fixture
def agent(db: None) -> Agent:
    return create_agent(slug="helper", queue=QUEUE)


Put = Callable[..., Task]


@pytest.fixture
def put(agent: Agent, member: User) -> Put:
    """Submits a task of the member's."""
    usual: dict[str, Any] = {"owner": member, "agent": agent, "input": "hello"}
    return lambda **options: tasks.submit(**(usual | options)).task


def take_task() -> Claim:
    found = tasks.claim(queues=[QUEUE], worker="tests")
    assert found is not None
    return found


def end(status: str = "succeeded", result: Any = None) -> None:
    """Runs the next task to this end."""
    held = take_task()
    if status == "succeeded":
        tasks.succeed(claim=held, result=result if result is not None else {"text": "done"})
    elif status == "failed":
        tasks.fail(claim=held, failure=Failure("Broken", "It broke.", retryable=False))
    else:
        tasks.finish_cancelled(claim=held)


@pytest.fixture
def registered(member: User, inbox: Inbox) -> IssuedSecret:
    """An endpoint of the member's at the inbox."""
    return services.register_endpoint(owner=member, wishes=Wishes(inbox.url), actor=SYSTEM)


@pytest.fixture
def endpoint(registered: IssuedSecret) -> Endpoint:
    assert isinstance(registered.row, Endpoint)
    return registered.row


@pytest.fixture
def queued(put: Put, endpoint: Endpoint) -> Delivery:
    """A delivery that is due."""
    put()
    end()
    return Delivery.objects.get()


def send_next(now: datetime | None = None) -> str:
    """What a sender does with the next due delivery; the state it is left in, empty when none is due."""
    taken = sending.take(now=now)
    return sending.deliver(taken) if taken else ""


def later(**past: float) -> datetime:
    """So much after now."""
    return timezone.now() + timedelta(**past)
