"""Tasks that a worker has just claimed, agents made of code, and models that say what a test tells them
to.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from accounts.models import User
from agents.definitions import registry
from agents.definitions.definition import AgentDefinition
from agents.definitions.models import Agent, AgentVersion
from agents.definitions.services import installed_digest
from agents.runtime import run as run_module
from agents.runtime.connections import close_borrowed
from agents.runtime.graphs import forget_graphs
from agents.tasks.data import Claim, Limits
from agents.tasks.models import Task, TaskEvent


def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; fails after ten seconds."""
    pause = threading.Event()
    for _ in range(2_000):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError


class ToolModel(BaseChatModel):
    """Gives prepared answers, word by word, and takes tools without looking at them."""

    supply: Any
    before_piece: Any = None

    @property
    def _llm_type(self) -> str:
        return "prepared"

    def bind_tools(self, tools: Any, **kwargs: Any) -> ToolModel:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=next(self.supply))])

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        answer: AIMessage = next(self.supply)
        calls = [
            tool_call_chunk(id=call["id"], name=call["name"], args=json.dumps(call["args"]), index=index)
            for index, call in enumerate(answer.tool_calls)
        ]
        pieces = [AIMessageChunk(content=piece) for piece in re.findall(r"\S+\s*", str(answer.text))]
        for number, piece in enumerate(pieces or [AIMessageChunk(content="", tool_call_chunks=calls)]):
            if self.before_piece:
                self.before_piece(number)
            yield ChatGenerationChunk(message=piece)


@pytest.fixture(autouse=True)
def _closed_connections() -> Iterator[None]:
    yield
    close_borrowed()


Answers = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Makes every model give these answers in turn; gives the list of what models were made with."""
    made: list[dict[str, Any]] = []

    def prepare(
        *messages: str | AIMessage | Exception, before_piece: Callable[[int], object] | None = None
    ) -> list[dict[str, Any]]:
        queue = iter(messages)

        def following() -> Iterator[AIMessage]:
            for message in queue:
                if isinstance(message, Exception):
                    raise message
                yield AIMessage(message) if isinstance(message, str) else message

        supply = following()

        def chat_model(name: str, **given: Any) -> ToolModel:
            made.append({"name": name, **given})
            return ToolModel(supply=supply, before_piece=before_piece)

        monkeypatch.setattr(run_module, "chat_model", chat_model)
        return made

    return prepare


class Desk:
    """Hands out claims, as a worker would have taken them."""

    def __init__(self, owner: User) -> None:
        self.owner = owner

    def claim(
        self,
        definition: type[AgentDefinition],
        given: Any = "hello",
        *,
        steps: int = 20,
        serial_key: str | None = None,
        seconds: int = 60,
    ) -> Claim:
        """A new task of this agent in its first attempt."""
        registry.register(definition)
        agent, _ = Agent.objects.get_or_create(slug=definition.slug, defaults={"name": definition.title()})
        version, _ = AgentVersion.objects.get_or_create(
            agent=agent,
            number=1,
            defaults={"digest": installed_digest(definition.slug) or "", **definition.configuration().as_fields()},
        )
        now = datetime.now(UTC)
        task = Task.objects.create(
            owner=self.owner, agent=agent, agent_version=version, input=given, queue="interactive", runs_before=now,
            serial_key=serial_key, status="running", fence=1, lease_expires_at=now + timedelta(minutes=5),
        )  # fmt: skip
        return Claim(
            task_id=task.id, fence=1, attempt_id=1, agent_version_id=version.id, owner_id=self.owner.id,
            queue="interactive", input=given, serial_key=serial_key,
            limits=Limits(seconds=seconds, steps=steps), run_deadline_at=now + timedelta(seconds=seconds),
            failures=0, max_attempts=3, trace_id=uuid.uuid4().hex, request_id="",
        )  # fmt: skip

    def again(self, claim: Claim) -> Claim:
        """The next attempt at the same task."""
        Task.objects.filter(pk=claim.task_id).update(fence=claim.fence + 1)
        fields = {name: getattr(claim, name) for name in claim.__slots__}
        return Claim(**fields | {"fence": claim.fence + 1})

    def events(self, claim: Claim) -> list[tuple[str, dict[str, Any]]]:
        """Kind and data of what has been written about the task."""
        return [*TaskEvent.objects.filter(task_id=claim.task_id).order_by("number").values_list("kind", "data")]


@pytest.fixture
def desk(outsider: User) -> Iterator[Desk]:
    """A worker's desk."""
    registry.load()
    known = dict(registry._definitions)
    yield Desk(outsider)
    registry._definitions.clear()
    registry._definitions.update(known)
    forget_graphs()


@pytest.fixture
def definition() -> type[AgentDefinition]:
    """Any agent."""
    return type("Any", (AgentDefinition,), {"slug": "any", "__module__": __name__})
