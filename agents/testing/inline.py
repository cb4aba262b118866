"""Running an agent here and now."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel

from accounts.models import User
from agents.definitions import AgentDefinition, registry
from agents.definitions.models import Agent
from agents.definitions.synchronisation import sync_agent
from agents.tasks import services as tasks
from agents.tasks.models import Task, TaskEvent
from agents.testing.scripts import named_model


@dataclass(frozen=True, slots=True)
class InlineRun:
    """What came of `run_agent_inline`: the task as it ended, and its events as pairs of kind and data."""

    task: Task
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What the agent said at last; empty when it failed or its result is no text."""
        result = self.task.result
        return str(result.get("text", "")) if isinstance(result, dict) else ""

    @property
    def tool_calls(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and arguments of every tool call, in order."""
        return [(data["name"], data["args"]) for kind, data in self.events if kind == TaskEvent.Kind.TOOL_CALL]

    @property
    def tool_results(self) -> list[tuple[str, Any]]:
        """Name and answer of every tool call, in order."""
        return [(data["name"], data["content"]) for kind, data in self.events if kind == TaskEvent.Kind.TOOL_RESULT]


def run_agent_inline(
    agent: type[AgentDefinition] | str,
    given: Any,
    *,
    model: BaseChatModel | None = None,
    user: User | None = None,
) -> InlineRun:
    """Runs an agent to its end in this process: accepted, claimed, executed and finished like any task, once. One that
    has to wait for a person, or for tasks of its own, ends up waiting.

    `agent` is a class, registered or not, or the slug of an agent; `given` is the task's input; `model` takes
    the place of the agent's own. An error of the agent is not raised: look at `task.status`,
    `task.error_type`. The test needs `django_db(transaction=True)`, because checkpoints are written over
    connections of their own.
    """
    with ExitStack() as stack:
        if model is not None:
            name = stack.enter_context(named_model(model))
            agent = _with_model(agent, name)
        if not isinstance(agent, str):
            stack.enter_context(_known(agent))
        slug = agent if isinstance(agent, str) else agent.slug
        row = Agent.objects.select_related("current_version").get(slug=slug)
        task = tasks.submit(owner=user or _tester(), agent=row, input=given, queue=_queue(), max_attempts=1).task
        _execute(task)
    task.refresh_from_db()
    return InlineRun(task=task, events=[*task.events.order_by("number").values_list("kind", "data")])


def _execute(task: Task) -> None:
    # Imported here because the gateway imports this module for its models, and stands below the runtime.
    from agents.runtime.control import RunControl
    from agents.runtime.execution import execute
    from agents.runtime.failures import failure_of
    from agents.runtime.pausing import RunPaused, finish_paused

    claim = tasks.claim(queues=[task.queue], worker="inline")
    if claim is None:
        raise AssertionError("The task cannot be claimed.")
    control = RunControl()
    try:
        done = execute(claim, control)
    except Exception as error:
        tasks.fail(claim=claim, failure=failure_of(error), usage=control.usage)
    else:
        if isinstance(done, RunPaused):
            finish_paused(claim, done)
            return
        tasks.succeed(claim=claim, result=done.result, usage=done.usage, events=done.events)


def _with_model(agent: type[AgentDefinition] | str, name: str) -> type[AgentDefinition]:
    definition = registry.get(agent) if isinstance(agent, str) else agent
    return type(definition.__name__, (definition,), {"model": name, "__module__": definition.__module__})


@contextmanager
def _known(definition: type[AgentDefinition]) -> Iterator[None]:
    """While inside, the registry and the agent's row say what this class says."""
    with registry.replaced(definition):
        sync_agent(definition)
        yield


def _queue() -> str:
    """A queue of its own, which no worker takes from."""
    return f"inline-{uuid.uuid4().hex[:12]}"


def _tester() -> User:
    return User.objects.get_or_create(username="tester")[0]
