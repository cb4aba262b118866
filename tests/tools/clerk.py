"""A task whose agent calls tools: what a worker and people do with it, step by step, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.models import User
from agents.definitions import AgentDefinition, registry
from agents.definitions.models import Agent
from agents.definitions.synchronisation import sync_agent
from agents.runtime import group_commit
from agents.runtime.control import RunControl
from agents.runtime.execution import execute
from agents.runtime.graphs import forget_graphs
from agents.runtime.storage import store
from agents.tasks import services as tasks
from agents.tasks.models import Task
from agents.testing import ScriptedChatModel
from agents.testing.scripts import named_model
from agents.worker import runs
from agents.worker.keeper import Keeper

QUEUE = "interactive"


class Crash(BaseException):
    """The process is gone: nothing is written any more, and nobody catches it."""


@contextmanager
def employed(definition: type[AgentDefinition], *replies: Any) -> Iterator[Agent]:
    """While inside, this agent is installed and its model says what is given."""
    with ExitStack() as stack:
        name = stack.enter_context(named_model(ScriptedChatModel(replies=replies)))
        changes = {"model": name, "__module__": definition.__module__}
        known: type[AgentDefinition] = type(definition.__name__, (definition,), changes)
        stack.enter_context(registry.replaced(known))
        stack.callback(forget_graphs)
        sync_agent(known)
        yield Agent.objects.select_related("current_version").get(slug=known.slug)


def submitted(agent: Agent, owner: User, given: Any = "Go on.", **options: Any) -> Task:
    """A task of this agent."""
    return tasks.submit(owner=owner, agent=agent, input=given, **options).task


def work(task: Task) -> str:
    """What a worker does: one attempt at the next task, from claim to end; the status of this task then."""
    claim = tasks.claim(queues=[task.queue], worker="tests")
    assert claim is not None
    runs.run(claim, Keeper())
    return status_of(task)


def crash(task: Task) -> None:
    """One attempt whose process dies where a `Crash` is raised; then the sweeper finds that out."""
    claim = tasks.claim(queues=[task.queue], worker="tests")
    assert claim is not None
    with pytest.MonkeyPatch.context() as patch:
        # The dead do not write.
        patch.setattr(group_commit, "store", _unless_dead(store))
        try:
            execute(claim, RunControl())
        except (Crash, OperationalError):
            died.clear()
        else:
            raise AssertionError("it did not crash")
    bury(task)


died: list[bool] = []


def die() -> NoReturn:
    """The end of the process, as far as the database can tell."""
    died.append(True)
    raise Crash


def _unless_dead(write: Callable[..., None]) -> Callable[..., None]:
    def checked(*args: Any, **kwargs: Any) -> None:
        if died:
            raise OperationalError("the process is gone")
        write(*args, **kwargs)

    return checked


def bury(task: Task) -> None:
    """The lease of an attempt whose process is gone ends, and its task is queued again, not suspected of anything."""
    Task.objects.filter(pk=task.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    Task.objects.filter(pk=task.pk).update(is_suspect=False, not_before=None)


def status_of(task: Task) -> str:
    """As the row has it."""
    task.refresh_from_db()
    return task.status


def text_of(task: Task) -> str:
    """What its agent has said at last."""
    assert isinstance(task.result, dict)
    return str(task.result["text"])
