"""An agent to submit to, tasks in every state, and a real web server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from django.db import connection
from django.utils import timezone

from accounts.audit import SYSTEM
from accounts.issuing import issue_api_key
from accounts.models import User
from agents.definitions import cache as definitions_cache
from agents.definitions.models import Agent, AgentVersion
from agents.tasks import attempts
from agents.tasks.data import NOTHING, Claim
from agents.tasks.models import Task
from agents.tasks.services import submit
from agents.tools.models import Approval, ToolCall

TASKS = "/api/v1/tasks"


@pytest.fixture
def agent(db: None) -> Iterator[Agent]:
    """An agent that nobody runs unless a test does."""
    definitions_cache.forget()
    made = Agent.objects.create(slug="echo", name="Echo", description="Repeats what it hears.")
    made.current_version = AgentVersion.objects.create(agent=made, number=1, digest="d" * 64, model="scripted:echo")
    made.save()
    yield made
    definitions_cache.forget()


Submit = Callable[..., Task]


@pytest.fixture
def submitted(agent: Agent) -> Submit:
    """Submits a task of somebody."""

    def make(owner: User, **options: Any) -> Task:
        return submit(owner=owner, agent=agent, **({"input": "hello"} | options)).task

    return make


def run_next(result: Any = None) -> Claim:
    """Does what a worker does with the next task: claim it, finish it."""
    claim = attempts.claim(queues=["interactive"], worker="test")
    assert claim is not None
    attempts.succeed(claim=claim, result=result if result is not None else {"text": "done"}, usage=NOTHING)
    return claim


def approval_of(task: Task, **changes: Any) -> Approval:
    """A call of this task that needs a person's word."""
    made = ToolCall.objects.create(
        task=task, key=f"key-{ToolCall.objects.count()}", name="pay", arguments={"to": "Ana", "amount": 5},
        effects="once", state="awaiting", fence=1,
    )  # fmt: skip
    schema = {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "integer"}}}
    given = {"expires_at": timezone.now() + timedelta(hours=1)} | changes
    return Approval.objects.create(
        task=task, tool_call=made, tool="pay", arguments=made.arguments, arguments_schema=schema, **given
    )


@pytest.fixture
def server(transactional_db: None) -> Iterator[str]:
    """A real uvicorn over this process's database; gives its address."""
    from mutirao.asgi import application

    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()
    connection.close()


@pytest.fixture
def client_of(server: str) -> Iterator[Callable[[User], httpx.Client]]:
    """An HTTP client of the real server with a key of somebody's."""
    clients: list[httpx.Client] = []

    def make(user: User) -> httpx.Client:
        issued = issue_api_key(owner=user, name=f"tests {len(clients)}", actor=SYSTEM)
        headers = {"Authorization": f"Bearer {issued.key}"}
        clients.append(httpx.Client(base_url=server, headers=headers, timeout=30))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
